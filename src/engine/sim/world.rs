//! The surroundings that survive the engine: true time, the broker's queues, the workers, and a second copy of every
//! execution, folded from what landed in the journal. Each thing that crosses a port is checked here against that copy.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::asl::model::Machine;
use crate::bus::envelope::{self, Reply, ReplyOutcome};
use crate::bus::{HeaderValue, Message};
use crate::clock::{Clock, Timestamp};
use crate::engine::journal::summary::summary;
use crate::ids::{EventId, ExecutionId, PartitionId, TaskKey};
use crate::interpreter::due;
use crate::interpreter::event::Event;
use crate::interpreter::state::{State, TaskView};
use crate::interpreter::stimulus::Rejection;
use crate::record;
use crate::store::{Append, Epoch, ExecutionHeader, ExecutionStatus, RevisionId, Summary, WaitRow};
use crate::token::TokenKeys;

use super::rng::Rng;

/// No machine rests longer: a wait of a month, a day of it without a process, and clocks that jump.
const LONGEST_REST: Duration = Duration::from_hours(24 * 45);

/// Calls of the API that have no answer yet.
pub const API: &str = "api";

/// The faults, and how often they happen (in percent).
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Appends: refused before they landed, landed and reported as failed, told of a conflict that is none.
    pub store: u64,
    /// Publishes: lost before the confirm, confirm lost, doubled. Replies: doubled, reordered, redelivered.
    pub bus: u64,
    /// Publishes returned or nacked; silent workers; garbage; executions are stopped, and redriven at any moment.
    pub rough: u64,
    /// The clock jumps: so often in a life, by seconds to days, in both directions; every other jump is taken back
    /// soon.
    pub jumps: u64,
    /// How often the process dies.
    pub crashes: u64,
    /// Strangers write beside a worker; a broken one answers before it.
    pub hostile: u64,
}

impl Faults {
    fn is_none(self) -> bool {
        self.store + self.bus + self.rough + self.jumps + self.crashes + self.hostile == 0
    }
}

/// An execution as its journal tells it.
#[derive(Debug)]
pub struct Fold {
    pub header: ExecutionHeader,
    pub state: State,
    before_tail: State,
    machine: Arc<Machine>,
    ended: BTreeSet<EventId>,
    /// When something last happened to it.
    last: Option<Timestamp>,
}

/// A reply that a worker has yet to send.
#[derive(Debug, Clone)]
pub struct Planned {
    pub queue: String,
    pub message: Message,
    pub by_api: bool,
}

#[derive(Debug)]
pub struct Inner {
    pub rng: Rng,
    pub faults: Faults,
    /// True time at the start of this life; the engine's clock is off by `skew`.
    base: i64,
    begun: Option<Instant>,
    pub skew: i64,
    /// Executions that have been due for a while: which moment, and since when in true time.
    overdue: HashMap<ExecutionId, (Timestamp, i64)>,
    /// Calls of ports until the process dies.
    until_crash: Option<u64>,
    pub dead: bool,
    pub machines: HashMap<RevisionId, Arc<Machine>>,
    pub executions: BTreeMap<ExecutionId, Fold>,
    message_ids: HashMap<String, String>,
    /// The workers' replies about a task.
    pub answers: HashMap<TaskKey, Vec<Value>>,
    pub schedule: BTreeMap<(i64, u64), Planned>,
    pub queues: BTreeMap<String, VecDeque<(bool, Message)>>,
    pub unsettled: BTreeMap<u64, (String, Message)>,
    /// Of several nodes: which one has an unsettled message.
    pub taken_by: BTreeMap<u64, usize>,
    /// Of several nodes: until when each is frozen; for ever, where it is dead.
    nodes: Vec<i64>,
    /// The newest epoch that each partition's journal has seen.
    epochs: BTreeMap<PartitionId, Epoch>,
    pub freezes: u64,
    pub takings: u64,
    pub last: u64,
    pub violations: Vec<String>,
    pub steps: u64,
    pub crashes: u64,
    pub jumped: u64,
    pub map_runs: u64,
    /// Messages of strangers that have not been parked.
    pub strangers: BTreeSet<u64>,
    pub strange: u64,
    /// Executions whose machine's waits, one after the other, took longer than the year that an execution may have.
    pub outlived: u64,
    /// `SIM_TRACE=1`, for a person who replays a seed.
    trace: bool,
}

