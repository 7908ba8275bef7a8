//! A task that calls this service itself (`aws-sdk:sfn:*`).
//!
//! A call that was made just before a crash is made again. A start has a name of its own, so it gives the same
//! execution; a token that was used gives `Sfn.TaskTimedOutException`.

use actix::prelude::*;

use crate::ids::TaskKey;
use crate::integrations::sfn::Call;
use crate::interpreter::event::Payload;
use crate::interpreter::stimulus::StimulusKind;

use super::actor::ExecutionActor;
use super::effects::CallError;

impl ExecutionActor {
    /// Makes a task's call; its answer is the result.
    pub(super) fn call(&mut self, key: TaskKey, call: Call, ctx: &mut Context<Self>) {
        let scheduled = key.scheduled;
        let answer = self.host.calls().call(call);
        self.operations_open += 1;
        ctx.spawn(answer.into_actor(self).map(move |answer, actor, ctx| {
            actor.operations_open -= 1;
            match answer {
                Ok(result) => {
                    let receipt = Payload::new(result);
                    actor.enqueue(ctx, StimulusKind::Dispatched { scheduled, receipt, completes: true });
                }
                Err(CallError::Failed(failure)) => {
                    actor.enqueue(ctx, StimulusKind::DispatchFailed { scheduled, failure });
                }
                Err(CallError::Passing(error)) => {
                    tracing::warn!(
                        execution.arn = %actor.arn(),
                        %error,
                        "a task's call of the API could not be made; trying again"
                    );
                    actor.dispatch_again(scheduled, ctx);
                }
            }
        }));
    }
}
