//! Executions come back from their journals: when a message is for one, and after a start those that owe something.

use std::rc::Rc;
use std::sync::Arc;

use actix::Actor;
use futures_util::FutureExt;

use crate::engine::execution::actor::ExecutionActor;
use crate::engine::execution::host::Host;
use crate::engine::journal::load;
use crate::engine::services::RETRY_AFTER;
use crate::engine::types::{DeliverError, EngineError};
use crate::ids::ExecutionId;
use crate::interpreter::state::{Outcome, Phase, State};
use crate::store::StoreError;

use super::registry::Active;
use super::state::PartitionState;

/// Executions recovered at once after a start.
const RECOVERY_PAGE: u32 = 200;

impl PartitionState {
    /// Those that wait for the end get it. `owes_end`: so must a parent or map runs.
    pub(super) fn tell_end(&self, execution: ExecutionId, state: &State, owes_end: bool, outcome: &Outcome) {
        self.tell_waiters(execution, || Ok(outcome.clone()));
        if owes_end || state.started().is_some_and(|s| s.map_run.is_some()) {
            Arc::clone(&self.wiring.effects).ended(execution, state, owes_end, outcome);
        }
    }

    /// The actor of an execution, from memory or from its journal.
    pub(super) async fn active(self: &Rc<Self>, execution: ExecutionId) -> Result<Active, DeliverError> {
        if let Some(active) = self.registry.find(execution) {
            return Ok(active);
        }
        if self.is_ended() {
            return Err(DeliverError::NotHere(self.id));
        }
        let revival = {
            let mut reviving = self.reviving.borrow_mut();
            if let Some(revival) = reviving.get(&execution) {
                revival.clone()
            } else {
                let partition = Rc::clone(self);
                let revival = async move {
                    let revived = partition.revive(execution).await;
                    partition.services.quarantine.record_load(execution, &revived).await;
                    partition.reviving.borrow_mut().remove(&execution);
                    revived
                };
                let revival = revival.boxed_local().shared();
                reviving.insert(execution, revival.clone());
                revival
            }
        };
        revival.await
    }

    async fn revive(self: &Rc<Self>, execution: ExecutionId) -> Result<Active, DeliverError> {
        let room = self.services.footprint.room().await;
        let loaded = load::whole(&self.services, execution).await?;
        let row = self.services.journal.execution(execution).await?.ok_or(DeliverError::NoExecution(execution))?;
        let machine = self.services.definitions.revision(row.header.revision).await.map_err(|e| match e {
            EngineError::Store(e) => DeliverError::Store(e),
            other => DeliverError::Internal(other.to_string()),
        })?;
        if self.is_ended() {
            // It ended while the journal was read: its next owner may have gone on already.
            return Err(DeliverError::NotHere(self.id));
        }
        let bus_kept = !self.redispatch_all.borrow_mut().remove(&execution);
        let incarnation = self.registry.incarnation();
        let mut actor = ExecutionActor::revived(
            Arc::clone(&self.services),
            Rc::<Self>::clone(self),
            incarnation,
            &row,
            machine,
            loaded,
            bus_kept,
        );
        actor.unsure = self.unsure.borrow_mut().has(execution);
        if let Phase::Closed(outcome) = actor.state.phase() {
            self.unsure.borrow_mut().remove(execution);
            // Its end landed, and its writer did not learn that: those that wait are told now.
            self.tell_end(execution, &actor.state, row.summary.owes_parent, outcome);
        }
        drop(room);
        let active = Active { incarnation, addr: actor.start() };
        self.insert(execution, active.clone());
        Ok(active)
    }

    /// Recovers, again and again where several nodes share the store. A second life in the same epoch would not know of
    /// an append of the first that is under way, and the store would let that append through.
    pub(super) async fn recovered(self: &Rc<Self>) -> Result<(), DeliverError> {
        loop {
            match self.recover().await {
                Ok(()) if self.is_ended() => return Err(DeliverError::NotHere(self.id)),
                Err(error) if self.services.courier.away().has_others() && !self.is_ended() => {
                    tracing::warn!(partition = %self.id, %error, "a partition could not recover; trying again");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                recovered => return recovered,
            }
        }
    }

    /// Performs the debts of all executions after a start. Sleepers that owe nothing stay asleep.
    async fn recover(self: &Rc<Self>) -> Result<(), DeliverError> {
        if self.id.is_express() {
            // Nothing of it is in the store.
            return Ok(());
        }
        self.fetch_due().await?;
        let mut after = None;
        loop {
            let rows = self.services.journal.owing(self.id, after, RECOVERY_PAGE).await?;
            let Some(last) = rows.last().map(|r| r.header.id) else { break };
            if !self.services.bus.is_durable() {
                self.redispatch_all.borrow_mut().extend(rows.iter().map(|row| row.header.id));
            }
            let revivals = rows.iter().map(|row| self.active(row.header.id));
            for (row, result) in rows.iter().zip(futures_util::future::join_all(revivals).await) {
                if self.is_ended() {
                    return Err(DeliverError::NotHere(self.id));
                }
                if let Err(e) = result
                    && !e.is_corrupt()
                {
                    tracing::error!(
                        execution.arn = %row.header.arn,
                        error = %e,
                        "this execution cannot be recovered; all others go on"
                    );
                    // Where the store could not answer just now it is asked again: nothing else may touch this
                    // execution for a long time.
                    if matches!(e, DeliverError::Store(StoreError::Unavailable(_))) {
                        Rc::clone(self).revive_later(row.header.id, false);
                    }
                }
            }
            after = Some(last);
        }
        self.spawn(Rc::clone(self).settle_owed());
        Ok(())
    }

    /// Settles the ends that the former owner has not settled, some at a time. No message of the partition waits for
    /// that.
    async fn settle_owed(self: Rc<Self>) {
        let mut after = None;
        while !self.is_draining() {
            match self.services.journal.owing_parents(self.id, after, RECOVERY_PAGE).await {
                Ok(rows) => {
                    let Some(last) = rows.last().map(|row| row.header.id) else { return };
                    after = Some(last);
                    for row in rows {
                        Arc::clone(&self.wiring.effects).settle_end(row.header.id);
                    }
                    Arc::clone(&self.wiring.effects).settles_more().await;
                }
                Err(error) => {
                    tracing::warn!(
                        partition = %self.id,
                        %error,
                        "ends that others wait for could not be read; trying again"
                    );
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }
}
