//! Pages of a history. A page decodes the batches that it shows and a few more to find its place: the cost of a page
//! does not grow with the history before it (but for reading its bytes).

use crate::ids::{Arn, EventId};
use crate::interpreter::event::Entry;
use crate::record::{self, RecordError};
use crate::store::{Batch, StoreError};

use super::handle::{EngineError, EngineHandle, HistoryPage, HistoryQuery};

impl EngineHandle {
    /// A page of the visible events.
    pub async fn history(&self, arn: &Arn, query: HistoryQuery) -> Result<HistoryPage, EngineError> {
        let row = self.journaled(arn).await?;
        let batches = self.inner.journal.load(row.header.id).await?;
        page(&batches, &query, &mut 0).map_err(|e| {
            let (what, key) = ("journal of execution", row.header.arn.to_string());
            StoreError::Corrupt { what, key, why: e.to_string() }.into()
        })
    }
}

/// The page that the query asks for. `decoded` counts the batches that were decoded for it.
fn page(batches: &[Batch], query: &HistoryQuery, decoded: &mut usize) -> Result<HistoryPage, RecordError> {
    let mut visible = |batch: &Batch| -> Result<Vec<Entry>, RecordError> {
        *decoded += 1;
        Ok(record::decode(&batch.bytes)?.into_iter().filter(|e| e.id.0 != 0).collect())
    };
    let limit = if query.limit == 0 { usize::MAX } else { query.limit };
    let wanted = |e: &Entry| match query.after {
        None => true,
        Some(after) if query.reverse => e.id < after,
        Some(after) => e.id > after,
    };
    let holder = match query.after {
        Some(after) => Some(find(batches, after, &mut visible)?),
        None => None,
    };
    let mut entries = Vec::new();
    let mut take = |batch: &Batch, reverse: bool| -> Result<bool, RecordError> {
        let mut found = visible(batch)?;
        if reverse {
            found.reverse();
        }
        entries.extend(found.into_iter().filter(&wanted));
        Ok(entries.len() > limit)
    };
    if query.reverse {
        for batch in batches[..holder.map_or(batches.len(), |at| (at + 1).min(batches.len()))].iter().rev() {
            if take(batch, true)? {
                break;
            }
        }
    } else {
        for batch in &batches[holder.unwrap_or(0)..] {
            if take(batch, false)? {
                break;
            }
        }
    }
    let more = entries.len() > limit;
    entries.truncate(limit);
    Ok(HistoryPage { entries, more })
}

/// The last batch whose first visible event is not after this one: its place, or just before it.
fn find(
    batches: &[Batch],
    event: EventId,
    visible: &mut impl FnMut(&Batch) -> Result<Vec<Entry>, RecordError>,
) -> Result<usize, RecordError> {
    // An event's id is never greater than its place in the journal, which counts hidden events too: what is before is
    // not looked at.
    let (mut low, mut high) = (batches.partition_point(|b| b.after.0 + u64::from(b.events) < event.0), batches.len());
    let floor = low;
    while low < high {
        let middle = low + (high - low) / 2;
        // A batch of hidden events only says nothing: the next one that shows something speaks for it.
        let mut speaker = middle;
        let mut first = None;
        while speaker < high && first.is_none() {
            first = visible(&batches[speaker])?.first().map(|e| e.id);
            speaker += 1;
        }
        match first {
            Some(first) if first <= event => low = speaker,
            _ => high = middle,
        }
    }
    Ok(low.saturating_sub(1).max(floor).min(batches.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::Version;
    use crate::interpreter::event::{Event, FrameId};

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

    /// All ids, page by page; and how many batches were decoded for that.
    fn walk(batches: &[Batch], reverse: bool, limit: usize) -> (Vec<u64>, usize) {
        let (mut ids, mut decoded, mut after) = (Vec::new(), 0, None);
        loop {
            let page = page(batches, &HistoryQuery { reverse, after, limit }, &mut decoded).unwrap();
            assert!(page.entries.len() <= limit);
            ids.extend(page.entries.iter().map(|e| e.id.0));
            if !page.more {
                return (ids, decoded);
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
        assert!(page(&batches, &query, &mut 0).unwrap().entries.is_empty());
        assert!(page(&[], &HistoryQuery { after: Some(EventId(1)), ..query }, &mut 0).unwrap().entries.is_empty());
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
}
