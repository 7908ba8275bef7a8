//! The one connection that appends: group commit in one round trip.
//!
//! ```text
//! append → bounded queue → gather waiting requests → BEGIN · hold · statements · COMMIT, all sent before a read
//! ```
//!
//! While one commit is under way the next group gathers, so the groups grow with the load. A request that does not fit
//! (another version, a taken name) ends the transaction of its group: then all are looked at, those that do not fit are
//! answered, and the others are sent again. A connection that is lost, or silent, leaves its group unknown:
//! `Unavailable`, and the engine loads each execution again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::ExecutionId;
use crate::limits;
use crate::store::{Append, CommitSizes, ExecutionHeader, StoreError, StoreResult};

use super::commit::{self, Failed};
use super::connect::Slot;
use super::error::classify;
use super::look;
use super::names::generated;
use super::seat::{Seat, lost_place};
use super::session::Session;

/// A request to the writer.
#[expect(clippy::large_enum_variant, reason = "nearly all are appends, and an allocation for each is what this spares")]
pub(super) enum Write {
    Append { append: Append, answer: Answer },
    Create { create: Box<Create>, answer: Answer },
    ParentTold { execution: ExecutionId, answer: Answer },
}

type Answer = oneshot::Sender<StoreResult<()>>;

pub(super) struct Create {
    pub header: ExecutionHeader,
    pub first: Append,
    pub reusable_before: Timestamp,
    /// The execution that gives up its name, as a look has found it.
    pub releases: Option<Uuid>,
}

impl Write {
    pub(super) fn answer(self, result: StoreResult<()>) {
        let (Self::Append { answer, .. } | Self::Create { answer, .. } | Self::ParentTold { answer, .. }) = self;
        // The caller may have gone away; its request is done all the same.
        let _ = answer.send(result);
    }

    /// The weight in events (at least one, so that a group ends), and in bytes.
    fn weight(&self) -> (usize, usize) {
        match self {
            Self::Append { append, .. } => {
                let events = append.batch.events.saturating_sub(append.replaces) as usize;
                (events.max(1), append.batch.bytes.len() + closing_bytes(append))
            }
            Self::Create { create, .. } => {
                let Create { header, first, .. } = create.as_ref();
                (
                    (first.batch.events as usize).max(1),
                    first.batch.bytes.len() + header.input.len() + closing_bytes(first),
                )
            }
            Self::ParentTold { .. } => (1, 0),
        }
    }

    pub(super) fn as_append(&self) -> Option<&Append> {
        if let Self::Append { append, .. } = self { Some(append) } else { None }
    }

    pub(super) fn as_create(&self) -> Option<&Create> {
        if let Self::Create { create, .. } = self { Some(create) } else { None }
    }

    pub(super) fn as_told(&self) -> Option<ExecutionId> {
        if let Self::ParentTold { execution, .. } = self { Some(*execution) } else { None }
    }
}

fn closing_bytes(append: &Append) -> usize {
    append.summary.closed.as_ref().and_then(|closing| closing.output.as_ref()).map_or(0, String::len)
}

/// A node's own counts may be negative: an execution may start on one node and end on another.
#[derive(Debug, Default)]
struct Sums {
    executions: AtomicI64,
    tasks: AtomicI64,
}

impl Sums {
    fn set(&self, (executions, tasks): (i64, i64)) {
        self.executions.store(executions, Ordering::Relaxed);
        self.tasks.store(tasks, Ordering::Relaxed);
    }
}

/// Counters of the writer since its start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub appends: AtomicU64,
    /// Changes of the catalog.
    pub jobs: AtomicU64,
    /// Open executions and their tasks as of the last commit: the sums of this node, and those of all others.
    own: Sums,
    others: Sums,
    /// The state of the catalog that this node has seen last.
    generation: AtomicU64,
    /// Commits by their size, and their events.
    pub commit_sizes: [AtomicU64; CommitSizes::BOUNDS.len() + 1],
    pub commit_events: AtomicU64,
    /// The last write failed.
    refuses: AtomicBool,
}

impl Counters {
    /// Tells whether the last write failed.
    pub fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    pub fn wrote(&self) {
        self.refuses.store(false, Ordering::Relaxed);
    }

    pub fn refused(&self) {
        self.refuses.store(true, Ordering::Relaxed);
    }

    pub fn open(&self, own: (i64, i64)) {
        self.own.set(own);
    }

