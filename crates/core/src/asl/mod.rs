//! The language: text → model → [`model::Machine`], with diagnostics that say where (line, column, JSON pointer) and
//! what to do.
//!
//! ```text
//! text ──spans::scan──▶ Node ──check::Checker──▶ blocks, states, expressions ──graph::Graph──▶ Machine
//!        JSON with places      fields.rs: the allowed fields of a state    targets, ways in, an end
//!                              reader.rs: types, ranges, presence
//!                              expressions.rs: paths, templates, JSONata
//!                              simple, task, ask, choice, nested, map_data, failures, variables:
//!                                  one kind of rule each
//! ```
//!
//! [`parse`] gives a machine or all errors; [`diagnose`] gives errors and warnings for a person to read. Definitions
//! are judged as AWS judges them, with AWS's codes and, where known, words. Findings of our own are warnings (see
//! [`diagnostics::code`]).
//!
//! May enter: `query` (expressions are compiled here), `forms`, `clock::Timestamp`, `ids`, `limits`, `payload`. No
//! state of an execution, no clock, no I/O.
#![expect(clippy::option_option, reason = "outer: refused, and the reader was told; inner: the field is absent")]

mod ask;
mod check;
mod choice;
pub mod diagnostics;
mod expressions;
mod failures;
mod fields;
mod graph;
mod location;
mod map_data;
pub mod model;
mod nested;
mod reader;
pub mod resource;
mod simple;
mod spans;
mod task;
mod tasks;
#[cfg(test)]
mod tests;
pub(crate) mod variables;

use std::sync::Arc;

pub use self::diagnostics::{Diagnostic, Diagnostics, Severity};
use self::diagnostics::{Findings, code};
use self::model::Machine;
pub use self::tasks::{WrittenTask, tasks};
pub use crate::ids::MachineType;
use crate::limits::COMPILED_BYTES_PER_BYTE;
use crate::payload::jackson;
use crate::query::programs::Programs;

/// A definition that was accepted.
#[derive(Debug, Clone)]
pub struct ValidMachine {
    pub machine: Arc<Machine>,
    /// The definition runs, but probably not as intended.
    pub warnings: Vec<Diagnostic>,
}

/// Reads, checks and compiles a definition.
///
/// # Errors
/// All that is wrong with it, in the order in which AWS reports it.
pub fn parse(text: &str, kind: MachineType) -> Result<ValidMachine, Diagnostics> {
    valid(text, examine(text, kind, Whole::Machine))
}

/// The name of a state that stands alone, in places and causes (recorded: `… at /States/StateName/Branches`).
pub const LONE_STATE: &str = "StateName";

/// Reads a single state, as `TestState` takes it: a machine with that state only, whose transitions are not followed.
///
/// # Errors
/// All that is wrong with it; lines and columns count in the machine that is put around it.
pub fn parse_state(text: &str) -> Result<ValidMachine, Diagnostics> {
    // Text that is no JSON by itself must not become JSON through the text around it.
    if spans::scan(text).is_err() {
        return valid(text, examine(text, MachineType::Standard, Whole::Machine));
    }
    let whole = format!(r#"{{"StartAt":"{LONE_STATE}","States":{{"{LONE_STATE}":{text}}}}}"#);
    valid(&whole, examine(&whole, MachineType::Standard, Whole::State))
}

/// The definition of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Machine,
    /// One state; where its transitions lead is not known.
    State,
}

fn valid(text: &str, (machine, findings): (Option<Machine>, Findings)) -> Result<ValidMachine, Diagnostics> {
    let (errors, warnings) = findings.settle(text);
    match machine {
        Some(machine) => Ok(ValidMachine { machine: Arc::new(machine), warnings }),
        None => Err(Diagnostics(errors)),
    }
}

/// All findings: errors first, then, where `least` is [`Severity::Warning`], warnings.
#[must_use]
pub fn diagnose(text: &str, kind: MachineType, least: Severity) -> Vec<Diagnostic> {
    let (mut all, warnings) = examine(text, kind, Whole::Machine).1.settle(text);
    if least == Severity::Warning {
        all.extend(warnings);
    }
    all
}

/// The machine is there exactly where there is no error.
fn examine(text: &str, kind: MachineType, whole: Whole) -> (Option<Machine>, Findings) {
    let mut findings = Findings::default();
    let missing = || Some("a definition is an object with StartAt and States".to_owned());
    if text.trim().is_empty() {
        findings.error(code::MISSING_DESCRIPTION, "The definition is empty".into(), None, 0, missing());
        return (None, findings);
    }
    let node = match spans::scan(text) {
        Ok(node) => node,
        Err(e) => {
            let code = if e.too_deep { code::TOO_DEEPLY_NESTED } else { code::INVALID_JSON_DESCRIPTION };
            let (line, column) = spans::Lines::new(text).position(e.offset);
            let ours = format!("{} at line {line}, column {column}", e.message);
            // AWS's words for its users, and ours, which say the place, beside them.
            let (message, hint) = match jackson::complaint(text) {
                Some(complaint) if !e.too_deep => (complaint.message, Some(ours)),
                _ => (ours, None),
            };
            findings.error(code, message, None, e.offset, hint);
            return (None, findings);
        }
    };
    if node.json == spans::Json::Null {
        findings.error(
            code::MISSING_DESCRIPTION,
            "The definition is null".into(),
            None,
            node.offset as usize,
            missing(),
        );
        return (None, findings);
    }
    let programs = Programs::default();
    let (mut machine, findings) = check::Checker::check(&node, kind, whole, &programs);
    if let Some(machine) = &mut machine {
        machine.bytes = text.len() as u64 * COMPILED_BYTES_PER_BYTE + 3 * programs.taken() as u64;
    }
    // An error that left no trace would give neither machine nor reason; the reader is told in any case.
    assert!(machine.is_some() || findings.has_errors(), "a definition was refused without a reason");
    (machine, findings)
}
