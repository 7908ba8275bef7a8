//! The bytes that all executions in memory hold together, and their bound: each has its own bound, and a thousand of
//! them have none.
//!
//! Where the bound is reached no execution begins, idle executions that hold much leave memory at once, journals are
//! read one after the other, and an execution that goes on has an equal share instead of the room of one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::interpreter::Share;
use crate::limits::{EXECUTION_OWN_BYTES, EXECUTION_SHARE_MIN, HEAVY_EXECUTION_BYTES};

/// How often it is looked for executions that may leave while there is no room.
pub(in crate::engine) const LOOK: Duration = Duration::from_millis(500);
/// A journal that is to be read waits at most so long for room: others may wait for its debts.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(1);

/// Sums over the process, kept through [`Part`].
#[derive(Debug)]
pub(in crate::engine) struct Footprint {
    most: u64,
    bytes: AtomicU64,
    /// Executions that hold [`HEAVY_EXECUTION_BYTES`] or more.
    heavy: AtomicU64,
    one_by_one: Semaphore,
    /// Half of the room has just been taken.
    tight: Notify,
}

/// The part of one execution, as it was counted last.
#[derive(Debug, Default)]
pub(in crate::engine) struct Part(u64);

impl Footprint {
    pub fn new(most: u64) -> Self {
        Self {
            most,
            bytes: AtomicU64::new(0),
            heavy: AtomicU64::new(0),
            one_by_one: Semaphore::new(1),
            tight: Notify::new(),
        }
    }

    /// An execution in memory holds so many bytes of data now.
    pub fn count(&self, part: &mut Part, data: u64) {
        self.change(part, data.saturating_add(EXECUTION_OWN_BYTES));
    }

    /// An execution has left memory.
    pub fn leaves(&self, part: &mut Part) {
        self.change(part, 0);
    }

    fn change(&self, part: &mut Part, now: u64) {
        let before = std::mem::replace(&mut part.0, now);
        // Modulo 2^64 the sum is right in any order of two threads.
        if now != before {
            let sum = self.bytes.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
            let half = self.most / 2;
            if sum < half && sum.wrapping_add(now).wrapping_sub(before) >= half {
                self.tight.notify_waiters();
            }
        }
        match (is_heavy(before), is_heavy(now)) {
            (false, true) => _ = self.heavy.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.heavy.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Returns when idle executions are better off in their journals: at once, or when half of the room is taken.
    pub async fn gets_tight(&self) {
        let mut taken = std::pin::pin!(self.tight.notified());
        taken.as_mut().enable();
        if !self.is_tight() {
            taken.await;
        }
    }

    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn is_full(&self) -> bool {
        self.bytes() >= self.most
    }

    /// Idle executions are better off in their journals.
    pub fn is_tight(&self) -> bool {
        self.bytes() >= self.most / 2
    }

    /// There is hardly any left: any idle execution is better off in its journal, however little it holds.
    pub fn is_nearly_full(&self) -> bool {
        self.bytes() >= self.most / 4 * 3
    }

    /// Why no child may begin: children leave half of the room to callers.
    pub fn refusal_of_child(&self) -> Option<String> {
        self.is_tight().then(|| {
            let (bytes, most) = (self.bytes(), self.most);
            format!("executions in memory hold {bytes} bytes, half of what engine.memory_bytes_max ({most}) lets in")
        })
    }

    /// Why no execution may begin; `None` where it may.
    pub fn refusal(&self) -> Option<String> {
        let bytes = self.bytes();
        (bytes >= self.most).then(|| {
            format!(
                "executions in memory hold {bytes} bytes, as many as engine.memory_bytes_max ({}) lets in",
                self.most
            )
        })
    }

    /// The share of one execution; `None` while there is room for all.
    pub fn share(&self) -> Option<Share> {
        let together = self.bytes();
        (together >= self.most).then(|| {
            let heavy = self.heavy.load(Ordering::Relaxed).max(1);
            Share { bytes: (self.most / heavy).max(EXECUTION_SHARE_MIN), together, most: self.most }
        })
    }

    /// Waits for room for one more journal. While there is none journals are read one after the other: the next is read
    /// when the permit is dropped.
    pub async fn room(&self) -> Option<SemaphorePermit<'_>> {
        if !self.is_full() {
            return None;
        }
        // It is never closed.
        let permit = self.one_by_one.acquire().await.ok();
        let began = tokio::time::Instant::now();
        while self.is_full() && began.elapsed() < ROOM_WAIT_MAX {
            tokio::time::sleep(LOOK / 10).await;
        }
        permit
    }
}

impl Part {
    pub fn is_heavy(&self) -> bool {
        is_heavy(self.0)
    }
}

fn is_heavy(bytes: u64) -> bool {
    bytes >= HEAVY_EXECUTION_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_summed_and_shares_follow_from_how_many_hold_much() {
        let all = Footprint::new(64 * EXECUTION_SHARE_MIN);
        let mut parts: Vec<Part> = (0..100).map(|_| Part::default()).collect();
        for part in &mut parts {
            all.count(part, 100);
        }
        assert_eq!((all.bytes(), all.is_tight(), all.share()), (10_000 + 100 * EXECUTION_OWN_BYTES, false, None));
        assert_eq!(all.refusal_of_child(), None);
        for part in &mut parts[..2] {
            all.count(part, 18 * EXECUTION_SHARE_MIN);
        }
        let half = (all.refusal_of_child().is_some(), all.refusal(), all.is_nearly_full());
        assert_eq!(half, (true, None, false), "children leave half of it");
        for part in &mut parts[..4] {
            all.count(part, 20 * EXECUTION_SHARE_MIN);
        }
        assert!(all.is_full() && all.refusal().is_some_and(|why| why.contains("engine.memory_bytes_max")));
        assert_eq!(all.share().map(|share| share.bytes), Some(16 * EXECUTION_SHARE_MIN), "four hold much");
        for part in &mut parts {
            all.count(part, EXECUTION_SHARE_MIN);
        }
        assert_eq!(all.share().map(|share| share.bytes), Some(EXECUTION_SHARE_MIN), "never less than this");
        for part in &mut parts {
            all.leaves(part);
        }
        assert_eq!((all.bytes(), all.heavy.load(Ordering::Relaxed), all.refusal()), (0, 0, None));
    }
}
