//! Destinations that tasks must not use: the engine's own queues and exchanges.

use serde_json::{Map, Value};

use super::{Outgoing, Plan, PlanContext};
use crate::asl::resource::Resource;
use crate::bus::{Address, HeaderValue, Names};
use crate::interpreter::event::{Failure, Payload};

/// Refuses messages to the engine's own queues and exchanges: a client that may create machines could forge replies,
/// starts and events there. Machines have callbacks, `states:startExecution` and activities instead. RabbitMQ also
/// routes by the headers `CC` and `BCC`.
pub(super) fn check(message: &Outgoing, names: &Names) -> Result<(), Failure> {
    let is_own = |name: &str| name.strip_prefix(names.prefix()).is_some_and(|rest| rest.starts_with('.'));
    let Address { exchange, routing_key } = &message.address;
    let copies = ["CC", "BCC"].iter().filter_map(|name| match message.headers.get(*name)? {
        HeaderValue::Json(Value::Array(keys)) => Some(keys.iter().filter_map(Value::as_str)),
        _ => None,
    });
    let keys = std::iter::once(routing_key.as_str()).chain(copies.flatten());
    let own = keys.filter(|_| exchange.is_empty()).chain([exchange.as_str()]).find(|name| is_own(name));
    own.map_or(Ok(()), |name| {
        let why = format!(
            "'{name}' belongs to the engine, and a task cannot send to it: names that begin with '{}.' are its own \
             (bus.prefix)",
            names.prefix()
        );
        Err(Failure::new("Amqp.Refused", why))
    })
}

/// Why the tasks of a state can never be sent: its text names a destination of the engine's own. What the text leaves
/// open (paths, expressions) is checked when a task is sent.
pub fn refused_by_text(resource: &Resource, parameters: &Value, context: &PlanContext<'_>) -> Option<String> {
    match super::meant(resource, &Payload::new(with_something(parameters)), context) {
        Ok(Plan::Publish(publishing)) => {
            publishing.messages.iter().find_map(|message| check(message, context.names).err()).and_then(|f| f.cause)
        }
        _ => None,
    }
}

/// A payload template with a text where it leaves a value open.
fn with_something(template: &Value) -> Value {
    let something = || Value::from("open");
    match template {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| match name.strip_suffix(".$") {
                    Some(name) => (name.to_owned(), something()),
                    None => (name.clone(), with_something(value)),
                })
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => items.iter().map(with_something).collect(),
        Value::String(text) if text.trim_start().starts_with("{%") => something(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::super::{ServiceTable, plan};
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::{Arn, Realm};

    fn with_context<T>(name: &str, then: impl FnOnce(&Resource, &PlanContext<'_>) -> T) -> T {
        let (realm, arn) = (Realm::new("us-east-1", "123456789012"), Arn::new("arn"));
        let context = PlanContext {
            realm: &realm,
            table: &ServiceTable::default(),
            names: Names::shipped(),
            message_id: Uuid::nil(),
            at: Timestamp::from_millis(0),
            execution: &arn,
            machine: &arn,
        };
        then(&Resource::parse(&format!("arn:aws:states:::{name}")).unwrap(), &context)
    }

    fn planned(name: &str, parameters: &Value) -> Result<Plan, Failure> {
        with_context(name, |resource, context| plan(resource, &Payload::new(parameters.clone()), context))
    }

    fn refused(name: &str, parameters: &Value) -> Option<String> {
        with_context(name, |resource, context| refused_by_text(resource, parameters, context))
    }

    #[test]
    fn a_text_is_refused_for_what_it_says_and_not_for_what_it_leaves_open() {
        for (name, parameters) in [
            ("amqp:publish", json!({"Queue": "reveille.start", "Body.$": "$"})),
            (
                "amqp:call",
                json!({"RoutingKey": "reveille.start", "Body": "{% $states.input %}", "Headers": {"a.$": "$.a"}}),
            ),
            ("amqp:publish", json!({"Exchange": "reveille.events", "RoutingKey.$": "$.key"})),
            ("sqs:sendMessage", json!({"QueueUrl": "reveille.parked", "MessageBody.$": "$"})),
            (
                "lambda:invoke.waitForTaskToken",
                json!({"FunctionName": "reveille.start", "Payload": {"t.$": "$$.Task.Token"}}),
            ),
        ] {
            assert!(
                refused(name, &parameters).is_some_and(|why| why.contains("belongs to the engine")),
                "{name} {parameters}"
            );
        }
        for (name, parameters) in [
            ("amqp:publish", json!({"Queue.$": "$.reveille.start", "Body.$": "$"})),
            ("amqp:publish", json!({"Queue": "{% 'reveille.' & $q %}"})),
            ("sqs:sendMessage", json!({"QueueUrl": "work", "MessageBody": "reveille.start"})),
            ("amqp:publish", json!({"Body": {}})),
            ("states:startExecution", json!({"StateMachineArn": "reveille.start"})),
        ] {
            assert_eq!(refused(name, &parameters), None, "{name} {parameters}");
        }
    }

    #[test]
    fn the_engines_own_queues_take_nothing_of_a_machine() {
        let own = [
            ("amqp:publish", json!({"Queue": "reveille.replies.0"})),
            ("amqp:publish.waitForTaskToken", json!({"RoutingKey": "reveille.start"})),
            ("amqp:call", json!({"Queue": "reveille.dead-letters", "Body": 1})),
            ("amqp:publish", json!({"Exchange": "reveille.events", "RoutingKey": "task.succeeded"})),
            ("amqp:publish", json!({"Queue": "q", "Headers": {"CC": ["other", "reveille.start"]}})),
            ("amqp:publish", json!({"Queue": "q", "Headers": {"BCC": ["reveille.parked"]}})),
            ("sqs:sendMessage", json!({"QueueUrl": "reveille.start", "MessageBody": "{}"})),
            ("lambda:invoke", json!({"FunctionName": "reveille.start", "Payload": {}})),
            ("reveille:start", json!({})),
        ];
        for (name, parameters) in own {
            let Err(Failure { error: Some(error), cause: Some(cause), .. }) = planned(name, &parameters) else {
                panic!("{name}: not refused")
            };
            assert!(error == "Amqp.Refused" && cause.contains("belongs to the engine"), "{name}: {error} {cause}");
            assert_eq!(refused(name, &parameters), Some(cause), "{name}");
        }
        for parameters in [
            json!({"Queue": "reveille-orders"}),
            json!({"Queue": "reveille"}),
            json!({"Queue": "q", "Headers": {"CC": "reveille.start"}}),
            json!({"Exchange": "x", "RoutingKey": "reveille.start"}),
            json!({"Exchange": "x", "Headers": {"CC": ["reveille.start"]}}),
        ] {
            planned("amqp:publish", &parameters).unwrap();
        }
    }
}
