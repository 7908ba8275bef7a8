//! Promises about listings and counts of executions.

use crate::ids::{Arn, EventId, TaskKey};
use crate::store::{ExecutionFilter, ExecutionHeader, ExecutionStatus, Kinship, Summary};

use super::Store;
use super::given::{at, create, failed, header, id, ids, machine_arn, page, running, succeeded, with_machine};

pub async fn a_listing_pages_newest_first_without_loss_or_doubles(store: &dyn Store) {
    with_machine(store).await;
    // Starts that meet, ids that do not follow them.
    for n in 1..=30_u32 {
        let started = at(i64::from(n * 7 % 10));
        create(store, ExecutionHeader { started, ..header(n) }, if n % 3 == 0 { succeeded(50) } else { running() })
            .await;
    }
    let all = store.list(page(100)).await.unwrap();
    assert_eq!(all.len(), 30);
    assert!(all.is_sorted_by_key(|row| std::cmp::Reverse((row.header.started, row.header.id))));
    for limit in [1, 4, 30] {
        let mut paged = Vec::new();
        let mut after = None;
        loop {
            let filter = ExecutionFilter { after, state_machine: Some(machine_arn("m")), ..page(limit) };
            let rows = store.list(filter).await.unwrap();
            let Some(last) = rows.last() else { break };
            assert!(rows.len() <= limit as usize);
            after = Some((last.header.started, last.header.id));
            paged.extend(rows);
        }
        assert_eq!(paged, all);
    }
    assert_eq!(store.list(page(0)).await.unwrap(), []);
}

pub async fn a_listing_takes_every_filter(store: &dyn Store) {
    with_machine(store).await;
    let (version, alias, run) = (Arn::new("m:1"), Arn::new("m:live"), Arn::new("run"));
    create(store, header(1), running()).await;
    create(store, ExecutionHeader { version_arn: Some(version.clone()), ..header(2) }, succeeded(9)).await;
    let both = ExecutionHeader { version_arn: Some(version.clone()), alias_arn: Some(alias.clone()), ..header(3) };
    create(store, both, failed(9)).await;
    create(store, ExecutionHeader { state_machine: machine_arn("other"), ..header(4) }, running()).await;
    let redriven = Summary { redrive_count: 1, redriven_at: Some(at(3)), ..running() };
    create(store, ExecutionHeader { map_run: Some(run.clone()), ..header(5) }, redriven).await;

    let of = |filter: ExecutionFilter| async move {
        ids(&store.list(ExecutionFilter { limit: 9, ..filter }).await.unwrap())
    };
    let none = ExecutionFilter::default;
    assert_eq!(of(none()).await, [id(5), id(4), id(3), id(2), id(1)]);
    assert_eq!(
        of(ExecutionFilter { state_machine: Some(machine_arn("m")), ..none() }).await,
        [id(5), id(3), id(2), id(1)]
    );
    assert_eq!(of(ExecutionFilter { state_machine: Some(machine_arn("unknown")), ..none() }).await, []);
    assert_eq!(of(ExecutionFilter { status: Some(ExecutionStatus::Running), ..none() }).await, [id(5), id(4), id(1)]);
    assert_eq!(of(ExecutionFilter { qualified: Some(version.clone()), ..none() }).await, [id(3), id(2)]);
    assert_eq!(of(ExecutionFilter { qualified: Some(alias), ..none() }).await, [id(3)]);
    assert_eq!(of(ExecutionFilter { map_run: Some(run.clone()), ..none() }).await, [id(5)]);
    assert_eq!(of(ExecutionFilter { redriven: Some(true), ..none() }).await, [id(5)]);
    assert_eq!(of(ExecutionFilter { redriven: Some(false), ..none() }).await, [id(4), id(3), id(2), id(1)]);
    let failed_version = ExecutionFilter { qualified: Some(version), status: Some(ExecutionStatus::Failed), ..none() };
    assert_eq!(of(failed_version).await, [id(3)]);
    let labelled = ExecutionHeader { state_machine: machine_arn("m/Each"), map_run: Some(run.clone()), ..header(6) };
    create(store, labelled, running()).await;
    let outside = ExecutionFilter { outside_map_runs: true, limit: 9, ..none() };
    assert_eq!(ids(&store.list(outside.clone()).await.unwrap()), [id(5), id(4), id(3), id(2), id(1)]);
    let counted: u64 = store.count(outside).await.unwrap().iter().map(|(_, n)| n).sum();
    assert_eq!(counted, 5);
    let elsewhere = ExecutionFilter { map_run: Some(run), state_machine: Some(machine_arn("other")), ..none() };
    assert_eq!(of(elsewhere).await, [], "filters hold together");
}

