//! Whether a recording may come in, and how it would be kept, also while the catalogue is away.

use std::time::Duration;

use tokio::time::timeout;

use super::{Error, Ingest, live_row::is_away};
use crate::base::RecordingId;
use crate::catalogue;
use crate::keys::WrappingKey;
use crate::media::{MediaKind, MediaObject, Stage};

/// How long a store behind a spool is asked whether a name is taken, while the catalogue cannot be.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// How a recording would be kept.
pub(super) struct Admitted {
    /// Plain without one.
    pub key: Option<WrappingKey>,
    pub is_catalogue_away: bool,
}

impl Ingest {
    /// How a recording of that ID would be kept.
    pub(super) async fn admit(&self, id: &RecordingId, exempt: bool) -> Result<Admitted, Error> {
        let is_catalogue_away = match self.database.recording(id).await {
            Ok(None) => false,
            Ok(Some(_)) => return Err(catalogue::Error::RecordingExists(id.clone()).into()),
            Err(error) => {
                self.go_on_without(id, exempt, error).await?;
                true
            }
        };
        let key = if exempt {
            None
        } else {
            // The switch may have been turned since this process began.
            if !is_catalogue_away {
                self.keys.refresh().await;
            }
            self.keys.ring().sealing()?
        };
        match key {
            // What no row says is plain, nobody could tell from damage.
            None if is_catalogue_away => {
                Err(catalogue::Error::Unavailable("and this recording would be plain".into()).into())
            }
            key => Ok(Admitted { key, is_catalogue_away }),
        }
    }

    /// While the catalogue is away a server seals all the same: the store says which IDs are taken.
    async fn go_on_without(&self, id: &RecordingId, exempt: bool, error: catalogue::Error) -> Result<(), Error> {
        if self.unsettled.is_none() || exempt || !is_away(&error) {
            return Err(error.into());
        }
        for kind in [MediaKind::Sealed, MediaKind::Plain] {
            for stage in [Stage::Final, Stage::Part] {
                let object = MediaObject::media(id.clone(), kind, stage);
                if self.is_taken(&object).await? {
                    return Err(catalogue::Error::RecordingExists(id.clone()).into());
                }
            }
        }
        Ok(())
    }

    /// Whether an object is there. With a spool, which takes names exclusively itself, a store that is away says nothing.
    async fn is_taken(&self, object: &MediaObject) -> Result<bool, Error> {
        let Some(spool) = self.store.spool() else { return Ok(self.store.version(object).await?.is_some()) };
        if spool.version(object).await?.is_some() {
            return Ok(true);
        }
        let there = timeout(LOOK_TIMEOUT, self.store.version(object)).await;
        Ok(matches!(there, Ok(Ok(Some(_)))))
    }
}
