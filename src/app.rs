//! The composition root, the only place that names adapters. It turns settings into a running engine.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

mod broker;
mod copy;
mod http;
mod starting;
mod stores;

pub use broker::{broker, look_at_broker};
pub use copy::{Copied, copy_store};
pub use stores::{Backup, backup, scratch_schema};
use stores::{Kept, Truth};

use crate::api;
use crate::bus::embedded::EmbeddedBus;
use crate::bus::{BusError, DeclareQueues, Names, QueueKind, TaskBus};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Settings, SettingsError};
use crate::console::{self, Console};
use crate::engine::stand_in::StandIn;
use crate::engine::{self, EngineError, EngineHandle, Parts};
use crate::store::{StoreError, copying, patiently};
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

    /// The same. `away` tells why a start waits for its store.
    async fn build_telling(settings: &Settings, away: watch::Sender<Option<String>>) -> Result<Self, AppError> {
        let truth = stores::open(settings, away).await?;
        Self::assemble(settings, truth, settings.bus.names(), settings.bus.queue_kind, None, None).await
    }

    /// The same, with answers for tasks that do not go out.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub async fn build_with(settings: &Settings, stand_in: Option<Arc<dyn StandIn>>) -> Result<Self, AppError> {
        let truth = stores::open(settings, watch::Sender::default()).await?;
        Self::assemble(settings, truth, settings.bus.names(), settings.bus.queue_kind, stand_in, None).await
    }

    /// The same over this bus instead of that of the settings.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub async fn build_over(settings: &Settings, bus: Arc<dyn TaskBus>) -> Result<Self, AppError> {
        let truth = stores::open(settings, watch::Sender::default()).await?;
        Self::assemble(settings, truth, settings.bus.names(), settings.bus.queue_kind, None, Some(bus)).await
    }

    /// The same for one run. The store is in memory and ends with the process. On a broker the run is a guest with its
    /// own reply queues.
    pub async fn build_temporary(settings: &Settings, stand_in: Option<Arc<dyn StandIn>>) -> Result<Self, AppError> {
        let truth = Truth::in_memory();
        let guest = format!("guest-{}.", uuid::Uuid::new_v4().simple());
        let names = Names::for_guest(&settings.bus.prefix, &guest);
        Self::assemble(settings, truth, names, QueueKind::Temporary, stand_in, None).await
    }

    async fn assemble(
        settings: &Settings,
        truth: Truth,
        names: Names,
        replies: QueueKind,
        stand_in: Option<Arc<dyn StandIn>>,
        bus: Option<Arc<dyn TaskBus>>,
    ) -> Result<Self, AppError> {
        let metrics = Metrics::new();
        let clock = SystemClock;
        metrics.process_started(clock.now());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("bus").enable_all().build()?;
        let inside = runtime.handle().clone();
        let io = Io(Some(runtime));
        // A guest does not use the names of its host. The id of the store tells one engine from another.
        let is_guest = replies == QueueKind::Temporary;
        let identity = if is_guest {
            None
        } else {
            let (catalog, id) = (truth.catalog.as_ref(), uuid::Uuid::new_v4().to_string());
            patiently(catalog, async || copying::must_be_whole(catalog).await).await?;
            Some(patiently(catalog, async || catalog.fix_setting("store.id", &id).await).await?)
        };
        let bus: Arc<dyn TaskBus> = match bus {
            Some(bus) => bus,
            None if settings.bus.is_embedded() => Arc::new(EmbeddedBus::with_names(names)),
            None => {
                let _inside = inside.enter();
                broker::connect(settings, names, replies, identity)?
            }
        };
        broker::own(settings, Arc::clone(&bus))?;
        let http = if settings.http.worker { Some(http::HttpRoom::open(settings)?) } else { None };
        let traces = settings.otlp()?.map(|otlp| Traces::start(&otlp, metrics.clone())).transpose()?;
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
                // A guest leaves no queue behind.
                declare_queues: if is_guest { DeclareQueues::Never } else { settings.bus.declare },
                stand_in,
                traces: traces.clone(),
                http_tasks: http.as_ref().map(http::HttpRoom::direct),
                ..engine_options(settings)?
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
            if settings.bus.is_embedded() || !is_guest {
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
        self.bind_on(settings, None)
    }

    /// The same, on a port that may listen already.
    fn bind_on(&self, settings: &Settings, listener: Option<TcpListener>) -> Result<api::Server, AppError> {
        let options = api_options(settings, self.console.is_some())?;
        let secret = page_secret(settings)?;
        let pages = self.console.as_ref().map(Console::routes);
        let also = move |config: &mut actix_web::web::ServiceConfig| {
            if let Some(pages) = &pages {
                pages(config);
            }
        };
        Ok(api::Server::bind(&options, self.engine.clone(), self.metrics.clone(), &secret, listener, also)?)
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
        if tokio::time::timeout(STORE_CLOSES, self.store.close()).await.is_err() {
            tracing::warn!("the store could not be closed in time; the next start does the rest");
        }
    }
}

/// The engine's options, as the settings say them.
fn engine_options(settings: &Settings) -> Result<engine::Options, SettingsError> {
    Ok(engine::Options {
        partitions: settings.partitions(),
        threads: settings.engine.threads(),
        passivate_after: settings.engine.passivate_after(),
        queue_kind: settings.bus.queue_kind,
        task_headers: settings.bus.headers,
        declared_queues: broker::declared_elsewhere(settings),
        any_region: settings.engine.any_region(),
        parking: settings.bus.parking(),
        retention: settings.engine.retention(),
        bounds: settings.engine.bounds,
        events: engine::Announced::new(settings.bus.events()),
        start_queue: settings.bus.start_queue(),
        objects: settings.objects()?,
        address: settings.address(),
        history_view: Some(|entry, data, region| {
            api::history::render(entry, api::history::View { data, parameters: data, region })
        }),
        ..engine::Options::default()
    })
}

/// The options of the API server, as the settings say them.
fn api_options(settings: &Settings, console: bool) -> Result<api::Options, SettingsError> {
    Ok(api::Options {
        listen: settings.api.listen.to_string(),
        access_keys: settings.access_keys()?.into_iter().map(access_key).collect(),
        allow_unsigned: settings.api.allow_unsigned,
        any_region: settings.engine.any_region(),
        settings: settings.shown.clone(),
        console,
        kms: kms(settings),
        hosts: settings.api.hosts(),
        tls: settings.api.tls().map(|(certificate, key)| api::TlsFiles { certificate, key }),
        connections_max: settings.api.connections_max,
        bodies_bytes_max: settings.api.bodies_bytes_max,
        body_seconds: settings.api.body_seconds,
        // Open requests (pollers may wait for a minute) have half of the time; the other half is for the work that they
        // started.
        shutdown_seconds: settings.engine.shutdown().as_secs().div_ceil(2),
        drain: settings.drain(),
        ..api::Options::default()
    })
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
        let (app, listener) = starting::start(settings).await?;
        // Only a server reads the start queue; a single run is a guest on the broker.
        let messages = app.engine.start_messages();
        actix_rt::spawn(api::start_queue::run(app.engine.clone(), messages));
        let server = app.bind_on(settings, listener)?;
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
        app.stop_after(told.elapsed().saturating_sub(settings.drain())).await;
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
