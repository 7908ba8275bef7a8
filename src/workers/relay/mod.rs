//! Relay: does the tasks of a queue with a program (`exec`) or a web service (`web`), which need to know no AMQP.
//!
//! ```text
//! queue ─► Task ─► program or POST ─► Outcome ─► reply, confirmed ─► acknowledgement
//!            └─ meanwhile: heartbeats, and an end before its time if the task is cancelled
//! ```
//! A task is acknowledged after the broker has confirmed its reply. A relay that dies before that loses nothing: the
//! broker hands the task to another one, which does it again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tracing::{info, warn};

use crate::bus::{
    Address, BusError, DeclareQueues, Delivery, HeaderValue, Message, Properties, Publication, QueueKind, QueueSpec,
    Settlement, TaskBus,
};
use crate::limits::{CAUSE_CHARS_MAX, ERROR_CHARS_MAX};

mod cancelled;
pub(super) mod exec;
mod task;
#[cfg(test)]
mod tests;
mod web;

use cancelled::Cancelled;
use task::Task;

/// A reply that the broker refused is sent again after this: a queue that is full has room again, or it has not.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Heartbeats in the time that a state allows between two of them.
const BEATS: u32 = 3;

/// The queue, and what does its tasks.
#[derive(Debug, Clone)]
pub struct Options {
    pub queue: String,
    pub hand: Hand,
    /// Tasks at a time.
    pub concurrency: u16,
    /// A success only takes the task; its answer comes later, with the token.
    pub later: bool,
    /// How long a stopping relay lets its tasks go on.
    pub grace: Duration,
}

/// The program or service that does the work.
#[derive(Debug, Clone)]
pub enum Hand {
    Program { path: PathBuf, arguments: Vec<String> },
    Url(web::Url),
}

impl Hand {
    /// # Errors
    /// A text that is no URL of a web service.
    pub fn url(text: &str) -> Result<Self, String> {
        web::Url::parse(text).map(Self::Url)
    }
}

/// How the work on a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// JSON text.
    Success(String),
    Failure {
        error: String,
        cause: String,
    },
    /// The answer comes later, from elsewhere.
    Taken,
    /// The task has ended without us.
    Cancelled,
}

impl Outcome {
    fn failure(error: impl Into<String>, cause: impl AsRef<str>) -> Self {
        let bounded = |text: &str, most| text.chars().take(most).collect();
        Self::Failure {
            error: bounded(&error.into(), ERROR_CHARS_MAX),
            cause: bounded(cause.as_ref(), CAUSE_CHARS_MAX),
        }
    }
}

/// Works until `stop` is over, then lets the tasks in progress end within the time of grace; `stop_now` ends that.
///
/// # Errors
/// The bus was closed.
pub async fn run(
    bus: Arc<dyn TaskBus>,
    options: Options,
    stop: impl Future<Output = ()>,
    stop_now: impl Future<Output = ()>,
) -> Result<(), BusError> {
    let relay = Relay { bus: &*bus, client: web::Client::new().map_err(BusError::BadUrl)?, options: &options };
    // The worker's own queue: declared in the common way, or as it is there.
    let queue =
        QueueSpec::of_tasks(options.queue.clone(), DeclareQueues::Auto, QueueKind::Classic, bus.names()).into_iter();
    let mut tasks = queue.map(|queue| bus.consume(queue, options.concurrency)).next().ok_or(BusError::Closed)?;
    let (cancelled, mut news) = Cancelled::listen(&*bus).await;
    info!(event = "worker.ready", queue = options.queue, "waiting for tasks");
    let mut under_way = FuturesUnordered::new();
    tokio::pin!(stop, stop_now);
    loop {
        let has_room = under_way.len() < usize::from(options.concurrency);
        tokio::select! {
            () = &mut stop => break,
            delivery = tasks.next(), if has_room => match delivery {
                Some(delivery) => under_way.push(relay.work(delivery, &cancelled)),
                None => return Err(BusError::Closed),
            },
            Some(message) = news.next() => cancelled.tell(message),
            Some(ended) = under_way.next(), if !under_way.is_empty() => ended?,
        }
    }
    drop(tasks);
    info!(event = "worker.stopping", count = under_way.len(), "no further tasks are taken");
    let until = tokio::time::Instant::now() + options.grace;
    while !under_way.is_empty() {
        tokio::select! {
            Some(ended) = under_way.next() => ended?,
            Some(message) = news.next() => cancelled.tell(message),
            () = tokio::time::sleep_until(until) => break,
            () = &mut stop_now => break,
        }
    }
    // The broker hands those left to another worker.
    Ok(())
}

