//! The same random requests to two stores: the answers must be equal, errors included. A failing sequence is shrunk by
//! proptest.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::ids::{Arn, EventId, PartitionId, TaskKey};
use crate::store::{
    Closing, ExecutionFilter, ExecutionHeader, ExecutionStatus, Kinship, NoteRow, StoreError, Summary, WaitChange,
    WaitFilter,
};

use super::Store;
use super::given::{activity, alias, append, at, header, id, machine, machine_arn, revision, revision_id};

/// Few names and small numbers, so that requests meet.
#[derive(Debug, Clone)]
enum Request {
    Create {
        n: u32,
        name: u32,
        revision: u32,
        start: i64,
        reusable: i64,
        summary: Summary,
    },
    Append {
        n: u32,
        off: i64,
        events: u32,
        /// In the place of the newest batch.
        instead: bool,
        summary: Summary,
        /// Of these tasks the row is put or taken away.
        waits: Vec<(u64, bool)>,
    },
    Waits {
        machine: Option<u32>,
        queue: Option<u64>,
        after: Option<(i64, u32)>,
        limit: u32,
    },
    ParentTold(u32),
    Purge {
        before: i64,
        limit: u32,
    },
    List {
        machine: Option<u32>,
        qualified: Option<u32>,
        run: Option<u32>,
        status: Option<usize>,
        redriven: Option<bool>,
        after: Option<(i64, u32)>,
        limit: u32,
    },
    PutMachine(u32, u32),
    Update(u32, u32),
    Delete(u32),
    Reap,
    Publish(u32, u32),
    DeleteVersion(u32, u64),
    PutAlias(u32, u32, bool),
    DeleteAlias(u32, u32),
    PutActivity(u32),
    DeleteActivity(u32),
    Tag(u32, u32, bool),
    PutNote(u32, Option<i64>, bool, i64),
    TakeNote(u32),
}

fn summary() -> impl Strategy<Value = Summary> {
    let closing = (0..20_i64, any::<bool>()).prop_map(|(ms, ok)| Closing {
        at: at(ms),
        output: ok.then(|| "1".into()),
        error: (!ok).then(|| "E".into()),
        cause: None,
    });
    let closed = prop_oneof![2 => Just(None), 1 => closing.prop_map(Some)];
    (0..6_usize, prop::option::of(0..20_i64), closed, prop::bool::weighted(0.2), 0..2_u32).prop_map(
        |(status, due, closed, owes, redrives)| {
            let status = match &closed {
                None => ExecutionStatus::Running,
                Some(_) => ExecutionStatus::ALL[status],
            };
            let redriven_at = (redrives > 0).then(|| at(3));
            Summary {
                status,
                due: due.map(at),
                closed,
                owes_parent: owes,
                owes: due.is_some_and(|d| d % 2 == 0),
                redrive_count: redrives,
                redriven_at,
                tasks: due.map_or(0, |d| u32::try_from(d).unwrap_or_default()),
            }
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    use Request::*;
    let two = || prop::option::of(0..2_u32);
    prop_oneof![
        6 => (0..12_u32, 0..8_u32, 1..4_u32, 0..6_i64, 0..20_i64, summary())
            .prop_map(|(n, name, revision, start, reusable, summary)| Create { n, name, revision, start, reusable, summary }),
        8 => (0..12_u32, -1..4_i64, 0..3_u32, prop::bool::weighted(0.3), summary(), prop::collection::vec((0..4_u64, any::<bool>()), 0..3))
            .prop_map(|(n, off, events, instead, summary, waits)| Append { n, off: off.min(0), events, instead, summary, waits }),
        2 => (two(), prop::option::of(0..2_u64), prop::option::of((0..6_i64, 0..12_u32)), 0..6_u32)
            .prop_map(|(machine, queue, after, limit)| Waits { machine, queue, after, limit }),
        1 => (0..12_u32).prop_map(ParentTold),
        1 => (0..20_i64, 0..4_u32).prop_map(|(before, limit)| Purge { before, limit }),
        3 => (two(), two(), two(), prop::option::of(0..6_usize), prop::option::of(any::<bool>()), prop::option::of((0..6_i64, 0..12_u32)), 0..6_u32)
            .prop_map(|(machine, qualified, run, status, redriven, after, limit)| List { machine, qualified, run, status, redriven, after, limit }),
        2 => (0..2_u32, 1..4_u32).prop_map(|(m, r)| PutMachine(m, r)),
        1 => (0..2_u32, 1..6_u32).prop_map(|(m, r)| Update(m, r)),
        1 => (0..2_u32).prop_map(Delete),
        1 => Just(Reap),
        1 => (0..2_u32, 1..6_u32).prop_map(|(m, r)| Publish(m, r)),
        1 => (0..2_u32, 1..4_u64).prop_map(|(m, v)| DeleteVersion(m, v)),
        1 => (0..2_u32, 0..2_u32, any::<bool>()).prop_map(|(m, a, replace)| PutAlias(m, a, replace)),
        1 => (0..2_u32, 0..2_u32).prop_map(|(m, a)| DeleteAlias(m, a)),
        1 => (0..3_u32).prop_map(PutActivity),
        1 => (0..3_u32).prop_map(DeleteActivity),
        1 => (0..2_u32, 0..2_u32, any::<bool>()).prop_map(|(r, k, set)| Tag(r, k, set)),
        2 => (0..4_u32, prop::option::of(0..9_i64), any::<bool>(), 0..9_i64)
            .prop_map(|(k, until, new, now)| PutNote(k, until, new, now)),
        1 => (0..4_u32).prop_map(TakeNote),
    ]
}

fn name(n: u32) -> &'static str {
    ["m", "o"][n as usize % 2]
}

fn note(n: u32) -> (String, String) {
    (["form", "claim"][n as usize % 2].to_owned(), (n / 2).to_string())
}

fn qualifier(n: u32) -> Arn {
    Arn::new(["m:1", "m:live"][n as usize % 2])
}

#[expect(clippy::needless_pass_by_value, reason = "reads better where it is called")]
fn shown<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    format!("{result:?}")
}

