//! Replies that cannot be used: each is told to its sender and parked with its reason, and the task is as it was.

use serde_json::{Value, json};

use reveille::bus::{HeaderValue, Message};

use super::support::{Answer, Launch, Server, Wire, asks, cli, vhost};

/// Where verdicts go.
const INBOX: &str = "worker.inbox";

struct Desk {
    server: Server,
    wire: Wire,
    machine: String,
}

impl Desk {
    fn open() -> Option<Self> {
        let url = vhost()?;
        let server = Server::start(Launch::over(&url).with("REVEILLE__BUS__QUEUE_KIND", "classic"));
        let wire = Wire::to(&url);
        wire.declare(&["questions", INBOX]);
        let machine = server.machine("asks", &asks("questions", &json!({})));
        Some(Self { server, wire, machine })
    }

    /// Checks a refused reply: the verdict to its sender, and the parked message.
    #[track_caller]
    fn refuses(&self, to: &str, token: Option<&str>, answer: &Answer) -> (Value, Message) {
        self.wire.reply(to, token, &Answer { reply_to: Some(INBOX.to_owned()), ..answer.clone() });
        let told = self.wire.take(INBOX);
        assert_eq!(told.properties.kind.as_deref(), Some("task.verdict"));
        // A reply without a token has no correlation id here: there it would be its token.
        assert_eq!(
            told.properties.correlation_id.as_deref(),
            token.map(|_| "about-this-one"),
            "the verdict names its message"
        );
        (serde_json::from_slice(&told.body).unwrap(), self.wire.take("reveille.parked"))
    }
}

fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    message.properties.headers.get(name).and_then(HeaderValue::as_text).unwrap_or_default()
}

fn raw(body: &[u8]) -> Answer {
    Answer { status: "success", body: body.to_vec(), reply_to: None }
}

