//! The promises of `Ownership`: rows of nodes and partitions, and the fence of appends. Two nodes over one store.

use std::time::Duration;

use crate::ids::{Arn, EventId, PartitionId, Version};
use crate::store::memory::Memory;
use crate::store::ownership::join;
use crate::store::{
    Append, Epoch, Gift, MapRunRow, Node, NodeCard, NodeId, Ownership, StoreError, StoreResult, WaitChange,
};

use super::Store;
use super::given::{append, at, create, header, id, never, running, under, with_machine};
use super::waits::wait;

trait Shared: Store + Ownership {}

impl<T: Store + Ownership> Shared for T {}

type Pair = (Box<dyn Shared>, Box<dyn Shared>);

#[expect(clippy::unnecessary_wraps, reason = "the form of the other adapter")]
fn memory() -> Option<Pair> {
    let store = Memory::new();
    Some((Box::new(store.further_node()), Box::new(store.further_node())))
}

fn postgres() -> Option<Pair> {
    let (first, second) = crate::store::postgres::tests::two()?;
    Some((Box::new(first), Box::new(second)))
}

fn card() -> NodeCard {
    NodeCard {
        name: "n".into(),
        version: "1".into(),
        speaks: 3,
        key_print: "k".into(),
        alone: false,
        lapse: Duration::from_millis(600),
        partitions: 4,
    }
}

async fn joined(node: &dyn Shared, card: NodeCard) -> Node {
    node.join(card).await.unwrap().unwrap()
}

fn partitions(numbers: &[u16], epoch: u64) -> Vec<(PartitionId, Epoch)> {
    numbers.iter().map(|n| (PartitionId(*n), Epoch(epoch))).collect()
}

async fn owners(node: &dyn Shared) -> Vec<(u64, Option<NodeId>)> {
    node.beat().await.unwrap().partitions.iter().map(|row| (row.epoch.0, row.owner)).collect()
}

fn fenced<T: std::fmt::Debug>(result: &StoreResult<T>, of: u64) {
    assert!(matches!(result, Err(StoreError::Fenced { epoch: Epoch(epoch), .. }) if *epoch == of), "{result:?}");
}

async fn a_node_has_a_slot_and_a_beat_and_others_see_it((a, b): Pair) {
    assert_eq!(a.beat().await.unwrap().nodes, [], "before it joins it has no row");
    let first = joined(&*a, card()).await;
    let second = joined(&*b, NodeCard { name: "m".into(), ..card() }).await;
    assert_eq!((first.slot, second.slot), (0, 1));
    a.beat().await.unwrap();
    let view = b.beat().await.unwrap();
    let seen: Vec<_> = view.nodes.iter().map(|node| (node.id, node.slot, node.beat, node.name.as_str())).collect();
    assert_eq!(seen, [(first.id, Some(0), 1, "n"), (second.id, Some(1), 1, "m")]);
    assert_eq!((view.nodes[0].speaks, view.nodes[0].leaving, view.nodes[0].alone), (3, false, false));
    let numbers: Vec<_> = view.partitions.iter().map(|row| (row.partition.0, row.epoch, row.owner)).collect();
    assert_eq!(numbers, (0..4).map(|n| (n, Epoch(0), None)).collect::<Vec<_>>());
    for deaf in [true, false] {
        a.announce_deaf(deaf).await.unwrap();
        assert_eq!(b.beat().await.unwrap().nodes.iter().map(|node| node.deaf).collect::<Vec<_>>(), [deaf, false]);
    }
    a.announce_leave().await.unwrap();
    assert!(b.beat().await.unwrap().nodes[0].leaving);
    a.leave().await.unwrap();
    assert_eq!(b.beat().await.unwrap().nodes.len(), 1);
    // The lowest number that is free; and a new id.
    let again = joined(&*a, card()).await;
    assert!(again.slot == 0 && again.id != first.id);
}

