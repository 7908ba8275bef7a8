//! Faults that a campaign plants, to show that it finds them (`tests/soak/cluster.py --plant`). A build without debug
//! assertions, as every release is, has none of them.

/// The fault that `REVEILLE_PLANT` names is this one: `priority` (consumers say nothing of their epoch) or `ack` (a
/// delivery is acknowledged when it comes in, before its effect is durable).
#[cfg(debug_assertions)]
pub(super) fn is_planted(fault: &str) -> bool {
    use std::sync::LazyLock;

    static PLANT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("REVEILLE_PLANT").ok());
    PLANT.as_deref() == Some(fault)
}

#[cfg(not(debug_assertions))]
pub(super) const fn is_planted(_: &str) -> bool {
    false
}
