//! `reveille:ask.waitForTaskToken`: people answer in the inbox; a queue may hear of it.

use serde_json::{Map, Value, json};

use super::parameters::Fields;
use super::{CompletesOn, Outgoing, Plan, PlanContext, Publishing};
use crate::interpreter::event::Failure;

/// No message, or one that tells a queue of the task. It carries no token: only people answer.
pub(super) fn ask(fields: &Fields<'_>, context: &PlanContext<'_>) -> Result<Plan, Failure> {
    fields.only(&["Form", "Notify"])?;
    let form = fields.object("Form")?;
    let messages = match fields.object("Notify")? {
        Some(notify) => vec![notice(fields, notify, form, context)?],
        None => Vec::new(),
    };
    Ok(Plan::Publish(Publishing { messages, completes_on: CompletesOn::Reply, failure: None }))
}

fn notice(
    fields: &Fields<'_>,
    notify: &Map<String, Value>,
    form: Option<&Map<String, Value>>,
    context: &PlanContext<'_>,
) -> Result<Outgoing, Failure> {
    if let Some(name) = notify.keys().find(|name| !["Queue", "Body"].contains(&name.as_str())) {
        return Err(fields.invalid(&format!("Notify has no {name}; there are: Queue, Body")));
    }
    let queue = notify.get("Queue").and_then(Value::as_str).filter(|queue| !queue.is_empty() && queue.len() <= 255);
    let Some(queue) = queue else { return Err(fields.invalid("Notify needs the name of a Queue")) };
    let mut body = Map::new();
    for name in ["Title", "Text", "For", "Show"] {
        if let Some(value) = form.and_then(|form| form.get(name)) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(more) = notify.get("Body") {
        body.insert("Body".to_owned(), more.clone());
    }
    body.insert("ExecutionArn".to_owned(), json!(context.execution));
    body.insert("StateMachineArn".to_owned(), json!(context.machine));
    let message = Outgoing::to("", queue, Value::Object(body).to_string().into_bytes(), context);
    Ok(Outgoing { kind: Some("notice".into()), is_notice: true, ..message })
}
