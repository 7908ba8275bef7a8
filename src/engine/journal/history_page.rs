//! Pages of a history. A page reads and decodes the batches that it shows and a few more to find its place. Its cost
//! does not grow with the history before it.

use crate::ids::{EventId, ExecutionId};
use crate::interpreter::event::Entry;
use crate::interpreter::payloads;
use crate::record;
use crate::store::{Batch, GONE, Journal, Opened, Place, StoreError};

use crate::engine::journal::load::PIECE_BYTES;
use crate::engine::types::{HistoryPage, HistoryQuery};

/// Bytes of payloads that a page shows at most, but for one event: it may hold fewer events than were asked for, as AWS
/// says of its pages.
const PAGE_BYTES: usize = 8 * 1_048_576;

/// How often a journal is read again if its newest batch is replaced meanwhile.
const READS_MAX: usize = 8;

/// A page of the visible events of a journal.
pub(in crate::engine) async fn read(
    journal: &dyn Journal,
    execution: ExecutionId,
    query: &HistoryQuery,
) -> Result<HistoryPage, StoreError> {
    let mut looks = READS_MAX;
    loop {
        let mut pages = Pages::open(journal, execution).await?;
        match page(&mut pages, query).await {
            Err(StoreError::NotFound { what: GONE, .. }) if looks > 0 => looks -= 1,
            other => return other,
        }
    }
}

/// A journal, of which one batch after the other is looked at.
struct Pages<'j> {
    journal: &'j dyn Journal,
    execution: ExecutionId,
    opened: Opened,
    /// Batches that were decoded.
    decoded: usize,
}

impl<'j> Pages<'j> {
    async fn open(journal: &'j dyn Journal, execution: ExecutionId) -> Result<Self, StoreError> {
        let opened = journal.open(execution, PIECE_BYTES).await?;
        Ok(Self { journal, execution, opened, decoded: 0 })
    }

    fn len(&self) -> usize {
        match &self.opened {
            Opened::Whole(batches) => batches.len(),
            Opened::Large(places) => places.len(),
        }
    }

    /// The version behind a batch.
    fn end(&self, at: usize) -> u64 {
        match &self.opened {
            Opened::Whole(batches) => batches.get(at).map(|Batch { after, events, .. }| after.0 + u64::from(*events)),
            Opened::Large(places) => places.get(at).map(|Place { after, events, .. }| after.0 + u64::from(*events)),
        }
        .unwrap_or(u64::MAX)
    }

    /// The visible events of one batch.
    async fn visible(&mut self, at: usize) -> Result<Vec<Entry>, StoreError> {
        let read;
        let batch = match &self.opened {
            Opened::Whole(batches) => batches.get(at),
            Opened::Large(places) => {
                let place = places.get(at).copied().into_iter().collect();
                read = self.journal.read(self.execution, place).await?;
                read.first()
            }
        };
        let Some(batch) = batch else { return Ok(Vec::new()) };
        self.decoded += 1;
        let entries = record::decode(&batch.bytes).map_err(|e| {
            let (what, key) = ("journal of execution", self.execution.to_string());
            StoreError::Corrupt { what, key, why: e.to_string() }
        })?;
        Ok(entries.into_iter().filter(|e| e.id.0 != 0).collect())
    }

    /// The last batch whose first visible event is not after this one: its place, or just before it.
    async fn find(&mut self, event: EventId) -> Result<usize, StoreError> {
        // An event's id is never greater than its place in the journal, which counts hidden events too. Earlier batches
        // are not looked at.
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.end(middle) < event.0 { low = middle + 1 } else { high = middle }
        }
        let floor = low;
        high = self.len();
        while low < high {
            let middle = low + (high - low) / 2;
            // A batch of hidden events only has no visible id: the next batch with a visible event decides.
            let mut speaker = middle;
            let mut first = None;
            while speaker < high && first.is_none() {
                first = self.visible(speaker).await?.first().map(|e| e.id);
                speaker += 1;
            }
            match first {
                Some(first) if first <= event => low = speaker,
                _ => high = middle,
            }
        }
        Ok(low.saturating_sub(1).max(floor).min(self.len()))
    }
}

