//! The simulated database: the door of [`Database`] to tables in memory, which is slow, away, or answers nothing though it
//! did what it was asked.
//!
//! What a promise of these worlds rests on is held to what the real ones are held to (`tests/db.rs`); of companions, spools
//! and plain archives there are none here, and it says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use sealtape::access::RecordingSet;
use sealtape::base::{Fingerprint, Location, RecordingId, Timestamp};
use sealtape::catalogue::{
    About, Companion, CompanionsOf, Content, Cursor, Database, DatabaseGuard, Error, Filter, KeyUsage, Metadata, Page,
    PlainCount, PlainLeft, Recording, RecordingState, Replacement, ResealRun,
};
use sealtape::keys::{KeyRow, KeyState, KeyTable, Switch};

use super::fate::Fate;

pub struct SimulatedDatabase {
    fate: Arc<Fate>,
    tables: Mutex<Tables>,
    is_away: AtomicBool,
    /// What is still done, and not answered any more.
    pub goes_away_after: Mutex<Option<&'static str>>,
    maintained: Arc<AtomicBool>,
}

struct Tables {
    keys: Vec<KeyRow>,
    switch: Switch,
    recordings: BTreeMap<String, Recording>,
    reseal: Option<ResealRun>,
    changes: u64,
}

impl SimulatedDatabase {
    pub fn new(fate: &Arc<Fate>) -> Self {
        let tables = Tables {
            keys: Vec::new(),
            switch: Switch::Untouched,
            recordings: BTreeMap::new(),
            reseal: None,
            changes: 1,
        };
        Self {
            fate: Arc::clone(fate),
            tables: Mutex::new(tables),
            is_away: AtomicBool::new(false),
            goes_away_after: Mutex::default(),
            maintained: Arc::default(),
        }
    }

    pub fn set_away(&self, is_away: bool) {
        if self.is_away.swap(is_away, Ordering::Relaxed) != is_away {
            self.fate.note_database_fault();
        }
    }

    /// A process that died holds nothing.
    pub fn let_go(&self) {
        self.maintained.store(false, Ordering::Relaxed);
    }

    fn fail(&self, what: &str, why: &str) -> Error {
        self.fate.note_database_fault();
        self.fate.tell(format!("database: {what} fails, {why}"));
        Error::Unavailable(why.into())
    }

    async fn asked<T>(&self, what: &str, of: impl FnOnce(&Tables) -> Result<T, Error> + Send) -> Result<T, Error> {
        self.fate.wait().await;
        if self.is_away.load(Ordering::Relaxed) {
            return Err(self.fail(what, "it is away"));
        }
        if self.fate.permille(self.fate.rates().database_error) {
            return Err(self.fail(what, "it was not asked"));
        }
        of(&self.tables.lock().expect("whole"))
    }

    /// One transaction. One that fails changes nothing.
    async fn changed<T>(
        &self,
        what: &str,
        is_noticed: bool,
        change: impl FnOnce(&mut Tables) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.asked(what, |_| Ok(())).await?;
        let outcome = {
            let mut tables = self.tables.lock().expect("whole");
            let outcome = change(&mut tables)?;
            tables.changes += u64::from(is_noticed);
            outcome
        };
        self.fate.wait().await;
        let is_last = self.goes_away_after.lock().expect("whole").take_if(|last| what.starts_with(*last)).is_some();
        if is_last {
            self.set_away(true);
        }
        if is_last || self.fate.permille(self.fate.rates().database_error) {
            return Err(self.fail(what, "though it was done"));
        }
        Ok(outcome)
    }
}

impl Tables {
    fn usage(&self, key: &Fingerprint) -> u64 {
        let needs = |row: &&Recording| match &row.content {
            Content::Sealed { fingerprint, replacement, .. } => {
                fingerprint == key || replacement.as_ref().map(Replacement::fingerprint) == Some(*key)
            }
            Content::Plain { .. } => false,
        };
        self.recordings.values().filter(needs).count() as u64
    }

    fn refuse_deactivated(&self, key: Option<Fingerprint>) -> Result<(), Error> {
        let is_deactivated = |row: &&KeyRow| Some(row.fingerprint) == key && row.state == KeyState::Deactivated;
        match self.keys.iter().find(is_deactivated) {
            Some(row) => Err(Error::KeyDeactivated(row.fingerprint)),
            None => Ok(()),
        }
    }

