//! The queue that a task names in its definition, where it is written there and not computed; and the payload as it is
//! written.

use serde_json::Value;

use super::ServiceTable;
use super::lambda::function_queue;
use super::sqs::queue_of;
use crate::asl::resource::{Resource, ResourceKind};
use crate::bus::Names;

/// `None`: the queue is known at run time only, or the task goes to no queue by name.
#[must_use]
pub fn queue_named(resource: &Resource, parameters: &Value, table: &ServiceTable, names: &Names) -> Option<String> {
    if resource.is_ask() {
        let queue = parameters.get("Notify")?.get("Queue")?.as_str()?;
        return (!queue.is_empty() && !queue.starts_with("{%")).then(|| queue.to_owned());
    }
    if let ResourceKind::Service { service, action, .. } = &resource.kind
        && let Some(row) = table.find(service, action)
    {
        return row.queue_written(service, action, parameters);
    }
    let text = |name: &str| {
        let text = parameters.get(name)?.as_str()?;
        // JSONata.
        (!text.starts_with("{%")).then_some(text)
    };
    let computed = |name: &str| {
        let by_path = format!("{name}.$");
        parameters.get(by_path.as_str()).is_some() || (parameters.get(name).is_some() && text(name).is_none())
    };
    let queue = match &resource.kind {
        ResourceKind::LambdaFunction { name } => function_queue(name).to_owned(),
        ResourceKind::Activity { name } => names.activity(name),
        ResourceKind::Service { service, action, .. } => match (service.as_str(), action.as_str()) {
            ("amqp", _) if computed("Exchange") || text("Exchange").is_some_and(|name| !name.is_empty()) => {
                return None;
            }
            ("amqp", _) => text("Queue").or_else(|| text("RoutingKey"))?.to_owned(),
            ("lambda", "invoke") => function_queue(text("FunctionName")?).to_owned(),
            ("sqs", "sendMessage") => queue_of(text("QueueUrl")?).ok()?.to_owned(),
            // Exchanges, children and calls of this service.
            ("sns", "publish") | ("events", "putEvents") | ("states", "startExecution") | ("aws-sdk:sfn", _) => {
                return None;
            }
            (service, action) => format!("{service}.{action}"),
        },
    };
    (!queue.is_empty()).then_some(queue)
}

