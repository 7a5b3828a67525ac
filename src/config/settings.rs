//! Validated settings.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    AuditSettings, AuthSettings, CacheSettings, DatabaseSettings, DefinitionKeySettings, Error, IngestSettings,
    KeepingSettings, ServerSettings, Source, StorageSettings,
    keys::Values,
    parse::{absolute, parse_duration, parse_path},
    storage::BucketAccess,
};

const RELOAD_INTERVAL_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// NIST SP 800-57 part 1 (table 1) has symmetric keys that encrypt or wrap used for two years at most; those that one
/// command exchanges are asked for earlier.
const KEY_MAX_AGE_DEFAULT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Where everything lies unless something else was said.
const DATA_DIR_DEFAULT: &str = "sealtape-data";

/// What an operator decided, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder of the one-machine default, made when it is missing; none when the settings say where the database is.
    pub data_dir: Option<PathBuf>,
    /// How the server serves.
    pub server: ServerSettings,
    /// Where keys and catalogue are kept.
    pub database: DatabaseSettings,
    /// Where media lies.
    pub storage: StorageSettings,
    /// How buckets are reached, also those that only a command names.
    pub bucket_access: BucketAccess,
    /// The folder in which media waits until it is in the store; none where it is there from its first byte.
    pub spool: Option<PathBuf>,
    /// The local cache of what lies there; none when there is none.
    pub cache: Option<CacheSettings>,
    /// How often a server verifies all recordings; none when it does not.
    pub scrub_interval: Option<Duration>,
    /// Whether recordings that are plain, and not exempt, play.
    pub allow_plain: bool,
    /// What is kept in clear, and for how long recordings are kept.
    pub keeping: KeepingSettings,
    /// Where the definition key is held.
    pub definition_key: DefinitionKeySettings,
    /// How often keys and switch are checked, whether or not anything seems to have changed.
    pub reload_interval: Duration,
    /// How old the key that new recordings are sealed under may become before its age is warned of.
    pub key_max_age: Duration,
    /// Who may ask.
    pub auth: AuthSettings,
    /// The record of who listened to what.
    pub audit: AuditSettings,
    /// How recordings are taken in.
    pub ingest: IngestSettings,
}

impl Settings {
    /// Reads file and environment.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with either.
    pub fn load(source: &Source, environment: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let text = match source {
            Source::File(path) => {
                fs::read_to_string(path).map_err(|error| Error::Unreadable { path: path.clone(), error })?
            }
            Source::DataDir(_) => String::new(),
        };
        Self::read(source, &text, environment)
    }

