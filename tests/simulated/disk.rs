//! What lies in a simulated media store: files under names, some of it durable and some only said to be written.
//!
//! A process that is killed leaves all that it wrote. A machine that loses its power leaves what was synced, and of the rest
//! any blocks and any first names of those that were given: torn, and not in the order in which they were written.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use sealtape::base::SealId;
use sealtape::media::{MediaKind, MediaObject, ObjectRole, Stage, Version};

use super::{
    fate::{Dice, Fate},
    tally::Event,
};

/// What a disk writes at once, or not at all.
const BLOCK_LEN: usize = 4096;

/// A name that an object may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(pub String);

impl Name {
    pub fn of(object: &MediaObject) -> Self {
        let kind = if object.kind == MediaKind::Sealed { "sealed" } else { "plain" };
        let end = match object.stage {
            Stage::Final => "",
            Stage::Part => ".part",
            Stage::Next => ".next",
        };
        let beside = match &object.role {
            ObjectRole::Media => String::new(),
            ObjectRole::Metadata { version } => format!("/{version}"),
            ObjectRole::Sidecar { name, .. } => panic!("no world has sidecars: {name}"),
        };
        Self(format!("{}{beside}.{kind}{end}", object.id))
    }

    /// Under which an object is kept that another one takes the place of.
    pub fn kept(object: &MediaObject, seal_id: &SealId) -> Self {
        Self(format!("{KEPT}{seal_id}/{}", Self::of(object).0))
    }

    /// The same for a trace, in which no sealing's name may stand: those are random.
    pub fn told(&self) -> String {
        let kept = self.0.strip_prefix(KEPT).and_then(|kept| kept.split_once('/'));
        kept.map_or_else(|| self.0.clone(), |(_, name)| format!("{KEPT}*/{name}"))
    }

    pub fn is_kept(&self) -> bool {
        self.0.starts_with(KEPT)
    }

    /// The recording whose it is.
    pub fn id(&self) -> &str {
        let name =
            self.0.strip_prefix(KEPT).and_then(|kept| kept.split_once('/')).map_or(self.0.as_str(), |kept| kept.1);
        let (name, _) = stage_of(name);
        let name = name.rsplit_once('.').map_or(name, |(name, _)| name);
        name.split('/').next().unwrap_or_default()
    }

    pub fn is_sealed(&self) -> bool {
        stage_of(&self.0).0.ends_with(".sealed")
    }

    /// The object of that name.
    pub fn object(&self) -> MediaObject {
        let (name, stage) = stage_of(&self.0);
        let kind = if self.is_sealed() { MediaKind::Sealed } else { MediaKind::Plain };
        let media = MediaObject::media(self.id().parse().expect("an ID"), kind, stage);
        match name.split_once('/').and_then(|(_, beside)| beside.split_once('.')) {
            None => media,
            Some((version, _)) => {
                MediaObject { role: ObjectRole::Metadata { version: version.parse().expect("a version") }, ..media }
            }
        }
    }
}

/// No recording has a name with a slash.
const KEPT: &str = "kept/";

/// What stands before the stage in a name, and the stage.
fn stage_of(name: &str) -> (&str, Stage) {
    let part = name.strip_suffix(".part").map(|name| (name, Stage::Part));
    part.or_else(|| name.strip_suffix(".next").map(|name| (name, Stage::Next))).unwrap_or((name, Stage::Final))
}

/// One file, whatever names it has.
pub struct File {
    number: u64,
    content: Mutex<Content>,
}

#[derive(Clone, Default)]
pub struct Content {
    /// As whoever reads it sees it.
    pub bytes: Vec<u8>,
    /// As it lies on the disk.
    synced: Vec<u8>,
    /// How often it was changed; its version is another one each time.
    changes: u64,
    /// Whether a writer has it.
    pub is_held: bool,
    /// All that stood there before something was last written over: what a stale read gives.
    pub before: Vec<u8>,
    /// How long it was, and how often it was changed, when it was last looked at while it grew.
    seen: (u64, u64),
}

impl File {
    pub fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("whole")
    }

    /// Whether nothing is in it, and whether a writer has it.
    pub fn state(&self) -> (bool, bool) {
        let content = self.content();
        (content.bytes.is_empty(), content.is_held)
    }

    pub fn version(&self) -> Version {
        let content = self.content();
        self.version_of(content.now())
    }

    /// The same for whoever looks at it while it grows, and may see it as somebody saw it before.
    pub fn seen_version(&self, fate: &Fate) -> Version {
        self.version_of(self.content().look(fate))
    }

    fn version_of(&self, (len, changes): (u64, u64)) -> Version {
        Version { len, stamp: [1, self.number, changes, 0] }
    }

    pub fn append(&self, bytes: &[u8]) {
        let mut content = self.content();
        content.bytes.extend_from_slice(bytes);
        content.changes += 1;
    }

    /// Something is about to be written over, in however many writes.
    pub fn begin_to_write_over(&self) {
        let mut content = self.content();
        content.before = content.bytes.clone();
    }

    pub fn write_over(&self, at: usize, bytes: &[u8]) {
        let mut content = self.content();
        let end = at + bytes.len();
        if content.bytes.len() < end {
            // Somebody cut it off meanwhile: zeros stand in between, as in any file.
            content.bytes.resize(end, 0);
        }
        content.bytes[at..end].copy_from_slice(bytes);
        content.changes += 1;
    }

    pub fn sync(&self) {
        let mut content = self.content();
        content.synced = content.bytes.clone();
    }
}

