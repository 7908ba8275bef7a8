//! The language: text → model → [`model::Machine`], with diagnostics that say where (line, column, JSON pointer) and what to do.
//!
//! May enter: `query` (expressions are compiled here), `limits`. No state of an execution, no clock, no I/O.
#![expect(dead_code, reason = "the walk over the definition that uses these comes with the next change")]

pub mod diagnostics;
mod location;
pub mod resource;
mod spans;
