//! Reads what lies beside recordings, as a whole, and only when it verifies.

use zeroize::Zeroizing;

use super::{Companions, Error, object};
use crate::base::{Fingerprint, MediaType, RecordingId, SealId, Timestamp};
use crate::catalogue::{COMPANION_LEN_MAX, Companion, Kept};
use crate::crypto::{Key, Sha256Digest};
use crate::keys::OpeningRefused;
use crate::media::MediaFile;
use crate::sealed::{Corruption, HEADER_LEN, NameClaim, Role, UnverifiedHeader};

/// For what something is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// For somebody who wants to see it.
    Playing,
    /// To keep the archive in order, under a key in any state.
    Keeping,
}

/// What a verified header says.
pub(super) struct Found {
    pub seal_id: SealId,
    pub fingerprint: Fingerprint,
    pub sealed_at: Timestamp,
    pub media_type: MediaType,
}

impl Companions {
    /// The content of something that lies beside a recording, verified.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub async fn read(&self, companion: &Companion) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.read_with(companion, Reading::Playing).await
    }

    /// Verifies something that lies beside a recording, under its key in whatever state that is.
    ///
    /// # Errors
    ///
    /// Why it does not verify.
    pub async fn check(&self, companion: &Companion) -> Result<(), Error> {
        self.read_with(companion, Reading::Keeping).await.map(drop)
    }

    pub(super) async fn read_with(&self, companion: &Companion, reading: Reading) -> Result<Zeroizing<Vec<u8>>, Error> {
        let file = self.store.open(&object(companion)).await?.ok_or(Error::Missing)?;
        let content = match companion.kept {
            Kept::Plain { digest } => {
                let len = file.version().len;
                if len != companion.content_len || len > COMPANION_LEN_MAX {
                    return Err(Corruption::ShortRead.into());
                }
                let content = Zeroizing::new(read(&*file, 0, len).await?);
                let mut found = Sha256Digest::default();
                found.update(&content);
                if found.finish() != digest {
                    return Err(Corruption::OtherSealing.into());
                }
                content
            }
            Kept::Sealed { .. } => {
                let (found, content) = self.open(&*file, &companion.id, &role(companion), reading).await?;
                if found.seal_id != companion.version {
                    return Err(Corruption::OtherSealing.into());
                }
                content
            }
        };
        Ok(content)
    }

    /// Opens a sealed file as a whole: what its header says, and its content.
    pub(super) async fn open(
        &self,
        file: &dyn MediaFile,
        id: &RecordingId,
        role: &Role,
        reading: Reading,
    ) -> Result<(Found, Zeroizing<Vec<u8>>), Error> {
        let file_len = file.version().len;
        let header = UnverifiedHeader::read(&read(file, 0, file_len.min(HEADER_LEN as u64)).await?)?;
        let key = self.key(header.fingerprint(), reading).await?;
        let verified = header.verify(&key)?.expect_place(id, role)?;
        let tail = verified.tail(file_len)?;
        let tail = read(file, tail.start, tail.end).await?;
        let opener = verified.judge(file_len, &tail, NameClaim::Final)?;
        let len = opener.state().media_len();
        if len > COMPANION_LEN_MAX {
            return Err(Error::TooLong);
        }
        let mut content = Zeroizing::new(vec![0; usize::try_from(len).unwrap_or(usize::MAX)]);
        if let Some(span) = opener.span(0..len) {
            let records = read(file, span.file().start, span.file().end).await?;
            opener.open_span(&span, &records, &mut content).map_err(|damage| damage.corruption)?;
        }
        let header = opener.header();
        let found = Found {
            seal_id: opener.seal_id(),
            fingerprint: header.fingerprint,
            sealed_at: header.sealed_at,
            media_type: header.media_type.clone(),
        };
        Ok((found, content))
    }

    pub(super) async fn key(&self, fingerprint: Fingerprint, reading: Reading) -> Result<Key, Error> {
        let held = || {
            let ring = self.keys.ring();
            match reading {
                Reading::Playing => ring.opening(&fingerprint).cloned(),
                Reading::Keeping => ring.held(&fingerprint).cloned(),
            }
        };
        match held() {
            Err(OpeningRefused::KeyMissing(_)) => {}
            outcome => return Ok(outcome?),
        }
        let could_ask = self.keys.look_again(&fingerprint).await;
        match held() {
            Err(OpeningRefused::KeyMissing(_)) if !could_ask => Err(Error::KeysUnavailable(fingerprint)),
            outcome => Ok(outcome?),
        }
    }
}

/// As its header says it.
fn role(companion: &Companion) -> Role {
    companion.name.clone().map_or(Role::Metadata, Role::Sidecar)
}

pub(super) async fn read(file: &dyn MediaFile, start: u64, end: u64) -> Result<Vec<u8>, Error> {
    let len = usize::try_from(end - start).unwrap_or(usize::MAX);
    Ok(file.read(start, vec![0; len], 0).await?)
}
