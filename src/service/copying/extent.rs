//! How much there is to copy, and what a copy cannot reach, as the catalogue tells.

use super::{Copying, Error};
use crate::access::RecordingSet;
use crate::catalogue::RecordingState;

/// How many rows are asked for at a time.
const PAGE_LEN: u32 = 1000;

/// What the catalogue has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Recordings.
    pub recordings: u64,
    /// Bytes of media, of those that lie in a store.
    pub media_len: u64,
    /// Plain recordings that lie outside every store, where they were catalogued.
    pub outside: u64,
    /// Recordings that wait in the spool of a proxy.
    pub spooled: u64,
}

impl Copying {
    /// How much there is.
    ///
    /// # Errors
    ///
    /// The catalogue.
    pub async fn extent(&self) -> Result<Extent, Error> {
        let (mut extent, mut cursor) = (Extent::default(), None);
        loop {
            let page = self.database.recordings(cursor.as_ref(), PAGE_LEN, &RecordingSet::All).await?;
            for row in page.recordings {
                extent.recordings += 1;
                let is_live = matches!(row.state_at((self.clock)()), RecordingState::Recording { .. });
                match (row.content.outside(), row.spool) {
                    (Some(_), _) => extent.outside += 1,
                    (None, Some(_)) => extent.spooled += 1,
                    (None, None) if is_live => {}
                    (None, None) => extent.media_len += row.media_len,
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(extent);
            }
        }
    }
}
