//! Chance, thrown at the edge and then carried as data. A simulation seeds it for its own thread.

use crate::ids::ExecutionId;

/// The chance of a decision.
pub(in crate::engine) fn entropy() -> u64 {
    #[cfg(test)]
    if let Some(n) = seeded::next() {
        return n;
    }
    rand::random()
}

/// In [0, 1).
pub(in crate::engine) fn unit() -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "the low half is as good as any")]
    let half = entropy() as u32;
    f64::from(half) / (f64::from(u32::MAX) + 1.0)
}

/// A new execution: ids sort by the time of their making.
pub(in crate::engine) fn execution_id() -> ExecutionId {
    #[cfg(test)]
    if let Some(n) = seeded::next() {
        let bytes = uuid::Uuid::from_u64_pair(n, !n).into_bytes();
        return ExecutionId(uuid::Builder::from_bytes(bytes).with_version(uuid::Version::SortRand).into_uuid());
    }
    ExecutionId(uuid::Uuid::now_v7())
}

#[cfg(test)]
pub(in crate::engine) mod seeded {
    use std::cell::Cell;

    thread_local! {
        static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From here on everything on this thread follows from `seed`; `None`: real chance again.
    pub fn set(seed: Option<u64>) {
        STATE.set(seed);
    }

    pub fn next() -> Option<u64> {
        let state = STATE.get()?.wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.set(Some(state));
        Some(mix(state))
    }

    /// splitmix64.
    pub fn mix(mut z: u64) -> u64 {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
