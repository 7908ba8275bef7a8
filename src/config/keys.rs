//! The table of all keys of the settings with their allowed values. It finds unknown keys and bad values.

use std::net::SocketAddr;

use serde_json::Value;

/// The values that a key may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Never shown; the key with `_file` behind its name holds the path of a file with the value.
    Secret,
    /// As `Secret`, beginning with one of these schemes.
    SecretUrl(&'static [&'static str]),
    Integer(u64, u64),
    /// From 0 to 1.
    Share,
    Flag,
    OneOf(&'static [&'static str]),
    Address,
    /// Twelve digits.
    Account,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub name: &'static str,
    pub kind: Kind,
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

/// The keys whose values are lists of rows; `integrations::ServiceTable` and `workers::http::Connection` check them.
pub(super) const ROWS: [&str; 2] = [INTEGRATIONS, CONNECTIONS];
pub(super) const INTEGRATIONS: &str = "integrations";
pub(super) const CONNECTIONS: &str = "connections";

/// The values in force for people. Of a secret it is said whether there is one; a URL is shown without its password.
pub(super) fn in_force(flat: &super::Flat) -> Vec<(String, String)> {
    let value = |key: &Key| match (flat.get(key.name), key.kind) {
        (None, _) => String::new(),
        (Some(Value::String(text)), Kind::Secret) => if text.is_empty() { "" } else { "(set)" }.to_owned(),
        (Some(Value::String(url)), Kind::SecretUrl(_)) => super::SecretUrl::new(url).to_string(),
        (Some(_), Kind::Secret | Kind::SecretUrl(_)) => "(set)".to_owned(),
        (Some(Value::String(text)), _) => text.clone(),
        (Some(other), _) => other.to_string(),
    };
    KEYS.iter().map(|key| (key.name.to_owned(), value(key))).collect()
}

pub(super) const KEYS: &[Key] = &[
    key("api.listen", Kind::Address),
    key("api.keys", Kind::Secret),
    key("api.keys_file", Kind::Text),
    key("api.allow_unsigned", Kind::Flag),
    key("api.hosts", Kind::Text),
    key("api.kms", Kind::OneOf(&["refuse", "record"])),
    key("api.tls.certificate", Kind::Text),
    key("api.tls.key", Kind::Text),
    key("api.connections_max", Kind::Integer(1, 1_000_000)),
    key("api.bodies_bytes_max", Kind::Integer(4_194_304, 1 << 40)),
    key("api.body_seconds", Kind::Integer(1, 3_600)),
    key("api.drain_seconds", Kind::Integer(0, 300)),
    key("console.enabled", Kind::Flag),
    key("console.url", Kind::Text),
    key("console.user_header", Kind::Text),
    key("console.groups_header", Kind::Text),
    key("console.trusted_proxies", Kind::Text),
    key("console.groups", Kind::Text),
    key("console.viewers_max", Kind::Integer(0, 100_000)),
    key("store.url", Kind::SecretUrl(&["sqlite:", "postgres://", "postgresql://"])),
    key("store.url_file", Kind::Text),
    key("store.synchronous", Kind::OneOf(&["full", "normal"])),
    key("store.readers", Kind::Integer(1, 8)),
    key("store.cache_kib", Kind::Integer(1_024, 16_777_216)),
    key("store.check", Kind::Flag),
    key("store.exposed_files", Kind::OneOf(&["warn", "refuse"])),
    key("store.size_bytes_max", Kind::Integer(0, 1 << 50)),
    key("store.ca_file", Kind::Text),
    key("store.certificate_file", Kind::Text),
    key("store.certificate_key_file", Kind::Text),
    key("bus.url", Kind::SecretUrl(&["embedded:", "amqp://", "amqps://"])),
    key("bus.url_file", Kind::Text),
    key("bus.prefix", Kind::Text),
    key("bus.connection_name", Kind::Text),
    key("bus.queue_kind", Kind::OneOf(&["quorum", "classic"])),
    key("bus.prefetch", Kind::Integer(1, 65_535)),
    key("bus.publish_channels", Kind::Integer(1, 64)),
    key("bus.heartbeat_seconds", Kind::Integer(1, 600)),
    key("bus.confirm_timeout_seconds", Kind::Integer(1, 3_600)),
    key("bus.ca_file", Kind::Text),
    key("bus.certificate_file", Kind::Text),
    key("bus.certificate_key_file", Kind::Text),
    key("bus.headers", Kind::OneOf(&["full", "lean"])),
    key("bus.declare", Kind::OneOf(&["auto", "dead-letters", "never"])),
    key("bus.queues", Kind::Text),
    key("bus.topics", Kind::Text),
    key("bus.event_buses", Kind::Text),
    key("bus.events", Kind::Text),
    key("bus.start_queue", Kind::Text),
    key("bus.parked_messages_max", Kind::Integer(0, u32::MAX as u64)),
    key("bus.parked_mib_max", Kind::Integer(0, 1 << 30)),
    key("cluster.lapse_seconds", Kind::Integer(2, 60)),
    key("engine.region", Kind::Text),
    key("engine.account", Kind::Account),
    key("engine.partitions", Kind::Integer(0, 1_024)),
    key("engine.threads", Kind::Integer(0, 256)),
    key("engine.passivate_after_seconds", Kind::Integer(1, 31_536_000)),
    key("engine.activity_pollers_max", Kind::Integer(1, 100_000)),
    key("engine.token_key", Kind::Secret),
    key("engine.token_key_file", Kind::Text),
    key("engine.retention_days", Kind::Integer(1, 36_500)),
    key("engine.shutdown_seconds", Kind::Integer(0, 3_600)),
    key("engine.starts_max", Kind::Integer(1, 1_000_000)),
    key("engine.unpublished_max", Kind::Integer(1, 10_000_000)),
    key("engine.execution_bytes_max", Kind::Integer(1_048_576, 1_099_511_627_776)),
    key("engine.journal_bytes_max", Kind::Integer(1_048_576, 1_099_511_627_776)),
    key("engine.memory_bytes_max", Kind::Integer(1_048_576, 1_099_511_627_776)),
    key("engine.nesting_max", Kind::Integer(1, 1_000_000)),
    key("engine.executions_open_max", Kind::Integer(1, 1_000_000_000)),
    key("objects.folder", Kind::Text),
    key("objects.endpoint", Kind::Text),
    key("objects.region", Kind::Text),
    key("objects.key", Kind::Secret),
    key("objects.key_file", Kind::Text),
    key("objects.path_style", Kind::Flag),
    key("http.worker", Kind::Flag),
    key("http.timeout_seconds", Kind::Integer(1, 300)),
    key("http.private_hosts", Kind::Text),
    key("telemetry.otlp.endpoint", Kind::Text),
    key("telemetry.otlp.headers", Kind::Secret),
    key("telemetry.otlp.headers_file", Kind::Text),
    key("telemetry.otlp.sampling", Kind::Share),
    key("telemetry.otlp.service", Kind::Text),
    key("logs.format", Kind::OneOf(&["auto", "json", "pretty"])),
    key("logs.filter", Kind::Text),
];

