//! `reveille worker`: programs and web services that do tasks.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::{Value, json};

use super::support::{Launch, SOON, Server, Wire, cli, until, vhost};

/// A worker that is killed at the end of its test.
struct Hired(Child);

impl Drop for Hired {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Hired {
    fn start(bus: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        command.arg("worker").args(arguments).env("REVEILLE__BUS__URL", bus).stdin(Stdio::null());
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"))
    }

    /// A script of the shell for a queue.
    fn sh(bus: &str, queue: &str, script: &str) -> Self {
        Self::start(bus, &[queue, "--exec", "sh", "--", "-c", script])
    }

    fn signal(&self, name: &str) {
        let told = Command::new("kill").args([name, &self.0.id().to_string()]).status().expect("kill runs");
        assert!(told.success());
    }
}

/// A machine with one task of this queue, and what else its state has; the result of one execution with this input.
fn begin(server: &Server, name: &str, resource: &str, queue: &str, more: &Value) -> String {
    let mut state = json!({"Type": "Task", "Resource": format!("arn:aws:states:::amqp:{resource}"),
        "Parameters": {"Queue": queue, "Body.$": "$"}, "End": true});
    for (name, value) in more.as_object().into_iter().flatten() {
        state[name] = value.clone();
    }
    let machine = server.machine(name, &json!({"StartAt": "Ask", "States": {"Ask": state}}).to_string());
    server.execution(&machine, "one", &json!({"a": 2, "b": 3}))
}

fn ended(server: &Server, execution: &str) -> (String, String) {
    let shown = server.ended(execution);
    let text = |name: &str| shown[name].as_str().unwrap_or_default().to_owned();
    if shown["status"] == "SUCCEEDED" {
        ("SUCCEEDED".to_owned(), text("output"))
    } else {
        (text("error"), text("cause"))
    }
}

fn of(one: &str, two: &str) -> (String, String) {
    (one.to_owned(), two.to_owned())
}

#[test]
fn a_program_does_tasks_and_its_exit_fails_them() {
    let Some(url) = vhost() else { return };
    let server = Server::start(Launch::over(&url));
    let call = |name: &str, more: &Value| begin(&server, name, "call", name, more);
    let good = call("good", &json!({}));
    let bad = call("bad", &json!({}));
    let named = call("named", &json!({}));
    let told = begin(&server, "told", "publish.waitForTaskToken", "told", &json!({}));
    // The workers come last; each queue is there.
    let _workers = [
        Hired::sh(&url, "good", "cat"),
        Hired::sh(&url, "bad", "cat > /dev/null; echo no room >&2; exit 5"),
        Hired::sh(&url, "named", r#"echo '{"error": "Kitchen.Busy", "cause": "try at noon"}'; exit 1"#),
        Hired::sh(&url, "told", r#"echo "$REVEILLE_TASK_KIND $REVEILLE_RESOURCE $REVEILLE_STATE_NAME""#),
    ];
    assert_eq!(ended(&server, &good), of("SUCCEEDED", r#"{"a":2,"b":3}"#));
    assert_eq!(ended(&server, &bad), of("Exit.5", "no room"));
    assert_eq!(ended(&server, &named), of("Kitchen.Busy", "try at noon"));
    let resource = "arn:aws:states:::amqp:publish.waitForTaskToken";
    assert_eq!(ended(&server, &told), of("SUCCEEDED", &format!("\"callback {resource} Ask\"")));
}

#[test]
fn heartbeats_keep_a_long_task_alive_and_a_cancelled_one_ends_its_program() {
    let Some(url) = vhost() else { return };
    let server = Server::start(Launch::over(&url));
    let folder = tempfile::tempdir().expect("a folder");
    let (begun, over) = (folder.path().join("begun"), folder.path().join("over"));
    // A worker that is late for some seconds on a busy machine is still in time, and the task takes longer than that.
    let long = begin(&server, "long", "call", "long", &json!({"HeartbeatSeconds": 12, "TimeoutSeconds": 300}));
    let stopped = begin(&server, "stopped", "call", "stopped", &json!({}));
    let script = format!(
        "trap 'touch {over}; exit 1' TERM; touch {begun}; sleep 300 & wait",
        over = over.display(),
        begun = begun.display()
    );
    let _workers = [Hired::sh(&url, "long", "sleep 20; echo done"), Hired::sh(&url, "stopped", &script)];
    until("the program begins", SOON, || begun.exists().then_some(()));
    server.call("StopExecution", &json!({"executionArn": stopped}));
    until("the program is told", SOON, || over.exists().then_some(()));
    assert_eq!(ended(&server, &long), of("SUCCEEDED", r#""done""#));
    let wire = Wire::to(&url);
    until("the cancelled task is acknowledged", SOON, || (wire.peek("stopped") == Some(0)).then_some(()));
    assert_eq!(wire.try_take("reveille.parked"), None, "no reply was sent for it");
}

#[test]
fn a_worker_that_started_before_the_engine_hears_of_a_cancelled_task() {
    let Some(url) = vhost() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (begun, over) = (folder.path().join("begun"), folder.path().join("over"));
    let script = format!(
        "trap 'touch {over}; exit 1' TERM; touch {begun}; sleep 300 & wait",
        over = over.display(),
        begun = begun.display()
    );
    let _worker = Hired::sh(&url, "early", &script);
    let wire = Wire::to(&url);
    until("the worker has its queue", SOON, || wire.peek("early"));
    let server = Server::start(Launch::over(&url));
    let execution = begin(&server, "early", "call", "early", &json!({}));
    until("the program begins", SOON, || begun.exists().then_some(()));
    server.call("StopExecution", &json!({"executionArn": execution}));
    until("the program is told", SOON, || over.exists().then_some(()));
}

#[test]
fn a_worker_that_dies_loses_nothing_and_a_worker_that_stops_finishes() {
    let Some(url) = vhost() else { return };
    let server = Server::start(Launch::over(&url));
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let count = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    let script = format!("echo begun >> {}; sleep 3; echo 1", log.display());
    let execution = begin(&server, "dies", "call", "dies", &json!({}));
    let mut first = Hired::sh(&url, "dies", &script);
    until("the first begins", SOON, || (count() == 1).then_some(()));
    first.0.kill().expect("it is killed");
    let mut second = Hired::sh(&url, "dies", &script);
    until("the second begins", SOON, || (count() == 2).then_some(()));
    second.signal("-TERM");
    let status = until("the worker stops", SOON, || second.0.try_wait().expect("a status"));
    assert!(status.success(), "{status}");
    assert_eq!(ended(&server, &execution), of("SUCCEEDED", "1"));
    assert_eq!(Wire::to(&url).peek("dies"), Some(0), "it was acknowledged");
}

#[test]
fn tasks_are_done_at_a_time_and_later_answers_come_with_the_token() {
    let Some(url) = vhost() else { return };
    let server = Server::start(Launch::over(&url));
    let folder = tempfile::tempdir().expect("a folder");
    let (both, token) = (folder.path().join("both"), folder.path().join("token"));
    // Each waits until the other has begun: one at a time would never end.
    let script = format!("echo x >> {0}; while [ $(wc -l < {0}) -lt 2 ]; do sleep 0.1; done; echo 1", both.display());
    let executions = ["pair-a", "pair-b"].map(|name| begin(&server, name, "call", "pair", &json!({})));
    let later = begin(&server, "later", "publish.waitForTaskToken", "later", &json!({}));
    let keep = format!("echo $REVEILLE_TASK_TOKEN > {}", token.display());
    let _workers = [
        Hired::start(&url, &["pair", "--concurrency", "2", "--exec", "sh", "--", "-c", &script]),
        Hired::start(&url, &["later", "--later", "--exec", "sh", "--", "-c", &keep]),
    ];
    for execution in &executions {
        assert_eq!(ended(&server, execution), of("SUCCEEDED", "1"));
    }
    let wire = Wire::to(&url);
    let token =
        until("the task is taken", SOON, || std::fs::read_to_string(&token).ok().filter(|text| text.ends_with('\n')));
    until("the task is acknowledged", SOON, || (wire.peek("later") == Some(0)).then_some(()));
    assert_eq!(server.status(&later), "RUNNING");
    let (code, _, err) = cli(&server, &["succeed", token.trim(), "--result", r#"{"by": "hand"}"#]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(ended(&server, &later), of("SUCCEEDED", r#"{"by":"hand"}"#));
}

/// A web service. Its requests, whole, come out of the channel.
fn service(listener: TcpListener) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut asked = String::new();
            let mut bytes = [0; 4_096];
            // The body is the end of the request, and every body here ends with a brace.
            while !asked.ends_with('}') {
                match stream.read(&mut bytes) {
                    Ok(length @ 1..) => asked.push_str(&String::from_utf8_lossy(&bytes[..length])),
                    _ => break,
                }
            }
            let (status, body) = match asked.split_whitespace().nth(1).unwrap_or_default() {
                "/sum" => ("200 OK", r#"{"sum": 5}"#),
                "/nothing" => ("204 No Content", ""),
                "/later" => ("202 Accepted", ""),
                "/named" => ("409 Conflict", r#"{"error": "Order.Taken", "cause": "by another"}"#),
                _ => ("503 Service Unavailable", "busy"),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = tell.send(asked);
        }
    });
    told
}

#[test]
fn a_web_service_does_tasks_also_if_it_comes_later() {
    let Some(url) = vhost() else { return };
    let server = Server::start(Launch::over(&url));
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let sum = begin(&server, "sum", "call", "sum", &json!({}));
    let _worker = Hired::start(&url, &["sum", "--http", &format!("http://127.0.0.1:{port}/sum")]);
    let wire = Wire::to(&url);
    until("the worker takes the task", SOON, || {
        (wire.peek("sum") == Some(0) && wire.consumers("sum") == 1).then_some(())
    });
    assert_eq!(server.status(&sum), "RUNNING", "its service is away");
    let asked = service(TcpListener::bind(("127.0.0.1", port)).expect("the port"));
    assert_eq!(ended(&server, &sum), of("SUCCEEDED", r#"{"sum":5}"#));
    let request = asked.recv_timeout(SOON).expect("a request");
    for part in [
        "POST /sum HTTP/1.1\r\n",
        "content-type: application/json\r\n",
        "ce-specversion: 1.0\r\n",
        "ce-type: reveille.task\r\n",
        "ce-source: arn:aws:states:us-east-1:123456789012:stateMachine:sum\r\n",
        "ce-subject: Ask\r\n",
        "ce-id: ",
        "task-kind: request\r\n",
        "resource: arn:aws:states:::amqp:call\r\n",
        "task-token: ",
        "traceparent: 00-",
        "\r\n\r\n{\"a\":2,\"b\":3}",
    ] {
        assert!(request.contains(part), "{part}: {request}");
    }
    for (path, expected) in [
        ("nothing", of("SUCCEEDED", "null")),
        ("named", of("Order.Taken", "by another")),
        ("busy", of("Http.503", "busy")),
    ] {
        let execution = begin(&server, path, "call", path, &json!({}));
        let _worker = Hired::start(&url, &[path, "--http", &format!("http://127.0.0.1:{port}/{path}")]);
        assert_eq!(ended(&server, &execution), expected, "{path}");
    }
    let later = begin(&server, "later", "publish.waitForTaskToken", "later", &json!({}));
    let _later = Hired::start(&url, &["later", "--http", &format!("http://127.0.0.1:{port}/later")]);
    until("the task is taken", SOON, || {
        asked.recv_timeout(SOON).ok().filter(|request| request.starts_with("POST /later"))
    });
    until("the task is acknowledged", SOON, || (wire.peek("later") == Some(0)).then_some(()));
    let token = server.token(&later, "Ask");
    server.call("SendTaskSuccess", &json!({"taskToken": token, "output": "7"}));
    assert_eq!(ended(&server, &later), of("SUCCEEDED", "7"));
}

#[test]
fn a_program_that_does_not_exist_stops_the_worker_before_it_takes_a_task() {
    let output = Command::new(env!("CARGO_BIN_EXE_reveille"))
        .args(["worker", "q", "--exec", "no-such-program", "--bus", "amqp://127.0.0.1:1"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no program 'no-such-program'"));
}
