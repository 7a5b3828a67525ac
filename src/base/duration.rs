//! Times as people write them: `90s`, `15m`, `1h 30m`, `365d`.

use core::time::Duration;

/// Reads a time, which may be nothing; none when the text is no time, or goes backwards. A day is 24 hours.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    if let Some(days) = text.strip_suffix('d').filter(|days| days.bytes().all(|byte| byte.is_ascii_digit())) {
        let days: u32 = days.parse().ok()?;
        return Some(Duration::from_secs(u64::from(days) * 24 * 60 * 60));
    }
    let duration: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(duration).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h 30m", 5400), ("0s", 0), ("PT2M", 120), ("2d", 172_800)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "soon", "-5m", "15", "1 d", "d", "-1d", "1.5d"] {
            assert_eq!(parse_duration(bad), None, "{bad:?}");
        }
    }
}
