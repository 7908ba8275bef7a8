//! A partition's clock: due executions are fired, executions that become due soon are fetched from the store, idle
//! executions leave memory.

use std::rc::Rc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::engine::execution::host::Host;
use crate::engine::services::{RETRY_AFTER, footprint};
use crate::engine::types::{Deliver, Delivered, Input};
use crate::ids::{ExecutionId, PartitionId};
use crate::interpreter::stimulus::StimulusKind;

use super::backlog::Planned;
use super::housekeeping;
use super::state::PartitionState;

/// The partition that does the housekeeping.
const HOUSEKEEPER: PartitionId = PartitionId(0);
/// So many executions that left memory, or were packed, are worth the allocator's trouble of giving pages back.
const TRIM_AFTER_LEFT: usize = 1_000;

impl PartitionState {
    /// Fires all due executions, and waits for the next due time. Runs as long as the partition.
    ///
    /// Due times are moments of the wall clock, and a sleep is measured by another clock: the wall clock is put forward
    /// and back, and a machine that sleeps stops the other clock. So no sleep is longer than `clock_check`, and each
    /// round asks the wall clock again. This is the only place that sleeps until a moment of the wall clock.
    pub(super) async fn keep_time(self: Rc<Self>) {
        // A partition that stops begins nothing new: its timers are in the store.
        while !self.is_draining() {
            self.backlog.released_soon().await;
            let now = self.services.clock.now();
            let fetches = !self.id.is_express() && self.timers.borrow().fetch_is_due(now);
            if fetches && !self.fetching.replace(true) {
                actix_rt::spawn(Rc::clone(&self).fetch_soon());
            }
            self.fire_due(now).await;
            let next = self.timers.borrow_mut().next();
            let check = self.services.options.clock_check;
            let now = self.services.clock.now();
            let wait = next.map_or(check, |at| at.since(now).min(check));
            let planned = Planned::after(wait, now);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.sooner.notified() => {}
            }
            self.backlog.woke(planned, self.services.clock.now());
        }
    }

    /// Fires the executions that are due at `now`.
    async fn fire_due(self: &Rc<Self>, now: Timestamp) {
        loop {
            // After a long sleep very many may be due at once.
            if self.firing.get() >= crate::limits::FIRING_MAX {
                self.fired.notified().await;
                continue;
            }
            let Some((execution, due)) = self.timers.borrow_mut().pop(now) else { break };
            self.backlog.looks_at(execution);
            self.firing.set(self.firing.get() + 1);
            let partition = Rc::clone(self);
            actix_rt::spawn(async move {
                partition.fire(execution, due).await;
                partition.firing.set(partition.firing.get() - 1);
                partition.fired.notify_one();
            });
        }
    }

    async fn fire(self: &Rc<Self>, execution: ExecutionId, due: Timestamp) {
        let input = Input::Stimulus(StimulusKind::Clock);
        match Delivered::from(self.deliver(Deliver { execution, input }).await) {
            // An unreadable execution stands still until its journal is mended; the log has said so.
            Delivered::Applied(_) | Delivered::Refused(_) | Delivered::Gone(_) | Delivered::Unreadable(_) => {}
            Delivered::Later(e) => {
                tracing::warn!(execution.id = %execution, error = %e, "a timer could not be handled; it comes again");
                tokio::time::sleep(RETRY_AFTER).await;
                // At its own moment: `now` may be a clock that is put right meanwhile.
                self.timers.borrow_mut().arm_unless_armed(execution, due);
                self.sooner.notify_one();
            }
        }
    }

    /// Fetches executions that become due soon, beside the timers. Where the store does not answer, again after a
    /// while.
    async fn fetch_soon(self: Rc<Self>) {
        match self.fetch_due().await {
            Ok(()) => self.fetch_failing.set(false),
            Err(e) => {
                if !self.fetch_failing.replace(true) {
                    tracing::warn!(
                        partition = %self.id,
                        error = %e,
                        "executions that are due soon could not be read; trying again"
                    );
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
        self.fetching.set(false);
        self.sooner.notify_one();
    }

    /// Lets idle executions leave memory, and does the housekeeping.
    pub(super) async fn sweep(self: Rc<Self>) {
        let options = &self.services.options;
        let mut asleep = Duration::ZERO;
        loop {
            tokio::time::sleep(options.sweep).await;
            asleep += options.sweep;
            if self.id == HOUSEKEEPER && asleep >= options.horizon / 2 {
                asleep = Duration::ZERO;
                housekeeping::run(&self.services).await;
            }
            let left = self.passivate(options.passivate_after, false).await;
            if left + self.packed_lately.take() >= TRIM_AFTER_LEFT {
                // Until then the actors that left have ended.
                tokio::time::sleep(Duration::from_secs(1)).await;
                crate::memory::give_back();
            }
        }
    }

    /// While memory is short idle executions that hold much leave it; where it is nearly full, all that are idle. Runs
    /// as long as the partition.
    pub(super) async fn make_room(self: Rc<Self>) {
        let mut pause = footprint::LOOK;
        let all = &self.services.footprint;
        loop {
            all.gets_tight().await;
            tokio::time::sleep(pause).await;
            let heavy_only = !all.is_nearly_full();
            let left = if all.is_tight() { self.passivate(Duration::ZERO, heavy_only).await } else { 1 };
            // Where the many hold little each look finds none, and takes a message to each.
            pause = if left > 0 { footprint::LOOK } else { (2 * pause).min(self.services.options.sweep) };
        }
    }

    /// Arms everything in the store that is due within the horizon.
    pub async fn fetch_due(&self) -> Result<(), crate::store::StoreError> {
        let options = &self.services.options;
        let (now, length) = (self.services.clock.now(), options.horizon);
        self.timers.borrow_mut().begin_fetch(now, length);
        let due = self.services.journal.due(self.id, now.plus(length), options.due_fetched).await?;
        let last =
            due.last().map(|(_, at)| (due.len(), *at)).filter(|(count, _)| *count >= options.due_fetched as usize);
        for (execution, at) in due {
            self.arm(execution, Some(at));
        }
        let mut timers = self.timers.borrow_mut();
        match last {
            None => timers.fetched(now, length),
            Some(some) => timers.fetched_some(now, some, options.clock_check),
        }
        Ok(())
    }
}
