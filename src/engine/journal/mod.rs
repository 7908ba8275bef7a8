//! Reading and writing journals, and their summaries in the index.

pub(in crate::engine) mod answered;
pub(in crate::engine) mod heartbeat_batch;
pub(in crate::engine) mod history_page;
pub(in crate::engine) mod load;
pub(in crate::engine) mod summary;
pub(in crate::engine) mod waits;
pub(in crate::engine) mod write;
