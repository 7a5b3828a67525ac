//! How media becomes the bytes of its file: sealed, or as it is.

use crate::catalogue::{Content, Recording};
use crate::crypto::Sha256Digest;
use crate::sealed::{Error, Sealer};

/// How media becomes the bytes of its file.
pub(super) enum Encoder {
    Seal(Box<Sealer>),
    Plain { digest: Sha256Digest, media_len: u64 },
}

impl Encoder {
    /// Takes media in; appends to `encoded` what can be written now.
    pub fn update(&mut self, media: &[u8], encoded: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Seal(sealer) => sealer.update(media, encoded)?,
            Self::Plain { digest, media_len } => {
                digest.update(media);
                *media_len += media.len() as u64;
                encoded.extend_from_slice(media);
            }
        }
        Ok(())
    }

    /// Says in `recording` how much could be played, were this the end.
    pub fn describe(&self, recording: &mut Recording) {
        match (self, &mut recording.content) {
            (Self::Plain { digest, media_len }, Content::Plain { digest: found, .. }) => {
                *found = digest.clone().finish();
                recording.media_len = *media_len;
            }
            (Self::Seal(sealer), _) => recording.media_len = sealer.sealed_len(),
            (Self::Plain { .. }, Content::Sealed { .. }) => {}
        }
    }

    /// Appends what is left of a live recording whose source broke off; the number of bytes of media in the file.
    pub fn break_off(self, encoded: &mut Vec<u8>) -> u64 {
        match self {
            Self::Seal(sealer) => sealer.break_off(encoded).media_len,
            Self::Plain { media_len, .. } => media_len,
        }
    }

    /// Appends what ends the file; the number of bytes of media in it.
    pub fn finish(self, encoded: &mut Vec<u8>) -> u64 {
        match self {
            Self::Seal(sealer) => sealer.finish(encoded).media_len,
            Self::Plain { media_len, .. } => media_len,
        }
    }
}
