//! `Transform.RequestBodyEncoding: URL_ENCODED`: JSON as a form. Pure.
//!
//! Source: AWS developer guide, "URL-encoding request body" (`ArrayFormat`).

use serde_json::Value;

/// How an array is written. Brackets are escaped, as in the request that AWS's guide shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ArrayFormat {
    /// `a[0]=x&a[1]=y`
    #[default]
    Indices,
    /// `a=x&a=y`
    Repeat,
    /// `a=x,y`
    Commas,
    /// `a[]=x&a[]=y`
    Brackets,
}

impl ArrayFormat {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "INDICES" => Self::Indices,
            "REPEAT" => Self::Repeat,
            "COMMAS" => Self::Commas,
            "BRACKETS" => Self::Brackets,
            _ => return None,
        })
    }
}

/// The form of an object; `None` for any other value.
pub(super) fn encode(body: &Value, arrays: ArrayFormat) -> Option<String> {
    let mut pairs = Vec::new();
    for (name, value) in body.as_object()? {
        put(&escape(name), value, arrays, &mut pairs);
    }
    Some(pairs.join("&"))
}

/// Objects inside are `name[member]`, whatever the arrays.
fn put(name: &str, value: &Value, arrays: ArrayFormat, pairs: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                put(&format!("{name}%5B{}%5D", escape(member)), value, arrays, pairs);
            }
        }
        Value::Array(items) if arrays == ArrayFormat::Commas => {
            let items: Vec<String> = items.iter().map(|item| escape(&plain(item))).collect();
            pairs.push(format!("{name}={}", items.join(",")));
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let name = match arrays {
                    ArrayFormat::Indices => format!("{name}%5B{at}%5D"),
                    ArrayFormat::Brackets => format!("{name}%5B%5D"),
                    ArrayFormat::Repeat | ArrayFormat::Commas => name.to_owned(),
                };
                put(&name, item, arrays, pairs);
            }
        }
        simple => pairs.push(format!("{name}={}", escape(&plain(simple)))),
    }
}

/// A value as a form or a query has it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Letters, digits and `*-._` stay; a blank is `%20`, as in the request that AWS's guide shows.
pub(super) fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => escaped.push(char::from(byte)),
            // Writing into a text does not fail.
            other => drop(write!(escaped, "%{other:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arrays_have_four_forms() {
        let body = json!({"array": ["a", "b c"], "n": 1, "o": {"x": [true], "y": null}, "ä&": "="});
        for (format, expected) in [
            ("INDICES", "array%5B0%5D=a&array%5B1%5D=b%20c&n=1&o%5Bx%5D%5B0%5D=true&o%5By%5D=&%C3%A4%26=%3D"),
            ("REPEAT", "array=a&array=b%20c&n=1&o%5Bx%5D=true&o%5By%5D=&%C3%A4%26=%3D"),
            ("COMMAS", "array=a,b%20c&n=1&o%5Bx%5D=true&o%5By%5D=&%C3%A4%26=%3D"),
            ("BRACKETS", "array%5B%5D=a&array%5B%5D=b%20c&n=1&o%5Bx%5D%5B%5D=true&o%5By%5D=&%C3%A4%26=%3D"),
        ] {
            assert_eq!(encode(&body, ArrayFormat::parse(format).unwrap()).unwrap(), expected, "{format}");
        }
        assert_eq!(encode(&json!([1]), ArrayFormat::default()), None);
        assert_eq!(ArrayFormat::parse("commas"), None);
    }
}
