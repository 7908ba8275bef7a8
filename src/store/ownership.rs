//! PORT: which process owns which partitions, where several share a store.
//!
//! A node has a row that beats as long as its process lives, a partition has a row with its epoch and its owner. The
//! store only keeps the rows and the fence: `engine::ownership` has the rules.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::ids::PartitionId;

use super::{Epoch, StoreError, StoreFuture, StoreResult};

/// A version reads its newest form and the one before, and writes either. Nodes whose newest forms are further apart do
/// not understand each other.
pub const FORMS_APART_MAX: u32 = 1;

/// The form from which on nodes read packed batches of journals.
pub const PACKED_FORM: u32 = 2;

/// A node of which no beat has arrived for so many lapses has lost its place: the others have taken its partitions. A
/// worker's reply that it gives back then goes to its new owner, not to this node again.
pub const LOST_AFTER_LAPSES: u32 = 2;

/// [`NodeCard::lapse`] where no setting says otherwise.
pub const LAPSE: Duration = Duration::from_secs(3);

/// One life of a process in the cluster: a new one at each start, and after each time that others declared it dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub Uuid);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The card of a node that joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCard {
    /// Host and process, for people.
    pub name: String,
    pub version: String,
    /// The newest form of records and messages that it reads.
    pub speaks: u32,
    /// The fingerprint of its newest token key. Nodes of one store have the same keys.
    pub key_print: String,
    /// It shares the store with no other node.
    pub alone: bool,
    /// A beat that stands still for so long is that of a node which is gone.
    pub lapse: Duration,
    pub partitions: u16,
}

/// A node that has joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub id: NodeId,
    /// The lowest number that was free: it names the node's queue.
    pub slot: u16,
}

/// The row of a living node, or of a node that died lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    pub id: NodeId,
    /// `None`: of a version that had no slots.
    pub slot: Option<u16>,
    pub beat: u64,
    pub alone: bool,
    /// It gives its partitions away, and takes none.
    pub leaving: bool,
    /// It does not reach the broker. Others that do are better owners.
    pub deaf: bool,
    pub name: String,
    pub version: String,
    pub speaks: u32,
    pub key_print: String,
}

impl NodeRow {
    /// A node of this card cannot share the store with it.
    pub(super) fn bars(&self, card: &NodeCard) -> bool {
        self.alone || card.alone || self.key_print != card.key_print || !self.understands(card)
    }

    fn understands(&self, card: &NodeCard) -> bool {
        self.speaks.abs_diff(card.speaks) <= FORMS_APART_MAX
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionRow {
    pub partition: PartitionId,
    pub epoch: Epoch,
    pub owner: Option<NodeId>,
}

/// All nodes and partitions, each in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    pub nodes: Vec<NodeRow>,
    pub partitions: Vec<PartitionRow>,
}

impl View {
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&NodeRow> {
        self.nodes.iter().find(|node| node.id == id)
    }
}

/// A partition of this node that another one gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gift {
    pub partition: PartitionId,
    pub epoch: Epoch,
    pub to: NodeId,
}

/// A store that several processes share. Each handle is one node.
///
/// Every append of a node holds its row and the row of the execution's partition until it is committed, and fails with
/// `Fenced` where the node has no row or does not own the partition in the append's epoch. [`Ownership::bury`],
/// [`Ownership::claim`] and [`Ownership::give`] wait for such appends, and none lands afterwards.
pub trait Ownership: Send + Sync + fmt::Debug {
    /// Makes a row for this node, and the rows of partitions that have none (epoch 0, no owner). A node that joined
    /// before has a new id. `Err`: the row of a node that does not share the store with this one ([`join`] asks whether
    /// it lives).
    fn join(&self, card: NodeCard) -> StoreFuture<'_, Result<Node, NodeRow>>;

    /// One beat of this node, then all rows, those of nodes first. Without this node's row where others have buried it,
    /// or where it has not joined.
    fn beat(&self) -> StoreFuture<'_, View>;

    /// Removes the row of a node whose beat is still `beat`; true where it did.
    fn bury(&self, node: NodeId, beat: u64) -> StoreFuture<'_, bool>;

    /// Takes partitions whose epochs are these and whose owners have no row: each gets the next epoch. Returns those
    /// that were taken, with the new epoch.
    fn claim(&self, wanted: Vec<(PartitionId, Epoch)>) -> StoreFuture<'_, Vec<(PartitionId, Epoch)>>;

    /// Makes other nodes the owners of partitions that this node has in these epochs: each gets the next epoch. A
    /// partition that is not this node's any more, or would go to a node without a row, stays as it is.
    fn give(&self, gifts: Vec<Gift>) -> StoreFuture<'_, ()>;

    /// Tells the others that this node gives its partitions away.
    fn announce_leave(&self) -> StoreFuture<'_, ()>;

    /// Tells the others whether this node reaches the broker.
    fn announce_deaf(&self, deaf: bool) -> StoreFuture<'_, ()>;

    /// Removes this node's row. Its partitions are free for the others.
    fn leave(&self) -> StoreFuture<'_, ()>;
}

/// Joins, or waits for the lapse of a node in the way that may be dead.
///
/// # Errors
/// `Unusable`, for operators: a living node does not share the store with this one.
pub async fn join(ownership: &dyn Ownership, card: NodeCard) -> StoreResult<Node> {
    let mut seen: Option<(NodeId, u64, Instant)> = None;
    loop {
        let other = match ownership.join(card.clone()).await? {
            Ok(node) => return Ok(node),
            Err(other) => other,
        };
        match seen {
            Some((id, beat, since)) if (id, beat) == (other.id, other.beat) => {
                if since.elapsed() >= card.lapse {
                    tracing::warn!(event = "node.lapsed", node = other.name, "a node that had the store is gone");
                    ownership.bury(other.id, other.beat).await?;
                    continue;
                }
            }
            Some((id, ..)) if id == other.id => return Err(StoreError::Unusable(barred(&card, &other))),
            _ => seen = Some((other.id, other.beat, Instant::now())),
        }
        tokio::time::sleep(card.lapse / 12).await;
    }
}

fn barred(card: &NodeCard, other: &NodeRow) -> String {
    let NodeRow { name, version, speaks, .. } = other;
    if !card.alone && !other.alone && !other.understands(card) {
        return format!(
            "the database is in use by a process of a version that is too far from this one ({name}, version \
             {version}, form {speaks}; this one is version {}, form {}): upgrade one version after the other, or stop \
             that process first",
            card.version, card.speaks
        );
    }
    if !card.alone && !other.alone {
        return format!(
            "the database is in use by a process with other token keys ({name}, version {version}): give all processes \
             of one database the same `engine.token_key`"
        );
    }
    format!(
        "the database is in use by another process ({name}, version {version}): stop that process, or give this one \
         another `store.url`. Processes share a database where they share a broker too (`bus.url`)"
    )
}

/// Host and process, for people.
#[must_use]
pub fn name_of_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    format!("host {}, process {}", host.as_deref().map_or("unknown", str::trim), std::process::id())
}
