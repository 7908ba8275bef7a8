//! The tasks of a definition as they are written, for readers outside of the interpreter.

use serde_json::Value;

use super::location::Location;
use super::resource::Resource;
use super::spans::{Json, Lines, Member, Node, scan};

/// A Task state.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenTask {
    pub state: String,
    pub resource: Resource,
    /// `Parameters` or `Arguments`, unevaluated; null where there are none.
    pub parameters: Value,
    /// The whole state, unevaluated.
    pub written: Value,
    /// Of its `Resource`.
    pub location: String,
    pub line: usize,
    pub column: usize,
}

/// All tasks in the order of the text, nested ones too. A text that is no definition has none.
#[must_use]
pub fn tasks(text: &str) -> Vec<WrittenTask> {
    let mut found = Vec::new();
    if let Ok(node) = scan(text) {
        block(&node, Location::TOP, &Lines::new(text), &mut found);
    }
    found
}

fn member<'a>(node: &'a Node, name: &str) -> Option<&'a Member> {
    match &node.json {
        Json::Object(members) => members.iter().find(|member| member.name == name),
        _ => None,
    }
}

/// An object with `States`: a machine, a branch, a processor.
fn block(node: &Node, at: Location<'_>, lines: &Lines<'_>, found: &mut Vec<WrittenTask>) {
    let Some(Json::Object(states)) = member(node, "States").map(|member| &member.node.json) else { return };
    let at = at.name("States");
    for Member { name, node, .. } in states {
        let at = at.name(name);
        task(name, node, at, lines, found);
        for inner in ["ItemProcessor", "Iterator"] {
            if let Some(processor) = member(node, inner) {
                block(&processor.node, at.name(inner), lines, found);
            }
        }
        if let Some(Json::Array(branches)) = member(node, "Branches").map(|member| &member.node.json) {
            let at = at.name("Branches");
            for (index, branch) in branches.iter().enumerate() {
                block(branch, at.index(index), lines, found);
            }
        }
    }
}

fn task(state: &str, node: &Node, at: Location<'_>, lines: &Lines<'_>, found: &mut Vec<WrittenTask>) {
    if member(node, "Type").and_then(|kind| kind.node.as_str()) != Some("Task") {
        return;
    }
    let Some(named) = member(node, "Resource") else { return };
    let Some(resource) = named.node.as_str().and_then(Resource::parse) else { return };
    let parameters = member(node, "Parameters").or_else(|| member(node, "Arguments"));
    let (line, column) = lines.position(named.offset as usize);
    found.push(WrittenTask {
        state: state.to_owned(),
        resource,
        parameters: parameters.map(|member| member.node.to_value()).unwrap_or_default(),
        written: node.to_value(),
        location: at.name("Resource").to_aws(),
        line,
        column,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_found_wherever_they_stand() {
        let text = r#"{"StartAt": "A", "States": {
 "A": {"Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Parameters": {"Queue": "q"}, "Next": "M"},
 "M": {"Type": "Map", "End": true, "ItemProcessor": {"StartAt": "P", "States": {
  "P": {"Type": "Parallel", "End": true, "Branches": [{"StartAt": "B", "States": {
   "B": {"Type": "Task", "End": true, "Resource": "arn:aws:states:::lambda:invoke"}}}]}}}}}}"#;
        let found: Vec<_> = tasks(text).into_iter().map(|t| (t.state, t.location, t.line, t.parameters)).collect();
        let place = "/States/M/ItemProcessor/States/P/Branches[0]/States/B/Resource";
        assert_eq!(
            found,
            [
                ("A".to_owned(), "/States/A/Resource".to_owned(), 2, serde_json::json!({"Queue": "q"})),
                ("B".to_owned(), place.to_owned(), 5, Value::Null),
            ]
        );
        assert!(tasks("{").is_empty() && tasks("[]").is_empty());
    }
}
