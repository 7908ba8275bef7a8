//! A copy of the store while it works.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::store::{StoreError, StoreResult};

use super::error::classify;

/// Copies all pages in one step. In steps, each commit in between would start the copy anew, and under load it would never end; in one, it
/// reads one moment from the log while the writer goes on. The log grows meanwhile.
pub(super) fn copy(from: &Connection, to: &Path) -> StoreResult<()> {
    let unwritten = |why: &dyn std::fmt::Display| StoreError::Unavailable(format!("the backup {} was not made: {why}", to.display()));
    if to.exists() {
        return Err(StoreError::AlreadyExists { what: "file", key: to.display().to_string() });
    }
    // Under another name until it is whole: a backup that was cut short must not look like one.
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritten(&error)),
        _ => {}
    }
    let copied = into_file(from, &part).and_then(|()| {
        let file = std::fs::File::open(&part).and_then(|file| file.sync_all());
        file.and_then(|()| std::fs::rename(&part, to)).map_err(|error| unwritten(&error))
    });
    if copied.is_err() {
        // What is left of it helps nobody; the error says the rest.
        let _ = std::fs::remove_file(&part);
    }
    copied
}

fn into_file(from: &Connection, part: &Path) -> StoreResult<()> {
    let failed = |error: rusqlite::Error| match classify(&error) {
        StoreError::Unavailable(why) => StoreError::Unavailable(format!("the backup was not made: {why}")),
        other => other,
    };
    let mut target = Connection::open(part).map_err(failed)?;
    let step = Backup::new(from, &mut target).and_then(|backup| backup.step(-1)).map_err(failed)?;
    if !matches!(step, StepResult::Done) {
        return Err(StoreError::Unavailable("the backup was not made: the store was locked".into()));
    }
    // One file, with no log beside it; opening it turns the log on again.
    target.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(())).map_err(failed)?;
    target.close().map_err(|(_, error)| failed(error))
}
