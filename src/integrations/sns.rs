//! `sns:publish`: a fanout exchange named by the topic.

use serde_json::Value;

use super::parameters::{Fields, is_fifo, message_text};
use super::{CompletesOn, OnUnroutable, Outgoing, Plan, PlanContext};
use crate::bus::HeaderValue;
use crate::interpreter::event::Failure;

pub(super) fn publish(
    fields: &Fields<'_>,
    completes_on: CompletesOn,
    context: &PlanContext<'_>,
) -> Result<Plan, Failure> {
    let invalid = |why: &str| {
        fields.failure("InvalidParameterException", 400, "InvalidParameter", &format!("Invalid parameter: {why}"))
    };
    let topic = match (fields.text("TopicArn")?, fields.text("TargetArn")?) {
        (Some(topic), _) | (None, Some(topic)) => topic,
        (None, None) if fields.get("PhoneNumber").is_some() => {
            return Err(invalid("PhoneNumber Reason: there is no telephone here; publish to a TopicArn"));
        }
        (None, None) => return Err(invalid("TopicArn or TargetArn Reason: no value for required parameter")),
    };
    let exchange = topic.rsplit(':').next().filter(|name| !name.is_empty()).ok_or_else(|| invalid("TopicArn"))?;
    let text =
        fields.get("Message").filter(|text| text.as_str() != Some("")).ok_or_else(|| invalid("Empty message"))?;
    if is_fifo(exchange) && fields.get("MessageGroupId").is_none() {
        return Err(invalid("The MessageGroupId parameter is required for FIFO topics"));
    }
    let (body, content_type) = message_text(text);
    let mut message = Outgoing::to(exchange, "", body, context);
    message.content_type = content_type.into();
    message.headers = fields.message_attributes()?;
    for name in ["Subject", "MessageStructure", "MessageGroupId", "MessageDeduplicationId"] {
        if let Some(Value::String(text)) = fields.get(name) {
            message.headers.insert(name.into(), HeaderValue::Text(text.clone()));
        }
    }
    // A topic without subscribers accepts every message. A message with a token fails instead, because without a
    // subscriber no answer would ever come.
    if completes_on == CompletesOn::Confirm {
        message.on_unroutable = OnUnroutable::Accepted;
    }
    Ok(message.alone(completes_on))
}