fn change(n: u32, task: u64, put: bool) -> WaitChange {
    let wait = super::waits::wait(task, &format!("q{}", task % 2), i64::from(n) % 5);
    if put { WaitChange::Put(wait) } else { WaitChange::Gone(EventId(task)) }
}

/// The answer, as text: all that a caller can see of it.
async fn ask(store: &dyn Store, request: Request) -> String {
    match request {
        Request::Create { n, name: e, revision, start, reusable, summary } => {
            let header = ExecutionHeader {
                arn: header(e).arn,
                partition: PartitionId(u16::from(n.is_multiple_of(3))),
                state_machine: machine_arn(name(n)),
                revision: revision_id(revision),
                version_arn: n.is_multiple_of(4).then(|| qualifier(0)),
                alias_arn: (n % 4 == 1).then(|| qualifier(1)),
                map_run: (n % 5 < 2).then(|| Arn::new(format!("run{}", n % 5))),
                parent: n.is_multiple_of(2).then_some(TaskKey { execution: id(e), scheduled: EventId(u64::from(n)) }),
                forked: (n % 3 == 1).then(|| id(e)),
                started: at(start),
                ..header(n)
            };
            shown(store.create(header, append(n, 0, 1, summary), at(reusable)).await)
        }
        Request::Append { n, off, events, instead, summary, waits } => {
            let version = store.execution(id(n)).await.unwrap().map_or(0, |row| row.version.0);
            let mut next = append(n, version.saturating_add_signed(off), events, summary);
            next.waits = waits.into_iter().map(|(task, put)| change(n, task, put)).collect();
            if let Some(tail) = store.load(id(n)).await.ok().and_then(|mut batches| batches.pop()).filter(|_| instead) {
                next.batch.after = crate::ids::Version(tail.after.0.saturating_add_signed(off));
                next.replaces = tail.events;
                next.batch.events += tail.events;
            }
            shown(store.append(next).await)
        }
        Request::Waits { machine, queue, after, limit } => {
            let filter = WaitFilter {
                state_machine: machine.map(|n| machine_arn(name(n))),
                destination: queue.map(|n| format!("q{n}")),
                after: after.map(|(ms, n)| (at(ms), TaskKey { execution: id(n), scheduled: EventId(1) })),
                limit,
                ..WaitFilter::default()
            };
            format!("{:?} {:?}", store.waits(filter.clone()).await, store.count_waits(filter).await)
        }
        Request::ParentTold(n) => shown(store.parent_told(id(n)).await),
        Request::Purge { before, limit } => shown(store.purge(at(before), limit).await),
        Request::List { machine, qualified, run, status, redriven, after, limit } => {
            let filter = ExecutionFilter {
                state_machine: machine.map(|n| machine_arn(name(n))),
                qualified: qualified.map(qualifier),
                map_run: run.map(|n| Arn::new(format!("run{n}"))),
                outside_map_runs: limit % 5 == 0,
                status: status.map(|n| ExecutionStatus::ALL[n]),
                redriven,
                run_redriven: (limit % 3 == 0).then(|| at(25)),
                after: after.map(|(ms, n)| (at(ms), id(n))),
                limit,
                brief: limit % 2 == 1,
            };
            format!("{:?} {:?}", store.list(filter.clone()).await, store.count(filter).await)
        }
        Request::PutMachine(m, r) => shown(store.put_machine(machine(name(m), r)).await),
        Request::Update(m, r) => shown(store.update_machine(&machine_arn(name(m)), revision(name(m), r)).await),
        Request::Delete(m) => shown(store.delete_machine(&machine_arn(name(m))).await),
        Request::Reap => shown(store.reap_machines().await),
        Request::Publish(m, r) => shown(store.put_version(&machine_arn(name(m)), revision_id(r), None, at(4)).await),
        Request::DeleteVersion(m, v) => {
            shown(store.delete_version(&Arn::new(format!("{}:{v}", machine_arn(name(m))))).await)
        }
        Request::PutAlias(m, a, replace) => {
            shown(store.put_alias(alias(name(m), ["x", "y"][a as usize], &qualifier(0)), replace).await)
        }
        Request::DeleteAlias(m, a) => {
            shown(store.delete_alias(&alias(name(m), ["x", "y"][a as usize], &qualifier(0)).arn).await)
        }
        Request::PutActivity(n) => shown(store.put_activity(activity(&n.to_string())).await),
        Request::DeleteActivity(n) => shown(store.delete_activity(&activity(&n.to_string()).arn).await),
        Request::Tag(r, k, set) => {
            let (key, arn) = (k.to_string(), activity(&r.to_string()).arn);
            let (set, remove) = if set { (vec![(key, "v".into())], vec![]) } else { (vec![], vec![key]) };
            shown(store.tag(&arn, set, remove).await)
        }
        Request::PutNote(k, until, new, now) => {
            let (kind, key) = note(k);
            let body = format!("[{now}]");
            shown(store.put_note(NoteRow { kind, key, body, until: until.map(at) }, new, at(now)).await)
        }
        Request::TakeNote(k) => {
            let (kind, key) = note(k);
            shown(store.take_note(&kind, &key).await)
        }
    }
}

