//! Confirms that wait for their replies, to be written with them; and executions that nothing happens to, to be packed.

use std::rc::Rc;

use tokio::time::Instant;

use crate::engine::execution::message::{Message, Responder};
use crate::engine::types::Input;

use super::state::PartitionState;

impl PartitionState {
    /// Writes down confirms whose replies have not come, and lets rest what nothing happened to. Runs as long as the
    /// partition.
    pub(super) async fn flush_deferred(self: Rc<Self>) {
        // So often is often enough: what is late here is only written later.
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
                // Gone from memory: it has ended. Most have. Refused where its mailbox is full: then it is busy, and
                // what it writes next holds the confirm.
                self.registry.hint(execution, Message { input: Input::WriteConfirms, responder: Responder::Nobody });
            }
        }
    }
}
