//! The ownership of partitions: the rules, without a store and without a clock. One look at the rows, the observations
//! of the looks before, and the moment give the acts of this node.
//!
//! ```text
//! a beat stands still for a lapse ─► Bury ─► its partitions have no living owner ─► Claim ─► Begin
//! one has too many, another too few, and all is quiet ─► Give ─► the other's next look ─► Begin
//! it ended here, and is this node's still (a gift failed) ─► Give, to itself ─► its next look ─► Begin
//! this one does not reach the broker, and another does ─► Give all
//! others own a partition that is held here ─► Drop          this node has no row ─► Rejoin
//! ```
//! Moments are those of this node's own monotonic clock; no clock of another machine is compared. A node that did not
//! look for a while (it was frozen, or the store was away) judges no other node by its earlier looks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::PartitionId;
use crate::store::ownership::LOST_AFTER_LAPSES;
use crate::store::{Epoch, Gift, NodeId, View};

/// Times and counts of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Terms {
    /// A beat that stands still for so long is that of a node which is gone.
    pub lapse: Duration,
    /// The nodes must be the same for so long before partitions move for balance alone: a restart of a node then moves
    /// each partition twice at most.
    pub quiet: Duration,
    /// Partitions that a node gives away at once for balance.
    pub moves_at_once: usize,
}

impl Terms {
    pub fn of(lapse: Duration) -> Self {
        Self { lapse, quiet: lapse * 5 / 3, moves_at_once: 4 }
    }

    /// Between two looks: a beat goes with each.
    pub fn pause(&self) -> Duration {
        self.lapse / 6
    }

    /// Between two looks while another node gives its partitions away: each stands still until its new owner looks.
    pub fn short_pause(&self) -> Duration {
        self.pause() / 10
    }

    /// The longest time between two looks whose observations hang together.
    pub fn gap(&self) -> Duration {
        self.lapse / 2
    }

    /// A broker that was not heard for so long makes this node deaf. Half of the time after which it gives its
    /// partitions away: where the broker itself is away, all have become deaf by then, and nothing moves.
    pub fn deaf(&self) -> Duration {
        self.lapse / 2
    }

    /// The age of the last good beat beyond which the others have this node's partitions: a lapse, a look, a claim, and
    /// time to spare. The store gives up commits and reads then.
    pub fn lost(&self) -> Duration {
        self.lapse * LOST_AFTER_LAPSES
    }

    /// The age of the last good beat beyond which this node takes nothing in: before others can have buried it.
    pub fn fence(&self) -> Duration {
        self.lapse * 5 / 6
    }
}

/// The rows as they were at a moment between the question and its answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Look<'a> {
    pub view: &'a View,
    pub asked: Duration,
    pub answered: Duration,
    /// For how long this node has not heard the broker.
    pub unheard: Duration,
}

/// The partitions that run on this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::engine) struct Holding {
    /// Partitions that have begun here, and under which epoch.
    pub held: BTreeMap<PartitionId, Epoch>,
    /// Those of them that are being given away.
    pub going: BTreeSet<PartitionId>,
    /// When each last began or ended here.
    pub changed: BTreeMap<PartitionId, Duration>,
    /// The epoch in which each ended here last. It has no second life in it: an append of the first that is under way
    /// still would go through.
    pub over: BTreeMap<PartitionId, Epoch>,
}

impl Holding {
    /// A partition begins here. `false`: it runs in this epoch already, or in a later one, or it has run in it.
    pub fn begins(&mut self, partition: PartitionId, epoch: Epoch, now: Duration) -> bool {
        let begins = self.held.get(&partition).is_none_or(|held| *held < epoch) && !self.is_over(partition, epoch);
        if begins {
            self.held.insert(partition, epoch);
            self.changed.insert(partition, now);
        }
        begins
    }

    /// It ends here in this epoch, or its row was changed.
    pub fn ends(&mut self, partition: PartitionId, epoch: Epoch, now: Duration) {
        self.changed.insert(partition, now);
        self.over.insert(partition, epoch);
        if self.held.get(&partition) == Some(&epoch) {
            self.held.remove(&partition);
        }
    }

    /// Another node has it, or this one in another epoch.
    pub fn loses(&mut self, partition: PartitionId) {
        if let Some(epoch) = self.held.remove(&partition) {
            self.over.insert(partition, epoch);
        }
    }