#[test]
fn a_reply_that_cannot_be_used_is_told_parked_and_leaves_its_task_open() {
    let Some(desk) = Desk::open() else { return };
    let execution = desk.server.execution(&desk.machine, "one", &json!({"number": 1}));
    let task = desk.wire.task("questions");
    let token = task.token.as_str();
    // Not its last character, some of whose bits mean nothing: a token that is no base64 is refused for that.
    let (head, tail) = token.split_at(token.len() - 8);
    let forged = format!("{head}{}{}", if tail.starts_with('A') { 'B' } else { 'A' }, &tail[1..]);
    let large = format!("\"{}\"", "x".repeat(262_144));
    for (what, token, answer, verdict, reason) in [
        ("not JSON", Some(token), raw(b"{"), "invalid-output", "the output is not JSON"),
        ("too large", Some(token), raw(large.as_bytes()), "too-large", "PAYLOAD_BYTES_MAX"),
        ("an unknown status", Some(token), Answer { status: "done", ..raw(b"1") }, "invalid-output", "task-status"),
        ("forged", Some(forged.as_str()), raw(b"1"), "forged", ""),
        ("no token at all", None, raw(b"1"), "unknown", "neither header task-token nor correlation_id"),
    ] {
        let (told, parked) = desk.refuses(&task.reply_to, token, &answer);
        assert_eq!(told["verdict"], verdict, "{what}");
        assert!(told["detail"].as_str().unwrap().contains(reason), "{what}: {told}");
        assert_eq!(header(&parked, "x-verdict"), verdict, "{what}");
        assert!(header(&parked, "x-reason").contains(reason) && !header(&parked, "x-reason").is_empty(), "{what}");
        assert!(!header(&parked, "x-parked-at").is_empty());
        assert_eq!(parked.body, answer.body, "{what}: parked as it came");
        assert_eq!(desk.server.status(&execution), "RUNNING", "{what}");
    }
    // Each is counted, the forged one by its fault.
    for (verdict, count) in [("invalid-output", 2.0), ("too-large", 1.0), ("forged", 1.0), ("unknown", 1.0)] {
        for name in ["reveille_replies_total{verdict", "reveille_replies_refused_total{reason"] {
            let counted = desk.server.metric(&format!("{name}=\"{verdict}\""));
            assert!((counted - count).abs() < 0.5, "{name} {verdict}: {counted}");
        }
    }
    assert!(desk.server.log().iter().all(|line| !line.to_string().contains(token)), "a token stands in the log");
    // Nor in the metrics, nor in the API's error for a refused token.
    let (_, metrics) = desk.server.get("/metrics");
    assert!(!metrics.contains(token) && !metrics.contains(&forged), "a token stands in the metrics");
    for operation in ["SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat"] {
        let request = match operation {
            "SendTaskSuccess" => json!({"taskToken": forged, "output": "1"}),
            _ => json!({"taskToken": forged}),
        };
        let (status, error) = desk.server.try_call(operation, &request).unwrap_err();
        assert!(status == 400 && error["__type"].as_str().unwrap().ends_with("InvalidToken"), "{error}");
        assert!(!error.to_string().contains(&forged), "a token stands in an error of the API: {error}");
    }

    desk.wire.reply(&task.reply_to, Some(token), &Answer::success(&json!({"ok": true})));
    let shown = desk.server.ended(&execution);
    assert_eq!((&shown["status"], &shown["output"]), (&json!("SUCCEEDED"), &json!(r#"{"ok":true}"#)));
}

/// A request has one answer: where that is too large, the task fails as AWS's would, and nothing waits for a better
/// one.
#[test]
fn a_request_that_is_answered_with_too_much_fails() {
    let Some(desk) = Desk::open() else { return };
    let call = json!({"StartAt": "Ask", "States": {"Ask": {
        "Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Parameters": {"Queue": "questions", "Body": {}}, "End": true,
    }}});
    let machine = desk.server.machine("call", &call.to_string());
    let execution = desk.server.execution(&machine, "much", &json!({}));
    let task = desk.wire.task("questions");
    let large = format!("\"{}\"", "x".repeat(262_144));
    desk.wire.reply(
        &task.reply_to,
        Some(&task.token),
        &Answer { reply_to: Some(INBOX.to_owned()), ..raw(large.as_bytes()) },
    );
    let told: Value = serde_json::from_slice(&desk.wire.take(INBOX).body).unwrap();
    assert_eq!(told["verdict"], "too-large", "{told}");
    let shown = desk.server.ended(&execution);
    assert_eq!((&shown["status"], &shown["error"]), (&json!("FAILED"), &json!("States.DataLimitExceeded")), "{shown}");
}

/// No other answer follows an unreadable answer to a request: Retry and Catch see it with its fault.
#[test]
fn a_request_that_is_answered_with_no_json_fails() {
    let Some(desk) = Desk::open() else { return };
    let ask = |resource: &str, parameters: Value| {
        json!({"StartAt": "Ask", "States": {
            "Ask": {
                "Type": "Task", "Resource": resource, "Parameters": parameters, "End": true,
                "Retry": [{"ErrorEquals": ["Amqp.InvalidReply"], "IntervalSeconds": 1, "MaxAttempts": 1}],
                "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Tell"}],
            },
            "Tell": {"Type": "Pass", "End": true},
        }})
        .to_string()
    };
    let body = json!({"Queue": "questions", "Body": {}});
    let call = desk.server.machine("call", &ask("arn:aws:states:::amqp:call", body));
    let utf16: Vec<u8> = "[1]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, body, expected) in [
        ("text", &b"sent to ann"[..], "expected value at line 1 column 1"),
        ("gzip", &[0x1f, 0x8b, 8, 0], "compressed with gzip"),
        ("mark", "\u{feff}".as_bytes(), "a byte order mark and nothing else"),
        ("nan", b"{\"a\":NaN}", "line 1 column 6"),
        ("utf16", &utf16, "UTF-16"),
        ("latin1", b"\"caf\xe9\"", "not UTF-8 from byte 4 on"),
        ("blank", b" ", "it is blank"),
    ] {
        let execution = desk.server.execution(&call, name, &json!({}));
        for _ in 0..2 {
            let task = desk.wire.task("questions");
            desk.wire.reply(
                &task.reply_to,
                Some(&task.token),
                &Answer { reply_to: Some(INBOX.to_owned()), ..raw(body) },
            );
            let told: Value = serde_json::from_slice(&desk.wire.take(INBOX).body).unwrap();
            assert_eq!(told["verdict"], "invalid-output", "{name}: {told}");
        }
        let output: Value =
            serde_json::from_str(desk.server.ended(&execution)["output"].as_str().expect("caught")).unwrap();
        assert_eq!(output["Error"], "Amqp.InvalidReply", "{name}: {output}");
        assert!(output["Cause"].as_str().unwrap().contains(expected), "{name}: {output}");
    }
    // A function's failure has Lambda's shape.
    desk.wire.declare(&["f"]);
    let function =
        desk.server.machine("function", &ask("arn:aws:states:::lambda:invoke", json!({"FunctionName": "f"})));
    let execution = desk.server.execution(&function, "one", &json!({}));
    let task = desk.wire.task("f");
    desk.wire.reply(&task.reply_to, Some(&task.token), &raw(b"<html>"));
    let output: Value = serde_json::from_str(desk.server.ended(&execution)["output"].as_str().unwrap()).unwrap();
    assert_eq!(output["Error"], "Lambda.Unknown");
    let cause: Value = serde_json::from_str(output["Cause"].as_str().unwrap()).unwrap();
    assert!(cause["errorMessage"].as_str().unwrap().contains("the output is not JSON"), "{cause}");
    assert_eq!(desk.wire.try_take("reveille.parked"), None, "each was its task's answer");
}

