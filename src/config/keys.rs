//! Every key that there is, and values for them gathered from file and environment.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{Error, database::without_password};

/// What kind of value a key takes; the environment has only text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Bool,
    /// A whole number, not negative.
    Number,
    /// A whole number for each of some names: a table. In the environment `NAME=NUMBER`, with commas between them.
    Numbers,
    /// A list of texts; one text is a list of one. In the environment commas part them.
    List,
    /// A number of bytes, or text that names one.
    Size,
    /// A list of tables; in the environment it is written as in TOML.
    Tables,
}

/// Every key, with its section.
const KEYS: &[(&str, Kind)] = &[
    ("server.listen", Kind::Text),
    ("server.admin_listen", Kind::Text),
    ("server.public_url", Kind::Text),
    ("server.peer_url", Kind::Text),
    ("server.peers", Kind::List),
    ("server.trusted_proxies", Kind::List),
    ("server.tls.cert", Kind::Text),
    ("server.tls.key", Kind::Text),
    ("server.cors.allow_origins", Kind::List),
    ("server.max_connections", Kind::Number),
    ("server.timeouts.handshake", Kind::Text),
    ("server.timeouts.headers", Kind::Text),
    ("server.timeouts.idle", Kind::Text),
    ("server.timeouts.write", Kind::Text),
    ("server.timeouts.read", Kind::Text),
    ("server.drain_delay", Kind::Text),
    ("server.drain_timeout", Kind::Text),
    ("server.log", Kind::Text),
    ("database.url", Kind::Text),
    ("database.max_connections", Kind::Number),
    ("database.connect_timeout", Kind::Text),
    ("database.statement_timeout", Kind::Text),
    ("database.lock_timeout", Kind::Text),
    ("storage.url", Kind::Text),
    ("storage.s3.endpoint", Kind::Text),
    ("storage.s3.region", Kind::Text),
    ("storage.s3.allow_http", Kind::Bool),
    ("storage.spool", Kind::Text),
    ("storage.scrub_interval", Kind::Text),
    ("storage.cache.path", Kind::Text),
    ("storage.cache.size", Kind::Size),
    ("encryption.allow_plain", Kind::Bool),
    ("encryption.plain_sidecars", Kind::Bool),
    ("encryption.index", Kind::List),
    ("encryption.exempt", Kind::List),
    ("definition_key.kind", Kind::Text),
    ("definition_key.path", Kind::Text),
    ("definition_key.allow_embedded", Kind::Bool),
    ("definition_key.max_age", Kind::Text),
    ("definition_key.kmip.endpoints", Kind::List),
    ("definition_key.kmip.ca", Kind::Text),
    ("definition_key.kmip.cert", Kind::Text),
    ("definition_key.kmip.key", Kind::Text),
    ("definition_key.kmip.id", Kind::Text),
    ("definition_key.kmip.name", Kind::Text),
    ("definition_key.kmip.mode", Kind::Text),
    ("definition_key.kmip.timeout", Kind::Text),
    ("definition_key.pkcs11.module", Kind::Text),
    ("definition_key.pkcs11.token", Kind::Text),
    ("definition_key.pkcs11.label", Kind::Text),
    ("definition_key.pkcs11.pin_file", Kind::Text),
    ("definition_key.pkcs11.nonce", Kind::Text),
    ("definition_key.pkcs11.timeout", Kind::Text),
    ("keys.reload_interval", Kind::Text),
    ("keys.max_age", Kind::Text),
    ("auth.mode", Kind::Text),
    ("auth.jwks", Kind::Text),
    ("auth.issuer", Kind::Text),
    ("auth.audience", Kind::List),
    ("auth.token_key_file", Kind::Text),
    ("auth.link_secrets_file", Kind::Text),
    ("auth.proxy.peers", Kind::List),
    ("auth.proxy.subject_header", Kind::Text),
    ("auth.proxy.scopes", Kind::List),
    ("audit.path", Kind::Text),
    ("audit.instance", Kind::Text),
    ("audit.on_failure", Kind::Text),
    ("retention.days", Kind::Number),
    ("retention.by_tag", Kind::Numbers),
    ("ingest.max_size", Kind::Size),
    ("ingest.watch", Kind::Tables),
];

/// Variables of the environment that are configuration begin so.
const PREFIX: &str = "SEALTAPE_";

