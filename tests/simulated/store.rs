//! The simulated media store: the door of [`MediaStore`] to a [`Disk`] that is slow, full, broken, or says other bytes than
//! it holds.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use sealtape::base::{RecordingId, SealId};
use sealtape::media::{
    Error, Listing, MaintenanceGuard, MediaFile, MediaObject, MediaStore, MediaWriter, ObjectRole, Stage, Version,
};

use sealtape::sealed::HEADER_LEN;
use tokio::sync::Notify;

use super::{
    disk::{Disk, File, Name},
    fate::Fate,
    tally::Event,
};

/// How much more often what was written over is read as it was than anything is read wrong.
const STALE_FACTOR: u64 = 10;

pub struct SimulatedStore {
    pub disk: Arc<Disk>,
    pub fate: Arc<Fate>,
    /// Whether what is read of finished objects may come from a copy: then what lies there can be read anew, and is right.
    pub has_copies: bool,
    /// For which the next one waits who makes an object, or takes one away.
    pub gate: Mutex<Option<(Gated, Arc<Notify>)>>,
    /// How many heads were begun to be written over.
    pub heads_begun: AtomicU64,
    maintained: Arc<Mutex<bool>>,
}

/// What can be made to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Gated {
    Create,
    Remove,
}

impl SimulatedStore {
    pub fn new(disk: &Arc<Disk>, fate: &Arc<Fate>, has_copies: bool) -> Self {
        let (disk, fate, heads_begun) = (Arc::clone(disk), Arc::clone(fate), AtomicU64::new(0));
        Self { disk, fate, has_copies, gate: Mutex::default(), heads_begun, maintained: Arc::default() }
    }

    async fn pass(&self, who: Gated) {
        let gate = self.gate.lock().expect("whole").take_if(|(gated, _)| *gated == who);
        if let Some((_, gate)) = gate {
            gate.notified().await;
        }
    }

    /// Takes its time, and fails where that is drawn.
    async fn step(&self, what: &str, name: &Name) -> Result<(), Error> {
        step(&self.fate, what, name).await
    }
}

async fn step(fate: &Fate, what: &str, name: &Name) -> Result<(), Error> {
    fate.wait().await;
    if fate.permille(fate.rates().store_error) {
        return Err(fail(fate, what, name));
    }
    Ok(())
}

fn fail(fate: &Fate, what: &str, name: &Name) -> Error {
    fate.store_faults.fetch_add(1, Ordering::Relaxed);
    fate.count(Event::StoreFailed);
    fate.tell(format!("store: {what} {} fails", name.told()));
    Error::Unavailable { location: location(name), reason: "input/output error".into() }
}

fn location(name: &Name) -> String {
    format!("simulated:///{}", name.0)
}

#[async_trait]
impl MediaStore for SimulatedStore {
    fn try_version_now(&self, object: &MediaObject) -> Option<Version> {
        let found = self.disk.find(&Name::of(object));
        found.filter(|_| self.fate.permille(500)).map(|file| file.seen_version(&self.fate))
    }

    async fn version(&self, object: &MediaObject) -> Result<Option<Version>, Error> {
        let name = Name::of(object);
        self.step("look at", &name).await?;
        Ok(self.disk.find(&name).map(|file| file.seen_version(&self.fate)))
    }