/// Headers of a worker may hold any text.
#[test]
fn a_dead_letter_is_told_of_the_execution_that_its_token_names() {
    let Some(desk) = Desk::open() else { return };
    let execution = desk.server.execution(&desk.machine, "one", &json!({"number": 1}));
    let task = desk.wire.task("questions");
    let mut letter = Message::default();
    for (name, text) in
        [("task-token", task.token.as_str()), ("execution-arn", "arn:of:another"), ("x-first-death-reason", "rejected")]
    {
        letter.properties.headers.insert(name.into(), HeaderValue::Text(text.to_owned()));
    }
    desk.wire.publish("reveille.dead-letters", letter);
    assert_eq!(desk.server.ended(&execution)["error"], "Amqp.Rejected");
    let returned: Vec<Value> = desk.server.log().into_iter().filter(|line| line["event"] == "task.returned").collect();
    assert!(!returned.is_empty() && returned.iter().all(|line| line["execution.arn"] == execution), "{returned:?}");
}

#[test]
fn a_second_reply_and_one_for_what_has_ended_change_nothing() {
    let Some(desk) = Desk::open() else { return };
    // The machine goes on after the answer, so that its execution is open when the second one comes.
    let mut two: Value = serde_json::from_str(&asks("questions", &json!({"ResultPath": "$.answer"}))).unwrap();
    two["States"]["Ask"].as_object_mut().unwrap().remove("End");
    two["States"]["Ask"]["Next"] = json!("Then");
    two["States"]["Then"] = json!({"Type": "Wait", "Seconds": 600, "End": true});
    let two = desk.server.machine("two", &two.to_string());
    let execution = desk.server.execution(&two, "twice", &json!({"number": 2}));
    let task = desk.wire.task("questions");
    desk.wire.reply(&task.reply_to, Some(&task.token), &Answer { reply_to: Some(INBOX.to_owned()), ..raw(b"1") });
    let accepted: Value = serde_json::from_slice(&desk.wire.take(INBOX).body).unwrap();
    assert_eq!(accepted["verdict"], "accepted");
    let (told, parked) = desk.refuses(&task.reply_to, Some(&task.token), &raw(b"2"));
    assert_eq!((told["verdict"].as_str(), header(&parked, "x-verdict")), (Some("duplicate"), "duplicate"));
    assert_eq!(desk.server.status(&execution), "RUNNING");

    // Stopped: the same token is late, over AMQP, over HTTP and on the command line.
    let execution = desk.server.execution(&desk.machine, "stopped", &json!({"number": 3}));
    let task = desk.wire.task("questions");
    desk.server.call("StopExecution", &json!({"executionArn": execution}));
    let (told, parked) = desk.refuses(&task.reply_to, Some(&task.token), &raw(b"1"));
    assert_eq!((told["verdict"].as_str(), header(&parked, "x-verdict")), (Some("late"), "late"));
    let (status, error) =
        desk.server.try_call("SendTaskSuccess", &json!({"taskToken": task.token, "output": "1"})).unwrap_err();
    assert_eq!((status, error["__type"].as_str().unwrap().ends_with("TaskTimedOut")), (400, true), "{error}");
    let (code, _, err) = cli(&desk.server, &["succeed", &task.token, "--output", "1"]);
    assert!(code == 1 && err.contains("TaskTimedOut") && !err.contains(&task.token), "{err}");

    // Timed out, and gone on by its Catch.
    let quick = json!({"TimeoutSeconds": 1, "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Over"}]});
    let mut definition: Value = serde_json::from_str(&asks("questions", &quick)).unwrap();
    definition["States"]["Over"] = json!({"Type": "Pass", "Result": "by myself", "End": true});
    let quick = desk.server.machine("quick", &definition.to_string());
    let execution = desk.server.execution(&quick, "timed-out", &json!({"number": 4}));
    let task = desk.wire.task("questions");
    assert_eq!(desk.server.ended(&execution)["output"], r#""by myself""#);
    let (told, _) = desk.refuses(&task.reply_to, Some(&task.token), &raw(b"1"));
    assert_eq!(told["verdict"], "late");
    assert_eq!(desk.server.history(&execution).iter().filter(|event| event["type"] == "ExecutionSucceeded").count(), 1);
}

