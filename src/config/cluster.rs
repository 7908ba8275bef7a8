//! `[cluster]`: several servers on one database.

use std::time::Duration;

use serde::Deserialize;

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ClusterOptions {
    lapse_seconds: u64,
}

impl ClusterOptions {
    /// A server whose beat stands still for so long is gone.
    #[must_use]
    pub fn lapse(&self) -> Duration {
        Duration::from_secs(self.lapse_seconds)
    }
}
