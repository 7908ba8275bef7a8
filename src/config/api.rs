//! `[api]`: options of the API server.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct ApiOptions {
    pub listen: SocketAddr,
    pub allow_unsigned: bool,
    pub kms: Kms,
    pub connections_max: usize,
    pub bodies_bytes_max: usize,
    pub body_seconds: u64,
    pub(super) drain_seconds: u64,
    pub(super) hosts: String,
    #[serde(rename = "tls.certificate")]
    pub(super) tls_certificate: String,
    #[serde(rename = "tls.key")]
    pub(super) tls_key: String,
    pub(super) keys: SecretString,
}

/// Customer managed keys of encryption configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kms {
    Refuse,
    Record,
}

impl ApiOptions {
    /// The files of certificate and key, where TLS is on.
    #[must_use]
    pub fn tls(&self) -> Option<(PathBuf, PathBuf)> {
        Some((super::path(&self.tls_certificate)?, super::path(&self.tls_key)?))
    }

    /// The host names that the server answers to.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        super::names(&self.hosts)
    }
}

/// An access key that may call the API.
#[derive(Debug, Clone)]
pub struct AccessKey {
    pub id: String,
    pub secret: SecretString,
    /// The classes of operations that the key may call; `None`: all.
    pub allow: Option<Vec<String>>,
}

/// Classes of operations, as `api.keys` names them.
pub const CLASSES: [&str; 6] = ["read", "start", "complete", "admin", "payload", "no-payload"];

/// Parses `ID:SECRET` or `ID:SECRET:CLASS+CLASS`. An error does not show the secret.
pub(super) fn access_key(entry: &str) -> Result<AccessKey, String> {
    let parts: Vec<&str> = entry.split(':').collect();
    let (id, secret, classes) = match parts.as_slice() {
        [id, secret] => (*id, *secret, None),
        [id, secret, classes] => (*id, *secret, Some(*classes)),
        _ => ("", "", None),
    };
    if id.is_empty() || secret.is_empty() || id.contains(['/', ' ']) {
        let allowed = "allowed: ID:SECRET, or ID:SECRET:read+start+complete+admin with some of these classes, \
            separated by commas";
        return Err(format!("has an entry that is not ID:SECRET; {allowed}"));
    }
    let allow = classes.map(|classes| classes.split('+').map(|class| class.trim().to_owned()).collect::<Vec<_>>());
    if let Some(unknown) = allow.iter().flatten().find(|class| !CLASSES.contains(&class.as_str())) {
        // Only a short word is shown: other text may be the end of a secret that holds a colon.
        let is_word = unknown.len() <= 8 && unknown.bytes().all(|b| b.is_ascii_lowercase());
        let unknown = if is_word { format!("'{unknown}'") } else { "an unknown class".to_owned() };
        return Err(format!("lets the key '{id}' do {unknown}; allowed: {}, joined by +", CLASSES.join(", ")));
    }
    Ok(AccessKey { id: id.to_owned(), secret: SecretString::from(secret), allow })
}
