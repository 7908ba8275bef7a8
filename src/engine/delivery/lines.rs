//! Replies that go to their execution by a task of their own, in order: of one execution one at a time. The way through
//! memory is quick, the one through the journal is not; without a line a later reply would overtake an earlier one.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use crate::bus::Delivery;
use crate::ids::ExecutionId;

/// The lines of a partition. The broker's prefetch bounds their number of messages.
#[derive(Debug, Default)]
pub(super) struct Lines {
    waiting: RefCell<HashMap<ExecutionId, VecDeque<Delivery>>>,
}

impl Lines {
    /// A reply of this execution is under way: the next ones stand behind it.
    pub fn has(&self, execution: ExecutionId) -> bool {
        self.waiting.borrow().contains_key(&execution)
    }

    /// Stands in line; gives the delivery back where it is the first, which may go.
    pub fn stand(&self, execution: ExecutionId, delivery: Delivery) -> Option<Delivery> {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(line) = waiting.get_mut(&execution) {
            line.push_back(delivery);
            return None;
        }
        waiting.insert(execution, VecDeque::new());
        Some(delivery)
    }

    /// The one before it has arrived: the next one may go.
    pub fn next(&self, execution: ExecutionId) -> Option<Delivery> {
        let mut waiting = self.waiting.borrow_mut();
        let next = waiting.get_mut(&execution)?.pop_front();
        if next.is_none() {
            waiting.remove(&execution);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{Message, Receipt, Settlement};

    #[derive(Debug)]
    struct Unsettled;

    impl Receipt for Unsettled {
        fn settle(self: Box<Self>, _: Settlement) {}
    }

    fn delivery(n: u8) -> Delivery {
        let message = Message { body: vec![n], ..Message::default() };
        Delivery { message, redelivered: false, mended: None, receipt: Box::new(Unsettled) }
    }

    #[test]
    fn each_line_is_in_order_and_ends() {
        let (lines, a, b) =
            (Lines::default(), ExecutionId(uuid::Uuid::from_u128(1)), ExecutionId(uuid::Uuid::from_u128(2)));
        assert!(lines.stand(a, delivery(1)).is_some() && lines.stand(b, delivery(9)).is_some());
        assert!(lines.stand(a, delivery(2)).is_none() && lines.stand(a, delivery(3)).is_none());
        let next = |of| lines.next(of).map(|delivery| delivery.message.body);
        assert_eq!((next(a), next(b), next(a), next(a)), (Some(vec![2]), None, Some(vec![3]), None));
        assert!(!lines.has(a) && !lines.has(b), "nothing is left behind");
        assert!(lines.stand(a, delivery(4)).is_some());
    }
}
