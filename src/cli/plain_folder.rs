//! An archive in a folder: which of its files can be catalogued where they lie, and which are left out, and why.
//!
//! Nothing is read here but names. What is left out is told, and is no failure; what cannot be looked at is one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Failure, failure};
use crate::config::Settings;

/// What lies in a folder and below.
#[derive(Default)]
pub(super) struct Found {
    /// Files, by absolute paths without links, in the order of their names.
    pub files: Vec<PathBuf>,
    /// What is left out, and why.
    pub left_out: Vec<(PathBuf, &'static str)>,
    /// Folders that cannot be read.
    pub failed: Vec<(PathBuf, io::Error)>,
}

/// Goes through `folder` and all below it.
pub(super) fn walk(folder: &Path, settings: &Settings) -> Result<Found, Failure> {
    let unreadable = |error| failure::io(folder, &error).advise("name a folder that can be read");
    let root = fs::canonicalize(folder).map_err(unreadable)?;
    if !root.is_dir() {
        return Err(Failure::new(format!("{}: it is not a folder", folder.display()))
            .advise("--plain takes the folder of an archive; without it, files are taken in by their names"));
    }
    let own = Own::of(settings);
    if own.folders.iter().any(|own| root.starts_with(own)) {
        return Err(Failure::new(format!("{}: it is a part of sealtape's own data", folder.display()))
            .advise("`sealtape recordings rebuild --plain` catalogues plain files of the store"));
    }
    let mut found = Found::default();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        if let Err(error) = look_into(&folder, &root, &own, &mut found, &mut folders) {
            found.failed.push((folder, error));
        }
    }
    found.files.sort_unstable();
    Ok(found)
}

fn look_into(folder: &Path, root: &Path, own: &Own, found: &mut Found, folders: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let why_not = if entry.file_name().as_encoded_bytes().starts_with(b".") {
            "it is hidden"
        } else if own.has(&path) {
            "it is a part of sealtape's own data"
        } else if kind.is_symlink() {
            match fs::canonicalize(&path) {
                Ok(target) if target.starts_with(root) => {
                    "it is a link, and what it leads to is looked at in its place"
                }
                Ok(_) => "it is a link that leads out of the folder",
                Err(_) => "it is a link that leads nowhere",
            }
        } else if kind.is_dir() {
            folders.push(path);
            continue;
        } else if kind.is_file() {
            found.files.push(path);
            continue;
        } else {
            "it is not a file"
        };
        found.left_out.push((path, why_not));
    }
    Ok(())
}

/// Where this system keeps what is its own, in a folder that somebody may take for an archive.
struct Own {
    folders: Vec<PathBuf>,
    /// Files, with those beside them whose names begin in the same way: what a database keeps, and older keys.
    files: Vec<PathBuf>,
}

impl Own {
    fn of(settings: &Settings) -> Self {
        let auth = &settings.auth;
        // What is not there yet is nowhere.
        let there = |path: &Path| fs::canonicalize(path).ok();
        let (storage, spool) = (settings.storage.folder(), settings.spool.as_deref());
        let cache = settings.cache.as_ref().map(|cache| cache.path.as_path());
        let folders = [storage, spool, cache, Some(&settings.audit.path), settings.data_dir.as_deref()];
        let keys = [&settings.definition_key.path, &auth.link_secrets_file, &auth.token_key_file].map(PathBuf::as_path);
        let files = settings.database.path().into_iter().chain(keys);
        Self {
            folders: folders.into_iter().flatten().filter_map(there).collect(),
            // By the folder, for the file itself may be missing while those beside it are there.
            files: files.filter_map(|path| Some(there(path.parent()?)?.join(path.file_name()?))).collect(),
        }
    }

    fn has(&self, path: &Path) -> bool {
        let is_beside = |own: &PathBuf| {
            let name = |path: &Path| path.file_name().map(|name| name.as_encoded_bytes().to_vec());
            own.parent() == path.parent() && name(path).zip(name(own)).is_some_and(|(name, own)| name.starts_with(&own))
        };
        self.folders.iter().any(|own| own == path) || self.files.iter().any(is_beside)
    }
}
