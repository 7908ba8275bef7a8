//! The form of a body that is not the JSON that it should be. Its description lets the sender find the fault in his own
//! settings: a compression, a charset, a byte order mark.

use crate::bus::Message;

const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
/// Of a property that is repeated in a reason.
const QUOTED_CHARS_MAX: usize = 60;

/// The body without a byte order mark of UTF-8, which a reader of JSON may pass over (RFC 8259, section 8.1).
#[must_use]
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(UTF8_MARK).unwrap_or(body)
}

/// Why the body of `message` is no JSON: its looks, the claims of its properties, and the place where a reader of JSON
/// stopped. Holds nothing of the body.
#[must_use]
pub fn why_no_json(what: &str, message: &Message, error: &serde_json::Error) -> String {
    let p = &message.properties;
    let said: Vec<String> = [("content_encoding", &p.content_encoding), ("content_type", &p.content_type)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .filter(|(_, value)| !["application/json", "utf-8", "identity", ""].contains(value))
        .map(|(name, value)| format!("{name}: {}", quoted(value)))
        .collect();
    let said = if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) };
    match looks_like(&message.body) {
        Some(form) => format!("{what} is not JSON: {form}{said}"),
        None => format!("{what} is not JSON: {error}{said}"),
    }
}

fn looks_like(body: &[u8]) -> Option<String> {
    let compressed: [(&[u8], &str); 4] =
        [(&[0x1f, 0x8b], "gzip"), (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"), (b"BZh", "bzip2"), (&[0xfd, b'7', b'z'], "xz")];
    if let Some((_, name)) = compressed.iter().find(|(magic, _)| body.starts_with(magic)) {
        return Some(format!("it is compressed with {name}; answer without compression"));
    }
    // The header of a zlib stream is a multiple of 31.
    if let [0x78, flags, ..] = body
        && (0x7800 + u32::from(*flags)).is_multiple_of(31)
        && std::str::from_utf8(body).is_err()
    {
        return Some("it is compressed with zlib; answer without compression".to_owned());
    }
    let wide = match body {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("a byte order mark says UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("a byte order mark says UTF-16"),
        [first, 0, ..] | [0, first, ..] if *first != 0 => Some("zero bytes between the others look like UTF-16"),
        _ => None,
    };
    if let Some(sign) = wide {
        return Some(format!("{sign}, JSON is UTF-8"));
    }
    if let Some(rest) = body.strip_prefix(UTF8_MARK)
        && rest.is_empty()
    {
        return Some("it holds a byte order mark and nothing else".to_owned());
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Some("it is blank".to_owned());
    }
    let error = std::str::from_utf8(body).err()?;
    Some(format!("it is not UTF-8 from byte {} on, as a text of another charset", error.valid_up_to()))
}

fn quoted(value: &str) -> String {
    let short: String = value.chars().take(QUOTED_CHARS_MAX).collect();
    short.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(body: &[u8], encoding: &str, kind: &str) -> String {
        let mut message = Message { body: body.to_vec(), ..Message::default() };
        message.properties.content_encoding =
            Some(encoding.to_owned().into()).filter(|e: &crate::bus::Text| !e.is_empty());
        message.properties.content_type = Some(kind.to_owned().into()).filter(|t: &crate::bus::Text| !t.is_empty());
        let body = without_mark(&message.body);
        let error = serde_json::from_slice::<serde_json::Value>(body).expect_err("no JSON");
        why_no_json("the output", &message, &error)
    }

    #[test]
    fn the_fault_is_named() {
        let utf16: Vec<u8> = "\u{feff}{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (body, encoding, kind, expected) in [
            (
                &[0x1f, 0x8b, 8, 0][..],
                "gzip",
                "application/json",
                "it is compressed with gzip; answer without compression (content_encoding: gzip)",
            ),
            (&[0x78, 0x9c, 0xab, 0x56], "utf-8", "", "compressed with zlib"),
            (
                &utf16,
                "",
                "application/json; charset=utf-16",
                "a byte order mark says UTF-16, JSON is UTF-8 (content_type: application/json; charset=utf-16)",
            ),
            (&utf16[2..], "", "", "look like UTF-16"),
            (
                b"{\"a\":\"\xe9\"}",
                "",
                "text/plain; charset=iso-8859-1",
                "not UTF-8 from byte 6 on, as a text of another charset (content_type: text/plain; charset=iso-8859-1)",
            ),
            (UTF8_MARK, "", "", "a byte order mark and nothing else"),
            (b" \n", "", "", "it is blank"),
            (b"sent to ann", "", "text/plain", "expected value at line 1 column 1 (content_type: text/plain)"),
            (b"x-ray", "", "", "expected value at line 1 column 1"),
            (b"{\"a\":\n NaN}", "identity", "application/json", "expected value at line 2 column 2"),
            (b"[1]\0", "", "", "trailing characters at line 1 column 4"),
        ] {
            let said = why(body, encoding, kind);
            assert!(said.starts_with("the output is not JSON: ") && said.contains(expected), "{said}");
        }
        assert!(why(b"x", &"long\n".repeat(100), "").len() < 200);
    }

    #[test]
    fn a_mark_is_passed_over_once() {
        assert_eq!(without_mark(b"\xef\xbb\xbf{}"), b"{}");
        assert_eq!(without_mark(b"\xef\xbb\xbf\xef\xbb\xbf1"), b"\xef\xbb\xbf1");
        assert_eq!(without_mark(b""), b"");
    }
}
