//! Activity tasks that wait for a poller. The queue holds keys only: the task itself stays owed in its journal until a poller has
//! taken it, so a restart offers it again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::ids::{Arn, TaskKey};

#[derive(Debug, Default)]
pub(super) struct Activities {
    queues: Mutex<HashMap<Arn, Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<TaskKey>,
    known: HashSet<TaskKey>,
    came: Arc<Notify>,
}

impl Activities {
    /// A task waits for a poller. Offering one that waits already changes nothing.
    pub fn offer(&self, activity: &Arn, key: TaskKey) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(activity.clone()).or_default();
        if queue.known.insert(key) {
            queue.waiting.push_back(key);
            queue.came.notify_one();
        }
    }

    /// Takes the longest waiting task; else what to wait on.
    pub fn take(&self, activity: &Arn) -> Result<TaskKey, Arc<Notify>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(activity.clone()).or_default();
        match queue.waiting.pop_front() {
            Some(key) => {
                queue.known.remove(&key);
                // Another poller may be waiting beside this one.
                if !queue.waiting.is_empty() {
                    queue.came.notify_one();
                }
                Ok(key)
            }
            None => Err(Arc::clone(&queue.came)),
        }
    }
}
