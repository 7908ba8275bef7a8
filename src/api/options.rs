//! Options of the API server. The composition root fills them from the settings `[api]` and `[engine]`.

use std::time::Duration;

use secrecy::SecretString;

use crate::limits::{BODIES_BYTES_MAX, CONNECTIONS_MAX, REQUEST_BYTES_MAX};

use super::configuration::Kms;
use super::hosts;
use super::operations::Class;
use super::tls::Files;

/// Options of the API server. Every member has a default.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address and port; port 0 takes a free one. Default `127.0.0.1:8083`, as Step Functions Local.
    pub listen: String,
    /// Threads that serve requests. Default 2: requests are cheap and mostly wait for the store.
    pub workers: usize,
    /// Longest body of a request, in bytes. Default 2 MiB: a definition of 1 MiB, quoted in JSON.
    pub body_bytes_max: usize,
    /// Bytes of the bodies of all open requests. Default 128 MiB.
    pub bodies_bytes_max: usize,
    /// The time for a body to arrive, in seconds. Default 30.
    pub body_seconds: u64,
    /// Connections of clients at once; fewer where the operating system's limit of open files is low. Default 2,048.
    pub connections_max: usize,
    /// Host names that the server answers to, besides loopback names and its address. Default none.
    pub hosts: Vec<String>,
    /// Certificate and key. With them the server speaks only TLS. Default none.
    pub tls: Option<Files>,
    /// How long `GetActivityTask` waits for a task, in seconds. Default 60, as AWS.
    pub activity_poll_seconds: u64,
    /// The time for open requests to finish when the server stops, in seconds. Default 10.
    pub shutdown_seconds: u64,
    /// How long a server that stops goes on to answer, while `/readyz` says that it stops. Default none.
    pub drain: Duration,
    /// Keys of callers. Without any, every request is answered, and the server listens on loopback addresses only.
    pub access_keys: Vec<AccessKey>,
    /// Allows other than loopback addresses without access keys: any client that reaches the port may do everything.
    /// Default false.
    pub allow_unsigned: bool,
    /// Customer managed keys of encryption configurations. Default: refused.
    pub kms: Kms,
    /// ARNs and signatures of other regions and accounts are taken for those of this server. Default: false.
    pub any_region: bool,
    /// The console is on this server: the front page names it. Default: false.
    pub console: bool,
    /// The settings in force, secrets left out, as `Reveille.DescribeSystem` shows them. Default: none.
    pub settings: Vec<(String, String)>,
}

/// A key that signs requests (Signature V4), and its rights.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// AWS's `aws_access_key_id`.
    pub id: String,
    /// AWS's `aws_secret_access_key`. Never shown or logged.
    pub secret: SecretString,
    /// The classes of operations that the key may call.
    pub allow: Vec<Class>,
}

impl AccessKey {
    /// A key that may do everything.
    pub fn all(id: String, secret: SecretString) -> Self {
        Self { id, secret, allow: Class::ALL.to_vec() }
    }
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
            drain: Duration::ZERO,
            access_keys: Vec::new(),
            allow_unsigned: false,
            kms: Kms::default(),
            any_region: false,
            console: false,
            settings: Vec::new(),
        }
    }
}

impl Options {
    /// Checks the settings.
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
                "has an id that is empty or holds '/', ',' or spaces"
            } else if key.allow.is_empty() {
                "is allowed no class of operations"
            } else if self.access_keys[..at].iter().any(|other| other.id == key.id) {
                "has the id of an earlier key"
            } else {
                continue;
            };
            return Err(format!("api.keys: key {} {wrong}", at + 1));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> AccessKey {
        AccessKey::all(id.to_owned(), SecretString::from("hush"))
    }

    #[test]
    fn useless_keys_are_refused_with_their_setting() {
        let of = |access_keys| Options { access_keys, ..Options::default() }.check();
        assert_eq!(of(vec![key("a"), key("b")]), Ok(()));
        let refused = |keys| of(keys).unwrap_err();
        assert_eq!(refused(vec![key("a"), key("a")]), "api.keys: key 2 has the id of an earlier key");
        assert_eq!(
            refused(vec![AccessKey { allow: Vec::new(), ..key("a") }]),
            "api.keys: key 1 is allowed no class of operations"
        );
        assert!(refused(vec![key("")]).starts_with("api.keys: key 1 has an id that is empty"));
        assert!(!format!("{:?}", key("a")).contains("hush"));
    }
}
