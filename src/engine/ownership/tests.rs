//! The protocol as tables, and in worlds of nodes that die, freeze, join, leave and read slowly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::protocol::{Act, Holding, Look, Observations, Terms, pause, step};
use crate::ids::PartitionId;
use crate::store::{Epoch, Gift, NodeId, NodeRow, PartitionRow, View};

const LAPSE: Duration = Duration::from_secs(3);

fn terms() -> Terms {
    Terms::of(LAPSE)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn node(n: u16) -> NodeId {
    NodeId(Uuid::from_u128(u128::from(n)))
}

fn row(n: u16, beat: u64) -> NodeRow {
    NodeRow {
        id: node(n),
        slot: Some(n),
        beat,
        alone: false,
        leaving: false,
        deaf: false,
        name: format!("n{n}"),
        version: String::new(),
        speaks: 1,
        key_print: String::new(),
    }
}

/// Partitions 0.. with these owners (0: none), each in epoch 1.
fn view(nodes: Vec<NodeRow>, owners: &[u16]) -> View {
    let partitions = (0..).map(PartitionId).zip(owners).map(|(partition, owner)| PartitionRow {
        partition,
        epoch: Epoch(1),
        owner: (*owner > 0).then(|| node(*owner)),
    });
    View { nodes, partitions: partitions.collect() }
}

fn holds(partitions: &[u16]) -> Holding {
    Holding { held: partitions.iter().map(|n| (PartitionId(*n), Epoch(1))).collect(), ..Holding::default() }
}

fn at(view: &View, when: Duration) -> Look<'_> {
    Look { view, asked: when, answered: when, unheard: Duration::ZERO }
}

/// The actions of node 1 at the last of these looks.
fn acts(looks: &[(u64, &View)], holding: &Holding) -> Vec<Act> {
    let mut seen = Observations::default();
    let done = looks.iter().map(|(when, view)| step(node(1), holding, at(view, ms(*when)), &mut seen, &terms()));
    done.last().unwrap_or_default()
}

#[test]
fn a_fresh_store_is_claimed_by_its_first_node() {
    let all = vec![(PartitionId(0), Epoch(1)), (PartitionId(1), Epoch(1))];
    assert_eq!(acts(&[(0, &view(vec![row(1, 0)], &[0, 0]))], &holds(&[])), [Act::Claim(all)]);
}

#[test]
fn what_is_owned_begins_and_what_is_lost_is_dropped() {
    let now = view(vec![row(1, 0), row(2, 0)], &[1, 2]);
    let expected = [Act::Drop(PartitionId(1)), Act::Begin(PartitionId(0), Epoch(1))];
    assert_eq!(acts(&[(0, &now)], &holds(&[1])), expected);
    // Owned, but under another epoch: the former life ends first.
    let former = Holding { held: BTreeMap::from([(PartitionId(0), Epoch(7))]), ..Holding::default() };
    assert_eq!(acts(&[(0, &now)], &former), [Act::Drop(PartitionId(0)), Act::Begin(PartitionId(0), Epoch(1))]);
    assert_eq!(acts(&[(0, &view(vec![row(2, 0)], &[2, 2]))], &holds(&[0])), [Act::Rejoin]);
}

#[test]
fn rows_that_were_read_before_a_partition_began_or_ended_here_tell_nothing_of_it() {
    let slow = |view, asked| Look { asked: ms(asked), ..at(view, ms(2_000)) };
    let acts = |look, holding: &Holding| step(node(1), holding, look, &mut Observations::default(), &terms());
    // Claimed while a beat was under way: its rows are those from before.
    let mut holding = Holding::default();
    assert!(holding.begins(PartitionId(0), Epoch(1), ms(1_000)));
    let free = view(vec![row(1, 0), row(2, 0)], &[2]);
    assert_eq!(acts(slow(&free, 900), &holding), []);
    assert_eq!(acts(slow(&free, 1_001), &holding), [Act::Drop(PartitionId(0))]);
    // Given away meanwhile: it does not begin again.
    holding.ends(PartitionId(0), Epoch(1), ms(3_000));
    let mine = view(vec![row(1, 0), row(2, 0)], &[1]);
    assert_eq!(acts(slow(&mine, 2_900), &holding), []);
    // It is this node's still: it begins in an epoch of its own.
    let gift = |to| Act::Give(Gift { partition: PartitionId(0), epoch: Epoch(1), to: node(to) });
    assert_eq!(acts(slow(&mine, 3_001), &holding), [gift(1)]);
    assert!(!holding.begins(PartitionId(0), Epoch(1), ms(3_001)));
    holding.going.insert(PartitionId(0));
    assert_eq!(acts(slow(&mine, 3_001), &holding), [], "that is under way");
    let mut next = mine.clone();
    next.partitions[0].epoch = Epoch(2);
    holding.going.clear();
    assert_eq!(acts(slow(&next, 3_001), &holding), [Act::Begin(PartitionId(0), Epoch(2))]);
    assert!(holding.begins(PartitionId(0), Epoch(2), ms(3_001)));
}

