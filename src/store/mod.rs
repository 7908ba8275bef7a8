//! PORT: durable storage. [`Journal`] holds the events of executions, [`Catalog`] everything else that has a name.
//!
//! A store moves bytes and rows; it holds no rule of the language. Every adapter passes `contract.rs`.
//! May enter: `ids`, `clock`, `limits`. Nothing else of ours: a batch is bytes here.

mod catalog;
#[cfg(test)]
pub mod contract;
pub mod copying;
pub mod memory;
pub mod ownership;
mod parts;
pub mod postgres;
pub mod sqlite;
mod starting;
mod status;
mod waits;

use std::fmt;

use futures_util::future::BoxFuture;

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, ExecutionKind, PartitionId, TaskKey, Version};

pub use catalog::{
    ActivityRow, AliasRow, Catalog, MachineRow, MachineType, MapRunRow, NoteRow, Revision, RevisionId, VersionRow,
};
pub use ownership::{Gift, Node, NodeCard, NodeId, NodeRow, Ownership, PartitionRow, View};
pub use starting::patiently;
pub use status::ExecutionStatus;
pub use waits::{DestinationWaits, Wait, WaitChange, WaitFilter, WaitRow, WaitingStates};

/// The failures of a store, split by how the caller can react.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another append came first: load again and decide again.
    #[error("the journal of execution {execution} is at version {actual}, the append expected {expected}")]
    VersionConflict { execution: ExecutionId, expected: Version, actual: Version },
    /// Another owner has the execution's partition now: nothing of this one counts any more.
    #[error("execution {execution} has another owner now, this one's epoch is {}", .epoch.0)]
    Fenced { execution: ExecutionId, epoch: Epoch },
    /// The name is taken: look at its holder.
    #[error("{what} already exists: {key}")]
    AlreadyExists { what: &'static str, key: String },
    /// The named thing does not exist.
    #[error("{what} does not exist: {key}")]
    NotFound { what: &'static str, key: String },
    /// The store cannot write now (disk full, locked, connection lost). Stored data is safe; try again later.
    #[error("the store cannot take writes now: {0}")]
    Unavailable(String),
    /// A stored item does not decode. All other items are unaffected.
    #[error("{what} {key} cannot be read: {why}")]
    Corrupt { what: &'static str, key: String, why: String },
    /// The store was made by a newer version, is no store of ours, or has other fixed settings. Do not start.
    #[error("{0}")]
    Unusable(String),
}

pub type StoreResult<T> = Result<T, StoreError>;
pub type StoreFuture<'a, T> = BoxFuture<'a, StoreResult<T>>;

/// Events of one execution in order, encoded by [`crate::record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The version that the journal had before this batch.
    pub after: Version,
    /// By how much the version grows: one for each event in the bytes (visible or hidden), and one for each heartbeat
    /// that one event stands for.
    pub events: u32,
    pub bytes: Vec<u8>,
}

/// The position of a batch in the store, and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The store's own number of the batch.
    pub at: i64,
    pub after: Version,
    pub events: u32,
    pub bytes: u64,
}

impl Place {
    /// Tells whether this is the place of `batch`.
    fn is_of(&self, batch: &Batch) -> bool {
        (self.after, self.events) == (batch.after, batch.events)
    }
}

/// A journal, whole if it is small enough to be read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// All of it, oldest first.
    Whole(Vec<Batch>),
    /// The places of its batches, oldest first: it is larger.
    Large(Vec<Place>),
}

/// The thing that `NotFound` names when heartbeats have replaced a batch since its place was read.
pub const GONE: &str = "batch of a journal";

fn gone(execution: ExecutionId) -> StoreError {
    StoreError::NotFound { what: GONE, key: execution.to_string() }
}

/// A time of ownership of a partition. A new owner has a greater one, and the store refuses appends of a former owner.
///
/// A store that one process has for itself knows the first epoch only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    pub const FIRST: Self = Self(1);
}

/// An owner's time with a partition: under it the owner writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    pub partition: PartitionId,
    pub epoch: Epoch,
}

impl Tenure {
    fn fenced(self, execution: ExecutionId) -> StoreError {
        StoreError::Fenced { execution, epoch: self.epoch }
    }

