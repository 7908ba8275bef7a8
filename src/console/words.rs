//! Times, durations and counts in words.

use std::fmt::Write;

use maud::{Markup, html};

use crate::clock::{self, Timestamp};

pub fn since(from: Timestamp, now: Timestamp) -> String {
    clock::duration(now.since(from))
}

/// A moment. The browser shows it in its own time zone; without scripts it is in UTC.
pub fn moment(at: Timestamp) -> Markup {
    let utc = at.to_jiff().strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! { time datetime=(at.iso()) { (utc) } }
}

/// `12,408`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The same of a number that was counted up to a bound: `10,000+` at the bound.
pub fn count_to(n: u64, bound: u64) -> String {
    if n >= bound { format!("{}+", count(bound)) } else { count(n) }
}

/// `1 answer`, `3 answers`.
pub fn many(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

/// The last part of a resource: `amqp:publish.waitForTaskToken`.
pub fn resource(arn: &str) -> &str {
    arn.rsplit_once(":::").map_or_else(|| arn.rsplit(':').next().unwrap_or(arn), |(_, last)| last)
}

/// A value for the query of an address.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// JSON with indentation, numbers as they were written; text that is no JSON as it is.
pub fn pretty(text: &str) -> String {
    let Ok(value) = serde_json::from_str::<Box<serde_json::value::RawValue>>(text) else { return text.to_owned() };
    indented(value.get())
}

/// Indents by the structure of the text alone, so that each number keeps all of its digits.
fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut chars = text.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            (escaped, in_text) = (c == '\\' && !escaped, c != '"' || escaped);
            continue;
        }
        match c {
            '"' => {
                in_text = true;
                out.push(c);
            }
            '{' | '[' => {
                while chars.next_if(|c| c.is_whitespace()).is_some() {}
                out.push(c);
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_its_numbers_keep_their_digits() {
        let text = r#"{"a":[1.100,{"b":"x\"{,:}\\"},[],{}],"n":123456789012345678901234567890}"#;
        let shown = "{\n  \"a\": [\n    1.100,\n    {\n      \"b\": \"x\\\"{,:}\\\\\"\n    },\n    [],\n    {}\n  ],\n  \"n\": 123456789012345678901234567890\n}";
        assert_eq!(pretty(text), shown);
        assert_eq!(pretty(&pretty(text)), shown);
        assert_eq!(pretty("{ }"), "{}");
        assert_eq!(pretty("no json <b>"), "no json <b>");
    }

    #[test]
    fn words_for_numbers_and_times() {
        assert_eq!((count(7), count(1_234), count(12_408_000)), ("7".into(), "1,234".into(), "12,408,000".into()));
        assert_eq!((many(1, "answer"), many(0, "answer")), ("1 answer".to_owned(), "0 answers".to_owned()));
        assert_eq!(resource("arn:aws:states:::amqp:publish.waitForTaskToken"), "amqp:publish.waitForTaskToken");
        assert_eq!(resource("arn:aws:states:us-east-1:1:activity:paint"), "paint");
        assert_eq!(encoded("/States/A & B#?"), "/States/A%20%26%20B%23%3F");
    }
}
