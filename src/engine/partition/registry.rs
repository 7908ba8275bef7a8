//! The executions of a partition that are in memory: their actors' addresses, the time of the last message of each, and
//! messages in progress.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use actix::Addr;
use actix::prelude::SendError;
use tokio::time::Instant;

use crate::ids::ExecutionId;

use crate::engine::execution::actor::ExecutionActor;
use crate::engine::execution::host::Incarnation;
use crate::engine::execution::message::Message;

/// An actor in memory.
#[derive(Debug, Clone)]
pub(super) struct Active {
    pub incarnation: Incarnation,
    pub addr: Addr<ExecutionActor>,
}

/// One of a hundred thousand: every byte here is paid for each sleeper.
struct Entry {
    active: Active,
    used: Age,
    /// Messages that are under way to it.
    under_way: u32,
}

/// Milliseconds since the partition began: not of the wall clock, which is put forward and back, and half as long as an
/// `Instant`.
type Age = u64;

impl Entry {
    fn is_idle_for(&self, age: Duration, now: Age) -> bool {
        self.under_way == 0 && u128::from(now.saturating_sub(self.used)) > age.as_millis()
    }
}

/// An address is copied only where it must outlive a look: each copy makes two small allocations.
pub(super) struct Registry {
    entries: RefCell<HashMap<ExecutionId, Entry>>,
    incarnations: Cell<u64>,
    began: Instant,
}

impl Default for Registry {
    fn default() -> Self {
        Self { entries: RefCell::default(), incarnations: Cell::default(), began: Instant::now() }
    }
}

impl Registry {
    fn now(&self) -> Age {
        Age::try_from(self.began.elapsed().as_millis()).unwrap_or(Age::MAX)
    }

    /// For an actor that is being made.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnations.set(self.incarnations.get() + 1);
        Incarnation(self.incarnations.get())
    }

    /// True where none of this execution was here.
    pub fn insert(&self, execution: ExecutionId, active: Active) -> bool {
        let now = self.now();
        self.entries.borrow_mut().insert(execution, Entry { active, used: now, under_way: 0 }).is_none()
    }

    /// Its actor, which is going to be told something.
    pub fn find(&self, execution: ExecutionId) -> Option<Active> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&execution)?;
        entry.used = self.now();
        Some(entry.active.clone())
    }

    pub fn contains(&self, execution: ExecutionId) -> bool {
        self.entries.borrow().contains_key(&execution)
    }

    /// This actor's address, if it is still here.
    pub fn address_of(&self, execution: ExecutionId, incarnation: Incarnation) -> Option<Addr<ExecutionActor>> {
        let entries = self.entries.borrow();
        entries.get(&execution).map(|e| &e.active).filter(|r| r.incarnation == incarnation).map(|r| r.addr.clone())
    }

    /// Hands a message to its actor, and counts it as in progress. Gives the message back where there is no actor, or
    /// where the actor takes none now.
    pub fn hand(&self, execution: ExecutionId, message: Message) -> Option<Message> {
        let mut entries = self.entries.borrow_mut();
        let Some(entry) = entries.get_mut(&execution) else { return Some(message) };
        entry.used = self.now();
        match entry.active.addr.try_send(message) {
            Ok(()) => {
                entry.under_way += 1;
                None
            }
            Err(SendError::Full(message) | SendError::Closed(message)) => Some(message),
        }
    }

    /// Hands over a message that may be lost. It does not count as use.
    pub fn hint(&self, execution: ExecutionId, message: Message) {
        if let Some(entry) = self.entries.borrow().get(&execution) {
            let _ = entry.active.addr.try_send(message);
        }
    }

    /// A message leaves for this actor.
    pub fn sent(&self, execution: ExecutionId, incarnation: Incarnation) {
        self.count(execution, incarnation, |under_way| under_way + 1);
    }

    /// It has been answered.
    pub fn answered(&self, execution: ExecutionId, incarnation: Incarnation) {
        self.count(execution, incarnation, |under_way| under_way.saturating_sub(1));
    }

    /// Where another actor has taken this one's place meanwhile, nothing of the message is under way to that one.
    fn count(&self, execution: ExecutionId, incarnation: Incarnation, change: impl FnOnce(u32) -> u32) {
        let mut entries = self.entries.borrow_mut();
        if let Some(entry) = entries.get_mut(&execution).filter(|e| e.active.incarnation == incarnation) {
            entry.under_way = change(entry.under_way);
        }
    }

    /// True where this actor was here. An actor that was revived meanwhile stays.
    pub fn remove(&self, execution: ExecutionId, incarnation: Incarnation) -> bool {
        let mut entries = self.entries.borrow_mut();
        let is_here = entries.get(&execution).is_some_and(|e| e.active.incarnation == incarnation);
        if is_here {
            entries.remove(&execution);
        }
        is_here
    }

    pub fn idle_for(&self, age: Duration) -> Vec<(ExecutionId, Active)> {
        let now = self.now();
        self.entries
            .borrow()
            .iter()
            .filter(|(_, e)| e.is_idle_for(age, now))
            .map(|(id, e)| (*id, e.active.clone()))
            .collect()
    }

    pub fn is_idle_for(&self, execution: ExecutionId, age: Duration) -> bool {
        self.entries.borrow().get(&execution).is_some_and(|e| e.is_idle_for(age, self.now()))
    }

    pub fn is_any_told(&self) -> bool {
        self.entries.borrow().values().any(|e| e.under_way > 0)
    }

    /// All leave memory. Returns how many.
    pub fn clear(&self) -> usize {
        self.entries.take().len()
    }

    /// A table keeps the room of its fullest hour; a quiet one gives it back.
    pub fn shrink(&self) {
        let mut entries = self.entries.borrow_mut();
        if entries.capacity() > 4 * entries.len() + 1_024 {
            let room = 2 * entries.len();
            entries.shrink_to(room);
        }
    }
}
