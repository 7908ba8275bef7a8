//! Memory of executions that wait: in a fresh process, first all awake, then all passivated.
//!
//! The figures are differences of resident memory against the same process with a warm engine and no waiting execution.
//! No worker takes from the queue, so the tasks wait at the broker. SQLite's page cache is kept at its smallest,
//! because it is not measured.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::callback::{failed, machine, request};
use super::{CliError, Kind, Plan, Process, Role, Scratch, echo, machine as system, settings};
use crate::app::Application;
use crate::engine::EngineError;
use crate::ids::Arn;

/// Executions before the first measurement, so that tables, caches and arenas have their size.
const WARM: u64 = 5_000;
/// Starts in progress at once.
const STARTING: u64 = 500;
/// Starts a second that every machine manages.
const STARTS_PER_SECOND: u64 = 2_000;

/// After this without a stimulus an execution leaves memory; all of them must be there before the first one does.
fn passivate_after(count: u64) -> Duration {
    Duration::from_secs(30 + count / STARTS_PER_SECOND)
}

pub(super) fn measure(plan: &Plan, count: u64) -> Result<Value, CliError> {
    let queue = format!("bench.quiet.{}", uuid::Uuid::new_v4().simple());
    echo::quiet_queue(&plan.url, &queue)?;
    let arguments = json!({"url": plan.url, "queue": queue, "folder": plan.folder, "count": count, "logs": plan.logs,
        "config": plan.config});
    let answer = Process::start(Role::Sleepers, &arguments)?.answer();
    echo::clear(&plan.url, &[&queue])?;
    answer
}

/// In the process of its own.
pub(super) fn sleep(arguments: &Value) -> Result<(), CliError> {
    let text = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
    let config = arguments["config"].as_str().map(Into::into);
    let plan = Plan {
        url: text("url"),
        count: 0,
        in_flight: STARTING,
        per_second: 0,
        folder: text("folder").into(),
        logs: text("logs"),
        config,
        store: None,
    };
    let count = arguments["count"].as_u64().unwrap_or(0);
    let scratch = Scratch::make(&plan.folder)?;
    let more = [
        ("store.cache_kib", "1024".to_owned()),
        ("engine.passivate_after_seconds", passivate_after(count).as_secs().to_string()),
    ];
    let settings = settings(&plan, Kind::Quorum, &scratch.store(), &more)?;
    let measured = actix_rt::System::new().block_on(async {
        let app = Application::build(&settings).await.map_err(|why| failed(&why))?;
        let machine = machine(&app.engine, &text("queue")).await?;
        let measured = look(&app, &machine, count).await;
        app.stop().await;
        measured
    })?;
    super::super::output::line(&measured.to_string())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
async fn look(app: &Application, machine: &Arn, count: u64) -> Result<Value, CliError> {
    let each = |bytes: u64, before: u64| ((bytes as f64 - before as f64) / count as f64).round();
    start(app, machine, WARM).await?;
    let began = Instant::now();
    asleep(app, 0, passivate_after(count) * 2).await?;
    let empty = resident().await;
    start(app, machine, count).await?;
    let took = began.elapsed();
    asleep(app, count, Duration::from_secs(10)).await?;
    let awake = resident().await;
    asleep(app, 0, passivate_after(count) * 3).await?;
    let passivated = resident().await;
    // As many again: the first ones leave an allocator's reserve, and the memory added by these is the cost of
    // sleepers.
    start(app, machine, count).await?;
    asleep(app, 0, passivate_after(count) * 3).await?;
    let twice = resident().await;
    Ok(json!({
        "count": count,
        "resident_empty_mib": empty >> 20,
        "resident_awake_mib": awake >> 20,
        "resident_passivated_mib": passivated >> 20,
        "resident_twice_as_many_mib": twice >> 20,
        "awake_bytes": each(awake, empty),
        "passivated_bytes": each(passivated, empty),
        "growth_bytes": each(twice, passivated),
        "seconds": took.as_secs(),
    }))
}

async fn start(app: &Application, machine: &Arn, count: u64) -> Result<(), CliError> {
    let starters: Vec<_> = (0..STARTING.min(count))
        .map(|n| {
            let (engine, machine) = (app.engine.clone(), machine.clone());
            let mine = count / STARTING.min(count) + u64::from(n < count % STARTING.min(count));
            actix_rt::spawn(async move {
                for _ in 0..mine {
                    // Starts outrun the broker's confirms, and the engine says so.
                    while let Err(why) = engine.start_execution(request(&machine)).await {
                        let EngineError::Busy(_) = why else { return Err(failed(&why)) };
                        tokio::time::sleep(Duration::from_millis(20)).await;
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

/// Waits until so many executions are in memory.
async fn asleep(app: &Application, awake: u64, within: Duration) -> Result<(), CliError> {
    let until = Instant::now() + within;
    loop {
        let now = u64::try_from(app.metrics.awake()).unwrap_or(0);
        if now == awake {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(CliError::failed(format!("{now} executions are in memory, {awake} should be")));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Resident memory after the allocator had time to return free pages.
async fn resident() -> u64 {
    let mut least = u64::MAX;
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        least = least.min(system::resident_bytes());
    }
    least
}
