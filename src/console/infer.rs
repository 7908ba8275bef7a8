//! Answers that a definition expects of a task: suggestions for a person, read from the states behind it. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The possible answers of a person, as far as the definition tells.
#[derive(Debug, Default, PartialEq)]
pub struct Expected {
    /// Whole answers: those that the Choice behind the task tells apart.
    pub answers: Vec<Answer>,
    /// Members of the answer that the task's `ResultSelector` reads: their names.
    pub fields: Vec<String>,
    /// Errors that the task's Catch and Retry name.
    pub errors: Vec<String>,
    /// The task's own comment.
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub label: String,
    pub output: Value,
}

/// Suggestions for one task: more are too many to read.
const ANSWERS_MAX: usize = 12;

/// Reads the definition around the state at `pointer`.
pub fn expected(definition: &Value, pointer: &str) -> Expected {
    let Some(state) = definition.pointer(pointer) else { return Expected::default() };
    Expected {
        answers: answers(definition, pointer, state),
        fields: fields(state),
        errors: errors(state),
        comment: state.get("Comment").and_then(Value::as_str).map(str::to_owned),
    }
}

fn answers(definition: &Value, pointer: &str, state: &Value) -> Vec<Answer> {
    let next = state.get("Next").and_then(Value::as_str);
    let block = pointer.rsplit_once('/').and_then(|(states, _)| definition.pointer(states));
    let Some(choice) = next.zip(block).and_then(|(next, states)| states.get(next)) else { return Vec::new() };
    if choice.get("Type").and_then(Value::as_str) != Some("Choice") || state.get("ResultSelector").is_some() {
        return Vec::new();
    }
    // Where the answer stands in the Choice's input.
    let prefix = match state.get("ResultPath") {
        None => "$",
        Some(path) => match path.as_str() {
            Some(path) => path,
            None => return Vec::new(),
        },
    };
    let mut found: Vec<Answer> = Vec::new();
    let rules = choice.get("Choices").and_then(Value::as_array).into_iter().flatten();
    for rule in rules.flat_map(tests) {
        let Some(path) = rule.get("Variable").and_then(Value::as_str).and_then(|path| path.strip_prefix(prefix)) else {
            continue;
        };
        let Some(names) = members(path) else { continue };
        let values = match (rule.get("BooleanEquals"), rule.get("StringEquals"), rule.get("NumericEquals")) {
            (Some(Value::Bool(_)), _, _) => vec![json!(true), json!(false)],
            (_, Some(text @ Value::String(_)), _) => vec![text.clone()],
            (_, _, Some(number @ Value::Number(_))) => vec![number.clone()],
            _ => continue,
        };
        for value in values {
            let said = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let label = if names.is_empty() { said } else { format!("{} = {said}", names.join(".")) };
            let output = names.iter().rev().fold(value, |inner, name| {
                let mut object = Map::new();
                object.insert((*name).to_owned(), inner);
                Value::Object(object)
            });
            let answer = Answer { label, output };
            if found.len() < ANSWERS_MAX && !found.contains(&answer) {
                found.push(answer);
            }
        }
    }
    found
}

/// The comparisons of a rule, those inside of And, Or and Not too.
fn tests(rule: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut open = vec![rule];
    while let Some(rule) = open.pop() {
        let inner = ["And", "Or"].iter().filter_map(|name| rule.get(*name)?.as_array()).flatten();
        open.extend(inner.chain(rule.get("Not")));
        if rule.get("Variable").is_some() {
            found.push(rule);
        }
    }
    found
}

/// `.a.b` as its names; `None` for a path with anything else.
fn members(path: &str) -> Option<Vec<&str>> {
    if path.is_empty() {
        return Some(Vec::new());
    }
    let names: Vec<&str> = path.strip_prefix('.')?.split('.').collect();
    let plain = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    names.iter().all(plain).then_some(names)
}

