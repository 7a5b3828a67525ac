//! Verifies what lies beside recordings: metadata and sidecars, each as a whole.

use super::{Checked, Error, Finding, FindingKind as Kind, Pace, Verifier, look::kind_of};
use crate::base::RecordingId;
use crate::catalogue::{Companion, CompanionsOf, Kept};
use crate::keys::OpeningRefused;
use crate::sealed::{self, Corruption};
use crate::service::{CompanionError, companions::object};

/// How many rows are asked for at a time.
const PAGE_LEN: u32 = 1000;

impl Verifier {
    /// Faults of all that lies beside recordings, as far as it came before it was stopped.
    pub(super) async fn faults_beside(&self, pace: &Pace) -> Result<Vec<Checked>, Error> {
        let mut faults = Vec::new();
        for which in [CompanionsOf::All, CompanionsOf::Plain] {
            let mut after: Option<Companion> = None;
            loop {
                let page = self.database.companions_of(&which, after.as_ref(), PAGE_LEN).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.clone());
                self.look_beside(&page, pace, &mut faults).await?;
            }
        }
        Ok(faults)
    }

    /// The same for some recordings.
    pub(super) async fn faults_beside_of(&self, ids: &[RecordingId], pace: &Pace) -> Result<Vec<Checked>, Error> {
        let mut faults = Vec::new();
        for id in ids {
            let beside = self.database.companions(id).await?;
            self.look_beside(&beside, pace, &mut faults).await?;
        }
        Ok(faults)
    }

    async fn look_beside(&self, companions: &[Companion], pace: &Pace, faults: &mut Vec<Checked>) -> Result<(), Error> {
        for companion in companions {
            if !pace.go_on(companion.content_len).await {
                return Ok(());
            }
            let Err(_) = self.companions.check(companion).await else { continue };
            // It may have been replaced, or purged, since the row was read.
            let now = self.database.companions(&companion.id).await?;
            let Some(companion) = now.iter().find(|other| other.name == companion.name) else { continue };
            if let Err(error) = self.companions.check(companion).await {
                faults.push(self.fault_beside(companion, &error));
            }
        }
        Ok(())
    }

    fn fault_beside(&self, companion: &Companion, error: &CompanionError) -> Checked {
        let what = companion.name.as_ref().map_or_else(|| "its metadata".into(), |name| format!("its sidecar {name}"));
        let location = self.store.location(&object(companion));
        let finding = Finding::new(Some(&companion.id), kind(companion, error), location, format!("{what}: {error}"));
        Checked { id: Some(companion.id.clone()), row: None, verified_len: 0, findings: vec![finding] }
    }
}

fn kind(companion: &Companion, error: &CompanionError) -> Kind {
    match (error, companion.kept) {
        (CompanionError::Missing, _) => Kind::MediaMissing,
        (CompanionError::Refused(OpeningRefused::KeyMissing(_)) | CompanionError::KeysUnavailable(_), _) => {
            Kind::KeyMissing
        }
        (CompanionError::Sealed(_), Kept::Plain { .. }) => Kind::DigestMismatch,
        (CompanionError::Sealed(sealed::Error::Corrupt(Corruption::OtherSealing)), _) => Kind::OtherSealing,
        // It is short: its end is most of it.
        (
            CompanionError::Sealed(sealed::Error::Corrupt(
                Corruption::Chunk(_) | Corruption::Tail | Corruption::NotComplete,
            )),
            _,
        ) => Kind::CorruptChunk,
        (CompanionError::Sealed(error), _) => kind_of(error),
        _ => Kind::Unreadable,
    }
}
