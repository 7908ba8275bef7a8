//! The surroundings that survive the engine: true time, the broker's queues, the workers, and the copies of the
//! `witness`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::asl::model::Machine;
use crate::bus::{Message, Names};
use crate::clock::{Clock, Timestamp};
use crate::ids::{ExecutionId, PartitionId, TaskKey};
use crate::store::{Epoch, RevisionId};
use crate::token::TokenKeys;

use super::rng::Rng;
use super::witness::Fold;

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
    pub(super) fn is_none(self) -> bool {
        self.store + self.bus + self.rough + self.jumps + self.crashes + self.hostile == 0
    }
}

/// Answers to a node's words: where the node is gone, they are for no other.
pub(super) fn is_node_queue(name: &str) -> bool {
    name.strip_prefix(Names::shipped().prefix()).is_some_and(|rest| rest.starts_with(".node."))
}

/// A reply that a worker has yet to send.
#[derive(Debug, Clone)]
pub struct Planned {
    pub queue: String,
    pub message: Message,
    pub by_api: bool,
    pub redelivered: bool,
}

#[derive(Debug)]
pub struct Inner {
    pub rng: Rng,
    pub faults: Faults,
    /// True time at the start of this life; the engine's clock is off by `skew`.
    pub(super) base: i64,
    pub(super) begun: Option<Instant>,
    pub skew: i64,
    /// Executions that have been due for a while: which moment, and since when in true time.
    pub(super) overdue: HashMap<ExecutionId, (Timestamp, i64)>,
    /// Calls of ports until the process dies.
    until_crash: Option<u64>,
    pub dead: bool,
    pub machines: HashMap<RevisionId, Arc<Machine>>,
    pub executions: BTreeMap<ExecutionId, Fold>,
    pub(super) message_ids: HashMap<String, String>,
    /// The workers' replies about a task.
    pub answers: HashMap<TaskKey, Vec<Value>>,
    pub schedule: BTreeMap<(i64, u64), Planned>,
    pub queues: BTreeMap<String, VecDeque<(bool, Message)>>,
    pub unsettled: BTreeMap<u64, (String, Message)>,
    /// Of several nodes: which one has an unsettled message.
    pub taken_by: BTreeMap<u64, usize>,
    /// Of several nodes: until when each is frozen; for ever, where it is dead.
    nodes: Vec<i64>,
    /// Of several nodes: until when each is cut off from the broker.
    cut: Vec<i64>,
    /// Of several nodes: by how much each one's clock is off.
    off: Vec<i64>,
    /// The newest epoch that each partition has had.
    pub(super) epochs: BTreeMap<PartitionId, Epoch>,
    pub freezes: u64,
    pub cuts: u64,
    pub takings: u64,
    /// Messages between nodes.
    pub words: u64,
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
    pub(super) trace: bool,
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
            cut: Vec::new(),
            off: Vec::new(),
            epochs: BTreeMap::new(),
            freezes: 0,
            cuts: 0,
            takings: 0,
            words: 0,
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
            inner.schedule.insert(place, Planned { queue: String::new(), message, by_api: true, redelivered: false });
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

    /// Until the broker is reached.
    pub async fn reach(&self, node: Option<usize>) {
        self.awake(node).await;
        let Some(node) = node else { return };
        loop {
            let left = {
                let inner = self.lock();
                inner.cut[node].saturating_sub(inner.true_time())
            };
            match u64::try_from(left) {
                Ok(left) if left > 0 => self.pass(left).await,
                Ok(_) | Err(_) => return self.awake(Some(node)).await,
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
        let all_read = inner.queues.iter().all(|(name, queue)| queue.is_empty() || is_node_queue(name));
        inner.schedule.is_empty() && inner.unsettled.is_empty() && all_read
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        let inner = self.lock();
        Timestamp::from_millis(inner.true_time() + inner.skew)
    }
}

/// The clock of one of several nodes.
#[derive(Debug)]
pub struct NodeClock {
    pub world: Arc<World>,
    pub node: usize,
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        let inner = self.world.lock();
        Timestamp::from_millis(inner.true_time() + inner.off[self.node])
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
        self.cut.push(0);
        self.off.push(0);
        self.note(|| format!("node {} begins", self.nodes.len() - 1));
        self.nodes.len() - 1
    }

    /// A node has taken a partition.
    pub fn taken(&mut self, node: Option<usize>, partition: PartitionId, epoch: Epoch) {
        self.note(|| format!("node {node:?} takes {partition} in epoch {}", epoch.0));
        self.takings += 1;
        self.epochs.entry(partition).and_modify(|newest| *newest = epoch.max(*newest)).or_insert(epoch);
    }

    /// Each engine is one of several processes, and may die alone: its calls then wait for ever.
    pub fn has_nodes(&self) -> bool {
        !self.nodes.is_empty()
    }

    pub fn node_freezes(&mut self, node: usize, ms: u64) {
        self.nodes[node] = self.true_time() + i64::try_from(ms).unwrap();
        self.freezes += 1;
        self.note(|| format!("node {node} freezes for {ms} ms"));
    }

    /// Its clock is put forward or back.
    pub fn node_clock_steps(&mut self, node: usize, off: i64) {
        self.off[node] = off;
        self.jumped += 1;
        self.note(|| format!("the clock of node {node} is off by {off} ms"));
    }

    /// The broker gives its unsettled messages to others, as it does with a connection that is gone.
    pub fn node_is_cut_off(&mut self, node: usize, ms: u64) {
        self.cut[node] = self.true_time() + i64::try_from(ms).unwrap();
        self.cuts += 1;
        self.note(|| format!("node {node} is cut off for {ms} ms"));
        self.gives_back(node);
    }

    /// Its unsettled messages come again.
    pub fn node_dies(&mut self, node: usize) {
        self.nodes[node] = i64::MAX;
        self.crashes += 1;
        self.note(|| format!("node {node} is gone"));
        self.gives_back(node);
    }

    fn gives_back(&mut self, node: usize) {
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

    /// For a person who replays a seed.
    pub fn note(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{} {}", self.true_time() % 10_000_000_000, what());
        }
    }
}
