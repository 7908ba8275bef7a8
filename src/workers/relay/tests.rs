//! Answers of programs and tasks, without a broker. `tests/e2e/worker.rs` has the whole of it.

use std::path::Path;

use super::exec::{self, json_of};
use super::task::Task;
use super::{Hand, Outcome};
use crate::bus::{HeaderValue, Message, Properties};

fn task(body: &str) -> Task {
    let headers = [("task-token", "t0ken"), ("state-name", "Ask"), ("execution-arn", "arn:e")];
    let mut properties = Properties { reply_to: Some("replies".to_owned()), ..Properties::default() };
    for (name, value) in headers {
        properties.headers.insert(name.into(), HeaderValue::Text(value.to_owned()));
    }
    properties.headers.insert("attempt".into(), HeaderValue::Integer(2));
    properties.headers.insert("heartbeat-seconds".into(), HeaderValue::Integer(30));
    Task::of(Message { body: body.as_bytes().to_vec(), properties })
}

async fn sh(script: &str, body: &str) -> Outcome {
    let arguments = ["-c".to_owned(), script.to_owned()];
    exec::run(Path::new("/bin/sh"), &arguments, &task(body), std::future::pending()).await
}

fn success(json: &str) -> Outcome {
    Outcome::Success(json.to_owned())
}

#[tokio::test]
async fn a_programs_exit_is_the_outcome_of_its_task() {
    let large = format!("head -c {} /dev/zero | tr '\\0' x; sleep 60", 300 * 1_024);
    for (script, body, expected) in [
        ("cat", r#"{"a": 1}"#, success(r#"{"a": 1}"#)),
        ("echo done", "{}", success(r#""done""#)),
        ("true", "{}", success("null")),
        ("exit 5", "{}", Outcome::failure("Exit.5", "")),
        ("echo first >&2; echo the reason >&2; exit 1", "{}", Outcome::failure("Exit.1", "first\nthe reason")),
        (
            r#"echo '{"error": "Kitchen.Busy", "cause": "try at noon"}'; exit 1"#,
            "{}",
            Outcome::failure("Kitchen.Busy", "try at noon"),
        ),
        ("kill -9 $$", "{}", Outcome::failure("Signal.9", "")),
        (
            "printf '\\377'",
            "{}",
            Outcome::failure("Worker.InvalidResult", "The standard output of the program is not UTF-8 text"),
        ),
        (
            large.as_str(),
            "{}",
            Outcome::failure(
                "States.DataLimitExceeded",
                "The program wrote more than 262144 bytes to its standard output",
            ),
        ),
        (
            "echo $REVEILLE_TASK_TOKEN $REVEILLE_STATE_NAME $REVEILLE_ATTEMPT $REVEILLE_EXECUTION_ARN",
            "{}",
            success(r#""t0ken Ask 2 arn:e""#),
        ),
    ] {
        assert_eq!(sh(script, body).await, expected, "{script}");
    }
    // A program that does not read a large input.
    assert_eq!(sh("echo 1", &format!("\"{}\"", "x".repeat(200_000))).await, success("1"));
    let missing = exec::run(Path::new("/no/such/program"), &[], &task("{}"), std::future::pending()).await;
    assert!(matches!(missing, Outcome::Failure { error, .. } if error == "Worker.NotStarted"));
}

#[tokio::test]
async fn a_cancelled_task_ends_its_program_and_those_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told");
    let script = format!("trap 'echo told > {}; exit 0' TERM; echo >&2 begun; sleep 600 & wait", file.display());
    let arguments = ["-c".to_owned(), script];
    let cancelled = tokio::time::sleep(std::time::Duration::from_millis(500));
    let outcome = exec::run(Path::new("/bin/sh"), &arguments, &task("{}"), cancelled).await;
    assert_eq!(outcome, Outcome::Cancelled);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "told\n");
}

#[test]
fn a_text_becomes_json() {
    for (text, json) in
        [("", "null"), (" \n", "null"), ("5\n", "5"), ("a\nb\n", r#""a\nb""#), ("\u{feff}[1]", "[1]"), ("{", r#""{""#)]
    {
        assert_eq!(json_of(text), json, "{text:?}");
    }
}

#[test]
fn a_task_is_read_and_shows_no_token() {
    let task = task("{}");
    assert_eq!(task.heartbeat(), Some(std::time::Duration::from_secs(30)));
    assert_eq!(task.content_type, "application/json");
    let (to, reply) = task.reply("success", "1".to_owned()).unwrap();
    assert_eq!(to.routing_key, "replies");
    assert_eq!(reply.properties.headers["task-token"], HeaderValue::Text("t0ken".to_owned()));
    assert!(!format!("{task:?}").contains("t0ken"));
    assert!(Task::of(Message::default()).reply("success", String::new()).is_none(), "it wants no answer");
    assert!(Hand::url("http://h/x").is_ok() && Hand::url("ftp://h").is_err() && Hand::url("h").is_err());
}
