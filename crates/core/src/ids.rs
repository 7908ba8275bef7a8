//! Newtypes for everything that has a name. A function that takes an [`ExecutionId`] cannot be given another kind of
//! id.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// An execution, inside: 16 bytes, in order of creation (UUID v7). The API shows its ARN instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecutionId(pub Uuid);

impl ExecutionId {
    /// The same id, made to say that the execution lives in this express partition and nowhere else (UUID v8).
    #[must_use]
    pub fn placed_in(self, partition: PartitionId) -> Self {
        let mut bytes = self.0.into_bytes();
        bytes[6] = 0x80 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        bytes[14..].copy_from_slice(&partition.0.to_be_bytes());
        Self(Uuid::from_bytes(bytes))
    }

    /// The express partition that its id names. No id of an execution in the store names one.
    #[must_use]
    pub fn express_partition(self) -> Option<PartitionId> {
        let bytes = self.0.as_bytes();
        let partition = PartitionId(u16::from_be_bytes([bytes[14], bytes[15]]));
        (self.0.get_version_num() == 8 && partition.is_express()).then_some(partition)
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fixed slice of all executions: unit of ownership, of reply queue and of parallelism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionId(pub u16);

/// Numbers from here on are express partitions.
const EXPRESS: u16 = 0x8000;
/// The bits of their numbers within their node.
const EXPRESS_BITS: u32 = 4;

impl PartitionId {
    /// Express partitions that a node may have at most.
    pub const EXPRESS_MAX: u16 = 1 << EXPRESS_BITS;

    /// A partition that lives and dies with the node of this slot, for express executions.
    #[must_use]
    pub const fn express(slot: u16, n: u16) -> Self {
        Self(EXPRESS | (slot << EXPRESS_BITS) | (n % Self::EXPRESS_MAX))
    }

    #[must_use]
    pub const fn is_express(self) -> bool {
        self.0 >= EXPRESS
    }

    /// The partition of an execution: by the random tail of its id, so that ids made in one moment spread.
    #[must_use]
    pub fn of(execution: ExecutionId, partitions: u16) -> Self {
        let tail = u64::from_be_bytes(execution.0.as_bytes()[8..].try_into().unwrap_or_default());
        Self(u16::try_from(tail % u64::from(partitions.max(1))).unwrap_or(0))
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_express() {
            return write!(f, "n{}.{}", (self.0 & !EXPRESS) >> EXPRESS_BITS, self.0 % Self::EXPRESS_MAX);
        }
        self.0.fmt(f)
    }
}

/// A history event's number: 1..n, as the API shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub u64);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The key of a task. A token is a signed key. A retry schedules the task again, so it has a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    pub execution: ExecutionId,
    /// The id of the event that scheduled the task.
    pub scheduled: EventId,
}

/// The name of a state: 1..80 characters, unique in its machine.
pub type StateName = Arc<str>;

/// Number of a block (the top level, a branch, a Map's processor) in `asl::model::Machine::blocks`. Persisted in
/// journals: stable, because a definition never changes under its revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockId(pub u32);

impl BlockId {
    pub const TOP: Self = Self(0);
}

/// How many events a journal holds; an append names the version it builds on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An Amazon Resource Name, as text. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arn(pub Arc<str>);

impl Arn {
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An express execution: `arn:…:express:…`.
    #[must_use]
    pub fn is_express(&self) -> bool {
        // asked several times in each decision: a search for the word costs a tenth of a split
        self.0.contains(":express:") && self.0.split(':').nth(5) == Some("express")
    }

    /// The part after the last `:`.
    #[must_use]
    pub fn last(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or_default()
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Arn {
    type Err = std::convert::Infallible;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Ok(Self(s.into()))
    }
}

/// The type of a state machine, in AWS's words. An Express machine refuses states that wait for the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MachineType {
    #[default]
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

/// The kind of an execution. It decides where the execution is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionKind {
    Standard,
    /// In memory alone: nothing of it is written.
    Express,
    /// A child of a Map Run. It is journaled in any case, because its run counts on it.
    MapRunChild(MachineType),
}

impl ExecutionKind {
    #[must_use]
    pub fn of(execution: &Arn, map_run: Option<&Arn>) -> Self {
        let machine = if execution.is_express() { MachineType::Express } else { MachineType::Standard };
        match (map_run, machine) {
            (Some(_), machine) => Self::MapRunChild(machine),
            (None, MachineType::Standard) => Self::Standard,
            (None, MachineType::Express) => Self::Express,
        }
    }

