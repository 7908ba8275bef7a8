//! Times and durations as people read them.

use std::time::Duration;

use serde_json::Value;

use crate::clock::Timestamp;

/// `40 ms`, `3.2 s`, `5 min 10 s`, `2 h 5 min`, `3 d 4 h`, `1 y 20 d`: two units, never more.
#[must_use]
pub(super) fn duration(duration: Duration) -> String {
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

/// `90s`, `15m`, `12h`, `7d`.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| "an age is a number with s, m, h or d: 15m".to_owned())?;
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(format!("'{unit}' is no unit of time here; allowed: s, m, h, d")),
    };
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

/// A timestamp of the API: epoch seconds with a fraction.
pub(super) fn parse(value: &Value) -> Option<Timestamp> {
    value.as_f64().map(|seconds| Timestamp::default().plus_seconds(seconds))
}

/// `2026-11-22 18:47:20` in UTC.
pub(super) fn moment(value: &Value) -> String {
    parse(value).map_or_else(|| "-".to_owned(), |at| at.to_jiff().strftime("%Y-%m-%d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_and_nonsense_is_told() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(age(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "7", "d", "7y", "-1d"] {
            assert!(age(text).is_err(), "{text}");
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
