//! From media to a sealed file, as it streams: constant memory, any length.

use zeroize::Zeroizing;

use super::layout::{HEADER_LEN, MEDIA_LEN_MAX};
use super::{ChunkLen, Error, Header, Role};
use crate::base::{Fingerprint, MediaType, RecordingId, SealId, Timestamp};
use crate::crypto::{ChunkKind, FileKeys, Key, random, wrap_file_key};

/// What is to be sealed.
#[derive(Clone, Debug)]
pub struct Sealing {
    /// Whose media it is.
    pub id: RecordingId,
    /// What the file holds.
    pub role: Role,
    /// Of the plaintext.
    pub media_type: MediaType,
    /// The length of every chunk but the final one.
    pub chunk_len: ChunkLen,
    /// Sealed again from a recording whose end is missing.
    pub mended: bool,
    /// Now.
    pub sealed_at: Timestamp,
}

/// Seals one stream of media under a file key of its own.
///
/// A sealer is used once: each chunk is encrypted once and tagged once, and the file key is gone when the sealer is
/// dropped. Dropping it before [`Sealer::finish`] leaves an unfinished file, which cannot be continued: whoever has
/// more media seals it as another recording.
pub struct Sealer {
    keys: FileKeys,
    chunk_len: usize,
    /// Media that came and is not sealed yet: at most one chunk, because whether a full chunk is the final one is
    /// known only when the next byte or the end arrives.
    pending: Zeroizing<Vec<u8>>,
    index: u64,
}

/// What a finished sealing says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes of media.
    pub media_len: u64,
    /// The sealing's public name.
    pub seal_id: SealId,
}

impl Sealer {
    /// Begins a sealing under a fresh file key, wrapped by `database_key`, whose fingerprint is `fingerprint`; gives
    /// the header, which is written first and in one write.
    ///
    /// # Errors
    ///
    /// [`Error::NoRandom`] when the system gives no file key.
    pub fn new(
        sealing: Sealing,
        fingerprint: Fingerprint,
        database_key: &Key,
    ) -> Result<(Self, [u8; HEADER_LEN]), Error> {
        Ok(Self::with(sealing, fingerprint, database_key, &Key::generate()?, random()?))
    }

    /// The same under a given file key and salt, which must **never** be given twice. For [`Self::new`] and for the
    /// golden files alone.
    pub(super) fn with(
        sealing: Sealing,
        fingerprint: Fingerprint,
        database_key: &Key,
        file_key: &Key,
        salt: [u8; 16],
    ) -> (Self, [u8; HEADER_LEN]) {
        let keys = FileKeys::derive(&salt, file_key);
        let header = Header {
            chunk_len: sealing.chunk_len,
            mended: sealing.mended,
            role: sealing.role,
            salt,
            fingerprint,
            wrapped_file_key: wrap_file_key(database_key, file_key),
            sealed_at: sealing.sealed_at,
            media_type: sealing.media_type,
            id: sealing.id,
        };
        let header = header.encode(&keys);
        let chunk_len = 1_usize << sealing.chunk_len.log2();
        (Self { keys, chunk_len, pending: Zeroizing::new(Vec::with_capacity(chunk_len)), index: 0 }, header)
    }

    /// The sealing's public name.
    #[must_use]
    pub fn seal_id(&self) -> SealId {
        self.keys.seal_id
    }

    /// Bytes of media in the records made so far.
    #[must_use]
    pub fn sealed_len(&self) -> u64 {
        self.index * self.chunk_len as u64
    }

    /// Takes the next bytes of media; appends to `records` every record that is now whole and not the final one.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] when the media passes 2^60 bytes; nothing was taken then.
    pub fn update(&mut self, media: &[u8], records: &mut Vec<u8>) -> Result<(), Error> {
        let media_len = self.sealed_len() + (self.pending.len() + media.len()) as u64;
        if media_len > MEDIA_LEN_MAX {
            return Err(Error::TooLong);
        }
        let mut media = media;
        while !media.is_empty() {
            if self.pending.len() == self.chunk_len {
                let full = core::mem::take(&mut *self.pending);
                self.seal_chunk(ChunkKind::Inner, &full, records);
                *self.pending = full;
                self.wipe_pending();
            }
            // Whole chunks that others follow need not be copied first.
            while self.pending.is_empty() && media.len() > self.chunk_len {
                let (chunk, rest) = media.split_at(self.chunk_len);
                self.seal_chunk(ChunkKind::Inner, chunk, records);
                media = rest;
            }
            let (now, rest) = media.split_at(media.len().min(self.chunk_len - self.pending.len()));
            self.pending.extend_from_slice(now);
            media = rest;
        }
        Ok(())
    }

    /// Appends the final record to `records`. Only when the source has ended, never because it broke off.
    #[must_use]
    pub fn finish(mut self, records: &mut Vec<u8>) -> Sealed {
        let last = core::mem::take(&mut self.pending);
        let media_len = self.sealed_len() + last.len() as u64;
        self.seal_chunk(ChunkKind::Final, &last, records);
        Sealed { media_len, seal_id: self.keys.seal_id }
    }

    /// Leaves the file unfinished where the source broke off, as one that others would follow: appends the last chunk if
    /// it is whole. What is left of a shorter one is dropped. Gives how many bytes of media the records hold.
    #[must_use]
    pub fn break_off(mut self, records: &mut Vec<u8>) -> Sealed {
        if self.pending.len() == self.chunk_len {
            let last = core::mem::take(&mut self.pending);
            self.seal_chunk(ChunkKind::Inner, &last, records);
        }
        Sealed { media_len: self.sealed_len(), seal_id: self.keys.seal_id }
    }

    fn seal_chunk(&mut self, kind: ChunkKind, media: &[u8], records: &mut Vec<u8>) {
        let start = records.len();
        records.resize(start + media.len(), 0);
        self.keys.keystream.apply_into(self.sealed_len(), media, &mut records[start..]);
        let tag = self.keys.tag_key.tag(kind, self.index, &records[start..]);
        records.extend_from_slice(&tag);
        self.index += 1;
    }

    fn wipe_pending(&mut self) {
        self.pending.fill(0);
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::tests::{key, sealing};

    /// Nobody seals 2^60 bytes in a test, so this sealer is told that it sealed all of them but the last chunk.
    #[test]
    fn the_last_byte_that_a_file_holds_is_taken_and_none_after_it() {
        let (database_key, fingerprint) = key(1);
        let (mut sealer, _) = Sealer::new(sealing("a", ChunkLen::LIVE), fingerprint, &database_key).expect("random");
        sealer.index = (1 << 60) / 4096 - 1;
        let mut records = vec![];
        assert_eq!(sealer.update(&[1; 4097], &mut records), Err(Error::TooLong));
        assert_eq!(sealer.update(&[1; 4095], &mut records), Ok(()), "nothing was taken of what was too long");
        assert_eq!(sealer.update(&[1; 2], &mut records), Err(Error::TooLong));
        assert_eq!(sealer.update(&[1], &mut records), Ok(()));
        assert_eq!(sealer.update(&[1], &mut records), Err(Error::TooLong));
        assert_eq!(sealer.update(&[], &mut records), Ok(()));
        assert!(records.is_empty(), "the last chunk may be the final one");
        assert_eq!(sealer.finish(&mut records).media_len, 1 << 60);
        assert_eq!(records.len(), 4096 + 16);
    }
}