    fn insert(&mut self, recording: &Recording) -> Result<(), Error> {
        let id = recording.id.to_string();
        if self.recordings.contains_key(&id) {
            return Err(Error::RecordingExists(recording.id.clone()));
        }
        self.recordings.insert(id, recording.clone());
        Ok(())
    }

    fn row(&mut self, id: &RecordingId) -> Result<&mut Recording, Error> {
        self.recordings.get_mut(id.as_str()).ok_or_else(|| Error::RecordingNotFound(id.clone()))
    }

    fn replace_key(&mut self, old: &KeyRow, new: &KeyRow) -> Result<(), Error> {
        let row = self.keys.iter_mut().find(|row| **row == *old).ok_or(Error::KeysChanged)?;
        *row = new.clone();
        Ok(())
    }

    /// The row that is settled, and kept as `from` says.
    fn ended(&mut self, id: &RecordingId, from: &Content) -> Result<&mut Recording, Error> {
        let row = self.recordings.get_mut(id.as_str());
        let is_free = |row: &Recording| !matches!(row.state, RecordingState::Recording { .. }) && !row.is_purging();
        let row = row.filter(|row| is_free(row) && row.content == *from);
        row.ok_or_else(|| Error::RecordingChanged(id.clone()))
    }
}

#[async_trait]
impl Database for SimulatedDatabase {
    async fn load_keys(&self) -> Result<KeyTable, Error> {
        self.asked("load keys", |tables| Ok(KeyTable { rows: tables.keys.clone(), switch: tables.switch })).await
    }

    async fn add_keys(&self, rows: &[KeyRow]) -> Result<Vec<Fingerprint>, Error> {
        self.changed("add keys", true, |tables| {
            let of_another = |row: &KeyRow| tables.keys.iter().any(|there| there.definition_key != row.definition_key);
            if rows.iter().any(of_another) {
                return Err(Error::KeysChanged);
            }
            let mut there = Vec::new();
            for row in rows {
                if tables.keys.iter().any(|known| known.fingerprint == row.fingerprint) {
                    there.push(row.fingerprint);
                } else {
                    tables.keys.push(row.clone());
                }
            }
            if tables.switch == Switch::Untouched {
                tables.switch = Switch::Enabled;
            }
            Ok(there)
        })
        .await
    }

    async fn change_key_state(&self, old: &KeyRow, new: &KeyRow, despite_recordings: bool) -> Result<u64, Error> {
        self.changed("change a key", true, |tables| {
            let recordings = tables.usage(&old.fingerprint);
            if new.state == KeyState::Deactivated && recordings > 0 && !despite_recordings {
                return Err(Error::KeyNeeded { fingerprint: old.fingerprint, recordings });
            }
            tables.replace_key(old, new).map(|()| recordings)
        })
        .await
    }

    async fn replace_keys(&self, old: &[KeyRow], new: &[KeyRow]) -> Result<(), Error> {
        self.changed("replace keys", true, |tables| {
            if tables.keys.len() != old.len() || old.len() != new.len() {
                return Err(Error::KeysChanged);
            }
            let before = tables.keys.clone();
            let done = old.iter().zip(new).try_for_each(|(old, new)| tables.replace_key(old, new));
            if done.is_err() {
                tables.keys = before;
            }
            done
        })
        .await
    }

    async fn mark_exported(&self, fingerprints: &[Fingerprint], at: Timestamp) -> Result<(), Error> {
        self.changed("mark keys", true, |tables| {
            let named = tables.keys.iter_mut().filter(|row| fingerprints.contains(&row.fingerprint));
            named.for_each(|row| row.exported_at = Some(at));
            Ok(())
        })
        .await
    }

    async fn set_encryption(&self, enabled: bool) -> Result<(), Error> {
        self.changed("switch", true, |tables| {
            if enabled && !tables.keys.iter().any(|row| row.state == KeyState::Active) {
                return Err(Error::NoActiveKey);
            }
            tables.switch = if enabled { Switch::Enabled } else { Switch::Disabled };
            Ok(())
        })
        .await
    }