async fn a_partition_is_claimed_once_and_given_by_its_owner_alone((a, b): Pair) {
    let (first, second) = (joined(&*a, card()).await, joined(&*b, card()).await);
    let mut taken = a.claim(partitions(&[0, 1, 2], 0)).await.unwrap();
    taken.sort_unstable();
    assert_eq!(taken, partitions(&[0, 1, 2], 1));
    // Of a living owner; of an epoch that has passed; free.
    assert_eq!(
        b.claim([partitions(&[0], 1), partitions(&[1], 0), partitions(&[3], 0)].concat()).await.unwrap(),
        partitions(&[3], 1)
    );
    let (one, two) = (Some(first.id), Some(second.id));
    assert_eq!(owners(&*a).await, [(1, one), (1, one), (1, one), (1, two)]);
    let gift = |n, epoch, to| Gift { partition: PartitionId(n), epoch: Epoch(epoch), to };
    let nobody = NodeId(uuid::Uuid::from_u128(99));
    b.give(vec![gift(0, 1, second.id)]).await.unwrap();
    a.give(vec![gift(0, 9, second.id), gift(2, 1, nobody), gift(1, 1, second.id)]).await.unwrap();
    assert_eq!(owners(&*a).await, [(1, one), (2, two), (1, one), (1, two)]);
    // A node that left owns nothing that counts.
    b.leave().await.unwrap();
    assert_eq!(b.claim(partitions(&[2], 1)).await.unwrap(), []);
    let mut taken = a.claim([partitions(&[1], 2), partitions(&[3], 1)].concat()).await.unwrap();
    taken.sort_unstable();
    assert_eq!(taken, [partitions(&[1], 3), partitions(&[3], 2)].concat());
}

async fn a_node_is_buried_unless_it_has_beaten_meanwhile((a, b): Pair) {
    let (first, _) = (joined(&*a, card()).await, joined(&*b, card()).await);
    a.claim(partitions(&[0], 0)).await.unwrap();
    a.beat().await.unwrap();
    assert!(!b.bury(first.id, 0).await.unwrap());
    assert!(b.bury(first.id, 1).await.unwrap());
    assert!(!b.bury(first.id, 1).await.unwrap());
    assert_eq!(a.beat().await.unwrap().nodes.len(), 1, "it sees that it has no row");
    assert_eq!(a.claim(partitions(&[1], 0)).await.unwrap(), []);
    assert_eq!(b.claim(partitions(&[0], 1)).await.unwrap(), partitions(&[0], 2));
}

async fn who_does_not_own_the_partition_in_this_epoch_writes_nothing((a, b): Pair) {
    let (first, second) = (joined(&*a, card()).await, joined(&*b, card()).await);
    with_machine(&*a).await;
    a.claim(partitions(&[0], 0)).await.unwrap();
    b.claim(partitions(&[1], 0)).await.unwrap();
    create(&*a, header(1), running()).await;
    let under = |epoch, version| Append { epoch: Epoch(epoch), ..append(1, version, 1, running()) };
    a.append(under(1, 2)).await.unwrap();
    fenced(&b.append(under(1, 3)).await, 1);
    fenced(&a.append(under(2, 3)).await, 2);
    fenced(&b.create(header(2), append(2, 0, 1, running()), never()).await, 1);
    // Others of the same moment are not hindered.
    let own = Append { partition: PartitionId(1), ..append(3, 0, 1, running()) };
    let of_own = crate::store::ExecutionHeader { partition: PartitionId(1), ..header(3) };
    let (made, refused) = futures_util::join!(b.create(of_own, own, never()), b.append(under(1, 3)));
    made.unwrap();
    fenced(&refused, 1);
    // Handed over: the former owner is a stranger.
    a.give(vec![Gift { partition: PartitionId(0), epoch: Epoch(1), to: second.id }]).await.unwrap();
    fenced(&a.append(under(1, 3)).await, 1);
    fenced(&a.append(under(2, 3)).await, 2);
    b.append(under(2, 3)).await.unwrap();
    // Buried: nothing of it counts, not even partitions without a new owner.
    a.claim(partitions(&[2], 0)).await.unwrap();
    assert!(b.bury(first.id, 0).await.unwrap());
    let late = Append { partition: PartitionId(2), ..append(4, 0, 1, running()) };
    let of_late = crate::store::ExecutionHeader { partition: PartitionId(2), ..header(4) };
    fenced(&a.create(of_late, late, never()).await, 1);
    let journal = b.load(id(1)).await.unwrap();
    assert_eq!(journal.iter().map(|batch| batch.after).collect::<Vec<_>>(), [0, 2, 3].map(Version));
    assert!(b.execution(id(2)).await.unwrap().is_none() && b.execution(id(4)).await.unwrap().is_none());
}