    /// The same of a file that was read already.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with either.
    pub fn read(
        source: &Source,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let mut values = Values::default();
        if let Source::File(path) = source {
            let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
                let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().lines().count().max(1));
                let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                Error::Syntax { path: path.clone(), message: format!("{place}{}", error.message()) }
            })?;
            values.add_file(&path.display().to_string(), &table)?;
        }
        values.add_environment(environment)?;
        Self::validate(source, &values)
    }

    /// The place of media that a URL names; a bucket is reached as these settings say.
    ///
    /// # Errors
    ///
    /// What is wrong with the URL, for people.
    pub fn storage_at(&self, url: &str) -> Result<StorageSettings, String> {
        StorageSettings::at(url, &self.bucket_access)
    }

    fn validate(source: &Source, values: &Values) -> Result<Self, Error> {
        let folder = match source {
            Source::DataDir(folder) => absolute(folder),
            Source::File(_) => absolute(Path::new(DATA_DIR_DEFAULT)),
        };
        let data_dir = (!values.has("database.url")).then(|| folder.clone());
        let bucket_access = BucketAccess::validate(values)?;
        let storage = StorageSettings::validate(values, &folder, &bucket_access)?;
        // What is being recorded cannot lie in a bucket.
        let spool = storage.folder().is_none().then(|| folder.join("spool"));
        let spool = values.parse("storage.spool", || spool, |text| parse_path(text).map(Some))?;
        Ok(Self {
            server: ServerSettings::validate(values)?,
            database: DatabaseSettings::validate(values, &folder)?,
            cache: CacheSettings::validate(values, &[storage.folder(), spool.as_deref()])?,
            spool,
            storage,
            bucket_access,
            scrub_interval: values.parse("storage.scrub_interval", || None, |text| parse_duration(text).map(Some))?,
            allow_plain: values.flag("encryption.allow_plain", true),
            keeping: KeepingSettings::validate(values)?,
            definition_key: DefinitionKeySettings::validate(values, &folder)?,
            reload_interval: values.parse("keys.reload_interval", || RELOAD_INTERVAL_DEFAULT, parse_duration)?,
            key_max_age: values.parse("keys.max_age", || KEY_MAX_AGE_DEFAULT, parse_duration)?,
            auth: AuthSettings::validate(values, &folder)?,
            audit: AuditSettings::validate(values, &folder)?,
            ingest: IngestSettings::validate(values)?,
            data_dir,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Settings, Error> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("sealtape.toml");
        fs::write(&path, toml).expect("written");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::load(&Source::File(path), environment.collect::<Vec<_>>().into_iter())
    }

    #[test]
    fn a_file_and_the_environment_above_it() {
        let toml = "[server]\nlisten = \"127.0.0.1:9000\"\n[database]\nurl = \"sqlite:///var/s.db\"\n\
                    [storage]\nurl = \"file:///var/media\"\n[keys]\nreload_interval = \"5m\"\n\
                    [encryption]\nallow_plain = false\n";
        let settings = load(toml, &[]).expect("good");
        assert_eq!(settings.server.listen.to_string(), "127.0.0.1:9000");
        assert_eq!(settings.database, DatabaseSettings::Sqlite("/var/s.db".into()));
        assert_eq!(settings.storage.folder(), Some(Path::new("/var/media")));
        assert_eq!(settings.reload_interval, Duration::from_secs(300));
        assert!(!settings.allow_plain);
        let above = [("SEALTAPE_SERVER__LISTEN", "[::1]:9001"), ("SEALTAPE_ENCRYPTION__ALLOW_PLAIN", "true")];
        let settings = load(toml, &above).expect("good");
        assert_eq!(settings.server.listen.to_string(), "[::1]:9001");
        assert!(settings.allow_plain);
        assert!(load("", &[("SEALTAPE_LOG", "x"), ("SEALTAPE", "x"), ("OTHER__THING", "x")]).is_ok());
    }

    #[test]
    fn sections_within_sections_and_lists() {
        let toml = "[server]\ntls.cert = \"/c\"\ntls.key = \"/k\"\nmax_connections = 7\ndrain_delay = \"0s\"\n\
                    [server.timeouts]\nidle = \"9s\"\n[server.cors]\nallow_origins = \"https://a.example\"\n\
                    [auth]\nmode = \"proxy\"\n[auth.proxy]\npeers = [\"127.0.0.1\", \"10.0.0.0/8\", \"unix\"]\n";
        let settings = load(toml, &[]).expect("good");
        assert_eq!(settings.server.tls.map(|tls| tls.key), Some("/k".into()));
        assert_eq!((settings.server.max_connections, settings.server.drain_delay), (7, Duration::ZERO));
        assert_eq!(settings.server.timeouts.idle, Duration::from_secs(9));
        assert_eq!(settings.server.allow_origins, ["https://a.example"]);
        let peers: Vec<String> = settings.auth.proxy_peers.iter().map(ToString::to_string).collect();
        assert_eq!(peers, ["127.0.0.1/32", "10.0.0.0/8", "unix"]);
        let above = [
            ("SEALTAPE_SERVER__CORS__ALLOW_ORIGINS", "https://a.example, https://b.example:8443"),
            ("SEALTAPE_SERVER__MAX_CONNECTIONS", "9"),
        ];
        let settings = load("", &above).expect("good");
        assert_eq!(settings.server.allow_origins, ["https://a.example", "https://b.example:8443"]);
        assert_eq!(settings.server.max_connections, 9);
    }

    #[test]
    fn peers_are_named_or_called_alike_or_nobody() {
        let peers = |toml: &str| {
            let peers = load(toml, &[]).expect("good").server.peers;
            peers.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(peers(""), Vec::<String>::new());
        let own = "[server]\npeer_url = \"http://tape-0.tape.ns.svc:8080\"\n";
        assert_eq!(peers(own), ["http://tape-NUMBER.tape.ns.svc:8080"]);
        assert_eq!(peers(&format!("{own}peers = []")), Vec::<String>::new());
        let named = format!("{own}peers = [\"http://10.0.0.8:8080/\", \"https://tape-*.other.internal\"]");
        assert_eq!(peers(&named), ["http://10.0.0.8:8080", "https://tape-*.other.internal"]);
        let above = [("SEALTAPE_SERVER__PEERS", "https://a.internal, https://b.internal:8443")];
        assert_eq!(load("", &above).expect("good").server.peers.len(), 2);
    }

    #[test]
    fn what_is_kept_and_how_long() {
        let settings = load("", &[]).expect("good").keeping;
        assert_eq!((settings.index.len(), settings.days, settings.plain_sidecars), (7, None, false));
        let toml = "[encryption]\nindex = [\"tags\", \"agent\"]\nplain_sidecars = true\n\
                    [retention]\ndays = 3650\nby_tag = { training = 30, \"to keep\" = 9000 }\n";
        let settings = load(toml, &[]).expect("good").keeping;
        assert_eq!((settings.index.len(), settings.days, settings.plain_sidecars), (2, Some(3650), true));
        assert_eq!(settings.days_by_tag.get("to keep"), Some(&9000));
        let above = [("SEALTAPE_RETENTION__BY_TAG", "training=7, other=8"), ("SEALTAPE_ENCRYPTION__INDEX", "tags")];
        let settings = load(toml, &above).expect("good").keeping;
        assert_eq!((settings.index.len(), settings.days_by_tag.get("training")), (1, Some(&7)));
        assert!(load("", &[("SEALTAPE_RETENTION__BY_TAG", "training")]).is_err());
    }

    #[test]
    fn a_cache_has_a_folder_of_its_own_and_a_size() {
        assert_eq!(load("", &[]).expect("good").cache, None);
        let toml = "[storage]\nurl = \"file:///srv/media\"\ncache.path = \"/var/cache/sealtape\"\n";
        let cache = |toml: &str| load(toml, &[]).expect("good").cache.expect("a cache");
        assert_eq!((cache(toml).path.as_path(), cache(toml).size), (Path::new("/var/cache/sealtape"), 10 << 30));
        assert_eq!(cache(&format!("{toml}cache.size = \"500GB\"")).size, 500_000_000_000);
        assert_eq!(cache(&format!("{toml}cache.size = 67108864")).size, 64 << 20);
        let above = [("SEALTAPE_STORAGE__CACHE__PATH", "/c"), ("SEALTAPE_STORAGE__CACHE__SIZE", "1TiB")];
        let cache = load("", &above).expect("good").cache.expect("a cache");
        assert_eq!((cache.path.as_path(), cache.size), (Path::new("/c"), 1 << 40));
    }

    #[test]
    fn a_definition_key_that_lives_elsewhere() {
        use super::super::{DefinitionKeyKind, KmipMode, NonceMaker};
        let toml = "[definition_key]\nkind = \"kmip\"\n[definition_key.kmip]\nendpoints = [\"a:5696\", \"b\"]\n\
                    ca = \"/ca\"\ncert = \"/cert\"\nkey = \"/key\"\n[definition_key.pkcs11]\nmodule = \"/m.so\"\n\
                    token = \"t\"\n";
        let settings = load(toml, &[]).expect("good").definition_key;
        assert_eq!(settings.kind, DefinitionKeyKind::Kmip);
        let kmip = settings.kmip.expect("there");
        assert_eq!((kmip.endpoints.len(), kmip.mode, kmip.id), (2, KmipMode::Encrypt, None));
        assert_eq!((kmip.name.as_str(), kmip.timeout), ("sealtape-definition-key", Duration::from_secs(10)));
        let pkcs11 = settings.pkcs11.expect("there, for a move");
        assert_eq!((pkcs11.label.as_str(), pkcs11.nonce), ("sealtape-definition-key", NonceMaker::Host));
        let above = [("SEALTAPE_DEFINITION_KEY__KMIP__MODE", "get"), ("SEALTAPE_DEFINITION_KEY__KMIP__ID", "12")];
        let kmip = load(toml, &above).expect("good").definition_key.kmip.expect("there");
        assert_eq!((kmip.mode, kmip.id.as_deref()), (KmipMode::Get, Some("12")));
        for (toml, missing) in [
            ("[definition_key]\nkind = \"kmip\"", "definition_key.kmip.endpoints"),
            ("[definition_key]\nkind = \"pkcs11\"", "definition_key.pkcs11.module"),
            ("[definition_key.kmip]\nca = \"/ca\"", "definition_key.kmip.endpoints"),
            ("[definition_key.kmip]\nendpoints = \"a\"\nca = \"/ca\"", "definition_key.kmip.cert"),
            ("[definition_key.pkcs11]\nmodule = \"/m.so\"", "definition_key.pkcs11.token"),
            ("[definition_key.kmip]\nendpoints = \"a:b:c:d\"", "definition_key.kmip.endpoints"),
            ("[definition_key.pkcs11]\nnonce = \"both\"", "definition_key.pkcs11.module"),
        ] {
            match load(toml, &[]) {
                Err(Error::BadValue { key, .. }) => assert_eq!(key, missing, "{toml}"),
                other => panic!("{toml}: {other:?}"),
            }
        }
    }

    #[test]
    fn misspelt_keys_name_the_nearest() {
        for (toml, environment, nearest) in [
            ("[server]\nlistn = \"x\"", &[][..], "server.listen"),
            ("[sever]\nlisten = \"x\"", &[], "server.listen"),
            ("[encrypton]", &[], "encryption.allow_plain"),
            ("listen = \"x\"", &[], "server.listen"),
            ("[server.listen]\nx = 1", &[], "server.listen"),
            ("", &[("SEALTAPE_KEYS__RELOAD_INTERVALL", "1m")], "keys.reload_interval"),
        ] {
            match load(toml, environment) {
                Err(Error::UnknownKey { nearest: found, .. }) => assert_eq!(found, nearest, "{toml}"),
                Err(Error::BadValue { key, .. }) => assert_eq!(key, nearest, "{toml}"),
                other => panic!("{toml}: {other:?}"),
            }
        }
    }

    #[test]
    fn bad_values_name_key_value_and_rule() {
        for toml in [
            "[server]\nlisten = 8080",
            "[server]\nlisten = \"8080\"",
            "[database]\nurl = \"mysql://x\"",
            "[database]\nurl = \"postgres://x?sslmode=maybe\"",
            "[database]\nurl = \"postgres://x?target_session_attrs=any\"",
            "[database]\nurl = \"postgres://x\"\nmax_connections = 0",
            "[database]\nurl = \"postgres://x\"\nlock_timeout = \"0s\"",
            "[database]\nurl = \"sqlite://\"",
            "[storage]\nurl = \"/var/media\"",
            "[storage]\nurl = \"ftp://bucket\"",
            "[storage]\nscrub_interval = \"weekly\"",
            "[storage]\nscrub_interval = \"0s\"",
            "[storage]\ncache.size = \"1GiB\"",
            "[storage]\ncache.path = \"\"",
            "[storage]\ncache.path = \"/c\"\ncache.size = \"63MiB\"",
            "[storage]\ncache.path = \"/c\"\ncache.size = \"large\"",
            "[storage]\nurl = \"file:///srv/media\"\ncache.path = \"/srv/media/cache\"",
            "[storage]\nurl = \"file:///srv/media\"\ncache.path = \"/srv\"",
            "[keys]\nreload_interval = \"soon\"",
            "[keys]\nreload_interval = \"-5m\"",
            "[keys]\nreload_interval = \"0s\"",
            "[encryption]\nallow_plain = \"yes\"",
            "[definition_key]\nkind = \"kmip\"",
            "[auth]\nmode = \"password\"",
            "[auth]\nmode = \"proxy\"",
            "[auth]\njwks = \"/etc/jwks.json\"",
            "[auth]\njwks = \"http://idp.example/jwks\"\nissuer = \"x\"\naudience = \"y\"",
            "[auth]\njwks = \"http://localhost:x@idp.example/jwks\"\nissuer = \"x\"\naudience = \"y\"",
            "[auth]\njwks = \"http://localhost.idp.example/jwks\"\nissuer = \"x\"\naudience = \"y\"",
            "[auth.proxy]\npeers = [\"10.0.0.0/33\"]",
            "[auth.proxy]\nsubject_header = \"a b\"",
            "[server.tls]\ncert = \"/etc/cert.pem\"",
            "[server.cors]\nallow_origins = [\"*\"]",
            "[server.cors]\nallow_origins = [\"https://a.example/\"]",
            "[server]\nmax_connections = 0",
            "[server]\nmax_connections = \"many\"",
            "[server.timeouts]\nidle = \"0s\"",
            "[server]\nlisten = \"unix:\"",
            "[server]\npublic_url = \"recordings.example\"",
            "[server]\npeers = [\"proxy-1.internal\"]",
            "[server]\npeers = [\"https://*\"]",
            "[server]\npeers = [\"http://proxy-1.internal\"]",
            "[server]\npeer_url = \"https://proxy-1.internal\"\npeers = [\"http://proxy-*.internal\"]",
            "[server]\nlog = \"xml\"",
            "[definition_key]\nallow_embedded = \"yes\"",
            "[definition_key]\nmax_age = \"old\"",
            "[audit]\non_failure = \"ignore\"",
            "[audit]\ninstance = \"a b\"",
            "[encryption]\nindex = [\"colour\"]",
            "[retention]\ndays = 0",
            "[retention]\nby_tag = { training = 0 }",
            "[retention]\nby_tag = [\"training\"]",
            "[encryption]\nindex = [\"agent\"]\n[retention]\nby_tag = { training = 30 }",
        ] {
            assert!(matches!(load(toml, &[]), Err(Error::BadValue { .. })), "{toml}");
        }
        assert!(matches!(load("[server\n", &[]), Err(Error::Syntax { .. })));
        let error = load("[database]\nurl = \"postgres://u:s3cret@h/d?colour=red\"", &[]).expect_err("refused");
        assert!(error.to_string().contains("postgres://u@h/d") && !error.to_string().contains("s3cret"), "{error}");
    }

    #[test]
    fn a_server_for_many() {
        let toml = "[database]\nurl = \"postgres://u:s3cret@db.example/d?sslmode=verify-full\"\nmax_connections = 20\n\
                    statement_timeout = \"1m\"\n";
        let settings = load(toml, &[]).expect("good");
        let DatabaseSettings::Postgres(server) = &settings.database else { panic!("{:?}", settings.database) };
        assert_eq!((server.max_connections, server.statement_timeout), (20, Duration::from_secs(60)));
        assert_eq!((server.lock_timeout, server.connect_timeout), (Duration::from_secs(5), Duration::from_secs(5)));
        assert!(server.url.expose().contains("s3cret") && !format!("{settings:?}").contains("s3cret"));
        assert_eq!(settings.data_dir, None);
        let above = [("SEALTAPE_DATABASE__URL", "postgresql:///d?host=/run/postgresql")];
        let settings = load(toml, &above).expect("good");
        assert_eq!(settings.database.url(), "postgresql:///d?host=/run/postgresql");
    }
}
