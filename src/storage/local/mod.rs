//! A folder of files on this machine.
//!
//! `ROOT/xx/ID.sealed`, where `xx` are the first two hexadecimal digits of the SHA-256 of the ID, so that an ID finds
//! its file without a catalogue and no folder holds more than a 256th of the archive. `….part` while it grows. Beside it
//! `ID~VERSION.sealed` is its metadata, and `ID~NAME~VERSION.sealed` a sidecar.

mod claims;
mod folders;
mod keeping;
mod lanes;
mod listing;
mod names;
mod outside;
mod reader;
mod replacing;
mod writer;

use std::{
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use rustix::fs::{Mode, OFlags};
use tokio::task::spawn_blocking;
use url::Url;

pub(super) use self::claims::Claim;
use self::{folders::Folders, lanes::Lanes, names::Names};
use super::object_name::suffix;
use crate::base::{Ended, Location, RecordingId, SealId};
use crate::crypto::Sha256Digest;
use crate::media::{
    Error, Listing, MaintenanceGuard, MediaFile, MediaObject, MediaStore, MediaWriter, ObjectRole, Stage, Version,
};

/// Media in a local folder.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: PathBuf,
    /// Device and inode of the root: a folder that is not there any more, or another one, holds nothing of ours.
    identity: (u64, u64),
    names: Arc<Names>,
    lanes: Arc<Lanes>,
    folders: Arc<Folders>,
    waits: Waits,
}

/// Where the disk is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// On another thread: the caller's serves others meanwhile.
    Elsewhere,
    /// On the caller's own thread, which serves nobody else.
    Here,
}

impl LocalStore {
    /// The store in `root`, an absolute path; made when it is missing and `may_create` says so.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when it is missing, cannot be made or is not a folder.
    pub fn open(root: &Path, may_create: bool) -> Result<Self, Error> {
        if may_create && !root.is_dir() {
            create_private_dir(root).and_then(|()| sync_parent(root)).map_err(|error| unavailable(root, &error))?;
        }
        let identity = identity(root).map_err(|error| unavailable(root, &error))?;
        let names = Names::new(root, identity.0).map_err(|error| unavailable(root, &error))?;
        Ok(Self {
            root: root.to_owned(),
            identity,
            names: Arc::new(names),
            lanes: Arc::new(Lanes::new()),
            folders: Arc::new(Folders::new()),
            waits: Waits::Elsewhere,
        })
    }

    /// The same store for callers whose threads may wait for a disk: nothing is handed to another thread and back, which
    /// costs more than a short write does.
    #[must_use]
    pub fn waiting_here(self) -> Self {
        Self { waits: Waits::Here, ..self }
    }

    /// Whether nothing was ever kept in `root`.
    #[must_use]
    pub fn is_empty(root: &Path) -> bool {
        fs::read_dir(root).map_or(!root.exists(), |mut entries| entries.next().is_none())
    }

    /// What it means that the system finds no file: there is none, or the whole store is gone.
    fn absent<T>(&self, path: &Path, error: &io::Error) -> Result<Option<T>, Error> {
        match identity(&self.root) {
            Ok(identity) if error.kind() == io::ErrorKind::NotFound && identity == self.identity => Ok(None),
            Ok(_) if error.kind() == io::ErrorKind::NotFound => {
                let reason = "another folder lies in the store's place".into();
                Err(Error::Unavailable { location: location(&self.root), reason })
            }
            Ok(_) => Err(unavailable(path, error)),
            Err(error) => Err(unavailable(&self.root, &error)),
        }
    }

    /// The URL of a file that lies outside the store, by its absolute path.
    ///
    /// # Errors
    ///
    /// The path is not absolute, or too long.
    pub fn location_of(path: &Path) -> Result<Location, crate::base::Error> {
        location(path).parse()
    }

    fn path(&self, object: &MediaObject) -> Result<PathBuf, Error> {
        match &object.outside {
            None => Ok(self.folder(&object.id).join(file_name(object))),
            Some(outside) => outside::path(outside),
        }
    }

    fn folder(&self, id: &RecordingId) -> PathBuf {
        self.root.join(hex::encode([folder_number(id)]))
    }
}

