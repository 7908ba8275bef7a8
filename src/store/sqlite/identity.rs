//! Detects a store file that was deleted or replaced. Writes to such a file succeed, and all of them are lost when the
//! process ends.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::store::{StoreError, StoreResult};

/// The identity of a file: device and number.
type Id = (u64, u64);

#[derive(Debug)]
pub(super) struct Identity {
    file: PathBuf,
    log: PathBuf,
    first: Option<Id>,
    /// The log is made when something is written, and stays as long as the store is open.
    first_log: Mutex<Option<Id>>,
}

impl Identity {
    /// The identity of the store that has just been opened at `file`.
    pub fn of(file: &Path) -> Self {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        let first_log = Mutex::new(id(&log));
        Self { first: id(file), file: file.to_owned(), log, first_log }
    }

    /// # Errors
    /// `Unusable` where another file is at the path now, or none.
    pub fn check(&self) -> StoreResult<()> {
        judge(&self.file, self.first)?;
        let mut first_log = self.first_log.lock().unwrap_or_else(PoisonError::into_inner);
        if first_log.is_none() {
            *first_log = id(&self.log);
        }
        judge(&self.log, *first_log)
    }
}

fn judge(path: &Path, first: Option<Id>) -> StoreResult<()> {
    let now = id(path);
    if first.is_none() || now == first {
        return Ok(());
    }
    let what = if now.is_some() { "was replaced by another file" } else { "was deleted" };
    Err(StoreError::Unusable(format!(
        "{} {what} while the store is open: everything written from now on is lost when this process ends; \
         make a backup of the running server now, stop it, and start it on that copy",
        path.display()
    )))
}

#[cfg(unix)]
fn id(path: &Path) -> Option<Id> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Elsewhere an open file cannot be deleted.
#[cfg(not(unix))]
fn id(_: &Path) -> Option<Id> {
    None
}