/// The members of the answer that `ResultSelector` reads.
fn fields(state: &Value) -> Vec<String> {
    let selected = state.get("ResultSelector").and_then(Value::as_object).into_iter().flatten();
    let mut names = BTreeSet::new();
    let mut in_order = Vec::new();
    for (_, path) in selected.filter(|(key, _)| key.ends_with(".$")) {
        let Some(path) = path.as_str().and_then(|path| path.strip_prefix('$')) else { return Vec::new() };
        match members(path).as_deref() {
            Some([name]) if names.insert((*name).to_owned()) => in_order.push((*name).to_owned()),
            Some([_]) => {}
            // A form of single texts would not be the answer.
            _ => return Vec::new(),
        }
    }
    in_order
}

fn errors(state: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for field in ["Catch", "Retry"] {
        let rules = state.get(field).and_then(Value::as_array).into_iter().flatten();
        let names = rules.filter_map(|rule| rule.get("ErrorEquals")?.as_array()).flatten().filter_map(Value::as_str);
        for name in names.filter(|name| !name.starts_with("States.") && !name.starts_with("Amqp.")) {
            if !found.iter().any(|known| known == name) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(task: &Value, choices: &Value) -> Expected {
        let mut task = task.clone();
        task["Type"] = json!("Task");
        task["Next"] = json!("Decide");
        let choice = json!({"Type": "Choice", "Choices": choices, "Default": "End"});
        expected(&json!({"States": {"Ask": task, "Decide": choice}}), "/States/Ask")
    }

    #[test]
    fn the_choice_behind_a_task_tells_its_answers() {
        let choices = json!([
            {"Variable": "$.approved", "BooleanEquals": true, "Next": "Go"},
            {"And": [{"Variable": "$.size.name", "StringEquals": "large"}, {"Variable": "$.n", "IsPresent": true}], "Next": "Go"},
            {"Not": {"Variable": "$.size.name", "StringEquals": "small"}, "Next": "Go"},
            {"Variable": "$.list[0]", "StringEquals": "x", "Next": "Go"},
        ]);
        let found = of(&json!({"Comment": "Please"}), &choices);
        let labels: Vec<_> = found.answers.iter().map(|a| (a.label.as_str(), a.output.clone())).collect();
        assert_eq!(
            labels,
            [
                ("approved = true", json!({"approved": true})),
                ("approved = false", json!({"approved": false})),
                ("size.name = large", json!({"size": {"name": "large"}})),
                ("size.name = small", json!({"size": {"name": "small"}})),
            ]
        );
        assert_eq!(found.comment.as_deref(), Some("Please"));
    }

    #[test]
    fn an_answer_stands_where_the_result_path_puts_it() {
        let choices = json!([
            {"Variable": "$.desk.yes", "BooleanEquals": true, "Next": "Go"},
            {"Variable": "$.other", "BooleanEquals": true, "Next": "Go"},
        ]);
        let found = of(&json!({"ResultPath": "$.desk"}), &choices);
        assert_eq!(found.answers.iter().map(|a| a.label.as_str()).collect::<Vec<_>>(), ["yes = true", "yes = false"]);
        assert_eq!(of(&json!({"ResultPath": null}), &choices).answers, []);
    }

    #[test]
    fn a_selector_tells_the_fields_and_the_rules_tell_the_errors() {
        let task = json!({
            "ResultSelector": {"name.$": "$.name", "by": "a friend", "phone.$": "$.phone"},
            "Retry": [{"ErrorEquals": ["Friend.Busy", "Amqp.Nacked"]}], "Catch": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["No"]}],
        });
        let found = of(&task, &json!([]));
        assert_eq!(
            (found.fields, found.errors),
            (vec!["name".to_owned(), "phone".to_owned()], vec!["No".to_owned(), "Friend.Busy".to_owned()])
        );
        assert_eq!(of(&json!({"ResultSelector": {"x.$": "$.a.b"}}), &json!([])).fields, Vec::<String>::new());
        assert_eq!(expected(&json!({}), "/States/Nothing"), Expected::default());
    }
}
