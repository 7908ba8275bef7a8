//! Latency: one callback at a time, callbacks at a rate with room to spare, and the way of a reply from the engine's
//! door to the durable end of its execution, beside a commit of the store with nothing around it. An echo of the same
//! messages at the same rate is the limit.

use std::time::Instant;

use serde_json::{Value, json};

use super::callback::{drive, failed, machine_of, request, with_worker};
use super::echo::{Place, Shape, round_trips};
use super::{CliError, Figures, Kind, Plan, Process, Role, quantile};
use crate::app::Application;
use crate::engine::{Asker, Completion};
use crate::ids::Arn;
use crate::interpreter::event::Payload;

/// Callbacks one after the other, and replies; the first tenth does not count.
const ALONE: usize = 2_000;
const REPLIES: usize = 500;
/// Callbacks a second with room to spare, how many count, and their number in progress at most.
const SPARE_PER_SECOND: u32 = 1_000;
const SPARE: u64 = 5_000;
const IN_FLIGHT_MAX: u64 = 2_000;

pub(super) fn measure(plan: &Plan, kind: Kind) -> Result<Value, CliError> {
    let spare =
        Plan { count: plan.count.min(SPARE), per_second: SPARE_PER_SECOND, in_flight: IN_FLIGHT_MAX, ..plan.clone() };
    let echo = echo(&spare, kind)?;
    with_worker(plan, kind, async |app, _, asks| {
        let mut trips = Vec::with_capacity(ALONE);
        for _ in 0..ALONE {
            let since = Instant::now();
            app.engine.run_execution(request(&asks)).await.map_err(|why| failed(&why))?;
            trips.push(since.elapsed().as_secs_f64() * 1e3);
        }
        let spare = drive(app, &asks, &spare, None).await?;
        let replies = replies(app).await?;
        Ok(json!({
            "queues": kind.as_str(),
            "one at a time": shown(trips),
            "at 1,000 a second": at_a_rate(&spare),
            "echo of tasks at 1,000 a second": at_a_rate(&echo),
            "reply to durable end": replies.0,
            "commit of the store": replies.1,
        }))
    })
}

/// The same messages without an engine.
fn echo(plan: &Plan, kind: Kind) -> Result<Figures, CliError> {
    let place = Place::prepare(&plan.url, kind)?;
    let worker = Process::start(Role::Worker, &json!({"url": plan.url, "queue": place.queue}))?;
    let figures = round_trips(plan, Shape::Task, &place);
    drop(worker);
    place.clear(&plan.url)?;
    figures
}

fn at_a_rate(figures: &Figures) -> Value {
    json!({"per_second": figures.per_second.round(), "p50_ms": figures.p50_ms, "p99_ms": figures.p99_ms})
}

/// Without the first tenth.
fn shown(mut took_ms: Vec<f64>) -> Value {
    let mut counted = took_ms.split_off(took_ms.len() / 10);
    counted.sort_by(f64::total_cmp);
    json!({"p50_ms": quantile(&counted, 50), "p99_ms": quantile(&counted, 99)})
}

/// Replies and bare commits in turn.
async fn replies(app: &Application) -> Result<(Value, Value), CliError> {
    let ask = json!({"Type": "Task", "Resource": "arn:aws:states:::reveille:ask.waitForTaskToken", "Parameters": {},
        "End": true});
    let machine = machine_of(&app.engine, "latency-asks", &ask).await?;
    let (mut replies, mut commits) = (Vec::with_capacity(REPLIES), Vec::with_capacity(REPLIES));
    for n in 0..REPLIES {
        let token = token(app, &machine).await?;
        let answer = Completion::Success(Payload::default());
        let since = Instant::now();
        app.engine.complete_task(&token, answer, Asker::default()).await.map_err(|why| failed(&why))?;
        replies.push(since.elapsed().as_secs_f64() * 1e3);
        let since = Instant::now();
        app.engine.catalog().put_setting("bench", &n.to_string()).await.map_err(|why| failed(&why))?;
        commits.push(since.elapsed().as_secs_f64() * 1e3);
    }
    Ok((shown(replies), shown(commits)))
}

/// Of a task that waits for a person.
async fn token(app: &Application, machine: &Arn) -> Result<String, CliError> {
    let started = app.engine.start_execution(request(machine)).await.map_err(|why| failed(&why))?;
    loop {
        let waiting = app.engine.waiting_tasks_of(&started.arn).await.map_err(|why| failed(&why))?;
        if let Some(task) = waiting.into_iter().next() {
            return Ok(task.token);
        }
    }
}