    /// For a store of one owner: refuses a write under another epoch than the first.
    fn is_of_the_only_owner(self, execution: ExecutionId) -> StoreResult<()> {
        if self.epoch == Epoch::FIRST { Ok(()) } else { Err(self.fenced(execution)) }
    }
}

/// One append: it is written whole or not at all. One without events leaves the journal as it is, and changes the index
/// and the table of waiting tasks alone.
#[derive(Debug, Clone)]
pub struct Append {
    pub execution: ExecutionId,
    /// The execution's.
    pub partition: PartitionId,
    /// Of the owner that appends.
    pub epoch: Epoch,
    /// `batch.after`, and `replaces` beyond it, is the version expected.
    pub batch: Batch,
    /// The `events` of the newest batch where this batch replaces it (both begin at the same version). Otherwise 0.
    pub replaces: u32,
    /// The changing columns of the execution after this append.
    pub summary: Summary,
    /// Changes of its rows in the table of waiting tasks, in order.
    pub waits: Vec<WaitChange>,
    /// Its caller waits for it alone: a commit that has it is not held back for others.
    pub hurries: bool,
}

impl Append {
    fn tenure(&self) -> Tenure {
        Tenure { partition: self.partition, epoch: self.epoch }
    }

    /// The version that the journal must have before the append.
    #[must_use]
    pub fn expects(&self) -> Version {
        Version(self.batch.after.0 + u64::from(self.replaces))
    }
}

/// The error of an append that would replace a batch other than the newest.
fn not_the_newest(execution: ExecutionId) -> StoreError {
    let why = "the batch that an append would replace is not the newest".to_owned();
    StoreError::Corrupt { what: "journal of execution", key: execution.to_string(), why }
}

/// The changing columns of an execution in the index: written with every append, in the same transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    pub status: ExecutionStatus,
    /// The time of the next timeout, heartbeat, retry or end of a wait.
    pub due: Option<Timestamp>,
    /// Set once, when the execution closes.
    pub closed: Option<Closing>,
    /// Where the execution is a child whose parent must hear of its end: set with `closed`, cleared by
    /// [`Journal::parent_told`].
    pub owes_parent: bool,
    /// The number of open tasks. It is summed for metrics and not shown with the execution.
    pub tasks: u32,
    /// An ordered effect may not have happened yet (a task that the broker has not confirmed): recovery must look at
    /// this execution.
    pub owes: bool,
    /// How many times the execution was redriven; `redriven_at` is the last time.
    pub redrive_count: u32,
    pub redriven_at: Option<Timestamp>,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Closing {
    pub at: Timestamp,
    /// JSON text.
    pub output: Option<String>,
    pub error: Option<String>,
    pub cause: Option<String>,
}

/// The columns of an execution that never change.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionHeader {
    pub id: ExecutionId,
    pub partition: PartitionId,
    pub arn: Arn,
    pub name: String,
    /// Without version or alias qualifier.
    pub state_machine: Arn,
    /// The definition that this execution runs. It never changes.
    pub revision: RevisionId,
    pub version_arn: Option<Arn>,
    pub alias_arn: Option<Arn>,
    /// JSON text, as it was given.
    pub input: String,
    pub trace_header: Option<String>,
    pub started: Timestamp,
    /// The task of the parent that started this execution and waits for it.
    pub parent: Option<TaskKey>,
    pub map_run: Option<Arn>,
    /// Position in its map run.
    pub item_index: Option<u64>,
    /// The execution that it was forked from.
    pub forked: Option<ExecutionId>,
}

impl ExecutionHeader {
    #[must_use]
    pub fn kind(&self) -> ExecutionKind {
        ExecutionKind::of(&self.arn, self.map_run.as_ref())
    }
}

/// How an execution came from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// A task of the other one started it and waits for it.
    Child,
    /// It was forked from the other one.
    Fork,
}

/// An execution as the index shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionRow {
    pub header: ExecutionHeader,
    pub version: Version,
    pub summary: Summary,
}

impl ExecutionRow {
    /// The row without its large parts: `input` is empty, `output`, `error` and `cause` are `None`.
    #[must_use]
    pub fn brief(mut self) -> Self {
        self.header.input = String::new();
        if let Some(closing) = &mut self.summary.closed {
            (closing.output, closing.error, closing.cause) = (None, None, None);
        }
        self
    }
}

