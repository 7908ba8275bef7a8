//! `reveille:ask.waitForTaskToken`: people answer in the inbox; a queue may hear of it.

use serde_json::{Map, Value, json};

use super::parameters::Fields;
use super::{CompletesOn, LinkWish, Outgoing, Plan, PlanContext, Publishing};
use crate::forms::Form;
use crate::interpreter::event::Failure;
use crate::limits::LINK_NAME_BYTES_MAX;

/// No message, or a message that tells a queue of the task. It carries no token: only people answer.
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
    if let Some(name) = notify.keys().find(|name| !["Queue", "Body", "Link"].contains(&name.as_str())) {
        return Err(fields.invalid(&format!("Notify has no {name}; there are: Queue, Body, Link")));
    }
    let link = notify.get("Link").map(|link| wish(fields, link, form)).transpose()?;
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
    Ok(Outgoing { kind: Some("notice".into()), is_notice: true, link, ..message })
}

/// `{For, Actions, ExpiresSeconds}`: a link with the buttons of these labels, or with all.
fn wish(fields: &Fields<'_>, link: &Value, form: Option<&Map<String, Value>>) -> Result<LinkWish, Failure> {
    let allowed = ["For", "Actions", "ExpiresSeconds"];
    let unknown = link.as_object().and_then(|link| link.keys().find(|name| !allowed.contains(&name.as_str())));
    let Some(form) = form.and_then(|form| Form::read(&Value::Object(form.clone())).ok()) else {
        return Err(fields.invalid("A link needs a Form without faults: its page shows nothing else"));
    };
    let audience = link.get("For").and_then(Value::as_str).filter(|name| is_name(name));
    let seconds = link.get("ExpiresSeconds").map(Value::as_u64);
    let (None, Some(audience), None | Some(Some(_))) = (unknown, audience, seconds) else {
        return Err(fields.invalid("Link has For (a name or an address), and may have Actions and ExpiresSeconds"));
    };
    let labels = match link.get("Actions") {
        None => None,
        Some(Value::Array(labels)) => Some(labels.iter().filter_map(Value::as_str).collect::<Vec<_>>()),
        Some(_) => return Err(fields.invalid("Actions of Link is a list of labels")),
    };
    let actions = form.bits(labels.as_deref()).map_err(|label| fields.invalid(&no_button(&label)))?;
    Ok(LinkWish { audience: audience.to_owned(), actions, seconds: seconds.flatten() })
}

fn no_button(label: &str) -> String {
    format!("The form has no action '{label}' that a link could allow")
}

/// One line of a mail: the name of a link's person.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= LINK_NAME_BYTES_MAX && !name.contains(char::is_control)
}
