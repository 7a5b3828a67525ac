//! Where keys and catalogue are kept: a file on this machine, or a server for many.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use url::Url;

use super::{
    Error,
    keys::Values,
    parse::{absolute, parse_duration},
};

/// More than a busy proxy has at work at once: what it is asked again and again it remembers.
const MAX_CONNECTIONS_DEFAULT: usize = 8;
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Longer than counting ten million rows takes.
const STATEMENT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);
const LOCK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// What the URL of a server may say, beside user, host, port and database.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Where keys and catalogue are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseSettings {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    Postgres(PostgresSettings),
}

/// A database of a PostgreSQL server, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Where it is.
    pub url: DatabaseUrl,
    /// Connections side by side, at most.
    pub max_connections: u32,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the server works on one statement.
    pub statement_timeout: Duration,
    /// How long a statement waits for another one's transaction.
    pub lock_timeout: Duration,
}

/// The URL of a server, whose password is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseSettings {
    pub(super) fn validate(values: &Values, folder: &Path) -> Result<Self, Error> {
        let url = match values.parse("database.url", || Place::File(folder.join("sealtape.db")), parse_url)? {
            Place::File(path) => return Ok(Self::Sqlite(path)),
            Place::Server(url) => url,
        };
        let max_connections = values.count("database.max_connections", MAX_CONNECTIONS_DEFAULT)?;
        let time = |key, default| values.parse(key, || default, parse_duration);
        Ok(Self::Postgres(PostgresSettings {
            url,
            max_connections: u32::try_from(max_connections)
                .map_err(|_| values.bad("database.max_connections", "no server has so many"))?,
            connect_timeout: time("database.connect_timeout", CONNECT_TIMEOUT_DEFAULT)?,
            statement_timeout: time("database.statement_timeout", STATEMENT_TIMEOUT_DEFAULT)?,
            lock_timeout: time("database.lock_timeout", LOCK_TIMEOUT_DEFAULT)?,
        }))
    }

    /// The file, when it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// The URL, without its password.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(server) => server.url.to_string(),
        }
    }
}

/// As failures name it: the file, or the URL without its password.
impl fmt::Display for DatabaseSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(server) => server.url.fmt(f),
        }
    }
}

impl DatabaseUrl {
    /// With its password, for whoever connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether what goes over the network to the server is surely encrypted, and the server surely the right one; or goes
    /// over none.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        let Ok(url) = Url::parse(&self.0) else { return false };
        let said = |key: &str| url.query_pairs().filter(|(name, _)| name == key).last().map(|(_, value)| value);
        let host = said("hostaddr").or_else(|| said("host")).map(String::from);
        let host = host.or_else(|| url.host_str().map(str::to_owned)).unwrap_or_default();
        let is_local = host.is_empty()
            || ["/", "%2f", "%2F"].iter().any(|socket| host.starts_with(socket))
            || host == "localhost"
            || host.trim_matches(['[', ']']).parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        is_local || matches!(said("sslmode").as_deref(), Some("verify-ca" | "verify-full"))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A URL as it may be shown: what stands where a password may stand is left out, also of what is no URL.
pub(super) fn without_password(text: &str) -> String {
    // What has a colon may pass for a URL of a scheme that nobody knows.
    let Some(mut url) = Url::parse(text).ok().filter(|url| !url.cannot_be_a_base() && !may_have_been_cut(url)) else {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let may_hold_one = rest.contains('@') || rest.to_ascii_lowercase().contains("pass");
        return if may_hold_one { format!("{scheme}://…") } else { text.to_owned() };
    };
    // Only a URL without a host cannot have one.
    let _had_none = url.set_password(None);
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| !key.to_ascii_lowercase().contains("pass"))
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    let was_longer = url.query_pairs().count() > kept.len();
    if was_longer {
        url.set_query(None);
        if !kept.is_empty() {
            url.query_pairs_mut().extend_pairs(kept);
        }
    }
    url.into()
}

