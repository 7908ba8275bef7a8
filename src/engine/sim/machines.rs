//! Random state machines, and what their workers answer: a function of the task's message alone, so that a disturbed
//! run can be compared with an undisturbed one.

use serde_json::{Value, json};

use super::rng::Rng;

pub const CHILD: &str = "child";
pub const MACHINE: &str = "machine";
/// The error of every task that fails by plan: the same everywhere, so that it does not matter which branch failed
/// first.
const ERROR: &str = "Boom";

/// A machine with `calm` contents (no timeouts: its end follows from its definition), or with everything.
/// `long`: with waits of a month among its waits.
pub fn machine(rng: &mut Rng, calm: bool, long: bool) -> Value {
    Maker { rng, calm, long, wait_max: 300, named: 0 }.block(0)
}

/// The same with short waits: while an execution waits, the nodes of a cluster beat.
pub fn brief(rng: &mut Rng, calm: bool) -> Value {
    Maker { rng, calm, long: false, wait_max: 30, named: 0 }.block(0)
}

/// The machine that `startExecution.sync` runs. It never fails.
pub fn child() -> Value {
    json!({"StartAt": "K1", "States": {
        "K1": {"Type": "Wait", "Seconds": 3, "Next": "K2"},
        "K2": task("arn:aws:states:::amqp:call", json!({"Queue": "work", "Body": {"child": true}}), &json!({"Next": "K3"})),
        "K3": {"Type": "Pass", "End": true},
    }})
}

struct Maker<'a> {
    rng: &'a mut Rng,
    calm: bool,
    long: bool,
    /// Seconds.
    wait_max: u64,
    named: u32,
}

