//! A payload template as a JSON schema and as an example.

use serde_json::{Map, Value, json};

/// The schema of a template's value: written parts are constant, computed parts may be anything.
pub(super) fn schema(template: &Value) -> Value {
    match template {
        Value::Object(members) => {
            let mut properties = Map::new();
            for (name, value) in members {
                match name.strip_suffix(".$") {
                    Some(name) => _ = properties.insert(name.to_owned(), computed(value.as_str().unwrap_or_default())),
                    None => _ = properties.insert(name.clone(), schema(value)),
                }
            }
            let required: Vec<&String> = properties.keys().collect();
            if required.is_empty() {
                return json!({"type": "object"});
            }
            json!({"type": "object", "required": required, "properties": properties})
        }
        // The items of a list may differ from each other.
        Value::Array(items) => {
            let length = items.len();
            let mut list = json!({"type": "array", "minItems": length, "maxItems": length});
            if length > 0 {
                list["items"] = Value::Array(items.iter().map(schema).collect());
            }
            list
        }
        Value::String(text) if is_jsonata(text) => computed(text),
        constant => json!({"const": constant}),
    }
}

/// Any value, which this expression gives.
pub(super) fn computed(expression: &str) -> Value {
    let kind = match expression.split_once('(').map(|(function, _)| function.trim()) {
        Some("States.Format" | "States.UUID" | "States.Base64Encode" | "States.Base64Decode" | "States.Hash") => {
            Some("string")
        }
        Some("States.ArrayLength" | "States.MathAdd" | "States.MathRandom") => Some("number"),
        Some("States.Array" | "States.ArrayPartition" | "States.ArrayRange" | "States.ArrayUnique") => Some("array"),
        Some("States.ArrayContains") => Some("boolean"),
        _ => None,
    };
    let mut schema = json!({"description": format!("From {expression}")});
    if let Some(kind) = kind {
        schema["type"] = json!(kind);
    }
    schema
}

/// A value of this form. A computed text has its expression in its place.
pub(super) fn example(template: &Value) -> Value {
    match template {
        Value::Object(members) => {
            let filled = members.iter().map(|(name, value)| match name.strip_suffix(".$") {
                Some(name) => (name.to_owned(), stand_in(value.as_str().unwrap_or_default())),
                None => (name.clone(), example(value)),
            });
            Value::Object(filled.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(example).collect()),
        Value::String(text) if is_jsonata(text) => stand_in(text),
        constant => constant.clone(),
    }
}

/// A value of the type that the expression's schema has.
pub(super) fn stand_in(expression: &str) -> Value {
    match computed(expression)["type"].as_str() {
        Some("number") => json!(1),
        Some("array") => json!([]),
        Some("boolean") => json!(true),
        _ => json!(format!("<{expression}>")),
    }
}

fn is_jsonata(text: &str) -> bool {
    text.starts_with("{%") && text.ends_with("%}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_constant_and_what_is_computed_is_open() {
        let template = json!({
            "kind": "order", "id.$": "$.id", "text.$": "States.Format('{}', $.a)", "count.$": "States.ArrayLength($.x)",
            "inner": {"a": "{% $x %}", "b": 1}, "list": [1, "{% $y %}"], "none": {},
        });
        let schema = schema(&template);
        assert_eq!(
            schema["required"],
            json!(["kind", "id", "text", "count", "inner", "list", "none"]),
            "each member is there"
        );
        let of = |name: &str| schema["properties"][name].clone();
        assert_eq!(of("kind"), json!({"const": "order"}));
        assert_eq!(of("id"), json!({"description": "From $.id"}));
        assert_eq!((of("text")["type"].clone(), of("count")["type"].clone()), (json!("string"), json!("number")));
        assert_eq!(of("inner")["properties"]["b"], json!({"const": 1}));
        assert_eq!(of("list")["items"][1], json!({"description": "From {% $y %}"}));
        assert_eq!(of("none"), json!({"type": "object"}));
        assert_eq!(
            example(&template),
            json!({"kind": "order", "id": "<$.id>", "text": "<States.Format('{}', $.a)>", "count": 1,
                "inner": {"a": "<{% $x %}>", "b": 1}, "list": [1, "<{% $y %}>"], "none": {}})
        );
    }
}
