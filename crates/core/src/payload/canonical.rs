//! Texts of JSON that are kept as they are, and numbers with more digits than a value holds.

use serde_json::Value;

/// Nesting of a text that is kept unparsed: well below the bound of every reader. A deeper text is parsed at once.
pub(super) const KEPT_LEVELS_MAX: usize = 64;
/// Names of all open objects at one place of a text that is kept unparsed. Each name is compared with the others of its
/// object.
pub(super) const KEPT_NAMES_MAX: usize = 64;

/// The length from which a number may lose digits: a double holds any 15 digits.
const LOSSY_FROM: usize = 16;

/// True where a text, if it is JSON at all, is what serde_json writes of the value that it reads from it: no white
/// space, each name of an object once, escapes in its own form, numbers too where they have no more digits than a value
/// holds. It may be false for a canonical text (many names, deep nesting, rare escapes), which is then parsed.
pub(super) fn is_canonical(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut names = [""; KEPT_NAMES_MAX];
    let mut named = 0;
    // Where the names of each open object or array begin.
    let mut levels = [0_usize; KEPT_LEVELS_MAX];
    let mut level = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let Some(end) = end_of_string(bytes, at + 1) else { return false };
                if bytes.get(end) == Some(&b':') {
                    let Some(name) = text.get(at..end) else { return false };
                    let first = level.checked_sub(1).map_or(0, |open| levels[open]);
                    if named == names.len() || names[first..named].contains(&name) {
                        return false;
                    }
                    names[named] = name;
                    named += 1;
                }
                at = end;
                continue;
            }
            b'{' | b'[' => {
                if level == levels.len() {
                    return false;
                }
                levels[level] = named;
                level += 1;
            }
            b'}' | b']' => {
                let Some(open) = level.checked_sub(1) else { return false };
                (level, named) = (open, levels[open]);
            }
            b'-' | b'0'..=b'9' => {
                let length = number_length(&bytes[at..]);
                if !text.get(at..at + length).is_some_and(is_canonical_number) {
                    return false;
                }
                at += length;
                continue;
            }
            b' ' | b'\t' | b'\n' | b'\r' => return false,
            _ => {}
        }
        at += 1;
    }
    true
}

/// The place behind the closing quote of the string that begins at `at`; `None` where serde_json would write it
/// differently.
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += plain(bytes.get(at..)?);
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' if matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't')) => at += 2,
            _ => return None,
        }
    }
}

/// How many bytes come before the first quote, backslash or control character. Eight are looked at in one step: half of
/// a payload's bytes stand in strings, and each payload is read here.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    // The lowest high bit that is set marks the first zero byte; bits above it may be wrong.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, _) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
        if found != 0 {
            return n * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let at = words.len() * 8;
    let rest = bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    at + rest.unwrap_or(bytes.len() - at)
}

fn is_canonical_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit()) {
        // `-0` is a fraction to serde_json.
        return text == "0" || (!digits.starts_with('0') && !digits.is_empty());
    }
    written(text).is_some_and(|number| number == text || loses_digits(text, &number))
}

/// A number as serde_json writes it.
fn written(text: &str) -> Option<String> {
    serde_json::from_str::<serde_json::Number>(text).ok().map(|number| number.to_string())
}

/// True where the two are not the same number.
fn loses_digits(text: &str, written: &str) -> bool {
    text.len() >= LOSSY_FROM && decimal(text) != decimal(written)
}

/// Sign, digits without zeros at either end, and the power of ten of the last digit.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i64 = exponent.parse().ok()?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Some((false, String::new(), 0));
    }
    let cut = i64::try_from(digits.len() - kept.len()).ok()?;
    let places = i64::try_from(fraction.len()).ok()?;
    Some((negative, kept.to_owned(), exponent.checked_sub(places)?.checked_add(cut)?))
}

