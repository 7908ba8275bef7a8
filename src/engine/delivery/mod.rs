//! From the broker to an execution, and the verdict back.

pub(in crate::engine) mod bindings;
pub(in crate::engine) mod dead_letters;
mod lines;
pub(in crate::engine) mod news;
pub mod parked_messages;
pub(in crate::engine) mod parking;
pub(in crate::engine) mod replies;
pub(in crate::engine) mod start_queue;
mod tells;
pub(in crate::engine) mod verdict;

use crate::engine::execution::express::Express;
use crate::engine::services::Services;
use crate::ids::{Arn, ExecutionId};

/// The ARN of an execution that there is.
async fn arn_of(services: &Services, express: &Express, execution: ExecutionId) -> Option<Arn> {
    if let Some(row) = express.row(execution) {
        return Some(row.header.arn);
    }
    services.journal.execution(execution).await.ok().flatten().map(|row| row.header.arn)
}