    async fn open(&self, object: &MediaObject) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        let name = Name::of(object);
        self.step("open", &name).await?;
        let has_copies = self.has_copies && object.stage == Stage::Final;
        Ok(self.disk.find(&name).map(|file| {
            let (fate, version) = (Arc::clone(&self.fate), file.seen_version(&self.fate));
            Arc::new(OpenFile { file, name, version, fate, has_copies }) as Arc<dyn MediaFile>
        }))
    }

    async fn create(&self, object: &MediaObject) -> Result<Box<dyn MediaWriter>, Error> {
        let last = Name::of(object);
        self.pass(Gated::Create).await;
        self.step("create", &last).await?;
        let growing = Name::of(&MediaObject { stage: Stage::Part, ..object.clone() });
        let (name, last) = match object.stage {
            Stage::Final => (growing, Some(last)),
            Stage::Part => (growing, None),
            Stage::Next => (last, None),
        };
        if object.stage == Stage::Next {
            self.disk.unlink(&name);
        }
        for taken in [Some(&name), last.as_ref()].into_iter().flatten() {
            let Some(file) = self.disk.find(taken) else { continue };
            let (is_empty, being_written) = file.state();
            if *taken != name || !is_empty || being_written {
                return Err(Error::Exists { location: location(taken), being_written });
            }
            self.disk.unlink(taken);
        }
        let file = self.disk.make(&name);
        file.content().is_held = true;
        let (disk, fate) = (Arc::clone(&self.disk), Arc::clone(&self.fate));
        Ok(Box::new(Writer { file, name, last, disk, fate, failure: None }))
    }

    async fn list(&self, _after: Option<&str>) -> Result<Listing, Error> {
        self.step("list", &Name(String::new())).await?;
        let (kept, names): (Vec<_>, Vec<_>) =
            self.disk.all().into_iter().map(|(name, _)| name).partition(|name| name.is_kept());
        let objects = names.iter().map(Name::object).collect();
        Ok(Listing { objects, kept: kept.iter().map(location).collect(), ..Listing::default() })
    }

    async fn beside(&self, id: &RecordingId) -> Result<Vec<MediaObject>, Error> {
        self.step("list", &Name(id.to_string())).await?;
        let names = self.disk.all().into_iter().map(|(name, _)| name).filter(|name| !name.is_kept());
        let is_beside = |object: &MediaObject| object.id == *id && object.role != ObjectRole::Media;
        Ok(names.map(|name| name.object()).filter(is_beside).collect())
    }

    async fn is_being_written(&self, object: &MediaObject) -> Result<bool, Error> {
        let name = Name::of(object);
        self.step("ask after the writer of", &name).await?;
        Ok(self.disk.find(&name).is_some_and(|file| file.content().is_held))
    }

    async fn begin_maintenance(&self) -> Result<MaintenanceGuard, Error> {
        let mut is_maintained = self.maintained.lock().expect("whole");
        if std::mem::replace(&mut *is_maintained, true) {
            return Err(Error::Busy { location: "simulated:///".into() });
        }
        Ok(Box::new(Maintained(Arc::clone(&self.maintained))))
    }

    async fn replace(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        let (from, to) = (Name::of(from), Name::of(to));
        self.step("rename", &from).await?;
        if self.disk.find(&from).is_none() {
            return Err(fail(&self.fate, "rename", &from));
        }
        self.disk.rename(&from, &to);
        self.step("sync the name of", &to).await?;
        self.disk.sync_names();
        Ok(())
    }

    async fn keep(&self, object: &MediaObject, seal_id: &SealId) -> Result<String, Error> {
        let (name, kept) = (Name::of(object), Name::kept(object, seal_id));
        self.step("keep", &name).await?;
        let Some(file) = self.disk.find(&name) else { return Err(fail(&self.fate, "keep", &name)) };
        match self.disk.find(&kept) {
            Some(other) if !Arc::ptr_eq(&file, &other) => {
                return Err(Error::Exists { location: location(&kept), being_written: false });
            }
            Some(_) => {}
            None => self.disk.link(&file, &kept),
        }
        self.step("sync the name of", &kept).await?;
        self.disk.sync_names();
        Ok(location(&kept))
    }

    async fn open_kept(&self, object: &MediaObject, seal_id: &SealId) -> Result<Option<Arc<dyn MediaFile>>, Error> {
        let name = Name::kept(object, seal_id);
        self.step("open", &name).await?;
        Ok(self.disk.find(&name).map(|file| {
            let (fate, version) = (Arc::clone(&self.fate), file.version());
            Arc::new(OpenFile { file, name, version, fate, has_copies: false }) as Arc<dyn MediaFile>
        }))
    }

    async fn place(&self, from: &MediaObject, to: &MediaObject) -> Result<(), Error> {
        if self.disk.find(&Name::of(to)).is_some() {
            return Err(Error::Exists { location: location(&Name::of(to)), being_written: false });
        }
        self.replace(from, to).await
    }

    async fn remove_kept(&self, id: &RecordingId, blank: Range<usize>) -> Result<(), Error> {
        for (name, file) in self.disk.all().into_iter().filter(|(name, _)| name.is_kept() && name.id() == id.as_str()) {
            self.step("blank", &name).await?;
            let end = blank.end.min(file.content().bytes.len());
            file.begin_to_write_over();
            file.write_over(blank.start.min(end), &vec![0; end.saturating_sub(blank.start)]);
            file.sync();
            self.disk.unlink(&name);
            self.step("sync the end of", &name).await?;
        }
        self.disk.sync_names();
        Ok(())
    }

    async fn rewrite_head(&self, object: &MediaObject, version: Version, head: &[u8]) -> Result<(), Error> {
        let name = Name::of(object);
        self.step("write the head of", &name).await?;
        let Some(file) = self.disk.find(&name).filter(|file| file.version() == version) else {
            return Err(Error::Changed { location: location(&name) });
        };
        // Whoever reads meanwhile, or after the machine went down, may find half of it.
        let half = self.fate.below(head.len() as u64 + 1) as usize;
        self.heads_begun.fetch_add(1, Ordering::Relaxed);
        file.begin_to_write_over();
        file.write_over(0, &head[..half]);
        self.step("write the rest of the head of", &name).await?;
        file.write_over(half, &head[half..]);
        self.step("sync the head of", &name).await?;
        file.sync();
        Ok(())
    }

    async fn remove(&self, object: &MediaObject) -> Result<(), Error> {
        let name = Name::of(object);
        self.pass(Gated::Remove).await;
        self.step("remove", &name).await?;
        self.disk.unlink(&name);
        self.step("sync the end of", &name).await?;
        self.disk.sync_names();
        Ok(())
    }

    async fn remove_version(&self, object: &MediaObject, version: Version) -> Result<u64, Error> {
        match self.disk.find(&Name::of(object)) {
            Some(file) if file.version() != version => Err(Error::Changed { location: self.location(object) }),
            Some(_) | None => self.remove(object).await.map(|()| 0),
        }
    }

    fn location(&self, object: &MediaObject) -> String {
        location(&Name::of(object))
    }
}