struct Relay<'a> {
    bus: &'a dyn TaskBus,
    client: web::Client,
    options: &'a Options,
}

impl Relay<'_> {
    /// One task from its delivery to its acknowledgement.
    async fn work(&self, mut delivery: Delivery, cancelled: &Cancelled) -> Result<(), BusError> {
        let unreadable = delivery.unreadable();
        let task = Task::of(std::mem::take(&mut delivery.message));
        let began = tokio::time::Instant::now();
        let outcome = if let Some(why) = unreadable {
            Outcome::failure("Worker.UnreadableTask", why)
        } else {
            let over = cancelled.watch(&task.message_id);
            tokio::select! {
                outcome = self.done(&task, over.told()) => outcome,
                closed = self.beat(&task) => { closed?; return Ok(()) }
            }
        };
        let (shown, why) = match &outcome {
            Outcome::Success(_) => ("success", String::new()),
            Outcome::Failure { error, cause } => ("failure", format!("{error}: {cause}")),
            Outcome::Taken => ("taken", String::new()),
            Outcome::Cancelled => ("cancelled", String::new()),
        };
        info!(
            event = "worker.task",
            execution.arn = task.header("execution-arn"),
            state.name = task.header("state-name"),
            outcome = shown,
            reason = why.chars().take(200).collect::<String>(),
            duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "a task has ended: {shown}"
        );
        match outcome {
            Outcome::Success(_) if self.options.later => {}
            Outcome::Success(result) => self.reply(&task, "success", result).await?,
            Outcome::Failure { error, cause } => {
                self.reply(&task, "failure", json!({"error": error, "cause": cause}).to_string()).await?;
            }
            Outcome::Taken | Outcome::Cancelled => {}
        }
        delivery.receipt.settle(Settlement::Ack);
        Ok(())
    }

    async fn done(&self, task: &Task, cancelled: impl Future<Output = ()>) -> Outcome {
        match &self.options.hand {
            Hand::Program { path, arguments } => exec::run(path, arguments, task, cancelled).await,
            Hand::Url(url) => tokio::select! {
                outcome = self.client.post(url, task) => outcome,
                () = cancelled => Outcome::Cancelled,
            },
        }
    }

    /// Heartbeats as often as the task's state wants them; ends only with the bus.
    async fn beat(&self, task: &Task) -> Result<(), BusError> {
        let Some(allowed) = task.heartbeat() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(allowed / BEATS).await;
            if let Some((to, message)) = task.reply("heartbeat", String::new()) {
                self.bus.publish(to, message).await?;
            }
        }
    }

    /// Sends until the broker has it.
    async fn reply(&self, task: &Task, status: &'static str, body: String) -> Result<(), BusError> {
        let Some((to, message)) = task.reply(status, body) else { return Ok(()) };
        loop {
            match self.bus.publish(to.clone(), message.clone()).await? {
                Publication::Confirmed => return Ok(()),
                Publication::Nacked => tokio::time::sleep(AGAIN_AFTER).await,
                Publication::Unroutable { text, .. } | Publication::Refused { text } => {
                    warn!(event = "worker.unanswered", queue = to.routing_key, reason = text, "a reply found no queue");
                    return Ok(());
                }
            }
        }
    }
}

/// A reply with the token of its task.
fn reply_to(queue: &str, token: &str, status: &'static str, body: String) -> (Address, Message) {
    let properties = Properties {
        content_type: Some("application/json".into()),
        correlation_id: Some(token.to_owned()),
        persistent: true,
        headers: [
            ("task-status".into(), HeaderValue::Text(status.to_owned())),
            ("task-token".into(), HeaderValue::Text(token.to_owned())),
        ]
        .into(),
        ..Properties::default()
    };
    (
        Address { exchange: String::new(), routing_key: queue.to_owned() },
        Message { body: body.into_bytes(), properties },
    )
}
