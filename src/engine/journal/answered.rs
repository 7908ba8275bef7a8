//! Whether an answer to a task is the answer that ended it. Asked where an answer comes a second time and its task is
//! over: the first copy may have ended it, or the answer of another worker.

use crate::engine::services::Services;
use crate::engine::types::{Completion, DeliverError};
use crate::ids::{EventId, ExecutionId};
use crate::interpreter::event::Event;

use super::load;

/// True where the journal says that this answer, or an equal one, ended the task. An answer whose output the task's
/// service has put into another shape is not recognised.
pub(in crate::engine) async fn took_effect(
    services: &Services,
    execution: ExecutionId,
    scheduled: EventId,
    completion: &Completion,
) -> Result<bool, DeliverError> {
    let most = load::batch_bytes_max(services);
    load::fold(
        &*services.journal,
        most,
        execution,
        || false,
        |found, batches| {
            for batch in batches {
                let entries = load::entries(execution, &batch)?;
                *found |= entries.iter().any(|entry| is_of(&entry.event, scheduled, completion));
            }
            Ok(())
        },
    )
    .await
}

fn is_of(event: &Event, task: EventId, completion: &Completion) -> bool {
    match (event, completion) {
        (Event::TaskSucceeded { scheduled, output, .. }, Completion::Success(answer)) => {
            *scheduled == task && output == answer
        }
        (Event::TaskFailed { scheduled, failure, .. }, Completion::Failure(answer)) => {
            *scheduled == task && failure == answer
        }
        _ => false,
    }
}
