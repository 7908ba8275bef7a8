//! PORT: the catalog, everything that has a name beside executions: machines with their revisions, versions and
//! aliases, activities, tags, map runs, and the store's own settings.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
pub use crate::ids::MachineType;
use crate::ids::{Arn, ExecutionId};

use super::{StoreError, StoreFuture, Tenure};

/// The id of one definition of a state machine. The definition is kept as long as an execution or version points at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RevisionId(pub uuid::Uuid);

impl fmt::Display for RevisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The current form of a state machine.
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
    /// The machine's first revision. AWS shows `INITIAL` as its `revisionId`.
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

/// A map run: a JSON document, and the columns that queries need.
#[derive(Debug, Clone, PartialEq)]
pub struct MapRunRow {
    pub arn: Arn,
    pub execution: ExecutionId,
    pub started: Timestamp,
    pub stopped: Option<Timestamp>,
    pub body: serde_json::Value,
}

/// A small document with a name, such as a form or the claim of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRow {
    /// Its kind: the same keys of another kind are other notes.
    pub kind: String,
    pub key: String,
    /// JSON text.
    pub body: String,
    /// It counts before this time, and may be removed then.
    pub until: Option<Timestamp>,
}

/// Everything that has a name beside executions. Listings are in the order of creation and page by the last ARN seen,
/// also when that one has been deleted since. A row to change or delete must exist (`NotFound`), a row to create must
/// not (`AlreadyExists`).
pub trait Catalog: Send + Sync + fmt::Debug {
    /// A number that grows with every change of machines, versions or aliases, before the change is answered. Rows that
    /// were read at one number are current as long as it stays. `None`: the store cannot tell (other processes write to
    /// it too), so read again.
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

    /// Creates an alias (`AlreadyExists`) or, with `replace`, changes it (`NotFound`).
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

    /// Creates or changes a map run. `under`: of the partition of its execution. Fails with `Fenced` as an append does:
    /// a former owner that goes on late does not open a run again that the next owner has ended.
    fn put_map_run(&self, run: MapRunRow, under: Tenure) -> StoreFuture<'_, ()>;
    fn map_run(&self, arn: &Arn) -> StoreFuture<'_, Option<MapRunRow>>;
    fn map_runs(&self, execution: ExecutionId, after: Option<Arn>, limit: u32) -> StoreFuture<'_, Vec<MapRunRow>>;

    /// Writes a note in the place of that with its kind and key, and removes all whose time was over at `now`. With
    /// `new`, an existing note is in the way (`AlreadyExists`).
    fn put_note(&self, note: NoteRow, new: bool, now: Timestamp) -> StoreFuture<'_, ()>;
    /// Also one whose time is over, as long as it was not removed.
    fn note(&self, kind: &str, key: &str) -> StoreFuture<'_, Option<NoteRow>>;
    /// Notes of a kind, in the order of their keys, from behind `after`.
    fn notes(&self, kind: &str, after: Option<String>, limit: u32) -> StoreFuture<'_, Vec<NoteRow>>;
    /// Removes a note and returns it: one caller of many gets it.
    fn take_note(&self, kind: &str, key: &str) -> StoreFuture<'_, Option<NoteRow>>;

    /// A fixed setting of this store (such as the number of partitions): the first call stores the value, every call
    /// returns the stored one.
    fn fix_setting(&self, key: &str, value: &str) -> StoreFuture<'_, String>;
    /// Replaces a setting of the engine's own, such as how far a change of the store's form has come.
    fn put_setting(&self, key: &str, value: &str) -> StoreFuture<'_, ()>;
    /// Checks that the store is reachable and takes writes. It reads one row; where the last write failed, it also
    /// writes.
    fn ping(&self) -> StoreFuture<'_, ()>;
    /// Waits until a store that is reached over a connection is there again. For a start: `lost` is the failure of one
    /// of its steps. `Unusable`: waiting does not help. A store without a connection gives `lost` back.
    fn reconnected(&self, lost: StoreError) -> StoreFuture<'_, ()> {
        Box::pin(async move { Err(lost) })
    }
}
