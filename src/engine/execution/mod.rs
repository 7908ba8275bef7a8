//! One execution, awake: decide, append, perform.

pub(in crate::engine) mod actor;
pub(in crate::engine) mod dispatch;
pub(in crate::engine) mod express;
pub(in crate::engine) mod message;
pub(in crate::engine) mod observer;
pub(in crate::engine) mod state_cell;
pub(in crate::engine) mod turns;