pub async fn children_without_success_wait_for_their_runs_redrive(store: &dyn Store) {
    with_machine(store).await;
    let run = Arn::new("run");
    let ended = |status, time| Summary { status, ..failed(time) };
    let children = [
        (1, failed(10)),
        (2, ended(ExecutionStatus::TimedOut, 19)),
        (3, ended(ExecutionStatus::Aborted, 19)),
        (4, succeeded(10)),
        (5, running()),
        // It was redriven, and failed again.
        (6, failed(20)),
    ];
    for (n, summary) in children {
        create(store, ExecutionHeader { map_run: Some(run.clone()), ..header(n) }, summary).await;
    }
    let redriven = ExecutionFilter { map_run: Some(run.clone()), run_redriven: Some(at(20)), ..page(9) };
    let of = |status| {
        let filter = ExecutionFilter { status: Some(status), ..redriven.clone() };
        async move {
            let (rows, counted) = (store.list(filter.clone()).await.unwrap(), store.count(filter).await.unwrap());
            assert!(rows.iter().all(|row| row.summary.status == status), "{rows:?}");
            assert_eq!(counted.iter().map(|(_, n)| *n).sum::<u64>(), rows.len() as u64);
            ids(&rows)
        }
    };
    assert_eq!(of(ExecutionStatus::PendingRedrive).await, [id(3), id(2), id(1)]);
    assert_eq!(of(ExecutionStatus::Failed).await, [id(6)]);
    assert_eq!(of(ExecutionStatus::TimedOut).await, []);
    assert_eq!(of(ExecutionStatus::Succeeded).await, [id(4)]);
    assert_eq!(ids(&store.list(redriven.clone()).await.unwrap()), [id(6), id(5), id(4), id(3), id(2), id(1)]);
    let counts = store.count(redriven.clone()).await.unwrap();
    let (running, done, failed) = (ExecutionStatus::Running, ExecutionStatus::Succeeded, ExecutionStatus::Failed);
    assert_eq!(counts, [(running, 1), (done, 1), (failed, 1), (ExecutionStatus::PendingRedrive, 3)]);
    let not_redriven =
        ExecutionFilter { run_redriven: None, status: Some(ExecutionStatus::PendingRedrive), ..redriven };
    assert_eq!(store.list(not_redriven).await.unwrap(), []);
}

pub async fn a_brief_listing_leaves_out_what_is_large(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), failed(9)).await;
    let mut row = store.execution(id(1)).await.unwrap().unwrap();
    assert_eq!(store.list(page(1)).await.unwrap(), [row.clone()]);
    let brief = row.clone().brief();
    row.header.input.clear();
    row.summary.closed = Some(crate::store::Closing { at: at(9), output: None, error: None, cause: None });
    assert_eq!(row, brief);
    assert_eq!(store.list(ExecutionFilter { brief: true, ..page(1) }).await.unwrap(), [row]);
}

pub async fn counts_go_by_status(store: &dyn Store) {
    with_machine(store).await;
    let run = Some(Arn::new("run"));
    for n in 1..=6 {
        let summary = if n <= 3 { succeeded(9) } else { running() };
        create(store, ExecutionHeader { map_run: run.clone().filter(|_| n % 2 == 0), ..header(n) }, summary).await;
    }
    let all = store.count(ExecutionFilter::default()).await.unwrap();
    assert_eq!(all, [(ExecutionStatus::Running, 3), (ExecutionStatus::Succeeded, 3)]);
    let of_run = store.count(ExecutionFilter { map_run: run, ..ExecutionFilter::default() }).await.unwrap();
    assert_eq!(of_run, [(ExecutionStatus::Running, 2), (ExecutionStatus::Succeeded, 1)]);
    let open = ExecutionFilter { status: Some(ExecutionStatus::Running), ..ExecutionFilter::default() };
    assert_eq!(store.count(open).await.unwrap(), [(ExecutionStatus::Running, 3)]);
    let most = |limit, machine| ExecutionFilter { state_machine: machine, ..page(limit) };
    for machine in [None, Some(header(1).state_machine)] {
        let counted = store.count(most(2, machine.clone())).await.unwrap();
        assert_eq!(counted, [(ExecutionStatus::Running, 2), (ExecutionStatus::Succeeded, 2)], "each up to the limit");
        let filtered = ExecutionFilter { redriven: Some(false), ..most(2, machine.clone()) };
        assert_eq!(store.count(filtered).await.unwrap(), counted);
        assert_eq!(store.count(most(3, machine)).await.unwrap(), all);
    }
    let nothing = ExecutionFilter { state_machine: Some(machine_arn("unknown")), ..ExecutionFilter::default() };
    assert_eq!(store.count(nothing).await.unwrap(), []);
}

pub async fn kin_are_listed_by_what_they_came_from(store: &dyn Store) {
    with_machine(store).await;
    let child = |n: u32, of: u32| {
        let parent = Some(TaskKey { execution: id(of), scheduled: EventId(u64::from(n)) });
        ExecutionHeader { parent, ..header(n) }
    };
    let fork = |n: u32, of: u32| ExecutionHeader { forked: Some(id(of)), ..header(n) };
    for header in [header(1), child(2, 1), fork(3, 1), child(4, 1), fork(5, 3), fork(6, 1), child(7, 2)] {
        create(store, header, succeeded(9)).await;
    }
    let kin = |of: u32, kinship: Kinship, after: Option<u32>, limit: u32| async move {
        ids(&store.kin(id(of), kinship, after.map(id), limit).await.unwrap())
    };
    assert_eq!(kin(1, Kinship::Child, None, 9).await, [id(2), id(4)]);
    assert_eq!(kin(1, Kinship::Child, Some(2), 9).await, [id(4)]);
    assert_eq!(kin(1, Kinship::Fork, None, 9).await, [id(3), id(6)]);
    assert_eq!(kin(1, Kinship::Fork, None, 1).await, [id(3)]);
    assert_eq!(kin(3, Kinship::Fork, None, 9).await, [id(5)]);
    assert_eq!(kin(4, Kinship::Child, None, 9).await, []);
    let rows = store.kin(id(1), Kinship::Fork, None, 9).await.unwrap();
    assert_eq!(rows[0].header.forked, Some(id(1)));
    assert!(rows[0].header.input.is_empty(), "a brief row");
    // A source that is purged leaves its forks as they are; a purged fork is listed no more.
    assert_eq!(store.purge(at(10), 3).await.unwrap(), 3);
    assert_eq!(kin(1, Kinship::Fork, None, 9).await, [id(6)]);
    assert_eq!(store.execution(id(6)).await.unwrap().unwrap().header.forked, Some(id(1)));
}
