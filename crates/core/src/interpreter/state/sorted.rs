//! Maps and sets for a handful of entries: sorted vectors. Nearly every execution has one frame and one open task; the
//! first leaf of a `BTreeMap` has room for eleven, and there are five of them in every sleeper (1.9 KB together,
//! measured).

use serde::{Deserialize, Serialize};

/// A map with its keys in order. New keys are nearly always the highest, so an insertion moves nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Sorted<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<K: Ord + Copy, V> Sorted<K, V> {
    fn place(&self, key: &K) -> Result<usize, usize> {
        self.entries.binary_search_by(|(k, _)| k.cmp(key))
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|at| &self.entries[at].1)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).ok().map(|at| &mut self.entries[at].1)
    }

    pub fn insert(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(at) => self.entries[at].1 = value,
            Err(at) => {
                if self.entries.capacity() == 0 {
                    // A vector begins with room for four.
                    self.entries.reserve_exact(1);
                }
                self.entries.insert(at, (key, value));
            }
        }
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.place(key).ok().map(|at| self.entries.remove(at).1)
    }

    pub fn first(&self) -> Option<&(K, V)> {
        self.entries.first()
    }

    /// The first key after this one.
    pub fn after(&self, key: &K) -> Option<&K> {
        let at = self.entries.partition_point(|(k, _)| k <= key);
        self.entries.get(at).map(|(k, _)| k)
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().map(|(k, _)| k)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(k, v)| (k, v))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn clear(&mut self) {
        self.entries = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_as_a_b_tree_does() {
        let (mut ours, mut theirs) = (Sorted::default(), std::collections::BTreeMap::new());
        for n in [5_u32, 1, 9, 5, 3, 7, 1, 2] {
            ours.insert(n, n * 2);
            theirs.insert(n, n * 2);
            assert_eq!(ours.remove(&(n / 2)), theirs.remove(&(n / 2)));
            assert!(ours.keys().eq(theirs.keys()));
            for key in 0..10 {
                assert_eq!(ours.get(&key), theirs.get(&key));
                let after =
                    theirs.range((std::ops::Bound::Excluded(key), std::ops::Bound::Unbounded)).next().map(|(k, _)| k);
                assert_eq!(ours.after(&key), after);
            }
        }
    }
}
