//! An engine begins: its rooms are made and wired here, and nowhere else.

use std::sync::{Arc, OnceLock};

use crate::bus::{BusError, ExchangeSpec};
use crate::ids::PartitionId;
use crate::store::{Epoch, NodeCard, StoreError, ownership, patiently};

use super::api::{Engine, EngineHandle, health};
use super::coordination::Coordinator;
use super::delivery::parking::{self, Parking};
use super::delivery::{bindings, dead_letters, news, replies::Replies};
use super::execution::express::Express;
use super::journal::waits;
use super::ownership::Keeper;
use super::partition::Wiring;
use super::partition::manager::PartitionManager;
use super::services::Services;
use super::types::{EngineError, Parts, Sharing, tell};

/// The form that a version must read to run on this store. A version that writes a newer one raises it, when no node
/// is left that does not read it.
const FORM: &str = "engine.form";

/// Starts an engine: declares its own queues, recovers debts, then takes replies and keeps time. A store that is
/// reached over a connection may go away meanwhile: it is waited for.
///
/// # Errors
/// Where the store cannot be read or holds other fixed settings.
pub async fn start(mut parts: Parts) -> Result<EngineHandle, EngineError> {
    let asked = parts.options.partitions.max(1).to_string();
    let catalog = Arc::clone(&parts.catalog);
    let fixed = patiently(&*catalog, async || catalog.fix_setting("engine.partitions", &asked).await).await?;
    parts.options.partitions =
        fixed.parse().map_err(|_| EngineError::Internal(format!("the store fixes engine.partitions to '{fixed}'")))?;
    let form = patiently(&*catalog, async || catalog.fix_setting(FORM, &tell::NEWEST.to_string()).await).await?;
    if form.parse().is_ok_and(|form: u32| form > tell::NEWEST) {
        return Err(EngineError::Store(StoreError::Unusable(format!(
            "the store was written by a newer version of Reveille (form {form}; this version, {}, reads up to {}): \
             start the newer version",
            env!("CARGO_PKG_VERSION"),
            tell::NEWEST
        ))));
    }
    let handle = make(parts);
    let engine = handle.engine();
    let Engine { services, express, parking, .. } = &**engine;
    services.open.recount();
    patiently(&*catalog, async || waits::fill(services).await).await?;
    declare(services, parking);
    actix_rt::spawn(Arc::clone(services.courier.away()).hear());
    patiently(&*catalog, async || handle.declare_all_task_queues().await).await?;
    let partitions: Vec<PartitionId> = (0..services.options.partitions).map(PartitionId).collect();
    match &engine.keeper {
        None => {
            let all: Vec<_> = partitions.iter().map(|partition| (*partition, Epoch::FIRST)).collect();
            engine.partitions.begin(&all, &wiring(&handle)).await?;
            services.metrics.partitions_owned(all.len());
        }
        Some(keeper) => {
            actix_rt::spawn(Arc::clone(keeper).run(wiring(&handle)));
            let nodes = Arc::clone(keeper);
            let slots = move || nodes.seen().nodes.iter().filter_map(|node| node.slot).collect();
            actix_rt::spawn(news::look(Arc::clone(services), slots));
            actix_rt::spawn(news::relay(Arc::clone(services)));
            keeper.begun().await?;
        }
    }
    bindings::bind(services, &partitions);
    actix_rt::spawn(dead_letters::run(Arc::clone(services), Arc::clone(express), Arc::clone(parking)));
    if let Some(pause) = services.options.health_check {
        actix_rt::spawn(health::watch(Arc::downgrade(engine), pause));
    }
    Ok(handle)
}

/// The rooms of an engine. None of its partitions has begun, and nothing runs.
pub(super) fn make(parts: Parts) -> EngineHandle {
    let sharing = parts.ownership.clone();
    let services = Services::new(parts);
    let partitions = Arc::new(PartitionManager::new(Arc::clone(&services)));
    let keeper = sharing.map(|sharing| {
        let card = card(&services, &sharing);
        Keeper::new(Arc::clone(&services), sharing.store, Arc::clone(&partitions), card)
    });
    EngineHandle::new(Engine {
        keeper,
        partitions,
        express: Arc::new(Express::default()),
        coordinator: Coordinator::new(Arc::clone(&services)),
        health: health::Health::default(),
        own_api: OnceLock::new(),
        parking: Parking::new(Arc::clone(&services)),
        services,
    })
}

/// This process, as others that share its store see it.
fn card(services: &Services, sharing: &Sharing) -> NodeCard {
    let print = services.tokens.derive("fingerprint for other nodes");
    let print = print.iter().take(8).fold(0_u64, |print, byte| print << 8 | u64::from(*byte));
    NodeCard {
        name: ownership::name_of_process(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        speaks: tell::NEWEST,
        key_print: format!("{print:016x}"),
        alone: sharing.alone,
        lapse: sharing.lapse,
        partitions: services.options.partitions,
    }
}

/// The parts that the partitions of this engine work with.
pub(super) fn wiring(handle: &EngineHandle) -> Wiring {
    let Engine { services, express, coordinator, parking, .. } = &**handle.engine();
    Wiring {
        services: Arc::clone(services),
        express: Arc::clone(express),
        effects: Arc::<Coordinator>::clone(coordinator),
        calls: Arc::new(handle.clone()),
        replies: Arc::new(Replies::new(Arc::clone(services), Arc::clone(express), Arc::clone(parking))),
    }
}

/// The queues and exchanges that the engine owns. In the background: a broker that is away must not hold up the start.
fn declare(services: &Arc<Services>, parking: &Arc<Parking>) {
    let exchanges = vec![ExchangeSpec { name: services.bus.names().events(), kind: "topic" }];
    let (bus, pause) = (Arc::clone(&services.bus), services.options.sweep);
    let parking = Arc::clone(parking);
    actix_rt::spawn(async move {
        // First, and by itself: another's refusal must not leave it out.
        parking.declare().await;
        let declared = bus.declare(exchanges, Vec::new(), Vec::new()).await;
        // The bus logs refusals of the broker.
        if let Err(e @ (BusError::BadUrl(_) | BusError::Closed | BusError::Unavailable(_))) = declared {
            tracing::error!(error = %e, "the engine's exchanges could not be declared");
        }
        let engine = Arc::downgrade(&parking);
        drop(parking);
        parking::watch(engine, pause).await;
    });
}
