//! What operators see: logs (`logs`, with the words of `fields` and the story of a task in `task_log`) and metrics
//! (`metrics`).
//!
//! The core does not log; the shell tells here what it did. `docs/LOGGING.md` lists every event and field, and a test
//! holds it to that. Never a token (its fingerprint), never a payload. May enter: `ids`, `clock`, `token::fingerprint`.

pub mod fields;
pub mod logs;
pub mod metrics;
pub mod task_log;

pub use logs::{LogFormat, LogOptions, LogsError};
pub use metrics::Metrics;
