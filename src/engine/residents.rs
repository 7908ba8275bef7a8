//! The executions of a partition that are in memory: their actors' addresses, when each was last told something, and what is under way.

use std::cell::RefCell;
use std::collections::HashMap;

use actix::Addr;

use crate::clock::Timestamp;
use crate::ids::ExecutionId;

use super::execution::ExecutionActor;

/// One of a hundred thousand: every byte here is paid for each sleeper.
struct Resident {
    addr: Addr<ExecutionActor>,
    used: Timestamp,
    /// Messages that are under way to it.
    under_way: u32,
}

impl Resident {
    fn is_idle_since(&self, before: Timestamp) -> bool {
        self.used < before && self.under_way == 0
    }
}

#[derive(Default)]
pub(super) struct Residents(RefCell<HashMap<ExecutionId, Resident>>);

impl Residents {
    /// True where none of this execution was here.
    pub fn insert(&self, execution: ExecutionId, addr: Addr<ExecutionActor>, now: Timestamp) -> bool {
        self.0.borrow_mut().insert(execution, Resident { addr, used: now, under_way: 0 }).is_none()
    }

    /// Its actor, which is going to be told something.
    pub fn find(&self, execution: ExecutionId, now: Timestamp) -> Option<Addr<ExecutionActor>> {
        let mut residents = self.0.borrow_mut();
        let resident = residents.get_mut(&execution)?;
        resident.used = now;
        Some(resident.addr.clone())
    }

    /// Its actor, if there is one. A look does not count as its use.
    pub fn peek(&self, execution: ExecutionId) -> Option<Addr<ExecutionActor>> {
        self.0.borrow().get(&execution).map(|resident| resident.addr.clone())
    }

    /// A message leaves for this actor.
    pub fn sent(&self, execution: ExecutionId, addr: &Addr<ExecutionActor>) {
        self.count(execution, addr, |under_way| under_way + 1);
    }

    /// It has been answered.
    pub fn answered(&self, execution: ExecutionId, addr: &Addr<ExecutionActor>) {
        self.count(execution, addr, |under_way| under_way.saturating_sub(1));
    }

    /// Where another actor has taken this one's place meanwhile, nothing of the message is under way to that one.
    fn count(&self, execution: ExecutionId, addr: &Addr<ExecutionActor>, change: impl FnOnce(u32) -> u32) {
        if let Some(resident) = self.0.borrow_mut().get_mut(&execution).filter(|r| r.addr == *addr) {
            resident.under_way = change(resident.under_way);
        }
    }

    /// True where this actor was here; one that was revived meanwhile stays.
    pub fn remove(&self, execution: ExecutionId, addr: &Addr<ExecutionActor>) -> bool {
        let mut residents = self.0.borrow_mut();
        let is_here = residents.get(&execution).is_some_and(|r| r.addr == *addr);
        if is_here {
            residents.remove(&execution);
        }
        is_here
    }

    pub fn idle_since(&self, before: Timestamp) -> Vec<(ExecutionId, Addr<ExecutionActor>)> {
        self.0.borrow().iter().filter(|(_, r)| r.is_idle_since(before)).map(|(id, r)| (*id, r.addr.clone())).collect()
    }

    pub fn is_idle_since(&self, execution: ExecutionId, before: Timestamp) -> bool {
        self.0.borrow().get(&execution).is_some_and(|r| r.is_idle_since(before))
    }

    pub fn is_any_told(&self) -> bool {
        self.0.borrow().values().any(|r| r.under_way > 0)
    }

    /// A table keeps the room of its fullest hour; a quiet one gives it back.
    pub fn shrink(&self) {
        let mut residents = self.0.borrow_mut();
        if residents.capacity() > 4 * residents.len() + 1_024 {
            let room = 2 * residents.len();
            residents.shrink_to(room);
        }
    }
}
