//! Where things lie: the offsets of the header's fields and the arithmetic of records.
//!
//! Each offset is defined from the one before, so that the picture in the manual has one twin and not two.

use super::Corruption;
use crate::crypto::TAG_LEN;

/// `\x89STP\r\n\x1a\n`: catches text-mode transfer, as PNG's signature does.
pub(super) const MAGIC: [u8; 8] = *b"\x89STP\r\n\x1a\n";
pub(super) const VERSION: u8 = 1;
pub(super) const SUITE: u8 = 1;
pub(super) const FLAG_MENDED: u8 = 1;

pub(super) const VERSION_OFFSET: usize = MAGIC.len();
pub(super) const SUITE_OFFSET: usize = VERSION_OFFSET + 1;
pub(super) const CHUNK_LOG2_OFFSET: usize = SUITE_OFFSET + 1;
pub(super) const FLAGS_OFFSET: usize = CHUNK_LOG2_OFFSET + 1;
pub(super) const ROLE_OFFSET: usize = FLAGS_OFFSET + 1;
pub(super) const RESERVED_1_OFFSET: usize = ROLE_OFFSET + 1;
pub(super) const SALT_OFFSET: usize = RESERVED_1_OFFSET + 3;
pub(super) const FINGERPRINT_OFFSET: usize = SALT_OFFSET + 16;
pub(super) const WRAPPED_FILE_KEY_OFFSET: usize = FINGERPRINT_OFFSET + 32;
/// Where the wrapped file key lies in a file: what a purge writes over first.
pub const WRAPPED_FILE_KEY: core::ops::Range<usize> = WRAPPED_FILE_KEY_OFFSET..SEALED_AT_OFFSET;
pub(super) const SEALED_AT_OFFSET: usize = WRAPPED_FILE_KEY_OFFSET + 40;
pub(super) const MEDIA_TYPE_OFFSET: usize = SEALED_AT_OFFSET + 8;
pub(super) const RECORDING_ID_OFFSET: usize = MEDIA_TYPE_OFFSET + 1 + 79;
pub(super) const SIDECAR_NAME_OFFSET: usize = RECORDING_ID_OFFSET + 1 + 128;
pub(super) const RESERVED_2_OFFSET: usize = SIDECAR_NAME_OFFSET + 1 + 63;
pub(super) const HEADER_TAG_OFFSET: usize = RESERVED_2_OFFSET + 95;

/// The length of a header, in bytes.
pub const HEADER_LEN: usize = HEADER_TAG_OFFSET + 32;

/// The longest media that one file holds, in bytes.
pub const MEDIA_LEN_MAX: u64 = 1 << 60;

const _: () = assert!(HEADER_LEN == 512, "the header is 512 bytes by definition");
const _: () = assert!(usize::BITS >= 64, "chunk and record arithmetic is done in 64 bits");

const HEADER_LEN_U64: u64 = HEADER_LEN as u64;
const TAG_LEN_U64: u64 = TAG_LEN as u64;

/// The length of a chunk of media: a power of two from 4 KiB to 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLen(u8);

impl ChunkLen {
    /// 16 KiB: 0.1 % of overhead, for media that exists already.
    pub const FILE: Self = Self(14);
    /// 4 KiB: half a second of 64 kbit/s audio, for media that arrives live.
    pub const LIVE: Self = Self(12);

    /// Bytes of media in the longest chunk that there is.
    pub const MAX_BYTES: u64 = 1 << 20;

    /// From its logarithm; `None` outside 12 … 20.
    #[must_use]
    pub const fn from_log2(log2: u8) -> Option<Self> {
        if log2 >= 12 && log2 <= 20 { Some(Self(log2)) } else { None }
    }

    /// The logarithm, as the header holds it.
    #[must_use]
    pub const fn log2(self) -> u8 {
        self.0
    }

    /// `C`: bytes of media in a whole chunk.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        1 << self.0
    }

    /// `R = C + 16`: bytes of a whole record.
    #[must_use]
    pub const fn record_bytes(self) -> u64 {
        self.bytes() + TAG_LEN_U64
    }

    /// Where record `index` begins in the file. `index` is one of a file that was checked to be no longer than
    /// [`MEDIA_LEN_MAX`] allows, so nothing overflows.
    pub(super) const fn record_offset(self, index: u64) -> u64 {
        HEADER_LEN_U64 + index * self.record_bytes()
    }

    /// The length of a complete file of `media_len` bytes; `None` when no file holds so many.
    #[must_use]
    pub const fn file_len(self, media_len: u64) -> Option<u64> {
        if media_len > MEDIA_LEN_MAX {
            return None;
        }
        let records = if media_len == 0 { 1 } else { media_len.div_ceil(self.bytes()) };
        Some(HEADER_LEN_U64 + media_len + records * TAG_LEN_U64)
    }

    /// The shape of a file of `file_len` bytes, unless it is shorter than a header or longer than any recording.
    pub(super) fn shape(self, file_len: u64) -> Result<Shape, Corruption> {
        let body = file_len.checked_sub(HEADER_LEN_U64).ok_or(Corruption::ShortHeader)?;
        let (full, rest) = (body / self.record_bytes(), body % self.record_bytes());
        let full_max = MEDIA_LEN_MAX >> self.0;
        if full < full_max || (full == full_max && rest == 0) {
            Ok(Shape { full, rest })
        } else {
            Err(Corruption::TooLong)
        }
    }
}

/// How many whole records a file has, and how many bytes follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// `full = B / R`.
    pub full: u64,
    /// `rest = B % R`.
    pub rest: u64,
}
