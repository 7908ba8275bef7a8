//! The journal's promises.

use crate::ids::{Arn, EventId, PartitionId, TaskKey, Version};
use crate::store::{
    Append, Epoch, ExecutionHeader, ExecutionRow, ExecutionStatus, GONE, MapRunRow, Opened, Place, StoreError, Summary,
};

use super::Store;
use super::given::{
    append, at, batch, create, due, failed, header, id, ids, never, page, revision_id, running, succeeded, under,
    with_machine,
};

pub async fn a_created_execution_is_there_with_its_first_batch(store: &dyn Store) {
    with_machine(store).await;
    let full = ExecutionHeader {
        partition: PartitionId(7),
        version_arn: Some(Arn::new("m:3")),
        alias_arn: Some(Arn::new("m:live")),
        input: "{\"name\": \"Zoë\", \"n\": 1.50}".into(),
        trace_header: Some("Root=1".into()),
        parent: Some(TaskKey { execution: id(99), scheduled: EventId(u64::MAX) }),
        map_run: Some(Arn::new("run")),
        item_index: Some(12),
        forked: Some(id(98)),
        ..header(1)
    };
    let summary = Summary { due: Some(at(50)), ..running() };
    create(store, full.clone(), summary.clone()).await;

    let row = ExecutionRow { header: full.clone(), version: Version(2), summary };
    assert_eq!(store.execution(id(1)).await.unwrap().as_ref(), Some(&row));
    assert_eq!(store.execution_by_arn(&full.arn).await.unwrap().as_ref(), Some(&row));
    assert_eq!(store.load(id(1)).await.unwrap(), [batch(0, 2, "first")]);
    create(store, header(2), failed(9)).await;
    let other = store.execution(id(2)).await.unwrap().unwrap();
    assert_eq!(other.summary, failed(9));
    let arns = vec![other.header.arn.clone(), Arn::new("missing"), full.arn];
    let ids = vec![id(2), id(3), id(1)];
    assert_eq!(store.executions(ids).await.unwrap(), [other.clone(), row.clone()]);
    assert_eq!(store.executions_by_arn(arns).await.unwrap(), [other, row]);
}

pub async fn a_refused_creation_leaves_nothing(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;

    let same_name = ExecutionHeader { id: id(2), ..header(1) };
    let error = store.create(same_name, append(2, 0, 1, running()), never()).await.unwrap_err();
    assert!(matches!(&error, StoreError::AlreadyExists { key, .. } if *key == header(1).arn.to_string()), "{error}");
    let same_id = ExecutionHeader { arn: Arn::new("other"), ..header(1) };
    let error = store.create(same_id, append(1, 0, 1, running()), never()).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { .. }), "{error}");
    let error = store.create(header(3), append(3, 5, 1, running()), never()).await.unwrap_err();
    assert!(matches!(error, StoreError::VersionConflict { expected: Version(5), actual: Version(0), .. }), "{error}");

    for n in [2, 3] {
        assert_eq!(store.execution(id(n)).await.unwrap(), None);
        assert!(matches!(store.load(id(n)).await, Err(StoreError::NotFound { .. })));
    }
    assert_eq!(store.execution_by_arn(&Arn::new("other")).await.unwrap(), None);
    assert_eq!(store.load(id(1)).await.unwrap(), [batch(0, 2, "first")]);
    assert_eq!(ids(&store.owing(PartitionId(0), None, 9).await.unwrap()), [id(1)]);
}