struct Maintained(Arc<Mutex<bool>>);

impl Drop for Maintained {
    fn drop(&mut self) {
        *self.0.lock().expect("whole") = false;
    }
}

struct OpenFile {
    file: Arc<File>,
    name: Name,
    version: Version,
    fate: Arc<Fate>,
    has_copies: bool,
}

impl OpenFile {
    /// What a read gives that is not as it should be: a bit is another one, or it is from before.
    fn spoil(&self, offset: usize, buffer: &mut [u8]) {
        // No copy of a header is ever kept.
        let is_copied = !self.has_copies || offset >= HEADER_LEN;
        let rate = self.fate.rates().wrong_read;
        if buffer.is_empty() || !is_copied || rate == 0 {
            return;
        }
        let before = self.file.content().before.get(offset..offset + buffer.len()).map(<[u8]>::to_vec);
        // Little is ever written over: that it is read as it was must not be as rare as a bit that is another one.
        let before = before.filter(|before| before != buffer && self.fate.permille(STALE_FACTOR * rate));
        let how = if let Some(before) = before {
            buffer.copy_from_slice(&before);
            self.fate.count(Event::Stale);
            "from before"
        } else if self.fate.permille(rate) {
            let at = self.fate.below(buffer.len() as u64) as usize;
            buffer[at] ^= 1 << self.fate.below(8);
            self.fate.count(Event::Flipped);
            "flipped"
        } else {
            return;
        };
        self.fate.note_wrong_read();
        self.fate.tell(format!("store: a read of {} is wrong: {how}", self.name.told()));
    }

    fn fill(&self, offset: usize, buffer: &mut [u8]) -> Result<(), Error> {
        let content = self.file.content();
        let there = content.bytes.get(offset..offset + buffer.len());
        buffer.copy_from_slice(there.ok_or_else(|| Error::ShortRead { location: location(&self.name) })?);
        Ok(())
    }
}

#[async_trait]
impl MediaFile for OpenFile {
    fn version(&self) -> Version {
        self.version
    }

