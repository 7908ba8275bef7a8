//! Which row of `nodes` is this process's, and whether its beats arrive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::store::ownership::{LOST_AFTER_LAPSES, PACKED_FORM};
use crate::store::{Node, StoreError, StoreResult};

/// How often a node without others looks whether there are some.
const LOOK: Duration = Duration::from_secs(1);

const LOST: &str = "PostgreSQL does not answer this server's beats; another server may have its partitions";

#[derive(Debug, Default)]
pub(super) struct Seat {
    life: Mutex<Life>,
    /// All nodes read packed batches.
    packs: AtomicBool,
}

/// One life of this node.
#[derive(Debug, Clone, Copy, Default)]
struct Life {
    node: Option<Node>,
    lapse: Duration,
    /// When the last beat that arrived was sent, where other nodes are there too.
    beaten: Option<Instant>,
}

impl Seat {
    fn life(&self) -> Life {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, life: Life) {
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = life;
    }

    /// The nodes that live read up to these forms.
    pub(super) fn meets(&self, forms: impl Iterator<Item = u32>) {
        self.packs.store(forms.fold(PACKED_FORM, u32::min) >= PACKED_FORM, Ordering::Relaxed);
    }

    /// Batches may be packed.
    pub(super) fn packs(&self) -> bool {
        self.packs.load(Ordering::Relaxed)
    }

    pub(super) fn node(&self) -> Option<Node> {
        self.life().node
    }

    pub(super) fn id(&self) -> Uuid {
        self.node().map_or(Uuid::nil(), |node| node.id.0)
    }

    pub(super) fn take(&self, node: Node, lapse: Duration) {
        self.set(Life { node: Some(node), lapse, beaten: None });
    }

    pub(super) fn leave(&self) {
        self.set(Life::default());
    }

    /// A beat that was sent at this moment has arrived; `None`: no other node is there.
    pub(super) fn beaten(&self, sent: Option<Instant>) {
        self.life.lock().unwrap_or_else(PoisonError::into_inner).beaten = sent;
    }

    /// When this node loses its place, if no further beat arrives.
    fn lost_at(&self) -> Option<Instant> {
        let life = self.life();
        life.beaten.map(|sent| sent + life.lapse * LOST_AFTER_LAPSES)
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost_at().is_some_and(|at| at <= Instant::now())
    }

    pub(super) async fn lost(&self) {
        loop {
            match self.lost_at() {
                None => tokio::time::sleep(LOOK).await,
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::time::sleep_until(at).await,
            }
        }
    }

    /// The outcome of this work, unless the node loses its place meanwhile. Work that has only begun then has the time
    /// of `soon` all the same.
    pub(super) async fn unless_lost<T>(&self, soon: Duration, work: impl Future<Output = T>) -> StoreResult<T> {
        let lost = async {
            tokio::time::sleep(soon).await;
            self.lost().await;
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = lost => Err(lost_place()),
        }
    }
}

pub(super) fn lost_place() -> StoreError {
    StoreError::Unavailable(LOST.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NodeId;

    const LAPSE: Duration = Duration::from_secs(3);

    fn seat() -> Seat {
        let seat = Seat::default();
        seat.take(Node { id: NodeId(Uuid::from_u128(7)), slot: 1 }, LAPSE);
        seat
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_without_beats_beside_others_has_lost_its_place_until_one_arrives() {
        let seat = seat();
        tokio::time::sleep(LAPSE * 10).await;
        assert!(!seat.is_lost(), "it has not beaten yet");
        seat.beaten(Some(Instant::now()));
        tokio::time::sleep(Duration::from_millis(5_999)).await;
        assert!(!seat.is_lost());
        tokio::time::timeout(Duration::from_secs(1), seat.lost()).await.expect("it is lost now");
        assert!(seat.is_lost());
        seat.beaten(Some(Instant::now()));
        assert!(!seat.is_lost());
        seat.beaten(None);
        tokio::time::sleep(LAPSE * 10).await;
        assert!(!seat.is_lost(), "there is no other node any more");
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_when_the_place_is_lost() {
        let seat = seat();
        let never = || seat.unless_lost(Duration::from_secs(2), std::future::pending::<()>());
        assert!(tokio::time::timeout(LAPSE * 10, never()).await.is_err(), "alone it waits");
        seat.beaten(Some(Instant::now()));
        let began = Instant::now();
        assert!(never().await.is_err());
        assert_eq!(began.elapsed(), LAPSE * 2);
        // It has its time all the same.
        let began = Instant::now();
        assert!(never().await.is_err());
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        assert!(matches!(seat.unless_lost(Duration::ZERO, async { 7 }).await, Ok(7)));
    }
}
