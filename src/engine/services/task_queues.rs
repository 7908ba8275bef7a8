//! The queues that definitions name: declared before their workers start, so that tasks can wait there.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tracing::warn;

use crate::asl;
use crate::bus::QueueSpec;
use crate::engine::services::Services;
use crate::integrations;
use crate::limits;

/// The longest name that the broker takes for a queue.
const NAME_BYTES_MAX: usize = 255;
/// Names that RabbitMQ keeps for itself.
const RESERVED: &str = "amq.";

/// The queues that this process has declared.
#[derive(Debug, Default)]
pub(in crate::engine) struct TaskQueues(Mutex<HashSet<String>>);

impl TaskQueues {
    /// The names that are new, within the bound.
    fn learn(&self, names: Vec<String>) -> Vec<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = Vec::new();
        for name in names {
            if known.len() >= limits::TASK_QUEUES_MAX {
                warn!(
                    event = "broker.left",
                    what = format!("queue {name}"),
                    reason = "TASK_QUEUES_MAX",
                    "so many queues of tasks are declared already; its worker makes it"
                );
                break;
            }
            if known.insert(name.clone()) {
                new.push(name);
            }
        }
        new
    }
}

/// A queue of tasks, and the states that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedQueue {
    pub queue: String,
    pub states: Vec<String>,
}

impl Services {
    /// The queues that a definition names as text, in its order.
    pub fn queues_named(&self, definition: &str) -> Vec<NamedQueue> {
        let mut found: Vec<NamedQueue> = Vec::new();
        for task in asl::tasks(definition) {
            let named = integrations::queue_named(&task.resource, &task.parameters, &self.table, self.bus.names());
            let Some(queue) = named else { continue };
            match found.iter_mut().find(|known| known.queue == queue) {
                Some(known) => known.states.push(task.state),
                None => found.push(NamedQueue { queue, states: vec![task.state] }),
            }
        }
        found
    }

    /// The specifications of the queues of a definition that are to be declared and were not yet.
    pub fn queues_to_declare(&self, definition: &str) -> Vec<QueueSpec> {
        let (names, options) = (self.bus.names(), &self.options);
        let own = format!("{}.", names.prefix());
        let fits = |queue: &String| {
            queue.len() <= NAME_BYTES_MAX
                && !queue.starts_with(&own)
                && !queue.starts_with(RESERVED)
                && !options.declared_queues.contains(queue)
        };
        let named = self.queues_named(definition).into_iter().map(|named| named.queue).filter(fits).collect();
        let spec = |name| QueueSpec::of_tasks(name, options.declare_queues, options.queue_kind, names);
        self.task_queues.learn(named).into_iter().filter_map(spec).collect()
    }
}
