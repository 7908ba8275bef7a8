//! Logs, metrics and traces for operators: `logs` (with the field names of `fields` and the events of a task in
//! `task_log`), `metrics` and `otlp`.
//!
//! The core does not log; the shell logs its own actions here. `docs/LOGGING.md` lists every event and field, and a
//! test compares it with the code. A log line holds no payload, and of a token only the fingerprint. May enter: `ids`,
//! `clock`, `limits`, `token::fingerprint`; `spans` and `trace` of the core.

pub mod fields;
pub mod logs;
pub mod metrics;
pub mod otlp;
pub mod task_log;

pub use logs::{LogFormat, LogOptions, LogsError};
pub use metrics::Metrics;
pub use otlp::{OtlpOptions, Traces};
