//! Parking ends for every refused message and every kind of parking queue, and good replies go on meanwhile.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

use reveille::bus::{HeaderValue, Message, Properties, QueueKind, QueueSpec};

use super::support::{Answer, Launch, SOON, Server, Wire, asks, until, vhost};

const PARKED: &str = "reveille.parked";
const INBOX: &str = "worker.inbox";

fn classic(url: &str) -> Launch {
    Launch::over(url).with("REVEILLE__BUS__QUEUE_KIND", "classic")
}

fn header<'a>(message: &'a Message, name: &str) -> &'a str {
    message.properties.headers.get(name).and_then(HeaderValue::as_text).unwrap_or_default()
}

/// More than the engine's own bus would send.
fn publish_large(url: &str, queue: &str, body: &[u8], properties: BasicProperties) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let sent = channel.basic_publish("".into(), queue.into(), BasicPublishOptions::default(), body, properties);
        assert!(sent.await.unwrap().await.unwrap().is_ack());
        connection.close(200, "OK".into()).await.unwrap();
    });
}

fn lines(server: &Server, event: &str) -> usize {
    server.log().iter().filter(|line| line["event"] == event).count()
}

#[test]
fn a_reply_that_is_too_large_to_be_parked_leaves_a_stub_is_told_once_and_its_task_goes_on() {
    let Some(url) = vhost() else { return };
    let server = Server::start(classic(&url));
    let wire = Wire::to(&url);
    wire.declare(&["questions", INBOX]);
    let machine = server.machine("asks", &asks("questions", &json!({})));
    let execution = server.execution(&machine, "one", &json!({"number": 1}));
    let task = wire.task("questions");
    let body = vec![b'x'; 5 << 20];
    let properties = BasicProperties::default()
        .with_correlation_id(task.token.as_str().into())
        .with_reply_to(INBOX.into())
        .with_delivery_mode(2);
    publish_large(&url, &task.reply_to, &body, properties);
    let stub = wire.take(PARKED);
    assert_eq!((stub.body.len(), header(&stub, "x-verdict")), (65_536, "too-large"));
    assert_eq!(stub.properties.headers["x-parked-bytes"], HeaderValue::Integer(5 << 20));
    assert_eq!(stub.properties.correlation_id.as_deref(), Some(task.token.as_str()));
    assert_eq!(header(&stub, "x-parked-sha256").len(), 64);

    // Headers that leave no room for ours.
    let mut large = Message { body: b"{".to_vec(), ..Message::default() };
    large.properties.correlation_id = Some(task.token.clone());
    large.properties.headers.insert("large".into(), HeaderValue::Text("h".repeat(65_400)));
    wire.publish(&task.reply_to, large);
    let stub = wire.take(PARKED);
    assert_eq!((stub.body.as_slice(), header(&stub, "x-verdict")), (&b"{"[..], "invalid-output"));
    assert!(!stub.properties.headers.contains_key("large"));
    assert_eq!(stub.properties.headers["x-parked-headers-left-out"], HeaderValue::Integer(1));

    wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&json!("good")));
    assert_eq!(server.ended(&execution)["output"], r#""good""#);
    let told: Value = serde_json::from_slice(&wire.take(INBOX).body).unwrap();
    assert_eq!(told["verdict"], "too-large");
    assert_eq!(wire.try_take(INBOX), None, "told once");
    assert_eq!(lines(&server, "reply.refused"), 2, "a line each");
    assert!(server.metric("reveille_parked_total{form=\"stub\"}") > 1.5);
    let refused: Vec<Value> = server.log().into_iter().filter(|line| line["event"] == "reply.refused").collect();
    assert!(
        refused.iter().all(|l| l["execution.arn"] == execution && !l["task.scheduled_id"].is_null()),
        "{refused:?}"
    );
    // A stub is no reply: it is not sent again.
    let arguments = ["replies", "replay", "--all", "--bus", &url, "--output", "json"];
    wire.publish(PARKED, stub);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_reveille")).args(arguments).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(said["kept"][0]["why"].as_str().unwrap().contains("only a part of its 1 bytes"), "{said}");
}

