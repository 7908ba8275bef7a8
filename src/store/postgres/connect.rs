//! Connections: made when they are needed, made again when they are lost, with growing waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::config::{ChannelBinding, SslMode, TargetSessionAttrs};
use uuid::Uuid;

use crate::store::{StoreError, StoreResult};

use super::Options;
use super::error::{classify, explain, is_permanent, may_be_a_pooler};
use super::primary::Primary;
use super::session::{self, Session};
use super::tls::Tls;

/// For one attempt: TCP, TLS, login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Waits between attempts: the first, and the longest.
const WAIT_MIN: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// A silent peer is given up after this long, before TCP itself gives up.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// The parts of a connection.
pub(super) struct Connector {
    config: tokio_postgres::Config,
    tls: Tls,
    /// A pooler stands between, as far as is known.
    pooled: AtomicBool,
    primary: Primary,
    /// Why a start waits for the store; `None`: it does not.
    pub(super) away: watch::Sender<Option<String>>,
    /// The reason that was logged last.
    told: std::sync::Mutex<String>,
}

/// libpq's words for `sslmode`. Ours always verifies the certificate, so the stricter ones are `require`.
const VERIFIED: [&str; 2] = ["sslmode=verify-full", "sslmode=verify-ca"];

impl Connector {
    /// # Errors
    /// `Unusable`: a URL or certificates that cannot be used. The text does not hold the URL, which has a password.
    pub(super) fn read(url: &str, options: &Options) -> StoreResult<Self> {
        let url = VERIFIED.iter().fold(url.to_owned(), |url, word| url.replace(word, "sslmode=require"));
        let mut config: tokio_postgres::Config = url.parse().map_err(|error: tokio_postgres::Error| {
            StoreError::Unusable(format!(
                "it is not the URL of a PostgreSQL database, postgres://user:password@host:5432/database ({})",
                explain(&error)
            ))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(StoreError::Unusable("it names no host: postgres://user:password@host:5432/database".into()));
        }
        if config.get_channel_binding() == ChannelBinding::Require {
            let why = "channel_binding=require is not supported; leave it out: the server's certificate is verified";
            return Err(StoreError::Unusable(why.into()));
        }
        if config.get_ssl_mode() == SslMode::Disable && options.ca_file.is_some() {
            let why = "store.ca_file is set, but the URL says sslmode=disable, which is not encrypted";
            return Err(StoreError::Unusable(why.into()));
        }
        if config.get_application_name().is_none() {
            config.application_name("reveille");
        }
        // Of several hosts the primary; a standby would refuse writes.
        if config.get_hosts().len() > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config.connect_timeout(CONNECT_TIMEOUT);
        config.keepalives_idle(SILENCE_MAX / 3).keepalives_interval(SILENCE_MAX / 3).keepalives_retries(2);
        config.tcp_user_timeout(SILENCE_MAX);
        Ok(Self {
            config,
            tls: Tls::read(options)?,
            pooled: AtomicBool::new(false),
            primary: Primary::default(),
            away: watch::Sender::default(),
            told: std::sync::Mutex::default(),
        })
    }

    /// Host, port and database, for people.
    pub(super) fn shown(&self) -> String {
        let user = self.config.get_user().unwrap_or("postgres");
        let name = self.config.get_dbname().unwrap_or(user);
        format!("the database \"{name}\"")
    }

    /// How often a connection has reached another primary than the connection before.
    pub(super) fn failovers(&self) -> u64 {
        self.primary.failovers()
    }

    /// One attempt. Call it on the store's runtime: the connection's own task runs there.
    /// `settings` are those of the session (`-c name=value`), where it is the connection's own.
    pub(super) async fn connect(&self, settings: &str) -> Result<Session, tokio_postgres::Error> {
        let session = self.session(settings).await?;
        self.primary.look(&session).await;
        Ok(session)
    }

    /// A connection for a start, which waits for a server that is away.
    ///
    /// # Errors
    /// `Unusable`: waiting does not help.
    pub(super) async fn patiently(&self) -> StoreResult<Session> {
        let mut waits = Waits::default();
        loop {
            let error = match tokio::time::timeout(CONNECT_TIMEOUT * 2, self.connect("")).await {
                Ok(Ok(session)) => {
                    self.away.send_replace(None);
                    return Ok(session);
                }
                Ok(Err(error)) if is_permanent(&error) => return Err(StoreError::Unusable(explain(&error))),
                Ok(Err(error)) => classify(&error),
                Err(_) => StoreError::Unavailable("PostgreSQL did not answer in time".into()),
            };
            self.is_away(&error);
            tokio::time::sleep(waits.next()).await;
        }
    }

    /// A start waits for the store. A reason is logged once: some last longer than a connection, such as a full disk.
    pub(super) fn is_away(&self, error: &StoreError) {
        let why = error.to_string();
        self.away.send_replace(Some(why.clone()));
        let former = std::mem::replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), why.clone());
        if former != why {
            tracing::warn!(event = "store.away", %error, "PostgreSQL is not there: the server starts when it is");
        }
    }

    async fn session(&self, settings: &str) -> Result<Session, tokio_postgres::Error> {
        if !self.pooled.load(Ordering::Relaxed) {
            let mark = Uuid::new_v4().simple().to_string();
            let mut config = self.config.clone();
            config.options(session::options(self.config.get_options(), &mark, settings));
            match self.attempt(&config).await {
                Ok(client) => {
                    let session = Session::marked(client, &mark).await?;
                    self.pooled.store(!session.is_own(), Ordering::Relaxed);
                    return Ok(session);
                }
                Err(error) if !may_be_a_pooler(&error) => return Err(error),
                Err(_) => {}
            }
        }
        let session = Session::pooled(self.attempt(&self.config).await?);
        self.pooled.store(true, Ordering::Relaxed);
        Ok(session)
    }

    async fn attempt(&self, config: &tokio_postgres::Config) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = config.connect(self.tls.clone()).await?;
        tokio::spawn(async move {
            // Its requests have failed with the same words.
            let _ = connection.await;
        });
        Ok(client)
    }
}

