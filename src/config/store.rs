//! `[store]`: options of the store.

use std::path::Path;

use serde::Deserialize;

use super::SecretUrl;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    Full,
    Normal,
}

/// The reaction to files that users other than the owner may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExposedFiles {
    Warn,
    Refuse,
}

#[derive(Debug, Clone, Deserialize)]
pub struct StoreOptions {
    pub url: SecretUrl,
    pub synchronous: Synchronous,
    pub readers: u8,
    pub cache_kib: u32,
    pub check: bool,
    pub exposed_files: ExposedFiles,
    pub(super) size_bytes_max: u64,
}

impl StoreOptions {
    /// The size beyond which the store takes no more writes, as on a full disk.
    #[must_use]
    pub fn size_bytes_max(&self) -> Option<u64> {
        (self.size_bytes_max > 0).then_some(self.size_bytes_max)
    }

    /// The file of an embedded store; `None` for a database server. `:memory:` is SQLite's own name for a store in
    /// memory.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<&Path> {
        self.url.expose().strip_prefix("sqlite:").map(|path| Path::new(path.strip_prefix("//").unwrap_or(path)))
    }
}
