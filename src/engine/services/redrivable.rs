//! May an execution be redriven? The words are AWS's (`redriveStatus`, `redriveStatusReason`).

use crate::clock::Timestamp;

/// AWS: an execution can be redriven for 14 days after it ended.
const REDRIVABLE_DAYS: f64 = 14.0;
/// AWS: an execution is open for at most a year, the time before a redrive included.
const OPEN_DAYS: f64 = 365.0;

/// The facts that the answer depends on.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Execution<'a> {
    /// AWS's word.
    pub status: &'a str,
    pub is_child_of_map_run: bool,
    pub started: Timestamp,
    pub closed: Option<Timestamp>,
}

/// Status and, where it is not `REDRIVABLE`, reason. A history that is full is the caller's to see.
pub(in crate::engine) fn status(of: Execution<'_>, now: Timestamp) -> (&'static str, Option<String>) {
    let Execution { status, is_child_of_map_run, started, closed } = of;
    let never = |reason: &str| ("NOT_REDRIVABLE", Some(reason.to_owned()));
    if matches!(status, "RUNNING" | "SUCCEEDED") {
        return never(&format!("Execution is {status} and cannot be redriven"));
    }
    if is_child_of_map_run {
        return ("REDRIVABLE_BY_MAP_RUN", Some("Execution is a child of a Map Run and is redriven with it".to_owned()));
    }
    if closed.is_some_and(|closed| closed.plus_seconds(REDRIVABLE_DAYS * 86_400.0) < now) {
        return never("Execution redrivable period exceeded");
    }
    if started.plus_seconds(OPEN_DAYS * 86_400.0) < now {
        return never("Execution has exceeded the max execution time");
    }
    ("REDRIVABLE", None)
}

/// Of an execution that could be redriven if its history had room.
pub(in crate::engine) fn full() -> (&'static str, Option<String>) {
    ("NOT_REDRIVABLE", Some("Execution history event limit exceeded".to_owned()))
}
