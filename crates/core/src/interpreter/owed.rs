//! `owed(state) → commands`: the duties of the shell for an execution that was just loaded. After any crash this, and
//! nothing else.

use super::command::Command;
use super::state::{Phase, State};

/// Everything that was ordered and may not have been done.
///
/// `bus_is_durable`: queues outlive the engine's process. Where they do not, every open task is sent again (with the
/// same token).
#[must_use]
pub fn owed(state: &State, bus_is_durable: bool) -> Vec<Command> {
    match state.phase() {
        // The duties after an end are kept in the store's row, which says whether a parent must be told.
        Phase::New | Phase::Closed(_) => Vec::new(),
        Phase::Running => {
            let mut commands: Vec<Command> = state
                .tasks()
                .filter(|t| !t.task.published || !bus_is_durable)
                .map(|t| Command::Dispatch { scheduled: t.task.scheduled })
                .chain(state.map_runs().map(|view| Command::StartMapRun { started: view.run.started }))
                .chain(stops(state))
                .chain(state.left_children().map(|(scheduled, _)| Command::StopChild { scheduled }))
                .collect();
            if state.next_ready(state.turn()).is_some() {
                commands.push(Command::Continue);
            }
            commands
        }
    }
}

fn stops(state: &State) -> impl Iterator<Item = Command> {
    state.stopping().map(|(started, _)| Command::StopMapRun { started })
}