/// The text as serde_json would write its value, with the digits of all numbers; `None` where none would be lost. The
/// value is that of the text.
pub(super) fn digits_kept(text: &str, value: &Value) -> Option<String> {
    let bytes = text.as_bytes();
    if !bytes.chunk_by(|a, b| is_of_number(*a) && is_of_number(*b)).any(|run| run.len() >= LOSSY_FROM) {
        return None;
    }
    let mut compact = String::with_capacity(text.len());
    let (mut kept, mut names) = (false, 0);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let length = match byte {
            b'"' => {
                let length = string_length(&bytes[at..])?;
                let string = text.get(at..at + length)?;
                if end_of_string(bytes, at + 1) == Some(at + length) {
                    compact.push_str(string);
                } else {
                    compact.push_str(&serde_json::to_string(&serde_json::from_str::<String>(string).ok()?).ok()?);
                }
                length
            }
            b'-' | b'0'..=b'9' => {
                let length = number_length(&bytes[at..]);
                let number = text.get(at..at + length)?;
                let written = written(number)?;
                if loses_digits(number, &written) {
                    compact.push_str(number);
                    kept = true;
                } else {
                    compact.push_str(&written);
                }
                length
            }
            b' ' | b'\t' | b'\n' | b'\r' => 1,
            other => {
                names += usize::from(*other == b':');
                compact.push(char::from(*other));
                1
            }
        };
        at += length;
    }
    // A name that stands twice in one object: only the value knows which one counts.
    (kept && names == names_in(value)).then_some(compact)
}

/// Names of all objects inside.
fn names_in(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.len() + fields.values().map(names_in).sum::<usize>(),
        Value::Array(items) => items.iter().map(names_in).sum(),
        _ => 0,
    }
}

/// The length of a string with both quotes.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn number_length(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| is_of_number(**b)).count()
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Payload;
    use super::*;

    #[test]
    fn a_payload_that_is_passed_on_keeps_all_digits() {
        for (text, kept) in [
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("-18446744073709551616", "-18446744073709551616"),
            ("0.1234567890123456789", "0.1234567890123456789"),
            ("[ 3.14159265358979323846 ,1.50 , 1e2]", "[3.14159265358979323846,1.5,100.0]"),
            (r#"{"a" : 12345678901234567890123, "\u0062":"\/"}"#, r#"{"a":12345678901234567890123,"b":"/"}"#),
            ("1.00000000000000000000000000000000000001e5", "1.00000000000000000000000000000000000001e5"),
            // Nothing is lost: this is serde_json's own form.
            ("1.0000000000000000000000", "1.0"),
            ("100000000000000000000000", "1e+23"),
            ("0.000000000000000000000000000", "0.0"),
        ] {
            let payload = Payload::parse(text).unwrap();
            assert_eq!(payload.text(), kept, "{text}");
            // The journal reads the text that it wrote.
            let read: Payload = serde_json::from_str(&serde_json::to_string(&payload).unwrap()).unwrap();
            assert_eq!(read.text(), kept, "{text}");
            assert_eq!(payload, read);
        }
    }

    #[test]
    fn objects_with_many_names_keep_their_digits_too() {
        let fields: Vec<String> = (0..200).map(|n| format!("\"{n}\":12345678901234567890{n}")).collect();
        let text = format!("{{{}}}", fields.join(","));
        let payload = Payload::parse(text.as_str()).unwrap();
        assert_eq!(payload.text(), text);
        let read: Payload = serde_json::from_str(&serde_json::to_string(&payload).unwrap()).unwrap();
        assert_eq!(read.text(), text);
    }

    /// The last one counts, as without long numbers.
    #[test]
    fn a_name_that_stands_twice_is_left_to_the_value() {
        let payload = Payload::parse(r#"{"a":12345678901234567890123,"a":1}"#).unwrap();
        assert_eq!(payload.text(), r#"{"a":1}"#);
    }

    proptest! {
        #[test]
        fn strings_end_where_a_search_byte_by_byte_says(bytes in prop::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\\'), Just(b'!'), Just(b'#'), Just(b'['), Just(b']'), Just(0xa2), 0x1e_u8..0x22, any::<u8>()], 0..40,
        )) {
            let first = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            prop_assert_eq!(plain(&bytes), first.unwrap_or(bytes.len()));
        }

        /// Every number keeps its digits, or gets another form of the same number.
        #[test]
        fn no_number_changes(number in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?") {
            let payload = Payload::parse(number.as_str()).unwrap();
            prop_assert_eq!(decimal(payload.text()), decimal(&number));
        }
    }
}
