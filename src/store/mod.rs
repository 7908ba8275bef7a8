//! PORT: where truth is kept. [`Journal`] holds the events of executions, [`Catalog`] everything that has a name.
//!
//! A store moves bytes and rows; it holds no rule of the language. Every adapter passes `contract.rs`.
//! May enter: `ids`, `clock`, `limits`. Nothing else of ours: a batch is bytes here.

#[cfg(test)]
pub mod contract;
pub mod memory;
pub mod sqlite;

use std::fmt;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, PartitionId, TaskKey, Version};

/// What can go wrong, split by what the caller can do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Somebody else appended first: load again and decide again.
    #[error("the journal of execution {execution} is at version {actual}, the append expected {expected}")]
    VersionConflict { execution: ExecutionId, expected: Version, actual: Version },
    /// The name is taken: look at what holds it.
    #[error("{what} already exists: {key}")]
    AlreadyExists { what: &'static str, key: String },
    /// There is no such thing.
    #[error("{what} does not exist: {key}")]
    NotFound { what: &'static str, key: String },
    /// Cannot write now (disk full, locked, connection lost); what is there is safe, try again later.
    #[error("the store cannot take writes now: {0}")]
    Unavailable(String),
    /// What is stored does not decode; only that item is affected.
    #[error("{what} {key} cannot be read: {why}")]
    Corrupt { what: &'static str, key: String, why: String },
    /// The store was made by a newer version, is no store of ours, or has other fixed settings. Do not start.
    #[error("{0}")]
    Unusable(String),
}

pub type StoreResult<T> = Result<T, StoreError>;
pub type StoreFuture<'a, T> = BoxFuture<'a, StoreResult<T>>;

/// Some events of one execution, encoded by [`crate::record`], in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The version that the journal had before this batch.
    pub after: Version,
    /// How far the version goes on with it: one for each event that the bytes hold (visible and hidden ones), and one
    /// for each heartbeat that one of them stands for.
    pub events: u32,
    pub bytes: Vec<u8>,
}

/// Where a batch lies and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The store's own number of it.
    pub at: i64,
    pub after: Version,
    pub events: u32,
    pub bytes: u64,
}

impl Place {
    /// Whether this batch is the one that lay there.
    fn is_of(&self, batch: &Batch) -> bool {
        (self.after, self.events) == (batch.after, batch.events)
    }
}

/// A journal as far as it is worth reading at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// All of it, oldest first.
    Whole(Vec<Batch>),
    /// It is larger: where its batches lie, oldest first.
    Large(Vec<Place>),
}

/// What `NotFound` names where heartbeats took the place of a batch since it was looked for.
pub const GONE: &str = "batch of a journal";

fn gone(execution: ExecutionId) -> StoreError {
    StoreError::NotFound { what: GONE, key: execution.to_string() }
}

/// One append: it lands whole or not at all.
#[derive(Debug, Clone)]
pub struct Append {
    pub execution: ExecutionId,
    /// `batch.after`, and `replaces` beyond it, is the version expected.
    pub batch: Batch,
    /// Where the batch takes the place of the newest one, which begins at the same version: that one's `events`. Else
    /// 0.
    pub replaces: u32,
    /// What the index of executions shows from here on.
    pub summary: Summary,
}

impl Append {
    /// The version that the journal must have.
    #[must_use]
    pub fn expects(&self) -> Version {
        Version(self.batch.after.0 + u64::from(self.replaces))
    }
}

/// A batch was to take the place of another one than the newest.
fn not_the_newest(execution: ExecutionId) -> StoreError {
    let why = "what an append replaces is not its newest batch".to_owned();
    StoreError::Corrupt { what: "journal of execution", key: execution.to_string(), why }
}

