//! Settings of the API: `[api]` in the configuration file.

use secrecy::SecretString;
use serde::Deserialize;

use crate::limits::{BODIES_BYTES_MAX, CONNECTIONS_MAX, REQUEST_BYTES_MAX};

use super::hosts;
use super::operations::Class;
use super::tls::Files;

/// `[api]`. Every member has a default; since 0.1.0.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Address and port; port 0 takes a free one. Default `127.0.0.1:8083`, as Step Functions Local.
    pub listen: String,
    /// Threads that serve requests. Default 2: requests are cheap, most of their time is the store's.
    pub workers: usize,
    /// Longest body of a request, in bytes. Default 2 MiB: a definition of 1 MiB, quoted in JSON.
    pub body_bytes_max: usize,
    /// Bytes of the bodies of all requests under way. Default 128 MiB.
    pub bodies_bytes_max: usize,
    /// Within how many seconds a body must be there. Default 30.
    pub body_seconds: u64,
    /// Connections of clients at once; fewer where the operating system's limit of open files is low. Default 2,048.
    pub connections_max: usize,
    /// Names that the server answers to, beside loopback names and its address. Default none.
    pub hosts: Vec<String>,
    /// Certificate and key: then only TLS is spoken. Default none.
    pub tls: Option<Files>,
    /// How long `GetActivityTask` waits for a task. Default 60, as AWS.
    pub activity_poll_seconds: u64,
    /// How long open requests may finish when the server stops. Default 10.
    pub shutdown_seconds: u64,
    /// Who may ask. Without any, every request is answered, and the server listens on loopback addresses only.
    pub access_keys: Vec<AccessKey>,
    /// Listen on other than loopback addresses although there are no access keys: whoever reaches the port may do
    /// everything. Default false.
    pub allow_unsigned: bool,
}

/// A key that requests are signed with (Signature V4), and what it may do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// AWS's `aws_access_key_id`.
    pub id: String,
    /// AWS's `aws_secret_access_key`. Never shown or logged.
    pub secret: SecretString,
    /// Any of `read`, `start`, `complete`, `admin`. Default: all.
    #[serde(default = "all_classes")]
    pub allow: Vec<Class>,
}

impl AccessKey {
    /// A key that may do everything.
    pub fn all(id: String, secret: SecretString) -> Self {
        Self { id, secret, allow: all_classes() }
    }
}

fn all_classes() -> Vec<Class> {
    Class::ALL.to_vec()
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8083".into(),
            workers: 2,
            body_bytes_max: REQUEST_BYTES_MAX,
            bodies_bytes_max: BODIES_BYTES_MAX,
            body_seconds: 30,
            connections_max: CONNECTIONS_MAX,
            hosts: Vec::new(),
            tls: None,
            activity_poll_seconds: 60,
            shutdown_seconds: 10,
            access_keys: Vec::new(),
            allow_unsigned: false,
        }
    }
}

impl Options {
    /// What is wrong with these settings, naming the key.
    pub fn check(&self) -> Result<(), String> {
        if self.workers == 0 {
            return Err("api.workers must be at least 1".into());
        }
        if let Some(wrong) = self.hosts.iter().find(|name| !hosts::is_name(name)) {
            return Err(format!(
                "api.hosts has '{wrong}'; allowed: names or addresses, without scheme, port and wildcards"
            ));
        }
        for (at, key) in self.access_keys.iter().enumerate() {
            let wrong = if key.id.is_empty() || key.id.contains(['/', ',', ' ']) {
                "id must not be empty nor hold '/', ',' or spaces"
            } else if key.allow.is_empty() {
                "allow is empty: the key could do nothing"
            } else if self.access_keys[..at].iter().any(|other| other.id == key.id) {
                "id is there twice"
            } else {
                continue;
            };
            return Err(format!("api.access_keys[{at}].{wrong}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_members_and_useless_keys_are_refused_by_name() {
        assert!(serde_json::from_value::<Options>(json!({"lissen": "x"})).unwrap_err().to_string().contains("lissen"));
        let of = |keys: serde_json::Value| {
            serde_json::from_value::<Options>(json!({ "access_keys": keys })).unwrap().check()
        };
        assert_eq!(of(json!([{"id": "a", "secret": "s"}])), Ok(()));
        let refused = |keys| of(keys).unwrap_err();
        assert!(
            refused(json!([{"id": "a", "secret": "s"}, {"id": "a", "secret": "t"}]))
                .starts_with("api.access_keys[1].id is there twice")
        );
        assert!(refused(json!([{"id": "a", "secret": "s", "allow": []}])).contains("allow is empty"));
        assert!(refused(json!([{"id": "", "secret": "s"}])).contains("id must not be empty"));
        let shown = format!("{:?}", serde_json::from_value::<AccessKey>(json!({"id": "a", "secret": "hush"})).unwrap());
        assert!(!shown.contains("hush"));
    }
}
