//! An actor's inputs to itself: the outcomes of its operations. They are a list with one wake-up, not mail.

use actix::prelude::*;

use crate::engine::execution::actor::ExecutionActor;
use crate::engine::execution::message::Responder;
use crate::engine::types::Input;
use crate::interpreter::stimulus::StimulusKind;

/// From the actor to itself: `pending` holds something.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Wake;

impl ExecutionActor {
    /// The actor gives itself an input. Messages that wait in the mailbox come first.
    pub(super) fn enqueue(&mut self, ctx: &mut Context<Self>, kind: StimulusKind) {
        self.pending.push(kind);
        self.wake(ctx);
    }

    /// While an append is under way nothing is decided: its end wakes the actor.
    pub(super) fn wake(&mut self, ctx: &mut Context<Self>) {
        if !self.wakes && !self.appending && !self.pending.is_empty() {
            self.wakes = true;
            ctx.notify(Wake);
        }
    }
}

impl Handler<Wake> for ExecutionActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.wakes = false;
        // actix may bring this after a message that has made the actor wait.
        if !self.appending && !self.pending.is_empty() {
            let kind = self.pending.remove(0);
            self.take(Input::Stimulus(kind), Responder::Nobody, ctx);
            self.wake(ctx);
        }
    }
}
