//! A task as the outside knows it: the same names at every dispatch of it.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::bus::Address;
use crate::ids::TaskKey;

/// The destination of a task that people answer.
pub(in crate::engine) const INBOX: &str = "inbox";

/// A destination as logs and listings name it: the queue, or exchange and routing key.
pub(in crate::engine) fn place(to: &Address) -> String {
    if to.exchange.is_empty() { to.routing_key.clone() } else { format!("{}/{}", to.exchange, to.routing_key) }
}

/// The message id of a task: the same at every dispatch of it.
pub(in crate::engine) fn message_id(key: &TaskKey) -> Uuid {
    let digest =
        Sha256::new().chain_update(key.execution.0.as_bytes()).chain_update(key.scheduled.0.to_be_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