async fn a_former_owner_does_not_open_a_map_run_again((a, b): Pair) {
    let (first, second) = (joined(&*a, card()).await, joined(&*b, card()).await);
    a.claim(partitions(&[0], 0)).await.unwrap();
    let open = MapRunRow {
        arn: Arn::new("run"),
        execution: id(1),
        started: at(1),
        stopped: None,
        body: serde_json::json!({"of": 1}),
    };
    a.put_map_run(open.clone(), under(1)).await.unwrap();
    fenced(&b.put_map_run(open.clone(), under(1)).await, 1);
    a.give(vec![Gift { partition: PartitionId(0), epoch: Epoch(1), to: second.id }]).await.unwrap();
    let ended = MapRunRow { stopped: Some(at(2)), ..open.clone() };
    b.put_map_run(ended.clone(), under(2)).await.unwrap();
    fenced(&a.put_map_run(open.clone(), under(1)).await, 1);
    fenced(&a.put_map_run(open.clone(), under(2)).await, 2);
    assert!(b.bury(first.id, 0).await.unwrap());
    a.put_map_run(open, under(1)).await.unwrap_err();
    assert_eq!(b.map_run(&ended.arn).await.unwrap(), Some(ended));
}

async fn a_parent_is_told_by_the_owner_of_its_child((a, b): Pair) {
    joined(&*a, card()).await;
    joined(&*b, card()).await;
    with_machine(&*a).await;
    a.claim(partitions(&[0], 0)).await.unwrap();
    create(&*a, header(1), running()).await;
    let ended = crate::store::Summary { owes_parent: true, ..super::given::succeeded(5) };
    a.append(append(1, 2, 1, ended)).await.unwrap();
    b.parent_told(id(1)).await.unwrap();
    assert_eq!(a.owing_parents(PartitionId(0), None, 9).await.unwrap().len(), 1);
    a.parent_told(id(1)).await.unwrap();
    assert_eq!(a.owing_parents(PartitionId(0), None, 9).await.unwrap().len(), 0);
}

async fn a_task_that_waits_is_counted_wherever_it_begins_and_ends((a, b): Pair) {
    joined(&*a, card()).await;
    let second = joined(&*b, card()).await;
    with_machine(&*a).await;
    a.claim(partitions(&[0], 0)).await.unwrap();
    create(&*a, header(1), running()).await;
    let waits = vec![WaitChange::Put(wait(3, "q", 5)), WaitChange::Put(wait(4, "q", 2))];
    a.append(Append { waits, ..append(1, 2, 1, running()) }).await.unwrap();
    a.give(vec![Gift { partition: PartitionId(0), epoch: Epoch(1), to: second.id }]).await.unwrap();
    for (version, task, left) in [(3, 4, Some((1, at(5)))), (4, 3, None)] {
        let waits = vec![WaitChange::Gone(EventId(task))];
        b.append(Append { waits, epoch: Epoch(2), ..append(1, version, 1, running()) }).await.unwrap();
        for node in [&a, &b] {
            let counted = node.waits_by_destination(9).await.unwrap();
            let counted: Vec<_> = counted.iter().map(|of| (of.count, of.oldest)).collect();
            assert_eq!(counted, left.into_iter().collect::<Vec<_>>());
            // It takes away rows that count nothing.
            node.purge(at(0), 9).await.unwrap();
        }
    }
    let waits = vec![WaitChange::Put(wait(9, "q", 8))];
    b.append(Append { waits, epoch: Epoch(2), ..append(1, 5, 1, running()) }).await.unwrap();
    assert_eq!(a.waits_by_destination(9).await.unwrap().len(), 1);
}

