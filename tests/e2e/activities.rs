//! Activities on a real broker: pollers of `GetActivityTask` and AMQP consumers share one queue, and each task goes to
//! one of them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Answer, Launch, SOON, Server, Wire, until, vhost};

const QUEUE: &str = "reveille.activity.a";

struct Shop {
    server: Server,
    url: String,
    activity: String,
    machine: String,
}

impl Shop {
    fn open() -> Option<Self> {
        let url = vhost()?;
        let server = Server::start(Launch::over(&url).with("REVEILLE__BUS__QUEUE_KIND", "classic"));
        let activity = server.call("CreateActivity", &json!({"name": "a"}))["activityArn"].as_str().unwrap().to_owned();
        let task = json!({"Type": "Task", "Resource": activity, "End": true});
        let machine = server.machine("m", &json!({"StartAt": "T", "States": {"T": task}}).to_string());
        Some(Self { server, url, activity, machine })
    }

    fn start(&self, numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|n| self.server.execution(&self.machine, &format!("e{n}"), &json!({ "number": n }))).collect()
    }

    /// Input and token of the next task.
    #[track_caller]
    fn poll(&self, worker: &str) -> (Value, String) {
        let task = self.server.call("GetActivityTask", &json!({"activityArn": self.activity, "workerName": worker}));
        let text = |member: &str| task[member].as_str().unwrap_or_else(|| panic!("no task in time: {task}"));
        (serde_json::from_str(text("input")).unwrap(), text("taskToken").to_owned())
    }

    fn succeed(&self, token: &str, output: &Value) {
        self.server.call("SendTaskSuccess", &json!({"taskToken": token, "output": output.to_string()}));
    }

    /// A poll whose caller does not stay for its answer: it goes away once it is a consumer of the queue, and the
    /// server notices.
    fn poll_and_leave(&self, wire: &Wire) {
        let mut stream = TcpStream::connect(self.server.endpoint.trim_start_matches("http://")).unwrap();
        let body = json!({"activityArn": self.activity}).to_string();
        let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AWSStepFunctions.GetActivityTask";
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        until("it waits", SOON, || (wire.consumers(QUEUE) == 1).then_some(()));
        drop(stream);
        until("the server notices that it has gone", SOON, || (wire.consumers(QUEUE) == 0).then_some(()));
    }

    fn event(&self, execution: &str, kind: &str) -> Option<Value> {
        self.server.history(execution).into_iter().find(|event| event["type"] == kind)
    }
}

#[test]
fn pollers_and_consumers_share_the_tasks_of_an_activity() {
    let Some(shop) = Shop::open() else { return };
    let mut executions = shop.start(0..10);
    // A poller takes some,
    for _ in 0..5 {
        let (input, token) = shop.poll("poller");
        shop.server.call("SendTaskHeartbeat", &json!({ "taskToken": token }));
        shop.succeed(&token, &json!({"done": input["number"]}));
    }
    // a consumer the rest, and then both what comes.
    let taken = Arc::new(Mutex::new(Vec::new()));
    let consumer = Wire::to(&shop.url);
    let seen = Arc::clone(&taken);
    consumer.worker(QUEUE, 1, move |task| {
        seen.lock().unwrap().push(task.body["number"].as_u64().unwrap());
        Answer::success(&json!({"done": task.body["number"]}))
    });
    for execution in &executions {
        assert_eq!(shop.server.ended(execution)["status"], "SUCCEEDED");
    }
    assert_eq!(taken.lock().unwrap().len(), 5);
    executions.extend(shop.start(10..40));
    for (n, execution) in executions.iter().enumerate() {
        let ended = shop.server.ended(execution);
        assert_eq!(
            (&ended["status"], &ended["output"]),
            (&json!("SUCCEEDED"), &json!(json!({ "done": n }).to_string()))
        );
        let kinds: Vec<Value> = shop.server.history(execution).into_iter().map(|event| event["type"].clone()).collect();
        let told =
            ["ExecutionStarted", "TaskStateEntered", "ActivityScheduled", "ActivityStarted", "ActivitySucceeded"];
        assert_eq!(kinds[..5], told.map(Value::from));
    }
    let numbers: BTreeSet<u64> = taken.lock().unwrap().iter().copied().collect();
    assert_eq!(numbers.len(), taken.lock().unwrap().len(), "each once");
    let polled = executions
        .iter()
        .filter_map(|e| shop.event(e, "ActivityStarted"))
        .filter(|event| event["activityStartedEventDetails"]["workerName"] == "poller");
    assert_eq!(polled.count(), 5, "a poller's name is in the history, a consumer has none");
}

#[test]
fn a_long_poll_ends_with_the_task_that_comes() {
    let Some(shop) = Shop::open() else { return };
    std::thread::scope(|scope| {
        let polling = scope.spawn(|| shop.poll("early"));
        std::thread::sleep(Duration::from_secs(1));
        let execution = shop.start(0..1).remove(0);
        let (input, token) = polling.join().unwrap();
        assert_eq!(input, json!({"number": 0}));
        assert_eq!(
            shop.event(&execution, "ActivityStarted").unwrap()["activityStartedEventDetails"]["workerName"],
            "early"
        );
        shop.server.call("SendTaskFailure", &json!({"taskToken": token, "error": "Tired", "cause": "long day"}));
        let ended = shop.server.ended(&execution);
        assert_eq!(
            (&ended["status"], &ended["error"], &ended["cause"]),
            (&json!("FAILED"), &json!("Tired"), &json!("long day"))
        );
    });
}

#[test]
fn pollers_that_go_away_and_an_engine_that_dies_lose_nothing() {
    let Some(mut shop) = Shop::open() else { return };
    let wire = Wire::to(&shop.url);
    for _ in 0..4 {
        shop.poll_and_leave(&wire);
    }
    let executions = shop.start(0..20);
    for _ in 0..5 {
        let (input, token) = shop.poll("one");
        shop.succeed(&token, &input);
    }
    // Tasks stay in the queue without the engine, and a consumer takes a task and dies with it.
    let (held, held_token) = {
        let consumer = Wire::to(&shop.url);
        let (task, _delivery) = consumer.hold(QUEUE);
        (task.body, task.token)
    };
    shop.server.kill();
    shop.server.start_again();
    let mut tokens = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for _ in 5..20 {
        let (input, token) = shop.poll("two");
        assert!(tokens.insert(token.clone()), "handed out twice: {input}");
        numbers.insert(input["number"].as_u64().unwrap());
        shop.succeed(&token, &input);
    }
    assert!(
        tokens.contains(&held_token) && numbers.contains(&held["number"].as_u64().unwrap()),
        "given back by the broker"
    );
    for (n, execution) in executions.iter().enumerate() {
        assert_eq!(shop.server.ended(execution)["output"], json!({ "number": n }).to_string());
    }
    let late = shop.server.try_call("SendTaskSuccess", &json!({"taskToken": held_token, "output": "1"})).unwrap_err().1;
    assert_eq!(late["__type"], "TaskTimedOut");
}