/// The changing columns of an execution in the index: written with every append, in the same transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    pub status: ExecutionStatus,
    /// When something is due next (timeout, heartbeat, retry, wait): the index that wakes sleepers.
    pub due: Option<Timestamp>,
    /// Set once, when the execution closes.
    pub closed: Option<Closing>,
    /// Where the execution is a child whose parent must hear of its end: set with `closed`, cleared by
    /// [`Journal::parent_told`].
    pub owes_parent: bool,
    /// Tasks that are open: what the outside works on. Counted, not shown.
    pub tasks: u32,
    /// Something that was ordered may not have been done (a task that the broker has not confirmed): a start must look
    /// at it.
    pub owes: bool,
    /// How many times it was redriven, and when last.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionStatus {
    #[default]
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
    PendingRedrive,
}

impl ExecutionStatus {
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Succeeded, Self::Failed, Self::TimedOut, Self::Aborted, Self::PendingRedrive];

    /// AWS's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
            Self::PendingRedrive => "PENDING_REDRIVE",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Running)
    }

    #[must_use]
    pub const fn is_unsuccessful(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Aborted)
    }

    /// The status of a child of a map run whose redrive began at `redriven` (`None`: it is not being redriven): one
    /// that ended without success before waits for its own redrive. AWS: `PENDING_REDRIVE`.
    #[must_use]
    pub fn of_child(self, closed: Option<Timestamp>, redriven: Option<Timestamp>) -> Self {
        let waits = redriven.is_some_and(|redriven| closed.is_some_and(|closed| closed < redriven));
        if self.is_unsuccessful() && waits { Self::PendingRedrive } else { self }
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
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
    /// The definition that this execution runs, for ever.
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
}

/// An execution as the index shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionRow {
    pub header: ExecutionHeader,
    pub version: Version,
    pub summary: Summary,
}

/// What a listing wants: filters, order (newest start first) and a keyset cursor.
#[derive(Debug, Clone, Default)]
pub struct ExecutionFilter {
    pub state_machine: Option<Arn>,
    /// Version or alias ARN.
    pub qualified: Option<Arn>,
    pub map_run: Option<Arn>,
    pub status: Option<ExecutionStatus>,
    /// `Some(true)`: only redriven ones; `Some(false)`: only those never redriven.
    pub redriven: Option<bool>,
    /// The map run is being redriven since then: its children's statuses are those of [`ExecutionStatus::of_child`], in
    /// what is listed, filtered and counted.
    pub run_redriven: Option<Timestamp>,
    /// Start after this row (its start time and id), as the row before the page.
    pub after: Option<(Timestamp, ExecutionId)>,
    pub limit: u32,
    /// Leave out what can be large: `input` comes empty, `output`, `error` and `cause` as `None`.
    pub brief: bool,
}

/// The events of executions: the only truth.
pub trait Journal: Send + Sync + fmt::Debug {
    /// Makes an execution: its row and its first events, at once. Fails with `AlreadyExists` (key = the ARN) where an
    /// execution with this ARN exists, unless that one closed before `reusable_before` (AWS: 90 days): then the old one
    /// gives up its name. Fails with `NotFound` where the revision is gone (its machine was deleted and removed since
    /// it was read): an execution never lacks its definition.
    fn create(&self, header: ExecutionHeader, first: Append, reusable_before: Timestamp) -> StoreFuture<'_, ()>;

    /// Adds events, or puts them in the place of the newest batch (which must begin where they begin: `Corrupt` else).
    /// Durable when it returns. Fails with `VersionConflict`, `NotFound`, `Unavailable`.
    fn append(&self, append: Append) -> StoreFuture<'_, ()>;

    /// All batches, oldest first. `NotFound` where there is no such execution.
    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<Batch>>;

    /// All batches where they are `whole` bytes together at most, else where they lie: a large journal is read piece by
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

