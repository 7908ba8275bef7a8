//! Readiness of a whole engine.

use std::sync::Arc;
use std::time::Duration;

use crate::bus::embedded::EmbeddedBus;
use crate::bus::{BusFacts, ConsumerFact, RefusedFact, TaskBus};
use crate::engine::api::EngineHandle;
use crate::engine::support::{parts, small};
use crate::engine::types::Options;
use crate::store::memory::Memory;

use super::watched::Watched;

const LONG: Duration = Duration::from_mins(1);
const TICK: Duration = Duration::from_millis(20);

async fn engine(bus: Arc<dyn TaskBus>) -> EngineHandle {
    let store = Arc::new(Memory::new());
    let options = Options { health_check: Some(TICK), ..small() };
    crate::engine::lifecycle::start(parts(Arc::<Memory>::clone(&store), store, bus, options)).await.unwrap()
}

/// The engine's facts once it is ready, or no longer ready.
async fn says(engine: &EngineHandle, ready: bool) -> Vec<String> {
    let look = async {
        loop {
            match engine.ready().await {
                Ok(doubts) if ready => return doubts,
                Err(missing) if !ready => return missing,
                _ => tokio::time::sleep(TICK).await,
            }
        }
    };
    tokio::time::timeout(LONG, look).await.expect("readiness turns")
}

async fn shows(engine: &EngineHandle, line: &str) {
    let look = async {
        while !engine.metrics().await.lines().any(|l| l == line) {
            tokio::time::sleep(TICK).await;
        }
    };
    let shown = tokio::time::timeout(LONG, look).await;
    assert!(shown.is_ok(), "{line} is not in:\n{}", engine.metrics().await);
}

/// Its thread is held, as a decision without end would hold it.
#[actix_rt::test]
async fn an_engine_whose_partition_does_not_answer_is_not_ready() {
    let engine = engine(Arc::new(EmbeddedBus::new())).await;
    assert_eq!(says(&engine, true).await, Vec::<String>::new());
    let (release, held) = std::sync::mpsc::channel::<()>();
    engine.engine().partitions.arbiters()[0].spawn(async move { _ = held.recv() });
    let why = says(&engine, false).await;
    assert!(why.iter().all(|why| why.starts_with("engine: partition")), "{why:?}");
    shows(&engine, r#"reveille_not_ready{reason="partition"} 1"#).await;
    release.send(()).unwrap();
    says(&engine, true).await;
    shows(&engine, r#"reveille_not_ready{reason="partition"} 0"#).await;
    engine.stop(LONG).await;
}

#[actix_rt::test]
async fn a_deaf_engine_is_not_ready_and_a_refused_declaration_is_a_doubt() {
    let bus = Arc::new(Watched::default());
    let engine = engine(Arc::<Watched>::clone(&bus)).await;
    let consumer = |standing, active| ConsumerFact {
        queue: "reveille.replies.1".to_owned(),
        active,
        standing,
        opening: false,
        trouble: Some("ACCESS_REFUSED".to_owned()),
    };
    bus.facts.lock().unwrap().consumers = vec![consumer(true, true), consumer(false, false)];
    assert_eq!(says(&engine, true).await, Vec::<String>::new());
    *bus.facts.lock().unwrap() = BusFacts {
        consumers: vec![consumer(true, false)],
        refused: vec![RefusedFact { what: "queue q".to_owned(), code: 403, why: "no".to_owned() }],
        connections_lost: 3,
        mended: [("deep", 2)].into(),
        set_aside: [("rejected", 1)].into(),
        shared_with: None,
    };
    assert_eq!(says(&engine, false).await, ["bus: the queue reveille.replies.1 has no consumer: ACCESS_REFUSED"]);
    for line in [
        "reveille_bus_deaf_queues 1",
        "reveille_bus_refused 1",
        "reveille_bus_reconnects_total 3",
        r#"reveille_messages_unreadable_total{reason="deep"} 2"#,
        r#"reveille_messages_set_aside_total{how="rejected"} 1"#,
        r#"reveille_not_ready{reason="deaf"} 1"#,
    ] {
        shows(&engine, line).await;
    }
    bus.facts.lock().unwrap().consumers.clear();
    assert_eq!(says(&engine, true).await, ["the broker refuses queue q: 403 no"]);
    engine.stop(LONG).await;
}
