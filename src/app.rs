//! The composition root, the only place that names adapters. It turns settings into a running engine.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

mod http;

use crate::api;
use crate::bus::amqp::{self, AmqpBus};
use crate::bus::embedded::EmbeddedBus;
use crate::bus::{Address, BusError, DeclareQueues, ExchangeSpec, HTTP_TASKS, Names, QueueKind, QueueSpec, TaskBus};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Settings, SettingsError};
use crate::console::{self, Console};
use crate::engine::stand_in::StandIn;
use crate::engine::{self, EngineError, EngineHandle, Parts};
use crate::store::memory::Memory;
use crate::store::postgres::{self, Postgres};
use crate::store::sqlite::{self, Sqlite};
use crate::store::{Catalog, Journal, Ownership, StoreError};
use crate::telemetry::{Metrics, Traces};

/// The time after which a server reports that it is ready although the broker has not declared the engine's queues. It
/// never waits for a broker that is away.
const DECLARED_WITHIN: Duration = Duration::from_secs(30);
/// The time that a stop gives the store to close. The store's log is short.
const STORE_CLOSES: Duration = Duration::from_secs(20);
/// The time that a stop gives the collector to take the last spans.
const TRACES_FLUSH: Duration = Duration::from_secs(5);

/// Reasons why the application cannot start. Each text names the setting to look at.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("store.url: {0}")]
    Store(#[from] StoreError),
    #[error("bus.url: {0}")]
    Bus(#[from] BusError),
    #[error("the engine cannot start: {0}")]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Api(#[from] api::BindError),
    #[error("http.worker: {0}")]
    Http(String),
    #[error("{0}")]
    Unsupported(String),
    #[error("the server ended: {0}")]
    Io(#[from] std::io::Error),
}

/// The running parts of a server, and those that must be stopped.
pub struct Application {
    pub engine: EngineHandle,
    pub metrics: Metrics,
    /// For workers in this process.
    pub bus: Arc<dyn TaskBus>,
    console: Option<actix_web::web::Data<Console>>,
    store: Kept,
    shutdown: Duration,
    /// Spans on their way to the collector.
    traces: Option<Traces>,
    /// The runtime of the broker's connections, apart from the arbiters, which run executions.
    _io: Io,
    /// Where HTTP Tasks are done.
    _http: Option<Io>,
}

/// A runtime that may be dropped in async code: a start that fails drops it inside the actors' runtime.
#[derive(Debug)]
struct Io(Option<tokio::runtime::Runtime>);

impl Drop for Io {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Application {
    /// Opens the store, connects the bus, starts the engine. Call it inside an actix system.
    ///
    /// # Errors
    /// The part that cannot be used, with its setting. A broker that is away is no error: tasks wait for it.
    pub async fn build(settings: &Settings) -> Result<Self, AppError> {
        Self::build_with(settings, None).await
    }

    /// The same, with answers for tasks that do not go out.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub async fn build_with(settings: &Settings, stand_in: Option<Arc<dyn StandIn>>) -> Result<Self, AppError> {
        let truth = open_store(settings).await?;
        Self::assemble(settings, truth, settings.bus.names(), settings.bus.queue_kind, stand_in).await
    }

    /// The same for one run. The store is in memory and ends with the process. On a broker the run is a guest with its
    /// own reply queues.
    pub async fn build_temporary(settings: &Settings, stand_in: Option<Arc<dyn StandIn>>) -> Result<Self, AppError> {
        let memory = Arc::new(Memory::new());
        let truth = Truth { journal: memory.clone(), catalog: memory, store: Kept::Nowhere, sharing: None };
        let guest = format!("guest-{}.", uuid::Uuid::new_v4().simple());
        let names = Names::for_guest(&settings.bus.prefix, &guest);
        Self::assemble(settings, truth, names, QueueKind::Temporary, stand_in).await
    }

    async fn assemble(
        settings: &Settings,
        truth: Truth,
        names: Names,
        replies: QueueKind,
        stand_in: Option<Arc<dyn StandIn>>,
    ) -> Result<Self, AppError> {
        let metrics = Metrics::new();
        let clock = SystemClock;
        metrics.process_started(clock.now());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("bus").enable_all().build()?;
        let inside = runtime.handle().clone();
        let io = Io(Some(runtime));
        // A guest does not use the names of its host. The id of the store tells one engine from another.
        let identity = if replies == QueueKind::Temporary {
            None
        } else {
            Some(truth.catalog.fix_setting("store.id", &uuid::Uuid::new_v4().to_string()).await?)
        };
        let bus: Arc<dyn TaskBus> = if settings.bus.is_embedded() {
            Arc::new(EmbeddedBus::with_names(names))
        } else {
            let _inside = inside.enter();
            connect(settings, names, replies, identity)?
        };
        own(settings, Arc::clone(&bus))?;
        let http = if settings.http.worker { Some(http::HttpRoom::open(settings)?) } else { None };
        let traces = settings.otlp()?.map(|otlp| Traces::start(&otlp, metrics.clone())).transpose()?;
        let defaults = engine::Options::default();
        let parts = Parts {
            realm: settings.engine.realm(),
            clock: Arc::new(clock),
            journal: truth.journal,
            catalog: truth.catalog,
            ownership: truth.sharing.map(|store| engine::Sharing {
                store,
                alone: settings.bus.is_embedded(),
                lapse: settings.cluster.lapse(),
            }),
            bus: Arc::clone(&bus),
            tokens: settings.token_keys()?,
            table: settings.integrations.clone(),
            metrics: metrics.clone(),
            options: engine::Options {
                partitions: settings.partitions(),
                threads: settings.engine.threads(),
                passivate_after: settings.engine.passivate_after(),
                activity_pollers: settings.engine.activity_pollers_max,
                queue_kind: settings.bus.queue_kind,
                task_headers: settings.bus.headers,
                // A guest leaves no queue behind.
                declare_queues: if replies == QueueKind::Temporary {
                    DeclareQueues::Never
                } else {
                    settings.bus.declare
                },
                declared_queues: declared_elsewhere(settings),
                any_region: settings.engine.any_region(),
                parking: settings.bus.parking(),
                retention: settings.engine.retention(),
                starts_max: settings.engine.starts_max,
                unpublished_max: settings.engine.unpublished_max,
                execution_bytes_max: settings.engine.execution_bytes_max,
                journal_bytes_max: settings.engine.journal_bytes_max,
                memory_bytes_max: settings.engine.memory_bytes_max,
                nesting_max: settings.engine.nesting_max,
                executions_open_max: settings.engine.executions_open_max,
                events: engine::Announced::new(settings.bus.events()),
                start_queue: settings.bus.start_queue(),
                objects: settings.objects()?,
                stand_in,
                address: settings.address(),
                traces: traces.clone(),
                http_tasks: http.as_ref().map(http::HttpRoom::direct),
                history_view: Some(|entry, data, region| {
                    api::history::render(entry, api::history::View { data, parameters: data, region })
                }),
                ..defaults
            },
        };
        let engine = engine::start(parts).await?;
        engine.answer_calls(Arc::new(api::TaskCalls::new(
            &page_secret(settings)?,
            kms(settings),
            settings.engine.any_region(),
        )));
        // A guest on a broker takes no tasks of others.
        let http = http.map(|http| {
            if settings.bus.is_embedded() || replies != QueueKind::Temporary {
                http.work(Arc::clone(&bus), settings.bus.queue_kind);
            }
            http.into_runtime()
        });
        let shutdown = settings.engine.shutdown();
        let console = if settings.console.enabled {
            Some(Console::new(engine.clone(), &console_options(settings)).map_err(AppError::Unsupported)?)
        } else {
            None
        };
        Ok(Self { console, engine, metrics, bus, store: truth.store, shutdown, traces, _io: io, _http: http })
    }

    /// The API server of this engine. It listens at once and answers when it runs.
    pub fn bind(&self, settings: &Settings) -> Result<api::Server, AppError> {
        let options = api::Options {
            listen: settings.api.listen.to_string(),
            access_keys: settings.access_keys()?.into_iter().map(access_key).collect(),
            allow_unsigned: settings.api.allow_unsigned,
            any_region: settings.engine.any_region(),
            settings: settings.shown.clone(),
            console: self.console.is_some(),
            kms: kms(settings),
            hosts: settings.api.hosts(),
            tls: settings.api.tls().map(|(certificate, key)| api::TlsFiles { certificate, key }),
            connections_max: settings.api.connections_max,
            bodies_bytes_max: settings.api.bodies_bytes_max,
            body_seconds: settings.api.body_seconds,
            // Open requests (pollers may wait for a minute) have half of the time; the other half is for the work that
            // they started.
            shutdown_seconds: settings.engine.shutdown().as_secs().div_ceil(2),
            ..api::Options::default()
        };
        let secret = page_secret(settings)?;
        let pages = self.console.as_ref().map(Console::routes);
        let also = move |config: &mut actix_web::web::ServiceConfig| {
            if let Some(pages) = &pages {
                pages(config);
            }
        };
        Ok(api::Server::bind(&options, self.engine.clone(), self.metrics.clone(), &secret, also)?)
    }

    /// Ends the live streams of the console.
    pub fn close_console(&self) {
        if let Some(console) = &self.console {
            console.close();
        }
    }

    /// Lets the work in progress end, then closes bus and store. Waiting executions go on after the next start.
    pub async fn stop(self) {
        self.stop_after(Duration::ZERO).await;
    }

    /// The same, when `spent` of `engine.shutdown_seconds` has already gone.
    async fn stop_after(self, spent: Duration) {
        self.engine.stop(self.shutdown.saturating_sub(spent)).await;
        if let Some(traces) = self.traces.clone() {
            // The spans of its last work.
            let _ = tokio::task::spawn_blocking(move || traces.flush(TRACES_FLUSH)).await;
        }
        // Actors on other threads may still hold the store when the process ends.
        let closed = async {
            match &self.store {
                Kept::Sqlite(store) => store.close().await,
                Kept::Postgres(store) => store.close().await,
                Kept::Nowhere => {}
            }
        };
        if tokio::time::timeout(STORE_CLOSES, closed).await.is_err() {
            tracing::warn!("the store could not be closed in time; the next start does what is left");
        }
    }
}

/// The store behind the ports.
struct Truth {
    journal: Arc<dyn Journal>,
    catalog: Arc<dyn Catalog>,
    store: Kept,
    sharing: Option<Arc<dyn Ownership>>,
}

/// The adapter, for its end.
enum Kept {
    Sqlite(Sqlite),
    Postgres(Postgres),
    /// In memory alone.
    Nowhere,
}

fn console_options(settings: &Settings) -> console::Options {
    let options = &settings.console;
    console::Options {
        user_header: options.user_header.clone(),
        groups_header: options.groups_header.clone(),
        trusted_proxies: options.trusted_proxies.clone(),
        groups: options.groups.clone(),
        viewers_max: options.viewers_max,
    }
}

/// The secret of page tokens: one for clients and tasks.
fn page_secret(settings: &Settings) -> Result<[u8; 32], SettingsError> {
    Ok(settings.token_keys()?.derive("page tokens"))
}

fn kms(settings: &Settings) -> api::Kms {
    match settings.api.kms {
        config::Kms::Refuse => api::Kms::Refuse,
        config::Kms::Record => api::Kms::Record,
    }
}

/// A key of the settings, as the API takes it.
fn access_key(key: config::AccessKey) -> api::AccessKey {
    let all = api::AccessKey::all(key.id, key.secret);
    match key.allow {
        Some(classes) => api::AccessKey { allow: api::Class::of_words(classes.iter().map(String::as_str)), ..all },
        None => all,
    }
}

/// Serves until a signal asks it to stop; a second signal stops at once.
pub fn serve(settings: &Settings) -> Result<(), AppError> {
    actix_rt::System::new().block_on(async {
        let app = Application::build(settings).await?;
        // Only a server reads the start queue; a single run is a guest on the broker.
        let messages = app.engine.start_messages();
        actix_rt::spawn(api::start_queue::run(app.engine.clone(), messages));
        let server = app.bind(settings)?;
        let (handle, address) = (server.handle(), server.addr);
        let running = actix_rt::spawn(server.run());
        let (bus, store_url, bus_url) =
            (Arc::clone(&app.bus), settings.store.url.to_string(), settings.bus.url.to_string());
        let ready = actix_rt::spawn(async move {
            if !matches!(tokio::time::timeout(DECLARED_WITHIN, bus.declared()).await, Ok(true)) {
                tracing::warn!(
                    event = "bus.away",
                    "the broker is not there yet: requests are taken, tasks and starts by message wait for it"
                );
            }
            crate::telemetry::logs::ready(address, &store_url, &bus_url);
        });
        let (why, barred) = tokio::select! {
            why = stop_signal() => (why.to_owned(), None),
            why = app.engine.barred() => ("another process has taken the store over".to_owned(), Some(why)),
        };
        let told = std::time::Instant::now();
        ready.abort();
        crate::telemetry::logs::stopping(&why);
        actix_rt::spawn(async {
            let again = stop_signal().await;
            tracing::warn!(reason = again, "a second signal: stopping at once; executions go on after the next start");
            std::process::exit(1);
        });
        app.close_console();
        handle.stop().await;
        let _ = running.await;
        app.stop_after(told.elapsed()).await;
        crate::telemetry::logs::stopped();
        if let Some(barred) = barred {
            return Err(StoreError::Unusable(barred).into());
        }
        Ok(())
    })
}

#[cfg(unix)]
pub async fn stop_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}

async fn open_store(settings: &Settings) -> Result<Truth, AppError> {
    let store = &settings.store;
    let durable = store.synchronous == config::Synchronous::Full;
    guard_files(settings, store.sqlite_path())?;
    let Some(path) = store.sqlite_path() else {
        let store = Postgres::open(store.url.expose(), postgres_options(store)).await?;
        let (journal, catalog) = (Arc::new(store.clone()), Arc::new(store.clone()));
        let sharing: Arc<dyn Ownership> = Arc::new(store.clone());
        return Ok(Truth { journal, catalog, store: Kept::Postgres(store), sharing: Some(sharing) });
    };
    let options = sqlite::Options {
        synchronous: if durable { sqlite::Synchronous::Full } else { sqlite::Synchronous::Normal },
        readers: store.readers,
        cache_kib: store.cache_kib,
        check: store.check,
        size_bytes_max: store.size_bytes_max(),
        ..sqlite::Options::default()
    };
    let store = Sqlite::open(path, options)?;
    let (journal, catalog) = (Arc::new(store.clone()), Arc::new(store.clone()));
    Ok(Truth { journal, catalog, store: Kept::Sqlite(store), sharing: None })
}

/// A schema of its own in the database of the settings, for a measurement.
///
/// # Errors
/// A database that cannot be reached, or in which the role may not make a schema.
pub async fn scratch_schema(store: &config::StoreOptions) -> Result<postgres::Schema, StoreError> {
    postgres::Schema::make(store.url.expose(), &postgres_options(store)).await
}

/// The options of a store in PostgreSQL, as the settings say them.
fn postgres_options(store: &config::StoreOptions) -> postgres::Options {
    postgres::Options {
        durable: store.synchronous == config::Synchronous::Full,
        readers: store.readers,
        ca_file: store.ca_file(),
        certificate_file: store.certificate_file(),
        key_file: store.certificate_key_file(),
    }
}

/// Checks that other users can read neither the store nor the objects, which hold payloads and live task tokens. The
/// setting decides between a warning and an error.
fn guard_files(settings: &Settings, store: Option<&Path>) -> Result<(), AppError> {
    let mut exposed = store.map(sqlite::exposed).unwrap_or_default();
    if settings.objects.endpoint.is_empty() {
        exposed.extend(crate::objects::exposed(&settings.objects.folder));
    }
    for (path, mode) in exposed {
        let why = format!(
            "{path} may be read or changed by others than its owner (mode {mode:04o}); it holds payloads and task \
             tokens. \
             Run: chmod go-rwx {path}",
            path = path.display()
        );
        match settings.store.exposed_files {
            config::ExposedFiles::Refuse => {
                return Err(AppError::Unsupported(format!("store.exposed_files is refuse: {why}")));
            }
            config::ExposedFiles::Warn => tracing::warn!(event = "files.exposed", "{why}"),
        }
    }
    Ok(())
}

/// A connection to the broker of the settings, for commands that need no engine. Call it inside a runtime.
pub fn broker(settings: &Settings) -> Result<Arc<dyn TaskBus>, AppError> {
    if settings.bus.is_embedded() {
        let why = "bus.url is embedded:, whose queues only the server itself sees; give the URL of a broker (--bus, or \
            bus.url)";
        return Err(AppError::Unsupported(why.to_owned()));
    }
    connect(settings, settings.bus.names(), settings.bus.queue_kind, None)
}

/// A backup that was made.
#[derive(Debug)]
pub struct Backup {
    pub copy: sqlite::Copied,
    /// The copy of the signing keys; `None` where they are not in a file of their own.
    pub token_keys: Option<PathBuf>,
}

/// Copies the store of the settings to `to`, and its signing keys beside it; a server may be using both.
pub fn backup(settings: &Settings, to: &Path, with_keys: bool) -> Result<Backup, AppError> {
    let Some(path) = settings.store.sqlite_path() else {
        return Err(AppError::Unsupported(format!(
            "store.url is {}; PostgreSQL's own tools back it up: `pg_dump --format=custom`, or a base backup with its \
             write-ahead log (docs/CLUSTER.md). Keep the keys of the task tokens with it (engine.token_key)",
            settings.store.url
        )));
    };
    let keys = settings.token_key_path().filter(|_| with_keys);
    let beside = config::token_key_beside(to);
    if keys.is_some() && beside.exists() {
        return Err(StoreError::AlreadyExists { what: "file", key: beside.display().to_string() }.into());
    }
    let copy = sqlite::copy(path, to)?;
    let token_keys = match keys {
        Some(from) => {
            crate::token::copy_file(&from, &beside).map_err(SettingsError::from)?;
            Some(beside)
        }
        None => None,
    };
    Ok(Backup { copy, token_keys })
}

/// A connection to a broker without an engine: nothing is declared or consumed there. Call it where tokio runs.
///
/// # Errors
/// A URL or certificates that cannot be used.
pub fn look_at_broker(settings: &Settings) -> Result<Arc<dyn TaskBus>, AppError> {
    connect(settings, settings.bus.names(), QueueKind::Temporary, None)
}

fn connect(
    settings: &Settings,
    names: Names,
    reply_queue_kind: QueueKind,
    identity: Option<String>,
) -> Result<Arc<dyn TaskBus>, AppError> {
    let bus = &settings.bus;
    let options = amqp::Options {
        reply_queue_kind,
        names,
        reply_prefetch: bus.prefetch,
        publish_channels: bus.publish_channels,
        heartbeat: bus.heartbeat(),
        confirm_timeout: bus.confirm_timeout(),
        ca_file: bus.ca_file(),
        certificate_file: bus.certificate_file(),
        key_file: bus.certificate_key_file(),
        url_file: bus.url_file(),
        connection_name: bus.connection_name().unwrap_or_else(|| amqp::connection_name(&bus.prefix)),
        identity,
        ..amqp::Options::default()
    };
    Ok(AmqpBus::connect(bus.url.expose(), options)?)
}

/// Queues with arguments of their own: those of the settings, and that of the worker in this process.
fn declared_elsewhere(settings: &Settings) -> HashSet<String> {
    let named = settings.bus.queues().unwrap_or_default().into_iter().map(|queue| queue.name);
    named.chain(settings.http.worker.then(|| HTTP_TASKS.to_owned())).collect()
}

/// Declares the queues and exchanges of the settings, in the background, so that a broker that is away does not delay
/// the start.
fn own(settings: &Settings, bus: Arc<dyn TaskBus>) -> Result<(), SettingsError> {
    let kind = settings.bus.queue_kind;
    // The default exchange routes to the queue of this name.
    let dead_letters = Address { exchange: String::new(), routing_key: settings.bus.names().dead_letters() };
    let owned = settings.bus.queues().map_err(|why| SettingsError::BadValue {
        name: "bus.queues".to_owned(),
        origin: "the settings".to_owned(),
        why,
    })?;
    let queues: Vec<QueueSpec> = owned
        .into_iter()
        .map(|queue| QueueSpec {
            dead_letter: Some(dead_letters.clone()),
            max_length: queue.max_length,
            delivery_limit: queue.delivery_limit,
            ..QueueSpec::plain(queue.name, kind)
        })
        .collect();
    let of_kind =
        |names: Vec<String>, kind: &'static str| names.into_iter().map(move |name| ExchangeSpec { name, kind });
    let exchanges: Vec<ExchangeSpec> =
        of_kind(settings.bus.topics(), "fanout").chain(of_kind(settings.bus.event_buses(), "topic")).collect();
    if queues.is_empty() && exchanges.is_empty() {
        return Ok(());
    }
    actix_rt::spawn(async move {
        let said = bus.declare(exchanges, queues, Vec::new()).await;
        // The bus itself logs a refusal of the broker.
        if let Err(e @ (BusError::BadUrl(_) | BusError::Closed | BusError::Unavailable(_))) = said {
            tracing::error!(error = %e, "the queues and exchanges of the settings could not be declared");
        }
    });
    Ok(())
}
