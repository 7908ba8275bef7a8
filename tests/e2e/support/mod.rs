//! The base of the tests: a broker, a server, a worker, and waiting with a deadline.

mod broker;
mod database;
mod processes;
mod raw;
mod server;
mod wire;

use std::time::{Duration, Instant};

pub use broker::{Broker, Brokers, broker_says, vhost};
pub use database::Database;
pub use processes::{Program, cli, cli_json, python, workers_of_node};
pub use raw::Raw;
pub use server::{Launch, Server};
pub use wire::{Answer, Task, Wire};

/// Nothing that a test waits for takes longer on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_mins(1);
/// How often it is looked.
const TICK: Duration = Duration::from_millis(25);

/// Waits for a condition; panics with its name if it does not come true.
#[track_caller]
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(TICK);
    }
}

/// A definition with one task on a queue, and what else its state has.
pub fn asks(queue: &str, more: &serde_json::Value) -> String {
    let mut state = serde_json::json!({
        "Type": "Task",
        "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
        "Parameters": {"Exchange": "", "RoutingKey": queue, "Body": {"number.$": "$.number"}},
        "TimeoutSeconds": 600,
        "End": true,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        state[name] = value.clone();
    }
    serde_json::json!({"StartAt": "Ask", "States": {"Ask": state}}).to_string()
}
