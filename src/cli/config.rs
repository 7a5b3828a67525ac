//! `sealtape config`: the configuration.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    Failure, Global, holders,
    open::{check_credentials, of_cache, settings},
    print,
    serve::refuse_strangers,
    warnings::{warn_of_definition_key, warn_of_embedded_key, warn_of_no_links, warn_of_unverified_server},
};
use crate::config::{
    AuditFailure, AuthMode, BucketSettings, DatabaseSettings, DefinitionKeyKind, DefinitionKeySettings, Jwks, KmipMode,
    KmipSettings, LogFormat, NonceMaker, Peer, Pkcs11Settings, Settings, StorageSettings,
};
use crate::http::Tls;
use crate::kms::FileDefinitionKeys;
use crate::storage::CachedStore;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Check the settings, and show what is in force; nothing is made or changed
    Check,
}

pub(super) async fn run(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let Command::Check = command;
    let settings = settings(global)?;
    for listen in [Some(&settings.server.listen), settings.server.admin_listen.as_ref()].into_iter().flatten() {
        refuse_strangers(listen, settings.auth.mode)?;
    }
    if let Some(tls) = &settings.server.tls {
        Tls::load(&tls.cert, &tls.key)?;
    }
    if let Some(cache) = &settings.cache {
        CachedStore::check(&cache.path).map_err(|error| of_cache(&cache.path, &error))?;
    }
    let DefinitionKeySettings { kind, path, .. } = &settings.definition_key;
    match kind {
        DefinitionKeyKind::File => {
            let keys = FileDefinitionKeys::at(path);
            // In the one-machine default it is made at the first start.
            if keys.exist() || settings.data_dir.is_none() {
                keys.read()?;
            }
        }
        DefinitionKeyKind::Embedded => warn_of_embedded_key(),
        // Their files are looked at; they themselves are asked by `definition-key status`.
        DefinitionKeyKind::Kmip | DefinitionKeyKind::Pkcs11 => {
            holders::in_use(&settings.definition_key)?;
        }
    }
    if settings.storage.folder().is_none() {
        check_credentials()?;
    }
    let sections = sections(&settings);
    if global.json {
        print::json(&sections)?;
    } else {
        let mut rows = Vec::new();
        flatten("", &sections, &mut rows);
        let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        for (key, value) in rows {
            print::line(&format!("{key:width$}  {value}"))?;
        }
    }
    warn_of_definition_key(&settings);
    warn_of_unverified_server(&settings);
    warn_of_no_links(&settings);
    Ok(ExitCode::SUCCESS)
}

