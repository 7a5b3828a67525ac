//! The folders of a store, each made when the first file of it is written.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{sync_parent, unavailable};
use crate::media::Error;

/// Which folders are known to last, by number.
#[derive(Debug)]
pub(super) struct Folders([AtomicBool; 256]);

impl Folders {
    pub(super) fn new() -> Self {
        Self([const { AtomicBool::new(false) }; 256])
    }

    /// Makes a folder, unless it is there, and its name durable. Another process may have made it this moment and not
    /// be there yet, and then a file in it would be acknowledged in a folder that a loss of power takes away: each
    /// process makes sure for itself, once.
    pub(super) fn make(&self, number: u8, folder: &Path) -> Result<(), Error> {
        let made = match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => sync_parent(folder),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Err(_) if self.is_durable(number).load(Ordering::Acquire) => return Ok(()),
            Err(_) => sync_parent(folder),
        };
        made.map_err(|error| unavailable(folder, &error))?;
        self.is_durable(number).store(true, Ordering::Release);
        Ok(())
    }

    fn is_durable(&self, number: u8) -> &AtomicBool {
        let Self(folders) = self;
        &folders[usize::from(number)]
    }
}
