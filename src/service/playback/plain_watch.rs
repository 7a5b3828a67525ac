//! Shows how many recordings lie in plain, for whoever means to have none.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::Playback;
use crate::service::meter::METER;

/// How often they are counted at most: each of them is an entry of an index that is gone through.
const COUNTED_EVERY: Duration = Duration::from_secs(15);

impl Playback {
    /// Counts recordings that lie in plain, and again when the database has changed, until it is dropped. While it
    /// cannot be asked, the last count stays.
    pub async fn watch_plain(self: Arc<Self>) {
        let mut counted_in = None;
        let mut ticks = interval(COUNTED_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let epoch = self.keys.epoch();
            if counted_in == Some(epoch) {
                continue;
            }
            if let Ok(count) = self.database.plain_count().await {
                METER.show_plain(&count);
                counted_in = Some(epoch);
            }
        }
    }
}
