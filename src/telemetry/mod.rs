//! Logs and metrics for operators: `logs` (with the field names of `fields` and the events of a task in `task_log`) and
//! `metrics`.
//!
//! The core does not log; the shell logs its own actions here. `docs/LOGGING.md` lists every event and field, and a
//! test compares it with the code. A log line holds no payload, and of a token only the fingerprint. May enter: `ids`,
//! `clock`, `token::fingerprint`.

pub mod fields;
pub mod logs;
pub mod metrics;
pub mod task_log;

pub use logs::{LogFormat, LogOptions, LogsError};
pub use metrics::Metrics;
