//! Short texts for long parts of a definition: rules of a Choice, resources, waits.

use serde_json::{Map, Value};

/// Parts of an And or Or that a label shows.
const PARTS_SHOWN: usize = 2;
/// Nested And, Or and Not that a label opens.
const DEPTH_MAX: usize = 3;

/// A rule of a Choice, as a reader would say it: `risk > 70`, `approved = true and amount ≤ 100`.
pub(super) fn label(rule: &Value) -> String {
    match rule.get("Condition").and_then(Value::as_str) {
        Some(expression) => jsonata(expression),
        None => test(rule, DEPTH_MAX),
    }
}

/// `{% $states.input.risk > 70 %}` → `risk > 70`.
fn jsonata(text: &str) -> String {
    let inner = text.trim().strip_prefix("{%").and_then(|t| t.strip_suffix("%}")).unwrap_or(text);
    let inner = inner.replace("$states.input.", "").replace("$states.context.", "$$.");
    inner.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn test(rule: &Value, depth: usize) -> String {
    let Some(fields) = rule.as_object() else { return String::new() };
    let Some(depth) = depth.checked_sub(1) else { return "…".to_owned() };
    for (word, joint) in [("And", " and "), ("Or", " or ")] {
        if let Some(parts) = fields.get(word).and_then(Value::as_array) {
            let mut texts: Vec<String> = parts.iter().take(PARTS_SHOWN).map(|part| test(part, depth)).collect();
            if parts.len() > PARTS_SHOWN {
                texts.push("…".to_owned());
            }
            return texts.join(joint);
        }
    }
    if let Some(part) = fields.get("Not") {
        return format!("not {}", test(part, depth));
    }
    let variable = fields.get("Variable").and_then(Value::as_str).map(path).unwrap_or_default();
    let operator = fields.iter().find(|(name, _)| !matches!(name.as_str(), "Variable" | "Next" | "Assign" | "Comment"));
    operator.map_or_else(|| variable.clone(), |(name, operand)| comparison(&variable, name, operand))
}

/// `NumericGreaterThan`, 70 → `risk > 70`.
fn comparison(variable: &str, operator: &str, operand: &Value) -> String {
    let is = |kind: &str| match operand {
        Value::Bool(false) => format!("{variable} is not {kind}"),
        _ => format!("{variable} is {kind}"),
    };
    match operator {
        "IsNull" => return is("null"),
        "IsPresent" => return is("present"),
        "IsNumeric" => return is("a number"),
        "IsString" => return is("a text"),
        "IsBoolean" => return is("a boolean"),
        "IsTimestamp" => return is("a timestamp"),
        _ => {}
    }
    let (name, by_path) = operator.strip_suffix("Path").map_or((operator, false), |name| (name, true));
    let sign = match name.trim_start_matches("String").trim_start_matches("Numeric").trim_start_matches("Timestamp") {
        "LessThan" => "<",
        "GreaterThan" => ">",
        "LessThanEquals" => "≤",
        "GreaterThanEquals" => "≥",
        "Matches" => "matches",
        _ => "=",
    };
    let operand = match operand {
        Value::String(text) if by_path => path(text),
        Value::String(text) => format!("“{text}”"),
        other => other.to_string(),
    };
    format!("{variable} {sign} {operand}")
}

/// `$.order.risk` → `order.risk`.
fn path(text: &str) -> String {
    text.strip_prefix("$.").unwrap_or(text).to_owned()
}

/// `arn:aws:states:::amqp:publish.waitForTaskToken` → `amqp:publish`; an ARN of a function or activity → its name.
pub(super) fn resource(arn: &str) -> String {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    match parts[..] {
        ["arn", _, "states", "", "", service, action] => {
            format!("{service}:{}", action.strip_suffix(".waitForTaskToken").unwrap_or(action))
        }
        ["arn", _, service, _, _, kind, name] if service == "lambda" || kind == "activity" => name.to_owned(),
        _ => arn.to_owned(),
    }
}

/// `5 s`, `until 2026-01-01T00:00:00Z`.
pub(super) fn wait(fields: &Map<String, Value>) -> String {
    let shown = |value: &Value| match value {
        Value::String(text) if text.starts_with("{%") => jsonata(text),
        Value::String(text) => path(text),
        other => other.to_string(),
    };
    for (field, before, after) in
        [("Seconds", "", " s"), ("SecondsPath", "", " s"), ("Timestamp", "until ", ""), ("TimestampPath", "until ", "")]
    {
        if let Some(value) = fields.get(field) {
            return format!("{before}{}{after}", shown(value));
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_said_as_a_reader_would() {
        for (rule, expected) in [
            (json!({"Variable": "$.risk", "NumericGreaterThan": 70, "Next": "A"}), "risk > 70"),
            (json!({"Variable": "$.a", "StringEqualsPath": "$.b.c"}), "a = b.c"),
            (json!({"Variable": "$.a", "StringEquals": "x"}), "a = “x”"),
            (json!({"Variable": "$.a", "IsPresent": false}), "a is not present"),
            (json!({"Not": {"Variable": "$.a", "IsNull": true}}), "not a is null"),
            (
                json!({"And": [{"Variable": "$.a", "BooleanEquals": true}, {"Variable": "$.b", "NumericLessThanEquals": 2}]}),
                "a = true and b ≤ 2",
            ),
            (json!({"Condition": "{% $states.input.risk > 70\n and $x %}"}), "risk > 70 and $x"),
            (json!({}), ""),
            (json!(7), ""),
        ] {
            assert_eq!(label(&rule), expected, "{rule}");
        }
    }

    #[test]
    fn resources_lose_what_is_the_same_everywhere() {
        for (arn, expected) in [
            ("arn:aws:states:::amqp:publish.waitForTaskToken", "amqp:publish"),
            ("arn:aws:states:::aws-sdk:sfn:startExecution", "aws-sdk:sfn:startExecution"),
            ("arn:aws:states:::states:startExecution.sync:2", "states:startExecution.sync:2"),
            ("arn:aws:lambda:us-east-1:123456789012:function:menu", "menu"),
            ("arn:aws:states:us-east-1:123456789012:activity:sign", "sign"),
            ("", ""),
            ("anything", "anything"),
        ] {
            assert_eq!(resource(arn), expected);
        }
    }
}