/// Growing waits.
#[derive(Debug)]
pub(super) struct Waits(Duration);

impl Default for Waits {
    fn default() -> Self {
        Self(WAIT_MIN)
    }
}

impl Waits {
    pub(super) fn next(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(WAIT_MAX);
        wait
    }
}

/// One connection for the life of the store.
pub(super) struct Slot {
    connector: Arc<Connector>,
    settings: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    client: Option<Arc<Session>>,
    /// Why the last attempt failed, and when the next one may be made.
    failed: Option<(StoreError, Instant)>,
    waits: Waits,
}

impl Slot {
    /// `settings`: those of its session, see [`Connector::connect`].
    pub(super) fn new(connector: &Arc<Connector>, settings: &'static str) -> Self {
        Self { connector: Arc::clone(connector), settings, state: Mutex::default() }
    }

    /// The connection, made again where it was lost. Shortly after a failed attempt there is no other.
    pub(super) async fn client(&self) -> StoreResult<Arc<Session>> {
        let mut state = self.state.lock().await;
        if let Some(client) = state.client.as_ref().filter(|client| !client.is_closed()) {
            return Ok(Arc::clone(client));
        }
        state.client = None;
        if let Some((error, next)) = &state.failed
            && Instant::now() < *next
        {
            return Err(error.clone());
        }
        let attempt = tokio::time::timeout(CONNECT_TIMEOUT * 2, self.connector.connect(self.settings)).await;
        let failed = match attempt {
            Ok(Ok(client)) => {
                let client = Arc::new(client);
                *state = State { client: Some(Arc::clone(&client)), ..State::default() };
                return Ok(client);
            }
            Ok(Err(error)) => classify(&error),
            Err(_) => StoreError::Unavailable("PostgreSQL did not answer in time".into()),
        };
        let wait = state.waits.next();
        state.failed = Some((failed.clone(), Instant::now() + wait));
        Err(failed)
    }

    /// The time until another attempt to connect may be made.
    pub(super) async fn wait(&self) -> Duration {
        let state = self.state.lock().await;
        state.failed.as_ref().map_or(Duration::ZERO, |(_, next)| next.saturating_duration_since(Instant::now()))
    }

    /// Gives a connection up whose state is not known. Its statement is cancelled: a server that waits for a lock or a
    /// standby would keep one session more with each attempt.
    pub(super) async fn give_up(&self, client: &Arc<Session>) {
        let mut state = self.state.lock().await;
        if state.client.as_ref().is_some_and(|known| Arc::ptr_eq(known, client)) {
            state.client = None;
        }
        if !client.is_closed() {
            let (cancel, tls) = (client.cancel_token(), self.connector.tls.clone());
            tokio::spawn(tokio::time::timeout(CONNECT_TIMEOUT, async move { cancel.cancel_query(tls).await }));
        }
    }
}
