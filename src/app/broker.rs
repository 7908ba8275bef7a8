//! The broker of the settings: its connection, and the queues and exchanges that the settings declare.

use std::collections::HashSet;
use std::sync::Arc;

use super::AppError;
use crate::bus::amqp::{self, AmqpBus};
use crate::bus::{Address, BusError, ExchangeSpec, HTTP_TASKS, Names, QueueKind, QueueSpec, TaskBus};
use crate::config::{Settings, SettingsError};

/// A connection to the broker of the settings, for commands that need no engine. Call it inside a runtime.
pub fn broker(settings: &Settings) -> Result<Arc<dyn TaskBus>, AppError> {
    if settings.bus.is_embedded() {
        let why = "bus.url is embedded:, whose queues only the server itself sees; give the URL of a broker (--bus, or \
            bus.url)";
        return Err(AppError::Unsupported(why.to_owned()));
    }
    connect(settings, settings.bus.names(), settings.bus.queue_kind, None)
}

/// A connection to a broker without an engine: nothing is declared or consumed there. Call it where tokio runs.
///
/// # Errors
/// A URL or certificates that cannot be used.
pub fn look_at_broker(settings: &Settings) -> Result<Arc<dyn TaskBus>, AppError> {
    connect(settings, settings.bus.names(), QueueKind::Temporary, None)
}

pub(super) fn connect(
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
pub(super) fn declared_elsewhere(settings: &Settings) -> HashSet<String> {
    let named = settings.bus.queues().unwrap_or_default().into_iter().map(|queue| queue.name);
    named.chain(settings.http.worker.then(|| HTTP_TASKS.to_owned())).collect()
}

/// Declares the queues and exchanges of the settings, in the background, so that a broker that is away does not delay
/// the start.
pub(super) fn own(settings: &Settings, bus: Arc<dyn TaskBus>) -> Result<(), SettingsError> {
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