pub async fn a_name_is_held_until_its_execution_closed_long_ago(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    let again = |n: u32| (ExecutionHeader { id: id(n), started: at(500), ..header(1) }, append(n, 0, 1, running()));

    let (second, first) = again(2);
    let error = store.create(second, first, at(i64::MAX)).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { .. }), "an open execution never gives up its name: {error}");
    store.append(append(1, 2, 1, succeeded(100))).await.unwrap();
    let (second, first) = again(2);
    let error = store.create(second, first, at(100)).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { .. }), "closed at 100 is not before 100: {error}");
    let (second, first) = again(2);
    store.create(second, first, at(101)).await.unwrap();

    assert_eq!(store.execution_by_arn(&header(1).arn).await.unwrap().unwrap().header.id, id(2));
    let old = store.execution(id(1)).await.unwrap().unwrap();
    assert_eq!((old.header.arn, old.version), (header(1).arn, Version(3)), "the old one is there, by its id");
    assert_eq!(ids(&store.list(page(9)).await.unwrap()), [id(2), id(1)]);
    store.purge(at(1_000), 9).await.unwrap();
    assert_eq!(
        store.execution_by_arn(&header(1).arn).await.unwrap().unwrap().header.id,
        id(2),
        "the purged one takes no name along"
    );
}

/// As executions without a name of their own are named; two at one moment too.
pub async fn names_that_begin_with_the_same_time_are_told_apart(store: &dyn Store) {
    with_machine(store).await;
    let named = |n: u32, name: &str| ExecutionHeader {
        arn: Arn::new(format!("arn:aws:states:us-east-1:1:execution:m:{name}")),
        name: name.to_owned(),
        ..header(n)
    };
    let same_time =
        |n: u32| uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0abc | (u128::from(n) << 16)).to_string();
    for n in 1..=40 {
        create(store, named(n, &same_time(n)), running()).await;
    }
    create(store, named(41, &same_time(3).to_uppercase()), running()).await;
    for n in 1..=40 {
        let found = store.execution_by_arn(&named(n, &same_time(n)).arn).await.unwrap().unwrap();
        assert_eq!((found.header.id, found.header.name), (id(n), same_time(n)));
    }
    assert_eq!(
        store.execution_by_arn(&named(0, &same_time(3).to_uppercase()).arn).await.unwrap().unwrap().header.id,
        id(41)
    );
    assert_eq!(store.execution_by_arn(&named(0, &same_time(99)).arn).await.unwrap(), None);
    let error = store.create(named(42, &same_time(7)), append(42, 0, 1, running()), never()).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { .. }), "{error}");
}

pub async fn an_execution_needs_its_revision(store: &dyn Store) {
    with_machine(store).await;
    let lost = ExecutionHeader { revision: revision_id(44), ..header(1) };
    let error = store.create(lost, append(1, 0, 1, running()), never()).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "revision", .. }), "{error}");
    assert_eq!(store.execution(id(1)).await.unwrap(), None);
    create(store, header(1), running()).await;
}

pub async fn an_append_that_expects_another_version_is_refused_and_changes_nothing(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    for wrong in [0, 1, 3] {
        let error = store.append(append(1, wrong, 4, succeeded(9))).await.unwrap_err();
        assert!(
            matches!(error, StoreError::VersionConflict { execution, expected, actual: Version(2) }
                if execution == id(1) && expected == Version(wrong)),
            "{error}"
        );
    }
    let row = store.execution(id(1)).await.unwrap().unwrap();
    assert_eq!((row.version, row.summary), (Version(2), running()));
    assert_eq!(store.load(id(1)).await.unwrap().len(), 1);
}

pub async fn an_append_to_nothing_is_not_found(store: &dyn Store) {
    let error = store.append(append(1, 0, 1, running())).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    assert!(matches!(store.load(id(1)).await, Err(StoreError::NotFound { .. })));
}

pub async fn batches_come_back_in_order_and_whole(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    create(store, header(2), running()).await;
    let mut expected = vec![batch(0, 2, "first")];
    let mut after = 2;
    for round in 0..40_u32 {
        // From nothing to far beyond a page, with bytes that are no text; two executions take turns.
        let bytes: Vec<u8> = (0..round * 700).map(|n| (n % 251) as u8).collect();
        let next = crate::store::Batch { after: Version(after), events: 1 + round % 3, bytes };
        store
            .append(Append {
                execution: id(1),
                partition: PartitionId(0),
                epoch: Epoch::FIRST,
                batch: next.clone(),
                replaces: 0,
                summary: running(),
                waits: Vec::new(),
                hurries: false,
            })
            .await
            .unwrap();
        store.append(append(2, 2 + u64::from(round), 1, running())).await.unwrap();
        after += u64::from(next.events);
        expected.push(next);
    }
    assert_eq!(store.load(id(1)).await.unwrap(), expected);
    assert_eq!(store.execution(id(1)).await.unwrap().unwrap().version, Version(after));
    assert_eq!(store.load(id(2)).await.unwrap().len(), 41);
}

