//! Starts and messages are let in, or refused.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::bus::{Address, BusHealth, Message};
use crate::engine::services::Services;
use crate::engine::services::admission::{ChildPermit, Kind, Permit, admits};
use crate::engine::types::EngineError;
use crate::ids::Arn;
use crate::limits::{self, EngineBounds};

impl Services {
    /// For metrics: starts that wait for the store, task messages that wait for the broker.
    pub(in crate::engine) fn work_in_progress(&self) -> (usize, usize) {
        let load = self.admission.load();
        (load.starts, load.unpublished)
    }

    /// Lets one more start in, or refuses it because too much is under way. Held until the start is durable.
    pub(in crate::engine) fn admit(self: &Arc<Self>) -> Result<Permit, EngineError> {
        let EngineBounds { starts_max, unpublished_max, .. } = self.options.bounds;
        let admitted = admits(self.admission.load(), starts_max, unpublished_max);
        match admitted.and_then(|()| self.footprint.refusal().map_or(Ok(()), Err)) {
            Ok(()) => {
                if self.admission.throttling.swap(false, Ordering::AcqRel) {
                    tracing::info!(event = "start.unthrottled", "new starts are let in again");
                }
                Ok(Permit::begin(&self.admission, Kind::Start))
            }
            Err(full) => {
                self.metrics.start_throttled();
                let why = match self.bus.health() {
                    BusHealth::Up => full,
                    BusHealth::Blocked(alarm) => format!("{full}; the broker takes none now: {alarm}"),
                    BusHealth::Down(lost) => format!("{full}; the broker cannot be reached: {lost}"),
                };
                if !self.admission.throttling.swap(true, Ordering::AcqRel) {
                    tracing::warn!(event = "start.throttled", reason = why, "new starts are refused: {why}");
                }
                Err(EngineError::Busy(format!("Rate exceeded: {why}; try again later")))
            }
        }
    }

    /// The same for the start of a task. Children take turns, so that replies and callers never stand in line behind
    /// thousands of them, and leave half of the room to callers; those that are refused are tried again.
    pub(in crate::engine) async fn admit_child(self: &Arc<Self>) -> Result<ChildPermit<'_>, EngineError> {
        // It is never closed.
        let turn = self.admission.child_starts.acquire().await.ok();
        let starts = self.admission.load().starts;
        if starts >= self.options.bounds.starts_max.div_ceil(2) {
            return Err(EngineError::Busy(format!(
                "{starts} starts wait for the store, half of what engine.starts_max lets in: a child waits"
            )));
        }
        if let Some(why) = self.footprint.refusal_of_child() {
            return Err(EngineError::Busy(format!("{why}: a child waits")));
        }
        Ok(ChildPermit { _turn: turn, _start: Permit::begin(&self.admission, Kind::Start) })
    }

    /// True where a start that has waited so long for room waits no longer: machines that start themselves may hold all
    /// the room that its children wait for.
    pub(in crate::engine) fn child_gives_up(&self, waited: Duration) -> bool {
        waited >= limits::CHILD_PATIENCE && self.footprint.refusal_of_child().is_some()
    }

    /// The start of a child must wait. Nothing is wrong with the child, and thousands may wait together: told once.
    pub(in crate::engine) fn child_waits(&self, execution: &Arn, reason: &str) {
        if self.admission.children.waits(self.clock.now()) {
            tracing::warn!(
                event = "child.delayed",
                execution.arn = %execution,
                reason,
                "starts of children wait, and are tried again until they go through: {reason}"
            );
        } else {
            tracing::debug!(execution.arn = %execution, reason, "a child's start waits");
        }
    }

    /// A child was started.
    pub(in crate::engine) fn child_starts(&self) {
        if self.admission.children.starts(self.clock.now()) {
            tracing::info!(event = "child.resumed", "no start of a child waits any more");
        }
    }

    /// Task messages of so many bytes that are on the way to the broker.
    pub(in crate::engine) fn publishing(self: &Arc<Self>, bytes: usize) -> Permit {
        Permit::begin(&self.admission, Kind::Publish { bytes })
    }

    /// Publishes a notice. While the broker has not taken the last ten thousand notices, more are dropped: they must
    /// not fill the memory while no consumer can read them.
    pub(in crate::engine) fn publish_best_effort(self: &Arc<Self>, to: Address, message: Message) {
        let waiting = self.admission.notices.load(Ordering::Acquire);
        if waiting >= limits::ASIDES_MAX {
            self.metrics.aside_dropped();
            if !self.admission.dropping.swap(true, Ordering::AcqRel) {
                tracing::warn!(
                    event = "aside.dropped",
                    count = waiting,
                    "verdicts and cancellations are dropped: the broker has not taken those before (ASIDES_MAX)"
                );
            }
            return;
        }
        if waiting < limits::ASIDES_MAX / 2 {
            self.admission.dropping.store(false, Ordering::Release);
        }
        let (services, permit) = (Arc::clone(self), Permit::begin(&self.admission, Kind::Notice));
        actix_rt::spawn(async move {
            // A notice without a consumer is no error.
            let _ = services.bus.publish(to, message).await;
            drop(permit);
        });
    }
}
