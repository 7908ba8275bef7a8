//! The work and the bytes of a decision so far, in numbers that are the same on every machine. At their bounds the
//! decision yields, or its execution ends.

use super::event::{Event, Failure, Payload};
use super::payloads;
use super::size::json_bytes;
use crate::limits::{BYTES_PER_WORK, EVENT_BYTES, EVENT_WORK};
use crate::payload::LARGE;

/// Large payloads that are remembered as counted: a state passes on its input, its result and the output of the state
/// before.
const REMEMBERED: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Bytes of all events, as the journal holds them.
    bytes: u64,
    work: u64,
    /// Addresses of the large payloads that were counted last. The entries of the decision hold these payloads, so none
    /// of them is freed meanwhile.
    counted: [usize; REMEMBERED],
    next: usize,
}

impl Ledger {
    /// Counts an event.
    pub fn enter(&mut self, event: &Event) {
        let bytes = self.bytes_of(event);
        self.bytes += bytes;
        self.work += EVENT_WORK + (bytes - EVENT_BYTES) / BYTES_PER_WORK;
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Units of work, without those of expressions.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Bytes that an event adds to the journal. A payload that the decision has already written is not written again.
    fn bytes_of(&mut self, event: &Event) -> u64 {
        let mut bytes = EVENT_BYTES;
        payloads::each(event, &mut |payload| bytes += self.payload(payload));
        bytes
            + match event {
                Event::StateExited { assigned: Some(assigned), .. } => {
                    assigned.values().map(|value| json_bytes(value) as u64).sum()
                }
                Event::ExecutionFailed(f)
                | Event::ExecutionTimedOut(f)
                | Event::ExecutionAborted(f)
                | Event::StateFailed(f)
                | Event::ForkFailed(f)
                | Event::MapRunFailed(f)
                | Event::TaskFailed { failure: f, .. }
                | Event::TaskStartFailed { failure: f, .. }
                | Event::TaskSubmitFailed { failure: f, .. }
                | Event::TaskTimedOut { failure: f, .. } => failure_bytes(f),
                Event::EvaluationFailed { cause, .. } => cause.len() as u64,
                Event::MapStarted(map) => EVENT_BYTES / 4 * map.items.len() as u64,
                _ => 0,
            }
    }

    fn payload(&mut self, payload: &Payload) -> u64 {
        let bytes = payload.bytes();
        if bytes >= LARGE {
            let address = payload.address();
            if self.counted.contains(&address) {
                return 0;
            }
            self.counted[self.next] = address;
            self.next = (self.next + 1) % REMEMBERED;
        }
        bytes as u64
    }
}

fn failure_bytes(failure: &Failure) -> u64 {
    failure.cause.as_ref().map_or(0, |cause| cause.len() as u64)
}