#[test]
fn a_gift_that_failed_is_made_again_where_it_is_due() {
    let mut holding = holds(&[0, 1]);
    holding.ends(PartitionId(0), Epoch(1), ms(1_000));
    let now = view(vec![row(1, 0), NodeRow { leaving: true, ..row(2, 0) }], &[1, 1]);
    let gift = |n, to| Act::Give(Gift { partition: PartitionId(n), epoch: Epoch(1), to: node(to) });
    assert_eq!(acts(&[(2_000, &now)], &holding), [gift(0, 1)], "no other node takes it");
    let mut leaves = now.clone();
    (leaves.nodes[0].leaving, leaves.nodes[1].leaving) = (true, false);
    assert_eq!(acts(&[(2_000, &leaves)], &holding), [], "a node that leaves begins nothing");
    assert_eq!(acts(&[(2_000, &leaves), (2_500, &leaves)], &holding), [gift(0, 2), gift(1, 2)]);
}

#[test]
fn a_beat_that_stands_still_for_a_lapse_is_that_of_a_dead_node() {
    let now = view(vec![row(1, 0), row(2, 5)], &[1, 2]);
    let moved = view(vec![row(1, 0), row(2, 6)], &[1, 2]);
    let looks =
        |last: u64| -> Vec<(u64, &View)> { (0..=last / 500).map(|n| (n * 500, &now)).chain([(last, &now)]).collect() };
    assert_eq!(acts(&looks(2_999), &holds(&[0])), []);
    assert_eq!(acts(&looks(3_000), &holds(&[0])), [Act::Bury(node(2), 5)]);
    let mut beaten = looks(2_900);
    beaten.push((2_950, &moved));
    beaten.extend([3_500, 4_000, 4_500, 5_000, 5_500, 5_900].map(|when| (when, &moved)));
    assert_eq!(acts(&beaten, &holds(&[0])), []);
    // Buried: its row is gone, its partition free.
    let gone = view(vec![row(1, 0)], &[1, 2]);
    assert_eq!(acts(&[(0, &gone)], &holds(&[0])), [Act::Claim(vec![(PartitionId(1), Epoch(1))])]);
}

#[test]
fn a_node_that_did_not_look_judges_nobody_by_what_it_saw_before() {
    let now = view(vec![row(1, 0), row(2, 5)], &[1, 2]);
    assert_eq!(acts(&[(0, &now), (500, &now), (2_100, &now), (3_600, &now)], &holds(&[0])), []);
    // A question that was answered late: the beat may have been seen at any moment in between.
    let mut seen = Observations::default();
    let slow = |asked, answered| Look { asked: ms(asked), ..at(&now, ms(answered)) };
    let holding = holds(&[0]);
    for look in [slow(0, 1_400), slow(1_500, 2_800), slow(2_900, 4_200)] {
        assert_eq!(step(node(1), &holding, look, &mut seen, &terms()), []);
    }
    assert_eq!(step(node(1), &holding, slow(4_400, 4_500), &mut seen, &terms()), [Act::Bury(node(2), 5)]);
}

#[test]
fn a_node_that_does_not_reach_the_broker_gives_all_to_those_that_do() {
    let deaf = |which: &[u16]| {
        let nodes = [1, 2, 3].map(|n| NodeRow { deaf: which.contains(&n), ..row(n, 0) });
        view(nodes.to_vec(), &[1, 1, 2, 3])
    };
    let done = |view: &View, unheard: Duration, holding: &Holding| {
        let mut seen = Observations::default();
        step(node(1), holding, Look { unheard, ..at(view, ms(0)) }, &mut seen, &terms())
    };
    let gift = |n, to| Act::Give(Gift { partition: PartitionId(n), epoch: Epoch(1), to: node(to) });
    let mine = holds(&[0, 1]);
    // Not at once: others may be about to find that they do not reach it either.
    assert_eq!(done(&deaf(&[1]), ms(2_999), &mine), []);
    assert_eq!(done(&deaf(&[1]), LAPSE, &mine), [gift(0, 2), gift(1, 3)]);
    assert_eq!(done(&deaf(&[1, 2]), LAPSE, &mine), [gift(0, 3), gift(1, 3)]);
    // Where no node reaches the broker, each keeps its partitions.
    assert_eq!(done(&deaf(&[1, 2, 3]), LAPSE, &mine), []);
    // Nodes that reach it take the free partitions; a deaf node takes none.
    let mut free = deaf(&[2, 3]);
    free.partitions[2].owner = None;
    assert_eq!(done(&free, Duration::ZERO, &mine), [Act::Claim(vec![(PartitionId(2), Epoch(1))])]);
    let mut free = deaf(&[1]);
    free.partitions[2].owner = None;
    assert_eq!(done(&free, ms(2_000), &mine), []);
}

