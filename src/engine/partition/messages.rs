//! Messages to a partition beside the messages to its executions.

use actix::Message;

use crate::engine::types::DeliverError;

/// Begin: recover, consume replies, keep time. Sent once.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DeliverError>")]
pub(super) struct Begin;

/// Are you there? Answered when the mailbox comes to it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Beat;

/// Take nothing new, and let work in progress end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Drain;

/// End at once: another owner has gone on already.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Abandon;

/// The same as [`Drain`], and then end: another owner goes on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Release;