/// A query of a listing: filters and a keyset cursor. The order is always newest start first.
#[derive(Debug, Clone, Default)]
pub struct ExecutionFilter {
    pub state_machine: Option<Arn>,
    /// Version or alias ARN.
    pub qualified: Option<Arn>,
    pub map_run: Option<Arn>,
    /// Leave out the machines of Map Runs' children, which are `name/label`, where no resource is named above.
    pub outside_map_runs: bool,
    pub status: Option<ExecutionStatus>,
    /// `Some(true)`: only redriven ones; `Some(false)`: only those never redriven.
    pub redriven: Option<bool>,
    /// When the redrive of the map run began, if one is in progress. Listings, filters and counts then use the statuses
    /// of [`ExecutionStatus::of_child`].
    pub run_redriven: Option<Timestamp>,
    /// The start time and id of the last row of the page before.
    pub after: Option<(Timestamp, ExecutionId)>,
    pub limit: u32,
    /// Return the rows as [`ExecutionRow::brief`] makes them.
    pub brief: bool,
}

impl ExecutionFilter {
    #[must_use]
    pub fn is_outside_map_runs(&self) -> bool {
        self.outside_map_runs && self.state_machine.is_none() && self.qualified.is_none() && self.map_run.is_none()
    }
}

/// The events of executions: the only truth.
pub trait Journal: Send + Sync + fmt::Debug {
    /// Creates an execution: its row and its first events, in one transaction. Fails with `AlreadyExists` (key = the
    /// ARN) where an execution with this ARN exists, unless that one closed before `reusable_before` (AWS: 90 days):
    /// then the name passes to the new one. Fails with `NotFound` where the revision is gone (its machine was removed
    /// after it was read): an execution always has its definition.
    fn create(&self, header: ExecutionHeader, first: Append, reusable_before: Timestamp) -> StoreFuture<'_, ()>;

    /// Adds events, or replaces the newest batch with them (`Corrupt` if the two do not begin at the same version). The
    /// events are durable when it returns. Fails with `VersionConflict`, `NotFound`, `Unavailable`.
    fn append(&self, append: Append) -> StoreFuture<'_, ()>;

    /// All batches, oldest first. `NotFound` where there is no such execution.
    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<Batch>>;

