//! `sqs:sendMessage`: the queue named by the last part of `QueueUrl`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use md5::{Digest, Md5};
use serde_json::Value;

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
    for name in ["MessageAttributes", "MessageSystemAttributes"] {
        if let Some(attributes) = fields.object(name)?.filter(|attributes| !attributes.is_empty()) {
            message.answer.insert(format!("MD5Of{name}"), digest(attributes).into());
        }
    }
    if is_fifo(queue) && fields.get("MessageGroupId").is_none() {
        return Err(missing("MessageGroupId"));
    }
    for name in ["MessageGroupId", "MessageDeduplicationId"] {
        if let Some(text) = fields.text(name)? {
            message.headers.insert(name.into(), HeaderValue::Text(text.to_owned()));
        }
    }
    // RabbitMQ itself delays no message: the consumer, or a delaying exchange, reads this header.
    if let Some(seconds) = fields.integer("DelaySeconds", 0, 900)? {
        message.headers.insert("DelaySeconds".into(), HeaderValue::Integer(i64::try_from(seconds).unwrap_or(900)));
    }
    Ok(message.alone(completes_on))
}

/// The digest of a message's attributes: sorted by name, each part after its length. Source: developer guide of SQS,
/// "Calculating the MD5 message digest for message attributes".
fn digest(attributes: &serde_json::Map<String, Value>) -> String {
    let mut sorted: Vec<(&String, &Value)> = attributes.iter().collect();
    sorted.sort_by_key(|(name, _)| name.as_str());
    let mut md5 = Md5::new();
    let part = |md5: &mut Md5, bytes: &[u8]| {
        md5.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        md5.update(bytes);
    };
    for (name, attribute) in sorted {
        let text = |field: &str| attribute.get(field).and_then(Value::as_str);
        part(&mut md5, name.as_bytes());
        part(&mut md5, text("DataType").unwrap_or("String").as_bytes());
        // 1: a text, 2: bytes.
        if let Some(text) = text("StringValue") {
            md5.update([1]);
            part(&mut md5, text.as_bytes());
        } else {
            md5.update([2]);
            part(&mut md5, &BASE64.decode(text("BinaryValue").unwrap_or_default()).unwrap_or_default());
        }
    }
    hex::encode(md5.finalize())
}

/// `https://sqs.us-east-1.amazonaws.com/123456789012/orders`, an ARN, or just `orders`. `Err` holds the host of a URL
/// without a queue.
pub(super) fn queue_of(url: &str) -> Result<&str, &str> {
    match url.split_once("://") {
        Some((_, place)) => place.trim_end_matches('/').rsplit_once('/').map(|(_, queue)| queue).ok_or(place),
        None => Ok(url.rsplit(['/', ':']).next().unwrap_or(url)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The same sum as an implementation in another language gives.
    #[test]
    fn attributes_have_a_digest_over_names_types_and_values() {
        let attributes = json!({
            "b": { "DataType": "Number", "StringValue": "1" },
            "a": { "DataType": "String", "StringValue": "x" },
        });
        assert_eq!(digest(attributes.as_object().unwrap()), "e36d421cd8b039f42b7052c32b82393e");
    }
}
