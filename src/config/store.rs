//! `[store]`: options of the store.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{SecretUrl, path};

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
    pub(super) ca_file: String,
    pub(super) certificate_file: String,
    pub(super) certificate_key_file: String,
}

impl StoreOptions {
    /// The size beyond which the store takes no more writes, as on a full disk.
    #[must_use]
    pub fn size_bytes_max(&self) -> Option<u64> {
        (self.size_bytes_max > 0).then_some(self.size_bytes_max)
    }

    /// The authorities of PostgreSQL's certificate.
    #[must_use]
    pub fn ca_file(&self) -> Option<PathBuf> {
        path(&self.ca_file)
    }

    /// The certificate that is the login at PostgreSQL.
    #[must_use]
    pub fn certificate_file(&self) -> Option<PathBuf> {
        path(&self.certificate_file)
    }

    #[must_use]
    pub fn certificate_key_file(&self) -> Option<PathBuf> {
        path(&self.certificate_key_file)
    }

    /// The file of an embedded store; `None` for a database server. `:memory:` is SQLite's own name for a store in
    /// memory.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<&Path> {
        self.url.expose().strip_prefix("sqlite:").map(|path| Path::new(path.strip_prefix("//").unwrap_or(path)))
    }
}
