//! THE CORE, pure: `decide(machine, state, stimulus) → events + commands`, `evolve(state, event) → state`, `owed(state) → commands`.
//!
//! May enter: `asl`, `query`, `ids`, `limits`, `clock::Timestamp`. Never: a clock, chance, tokio, actix, lapin, tracing, a store.

pub mod command;
pub mod event;
pub mod stimulus;
