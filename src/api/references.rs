//! `variableReferences`: the workflow variables that each state reads, as `DescribeStateMachine` shows them.
//!
//! AWS: "A map of state name to a list of variables referenced by that state. States that do not use variable
//! references will not be shown in the response." Names are sorted, each once. A variable that a state only assigns is
//! not a reference.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// State name → variables.
pub type References = BTreeMap<String, BTreeSet<String>>;

pub fn of(definition: &str) -> References {
    let mut references = References::new();
    if let Ok(workflow) = serde_json::from_str::<Value>(definition) {
        let jsonata = workflow.get("QueryLanguage").and_then(Value::as_str) == Some("JSONata");
        walk(&workflow, jsonata, &mut references);
    }
    references
}

fn walk(workflow: &Value, jsonata: bool, references: &mut References) {
    let Some(states) = workflow.get("States").and_then(Value::as_object) else { return };
    for (name, state) in states {
        let jsonata =
            state.get("QueryLanguage").and_then(Value::as_str).map_or(jsonata, |language| language == "JSONata");
        let mut found = BTreeSet::new();
        for (field, value) in state.as_object().into_iter().flatten() {
            match field.as_str() {
                "Branches" => {
                    value.as_array().into_iter().flatten().for_each(|branch| walk(branch, jsonata, references));
                }
                "ItemProcessor" | "Iterator" => walk(value, jsonata, references),
                // Fields without expressions.
                "Result" | "Comment" | "Type" | "Next" | "Resource" => {}
                _ if jsonata => jsonata_strings(value, &mut found),
                _ => path_strings(field, value, &mut found),
            }
        }
        if !found.is_empty() {
            references.entry(name.clone()).or_default().extend(found);
        }
    }
}

/// JSONPath: expressions are in fields that end in `Path` or `.$`, and in `Variable`.
fn path_strings(field: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let is_expression =
                field.ends_with(".$") || field == "Variable" || (field.ends_with("Path") && field != "ResultPath");
            if is_expression {
                variables(text, false, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| path_strings("", item, found)),
        Value::Object(members) => members.iter().for_each(|(key, member)| path_strings(key, member, found)),
        _ => {}
    }
}

/// JSONata: every string `{% … %}` is an expression.
fn jsonata_strings(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            if let Some(expression) = text.strip_prefix("{%").and_then(|t| t.strip_suffix("%}")) {
                let mut read = BTreeSet::new();
                variables(expression, true, &mut read);
                let bound = bound(expression);
                found.extend(read.into_iter().filter(|name| !bound.contains(name)));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| jsonata_strings(item, found)),
        Value::Object(members) => members.values().for_each(|member| jsonata_strings(member, found)),
        _ => {}
    }
}

/// The `$name`s of an expression, each with the text after it; texts in quotes and JSONata's comments are skipped.
fn names(text: &str) -> Vec<(&str, &str)> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\'' | '"' | '`' => rest = after_quote(rest, c),
            '/' if rest.starts_with('*') => rest = rest.find("*/").map_or("", |end| &rest[end + 2..]),
            // `$$`: the context object, or JSONata's root. Neither it nor the name after it is a variable.
            '$' if rest.starts_with('$') => rest = rest.trim_start_matches('$'),
            '$' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                if !name.is_empty() {
                    names.push((name, after));
                }
                rest = after;
            }
            _ => {}
        }
    }
    names
}

fn after_quote(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return &text[at + c.len_utf8()..],
            _ => {}
        }
    }
    ""
}

fn variables(text: &str, jsonata: bool, found: &mut BTreeSet<String>) {
    for (name, after) in names(text) {
        let called = jsonata && after.trim_start().starts_with('(');
        let own = jsonata && (name == "states" || is_builtin(name));
        if !called && !own {
            found.insert(name.to_owned());
        }
    }
}

/// Names that a JSONata expression binds itself: `$x := …` and the parameters of its functions.
fn bound(expression: &str) -> BTreeSet<String> {
    let assigned = names(expression).into_iter().filter(|(_, after)| after.trim_start().starts_with(":="));
    let mut bound: BTreeSet<String> = assigned.map(|(name, _)| name.to_owned()).collect();
    for keyword in ["function", "λ"] {
        for (at, _) in expression.match_indices(keyword) {
            let head = expression[at + keyword.len()..].trim_start();
            if let Some(parameters) = head.strip_prefix('(').and_then(|p| p.split_once(')')) {
                variables(parameters.0, false, &mut bound);
            }
        }
    }
    bound
}

