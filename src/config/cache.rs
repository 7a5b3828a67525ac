//! Validated settings of the local cache of remote recordings.

use std::path::{Path, PathBuf};

use super::{
    Error,
    keys::Values,
    parse::{parse_path, parse_size},
};

const SIZE_DEFAULT: u64 = 10 << 30;
/// What lies in the cache comes and goes in files of up to 16 MiB.
const SIZE_MIN: u64 = 64 << 20;

/// The local cache of remote recordings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Its folder, made when it is missing.
    pub path: PathBuf,
    /// How much room it may take, in bytes.
    pub size: u64,
}

impl CacheSettings {
    /// None where the settings name no folder for it.
    pub(super) fn validate(values: &Values, media: &[Option<&Path>]) -> Result<Option<Self>, Error> {
        let path = values.parse("storage.cache.path", || None, |text| parse_path(text).map(Some))?;
        let size = values.parse("storage.cache.size", || SIZE_DEFAULT, parse_cache_size)?;
        match path {
            None if values.has("storage.cache.size") => {
                Err(values.bad("storage.cache.size", "it needs `storage.cache.path`, the folder that it is about"))
            }
            Some(path) if media.iter().flatten().any(|media| path.starts_with(media) || media.starts_with(&path)) => {
                Err(values.bad(
                    "storage.cache.path",
                    "it must be a folder of its own, neither in nor around that of `storage.url` or `storage.spool`",
                ))
            }
            path => Ok(path.map(|path| Self { path, size })),
        }
    }
}

fn parse_cache_size(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        size if size < SIZE_MIN => Err("it must be at least \"64MiB\"".into()),
        size => Ok(size),
    }
}
