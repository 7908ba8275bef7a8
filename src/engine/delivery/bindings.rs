//! Answers that come through an exchange reach the reply queues by their names.

use std::sync::Arc;

use crate::bus::{Address, ExchangeSpec, QueueKind, QueueSpec};
use crate::engine::services::Services;
use crate::ids::PartitionId;

/// Binds the reply queues of these partitions, in the background. Call it when they have begun: the queues are theirs.
pub(in crate::engine) fn bind(services: &Arc<Services>, partitions: &[PartitionId]) {
    let exchanges: Vec<ExchangeSpec> =
        services.table.reply_exchanges().map(|name| ExchangeSpec { name: name.to_owned(), kind: "topic" }).collect();
    if exchanges.is_empty() {
        return;
    }
    let bus = Arc::clone(&services.bus);
    let of = |partition: &PartitionId| {
        let kind = services.options.queue_kind;
        let kind = if partition.is_express() { kind.that_ends() } else { kind };
        (bus.reply_queue(*partition), kind)
    };
    let queues: Vec<(String, QueueKind)> = partitions.iter().map(of).collect();
    actix_rt::spawn(async move {
        let binding = |exchange: &ExchangeSpec, (queue, kind): &(String, QueueKind)| {
            let spec = QueueSpec { only_if_missing: true, ..QueueSpec::owned(queue.clone(), *kind, bus.names()) };
            (spec, Address { exchange: exchange.name.clone(), routing_key: queue.clone() })
        };
        let bindings =
            exchanges.iter().flat_map(|exchange| queues.iter().map(move |queue| binding(exchange, queue))).collect();
        // The bus logs refusals of the broker.
        let _ = bus.declare(exchanges.clone(), Vec::new(), bindings).await;
    });
}
