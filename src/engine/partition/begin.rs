//! A new execution begins: its actor, and its first message.

use std::rc::Rc;
use std::sync::Arc;

use actix::Actor;
use actix::dev::{MessageResponse, OneshotSender};
use actix::prelude::SendError;

use crate::engine::execution::actor::ExecutionActor;
use crate::engine::execution::host::Host;
use crate::engine::execution::message::{Answer, Message, Responder};
use crate::engine::types::{Applied, DeliverError, Input, RunToEnd, Start};
use crate::interpreter::state::Outcome;
use crate::interpreter::stimulus::StimulusKind;

use super::actor::Partition;
use super::registry::Active;
use super::state::PartitionState;

/// The partition's response to a start: the caller is answered by the execution itself.
pub(in crate::engine) struct Starting {
    pub(super) partition: Rc<PartitionState>,
    pub(super) start: Start,
}

impl MessageResponse<Partition, Start> for Starting {
    fn handle(self, _: &mut actix::Context<Partition>, answer: Option<OneshotSender<Result<Applied, DeliverError>>>) {
        self.partition.begin(self.start, answer);
    }
}

impl MessageResponse<Partition, RunToEnd> for Starting {
    fn handle(self, _: &mut actix::Context<Partition>, answer: Option<OneshotSender<Result<Outcome, DeliverError>>>) {
        if let Some(answer) = answer {
            self.partition.wait(self.start.header.id, answer);
        }
        self.partition.begin(self.start, None);
    }
}

impl PartitionState {
    fn begin(self: &Rc<Self>, start: Start, answer: Option<Answer>) {
        let Start { header, started, machine, hurries } = start;
        let (execution, incarnation) = (header.id, self.registry.incarnation());
        let services = Arc::clone(&self.services);
        let host: Rc<dyn Host> = Rc::<Self>::clone(self);
        let responder = Responder::Beginning(answer);
        let actor = if header.kind().is_journaled() {
            ExecutionActor::new(services, Rc::clone(&host), incarnation, header, machine, hurries)
        } else {
            match ExecutionActor::express(
                services,
                Arc::clone(&self.wiring.express),
                Rc::clone(&host),
                incarnation,
                header,
                machine,
            ) {
                Ok(actor) => actor,
                Err(error) => return responder.respond(&host, execution, incarnation, Err(error)),
            }
        };
        let addr = actor.start();
        let first = Message { input: Input::Stimulus(StimulusKind::Start(started)), responder };
        if let Err(SendError::Full(refused) | SendError::Closed(refused)) = addr.try_send(first) {
            let error = DeliverError::Internal("a new execution takes no message".to_owned());
            return refused.responder.respond(&host, execution, incarnation, Err(error));
        }
        self.insert(execution, Active { incarnation, addr });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::engine::support::{engine, machine, request};
    use crate::engine::types::EngineError;
    use crate::interpreter::state::Conclusion;
    use crate::store::memory::Memory;

    #[actix_rt::test]
    async fn who_waits_for_the_end_hears_it_and_hears_where_the_start_was_refused() {
        let store = Memory::new();
        let engine = engine(&store).await;
        let definition = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": 7, "End": true}}});
        let machine = machine(&store, "m", &definition).await;
        let run = |name: &'static str| {
            tokio::time::timeout(Duration::from_mins(1), engine.run_execution(request(&machine, name, "{}")))
        };
        for name in ["a", "b"] {
            let outcome = run(name).await.expect("it ends").unwrap();
            assert!(matches!(&outcome.result, Conclusion::Succeeded(output) if **output == json!(7)), "{outcome:?}");
        }
        // A start that another call would share is no start for a caller who wants an end of its own.
        let refused = run("a").await.expect("it is answered").unwrap_err();
        assert!(matches!(refused, EngineError::ExecutionAlreadyExists(_)), "{refused}");
        engine.stop(Duration::from_secs(5)).await;
    }
}
