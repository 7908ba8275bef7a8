//! The loop around the protocol. Beats go on while partitions begin and end, and while rows are being changed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::engine::delivery::bindings;
use crate::engine::partition::Wiring;
use crate::engine::partition::manager::PartitionManager;
use crate::engine::services::seat::Seat;
use crate::engine::services::{RETRY_AFTER, Services};
use crate::ids::PartitionId;
use crate::limits;
use crate::store::{Epoch, Gift, Node, NodeCard, NodeId, Ownership, StoreError, View, ownership};

use super::ears::Ears;
use super::protocol::{Act, Holding, Look, Observations, Terms, pause, step};

/// The longest wait of a start for the first partition: others give some away when all has been quiet for a while.
const FIRST_PARTITION: u32 = 4;

/// Keeps this node's row, and its partitions.
pub(in crate::engine) struct Keeper {
    services: Arc<Services>,
    store: Arc<dyn Ownership>,
    partitions: Arc<PartitionManager>,
    card: NodeCard,
    terms: Terms,
    holding: Mutex<Holding>,
    /// All nodes and partitions, as the last beat found them.
    seen: Mutex<View>,
    /// Rows are being changed; the steps until then begin and end partitions only.
    moving: AtomicBool,
    /// Partitions that have ended here, and are given away together with the next transaction.
    given: Mutex<Vec<Gift>>,
    giving: tokio::sync::Mutex<()>,
    /// Others could take this node's partitions now.
    takers: AtomicBool,
    ears: Ears,
    /// The others are being told whether this node is deaf.
    telling: AtomicBool,
    /// Something was done: a look is worthwhile.
    done: Notify,
    stage: watch::Sender<Stage>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Joining,
    /// A partition has begun here.
    Works,
    /// This node can never go on: it shares the store with a process that does not share with it.
    Barred(String),
    Ends,
}

impl Keeper {
    pub fn new(
        services: Arc<Services>,
        store: Arc<dyn Ownership>,
        partitions: Arc<PartitionManager>,
        card: NodeCard,
    ) -> Arc<Self> {
        let terms = Terms::of(card.lapse);
        services.seat.sit(None);
        Arc::new(Self {
            services,
            store,
            partitions,
            card,
            terms,
            holding: Mutex::default(),
            seen: Mutex::default(),
            moving: AtomicBool::new(false),
            given: Mutex::default(),
            giving: tokio::sync::Mutex::default(),
            takers: AtomicBool::new(false),
            ears: Ears::default(),
            telling: AtomicBool::new(false),
            done: Notify::new(),
            stage: watch::Sender::new(Stage::Joining),
        })
    }