#[async_trait]
impl MediaStore for LocalStore {
    fn try_version_now(&self, object: &MediaObject) -> Option<Version> {
        // Of a file that was just used, the system remembers it: quicker than handing it to another thread.
        self.names.version_now(object, || self.path(object).ok())
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        if let Some(version) = self.try_version_now(object) {
            return Ok(Some(version));
        }
        let (store, path, is_outside) = (self.clone(), self.path(object)?, object.outside.is_some());
        let metadata = move |path: &Path| if is_outside { fs::symlink_metadata(path) } else { fs::metadata(path) };
        let look = move || match metadata(&path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(reader::version(&metadata))),
            Ok(_) => Err(unavailable(&path, &io::Error::other("it is not a file"))),
            Err(error) if is_outside => outside::absent(&path, &error),
            Err(error) => store.absent(&path, &error),
        };
        self.lanes.look(folder_number(&object.id), look).await
    }

    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        let (store, path, folder) = (self.clone(), self.path(object)?, folder_number(&object.id));
        let (object, is_outside) = (object.clone(), object.outside.is_some());
        let open = move || {
            // A pipe in a file's place would be waited for, for ever.
            let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            if is_outside {
                // Others write there: a link that took the file's name leads nowhere.
                flags |= OFlags::NOFOLLOW;
            }
            match rustix::fs::open(&path, flags, Mode::empty()).map_err(io::Error::from) {
                Ok(file) => {
                    let file = reader::LocalFile::new(File::from(file), object, path, &store)?;
                    let file: Arc<dyn MediaFile> = Arc::new(file);
                    Ok(Some(file))
                }
                Err(error) if is_outside => outside::absent(&path, &error),
                Err(error) => store.absent(&path, &error),
            }
        };
        self.lanes.look(folder, open).await
    }

    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        let id = &object.id;
        let (folder, number, folders) = (self.folder(id), folder_number(id), Arc::clone(&self.folders));
        let part = self.path(&MediaObject { stage: Stage::Part, ..object.clone() })?;
        // One that stays under its growing name, because its end is missing, takes no other.
        let (last, waits, is_next) = (self.path(object)?, self.waits, object.stage == Stage::Next);
        let is_part = object.stage == Stage::Part;
        let writer: Box<dyn MediaWriter> = self
            .waits
            .run(move || {
                // What is to be replaced may lie outside.
                folders.make(number, &folder)?;
                let writer = if is_next {
                    writer::LocalWriter::create_replacement(last, waits)
                } else if is_part {
                    writer::LocalWriter::create_part(part, waits)
                } else {
                    writer::LocalWriter::create(part, last, waits)
                };
                writer.map(Box::new)
            })
            .await?;
        Ok(writer)
    }

    async fn list(&self, after: Option<&str>) -> Result<Listing, Error> {
        let (store, after) = (self.clone(), after.map(str::to_owned));
        self.waits.run(move || listing::page(&store, after.as_deref())).await
    }

    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        let (store, id) = (self.clone(), id.clone());
        self.waits.run(move || listing::beside(&store, &id)).await
    }

    async fn is_being_written(&self, object: &MediaObject) -> Result<bool, Error> {
        let path = self.path(object)?;
        self.waits.run(move || writer::is_being_written(&path)).await
    }

    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        let root = self.root.clone();
        self.waits.run(move || replacing::lock(&root)).await
    }

    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        let (from, to) = (self.path(from)?, self.path(to)?);
        self.waits.run(move || replacing::replace(&from, &to)).await
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
        let last = MediaObject { stage: Stage::Final, ..object.clone() };
        let (from, to) = (self.path(object)?, keeping::path(&self.path(&last)?, seal_id));
        self.waits.run(move || keeping::keep(&from, &to).map(|()| location(&to))).await
    }

    fn kept(&self, location: &str) -> Option<(MediaObject, SealId)> {
        let path = outside::path(&location.parse().ok()?).ok()?;
        let (object, seal_id) = keeping::kept(path.file_name()?.to_str()?)?;
        (keeping::path(&self.path(&object).ok()?, &seal_id) == path).then_some((object, seal_id))
    }

    async fn open_kept(&self, object: &MediaObject, seal_id: &SealId) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        let folder = self.folder(&object.id);
        let path = keeping::path(&self.path(object)?, seal_id);
        if !self.waits.run(move || Ok(folder.is_dir())).await? {
            return Ok(None);
        }
        let outside = Self::location_of(&path).map_err(|error| unavailable(&path, &io::Error::other(error)))?;
        self.open(&MediaObject { outside: Some(outside), ..object.clone() }).await
    }

    async fn remove_kept(&self, id: &RecordingId, blank: Range<usize>) -> Result<(), Error> {
        let (folder, id) = (self.folder(id), id.clone());
        self.waits.run(move || keeping::remove(&folder, &id, &blank)).await
    }

    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        let (from, to) = (self.path(from)?, self.path(to)?);
        self.waits.run(move || replacing::place(&from, &to)).await
    }

    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error> {
        let (path, head) = (self.path(object)?, head.to_vec());
        self.waits.run(move || replacing::rewrite_head(&path, version, &head)).await
    }

    async fn remove(&self, object: &MediaObject) -> Result<(), Error> {
        let path = self.path(object)?;
        self.waits
            .run(move || {
                match fs::remove_file(&path) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(unavailable(&path, &error)),
                }
                sync_parent(&path).map_err(|error| unavailable(&path, &error))
            })
            .await
    }

    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error> {
        let path = self.path(object)?;
        self.waits.run(move || replacing::remove_version(&path, version)).await
    }

    fn location(&self, object: &MediaObject) -> String {
        match &object.outside {
            None => location(&self.folder(&object.id).join(file_name(object))),
            Some(outside) => outside.to_string(),
        }
    }
}

/// The folder of a recording, by its ID alone.
fn folder_number(id: &RecordingId) -> u8 {
    let mut digest = Sha256Digest::default();
    digest.update(id.as_str().as_bytes());
    let [first, ..] = digest.finish();
    first
}

/// No ID and no name holds a `~`.
fn file_name(object: &MediaObject) -> String {
    let (id, suffix) = (&object.id, suffix(object.kind, object.stage));
    match &object.role {
        ObjectRole::Media => format!("{id}{suffix}"),
        ObjectRole::Metadata { version } => format!("{id}~{version}{suffix}"),
        ObjectRole::Sidecar { name, version } => format!("{id}~{name}~{version}{suffix}"),
    }
}

fn location(path: &Path) -> String {
    Url::from_file_path(path).map_or_else(|()| path.display().to_string(), String::from)
}

fn unavailable(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { location: location(path) },
        _ => Error::Unavailable { location: location(path), reason: error.to_string() },
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() { Ok((metadata.dev(), metadata.ino())) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Makes a folder, and those above it, that only its owner may enter.
fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the names in the folder of `path` durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

impl Waits {
    /// Runs what may wait for a disk.
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        match self {
            Self::Here => work(),
            Self::Elsewhere => in_background(work).await,
        }
    }
}

/// Runs what may wait for a disk on a thread that may wait. Such a thread ends early only when the process does.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Error::Unavailable { location: String::new(), reason: Ended.to_string() }),
    }
}
