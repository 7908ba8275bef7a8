//! Time is data: [`Timestamp`] travels inside stimuli and events; only the shell holds a [`Clock`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `40 ms`, `3.2 s`, `5 min 10 s`, `2 h 5 min`, `3 d 4 h`, `1 y 20 d`: two units, never more.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big} {big_unit}"),
        _ => format!("{big} {big_unit} {small} {small_unit}"),
    };
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..10 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        86_400..31_536_000 => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
        _ => two(seconds / 31_536_000, "y", seconds % 31_536_000 / 86_400, "d"),
    }
}

/// Milliseconds since the Unix epoch: the precision that AWS shows in histories and answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Epoch seconds with a fraction, as AWS JSON 1.0 writes timestamps.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ms, that is for 285,000 years")]
    pub fn epoch_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// This moment plus `seconds` (fractions count), held at the ends of the range.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, as intended")]
    pub fn plus_seconds(self, seconds: f64) -> Self {
        Self(self.0.saturating_add((seconds * 1000.0).round() as i64))
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The moment as a calendar type; held at the ends of its range (years -9999..9999).
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }

    /// RFC 3339 in UTC with milliseconds, as AWS's context object shows times: `2024-01-01T00:00:00.000Z`.
    #[must_use]
    pub fn iso(self) -> String {
        format!("{:.3}", self.to_jiff())
    }

    /// Parses an RFC 3339 time, see [`parse_rfc3339`].
    ///
    /// # Errors
    /// The fault, where `text` is no such time.
    pub fn parse_iso(text: &str) -> Result<Self, String> {
        parse_rfc3339(text).map(|t| Self(t.as_millisecond()))
    }
}

/// The one check of timestamps: RFC 3339 as the States Language narrows it, with a capital `T`, and a capital `Z` or an
/// offset of `±hh:mm`. The calendar library takes more (a blank for the `T`, `[UTC]` at the end, `+01`), so the shape
/// is looked at first.
///
/// # Errors
/// The fault, where `text` is no such time.
pub fn parse_rfc3339(text: &str) -> Result<jiff::Timestamp, String> {
    if !is_rfc3339_shaped(text.as_bytes()) {
        return Err(format!("'{text}' is no RFC 3339 timestamp such as 2026-01-31T08:00:00Z"));
    }
    text.parse::<jiff::Timestamp>().map_err(|e| e.to_string())
}

/// `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`, digits not judged by the calendar.
fn is_rfc3339_shaped(text: &[u8]) -> bool {
    let fits = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(c, wanted)| if *wanted == b'0' { c.is_ascii_digit() } else { c == wanted })
    };
    let Some((head, mut tail)) = text.split_at_checked(19) else { return false };
    if !fits(head, b"0000-00-00T00:00:00") {
        return false;
    }
    if let Some(fraction) = tail.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|c| c.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        tail = &fraction[digits..];
    }
    fits(tail, b"Z") || fits(tail, b"+00:00") || fits(tail, b"-00:00")
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso())
    }
}

/// Where the shell reads the time. The core never sees one.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.0)))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    pub fn set(&self, to: Timestamp) {
        self.0.store(to.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_has_three_digits_and_comes_back() {
        let t = Timestamp::from_millis(1_704_067_200_120);
        assert_eq!(t.iso(), "2024-01-01T00:00:00.120Z");
        assert_eq!(Timestamp::parse_iso(&t.iso()), Ok(t));
        assert!(Timestamp::parse_iso("tomorrow").is_err());
    }

    #[test]
    fn a_timestamp_is_rfc_3339_and_nothing_else() {
        for good in [
            "2016-03-14T01:59:00Z",
            "2016-03-14T01:59:00.5Z",
            "2016-03-14T01:59:00.123456789Z",
            "2016-03-14T01:59:00+01:00",
            "2016-03-14T01:59:00.25-11:30",
            "2024-02-29T23:59:59Z",
        ] {
            assert!(parse_rfc3339(good).is_ok(), "{good}");
        }
        for bad in [
            "2016-03-14T01:59:00Z[UTC]",
            "2016-03-14T01:59:00+01:00[Europe/Paris]",
            "2016-03-14t01:59:00Z",
            "2016-03-14T01:59:00z",
            "2016-03-14 01:59:00Z",
            "2016-03-14T01:59Z",
            "2016-03-14T01:59:00",
            "2016-03-14T01:59:00+01",
            "2016-03-14T01:59:00+0100",
            "2016-03-14T01:59:00.Z",
            "2016-03-14T01:59:00,5Z",
            "2016-03-14T015900Z",
            "20160314T01:59:00Z",
            "+002016-03-14T01:59:00Z",
            "2016-13-14T01:59:00Z",
            "2023-02-29T00:00:00Z",
            "2016-03-14T25:59:00Z",
            "2016-03-14T01:59:00+25:99",
            " 2016-03-14T01:59:00Z",
            "2016-03-14T01:59:00Z ",
            "2016-03-14",
            "",
        ] {
            assert!(parse_rfc3339(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_have_at_most_two_units() {
        for (millis, text) in [
            (0, "0 ms"),
            (40, "40 ms"),
            (3_250, "3.2 s"),
            (42_000, "42 s"),
            (310_000, "5 min 10 s"),
            (7_500_000, "2 h 5 min"),
            (259_200_000, "3 d"),
            (273_600_000, "3 d 4 h"),
            (33_264_000_000, "1 y 20 d"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