    /// It has ended here in this epoch.
    pub fn is_over(&self, partition: PartitionId, epoch: Epoch) -> bool {
        self.over.get(&partition) == Some(&epoch)
    }

    /// The rows of a look that was asked then may be older than this holding: beats and changes of rows go side
    /// by side.
    fn is_newer(&self, partition: PartitionId, asked: Duration) -> bool {
        self.changed.get(&partition).is_some_and(|changed| *changed >= asked)
    }
}

/// The earlier looks of this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::engine) struct Observations {
    looked: Option<Duration>,
    /// Each node's beat, and since when at least it has been that.
    beats: BTreeMap<NodeId, (u64, Duration)>,
    /// The living nodes (and which of them leave or are deaf), and since when they have been these.
    nodes: Vec<(NodeId, bool, bool)>,
    since: Duration,
}

impl Observations {
    fn take_in(&mut self, Look { view, answered, .. }: Look<'_>, terms: &Terms) {
        let hangs_together = self.looked.is_some_and(|looked| answered.saturating_sub(looked) <= terms.gap());
        if !hangs_together {
            self.beats.clear();
        }
        self.looked = Some(answered);
        let before = std::mem::take(&mut self.beats);
        for node in &view.nodes {
            let known = before.get(&node.id).filter(|(beat, _)| *beat == node.beat);
            self.beats.insert(node.id, (node.beat, known.map_or(answered, |(_, since)| *since)));
        }
        let nodes: Vec<_> = view.nodes.iter().map(|node| (node.id, node.leaving, node.deaf)).collect();
        if !hangs_together || nodes != self.nodes {
            (self.nodes, self.since) = (nodes, answered);
        }
    }

    /// For how long this node's beat has stood still.
    fn still(&self, node: NodeId, asked: Duration) -> Duration {
        self.beats.get(&node).map_or(Duration::ZERO, |(_, since)| asked.saturating_sub(*since))
    }

    /// This node's beat has moved lately.
    pub fn lives(&self, node: NodeId, asked: Duration, terms: &Terms) -> bool {
        self.beats.contains_key(&node) && self.still(node, asked) <= terms.gap()
    }

    /// When the next of the other nodes lapses unless it beats: a reason to look then.
    pub fn next_lapse(&self, me: NodeId, terms: &Terms) -> Option<Duration> {
        let others = self.beats.iter().filter(|(id, _)| **id != me);
        others.map(|(_, (_, since))| *since + terms.lapse).min()
    }
}

/// An action of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) enum Act {
    /// Others have declared this node dead: nothing is held any more, and it joins again.
    Rejoin,
    /// It is not this node's any more, or not in this epoch: it ends here at once.
    Drop(PartitionId),
    /// It is this node's, and does not run here yet.
    Begin(PartitionId, Epoch),
    /// This node's beat has stood still for the lapse.
    Bury(NodeId, u64),
    /// No living node owns these.
    Claim(Vec<(PartitionId, Epoch)>),
    /// It ends here, then its new owner is written down: another node, or this one in the next epoch.
    Give(Gift),
}

