//! Forms in the parameters of a Task: each fault with its line and column, before an execution runs into it.

use super::check::{Checker, Site};
use super::diagnostics::code;
use super::reader::Object;
use super::resource::{Pattern, Resource, ResourceKind};
use super::spans::{Json, Node};
use crate::forms::{Fault, Form, Step};

const PARAMETERS: [&str; 2] = ["Form", "Notify"];

impl<'n> Checker<'n> {
    /// The parameters of a task that asks people; false: the task is refused.
    pub fn asks(&mut self, site: &Site<'_, 'n>, resource: &Resource, payload: &str) -> bool {
        let ResourceKind::Service { service, pattern, .. } = &resource.kind else { return true };
        let is_ask = resource.is_ask();
        if !is_ask && service != "amqp" {
            return true;
        }
        let Site { object, at, .. } = *site;
        if is_ask && *pattern != Pattern::WaitForTaskToken {
            let offset = object.node("Resource").map_or(object.offset, |node| node.offset);
            let hint = "write arn:aws:states:::reveille:ask.waitForTaskToken";
            self.read.schema_hint("A task that asks people waits for a token", &at.name("Resource"), offset, hint);
            return false;
        }
        if is_ask && !object.has(payload) {
            let hint = "write {} or a Form; without it the input of the state would be taken for parameters";
            self.read.schema_hint(format!("These fields are required: [{payload}]"), at, object.offset, hint);
            return false;
        }
        let at = at.name(payload);
        let Some(Node { json: Json::Object(members), offset }) = object.node(payload) else { return true };
        let parameters = Object { members, offset: *offset };
        let mut good = true;
        for member in members.iter().filter(|_| is_ask) {
            let name = member.name.strip_suffix(".$").unwrap_or(&member.name);
            if !PARAMETERS.contains(&name) {
                let hint = "there are: Form, Notify; the page shows the input of the state too";
                let at = at.name(&member.name);
                self.read.schema_hint(format!("Field '{name}' is not supported"), &at, member.offset, hint);
                good = false;
            }
        }
        if let Some(form) = parameters.node("Form") {
            let at = at.name("Form").to_aws();
            for Fault { path, message, hint } in Form::faults_within(&form.to_value(), self.programs) {
                let place = path.iter().fold(at.clone(), |place, step| format!("{place}{step}"));
                let offset = place_of(form, &path) as usize;
                self.read.findings.error(code::SCHEMA_VALIDATION_FAILED, message, Some(place), offset, Some(hint));
                good = false;
            }
        }
        good
    }
}

/// The byte of the last step that is there.
fn place_of(form: &Node, path: &[Step]) -> u32 {
    let (mut node, mut offset) = (form, form.offset);
    for step in path {
        match (step, &node.json) {
            (Step::Name(name), Json::Object(members)) => {
                let Some(member) = members.iter().rfind(|member| member.name == *name) else { return offset };
                (node, offset) = (&member.node, member.offset);
            }
            (Step::Index(n), Json::Array(items)) => {
                let Some(item) = items.get(*n) else { return offset };
                (node, offset) = (item, item.offset);
            }
            _ => return offset,
        }
    }
    offset
}
