//! What a partition is told beside the messages to its executions.

use actix::Message;

use crate::engine::types::DeliverError;

/// To a partition: begin (recover, consume replies, keep time). Sent once.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DeliverError>")]
pub(in crate::engine) struct Begin;

/// To a partition: are you there? Answered when its mailbox comes to it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::engine) struct Beat;

/// To a partition: take nothing new, let what is under way end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::engine) struct Drain;
