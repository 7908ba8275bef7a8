//! Replies that come faster than their execution takes them in.

use std::time::Duration;

use serde_json::json;

use crate::bus::embedded::EmbeddedBus;
use crate::bus::{Address, Message, Names, Properties, Settlement, TaskBus};
use crate::engine::support::{self, next, request};
use crate::store::memory::Memory;
use crate::store::{ExecutionFilter, ExecutionStatus, Journal};

const LONG: Duration = Duration::from_mins(1);

/// All are in the mailbox before the first is durable; with it the actor ends, and the others must not be lost with its
/// mailbox.
#[actix_rt::test]
async fn of_many_replies_at_once_the_first_counts_and_each_other_is_parked() {
    const REPLIES: usize = 30;
    let (store, bus) = (Memory::new(), EmbeddedBus::new());
    let engine = support::engine_on(&store, &bus).await;
    let task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
        "Parameters": {"Queue": "work", "Body.$": "$"}, "End": true,
    });
    let machine = support::machine(&store, "m", &json!({"StartAt": "T", "States": {"T": task}})).await;
    for round in 0..10 {
        engine.start_execution(request(&machine, &format!("e{round}"), "{}")).await.unwrap();
        let taken = next(&bus, "work").await;
        let task = taken.message.properties.clone();
        taken.settle(Settlement::Ack);
        for n in 0..REPLIES {
            let properties = Properties { correlation_id: task.correlation_id.clone(), ..Properties::default() };
            let to = Address { exchange: String::new(), routing_key: task.reply_to.clone().unwrap() };
            bus.publish(to, Message { body: n.to_string().into_bytes(), properties }).await.unwrap();
        }
        let mut bodies = Vec::new();
        for _ in 1..REPLIES {
            let parked = next(&bus, &Names::shipped().parked()).await;
            let verdict = parked.message.properties.headers["x-verdict"].as_text().unwrap();
            assert!(["duplicate", "late"].contains(&verdict), "{verdict}");
            bodies.push(String::from_utf8(parked.message.body.clone()).unwrap().parse::<usize>().unwrap());
            parked.settle(Settlement::Ack);
        }
        bodies.sort_unstable();
        assert_eq!(bodies, (1..REPLIES).collect::<Vec<_>>(), "all but the first");
    }
    let rows = store.list(ExecutionFilter { limit: 20, ..Default::default() }).await.unwrap();
    assert!(rows.len() == 10 && rows.iter().all(|row| row.summary.status == ExecutionStatus::Succeeded));
    assert!(rows.iter().all(|row| row.summary.closed.as_ref().unwrap().output.as_deref() == Some("0")));
    engine.stop(LONG).await;
    assert_eq!(bus.get(&Names::shipped().parked()).await.ok().flatten().map(|d| d.message.body), None);
}