    fn holding(&self) -> MutexGuard<'_, Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All nodes and partitions, as the last beat found them.
    pub fn seen(&self) -> View {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn seat(&self) -> &Seat {
        &self.services.seat
    }

    fn is(&self, stage: &Stage) -> bool {
        *self.stage.borrow() == *stage
    }

    /// Waits until this node works, or has waited for long enough to be given something.
    ///
    /// # Errors
    /// It can never work here.
    pub async fn begun(&self) -> Result<(), StoreError> {
        let mut stage = self.stage.subscribe();
        let out = stage.wait_for(|stage| *stage != Stage::Joining);
        match tokio::time::timeout(self.card.lapse * FIRST_PARTITION, out).await.map(|out| out.map(|s| s.clone())) {
            Ok(Ok(Stage::Barred(why))) => Err(StoreError::Unusable(why)),
            _ => Ok(()),
        }
    }

    /// Ends when this node can never go on; says why.
    pub async fn barred(&self) -> String {
        let mut stage = self.stage.subscribe();
        let out = stage.wait_for(|stage| matches!(stage, Stage::Barred(_))).await.map(|stage| stage.clone());
        match out {
            Ok(Stage::Barred(why)) => why,
            _ => std::future::pending().await,
        }
    }

    /// Runs until the node has left.
    pub async fn run(self: Arc<Self>, wiring: Wiring) {
        let ears = Arc::clone(&self);
        let listening = actix_rt::spawn(async move { ears.ears.listen(&ears.services, &ears.terms).await });
        self.keep(&wiring).await;
        listening.abort();
    }

    async fn keep(self: &Arc<Self>, wiring: &Wiring) {
        while !self.is(&Stage::Ends) {
            let node = match ownership::join(self.store.as_ref(), self.card.clone()).await {
                Ok(node) => node,
                Err(StoreError::Unusable(why)) => {
                    tracing::error!(event = "node.barred", reason = why, "this node cannot share the store");
                    self.stage.send_replace(Stage::Barred(why));
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "this node could not join the others; trying again");
                    tokio::time::sleep(RETRY_AFTER).await;
                    continue;
                }
            };
            self.seat().sit(Some(node.slot));
            tracing::info!(event = "node.joined", node.id = %node.id, node.slot, "this node has joined");
            let express = self.express_partitions(node.slot);
            match self.partitions.begin(&express, wiring).await {
                Ok(()) => bindings::bind(&self.services, &self.services.courier.express_partitions()),
                Err(error) => tracing::error!(%error, "this node takes no express executions"),
            }
            self.live(node, wiring).await;
            self.seat().sit(None);
            self.drop_all();
            // Another node may have this slot now, and the replies with it.
            for (partition, _) in express {
                self.partitions.abandon(partition);
            }
        }
    }

    /// Where the express executions of this node live.
    fn express_partitions(&self, slot: u16) -> Vec<(PartitionId, Epoch)> {
        let threads = u16::try_from(self.services.options.threads).unwrap_or(u16::MAX);
        let partitions = threads.clamp(1, limits::EXPRESS_PARTITIONS_MAX);
        (0..partitions).map(|n| (PartitionId::express(slot, n), Epoch::FIRST)).collect()
    }

    /// One life of this node: until others have buried it, or it has left.
    async fn live(self: &Arc<Self>, node: Node, wiring: &Wiring) {
        let mut seen = Observations::default();
        while !self.is(&Stage::Ends) {
            let (asked, mut wait) = (self.seat().now(), self.terms.pause());
            match self.store.beat().await {
                Ok(view) => {
                    let unheard = self.ears.unheard(self.seat());
                    let look = Look { view: &view, asked, answered: self.seat().now(), unheard };
                    if view.node(node.id).is_some() {
                        let others = view.nodes.len() > 1;
                        self.seat().good_until(asked + self.terms.fence(), others);
                        self.seat().lost_from(others.then(|| asked + self.terms.lost()));
                    }
                    self.seat().meets(view.nodes.iter().map(|node| node.speaks));
                    if let Some(mine) = view.node(node.id) {
                        self.tell_deafness(mine.deaf, look.unheard >= self.terms.deaf());
                    }
                    let acts = step(node.id, &self.holding(), look, &mut seen, &self.terms);
                    if acts == [Act::Rejoin] {
                        tracing::warn!(
                            event = "node.buried",
                            node.id = %node.id,
                            "others took this node for dead: it gives up all partitions and joins again"
                        );
                        return;
                    }
                    let others = view.nodes.iter().filter(|other| other.id != node.id && !other.leaving);
                    let takers = others.filter(|other| seen.lives(other.id, asked, &self.terms)).count() > 0;
                    self.takers.store(takers, Ordering::Relaxed);
                    self.perform(acts, &view, wiring);
                    wait = pause(node.id, &view, &self.terms);
                    *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = view;
                }
                Err(error) => tracing::debug!(%error, "a beat did not arrive"),
            }
            let now = self.seat().now();
            let lapse = seen.next_lapse(node.id, &self.terms).filter(|at| *at > now);
            let wait = lapse.map_or(wait, |at| at.saturating_sub(now)).min(wait);
            // A little after the lapse: sleeps are measured in whole milliseconds.
            let _ = tokio::time::timeout(wait + Duration::from_millis(1), self.done.notified()).await;
        }
    }