/// Values by key, each with where it came from.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<&'static str, (String, Value)>);

impl Values {
    /// Takes every key of a TOML file.
    pub(super) fn add_file(&mut self, origin: &str, table: &Table) -> Result<(), Error> {
        for (section, content) in table {
            let Value::Table(content) = content else { return Err(unknown(origin, section)) };
            // An empty section of a wrong name is still a wrong name.
            if !KEYS.iter().any(|(key, _)| key.starts_with(&format!("{section}."))) {
                return Err(unknown(origin, section));
            }
            self.add_table(origin, section, content)?;
        }
        Ok(())
    }

    /// Takes every key of a section, and of the sections within it.
    fn add_table(&mut self, origin: &str, section: &str, table: &Table) -> Result<(), Error> {
        for (name, value) in table {
            let key = format!("{section}.{name}");
            match value {
                Value::Table(inner) if KEYS.iter().any(|(known, _)| known.starts_with(&format!("{key}."))) => {
                    self.add_table(origin, &key, inner)?;
                }
                value => self.add(origin, &key, value.clone())?,
            }
        }
        Ok(())
    }

    /// Takes every `SEALTAPE_SECTION__KEY` of the environment; names without `__` are not configuration.
    pub(super) fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) -> Result<(), Error> {
        for (variable, text) in variables {
            let Some(rest) = variable.strip_prefix(PREFIX).filter(|rest| rest.contains("__")) else { continue };
            let key = rest.replace("__", ".").to_ascii_lowercase();
            let kind = KEYS.iter().find(|(known, _)| *known == key).map_or(Kind::Text, |(_, kind)| *kind);
            let value = match (kind, text.as_str()) {
                (Kind::Bool, "true") => Value::Boolean(true),
                (Kind::Bool, "false") => Value::Boolean(false),
                (Kind::Number, digits) => digits.parse().map_or_else(|_| Value::String(text), Value::Integer),
                (Kind::Numbers, list) => {
                    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
                    Value::Table(items.map(number_of_name).collect())
                }
                (Kind::List, list) => {
                    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
                    Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
                }
                (Kind::Tables, list) => tables(list).unwrap_or(Value::String(text)),
                _ => Value::String(text),
            };
            self.add(&variable, &key, value)?;
        }
        Ok(())
    }

    fn add(&mut self, origin: &str, key: &str, value: Value) -> Result<(), Error> {
        let known = KEYS.iter().find(|(known, _)| *known == key);
        let (known, kind) = *known.ok_or_else(|| unknown(origin, key))?;
        let (fits, reason) = match kind {
            Kind::Text => (value.is_str(), "it must be text in quotes"),
            Kind::Bool => (value.is_bool(), "it must be true or false"),
            Kind::Number => (value.as_integer().is_some_and(|number| number >= 0), "it must be a whole number"),
            Kind::Numbers => (
                value.as_table().is_some_and(|numbers| {
                    numbers.values().all(|value| value.as_integer().is_some_and(|number| number > 0))
                }),
                "it must be a table of whole numbers such as { name = 30 }",
            ),
            Kind::List => (
                value.is_str() || value.as_array().is_some_and(|items| items.iter().all(Value::is_str)),
                "it must be text in quotes, or a list of such",
            ),
            Kind::Size => (value.is_str() || value.is_integer(), "it must be a size such as \"2GiB\""),
            Kind::Tables => (
                value.as_array().is_some_and(|items| items.iter().all(Value::is_table)),
                "it must be a list of tables, such as [{ path = \"/folder\" }]",
            ),
        };
        if !fits {
            let (origin, key) = (origin.to_owned(), key.to_owned());
            let value = shown(&key, &value);
            return Err(Error::BadValue { origin, key, value, reason: reason.into() });
        }
        self.0.insert(known, (origin.to_owned(), value));
        Ok(())
    }

    /// The text of a key, read by `parse`; `default` when there is none.
    pub(super) fn parse<T>(
        &self,
        key: &str,
        default: impl FnOnce() -> T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Error> {
        let Some((origin, value)) = self.0.get(key) else { return Ok(default()) };
        let number = value.as_integer().map(|number| number.to_string());
        let text = number.as_deref().or_else(|| value.as_str()).unwrap_or_default();
        parse(text).map_err(|reason| Error::BadValue {
            origin: origin.clone(),
            key: key.to_owned(),
            value: shown(key, value),
            reason,
        })
    }

    /// The items of a list, each read by `parse`; none when there is no such key.
    pub(super) fn list<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Error> {
        let Some((origin, value)) = self.0.get(key) else { return Ok(Vec::new()) };
        let one = [value.clone()];
        let items = value.as_array().map_or(&one[..], Vec::as_slice);
        let read = |item: &Value| {
            parse(item.as_str().unwrap_or_default()).map_err(|reason| Error::BadValue {
                origin: origin.clone(),
                key: key.to_owned(),
                value: item.to_string(),
                reason,
            })
        };
        items.iter().map(read).collect()
    }

    /// The numbers of a table.
    pub(super) fn numbers(&self, key: &str) -> BTreeMap<String, u64> {
        let table = self.0.get(key).and_then(|(_, value)| value.as_table());
        let number = |value: &Value| value.as_integer().and_then(|number| u64::try_from(number).ok());
        table.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), number(value)?))).collect()
    }

    /// The tables of a list, each read by `parse`; none when there is no such key.
    pub(super) fn tables<T>(&self, key: &str, parse: impl Fn(&Table) -> Result<T, String>) -> Result<Vec<T>, Error> {
        let Some((origin, value)) = self.0.get(key) else { return Ok(Vec::new()) };
        let tables = value.as_array().into_iter().flatten().filter_map(Value::as_table);
        let read = |table: &Table| {
            parse(table).map_err(|reason| Error::BadValue {
                origin: origin.clone(),
                key: key.to_owned(),
                value: Value::Table(table.clone()).to_string(),
                reason,
            })
        };
        tables.map(read).collect()
    }

    /// A whole number of at least one.
    pub(super) fn count(&self, key: &str, default: usize) -> Result<usize, Error> {
        let Some((origin, value)) = self.0.get(key) else { return Ok(default) };
        let number = value.as_integer().and_then(|number| usize::try_from(number).ok());
        number.filter(|number| *number > 0).ok_or_else(|| Error::BadValue {
            origin: origin.clone(),
            key: key.to_owned(),
            value: value.to_string(),
            reason: "it must be at least 1".into(),
        })
    }

    /// An error about a key that was given.
    pub(super) fn bad(&self, key: &str, reason: &str) -> Error {
        let (origin, value) = match self.0.get(key) {
            Some((origin, value)) => (origin.clone(), shown(key, value)),
            None => ("settings".into(), "missing".into()),
        };
        Error::BadValue { origin, key: key.to_owned(), value, reason: reason.to_owned() }
    }

    /// Whether a key was given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether any key was given that begins so.
    pub(super) fn has_section(&self, begin: &str) -> bool {
        self.0.keys().any(|key| key.starts_with(begin))
    }

    /// A key that is true or false.
    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        self.0.get(key).and_then(|(_, value)| value.as_bool()).unwrap_or(default)
    }
}