    #[must_use]
    pub fn is_journaled(self) -> bool {
        self != Self::Express
    }
}

/// A UUID derived from the named thing: the same for ever, on every node.
#[must_use]
pub fn derived_uuid(parts: &[&[u8]]) -> Uuid {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// A UUID of version 7: a time, and the other bits of a UUID.
#[must_use]
pub fn timed_uuid(millis: u64, others: Uuid) -> Uuid {
    let mut bytes = others.into_bytes();
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    Uuid::from_bytes(bytes)
}

/// The name of a child of a map run: the same for the same child, whenever it is asked. A run has named its children by
/// a digest; the names of a run whose id is of version 7 have a time before it, one millisecond more for each child:
/// a store then keeps them in their order, and writes the edge of its index instead of a page for each.
#[must_use]
pub fn child_name(run: &Arn, index: u64) -> Uuid {
    let digest = derived_uuid(&[run.as_str().as_bytes(), &index.to_be_bytes()]);
    match Uuid::try_parse(run.last()).ok().filter(|id| id.get_version_num() == 7) {
        Some(id) => {
            let began = id.as_bytes()[..6].iter().fold(0, |time, byte| (time << 8) | u64::from(*byte));
            timed_uuid(began.saturating_add(index), digest)
        }
        None => digest,
    }
}

/// Region and account: the two parts that every ARN of this engine shares (`engine.region`, `engine.account`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm {
    pub region: Arc<str>,
    pub account: Arc<str>,
}

impl Realm {
    #[must_use]
    pub fn new(region: &str, account: &str) -> Self {
        Self { region: region.into(), account: account.into() }
    }

    /// The resource of the same name in this realm, where the ARN is of another region or account.
    #[must_use]
    pub fn adopt(&self, arn: &str) -> Option<String> {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", _, "states", region, account, rest] = parts.as_slice() else { return None };
        let is_own = *region == &*self.region && *account == &*self.account;
        (!is_own && !region.is_empty() && !account.is_empty())
            .then(|| format!("arn:aws:states:{}:{}:{rest}", self.region, self.account))
    }

    #[must_use]
    pub fn state_machine(&self, name: &str) -> Arn {
        Arn::new(format!("arn:aws:states:{}:{}:stateMachine:{name}", self.region, self.account))
    }

    #[must_use]
    pub fn execution(&self, machine: &str, name: &str) -> Arn {
        Arn::new(format!("arn:aws:states:{}:{}:execution:{machine}:{name}", self.region, self.account))
    }

    #[must_use]
    pub fn express_execution(&self, machine: &str, name: &str, id: ExecutionId) -> Arn {
        Arn::new(format!("arn:aws:states:{}:{}:express:{machine}:{name}:{id}", self.region, self.account))
    }

    /// A map run: `label` is the Map state's, `id` the run's own.
    #[must_use]
    pub fn map_run(&self, machine: &str, label: &str, id: Uuid) -> Arn {
        Arn::new(format!("arn:aws:states:{}:{}:mapRun:{machine}/{label}:{id}", self.region, self.account))
    }

    #[must_use]
    pub fn activity(&self, name: &str) -> Arn {
        Arn::new(format!("arn:aws:states:{}:{}:activity:{name}", self.region, self.account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_named_in_their_order_and_those_of_earlier_runs_as_before() {
        let realm = Realm::new("us-east-1", "000000000000");
        let earlier = Uuid::parse_str("3f2504e0-4f89-41d3-9a0c-0305e82c3301").unwrap();
        let run = realm.map_run("m", "l", earlier);
        assert_eq!(child_name(&run, 7).to_string(), "8b1e1ed4-9fb7-47be-acdd-09965d9e026a");
        let run = realm.map_run("m", "l", timed_uuid(1_700_000_000_000, earlier));
        let names: Vec<Uuid> = [0, 1, 2, 255, 256, 65_536, 10_000_000].map(|index| child_name(&run, index)).into();
        assert!(names.is_sorted_by(|a, b| a < b) && names.iter().all(|name| name.get_version_num() == 7), "{names:?}");
        assert_eq!(names, [0, 1, 2, 255, 256, 65_536, 10_000_000].map(|index| child_name(&run, index)));
        let other = realm.map_run("m", "k", timed_uuid(1_700_000_000_000, earlier));
        assert_ne!(child_name(&other, 0), names[0]);
    }

    /// The ARN and the run of an execution say its kind; only an express execution outside of a run has no journal.
    #[test]
    fn an_executions_arn_and_run_say_its_kind() {
        let realm = Realm::new("us-east-1", "000000000000");
        let standard = realm.execution("m", "n");
        let express = realm.express_execution("m", "n", ExecutionId(Uuid::nil()));
        let run = realm.map_run("m", "l", Uuid::nil());
        for (arn, run, kind, journaled) in [
            (&standard, None, ExecutionKind::Standard, true),
            (&express, None, ExecutionKind::Express, false),
            (&standard, Some(&run), ExecutionKind::MapRunChild(MachineType::Standard), true),
            (&express, Some(&run), ExecutionKind::MapRunChild(MachineType::Express), true),
        ] {
            let found = ExecutionKind::of(arn, run);
            assert_eq!((found, found.is_journaled()), (kind, journaled), "{arn} {run:?}");
        }
    }
}