fn quiet_looks(view: &View, beats: impl Fn(u64) -> View, last: u64) -> Vec<(u64, View)> {
    let mut looks: Vec<(u64, View)> = (0..last / 500).map(|n| (n * 500, beats(n))).collect();
    looks.push((last, view.clone()));
    looks
}

#[test]
fn partitions_move_for_balance_when_all_has_been_quiet_and_few_at_once() {
    let owners = [1_u16; 12];
    let beats = |n: u64| view(vec![row(1, n), row(2, n)], &owners);
    let done = |last: u64, holding: &Holding| {
        let looks = quiet_looks(&beats(last), beats, last);
        acts(&looks.iter().map(|(when, view)| (*when, view)).collect::<Vec<_>>(), holding)
    };
    let mut holding = holds(&(0..12).collect::<Vec<_>>());
    assert_eq!(done(4_900, &holding), []);
    let gift = |n| Act::Give(Gift { partition: PartitionId(n), epoch: Epoch(1), to: node(2) });
    assert_eq!(done(5_000, &holding), [6, 7, 8, 9].map(gift));
    holding.going.extend([PartitionId(6), PartitionId(7)]);
    assert_eq!(done(5_000, &holding), [8, 9].map(gift), "four at once, with those that are on their way");
    // A node that leaves gives all, at once, to those that stay; when they have seen that it leaves.
    let mut leaving = beats(1);
    leaving.nodes[0].leaving = true;
    let all = holds(&(0..12).collect::<Vec<_>>());
    let given = |last| acts(&[(0, &beats(0)), (500, &leaving), (last, &leaving)], &all);
    assert_eq!(given(900), []);
    assert_eq!(given(1_000), (0..12).map(gift).collect::<Vec<_>>());
}

#[test]
fn others_look_often_while_a_node_gives_its_partitions_away() {
    let mut now = view(vec![row(1, 0), row(2, 0)], &[1, 2]);
    let waits = |view: &View, me| pause(node(me), view, &terms());
    assert_eq!((waits(&now, 1), waits(&now, 2)), (ms(500), ms(500)));
    now.nodes[1].leaving = true;
    assert_eq!((waits(&now, 1), waits(&now, 2)), (ms(50), ms(500)));
    now.partitions[1].owner = Some(node(1));
    assert_eq!(waits(&now, 1), ms(500), "it has given all");
}

/// A node of a world.
#[derive(Debug, Default)]
struct Actor {
    id: Option<NodeId>,
    holding: Holding,
    seen: Observations,
    /// It does nothing until then.
    frozen: u64,
    /// So many of its next gifts fail.
    fails: usize,
    dead: bool,
    leaving: bool,
    /// Its open question: the moment of the question, the moment of the answer, and the answer.
    asked: Option<(u64, u64, View)>,
    next: u64,
}

#[derive(Debug, Default)]
struct World {
    now: u64,
    joined: u16,
    nodes: BTreeMap<NodeId, (NodeRow, u64)>,
    partitions: BTreeMap<PartitionId, (Epoch, Option<NodeId>)>,
    /// The owners of all epochs.
    owners: BTreeMap<(PartitionId, Epoch), NodeId>,
    /// The lives of partitions: never two in one epoch.
    lives: BTreeSet<(PartitionId, Epoch)>,
    actors: Vec<Actor>,
    gifts: usize,
}