    async fn key_usage(&self) -> Result<Vec<KeyUsage>, Error> {
        self.asked("count", |tables| {
            let all = tables.recordings.values().flat_map(|row| match &row.content {
                Content::Sealed { fingerprint, replacement, .. } => {
                    [Some(*fingerprint), replacement.as_ref().map(Replacement::fingerprint)]
                }
                Content::Plain { .. } => [None, None],
            });
            let keys: BTreeSet<[u8; 32]> = all.flatten().map(|fingerprint| fingerprint.0).collect();
            let keys = keys.into_iter().map(Fingerprint);
            Ok(keys.map(|fingerprint| KeyUsage { fingerprint, recordings: tables.usage(&fingerprint) }).collect())
        })
        .await
    }

    async fn key_usage_of(&self, key: &Fingerprint) -> Result<u64, Error> {
        self.asked("count", |tables| Ok(tables.usage(key))).await
    }

    async fn recordings_under(
        &self,
        key: &Fingerprint,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<Recording>, Error> {
        self.asked("list", |tables| {
            let rows =
                tables.recordings.values().filter(|row| after.is_none_or(|after| row.id.as_str() > after.as_str()));
            let under = rows.filter(|row| row.fingerprint() == Some(*key));
            Ok(under.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn add_recording(&self, recording: &Recording) -> Result<(), Error> {
        self.changed(&format!("add {}", recording.id), false, |tables| {
            tables.refuse_deactivated(recording.fingerprint())?;
            tables.insert(recording)
        })
        .await
    }

    async fn restore_recording(&self, recording: &Recording) -> Result<(), Error> {
        self.changed(&format!("restore {}", recording.id), false, |tables| tables.insert(recording)).await
    }

    async fn replace_content(&self, id: &RecordingId, from: &Content, to: &Content) -> Result<(), Error> {
        self.changed(&format!("replace {id}"), true, |tables| {
            if let Content::Sealed { replacement: Some(replacement), .. } = to {
                tables.refuse_deactivated(Some(replacement.fingerprint()))?;
            }
            tables.ended(id, from)?.content = to.clone();
            Ok(())
        })
        .await
    }

    async fn seal_recording(&self, from: &Recording, _: &Recording, _: &PlainLeft) -> Result<(), Error> {
        Err(Error::RecordingChanged(from.id.clone()))
    }

    async fn plain_recordings(&self, _: Option<&RecordingId>, _: u32) -> Result<Vec<Recording>, Error> {
        Ok(Vec::new())
    }

    async fn plain_count(&self) -> Result<PlainCount, Error> {
        Ok(PlainCount::default())
    }

    async fn plain_left(&self, _: u64, _: u32) -> Result<Vec<(u64, PlainLeft)>, Error> {
        Ok(Vec::new())
    }

    async fn is_plain_left(&self, _: &RecordingId, _: &Location) -> Result<bool, Error> {
        Ok(false)
    }

    async fn forget_plain_left(&self, _: &PlainLeft) -> Result<(), Error> {
        Ok(())
    }

    async fn unfinished_reseal(&self) -> Result<Option<ResealRun>, Error> {
        self.asked("ask for a run", |tables| Ok(tables.reseal)).await
    }

    async fn note_reseal(&self, run: Option<&ResealRun>) -> Result<(), Error> {
        self.changed("note a run", true, |tables| {
            tables.reseal = run.copied();
            Ok(())
        })
        .await
    }

    async fn update_progress(&self, recording: &Recording) -> Result<(), Error> {
        self.changed(&format!("update {}", recording.id), true, |tables| {
            let row = tables.row(&recording.id)?;
            if !matches!(row.state, RecordingState::Recording { .. }) {
                return Err(Error::RecordingNotFound(recording.id.clone()));
            }
            (row.media_len, row.state) = (recording.media_len, recording.state);
            if let (Content::Plain { digest, .. }, Content::Plain { digest: told, .. }) =
                (&mut row.content, &recording.content)
            {
                *digest = *told;
            }
            Ok(())
        })
        .await
    }

    async fn note_stored(&self, recording: &Recording) -> Result<(), Error> {
        Err(Error::RecordingChanged(recording.id.clone()))
    }

    async fn spooled_recordings(&self, _: &Location, _: Option<&RecordingId>, _: u32) -> Result<Vec<Recording>, Error> {
        Ok(Vec::new())
    }

    async fn settle_recording(&self, from: &Content, to: &Recording) -> Result<(), Error> {
        self.changed(&format!("settle {}", to.id), true, |tables| {
            let row = tables.ended(&to.id, from)?;
            (row.media_len, row.state, row.mended) = (to.media_len, to.state, to.mended);
            row.content = to.content.clone();
            Ok(())
        })
        .await
    }

    async fn recordings_of(&self, ids: &[RecordingId]) -> Result<Vec<Recording>, Error> {
        let of = |tables: &Tables| ids.iter().filter_map(|id| tables.recordings.get(id.as_str()).cloned()).collect();
        self.asked("list", |tables| Ok(of(tables))).await
    }

    async fn recording(&self, id: &RecordingId) -> Result<Option<Recording>, Error> {
        self.asked(&format!("find {id}"), |tables| Ok(tables.recordings.get(id.as_str()).cloned())).await
    }

    async fn recordings(&self, after: Option<&Cursor>, limit: u32, set: &RecordingSet) -> Result<Page, Error> {
        self.asked("list", |tables| {
            let mut rows: Vec<Recording> = tables.recordings.values().filter(|row| set.has(&row.id)).cloned().collect();
            let order = |row: &Recording| (row.listed_at(), row.id.to_string());
            rows.sort_by_key(|row| std::cmp::Reverse(order(row)));
            rows.retain(|row| after.is_none_or(|after| order(row) < (after.listed_at, after.id.to_string())));
            rows.truncate(limit as usize + 1);
            Ok(Page::cut(rows, limit as usize))
        })
        .await
    }

    async fn search(&self, _: &Filter, _: Option<&Cursor>, _: u32, _: &RecordingSet) -> Result<Page, Error> {
        Err(Error::Unavailable("nobody searches these worlds".into()))
    }

    async fn companions(&self, _: &RecordingId) -> Result<Vec<Companion>, Error> {
        self.asked("ask for companions", |_| Ok(Vec::new())).await
    }

    async fn put_companion(&self, companion: &Companion, _: Option<&Metadata>) -> Result<Option<Companion>, Error> {
        Err(Error::RecordingNotFound(companion.id.clone()))
    }

    async fn replace_companion(&self, from: &Companion, _: &Companion) -> Result<(), Error> {
        Err(Error::RecordingChanged(from.id.clone()))
    }

    async fn companions_of(&self, _: &CompanionsOf, _: Option<&Companion>, _: u32) -> Result<Vec<Companion>, Error> {
        Ok(Vec::new())
    }

    async fn hold(&self, id: &RecordingId, _: Option<Timestamp>) -> Result<(), Error> {
        self.asked(&format!("hold {id}"), |_| Ok(())).await
    }

    async fn begin_purge(&self, id: &RecordingId, now: Timestamp) -> Result<Recording, Error> {
        self.changed(&format!("begin to purge {id}"), true, |tables| {
            let row = tables.row(id)?;
            match row.state_at(now) {
                RecordingState::Recording { .. } => Err(Error::RecordingInProgress(id.clone())),
                RecordingState::Unfinished | RecordingState::Complete => {
                    let about = About { is_purging: true, ..row.about.as_deref().cloned().unwrap_or_default() };
                    row.about = Some(Arc::new(about));
                    Ok(row.clone())
                }
            }
        })
        .await
    }

    async fn end_purge(&self, id: &RecordingId) -> Result<(), Error> {
        self.changed(&format!("end to purge {id}"), true, |tables| {
            // Another recording may have the ID by now, which nobody asked to take away.
            if tables.recordings.get(id.as_str()).is_some_and(Recording::is_purging) {
                tables.recordings.remove(id.as_str());
            }
            Ok(())
        })
        .await
    }

    async fn close(&self) {
        self.is_away.store(true, Ordering::Relaxed);
    }

    async fn change_counter(&self) -> Result<u64, Error> {
        self.asked("count changes", |tables| Ok(tables.changes)).await
    }

    async fn begin_maintenance(&self) -> Result<DatabaseGuard, Error> {
        self.asked("begin maintenance", |_| Ok(())).await?;
        if self.maintained.swap(true, Ordering::Relaxed) {
            return Err(Error::Busy);
        }
        Ok(Box::new(Maintained(Arc::clone(&self.maintained))))
    }
}

struct Maintained(Arc<AtomicBool>);

impl Drop for Maintained {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
