//! An execution of a server, looked at until it has ended; and tables that are drawn again and again.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::output::{Tone, harmless, maybe, status_tone, text};
use super::progress::Line;
use super::screen::Screen;
use super::{CliError, history, names, time};
use crate::clock::{Clock, SystemClock, Timestamp};

/// Between two looks at an execution, while nothing happens and at most.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Between two looks at a list.
const LIST_PAUSE: Duration = Duration::from_secs(2);
/// Events that a frame shows.
const EVENTS_SHOWN: usize = 8;
/// Waiting tasks that a frame shows.
const TASKS_SHOWN: usize = 20;
/// Events that are read at once.
const PAGE: u32 = 100;

/// The events of an execution since the last look.
pub(super) struct Tail {
    arn: String,
    seen: u64,
}

impl Tail {
    pub(super) fn of(arn: &str) -> Self {
        Self { arn: arn.to_owned(), seen: 0 }
    }

    /// New events, oldest first; at the first look the newest `most`.
    pub(super) fn news(&mut self, client: &Client, most: usize, data: bool) -> Result<Vec<Value>, CliError> {
        let mut request = json!({"executionArn": self.arn, "reverseOrder": true, "includeExecutionData": data});
        request["maxResults"] = json!(PAGE);
        let mut news: Vec<Value> = Vec::new();
        'pages: loop {
            let mut answer = client.call("GetExecutionHistory", &request)?;
            for event in answer["events"].as_array_mut().into_iter().flatten() {
                if event["id"].as_u64().unwrap_or_default() <= self.seen || (self.seen == 0 && news.len() >= most) {
                    break 'pages;
                }
                news.push(event.take());
            }
            match answer.get_mut("nextToken").map(Value::take) {
                Some(token @ Value::String(_)) => request["nextToken"] = token,
                _ => break,
            }
        }
        news.reverse();
        self.seen = news.last().and_then(|event| event["id"].as_u64()).unwrap_or(self.seen);
        Ok(news)
    }
}

/// Draws an execution until it has ended. Returns what `DescribeExecution` says of it then.
pub(super) fn execution(client: &Client, arn: &str) -> Result<Value, CliError> {
    let mut screen = Screen::new(anstream::stderr(), std::io::stderr().is_terminal());
    let (mut tail, mut shown) = (Tail::of(arn), Vec::new());
    let mut pause = PAUSE_FIRST;
    loop {
        let news = tail.news(client, EVENTS_SHOWN, true)?;
        pause = if news.is_empty() { (pause * 2).min(PAUSE_MAX) } else { PAUSE_FIRST };
        shown.extend(news);
        shown.drain(..shown.len().saturating_sub(EVENTS_SHOWN));
        let described = client.call("DescribeExecution", &json!({"executionArn": arn}))?;
        let is_open = is_open(&described);
        // A key that may only read sees no tasks.
        let asked = json!({"executionArn": arn, "maxResults": TASKS_SHOWN});
        let tasks =
            if is_open { client.call("Reveille.ListWaitingTasks", &asked).unwrap_or_default() } else { Value::Null };
        draw(&mut screen, frame(&described, &shown, &tasks, SystemClock.now()))?;
        if !is_open {
            return Ok(described);
        }
        std::thread::sleep(pause);
    }
}