    /// All batches if they have at most `whole` bytes together, else their places: a large journal is read piece by
    /// piece. `NotFound` where there is no such execution.
    fn open(&self, execution: ExecutionId, whole: u64) -> StoreFuture<'_, Opened> {
        Box::pin(async move {
            let batches = self.load(execution).await?;
            let sizes = batches.iter().map(|batch| batch.bytes.len() as u64);
            if sizes.sum::<u64>() <= whole {
                return Ok(Opened::Whole(batches));
            }
            let place = |batch: &Batch| Place {
                at: 0,
                after: batch.after,
                events: batch.events,
                bytes: batch.bytes.len() as u64,
            };
            Ok(Opened::Large(batches.iter().map(place).collect()))
        })
    }

    /// The batches that end behind this version, oldest first. The first may begin before it.
    fn since(&self, execution: ExecutionId, version: Version) -> StoreFuture<'_, Vec<Batch>> {
        Box::pin(async move {
            let is_new = |after: Version, events: u32| after.0 + u64::from(events) > version.0;
            match self.open(execution, 0).await? {
                Opened::Whole(mut batches) => {
                    batches.retain(|batch| is_new(batch.after, batch.events));
                    Ok(batches)
                }
                Opened::Large(mut places) => {
                    places.retain(|place| is_new(place.after, place.events));
                    self.read(execution, places).await
                }
            }
        })
    }

    /// The batches at these places of an execution's journal, in their order. `NotFound` of [`GONE`] where a batch is
    /// no longer there: the caller opens the journal again.
    fn read(&self, execution: ExecutionId, places: Vec<Place>) -> StoreFuture<'_, Vec<Batch>> {
        Box::pin(async move {
            let batches = self.load(execution).await?;
            let find = |place: &Place| batches.iter().find(|batch| place.is_of(batch)).cloned();
            places.iter().map(|place| find(place).ok_or_else(|| gone(execution))).collect()
        })
    }

    /// Open executions of a partition whose summary says `owes`, in id order, from after `after`, as brief rows.
    /// Recovery looks at these and leaves all others asleep.
    fn owing(
        &self,
        partition: PartitionId,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>>;

    /// Open executions of a partition with something due before `before`, soonest first.
    fn due(
        &self,
        partition: PartitionId,
        before: Timestamp,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(ExecutionId, Timestamp)>>;

    fn execution(&self, id: ExecutionId) -> StoreFuture<'_, Option<ExecutionRow>>;

    fn execution_by_arn(&self, arn: &Arn) -> StoreFuture<'_, Option<ExecutionRow>>;

    /// Those that are there, in the order of the ids: one request for all.
    fn executions(&self, ids: Vec<ExecutionId>) -> StoreFuture<'_, Vec<ExecutionRow>>;

    /// Those that are there, in the order of the ARNs: one request for all.
    fn executions_by_arn(&self, arns: Vec<Arn>) -> StoreFuture<'_, Vec<ExecutionRow>>;

    fn list(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<ExecutionRow>>;

    /// Executions that came from this one, in id order, from after `after`, as brief rows.
    fn kin(
        &self,
        of: ExecutionId,
        kinship: Kinship,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>>;

    /// Counts per status (children of a map run, or all of a machine), in the order of [`ExecutionStatus::ALL`],
    /// without those that have none. Each is counted up to `limit`, or to its end where that is 0: millions take
    /// seconds. `after` does not count.
    fn count(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<(ExecutionStatus, u64)>>;

    /// Rows of the table of waiting tasks, longest waiting first.
    fn waits(&self, filter: WaitFilter) -> StoreFuture<'_, Vec<WaitRow>>;

    /// The states that wait, of those of these executions that have any: longest waiting first, up to `each` of an
    /// execution. One request for all.
    fn waiting_states(&self, executions: Vec<ExecutionId>, each: u32) -> StoreFuture<'_, WaitingStates>;

    /// How many rows the same listing has in all its pages, counted up to the filter's limit.
    fn count_waits(&self, filter: WaitFilter) -> StoreFuture<'_, u64>;

    /// How many tasks wait at each destination, in the order of the destinations.
    fn waits_by_destination(&self, limit: u32) -> StoreFuture<'_, Vec<DestinationWaits>>;

    /// Closed children of a partition whose parents have not been told, in id order, from after `after`, as brief rows.
    fn owing_parents(
        &self,
        partition: PartitionId,
        after: Option<ExecutionId>,
        limit: u32,
    ) -> StoreFuture<'_, Vec<ExecutionRow>>;

    /// Clears `owes_parent`. It may be called twice or late: an execution that is gone is no error.
    fn parent_told(&self, execution: ExecutionId) -> StoreFuture<'_, ()>;

    /// Removes executions that closed before `before`, longest closed first, with their journals and map runs, and
    /// revisions that nothing points at any more; returns how many executions (at most `limit`). Those that owe their
    /// parent stay.
    fn purge(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, u64>;

    /// Figures for metrics. The store keeps them up to date as it writes, so reading them is cheap.
    fn figures(&self) -> Figures {
        Figures::default()
    }
}

/// Contents and activity of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Executions that have not closed.
    pub open_executions: u64,
    /// The sum of [`Summary::tasks`] of these.
    pub open_tasks: u64,
    /// Commits since the store was opened, by their size.
    pub commits: CommitSizes,
    /// Appends, creations and changes of the catalog in them.
    pub writes: u64,
    /// How often the log was moved into the file.
    pub checkpoints: u64,
    /// Bytes of its file, and of the log beside it.
    pub bytes: u64,
    pub log_bytes: u64,
    /// How often its connections came back on another primary.
    pub failovers: u64,
}

/// A histogram of the number of events per commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitSizes {
    /// Commits with at most [`CommitSizes::BOUNDS`] events each, and last those with more.
    pub counts: [u64; CommitSizes::BOUNDS.len() + 1],
    /// Events of all of them.
    pub events: u64,
}

impl CommitSizes {
    pub const BOUNDS: [u32; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The index in `counts` of a commit with this many events.
    #[must_use]
    pub fn place(events: usize) -> usize {
        Self::BOUNDS.partition_point(|bound| (*bound as usize) < events)
    }
}