pub async fn a_large_journal_is_read_piece_by_piece(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    create(store, header(2), running()).await;
    for round in 0..30_u8 {
        let bytes = vec![round; 1_000 * usize::from(round)];
        let next = crate::store::Batch { after: Version(2 + u64::from(round)), events: 1, bytes };
        store
            .append(Append {
                execution: id(1),
                partition: PartitionId(0),
                epoch: Epoch::FIRST,
                batch: next,
                replaces: 0,
                summary: running(),
                waits: Vec::new(),
                hurries: false,
            })
            .await
            .unwrap();
        store.append(append(2, 2 + u64::from(round), 1, running())).await.unwrap();
    }
    let all = store.load(id(1)).await.unwrap();
    let bytes: u64 = all.iter().map(|batch| batch.bytes.len() as u64).sum();
    assert_eq!(store.open(id(1), bytes).await.unwrap(), Opened::Whole(all.clone()));
    let Opened::Large(places) = store.open(id(1), bytes - 1).await.unwrap() else { panic!("it is larger") };
    let seen: Vec<_> = places.iter().map(|place| (place.after, place.events, place.bytes)).collect();
    let there = all.iter().map(|batch| (batch.after, batch.events, batch.bytes.len() as u64));
    assert_eq!(seen, there.collect::<Vec<_>>());
    assert_eq!(store.read(id(1), places[7..9].to_vec()).await.unwrap(), all[7..9]);
    let mixed = vec![places[20], places[0], places[20]];
    assert_eq!(store.read(id(1), mixed).await.unwrap(), [all[20].clone(), all[0].clone(), all[20].clone()]);
    assert!(store.read(id(1), Vec::new()).await.unwrap().is_empty());

    // Of another execution, or replaced since: it is not there.
    let error = store.read(id(2), vec![places[5], Place { after: Version(99), ..places[6] }]).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: GONE, .. }), "{error}");
    let newest = *places.last().unwrap();
    let beats = Append { batch: batch(newest.after.0, 3, "beats"), replaces: 1, ..append(1, 0, 0, running()) };
    store.append(beats).await.unwrap();
    let error = store.read(id(1), vec![newest]).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: GONE, .. }), "{error}");
    assert!(matches!(store.open(id(9), 0).await.unwrap_err(), StoreError::NotFound { what: "execution", .. }));
}

