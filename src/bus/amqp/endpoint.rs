//! Where the broker is and how one gets in: URL, TLS, heartbeat. The password never leaves this file except to lapin.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};
use rand::RngExt;

use super::mend::{self, Marks, Tally};
use crate::bus::{BusError, Names, QueueKind};
use crate::limits;

/// A connection attempt that takes longer has met a host that drops packets.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How the AMQP bus behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Shown by the broker beside each connection.
    pub connection_name: String,
    /// Kind of the reply queues.
    pub reply_queue_kind: QueueKind,
    /// Names of what the engine owns.
    pub names: Names,
    /// Replies that one partition takes before it has acknowledged them.
    pub reply_prefetch: u16,
    /// Publish channels; each has one task and one window of unconfirmed publishes.
    pub publish_channels: usize,
    /// Heartbeat offered to the broker where the URL has no `?heartbeat=`; a dead peer is noticed within two of them.
    pub heartbeat: Duration,
    pub reconnect_min: Duration,
    pub reconnect_max: Duration,
    /// Private certificate authority, PEM; for `amqps`.
    pub ca_file: Option<PathBuf>,
    /// Client certificate and key, PEM (PKCS#8); both or none.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// A publish that is unconfirmed for so long, while the broker is not blocked, is sent again on a new channel.
    pub confirm_timeout: Duration,
    /// How long a delivery that could not be handled waits before it is given back.
    pub requeue_delay: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connection_name: "reveille".to_owned(),
            reply_queue_kind: QueueKind::Quorum,
            names: Names::default(),
            reply_prefetch: limits::REPLY_PREFETCH,
            publish_channels: 2,
            heartbeat: Duration::from_secs(15),
            reconnect_min: Duration::from_millis(200),
            reconnect_max: Duration::from_secs(3),
            ca_file: None,
            certificate_file: None,
            key_file: None,
            confirm_timeout: Duration::from_secs(30),
            requeue_delay: Duration::from_millis(200),
        }
    }
}

/// A parsed URL with its TLS material. `Display` and `Debug` show no password.
pub(super) struct Endpoint {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    connection_name: String,
    mended: Arc<Tally>,
    lost: AtomicU64,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let a = &self.uri.authority;
        write!(f, "{}://{}:{}/{}", self.uri.scheme, a.host, a.port, self.uri.vhost)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

impl Endpoint {
    /// Reads URL and certificate files. An empty virtual host (`amqp://host/`) means `/`, as most clients have it.
    pub(super) fn new(url: &str, options: &Options) -> Result<Self, BusError> {
        // the parser's own message may quote the URL, password and all: only its kind is told
        let mut uri: AMQPUri = url.parse().map_err(|_| {
            BusError::BadUrl(
                "bus.url is not an AMQP URL (amqp://user:password@host:5672/vhost or amqps://…, special characters %-encoded)".to_owned(),
            )
        })?;
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        if uri.query.heartbeat.is_none() {
            uri.query.heartbeat = Some(u16::try_from(options.heartbeat.as_secs()).unwrap_or(u16::MAX));
        }
        let read = |what: &str, path: &PathBuf| {
            std::fs::read_to_string(path)
                .map_err(|e| BusError::BadUrl(format!("{what} {} cannot be read: {e}", path.display())))
        };
        let identity = match (&options.certificate_file, &options.key_file) {
            (Some(certificate), Some(key)) => Some(OwnedIdentity::PKCS8 {
                pem: read("the client certificate", certificate)?.into_bytes(),
                key: read("the client key", key)?.into_bytes(),
            }),
            (None, None) => None,
            _ => {
                return Err(BusError::BadUrl(
                    "a client certificate needs its key, and a key its certificate".to_owned(),
                ));
            }
        };
        let cert_chain = options.ca_file.as_ref().map(|path| read("the CA file", path)).transpose()?;
        if uri.scheme == AMQPScheme::AMQP && (identity.is_some() || cert_chain.is_some()) {
            return Err(BusError::BadUrl(
                "certificates are set, but bus.url is amqp://, which is not encrypted; use amqps://".to_owned(),
            ));
        }
        Ok(Self {
            uri,
            tls: OwnedTLSConfig { identity, cert_chain },
            connection_name: options.connection_name.clone(),
            mended: Arc::default(),
            lost: AtomicU64::new(0),
        })
    }

    /// Messages that could not be read as they came.
    pub(super) fn mended(&self) -> &Tally {
        &self.mended
    }

    /// A connection was lost.
    pub(super) fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    /// One attempt, with the marks of its deliveries. The error's text names the endpoint's trouble, never its password.
    pub(super) async fn connect(&self, purpose: &str) -> Result<(Connection, Arc<Marks>), String> {
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("{} ({purpose})", self.connection_name).into());
        let marks = Arc::new(Marks::new(self.mended.clone()));
        let attempt = mend::connect(self.uri.clone(), self.tls.clone(), properties, marks.clone());
        match tokio::time::timeout(CONNECT_TIMEOUT, Box::pin(attempt)).await {
            Ok(result) => result.map(|connection| (connection, marks)).map_err(|e| self.redact(&e.to_string())),
            Err(_) => Err(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
        }
    }

    fn redact(&self, text: &str) -> String {
        let password = &self.uri.authority.userinfo.password;
        // the broker's texts hold no password; a proxy between might
        if password.len() > 3 && password != "guest" { text.replace(password.as_str(), "***") } else { text.to_owned() }
    }
}

/// Waits between attempts: doubling from `min` to `max`, each spread over its upper half so that a fleet does not come
/// back as one.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(options: &Options) -> Self {
        Self { min: options.reconnect_min, max: options.reconnect_max, next: options.reconnect_min }
    }

    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }

    pub(super) fn next(&mut self) -> Duration {
        let wait = self.next.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.next = (self.next * 2).min(self.max);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let endpoint = Endpoint::new("amqp://ann:s3cret-word@broker:5673/prod", &Options::default()).expect("endpoint");
        assert_eq!(endpoint.to_string(), "amqp://broker:5673/prod");
        assert!(!format!("{endpoint:?}").contains("s3cret"));
        assert_eq!(endpoint.redact("cannot log in with s3cret-word"), "cannot log in with ***");
        for bad in
            ["http://ann:s3cret@broker", "amqp:s3cret", "amqp://ann:s3cret@broker:99999", "amqp://ann:s3cret%ff@broker"]
        {
            let error = Endpoint::new(bad, &Options::default()).expect_err(bad);
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_empty_virtual_host_is_the_default_one() {
        for url in ["amqp://broker", "amqp://broker/", "amqp://broker/%2f"] {
            assert_eq!(Endpoint::new(url, &Options::default()).expect(url).uri.vhost, "/");
        }
    }

    #[test]
    fn certificates_without_encryption_are_refused() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let options = Options { ca_file: Some(file.path().to_owned()), ..Options::default() };
        assert!(Endpoint::new("amqp://broker", &options).is_err());
        assert!(Endpoint::new("amqps://broker", &options).is_ok());
        let half = Options { key_file: Some(file.path().to_owned()), ..Options::default() };
        assert!(Endpoint::new("amqps://broker", &half).is_err());
    }

    #[test]
    fn waits_double_up_to_the_longest_and_begin_again() {
        let options = Options::default();
        let mut backoff = Backoff::new(&options);
        for expected in [200, 400, 800, 1600, 3000, 3000] {
            let wait = backoff.next().as_millis();
            assert!((expected / 2..=expected).contains(&wait), "{wait} of {expected}");
        }
        backoff.reset();
        assert!(backoff.next() <= options.reconnect_min);
    }
}