#[test]
fn a_good_token_for_nothing_and_one_of_an_old_key_are_refused_each_with_its_reason() {
    let Some(url) = vhost() else { return };
    let (old, new) = ("00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100");
    let keyed = |keys: &str| {
        Launch::over(&url).with("REVEILLE__BUS__QUEUE_KIND", "classic").with("REVEILLE__ENGINE__TOKEN_KEY", keys)
    };
    let mut server = Server::start(keyed(old));
    let wire = Wire::to(&url);
    wire.declare(&["questions", INBOX]);
    let machine = server.machine("asks", &asks("questions", &json!({})));
    let execution = server.execution(&machine, "one", &json!({"number": 1}));
    let task = wire.task("questions");

    // A genuine signature, and no such execution; and the token of a task that this execution never had.
    let keys = reveille::token::TokenKeys::parse(&secrecy::SecretString::from(old)).unwrap();
    let (key, partition) = keys.verify(&task.token).unwrap();
    let unknown = reveille::ids::TaskKey { execution: reveille::ids::ExecutionId(uuid::Uuid::new_v4()), ..key };
    let never = reveille::ids::TaskKey { scheduled: reveille::ids::EventId(20_000), ..key };
    let desk = Desk { server, wire, machine };
    for token in [keys.mint(&unknown, partition), keys.mint(&never, partition)] {
        let (told, parked) = desk.refuses(&task.reply_to, Some(&token), &raw(b"1"));
        assert_eq!((told["verdict"].as_str(), header(&parked, "x-verdict")), (Some("unknown"), "unknown"), "{told}");
    }
    let Desk { server: running, wire, machine } = desk;
    server = running;

    // Rotated: the old key still verifies. Taken out: its tokens are refused, and told apart from forged ones.
    assert!(server.stop().success());
    server.set("REVEILLE__ENGINE__TOKEN_KEY", new);
    server.start_again();
    let desk = Desk { server, wire, machine };
    let (told, _) = desk.refuses(&task.reply_to, Some(&task.token), &raw(b"1"));
    assert_eq!(told["verdict"], "forged");
    assert!(told["detail"].as_str().unwrap().contains("no longer"), "{told}");
    assert!(desk.server.metric("reveille_replies_refused_total{reason=\"unknown-key\"}") > 0.5);
    let Desk { server: mut rotated, wire, .. } = desk;
    assert!(rotated.stop().success());
    rotated.set("REVEILLE__ENGINE__TOKEN_KEY", &format!("{new},{old}"));
    rotated.start_again();
    wire.reply(&task.reply_to, Some(&task.token), &raw(b"1"));
    assert_eq!(rotated.ended(&execution)["output"], "1");
}

/// Each server of these tests is searched for tokens in its log, its metrics and its errors: the search finds a token
/// that is there.
#[test]
fn the_search_for_tokens_finds_one() {
    let server = Server::start(Launch::embedded());
    let activity = server.call("CreateActivity", &json!({"name": "asked"}))["activityArn"].clone();
    let definition =
        json!({"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": activity, "End": true}}}).to_string();
    server.execution(&server.machine("asks", &definition), "one", &json!({}));
    let task = server.call("GetActivityTask", &json!({"activityArn": activity}));
    let token = task["taskToken"].as_str().unwrap();
    let searched = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        server.holds_no_token("a text", &format!("\"{token}\","));
    }));
    assert!(searched.is_err(), "it was not found");
    server.holds_no_token("a text", &"0".repeat(64));
}
