//! The verdict on a reply: one function for AMQP and HTTP, and for every outcome.

use crate::bus::envelope::Verdict;
use crate::engine::types::{DeliverError, Delivered};
use crate::interpreter::stimulus::Rejection;
use crate::store::StoreError;

/// The verdict on a reply whose token is genuine, and the reason in words.
///
/// # Errors
/// It has none yet: the reply cannot be taken in now, and must come again.
pub(in crate::engine) fn verdict(delivered: Delivered) -> Result<(Verdict, String), DeliverError> {
    Ok(match delivered {
        Delivered::Applied(_) => (Verdict::Accepted, String::new()),
        Delivered::Refused(rejection) => (of_rejection(rejection), rejection.to_string()),
        Delivered::Gone(DeliverError::Store(StoreError::NotFound { .. })) => {
            (Verdict::Unknown, "there is no such execution".to_owned())
        }
        // The execution cannot be read: it alone is affected, and a repeated reply would not mend it.
        Delivered::Gone(error) | Delivered::Unreadable(error) => (Verdict::Unknown, error.to_string()),
        Delivered::Later(error) => return Err(error),
    })
}

fn of_rejection(rejection: Rejection) -> Verdict {
    match rejection {
        Rejection::Duplicate => Verdict::Duplicate,
        Rejection::Late | Rejection::NotApplicable(_) => Verdict::Late,
        Rejection::Unknown => Verdict::Unknown,
        Rejection::TooLarge => Verdict::TooLarge,
        Rejection::Unreadable => Verdict::InvalidOutput,
    }
}