#[test]
fn a_parking_queue_that_was_deleted_is_declared_again() {
    let Some(url) = vhost() else { return };
    let server = Server::start(classic(&url));
    let wire = Wire::to(&url);
    wire.wait_for_queue(PARKED);
    wire.delete(PARKED);
    for n in 0..20 {
        wire.reply("reveille.replies.0", Some(&format!("no token {n}")), &Answer::success(&json!(n)));
    }
    until("all are parked", SOON, || wire.peek(PARKED).filter(|count| *count == 20));
    assert_eq!(lines(&server, "reply.refused"), 20);
    // The bus declares it as it misses it. A reply that comes before that waits, and that is told once.
    let delayed = lines(&server, "parking.delayed");
    assert!(delayed <= 1, "{delayed} lines");
    assert_eq!(lines(&server, "parking.resumed"), delayed);
}

/// A queue of the operator, which refuses messages beyond its length.
#[test]
fn refused_replies_that_cannot_be_parked_hold_up_no_good_one() {
    let Some(url) = vhost() else { return };
    let wire = Wire::to(&url);
    wire.declare_as(QueueSpec { max_length: Some(3), ..QueueSpec::plain(PARKED.to_owned(), QueueKind::Classic) });
    let launch = classic(&url).with("REVEILLE__BUS__PREFETCH", "20").with("REVEILLE__ENGINE__PARTITIONS", "1");
    let server = Server::start(launch);
    wire.declare(&["questions"]);
    let machine = server.machine("asks", &asks("questions", &json!({})));
    let execution = server.execution(&machine, "one", &json!({"number": 1}));
    let task = wire.task("questions");
    for n in 0..100 {
        wire.reply(&task.reply_to, Some(&format!("no token {n}")), &Answer::success(&json!(n)));
    }
    wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&json!("good")));
    assert_eq!(server.ended(&execution)["output"], r#""good""#);
    server.wait_for("all were refused", SOON, |server| lines(server, "reply.refused") == 100);
    assert!(server.metric("reveille_parking_waiting") > 50.0);
    server.wait_for("it is said that some wait", SOON, |server| lines(server, "parking.delayed") == 1);
    // Room again: nothing was lost.
    let mut parked = 0;
    until("all were parked", SOON, || {
        while wire.try_take(PARKED).is_some() {
            parked += 1;
        }
        (parked == 100).then_some(())
    });
    server.wait_for("none waits", SOON, |server| server.metric("reveille_parking_waiting") < 0.5);
    assert_eq!((lines(&server, "reply.refused"), lines(&server, "parking.delayed")), (100, 1));
    assert_eq!(wire.try_take(PARKED), None, "none twice");
}

#[test]
fn a_refused_message_is_parked_once_although_it_asks_for_copies() {
    let Some(url) = vhost() else { return };
    let server = Server::start(classic(&url).with("REVEILLE__ENGINE__PARTITIONS", "1"));
    let wire = Wire::to(&url);
    wire.wait_for_queue(PARKED);
    wire.wait_for_queue("reveille.start");
    for queue in ["reveille.replies.0", "reveille.start", "reveille.dead-letters"] {
        let mut properties = Properties { persistent: true, ..Properties::default() };
        properties.headers.insert("CC".into(), HeaderValue::Json(json!(["reveille.unknown"])));
        wire.publish(queue, Message { body: b"{".to_vec(), properties });
        let parked = wire.take(PARKED);
        assert!(!parked.properties.headers.contains_key("CC"), "{queue}: {parked:?}");
        assert_eq!(parked.properties.headers["x-parked-cc"], HeaderValue::Json(json!(["reveille.unknown"])), "{queue}");
    }
    assert_eq!(wire.try_take(PARKED), None);
    assert!((server.metric("reveille_parked_total") - 3.0).abs() < 0.5);
}
