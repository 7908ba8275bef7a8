//! The partition as its executions see it.

use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;

use crate::asl::resource::Resource;
use crate::clock::Timestamp;
use crate::engine::execution::effects::{Calls, Effects};
use crate::engine::execution::host::{Host, Incarnation};
use crate::engine::execution::message::PendingReply;
use crate::engine::execution::state_cell::StateCell;
use crate::engine::execution::turns::Turns;
use crate::engine::journal::summary::owes_end;
use crate::engine::services::RETRY_AFTER;
use crate::engine::types::{Applied, DeliverError};
use crate::ids::ExecutionId;
use crate::interpreter::state::{Outcome, State};
use crate::limits;
use crate::store::{StoreError, Tenure};

use super::state::PartitionState;

impl Host for PartitionState {
    fn tenure(&self) -> Tenure {
        Tenure { partition: self.id, epoch: self.epoch }
    }

    fn may_be_behind(&self) -> bool {
        self.is_ended() || !(self.id.is_express() || self.services.seat.is_sure())
    }

    fn reply_queue(&self) -> &str {
        &self.reply_queue
    }

    fn resource(&self, arn: &Arc<str>) -> Option<Rc<Resource>> {
        self.resources.parse(arn)
    }

    fn holds_timeouts(&self) -> bool {
        self.backlog.is_held()
    }

    fn turns(&self) -> Turns {
        self.turns.clone()
    }

    fn arm(&self, execution: ExecutionId, due: Option<Timestamp>) {
        let is_due = due.is_some_and(|at| self.backlog.is_held() && at <= self.services.clock.now());
        let due = due.filter(|_| !(is_due && self.backlog.keeps(execution)));
        if self.timers.borrow_mut().arm(execution, due) {
            self.sooner.notify_one();
        }
    }

    fn defer(&self, execution: ExecutionId) {
        self.deferred.borrow_mut().push_back((Instant::now() + self.services.options.confirm_linger, execution));
        self.defers.notify_one();
    }

    fn pack(&self, state: &mut StateCell) -> Option<u64> {
        let packed = state.pack(&mut self.templates.borrow_mut());
        self.packed_lately.set(self.packed_lately.get() + usize::from(packed.is_some()));
        packed
    }

    fn forget(&self, execution: ExecutionId, incarnation: Incarnation) {
        if self.registry.remove(execution, incarnation) {
            self.services.metrics.execution_slept();
        }
    }

    fn revive_later(self: Rc<Self>, execution: ExecutionId, is_new: bool) {
        actix_rt::spawn(async move {
            let mut pause = RETRY_AFTER;
            loop {
                tokio::time::sleep(pause).await;
                let e = match self.active(execution).await {
                    Ok(_) => return,
                    Err(DeliverError::NoExecution(_) | DeliverError::Store(StoreError::NotFound { .. })) => {
                        if !is_new || pause >= limits::CREATION_LOOK_MAX {
                            // It was never made.
                            return;
                        }
                        pause *= 2;
                        continue;
                    }
                    // Its next owner finds it.
                    Err(e) if e.is_handover() => return,
                    Err(e) => e,
                };
                tracing::warn!(execution.id = %execution, error = %e, "an execution could not be revived");
                if !matches!(e, DeliverError::Store(StoreError::Unavailable(_))) {
                    return;
                }
            }
        });
    }

    fn unsure(&self, execution: ExecutionId, unsure: bool) {
        let mut all = self.unsure.borrow_mut();
        if unsure {
            all.add(execution);
        } else {
            all.remove(execution);
        }
    }

    fn not_begun(&self, execution: ExecutionId, incarnation: Incarnation, error: &DeliverError) {
        self.forget(execution, incarnation);
        self.tell_waiters(execution, || Err(error.clone()));
    }

    fn settle(self: Rc<Self>, incarnation: Incarnation, reply: PendingReply, result: Result<Applied, DeliverError>) {
        self.registry.answered(reply.key.execution, incarnation);
        self.wiring.replies.settle(&self, incarnation, reply, result.into());
    }

    fn ended(&self, execution: ExecutionId, state: &State, outcome: &Outcome) {
        self.arm(execution, None);
        let owes = owes_end(state) || self.services.announces(state);
        self.tell_end(execution, state, owes, outcome);
    }

    fn lost(&self, execution: ExecutionId) {
        self.arm(execution, None);
        self.tell_waiters(execution, || {
            Err(DeliverError::Internal("the execution was lost before its end".to_owned()))
        });
    }

    fn effects(&self) -> Arc<dyn Effects> {
        Arc::clone(&self.wiring.effects)
    }

    fn calls(&self) -> Arc<dyn Calls> {
        Arc::clone(&self.wiring.calls)
    }
}