enum NameChange {
    Link(Name, Arc<File>),
    Unlink(Name),
}

#[derive(Default)]
struct Names {
    now: BTreeMap<Name, Arc<File>>,
    durable: BTreeMap<Name, Arc<File>>,
    /// What became of names since they were last durable, in order; what stands together is done together.
    pending: Vec<Vec<NameChange>>,
    files: u64,
}

/// A disk with one folder.
#[derive(Default)]
pub struct Disk(Mutex<Names>);

impl Disk {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().expect("whole")
    }

    pub fn find(&self, name: &Name) -> Option<Arc<File>> {
        self.names().now.get(name).cloned()
    }

    pub fn all(&self) -> Vec<(Name, Arc<File>)> {
        in_order(&self.names().now)
    }

    /// A new, empty file under that name.
    pub fn make(&self, name: &Name) -> Arc<File> {
        let mut names = self.names();
        names.files += 1;
        let file = Arc::new(File { number: names.files, content: Mutex::default() });
        names.now.insert(name.clone(), Arc::clone(&file));
        names.pending.push(vec![NameChange::Link(name.clone(), Arc::clone(&file))]);
        file
    }

    /// Gives a file another name beside its own.
    pub fn link(&self, file: &Arc<File>, name: &Name) {
        let mut names = self.names();
        names.now.insert(name.clone(), Arc::clone(file));
        names.pending.push(vec![NameChange::Link(name.clone(), Arc::clone(file))]);
    }

    pub fn rename(&self, from: &Name, to: &Name) {
        let mut names = self.names();
        let Some(file) = names.now.remove(from) else { return };
        names.now.insert(to.clone(), Arc::clone(&file));
        names.pending.push(vec![NameChange::Unlink(from.clone()), NameChange::Link(to.clone(), file)]);
    }

    pub fn unlink(&self, name: &Name) {
        let mut names = self.names();
        if names.now.remove(name).is_some() {
            names.pending.push(vec![NameChange::Unlink(name.clone())]);
        }
    }

    /// Every name that was given or taken so far is from now on.
    pub fn sync_names(&self) {
        let mut names = self.names();
        names.durable = names.now.clone();
        names.pending.clear();
    }

    /// Everybody who writes is gone.
    pub fn let_go(&self) {
        for (_, file) in self.all() {
            file.content().is_held = false;
        }
    }

    /// The machine loses its power; how many blocks are torn.
    pub fn lose_power(&self, dice: &mut Dice) -> u64 {
        let mut names = self.names();
        let kept = dice.below(names.pending.len() as u64 + 1) as usize;
        let pending = std::mem::take(&mut names.pending);
        let mut durable = std::mem::take(&mut names.durable);
        for change in pending.into_iter().take(kept).flatten() {
            match change {
                NameChange::Link(name, file) => durable.insert(name, file),
                NameChange::Unlink(name) => durable.remove(&name),
            };
        }
        let mut files: Vec<Arc<File>> = in_order(&durable).into_iter().map(|(_, file)| file).collect();
        files.dedup_by_key(|file| file.number);
        let torn = files.iter().map(|file| file.content().lose_power(dice)).sum();
        names.now = durable.clone();
        names.durable = durable;
        torn
    }
}

/// In the order in which the files were made: of their names some are random.
fn in_order(names: &BTreeMap<Name, Arc<File>>) -> Vec<(Name, Arc<File>)> {
    let mut all: Vec<_> = names.iter().map(|(name, file)| (name.clone(), Arc::clone(file))).collect();
    all.sort_by_key(|(_, file)| file.number);
    all
}

impl Content {
    fn now(&self) -> (u64, u64) {
        (self.bytes.len() as u64, self.changes)
    }

    /// How long it seems to be, and how often changed. What its writer had made durable everybody sees, and nobody sees
    /// less than was seen before.
    pub fn look(&mut self, fate: &Fate) -> (u64, u64) {
        let is_old = self.is_held && self.seen.0 >= self.synced.len() as u64 && fate.permille(fate.rates().old_look);
        if !is_old {
            self.seen = self.now();
        } else if self.seen != self.now() {
            fate.count(Event::SeenShorter);
        }
        self.seen
    }

    fn lose_power(&mut self, dice: &mut Dice) -> u64 {
        let mut torn = 0;
        if self.bytes == self.synced {
            return torn;
        }
        let written = std::mem::replace(&mut self.bytes, self.synced.clone());
        for start in (0..written.len()).step_by(BLOCK_LEN) {
            let end = written.len().min(start + BLOCK_LEN);
            let is_same = self.bytes.get(start..end) == Some(&written[start..end]);
            if is_same || dice.permille(400) {
                continue;
            }
            // A block that was under way may be half new and half old.
            let is_torn = dice.permille(200);
            torn += u64::from(is_torn);
            let end = if is_torn { start + dice.below((end - start) as u64) as usize } else { end };
            if self.bytes.len() < end {
                // Blocks that never came are zeros before one that did.
                self.bytes.resize(end, 0);
            }
            self.bytes[start..end].copy_from_slice(&written[start..end]);
        }
        self.synced = self.bytes.clone();
        self.changes += 1;
        torn
    }

    /// Something changes what lies there that is no writer; whether the file says so by its times.
    pub fn meddle(&mut self, is_seen: bool, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.bytes);
        self.synced = self.bytes.clone();
        self.changes += u64::from(is_seen);
    }
}
