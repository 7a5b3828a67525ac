//! The header of a sealed file: from fields to bytes, and from bytes, verified, to fields.

use super::layout::{
    CHUNK_LOG2_OFFSET, ChunkLen, FINGERPRINT_OFFSET, FLAG_MENDED, FLAGS_OFFSET, HEADER_LEN, HEADER_TAG_OFFSET, MAGIC,
    MEDIA_TYPE_OFFSET, RECORDING_ID_OFFSET, RESERVED_1_OFFSET, RESERVED_2_OFFSET, ROLE_OFFSET, SALT_OFFSET,
    SEALED_AT_OFFSET, SIDECAR_NAME_OFFSET, SUITE, SUITE_OFFSET, VERSION, VERSION_OFFSET, WRAPPED_FILE_KEY_OFFSET,
};
use super::{Corruption, Error};
use crate::base::{Fingerprint, MediaType, RecordingId, SealId, SidecarName, Timestamp};
use crate::crypto::{FileKeys, Key, unwrap_file_key, wrap_file_key};

/// What a sealed file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The media of a recording.
    Media,
    /// JSON about a recording.
    Metadata,
    /// A file that came beside a recording.
    Sidecar(SidecarName),
}

/// The fields of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The length of every chunk but the final one.
    pub chunk_len: ChunkLen,
    /// Sealed again from a recording whose end is missing.
    pub mended: bool,
    /// What the file holds.
    pub role: Role,
    /// Random, fresh for every sealing.
    pub salt: [u8; 16],
    /// Of the database key that wraps the file key.
    pub fingerprint: Fingerprint,
    /// The file key under the database key.
    pub wrapped_file_key: [u8; 40],
    /// When the header was first written; unchanged by re-wrapping.
    pub sealed_at: Timestamp,
    /// Of the plaintext.
    pub media_type: MediaType,
    /// Whose media it is.
    pub id: RecordingId,
}

impl Header {
    /// The 512 bytes of this header, tagged under `keys`.
    #[must_use]
    pub(super) fn encode(&self, keys: &FileKeys) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..VERSION_OFFSET].copy_from_slice(&MAGIC);
        bytes[VERSION_OFFSET] = VERSION;
        bytes[SUITE_OFFSET] = SUITE;
        bytes[CHUNK_LOG2_OFFSET] = self.chunk_len.log2();
        bytes[FLAGS_OFFSET] = if self.mended { FLAG_MENDED } else { 0 };
        bytes[SALT_OFFSET..FINGERPRINT_OFFSET].copy_from_slice(&self.salt);
        bytes[FINGERPRINT_OFFSET..WRAPPED_FILE_KEY_OFFSET].copy_from_slice(&self.fingerprint.0);
        bytes[WRAPPED_FILE_KEY_OFFSET..SEALED_AT_OFFSET].copy_from_slice(&self.wrapped_file_key);
        bytes[SEALED_AT_OFFSET..MEDIA_TYPE_OFFSET].copy_from_slice(&self.sealed_at.millis().to_be_bytes());
        put_text(&mut bytes[MEDIA_TYPE_OFFSET..RECORDING_ID_OFFSET], self.media_type.as_str());
        put_text(&mut bytes[RECORDING_ID_OFFSET..SIDECAR_NAME_OFFSET], self.id.as_str());
        bytes[ROLE_OFFSET] = match &self.role {
            Role::Media => 0,
            Role::Metadata => 1,
            Role::Sidecar(name) => {
                put_text(&mut bytes[SIDECAR_NAME_OFFSET..RESERVED_2_OFFSET], name.as_str());
                2
            }
        };
        let tag = keys.header_key.tag(&bytes[..HEADER_TAG_OFFSET]);
        bytes[HEADER_TAG_OFFSET..].copy_from_slice(&tag);
        bytes
    }

    /// Reads the fields of a header whose tag has verified.
    fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, Corruption> {
        let chunk_len = ChunkLen::from_log2(bytes[CHUNK_LOG2_OFFSET]).ok_or(Corruption::ChunkLen)?;
        let flags = bytes[FLAGS_OFFSET];
        if flags & !FLAG_MENDED != 0 {
            return Err(Corruption::Flags);
        }
        let role_byte = bytes[ROLE_OFFSET];
        if role_byte > 2 {
            return Err(Corruption::Role);
        }
        if bytes[RESERVED_1_OFFSET..SALT_OFFSET].iter().any(|byte| *byte != 0) {
            return Err(Corruption::Reserved);
        }
        let sealed_at = u64::from_be_bytes(field(bytes, SEALED_AT_OFFSET));
        let sealed_at = Timestamp::from_millis(sealed_at).ok_or(Corruption::SealedAt)?;
        let media_type = text(&bytes[MEDIA_TYPE_OFFSET..RECORDING_ID_OFFSET])
            .and_then(|text| text.parse().ok())
            .ok_or(Corruption::MediaType)?;
        let id = text(&bytes[RECORDING_ID_OFFSET..SIDECAR_NAME_OFFSET])
            .and_then(|text| text.parse().ok())
            .ok_or(Corruption::RecordingId)?;
        let sidecar = text(&bytes[SIDECAR_NAME_OFFSET..RESERVED_2_OFFSET]).ok_or(Corruption::SidecarName)?;
        let role = match (role_byte, sidecar) {
            (0, "") => Role::Media,
            (1, "") => Role::Metadata,
            (2, name) => Role::Sidecar(name.parse().map_err(|_| Corruption::SidecarName)?),
            _ => return Err(Corruption::SidecarName),
        };
        if bytes[RESERVED_2_OFFSET..HEADER_TAG_OFFSET].iter().any(|byte| *byte != 0) {
            return Err(Corruption::Reserved);
        }
        Ok(Self {
            chunk_len,
            mended: flags & FLAG_MENDED != 0,
            role,
            salt: field(bytes, SALT_OFFSET),
            fingerprint: Fingerprint(field(bytes, FINGERPRINT_OFFSET)),
            wrapped_file_key: field(bytes, WRAPPED_FILE_KEY_OFFSET),
            sealed_at,
            media_type,
            id,
        })
    }
}

