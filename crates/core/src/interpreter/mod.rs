//! THE CORE, pure: `decide(machine, state, stimulus) → events + commands`, `evolve(state, event) → state`, `owed(state)
//! → commands`.
//!
//! May enter: `asl`, `query`, `csv`, `ids`, `limits`, `payload`, `trace`, `clock::Timestamp`. Never: a clock, chance,
//! tokio, actix, lapin, tracing, a store.

mod bounds;
pub mod command;
mod dataflow;
mod decide;
pub mod event;
mod failure;
pub mod forking;
pub mod heartbeats;
mod ledger;
pub mod map_items;
pub mod map_run;
mod owed;
pub mod payloads;
mod scope;
pub mod size;
pub mod state;
mod steps;
pub mod stimulus;
pub mod test_state;

pub use bounds::{Bounds, Share};
pub use decide::{Decision, Env, TokenMint, Undecided, decide, due, execution_deadline};
pub use owed::owed;

#[cfg(test)]
mod tests;
