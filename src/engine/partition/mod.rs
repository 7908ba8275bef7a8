//! A partition: owns its executions (their addresses), one timer queue, one reply queue. Pinned to an arbiter;
//! everything here runs on that one thread. A [`manager`] begins and releases each by itself.

mod actor;
mod backlog;
mod backlog_watch;
mod begin;
mod confirms;
mod host;
mod housekeeping;
pub(in crate::engine) mod manager;
mod messages;
mod recovery;
mod registry;
mod reply_consumer;
mod state;
mod timekeeping;
mod timers;
mod unsure;

pub(in crate::engine) use reply_consumer::ReplyConsumer;
#[cfg(test)]
pub(in crate::engine) use state::Ended;
pub(in crate::engine) use state::{PartitionState, Wiring};
