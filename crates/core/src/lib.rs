//! The pure core of Reveille: the language, and the decisions of executions. Plain values in, plain values out: no
//! runtime, no network, no files; time and chance come with the stimulus. `Cargo.toml` of this crate holds that.
//!
//! | room | purpose |
//! |---|---|
//! | [`interpreter`] | `decide(machine, state, stimulus) → events + commands`, `evolve`, `owed` |
//! | [`replay`] | a recorded execution decided again, and its first difference |
//! | [`spans`], [`trace`] | spans of an execution, folded from its journal; trace contexts |
//! | [`record`] | how the entries of a journal are written and read |
//! | [`asl`] | the language: text → model, diagnostics with line, column and JSON pointer |
//! | [`query`] | JSONPath, intrinsic functions, payload templates, JSONata |
//! | [`forms`] | forms that people answer tasks with, and their answers checked |
//! | [`graph`] | pictures of definitions: layout and SVG |
//! | [`payload`] | JSON values with their text |
//! | [`csv`] | AWS's dialect of CSV |
//! | [`ids`], [`limits`], [`clock`] | newtypes, every bound with its reason, time |

pub mod asl;
pub mod clock;
pub mod csv;
pub mod forms;
pub mod graph;
pub mod ids;
pub mod interpreter;
pub mod limits;
pub mod payload;
pub mod query;
pub mod record;
pub mod replay;
pub mod spans;
pub mod trace;
