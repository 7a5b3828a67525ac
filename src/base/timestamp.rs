//! Points in time in whole milliseconds, as the sealed file and the database keep them.

use core::{fmt, str::FromStr};

use super::Error;

/// Unix time in milliseconds, 0 to the end of the year 9999; shown as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The latest time that can be held: 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// A time from Unix milliseconds; `None` past the year 9999.
    #[must_use]
    pub fn from_millis(millis: u64) -> Option<Self> {
        (millis <= Self::MAX.0).then_some(Self(millis))
    }

    /// Unix time in milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.0
    }

    /// Unix time in whole seconds, as HTTP dates need it.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl Timestamp {
    /// A time by which others are bounded: a time of RFC 3339, or a date, which is its first moment in UTC. One before
    /// 1970 bounds as 1970 does.
    #[must_use]
    pub fn bound(text: &str) -> Option<Self> {
        let parse = |text: &str| text.parse::<jiff::Timestamp>().ok();
        let time = parse(text).or_else(|| parse(&format!("{text}T00:00:00Z")))?;
        Self::from_millis(u64::try_from(time.as_millisecond()).unwrap_or(0))
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let broken = || Error::Timestamp(text.into());
        let time: jiff::Timestamp = text.parse().map_err(|_| broken())?;
        u64::try_from(time.as_millisecond()).ok().and_then(Self::from_millis).ok_or_else(broken)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In range by construction; the last second of 9999 is all that jiff refuses, so it is cut to what it takes.
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_times_or_dates() {
        let millis = |text| Timestamp::bound(text).map(Timestamp::millis);
        assert_eq!(millis("1970-01-02"), Some(86_400_000));
        assert_eq!(millis("1970-01-01T01:00:01+01:00"), Some(1000));
        assert_eq!(millis("0891-09-26"), Some(0));
        for bad in ["", "1970", "1970-13-01", "soon", "1970-01-01T"] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }

    #[test]
    fn text_round_trips() {
        let time = Timestamp::from_millis(1_764_000_000_123).expect("in range");
        assert_eq!(time.to_string(), "2025-11-24T16:00:00.123Z");
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!(Timestamp::from_millis(0).map(|time| time.to_string()).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        assert!(Timestamp::MAX.to_string().starts_with("9999-12-"), "{}", Timestamp::MAX);
    }

    #[test]
    fn seconds_are_those_that_are_over() {
        let seconds = |millis| Timestamp::from_millis(millis).map(Timestamp::seconds);
        assert_eq!((seconds(999), seconds(1000), seconds(2999)), (Some(0), Some(1), Some(2)));
    }

    #[test]
    fn times_outside_the_format_are_refused() {
        assert_eq!(Timestamp::from_millis(Timestamp::MAX.millis() + 1), None);
        for bad in ["", "yesterday", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad:?}");
        }
    }
}
