//! Validated settings.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

use super::{Error, Source, keys::Values};

const LISTEN_DEFAULT: &str = "127.0.0.1:8080";
const RELOAD_INTERVAL_DEFAULT: Duration = Duration::from_secs(15 * 60);
const DRAIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Where everything lies unless something else was said.
const DATA_DIR_DEFAULT: &str = "sealtape-data";

/// What an operator decided, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder of the one-machine default, made when it is missing; none when the settings say where the database is.
    pub data_dir: Option<PathBuf>,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// How long streams may take to finish once the server stops.
    pub drain_timeout: Duration,
    /// The SQLite file.
    pub database: PathBuf,
    /// The folder of media.
    pub storage: PathBuf,
    /// Whether recordings that are plain, and not exempt, play.
    pub allow_plain: bool,
    /// Where the definition key is held.
    pub definition_key: DefinitionKeySettings,
    /// How often keys and switch are checked, whether or not anything seems to have changed.
    pub reload_interval: Duration,
    /// Who may ask.
    pub auth: AuthMode,
}

/// Where the definition key is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefinitionKeySettings {
    /// In a file.
    File(PathBuf),
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// Everyone on this machine.
    None,
}

impl Settings {
    /// Reads file and environment.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with either.
    pub fn load(source: &Source, environment: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut values = Values::default();
        if let Source::File(path) = source {
            let text = fs::read_to_string(path).map_err(|error| Error::Unreadable { path: path.clone(), error })?;
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

    fn validate(source: &Source, values: &Values) -> Result<Self, Error> {
        let folder = match source {
            Source::DataDir(folder) => absolute(folder),
            Source::File(_) => absolute(Path::new(DATA_DIR_DEFAULT)),
        };
        let data_dir = (!values.has("database.url")).then(|| folder.clone());
        let DefinitionKeySettings::File(_) = values.parse(
            "definition_key.kind",
            || DefinitionKeySettings::File(PathBuf::new()),
            |kind| match kind {
                "file" => Ok(DefinitionKeySettings::File(PathBuf::new())),
                _ => Err("this version holds definition keys in files only: it must be \"file\"".into()),
            },
        )?;
        let path =
            |text: &str| if text.is_empty() { Err("it must be a path".into()) } else { Ok(absolute(Path::new(text))) };
        Ok(Self {
            listen: values.parse("server.listen", listen_default, parse_listen)?,
            drain_timeout: values.parse("server.drain_timeout", || DRAIN_TIMEOUT_DEFAULT, parse_duration)?,
            database: values.parse("database.url", || folder.join("sealtape.db"), parse_database_url)?,
            storage: values.parse("storage.url", || folder.join("media"), parse_storage_url)?,
            allow_plain: values.flag("encryption.allow_plain", true),
            definition_key: DefinitionKeySettings::File(values.parse(
                "definition_key.path",
                || folder.join("definition.key"),
                path,
            )?),
            reload_interval: values.parse("keys.reload_interval", || RELOAD_INTERVAL_DEFAULT, parse_duration)?,
            auth: values.parse(
                "auth.mode",
                || AuthMode::None,
                |mode| match mode {
                    "none" => Ok(AuthMode::None),
                    _ => {
                        Err("this version has no sign-in: it must be \"none\", which answers only on this machine"
                            .into())
                    }
                },
            )?,
            data_dir,
        })
    }
}

/// Reads `ADDRESS:PORT`.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| "it must be an address and a port, such as 127.0.0.1:8080".into())
}

fn listen_default() -> SocketAddr {
    LISTEN_DEFAULT.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 8080)))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration: Option<jiff::SignedDuration> = text.parse().ok();
    let duration = duration.and_then(|duration| Duration::try_from(duration).ok());
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| "it must be a time such as \"15m\" or \"30s\"".into())
}

fn parse_database_url(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
    match path {
        Some(path) if !path.is_empty() && !path.contains('?') && path != ":memory:" => Ok(absolute(Path::new(path))),
        _ => Err("this version keeps its catalogue in SQLite: it must be \"sqlite:///path/to/file.db\"".into()),
    }
}

fn parse_storage_url(text: &str) -> Result<PathBuf, String> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "file");
    url.and_then(|url| url.to_file_path().ok())
        .ok_or_else(|| "this version keeps media in a folder: it must be \"file:///path/to/folder\"".into())
}

/// Relative paths start where the program was started.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
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
        assert_eq!(settings.listen.port(), 9000);
        assert_eq!(settings.database, Path::new("/var/s.db"));
        assert_eq!(settings.storage, Path::new("/var/media"));
        assert_eq!(settings.reload_interval, Duration::from_secs(300));
        assert!(!settings.allow_plain);
        let above = [("SEALTAPE_SERVER__LISTEN", "[::1]:9001"), ("SEALTAPE_ENCRYPTION__ALLOW_PLAIN", "true")];
        let settings = load(toml, &above).expect("good");
        assert_eq!(settings.listen.to_string(), "[::1]:9001");
        assert!(settings.allow_plain);
        assert!(load("", &[("SEALTAPE_LOG", "x"), ("SEALTAPE", "x"), ("OTHER__THING", "x")]).is_ok());
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
            "[database]\nurl = \"postgres://x\"",
            "[database]\nurl = \"sqlite://\"",
            "[storage]\nurl = \"/var/media\"",
            "[storage]\nurl = \"s3://bucket\"",
            "[keys]\nreload_interval = \"soon\"",
            "[keys]\nreload_interval = \"-5m\"",
            "[keys]\nreload_interval = \"0s\"",
            "[encryption]\nallow_plain = \"yes\"",
            "[definition_key]\nkind = \"kmip\"",
            "[auth]\nmode = \"token\"",
        ] {
            assert!(matches!(load(toml, &[]), Err(Error::BadValue { .. })), "{toml}");
        }
        assert!(matches!(load("[server\n", &[]), Err(Error::Syntax { .. })));
    }
}
