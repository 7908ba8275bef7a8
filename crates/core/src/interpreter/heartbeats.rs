//! Heartbeats that a later one has made needless: a journal keeps the last one of each task, and a count.
//!
//! A worker that beats every second for a year would make a journal of thirty million entries that say one thing: it
//! was alive. So a heartbeat that follows only heartbeats is written in their place. Their effect on the state is the
//! same: the moment of the last one, and the number of all of them in the version
//! (`docs/decisions/0016-heartbeats.md`).

use super::event::{Entry, Event};
use crate::limits;

/// The batch that may replace `written`, the newest batch of a journal, when `new` follows it. `None` where one of both
/// holds anything but heartbeats, or where it would become too large.
#[must_use]
pub fn in_place_of(written: &[Entry], new: &[Entry]) -> Option<Vec<Entry>> {
    if !are_all(written) || !are_all(new) {
        return None;
    }
    let mut merged: Vec<Entry> = Vec::with_capacity(written.len() + new.len());
    for entry in written.iter().chain(new) {
        let mut entry = entry.clone();
        let of = |e: &Entry| if let Event::TaskHeartbeat { scheduled, .. } = e.event { Some(scheduled) } else { None };
        if let Some(place) = merged.iter().position(|e| of(e) == of(&entry)) {
            let earlier = merged.remove(place);
            let Event::TaskHeartbeat { count, .. } = &mut entry.event else { return None };
            *count = count.checked_add(earlier.event.weight())?;
        }
        merged.push(entry);
    }
    let events = merged.iter().try_fold(0_u32, |sum, e| sum.checked_add(e.event.weight()));
    (merged.len() <= limits::HEARTBEATS_PER_BATCH_MAX && events.is_some()).then_some(merged)
}

/// Nothing but heartbeats, and at least one.
#[must_use]
pub fn are_all(entries: &[Entry]) -> bool {
    !entries.is_empty() && entries.iter().all(|e| matches!(e.event, Event::TaskHeartbeat { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::EventId;
    use crate::interpreter::event::FrameId;

    fn beat(task: u64, at: i64, count: u32) -> Entry {
        let event = Event::TaskHeartbeat { scheduled: EventId(task), count };
        Entry { at: Timestamp::from_millis(at), id: EventId(0), previous: EventId(0), frame: FrameId::TOP, event }
    }

    #[test]
    fn the_last_heartbeat_of_each_task_stays_and_counts_the_others() {
        let written = [beat(3, 10, 4), beat(9, 11, 1)];
        assert_eq!(in_place_of(&written, &[beat(3, 20, 1)]), Some(vec![beat(9, 11, 1), beat(3, 20, 5)]));
        assert_eq!(
            in_place_of(&written, &[beat(5, 20, 1)]),
            Some(vec![beat(3, 10, 4), beat(9, 11, 1), beat(5, 20, 1)])
        );
    }

    #[test]
    fn anything_else_stays_as_it_was_written() {
        let other = Entry { event: Event::WaitEnded, ..beat(3, 1, 1) };
        assert_eq!(in_place_of(&[beat(3, 1, 1), other.clone()], &[beat(3, 2, 1)]), None);
        assert_eq!(in_place_of(&[beat(3, 1, 1)], &[other]), None);
        assert_eq!(in_place_of(&[], &[beat(3, 2, 1)]), None);
        assert_eq!(in_place_of(&[beat(3, 1, u32::MAX)], &[beat(3, 2, 1)]), None, "more than a batch can count");
        assert_eq!(in_place_of(&[beat(3, 1, u32::MAX), beat(4, 1, 1)], &[beat(4, 2, 1)]), None);
        let many: Vec<Entry> = (0..limits::HEARTBEATS_PER_BATCH_MAX as u64).map(|n| beat(n, 1, 1)).collect();
        assert_eq!(in_place_of(&many, &[beat(0, 2, 1)]).map(|all| all.len()), Some(many.len()));
        assert_eq!(in_place_of(&many, &[beat(9_999, 2, 1)]), None, "more than is worth writing again");
    }
}
