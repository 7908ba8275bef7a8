//! Is the file that we write still the one at its path? A file that is deleted, or replaced, is written on without an
//! error, and all of it is gone with the process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::store::{StoreError, StoreResult};

/// What tells one file from another: device and number.
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
    /// Of the store that has just been opened at `file`.
    pub fn of(file: &Path) -> Self {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        let first_log = Mutex::new(id(&log));
        Self { first: id(file), file: file.to_owned(), log, first_log }
    }

    /// # Errors
    /// Where another file is there now, or none.
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
        "{} {what} while the store is open: what is written is lost when this process ends; \
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
