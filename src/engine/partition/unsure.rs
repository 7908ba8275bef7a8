//! Executions with a decision that may be under way at the store still, although it was given up. Such an execution
//! gets no row without events until a further decision of it has landed: the late one would know nothing of that row.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::ExecutionId;
use crate::limits;

/// After so long nothing is under way any more: TCP gives up within minutes.
const LANDED: Duration = Duration::from_hours(1);

#[derive(Debug, Default)]
pub(super) struct Unsure {
    these: HashSet<ExecutionId>,
    /// More than are remembered one by one: any may be.
    all: bool,
    /// When the last one was given up.
    last: Option<Instant>,
}

impl Unsure {
    /// A decision of this execution was given up.
    pub(super) fn add(&mut self, execution: ExecutionId) {
        self.forget_old();
        self.last = Some(Instant::now());
        if self.these.len() < limits::UNSURE_EXECUTIONS {
            self.these.insert(execution);
        } else {
            (self.all, self.these) = (true, HashSet::new());
        }
    }

    /// A later decision of it has landed.
    pub(super) fn remove(&mut self, execution: ExecutionId) {
        self.these.remove(&execution);
    }

    pub(super) fn has(&mut self, execution: ExecutionId) -> bool {
        self.forget_old();
        self.all || self.these.contains(&execution)
    }

    fn forget_old(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() > LANDED) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> ExecutionId {
        ExecutionId(uuid::Uuid::from_u128(n as u128))
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_remembered_as_all_and_all_are_forgotten_in_time() {
        let mut unsure = Unsure::default();
        for n in 0..limits::UNSURE_EXECUTIONS {
            unsure.add(id(n));
        }
        assert!(unsure.has(id(0)));
        assert!(!unsure.has(id(limits::UNSURE_EXECUTIONS)));
        unsure.remove(id(0));
        assert!(!unsure.has(id(0)));
        for n in 0..=limits::UNSURE_EXECUTIONS {
            unsure.add(id(n));
        }
        assert!(unsure.has(id(2 * limits::UNSURE_EXECUTIONS)), "any may be");
        assert!(unsure.these.len() <= limits::UNSURE_EXECUTIONS);
        tokio::time::sleep(LANDED).await;
        assert!(unsure.has(id(1)));
        unsure.add(id(1));
        tokio::time::sleep(LANDED).await;
        assert!(unsure.has(id(2)), "the last one was given up an hour ago, not longer");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!unsure.has(id(1)) && !unsure.has(id(2)));
    }
}
