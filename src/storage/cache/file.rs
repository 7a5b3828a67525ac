//! A remote object, read through the cache.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::{
    blocks::{Run, len_of},
    fetch::{Flight, Source},
    meter::METER,
};
use crate::media::{Error, MediaFile, Version};
use crate::sealed::HEADER_LEN;
use crate::storage::ahead::Ahead;

/// How many blocks of one read are on their way at a time.
const AT_ONCE: u64 = 8;
const HEAD_LEN: u64 = HEADER_LEN as u64;

pub(super) struct CachedFile {
    source: Arc<Source>,
    location: String,
    ahead: Ahead,
}

/// How the next bytes of a read come.
enum Next {
    /// From the object itself: its header.
    Head(u64),
    /// From the disk.
    Run(Run),
    /// With a block.
    Block(u64, Flight),
}

impl CachedFile {
    pub(super) fn new(source: Source, location: String) -> Self {
        Self { source: Arc::new(source), location, ahead: Ahead::default() }
    }

    /// Where the first bytes of a range come from; from the disk as they are only if it `trusts` that.
    fn next(&self, range: &Range<u64>, trusts: bool) -> Next {
        if range.start < HEAD_LEN {
            return Next::Head(range.end.min(HEAD_LEN));
        }
        if trusts && let Some(run) = self.source.blocks.run(&self.source.key, range) {
            return Next::Run(run);
        }
        let block_len = self.source.blocks.block_len;
        let block = range.start / block_len;
        // As many as before are on their way then.
        let last = block + AT_ONCE - 1;
        if last < range.end.div_ceil(block_len) && !self.is_here(last) {
            drop(self.source.flight(last, None));
        }
        Next::Block(block, self.source.flight(block, None).0)
    }

    /// Has the blocks of a read on their way that are not here, as many as there may be at a time.
    fn begin(&self, range: &Range<u64>) {
        let block_len = self.source.blocks.block_len;
        let end = range.end.div_ceil(block_len);
        for block in range.start.max(HEAD_LEN) / block_len..end.min(range.start / block_len + AT_ONCE) {
            // Somebody else's fetch costs this one nothing.
            if !self.is_here(block) && !self.source.flight(block, None).1 {
                METER.hits.increment(1);
            }
        }
    }

    /// Whether a block can be read from the disk as it is.
    fn is_here(&self, block: u64) -> bool {
        self.source.blocks.run(&self.source.key, &self.source.stored(block)).is_some()
    }

    /// Has what a player will ask for next on its way, if they read on. Within a runtime only, and as far as there are
    /// turns for it.
    fn look_ahead(&self, read: &Range<u64>) {
        let mut wanted = self.ahead.next(read);
        wanted.end = wanted.end.min(self.source.len);
        if wanted.is_empty() || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let block_len = self.source.blocks.block_len;
        for block in wanted.start / block_len..wanted.end.div_ceil(block_len) {
            if !self.is_here(block) {
                let Some(turn) = self.source.blocks.flights.turn_ahead() else { return };
                drop(self.source.flight(block, Some(turn)));
            }
        }
    }

    /// Fills `part` from the disk; gives it back in any case, and whether it is filled.
    async fn read_run(&self, run: Run, mut buffer: Vec<u8>, part: Range<usize>) -> (Vec<u8>, bool) {
        let Some(turn) = self.source.blocks.turn_to_read().await else { return (buffer, false) };
        let (source, len) = (Arc::clone(&self.source), buffer.len());
        let read = spawn_blocking(move || {
            let _held = turn;
            let read = run.file.read(run.at, buffer.get_mut(part.clone()).unwrap_or_default());
            match read {
                Ok(()) => {
                    METER.hits.increment(1);
                    METER.read_bytes.increment(part.len() as u64);
                    (buffer, true)
                }
                Err(error) => {
                    source.blocks.forget_failed(&run.segment, &error);
                    (buffer, false)
                }
            }
        });
        read.await.unwrap_or_else(|_| (vec![0; len], false))
    }

    /// Fills `part` of the buffer, from `at` on, from the object itself.
    async fn read_remote(&self, at: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let piece = self.source.remote.read(at, vec![0; buffer.len()], 0).await?;
        copy(buffer, &piece);
        Ok(())
    }