/// A value as errors show it.
fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) if key == "database.url" => Value::String(without_password(text)).to_string(),
        value => value.to_string(),
    }
}

/// `NAME=NUMBER`, as a table has it; what is no number stays text, which is refused then.
fn number_of_name(item: &str) -> (String, Value) {
    let (name, number) = item.rsplit_once('=').unwrap_or((item, ""));
    let value = number.trim().parse().map_or_else(|_| Value::String(number.to_owned()), Value::Integer);
    (name.trim().to_owned(), value)
}

/// A list as it is written in TOML.
fn tables(text: &str) -> Option<Value> {
    let mut table: Table = format!("list = {text}").parse().ok()?;
    table.remove("list")
}

/// A section is compared with sections, a name without one with names too.
fn unknown(origin: &str, key: &str) -> Error {
    let distance = |known: &'static str| {
        let (section, name) = known.split_once('.').unwrap_or_default();
        let candidates = if key.contains('.') { [known, known, known] } else { [known, section, name] };
        candidates.into_iter().map(|candidate| strsim::damerau_levenshtein(candidate, key)).min()
    };
    let nearest = KEYS.iter().map(|(known, _)| *known).min_by_key(|known| distance(known)).unwrap_or_default();
    Error::UnknownKey { origin: origin.to_owned(), key: key.to_owned(), nearest }
}
