//! The table of waiting tasks.

use crate::clock::Timestamp;
use crate::ids::{EventId, ExecutionId, Version};
use crate::store::{Append, DestinationWaits, ExecutionHeader, StoreError, Wait, WaitChange, WaitFilter, WaitRow};

use super::Store;
use super::given::{
    append, at, create, header, id, machine, machine_arn, revision_id, running, succeeded, with_machine,
};

/// A task of this event that waits in this queue since this moment.
pub fn wait(scheduled: u64, queue: &str, since: i64) -> Wait {
    Wait {
        scheduled: EventId(scheduled),
        state: format!("State {scheduled} \u{e4}"),
        resource: "arn:aws:states:::amqp:publish.waitForTaskToken".to_owned(),
        destination: queue.to_owned(),
        queue: true,
        since: at(since),
        timeout: Some(at(since + 90_000)),
        heartbeat_due: None,
        last_heartbeat: None,
        attempt: 1,
        submitted: true,
    }
}

/// An append of one event behind version 2, with these rows.
fn with(n: u32, waits: Vec<WaitChange>) -> Append {
    Append { waits, ..append(n, 2, 1, running()) }
}

async fn put(store: &dyn Store, n: u32, waits: Vec<Wait>) {
    store.append(with(n, waits.into_iter().map(WaitChange::Put).collect())).await.unwrap();
}

async fn all(store: &dyn Store, filter: WaitFilter) -> Vec<(ExecutionId, u64)> {
    let filter = WaitFilter { limit: 100, ..filter };
    let rows = store.waits(filter.clone()).await.unwrap();
    assert_eq!(store.count_waits(filter).await.unwrap(), rows.len() as u64);
    rows.iter().map(|row| (row.execution, row.wait.scheduled.0)).collect()
}