/// Whether a password ended its host early: `u:2024/x@host` is a host `u` at port 2024, and `x@host` a path. Who means a
/// `/`, `?` or `#` in a password has to write it as `%2F`, and finds out by an error that would show the rest.
fn may_have_been_cut(url: &Url) -> bool {
    let behind_the_host = [url.path(), url.query().unwrap_or_default(), url.fragment().unwrap_or_default()];
    behind_the_host.iter().any(|part| part.contains('@'))
}

/// What a URL names.
enum Place {
    File(PathBuf),
    Server(DatabaseUrl),
}

fn parse_url(text: &str) -> Result<Place, String> {
    if let Some(path) = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")) {
        let is_good = !path.is_empty() && !path.contains('?') && path != ":memory:";
        return if is_good { Ok(Place::File(absolute(Path::new(path)))) } else { Err(NO_DATABASE.into()) };
    }
    let url = Url::parse(text).ok().filter(|url| ["postgres", "postgresql"].contains(&url.scheme()));
    let url = url.ok_or(NO_DATABASE)?;
    for (key, value) in url.query_pairs() {
        if !PARAMETERS.contains(&&*key) {
            if may_have_been_cut(&url) {
                return Err("a `/`, `?` or `#` in a password is written as %2F, %3F or %23".into());
            }
            return Err(format!("it cannot have `{key}`, only {}", PARAMETERS.join(", ")));
        }
        if key == "sslmode" && !SSL_MODES.contains(&&*value) {
            return Err(format!("sslmode must be one of {}", SSL_MODES.join(", ")));
        }
    }
    Ok(Place::Server(DatabaseUrl(text.to_owned())))
}

const NO_DATABASE: &str =
    "it must be \"sqlite:///path/to/file.db\" or \"postgres://user@host/database?sslmode=verify-full\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (text, shown) in [
            ("postgres://u:s3cret@h:5433/d?sslmode=require", "postgres://u@h:5433/d?sslmode=require"),
            ("postgres://u@h/d?password=s3cret", "postgres://u@h/d"),
            ("postgres://u@h/d?password=s3cret&sslmode=require", "postgres://u@h/d?sslmode=require"),
            ("postgres:///d?host=/run&PASSWORD=s3cret", "postgres:///d?host=%2Frun"),
            ("postgres://u:s3cret@h:notaport/d", "postgres://…"),
            ("postgres://u:2024/s3cret@h/d", "postgres://…"),
            ("postgres://u:2024?s3cret@h/d", "postgres://…"),
            ("postgres://u:2024#s3cret@h/d", "postgres://…"),
            ("u:s3cret@h/d", "://…"),
            ("postgres://%2Frun%2Fpg/d", "postgres://%2Frun%2Fpg/d"),
        ] {
            let what = without_password(text);
            assert!(!what.contains("s3cret"), "{what}");
            if text.starts_with("postgres") {
                assert_eq!(what, shown, "{text}");
            }
        }
        let url = DatabaseUrl("postgres://u:s3cret@h/d".into());
        assert_eq!(format!("{url} {url:?}"), "postgres://u@h/d postgres://u@h/d");
    }

    #[test]
    fn servers_that_are_surely_the_right_ones() {
        for (text, is_verified) in [
            ("postgres://u@localhost/d", true),
            ("postgres://u@127.0.0.1:5433/d", true),
            ("postgres://u@[::1]/d", true),
            ("postgres:///d", true),
            ("postgres:///d?host=/run/postgresql", true),
            ("postgres://%2Frun%2Fpostgresql/d", true),
            ("postgres://u@db.example/d", false),
            ("postgres://u@db.example/d?sslmode=require", false),
            ("postgres:///d?host=db.example", false),
            ("postgres://u@db.example/d?sslmode=verify-full", true),
        ] {
            assert_eq!(DatabaseUrl(text.into()).is_verified(), is_verified, "{text}");
        }
    }
}