#[derive(Debug, Clone)]
enum Fault {
    Kill(usize),
    Freeze(usize, u64),
    Slow(usize, u64),
    Leave(usize),
    /// So many of its gifts fail.
    Fail(usize, usize),
    Join,
    Rest(u64),
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let one = prop_oneof![
        1 => (0..8_usize).prop_map(Fault::Kill),
        2 => (0..8_usize, 100..9_000_u64).prop_map(|(n, ms)| Fault::Freeze(n, ms)),
        2 => (0..8_usize, 100..4_000_u64).prop_map(|(n, ms)| Fault::Slow(n, ms)),
        1 => (0..8_usize).prop_map(Fault::Leave),
        1 => (0..8_usize, 1..4_usize).prop_map(|(n, gifts)| Fault::Fail(n, gifts)),
        2 => Just(Fault::Join),
        4 => (50..6_000_u64).prop_map(Fault::Rest),
    ];
    prop::collection::vec(one, 1..25)
}

impl World {
    fn new(partitions: u16) -> Self {
        let rows = (0..partitions).map(|n| (PartitionId(n), (Epoch(0), None)));
        Self { partitions: rows.collect(), ..Self::default() }
    }

    fn own(&mut self, partition: PartitionId, seen: Epoch, owner: NodeId) {
        let epoch = Epoch(seen.0 + 1);
        self.partitions.insert(partition, (epoch, Some(owner)));
        let former = self.owners.insert((partition, epoch), owner);
        assert_eq!(former, None, "two owners of partition {partition} in epoch {}", epoch.0);
    }

    fn begin(&mut self, actor: &mut Actor, partition: PartitionId, epoch: Epoch) {
        if actor.holding.begins(partition, epoch, ms(self.now)) {
            assert!(self.lives.insert((partition, epoch)), "partition {partition} lives twice in epoch {}", epoch.0);
        }
    }

    fn view(&self) -> View {
        let row = |(partition, (epoch, owner)): (&PartitionId, &(Epoch, Option<NodeId>))| PartitionRow {
            partition: *partition,
            epoch: *epoch,
            owner: *owner,
        };
        View {
            nodes: self.nodes.values().map(|(row, _)| row.clone()).collect(),
            partitions: self.partitions.iter().map(row).collect(),
        }
    }

    fn act(&mut self, actor: &mut Actor, me: NodeId, act: Act) {
        match act {
            Act::Rejoin => {
                assert!(!self.nodes.contains_key(&me), "it has a row");
                *actor = Actor { leaving: actor.leaving, dead: actor.leaving, next: self.now, ..Actor::default() };
            }
            Act::Drop(partition) => actor.holding.loses(partition),
            Act::Begin(partition, epoch) => self.begin(actor, partition, epoch),
            Act::Bury(node, beat) => {
                if let Some((row, beaten)) = self.nodes.get(&node)
                    && row.beat == beat
                {
                    assert!(self.now - beaten >= 3_000, "a node that beat {} ms ago is buried", self.now - beaten);
                    self.nodes.remove(&node);
                }
            }
            Act::Claim(wanted) => {
                for (partition, seen) in wanted {
                    let (epoch, owner) = self.partitions[&partition];
                    let free = owner.is_none_or(|owner| !self.nodes.contains_key(&owner));
                    if epoch == seen && free && self.nodes.contains_key(&me) {
                        self.own(partition, epoch, me);
                        self.begin(actor, partition, Epoch(epoch.0 + 1));
                    }
                }
            }
            Act::Give(Gift { partition, epoch, to }) => {
                actor.holding.ends(partition, epoch, ms(self.now));
                if actor.fails > 0 {
                    actor.fails -= 1;
                } else if self.partitions[&partition] == (epoch, Some(me)) && self.nodes.contains_key(&to) {
                    self.own(partition, epoch, to);
                    self.gifts += 1;
                }
            }
        }
    }

    /// The step of an actor at this moment.
    fn tick(&mut self, actor: &mut Actor) {
        if actor.dead || actor.frozen > self.now {
            return;
        }
        let Some(me) = actor.id else {
            if self.now >= actor.next {
                self.joined += 1;
                let id = node(self.joined);
                self.nodes.insert(id, (row(self.joined, 0), self.now));
                actor.id = Some(id);
            }
            return;
        };
        if let Some((asked, heard, view)) = actor.asked.take() {
            if heard > self.now {
                actor.asked = Some((asked, heard, view));
                return;
            }
            let look = Look { view: &view, asked: ms(asked), answered: ms(self.now), unheard: Duration::ZERO };
            for act in step(me, &actor.holding, look, &mut actor.seen, &terms()) {
                self.act(actor, me, act);
            }
            let done = actor.leaving && !self.partitions.values().any(|(_, owner)| *owner == Some(me));
            if done && actor.id.is_some() {
                self.nodes.remove(&me);
                actor.dead = true;
            }
        } else if self.now >= actor.next {
            if let Some((row, beaten)) = self.nodes.get_mut(&me) {
                row.beat += 1;
                row.leaving = actor.leaving;
                *beaten = self.now;
            }
            actor.asked = Some((self.now, self.now + 10, self.view()));
            actor.next = self.now + 500;
        }
    }