async fn a_node_that_is_alone_keeps_others_out_until_its_beat_stands_still((a, b): Pair) {
    join(&*a, NodeCard { alone: true, ..card() }).await.unwrap();
    let beats = async {
        loop {
            a.beat().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let refused = async {
        for card in [card(), NodeCard { alone: true, ..card() }] {
            let error = join(&*b, card).await.unwrap_err();
            assert!(error.to_string().contains("in use by another process"), "{error}");
        }
    };
    tokio::select! {
        () = beats => {}
        () = refused => {}
    }
    // Its last one may still have been under way.
    a.beat().await.unwrap();
    let second = join(&*b, card()).await.unwrap();
    assert_eq!(b.beat().await.unwrap().nodes.iter().map(|node| node.id).collect::<Vec<_>>(), [second.id]);
    // Other token keys: tasks of one would be forgeries to the other.
    let beats = async {
        loop {
            b.beat().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let refused = async {
        let error = join(&*a, NodeCard { key_print: "other".into(), ..card() }).await.unwrap_err();
        assert!(error.to_string().contains("engine.token_key"), "{error}");
        for speaks in [1, 5] {
            let error = join(&*a, NodeCard { speaks, ..card() }).await.unwrap_err();
            assert!(error.to_string().contains("one version after the other"), "{error}");
        }
    };
    tokio::select! {
        () = beats => {}
        () = refused => {}
    }
}

async fn a_change_of_the_catalog_is_seen_by_all((a, b): Pair) {
    joined(&*a, card()).await;
    joined(&*b, card()).await;
    b.beat().await.unwrap();
    let before = b.generation();
    with_machine(&*a).await;
    b.beat().await.unwrap();
    assert!(before.is_none() || b.generation() > before, "what is remembered of the catalog is read again");
}

macro_rules! promises {
    ($($factory:ident: $($name:ident)*;)*) => {
        $(mod $factory {
            $(#[tokio::test]
            async fn $name() {
                if let Some(pair) = super::$factory() {
                    super::$name(pair).await;
                }
            })*
        })*
    };
}

promises! {
    memory:
        a_node_has_a_slot_and_a_beat_and_others_see_it
        a_partition_is_claimed_once_and_given_by_its_owner_alone
        a_node_is_buried_unless_it_has_beaten_meanwhile
        who_does_not_own_the_partition_in_this_epoch_writes_nothing
        a_former_owner_does_not_open_a_map_run_again
        a_parent_is_told_by_the_owner_of_its_child
        a_task_that_waits_is_counted_wherever_it_begins_and_ends
        a_node_that_is_alone_keeps_others_out_until_its_beat_stands_still
        a_change_of_the_catalog_is_seen_by_all;
    postgres:
        a_node_has_a_slot_and_a_beat_and_others_see_it
        a_partition_is_claimed_once_and_given_by_its_owner_alone
        a_node_is_buried_unless_it_has_beaten_meanwhile
        who_does_not_own_the_partition_in_this_epoch_writes_nothing
        a_former_owner_does_not_open_a_map_run_again
        a_parent_is_told_by_the_owner_of_its_child
        a_task_that_waits_is_counted_wherever_it_begins_and_ends
        a_node_that_is_alone_keeps_others_out_until_its_beat_stands_still
        a_change_of_the_catalog_is_seen_by_all;
}
