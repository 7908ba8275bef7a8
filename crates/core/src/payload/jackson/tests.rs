//! Faults of texts and Jackson's words for them.

use super::*;

#[test]
fn complaints_are_jacksons() {
    for (text, wanted) in [
        ("not json", format!("Unrecognized token 'not': was expecting {VALUES}")),
        ("nul", format!("Unrecognized token 'nul': was expecting {VALUES}")),
        ("truex", format!("Unrecognized token 'truex': was expecting {VALUES}")),
        ("[False]", format!("Unrecognized token 'False': was expecting {VALUES}")),
        (r#"{"a": undefined}"#, format!("Unrecognized token 'undefined': was expecting {VALUES}")),
        ("{} x", format!("Unrecognized token 'x': was expecting {VALUES}")),
        ("<a/>", format!("Unexpected character ('<' (code 60)): expected a valid value {VALUES}")),
        ("'a'", format!("Unexpected character (''' (code 39)): expected a valid value {VALUES}")),
        ("[1,]", format!("Unexpected character (']' (code 93)): expected a valid value {VALUES}")),
        (
            "\u{feff}{}",
            format!("Unexpected character ('\u{feff}' (code 65279 / 0xfeff)): expected a valid value {VALUES}"),
        ),
    ] {
        assert_eq!(complaint(text).map(|c| c.message), Some(wanted), "{text}");
    }
    for (text, wanted) in [
        ("{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
        ("{a: 1}", "Unexpected character ('a' (code 97)): was expecting double-quote to start field name"),
        ("{\"a\":1,}", "Unexpected character ('}' (code 125)): was expecting double-quote to start field name"),
        ("{\"a\" 1}", "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value"),
        ("{\"a\":1 \"b\":2}", "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries"),
        ("[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries"),
        ("{\"a\":}", "Unexpected character ('}' (code 125)): expected a value"),
        ("", "No content to map due to end-of-input"),
        (" \n", "No content to map due to end-of-input"),
        ("\"abc", "Unexpected end-of-input: was expecting closing quote for a string value"),
        ("{\"abc", "Unexpected end-of-input in field name"),
        ("{\"a\"", "Unexpected end-of-input within/between Object entries"),
        ("{\"a\":", "Unexpected end-of-input within/between Object entries"),
        ("{\"a\":1,", "Unexpected end-of-input within/between Object entries"),
        ("[1,", "Unexpected end-of-input within/between Array entries"),
        ("-", "Unexpected end-of-input in a Number value"),
        (
            "-a",
            "Unexpected character ('a' (code 97)) in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value",
        ),
        ("01", "Invalid numeric value: Leading zeroes not allowed"),
        ("[1.]", "Unexpected character (']' (code 93)) in numeric value: Decimal point not followed by a digit"),
        ("1e", "Unexpected character ('e' (code 101)) in numeric value: Exponent indicator not followed by a digit"),
        ("1a", "Unexpected character ('a' (code 97)): Expected space separating root-level values"),
        ("NaN", "Non-standard token 'NaN': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"),
        ("[-Infinity]", "Non-standard token '-Infinity': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"),
        (
            "\"\n\"",
            "Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using backslash to be included in string value",
        ),
        (
            "{\"\t\":1}",
            "Illegal unquoted character ((CTRL-CHAR, code 9)): has to be escaped using backslash to be included in name",
        ),
        (
            "\u{1}{}",
            "Illegal character ((CTRL-CHAR, code 1)): only regular white space (\\r, \\n, \\t) is allowed between tokens",
        ),
        ("\"\\x\"", "Unrecognized character escape 'x' (code 120)"),
        ("\"\\u00zz\"", "Unexpected character ('z' (code 122)): expected a hex-digit for character escape sequence"),
        (
            "// a\n{}",
            "Unexpected character ('/' (code 47)): maybe a (non-standard) comment? (not recognized as one since Feature 'ALLOW_COMMENTS' not enabled for parser)",
        ),
        (
            "{} {}",
            "Trailing token (of type START_OBJECT) found after value (bound as `com.fasterxml.jackson.databind.JsonNode`): not allowed as per `DeserializationFeature.FAIL_ON_TRAILING_TOKENS`",
        ),
    ] {
        assert_eq!(complaint(text).map(|c| c.message).as_deref(), Some(wanted), "{text}");
    }
    let open = complaint("{\n \"a\": [1").unwrap();
    assert_eq!(
        (open.message.as_str(), open.offset),
        (
            "Unexpected end-of-input: expected close marker for Array (start marker at [Source: REDACTED \
             (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 2, column: 7])",
            10
        )
    );
    assert!(
        complaint("[1}")
            .unwrap()
            .message
            .starts_with("Unexpected close marker '}': expected ']' (for Array starting at ")
    );
}

#[test]
fn half_a_surrogate_pair_is_named_with_its_place() {
    for (text, unit, character) in [
        (r#""\ud83d""#, "\\ud83d", 2),
        (r#"{"é":"ab\uDE00"}"#, "\\ude00", 9),
        (r#"["\ud83d\ud83d\ude00"]"#, "\\ud83d", 3),
    ] {
        let wanted = format!(
            "Half of a surrogate pair: {unit} at character {character} stands for no character without its other half"
        );
        assert_eq!(complaint(text).map(|c| c.message), Some(wanted), "{text}");
    }
    assert_eq!(complaint(r#""\ud83d\ude00""#), None);
}

#[test]
fn what_is_json_has_no_complaint_and_what_is_none_has_one() {
    for text in ["null", " [1, -2.5e+3, {\"a\": {}, \"b\": []}, \"\\u00e9\\n\", true, false]\n", "0", "-0.0", "{}"] {
        assert_eq!(complaint(text), None, "{text}");
    }
}

proptest::proptest! {
    /// Jackson's reader refuses the same texts as serde_json, except for numbers that are too large.
    #[test]
    fn both_readers_agree(text in "[\\[\\]{}:,\"a\\\\nu0 1.eE+\\-tr]{0,14}") {
        let refused = match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(_) => false,
            Err(e) => !e.to_string().contains("number out of range"),
        };
        proptest::prop_assert_eq!(complaint(&text).is_some(), refused, "{}", text);
    }
}
