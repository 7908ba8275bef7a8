//! One execution, awake: decide, append, perform. It names its partition and the rooms above by two traits,
//! [`host::Host`] and [`effects::Effects`].

pub(in crate::engine) mod actor;
mod call;
mod deciding;
mod dispatch;
pub(in crate::engine) mod effects;
pub(in crate::engine) mod express;
pub(in crate::engine) mod host;
mod meaning;
pub(in crate::engine) mod message;
mod observer;
mod passivation;
mod pending;
mod perform;
pub(in crate::engine) mod state_cell;
mod tracing;
pub(in crate::engine) mod turns;
