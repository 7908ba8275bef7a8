//! `reveille replies` on a real broker: parked messages are listed in their order, shown, replayed, purged; nothing is
//! lost on the way.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::support::{Answer, Launch, SOON, Server, Wire, asks, until, vhost};

/// `reveille replies …` against a broker: exit code, standard output as JSON, standard error.
fn replies(url: &str, arguments: &[&str]) -> (i32, Value, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command.arg("replies").args(arguments).args(["--bus", url, "--output", "json"]).stdin(Stdio::null());
    let output = command.output().expect("the command runs");
    let shown = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap_or(-1), shown, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
pub fn done(url: &str, arguments: &[&str]) -> Value {
    let (code, shown, said) = replies(url, arguments);
    assert_eq!(code, 0, "{arguments:?}: {said}");
    shown
}

fn of_each(answer: &Value, field: &str) -> Vec<String> {
    answer["replies"].as_array().unwrap().iter().map(|reply| reply[field].as_str().unwrap().to_owned()).collect()
}

fn raw(body: &str) -> Answer {
    Answer { status: "success", body: body.as_bytes().to_vec(), reply_to: None }
}

/// Quorum queues and classic ones give back in different ways.
#[test]
fn parked_replies_are_listed_shown_replayed_and_purged() {
    for kind in ["quorum", "classic"] {
        let Some(url) = vhost() else { return };
        whole_life(&url, kind);
    }
}

fn whole_life(url: &str, kind: &str) {
    let server = Server::start(Launch::over(url).with("REVEILLE__BUS__QUEUE_KIND", kind));
    let wire = Wire::to(url);
    wire.declare(&["questions"]);
    let machine = server.machine("asks", &asks("questions", &json!({})));
    let execution = server.execution(&machine, "one", &json!({"number": 1}));
    let task = wire.task("questions");
    // A reply that is no JSON, a late or duplicate reply after the task has ended, a reply without a token.
    wire.reply(&task.reply_to, Some(&task.token), &raw("{"));
    let count = |n: usize| {
        until(&format!("{n} are parked"), SOON, || {
            let listed = done(url, &["ls"]);
            (listed["replies"].as_array().unwrap().len() == n).then_some(listed)
        })
    };
    // Each is parked by itself: two at once may change their order.
    count(1);
    wire.reply(&task.reply_to, None, &raw("1"));
    let listed = count(2);
    assert_eq!(
        (of_each(&listed, "verdict"), listed["more"] == true),
        (vec!["invalid-output".to_owned(), "unknown".to_owned()], false)
    );
    assert_eq!(done(url, &["ls", "-n", "1"])["more"], true);
    // Reading changes neither the messages nor their order.
    for _ in 0..3 {
        assert_eq!(of_each(&count(2), "id"), of_each(&listed, "id"), "{kind}");
    }
    assert!(!listed.to_string().contains(&task.token), "a token is listed");

    let id = of_each(&listed, "id")[0].clone();
    let shown = done(url, &["show", &id]);
    assert_eq!(
        (&shown["verdict"], &shown["body"], &shown["from"]),
        (&json!("invalid-output"), &json!("{"), &json!(task.reply_to))
    );
    assert!(shown["reason"].as_str().unwrap().contains("the output is not JSON"), "{shown}");
    assert!(!shown.to_string().contains(&task.token), "a token is shown");
    assert_eq!(done(url, &["show", &id, "--reveal"])["headers"]["task-token"], task.token);
    let (code, _, said) = replies(url, &["show", "unknown"]);
    assert!(code == 1 && said.contains("there is no parked reply 'unknown'"), "{said}");

    // A replay is refused as before, and parked behind the others; its new copy is another message.
    assert_eq!(done(url, &["replay", &id])["replayed"], json!([{"id": id, "to": task.reply_to}]));
    let again = count(2);
    assert_eq!(of_each(&again, "verdict"), ["unknown", "invalid-output"], "{kind}");
    // Sent to a queue that is not there it stays.
    let id = of_each(&again, "id")[1].clone();
    let (code, shown, _) = replies(url, &["replay", &id, "--to", "nowhere"]);
    assert_eq!((code, &shown["replayed"], shown["kept"][0]["id"].as_str()), (1, &json!([]), Some(id.as_str())));
    assert_eq!(count(2)["replies"].as_array().unwrap().len(), 2);

    // An answer that came while its execution could not take it: parked by hand, replayed, and the execution ends with
    // it.
    let mut good = wire.take("reveille.parked");
    wire.publish("reveille.parked", good.clone());
    good.body = br#"{"ok":true}"#.to_vec();
    good.properties.correlation_id = Some(task.token.clone());
    for (name, text) in [("x-parked-id", "by-hand"), ("x-verdict", "late")] {
        good.properties.headers.insert(name.into(), reveille::bus::HeaderValue::Text(text.to_owned()));
    }
    wire.publish("reveille.parked", good);
    assert_eq!(done(url, &["replay", "--verdict", "late"])["replayed"][0]["id"], "by-hand");
    assert_eq!(server.ended(&execution)["output"], r#"{"ok":true}"#);

    // Nothing is deleted by leaving something out, or without a yes.
    let listed = count(2);
    assert_eq!(replies(url, &["purge", "--yes"]).0, 2);
    assert_eq!(replies(url, &["purge", "--all"]).0, 2, "without a terminal no person can say yes");
    assert_eq!(of_each(&count(2), "id"), of_each(&listed, "id"));
    assert_eq!(done(url, &["purge", "--all", "--older-than", "1h", "--yes"])["purged"], json!([]));
    assert_eq!(done(url, &["purge", "--verdict", "unknown", "--yes"])["purged"].as_array().unwrap().len(), 1);
    assert_eq!(of_each(&count(1), "verdict"), ["invalid-output"]);
    done(url, &["purge", "--all", "--yes"]);
    count(0);
}

#[test]
fn a_broker_that_is_not_there_and_one_without_a_parking_queue_are_told() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, _, said) = replies(&format!("amqp://u:secret@127.0.0.1:{port}/%2f"), &["ls"]);
    assert!(code == 3 && said.contains(&port.to_string()) && !said.contains("secret"), "{code} {said}");
    let (code, _, said) = replies("embedded:", &["ls"]);
    assert!(code == 1 && said.contains("bus.url is embedded:"), "{code} {said}");
    let Some(url) = vhost() else { return };
    let (code, _, said) = replies(&url, &["ls"]);
    assert!(code == 1 && said.contains("there is no queue reveille.parked"), "{code} {said}");
}
