//! Where the broker is and how one gets in: URL, TLS, heartbeat. The password never leaves this file except to lapin.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};

use super::material::Material;
use super::mend::{self, Marks, Tally};
use super::reconnect::Purpose;
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
    /// A file that holds the URL, read again at each connect; else the URL that was given.
    pub url_file: Option<PathBuf>,
    /// The identity of this engine (its store), for another engine with the same names; `None`: it does not look for
    /// others.
    pub identity: Option<String>,
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
            url_file: None,
            identity: None,
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

/// Where the broker is. `Display` and `Debug` show no password.
pub(super) struct Endpoint {
    url: SecretString,
    options: Options,
    /// Address and user of the last connection, at first of the first one in the list.
    current: Mutex<(String, Arc<str>)>,
    mended: Arc<Tally>,
    lost: AtomicU64,
}

fn shown(uri: &AMQPUri) -> (String, Arc<str>) {
    let a = &uri.authority;
    (format!("{}://{}:{}/{}", uri.scheme, a.host, a.port, uri.vhost), a.userinfo.username.as_str().into())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.current().0)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

impl Endpoint {
    /// Reads URL and certificate files once, so that faults in them end the start.
    pub(super) fn new(url: &str, options: &Options) -> Result<Self, BusError> {
        let material = Material::read(url, options)?;
        Ok(Self {
            url: SecretString::from(url),
            options: options.clone(),
            current: Mutex::new(shown(&material.uris[0])),
            mended: Arc::default(),
            lost: AtomicU64::new(0),
        })
    }

    fn current(&self) -> MutexGuard<'_, (String, Arc<str>)> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
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

    pub(super) fn user(&self) -> Arc<str> {
        self.current().1.clone()
    }

    /// One attempt at each address in turn, with what the files hold now. The error's text names the endpoint's
    /// trouble, never its password.
    pub(super) async fn connect(&self, purpose: Purpose) -> Result<(Connection, Arc<Marks>), String> {
        let Material { uris, tls } =
            Material::read(self.url.expose_secret(), &self.options).map_err(|e| e.to_string())?;
        let several = uris.len() > 1;
        let mut troubles = Vec::new();
        for uri in uris {
            let name = format!("{} ({})", self.options.connection_name, purpose.as_str());
            let properties = ConnectionProperties::default().with_connection_name(name.into());
            let marks = Arc::new(Marks::new(self.mended.clone()));
            let (address, user) = shown(&uri);
            let password = uri.authority.userinfo.password.clone();
            let attempt = mend::connect(uri, tls.clone(), properties, marks.clone(), purpose == Purpose::Blank);
            let why = match tokio::time::timeout(CONNECT_TIMEOUT, Box::pin(attempt)).await {
                Ok(Ok(connection)) => {
                    *self.current() = (address, user);
                    return Ok((connection, marks));
                }
                Ok(Err(e)) => redact(&e.to_string(), &password),
                Err(_) => format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
            };
            troubles.push(if several { format!("{address}: {why}") } else { why });
        }
        Err(troubles.join("; "))
    }
}

/// The broker's texts hold no password; a proxy between might.
fn redact(text: &str, password: &str) -> String {
    if password.len() > 3 && password != "guest" { text.replace(password, "***") } else { text.to_owned() }
}

/// `reveille@host`: what the broker shows beside a connection unless the settings name it.
#[must_use]
pub fn connection_name(prefix: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    match host.as_deref().map(str::trim).filter(|host| !host.is_empty()) {
        Some(host) => format!("{prefix}@{host}"),
        None => prefix.to_owned(),
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
        assert_eq!(redact("cannot log in with s3cret-word", "s3cret-word"), "cannot log in with ***");
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
            assert_eq!(Endpoint::new(url, &Options::default()).expect(url).to_string(), "amqp://broker:5672//");
        }
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
