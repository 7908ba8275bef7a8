//! Several nodes on one store in memory: the rows of nodes and partitions, and the fence of appends. For simulations,
//! and for contract tests beside PostgreSQL.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::ids::{ExecutionId, PartitionId};
use crate::store::{
    Epoch, Gift, Node, NodeCard, NodeId, NodeRow, Ownership, PartitionRow, StoreError, StoreFuture, StoreResult,
    Tenure, View,
};

use super::Memory;

#[derive(Debug, Default)]
pub(super) struct State {
    /// Ids are given out in order, so that a simulation is the same each time.
    joined: u128,
    nodes: BTreeMap<u16, NodeRow>,
    partitions: BTreeMap<PartitionId, (Epoch, Option<NodeId>)>,
    /// A planted fault: writes are not held against their owners.
    #[cfg(test)]
    unfenced: bool,
}

/// Which node a handle is; all clones of the handle are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Seat(Arc<Mutex<Option<NodeId>>>);

impl Seat {
    fn id(&self) -> Option<NodeId> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, id: Option<NodeId>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }
}

impl State {
    fn lives(&self, id: NodeId) -> bool {
        self.nodes.values().any(|node| node.id == id)
    }

    fn row(&mut self, id: Option<NodeId>) -> Option<&mut NodeRow> {
        self.nodes.values_mut().find(|node| Some(node.id) == id)
    }

    pub(super) fn owns(&self, seat: &Seat, partition: PartitionId) -> bool {
        let owner = self.partitions.get(&partition).and_then(|(_, owner)| *owner);
        owner.is_some() && owner == seat.id() && owner.is_some_and(|owner| self.lives(owner))
    }

    fn join(&mut self, card: NodeCard) -> Result<Node, NodeRow> {
        if let Some(other) = self.nodes.values().find(|other| other.bars(&card)) {
            return Err(other.clone());
        }
        self.joined += 1;
        let node = Node {
            id: NodeId(Uuid::from_u128(self.joined)),
            slot: (0..u16::MAX).find(|slot| !self.nodes.contains_key(slot)).unwrap_or(u16::MAX),
        };
        let NodeCard { name, version, speaks, key_print, alone, partitions, .. } = card;
        let (id, slot, leaving, deaf, beat) = (node.id, Some(node.slot), false, false, 0);
        let row = NodeRow { id, slot, beat, alone, leaving, deaf, name, version, speaks, key_print };
        self.nodes.insert(node.slot, row);
        for partition in (0..partitions).map(PartitionId) {
            self.partitions.entry(partition).or_insert((Epoch(0), None));
        }
        Ok(node)
    }

    fn view(&self) -> View {
        let row = |(partition, (epoch, owner)): (&PartitionId, &(Epoch, Option<NodeId>))| PartitionRow {
            partition: *partition,
            epoch: *epoch,
            owner: *owner,
        };
        View { nodes: self.nodes.values().cloned().collect(), partitions: self.partitions.iter().map(row).collect() }
    }
}

impl Memory {
    /// A further node of this store: a handle that writes to its own partitions, once it has joined.
    #[must_use]
    pub fn further_node(&self) -> Self {
        Self { state: Arc::clone(&self.state), node: Some(Seat::default()) }
    }

    /// Takes the fence out, for a simulation that must find it missing.
    #[cfg(test)]
    pub fn take_fence_out(&self) {
        self.lock().cluster.unfenced = true;
    }

    /// The fence of a write that concerns an execution.
    pub(super) fn hold(&self, state: &super::State, execution: ExecutionId, under: Tenure) -> StoreResult<()> {
        let Some(seat) = &self.node else { return under.is_of_the_only_owner(execution) };
        #[cfg(test)]
        if state.cluster.unfenced {
            return Ok(());
        }
        let owned = state.cluster.owns(seat, under.partition)
            && state.cluster.partitions.get(&under.partition).is_some_and(|(epoch, _)| *epoch == under.epoch);
        if owned { Ok(()) } else { Err(under.fenced(execution)) }
    }

    fn clustered<T: Send + 'static>(&self, work: impl FnOnce(&Seat, &mut State) -> T) -> StoreFuture<'_, T> {
        let Some(seat) = &self.node else {
            let why = "this handle is no node of a cluster".to_owned();
            return Box::pin(std::future::ready(Err(StoreError::Unusable(why))));
        };
        self.with(|state| Ok(work(seat, &mut state.cluster)))
    }
}

impl Ownership for Memory {
    fn join(&self, card: NodeCard) -> StoreFuture<'_, Result<Node, NodeRow>> {
        self.clustered(|seat, state| {
            let joined = state.join(card);
            if let Ok(node) = &joined {
                seat.set(Some(node.id));
            }
            joined
        })
    }

    fn beat(&self) -> StoreFuture<'_, View> {
        self.clustered(|seat, state| {
            if let Some(row) = state.row(seat.id()) {
                row.beat += 1;
            }
            state.view()
        })
    }

    fn bury(&self, node: NodeId, beat: u64) -> StoreFuture<'_, bool> {
        self.clustered(|_, state| {
            let before = state.nodes.len();
            state.nodes.retain(|_, row| row.id != node || row.beat != beat);
            state.nodes.len() < before
        })
    }

    fn claim(&self, wanted: Vec<(PartitionId, Epoch)>) -> StoreFuture<'_, Vec<(PartitionId, Epoch)>> {
        self.clustered(|seat, state| {
            let Some(me) = seat.id().filter(|me| state.lives(*me)) else { return Vec::new() };
            let mut taken = Vec::new();
            for (partition, seen) in wanted {
                let Some((epoch, owner)) = state.partitions.get(&partition).copied() else { continue };
                if epoch == seen && !owner.is_some_and(|owner| state.lives(owner)) {
                    let next = Epoch(epoch.0 + 1);
                    state.partitions.insert(partition, (next, Some(me)));
                    taken.push((partition, next));
                }
            }
            taken
        })
    }

    fn give(&self, gifts: Vec<Gift>) -> StoreFuture<'_, ()> {
        self.clustered(|seat, state| {
            for Gift { partition, epoch, to } in gifts {
                let mine = seat.id().is_some() && state.partitions.get(&partition) == Some(&(epoch, seat.id()));
                if mine && state.lives(to) {
                    state.partitions.insert(partition, (Epoch(epoch.0 + 1), Some(to)));
                }
            }
        })
    }

    fn announce_leave(&self) -> StoreFuture<'_, ()> {
        self.clustered(|seat, state| {
            if let Some(row) = state.row(seat.id()) {
                row.leaving = true;
            }
        })
    }

    fn announce_deaf(&self, deaf: bool) -> StoreFuture<'_, ()> {
        self.clustered(move |seat, state| {
            if let Some(row) = state.row(seat.id()) {
                row.deaf = deaf;
            }
        })
    }

    fn leave(&self) -> StoreFuture<'_, ()> {
        self.clustered(|seat, state| {
            let me = seat.id();
            state.nodes.retain(|_, row| Some(row.id) != me);
            seat.set(None);
        })
    }
}
