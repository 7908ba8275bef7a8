//! The store of the settings: opened, guarded, copied.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::AppError;
use crate::config::{self, Settings, SettingsError};
use crate::store::copying::Portable;
use crate::store::memory::Memory;
use crate::store::postgres::{self, Postgres};
use crate::store::sqlite::{self, Sqlite};
use crate::store::{Catalog, Journal, Ownership, StoreError};

/// The store behind the ports.
pub(super) struct Truth {
    pub journal: Arc<dyn Journal>,
    pub catalog: Arc<dyn Catalog>,
    pub store: Kept,
    pub sharing: Option<Arc<dyn Ownership>>,
}

impl Truth {
    /// The store of one run, which ends with the process.
    pub fn in_memory() -> Self {
        let memory = Arc::new(Memory::new());
        Self { journal: memory.clone(), catalog: memory, store: Kept::Nowhere, sharing: None }
    }
}

/// The adapter, for its end.
pub(super) enum Kept {
    Sqlite(Sqlite),
    Postgres(Postgres),
    /// In memory alone.
    Nowhere,
}

impl Kept {
    /// The store as a whole, for a copy.
    pub fn portable(&self) -> Option<&dyn Portable> {
        match self {
            Self::Sqlite(store) => Some(store),
            Self::Postgres(store) => Some(store),
            Self::Nowhere => None,
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
            Self::Nowhere => {}
        }
    }
}

/// `away` tells why a start waits for the store.
pub(super) async fn open(settings: &Settings, away: watch::Sender<Option<String>>) -> Result<Truth, AppError> {
    let store = &settings.store;
    let durable = store.synchronous == config::Synchronous::Full;
    guard_files(settings, store.sqlite_path())?;
    let Some(path) = store.sqlite_path() else {
        let store = Postgres::open_telling(store.url.expose(), postgres_options(store), away).await?;
        let (journal, catalog) = (Arc::new(store.clone()), Arc::new(store.clone()));
        let sharing: Arc<dyn Ownership> = Arc::new(store.clone());
        return Ok(Truth { journal, catalog, store: Kept::Postgres(store), sharing: Some(sharing) });
    };
    let options = sqlite::Options {
        synchronous: if durable { sqlite::Synchronous::Full } else { sqlite::Synchronous::Normal },
        readers: store.readers,
        cache_kib: store.cache_kib,
        check: store.check,
        size_bytes_max: store.size_bytes_max(),
        ..sqlite::Options::default()
    };
    let store = Sqlite::open(path, options)?;
    let (journal, catalog) = (Arc::new(store.clone()), Arc::new(store.clone()));
    Ok(Truth { journal, catalog, store: Kept::Sqlite(store), sharing: None })
}

/// A schema of its own in the database of the settings, for a measurement.
///
/// # Errors
/// A database that cannot be reached, or in which the role may not make a schema.
pub async fn scratch_schema(store: &config::StoreOptions) -> Result<postgres::Schema, StoreError> {
    postgres::Schema::make(store.url.expose(), &postgres_options(store)).await
}

/// The options of a store in PostgreSQL, as the settings say them.
fn postgres_options(store: &config::StoreOptions) -> postgres::Options {
    postgres::Options {
        durable: store.synchronous == config::Synchronous::Full,
        readers: store.readers,
        ca_file: store.ca_file(),
        certificate_file: store.certificate_file(),
        key_file: store.certificate_key_file(),
    }
}

/// Checks that other users can read neither the store nor the objects, which hold payloads and live task tokens. The
/// setting decides between a warning and an error.
fn guard_files(settings: &Settings, store: Option<&Path>) -> Result<(), AppError> {
    let mut exposed = store.map(sqlite::exposed).unwrap_or_default();
    if settings.objects.endpoint.is_empty() {
        exposed.extend(crate::objects::exposed(&settings.objects.folder));
    }
    for (path, mode) in exposed {
        let why = format!(
            "{path} may be read or changed by others than its owner (mode {mode:04o}); it holds payloads and task \
             tokens. Run: chmod go-rwx {path}",
            path = path.display()
        );
        match settings.store.exposed_files {
            config::ExposedFiles::Refuse => {
                return Err(AppError::Unsupported(format!("store.exposed_files is refuse: {why}")));
            }
            config::ExposedFiles::Warn => tracing::warn!(event = "files.exposed", "{why}"),
        }
    }
    Ok(())
}

/// A backup that was made.
#[derive(Debug)]
pub struct Backup {
    pub copy: sqlite::Copied,
    /// The copy of the signing keys; `None` where they are not in a file of their own.
    pub token_keys: Option<PathBuf>,
}

/// Copies the store of the settings to `to`, and its signing keys beside it; a server may be using both.
pub fn backup(settings: &Settings, to: &Path, with_keys: bool) -> Result<Backup, AppError> {
    let Some(path) = settings.store.sqlite_path() else {
        return Err(AppError::Unsupported(format!(
            "store.url is {}; PostgreSQL's own tools back it up: `pg_dump --format=custom`, or a base backup with its \
             write-ahead log (docs/CLUSTER.md). Keep the keys of the task tokens with it (engine.token_key)",
            settings.store.url
        )));
    };
    let keys = settings.token_key_path().filter(|_| with_keys);
    let beside = config::token_key_beside(to);
    if keys.is_some() && beside.exists() {
        return Err(StoreError::AlreadyExists { what: "file", key: beside.display().to_string() }.into());
    }
    let copy = sqlite::copy(path, to)?;
    let token_keys = match keys {
        Some(from) => {
            crate::token::copy_file(&from, &beside).map_err(SettingsError::from)?;
            Some(beside)
        }
        None => None,
    };
    Ok(Backup { copy, token_keys })
}
