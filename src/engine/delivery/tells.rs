//! Words of other nodes, in the reply queue of a partition that is here: carried out, answered, then acknowledged.
//!
//! A forged or late word does nothing. A word that meets the end of this ownership goes back to the queue, for the next
//! owner.

use std::rc::Rc;
use std::sync::Arc;

use crate::bus::envelope::Tell;
use crate::bus::{Address, Delivery, Settlement};
use crate::engine::journal::answered;
use crate::engine::partition::PartitionState;
use crate::engine::services::Services;
use crate::engine::types::tell::{Answer, Heard, Word};
use crate::engine::types::{Applied, Deliver, Delivered, EngineError, Input, MapRunError};
use crate::interpreter::stimulus::Rejection;
use crate::store::StoreError;

pub(super) async fn take(services: &Arc<Services>, partition: &Rc<PartitionState>, delivery: Delivery) {
    let away = services.courier.away();
    let tell = match Tell::read(&delivery.message, partition.id, services.clock.now(), away.keys()) {
        Ok(tell) => tell,
        Err(defect) => {
            services.metrics.tell(defect.as_str());
            let queue = partition.reply_queue.as_str();
            tracing::warn!(
                event = "tell.refused",
                reason = defect.as_str(),
                queue,
                "a message that says it is a node's does nothing: {defect}"
            );
            return delivery.settle(Settlement::Ack);
        }
    };
    let answer = match Word::decode(&tell.body) {
        Some(word) => carry_out(services, partition, word, delivery.redelivered).await,
        None => Some(Answer::NotUnderstood),
    };
    let Some(answer) = answer else { return delivery.settle(Settlement::Requeue) };
    if let Some(to) = tell.reply_to {
        let to = Address { exchange: String::new(), routing_key: to };
        services.publish_best_effort(to, away.answer(tell.id, &answer));
    }
    delivery.settle(Settlement::Ack);
}

/// `None`: this engine owns the partition no more, and has not done it. `again`: it may have been done already.
async fn carry_out(
    services: &Arc<Services>,
    partition: &Rc<PartitionState>,
    word: Word,
    again: bool,
) -> Option<Answer> {
    match word {
        Word::Input { execution, input } => {
            let input = match input.into_input() {
                Heard::Input(input) => input,
                Heard::ChildEnded { scheduled, child } => match services.journal.execution(child).await {
                    Ok(Some(row)) => Input::ChildEnded { scheduled, child: Arc::new(row) },
                    Ok(None) => return Some(Answer::Gone),
                    Err(error) => return Some(Answer::Later { why: error.to_string() }),
                },
            };
            let reply = match &input {
                Input::Reply { scheduled, completion, .. } if again => Some((*scheduled, completion.clone())),
                _ => None,
            };
            let delivered = Delivered::from(partition.deliver(Deliver { execution, input }).await);
            let was_taken = match (&delivered, reply) {
                (Delivered::Later(error), _) if error.is_handover() => return None,
                (Delivered::Refused(_), Some((scheduled, completion))) => {
                    answered::took_effect(services, execution, scheduled, &completion).await
                }
                (Delivered::Refused(Rejection::Duplicate), None) => Ok(again),
                _ => Ok(false),
            };
            // The first copy was taken in, and its answer or its acknowledgement was lost.
            let applied = || Delivered::Applied(Applied { at: services.clock.now() });
            Some(Answer::from(&match was_taken {
                Ok(true) => applied(),
                Ok(false) => delivered,
                Err(error) => Delivered::Later(error),
            }))
        }
        Word::ChangeMapRun { run, change } => match Arc::clone(partition.effects()).change_map_run(run, change).await {
            Ok(()) => Some(Answer::Applied { at: services.clock.now() }),
            Err(MapRunError::Ended(_)) => Some(Answer::MapRunEnded),
            Err(MapRunError::DoesNotExist(_)) => Some(Answer::NoMapRun),
            Err(MapRunError::Engine(EngineError::Store(StoreError::Fenced { .. }))) => None,
            Err(MapRunError::Engine(error)) => Some(Answer::Later { why: error.to_string() }),
        },
        Word::ChildClosed { run, child, status, attempt } => {
            partition.effects().child_closed(&run, child, status, attempt);
            Some(Answer::Applied { at: services.clock.now() })
        }
    }
}