pub async fn a_batch_takes_the_place_of_the_newest_one(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    create(store, header(2), running()).await;
    store.append(append(1, 2, 1, due(5))).await.unwrap();
    for events in 2..20 {
        // In between another execution writes.
        store.append(append(2, u64::from(events), 1, running())).await.unwrap();
        let next = Append {
            batch: batch(2, events, &format!("{events} together")),
            replaces: events - 1,
            ..append(1, 2, 0, due(i64::from(events)))
        };
        store.append(next).await.unwrap();
        assert_eq!(
            store.load(id(1)).await.unwrap(),
            [batch(0, 2, "first"), batch(2, events, &format!("{events} together"))]
        );
    }
    let row = store.execution(id(1)).await.unwrap().unwrap();
    assert_eq!((row.version, row.summary), (Version(21), due(19)));
    assert_eq!(store.load(id(2)).await.unwrap().len(), 19, "of another execution nothing was taken");

    // A version that another append has passed: nothing is taken away.
    let late = Append { batch: batch(2, 19, "late"), replaces: 18, ..append(1, 2, 0, running()) };
    let error = store.append(late).await.unwrap_err();
    assert!(matches!(error, StoreError::VersionConflict { expected: Version(20), actual: Version(21), .. }), "{error}");
    // A former owner: the store has one, whose epoch is the first.
    let former = Append { epoch: Epoch(2), ..append(1, 21, 1, running()) };
    assert!(matches!(store.append(former).await.unwrap_err(), StoreError::Fenced { epoch: Epoch(2), .. }));
    // The batch to replace is not the newest.
    let other = Append { batch: batch(3, 19, "other"), replaces: 18, ..append(1, 2, 0, running()) };
    assert!(matches!(store.append(other).await.unwrap_err(), StoreError::Corrupt { .. }));
    assert_eq!(store.load(id(1)).await.unwrap(), [batch(0, 2, "first"), batch(2, 19, "19 together")]);
    assert_eq!(store.execution(id(1)).await.unwrap().unwrap().version, Version(21));
    // And it goes on behind it.
    store.append(append(1, 21, 3, succeeded(9))).await.unwrap();
    assert_eq!(store.load(id(1)).await.unwrap().len(), 3);
    assert_eq!(store.purge(at(1_000), 9).await.unwrap(), 1);
}

pub async fn the_summary_shows_what_the_last_append_said(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    let aborted = Summary { status: ExecutionStatus::Aborted, ..failed(8) };
    let pending =
        Summary { status: ExecutionStatus::PendingRedrive, redrive_count: 3, redriven_at: Some(at(7)), ..running() };
    let all =
        [due(5), due(6), running(), succeeded(7), failed(7), Summary { owes_parent: true, ..aborted }, pending, due(9)];
    for (n, summary) in all.into_iter().enumerate() {
        store.append(append(1, 2 + n as u64, 1, summary.clone())).await.unwrap();
        assert_eq!(store.execution(id(1)).await.unwrap().unwrap().summary, summary);
    }
}

pub async fn a_redriven_execution_is_open_again(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    store.append(append(1, 2, 1, failed(5))).await.unwrap();
    assert_eq!(store.owing(PartitionId(0), None, 9).await.unwrap(), []);
    let again = Summary { due: Some(at(40)), redrive_count: 1, redriven_at: Some(at(30)), ..running() };
    store.append(append(1, 3, 1, again.clone())).await.unwrap();

    let row = store.execution(id(1)).await.unwrap().unwrap().brief();
    assert_eq!(row.summary, again);
    assert_eq!(store.owing(PartitionId(0), None, 9).await.unwrap(), [row]);
    assert_eq!(store.due(PartitionId(0), at(41), 9).await.unwrap(), [(id(1), at(40))]);
    assert_eq!(store.purge(at(1_000), 9).await.unwrap(), 0, "a redriven execution is not purged");
}

