//! Claims on recordings of a folder: whoever moves a file of one elsewhere, or takes it away, keeps others from it.
//!
//! A claim is a lock on the folder that holds the recording's files, and so on a 256th of them. It ends with the process
//! that holds it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{LocalStore, replacing::LOCK_NAME, unavailable};
use crate::base::RecordingId;
use crate::media::Error;

/// A claim, for as long as it is held.
#[derive(Debug)]
pub(in crate::storage) struct Claim {
    /// Of the folder; none when it is not there, and so nothing in it.
    _folder: Option<File>,
    /// Shared by all who move files while nobody wraps or seals them anew.
    _store: Option<File>,
}

impl LocalStore {
    /// Claims a recording; waits for nobody.
    pub(in crate::storage) async fn claim(&self, id: &RecordingId) -> Result<Option<Claim>, Error> {
        let folder = self.folder(id);
        self.waits.run(move || Ok(lock_folder(&folder)?.map(|folder| Claim { _folder: folder, _store: None }))).await
    }

    /// The same for whoever moves files, which nobody does while recordings are wrapped or sealed anew.
    pub(in crate::storage) async fn claim_for_move(&self, id: &RecordingId) -> Result<Option<Claim>, Error> {
        let (root, folder) = (self.root.clone(), self.folder(id));
        let claim = move || {
            let path = root.join(LOCK_NAME);
            let store = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
            let store = store.map_err(|error| unavailable(&path, &error))?;
            if !lock(&store, FlockOperation::NonBlockingLockShared, &path)? {
                return Ok(None);
            }
            Ok(lock_folder(&folder)?.map(|folder| Claim { _folder: folder, _store: Some(store) }))
        };
        self.waits.run(claim).await
    }
}

/// The folder, locked; `None` when it is locked already.
fn lock_folder(path: &Path) -> Result<Option<Option<File>>, Error> {
    let folder = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(None)),
        opened => opened.map_err(|error| unavailable(path, &error))?,
    };
    Ok(lock(&folder, FlockOperation::NonBlockingLockExclusive, path)?.then_some(Some(folder)))
}

fn lock(file: &File, operation: FlockOperation, path: &Path) -> Result<bool, Error> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(unavailable(path, &error.into())),
    }
}
