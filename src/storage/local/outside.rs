//! Files that lie outside the store, where they were catalogued: found by their URL.

use std::{
    io,
    path::{Path, PathBuf},
};

use url::Url;

use super::unavailable;
use crate::base::Location;
use crate::media::Error;

/// The path of a file of this machine.
pub(super) fn path(location: &Location) -> Result<PathBuf, Error> {
    let path = Url::parse(location.as_str()).ok().filter(|url| url.scheme() == "file");
    path.and_then(|url| url.to_file_path().ok()).ok_or_else(|| Error::Unavailable {
        location: location.to_string(),
        reason: "it is no file of this machine".into(),
    })
}

/// What it means that the system finds no file: there is none, or the whole folder is away, perhaps with the disk that
/// it lies on.
pub(super) fn absent<T>(path: &Path, error: &io::Error) -> Result<Option<T>, Error> {
    let is_folder_there = path.parent().is_some_and(Path::is_dir);
    if error.kind() == io::ErrorKind::NotFound && is_folder_there { Ok(None) } else { Err(unavailable(path, error)) }
}
