//! Appends per second of the embedded store: batches of 1.2 KB, durable (FULL), at 1, 64 and 2,000 in flight; and whole
//! executions (create, wait with a due time, close), as a callback makes them. `cargo bench --bench store`

#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "figures for people")]

use std::time::{Duration, Instant};

use reveille::clock::Timestamp;
use reveille::ids::{Arn, ExecutionId, PartitionId, Version};
use reveille::store::sqlite::{Options, Sqlite};
use reveille::store::{
    Append, Batch, Catalog, Closing, Epoch, ExecutionHeader, ExecutionStatus, Journal, MachineRow, MachineType,
    Revision, RevisionId, Summary,
};
use uuid::Uuid;

const SECONDS: u64 = 3;
const NEVER: Timestamp = Timestamp::from_millis(i64::MIN);

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for in_flight in [1, 64, 2_000] {
            appends(in_flight).await;
        }
        executions(2_000).await;
    });
}

fn machine_arn() -> Arn {
    Arn::new("arn:aws:states:us-east-1:123456789012:stateMachine:bench")
}

async fn open(folder: &tempfile::TempDir, revision: RevisionId) -> Sqlite {
    let store = Sqlite::open(folder.path().join("store.db"), Options::default()).expect("a store");
    let revision = Revision {
        id: revision,
        machine: machine_arn(),
        initial: true,
        definition: "{}".into(),
        role_arn: "arn".into(),
        configuration: serde_json::json!({}),
        made: Timestamp::from_millis(0),
    };
    let (created, kind) = (Timestamp::from_millis(0), MachineType::Standard);
    let machine = MachineRow { arn: machine_arn(), name: "bench".into(), kind, created, deleting: false, revision };
    store.put_machine(machine).await.expect("a machine");
    store
}

fn header(revision: RevisionId) -> ExecutionHeader {
    let id = ExecutionId(Uuid::now_v7());
    let name = Uuid::new_v4().to_string();
    ExecutionHeader {
        id,
        partition: PartitionId::of(id, 16),
        arn: Arn::new(format!("arn:aws:states:us-east-1:123456789012:execution:bench:{name}")),
        name,
        state_machine: machine_arn(),
        revision,
        version_arn: None,
        alias_arn: None,
        input: "{\"guests\": 12}".into(),
        trace_header: None,
        started: Timestamp::from_millis(1),
        parent: None,
        map_run: None,
        item_index: None,
        forked: None,
    }
}

fn append(execution: ExecutionId, after: u64, summary: Summary) -> Append {
    Append {
        execution,
        partition: PartitionId(0),
        epoch: Epoch::FIRST,
        batch: Batch { after: Version(after), events: 4, bytes: vec![b'x'; 1_200] },
        replaces: 0,
        summary,
        waits: Vec::new(),
        hurries: false,
    }
}

fn report(what: &str, in_flight: usize, done: u64, took: Duration, store: &Sqlite) {
    let rate = done as f64 / took.as_secs_f64();
    let figures = store.figures();
    println!(
        "{what}: {rate:.0}/s at {in_flight} in flight ({:.0} writes a commit, {} checkpoints), {:.1} us of processor each",
        figures.writes as f64 / figures.commits.count().max(1) as f64,
        figures.checkpoints,
        processor_seconds() * 1e6 / done as f64,
    );
}

/// User and system time of this process since the last call.
fn processor_seconds() -> f64 {
    static BEFORE: std::sync::Mutex<f64> = std::sync::Mutex::new(0.0);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: f64 = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|t| t.parse::<f64>().ok())
        .sum();
    let mut before = BEFORE.lock().expect("no panic");
    let used = ticks / 100.0 - *before;
    *before = ticks / 100.0;
    used
}

async fn appends(in_flight: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let revision = RevisionId(Uuid::new_v4());
    let store = open(&folder, revision).await;
    let mut ids = Vec::new();
    for _ in 0..in_flight {
        let header = header(revision);
        ids.push(header.id);
        store.create(header.clone(), append(header.id, 0, Summary::default()), NEVER).await.expect("created");
    }
    processor_seconds();
    let start = Instant::now();
    let writers: Vec<_> = ids
        .into_iter()
        .map(|id| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = 0_u64;
                while start.elapsed() < Duration::from_secs(SECONDS) {
                    store.append(append(id, 4 + done * 4, Summary::default())).await.expect("appended");
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for writer in writers {
        done += writer.await.expect("a writer");
    }
    report("appends", in_flight, done, start.elapsed(), &store);
}

async fn executions(in_flight: usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let revision = RevisionId(Uuid::new_v4());
    let store = open(&folder, revision).await;
    processor_seconds();
    let start = Instant::now();
    let writers: Vec<_> = (0..in_flight)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut done = 0_u64;
                while start.elapsed() < Duration::from_secs(SECONDS * 2) {
                    let header = header(revision);
                    let id = header.id;
                    let waiting =
                        Summary { due: Some(Timestamp::from_millis(id.0.as_u128() as i64 >> 1)), ..Summary::default() };
                    store.create(header, append(id, 0, waiting), NEVER).await.expect("created");
                    let closed = Some(Closing {
                        at: Timestamp::from_millis(9),
                        output: Some("{\"ok\":true}".into()),
                        error: None,
                        cause: None,
                    });
                    let ended = Summary { status: ExecutionStatus::Succeeded, closed, ..Summary::default() };
                    store.append(append(id, 4, ended)).await.expect("closed");
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for writer in writers {
        done += writer.await.expect("a writer");
    }
    report("executions (two writes each)", in_flight, done, start.elapsed(), &store);
}
