//! The summary of an execution in the store's index: a function of its state and nothing else.

use crate::asl::model::Machine;
use crate::interpreter;
use crate::interpreter::event::{Failure, Payload};
use crate::interpreter::state::{Conclusion, Outcome, Phase, State};
use crate::store::{Closing, ExecutionRow, ExecutionStatus, Summary};

pub(in crate::engine) fn owes_end(state: &State) -> bool {
    state.started().is_some_and(|s| s.parent.is_some())
        || !state.followers().is_empty()
        || state.stopping().next().is_some()
        || state.left_children().next().is_some()
}

/// The summary of an execution in the store's index: a function of its state and nothing else.
pub(in crate::engine) fn summary(machine: &Machine, state: &State, bus_is_durable: bool) -> Summary {
    let (status, closed) = match state.phase() {
        Phase::New | Phase::Running => (ExecutionStatus::Running, None),
        Phase::Closed(outcome) => {
            let (status, closed) = closing(outcome);
            (status, Some(closed))
        }
    };
    Summary {
        status,
        due: interpreter::due(machine, state),
        owes_parent: closed.is_some() && owes_end(state),
        tasks: u32::try_from(state.tasks().count()).unwrap_or(u32::MAX),
        owes: !interpreter::owed(state, bus_is_durable).is_empty() && state.is_running(),
        closed,
        redrive_count: state.redrive_count(),
        redriven_at: state.redriven_at(),
    }
}

/// How an execution ended, as rows show it.
pub(in crate::engine) fn closing(outcome: &Outcome) -> (ExecutionStatus, Closing) {
    let (status, output, failure) = match &outcome.result {
        Conclusion::Succeeded(output) => (ExecutionStatus::Succeeded, Some(output.text().to_owned()), None),
        Conclusion::Failed(f) => (ExecutionStatus::Failed, None, Some(f)),
        Conclusion::TimedOut(f) => (ExecutionStatus::TimedOut, None, Some(f)),
        Conclusion::Aborted(f) => (ExecutionStatus::Aborted, None, Some(f)),
    };
    let (error, cause) = failure.map(|f| (f.error.clone(), f.cause.clone())).unwrap_or_default();
    (status, Closing { at: outcome.at, output, error, cause })
}

pub(in crate::engine) fn closed(outcome: &Outcome) -> Summary {
    let (status, closed) = closing(outcome);
    Summary { status, closed: Some(closed), ..Summary::default() }
}

/// The contrary of [`closing`]; `None` while the execution is open.
pub(in crate::engine) fn outcome(row: &ExecutionRow) -> Option<Outcome> {
    let closed = row.summary.closed.as_ref()?;
    let failure = Failure { error: closed.error.clone(), cause: closed.cause.clone(), heartbeat: false };
    let result = match row.summary.status {
        ExecutionStatus::Succeeded => Conclusion::Succeeded(
            closed.output.as_deref().and_then(|text| Payload::parse(text).ok()).unwrap_or_default(),
        ),
        ExecutionStatus::TimedOut => Conclusion::TimedOut(failure),
        ExecutionStatus::Aborted => Conclusion::Aborted(failure),
        ExecutionStatus::Failed | ExecutionStatus::Running | ExecutionStatus::PendingRedrive => {
            Conclusion::Failed(failure)
        }
    };
    Some(Outcome { at: closed.at, result })
}