/// Waits for the end of an execution without drawing it.
pub(super) fn end(client: &Client, arn: &str) -> Result<Value, CliError> {
    let mut pause = PAUSE_FIRST;
    loop {
        let described = client.call("DescribeExecution", &json!({"executionArn": arn}))?;
        if !is_open(&described) {
            return Ok(described);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

pub(super) fn is_open(described: &Value) -> bool {
    ["RUNNING", "PENDING_REDRIVE"].contains(&text(described, "status").as_str())
}

/// Draws a table again and again, until the person has seen enough.
pub(super) fn list(mut table: impl FnMut() -> Result<String, CliError>) -> Result<(), CliError> {
    let mut screen = Screen::stdout();
    loop {
        let text = table()?;
        let line = |line: &str| Line(vec![(harmless(line).into_owned(), Tone::Plain)]);
        draw(&mut screen, text.lines().map(line).collect())?;
        std::thread::sleep(LIST_PAUSE);
    }
}

fn draw<W: Write>(screen: &mut Screen<W>, lines: Vec<Line>) -> Result<(), CliError> {
    screen.draw(lines).map_err(|why| CliError::failed(format!("cannot draw: {why}")))
}

/// Status and age, the newest events, the tasks that wait.
fn frame(described: &Value, events: &[Value], tasks: &Value, now: Timestamp) -> Vec<Line> {
    let status = text(described, "status");
    let started = time::parse(&described["startDate"]);
    let until = time::parse(&described["stopDate"]).unwrap_or(now);
    let took = started.map_or_else(String::new, |started| time::duration(until.since(started)));
    let mut lines = vec![Line(vec![
        (names::name_of(described), Tone::Heading),
        ("  ".to_owned(), Tone::Plain),
        (status.to_lowercase(), status_tone(&status)),
        (format!("  {took}"), Tone::Faint),
    ])];
    for event in events {
        let kind = text(event, "type");
        let after = match (started, time::parse(&event["timestamp"])) {
            (Some(started), Some(at)) => format!("+{}", time::duration(at.since(started))),
            _ => String::new(),
        };
        let detail = history::failure_of(event).map_or_else(String::new, |failure| format!("  {failure}"));
        lines.push(Line(vec![
            (format!("{:>6} {after:>14} ", text(event, "id")), Tone::Faint),
            (kind.clone(), history::tone(&kind)),
            (format!(" {}", history::subject_of(event)), Tone::Plain),
            (detail, Tone::Bad),
        ]));
    }
    for task in tasks["tasks"].as_array().into_iter().flatten() {
        let age = time::parse(&task["since"]).map_or_else(String::new, |since| time::duration(now.since(since)));
        let left = time::parse(&task["due"])
            .map_or_else(String::new, |due| format!(" ({} left)", time::duration(due.since(now))));
        lines.push(Line(vec![
            ("◌ ".to_owned(), Tone::Waiting),
            (text(task, "stateName"), Tone::Plain),
            (format!("  waits for an answer from {}, {age}{left}", text(task, "destination")), Tone::Waiting),
        ]));
    }
    if let Some(error) = maybe(described, "error") {
        let cause = maybe(described, "cause").map_or_else(String::new, |cause| format!(": {cause}"));
        lines.extend(format!("{error}{cause}").lines().map(|line| Line(vec![(format!("  {line}"), Tone::Bad)])));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_shows_status_events_tasks_and_the_whole_cause() {
        let described = json!({"executionArn": "arn:aws:states:r:1:execution:m:e", "name": "e", "status": "RUNNING",
            "stateMachineArn": "arn:aws:states:r:1:stateMachine:m", "startDate": 10.0});
        let events = [
            json!({"id": 3, "timestamp": 10.5, "type": "TaskScheduled",
                "taskScheduledEventDetails": {"resourceType": "amqp", "resource": "call"}}),
            json!({"id": 4, "timestamp": 12.0, "type": "TaskFailed",
                "taskFailedEventDetails": {"resourceType": "amqp", "resource": "call", "error": "E", "cause": "C"}}),
        ];
        let tasks = json!({"tasks": [{"stateName": "Ask", "destination": "queue 'q'", "since": 12.0, "due": 100.0}]});
        let plain = |described: &Value| -> Vec<String> {
            frame(described, &events, &tasks, Timestamp::from_millis(40_000)).iter().map(Line::plain).collect()
        };
        assert_eq!(
            plain(&described),
            [
                "m:e  running  30 s",
                "     3        +500 ms TaskScheduled amqp:call",
                "     4         +2.0 s TaskFailed amqp:call  E: C",
                "◌ Ask  waits for an answer from queue 'q', 28 s (1 min left)",
            ]
        );
        let mut failed = described;
        (failed["status"], failed["stopDate"]) = (json!("FAILED"), json!(15.0));
        let long = "why ".repeat(200);
        (failed["error"], failed["cause"]) = (json!("E"), json!(long.trim()));
        let lines = plain(&failed);
        assert!(lines[0].ends_with("failed  5.0 s") && lines.last().unwrap().ends_with(long.trim()), "{lines:?}");
    }
}
