//! Confirms that wait for their replies, to be written with them; and executions that nothing happens to, to be packed.

use std::rc::Rc;

use tokio::time::Instant;

use crate::engine::execution::message::{Message, Responder};
use crate::engine::types::Input;

use super::state::PartitionState;

impl PartitionState {
    /// Writes down confirms whose replies have not come, and packs idle executions. Runs as long as the
    /// partition.
    pub(super) async fn flush_deferred(self: Rc<Self>) {
        // Often enough: a late round only means a later write.
        let pause = (self.services.options.confirm_linger / 4).max(std::time::Duration::from_millis(1));
        loop {
            let next = self.deferred.borrow().front().map(|(at, _)| *at);
            let Some(next) = next else {
                self.defers.notified().await;
                continue;
            };
            tokio::time::sleep_until(next.max(Instant::now() + pause)).await;
            let now = Instant::now();
            loop {
                let due = self.deferred.borrow_mut().pop_front_if(|(at, _)| *at <= now);
                let Some((_, execution)) = due else { break };
                // Most have ended and left memory. A full mailbox refuses the message: then the execution is busy, and
                // its next append holds the confirm.
                self.registry.hint(execution, Message { input: Input::WriteConfirms, responder: Responder::Nobody });
            }
        }
    }
}