    fn rest(&mut self, length: u64) {
        for _ in 0..length / 10 {
            self.now += 10;
            for n in 0..self.actors.len() {
                let mut actor = std::mem::take(&mut self.actors[n]);
                self.tick(&mut actor);
                self.actors[n] = actor;
            }
        }
    }

    fn fault(&mut self, fault: &Fault) {
        let now = self.now;
        let mut to = |n: usize, change: &dyn Fn(&mut Actor)| {
            let count = self.actors.len();
            if let Some(actor) = self.actors.get_mut(n % count.max(1)) {
                change(actor);
            }
        };
        match fault {
            Fault::Kill(n) => to(*n, &|actor| actor.dead = true),
            Fault::Freeze(n, ms) => to(*n, &|actor| actor.frozen = now + ms),
            Fault::Slow(n, ms) => to(*n, &|actor| {
                if let Some((_, heard, _)) = &mut actor.asked {
                    *heard += ms;
                }
            }),
            Fault::Leave(n) => to(*n, &|actor| actor.leaving = true),
            Fault::Fail(n, gifts) => to(*n, &|actor| actor.fails += gifts),
            Fault::Join => {
                let next = now;
                self.actors.push(Actor { next, ..Actor::default() });
            }
            Fault::Rest(ms) => self.rest(*ms),
        }
    }

    /// Every partition runs on one living node, which owns it in this epoch; returns how many each has.
    fn settled(&self) -> Vec<usize> {
        let alive: Vec<&Actor> = self.actors.iter().filter(|actor| !actor.dead).collect();
        for (partition, (epoch, owner)) in &self.partitions {
            let runs = alive.iter().filter(|actor| actor.holding.held.get(partition) == Some(epoch));
            let on: Vec<_> = runs.map(|actor| actor.id).collect();
            assert_eq!(on, [*owner], "partition {partition} in epoch {}", epoch.0);
        }
        alive.iter().map(|actor| actor.holding.held.len()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_epoch_has_one_owner_and_in_the_end_all_is_owned_and_even(
        partitions in 1..20_u16,
        faults in faults(),
    ) {
        let mut world = World::new(partitions);
        for fault in &faults {
            world.fault(fault);
        }
        for actor in &mut world.actors {
            (actor.frozen, actor.leaving) = (0, actor.leaving && actor.dead);
        }
        world.fault(&Fault::Join);
        // Longer than: a read that was slow, a lapse, the quiet time, and moves of four at once.
        world.rest(5_000 + 4_000 + 3_000 + 5_000 + 10_000 + 10_000);
        let loads = world.settled();
        let (least, most) = (loads.iter().min().copied().unwrap_or(0), loads.iter().max().copied().unwrap_or(0));
        prop_assert!(most - least <= 1, "{loads:?}");
    }

    #[test]
    fn a_dead_nodes_partitions_are_owned_again_after_a_lapse_and_two_looks(nodes in 2..6_usize, killed in 0..6_usize) {
        let mut world = World::new(48);
        for _ in 0..nodes {
            world.fault(&Fault::Join);
        }
        world.rest(30_000);
        world.settled();
        world.fault(&Fault::Kill(killed));
        world.rest(3_000 + 500 + 2 * 520);
        world.settled();
    }

    #[test]
    fn a_node_that_joins_or_leaves_moves_no_more_than_its_share(nodes in 1..8_usize) {
        let mut world = World::new(48);
        for _ in 0..nodes {
            world.fault(&Fault::Join);
        }
        world.rest(40_000);
        world.settled();
        world.gifts = 0;
        world.fault(&Fault::Join);
        world.rest(40_000);
        let loads = world.settled();
        prop_assert_eq!(loads.len(), nodes + 1);
        prop_assert!(world.gifts <= 48_usize.div_ceil(nodes + 1), "{} gifts to {loads:?}", world.gifts);
        // Its own, and at most one more for each that has less than the others then.
        world.gifts = 0;
        world.fault(&Fault::Leave(nodes));
        // Two looks until the others know, and a third look that finds their new partitions.
        world.rest(2_500);
        let left = world.settled();
        prop_assert_eq!(left.len(), nodes);
        world.rest(20_000);
        prop_assert!(world.gifts <= loads[nodes], "{} gifts of {loads:?}", world.gifts);
    }
}
