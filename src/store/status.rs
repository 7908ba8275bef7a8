//! The status of an execution: AWS's words, and the numbers that stored rows have for them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionStatus {
    #[default]
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
    PendingRedrive,
}

impl ExecutionStatus {
    pub const ALL: [Self; 6] =
        [Self::Running, Self::Succeeded, Self::Failed, Self::TimedOut, Self::Aborted, Self::PendingRedrive];

    /// AWS's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
            Self::PendingRedrive => "PENDING_REDRIVE",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Its number in stored rows, which never changes its meaning. Partial indexes name that of `RUNNING`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Running => 0,
            Self::Succeeded => 1,
            Self::Failed => 2,
            Self::TimedOut => 3,
            Self::Aborted => 4,
            Self::PendingRedrive => 5,
        }
    }

    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Running)
    }

    #[must_use]
    pub const fn is_unsuccessful(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Aborted)
    }

    /// The status of a child of a map run whose redrive began at `redriven` (`None`: it is not being redriven). A child
    /// that ended without success before that time waits for its own redrive. AWS: `PENDING_REDRIVE`.
    #[must_use]
    pub fn of_child(self, closed: Option<Timestamp>, redriven: Option<Timestamp>) -> Self {
        let waits = redriven.is_some_and(|redriven| closed.is_some_and(|closed| closed < redriven));
        if self.is_unsuccessful() && waits { Self::PendingRedrive } else { self }
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
