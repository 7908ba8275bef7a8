//! `[http]` and `[[connections]]`: the worker of HTTP Tasks.

use std::time::Duration;

use serde::Deserialize;

use crate::workers::http::{self, Connection};

#[derive(Debug, Clone, Deserialize)]
pub struct HttpOptions {
    /// Whether this server works on HTTP Tasks.
    pub worker: bool,
    timeout_seconds: u64,
    private_hosts: String,
}

impl HttpOptions {
    /// As the worker takes them.
    #[must_use]
    pub fn worker_options(&self, connections: &[Connection], region: &str) -> http::Options {
        http::Options {
            private_hosts: super::names(&self.private_hosts),
            connections: connections.to_vec(),
            timeout: Duration::from_secs(self.timeout_seconds),
            region: region.to_owned(),
        }
    }
}