pub struct World {
    inner: Mutex<Inner>,
    pub tokens: TokenKeys,
    pub crashed: Notify,
    /// Something was planned, or came into a queue.
    pub changed: Notify,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    pub fn new(seed: u64, faults: Faults, tokens: TokenKeys) -> Arc<Self> {
        let inner = Inner {
            rng: Rng::new(seed),
            faults,
            base: 1_700_000_000_000,
            begun: None,
            skew: 0,
            overdue: HashMap::new(),
            until_crash: None,
            dead: false,
            machines: HashMap::new(),
            executions: BTreeMap::new(),
            message_ids: HashMap::new(),
            answers: HashMap::new(),
            schedule: BTreeMap::new(),
            queues: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            taken_by: BTreeMap::new(),
            nodes: Vec::new(),
            epochs: BTreeMap::new(),
            freezes: 0,
            takings: 0,
            last: 0,
            violations: Vec::new(),
            steps: 0,
            crashes: 0,
            jumped: 0,
            map_runs: 0,
            strangers: BTreeSet::new(),
            strange: 0,
            outlived: 0,
            trace: std::env::var_os("SIM_TRACE").is_some(),
        };
        Arc::new(Self { inner: Mutex::new(inner), tokens, crashed: Notify::new(), changed: Notify::new() })
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// A process begins; what the last one held unsettled comes again.
    pub fn begin(&self, until_crash: Option<u64>) {
        let mut inner = self.lock();
        inner.begun = Some(Instant::now());
        inner.dead = false;
        inner.overdue.clear();
        inner.until_crash = until_crash;
        for (queue, message) in std::mem::take(&mut inner.unsettled).into_values() {
            inner.queues.entry(queue).or_default().push_front((true, message));
        }
        // A worker whose call of the API was not answered calls again.
        for (_, message) in inner.queues.remove(API).unwrap_or_default() {
            inner.last += 1;
            let place = (inner.base + 1_000, inner.last);
            inner.schedule.insert(place, Planned { queue: String::new(), message, by_api: true });
        }
    }

    /// It is gone; so long nothing runs.
    pub fn end(&self) {
        let mut inner = self.lock();
        inner.base = inner.true_time();
        inner.begun = None;
        let down = [0, 1_000, 60_000, 86_400_000];
        let down = down[usize::try_from(inner.rng.below(4)).unwrap()];
        inner.base += down;
        inner.crashes += 1;
    }

    /// Where a node is frozen nothing goes on, where it is dead nothing ever does.
    pub async fn awake(&self, node: Option<usize>) {
        let Some(node) = node else { return };
        loop {
            let left = {
                let inner = self.lock();
                inner.nodes[node].saturating_sub(inner.true_time())
            };
            match u64::try_from(left) {
                Ok(0) | Err(_) => return,
                // It wakes up within its day, or never.
                Ok(left) if left > 86_400_000 => std::future::pending().await,
                Ok(left) => self.pass(left).await,
            }
        }
    }

    /// Every call of a port passes here: it takes a while, or it is the last one of this process.
    pub async fn port(&self, node: Option<usize>) {
        self.passes().await;
        self.awake(node).await;
    }

    async fn passes(&self) {
        let delay = {
            let mut inner = self.lock();
            inner.steps += 1;
            if let Some(left) = &mut inner.until_crash {
                if *left == 0 {
                    inner.dead = true;
                    self.crashed.notify_one();
                } else {
                    *left -= 1;
                }
            }
            if inner.dead { None } else { Some(inner.delay()) }
        };
        match delay {
            None => std::future::pending().await,
            Some(0) => {}
            Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
        }
    }

    /// Waits in true time.
    pub async fn pass(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    pub fn all_closed(&self) -> bool {
        let inner = self.lock();
        inner.executions.values().all(|f| !f.state.is_running())
    }

    /// No reply is under way or waits for its verdict.
    pub fn is_quiet(&self) -> bool {
        let inner = self.lock();
        inner.schedule.is_empty() && inner.unsettled.is_empty() && inner.queues.iter().all(|(_, q)| q.is_empty())
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        let inner = self.lock();
        Timestamp::from_millis(inner.true_time() + inner.skew)
    }
}

impl Inner {
    pub fn true_time(&self) -> i64 {
        let passed = self.begun.map_or(0, |begun| i64::try_from(begun.elapsed().as_millis()).unwrap());
        self.base + passed
    }

    /// A process of several begins; its number.
    pub fn node_begins(&mut self) -> usize {
        self.nodes.push(0);
        self.nodes.len() - 1
    }

    pub fn node_freezes(&mut self, node: usize, ms: u64) {
        self.nodes[node] = self.true_time() + i64::try_from(ms).unwrap();
        self.freezes += 1;
    }

    /// Its unsettled messages come again.
    pub fn node_dies(&mut self, node: usize) {
        self.nodes[node] = i64::MAX;
        self.crashes += 1;
        let held: Vec<u64> = self.taken_by.iter().filter(|(_, by)| **by == node).map(|(number, _)| *number).collect();
        for number in held {
            self.taken_by.remove(&number);
            if let Some((queue, message)) = self.unsettled.remove(&number) {
                self.queues.entry(queue).or_default().push_front((true, message));
            }
        }
    }

    /// The engine's clock is put forward or back.
    pub fn step_clock(&mut self, by: i64) {
        self.skew += by;
        self.jumped += 1;
        // An execution that is not due any more has not waited for too long.
        let now = Timestamp::from_millis(self.true_time() + self.skew);
        self.overdue.retain(|_, (due, _)| *due <= now);
    }

    /// Nothing may wait for a moment that passed longer than `grace` ago, whatever the clock did meanwhile.
    pub fn look_for_overdue(&mut self, grace: Duration) {
        let true_now = self.true_time();
        let now = Timestamp::from_millis(true_now + self.skew);
        let grace = i64::try_from(grace.as_millis()).unwrap();
        let mut wrong = Vec::new();
        for (id, fold) in &self.executions {
            match due(&fold.machine, &fold.state) {
                Some(at) if at <= now => {
                    let since = self.overdue.entry(*id).or_insert((at, true_now));
                    if since.0 != at {
                        *since = (at, true_now);
                    } else if true_now - since.1 > grace {
                        wrong.push(format!("{}: nothing happens, though it is due since {at}", fold.header.name));
                        since.1 = i64::MAX; // said once
                    }
                }
                _ => _ = self.overdue.remove(id),
            }
        }
        self.violations.append(&mut wrong);
    }

    fn delay(&mut self) -> u64 {
        match self.rng.below(10) {
            0..=5 => 0,
            6..=8 => self.rng.below(5),
            _ => self.rng.below(2_000),
        }
    }

    pub fn violate(&mut self, what: String) {
        self.violations.push(what);
    }

    pub fn born(&mut self, header: &ExecutionHeader) {
        let machine = Arc::clone(&self.machines[&header.revision]);
        let fold = Fold {
            header: header.clone(),
            state: State::default(),
            before_tail: State::default(),
            machine,
            ended: BTreeSet::new(),
            last: None,
        };
        if self.executions.values().any(|f| f.header.arn == header.arn) {
            self.violate(format!("{} was made twice", header.arn));
        }
        self.executions.insert(header.id, fold);
    }

    /// An append has landed: the journal is well-formed, and the row says what the fold says.
    pub fn landed(&mut self, append: &Append) {
        if append.batch.events == 0 {
            return;
        }
        let newest =
            *self.epochs.entry(append.partition).and_modify(|e| *e = append.epoch.max(*e)).or_insert(append.epoch);
        if append.epoch < newest {
            self.violate(format!(
                "partition {} has an entry of epoch {} after one of epoch {}",
                append.partition, append.epoch.0, newest.0
            ));
        }
        let entries = record::decode(&append.batch.bytes).unwrap();
        let now = self.true_time();
        let Some(fold) = self.executions.get_mut(&append.execution) else {
            self.violate("an append to an execution that was never made".to_owned());
            return;
        };
        let mut wrong = Vec::new();
        if append.replaces > 0 {
            // Heartbeats in the place of earlier ones: it goes on from the state before those.
            fold.state = fold.before_tail.clone();
        } else {
            fold.before_tail = fold.state.clone();
        }
        let now = now % 10_000_000_000;
        let name = fold.header.name.clone();
        for entry in &entries {
            if self.trace {
                println!("{now} {name} {} {:.160}", entry.id, format!("{:?}", entry.event));
            }
            if entry.id.0 != 0 && entry.id.0 != fold.state.last_id().0 + 1 {
                wrong.push(format!("{name}: event {} follows {}", entry.id, fold.state.last_id()));
            }
            let outcome = match &entry.event {
                Event::TaskSucceeded { scheduled, output, .. } => Some((scheduled, Some(output))),
                Event::TaskFailed { scheduled, .. } | Event::TaskTimedOut { scheduled, .. } => Some((scheduled, None)),
                _ => None,
            };
            if let Some((scheduled, output)) = outcome {
                if !fold.ended.insert(*scheduled) {
                    wrong.push(format!("{name}: the task of event {scheduled} ended twice"));
                }
                let key = TaskKey { execution: append.execution, scheduled: *scheduled };
                if let (Some(output), Some(said)) = (output, self.answers.get(&key))
                    && !said.iter().any(|answer| answer == &**output)
                {
                    wrong.push(format!(
                        "{name}: the task of event {scheduled} has a result that its worker did not give"
                    ));
                }
            }
            if matches!(entry.event, Event::ExecutionTimedOut(_)) {
                if fold.last.is_none_or(|last| entry.at.since(last) > LONGEST_REST) {
                    wrong.push(format!("{name}: it stood still until its year was over"));
                }
                self.outlived += 1;
            }
            fold.last = Some(entry.at);
            if let Err(misfit) = fold.state.evolve(entry) {
                wrong.push(format!("{name}: {misfit}"));
            }
        }
        let said: &Summary = &append.summary;
        let meant = summary(&fold.machine, &fold.state, true);
        if *said != meant {
            wrong.push(format!("{name}: the row says {said:?}, its journal {meant:?}"));
        }
        if fold.state.is_running() != (said.status == ExecutionStatus::Running) {
            wrong.push(format!("{name}: the row's status is {}", said.status));
        }
        self.violations.append(&mut wrong);
    }

    /// The rows of waiting tasks say what the journal says; a task without a row is still owed.
    pub fn listed(&mut self, execution: ExecutionId, rows: &[WaitRow]) {
        let Some(fold) = self.executions.get(&execution) else { return };
        let open = |task| if fold.state.is_running() { fold.state.task(task).ok() } else { None };
        let mut wrong = Vec::new();
        for WaitRow { wait, .. } in rows {
            let said = (wait.since, wait.due(), wait.last_heartbeat, wait.submitted);
            let meant = open(wait.scheduled)
                .map(|TaskView { task, .. }| (task.scheduled_at, task.due(), task.last_heartbeat, task.published));
            if meant != Some(said) {
                wrong.push(format!("the row of task {} says {said:?}, its journal {meant:?}", wait.scheduled));
            }
        }
        for TaskView { task, .. } in fold.state.tasks().filter(|_| fold.state.is_running()) {
            if task.published && !rows.iter().any(|row| row.wait.scheduled == task.scheduled) {
                wrong.push(format!("task {} waits at the broker and has no row", task.scheduled));
            }
        }
        for why in &mut wrong {
            *why = format!("{}: {why}", fold.header.name);
        }
        self.violations.append(&mut wrong);
    }

    fn task(&self, key: TaskKey) -> Result<bool, Rejection> {
        let fold = self.executions.get(&key.execution).ok_or(Rejection::Unknown)?;
        fold.state.task(key.scheduled).map(|view| view.task.published)
    }

    /// A message leaves the engine: what orders it is in the journal, and its ids are those of its task.
    pub fn leaving(&mut self, message: &Message, tokens: &TokenKeys) {
        let Some(token) = message.properties.headers.get(envelope::TASK_TOKEN).and_then(HeaderValue::as_text) else {
            return;
        };
        if message.properties.headers.contains_key("x-verdict") {
            return;
        }
        let Ok((key, _)) = tokens.verify(token) else {
            return self.violate("a task went out with a token that is not ours".to_owned());
        };
        if self.trace {
            let name = self.executions.get(&key.execution).map(|f| f.header.name.as_str()).unwrap_or_default();
            println!("{} {name} out {} {:?}", self.true_time() % 10_000_000_000, key.scheduled, self.task(key));
        }
        match self.task(key) {
            // Where nothing fails. Elsewhere a reply may overtake the publish that an actor has ordered and not yet
            // begun.
            Ok(true) if self.faults.is_none() => {
                self.violate(format!(
                    "the task of event {} went out again after its confirm was written",
                    key.scheduled
                ));
            }
            Err(Rejection::Unknown) => {
                self.violate(format!("the task of event {} went out before it was written", key.scheduled));
            }
            Ok(_) | Err(_) => {}
        }
        let id = message.properties.message_id.clone().unwrap_or_default();
        if self.message_ids.entry(id).or_insert_with(|| token.to_owned()) != token {
            self.violate("two tasks share a message id".to_owned());
        }
        if message.properties.correlation_id.as_deref() != Some(token) {
            self.violate("correlation_id is not the token".to_owned());
        }
    }

    /// A reply is acknowledged: its effect is in the journal, or it could have none.
    pub fn acknowledged(&mut self, message: &Message, tokens: &TokenKeys) {
        let Ok(reply) = Reply::decode(message) else { return };
        let Ok((key, _)) = tokens.verify(&reply.token) else { return };
        if reply.outcome != ReplyOutcome::Heartbeat && self.task(key).is_ok() {
            self.violate(format!(
                "a good reply for the task of event {} was acknowledged, and the task is still open",
                key.scheduled
            ));
        }
    }

    /// A reply is parked: only for a reason.
    pub fn parked(&mut self, message: &Message, tokens: &TokenKeys) {
        self.stranger_parked(message);
        let verdict =
            message.properties.headers.get("x-verdict").and_then(HeaderValue::as_text).unwrap_or_default().to_owned();
        let genuine = Reply::decode(message).is_ok_and(|reply| tokens.verify(&reply.token).is_ok());
        if genuine && !matches!(verdict.as_str(), "duplicate" | "late") {
            self.violate(format!("a good reply was refused as {verdict}"));
        }
    }
}