/// JSONata's functions (and AWS's additions) can be passed by name: `$map(items, $uppercase)`.
fn is_builtin(name: &str) -> bool {
    const FUNCTIONS: &[&str] = &[
        "abs",
        "append",
        "average",
        "base64decode",
        "base64encode",
        "boolean",
        "ceil",
        "contains",
        "count",
        "decodeUrl",
        "decodeUrlComponent",
        "distinct",
        "each",
        "encodeUrl",
        "encodeUrlComponent",
        "error",
        "assert",
        "eval",
        "exists",
        "filter",
        "floor",
        "formatBase",
        "formatInteger",
        "formatNumber",
        "fromMillis",
        "hash",
        "join",
        "keys",
        "length",
        "lookup",
        "lowercase",
        "map",
        "match",
        "max",
        "merge",
        "millis",
        "min",
        "not",
        "now",
        "number",
        "pad",
        "parse",
        "parseInteger",
        "partition",
        "power",
        "random",
        "range",
        "reduce",
        "replace",
        "reverse",
        "round",
        "shuffle",
        "sift",
        "single",
        "sort",
        "split",
        "spread",
        "sqrt",
        "string",
        "substring",
        "substringAfter",
        "substringBefore",
        "sum",
        "toMillis",
        "trim",
        "type",
        "uppercase",
        "uuid",
        "zip",
    ];
    FUNCTIONS.contains(&name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_state(state: &Value) -> Vec<String> {
        let definition = json!({"StartAt": "S", "States": {"S": state}}).to_string();
        of(&definition).remove("S").unwrap_or_default().into_iter().collect()
    }

    #[test]
    fn jsonpath_states_refer_in_paths_templates_and_intrinsics() {
        let table = [
            (json!({"Type": "Pass", "Parameters": {"result": "$result"}, "Assign": {"result": "foobar"}}), vec![]),
            (json!({"Type": "Pass", "ResultPath": "$.result", "Parameters": {"result.$": "$result"}}), vec!["result"]),
            (
                json!({"Type": "Pass", "InputPath": "$answer", "OutputPath": "$answer", "Assign": {"answer": "x"}}),
                vec!["answer"],
            ),
            (json!({"Type": "Wait", "SecondsPath": "$waitTime"}), vec!["waitTime"]),
            (json!({"Type": "Fail", "CausePath": "$causeVar", "ErrorPath": "$errorVar"}), vec!["causeVar", "errorVar"]),
            (
                json!({"Type": "Map", "ItemReader": {"ReaderConfig": {"MaxItemsPath": "$maxItems"}, "Parameters": {"Key.$": "$.Key"}}}),
                vec!["maxItems"],
            ),
            (
                json!({"Type": "Choice", "Choices": [{"And": [{"Variable": "$a.b", "StringEqualsPath": "$c[0]"}], "Next": "x"}]}),
                vec!["a", "c"],
            ),
            (
                json!({"Type": "Pass", "Assign": {"Sum.$": "States.MathAdd(States.MathAdd(States.MathAdd($yCurrent, $xCurrent), $zCurrent), $bias)"}}),
                vec!["bias", "xCurrent", "yCurrent", "zCurrent"],
            ),
            (
                json!({"Type": "Pass", "Parameters": {"a.$": "States.Format('{} costs $much', $$.Execution.Id)"}}),
                vec![],
            ),
        ];
        for (state, expected) in table {
            assert_eq!(of_state(&state), expected, "{state}");
        }
    }

    #[test]
    fn jsonata_states_refer_in_expressions_but_not_to_what_they_bind_or_call() {
        let table = [
            (json!({"Output": "{% $x + $y.z %}", "Comment": "{% $no %}"}), vec!["x", "y"]),
            (json!({"Output": "$x"}), vec![]),
            (json!({"Output": "{% $states.input.result.done %}"}), vec![]),
            (json!({"Output": "{% $not($states.input) %}"}), vec![]),
            (
                json!({"Arguments": {"a": ["{% ($t := $outer; $map($items, function($v, $i) { $v + $t })) %}"]}}),
                vec!["items", "outer"],
            ),
            (json!({"Assign": {"a": "{% 'no $quoted' & /* $comment */ $real %}"}}), vec!["real"]),
            (json!({"Assign": {"a": "{% $map($list, $uppercase) %}"}}), vec!["list"]),
        ];
        for (mut state, expected) in table {
            state["QueryLanguage"] = json!("JSONata");
            assert_eq!(of_state(&state), expected, "{state}");
        }
    }

    #[test]
    fn nested_states_are_listed_beside_their_map() {
        let definition = json!({"StartAt": "M", "States": {"M": {"Type": "Map", "ItemsPath": "$PokemonList",
            "ItemSelector": {"AnnouncePokemon.$": "States.Format($.AnswerTemplate, $$.Map.Item.Value)"},
            "ItemProcessor": {"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "Parameters": {"Question.$": "$Question"}}}}}}});
        let found = serde_json::to_value(of(&definition.to_string())).unwrap();
        assert_eq!(found, json!({"M": ["PokemonList"], "Pass": ["Question"]}));
    }
}
