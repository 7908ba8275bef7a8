//! Messages that an AMQP client cannot read, in every queue that the engine takes from: each is parked with its reason,
//! and nothing beside it is touched. The broker passes all of them on.

use std::collections::BTreeMap;

use serde_json::json;

use super::support::{Answer, Launch, Raw, SOON, Server, Wire, asks, until, vhost};

const HEADERS: u16 = 1 << 13;

fn table(entries: &[u8]) -> Vec<u8> {
    [&u32::try_from(entries.len()).unwrap().to_be_bytes()[..], entries].concat()
}

fn nested(kind: u8, levels: u32) -> Vec<u8> {
    let (name, step) = if kind == b'F' { (&b"\x01a"[..], 7) } else { (&b""[..], 5) };
    let mut entries = if kind == b'F' { Vec::new() } else { b"\x01a".to_vec() };
    for left in (0..levels).rev() {
        entries.extend([name, &[kind], &(left * step).to_be_bytes()].concat());
    }
    table(&entries)
}

/// Flags, properties, and the reason that must be told.
fn bad_ones() -> Vec<(u16, Vec<u8>, &'static str)> {
    let (text, deep, many) = ("not UTF-8", "nested too deep", "too many values");
    let mut all = vec![
        (HEADERS, nested(b'F', 2_000), deep),
        (HEADERS, nested(b'A', 3_000), deep),
        (HEADERS, nested(b'A', 65), deep),
        (HEADERS, table(&[&b"\x01aA"[..], &table(&vec![b'V'; 20_000])].concat()), many),
        (HEADERS, table(b"\x02\xff\xfeS\0\0\0\x01x"), text),
        (HEADERS, table(b"\x01aF\0\0\0\x04\x02\xff\xfeV"), text),
    ];
    // content_type, content_encoding, correlation_id, reply_to, message_id, type, app_id
    all.extend([15, 14, 10, 9, 7, 5, 3].map(|bit| (1 << bit, b"\x03\xff\xfea".to_vec(), text)));
    all
}

#[test]
fn what_cannot_be_read_is_parked_and_its_neighbours_are_heard() {
    let Some(url) = vhost() else { return };
    let server = Server::start(Launch::over(&url).with("REVEILLE__BUS__QUEUE_KIND", "classic"));
    let wire = Wire::to(&url);
    wire.declare(&["questions"]);
    let machine = server.machine("asks", &asks("questions", &json!({})));
    let activity = server.call("CreateActivity", &json!({"name": "paint"}));
    let paints =
        json!({"StartAt": "P", "States": {"P": {"Type": "Task", "Resource": activity["activityArn"], "End": true}}});
    let paints = server.machine("paints", &paints.to_string());
    let replies = reply_queue(&server, &wire, &machine);
    let queues = [replies.as_str(), "reveille.start", "reveille.dead-letters", "reveille.activity.paint"];
    let bad = bad_ones();
    let request = json!({"activityArn": activity["activityArn"], "workerName": "probe"});
    std::thread::scope(|scope| {
        // A poller waits in the activity's queue: an unreadable message is no task for it.
        let poller = scope.spawn(|| server.call("GetActivityTask", &request));
        // By a connection of its own: a look at a queue that is not there yet closes the channel, and deliveries that
        // were acknowledged on it just before may come again.
        Wire::to(&url).wait_for_queue("reveille.activity.paint");
        let mut raw = Raw::to(&url);
        for (flags, properties, _) in &bad {
            for queue in queues {
                raw.publish(queue, *flags, properties, b"{}");
            }
        }
        // Honest ones behind all of them: an answer, a start, a task of the activity.
        let execution = server.execution(&machine, "honest", &json!({"number": 1}));
        let task = wire.task("questions");
        wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&json!("heard")));
        assert_eq!(server.ended(&execution)["output"], r#""heard""#);
        let start = json!({"stateMachineArn": machine, "name": "by-message", "input": {"number": 2}}).to_string();
        raw.publish("reveille.start", 0, b"", start.as_bytes());
        assert_eq!(wire.task("questions").body["number"], 2);
        server.execution(&paints, "painted", &json!({"wall": 1}));
        assert_eq!(poller.join().unwrap()["input"], r#"{"wall":1}"#);
    });
    let expected = bad.len() * queues.len();
    until("all are parked", SOON, || (parked(&url).values().map(Vec::len).sum::<usize>() == expected).then_some(()));
    let parked = parked(&url);
    for queue in queues {
        let reasons = &parked[queue];
        for text in ["not UTF-8", "nested too deep", "too many values"] {
            let told = reasons.iter().filter(|reason| reason.contains(text)).count();
            assert_eq!(told, bad.iter().filter(|(.., why)| *why == text).count(), "{queue}: {text}");
        }
    }
    // The parking queue itself: the commands look, and do not send it anywhere.
    Raw::to(&url).publish("reveille.parked", 1 << 10, b"\x03\xff\xfea", b"{}");
    until("the command shows it", SOON, || (self::parked(&url).get("").map(Vec::len) == Some(1)).then_some(()));
    let events = server.log();
    let lost: Vec<_> = events.iter().filter(|e| e["event"] == "broker.lost" || e["event"] == "consumer.lost").collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(server.get("/readyz").0 == 200);
}

/// The reply queue that a task names.
fn reply_queue(server: &Server, wire: &Wire, machine: &str) -> String {
    let execution = server.execution(machine, "first", &json!({"number": 0}));
    let task = wire.task("questions");
    wire.reply(&task.reply_to, Some(&task.token), &Answer::success(&json!(1)));
    server.ended(&execution);
    task.reply_to
}

/// Reasons of the parked messages, by the queue that they came from.
fn parked(url: &str) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    let listed = super::parked::done(url, &["ls", "-n", "1000"]);
    for reply in listed["replies"].as_array().unwrap() {
        let text = |name: &str| reply[name].as_str().unwrap_or_default().to_owned();
        found.entry(text("from")).or_default().push(text("reason"));
    }
    found
}
