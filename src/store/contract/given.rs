//! Rows for tests, each different from the others.

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, PartitionId, Version};
use crate::store::{
    ActivityRow, AliasRow, Append, Batch, Closing, Epoch, ExecutionFilter, ExecutionHeader, ExecutionRow,
    ExecutionStatus, MachineRow, MachineType, Revision, RevisionId, Summary, Tenure,
};

use super::Store;

pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// In the order of `n`; an id is never all zeros.
pub fn id(n: u32) -> ExecutionId {
    ExecutionId(Uuid::from_u128(1 << 96 | u128::from(n) << 64 | u128::from(n)))
}

pub fn revision_id(n: u32) -> RevisionId {
    RevisionId(Uuid::from_u128(0xabc << 64 | u128::from(n)))
}

pub fn machine_arn(name: &str) -> Arn {
    Arn::new(format!("arn:aws:states:us-east-1:1:stateMachine:{name}"))
}

/// A revision that says its number.
pub fn revision(machine: &str, n: u32) -> Revision {
    Revision {
        id: revision_id(n),
        machine: machine_arn(machine),
        initial: n == 1,
        definition: format!("{{\"Comment\": \"{n} – ä\"}}"),
        role_arn: "arn:aws:iam::1:role/r".into(),
        configuration: serde_json::json!({"loggingConfiguration": {"level": "ALL"}, "z": n}),
        made: at(i64::from(n)),
    }
}

pub fn machine(name: &str, n: u32) -> MachineRow {
    MachineRow {
        arn: machine_arn(name),
        name: name.into(),
        kind: if n.is_multiple_of(2) { MachineType::Express } else { MachineType::Standard },
        created: at(i64::from(n) * 10),
        deleting: false,
        revision: revision(name, n),
    }
}

pub fn alias(machine: &str, name: &str, version: &Arn) -> AliasRow {
    AliasRow {
        arn: Arn::new(format!("{}:{name}", machine_arn(machine))),
        machine: machine_arn(machine),
        name: name.into(),
        description: None,
        routes: vec![(version.clone(), 100)],
        created: at(1),
        updated: at(1),
    }
}

pub fn activity(name: &str) -> ActivityRow {
    ActivityRow {
        arn: Arn::new(format!("arn:aws:states:us-east-1:1:activity:{name}")),
        name: name.into(),
        created: at(5),
        configuration: serde_json::json!({}),
    }
}

/// The `n`th execution of machine `m`, revision 1, in partition 0, started at `n`.
pub fn header(n: u32) -> ExecutionHeader {
    ExecutionHeader {
        id: id(n),
        partition: PartitionId(0),
        arn: Arn::new(format!("arn:aws:states:us-east-1:1:execution:m:e{n}")),
        name: format!("e{n}"),
        state_machine: machine_arn("m"),
        revision: revision_id(1),
        version_arn: None,
        alias_arn: None,
        input: format!("{{\"n\": {n}}}"),
        trace_header: None,
        started: at(i64::from(n)),
        parent: None,
        map_run: None,
        item_index: None,
        forked: None,
    }
}

pub fn batch(after: u64, events: u32, text: &str) -> Batch {
    Batch { after: Version(after), events, bytes: text.as_bytes().to_vec() }
}

/// Of the partition of all headers here.
pub fn under(epoch: u64) -> Tenure {
    Tenure { partition: PartitionId(0), epoch: Epoch(epoch) }
}

pub fn append(n: u32, after: u64, events: u32, summary: Summary) -> Append {
    Append {
        execution: id(n),
        partition: PartitionId(0),
        epoch: Epoch::FIRST,
        batch: batch(after, events, &format!("{n} after {after}")),
        replaces: 0,
        summary,
        waits: Vec::new(),
        hurries: false,
    }
}

/// Running, and owing something.
pub fn running() -> Summary {
    Summary { owes: true, ..Summary::default() }
}

pub fn due(ms: i64) -> Summary {
    Summary { due: Some(at(ms)), ..Summary::default() }
}

pub fn succeeded(ms: i64) -> Summary {
    let closing = Closing { at: at(ms), output: Some("{\"ok\":true}".into()), error: None, cause: None };
    Summary { status: ExecutionStatus::Succeeded, closed: Some(closing), ..Summary::default() }
}

pub fn failed(ms: i64) -> Summary {
    let closing =
        Closing { at: at(ms), output: None, error: Some("States.Timeout".into()), cause: Some("late".into()) };
    Summary { status: ExecutionStatus::Failed, closed: Some(closing), ..Summary::default() }
}

/// Before all time: no name is free again.
pub fn never() -> Timestamp {
    at(i64::MIN)
}

/// Makes machine `m`, so that executions have a revision.
pub async fn with_machine(store: &dyn Store) {
    store.put_machine(machine("m", 1)).await.unwrap();
}

pub async fn create(store: &dyn Store, header: ExecutionHeader, summary: Summary) {
    let first = Append {
        execution: header.id,
        partition: header.partition,
        epoch: Epoch::FIRST,
        batch: batch(0, 2, "first"),
        replaces: 0,
        summary,
        waits: Vec::new(),
        hurries: false,
    };
    store.create(header, first, never()).await.unwrap();
}

pub fn page(limit: u32) -> ExecutionFilter {
    ExecutionFilter { limit, ..ExecutionFilter::default() }
}

pub fn ids(rows: &[ExecutionRow]) -> Vec<ExecutionId> {
    rows.iter().map(|row| row.header.id).collect()
}
