//! The parts of an index of executions that a status stands for.

use crate::clock::Timestamp;

use super::ExecutionStatus;

/// Executions stored with status `stored` that closed before a moment (or not before it) are shown with status `seen`.
pub(super) struct Part {
    pub stored: ExecutionStatus,
    pub seen: ExecutionStatus,
    /// The moment, and whether it is the earlier side of it.
    pub closed: Option<(Timestamp, bool)>,
}

/// The parts of the index whose executions are shown with the wanted status.
pub(super) fn parts(wanted: Option<ExecutionStatus>, run_redriven: Option<Timestamp>) -> Vec<Part> {
    let mut parts = Vec::new();
    for stored in ExecutionStatus::ALL {
        match run_redriven.filter(|_| stored.is_unsuccessful()) {
            None => parts.push(Part { stored, seen: stored, closed: None }),
            Some(at) => {
                parts.push(Part { stored, seen: ExecutionStatus::PendingRedrive, closed: Some((at, true)) });
                parts.push(Part { stored, seen: stored, closed: Some((at, false)) });
            }
        }
    }
    parts.retain(|part| wanted.is_none_or(|wanted| part.seen == wanted));
    parts
}