    /// The appends of other nodes meanwhile.
    pub fn beside(&self, generation: u64, others: (i64, i64)) {
        self.others.set(others);
        if self.generation.swap(generation, Ordering::Relaxed) != generation {
            self.jobs.fetch_add(1, Ordering::Release);
        }
    }

    /// Open executions of all nodes, and their tasks.
    pub fn all_open(&self) -> (u64, u64) {
        let sum = |own: &AtomicI64, others: &AtomicI64| {
            u64::try_from(own.load(Ordering::Relaxed) + others.load(Ordering::Relaxed)).unwrap_or(0)
        };
        (sum(&self.own.executions, &self.others.executions), sum(&self.own.tasks, &self.others.tasks))
    }

    fn committed(&self, writes: usize, events: usize) {
        self.appends.fetch_add(writes as u64, Ordering::Relaxed);
        self.commit_events.fetch_add(events as u64, Ordering::Relaxed);
        self.commit_sizes[CommitSizes::place(events)].fetch_add(1, Ordering::Relaxed);
        self.wrote();
    }
}

/// The parts of the writer.
pub(super) struct Writer {
    pub slot: Arc<Slot>,
    pub seat: Arc<Seat>,
    /// `store.synchronous` is full.
    pub durable: bool,
    pub counters: Arc<Counters>,
}

/// Requests in a group that show load: the fixed cost of a commit (some 0.8 ms of PostgreSQL, and as much of this node
/// from the replies to their acks) is then worth sharing among more of them.
const GROUP_UNDER_LOAD: usize = 2;
/// They wait for others: half as long as the last commit took, within these. A commit that takes long shows a
/// PostgreSQL that is busy, mostly with the commits of other nodes.
const PAUSE_MIN: Duration = Duration::from_millis(2);
const PAUSE_MAX: Duration = Duration::from_millis(5);
/// Between two refusals of a node that has lost its place, so that senders do not come in a circle.
const PAUSE_WHEN_LOST: Duration = Duration::from_millis(100);
/// The time for the answer to a commit. A commit that waits longer (for a standby, for a lock of an operator) has an
/// unknown outcome, as has a commit that is under way when this node loses its place.
const COMMIT_ANSWERS: Duration = Duration::from_secs(10);

/// Serves until the queue is closed.
pub(super) async fn serve(writer: Writer, incoming: mpsc::Receiver<Write>, ended: Arc<Mutex<()>>) {
    let _until_the_end = ended.lock().await;
    let mut incoming = incoming;
    let mut took = Duration::ZERO;
    while let Some(first) = incoming.recv().await {
        let group = gather(first, &mut incoming, (took / 2).clamp(PAUSE_MIN, PAUSE_MAX)).await;
        let began = Instant::now();
        writer.settle(group).await;
        took = began.elapsed();
    }
}

