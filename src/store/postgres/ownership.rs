//! The rows of nodes and partitions. Which of them to change is decided elsewhere (`engine/ownership`); each change
//! here looks again, in its own statement, whether it still may.
//!
//! No session holds a lock, so a pooler may change sessions.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::ids::PartitionId;
use crate::store::{
    Epoch, Gift, Node, NodeCard, NodeId, NodeRow, Ownership, PartitionRow, StoreError, StoreFuture, StoreResult, View,
    ownership,
};

use super::Postgres;
use super::connect::Slot;
use super::error::{Outcome, corrupt};
use super::session::Session;
use super::values::{Params, int, uint};

/// The answer to a beat, or to a change of the rows. A node whose beats are slower has lapsed.
const ANSWERS: Duration = Duration::from_secs(2);

/// Two joins of one moment take turns. Released by the end of the transaction.
const JOIN_LOCK: &str = "SELECT pg_advisory_xact_lock(5928227551203674)";
const NODES: &str =
    "SELECT node, slot, beat, alone, leaving, deaf, name, version, speaks, key_print FROM nodes ORDER BY slot";
const INSERT: &str = "INSERT INTO nodes (node, slot, beat, alone, name, version, speaks, key_print, since) \
    VALUES ($1, $2, 0, $3, $4, $5, $6, $7, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)";
const ALL_PARTITIONS: &str =
    "INSERT INTO partitions (partition) SELECT generate_series(0, $1 - 1) ON CONFLICT (partition) DO NOTHING";
const OWN_SUMS: &str = "INSERT INTO totals (writer, executions, tasks) VALUES ($1, 0, 0) ON CONFLICT (writer) DO \
    UPDATE SET executions = totals.executions RETURNING executions, tasks";
const BEAT: &str = "UPDATE nodes SET beat = beat + 1 WHERE node = $1";
const PARTITIONS: &str = "SELECT partition, epoch, owner FROM partitions ORDER BY partition";
/// The state of the catalog, and the sums of the other nodes.
const BESIDE: &str = "SELECT n, coalesce(sum(executions), 0)::bigint, coalesce(sum(tasks), 0)::bigint \
    FROM generation LEFT JOIN totals ON writer <> $1 GROUP BY n";
/// A commit of a node that is being buried, or robbed, is waited for so long; then it is tried again.
const PATIENT: &str = "BEGIN; SET LOCAL lock_timeout = '1s'";
const BURY: &str = "DELETE FROM nodes WHERE node = $1 AND beat = $2";
const CLAIM: &str = "UPDATE partitions p SET epoch = p.epoch + 1, owner = $1 FROM unnest($2, $3) AS wanted (partition, \
    epoch) WHERE p.partition = wanted.partition AND p.epoch = wanted.epoch AND NOT EXISTS (SELECT 1 FROM nodes WHERE \
    node = p.owner) AND EXISTS (SELECT 1 FROM nodes WHERE node = $1) RETURNING p.partition, p.epoch";
const GIVE: &str = "UPDATE partitions p SET epoch = p.epoch + 1, owner = gift.node FROM unnest($2, $3, $4) AS gift \
    (partition, epoch, node) WHERE p.partition = gift.partition AND p.epoch = gift.epoch AND p.owner = $1 AND EXISTS \
    (SELECT 1 FROM nodes WHERE node = gift.node)";
const LEAVING: &str = "UPDATE nodes SET leaving = true WHERE node = $1";
const DEAF: &str = "UPDATE nodes SET deaf = $2 WHERE node = $1";
const LEAVE: &str = "DELETE FROM nodes WHERE node = $1";
/// The partitions of this node, for a look at a commit that was refused.
pub(super) const HELD: &str = "SELECT partition, epoch FROM partitions WHERE owner = $1";

