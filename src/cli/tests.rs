use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use clap::CommandFactory;
use serde_json::{Value, json};

use super::client::ServerArgs;
use super::*;
use crate::clock::Timestamp;

/// A server that gives these answers, one a request, and tells each request's target and body.
fn server(answers: Vec<(u16, Value)>) -> (ServerArgs, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for (status, answer) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let (mut target, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim_end().to_owned();
                match line.split_once(": ") {
                    Some((name, value)) if name.eq_ignore_ascii_case("x-amz-target") => value.clone_into(&mut target),
                    Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                        length = value.parse().unwrap();
                    }
                    _ if line.is_empty() => break,
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let _ = tell.send((target, serde_json::from_slice(&body).unwrap_or(Value::Null)));
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
            reader.get_mut().write_all(format!("{head}{answer}").as_bytes()).unwrap();
        }
    });
    (ServerArgs { endpoint: Some(endpoint), ..ServerArgs::default() }, told)
}

fn machines(names: &[&str]) -> Value {
    let machines: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "stateMachineArn": format!("arn:aws:states:eu-west-1:1:stateMachine:{name}")}))
        .collect();
    json!({"stateMachines": machines})
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn words_that_people_try_are_understood() {
    for line in [
        "serve --listen 127.0.0.1:0 --store sqlite:x.db --bus embedded: --log debug",
        "demo --yes",
        "demo --amqp amqp://h --with-workers",
        "check a.json",
        "run a.json --input {}",
        "start m --input @f --name n --wait",
        "show m:e",
        "history m:e --reverse -n 5",
        "ls m --status timed-out",
        "cancel m:e --error E --cause C",
        "redrive m:e",
        "redrive a:b c:d",
        "stop --all --machine m --status running --older-than 7d --yes",
        "watch m:e",
        "history m:e --follow -o jsonl",
        "list --status failed,timed-out --since 1h -o name",
        "list -w",
        "tasks --machine m --queue q --older-than 1d --sort due -o wide -w",
        "tasks m:e --full",
        "worker q --exec jq -- -c .a",
        "worker q --http http://h/x --concurrency 4",
        "worker check q",
        "context set a --endpoint http://h:1 --key",
        "context use --none",
        "list --context a",
        "worker check q --payload {} --bad 1 --within 5 -- python3 worker.py --quick",
        "contract m -o yaml",
        "contract a.json --execution m:e",
        "replay m:e f.json --definition new.json",
        "replay --last 100 --machine m",
        "init hello --worker python",
        "man",
        "run a.json --bus amqp://h",
        "succeed TOKEN -o {}",
        "inbox",
        "approve TOKEN --output {}",
        "succeed TOKEN --result {}",
        "reject TOKEN --error E",
        "heartbeat TOKEN",
        "replies ls --reason late --older-than 7d -n 5",
        "parked show 0123456789ab --reveal",
        "replies replay a b --to q --bus amqp://h",
        "replies purge --all --yes",
        "backup copy.db --store sqlite:x.db",
        "machine create n f.json --type express",
        "machines rm n --yes",
        "machines publish n --description d",
        "machines versions n",
        "machines alias n live 1=90 2=10",
        "machines aliases n",
        "call list-activities",
        "api DescribeMapRun @f",
        "health --url http://127.0.0.1:8083",
        "list --output json --endpoint http://h:1",
        "completions bash",
        "bench --amqp amqp://h --count 10 --in-flight 5",
    ] {
        let words = std::iter::once("reveille").chain(line.split(' '));
        assert!(Cli::try_parse_from(words).is_ok(), "{line}");
    }
    for line in [
        "demo --with-workers",
        "serve --listen nowhere",
        "list --limit 0",
        "frobnicate",
        "succeed",
        "machines alias n live",
        "machines alias n live 1 2 3",
        "call",
        "replies purge a --all",
        "stop",
        "stop a --all",
        "redrive",
        "replay",
        "worker q",
        "worker q --exec a --http b",
        "worker check",
        "context use",
        "context set a",
        "history m:e --follow --reverse",
        "replies show",
        "backup",
    ] {
        assert!(Cli::try_parse_from(std::iter::once("reveille").chain(line.split(' '))).is_err(), "{line}");
    }
}

#[test]
fn a_call_is_aws_json_and_its_answer_comes_back() {
    let (args, told) = server(vec![(200, json!({"a": 1})), (200, json!({}))]);
    let client = args.client().unwrap();
    assert_eq!(client.call("StopExecution", &json!({"executionArn": "x"})).unwrap(), json!({"a": 1}));
    assert_eq!(told.recv().unwrap(), ("AWSStepFunctions.StopExecution".to_owned(), json!({"executionArn": "x"})));
    client.call("Reveille.ListWaitingTasks", &json!({})).unwrap();
    assert_eq!(told.recv().unwrap().0, "Reveille.ListWaitingTasks");
}

