//! Memory that the allocator keeps for later. The library does not know which allocator the binary has; the binary says
//! how it gives back.

use std::sync::OnceLock;

static GIVE_BACK: OnceLock<fn()> = OnceLock::new();

/// Says what the allocator does when much has been freed on the calling thread and is not needed soon. The first word
/// counts.
pub fn on_give_back(give_back: fn()) {
    let _ = GIVE_BACK.set(give_back);
}

/// Much has been freed on this thread. Does nothing where the binary has said nothing.
pub fn give_back() {
    if let Some(give_back) = GIVE_BACK.get() {
        give_back();
    }
}