pub async fn due_gives_the_soonest_first_and_only_open_ones(store: &dyn Store) {
    with_machine(store).await;
    for (n, ms) in [(1, 300), (2, 100), (3, 200), (4, 100)] {
        create(store, header(n), due(ms)).await;
    }
    create(store, header(5), running()).await;
    create(store, ExecutionHeader { partition: PartitionId(1), ..header(6) }, due(1)).await;
    create(store, header(7), Summary { due: Some(at(1)), ..succeeded(2) }).await;

    let zero = PartitionId(0);
    let soon = [(id(2), at(100)), (id(4), at(100)), (id(3), at(200)), (id(1), at(300))];
    assert_eq!(store.due(zero, at(301), 9).await.unwrap(), soon);
    assert_eq!(store.due(zero, at(300), 9).await.unwrap(), soon[..3], "before, not at");
    assert_eq!(store.due(zero, at(301), 2).await.unwrap(), soon[..2]);
    assert_eq!(store.due(PartitionId(1), at(301), 9).await.unwrap(), [(id(6), at(1))]);
    store.append(append(2, 2, 1, due(400))).await.unwrap();
    store.append(append(4, 2, 1, running())).await.unwrap();
    store.append(append(3, 2, 1, Summary { due: Some(at(200)), ..succeeded(9) })).await.unwrap();
    assert_eq!(store.due(zero, at(1_000), 9).await.unwrap(), [(id(1), at(300)), (id(2), at(400))]);

    // An execution that owes something is due all the same, at its place, also when it no longer owes.
    let owing = |ms| Summary { due: Some(at(ms)), ..running() };
    store.append(append(4, 3, 1, owing(350))).await.unwrap();
    create(store, header(8), owing(600)).await;
    let all = [(id(1), at(300)), (id(4), at(350)), (id(2), at(400)), (id(8), at(600))];
    assert_eq!(store.due(zero, at(1_000), 9).await.unwrap(), all);
    assert_eq!(store.due(zero, at(1_000), 3).await.unwrap(), all[..3]);
    store.append(append(8, 2, 1, due(500))).await.unwrap();
    store.append(append(4, 4, 1, succeeded(9))).await.unwrap();
    assert_eq!(store.due(zero, at(1_000), 9).await.unwrap(), [(id(1), at(300)), (id(2), at(400)), (id(8), at(500))]);
}

pub async fn owing_gives_those_of_one_partition_that_owe_in_id_order(store: &dyn Store) {
    with_machine(store).await;
    for n in [5, 3, 1, 4, 2] {
        create(store, header(n), running()).await;
    }
    create(store, ExecutionHeader { partition: PartitionId(1), ..header(6) }, running()).await;
    store.append(append(3, 2, 1, succeeded(9))).await.unwrap();

    let zero = PartitionId(0);
    assert_eq!(ids(&store.owing(zero, None, 9).await.unwrap()), [id(1), id(2), id(4), id(5)]);
    assert_eq!(ids(&store.owing(zero, None, 2).await.unwrap()), [id(1), id(2)]);
    assert_eq!(ids(&store.owing(zero, Some(id(2)), 9).await.unwrap()), [id(4), id(5)]);
    assert_eq!(ids(&store.owing(PartitionId(1), None, 9).await.unwrap()), [id(6)]);
    assert_eq!(store.owing(PartitionId(2), None, 9).await.unwrap(), []);
    assert_eq!(store.owing(zero, None, 1).await.unwrap()[0], store.execution(id(1)).await.unwrap().unwrap().brief());
}

pub async fn parents_are_owed_until_they_are_told(store: &dyn Store) {
    with_machine(store).await;
    let owing = |ms| Summary { owes_parent: true, ..succeeded(ms) };
    for n in [2, 1] {
        create(store, header(n), running()).await;
        store.append(append(n, 2, 1, owing(5))).await.unwrap();
    }
    let zero = PartitionId(0);
    assert_eq!(ids(&store.owing_parents(zero, None, 9).await.unwrap()), [id(1), id(2)]);
    assert_eq!(
        store.owing_parents(zero, None, 1).await.unwrap(),
        [store.execution(id(1)).await.unwrap().unwrap().brief()]
    );
    assert_eq!(ids(&store.owing_parents(zero, Some(id(1)), 9).await.unwrap()), [id(2)]);
    assert_eq!(store.owing_parents(zero, Some(id(2)), 9).await.unwrap(), []);
    assert_eq!(store.owing_parents(PartitionId(1), None, 9).await.unwrap(), []);
    for _ in 0..2 {
        store.parent_told(id(1)).await.unwrap();
    }
    store.parent_told(id(77)).await.unwrap();
    assert_eq!(ids(&store.owing_parents(zero, None, 9).await.unwrap()), [id(2)]);
    assert_eq!(store.execution(id(1)).await.unwrap().unwrap().summary, succeeded(5), "nothing else changed");
}

