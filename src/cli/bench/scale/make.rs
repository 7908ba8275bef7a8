//! Makes the executions, and chooses those that are answered.

use std::cell::Cell;
use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::callback::{failed, machine_of};
use super::super::silent::SilentBus;
use super::super::{CliError, PAYLOAD, Plan};
use super::{ASKS, CALLS, HOUR_SECONDS, HOURS, Place, QUEUE, WAITS, settings_of};
use crate::app::Application;
use crate::clock::Timestamp;
use crate::engine::{EngineError, EngineHandle, StartRequest, WaitingQuery};
use crate::ids::{EventId, ExecutionId, TaskKey};
use crate::store::{ExecutionFilter, ExecutionStatus};

/// Starts in progress at once.
const STARTING: u64 = 1_000;
/// The first timer of the hour fires so long after the hour's timers were made: until then the cold server is asked.
const UNTIL_THE_HOUR: Duration = Duration::from_secs(40);
/// Chosen tasks beyond those that the hour answers: for the backup and the retention, and for `DescribeExecution`.
const CHOSEN_MORE: u64 = 20_000;

/// Where the times are spread: multiples of the golden ratio fill a range evenly, in an order that looks random.
fn spread(n: u64, range: u64) -> u64 {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let at = u128::from(n.wrapping_add(1).wrapping_mul(GOLDEN));
    u64::try_from((at * u128::from(range.max(1))) >> 64).unwrap_or(0)
}

pub(super) fn make(plan: &Plan, place: &Place) -> Result<Value, CliError> {
    let settings = settings_of(plan, place, &unsynced())?;
    actix_rt::System::new().block_on(async {
        let app = Application::build_over(&settings, Arc::new(SilentBus { confirms: true }))
            .await
            .map_err(|why| failed(&why))?;
        machines(&app.engine).await?;
        let began = Instant::now();
        let month = Duration::from_hours(HOURS).as_secs();
        start(&app.engine, plan.count, move |n, now| match n % 8 {
            0 => (WAITS, until(now.plus_seconds(3_600.0 + seconds(spread(n, month))))),
            1 => (ASKS, PAYLOAD.to_owned()),
            _ => (CALLS, PAYLOAD.to_owned()),
        })
        .await?;
        let took = began.elapsed();
        all_asleep(&app).await;
        app.stop().await;
        Ok(json!({"count": plan.count, "seconds": took.as_secs(),
            "per_second": u128::from(plan.count) * 1_000 / took.as_millis().max(1)}))
    })
}

pub(super) fn prepare(plan: &Plan, place: &Place) -> Result<Value, CliError> {
    let settings = settings_of(plan, place, &unsynced())?;
    actix_rt::System::new().block_on(async {
        let app = Application::build_over(&settings, Arc::new(SilentBus { confirms: true }))
            .await
            .map_err(|why| failed(&why))?;
        let open = app.engine.journal().figures().open_executions;
        let hour = (open / HOURS).max(1);
        let chosen = choose(&app.engine, place, hour + CHOSEN_MORE.min(open / 8)).await?;
        let first = app.engine.clock().now().plus(UNTIL_THE_HOUR);
        start(&app.engine, hour, move |n, _| {
            (WAITS, until(first.plus(Duration::from_millis(spread(n, HOUR_SECONDS * 1_000)))))
        })
        .await?;
        // Awake ones leave with the process.
        app.stop().await;
        Ok(json!({"open": open, "hour": hour, "chosen": chosen, "hour_from": first.millis()}))
    })
}

