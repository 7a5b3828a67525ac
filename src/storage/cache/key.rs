//! What blocks are known by: which recording, which version of its object, which stretch of that.
//!
//! IDs may say something of people, so that no file of the cache is named by one.

use core::fmt;

use crate::base::RecordingId;
use crate::crypto::Sha256Digest;
use crate::media::{MediaObject, Version};

/// The start of a SHA-256: enough that no two are alike by chance.
pub(super) type Hash = [u8; 16];

/// One version of the media of one recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileKey {
    /// Of the recording's ID.
    pub recording: Hash,
    /// Of all that tells versions of an object apart.
    pub version: Hash,
    /// The sealing; zeros where the caller does not know it.
    pub sealing: Hash,
}

/// A stretch of it: a file of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentKey {
    pub file: FileKey,
    pub number: u32,
}

impl FileKey {
    pub(super) fn new(object: &MediaObject, version: &Version) -> Self {
        Self {
            recording: hash_of_id(&object.id),
            version: hash_of_version(version),
            sealing: object.sealing.map_or(Hash::default(), |sealing| sealing.0),
        }
    }
}

impl SegmentKey {
    /// The first key of a recording, in their order.
    pub(super) fn first_of(recording: Hash) -> Self {
        let file = FileKey { recording, version: Hash::default(), sealing: Hash::default() };
        Self { file, number: 0 }
    }

    /// The folder in which its file lies: one of 256.
    pub(super) fn folder(&self) -> String {
        hex::encode(self.file.recording.get(..1).unwrap_or_default())
    }

    /// The key of the file of that name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let mut hash = || {
            let mut hash = Hash::default();
            hex::decode_to_slice(parts.next()?, &mut hash).ok()?;
            Some(hash)
        };
        let file = FileKey { recording: hash()?, version: hash()?, sealing: hash()? };
        let key = Self { file, number: parts.next()?.parse().ok()? };
        (key.to_string() == name).then_some(key)
    }
}

impl fmt::Display for SegmentKey {
    /// The name of its file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FileKey { recording, version, sealing } = self.file;
        let [recording, version, sealing] = [recording, version, sealing].map(hex::encode);
        write!(f, "{recording}-{version}-{sealing}-{}", self.number)
    }
}

/// With what the names of all files of a recording begin.
pub(super) fn prefix(recording: Hash) -> String {
    format!("{}-", hex::encode(recording))
}

pub(super) fn hash_of_id(id: &RecordingId) -> Hash {
    hash(&[b"recording", id.as_str().as_bytes()])
}

fn hash_of_version(version: &Version) -> Hash {
    let [a, b, c, d] = version.stamp.map(u64::to_be_bytes);
    hash(&[b"version", &version.len.to_be_bytes(), &a, &b, &c, &d])
}

/// A hash over pieces of which all but the last have one length.
pub(super) fn hash(pieces: &[&[u8]]) -> Hash {
    let mut digest = Sha256Digest::default();
    pieces.iter().for_each(|piece| digest.update(piece));
    let mut hash = Hash::default();
    hash.iter_mut().zip(digest.finish()).for_each(|(to, from)| *to = from);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SealId;
    use crate::media::{MediaKind, Stage};

    #[test]
    fn names_are_read_as_they_are_written_and_no_others() {
        let object = MediaObject::media("call".parse().expect("an ID"), MediaKind::Sealed, Stage::Final);
        let sealed = MediaObject { sealing: Some(SealId([7; 16])), ..object.clone() };
        let version = Version { len: 9, stamp: [1, 2, 3, 4] };
        let file = FileKey::new(&sealed, &version);
        assert_ne!(file, FileKey::new(&object, &version));
        assert_ne!(file, FileKey::new(&sealed, &Version { stamp: [1, 2, 4, 3], ..version }));
        let key = SegmentKey { file, number: 12 };
        let name = key.to_string();
        assert_eq!(SegmentKey::parse(&name), Some(key));
        assert!(name.starts_with(&prefix(hash_of_id(&object.id))) && name.starts_with(&key.folder()));
        for other in ["", ".sealtape-cache", &name.to_uppercase(), &format!("{name}0x"), &name.replace("-12", "-012")] {
            assert_eq!(SegmentKey::parse(other), None, "{other}");
        }
    }
}