    /// The batches at these places of an execution's journal, in their order. `NotFound` of [`GONE`] where one is not
    /// there any more: whoever reads looks anew.
    fn read(&self, execution: ExecutionId, places: Vec<Place>) -> StoreFuture<'_, Vec<Batch>> {
        Box::pin(async move {
            let batches = self.load(execution).await?;
            let find = |place: &Place| batches.iter().find(|batch| place.is_of(batch)).cloned();
            places.iter().map(|place| find(place).ok_or_else(|| gone(execution))).collect()
        })
    }

    /// Open executions of a partition whose summary says `owes`, in id order, from after `after`: what a start must
    /// look at. Sleepers that owe nothing are not read.
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

    fn list(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<ExecutionRow>>;

    /// Counts per status (children of a map run, or all of a machine), in the order of [`ExecutionStatus::ALL`],
    /// without those that have none. `after` and `limit` do not count.
    fn count(&self, filter: ExecutionFilter) -> StoreFuture<'_, Vec<(ExecutionStatus, u64)>>;

    /// Closed children of a partition whose parents have not been told, in id order.
    fn owing_parents(&self, partition: PartitionId, limit: u32) -> StoreFuture<'_, Vec<ExecutionRow>>;

    /// May come twice, or late: an execution that is gone is no error.
    fn parent_told(&self, execution: ExecutionId) -> StoreFuture<'_, ()>;

    /// Removes executions that closed before `before`, longest closed first, with their journals and map runs, and
    /// revisions that nothing points at any more; returns how many executions (at most `limit`). Those that owe their
    /// parent stay.
    fn purge(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, u64>;

    /// What it holds and has done, for metrics. Kept by the store as it writes: asking costs nothing, however much it
    /// holds.
    fn figures(&self) -> Figures {
        Figures::default()
    }
}

/// What a store holds and has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Executions that have not closed.
    pub open_executions: u64,
    /// The sum of [`Summary::tasks`] of these.
    pub open_tasks: u64,
    /// Commits since it was opened, by their size.
    pub commits: CommitSizes,
    /// Appends, creations and changes of the catalog in them.
    pub writes: u64,
    /// How often its log was moved into its file.
    pub checkpoints: u64,
}

/// How many events commits gathered.
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

    /// Where a commit of so many events is counted.
    #[must_use]
    pub fn place(events: usize) -> usize {
        Self::BOUNDS.partition_point(|bound| (*bound as usize) < events)
    }
}

/// One definition of a state machine: the text and what runs with it. Kept as long as an execution or version points at
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionId(pub uuid::Uuid);

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MachineType {
    Standard,
    Express,
}

impl MachineType {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::Express => "EXPRESS",
        }
    }
}