/// The page that the query asks for.
async fn page(pages: &mut Pages<'_>, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    let bytes_max = if query.limit == 0 { usize::MAX } else { PAGE_BYTES };
    let wanted = |e: &Entry| match query.after {
        None => true,
        Some(after) if query.reverse => e.id < after,
        Some(after) => e.id > after,
    };
    let holder = match query.after {
        Some(after) => Some(pages.find(after).await?),
        None => None,
    };
    let count = pages.len();
    let order: Box<dyn Iterator<Item = usize> + Send> = if query.reverse {
        Box::new((0..holder.map_or(count, |at| (at + 1).min(count))).rev())
    } else {
        Box::new(holder.unwrap_or(0)..count)
    };
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for at in order {
        let mut found = pages.visible(at).await?;
        if query.reverse {
            found.reverse();
        }
        for entry in found.into_iter().filter(&wanted) {
            payloads::each(&entry.event, &mut |payload| bytes += payload.bytes());
            if entries.len() == limit || (bytes > bytes_max && !entries.is_empty()) {
                return Ok(HistoryPage { entries, more: true });
            }
            entries.push(entry);
        }
    }
    Ok(HistoryPage { entries, more: false })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::Version;
    use crate::interpreter::event::{Event, FrameId, Payload};
    use crate::store::memory::Memory;

    /// A journal of so many visible events, with hidden ones among them, in batches of different sizes.
    fn journal(visible: u64) -> Vec<Batch> {
        let (mut batches, mut id, mut version, mut size) = (Vec::new(), 0, 0_u64, 1);
        while id < visible {
            let mut entries = Vec::new();
            for n in 0..size {
                let hidden = size == 2 || n % 3 == 2;
                let event = if hidden { Event::WaitEnded } else { Event::ParallelSucceeded };
                let id = if hidden || id == visible {
                    EventId(0)
                } else {
                    id += 1;
                    EventId(id)
                };
                entries.push(Entry {
                    at: Timestamp::from_millis(0),
                    id,
                    previous: EventId(0),
                    frame: FrameId::TOP,
                    event,
                });
            }
            let events = u32::try_from(entries.len()).unwrap();
            batches.push(Batch { after: Version(version), events, bytes: record::encode(&entries).unwrap() });
            version += u64::from(events);
            size = size % 4 + 1;
        }
        batches
    }

    /// Pages of these batches, which are there whole.
    fn opened<'s>(store: &'s Memory, batches: &[Batch]) -> Pages<'s> {
        let (execution, opened) = (ExecutionId(uuid::Uuid::nil()), Opened::Whole(batches.to_vec()));
        Pages { journal: store, execution, opened, decoded: 0 }
    }

    fn next(pages: &mut Pages<'_>, query: &HistoryQuery) -> HistoryPage {
        page(pages, query).now_or_never().expect("nothing is waited for").unwrap()
    }

    /// All ids, page by page; and how many batches were decoded for that.
    fn walk(batches: &[Batch], reverse: bool, limit: usize) -> (Vec<u64>, usize) {
        let (store, mut ids, mut after) = (Memory::new(), Vec::new(), None);
        let mut pages = opened(&store, batches);
        loop {
            let page = next(&mut pages, &HistoryQuery { reverse, after, limit });
            assert!(page.entries.len() <= limit);
            ids.extend(page.entries.iter().map(|e| e.id.0));
            if !page.more {
                return (ids, pages.decoded);
            }
            after = page.entries.last().map(|e| e.id);
        }
    }

    #[test]
    fn pages_of_any_size_in_both_orders_make_up_the_whole_history() {
        for visible in [1, 2, 7, 40] {
            let batches = journal(visible);
            for limit in 1..10 {
                assert_eq!(walk(&batches, false, limit).0, (1..=visible).collect::<Vec<_>>());
                assert_eq!(walk(&batches, true, limit).0, (1..=visible).rev().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_page_beyond_the_end_is_empty() {
        let batches = journal(5);
        let query = HistoryQuery { reverse: false, after: Some(EventId(99)), limit: 10 };
        let store = Memory::new();
        assert!(next(&mut opened(&store, &batches), &query).entries.is_empty());
        let first = HistoryQuery { after: Some(EventId(1)), ..query };
        assert!(next(&mut opened(&store, &[]), &first).entries.is_empty());
    }

    #[test]
    fn the_longest_history_is_paged_with_work_in_proportion() {
        let batches = journal(crate::limits::HISTORY_EVENTS_MAX);
        for reverse in [false, true] {
            let (ids, decoded) = walk(&batches, reverse, 100);
            assert_eq!(ids.len() as u64, crate::limits::HISTORY_EVENTS_MAX);
            // 250 pages: each batch about once, and some twenty to find each page's beginning.
            assert!(decoded < batches.len() + 250 * 40, "{decoded} of {}", batches.len());
        }
    }

    #[test]
    fn a_page_of_large_events_ends_early_and_the_next_one_goes_on() {
        let large = Payload::new(json!("x".repeat(PAGE_BYTES / 4)));
        let entry = |id| Entry {
            at: Timestamp::from_millis(0),
            id: EventId(id),
            previous: EventId(0),
            frame: FrameId::TOP,
            event: Event::ExecutionSucceeded { output: large.clone() },
        };
        let entries: Vec<Entry> = (1..=9).map(entry).collect();
        let batches = [Batch { after: Version(0), events: 9, bytes: record::encode(&entries).unwrap() }];
        for reverse in [false, true] {
            let (ids, _) = walk(&batches, reverse, 100);
            assert_eq!(ids.len(), 9);
            let store = Memory::new();
            let first = next(&mut opened(&store, &batches), &HistoryQuery { reverse, after: None, limit: 100 });
            assert_eq!((first.entries.len(), first.more), (3, true));
        }
    }
}
