//! `[bus]`: the broker for tasks and replies.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{SecretUrl, names, path};
use crate::bus::{Bounds, DeclareQueues, Names, QueueKind, TaskHeaders};

#[derive(Debug, Clone, Deserialize)]
pub struct BusOptions {
    pub url: SecretUrl,
    pub prefix: String,
    pub(super) connection_name: String,
    pub(super) url_file: String,
    pub queue_kind: QueueKind,
    pub prefetch: u16,
    pub publish_channels: usize,
    pub(super) heartbeat_seconds: u64,
    pub(super) confirm_timeout_seconds: u64,
    pub(super) ca_file: String,
    pub(super) certificate_file: String,
    pub(super) certificate_key_file: String,
    pub headers: TaskHeaders,
    pub declare: DeclareQueues,
    pub(super) queues: String,
    pub(super) topics: String,
    pub(super) event_buses: String,
    pub(super) events: String,
    pub(super) start_queue: String,
    pub(super) parked_messages_max: u32,
    pub(super) parked_mib_max: u64,
}

impl BusOptions {
    /// Names of machines whose executions are announced; `*` at the end stands for any text.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        names(&self.events)
    }

    /// True where the bus is in this process.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.url.expose().starts_with("embedded:")
    }

    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds)
    }

    #[must_use]
    pub fn confirm_timeout(&self) -> Duration {
        Duration::from_secs(self.confirm_timeout_seconds)
    }

    #[must_use]
    pub fn ca_file(&self) -> Option<PathBuf> {
        path(&self.ca_file)
    }

    #[must_use]
    pub fn certificate_file(&self) -> Option<PathBuf> {
        path(&self.certificate_file)
    }

    #[must_use]
    pub fn certificate_key_file(&self) -> Option<PathBuf> {
        path(&self.certificate_key_file)
    }

    /// The name that the broker shows beside each connection. `None`: the prefix and this host's name.
    #[must_use]
    pub fn connection_name(&self) -> Option<String> {
        Some(self.connection_name.clone()).filter(|name| !name.is_empty())
    }

    /// The file that holds the URL.
    #[must_use]
    pub fn url_file(&self) -> Option<PathBuf> {
        path(&self.url_file)
    }

    /// The names of the engine's own queues and exchanges.
    #[must_use]
    pub fn names(&self) -> Names {
        Names::new(&self.prefix)
    }

    /// The task queues that the engine declares. [`super::Settings::load`] has checked them, so it does not fail later.
    pub fn queues(&self) -> Result<Vec<OwnedQueue>, String> {
        let queues = names(&self.queues).iter().map(|entry| OwnedQueue::parse(entry)).collect::<Result<Vec<_>, _>>()?;
        match queues.iter().find(|queue| queue.delivery_limit.is_some() && self.queue_kind != QueueKind::Quorum) {
            Some(queue) => {
                Err(format!("gives '{}' a delivery_limit, which only quorum queues have (bus.queue_kind)", queue.name))
            }
            None => Ok(queues),
        }
    }

    /// Fanout exchanges that the engine declares.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        names(&self.topics)
    }

    /// Queue in which a message starts an execution, if there is one.
    #[must_use]
    pub fn start_queue(&self) -> Option<String> {
        Some(self.start_queue.replace("{prefix}", &self.prefix)).filter(|name| !name.is_empty())
    }

    /// The bounds of the parking queue. 0 means no bound.
    #[must_use]
    pub fn parking(&self) -> Bounds {
        Bounds {
            messages: Some(self.parked_messages_max).filter(|n| *n > 0),
            bytes: Some(self.parked_mib_max).filter(|n| *n > 0).map(|mib| mib << 20),
        }
    }

    /// Topic exchanges that the engine declares.
    #[must_use]
    pub fn event_buses(&self) -> Vec<String> {
        names(&self.event_buses)
    }
}

/// A queue of `bus.queues`: `NAME`, or `NAME;max_length=N;delivery_limit=N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedQueue {
    pub name: String,
    /// The number of messages at which the queue refuses more.
    pub max_length: Option<u32>,
    /// The number of deliveries after which a task is given up.
    pub delivery_limit: Option<u32>,
}

impl OwnedQueue {
    fn parse(entry: &str) -> Result<Self, String> {
        let mut parts = entry.split(';').map(str::trim);
        let mut queue =
            Self { name: parts.next().unwrap_or_default().to_owned(), max_length: None, delivery_limit: None };
        if queue.name.is_empty() {
            return Err(format!("has an entry without a name: '{entry}'"));
        }
        for part in parts {
            let allowed = || {
                format!("has '{part}' at the queue '{}'; allowed: max_length=N, delivery_limit=N, N from 1", queue.name)
            };
            let (name, number) = part.split_once('=').ok_or_else(allowed)?;
            let number: u32 = number.trim().parse().ok().filter(|n| *n > 0).ok_or_else(allowed)?;
            match name.trim() {
                "max_length" => queue.max_length = Some(number),
                "delivery_limit" => queue.delivery_limit = Some(number),
                _ => return Err(allowed()),
            }
        }
        Ok(queue)
    }
}