pub async fn waiting_tasks_are_listed_longest_first_in_pages(store: &dyn Store) {
    with_machine(store).await;
    for n in 1..=3 {
        create(store, header(n), running()).await;
    }
    put(store, 1, vec![wait(3, "a", 50), wait(4, "b", 10), wait(5, "b", 50)]).await;
    put(store, 2, vec![wait(3, "a", 50), wait(9, "a", 40)]).await;
    put(store, 3, vec![wait(3, "c", -5)]).await;
    let expected = [(3, 3), (1, 4), (2, 9), (1, 3), (1, 5), (2, 3)].map(|(n, task)| (id(n), task));
    assert_eq!(all(store, WaitFilter::default()).await, expected);
    for limit in 1..4 {
        let (mut seen, mut after) = (Vec::new(), None::<(Timestamp, _)>);
        loop {
            let page = store.waits(WaitFilter { after, limit, ..WaitFilter::default() }).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.place());
            assert!(page.len() <= limit as usize);
            seen.extend(page.iter().map(|row| (row.execution, row.wait.scheduled.0)));
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
    let asked = vec![id(2), id(1), id(4)];
    let states = |tasks: &[u64]| tasks.iter().map(|task| wait(*task, "", 0).state).collect::<Vec<_>>();
    let all_of = [(id(1), states(&[4, 3, 5])), (id(2), states(&[9, 3]))];
    assert_eq!(store.waiting_states(asked.clone(), 9).await.unwrap(), all_of.into());
    let first_of = [(id(1), states(&[4])), (id(2), states(&[9]))];
    assert_eq!(store.waiting_states(asked, 1).await.unwrap(), first_of.into());
    assert_eq!(store.waiting_states(Vec::new(), 1).await.unwrap(), [].into());
    let first = store.waits(WaitFilter { limit: 1, ..WaitFilter::default() }).await.unwrap();
    let row = WaitRow {
        execution: id(3),
        arn: header(3).arn,
        state_machine: header(3).state_machine,
        wait: wait(3, "c", -5),
    };
    assert_eq!(first, [row]);
    assert_eq!(store.count_waits(WaitFilter { limit: 4, ..WaitFilter::default() }).await.unwrap(), 4, "to the limit");
}

pub async fn a_listing_of_waiting_tasks_takes_every_filter(store: &dyn Store) {
    with_machine(store).await;
    store.put_machine(machine("o", 2)).await.unwrap();
    create(store, header(1), running()).await;
    let other = ExecutionHeader { state_machine: machine_arn("o"), revision: revision_id(2), ..header(2) };
    create(store, other, running()).await;
    put(store, 1, vec![wait(3, "a", 30), wait(4, "b", 10)]).await;
    put(store, 2, vec![wait(3, "a", 20), wait(4, "b", 40)]).await;
    let none = WaitFilter::default;
    let a = || Some("a".to_owned());
    let of = async |filter| all(store, filter).await;
    assert_eq!(of(WaitFilter { destination: a(), ..none() }).await, [(id(2), 3), (id(1), 3)]);
    assert_eq!(of(WaitFilter { state_machine: Some(machine_arn("m")), ..none() }).await, [(id(1), 4), (id(1), 3)]);
    assert_eq!(of(WaitFilter { execution: Some(id(2)), ..none() }).await, [(id(2), 3), (id(2), 4)]);
    assert_eq!(of(WaitFilter { before: Some(at(30)), ..none() }).await, [(id(1), 4), (id(2), 3)]);
    let both = WaitFilter { destination: a(), state_machine: Some(machine_arn("m")), ..none() };
    assert_eq!(of(both.clone()).await, [(id(1), 3)]);
    assert_eq!(of(WaitFilter { before: Some(at(30)), ..both.clone() }).await, []);
    assert_eq!(of(WaitFilter { execution: Some(id(2)), ..both }).await, [], "filters hold together");
    assert_eq!(of(WaitFilter { state_machine: Some(machine_arn("unknown")), ..none() }).await, []);
}

pub async fn a_row_is_replaced_and_taken_away(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    put(store, 1, vec![wait(3, "a", 30), wait(4, "a", 30)]).await;
    let beats = Wait { last_heartbeat: Some(at(70)), heartbeat_due: Some(at(99)), submitted: true, ..wait(3, "a", 30) };
    let changes = vec![
        WaitChange::Put(beats.clone()),
        WaitChange::Gone(EventId(4)),
        WaitChange::Gone(EventId(77)),
        // It came and went within one append.
        WaitChange::Put(wait(8, "a", 31)),
        WaitChange::Gone(EventId(8)),
    ];
    store.append(Append { waits: changes, ..append(1, 3, 1, running()) }).await.unwrap();
    let rows = store.waits(WaitFilter { limit: 9, ..WaitFilter::default() }).await.unwrap();
    assert_eq!(rows.into_iter().map(|row| row.wait).collect::<Vec<_>>(), [beats]);
}

pub async fn an_append_without_events_changes_the_index_alone(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    let journal = store.load(id(1)).await.unwrap();
    let waits = vec![WaitChange::Put(wait(3, "a", 30))];
    store.append(Append { waits, ..append(1, 2, 0, super::given::due(7)) }).await.unwrap();
    assert_eq!(store.load(id(1)).await.unwrap(), journal);
    let row = store.execution(id(1)).await.unwrap().unwrap();
    assert_eq!((row.version, row.summary.due), (Version(2), Some(at(7))));
    assert_eq!(all(store, WaitFilter::default()).await, [(id(1), 3)]);
    store.append(append(1, 2, 3, running())).await.unwrap();
    assert_eq!(store.load(id(1)).await.unwrap().len(), 2);
}

pub async fn a_refused_append_changes_no_row(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    put(store, 1, vec![wait(3, "a", 30)]).await;
    let late = with(1, vec![WaitChange::Gone(EventId(3)), WaitChange::Put(wait(5, "a", 30))]);
    assert!(matches!(store.append(late).await, Err(StoreError::VersionConflict { .. })));
    assert_eq!(all(store, WaitFilter::default()).await, [(id(1), 3)]);
}

pub async fn destinations_are_counted(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    create(store, header(2), running()).await;
    assert_eq!(store.waits_by_destination(9).await.unwrap(), []);
    put(store, 1, vec![wait(3, "b", 30), wait(4, "a", 10), Wait { queue: false, ..wait(5, "x/y", 1) }]).await;
    put(store, 2, vec![wait(3, "b", 20)]).await;
    let of = |destination: &str, queue, count, oldest| DestinationWaits {
        destination: destination.to_owned(),
        queue,
        count,
        oldest: at(oldest),
    };
    let expected = [of("a", true, 1, 10), of("b", true, 2, 20), of("x/y", false, 1, 1)];
    assert_eq!(store.waits_by_destination(9).await.unwrap(), expected);
    assert_eq!(store.waits_by_destination(2).await.unwrap(), expected[..2]);
    // A refused append counts nothing.
    assert!(store.append(with(1, vec![WaitChange::Put(wait(8, "b", 1))])).await.is_err());
    assert_eq!(store.waits_by_destination(9).await.unwrap(), expected);
    // A beat, a task that never had a row, a task that came and went in one append, and a row that moves to another
    // place.
    let beats = Wait { last_heartbeat: Some(at(70)), ..wait(3, "b", 30) };
    let changes = vec![
        WaitChange::Put(beats),
        WaitChange::Gone(EventId(77)),
        WaitChange::Put(wait(8, "c", 1)),
        WaitChange::Gone(EventId(8)),
        WaitChange::Put(wait(5, "a", 1)),
    ];
    store.append(Append { waits: changes, ..append(1, 3, 1, running()) }).await.unwrap();
    assert_eq!(store.waits_by_destination(9).await.unwrap(), [of("a", true, 2, 1), of("b", true, 2, 20)]);
    // The same name as a queue and as another thing.
    let other = Wait { queue: false, ..wait(4, "b", 25) };
    store.append(Append { waits: vec![WaitChange::Put(other)], ..append(2, 3, 1, running()) }).await.unwrap();
    assert_eq!(store.waits_by_destination(9).await.unwrap()[1], of("b", true, 3, 20));
    let gone = vec![WaitChange::Gone(EventId(3))];
    store.append(Append { waits: gone.clone(), ..append(2, 4, 1, running()) }).await.unwrap();
    store.append(Append { waits: gone, ..append(1, 4, 1, running()) }).await.unwrap();
    assert_eq!(store.waits_by_destination(9).await.unwrap(), [of("a", true, 2, 1), of("b", false, 1, 25)]);
    // Rows that go with their execution.
    store.append(append(1, 5, 1, succeeded(40))).await.unwrap();
    store.purge(at(50), 9).await.unwrap();
    assert_eq!(store.waits_by_destination(9).await.unwrap(), [of("b", false, 1, 25)]);
}

pub async fn rows_go_with_their_execution(store: &dyn Store) {
    with_machine(store).await;
    create(store, header(1), running()).await;
    create(store, header(2), running()).await;
    put(store, 1, vec![wait(3, "a", 30)]).await;
    put(store, 2, vec![wait(3, "a", 30)]).await;
    store.append(append(1, 3, 1, succeeded(40))).await.unwrap();
    store.purge(at(50), 9).await.unwrap();
    assert_eq!(all(store, WaitFilter::default()).await, [(id(2), 3)]);
}
