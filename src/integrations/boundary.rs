//! Destinations that tasks must not use: the engine's own queues and exchanges.

use serde_json::Value;

use super::Outgoing;
use crate::bus::{Address, HeaderValue, Names};
use crate::interpreter::event::Failure;

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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::super::{Plan, PlanContext, Table, plan};
    use super::*;
    use crate::asl::resource::Resource;
    use crate::clock::Timestamp;
    use crate::ids::{Arn, Realm};
    use crate::interpreter::event::Payload;

    fn planned(name: &str, parameters: &Value) -> Result<Plan, Failure> {
        let (realm, arn) = (Realm::new("us-east-1", "123456789012"), Arn::new("arn"));
        let context = PlanContext {
            realm: &realm,
            table: &Table::default(),
            names: Names::shipped(),
            message_id: Uuid::nil(),
            at: Timestamp::from_millis(0),
            execution: &arn,
            machine: &arn,
        };
        let resource = Resource::parse(&format!("arn:aws:states:::{name}")).unwrap();
        plan(&resource, &Payload::new(parameters.clone()), &context)
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
