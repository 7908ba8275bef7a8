//! `reveille worker check`: good workers keep the rules, and planted faults are found.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::support::{Program, python, vhost};

/// A worker, and its faults by name.
const WORKER: &str = r#"
import json
import os
import signal
import sys
import time

import pika

fault, queue = sys.argv[1:]
seen = []
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
if fault != "no-confirms":
    channel.confirm_delivery()


def on_task(channel, method, task, body):
    if fault == "acknowledges-first":
        channel.basic_ack(method.delivery_tag)
    headers, token = {}, task.headers["task-token"]
    seen.append(task.message_id)
    if fault == "one-token":
        seen.append(token)
        token = seen[1]
    if fault == "silent" and task.headers.get("heartbeat-seconds"):
        time.sleep(task.headers["heartbeat-seconds"] + 0.5)
    try:
        name = json.loads(body)["name"]
        if fault == "fails-copies" and seen.count(task.message_id) > 1:
            raise KeyError("seen before")
        answer = {"hello": name}
    except (ValueError, KeyError) as error:
        if fault == "rejects":
            return channel.basic_reject(method.delivery_tag, requeue=False)
        if fault == "dies" and isinstance(error, ValueError):
            raise
        headers = {"task-status": "success" if fault == "never-fails" else "failure"}
        answer = {"error": type(error).__name__, "cause": str(error)}
    headers["task-token"] = token
    channel.basic_publish("", task.reply_to, json.dumps(answer), pika.BasicProperties(
        headers=headers, delivery_mode=1 if fault == "forgetful" else 2))
    if fault != "acknowledges-first":
        channel.basic_ack(method.delivery_tag)


channel.queue_declare(queue, durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, on_task)
print("waiting for tasks", flush=True)
channel.start_consuming()
"#;

/// Exit code, and the verdict of each rule.
fn check(url: &str, queue: &str, within: &str, command: &[&str]) -> (i32, BTreeMap<String, (String, String)>) {
    let mut asked = Command::new(env!("CARGO_BIN_EXE_reveille"));
    asked.args(["worker", "check", queue, "--payload", r#"{"name": "Ada"}"#, "--bad", "{}", "--within", within]);
    asked.args(["--heartbeat", if command.contains(&"silent") { "1" } else { "60" }, "-o", "json"]);
    if !command.is_empty() {
        asked.arg("--").args(command);
    }
    asked.env("REVEILLE__BUS__URL", url).stdin(Stdio::null());
    let Output { status, stdout, stderr } = asked.output().expect("it runs");
    let told: Value = serde_json::from_slice(&stdout)
        .unwrap_or_else(|why| panic!("{queue}: {why}: {}", String::from_utf8_lossy(&stderr)));
    let of = |finding: &Value, name: &str| finding[name].as_str().expect("a text").to_owned();
    let verdicts = told["checks"].as_array().expect("checks").iter();
    let verdicts = verdicts.map(|one| (of(one, "rule"), (of(one, "verdict"), of(one, "detail")))).collect();
    (status.code().unwrap_or(-1), verdicts)
}

fn written(folder: &Path) -> String {
    let script = folder.join("worker.py");
    fs::write(&script, WORKER).expect("written");
    script.to_str().expect("UTF-8").to_owned()
}

/// The rules with this verdict.
fn with<'a>(verdicts: &'a BTreeMap<String, (String, String)>, verdict: &str) -> Vec<&'a str> {
    verdicts.iter().filter(|(_, (is, _))| is == verdict).map(|(rule, _)| rule.as_str()).collect()
}

#[test]
fn a_good_worker_keeps_the_rules_also_when_it_is_killed() {
    let (Some(url), Some(python)) = (vhost(), python()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let script = written(folder.path());
    let python = python.to_str().expect("UTF-8");
    let (code, verdicts) = check(&url, "good", "60", &[python, &script, "none", "good"]);
    assert_eq!((code, with(&verdicts, "broken").len()), (0, 0), "{verdicts:#?}");
    for rule in [
        "answers a task",
        "each answer has the token of its task",
        "fails a task that it cannot do",
        "takes a task twice",
        "shows signs of life in time",
        "answers a body that is not JSON",
        "keeps a task until its reply is confirmed",
        "does a task that comes again",
        "ends at SIGTERM",
    ] {
        assert_eq!(verdicts.get(rule).map(|(verdict, _)| verdict.as_str()), Some("ok"), "{rule}: {verdicts:#?}");
    }
}

#[test]
fn a_worker_that_runs_already_is_tried_without_being_started() {
    let (Some(url), Some(python)) = (vhost(), python()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let script = written(folder.path());
    let mut good = Program::start(&python, Path::new(&script), &["none", "runs"], &[("AMQP_URL", &url)]);
    good.says("waiting for tasks");
    let (code, verdicts) = check(&url, "runs", "60", &[]);
    assert_eq!(code, 0, "{verdicts:#?}");
    let kept = &verdicts["keeps a task until its reply is confirmed"];
    assert!(kept.0 == "ok" && kept.1.contains("left the task"), "pika's worker ends at a nack: {kept:?}");

    let mut bad = Program::start(&python, Path::new(&script), &["no-confirms", "loses"], &[("AMQP_URL", &url)]);
    bad.says("waiting for tasks");
    let (code, verdicts) = check(&url, "loses", "5", &[]);
    assert_eq!(code, 1);
    assert!(with(&verdicts, "broken").contains(&"keeps a task until its reply is confirmed"), "{verdicts:#?}");

    // The queue of a worker that is there is no place for a second one, and an empty one has none.
    let refused = |queue: &str, command: &[&str]| {
        let mut asked = Command::new(env!("CARGO_BIN_EXE_reveille"));
        asked.args(["worker", "check", queue, "--within", "1"]).args(command).env("REVEILLE__BUS__URL", &url);
        let output = asked.stdin(Stdio::null()).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, why) = refused("nowhere", &[]);
    assert!(code == Some(1) && why.contains("no worker consumes the queue 'nowhere'"), "{why}");
    let (code, why) = refused("loses", &["--", "true"]);
    assert!(code == Some(1) && why.contains("must be alone"), "{why}");
}

#[test]
fn planted_faults_are_found() {
    let (Some(url), Some(python)) = (vhost(), python()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let script = written(folder.path());
    let python = python.to_str().expect("UTF-8");
    let faults = [
        ("acknowledges-first", "broken", "keeps a task until its reply is confirmed"),
        ("rejects", "broken", "answers a body that is not JSON"),
        ("rejects", "broken", "fails a task that it cannot do"),
        ("dies", "broken", "answers a body that is not JSON"),
        ("never-fails", "broken", "fails a task that it cannot do"),
        ("fails-copies", "broken", "takes a task twice"),
        ("silent", "broken", "shows signs of life in time"),
        ("one-token", "broken", "each answer has the token of its task"),
        ("forgetful", "note", "replies are persistent"),
    ];
    let found = |(fault, verdict, rule): (&str, &str, &str)| {
        let queue = format!("{fault}-{}", rule.len());
        let (code, verdicts) = check(&url, &queue, "5", &[python, &script, fault, &queue]);
        assert!(with(&verdicts, verdict).contains(&rule), "{fault}: {verdicts:#?}");
        assert!(code == i32::from(verdict == "broken") || verdict == "note", "{fault}: {code}");
    };
    // Each waits for most of its time.
    for some in faults.chunks(3) {
        std::thread::scope(|scope| some.iter().for_each(|fault| _ = scope.spawn(|| found(*fault))));
    }
}
