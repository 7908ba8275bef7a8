//! Callbacks through the engine: an execution starts, its task goes out, the worker answers, the execution has ended.
//! Durable.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use serde_json::{Value, json};

use super::echo::{Place, TASK_TIMEOUT};
use super::{
    CliError, Figures, Kind, Laps, PAYLOAD, Plan, Process, Role, Scratch, Stopwatch, machine as system, settings,
    token_key,
};
use crate::app::{self, Application};
use crate::config::Settings;
use crate::engine::{EngineHandle, StartRequest};
use crate::ids::Arn;
use crate::store::{MachineRow, MachineType, Revision, RevisionId};

pub(super) fn failed(why: &impl std::fmt::Display) -> CliError {
    CliError::failed(why.to_string())
}

/// Measures an engine with a store of its own and a machine of one task, which a worker in another process answers.
pub(super) fn with_worker(
    plan: &Plan,
    kind: Kind,
    measure: impl AsyncFnOnce(&Application, &Settings, Arn) -> Result<Value, CliError>,
) -> Result<Value, CliError> {
    let place = Place::prepare(&plan.url, kind)?;
    let worker = Process::start(Role::Worker, &json!({"url": plan.url, "queue": place.queue}))?;
    let scratch = Scratch::make(&plan.folder)?;
    let settings = settings(plan, kind, &scratch.store(), &[])?;
    let measured = actix_rt::System::new().block_on(async {
        let app = Application::build(&settings).await.map_err(|why| failed(&why))?;
        let asks = machine(&app.engine, &place.queue).await?;
        let measured = measure(&app, &settings, asks).await;
        app.stop().await;
        measured
    });
    drop(worker);
    place.clear(&plan.url)?;
    measured
}

/// One round of callbacks, in a store of its own.
pub(super) fn round_trips(plan: &Plan, kind: Kind, place: &Place) -> Result<Figures, CliError> {
    let scratch = Scratch::make(&plan.folder)?;
    let settings = settings(plan, kind, &scratch.store(), &[])?;
    actix_rt::System::new().block_on(async {
        let app = Application::build(&settings).await.map_err(|why| failed(&why))?;
        let machine = machine(&app.engine, &place.queue).await?;
        let figures = drive(&app, &machine, plan, None).await;
        app.stop().await;
        figures
    })
}

/// The same in a schema of its own of this database.
pub(super) fn round_trips_over_postgres(
    plan: &Plan,
    kind: Kind,
    place: &Place,
    url: &str,
) -> Result<Figures, CliError> {
    let key = token_key();
    let base = settings(plan, kind, url, std::slice::from_ref(&key))?;
    actix_rt::System::new().block_on(async {
        let scratch = app::scratch_schema(&base.store).await.map_err(|why| failed(&why))?;
        let settings = settings(plan, kind, scratch.url(), &[key])?;
        let app = Application::build(&settings).await.map_err(|why| failed(&why))?;
        let machine = machine(&app.engine, &place.queue).await?;
        let before = scratch.logged().await.map_err(|why| failed(&why))?;
        let figures = drive(&app, &machine, plan, system::postmaster(scratch.session())).await;
        let after = scratch.logged().await.map_err(|why| failed(&why))?;
        app.stop().await;
        scratch.clear().await.map_err(|why| failed(&why))?;
        let mut figures = figures?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        {
            figures.log_bytes = (after - before) as f64 / Laps::of(plan).total as f64;
        }
        Ok(figures)
    })
}

/// A machine of one task, whose worker takes from `queue`.
pub(super) async fn machine(engine: &EngineHandle, queue: &str) -> Result<Arn, CliError> {
    let ask = json!({
        "Type": "Task",
        "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
        "Parameters": {"Queue": queue, "Body.$": "$"},
        "TimeoutSeconds": TASK_TIMEOUT.as_secs(),
        "End": true,
    });
    machine_of(engine, "bench", &ask).await
}

/// A machine of one state.
pub(super) async fn machine_of(engine: &EngineHandle, name: &str, state: &Value) -> Result<Arn, CliError> {
    machine_of_states(engine, name, &json!({"StartAt": "Only", "States": {"Only": state}})).await
}

pub(super) async fn machine_of_states(engine: &EngineHandle, name: &str, definition: &Value) -> Result<Arn, CliError> {
    let arn = engine.realm().state_machine(name);
    let (created, initial, configuration) = (engine.clock().now(), true, json!({}));
    let role_arn = "arn:aws:iam::123456789012:role/bench".to_owned();
    let (id, definition) = (RevisionId(uuid::Uuid::new_v4()), definition.to_string());
    let revision = Revision { id, machine: arn.clone(), initial, definition, role_arn, configuration, made: created };
    let (name, kind, deleting) = (name.to_owned(), MachineType::Standard, false);
    let row = MachineRow { arn: arn.clone(), name, kind, created, deleting, revision };
    engine.catalog().put_machine(row).await.map_err(|why| failed(&why))?;
    Ok(arn)
}

pub(super) fn request(machine: &Arn) -> StartRequest {
    StartRequest { machine: machine.clone(), name: None, input: PAYLOAD.to_owned(), trace_header: None, trace: None }
}

/// Keeps so many executions running until all have ended, or starts so many a second.
pub(super) async fn drive(
    app: &Application,
    machine: &Arn,
    plan: &Plan,
    postmaster: Option<u32>,
) -> Result<Figures, CliError> {
    let laps = Laps::of(plan);
    let total = laps.total;
    let left = Rc::new(Cell::new(total));
    let watch = Rc::new(RefCell::new(Stopwatch::new(laps, postmaster)));
    let written = || {
        let figures = app.engine.journal().figures();
        (figures.writes, figures.commits.count())
    };
    let before = written();
    let turn = plan.turn();
    let began = tokio::time::Instant::now();
    let clients: Vec<_> = (0..plan.in_flight)
        .map(|_| {
            let (engine, machine, left, watch) =
                (app.engine.clone(), machine.clone(), Rc::clone(&left), Rc::clone(&watch));
            actix_rt::spawn(async move {
                while left.get() > 0 {
                    left.set(left.get() - 1);
                    if let Some(turn) = turn {
                        let nth = u32::try_from(total - left.get()).unwrap_or(u32::MAX);
                        tokio::time::sleep_until(began + turn * nth).await;
                    }
                    let since = Instant::now();
                    engine.run_execution(request(&machine)).await.map_err(|why| failed(&why))?;
                    watch.borrow_mut().lap(since.elapsed());
                }
                Ok::<(), CliError>(())
            })
        })
        .collect();
    for client in clients {
        client.await.map_err(|why| failed(&why))??;
    }
    let after = written();
    let mut figures = watch.borrow_mut().figures.take().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    {
        figures.writes_per_commit = (after.0 - before.0) as f64 / (after.1 - before.1).max(1) as f64;
    }
    Ok(figures)
}