/// The first 512 bytes of a file that says it is sealed. Nothing in it may be believed but which key to try.
#[derive(Clone, Debug)]
pub struct UnverifiedHeader(Box<[u8; HEADER_LEN]>);

impl UnverifiedHeader {
    /// Takes the first bytes of a file; more than a header's are ignored.
    ///
    /// # Errors
    ///
    /// [`Corruption::ShortHeader`], [`Corruption::Magic`], [`Error::UnsupportedVersion`], [`Error::UnsupportedSuite`].
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else { return Err(Corruption::ShortHeader.into()) };
        if header[..VERSION_OFFSET] != MAGIC {
            return Err(Corruption::Magic.into());
        }
        if header[VERSION_OFFSET] != VERSION {
            return Err(Error::UnsupportedVersion(header[VERSION_OFFSET]));
        }
        if header[SUITE_OFFSET] != SUITE {
            return Err(Error::UnsupportedSuite(header[SUITE_OFFSET]));
        }
        Ok(Self(Box::new(*header)))
    }

    /// Which database key to unwrap with.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(field(&self.0, FINGERPRINT_OFFSET))
    }

    /// Unwraps the file key under the database key of [`Self::fingerprint`], verifies the tag, then reads the fields.
    ///
    /// # Errors
    ///
    /// The [`Corruption`] of whatever does not hold, from [`Corruption::Unwrap`] on.
    pub fn verify(self, database_key: &Key) -> Result<VerifiedHeader, Error> {
        let file_key =
            unwrap_file_key(database_key, &field(&self.0, WRAPPED_FILE_KEY_OFFSET)).map_err(|_| Corruption::Unwrap)?;
        let keys = FileKeys::derive(&field(&self.0, SALT_OFFSET), &file_key);
        keys.header_key
            .verify(&self.0[..HEADER_TAG_OFFSET], &field(&self.0, HEADER_TAG_OFFSET))
            .map_err(|_| Corruption::HeaderTag)?;
        Ok(VerifiedHeader { header: Header::decode(&self.0)?, keys })
    }
}

/// A header whose tag has verified, with the keys that it leads to.
pub struct VerifiedHeader {
    pub(super) header: Header,
    pub(super) keys: FileKeys,
}

impl VerifiedHeader {
    /// The fields.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The same header with the file key wrapped under `to` instead of `from`, which is the database key that it was
    /// verified under. Only fingerprint, wrapped file key and header tag differ: the sealing and its name stay.
    ///
    /// # Errors
    ///
    /// [`Corruption::Unwrap`] when `from` is another key.
    pub fn rewrap(&self, from: &Key, to_fingerprint: Fingerprint, to: &Key) -> Result<[u8; HEADER_LEN], Error> {
        let file_key = unwrap_file_key(from, &self.header.wrapped_file_key).map_err(|_| Corruption::Unwrap)?;
        let header = Header {
            fingerprint: to_fingerprint,
            wrapped_file_key: wrap_file_key(to, &file_key),
            ..self.header.clone()
        };
        Ok(header.encode(&self.keys))
    }

    /// The sealing's public name.
    #[must_use]
    pub fn seal_id(&self) -> SealId {
        self.keys.seal_id
    }

    /// Refuses a file that lies in another one's place: by ID, role or sidecar name.
    ///
    /// # Errors
    ///
    /// [`Corruption::OtherId`], [`Corruption::OtherRole`], [`Corruption::OtherSidecar`].
    pub fn expect_place(self, id: &RecordingId, role: &Role) -> Result<Self, Error> {
        if self.header.id != *id {
            return Err(Corruption::OtherId.into());
        }
        match (&self.header.role, role) {
            (found, asked) if found == asked => Ok(self),
            (Role::Sidecar(_), Role::Sidecar(_)) => Err(Corruption::OtherSidecar.into()),
            _ => Err(Corruption::OtherRole.into()),
        }
    }
}

/// Writes `length (1 byte) ‖ text ‖ zeros`. The words' types hold no text that is longer than its field.
fn put_text(field: &mut [u8], text: &str) {
    // At most 128 by the types' own limits.
    field[0] = u8::try_from(text.len()).unwrap_or_else(|_| unreachable!("at most 128 bytes"));
    field[1..=text.len()].copy_from_slice(text.as_bytes());
}

/// Reads `length (1 byte) ‖ text ‖ zeros`; `None` when the length does not fit, the padding is not zero or the text
/// is not ASCII.
fn text(field: &[u8]) -> Option<&str> {
    let (len, rest) = field.split_first()?;
    let (text, padding) = rest.split_at_checked(usize::from(*len))?;
    if !text.is_ascii() || padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    core::str::from_utf8(text).ok()
}

/// `N` bytes at a constant offset within the header.
fn field<const N: usize>(bytes: &[u8; HEADER_LEN], offset: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[offset..offset + N]);
    field
}
