//! The broker's part: declarations, routes, dead letters. It has no clock and no consumers.

use std::collections::HashMap;

use serde_json::json;
use tokio::time::Instant;

use super::queue::{Dead, Queue};
use crate::bus::{Address, BusError, ExchangeSpec, HeaderValue, Message, Publication, QueueSpec};

/// The code and text of RabbitMQ for a publish that no queue takes, and for a publish to an exchange that is not there.
const NO_ROUTE: (u16, &str) = (312, "NO_ROUTE");
const NOT_FOUND: u16 = 404;
/// Dead letters of dead letters: a cycle of queues ends here.
const DEATHS_MAX: usize = 16;

/// The queues and exchanges of a process.
#[derive(Default)]
pub(super) struct World {
    pub queues: HashMap<String, Queue>,
    pub exchanges: HashMap<String, Exchange>,
}

pub(super) struct Exchange {
    kind: &'static str,
    /// (pattern or key, queue).
    bindings: Vec<(String, String)>,
}

impl Exchange {
    fn routes(&self, key: &str) -> Vec<String> {
        let mut queues: Vec<String> = Vec::new();
        for (pattern, queue) in &self.bindings {
            let matches = match self.kind {
                "fanout" => true,
                "topic" => topic_matches(pattern, key),
                _ => pattern == key,
            };
            // one copy a queue, however many bindings match
            if matches && !queues.contains(queue) {
                queues.push(queue.clone());
            }
        }
        queues
    }
}

/// AMQP's topic rule: words between dots, `*` is one word, `#` any number of them.
fn topic_matches(pattern: &str, key: &str) -> bool {
    fn words(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), _) => {
                words(rest, key) || key.split_first().is_some_and(|(_, tail)| words(pattern, tail))
            }
            (Some((p, rest)), Some((k, tail))) => (*p == "*" || p == k) && words(rest, tail),
            _ => false,
        }
    }
    words(&pattern.split('.').collect::<Vec<_>>(), &key.split('.').collect::<Vec<_>>())
}

impl World {
    /// Declares as RabbitMQ does: again with the same arguments is fine, with others is refused. A queue that a publish
    /// made takes any.
    pub(super) fn declare(&mut self, spec: &QueueSpec) -> Result<(), BusError> {
        if spec.only_if_missing && self.queues.contains_key(&spec.name) {
            return Ok(());
        }
        // How it is declared is no argument of it.
        let spec = QueueSpec { only_if_missing: false, ..spec.clone() };
        let queue = self.queues.entry(spec.name.clone()).or_insert_with(|| Queue::new(None));
        match &queue.spec {
            None => queue.spec = Some(spec),
            Some(old) if *old == spec => {}
            Some(_) => {
                let why = "PRECONDITION_FAILED - other arguments on an existing queue".to_owned();
                return Err(BusError::Refused { what: format!("queue {}", spec.name), why });
            }
        }
        Ok(())
    }

    pub(super) fn declare_exchange(&mut self, spec: &ExchangeSpec) -> Result<(), BusError> {
        let exchange = self
            .exchanges
            .entry(spec.name.clone())
            .or_insert_with(|| Exchange { kind: spec.kind, bindings: Vec::new() });
        if exchange.kind != spec.kind {
            let why = "PRECONDITION_FAILED - another type on an existing exchange".to_owned();
            return Err(BusError::Refused { what: format!("exchange {}", spec.name), why });
        }
        Ok(())
    }

    pub(super) fn bind(&mut self, queue: &QueueSpec, from: &Address) -> Result<(), BusError> {
        self.declare(queue)?;
        let Some(exchange) = self.exchanges.get_mut(&from.exchange) else {
            let why = format!("NOT_FOUND - no exchange '{}'", from.exchange);
            return Err(BusError::Refused { what: format!("binding of queue {}", queue.name), why });
        };
        let binding = (from.routing_key.clone(), queue.name.clone());
        if !exchange.bindings.contains(&binding) {
            exchange.bindings.push(binding);
        }
        Ok(())
    }

    pub(super) fn publish(&mut self, to: &Address, message: &Message, now: Instant) -> Publication {
        let queues = if to.exchange.is_empty() {
            self.queues.entry(to.routing_key.clone()).or_insert_with(|| Queue::new(None));
            vec![to.routing_key.clone()]
        } else {
            let Some(exchange) = self.exchanges.get(&to.exchange) else {
                return Publication::Unroutable {
                    code: NOT_FOUND,
                    text: format!("NOT_FOUND - no exchange '{}'", to.exchange),
                };
            };
            exchange.routes(&to.routing_key)
        };
        if queues.is_empty() {
            return Publication::Unroutable { code: NO_ROUTE.0, text: NO_ROUTE.1.to_owned() };
        }
        let (mut nacked, mut refused) = (false, Vec::new());
        for name in queues {
            if let Some(queue) = self.queues.get_mut(&name)
                && !queue.push(message.clone(), now)
            {
                nacked = true;
                let to = queue.spec.as_ref().and_then(|spec| spec.refused_to.clone());
                refused.push(Dead { message: message.clone(), reason: "maxlen", queue: name, to });
            }
        }
        self.bury(refused, now);
        if nacked { Publication::Nacked } else { Publication::Confirmed }
    }

    /// Hands dead letters on, as RabbitMQ does: with `x-death` and without their expiration.
    pub(super) fn bury(&mut self, dead: Vec<Dead>, now: Instant) {
        for Dead { mut message, reason, queue, to } in dead {
            let Some(to) = to else { continue };
            let headers = &mut message.properties.headers;
            let mut deaths = match headers.remove("x-death") {
                Some(HeaderValue::Json(serde_json::Value::Array(deaths))) => deaths,
                _ => Vec::new(),
            };
            if deaths.len() >= DEATHS_MAX {
                continue;
            }
            deaths.insert(0, json!({"queue": queue, "reason": reason, "count": 1, "routing-keys": [queue]}));
            headers.entry("x-first-death-queue".into()).or_insert_with(|| HeaderValue::Text(queue.clone()));
            headers.entry("x-first-death-reason".into()).or_insert_with(|| HeaderValue::Text(reason.to_owned()));
            headers.insert("x-death".into(), HeaderValue::Json(serde_json::Value::Array(deaths)));
            message.properties.expiration = None;
            self.publish(&to, &message, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_match_as_amqp_has_it() {
        for (pattern, key, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("*", "", true),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("a.#", "a", true),
            ("a.#.z", "a.b.c.z", true),
            ("a.#.z", "a.b.c", false),
            ("#.b.#", "a.b.c", true),
        ] {
            assert_eq!(topic_matches(pattern, key), expected, "{pattern} {key}");
        }
    }
}
