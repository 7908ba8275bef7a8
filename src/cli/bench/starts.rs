//! Starts by message: a queue full of them, until all executions are in the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::callback::{failed, machine_of};
use super::{CliError, Kind, PAYLOAD, Plan, Scratch, echo, machine as system, settings};
use crate::api;
use crate::app::Application;
use crate::bus::{Address, Message, Names, Properties, Publication, QueueKind, QueueSpec};
use crate::store::ExecutionFilter;

/// Messages on their way to the broker at once.
const PUBLISHING: usize = 1_000;
const LOOK: Duration = Duration::from_millis(20);

pub(super) fn measure(plan: &Plan, kind: Kind) -> Result<Value, CliError> {
    let scratch = Scratch::make(&plan.folder)?;
    let settings = settings(plan, kind, &scratch.store(), &[])?;
    let queue = Names::shipped().start();
    let measured = actix_rt::System::new().block_on(async {
        let app = Application::build(&settings).await.map_err(|why| failed(&why))?;
        let machine = machine_of(&app.engine, "passes", &json!({"Type": "Pass", "End": true})).await?;
        let queue_kind = if kind == Kind::Quorum { QueueKind::Quorum } else { QueueKind::Classic };
        let spec = QueueSpec::owned(queue.clone(), queue_kind, Names::shipped());
        app.bus.declare(Vec::new(), vec![spec], Vec::new()).await.map_err(|why| failed(&why))?;
        let body = json!({"stateMachineArn": machine, "input": PAYLOAD}).to_string();
        fill(&app, &queue, &body, plan.count).await?;
        let (since, cpu) = (Instant::now(), system::Cpu::now(None));
        let messages = app.engine.start_messages();
        let taking = actix_rt::spawn(api::start_queue::run(app.engine.clone(), messages));
        let filter = ExecutionFilter { state_machine: Some(machine), ..ExecutionFilter::default() };
        loop {
            let counts = app.engine.journal().count(filter.clone()).await.map_err(|why| failed(&why))?;
            if counts.iter().map(|(_, n)| n).sum::<u64>() >= plan.count {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        let (seconds, used) = (since.elapsed().as_secs_f64(), system::Cpu::now(None));
        taking.abort();
        app.stop().await;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let count = plan.count as f64;
        Ok::<Value, CliError>(json!({
            "queues": kind.as_str(),
            "per_second": (count / seconds).round(),
            "cpu_us_each": ((used.process - cpu.process) * 1e7 / count).round() / 10.0,
            "broker_cpu_us_each": ((used.broker - cpu.broker) * 1e7 / count).round() / 10.0,
        }))
    });
    echo::clear(&plan.url, &[&queue])?;
    measured
}

async fn fill(app: &Application, queue: &str, body: &str, count: u64) -> Result<(), CliError> {
    let bus = Arc::clone(&app.bus);
    let sent = (0..count).map(|_| {
        let properties = Properties {
            message_id: Some(uuid::Uuid::new_v4().to_string()),
            persistent: true,
            ..Properties::default()
        };
        let to = Address { exchange: String::new(), routing_key: queue.to_owned() };
        bus.publish(to, Message { body: body.as_bytes().to_vec(), properties })
    });
    let mut sent = futures_util::stream::iter(sent).buffer_unordered(PUBLISHING);
    while let Some(sent) = sent.next().await {
        match sent.map_err(|why| failed(&why))? {
            Publication::Confirmed => {}
            other => return Err(CliError::failed(format!("the broker did not take a start: {other:?}"))),
        }
    }
    Ok(())
}
