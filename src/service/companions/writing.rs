//! Writes what lies beside recordings: an object first, then the word of the catalogue that it counts.

use super::{Companions, Error, object};
use crate::base::{MediaType, RecordingId, SealId, SidecarName};
use crate::catalogue::{COMPANION_LEN_MAX, Companion, Kept, Metadata};
use crate::crypto::{Sha256Digest, random};
use crate::keys::WrappingKey;
use crate::media::{MediaObject, Stage};
use crate::sealed::{self, ChunkLen, Role, Sealer, Sealing};

impl Companions {
    /// Writes an object that nothing names yet.
    pub(super) async fn write(
        &self,
        id: &RecordingId,
        name: Option<SidecarName>,
        media_type: MediaType,
        content: &[u8],
        key: Option<&WrappingKey>,
    ) -> Result<Companion, Error> {
        let content_len = content.len() as u64;
        if content_len > COMPANION_LEN_MAX {
            return Err(Error::TooLong);
        }
        let (version, kept, bytes) = match key {
            Some(key) => {
                let sealing = Sealing {
                    id: id.clone(),
                    role: name.clone().map_or(Role::Metadata, Role::Sidecar),
                    media_type: media_type.clone(),
                    chunk_len: ChunkLen::FILE,
                    mended: false,
                    sealed_at: (self.clock)(),
                };
                let (mut sealer, header) = Sealer::new(sealing, key.fingerprint, &key.key)?;
                let mut bytes = header.to_vec();
                sealer.update(content, &mut bytes)?;
                let sealed = sealer.finish(&mut bytes);
                (sealed.seal_id, Kept::Sealed { fingerprint: key.fingerprint }, bytes)
            }
            None => {
                let mut digest = Sha256Digest::default();
                digest.update(content);
                let version = SealId(random().map_err(sealed::Error::from)?);
                (version, Kept::Plain { digest: digest.finish() }, content.to_vec())
            }
        };
        let companion = Companion { id: id.clone(), name, version, media_type, content_len, kept };
        let mut writer = self.store.create(&object(&companion)).await?;
        let written = async {
            if !bytes.is_empty() {
                writer.append(bytes).await?;
            }
            writer.finish().await
        };
        if let Err(error) = written.await {
            self.take_away(&companion).await;
            return Err(error.into());
        }
        Ok(companion)
    }

    /// Says in the catalogue that an object counts; the one whose place it takes goes.
    pub(super) async fn put(&self, companion: &Companion, index: Option<&Metadata>) -> Result<(), Error> {
        match self.database.put_companion(companion, index).await {
            Ok(old) => {
                if let Some(old) = old {
                    self.take_away(&old).await;
                }
                Ok(())
            }
            Err(error) => {
                self.take_away_unless_named(companion).await;
                Err(error.into())
            }
        }
    }

    /// Removes an object that the catalogue refused. Where the answer was lost it may name it: then it stays, and where that
    /// cannot be told, too.
    pub(super) async fn take_away_unless_named(&self, companion: &Companion) {
        let beside = self.database.companions(&companion.id).await;
        if beside.is_ok_and(|beside| !beside.contains(companion)) {
            self.take_away(companion).await;
        }
    }

    /// Removes an object that nothing names, finished or not. If that fails, it is named here: nothing relies on it.
    pub(super) async fn take_away(&self, companion: &Companion) {
        for stage in [Stage::Final, Stage::Part] {
            let object = MediaObject { stage, ..object(companion) };
            if let Err(error) = self.store.remove(&object).await {
                tracing::warn!(%error, "a file that nothing needs could not be removed");
            }
        }
    }
}