    async fn len_now(&self) -> Result<u64, Error> {
        step(&self.fate, "ask the length of", &self.name).await?;
        Ok(self.file.content().look(&self.fate).0)
    }

    fn try_read_now(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let (offset, len) = (offset as usize, buffer.len());
        // All, nothing, or what happens to be there.
        let wanted = match self.fate.below(3) {
            0 => 0,
            1 => len,
            _ => self.fate.below(len as u64 + 1) as usize,
        };
        let there = self.file.content().bytes.len().saturating_sub(offset).min(wanted);
        if there == 0 {
            return Ok(0);
        }
        if there < len {
            self.fate.count(Event::ShortRead);
        }
        let part = &mut buffer[..there];
        self.fill(offset, part)?;
        self.spoil(offset, part);
        Ok(there)
    }

    async fn read(&self, offset: u64, mut buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>, Error> {
        step(&self.fate, "read", &self.name).await?;
        let start = offset as usize + filled;
        let rest = &mut buffer[filled..];
        self.fill(start, rest)?;
        self.spoil(start, rest);
        Ok(buffer)
    }

    fn has_copies(&self) -> bool {
        self.has_copies
    }

    async fn read_anew(&self, offset: u64, seen: Vec<u8>) -> Result<Vec<u8>, Error> {
        if !self.has_copies {
            return self.read(offset, seen, 0).await;
        }
        step(&self.fate, "read anew", &self.name).await?;
        let mut buffer = seen;
        self.fill(offset as usize, &mut buffer)?;
        Ok(buffer)
    }
}

struct Writer {
    file: Arc<File>,
    name: Name,
    /// The name that it takes in the end.
    last: Option<Name>,
    disk: Arc<Disk>,
    fate: Arc<Fate>,
    /// What the disk could not take is lost: nothing that comes later makes it whole.
    failure: Option<Error>,
}

impl Writer {
    async fn step(&mut self, what: &str) -> Result<(), Error> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let done = step(&self.fate, what, &self.name).await;
        self.failure = done.clone().err();
        done
    }

    /// Some of it was written.
    fn tear(&self, bytes: &[u8]) {
        let part = self.fate.below(bytes.len() as u64 + 1) as usize;
        if 0 < part && part < bytes.len() {
            self.fate.count(Event::TornAppend);
        }
        self.file.append(&bytes[..part]);
    }

    async fn sync_all(&mut self, with_name: bool) -> Result<(), Error> {
        // What came while the disk was at it is not among what it took.
        self.step("sync").await?;
        self.file.sync();
        if with_name {
            self.step("sync the name of").await?;
            self.disk.sync_names();
        }
        Ok(())
    }
}

#[async_trait]
impl MediaWriter for Writer {
    async fn append(&mut self, mut bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
        if let Err(error) = self.step("append to").await {
            self.tear(&bytes);
            return Err(error);
        }
        if self.fate.permille(self.fate.rates().full) {
            self.fate.store_faults.fetch_add(1, Ordering::Relaxed);
            self.fate.tell(format!("store: no room for {}", self.name.told()));
            self.fate.count(Event::Full);
            self.tear(&bytes);
            let full = Error::Full { location: location(&self.name) };
            self.failure = Some(full.clone());
            return Err(full);
        }
        // In two writes: whoever follows may see the first alone.
        let half = self.fate.below(bytes.len() as u64 + 1) as usize;
        self.file.append(&bytes[..half]);
        self.fate.wait().await;
        self.file.append(&bytes[half..]);
        bytes.clear();
        Ok(bytes)
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.sync_all(true).await
    }

    async fn sync_content(&mut self) -> Result<(), Error> {
        self.sync_all(false).await
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Error> {
        self.sync_all(self.last.is_none()).await?;
        let Some(last) = self.last.clone() else { return Ok(()) };
        if self.disk.find(&last).is_some() {
            return Err(Error::Exists { location: location(&last), being_written: false });
        }
        if !self.disk.find(&self.name).is_some_and(|file| Arc::ptr_eq(&file, &self.file)) {
            return Err(Error::Changed { location: location(&self.name) });
        }
        self.disk.rename(&self.name, &last);
        self.step("sync the last name of").await?;
        self.disk.sync_names();
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.file.content().is_held = false;
    }
}
