//! A partition's clock: what is due is fired, what becomes due soon is fetched from the store, what is idle leaves
//! memory.

use std::rc::Rc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::messages::{Tell, TellError, What};
use crate::engine::{HOUSEKEEPER, RETRY_AFTER, housekeeping};
use crate::ids::ExecutionId;
use crate::interpreter::stimulus::StimulusKind;

use super::Local;

/// So many executions that left memory, or were packed, are worth the allocator's trouble of giving pages back.
const CROWD: usize = 1_000;

impl Local {
    /// Fires everything that is due, and waits for what is due next. Runs as long as the partition.
    pub(super) async fn keep_time(self: Rc<Self>) {
        loop {
            let now = self.shared.clock.now();
            loop {
                // After a long sleep very many may be due at once.
                if self.firing.get() >= crate::limits::FIRING_MAX {
                    self.fired.notified().await;
                    continue;
                }
                let Some(execution) = self.timers.borrow_mut().pop(now) else { break };
                self.firing.set(self.firing.get() + 1);
                let local = Rc::clone(&self);
                actix_rt::spawn(async move {
                    local.fire(execution).await;
                    local.firing.set(local.firing.get() - 1);
                    local.fired.notify_one();
                });
            }
            let next = self.timers.borrow_mut().next();
            let wait = next.map_or(self.shared.options.horizon, |at| at.since(self.shared.clock.now()));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    async fn fire(self: &Rc<Self>, execution: ExecutionId) {
        match self.tell(Tell { execution, what: What::Stimulus(StimulusKind::Clock) }).await {
            Ok(_) | Err(TellError::Rejected(_) | TellError::NoExecution(_)) => {}
            // It stands still until somebody has mended it; the log has said so.
            Err(e) if e.is_corrupt() => {}
            Err(e) => {
                tracing::warn!(execution.id = %execution, error = %e, "a timer could not be handled; it comes again");
                self.arm(execution, Some(self.shared.clock.now().plus(RETRY_AFTER)));
            }
        }
    }

    /// Fetches from the store what becomes due before the next sweep, and lets idle executions leave memory.
    pub(super) async fn sweep(self: Rc<Self>) {
        let options = &self.shared.options;
        let mut asleep = Duration::ZERO;
        loop {
            // Rooms are swept often; the store's index is asked when half of the horizon has gone.
            let pause = options.sweep;
            tokio::time::sleep(pause).await;
            asleep += pause;
            if asleep >= options.horizon / 2 {
                asleep = Duration::ZERO;
                if self.id == HOUSEKEEPER {
                    housekeeping::run(&self.shared).await;
                }
                if let Err(e) = self.fetch_due().await {
                    tracing::warn!(partition = %self.id, error = %e, "what is due soon could not be read; trying again");
                    asleep = options.horizon;
                }
            }
            let age = options.passivate_after;
            let now = self.shared.clock.now();
            let left = self
                .passivate(Timestamp::from_millis(now.millis() - i64::try_from(age.as_millis()).unwrap_or(i64::MAX)))
                .await;
            if left + self.rested.take() >= CROWD {
                // Until then the actors that left have ended.
                tokio::time::sleep(Duration::from_secs(1)).await;
                crate::memory::give_back();
            }
        }
    }

    /// Arms everything in the store that is due within the horizon.
    pub async fn fetch_due(&self) -> Result<(), crate::store::StoreError> {
        let horizon = self.shared.clock.now().plus(self.shared.options.horizon);
        self.timers.borrow_mut().set_horizon(horizon);
        let due = self.shared.journal.due(self.id, horizon, u32::MAX).await?;
        for (execution, at) in due {
            self.arm(execution, Some(at));
        }
        Ok(())
    }
}