impl Ownership for Postgres {
    fn join(&self, card: NodeCard) -> StoreFuture<'_, Result<Node, NodeRow>> {
        let lapse = card.lapse;
        Box::pin(async move {
            let joined = self.moving(move |client| async move { join(&client, &card).await }).await?;
            if let Ok((node, sums)) = &joined {
                self.inner.counters.open(*sums);
                self.inner.seat.take(*node, lapse);
            }
            Ok(joined.map(|(node, _)| node))
        })
    }

    fn beat(&self) -> StoreFuture<'_, View> {
        Box::pin(async move {
            let (seat, asked) = (self.inner.seat.node(), Instant::now());
            let (me, slot) = (self.inner.seat.id(), seat.map_or(-1, |node| i32::from(node.slot)));
            let (view, generation, others) = self
                .soon(&self.inner.lease, move |client| async move {
                    let (me, slot): (Params, Params) = (&[(&me, Type::UUID)], &[(&slot, Type::INT4)]);
                    // Sent together, and done in this order.
                    let (beaten, nodes, partitions, beside) = futures_util::join!(
                        client.execute_typed(BEAT, me),
                        client.query_typed(NODES, &[]),
                        client.query_typed(PARTITIONS, &[]),
                        client.query_typed_one(BESIDE, slot),
                    );
                    beaten?;
                    let view = View {
                        nodes: nodes?.iter().map(node).collect::<Outcome<_>>()?,
                        partitions: partitions?.iter().map(partition).collect::<Outcome<_>>()?,
                    };
                    let beside = beside?;
                    Ok((view, uint(&beside, 0)?, (beside.try_get(1)?, beside.try_get(2)?)))
                })
                .await?;
            self.inner.counters.beside(generation, others);
            self.inner.seat.meets(view.nodes.iter().map(|node| node.speaks));
            if seat.is_some_and(|mine| view.node(mine.id).is_some()) {
                self.inner.seat.beaten((view.nodes.len() > 1).then_some(asked));
            }
            Ok(view)
        })
    }

    fn bury(&self, node: NodeId, beat: u64) -> StoreFuture<'_, bool> {
        Box::pin(self.moving(move |client| async move {
            let values: Params = &[(&node.0, Type::UUID), (&int(beat), Type::INT8)];
            Ok(client.execute_typed(BURY, values).await? == 1)
        }))
    }

    fn claim(&self, mut wanted: Vec<(PartitionId, Epoch)>) -> StoreFuture<'_, Vec<(PartitionId, Epoch)>> {
        let me = self.inner.seat.id();
        // Rows are locked in this order, as commits lock them.
        wanted.sort_unstable();
        Box::pin(self.moving(move |client| async move {
            let partitions: Vec<i32> = wanted.iter().map(|(partition, _)| i32::from(partition.0)).collect();
            let epochs: Vec<i64> = wanted.iter().map(|(_, epoch)| int(epoch.0)).collect();
            let values: Params = &[(&me, Type::UUID), (&partitions, Type::INT4_ARRAY), (&epochs, Type::INT8_ARRAY)];
            let rows = client.query_typed(CLAIM, values).await?;
            let taken = |row| Ok((partition_id(row)?, Epoch(uint(row, 1)?)));
            rows.iter().map(taken).collect()
        }))
    }

    fn give(&self, mut gifts: Vec<Gift>) -> StoreFuture<'_, ()> {
        let me = self.inner.seat.id();
        gifts.sort_unstable_by_key(|gift| gift.partition);
        Box::pin(self.moving(move |client| async move {
            let partitions: Vec<i32> = gifts.iter().map(|gift| i32::from(gift.partition.0)).collect();
            let epochs: Vec<i64> = gifts.iter().map(|gift| int(gift.epoch.0)).collect();
            let nodes: Vec<Uuid> = gifts.iter().map(|gift| gift.to.0).collect();
            let values: Params = &[
                (&me, Type::UUID),
                (&partitions, Type::INT4_ARRAY),
                (&epochs, Type::INT8_ARRAY),
                (&nodes, Type::UUID_ARRAY),
            ];
            client.execute_typed(GIVE, values).await?;
            Ok(())
        }))
    }

    fn announce_leave(&self) -> StoreFuture<'_, ()> {
        let me = self.inner.seat.id();
        Box::pin(self.moving(move |client| async move {
            client.execute_typed(LEAVING, &[(&me, Type::UUID)]).await?;
            Ok(())
        }))
    }

    fn announce_deaf(&self, deaf: bool) -> StoreFuture<'_, ()> {
        let me = self.inner.seat.id();
        Box::pin(self.moving(move |client| async move {
            client.execute_typed(DEAF, &[(&me, Type::UUID), (&deaf, Type::BOOL)]).await?;
            Ok(())
        }))
    }

    fn leave(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let Some(node) = self.inner.seat.node() else { return Ok(()) };
            self.moving(move |client| async move {
                client.execute_typed(LEAVE, &[(&node.id.0, Type::UUID)]).await?;
                Ok(())
            })
            .await?;
            self.inner.seat.leave();
            Ok(())
        })
    }
}

