//! The requests of one commit. Under load the writer waits some milliseconds for more: the fixed cost of a commit (the
//! disk's answer, each touched page written to the log) is then shared among more of them.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::limits;

use super::writer::Write;

/// Requests in a group that show load.
const GROUP_UNDER_LOAD: usize = 100;
/// The length of one pause for more requests, and the number of pauses per commit. A pause that brings fewer than
/// `WRITES_PER_PAUSE_MIN` requests is the last. With 2,000 callbacks in progress a commit had 117 writes at 4 ms, and
/// 227 at 12 ms.
const PAUSE: Duration = Duration::from_millis(12);
const PAUSES_MAX: usize = 3;
const WRITES_PER_PAUSE_MIN: usize = 24;
/// A pause is cut into so many looks at the queue: a request whose caller waits ends it.
const LOOKS_PER_PAUSE: u32 = 4;
/// After so many dry pauses, one after the other, the number of commits without one does not grow any more: 2 to this
/// power, less one.
const DRY_MAX: u32 = 5;

/// Gathers requests, and knows whether pauses are worth their time.
///
/// Where all callers wait for this commit (the children of a map run, a window of starts by message) a pause brings
/// nothing. After a dry pause the next commit has none, then three, seven, fifteen, thirty-one.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    dry: u32,
    /// Commits under load that go without a pause.
    without: u32,
}

impl Gathering {
    /// Gathers the waiting requests, up to the size of a commit, and under load those of the next milliseconds.
    pub(super) fn gather(&mut self, first: Write, incoming: &mut mpsc::Receiver<Write>, group: &mut Vec<Write>) {
        let mut events = first.weight();
        group.push(first);
        take_waiting(incoming, group, &mut events);
        if group.len() < GROUP_UNDER_LOAD || group.iter().any(Write::hurries) || !self.is_time_for_a_pause() {
            return;
        }
        for pause in 0..PAUSES_MAX {
            let before = group.len();
            for _ in 0..LOOKS_PER_PAUSE {
                let looked_at = group.len();
                std::thread::sleep(PAUSE / LOOKS_PER_PAUSE);
                take_waiting(incoming, group, &mut events);
                if group[looked_at..].iter().any(Write::hurries) {
                    return;
                }
            }
            let brought = group.len() - before;
            if pause == 0 {
                self.paused(brought);
            }
            if brought < WRITES_PER_PAUSE_MIN {
                return;
            }
        }
    }

    fn is_time_for_a_pause(&mut self) -> bool {
        let is_time = self.without == 0;
        self.without = self.without.saturating_sub(1);
        is_time
    }

    /// The first pause of a commit brought so many requests.
    fn paused(&mut self, brought: usize) {
        self.dry = if brought < WRITES_PER_PAUSE_MIN { (self.dry + 1).min(DRY_MAX) } else { 0 };
        self.without = (1 << self.dry) - 1;
    }
}

fn take_waiting(incoming: &mut mpsc::Receiver<Write>, group: &mut Vec<Write>, events: &mut usize) {
    while *events < limits::COMMIT_EVENTS_MAX {
        let Ok(next) = incoming.try_recv() else { return };
        *events += next.weight();
        group.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the next commits under load, those that have a pause which brings so many requests.
    fn pauses(gathering: &mut Gathering, commits: usize, brought: usize) -> usize {
        let mut count = 0;
        for _ in 0..commits {
            if gathering.is_time_for_a_pause() {
                gathering.paused(brought);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn pauses_that_bring_nothing_become_rare_and_one_that_does_brings_them_back() {
        let mut gathering = Gathering::default();
        assert_eq!(pauses(&mut gathering, 100, WRITES_PER_PAUSE_MIN), 100);
        // Behind 0, 1, 3, 7, 15, 31 commits without one.
        assert_eq!(pauses(&mut gathering, 1 + 2 + 4 + 8 + 16 + 32, WRITES_PER_PAUSE_MIN - 1), 6);
        assert_eq!(pauses(&mut gathering, 320, 0), 10);
        assert_eq!(pauses(&mut gathering, 32 + 100, WRITES_PER_PAUSE_MIN), 101);
    }
}
