//! Answers for tasks that are not sent out: the mocks of `reveille run`.

use std::fmt;

use super::request::Completion;
use crate::ids::ExecutionId;
use crate::interpreter::event::FrameId;

/// A task as it would go out.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub execution: ExecutionId,
    /// Which thread of control inside the execution: one iteration of a Map has one.
    pub frame: FrameId,
    pub state: &'a str,
    /// The ARN.
    pub resource: &'a str,
}

/// The fate of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    /// This is its worker's answer.
    Answer(Completion),
    /// It goes out.
    Send,
    /// It stays where it is, unanswered.
    Withhold,
}

/// Stands in for all workers of an engine.
pub trait StandIn: fmt::Debug + Send + Sync {
    /// Asked once for each attempt of a task.
    fn word(&self, task: Asked<'_>) -> Word;
}
