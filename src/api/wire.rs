//! Small types of AWS JSON that many operations share.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::payload::refusal;

use super::error::ApiError;

/// A moment as AWS JSON writes it: seconds since 1970, with a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochSeconds(pub Timestamp);

impl Serialize for EpochSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.epoch_seconds())
    }
}

impl From<Timestamp> for EpochSeconds {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

/// An answer without members.
#[derive(Debug, Serialize)]
pub struct Empty {}

/// `inputDetails`, `outputDetails` of an execution.
#[derive(Debug, Serialize)]
pub struct Included {
    pub included: bool,
}

/// `includedData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IncludedData {
    #[default]
    AllData,
    MetadataOnly,
}

impl IncludedData {
    pub fn all(self) -> bool {
        self == Self::AllData
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    #[serde(default)]
    pub key: String,
    #[serde(default)]
    pub value: String,
}

/// Checks that a text is JSON within the size limit. It reads the text as the interpreter will, and builds no value.
/// The error quotes at most one word of the text.
pub fn json_text(what: &str, text: &str) -> Result<(), String> {
    let max = crate::limits::PAYLOAD_BYTES_MAX;
    if text.len() > max {
        return Err(format!("{what} exceeds the maximum of {max} bytes"));
    }
    let nested_max = crate::limits::JSON_DEPTH_MAX - 1;
    match serde_json::from_str::<Readable>(text) {
        Ok(Readable) => Ok(()),
        Err(_) if nesting(text) > nested_max => Err(format!("{what} nests deeper than {nested_max} levels")),
        // As AWS: the text of its reader, without a prefix.
        Err(why) => Err(refusal(text, &why)),
    }
}

/// Any JSON value that [`serde_json::Value`] can hold. `IgnoredAny` accepts more: it decodes neither numbers (`1e999`)
/// nor escapes (`\ud800`).
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// The nesting depth of a JSON text that may be too deep to be read.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The `input` of an execution. Recorded: `Invalid State Machine Execution Input: '…'` (AWS shows its JSON parser's own
/// words).
pub fn execution_input(input: Option<String>) -> Result<String, ApiError> {
    let input = input.unwrap_or_else(|| "{}".to_owned());
    json_text("Input", &input).map_err(|why| {
        ApiError::new("InvalidExecutionInput", format!("Invalid State Machine Execution Input: '{why}'"))
    })?;
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_float_of_seconds() {
        let text = serde_json::to_string(&EpochSeconds(Timestamp::from_millis(1_700_000_000_123))).unwrap();
        assert_eq!(text, "1700000000.123");
        assert_eq!(
            serde_json::to_string(&EpochSeconds(Timestamp::from_millis(1_700_000_000_000))).unwrap(),
            "1700000000.0"
        );
    }

    #[test]
    fn input_must_be_json_of_bounded_size() {
        assert_eq!(execution_input(None).unwrap(), "{}");
        assert_eq!(execution_input(Some("\"x\"".into())).unwrap(), "\"x\"");
        let refused = |text: &str| execution_input(Some(text.into())).unwrap_err().to_string();
        let invalid = "InvalidExecutionInput: Invalid State Machine Execution Input: ";
        assert_eq!(
            refused("not json"),
            format!(
                "{invalid}'Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', \
                 'true' or 'false')'"
            )
        );
        assert_eq!(
            refused("{'a':1}"),
            format!("{invalid}'Unexpected character (''' (code 39)): was expecting double-quote to start field name'")
        );
        assert!(refused(r#"{"a":"\ud83d"}"#).contains("Half of a surrogate pair: \\ud83d at character 7 "));
        assert!(!refused("{secret").contains("secret"), "inputs are not repeated");
        assert!(refused(&format!("\"{}\"", "é".repeat(131_072))).contains("262144 bytes"));
        for text in [
            "1e999",
            "[-1e999]",
            r#""\ud800""#,
            r#"{"\ud800":1}"#,
            "{\"a\":1,}",
            "\u{feff}{}",
            "",
            "{} {}",
            "nul",
            "\"\n\"",
        ] {
            assert!(
                serde_json::from_str::<serde_json::Value>(text).is_err() && execution_input(Some(text.into())).is_err(),
                "{text}"
            );
        }
        for text in
            ["null", "true", "-0.0", "1e308", "18446744073709551616", "[[], {}]", r#"{"a":{"b":"\u00e9\n"},"a":2}"#]
        {
            assert!(execution_input(Some(text.into())).is_ok(), "{text}");
        }
        let nested = |levels: usize| format!("{}\"[\\\"[\"{}", "[".repeat(levels), "]".repeat(levels));
        assert!(refused(&nested(128)).contains("127 levels"));
        assert!(execution_input(Some(nested(127))).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&nested(127)).is_ok(), "an accepted text can be read");
    }
}