/// What is in force, under the keys of the configuration. Nothing in it is secret: secrets lie in the files it names, and a
/// password in a URL is left out.
fn sections(settings: &Settings) -> Value {
    let DefinitionKeySettings { kind, path, allow_embedded, max_age, kmip, pkcs11 } = &settings.definition_key;
    let (server, auth) = (&settings.server, &settings.auth);
    let texts = |peers: &[Peer]| peers.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "server": {
            "listen": server.listen.to_string(),
            "admin_listen": server.admin_listen.as_ref().map(ToString::to_string),
            "public_url": server.public_url,
            "peer_url": server.peer_url,
            "peers": server.peers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "trusted_proxies": texts(&server.trusted_proxies),
            "tls": server.tls.as_ref().map(|tls| json!({ "cert": tls.cert, "key": tls.key })),
            "cors": { "allow_origins": server.allow_origins },
            "max_connections": server.max_connections,
            "timeouts": {
                "handshake": time(server.timeouts.handshake),
                "headers": time(server.timeouts.headers),
                "idle": time(server.timeouts.idle),
                "write": time(server.timeouts.write),
                "read": time(server.timeouts.read),
            },
            "drain_delay": time(server.drain_delay),
            "drain_timeout": time(server.drain_timeout),
            "log": match server.log { LogFormat::Pretty => "pretty", LogFormat::Json => "json" },
        },
        "database": database(&settings.database),
        "storage": {
            "url": settings.storage.url(),
            "s3": bucket(&settings.storage),
            "spool": settings.spool,
            "scrub_interval": settings.scrub_interval.map(time),
            "cache": settings.cache.as_ref().map(|cache| json!({ "path": cache.path, "size": cache.size })),
        },
        "encryption": {
            "allow_plain": settings.allow_plain,
            "exempt": settings.ingest.exempt.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "plain_sidecars": settings.keeping.plain_sidecars,
            "index": settings.keeping.index.iter().map(|field| field.as_str()).collect::<Vec<_>>(),
        },
        "retention": { "days": settings.keeping.days, "by_tag": settings.keeping.days_by_tag },
        "definition_key": {
            "kind": kind.as_str(),
            "path": path,
            "allow_embedded": allow_embedded,
            "max_age": time(*max_age),
            "kmip": kmip.as_ref().map(key_manager),
            "pkcs11": pkcs11.as_ref().map(token),
        },
        "keys": { "reload_interval": time(settings.reload_interval), "max_age": time(settings.key_max_age) },
        "auth": {
            "mode": match auth.mode { AuthMode::None => "none", AuthMode::Token => "token", AuthMode::Proxy => "proxy" },
            "jwks": auth.jwks.as_ref().map(|jwks| match jwks {
                Jwks::File(path) => path.display().to_string(),
                Jwks::Url(url) => url.clone(),
            }),
            "issuer": auth.issuer,
            "audience": auth.audience,
            "token_key_file": auth.token_key_file,
            "link_secrets_file": auth.link_secrets_file,
            "proxy": {
                "peers": texts(&auth.proxy_peers),
                "subject_header": auth.subject_header,
                "scopes": auth.proxy_scopes,
            },
        },
        "audit": {
            "path": settings.audit.path,
            "instance": settings.audit.instance,
            "on_failure": match settings.audit.on_failure {
                AuditFailure::Refuse => "refuse",
                AuditFailure::Continue => "continue",
            },
        },
        "ingest": {
            "max_size": settings.ingest.max_size,
            "watch": settings.ingest.watch.iter().map(|folder| json!({
                "path": folder.path,
                "pattern": folder.pattern.to_string(),
                "settle": time(folder.settle),
            })).collect::<Vec<_>>(),
        },
    })
}

fn database(database: &DatabaseSettings) -> Value {
    match database {
        DatabaseSettings::Sqlite(_) => json!({ "url": database.url() }),
        DatabaseSettings::Postgres(server) => json!({
            "url": database.url(),
            "max_connections": server.max_connections,
            "connect_timeout": time(server.connect_timeout),
            "statement_timeout": time(server.statement_timeout),
            "lock_timeout": time(server.lock_timeout),
        }),
    }
}

fn bucket(storage: &StorageSettings) -> Value {
    match storage {
        StorageSettings::Folder(_) => Value::Null,
        StorageSettings::Bucket(BucketSettings { endpoint, region, is_plain_http, .. }) => {
            json!({ "endpoint": endpoint, "region": region, "allow_http": is_plain_http })
        }
    }
}

fn key_manager(settings: &KmipSettings) -> Value {
    let KmipSettings { endpoints, ca, cert, key, id, name, mode, timeout } = settings;
    let mode = match mode {
        KmipMode::Encrypt => "encrypt",
        KmipMode::Get => "get",
    };
    json!({
        "endpoints": endpoints, "ca": ca, "cert": cert, "key": key, "id": id, "name": name, "mode": mode,
        "timeout": time(*timeout),
    })
}

fn token(settings: &Pkcs11Settings) -> Value {
    let Pkcs11Settings { module, token, label, pin_file, nonce, timeout } = settings;
    let nonce = match nonce {
        NonceMaker::Host => "host",
        NonceMaker::Token => "token",
    };
    json!({
        "module": module, "token": token, "label": label, "pin_file": pin_file, "nonce": nonce,
        "timeout": time(*timeout),
    })
}

/// Every value under its whole key; what is not set is left out.
fn flatten(prefix: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&key, value, rows);
            }
        }
        Value::Null => {}
        Value::String(text) => rows.push((prefix.to_owned(), text.clone())),
        Value::Array(items) => {
            let is_text = items.iter().all(Value::is_string);
            if !is_text {
                for (number, item) in items.iter().enumerate() {
                    flatten(&format!("{prefix}[{number}]"), item, rows);
                }
            }
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            if !items.is_empty() {
                rows.push((prefix.to_owned(), items.join(", ")));
            }
        }
        other => rows.push((prefix.to_owned(), other.to_string())),
    }
}

fn time(duration: std::time::Duration) -> String {
    format!("{duration:?}")
}
