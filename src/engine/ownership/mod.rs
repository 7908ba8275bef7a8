//! This node among others that share its store: its row beats, and its partitions begin and end as [`protocol`] says.
//!
//! ```text
//! join ─► beat and look ─► step ─► Begin, Drop ─► partitions begin and end
//!           ▲                 └──► Bury, Claim, Give ─► rows of the store
//!           └── six times in a lapse, and when something was done ──┘
//! ```
//! Why it is built so: `docs/decisions/0037-leases-and-epochs.md`.

mod ears;
mod keeper;
mod protocol;
#[cfg(test)]
mod tests;

pub(in crate::engine) use keeper::Keeper;