fn unsynced() -> [(&'static str, String); 2] {
    [("store.synchronous", "normal".to_owned()), ("engine.passivate_after_seconds", "2".to_owned())]
}

#[expect(clippy::cast_precision_loss, reason = "a month has few seconds")]
fn seconds(n: u64) -> f64 {
    n as f64
}

async fn machines(engine: &EngineHandle) -> Result<(), CliError> {
    let month = Duration::from_hours(HOURS).as_secs();
    let ask = |resource: &str, parameters: Value| {
        json!({"Type": "Task", "Resource": format!("arn:aws:states:::{resource}.waitForTaskToken"),
            "Parameters": parameters, "TimeoutSeconds": month, "End": true})
    };
    machine_of(engine, CALLS, &ask("amqp:publish", json!({"Queue": QUEUE, "Body.$": "$"}))).await?;
    machine_of(engine, ASKS, &ask("reveille:ask", json!({}))).await?;
    machine_of(engine, WAITS, &json!({"Type": "Wait", "TimestampPath": "$.until", "End": true})).await?;
    Ok(())
}

fn until(at: Timestamp) -> String {
    json!({"until": at.iso(), "order": "4711", "note": "ring twice when it is over"}).to_string()
}

/// Starts so many: `which` says machine and input of the nth.
async fn start(
    engine: &EngineHandle,
    count: u64,
    which: impl Fn(u64, Timestamp) -> (&'static str, String) + 'static,
) -> Result<(), CliError> {
    let (next, which) = (Rc::new(Cell::new(0)), Rc::new(which));
    let starters: Vec<_> = (0..STARTING.min(count))
        .map(|_| {
            let (engine, next, which) = (engine.clone(), Rc::clone(&next), Rc::clone(&which));
            actix_rt::spawn(async move {
                while next.get() < count {
                    let n = next.replace(next.get() + 1);
                    let (machine, input) = which(n, engine.clock().now());
                    let machine = engine.realm().state_machine(machine);
                    let request = StartRequest { machine, name: None, input, trace_header: None, trace: None };
                    while let Err(why) = engine.start_execution(request.clone()).await {
                        let EngineError::Busy(_) = why else { return Err(failed(&why)) };
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    if n % 500_000 == 0 {
                        tracing::info!(started = n, "executions start");
                    }
                }
                Ok::<(), CliError>(())
            })
        })
        .collect();
    for starter in starters {
        starter.await.map_err(|why| failed(&why))??;
    }
    Ok(())
}

/// Waits until all have left memory: by then the broker's word is in each journal.
async fn all_asleep(app: &Application) {
    while app.metrics.awake() > 0 {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Writes down tasks from places that are spread over all.
async fn choose(engine: &EngineHandle, place: &Place, count: u64) -> Result<u64, CliError> {
    let query = |after| WaitingQuery { after, limit: 1, ..WaitingQuery::default() };
    let Some(oldest) = engine.waiting_tasks(query(None)).await.map_err(|why| failed(&why))?.pop() else {
        return Err(CliError::failed("no task waits in the store"));
    };
    let newest = ExecutionFilter { status: Some(ExecutionStatus::Running), limit: 1, ..ExecutionFilter::default() };
    let newest = engine.journal().list(newest).await.map_err(|why| failed(&why))?;
    let (from, to) = (oldest.wait.since, newest.first().map_or(oldest.wait.since, |row| row.header.started));
    let file = std::fs::File::create(place.chosen()).map_err(|why| failed(&why))?;
    let (mut file, mut chosen, mut seen) = (std::io::BufWriter::new(file), 0, std::collections::HashSet::new());
    let length = u64::try_from(to.since(from).as_millis()).unwrap_or(0);
    for n in 0..count {
        let at = from.plus(Duration::from_millis(spread(n, length)));
        let behind = TaskKey { execution: ExecutionId(uuid::Uuid::nil()), scheduled: EventId(0) };
        let found = engine.waiting_tasks(query(Some((at, behind)))).await.map_err(|why| failed(&why))?;
        for task in found.into_iter().filter(|task| seen.insert(task.key)) {
            writeln!(file, "{} {}", task.execution, task.token).map_err(|why| failed(&why))?;
            chosen += 1;
        }
    }
    file.flush().map_err(|why| failed(&why))?;
    Ok(chosen)
}
