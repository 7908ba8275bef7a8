//! Check: tries a worker alone, as the engine would use it, and says of each rule of `docs/WORKERS.md` whether it is
//! kept.
//!
//! ```text
//! checker ─► the worker's queue ─► worker ─► a reply queue of the checker (or a full one, which refuses) ─► finding
//! ```
//! The actions of the worker are seen in messages at the broker, never guessed from time, except for heartbeats. A
//! checker that starts the worker itself can also kill it.

mod cases;
mod hired;
mod inbox;
mod loss;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::bus::envelope::{TaskKind, TaskMessage};
use crate::bus::{Address, BusError, Headers, Publication, QueueKind, QueueSpec, Settlement, TaskBus, TaskHeaders};
use crate::clock::{Clock, SystemClock};
use crate::ids::Arn;

use hired::Hired;
use inbox::Inbox;

/// Between two looks at a queue.
const LOOK: Duration = Duration::from_millis(50);
/// The tasks of a checker that nothing takes leave their queue by themselves.
const EXPIRES: Duration = Duration::from_mins(10);

/// The task of a check, and the payloads.
#[derive(Debug, Clone)]
pub struct Options {
    pub queue: String,
    /// A payload that the worker does.
    pub payload: String,
    /// A payload that it must fail.
    pub bad: Option<String>,
    /// The `HeartbeatSeconds` of the tasks, in the case of heartbeats.
    pub heartbeat: Duration,
    /// The time for an answer.
    pub within: Duration,
    /// The fields of the server's tasks.
    pub headers: TaskHeaders,
    /// The program to start as the worker; `None`: the worker runs already.
    pub command: Option<Vec<String>>,
    /// The broker, for the program's environment.
    pub url: String,
}

/// The outcome of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    Broken,
    /// Allowed, and good to know.
    Noted,
    Untried,
}

impl Verdict {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "ok",
            Self::Broken => "broken",
            Self::Noted => "note",
            Self::Untried => "untried",
        }
    }
}

/// One rule, and the observations of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static str,
    pub verdict: Verdict,
    pub detail: String,
}

/// Why a worker cannot be tried at all.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("{0}")]
    Unfit(String),
}

/// Tries a worker.
///
/// # Errors
/// No worker, other tasks in its queue, or no broker.
pub async fn run(bus: Arc<dyn TaskBus>, options: &Options) -> Result<Vec<Finding>, CheckError> {
    let mut checker = Checker::begin(&*bus, options).await?;
    cases::all(&mut checker).await?;
    checker.clear().await;
    Ok(checker.findings)
}

/// One run of the check.
struct Checker<'a> {
    bus: &'a dyn TaskBus,
    options: &'a Options,
    inbox: Inbox,
    /// The worker, where the checker has started it.
    hired: Option<Hired>,
    /// Message ids of all tasks of this run.
    sent: Vec<String>,
    findings: Vec<Finding>,
}

/// A task that was sent.
#[derive(Debug, Clone)]
struct Asked {
    token: String,
    message_id: String,
    body: Vec<u8>,
}

impl Asked {
    fn new(body: &[u8]) -> Self {
        let message_id = Uuid::new_v4().to_string();
        Self { token: format!("check-{}", Uuid::new_v4().simple()), message_id, body: body.to_vec() }
    }
}

impl<'a> Checker<'a> {
    async fn begin(bus: &'a dyn TaskBus, options: &'a Options) -> Result<Self, CheckError> {
        let inbox = Inbox::open(bus, &format!("{}.worker.{}", bus.names().prefix(), Uuid::new_v4().simple())).await?;
        let mut checker = Self { bus, options, inbox, hired: None, sent: Vec::new(), findings: Vec::new() };
        if options.command.is_some() {
            // A process that has just ended is still there for a moment.
            checker.gone().await?;
        }
        let view = bus.look(&options.queue).await?;
        if let Some(waiting) = view.map(|view| view.ready).filter(|ready| *ready > 0) {
            return Err(CheckError::Unfit(format!(
                "{waiting} messages wait in the queue '{}': a check needs it for itself",
                options.queue
            )));
        }
        if options.command.is_some() {
            if view.is_some_and(|view| view.consumers > 0) {
                return Err(CheckError::Unfit(format!(
                    "the queue '{}' has a consumer already: a worker that the check starts must be alone",
                    options.queue
                )));
            }
            checker.hire()?;
        }
        if checker.has_worker().await? {
            return Ok(checker);
        }
        let said = checker.hired.as_ref().map(Hired::said).unwrap_or_default();
        let said = if said.is_empty() { String::new() } else { format!("; it said: {said}") };
        Err(CheckError::Unfit(format!(
            "no worker consumes the queue '{}' after {} s{said}",
            options.queue,
            options.within.as_secs()
        )))
    }