/// The actions of this node after a look.
pub(in crate::engine) fn step(
    me: NodeId,
    holding: &Holding,
    look: Look<'_>,
    seen: &mut Observations,
    terms: &Terms,
) -> Vec<Act> {
    let (view, asked) = (look.view, look.asked);
    let Some(mine) = view.node(me) else { return vec![Act::Rejoin] };
    seen.take_in(look, terms);
    let own = view.partitions.iter().filter(|row| row.owner == Some(me) && !holding.is_newer(row.partition, asked));
    let own: BTreeMap<PartitionId, Epoch> = own.map(|row| (row.partition, row.epoch)).collect();
    let share = share(view);
    let mut acts = Vec::new();
    for (partition, epoch) in &holding.held {
        if own.get(partition) != Some(epoch) && !holding.is_newer(*partition, asked) {
            acts.push(Act::Drop(*partition));
        }
    }
    for (partition, epoch) in own.iter().filter(|_| !mine.leaving) {
        if holding.held.get(partition) != Some(epoch) && !holding.is_over(*partition, *epoch) {
            acts.push(Act::Begin(*partition, *epoch));
        }
    }
    for node in view.nodes.iter().filter(|node| node.id != me && seen.still(node.id, asked) >= terms.lapse) {
        acts.push(Act::Bury(node.id, node.beat));
    }
    let ownerless = view.partitions.iter().filter(|row| row.owner.is_none_or(|owner| view.node(owner).is_none()));
    let claims: Vec<(PartitionId, Epoch)> =
        ownerless.filter(|row| share.get(&row.partition) == Some(&me)).map(|row| (row.partition, row.epoch)).collect();
    if !claims.is_empty() {
        acts.push(Act::Claim(claims));
    }
    // The others look often when they have seen that this node leaves.
    let others_know = asked.saturating_sub(seen.since) >= terms.pause();
    let at_once = if (mine.leaving && others_know) || (mine.deaf && look.unheard >= terms.lapse) {
        usize::MAX
    } else if asked.saturating_sub(seen.since) >= terms.quiet {
        terms.moves_at_once.saturating_sub(holding.going.len())
    } else {
        0
    };
    let moves = own.iter().filter(|(partition, _)| !holding.going.contains(partition));
    let gift = |partition: PartitionId, epoch: Epoch, to: NodeId| Act::Give(Gift { partition, epoch, to });
    let mut left = at_once;
    for (partition, epoch) in moves {
        let to = share.get(partition).copied();
        // A node that may be gone gets nothing.
        if let Some(to) = to.filter(|to| left > 0 && *to != me && seen.lives(*to, asked, terms)) {
            left -= 1;
            acts.push(gift(*partition, *epoch, to));
        } else if holding.is_over(*partition, *epoch) && !mine.leaving {
            // A gift failed, or it could not begin: it goes on here, in an epoch of its own.
            acts.push(gift(*partition, *epoch, me));
        }
    }
    acts
}

/// How long this node waits after a look before the next.
pub(in crate::engine) fn pause(me: NodeId, view: &View, terms: &Terms) -> Duration {
    let leaves = |id: NodeId| id != me && view.node(id).is_some_and(|node| node.leaving);
    let gives = view.partitions.iter().any(|row| row.owner.is_some_and(leaves));
    if gives { terms.short_pause() } else { terms.pause() }
}

/// The owner of each partition, as it should be: the same on every node that sees the same rows. As even as can be, and
/// a partition stays where it is unless its owner is gone, leaves, is deaf beside others that are not, or has more than
/// its share.
fn share(view: &View) -> BTreeMap<PartitionId, NodeId> {
    let stay = || view.nodes.iter().filter(|node| !node.leaving);
    let all_are_deaf = stay().all(|node| node.deaf);
    let mut takers: Vec<(NodeId, u16)> =
        stay().filter(|node| all_are_deaf || !node.deaf).filter_map(|node| Some((node.id, node.slot?))).collect();
    if takers.is_empty() {
        return BTreeMap::new();
    }
    let mut owned: BTreeMap<NodeId, Vec<PartitionId>> = takers.iter().map(|(id, _)| (*id, Vec::new())).collect();
    let mut free = Vec::new();
    for row in &view.partitions {
        match row.owner.and_then(|owner| owned.get_mut(&owner)) {
            Some(of_one) => of_one.push(row.partition),
            None => free.push(row.partition),
        }
    }
    // Those that have most keep one more where the division leaves a rest.
    takers.sort_by_key(|(id, slot)| (std::cmp::Reverse(owned[id].len()), *slot));
    let (each, rest) = (view.partitions.len() / takers.len(), view.partitions.len() % takers.len());
    let quota = |place: usize| each + usize::from(place < rest);
    for (place, (id, _)) in takers.iter().enumerate() {
        if let Some(of_one) = owned.get_mut(id)
            && of_one.len() > quota(place)
        {
            free.extend(of_one.split_off(quota(place)));
        }
    }
    free.sort_unstable();
    let mut free = free.into_iter();
    for (place, (id, _)) in takers.iter().enumerate() {
        if let Some(of_one) = owned.get_mut(id) {
            let room = quota(place).saturating_sub(of_one.len());
            of_one.extend(free.by_ref().take(room));
        }
    }
    let pairs = owned.into_iter().flat_map(|(id, partitions)| partitions.into_iter().map(move |of| (of, id)));
    pairs.collect()
}
