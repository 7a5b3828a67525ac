//! Sound: containers and codecs that anybody may have made are decoded, or not, within bounds.

use std::{panic::catch_unwind, time::Duration};

use sealtape::service::Waveform;

/// Longer than a machine that does much else takes for a few kilobytes.
const TIME_MAX: Duration = Duration::from_secs(8);

/// Bytes as media.
pub fn waveform(data: &[u8]) {
    // A decoder that panics is one that made nothing of it, as for a server, whose thread for it ends. libFuzzer stops
    // there all the same: a build that looks for overflow does so where one that is shipped counts on.
    let Ok(Some(waveform)) = catch_unwind(|| Waveform::of_memory(data.to_vec(), TIME_MAX)) else { return };
    let channels = waveform.channels(50);
    assert!(channels.len() <= 8, "{}", channels.len());
    for channel in &channels {
        assert!(channel.len() == 50 || channel.is_empty(), "{}", channel.len());
        assert!(channel.iter().all(|[low, high]| -1.0 <= *low && low <= high && *high <= 1.0), "{channel:?}");
    }
    assert!(channels.is_empty() || waveform.duration().is_some());
}
