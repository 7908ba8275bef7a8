//! `[engine]`: options of the engine.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::ids::Realm;
use crate::limits::EngineBounds;

/// Among 2, 3, 4, 6, 8, 12 or 16 servers they divide evenly. Each is a queue, and RabbitMQ keeps a quorum for each.
const PARTITIONS_SHARED: u16 = 48;

#[derive(Debug, Clone, Deserialize)]
pub struct EngineOptions {
    pub(super) region: String,
    pub account: String,
    pub(super) partitions: u16,
    pub(super) threads: usize,
    pub(super) passivate_after_seconds: u64,
    pub(super) token_key: SecretString,
    pub(super) token_key_file: String,
    pub(super) retention_days: u32,
    pub(super) shutdown_seconds: u64,
    #[serde(flatten)]
    pub bounds: EngineBounds,
}

impl EngineOptions {
    #[must_use]
    pub fn realm(&self) -> Realm {
        Realm::new(self.region(), &self.account)
    }

    /// The region of this server's ARNs.
    #[must_use]
    pub fn region(&self) -> &str {
        if self.any_region() { "us-east-1" } else { &self.region }
    }

    /// Clients of every region and account are served.
    #[must_use]
    pub fn any_region(&self) -> bool {
        self.region == "any"
    }

    /// The number of threads that run executions. The default is one per core.
    #[must_use]
    pub fn threads(&self) -> usize {
        if self.threads > 0 { self.threads } else { std::thread::available_parallelism().map_or(2, usize::from) }
    }

    /// The number of partitions of a new store. The default is one per thread and at least two, so that a second thread
    /// can share the work; in a store that several servers may share, as many as divide well among them.
    pub(super) fn partitions(&self, shared: bool) -> u16 {
        match self.partitions {
            0 if shared => PARTITIONS_SHARED,
            0 => u16::try_from(self.threads().clamp(2, 64)).unwrap_or(64),
            asked => asked,
        }
    }

    #[must_use]
    pub fn passivate_after(&self) -> Duration {
        Duration::from_secs(self.passivate_after_seconds)
    }

    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.retention_days))
    }

    /// The time that a stopping server gives to the work in progress.
    #[must_use]
    pub fn shutdown(&self) -> Duration {
        Duration::from_secs(self.shutdown_seconds)
    }
}