#[test]
fn a_refusal_has_awss_words_and_a_hint() {
    let answer = json!({"__type": "com.amazonaws.states#TaskTimedOut", "message": "Task Timed Out: 'Provided task does not exist anymore'"});
    let (args, _told) = server(vec![(400, answer)]);
    let error = args.client().unwrap().call("SendTaskSuccess", &json!({})).unwrap_err();
    let CliError::Failed { message, hint } = error else { panic!("{error:?}") };
    assert_eq!(message, "TaskTimedOut: Task Timed Out: 'Provided task does not exist anymore'");
    assert!(hint.unwrap().contains("the task has ended"));
}

#[test]
fn a_server_that_is_not_there_is_told_with_its_address() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let args = ServerArgs { endpoint: Some(format!("http://{port}")), ..ServerArgs::default() };
    let error = args.client().unwrap().call("ListStateMachines", &json!({})).unwrap_err();
    assert!(
        matches!(&error, CliError::Unreachable { what, .. } if what.ends_with(&port.port().to_string())),
        "{error:?}"
    );
    assert!(matches!(
        ServerArgs { endpoint: Some("localhost".to_owned()), ..ServerArgs::default() }.client(),
        Err(CliError::Usage { .. })
    ));
}

#[test]
fn names_become_arns_in_the_servers_own_region() {
    let (args, _told) = server(vec![
        (200, machines(&["a", "art-event"])),
        (200, machines(&["art-event"])),
        (200, machines(&["other"])),
    ]);
    let client = args.client().unwrap();
    assert_eq!(names::machine(&client, "art-event").unwrap(), "arn:aws:states:eu-west-1:1:stateMachine:art-event");
    assert_eq!(
        names::execution(&client, "art-event:spring").unwrap(),
        "arn:aws:states:eu-west-1:1:execution:art-event:spring"
    );
    let CliError::Failed { message, hint } = names::machine(&client, "art-event").unwrap_err() else { panic!() };
    assert_eq!(
        (message.as_str(), hint.as_deref()),
        ("there is no state machine 'art-event'", Some("there are: other"))
    );
    assert_eq!(names::machine(&client, "arn:aws:states:x").unwrap(), "arn:aws:states:x", "an ARN is not asked for");
}

#[test]
fn pages_are_followed_to_the_limit() {
    let page = |from: u64, next: bool| {
        let items: Vec<u64> = (from..from + 2).collect();
        if next { json!({"events": items, "nextToken": "t"}) } else { json!({"events": items}) }
    };
    let (args, told) = server(vec![(200, page(0, true)), (200, page(2, true))]);
    let events = args.client().unwrap().pages("GetExecutionHistory", json!({}), "events", 3).unwrap();
    assert_eq!(events, [json!(0), json!(1), json!(2)]);
    assert_eq!(told.recv().unwrap().1, json!({"maxResults": 3}));
    assert_eq!(told.recv().unwrap().1, json!({"maxResults": 1, "nextToken": "t"}));
}

#[test]
fn json_arguments_are_checked_before_anything_is_sent() {
    assert_eq!(input::json("{\"a\":1}", "the input").unwrap(), "{\"a\":1}");
    let CliError::Usage { message, hint } = input::json("hello", "the result").unwrap_err() else { panic!() };
    assert!(message.starts_with("the result is not JSON"), "{message}");
    assert_eq!(hint.as_deref(), Some("a text needs its quotes: '\"hello\"'; a file: @FILE"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[1]").unwrap();
    assert_eq!(input::json(&format!("@{}", file.path().display()), "the input").unwrap(), "[1]");
    assert!(matches!(input::json("@no/such/file", "x"), Err(CliError::Usage { .. })));
}

#[test]
fn waiting_tasks_and_histories_read_as_tables() {
    let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
    let tasks = json!({"tasks": [{
        "executionArn": "arn:aws:states:us-east-1:1:execution:art-event:spring", "stateName": "Hire a photographer", "taskToken": "TOKEN",
        "destination": "queue 'photographer-friend'", "submitted": true, "since": 0.0, "due": 7_200.0,
    }]});
    assert_eq!(
        plain(tasks::table(&tasks, Timestamp::from_millis(3_600_000), false)),
        "STATE                EXECUTION  WAITS  UNTIL     ON                           TOKEN\n\
         Hire a photographer  spring     1 h    1 h left  queue 'photographer-friend'  TOKEN\n"
    );
    assert_eq!(tasks::table(&json!({"tasks": []}), Timestamp::default(), false), "nothing waits");
    let events = [
        json!({"id": 1, "timestamp": 10.0, "type": "ExecutionStarted", "executionStartedEventDetails": {"input": "{}"}}),
        json!({"id": 2, "timestamp": 10.5, "type": "TaskFailed",
               "taskFailedEventDetails": {"resourceType": "amqp", "resource": "call", "error": "E", "cause": "why"}}),
        json!({"id": 3, "timestamp": 12.0, "type": "TaskScheduled",
               "taskScheduledEventDetails": {"resourceType": "amqp", "resource": "call", "parameters": "{\"token\":\"SECRET\"}"}}),
    ];
    let table = plain(history::table(&events, 72));
    assert_eq!(
        table,
        "ID  AFTER    TYPE              OF         DETAIL\n\
         1   +0 ms    ExecutionStarted             {}\n\
         2   +500 ms  TaskFailed        amqp:call  E: why\n\
         3   +2.0 s   TaskScheduled     amqp:call  \n"
    );
}
