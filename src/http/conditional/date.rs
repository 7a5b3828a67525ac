//! HTTP dates, in the three forms that a recipient has to read: RFC 9110, section 5.6.7.
//!
//! ```text
//! Sun, 06 Nov 1994 08:49:37 GMT    IMF-fixdate, the one that is sent
//! Sunday, 06-Nov-94 08:49:37 GMT   RFC 850, obsolete
//! Sun Nov  6 08:49:37 1994         asctime, obsolete
//! ```

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::{DateTime, Weekday};

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// "More than 50 years in the future", in which every fourth has a day more.
const FIFTY_YEARS: i64 = (50 * 365 + 12) * 24 * 60 * 60;

/// A day and a time as they were written.
struct Written<'a> {
    weekday: &'a str,
    day: &'a str,
    month: &'a str,
    year: i16,
    time: &'a str,
}

/// Seconds since 1970 of a date, which may lie before; none when the text is no date, or the day of the week is not
/// that of the date. `now` tells the century of the RFC 850 form.
pub(super) fn parse(text: &[u8], now: SystemTime) -> Option<i64> {
    let text = core::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    match text.split_once(", ") {
        Some((weekday, rest)) if weekday.len() == 3 => imf_fixdate(weekday, rest)?.seconds(),
        Some((weekday, rest)) => rfc850(weekday, rest, now),
        None => asctime(text)?.seconds(),
    }
}

fn imf_fixdate<'a>(weekday: &'a str, rest: &'a str) -> Option<Written<'a>> {
    let mut words = rest.strip_suffix(" GMT")?.split(' ');
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let is_whole = words.next().is_none() && day.len() == 2;
    is_whole.then_some(Written { weekday, day, month, year: number(year, 4)?, time })
}

/// The year has two digits; of those years it is the last one that is at most 50 years ahead.
fn rfc850(weekday: &str, rest: &str, now: SystemTime) -> Option<i64> {
    let (date, time) = rest.strip_suffix(" GMT")?.split_once(' ')?;
    let mut words = date.split('-');
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (None, 2, Some(weekday), year) = (words.next(), day.len(), short_day(weekday), number::<i16>(year, 2)?) else {
        return None;
    };
    let now = now.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok())?;
    let of_century = |century: i16| Written { weekday, day, month, year: century * 100 + year, time };
    let is_near = |date: &Written<'_>| date.date_time().is_some_and(|date| seconds(date) - now <= FIFTY_YEARS);
    (0..=99).rev().map(of_century).find(is_near)?.seconds()
}

fn asctime(text: &str) -> Option<Written<'_>> {
    // Fixed places: the day is two digits, or a space and one.
    let (weekday, month) = (text.get(..3)?, text.get(4..7)?);
    let (day, time, year) = (text.get(8..10)?, text.get(11..19)?, text.get(20..)?);
    let are_spaces = [3, 7, 10, 19].iter().all(|at| text.as_bytes()[*at] == b' ');
    let day = day.strip_prefix(' ').unwrap_or(day);
    are_spaces.then_some(Written { weekday, day, month, year: number(year, 4)?, time })
}

impl Written<'_> {
    fn seconds(&self) -> Option<i64> {
        let date = self.date_time()?;
        let weekday = DAYS.iter().position(|day| day[..3] == *self.weekday)?;
        let weekday = Weekday::from_monday_zero_offset(i8::try_from(weekday).ok()?).ok()?;
        (weekday == date.weekday()).then(|| seconds(date))
    }

    /// Whatever the day of the week. A leap second counts as the one before it.
    fn date_time(&self) -> Option<DateTime> {
        let month = MONTHS.iter().position(|month| *month == self.month)?;
        let (month, day) = (i8::try_from(month).ok()? + 1, number(self.day, self.day.len())?);
        let mut numbers = self.time.split(':').map(|text| number(text, 2));
        let (hour, minute, second) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let second = if second == 60 { 59 } else { second };
        let date = DateTime::new(self.year, month, day, hour, minute, second, 0).ok()?;
        numbers.next().is_none().then_some(date)
    }
}

/// Since 1970, in UTC.
fn seconds(date: DateTime) -> i64 {
    date.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0)).as_secs()
}

fn short_day(long: &str) -> Option<&str> {
    DAYS.contains(&long).then(|| &long[..3])
}

/// Exactly `len` digits.
fn number<T: core::str::FromStr>(text: &str, len: usize) -> Option<T> {
    let is_number = text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_790_000_000) // 2026-09-21
    }

    fn of(text: &str) -> Option<i64> {
        parse(text.as_bytes(), now())
    }

    #[test]
    fn three_forms_are_read() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(of(text), Some(784_111_777), "{text}");
        }
        assert_eq!(of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(of("Wed, 31 Dec 1969 23:59:59 GMT"), Some(-1));
        assert_eq!(of("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
        assert_eq!(of("Fri, 30 Jun 1972 23:59:60 GMT"), of("Fri, 30 Jun 1972 23:59:59 GMT"), "a leap second");
        assert_eq!(of("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
    }

    /// "A timestamp that appears to be more than 50 years in the future" is of the past.
    #[test]
    fn two_digits_of_a_year_are_at_most_fifty_years_ahead() {
        assert_eq!(of("Friday, 01-May-76 00:00:00 GMT"), of("Fri, 01 May 2076 00:00:00 GMT"));
        assert_eq!(of("Saturday, 01-Jan-77 00:00:00 GMT"), of("Sat, 01 Jan 1977 00:00:00 GMT"));
        assert!(of("Saturday, 01-Jan-77 00:00:00 GMT").is_some());
        assert!(of("Friday, 01-May-76 00:00:00 GMT").is_some());
        // To the second, of years that have a leap day every four.
        let limit = 1_790_000_000 + (50 * 365 + 12) * 86_400;
        assert_eq!(of("Sunday, 20-Sep-76 14:13:20 GMT"), Some(limit));
        assert_eq!(of("Sunday, 20-Sep-76 14:13:21 GMT"), None, "that day of 1976 was a Monday");
        assert_eq!(of("Monday, 20-Sep-76 14:13:21 GMT"), of("Mon, 20 Sep 1976 14:13:21 GMT"));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "now",
            "784111777",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Wed, 30 Feb 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06  Nov 1994 08:49:37 GMT",
            "Sun,06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 6-Nov-94 08:49:37 GMT",
            "Monday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov 06 08:49:37 1994 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 94",
            "Sun, 06 Nov 19\u{e4}4 08:49:37 GMT",
        ] {
            assert_eq!(of(text), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Another reader of the same forms agrees, and nothing makes this one panic.
        #[test]
        fn another_reader_agrees(seconds in 0_u32.., noise in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            let date = UNIX_EPOCH + Duration::from_secs(u64::from(seconds));
            let text = httpdate::fmt_http_date(date);
            proptest::prop_assert_eq!(of(&text), Some(i64::from(seconds)));
            parse(&noise, now());
            let mut damaged = text.into_bytes();
            for (at, byte) in noise.iter().take(2).enumerate() {
                let place = usize::from(*byte) % damaged.len();
                damaged[place] = noise[noise.len() - 1 - at];
            }
            let ours = parse(&damaged, now());
            // It reads neither years before 1970 nor leap seconds, and trims.
            if let Some(theirs) = core::str::from_utf8(&damaged).ok().filter(|text| text.trim().len() == text.len())
                .and_then(|text| httpdate::parse_http_date(text).ok())
            {
                let theirs = theirs.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
                proptest::prop_assert_eq!(ours, i64::try_from(theirs).ok());
            }
        }
    }
}
