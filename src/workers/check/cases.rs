//! The rules that need no lost reply: answers, failures, copies, heartbeats, cancellation.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::inbox::{End, Heard};
use super::{Asked, CheckError, Checker, LOOK, Verdict, loss};
use crate::bus::envelope::ReplyOutcome;
use crate::bus::{Address, ExchangeSpec, HeaderValue, Message, Properties};

const SUCCESS: &str = "answers a task";
const PERSISTENT: &str = "replies are persistent";
const EACH: &str = "each answer has the token of its task";
const FAILURE: &str = "fails a task that it cannot do";
const UNREADABLE: &str = "answers a body that is not JSON";
const TWICE: &str = "takes a task twice";
const HEARTBEAT: &str = "shows signs of life in time";
const CANCELLED: &str = "hears of a cancellation";
const LIVES: &str = "works on after all this";
/// Tasks that are out together.
const TOGETHER: usize = 3;

/// All cases, the risky ones last. A worker that is gone ends them.
pub(super) async fn all(checker: &mut Checker<'_>) -> Result<(), CheckError> {
    if !success(checker).await? {
        return Ok(());
    }
    each(checker).await?;
    failure(checker).await?;
    twice(checker).await?;
    heartbeat(checker).await?;
    cancelled(checker).await?;
    unreadable(checker).await?;
    if !checker.still_works().await? {
        checker.find(LIVES, Verdict::Broken, "the worker is gone; the other rules were not tried");
        return Ok(());
    }
    loss::all(checker).await
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// How a task ended, in words.
fn told(end: &End) -> String {
    match &end.what {
        Ok(ReplyOutcome::Success { .. }) => "success".to_owned(),
        Ok(ReplyOutcome::Failure { error, cause }) if cause.is_empty() => format!("failure {error}"),
        Ok(ReplyOutcome::Failure { error, cause }) => {
            format!("failure {error}: {}", cause.chars().take(100).collect::<String>())
        }
        Ok(ReplyOutcome::Heartbeat) => "heartbeat".to_owned(),
        Err(why) => why.clone(),
    }
}

fn nothing(checker: &Checker<'_>) -> String {
    let strays = &checker.inbox.log.strays;
    let stray = strays.last().map_or_else(String::new, |why| format!("; {why}"));
    format!("no answer within {} s{stray}", checker.options.within.as_secs())
}

fn heard(checker: &Checker<'_>, task: &Asked) -> Heard {
    checker.inbox.log.of(task).clone()
}

/// False: nothing else can be tried.
async fn success(checker: &mut Checker<'_>) -> Result<bool, CheckError> {
    let task = checker.good().await?;
    checker.ended(&[&task]).await;
    let Heard { sent, ends, .. } = heard(checker, &task);
    let Some(end) = ends.first() else {
        let why = nothing(checker);
        checker.find(SUCCESS, Verdict::Broken, why);
        return Ok(false);
    };
    if !matches!(end.what, Ok(ReplyOutcome::Success { .. })) {
        let why = format!("{}; give a payload that it can do: --payload", told(end));
        checker.find(SUCCESS, Verdict::Broken, why);
        return Ok(false);
    }
    checker.find(SUCCESS, Verdict::Kept, format!("success after {}", seconds(end.at.duration_since(sent))));
    if end.persistent {
        checker.find(PERSISTENT, Verdict::Kept, "");
    } else {
        checker.find(PERSISTENT, Verdict::Noted, "delivery_mode is not 2: a restart of the broker loses a reply");
    }
    Ok(true)
}

async fn each(checker: &mut Checker<'_>) -> Result<(), CheckError> {
    let mut tasks = Vec::new();
    for _ in 0..TOGETHER {
        tasks.push(checker.good().await?);
    }
    let all = checker.ended(&tasks.iter().collect::<Vec<_>>()).await;
    let answered = tasks.iter().filter(|task| checker.inbox.log.of(task).ended()).count();
    if all && checker.inbox.log.strays.is_empty() {
        checker.find(EACH, Verdict::Kept, format!("{TOGETHER} tasks at once"));
    } else {
        let stray = checker.inbox.log.strays.last().map_or_else(String::new, |why| format!("; {why}"));
        checker.find(EACH, Verdict::Broken, format!("{answered} of {TOGETHER} tasks were answered{stray}"));
    }
    Ok(())
}

async fn failure(checker: &mut Checker<'_>) -> Result<(), CheckError> {
    let Some(bad) = checker.options.bad.clone() else {
        checker.find(FAILURE, Verdict::Untried, "give a payload that it must fail: --bad");
        return Ok(());
    };
    let task = checker.ask(bad.as_bytes()).await?;
    checker.ended(&[&task]).await;
    let (verdict, detail) = match heard(checker, &task).ends.first() {
        None => (Verdict::Broken, nothing(checker)),
        Some(end) => match &end.what {
            Ok(ReplyOutcome::Failure { error, .. }) if error.is_empty() => {
                (Verdict::Noted, "the failure names no error: Retry and Catch cannot tell it from others".to_owned())
            }
            Ok(ReplyOutcome::Failure { .. }) => (Verdict::Kept, told(end)),
            _ => (Verdict::Broken, told(end)),
        },
    };
    checker.find(FAILURE, verdict, detail);
    checker.still_works().await?;
    Ok(())
}

async fn unreadable(checker: &mut Checker<'_>) -> Result<(), CheckError> {
    let task = checker.ask(b"{\"broken\": ").await?;
    checker.ended(&[&task]).await;
    let (verdict, detail) = match heard(checker, &task).ends.first() {
        None => {
            let gone = checker.bus.consumers(&checker.options.queue).await?.unwrap_or_default() == 0;
            let why = if gone { "the worker ended" } else { "the task would wait for its timeout" };
            (Verdict::Broken, format!("{}; {why}", nothing(checker)))
        }
        Some(end) => match end.what {
            Ok(ReplyOutcome::Failure { .. }) => (Verdict::Kept, told(end)),
            Ok(_) => (Verdict::Noted, "success: it does not read its payload as JSON".to_owned()),
            Err(_) => (Verdict::Broken, told(end)),
        },
    };
    checker.find(UNREADABLE, verdict, detail);
    if verdict == Verdict::Broken {
        // A task that comes back again and again would be in the way of the other rules.
        if let Some(mut hired) = checker.hired.take() {
            hired.kill().await;
            checker.gone().await?;
            checker.drain().await?;
            checker.hire()?;
        }
    }
    Ok(())
}

async fn twice(checker: &mut Checker<'_>) -> Result<(), CheckError> {
    let task = checker.good().await?;
    checker.ended(&[&task]).await;
    // The same message, as after a crash of the engine; and a task behind it that shows when the copy is over.
    let to = checker.inbox.queue.clone();
    checker.send(&task, &to, None).await?;
    let next = checker.good().await?;
    let goes_on = checker.ended(&[&next]).await;
    let (verdict, detail) = match heard(checker, &task).ends.as_slice() {
        _ if !goes_on => (Verdict::Broken, "after a second copy of a task the next one is not answered".to_owned()),
        [first, second, ..] => match (&first.what, &second.what) {
            (Ok(ReplyOutcome::Success { output: one }), Ok(ReplyOutcome::Success { output: two })) if one == two => {
                (Verdict::Kept, "the copy has the same result".to_owned())
            }
            (_, Ok(ReplyOutcome::Success { .. })) => {
                (Verdict::Noted, "the copy has another result: is the work idempotent?".to_owned())
            }
            _ => (Verdict::Broken, format!("the copy ends with {}", told(second))),
        },
        _ => (Verdict::Kept, "the copy was not answered a second time".to_owned()),
    };
    checker.find(TWICE, verdict, detail);
    Ok(())
}

async fn heartbeat(checker: &mut Checker<'_>) -> Result<(), CheckError> {
    let allowed = checker.options.heartbeat;
    let task = Asked::new(checker.options.payload.as_bytes());
    let to = checker.inbox.queue.clone();
    checker.send(&task, &to, Some(allowed)).await?;
    checker.ended(&[&task]).await;
    let heard = heard(checker, &task);
    let beats = heard.beats.len();
    let (verdict, detail) = match heard.silence() {
        None => (Verdict::Broken, nothing(checker)),
        Some(silence) if silence > allowed => (
            Verdict::Broken,
            format!("{} without a heartbeat, {} were allowed ({beats} came)", seconds(silence), seconds(allowed)),
        ),
        Some(silence) => (
            Verdict::Kept,
            format!("{beats} heartbeats, at most {} apart; allowed: {}", seconds(silence), seconds(allowed)),
        ),
    };
    checker.find(HEARTBEAT, verdict, detail);
    Ok(())
}

async fn cancelled(checker: &mut Checker<'_>) -> Result<(), CheckError> {
    let names = checker.bus.names();
    let events = ExchangeSpec { name: names.events(), kind: "topic" };
    let to = Address { exchange: events.name.clone(), routing_key: "task.cancelled.stopped".to_owned() };
    if let Err(why) = checker.bus.declare(vec![events], Vec::new(), Vec::new()).await {
        checker.find(CANCELLED, Verdict::Untried, why.to_string());
        return Ok(());
    }
    let task = checker.good().await?;
    let until = Instant::now() + checker.options.within;
    while checker.waiting().await? > 0 && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    let at = Instant::now();
    checker.bus.publish(to, ended_without_it(&task)).await?;
    let next = checker.good().await?;
    let goes_on = checker.ended(&[&next]).await;
    let (verdict, detail) = match heard(checker, &task).ends.first() {
        _ if !goes_on => (Verdict::Broken, "after a cancellation the next task is not answered"),
        None => (Verdict::Kept, "the work was broken off, without an answer"),
        Some(end) if end.at <= at => (Verdict::Untried, "the answer came before the cancellation"),
        Some(_) => (Verdict::Noted, "the work went on to its end, which is allowed: its answer is refused"),
    };
    checker.find(CANCELLED, verdict, detail);
    Ok(())
}

/// The engine's word that a task has ended without its worker.
fn ended_without_it(task: &Asked) -> Message {
    let execution = format!("arn:aws:states:us-east-1:123456789012:execution:check:{}", task.message_id);
    let body = json!({"reason": "stopped", "executionArn": execution, "messageId": task.message_id});
    let properties = Properties {
        content_type: Some("application/json".into()),
        message_id: Some(Uuid::new_v4().to_string()),
        app_id: Some("reveille".into()),
        kind: Some("task.cancelled".into()),
        headers: [("execution-arn".into(), HeaderValue::Text(execution))].into(),
        ..Properties::default()
    };
    Message { body: body.to_string().into_bytes(), properties }
}