    /// Corrects this node's row, which says whether it is deaf (`told`).
    fn tell_deafness(self: &Arc<Self>, told: bool, deaf: bool) {
        if told == deaf || self.telling.swap(true, Ordering::AcqRel) {
            return;
        }
        if deaf {
            tracing::warn!(
                event = "node.deaf",
                "this node does not reach the broker; others that do get its partitions"
            );
        }
        let this = Arc::clone(self);
        actix_rt::spawn(async move {
            if let Err(error) = this.store.announce_deaf(deaf).await {
                tracing::debug!(%error, "the others could not be told whether this node reaches the broker");
            }
            this.telling.store(false, Ordering::Release);
            this.done.notify_one();
        });
    }

    fn perform(self: &Arc<Self>, acts: Vec<Act>, view: &View, wiring: &Wiring) {
        let (mut dead, mut claims) = (Vec::new(), Vec::new());
        for act in acts {
            match act {
                Act::Rejoin => {}
                Act::Drop(partition) => self.lose(partition),
                Act::Begin(partition, epoch) => self.begin(partition, epoch, "received", wiring),
                Act::Bury(node, beat) => dead.push((node, beat)),
                Act::Claim(wanted) => claims = wanted,
                Act::Give(gift) => self.give(gift),
            }
        }
        if (dead.is_empty() && claims.is_empty()) || self.moving.swap(true, Ordering::AcqRel) {
            return;
        }
        let names = |id: NodeId| view.node(id).map_or_else(String::new, |node| node.name.clone());
        let dead: Vec<(NodeId, u64, String)> = dead.into_iter().map(|(id, beat)| (id, beat, names(id))).collect();
        let (this, wiring) = (Arc::clone(self), wiring.clone());
        actix_rt::spawn(async move {
            if let Err(error) = this.take_over(dead, claims, &wiring).await {
                tracing::warn!(%error, "partitions of a dead node could not be taken over; trying again");
                // Not at once: the store may be waiting for a lock.
                tokio::time::sleep(this.terms.pause()).await;
            }
            this.moving.store(false, Ordering::Release);
            this.done.notify_one();
        });
    }

    async fn take_over(
        self: &Arc<Self>,
        dead: Vec<(NodeId, u64, String)>,
        claims: Vec<(PartitionId, Epoch)>,
        wiring: &Wiring,
    ) -> Result<(), StoreError> {
        for (id, beat, name) in dead {
            if self.store.bury(id, beat).await? {
                tracing::warn!(
                    event = "node.lapsed",
                    node = name,
                    node.id = %id,
                    "a node is gone: its beat stood still"
                );
            }
        }
        if !claims.is_empty() {
            for (partition, epoch) in self.store.claim(claims).await? {
                self.begin(partition, epoch, "claimed", wiring);
            }
        }
        Ok(())
    }

    fn begin(self: &Arc<Self>, partition: PartitionId, epoch: Epoch, why: &'static str, wiring: &Wiring) {
        let (begun, now) = {
            let mut holding = self.holding();
            // A partition that is still on its way to another node is begun at the next look.
            let waits = self.is(&Stage::Ends) || holding.going.contains(&partition);
            if waits || !holding.begins(partition, epoch, self.seat().now()) {
                return;
            }
            // At once: a look right after this one may find it lost, and then it must be there to be let go.
            (self.partitions.begin(&[(partition, epoch)], wiring), holding.held.len())
        };
        tracing::info!(event = "partition.taken", %partition, epoch = epoch.0, why, "this node owns the partition now");
        self.services.metrics.partition_moved(why, now);
        let this = Arc::clone(self);
        actix_rt::spawn(async move {
            match begun.await {
                Ok(()) => {
                    this.stage.send_if_modified(|stage| {
                        let first = *stage == Stage::Joining;
                        if first {
                            *stage = Stage::Works;
                        }
                        first
                    });
                }
                Err(error) => {
                    tracing::warn!(%partition, %error, "a partition could not begin; trying again");
                    tokio::time::sleep(RETRY_AFTER).await;
                    // A look finds that it is this node's, and does not run.
                    let mut holding = this.holding();
                    if holding.held.get(&partition) == Some(&epoch) && !holding.going.contains(&partition) {
                        holding.ends(partition, epoch, this.seat().now());
                        this.partitions.abandon(partition);
                    }
                }
            }
        });
    }

