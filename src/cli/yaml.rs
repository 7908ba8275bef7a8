//! JSON values as YAML: block style, texts in JSON's quotes, which YAML reads as they are.

use std::fmt::Write as _;

use serde_json::Value;

/// One document, with its last line's end.
pub(super) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    node(value, 0, &mut text);
    text
}

fn node(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let _ = write!(text, "{:indent$}{}:", "", key(name), indent = depth * 2);
                inner(value, depth, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                // The members of an item stand below its first one, which stands behind the dash.
                let mut members = String::new();
                node(item, depth + 1, &mut members);
                let _ = write!(text, "{:indent$}- {}", "", members.trim_start(), indent = depth * 2);
            }
        }
        scalar => {
            let _ = writeln!(text, "{}", super::output::json_line(scalar));
        }
    }
}

/// Behind a name: a scalar on the same line, objects and arrays on the next lines.
fn inner(value: &Value, depth: usize, text: &mut String) {
    let nests = matches!(value, Value::Object(members) if !members.is_empty())
        || matches!(value, Value::Array(items) if !items.is_empty());
    if nests {
        text.push('\n');
        node(value, depth + 1, text);
    } else {
        text.push(' ');
        node(value, 0, text);
    }
}

/// A name without quotes where YAML cannot take it for something else.
fn key(name: &str) -> String {
    let plain = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&name.to_lowercase().as_str());
    if plain { name.to_owned() } else { super::output::json_line(&Value::from(name)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nests_is_indented_and_texts_are_quoted() {
        let value = json!({"a": {"b": [1, {"c": "no"}, []], "on": null}, "empty": {}, "t": "x: y\n#"});
        assert_eq!(
            yaml(&value),
            "a:\n  b:\n    - 1\n    - c: \"no\"\n    - []\n  \"on\": null\nempty: {}\nt: \"x: y\\n#\"\n"
        );
        assert_eq!(yaml(&json!([])), "[]\n");
    }
}
