//! A start: a new execution's actor, and its first message.

use std::rc::Rc;
use std::sync::Arc;

use actix::Actor;
use actix::dev::{MessageResponse, OneshotSender};
use actix::prelude::SendError;

use crate::engine::ear::{Answer, Ear, Hear};
use crate::engine::execution::ExecutionActor;
use crate::engine::messages::{RunToEnd, Start, TellError, Told, What};
use crate::engine::residents::{Incarnation, Resident};
use crate::ids::ExecutionId;
use crate::interpreter::state::Outcome;
use crate::interpreter::stimulus::StimulusKind;

use super::{Local, Partition};

/// The partition's response to a start: whoever asked is answered by the execution itself.
pub(in crate::engine) struct Starting {
    pub(super) local: Rc<Local>,
    pub(super) start: Start,
}

impl MessageResponse<Partition, Start> for Starting {
    fn handle(self, _: &mut actix::Context<Partition>, answer: Option<OneshotSender<Result<Told, TellError>>>) {
        self.local.begin(self.start, answer);
    }
}

impl MessageResponse<Partition, RunToEnd> for Starting {
    fn handle(self, _: &mut actix::Context<Partition>, answer: Option<OneshotSender<Result<Outcome, TellError>>>) {
        if let Some(answer) = answer {
            self.local.wait(self.start.header.id, answer);
        }
        self.local.begin(self.start, None);
    }
}

impl Local {
    fn begin(self: &Rc<Self>, start: Start, answer: Option<Answer>) {
        let Start { header, started, machine } = start;
        let (execution, incarnation) = (header.id, self.residents.incarnation());
        let (shared, local) = (Arc::clone(&self.shared), Rc::clone(self));
        let ear = Ear::Beginning(answer);
        // A map run's child is journaled in any case: its run counts on it.
        let actor = if header.arn.is_express() && header.map_run.is_none() {
            match ExecutionActor::express(shared, local, incarnation, header, machine) {
                Ok(actor) => actor,
                Err(error) => return ear.hear(self, execution, incarnation, Err(error)),
            }
        } else {
            ExecutionActor::new(shared, local, incarnation, header, machine)
        };
        let addr = actor.start();
        let first = Hear { what: What::Stimulus(StimulusKind::Start(started)), ear };
        if let Err(SendError::Full(refused) | SendError::Closed(refused)) = addr.try_send(first) {
            let error = TellError::Internal("a new execution takes no message".to_owned());
            return refused.ear.hear(self, execution, incarnation, Err(error));
        }
        self.insert(execution, Resident { incarnation, addr });
    }

    /// What the first message decided was not written, or was refused: the execution does not exist.
    pub(in crate::engine) fn not_begun(&self, execution: ExecutionId, incarnation: Incarnation, error: &TellError) {
        self.forget(execution, incarnation);
        self.tell_waiters(execution, || Err(error.clone()));
    }
}