    fn lose(&self, partition: PartitionId) {
        let mut holding = self.holding();
        if holding.going.contains(&partition) {
            return;
        }
        holding.loses(partition);
        self.partitions.abandon(partition);
        tracing::warn!(event = "partition.lost", %partition, "another node owns the partition now");
        self.services.metrics.partition_moved("lost", holding.held.len());
    }

    fn drop_all(&self) {
        let mut holding = self.holding();
        // The next life of this node has another id.
        holding.over.clear();
        while let Some((partition, _)) = holding.held.pop_first() {
            self.partitions.abandon(partition);
            self.services.metrics.partition_moved("lost", holding.held.len());
        }
    }

    fn give(self: &Arc<Self>, gift: Gift) {
        let partition = gift.partition;
        self.holding().going.insert(partition);
        let this = Arc::clone(self);
        actix_rt::spawn(async move {
            if this.ears.unheard(this.seat()) >= this.terms.deaf() {
                // Its work in progress waits for the broker.
                this.partitions.abandon(partition);
            } else {
                this.partitions.release(partition).await;
            }
            this.given.lock().unwrap_or_else(PoisonError::into_inner).push(gift);
            let _turn = this.giving.lock().await;
            let gifts = std::mem::take(&mut *this.given.lock().unwrap_or_else(PoisonError::into_inner));
            // None: it was given with others.
            if !gifts.is_empty() {
                let given = this.store.give(gifts.clone()).await;
                this.gave(&gifts, &given);
            }
        });
    }

    fn gave(&self, gifts: &[Gift], given: &Result<(), StoreError>) {
        for Gift { partition, epoch, to } in gifts {
            let (again, now) = {
                let mut holding = self.holding();
                holding.going.remove(partition);
                let again = holding.is_over(*partition, *epoch);
                holding.ends(*partition, *epoch, self.seat().now());
                (again, holding.held.len())
            };
            match given {
                // It had ended here before: to another node at last, or to this one.
                Ok(()) if again => tracing::debug!(%partition, node.id = %to, "a partition has a new epoch"),
                Ok(()) => {
                    tracing::info!(event = "partition.given", %partition, node.id = %to, "another node gets it");
                    self.services.metrics.partition_moved("given", now);
                }
                // A look finds whose it is.
                Err(error) => tracing::warn!(%partition, %error, "a partition could not be given away"),
            }
        }
        self.done.notify_one();
    }

    /// Gives all partitions to the others, where there are any. Returns when that is done.
    pub async fn hand_over(&self) {
        if !self.takers.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.store.announce_leave().await {
            tracing::warn!(%error, "this node could not tell the others that it leaves; they take over after a lapse");
            return;
        }
        self.done.notify_one();
        while !self.holding().held.is_empty() && self.takers.load(Ordering::Relaxed) {
            tokio::time::sleep(HANDED_OVER_LOOK).await;
        }
    }

    /// The beat ends, and this node's row goes. Its partitions are free for others.
    pub async fn leave(&self) {
        self.stage.send_replace(Stage::Ends);
        self.done.notify_one();
        match self.store.leave().await {
            Ok(()) => tracing::info!(event = "node.left", "this node has left"),
            Err(error) => tracing::warn!(%error, "this node's row is still there; others wait a lapse for it"),
        }
    }
}

/// How often a node that leaves looks whether it has given everything away.
const HANDED_OVER_LOOK: Duration = Duration::from_millis(10);