    fn hire(&mut self) -> Result<(), CheckError> {
        if let Some(command) = &self.options.command {
            let hired = Hired::start(command, &self.options.url)
                .map_err(|why| CheckError::Unfit(format!("cannot start '{}': {why}", command.join(" "))))?;
            self.hired = Some(hired);
        }
        Ok(())
    }

    /// Waits until the queue has a consumer.
    async fn has_worker(&self) -> Result<bool, BusError> {
        let until = Instant::now() + self.options.within;
        while Instant::now() < until {
            if self.bus.consumers(&self.options.queue).await?.is_some_and(|consumers| consumers > 0) {
                return Ok(true);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(false)
    }

    /// The worker of the next case: an ended worker is started again, where that is ours to do.
    async fn still_works(&mut self) -> Result<bool, CheckError> {
        if self.hired.as_mut().is_some_and(Hired::has_ended) {
            self.hire()?;
        }
        Ok(self.has_worker().await?)
    }

    fn find(&mut self, rule: &'static str, verdict: Verdict, detail: impl Into<String>) {
        self.findings.push(Finding { rule, verdict, detail: detail.into() });
    }

    async fn good(&mut self) -> Result<Asked, CheckError> {
        let payload = self.options.payload.clone();
        self.ask(payload.as_bytes()).await
    }

    async fn ask(&mut self, body: &[u8]) -> Result<Asked, CheckError> {
        let asked = Asked::new(body);
        let to = self.inbox.queue.clone();
        self.send(&asked, &to, None).await?;
        Ok(asked)
    }

    /// Sends a task as the engine does.
    async fn send(&mut self, asked: &Asked, reply_to: &str, heartbeat: Option<Duration>) -> Result<(), CheckError> {
        let arn = |kind: &str| Arn::new(format!("arn:aws:states:us-east-1:123456789012:{kind}"));
        let now = SystemClock.now();
        let message = TaskMessage {
            body: asked.body.clone(),
            content_type: None,
            token: Some(asked.token.clone()),
            task_kind: TaskKind::Request,
            resource: "arn:aws:states:::amqp:call".to_owned(),
            heartbeat_seconds: heartbeat.map(|allowed| allowed.as_secs()),
            reply_to: Some(reply_to.to_owned()),
            message_id: asked.message_id.clone(),
            at: now,
            execution: arn(&format!("execution:check:{}", asked.message_id)),
            state_machine: arn("stateMachine:check"),
            state_name: "Check".to_owned(),
            attempt: 1,
            deadline: Some(now.plus(EXPIRES)),
            expiration: Some(EXPIRES),
            traceparent: None,
            tracestate: None,
            priority: None,
            user_id: None,
            kind: None,
            headers: Headers::new(),
        };
        self.sent.push(asked.message_id.clone());
        self.inbox.expect(asked);
        let to = Address { exchange: String::new(), routing_key: self.options.queue.clone() };
        match self.bus.publish(to, message.into_message(self.options.headers)).await? {
            Publication::Confirmed => Ok(()),
            refused => Err(CheckError::Unfit(format!("the queue '{}' takes no task: {refused:?}", self.options.queue))),
        }
    }

    /// Waits for the end of each of these tasks.
    async fn ended(&mut self, tasks: &[&Asked]) -> bool {
        let within = self.options.within;
        self.inbox.hear(within, |log| tasks.iter().all(|task| log.of(task).ended())).await
    }

    /// Messages that wait in the worker's queue, out to no consumer.
    async fn waiting(&self) -> Result<u64, BusError> {
        Ok(self.bus.waiting(&self.options.queue).await?.unwrap_or_default())
    }

    /// Takes back the tasks of this run that nothing has taken.
    async fn clear(&mut self) {
        if let Some(mut hired) = self.hired.take() {
            hired.kill().await;
        }
        for _ in 0..self.sent.len() {
            let Ok(Some(delivery)) = self.bus.get(&self.options.queue).await else { return };
            let ours = delivery.message.properties.message_id.as_ref().is_some_and(|id| self.sent.contains(id));
            delivery.settle(if ours { Settlement::Ack } else { Settlement::Requeue });
        }
    }
}

/// A queue that the checker alone uses.
fn own(name: String) -> QueueSpec {
    QueueSpec::plain(name, QueueKind::Temporary)
}
