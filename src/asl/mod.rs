//! The language: text → model → [`model::Machine`], with diagnostics that say where (line, column, JSON pointer) and what to do.
//!
//! May enter: `query` (expressions are compiled here), `limits`. No state of an execution, no clock, no I/O.

pub mod resource;