    async fn read_through(
        &self,
        offset: u64,
        mut buffer: Vec<u8>,
        filled: usize,
        trusts: bool,
    ) -> Result<Vec<u8>, Error> {
        let (len, end) = (buffer.len(), offset + buffer.len() as u64);
        let mut filled = filled;
        while filled < len {
            let at = offset + filled as u64;
            match self.next(&(at..end), trusts) {
                Next::Head(to) => {
                    let part = filled..filled + len_of(&(at..to));
                    self.read_remote(at, buffer.get_mut(part.clone()).unwrap_or_default()).await?;
                    filled = part.end;
                }
                Next::Run(run) => {
                    let part = filled..filled + len_of(&(at..run.end));
                    let (read, is_filled) = self.read_run(run, buffer, part.clone()).await;
                    buffer = read;
                    if !is_filled {
                        self.read_remote(at, buffer.get_mut(part.clone()).unwrap_or_default()).await?;
                    }
                    filled = part.end;
                }
                Next::Block(block, flight) => {
                    let outcome = match flight.outcome_now() {
                        Some(outcome) => Some(outcome),
                        None => {
                            // Many who wait must not be a lot of memory.
                            buffer.truncate(filled);
                            buffer.shrink_to_fit();
                            let outcome = flight.outcome().await;
                            buffer.resize(len, 0);
                            outcome
                        }
                    };
                    let stored = self.source.stored(block);
                    let part = filled..filled + len_of(&(at..end.min(stored.end)));
                    let place = buffer.get_mut(part.clone()).unwrap_or_default();
                    match outcome {
                        Some(outcome) => copy(place, outcome?.get(len_of(&(stored.start..at))..).unwrap_or_default()),
                        None => self.read_remote(at, place).await?,
                    }
                    filled = part.end;
                }
            }
        }
        Ok(buffer)
    }
}

#[async_trait]
impl MediaFile for CachedFile {
    fn version(&self) -> Version {
        self.source.remote.version()
    }

    async fn len_now(&self) -> Result<u64, Error> {
        self.source.remote.len_now().await
    }

    fn try_read_now(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
        let end = self.source.len.min(offset.saturating_add(buffer.len() as u64));
        let mut filled = 0;
        while offset + (filled as u64) < end {
            let at = offset + filled as u64;
            if at < HEAD_LEN {
                let part = filled..filled + len_of(&(at..end.min(HEAD_LEN)));
                let wanted = part.len();
                let read = self.source.remote.try_read_now(at, buffer.get_mut(part).unwrap_or_default())?;
                filled += read;
                if read < wanted {
                    return Ok(filled);
                }
                continue;
            }
            let Some(run) = self.source.blocks.run(&self.source.key, &(at..end)) else { break };
            let part = filled..filled + len_of(&(at..run.end));
            let wanted = part.len();
            // What fails now is asked for again with a wait, and told then.
            let read = run.file.try_read_now(run.at, buffer.get_mut(part).unwrap_or_default()).unwrap_or_default();
            filled += read;
            METER.read_bytes.increment(read as u64);
            if read < wanted {
                break;
            }
            METER.hits.increment(1);
        }
        if filled == buffer.len() && filled > 0 {
            self.look_ahead(&(offset..end));
        }
        Ok(filled)
    }

    async fn read(&self, offset: u64, buffer: Vec<u8>, filled: usize) -> Result<Vec<u8>, Error> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.source.len {
            return Err(Error::ShortRead { location: self.location.clone() });
        }
        let range = offset + filled as u64..end;
        if !range.is_empty() && end > HEAD_LEN {
            self.begin(&range);
            // After what is asked for now.
            self.look_ahead(&(offset..end));
        }
        self.read_through(offset, buffer, filled, true).await
    }

    async fn read_once(&self, offset: u64, buffer: Vec<u8>) -> Result<Vec<u8>, Error> {
        self.source.remote.read_once(offset, buffer).await
    }

    fn has_copies(&self) -> bool {
        true
    }

    async fn read_anew(&self, offset: u64, seen: Vec<u8>) -> Result<Vec<u8>, Error> {
        let (source, len) = (Arc::clone(&self.source), seen.len());
        let take_away = move || {
            let end = source.len.min(offset.saturating_add(seen.len() as u64));
            let mut at = offset.max(HEAD_LEN);
            while at < end {
                let block = at / source.blocks.block_len;
                let stored = source.stored(block);
                let to = end.min(stored.end);
                let seen = seen.get(len_of(&(offset..at))..len_of(&(offset..to))).unwrap_or_default();
                // One that is on its way comes from elsewhere; else those who saw the same would fetch it once each.
                let within = len_of(&(stored.start..at));
                if !source.blocks.flights.distrust(&source.key, block, within, seen) {
                    source.blocks.take_away_if(&source.key, at, seen);
                }
                at = to;
            }
        };
        if spawn_blocking(take_away).await.is_err() {
            return self.source.remote.read(offset, vec![0; len], 0).await;
        }
        // By whole blocks: what has come back to the disk by now is compared with its sum.
        self.read_through(offset, vec![0; len], 0, false).await
    }
}

fn copy(to: &mut [u8], from: &[u8]) {
    let len = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..len), from.get(..len)) {
        to.copy_from_slice(from);
    }
}
