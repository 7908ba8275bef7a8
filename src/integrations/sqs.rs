//! `sqs:sendMessage`: the queue named by the last part of `QueueUrl`.

use super::parameters::{Fields, Service, is_fifo, message_text};
use super::{CompletesOn, Outgoing, Plan, PlanContext};
use crate::bus::HeaderValue;
use crate::interpreter::event::Failure;

pub(super) fn send_message(
    fields: &Fields<'_>,
    completes_on: CompletesOn,
    context: &PlanContext<'_>,
) -> Result<Plan, Failure> {
    let missing = |name: &str| {
        fields.failure(
            Service::SQS.exception,
            400,
            "MissingParameter",
            &format!("The request must contain the parameter {name}."),
        )
    };
    let url = fields.text("QueueUrl")?.filter(|url| !url.is_empty()).ok_or_else(|| missing("QueueUrl"))?;
    let queue = queue_of(url).map_err(|host| {
        Failure::new(
            "SQS.SdkClientException",
            format!("Unable to execute HTTP request: {host}: Name or service not known"),
        )
    })?;
    let body =
        fields.get("MessageBody").filter(|body| body.as_str() != Some("")).ok_or_else(|| missing("MessageBody"))?;
    let (body, content_type) = message_text(body);
    let mut message = Outgoing::to("", queue, body, context);
    message.content_type = content_type.into();
    message.headers = fields.message_attributes()?;
    if is_fifo(queue) && fields.get("MessageGroupId").is_none() {
        return Err(missing("MessageGroupId"));
    }
    for name in ["MessageGroupId", "MessageDeduplicationId"] {
        if let Some(text) = fields.text(name)? {
            message.headers.insert(name.into(), HeaderValue::Text(text.to_owned()));
        }
    }
    // RabbitMQ delays nothing by itself: the consumer, or a delaying exchange in front of it, reads this.
    if let Some(seconds) = fields.integer("DelaySeconds", 0, 900)? {
        message.headers.insert("DelaySeconds".into(), HeaderValue::Integer(i64::try_from(seconds).unwrap_or(900)));
    }
    Ok(message.alone(completes_on))
}

/// `https://sqs.us-east-1.amazonaws.com/123456789012/orders`, an ARN, or just `orders`. A URL with a host alone names
/// no queue: the host comes back.
fn queue_of(url: &str) -> Result<&str, &str> {
    match url.split_once("://") {
        Some((_, place)) => place.trim_end_matches('/').rsplit_once('/').map(|(_, queue)| queue).ok_or(place),
        None => Ok(url.rsplit(['/', ':']).next().unwrap_or(url)),
    }
}
