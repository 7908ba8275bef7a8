//! The orders of the core to the shell, done after the events that order them are durable.
//!
//! There are no timer commands: [`super::due`] says when something is due next, and the shell keeps one timer
//! per execution at that moment (see `docs/decisions/0001-one-due-time.md`).

use crate::ids::EventId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send the task out; [`super::state::State::task`] has its details. Safe to do twice: same token.
    Dispatch { scheduled: EventId },
    /// The task ended without its worker: notify the worker.
    Cancel { scheduled: EventId, reason: CancelReason },
    /// The task that waited for a child execution ended without it: stop the child. `StimulusKind::ChildStopped` says
    /// that it is done. Safe to order twice.
    StopChild { scheduled: EventId },
    /// Run a map run, from its beginning or from where its children are. Safe to order twice.
    StartMapRun { started: EventId },
    /// End a map run: nothing starts any more, its children are stopped. `StimulusKind::MapRunStopped` says that it is
    /// done.
    StopMapRun { started: EventId },
    /// The execution has closed: answer those who wait for it.
    Finish,
    /// Come back with `StimulusKind::Continue`: there is more to decide.
    Continue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    Timeout,
    HeartbeatTimeout,
    Stopped,
    SiblingFailed,
    ExecutionTimedOut,
    HistoryLimit,
    DataLimit,
}

impl CancelReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::HeartbeatTimeout => "heartbeat-timeout",
            Self::Stopped => "stopped",
            Self::SiblingFailed => "sibling-failed",
            Self::ExecutionTimedOut => "execution-timed-out",
            Self::HistoryLimit => "history-limit",
            Self::DataLimit => "data-limit",
        }
    }
}
