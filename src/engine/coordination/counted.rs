//! Keys that are worked on, each as often as it is worked on now.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
pub(super) struct Counted<K> {
    open: Mutex<HashMap<K, usize>>,
    one_ended: Notify,
}

impl<K> Default for Counted<K> {
    fn default() -> Self {
        Self { open: Mutex::default(), one_ended: Notify::new() }
    }
}

impl<K: Eq + Hash + Copy> Counted<K> {
    fn open(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(&self, key: K) {
        *self.open().entry(key).or_default() += 1;
    }

    pub fn end(&self, key: K) {
        let mut open = self.open();
        if let Some(n) = open.get_mut(&key) {
            *n -= 1;
            if *n == 0 {
                open.remove(&key);
            }
        }
        drop(open);
        self.one_ended.notify_waiters();
    }

    /// Returns when this key is not worked on.
    pub async fn none_of(&self, key: K) {
        self.none_where(|other| *other == key).await;
    }

    /// Returns when no such key is worked on.
    pub async fn none_where(&self, is_such: impl Fn(&K) -> bool) {
        self.until(|open| !open.keys().any(&is_such)).await;
    }

    /// Returns when fewer keys than that are worked on.
    pub async fn fewer_than(&self, keys: usize) {
        self.until(|open| open.len() < keys).await;
    }

    async fn until(&self, is_so: impl Fn(&HashMap<K, usize>) -> bool) {
        loop {
            let mut ended = std::pin::pin!(self.one_ended.notified());
            ended.as_mut().enable();
            if is_so(&self.open()) {
                return;
            }
            ended.await;
        }
    }
}
