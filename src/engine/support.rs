//! The parts of an engine under test: ports in memory unless a test says otherwise, and machines in its catalog.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bus::embedded::EmbeddedBus;
use crate::bus::{Delivery, TaskBus};
use crate::clock::{Clock, SystemClock};
use crate::engine::api::EngineHandle;
use crate::engine::types::{Options, Parts, StartRequest};
use crate::ids::{Arn, Realm};
use crate::integrations::ServiceTable;
use crate::store::memory::Memory;
use crate::store::{Catalog, Journal, MachineRow, MachineType, Revision, RevisionId};
use crate::telemetry::Metrics;
use crate::token::{TokenKeys, new_secret};

pub const REGION: &str = "us-east-1";
pub const ACCOUNT: &str = "000000000000";

pub fn realm() -> Realm {
    Realm::new(REGION, ACCOUNT)
}

/// Two partitions on one thread: enough to have messages between partitions.
pub fn small() -> Options {
    Options { partitions: 2, threads: 1, ..Options::default() }
}

pub fn parts(journal: Arc<dyn Journal>, catalog: Arc<dyn Catalog>, bus: Arc<dyn TaskBus>, options: Options) -> Parts {
    Parts {
        realm: realm(),
        clock: Arc::new(SystemClock),
        journal,
        catalog,
        ownership: None,
        bus,
        tokens: TokenKeys::parse(&new_secret()).unwrap(),
        table: ServiceTable::default(),
        metrics: Metrics::new(),
        options,
    }
}

/// An engine over this store whose partitions have not begun: for tests of a catalog.
pub fn idle(store: &Memory, clock: Arc<dyn Clock>) -> EngineHandle {
    let (journal, catalog, bus) = (Arc::new(store.clone()), Arc::new(store.clone()), Arc::new(EmbeddedBus::new()));
    let parts = parts(journal, catalog, bus, Options { threads: 0, ..small() });
    crate::engine::lifecycle::make(Parts { clock, ..parts })
}

/// A small engine over this store, with a bus of its own.
pub async fn engine(store: &Memory) -> EngineHandle {
    engine_on(store, &EmbeddedBus::new()).await
}

pub async fn engine_on(store: &Memory, bus: &EmbeddedBus) -> EngineHandle {
    let parts = parts(Arc::new(store.clone()), Arc::new(store.clone()), Arc::new(bus.clone()), small());
    crate::engine::lifecycle::start(parts).await.unwrap()
}

/// A standard machine of this definition.
pub async fn machine(catalog: &dyn Catalog, name: &str, definition: &Value) -> Arn {
    machine_of_kind(catalog, &realm(), name, MachineType::Standard, definition).await
}

pub async fn machine_of_kind(
    catalog: &dyn Catalog,
    realm: &Realm,
    name: &str,
    kind: MachineType,
    definition: &Value,
) -> Arn {
    let (arn, created) = (realm.state_machine(name), SystemClock.now());
    let revision = Revision {
        id: RevisionId(uuid::Uuid::now_v7()),
        machine: arn.clone(),
        initial: true,
        definition: definition.to_string(),
        role_arn: "arn:aws:iam::000000000000:role/r".into(),
        configuration: json!({}),
        made: created,
    };
    catalog
        .put_machine(MachineRow { arn: arn.clone(), name: name.into(), kind, created, deleting: false, revision })
        .await
        .unwrap();
    arn
}

pub fn request(machine: &Arn, name: &str, input: &str) -> StartRequest {
    StartRequest {
        machine: machine.clone(),
        name: Some(name.to_owned()),
        input: input.to_owned(),
        trace_header: None,
        trace: None,
    }
}

/// The next message of a queue of the embedded bus.
pub async fn next(bus: &EmbeddedBus, queue: &str) -> Delivery {
    let there = async {
        loop {
            match bus.get(queue).await {
                Ok(Some(delivery)) => return delivery,
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), there).await.expect(queue)
}
