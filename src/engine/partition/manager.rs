//! The partitions of this engine: each begins and is released by itself, and owns its executions under an epoch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};
use futures_util::future::join_all;

use crate::engine::services::Services;
use crate::engine::services::courier::Route;
use crate::engine::types::DeliverError;
use crate::ids::PartitionId;
use crate::store::Epoch;

use super::actor::Partition;
use super::messages::{Abandon, Beat, Begin, Drain, Release};
use super::state::{Ended, Wiring};

/// Work in progress of a partition that is let go has so long to end. Beyond that it is as after a crash.
const RELEASED_WITHIN: Duration = Duration::from_secs(2);

pub(in crate::engine) struct PartitionManager {
    services: Arc<Services>,
    /// Threads that partitions are spread over; none: all on the caller's own.
    arbiters: Vec<Arbiter>,
    partitions: Arc<Mutex<BTreeMap<PartitionId, Running>>>,
}

/// A partition that runs here.
#[derive(Clone)]
struct Running {
    address: Addr<Partition>,
    ended: Ended,
}

impl PartitionManager {
    pub fn new(services: Arc<Services>) -> Self {
        let arbiters = (0..services.options.threads).map(|_| Arbiter::new()).collect();
        Self { services, arbiters, partitions: Arc::default() }
    }

    fn partitions(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Running>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins these partitions as their owner of these epochs: all take messages before the first of them recovers,
    /// since an execution of one may owe something to an execution of another. They are here when this returns, so a
    /// partition can be let go at once; the future tells when they have recovered.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn begin(
        &self,
        owned: &[(PartitionId, Epoch)],
        wiring: &Wiring,
    ) -> impl Future<Output = Result<(), DeliverError>> + use<> {
        let open = |(id, epoch): &(PartitionId, Epoch)| self.open(*id, *epoch, wiring.clone());
        let begun: Vec<Addr<Partition>> = owned.iter().map(open).collect();
        async move {
            for begins in join_all(begun.iter().map(|partition| partition.send(Begin))).await {
                begins.map_err(|_| DeliverError::Closed)??;
            }
            Ok(())
        }
    }

    /// A former life of the partition here is over.
    fn open(&self, id: PartitionId, epoch: Epoch, wiring: Wiring) -> Addr<Partition> {
        let own = usize::from(id.0).checked_rem(self.arbiters.len()).and_then(|at| self.arbiters.get(at));
        let arbiter = own.map_or_else(Arbiter::current, Arbiter::handle);
        let ended = Ended::default();
        let its = ended.clone();
        let address = Partition::start_in_arbiter(&arbiter, move |_| Partition::new(id, epoch, wiring, its));
        let route = Route {
            epoch,
            deliver: address.clone().recipient(),
            start: address.clone().recipient(),
            run_to_end: address.clone().recipient(),
            await_end: address.clone().recipient(),
        };
        self.services.courier.route(id, Some(route));
        let former = self.partitions().insert(id, Running { address: address.clone(), ended });
        if let Some(former) = former {
            abandon(former);
        }
        address
    }

    /// Lets a partition go: nothing new comes in, work in progress ends, and nothing of it runs here any more. Another
    /// owner, or this one under a new epoch, goes on from the store.
    pub async fn release(&self, id: PartitionId) {
        self.services.courier.route(id, None);
        let released = self.partitions().remove(&id);
        if let Some(partition) = released
            // An actor that has ended needs no release.
            && tokio::time::timeout(RELEASED_WITHIN, partition.address.send(Release)).await.is_err()
        {
            abandon(partition);
        }
    }

    /// Lets a partition go that another owns already: nothing of it counts here any more.
    pub fn abandon(&self, id: PartitionId) {
        self.services.courier.route(id, None);
        if let Some(partition) = self.partitions().remove(&id) {
            abandon(partition);
        }
    }

    /// Work in progress of all partitions ends; waiting executions go on after the next start.
    pub async fn drain(&self) {
        let all: Vec<Addr<Partition>> = self.partitions().values().map(|running| running.address.clone()).collect();
        join_all(all.iter().map(|partition| partition.send(Drain))).await;
    }

    /// Asks each partition that `wanted` names whether it is there, and tells `answered` of each that is.
    pub fn beat(&self, wanted: impl Fn(PartitionId) -> bool, answered: impl Fn(PartitionId) + Clone + 'static) {
        for (id, Running { address, .. }) in self.partitions().iter().filter(|(id, _)| wanted(**id)) {
            let (id, answer, answered) = (*id, address.send(Beat), answered.clone());
            let (address, partitions) = (address.clone(), Arc::clone(&self.partitions));
            actix_rt::spawn(async move {
                let answer = answer.await;
                // A partition that died owes its answer for ever, a released partition does not.
                let is_here = || {
                    let partitions = partitions.lock().unwrap_or_else(PoisonError::into_inner);
                    partitions.get(&id).is_some_and(|running| running.address == address)
                };
                if answer.is_ok() || !is_here() {
                    answered(id);
                }
            });
        }
    }

    /// Lets all go.
    pub async fn release_all(&self) {
        let ids: Vec<PartitionId> = self.partitions().keys().copied().collect();
        join_all(ids.into_iter().map(|id| self.release(id))).await;
    }

    /// The threads end, and all that runs on them.
    pub fn stop(&self) {
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }

    #[cfg(test)]
    pub fn arbiters(&self) -> &[Arbiter] {
        &self.arbiters
    }
}

/// Nothing of it counts from now on; its work ends when its mailbox comes to it.
fn abandon(partition: Running) {
    partition.ended.set();
    // An actor that has ended already need not hear it.
    actix_rt::spawn(async move { partition.address.send(Abandon).await });
}
