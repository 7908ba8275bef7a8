//! Strings, JSON texts, Base64, hashes: kinds of arguments are checked by the caller.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::Digest as _;

use super::as_text;
use super::limits::TEXT_CHARS_MAX;
use crate::query::java;

/// AWS's text.
pub(super) const HOLES_DO_NOT_MATCH: &str =
    "Invalid arguments in States.Format: number of arguments do not match the occurrences of {}.";

/// A part of a `States.Format` template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// `{}`
    Hole,
}

/// Reads a template; `\{`, `\}`, `\'` and `\\` stand for the character itself.
///
/// The error is AWS's text.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, String> {
    let mut out = Vec::new();
    let mut text = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next_if(|next| matches!(next, '{' | '}' | '\'' | '\\')).unwrap_or('\\')),
            '{' if chars.next_if_eq(&'}').is_some() => {
                if !text.is_empty() {
                    out.push(Piece::Text(std::mem::take(&mut text)));
                }
                out.push(Piece::Hole);
            }
            '{' => return Err("Invalid template in States.Format: matching '}' not found for '{'.".to_owned()),
            '}' => return Err("Invalid template in States.Format: matching '{' not found for '}'.".to_owned()),
            c => text.push(c),
        }
    }
    if !text.is_empty() {
        out.push(Piece::Text(text));
    }
    Ok(out)
}

pub(super) fn holes(pieces: &[Piece]) -> usize {
    pieces.iter().filter(|piece| **piece == Piece::Hole).count()
}

/// The template with each `{}` replaced by the next value, written as Java writes it.
pub(super) fn format(template: Option<Cow<'_, [Piece]>>, values: &[Cow<'_, Value>]) -> Result<Value, String> {
    let (first, rest) = values.split_first().ok_or(HOLES_DO_NOT_MATCH)?;
    let template = match template {
        Some(template) => template,
        None => Cow::Owned(pieces(first.as_str().unwrap_or_default())?),
    };
    if holes(&template) != rest.len() {
        return Err(HOLES_DO_NOT_MATCH.to_owned());
    }
    let mut out = String::new();
    let mut rest = rest.iter();
    for piece in template.iter() {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Hole => rest.by_ref().take(1).for_each(|value| java::write(&mut out, value)),
        }
    }
    Ok(Value::String(out))
}

/// The JSON that the string holds; recorded on AWS: a blank string is null.
pub(super) fn string_to_json(text: &Value) -> Result<Value, String> {
    let text = text.as_str().unwrap_or_default().trim();
    match text {
        "" => Ok(Value::Null),
        // Recorded on AWS; serde_json reads a float.
        "-0" => Ok(Value::from(0)),
        text => serde_json::from_str(text).map_err(|e| format!("the string is no JSON: {e}")),
    }
}

/// Parts between any of the characters of `delimiters`; empty parts are dropped (recorded on AWS).
pub(super) fn split(text: &Value, delimiters: &Value) -> Value {
    let delimiters = delimiters.as_str().unwrap_or_default();
    let parts = text.as_str().unwrap_or_default().split(|c| delimiters.contains(c)).filter(|part| !part.is_empty());
    Value::Array(parts.map(Value::from).collect())
}

fn bounded(text: &str) -> Result<(), String> {
    // A character has at least one byte, so most texts need no counting.
    if text.len() > TEXT_CHARS_MAX && text.chars().count() > TEXT_CHARS_MAX {
        return Err(format!("the string has more than {TEXT_CHARS_MAX} characters"));
    }
    Ok(())
}

pub(super) fn base64_encode(text: &Value) -> Result<Value, String> {
    let text = text.as_str().unwrap_or_default();
    bounded(text)?;
    Ok(Value::String(STANDARD.encode(text)))
}

/// As lenient as AWS was seen to be, which is as Apache's codec: other characters are skipped, `-` and `_` are read,
/// the first `=` ends the data, missing padding is no fault.
pub(super) fn base64_decode(text: &Value) -> Result<Value, String> {
    let text = text.as_str().unwrap_or_default();
    bounded(text)?;
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0u32, 0u32);
    for c in text.bytes().take_while(|c| *c != b'=') {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        held = (held << 6) | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xFF).unwrap_or_else(|_| unreachable!("masked to 8 bits")));
        }
    }
    Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The digest in hexadecimal. AWS was seen to hash the JSON text of a value that is no string.
pub(super) fn hash(data: &Value, algorithm: &Value) -> Result<Value, String> {
    let data = as_text(data);
    bounded(&data)?;
    let digest = match algorithm.as_str().unwrap_or_default() {
        "MD5" => hex::encode(md5::Md5::digest(data.as_bytes())),
        "SHA-1" => hex::encode(sha1::Sha1::digest(data.as_bytes())),
        "SHA-256" => hex::encode(sha2::Sha256::digest(data.as_bytes())),
        "SHA-384" => hex::encode(sha2::Sha384::digest(data.as_bytes())),
        "SHA-512" => hex::encode(sha2::Sha512::digest(data.as_bytes())),
        other => return Err(format!("the algorithm '{other}' is none of MD5, SHA-1, SHA-256, SHA-384, SHA-512")),
    };
    Ok(Value::String(digest))
}

/// The fields of both, the second wins. AWS supports the shallow mode only.
pub(super) fn json_merge(values: Vec<Cow<'_, Value>>) -> Result<Value, String> {
    let mut values = values.into_iter();
    let mut fields = || match values.next().map(Cow::into_owned) {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (mut merged, second) = (fields(), fields());
    if values.next().is_some_and(|deep| *deep == Value::Bool(true)) {
        return Err("the deep mode is not supported, the third argument must be false".to_owned());
    }
    merged.extend(second);
    Ok(Value::Object(merged))
}