impl Postgres {
    /// Takes the whole store for this process alone: for tools that write without an engine, and for tests. A living
    /// process on it is an error; the beat goes on until the store is closed. In a fresh store each partition's epoch
    /// is [`Epoch::FIRST`].
    pub async fn hold_all(&self, partitions: u16) -> StoreResult<()> {
        let card = NodeCard {
            name: ownership::name_of_process(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            speaks: ownership::PACKED_FORM,
            key_print: String::new(),
            alone: true,
            lapse: ownership::LAPSE,
            partitions,
        };
        ownership::join(self, card).await?;
        let view = self.beat().await?;
        self.claim(view.partitions.iter().map(|row| (row.partition, row.epoch)).collect()).await?;
        if let Some(runtime) = &self.inner.runtime {
            let store = Arc::downgrade(&self.inner);
            runtime.spawn(async move {
                loop {
                    tokio::time::sleep(ownership::LAPSE / 6).await;
                    let Some(inner) = store.upgrade().filter(|inner| inner.seat.node().is_some()) else { return };
                    // A server that is away has no row to take.
                    let _ = Self { inner }.beat().await;
                }
            });
        }
        Ok(())
    }

    /// On a connection of its own, and soon.
    async fn soon<T, F, R>(&self, slot: &Arc<Slot>, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Session>) -> R + Send + 'static,
        R: Future<Output = Outcome<T>> + Send,
    {
        let slot = Arc::clone(slot);
        self.on_runtime(async move {
            let client = slot.client().await?;
            let Ok(done) = tokio::time::timeout(ANSWERS, work(Arc::clone(&client))).await else {
                slot.give_up(&client).await;
                return Err(StoreError::Unavailable("PostgreSQL has not answered in time".into()));
            };
            done.map_err(StoreError::from)
        })
        .await
    }

    /// In a transaction that waits for locks for a moment only. Beats go on meanwhile.
    async fn moving<T, F, R>(&self, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Session>) -> R + Send + 'static,
        R: Future<Output = Outcome<T>> + Send,
    {
        let _turn = self.inner.moving.lock().await;
        self.soon(&self.inner.moves, |client| async move {
            client.batch_execute(PATIENT).await?;
            let done = work(Arc::clone(&client)).await;
            client.batch_execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            done
        })
        .await
    }
}

async fn join(client: &Session, card: &NodeCard) -> Outcome<Result<(Node, (i64, i64)), NodeRow>> {
    client.batch_execute(JOIN_LOCK).await?;
    let nodes = client.query_typed(NODES, &[]).await?.iter().map(node).collect::<Outcome<Vec<_>>>()?;
    if let Some(other) = nodes.iter().find(|other| other.bars(card)) {
        return Ok(Err(other.clone()));
    }
    let slot = (0..u16::MAX).find(|slot| nodes.iter().all(|node| node.slot != Some(*slot))).unwrap_or(u16::MAX);
    let (id, small) = (Uuid::now_v7(), slot.cast_signed());
    let speaks = card.speaks.cast_signed();
    let values: Params = &[
        (&id, Type::UUID),
        (&small, Type::INT2),
        (&card.alone, Type::BOOL),
        (&card.name, Type::TEXT),
        (&card.version, Type::TEXT),
        (&speaks, Type::INT4),
        (&card.key_print, Type::TEXT),
    ];
    client.execute_typed(INSERT, values).await?;
    client.execute_typed(ALL_PARTITIONS, &[(&i32::from(card.partitions), Type::INT4)]).await?;
    let sums = client.query_typed_one(OWN_SUMS, &[(&i32::from(slot), Type::INT4)]).await?;
    Ok(Ok((Node { id: NodeId(id), slot }, (sums.try_get(0)?, sums.try_get(1)?))))
}

fn node(row: &Row) -> Outcome<NodeRow> {
    let slot: Option<i16> = row.try_get(1)?;
    Ok(NodeRow {
        id: NodeId(row.try_get(0)?),
        slot: slot.map(i16::cast_unsigned),
        beat: uint(row, 2)?,
        alone: row.try_get(3)?,
        leaving: row.try_get(4)?,
        deaf: row.try_get(5)?,
        name: row.try_get(6)?,
        version: row.try_get(7)?,
        speaks: row.try_get::<_, i32>(8)?.cast_unsigned(),
        key_print: row.try_get(9)?,
    })
}

fn partition_id(row: &Row) -> Outcome<PartitionId> {
    let number: i32 = row.try_get(0)?;
    Ok(PartitionId(u16::try_from(number).map_err(|error| corrupt("partition", &number, &error))?))
}

fn partition(row: &Row) -> Outcome<PartitionRow> {
    let owner: Option<Uuid> = row.try_get(2)?;
    Ok(PartitionRow { partition: partition_id(row)?, epoch: Epoch(uint(row, 1)?), owner: owner.map(NodeId) })
}