/// A state machine as it stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineRow {
    pub arn: Arn,
    pub name: String,
    pub kind: MachineType,
    pub created: Timestamp,
    /// `DELETING`: refused for new executions, gone when the last running one has ended.
    pub deleting: bool,
    pub revision: Revision,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    pub id: RevisionId,
    pub machine: Arn,
    /// The first revision is shown without a `revisionId`... AWS shows `INITIAL`.
    pub initial: bool,
    pub definition: String,
    pub role_arn: String,
    /// `loggingConfiguration`, `tracingConfiguration`, `encryptionConfiguration` as the API takes them (JSON object).
    pub configuration: serde_json::Value,
    pub made: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct VersionRow {
    pub arn: Arn,
    pub machine: Arn,
    pub number: u64,
    pub revision: RevisionId,
    pub description: Option<String>,
    pub created: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AliasRow {
    pub arn: Arn,
    pub machine: Arn,
    pub name: String,
    pub description: Option<String>,
    /// Version ARN and weight in percent; one or two, sum 100.
    pub routes: Vec<(Arn, u8)>,
    pub created: Timestamp,
    pub updated: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ActivityRow {
    pub arn: Arn,
    pub name: String,
    pub created: Timestamp,
    /// `encryptionConfiguration` as the API takes it.
    pub configuration: serde_json::Value,
}

/// A map run: a JSON document with the columns that are asked for beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct MapRunRow {
    pub arn: Arn,
    pub execution: ExecutionId,
    pub started: Timestamp,
    pub stopped: Option<Timestamp>,
    pub body: serde_json::Value,
}

/// Everything that has a name beside executions. Listings are in the order of creation and page by the last ARN seen,
/// also when that one has been deleted since. What is changed or deleted must be there (`NotFound`); what is made must
/// not be (`AlreadyExists`).
pub trait Catalog: Send + Sync + fmt::Debug {
    /// A number that has changed after any change of machines, versions or aliases was answered: what was read while it
    /// stood is still so while it stands. `None`: this store cannot tell (others write to it too), read again.
    fn generation(&self) -> Option<u64> {
        None
    }

    /// `AlreadyExists` where the ARN is taken.
    fn put_machine(&self, machine: MachineRow) -> StoreFuture<'_, ()>;
    fn machine(&self, arn: &Arn) -> StoreFuture<'_, Option<MachineRow>>;
    /// By name, as AWS lists them (recorded).
    fn machines(&self, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<MachineRow>>;
    /// A new revision becomes the current one.
    fn update_machine(&self, arn: &Arn, revision: Revision) -> StoreFuture<'_, ()>;
    /// Marks it `DELETING`; versions and aliases go at once, the row when no execution runs
    /// ([`Catalog::reap_machines`]).
    fn delete_machine(&self, arn: &Arn) -> StoreFuture<'_, ()>;
    /// Removes machines that are `DELETING` and have no open execution, with their tags. Revisions stay while
    /// executions point at them.
    fn reap_machines(&self) -> StoreFuture<'_, u64>;
    fn revision(&self, id: RevisionId) -> StoreFuture<'_, Option<Revision>>;

    /// Publishes the given revision as the next version; publishing the same revision again returns the version that
    /// exists.
    fn put_version(
        &self,
        machine: &Arn,
        revision: RevisionId,
        description: Option<String>,
        at: Timestamp,
    ) -> StoreFuture<'_, VersionRow>;
    fn version(&self, arn: &Arn) -> StoreFuture<'_, Option<VersionRow>>;
    /// Highest number first.
    fn versions(&self, machine: &Arn, after: Option<u64>, limit: u32) -> StoreFuture<'_, Vec<VersionRow>>;
    fn delete_version(&self, arn: &Arn) -> StoreFuture<'_, ()>;

    /// Makes (`AlreadyExists`) or, with `replace`, changes an alias.
    fn put_alias(&self, alias: AliasRow, replace: bool) -> StoreFuture<'_, ()>;
    fn alias(&self, arn: &Arn) -> StoreFuture<'_, Option<AliasRow>>;
    fn aliases(&self, machine: &Arn, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<AliasRow>>;
    fn delete_alias(&self, arn: &Arn) -> StoreFuture<'_, ()>;

    fn put_activity(&self, activity: ActivityRow) -> StoreFuture<'_, ()>;
    fn activity(&self, arn: &Arn) -> StoreFuture<'_, Option<ActivityRow>>;
    fn activities(&self, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<ActivityRow>>;
    fn delete_activity(&self, arn: &Arn) -> StoreFuture<'_, ()>;

    /// Tags of any resource: set (adding or replacing), removed by key, read in the order of keys.
    fn tag(&self, resource: &Arn, set: Vec<(String, String)>, remove: Vec<String>) -> StoreFuture<'_, ()>;
    fn tags(&self, resource: &Arn) -> StoreFuture<'_, Vec<(String, String)>>;

    /// Makes it or changes it.
    fn put_map_run(&self, run: MapRunRow) -> StoreFuture<'_, ()>;
    fn map_run(&self, arn: &Arn) -> StoreFuture<'_, Option<MapRunRow>>;
    fn map_runs(&self, execution: ExecutionId, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<MapRunRow>>;

    /// A fixed setting of this store (number of partitions): kept at the first call, returned ever after.
    fn fix_setting(&self, key: &str, value: &str) -> StoreFuture<'_, String>;
    /// Is the store reachable, and does it take writes? Reads one row; where the last write failed, it writes.
    fn ping(&self) -> StoreFuture<'_, ()>;
}
