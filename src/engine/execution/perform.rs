//! The commands of a decision, done after its append: law 2, commit, then act.

use std::sync::Arc;

use actix::prelude::*;

use crate::engine::execution::actor::ExecutionActor;
use crate::engine::execution::dispatch;
use crate::ids::TaskKey;
use crate::interpreter;
use crate::interpreter::command::Command;
use crate::interpreter::state::Phase;
use crate::interpreter::stimulus::StimulusKind;

impl ExecutionActor {
    /// Performs the commands of a decision that is durable.
    pub(super) fn perform(&mut self, commands: Vec<Command>, ctx: &mut Context<Self>) {
        for command in commands {
            match command {
                Command::Dispatch { scheduled } => self.dispatch(scheduled, ctx),
                Command::Cancel { scheduled, reason } => {
                    self.in_flight.retain(|f| f.scheduled != scheduled);
                    dispatch::cancelled(&self.services, self.arn(), TaskKey { execution: self.id, scheduled }, reason);
                    self.services.metrics.task_cancelled(reason.as_str());
                }
                Command::Continue => self.go_on_in_turn(ctx),
                Command::StartMapRun { started } => {
                    if let Some(view) = self.state.map_run(started) {
                        self.host.effects().start_map_run(self.id, started, view.run.arn.clone());
                    }
                }
                Command::StopMapRun { started } => {
                    if let Some((_, run)) = self.state.stopping().find(|(id, _)| *id == started) {
                        self.host.effects().stop_map_run(self.id, started, run.clone());
                    }
                }
                Command::StopChild { scheduled } => {
                    let left = self
                        .state
                        .left_children()
                        .find(|(id, _)| *id == scheduled)
                        .map(|(_, details)| Arc::clone(details));
                    if let Some((details, started)) = left.zip(self.state.started().cloned()) {
                        let task = TaskKey { execution: self.id, scheduled };
                        self.host.effects().stop_child(task, started, details);
                    }
                }
                Command::Finish => {
                    self.host.forget(self.id, self.incarnation);
                    if let Phase::Closed(outcome) = self.state.phase() {
                        match self.express.take() {
                            Some(slot) => slot.close(self.state.version(), outcome),
                            None => self.services.open.ended(),
                        }
                        self.host.ended(self.id, &self.state, outcome);
                    }
                    ctx.stop();
                }
            }
        }
        if self.state.is_running() {
            self.host.arm(self.id, interpreter::due(&self.machine, &self.state));
            self.defer();
        }
    }

    /// The rest of a long decision follows when it is its turn.
    fn go_on_in_turn(&mut self, ctx: &mut Context<Self>) {
        if self.waits_for_turn {
            return;
        }
        self.waits_for_turn = true;
        self.operations_open += 1;
        ctx.spawn(self.host.turns().next().into_actor(self).map(|turn, actor, ctx| {
            actor.waits_for_turn = false;
            actor.operations_open -= 1;
            actor.enqueue(ctx, StimulusKind::Continue);
            turn.ends();
        }));
    }
}
