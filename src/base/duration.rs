//! Times as people write them: `90s`, `15m`, `1h 30m`.

use core::time::Duration;

/// Reads a time, which may be nothing; none when the text is no time, or goes backwards.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let duration: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(duration).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h 30m", 5400), ("0s", 0), ("PT2M", 120)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "soon", "-5m", "15", "1d"] {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
        }
    }
}
