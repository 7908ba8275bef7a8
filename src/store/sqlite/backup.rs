//! A copy of the store while it works.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::store::{StoreError, StoreResult};

use super::error::classify;

/// The contents of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    pub bytes: u64,
    pub executions: u64,
    /// Of these, still open.
    pub open: u64,
}

/// Copies the store at `path` to a new file and looks through the copy for damage. A server may have the store open:
/// the copy holds one moment.
///
/// # Errors
/// `Unusable`: there is no store of ours. `AlreadyExists`: there is a file at `to`. `Corrupt`: the copied pages are
/// damaged.
pub fn copy_store(path: &Path, to: &Path) -> StoreResult<Copied> {
    if !path.is_file() {
        return Err(StoreError::Unusable(format!("there is no store at {}: check `store.url`", path.display())));
    }
    let connection = super::open::reader(path, &super::Options::default())?;
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(|error| classify(&error))?;
    if application != super::migrate::APPLICATION_ID {
        return Err(StoreError::Unusable(format!("{} is no store of Reveille's: check `store.url`", path.display())));
    }
    copy(&connection, to)
}

/// Copies all pages in one step. In several steps each commit in between would restart the copy, and under load it
/// would never end. In one step it reads one moment from the log while the writer goes on; meanwhile the log grows.
pub(super) fn copy(from: &Connection, to: &Path) -> StoreResult<Copied> {
    let unwritten = |why: &dyn std::fmt::Display| {
        StoreError::Unavailable(format!("the backup {} was not made: {why}", to.display()))
    };
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
    super::private::options().create_new(true).open(&part).map_err(|error| unwritten(&error))?;
    let copied = into_file(from, &part).and_then(|copied| {
        let file = std::fs::File::open(&part).and_then(|file| file.sync_all());
        // A link, not a rename: a file that has come there meanwhile is not replaced.
        file.and_then(|()| std::fs::hard_link(&part, to)).map_err(|error| unwritten(&error))?;
        let _ = std::fs::remove_file(&part);
        Ok(copied)
    });
    if copied.is_err() {
        // A partial copy is of no use; the error says why it failed.
        let _ = std::fs::remove_file(&part);
    }
    copied
}

fn into_file(from: &Connection, part: &Path) -> StoreResult<Copied> {
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
    let verdict: String = target.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if verdict != "ok" {
        let (what, key) = ("the copy", part.display().to_string());
        return Err(StoreError::Corrupt { what, key, why: format!("{verdict}; the store itself is damaged") });
    }
    let count =
        |sql: &str| target.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned).map_err(failed);
    let open = super::values::status_code(crate::store::ExecutionStatus::Running);
    let copied = Copied {
        bytes: count("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?,
        executions: count("SELECT count(*) FROM executions")?,
        open: count(&format!("SELECT count(*) FROM executions WHERE status = {open}"))?,
    };
    target.close().map_err(|(_, error)| failed(error))?;
    Ok(copied)
}