/// Gathers the waiting requests, up to the size of a commit, and those of the next milliseconds where several wait.
async fn gather(first: Write, incoming: &mut mpsc::Receiver<Write>, pause: Duration) -> Vec<Write> {
    let (mut events, mut bytes) = first.weight();
    let mut group = vec![first];
    for waited in [false, true] {
        if waited {
            if group.len() < GROUP_UNDER_LOAD {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        while events < limits::COMMIT_EVENTS_MAX && bytes < limits::COMMIT_BYTES_MAX {
            let Ok(next) = incoming.try_recv() else { break };
            let (more, larger) = next.weight();
            (events, bytes) = (events + more, bytes + larger);
            group.push(next);
        }
    }
    group
}

/// How much is known of the requests of a group.
#[derive(Clone, Copy, PartialEq)]
enum Looked {
    Not,
    /// Each fitted when it was looked at.
    AtAll,
}

impl Writer {
    /// Commits a group and answers each of its requests.
    async fn settle(&self, group: Vec<Write>) {
        let mut work = VecDeque::from([(group, Looked::Not)]);
        while let Some((group, looked)) = work.pop_front() {
            let Some(node) = self.seat.node() else {
                self.refuse(group, &StoreError::Unavailable("this process has not joined the others yet".into()));
                continue;
            };
            if self.seat.is_lost() {
                self.refuse(group, &lost_place());
                tokio::time::sleep(PAUSE_WHEN_LOST).await;
                continue;
            }
            let client = match self.answered(self.slot.client()).await.and_then(|client| client) {
                Ok(client) => client,
                Err(error) => {
                    self.refuse(group, &error);
                    // Requests wait here for the next attempt, instead of being refused in a circle with their senders.
                    tokio::time::sleep(self.slot.wait().await).await;
                    continue;
                }
            };
            let group = match self.sift(&client, node.id.0, group, looked).await {
                Ok(group) if group.is_empty() => continue,
                Ok(group) => group,
                Err((group, error)) => {
                    self.slot.give_up(&client).await;
                    self.refuse(group, &error);
                    continue;
                }
            };
            let failed = match self.answered(commit::commit(&client, self, node, &group)).await {
                Ok(Ok(totals)) => {
                    self.counters.open(totals);
                    self.counters.committed(group.len(), group.iter().map(|write| write.weight().0).sum());
                    answer(group, &Ok(()));
                    continue;
                }
                Ok(Err(failed)) => failed,
                Err(error) => Failed::Unknown(error),
            };
            match failed {
                Failed::Unknown(error) => {
                    self.slot.give_up(&client).await;
                    self.refuse(group, &error);
                }
                Failed::Buried => group.into_iter().for_each(fenced),
                Failed::Refused(_) if looked == Looked::Not => work.push_front((group, Looked::AtAll)),
                Failed::Refused(error) if group.len() == 1 => self.refuse(group, &error),
                Failed::Refused(_) => {
                    for write in group.into_iter().rev() {
                        work.push_front((vec![write], Looked::AtAll));
                    }
                }
            }
        }
    }

    /// The answer of PostgreSQL, unless it takes too long or this node loses its place meanwhile. Without an answer the
    /// outcome is unknown.
    async fn answered<T>(&self, work: impl Future<Output = T>) -> StoreResult<T> {
        let in_time = tokio::time::timeout(COMMIT_ANSWERS, work);
        let late = |_| StoreError::Unavailable("PostgreSQL has not answered in time".into());
        self.seat.unless_lost(Duration::ZERO, in_time).await?.map_err(late)
    }

    /// Looks at requests before they are sent, and answers those that do not fit. A name of a client's choice may well
    /// be taken, so it is always looked up; the others after a refusal.
    async fn sift(
        &self,
        client: &Session,
        me: Uuid,
        group: Vec<Write>,
        looked: Looked,
    ) -> Result<Vec<Write>, (Vec<Write>, StoreError)> {
        let wanted = |write: &Write| match write {
            Write::Create { create, .. } => looked == Looked::AtAll || generated(&create.header.arn).is_none(),
            Write::Append { .. } => looked == Looked::AtAll,
            Write::ParentTold { .. } => false,
        };
        if !group.iter().any(wanted) {
            return Ok(group);
        }
        let mut group = group;
        let seen = self.answered(Box::pin(look::look(client, me, &mut group, wanted))).await;
        let errors = match seen.and_then(|seen| seen.map_err(StoreError::from)) {
            Ok(errors) => errors,
            Err(error) => return Err((group, error)),
        };
        let mut fit = Vec::with_capacity(group.len());
        for (write, error) in group.into_iter().zip(errors) {
            match error {
                None => fit.push(write),
                Some(error) => write.answer(Err(error)),
            }
        }
        Ok(fit)
    }

    fn refuse(&self, group: Vec<Write>, error: &StoreError) {
        if matches!(error, StoreError::Unavailable(_)) {
            self.counters.refused();
        }
        answer(group, &Err(error.clone()));
    }
}

fn answer(group: Vec<Write>, result: &StoreResult<()>) {
    for write in group {
        write.answer(result.clone());
    }
}

/// Others have buried this node: nothing of it counts any more.
fn fenced(write: Write) {
    let append = write.as_append().or_else(|| write.as_create().map(|create| &create.first));
    let error = append.map_or_else(
        || StoreError::Unavailable("this process was taken for dead".into()),
        |append| StoreError::Fenced { execution: append.execution, epoch: append.epoch },
    );
    write.answer(Err(error));
}

/// The sums over all open executions, before this process has sums of its own.
pub(super) async fn totals(client: &Client) -> StoreResult<(i64, i64)> {
    const TOTALS: &str = "SELECT coalesce(sum(executions), 0)::bigint, coalesce(sum(tasks), 0)::bigint FROM totals";
    let failed = |error: tokio_postgres::Error| classify(&error);
    let row = client.query_typed_one(TOTALS, &[]).await.map_err(failed)?;
    Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?))
}
