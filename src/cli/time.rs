//! Times and durations as people read them.

use std::time::Duration;

use serde_json::Value;

use crate::clock::Timestamp;
pub(super) use crate::clock::duration;

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
}
