//! Validated settings of taking recordings in: how long they may be, which stay plain, and folders that are watched.

use std::{path::PathBuf, time::Duration};

use toml::{Table, Value};

use super::{
    Error,
    keys::Values,
    parse::{parse_duration, parse_path, parse_size},
};
use crate::base::Pattern;

const SETTLE_DEFAULT: Duration = Duration::from_secs(10);
const PATTERN_DEFAULT: &str = "*";

/// How recordings are taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestSettings {
    /// How long a recording may be that comes by PUT, in bytes; none where only the format bounds it.
    pub max_size: Option<u64>,
    /// Folders into which recorders drop files.
    pub watch: Vec<WatchSettings>,
    /// Recordings whose ID matches one of these are kept plain when they come by PUT or from a watch folder.
    pub exempt: Vec<Pattern>,
}

/// A folder into which recorders drop files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchSettings {
    /// The folder itself; folders in it are not looked into.
    pub path: PathBuf,
    /// Files of these names are taken in.
    pub pattern: Pattern,
    /// How long a file must not have changed.
    pub settle: Duration,
}

impl IngestSettings {
    pub(super) fn validate(values: &Values) -> Result<Self, Error> {
        let pattern = |text: &str| text.parse().map_err(|error: crate::base::Error| error.to_string());
        Ok(Self {
            max_size: values.parse("ingest.max_size", || None, |text| parse_size(text).map(Some))?,
            watch: values.tables("ingest.watch", watch_folder)?,
            exempt: values.list("encryption.exempt", pattern)?,
        })
    }
}

fn watch_folder(table: &Table) -> Result<WatchSettings, String> {
    if let Some(name) = table.keys().find(|name| !["path", "pattern", "settle"].contains(&name.as_str())) {
        return Err(format!("it has `{name}`; a watch folder has `path`, `pattern` and `settle`"));
    }
    let text = |name: &str| match table.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(format!("`{name}` must be text in quotes")),
    };
    let path = text("path")?.ok_or("it names no folder: it needs `path`")?;
    let pattern = text("pattern")?.unwrap_or(PATTERN_DEFAULT);
    Ok(WatchSettings {
        path: parse_path(path)?,
        pattern: pattern.parse().map_err(|error: crate::base::Error| error.to_string())?,
        settle: text("settle")?.map_or(Ok(SETTLE_DEFAULT), parse_duration)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, Source};
    use super::*;

    fn load(toml: &str, environment: &[(&str, &str)]) -> Result<IngestSettings, Error> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("sealtape.toml");
        std::fs::write(&path, toml).expect("written");
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = Settings::load(&Source::File(path), environment.collect::<Vec<_>>().into_iter());
        settings.map(|settings| settings.ingest)
    }

    #[test]
    fn folders_sizes_and_patterns_from_file_and_environment() {
        let toml = "[ingest]\nmax_size = \"2GiB\"\n[[ingest.watch]]\npath = \"/drop\"\npattern = \"*.{wav,mp3}\"\n\
                    settle = \"30s\"\n[[ingest.watch]]\npath = \"/other\"\n[encryption]\nexempt = [\"fax-*\"]\n";
        let settings = load(toml, &[]).expect("good");
        assert_eq!(settings.max_size, Some(2 << 30));
        let [first, second] = &settings.watch[..] else { panic!("{settings:?}") };
        assert_eq!((first.path.to_str(), first.settle), (Some("/drop"), Duration::from_secs(30)));
        assert!(first.pattern.matches("a.mp3") && !first.pattern.matches("a.ogg"));
        assert_eq!((second.path.to_str(), second.settle), (Some("/other"), SETTLE_DEFAULT));
        assert!(second.pattern.matches("anything") && settings.exempt[0].matches("fax-1"));

        let inline = "[ingest]\nmax_size = 1000\nwatch = [{ path = \"/drop\" }]\n";
        assert_eq!(load(inline, &[]).expect("good").max_size, Some(1000));
        let above = [
            ("SEALTAPE_INGEST__MAX_SIZE", "10MB"),
            ("SEALTAPE_INGEST__WATCH", "[{ path = \"/a\" }, { path = \"/b\" }]"),
            ("SEALTAPE_ENCRYPTION__EXEMPT", "fax-*, old-*"),
        ];
        let settings = load(inline, &above).expect("good");
        assert_eq!((settings.max_size, settings.watch.len(), settings.exempt.len()), (Some(10_000_000), 2, 2));
        let none = load("", &[]).expect("good");
        assert_eq!((none.max_size, none.watch.len(), none.exempt.len()), (None, 0, 0));
    }

    #[test]
    fn what_is_wrong_with_them_is_said() {
        for (toml, said) in [
            ("[ingest]\nmax_size = \"much\"", "2GiB"),
            ("[ingest]\nmax_size = 0", "2GiB"),
            ("[ingest]\nwatch = \"/drop\"", "list of tables"),
            ("[ingest]\nwatch = [\"/drop\"]", "list of tables"),
            ("[ingest]\nwatch = [{ pattern = \"*\" }]", "needs `path`"),
            ("[ingest]\nwatch = [{ path = \"/a\", settel = \"1s\" }]", "`settel`"),
            ("[ingest]\nwatch = [{ path = \"/a\", settle = \"soon\" }]", "a time"),
            ("[ingest]\nwatch = [{ path = \"/a\", pattern = \"{\" }]", "not a pattern"),
            ("[ingest]\nwatch = [{ path = 7 }]", "text in quotes"),
            ("[encryption]\nexempt = [\"\"]", "not a pattern"),
        ] {
            match load(toml, &[]) {
                Err(Error::BadValue { reason, .. }) => assert!(reason.contains(said), "{toml}: {reason}"),
                other => panic!("{toml}: {other:?}"),
            }
        }
        assert!(matches!(load("", &[("SEALTAPE_INGEST__WATCH", "/drop")]), Err(Error::BadValue { .. })));
    }
}