/// The template of the message's body as the definition has it.
#[derive(Debug, Clone, PartialEq)]
pub enum PayloadWritten<'a> {
    Template(&'a Value),
    /// A member of the parameters that is computed as a whole: by a path, or by an expression.
    Computed(&'a str),
    /// The state's input.
    Input,
}

/// The payload of a task that [`queue_named`] sends to a queue.
#[must_use]
pub fn payload_written<'a>(resource: &Resource, parameters: &'a Value, table: &ServiceTable) -> PayloadWritten<'a> {
    let whole = || if parameters.is_null() { PayloadWritten::Input } else { PayloadWritten::Template(parameters) };
    let member = |name: &str| {
        if let Some(template) = parameters.get(name) {
            return PayloadWritten::Template(template);
        }
        let path = parameters.get(format!("{name}.$").as_str()).and_then(Value::as_str);
        path.map_or(PayloadWritten::Template(&Value::Null), PayloadWritten::Computed)
    };
    let ResourceKind::Service { service, action, .. } = &resource.kind else { return whole() };
    if let Some(row) = table.find(service, action) {
        return match row.body.split_once('.') {
            _ if row.body.is_empty() => whole(),
            None => member(&row.body),
            Some(_) => {
                let inner = row.body.split('.').try_fold(parameters, |value, name| value.get(name));
                inner.map_or_else(whole, PayloadWritten::Template)
            }
        };
    }
    match (service.as_str(), action.as_str()) {
        ("amqp", _) => member("Body"),
        ("lambda", "invoke") => member("Payload"),
        ("sqs", "sendMessage") => member("MessageBody"),
        _ => whole(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::TableEntry;
    use super::*;

    #[test]
    fn a_queue_is_known_where_it_is_written() {
        for (arn, parameters, queue) in [
            ("arn:aws:states:::amqp:call", json!({"Queue": "q"}), Some("q")),
            ("arn:aws:states:::amqp:publish", json!({"RoutingKey": "q"}), Some("q")),
            ("arn:aws:states:::amqp:publish", json!({"Exchange": "", "RoutingKey": "q"}), Some("q")),
            ("arn:aws:states:::amqp:publish", json!({"Exchange": "x", "RoutingKey": "q"}), None),
            ("arn:aws:states:::amqp:publish", json!({"Exchange.$": "$.x", "RoutingKey": "q"}), None),
            ("arn:aws:states:::amqp:call", json!({"Queue.$": "$.q"}), None),
            ("arn:aws:states:::amqp:call", json!({"Queue": "{% $q %}"}), None),
            ("arn:aws:states:::lambda:invoke", json!({"FunctionName": "f:7"}), Some("f")),
            ("arn:aws:lambda:us-east-1:123456789012:function:g", json!(null), Some("g")),
            ("arn:aws:states:us-east-1:123456789012:activity:paint", json!(null), Some("reveille.activity.paint")),
            (
                "arn:aws:states:::sqs:sendMessage",
                json!({"QueueUrl": "https://sqs.x.amazonaws.com/1/orders"}),
                Some("orders"),
            ),
            ("arn:aws:states:::http:invoke", json!({}), Some("http.invoke")),
            ("arn:aws:states:::glue:startJobRun.sync", json!({}), Some("glue.startJobRun")),
            ("arn:aws:states:::reveille:ask.waitForTaskToken", json!({"Form": {}}), None),
            ("arn:aws:states:::reveille:ask.waitForTaskToken", json!({"Notify": {"Queue": "mail"}}), Some("mail")),
            ("arn:aws:states:::sns:publish", json!({"TopicArn": "t"}), None),
            ("arn:aws:states:::states:startExecution", json!({}), None),
            ("arn:aws:states:::aws-sdk:sfn:sendTaskSuccess", json!({}), None),
        ] {
            let resource = Resource::parse(arn).unwrap();
            let named = queue_named(&resource, &parameters, &ServiceTable::default(), Names::shipped());
            assert_eq!(named.as_deref(), queue, "{arn} {parameters}");
        }
    }

    #[test]
    fn a_row_of_the_table_names_its_queue_where_the_text_fills_it() {
        let row = |resource: &str, exchange: &str, routing_key: &str| TableEntry {
            resource: resource.to_owned(),
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            ..TableEntry::default()
        };
        let rows = vec![
            row("glue:*", "", "jobs.{parameters.JobName}"),
            row("sqs:*", "orders", "x"),
            row("batch:*", "", "{service}-{action}"),
        ];
        let table = ServiceTable::new(rows).unwrap();
        for (arn, parameters, queue) in [
            ("arn:aws:states:::glue:startJobRun", json!({"JobName": "a"}), Some("jobs.a")),
            ("arn:aws:states:::glue:startJobRun", json!({"JobName.$": "$.a"}), None),
            ("arn:aws:states:::glue:startJobRun", json!({"JobName": "{% $a %}"}), None),
            ("arn:aws:states:::sqs:sendMessage", json!({"QueueUrl": "https://h/1/q"}), None),
            ("arn:aws:states:::batch:submitJob", json!({}), Some("batch-submitJob")),
        ] {
            let resource = Resource::parse(arn).unwrap();
            let named = queue_named(&resource, &parameters, &table, Names::shipped());
            assert_eq!(named.as_deref(), queue, "{arn} {parameters}");
        }
    }

    #[test]
    fn a_payload_is_the_member_that_becomes_the_body() {
        let rows =
            vec![TableEntry { resource: "celery:*".to_owned(), body: "message".to_owned(), ..TableEntry::default() }];
        let table = ServiceTable::new(rows).unwrap();
        let body = json!({"a.$": "$.a"});
        for (arn, parameters, expected) in [
            ("arn:aws:states:::amqp:call", json!({"Queue": "q", "Body": body}), PayloadWritten::Template(&body)),
            ("arn:aws:states:::amqp:call", json!({"Queue": "q", "Body.$": "$.x"}), PayloadWritten::Computed("$.x")),
            ("arn:aws:states:::amqp:call", json!({"Queue": "q"}), PayloadWritten::Template(&Value::Null)),
            ("arn:aws:states:::lambda:invoke", json!({"Payload": body}), PayloadWritten::Template(&body)),
            ("arn:aws:states:::celery:call", json!({"task": "t", "message": body}), PayloadWritten::Template(&body)),
            ("arn:aws:states:::glue:startJobRun", body.clone(), PayloadWritten::Template(&body)),
            ("arn:aws:states:us-east-1:123456789012:activity:paint", Value::Null, PayloadWritten::Input),
        ] {
            let resource = Resource::parse(arn).unwrap();
            assert_eq!(payload_written(&resource, &parameters, &table), expected, "{arn} {parameters}");
        }
    }
}
