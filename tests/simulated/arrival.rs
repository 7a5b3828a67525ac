//! Files that arrive sealed in a simulated world, harmed on their way or not.

use std::{path::PathBuf, sync::Arc};

use sealtape::base::RecordingId;
use sealtape::keys::WrappingKey;
use sealtape::sealed::{ChunkLen, Role, Sealer, Sealing};
use sealtape::service::{IngestError, Ingested, NewRecording, Stop};

use super::{
    actors::Feed,
    fate::Fate,
    server::Server,
    tally::Event,
    world::{SALT, World},
};

/// How a file that was sealed elsewhere arrives.
#[derive(Clone, Copy)]
pub struct Arrival {
    pub harm: Harm,
    /// Where it is harmed, in thousandths of what lies behind its salt.
    pub permille: u64,
    pub chunk_len: ChunkLen,
}

#[derive(Clone, Copy)]
pub enum Harm {
    None,
    /// A bit of it is another one.
    Turned,
    /// Its end is missing, and it says so by its name or does not.
    Short {
        is_told: bool,
    },
}

impl Arrival {
    pub fn draw(fate: &Fate) -> Self {
        let short = |is_told| Harm::Short { is_told };
        let harm = *fate.pick(&[Harm::None, Harm::None, Harm::Turned, short(true), short(false)]);
        Self { harm, permille: fate.below(1000), chunk_len: *fate.pick(&[ChunkLen::LIVE, ChunkLen::FILE]) }
    }

    /// Seals some media, and sends the file: what was answered.
    pub async fn ingest(
        self,
        world: &World,
        server: &Server,
        id: &RecordingId,
        media: &[u8],
        key: &WrappingKey,
    ) -> Result<Ingested, IngestError> {
        let (fate, harm) = (&world.fate, self.harm);
        let file = self.file(fate, id, media, key)?;
        let end = if matches!(harm, Harm::Short { is_told: true }) { "part" } else { "sealed" };
        let name = Some(PathBuf::from(format!("{id}.{end}")));
        let new = NewRecording { id: Some(id.clone()), media_type: None, name, exempt: false, is_live: false };
        let (_asks, mut stop) = Stop::channel();
        fate.tell(format!("{id} arrives sealed, {} bytes", file.len()));
        let ingested = server.ingest.ingest(new, &mut Feed::whole(file, fate), &mut stop, &|_| {}).await;
        match (&ingested, harm) {
            (Ok(_), Harm::None | Harm::Short { is_told: true }) => fate.count(Event::KeptSealedElsewhere),
            (Ok(_), Harm::Turned | Harm::Short { is_told: false }) => {
                fate.wrong(format!("{id} was harmed on its way, and is kept"));
            }
            (Err(IngestError::NotVerified(_)), Harm::None) => {
                // Else somebody harmed it since.
                if fate.faults().wrong_reads == 0 && !world.model.known(id.as_str()).is_harmed {
                    fate.wrong(format!("{id} came as it was sent, and is called damaged"));
                }
            }
            (Err(IngestError::NotVerified(_)), _) => fate.count(Event::RefusedSealedElsewhere),
            (Err(_), _) => {}
        }
        ingested
    }

    fn file(
        self,
        fate: &Arc<Fate>,
        id: &RecordingId,
        media: &[u8],
        key: &WrappingKey,
    ) -> Result<Vec<u8>, sealtape::sealed::Error> {
        let sealing = Sealing {
            id: id.clone(),
            role: Role::Media,
            media_type: "audio/ogg".parse().expect("a media type"),
            chunk_len: self.chunk_len,
            mended: false,
            sealed_at: (fate.clock())(),
        };
        let (mut sealer, header) = Sealer::new(sealing, key.fingerprint, &key.key)?;
        let mut file = header.to_vec();
        sealer.update(media, &mut file)?;
        let _sealed = sealer.finish(&mut file);
        // Without its first bytes nobody could tell that it was sealed.
        let at = SALT.end + (file.len() - SALT.end) * self.permille as usize / 1000;
        match self.harm {
            Harm::None => {}
            Harm::Turned => file[at] ^= 1 << (self.permille % 8),
            Harm::Short { .. } => file.truncate(at),
        }
        Ok(file)
    }
}
