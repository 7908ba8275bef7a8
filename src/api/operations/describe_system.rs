//! `Reveille.DescribeSystem`, our own operation: version, store, broker, partitions, health, and the settings in force
//! without their secrets.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::engine::System;

#[derive(Deserialize)]
pub struct Input {}

pub async fn handle(ctx: &Context, _: Input) -> Result<Value, ApiError> {
    let System {
        partitions,
        threads,
        executions_open,
        tasks_open,
        executions_bytes,
        starts_under_way,
        tasks_unpublished,
        parking_waiting,
        store,
        broker: (health, why),
        bus_is_durable,
        connections_lost,
        missing,
        doubts,
    } = ctx.engine().system().await;
    let settings: Map<String, Value> =
        ctx.settings.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": missing.is_empty(),
        "missing": missing,
        "doubts": doubts,
        "engine": {
            "partitions": partitions,
            "threads": threads,
            "executionsOpen": executions_open,
            "tasksOpen": tasks_open,
            "executionsBytes": executions_bytes,
            "startsUnderWay": starts_under_way,
            "tasksUnpublished": tasks_unpublished,
            "parkingWaiting": parking_waiting,
        },
        "store": {
            "bytes": store.bytes,
            "logBytes": store.log_bytes,
            "writes": store.writes,
            "commits": store.commits.count(),
            "checkpoints": store.checkpoints,
        },
        "broker": {
            "health": health,
            "why": why,
            "durable": bus_is_durable,
            "connectionsLost": connections_lost,
        },
        "settings": settings,
    }))
}
