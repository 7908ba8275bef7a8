//! What the store keeps of an execution beside its journal.

use crate::asl::model::Machine;
use crate::interpreter;
use crate::interpreter::state::{Phase, State};
use crate::store::{ExecutionStatus, Summary};

use super::express;

pub(super) fn owes_news(state: &State) -> bool {
    state.started().is_some_and(|s| s.parent.is_some())
        || !state.followers().is_empty()
        || state.stopping().next().is_some()
        || state.left_children().next().is_some()
}

/// What the store's index shows of an execution: a function of its state and nothing else.
pub(super) fn summary(machine: &Machine, state: &State, bus_is_durable: bool) -> Summary {
    let (status, closed) = match state.phase() {
        Phase::New | Phase::Running => (ExecutionStatus::Running, None),
        Phase::Closed(outcome) => {
            let (status, closed) = express::closing(outcome);
            (status, Some(closed))
        }
    };
    Summary {
        status,
        due: interpreter::due(machine, state),
        owes_parent: closed.is_some() && owes_news(state),
        tasks: u32::try_from(state.tasks().count()).unwrap_or(u32::MAX),
        owes: !interpreter::owed(state, bus_is_durable).is_empty() && state.is_running(),
        closed,
        redrive_count: state.redrive_count(),
        redriven_at: state.redriven_at(),
    }
}