/// All that can be read, as text.
async fn everything(store: &dyn Store) -> Vec<String> {
    let mut seen = Vec::new();
    for n in 0..12 {
        seen.push(format!("{:?} {:?}", store.execution(id(n)).await, store.load(id(n)).await));
        seen.push(shown(store.execution_by_arn(&header(n).arn).await));
        seen.push(shown(store.kin(id(n), Kinship::Child, None, 9).await));
        seen.push(shown(store.kin(id(n), Kinship::Fork, Some(id(3)), 9).await));
    }
    for partition in [PartitionId(0), PartitionId(1)] {
        seen.push(shown(store.owing(partition, Some(id(1)), 5).await));
        seen.push(shown(store.due(partition, at(15), 5).await));
        seen.push(shown(store.owing_parents(partition, Some(id(1)), 5).await));
    }
    seen.push(shown(store.list(ExecutionFilter { limit: 50, ..ExecutionFilter::default() }).await));
    seen.push(shown(store.waits(WaitFilter { limit: 99, ..WaitFilter::default() }).await));
    seen.push(shown(store.waits_by_destination(9).await));
    seen.push(shown(store.machines(None, 9).await));
    for m in 0..2 {
        let arn = machine_arn(name(m));
        seen.push(shown(store.machines(Some(arn.clone()), 9).await));
        seen.push(format!("{:?} {:?}", store.versions(&arn, None, 9).await, store.aliases(&arn, None, 9).await));
        seen.push(shown(store.tags(&activity(&m.to_string()).arn).await));
    }
    for r in 0..6 {
        seen.push(shown(store.revision(revision_id(r)).await));
    }
    seen.push(shown(store.activities(None, 9).await));
    for kind in ["form", "claim"] {
        seen.push(shown(store.notes(kind, None, 9).await));
        seen.push(shown(store.notes(kind, Some("0".to_owned()), 1).await));
    }
    let figures = store.figures();
    seen.push(format!("{} open executions, {} tasks", figures.open_executions, figures.open_tasks));
    seen
}

/// Puts the same requests to both, and compares each answer and all that can be read afterwards.
fn compare(left: &super::Fixture, right: &super::Fixture, requests: Vec<Request>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (left, right) = (left.store.as_ref(), right.store.as_ref());
    runtime.block_on(async {
        for store in [left, right] {
            store.put_machine(machine("m", 1)).await.unwrap();
            store.put_machine(machine("o", 2)).await.unwrap();
        }
        for request in requests {
            let (mine, theirs) = (ask(left, request.clone()).await, ask(right, request.clone()).await);
            prop_assert_eq!(mine, theirs, "{:?}", request);
        }
        prop_assert_eq!(everything(left).await, everything(right).await);
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_memory_does(requests in prop::collection::vec(request(), 1..60)) {
        compare(&super::memory(), &super::sqlite_memory(), requests)?;
    }
}

// Fewer: each has a schema of its own to make.
proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn postgres_answers_as_memory_does(requests in prop::collection::vec(request(), 1..60)) {
        let Some(postgres) = super::postgres() else { return Ok(()) };
        compare(&super::memory(), &postgres, requests)?;
    }
}
