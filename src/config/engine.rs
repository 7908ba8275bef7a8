//! `[engine]`: what runs executions.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::ids::Realm;

#[derive(Debug, Clone, Deserialize)]
pub struct EngineOptions {
    pub region: String,
    pub account: String,
    pub(super) partitions: u16,
    pub(super) threads: usize,
    pub(super) passivate_after_seconds: u64,
    pub activity_pollers_max: usize,
    pub(super) token_key: SecretString,
    pub(super) token_key_file: String,
    pub(super) retention_days: u32,
    pub(super) shutdown_seconds: u64,
    pub starts_max: usize,
    pub unpublished_max: usize,
    pub execution_bytes_max: u64,
    pub journal_bytes_max: u64,
    pub memory_bytes_max: u64,
    pub nesting_max: u32,
    pub executions_open_max: u64,
}

impl EngineOptions {
    #[must_use]
    pub fn realm(&self) -> Realm {
        Realm::new(&self.region, &self.account)
    }

    /// Threads that executions run on: as many as cores, where nothing else is said.
    #[must_use]
    pub fn threads(&self) -> usize {
        if self.threads > 0 { self.threads } else { std::thread::available_parallelism().map_or(2, usize::from) }
    }

    /// Partitions of a store that is made now: one for each thread, where nothing else is said; never one alone, which
    /// no second thread could share.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        if self.partitions > 0 { self.partitions } else { u16::try_from(self.threads().clamp(2, 64)).unwrap_or(64) }
    }

    #[must_use]
    pub fn passivate_after(&self) -> Duration {
        Duration::from_secs(self.passivate_after_seconds)
    }

    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_hours(24 * u64::from(self.retention_days))
    }

    /// What a stopping server gives to what is under way.
    #[must_use]
    pub fn shutdown(&self) -> Duration {
        Duration::from_secs(self.shutdown_seconds)
    }
}
