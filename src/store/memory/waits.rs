//! The table of waiting tasks in memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Timestamp;
use crate::ids::{EventId, ExecutionId};
use crate::store::{DestinationWaits, Wait, WaitChange, WaitFilter, WaitRow, WaitingStates};

use super::State;

type Place = (Timestamp, ExecutionId, EventId);

#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Longest waiting first.
    rows: BTreeMap<Place, Wait>,
    since: BTreeMap<(ExecutionId, EventId), Timestamp>,
    destinations: BTreeMap<String, Destination>,
}

#[derive(Debug, Default)]
struct Destination {
    /// Longest waiting first.
    places: BTreeSet<Place>,
    /// Those that wait in a queue.
    in_queue: usize,
}

impl Waits {
    pub(super) fn change(&mut self, execution: ExecutionId, changes: Vec<WaitChange>) {
        for change in changes {
            match change {
                WaitChange::Put(wait) => {
                    self.remove(execution, wait.scheduled);
                    let destination = self.destinations.entry(wait.destination.clone()).or_default();
                    destination.places.insert((wait.since, execution, wait.scheduled));
                    destination.in_queue += usize::from(wait.queue);
                    self.since.insert((execution, wait.scheduled), wait.since);
                    self.rows.insert((wait.since, execution, wait.scheduled), wait);
                }
                WaitChange::Gone(scheduled) => self.remove(execution, scheduled),
            }
        }
    }

    fn remove(&mut self, execution: ExecutionId, scheduled: EventId) {
        let Some(since) = self.since.remove(&(execution, scheduled)) else { return };
        let place = (since, execution, scheduled);
        let Some(wait) = self.rows.remove(&place) else { return };
        let Some(destination) = self.destinations.get_mut(&wait.destination) else { return };
        destination.places.remove(&place);
        destination.in_queue -= usize::from(wait.queue);
        if destination.places.is_empty() {
            self.destinations.remove(&wait.destination);
        }
    }

    pub(super) fn drop_all(&mut self, execution: ExecutionId) {
        let of_it = self.since.range((execution, EventId(0))..=(execution, EventId(u64::MAX)));
        let tasks: Vec<EventId> = of_it.map(|((_, scheduled), _)| *scheduled).collect();
        for scheduled in tasks {
            self.remove(execution, scheduled);
        }
    }

    pub(super) fn states(&self, executions: &[ExecutionId], each: usize) -> WaitingStates {
        let of_one = |execution: &ExecutionId| {
            let of_it = self.since.range((*execution, EventId(0))..=(*execution, EventId(u64::MAX)));
            let mut places: Vec<Place> = of_it.map(|((id, scheduled), since)| (*since, *id, *scheduled)).collect();
            places.sort_unstable();
            let states = places.iter().take(each).filter_map(|place| Some(self.rows.get(place)?.state.clone()));
            (*execution, states.collect::<Vec<_>>())
        };
        executions.iter().map(of_one).filter(|(_, states)| !states.is_empty()).collect()
    }

    pub(super) fn by_destination(&self, limit: usize) -> Vec<DestinationWaits> {
        let shown = |(name, of_it): (&String, &Destination)| {
            let (oldest, ..) = *of_it.places.first()?;
            let (destination, queue, count) = (name.clone(), of_it.in_queue > 0, of_it.places.len() as u64);
            Some(DestinationWaits { destination, queue, count, oldest })
        };
        self.destinations.iter().filter_map(shown).take(limit).collect()
    }
}

impl State {
    /// The rows that a filter lets through, behind its cursor.
    pub(super) fn waits_behind(&self, filter: &WaitFilter) -> impl Iterator<Item = WaitRow> {
        let rows = self.waits.rows.iter().filter_map(|((_, execution, _), wait)| {
            let header = &self.executions.get(execution)?.row.header;
            let (arn, state_machine) = (header.arn.clone(), header.state_machine.clone());
            Some(WaitRow { execution: *execution, arn, state_machine, wait: wait.clone() })
        });
        rows.filter(|row| {
            filter.execution.is_none_or(|execution| row.execution == execution)
                && filter.state_machine.as_ref().is_none_or(|machine| row.state_machine == *machine)
                && filter.destination.as_ref().is_none_or(|destination| row.wait.destination == *destination)
                && filter.before.is_none_or(|before| row.wait.since < before)
                && filter.after.is_none_or(|(since, key)| {
                    let of_row = (row.wait.since, row.execution, row.wait.scheduled);
                    of_row > (since, key.execution, key.scheduled)
                })
        })
    }
}