impl Maker<'_> {
    fn block(&mut self, depth: u32) -> Value {
        let length = 1 + self.rng.below(if depth == 0 { 5 } else { 3 });
        let names: Vec<String> = (0..length).map(|_| self.name()).collect();
        let mut states = serde_json::Map::new();
        for (i, name) in names.iter().enumerate() {
            let next = names.get(i + 1);
            let mut state = self.state(depth, next.is_none());
            if state["Type"] != "Fail" {
                match next {
                    Some(next) => state["Next"] = json!(next),
                    None => state["End"] = json!(true),
                }
            }
            if matches!(state["Type"].as_str(), Some("Task" | "Parallel" | "Map")) {
                if self.rng.chance(60) {
                    state["Retry"] = json!([{
                        "ErrorEquals": ["States.ALL"],
                        "IntervalSeconds": 1 + self.rng.below(20),
                        "MaxAttempts": self.rng.below(3),
                        "BackoffRate": 1.5,
                    }]);
                }
                if let Some(next) = next
                    && self.rng.chance(50)
                {
                    state["Catch"] = json!([{"ErrorEquals": ["States.ALL"], "ResultPath": "$.caught", "Next": next}]);
                }
            }
            states.insert(name.clone(), state);
        }
        json!({"StartAt": names[0], "States": states})
    }

    fn name(&mut self) -> String {
        self.named += 1;
        format!("S{}", self.named)
    }

    fn state(&mut self, depth: u32, last: bool) -> Value {
        match self.rng.below(if depth < 2 { 12 } else { 8 }) {
            0 => json!({"Type": "Pass", "Result": {"passed": true}, "ResultPath": "$.passed"}),
            1 => json!({"Type": "Wait", "Seconds": self.wait()}),
            2 if last && self.rng.chance(30) => json!({"Type": "Fail", "Error": ERROR, "Cause": "by plan"}),
            2 => json!({"Type": "Wait", "Seconds": 1}),
            3 if depth == 0 => self.child_task(),
            3..=7 => self.task(),
            8 | 9 => {
                let branches: Vec<Value> = (0..2 + self.rng.below(2)).map(|_| self.block(depth + 1)).collect();
                json!({"Type": "Parallel", "Branches": branches, "ResultPath": "$.parallel"})
            }
            10 if depth == 0 && self.rng.chance(60) => self.distributed(),
            _ => {
                let items: Vec<u64> = (0..self.rng.below(5)).collect();
                json!({
                    "Type": "Map",
                    "ItemsPath": "$.items",
                    "MaxConcurrency": self.rng.below(3),
                    "ItemSelector": {"item.$": "$$.Map.Item.Value", "items": items},
                    "ItemProcessor": self.block(depth + 1),
                    "ResultPath": "$.map",
                })
            }
        }
    }

    /// A Distributed Map: each item an execution of its own. In a calm machine their failures are tolerated: the run's
    /// own error would be a second one, and then it would matter which branch failed first.
    fn distributed(&mut self) -> Value {
        let items: Vec<u64> = (0..self.rng.below(4)).collect();
        let mut processor = self.block(1);
        processor["ProcessorConfig"] = json!({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"});
        json!({
            "Type": "Map",
            "ItemsPath": "$.items",
            "MaxConcurrency": self.rng.below(3),
            "ItemSelector": {"item.$": "$$.Map.Item.Value", "items": items},
            "ItemProcessor": processor,
            // Of a child that failed the result would tell name and dates.
            "ResultSelector": {"results.$": "$[*].result"},
            "ToleratedFailurePercentage": if self.calm { 100 } else { self.rng.below(3) * 50 },
            "ResultPath": "$.map",
        })
    }

    fn wait(&mut self) -> u64 {
        // A month's wait now and then: time that passes costs nothing here.
        if self.long && self.rng.chance(10) { 30 * 24 * 3600 } else { 1 + self.rng.below(self.wait_max) }
    }

    fn task(&mut self) -> Value {
        let body = json!({"chance": self.rng.below(1_000), "input.$": "$"});
        let mut task = match self.rng.below(5) {
            0 => task("arn:aws:states:::amqp:call", json!({"Queue": "work", "Body": body}), &json!({})),
            1 => {
                // A function's failure has a cause of its own shape: in a calm machine, where all causes are the same,
                // it has none.
                let mut body = body;
                body["good"] = json!(self.calm);
                task("arn:aws:lambda:us-east-1:123456789012:function:work", body, &json!({}))
            }
            2 => {
                // Done when the broker has it.
                let mut task =
                    task("arn:aws:states:::amqp:publish", json!({"Queue": "notes", "Body": body}), &json!({}));
                task["ResultPath"] = Value::Null;
                return task;
            }
            3 => task(
                "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
                json!({"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/work", "MessageBody": body}),
                &json!({}),
            ),
            _ => task(
                "arn:aws:states:::amqp:publish.waitForTaskToken",
                json!({"Queue": "work", "Body": body}),
                &json!({}),
            ),
        };
        if !self.calm && self.rng.chance(60) {
            task["TimeoutSeconds"] = json!(20 + self.rng.below(200));
            if self.rng.chance(40) {
                task["HeartbeatSeconds"] = json!(5 + self.rng.below(15));
            }
        }
        task
    }

    fn child_task(&mut self) -> Value {
        let pattern = if self.rng.chance(50) { ".sync:2" } else { ".sync" };
        let machine = format!("arn:aws:states:us-east-1:123456789012:stateMachine:{CHILD}");
        let mut task = task(
            &format!("arn:aws:states:::states:startExecution{pattern}"),
            json!({"StateMachineArn": machine}),
            &json!({}),
        );
        // Names and dates differ from run to run.
        task["ResultPath"] = Value::Null;
        task
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made where it is given")]
fn task(resource: &str, parameters: Value, rest: &Value) -> Value {
    let mut task = json!({"Type": "Task", "Resource": resource, "Parameters": parameters, "ResultPath": "$.result"});
    if let (Value::Object(task), Value::Object(rest)) = (&mut task, rest) {
        task.extend(rest.clone());
    }
    task
}

/// A worker's answer to a task: its result, or its failure.
pub fn work(state: &str, attempt: i64, body: &[u8]) -> Result<Value, Value> {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for byte in state.bytes().chain(attempt.to_be_bytes()).chain(body.iter().copied()) {
        sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let sum = crate::engine::services::entropy::seeded::mix(sum);
    let good = || serde_json::from_slice::<Value>(body).is_ok_and(|body| body["good"] == true);
    if !state.starts_with('K') && sum.is_multiple_of(5) && !good() {
        return Err(json!({"error": ERROR, "cause": "by plan"}));
    }
    Ok(json!({"answer": sum % 1_000}))
}
