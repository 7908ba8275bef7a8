//! Costs that must not grow: of a step of one execution with the length of its history, of an iteration with the length
//! of its Map, of a child with the size of its map run; and a start after a crash with very many executions that owe.
//!
//! All but the last run in this process alone, over the embedded bus. Processor time counts, which other work on the
//! machine disturbs least; map runs and the recovery also tell seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::callback::{failed, machine_of_states};
use super::silent::SilentBus;
use super::{CliError, Kind, Plan, Scratch, echo, machine as system, settings};
use crate::app::Application;
use crate::bus::{Address, Message, Properties, QueueKind, QueueSpec, Settlement, TaskBus};
use crate::config::Settings;
use crate::engine::StartRequest;
use crate::ids::Arn;

/// Tasks of one execution, one after the other: ten events each.
const LOOPS: [u64; 4] = [10, 100, 1_000, 2_400];
/// Iterations of an inline Map: four events each.
const MAPS: [u64; 4] = [10, 100, 1_000, 6_000];
/// So many tasks or iterations in all for each figure.
const WORK: u64 = 12_000;
const QUEUE: &str = "growth.tasks";
const BUCKET: &str = "growth";
/// Starts in progress at once, of those that will owe.
const STARTING: usize = 500;
/// The longest recovery that is waited for.
const RECOVERED_WITHIN: Duration = Duration::from_mins(10);
/// How long the server of before may hold the store.
const LET_GO_WITHIN: Duration = Duration::from_mins(1);

pub(super) fn measure(plan: &Plan) -> Result<Value, CliError> {
    let embedded = Plan { url: "embedded:".to_owned(), ..plan.clone() };
    let scratch = Scratch::make(&plan.folder)?;
    let more = [
        ("store.synchronous", "normal".to_owned()),
        ("objects.folder", scratch.0.join("objects").display().to_string()),
    ];
    let settings = settings(&embedded, Kind::Classic, &scratch.store(), &more)?;
    let bucket = scratch.0.join("objects").join(BUCKET);
    std::fs::create_dir_all(&bucket).map_err(|why| failed(&why))?;
    let items: Vec<u64> = (0..plan.count).collect();
    std::fs::write(bucket.join("items.json"), json!(items).to_string()).map_err(|why| failed(&why))?;
    let (loops, maps, runs) = actix_rt::System::new().block_on(async {
        let app = Application::build(&settings).await.map_err(|why| failed(&why))?;
        actix_rt::spawn(answer(Arc::clone(&app.bus)));
        let (mut loops, mut maps, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        let machine = machine_of_states(&app.engine, "loop", &loop_of_tasks()).await?;
        for size in LOOPS {
            let input = json!({"n": 0, "most": size});
            loops.push(cost(&app, &machine, &input, size).await?);
        }
        let machine = machine_of_states(&app.engine, "map", &map(&json!({}))).await?;
        for size in MAPS {
            let items: Vec<u64> = (0..size).collect();
            maps.push(cost(&app, &machine, &json!(items), size).await?);
        }
        for kind in ["EXPRESS", "STANDARD"] {
            let machine = machine_of_states(&app.engine, kind, &map_run(kind)).await?;
            let (since, cpu) = (Instant::now(), system::Cpu::now(None).process);
            run(&app, &machine, &json!({})).await?;
            let (seconds, cpu) = (since.elapsed().as_secs_f64(), system::Cpu::now(None).process - cpu);
            runs.push(json!({"children": plan.count, "kind": kind, "seconds": hundredths(seconds),
                "cpu_us_each": each(cpu, plan.count)}));
        }
        app.stop().await;
        Ok::<_, CliError>((loops, maps, runs))
    })?;
    Ok(json!({"tasks_in_a_row": loops, "inline_map": maps, "map_runs": runs, "recovery": recovery(plan)?}))
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn each(seconds: f64, count: u64) -> f64 {
    hundredths(seconds * 1e6 / count as f64)
}

/// Processor time of each of `size` steps, over as many executions as it takes.
async fn cost(app: &Application, machine: &Arn, input: &Value, size: u64) -> Result<Value, CliError> {
    let times = (WORK / size).max(1);
    let cpu = system::Cpu::now(None).process;
    for _ in 0..times {
        run(app, machine, input).await?;
    }
    Ok(json!({"size": size, "cpu_us_each": each(system::Cpu::now(None).process - cpu, size * times)}))
}

async fn run(app: &Application, machine: &Arn, input: &Value) -> Result<(), CliError> {
    let ended = app.engine.run_execution(request(machine, input)).await.map_err(|why| failed(&why))?;
    match ended.result {
        crate::interpreter::state::Conclusion::Succeeded(_) => Ok(()),
        other => Err(CliError::failed(format!("an execution of {machine} ended with {other:?}"))),
    }
}

fn request(machine: &Arn, input: &Value) -> StartRequest {
    StartRequest { machine: machine.clone(), name: None, input: input.to_string(), trace_header: None, trace: None }
}

/// A worker in this process.
async fn answer(bus: Arc<dyn TaskBus>) {
    let mut tasks = bus.consume(QueueSpec::plain(QUEUE.to_owned(), QueueKind::Classic), 100);
    while let Some(task) = tasks.next().await {
        let Properties { reply_to, correlation_id, .. } = &task.message.properties;
        if let Some(to) = reply_to {
            let to = Address { exchange: String::new(), routing_key: to.clone() };
            let properties = Properties { correlation_id: correlation_id.clone(), ..Properties::default() };
            let _ = bus.publish(to, Message { body: b"{}".to_vec(), properties }).await;
        }
        task.settle(Settlement::Ack);
    }
}

fn ask() -> Value {
    json!({"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken", "ResultPath": null,
        "Parameters": {"Queue": QUEUE, "Body.$": "$"}})
}

fn with(mut state: Value, member: &str, value: Value) -> Value {
    state[member] = value;
    state
}

fn loop_of_tasks() -> Value {
    json!({"StartAt": "Ask", "States": {
        "Ask": with(ask(), "Next", json!("Count")),
        "Count": {"Type": "Pass", "Next": "Again", "Parameters":
            {"n.$": "States.MathAdd($.n, 1)", "most.$": "$.most"}},
        "Again": {"Type": "Choice", "Default": "Done", "Choices":
            [{"Variable": "$.n", "NumericLessThanPath": "$.most", "Next": "Ask"}]},
        "Done": {"Type": "Succeed"},
    }})
}

fn map(processor: &Value) -> Value {
    json!({"StartAt": "Map", "States": {"Map": {"Type": "Map", "End": true, "ItemProcessor":
        {"ProcessorConfig": processor, "StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": true}}}}}})
}