pub async fn figures_tell_what_is_open(store: &dyn Store) {
    with_machine(store).await;
    let with = |tasks| Summary { tasks, ..running() };
    let open = || {
        let figures = store.figures();
        (figures.open_executions, figures.open_tasks)
    };
    assert_eq!(open(), (0, 0));
    create(store, header(1), with(2)).await;
    create(store, header(2), with(0)).await;
    // An execution that ends with its first batch.
    create(store, header(3), Summary { tasks: 7, ..succeeded(1) }).await;
    assert_eq!(open(), (2, 2));
    // Alone, with the moment that is due, and with everything.
    store.append(append(2, 2, 1, with(5))).await.unwrap();
    assert_eq!(open(), (2, 7));
    store.append(append(2, 3, 1, Summary { due: Some(at(9)), ..with(4) })).await.unwrap();
    assert_eq!(open(), (2, 6));
    store.append(append(1, 2, 1, failed(5))).await.unwrap();
    assert_eq!(open(), (1, 4));
    // Refused writes change nothing.
    assert!(store.append(append(2, 2, 1, with(9))).await.is_err());
    assert!(store.create(header(2), append(2, 0, 1, with(9)), never()).await.is_err());
    assert_eq!(open(), (1, 4));
    // Redriven.
    store.append(append(1, 3, 1, Summary { redrive_count: 1, ..with(3) })).await.unwrap();
    assert_eq!(open(), (2, 7));
    store.append(append(2, 4, 1, succeeded(6))).await.unwrap();
    store.purge(at(50), 10).await.unwrap();
    assert_eq!(open(), (1, 3));
}

pub async fn purge_takes_the_longest_closed_and_keeps_who_owes(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), succeeded(300)).await;
    create(store, header(2), succeeded(100)).await;
    create(store, header(3), succeeded(200)).await;
    create(store, header(4), running()).await;
    create(store, header(5), Summary { owes_parent: true, ..succeeded(50) }).await;
    let left = || async { ids(&store.list(page(9)).await.unwrap()) };

    assert_eq!(store.purge(at(100), 9).await.unwrap(), 0, "before, not at");
    assert_eq!(store.purge(at(1_000), 1).await.unwrap(), 1);
    assert_eq!(left().await, [id(5), id(4), id(3), id(1)], "the longest closed went first");
    assert_eq!(store.purge(at(1_000), 9).await.unwrap(), 2);
    assert_eq!(left().await, [id(5), id(4)]);
    assert!(matches!(store.load(id(2)).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.execution_by_arn(&header(2).arn).await.unwrap(), None);
    store.parent_told(id(5)).await.unwrap();
    assert_eq!(store.purge(at(1_000), 9).await.unwrap(), 1);
    create(store, header(2), running()).await;
    assert_eq!(store.load(id(2)).await.unwrap().len(), 1, "a purged id and name can be used again");
}

pub async fn purge_takes_what_belonged_to_the_execution(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), succeeded(5)).await;
    let run = |n: u32| MapRunRow {
        arn: Arn::new(format!("run{n}")),
        execution: id(n),
        started: at(1),
        stopped: None,
        body: serde_json::json!({"n": n}),
    };
    store.put_map_run(run(1), under(1)).await.unwrap();
    store.put_map_run(run(2), under(1)).await.unwrap();
    assert_eq!(store.purge(at(6), 9).await.unwrap(), 1);
    assert_eq!(store.map_run(&run(1).arn).await.unwrap(), None);
    assert_eq!(store.map_run(&run(2).arn).await.unwrap(), Some(run(2)));
}

pub async fn a_journal_is_read_on_from_a_version(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    store.append(append(1, 2, 3, running())).await.unwrap();
    store.append(append(1, 5, 1, running())).await.unwrap();
    let all = store.load(id(1)).await.unwrap();
    for (version, skipped) in [(0, 0), (1, 0), (2, 1), (4, 1), (5, 2), (6, 3), (9, 3)] {
        assert_eq!(store.since(id(1), Version(version)).await.unwrap(), all[skipped..], "from {version}");
    }
    assert!(matches!(store.since(id(2), Version(0)).await, Err(StoreError::NotFound { .. })));
}
