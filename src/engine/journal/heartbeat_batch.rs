//! The newest batch of a journal where it holds nothing but heartbeats: the next ones take its place
//! (`interpreter::heartbeats`).

use crate::ids::Version;
use crate::interpreter::event::Entry;
use crate::interpreter::heartbeats;
use crate::record;
use crate::store::Batch;

use crate::engine::types::DeliverError;

/// The newest batch of a journal, where later heartbeats may replace it.
#[derive(Debug)]
pub(in crate::engine) struct ReplaceableBatch {
    after: Version,
    entries: Vec<Entry>,
}

impl ReplaceableBatch {
    /// Of the newest batch.
    pub fn of(after: Version, entries: Vec<Entry>) -> Option<Self> {
        heartbeats::are_all(&entries).then_some(Self { after, entries })
    }
}

fn weight(entries: &[Entry]) -> u32 {
    entries.iter().fold(0, |sum, e| sum.saturating_add(e.event.weight()))
}

/// The batch that these entries make behind `after`, and the events of the batch whose place it takes (0: it takes no
/// place). `tail` becomes this batch where heartbeats may replace it. If the append fails the actor is thrown away.
pub(in crate::engine) fn make(
    tail: &mut Option<ReplaceableBatch>,
    after: Version,
    new: &[Entry],
) -> Result<(Batch, u32), DeliverError> {
    let encode = |after, entries: &[Entry]| {
        let bytes = record::encode(entries).map_err(|e| DeliverError::Internal(e.to_string()))?;
        Ok::<_, DeliverError>(Batch { after, events: weight(entries), bytes })
    };
    if new.is_empty() {
        // For the index alone: the journal stays as it is.
        return Ok((Batch { after, events: 0, bytes: Vec::new() }, 0));
    }
    if !heartbeats::are_all(new) {
        *tail = None;
        return Ok((encode(after, new)?, 0));
    }
    if let Some(old) = tail.take()
        && let Some(merged) = heartbeats::in_place_of(&old.entries, new)
    {
        let written = encode(old.after, &merged)?;
        *tail = Some(ReplaceableBatch { after: old.after, entries: merged });
        return Ok((written, weight(&old.entries)));
    }
    *tail = ReplaceableBatch::of(after, new.to_vec());
    Ok((encode(after, new)?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::EventId;
    use crate::interpreter::event::{Event, FrameId};

    fn entry(at: i64, event: Event) -> Entry {
        Entry { at: Timestamp::from_millis(at), id: EventId(0), previous: EventId(0), frame: FrameId::TOP, event }
    }

    #[test]
    fn heartbeats_take_the_place_of_heartbeats_also_after_a_restart() {
        let beat = |task: u64, at: i64| entry(at, Event::TaskHeartbeat { scheduled: EventId(task), count: 1 });
        let (mut journal, mut tail, mut version) = (Vec::<Batch>::new(), None, Version(0));
        for n in 0..1_000 {
            let new = match n {
                0 | 500 => entry(n, Event::WaitEnded),
                _ => beat(3 + n.cast_unsigned() % 2, n),
            };
            if n % 100 == 99 {
                // Another process, which has the journal alone.
                tail = journal
                    .last()
                    .and_then(|last| ReplaceableBatch::of(last.after, record::decode(&last.bytes).unwrap()));
            }
            let (batch, replaces) = make(&mut tail, version, std::slice::from_ref(&new)).unwrap();
            if replaces > 0 {
                let old = journal.pop().unwrap();
                assert_eq!((old.after, old.events), (batch.after, replaces));
            }
            journal.push(batch);
            version.0 += u64::from(new.event.weight());
        }
        assert_eq!(journal.len(), 4, "two others, and the heartbeats behind each");
        let mut read = Version(0);
        for batch in &journal {
            assert_eq!(batch.after, read);
            let entries = record::decode(&batch.bytes).unwrap();
            assert!(entries.len() <= 2);
            assert_eq!(weight(&entries), batch.events);
            read.0 += u64::from(batch.events);
        }
        assert_eq!(read, version);
    }
}
