//! The bounds of one execution. An execution beyond a bound ends with an event that always fits.

use super::command::CancelReason;
use super::decide::Decider;
use super::event::{Event, Failure, FrameId};
use crate::limits;

/// The bounds of one execution, from the settings, and their rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of JSON text that it may hold in memory (`engine.execution_bytes_max`).
    pub held: u64,
    /// Its share, while all executions in memory together hold too much.
    pub share: Option<Share>,
    /// Bytes that its journal may have (`engine.journal_bytes_max`), and the rest of them.
    pub journal: u64,
    pub journal_left: u64,
}

/// The share of one execution while all together are over their bound, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub bytes: u64,
    /// Bytes of all executions, and their bound (`engine.memory_bytes_max`).
    pub together: u64,
    pub most: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            held: limits::EXECUTION_BYTES_MAX,
            share: None,
            journal: limits::JOURNAL_BYTES_MAX,
            journal_left: limits::JOURNAL_BYTES_MAX,
        }
    }
}

impl Decider<'_> {
    /// The failure if there is no room for this event. An event that closes the execution always has room: its payload
    /// is bounded, and nothing follows it.
    pub fn no_room_for(&self, event: &Event) -> Option<(CancelReason, Failure)> {
        if event.closes() {
            return None;
        }
        // AWS bounds the history of standard executions only; express ones end by their age.
        if self.state.last_id().0 + 1 >= limits::HISTORY_EVENTS_MAX && !event.is_hidden() {
            let events_max =
                if self.state.is_express() { limits::EXPRESS_EVENTS_MAX } else { limits::HISTORY_EVENTS_MAX };
            if self.state.last_id().0 + 1 >= events_max {
                let cause = format!("The execution reached the maximum number of history events ({events_max}).");
                return Some((CancelReason::HistoryLimit, Failure::new("States.Runtime", cause)));
            }
        }
        let Bounds { journal, journal_left, .. } = self.env.bounds;
        if self.ledger.bytes() > journal_left && self.is_journaled() {
            let cause =
                format!("The execution's journal reached its bound of {journal} bytes (engine.journal_bytes_max).");
            return Some((CancelReason::DataLimit, Failure::new("States.DataLimitExceeded", cause)));
        }
        None
    }

    /// Ends an execution that holds more than its bound.
    pub fn hold_within_bounds(&mut self) {
        self.held = 0;
        if !self.state.is_running() {
            return;
        }
        let held = self.state.bytes();
        let Bounds { held: most, share, .. } = self.env.bounds;
        let cause = match share {
            _ if held > most => {
                format!("The execution holds {held} bytes of data, more than the {most} of engine.execution_bytes_max.")
            }
            Some(Share { bytes, together, most }) if held > bytes => format!(
                "The execution holds {held} bytes of data, more than its share of {bytes}: all executions in memory \
                 hold {together} bytes, and engine.memory_bytes_max is {most}."
            ),
            _ => {
                self.held = held;
                return;
            }
        };
        self.cancel_all(CancelReason::DataLimit);
        self.emit(FrameId::TOP, Event::ExecutionFailed(Failure::new("States.DataLimitExceeded", cause)));
    }

    fn is_journaled(&self) -> bool {
        self.state.started().is_none_or(|started| started.kind().is_journaled())
    }
}