impl Kind {
    /// Reads a value of any layer: the environment and flags give texts for all kinds. The error names the allowed
    /// values.
    pub(super) fn read(self, value: &Value) -> Result<Value, String> {
        let text = match value {
            Value::String(text) => Some(text.trim()),
            _ => None,
        };
        let told = || match value {
            Value::String(text) => shown(text),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a table".to_owned(),
            other => other.to_string(),
        };
        let refuse = |allowed: &str| Err(format!("is {}; allowed: {allowed}", told()));
        match self {
            Self::Text => match value {
                Value::String(_) => Ok(value.clone()),
                Value::Number(number) => Ok(Value::String(number.to_string())),
                // Lists of names may be written as lists.
                Value::Array(items) if items.iter().all(Value::is_string) => {
                    Ok(Value::String(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")))
                }
                _ => refuse("a text"),
            },
            Self::Secret => {
                text.map(|text| Value::String(text.to_owned())).ok_or_else(|| "is no text; allowed: a text".to_owned())
            }
            Self::SecretUrl(begins) if value.is_array() => {
                // Several addresses may be written as a list.
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                let list = items.iter().map(|item| item.as_str()).collect::<Option<Vec<_>>>().unwrap_or_default();
                Self::SecretUrl(begins).read(&Value::String(list.join(",")))
            }
            Self::SecretUrl(begins) => match text {
                Some(text) if begins.iter().any(|begin| text.starts_with(begin)) => Ok(Value::String(text.to_owned())),
                // The value is not shown: it may hold a password.
                _ => Err(format!("is not a supported URL; allowed: a URL that begins with {}", begins.join(", "))),
            },
            Self::Integer(least, most) => {
                let number = value.as_u64().or_else(|| text.and_then(|text| text.replace('_', "").parse().ok()));
                match number.filter(|n| (least..=most).contains(n)) {
                    Some(number) => Ok(Value::from(number)),
                    None => refuse(&format!("a whole number from {least} to {most}")),
                }
            }
            Self::Share => {
                let number = value.as_f64().or_else(|| text.and_then(|text| text.parse().ok()));
                match number.filter(|n| (0.0..=1.0).contains(n)) {
                    Some(number) => Ok(Value::from(number)),
                    None => refuse("a number from 0 to 1, such as 0.1"),
                }
            }
            Self::Flag => match (value, text) {
                (Value::Bool(_), _) => Ok(value.clone()),
                (_, Some("true")) => Ok(Value::Bool(true)),
                (_, Some("false")) => Ok(Value::Bool(false)),
                _ => refuse("true, false"),
            },
            Self::OneOf(words) => match text.and_then(|text| words.iter().find(|word| word.eq_ignore_ascii_case(text)))
            {
                Some(word) => Ok(Value::String((*word).to_owned())),
                None => refuse(&words.join(", ")),
            },
            Self::Address => match text.map(str::parse::<SocketAddr>) {
                Some(Ok(address)) => Ok(Value::String(address.to_string())),
                _ => refuse("an address with a port, such as 127.0.0.1:8083 or [::]:8083"),
            },
            Self::Account => {
                let digits = text.map(str::to_owned).or_else(|| value.as_u64().map(|n| format!("{n:012}")));
                match digits.filter(|digits| digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_digit())) {
                    Some(digits) => Ok(Value::String(digits)),
                    None => refuse("twelve digits"),
                }
            }
        }
    }
}

/// Shows a value in an error. A URL is not shown: given to the wrong key, it may hold a password.
pub(super) fn shown(text: &str) -> String {
    if text.contains("://") || text.contains('@') { "a URL".to_owned() } else { format!("'{text}'") }
}

/// The key that a misspelt name may stand for: the most similar one, or the same word in another section.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let word = name.rsplit('.').next().unwrap_or(name);
    KEYS.iter()
        .map(|key| {
            let same_word = key.name.rsplit('.').next() == Some(word);
            (if same_word { 1 } else { distance(key.name, name) }, key.name)
        })
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let best = (corner + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row.last().copied().unwrap_or(0)
}