fn map_run(kind: &str) -> Value {
    let mut definition = map(&json!({"Mode": "DISTRIBUTED", "ExecutionType": kind}));
    let state = &mut definition["States"]["Map"];
    state["ItemReader"] = json!({"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": BUCKET, "Key": "items.json"}});
    state["ResultWriter"] = json!({"Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": BUCKET, "Prefix": "results"}});
    definition
}

/// Executions whose tasks no broker has taken; then a server over a broker, until all of them are there.
fn recovery(plan: &Plan) -> Result<Value, CliError> {
    let queue = format!("growth.owed.{}", uuid::Uuid::new_v4().simple());
    let scratch = Scratch::make(&plan.folder)?;
    let count = plan.count;
    let more = [
        ("store.synchronous", "normal".to_owned()),
        ("engine.unpublished_max", "10000000".to_owned()),
        // They cannot leave memory: their messages are on the way.
        ("engine.memory_bytes_max", (16_u64 << 30).to_string()),
        ("engine.shutdown_seconds", "1".to_owned()),
    ];
    let url = scratch.store();
    let owing = settings(plan, Kind::Quorum, &url, &more)?;
    actix_rt::System::new().block_on(async {
        let deaf = Arc::new(SilentBus { confirms: false });
        let app = Application::build_over(&owing, deaf).await.map_err(|why| failed(&why))?;
        let machine = machine_of_states(&app.engine, "owes", &owes(&queue)).await?;
        let starts = (0..count).map(|_| app.engine.start_execution(request(&machine, &json!({"order": "4711"}))));
        let mut starts = futures_util::stream::iter(starts).buffer_unordered(STARTING);
        while let Some(started) = starts.next().await {
            started.map_err(|why| failed(&why))?;
        }
        drop(starts);
        app.stop().await;
        Ok::<(), CliError>(())
    })?;
    let cold = settings(plan, Kind::Quorum, &url, &[])?;
    let measured = actix_rt::System::new().block_on(async {
        let (app, since, cpu) = started(&cold).await?;
        let ready = since.elapsed();
        let there = loop {
            let there = app.engine.look(&queue).await.map_err(|why| failed(&why))?.map_or(0, |view| view.ready);
            if there >= count || since.elapsed() > RECOVERED_WITHIN {
                break there;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let (seconds, cpu) = (since.elapsed().as_secs_f64(), system::Cpu::now(None).process - cpu);
        let resident = system::memory().1 >> 20;
        app.stop().await;
        Ok::<Value, CliError>(
            json!({"owed": count, "published": there, "ready_seconds": hundredths(ready.as_secs_f64()),
            "seconds": hundredths(seconds), "cpu_us_each": each(cpu, count), "peak_resident_mib": resident}),
        )
    });
    echo::clear(&plan.url, &[&queue])?;
    measured
}

/// With the moment and the processor time of before. The server of before lets go of the store with the last of its
/// executions, which takes a moment.
async fn started(settings: &Settings) -> Result<(Application, Instant, f64), CliError> {
    let began = Instant::now();
    loop {
        let (since, cpu) = (Instant::now(), system::Cpu::now(None).process);
        match Application::build(settings).await {
            Ok(app) => return Ok((app, since, cpu)),
            Err(why) if began.elapsed() > LET_GO_WITHIN => return Err(failed(&why)),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn owes(queue: &str) -> Value {
    json!({"StartAt": "Ask", "States": {"Ask": {"Type": "Task", "End": true, "TimeoutSeconds": 864_000,
        "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
        "Parameters": {"Queue": queue, "Body.$": "$"}}}})
}
