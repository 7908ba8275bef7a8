//! Opening a store: the lock, the checks, the settings of each connection.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::{StoreError, StoreResult};

use super::Options;
use super::error::classify;
use super::migrate::migrate;
use super::private;

/// Statements that a connection keeps prepared: more than all that exist.
const STATEMENTS_CACHED: usize = 128;
/// How long a connection waits for a lock. Only a checkpoint or a backup can hold one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of the writing connection, in KiB, at most: after a commit that split a page SQLite looks at each page that it
/// has in memory (`pcache1TruncateUnsafe`). With 64 MiB that was a tenth of the writer's time; other pages are in the
/// operating system's cache.
const WRITER_CACHE_KIB_MAX: u32 = 8 * 1_024;
/// The divisor of `store.cache_kib` that gives the cache of each reader.
const READER_SHARE: u32 = 4;
/// The size to which the log file is cut after a peak.
const WAL_BYTES_KEPT: i64 = 64 * 1_048_576;

/// The file of a store, locked by this process.
#[derive(Debug)]
pub(super) struct Place {
    pub path: PathBuf,
    /// Held, not read: the operating system frees the locks when the process ends, however it ends. The database comes
    /// after its connections: to close any descriptor of it takes SQLite's own locks (POSIX) from this process.
    _locks: [File; 2],
}

/// Finds the file and takes its lock: only one process at a time may write a store.
pub(super) fn claim(path: &Path) -> StoreResult<Place> {
    let (path_shown, shown) = (path, path.display());
    if path.is_dir() {
        return Err(StoreError::Unusable(format!(
            "{shown} is a directory: `store.url` names the file of the store, like {shown}/reveille.db"
        )));
    }
    let name =
        path.file_name().ok_or_else(|| StoreError::Unusable(format!("{shown} names no file: check `store.url`")))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let folder = folder.canonicalize().map_err(|error| {
        StoreError::Unusable(format!(
            "the folder of the store, {}, cannot be used ({error}): create it, or correct `store.url`",
            folder.display()
        ))
    })?;
    // Through symbolic links to the file itself, so that two names of one store meet at one lock.
    let path = folder.join(name);
    let path = path.canonicalize().unwrap_or(path);

    // The file beside the store tells people which process has it. Its lock is taken first, so that an open store is
    // not touched.
    let lock_path = beside(&path, ".lock");
    let mut lock = private::options().create(true).truncate(false).read(true).open(&lock_path).map_err(|error| {
        StoreError::Unusable(format!(
            "{} cannot be written ({error}): the store needs a folder that it may write to",
            lock_path.display()
        ))
    })?;
    if !is_free(&lock, &lock_path)? {
        let mut holder = String::new();
        // The number is a help for people; an unreadable one changes nothing.
        let _ = lock.read_to_string(&mut holder);
        return Err(taken(path_shown, holder.trim()));
    }
    // The lock that counts is on the database: the file beside it can be deleted. It is another kind of lock than
    // SQLite's own (flock), the two do not meet.
    let database = match private::options().create_new(true).read(true).open(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => File::open(&path),
        made => made,
    };
    let database =
        database.map_err(|error| StoreError::Unusable(format!("{} cannot be opened ({error})", path.display())))?;
    if !is_free(&database, &path)? {
        return Err(taken(path_shown, ""));
    }
    // Likewise only for people: a full disk must not keep the store from opening.
    let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| write!(lock, "process {}", std::process::id()));
    Ok(Place { path, _locks: [database, lock] })
}

/// Takes the lock of a file, unless another process has it.
fn is_free(file: &File, path: &Path) -> StoreResult<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(StoreError::Unusable(format!(
            "{} cannot be locked ({error}): the file system must support locks",
            path.display()
        ))),
    }
}

fn taken(store: &Path, holder: &str) -> StoreError {
    StoreError::Unusable(format!(
        "the store {} is open in another process ({}): stop that one, or give this one another `store.url`",
        store.display(),
        if holder.is_empty() { "unknown" } else { holder }
    ))
}

/// A file beside the store.
pub(super) fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The one connection that writes.
pub(super) fn writer(place: Option<&Place>, options: &Options) -> StoreResult<Connection> {
    let shown = place.map_or_else(|| ":memory:".to_owned(), |place| place.path.display().to_string());
    let opened = match place {
        Some(place) => Connection::open_with_flags(
            &place.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        ),
        None => Connection::open_in_memory(),
    };
    let mut connection = opened.map_err(|error| StoreError::Unusable(format!("{shown} cannot be opened ({error})")))?;
    prepare_writer(&mut connection, &shown, place.is_some(), options).map_err(|error| match error {
        StoreError::Unavailable(why) => StoreError::Unusable(format!("{shown} cannot be used: {why}")),
        other => other,
    })?;
    Ok(connection)
}

fn prepare_writer(connection: &mut Connection, shown: &str, on_disk: bool, options: &Options) -> StoreResult<()> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Unusable(format!(
            "{shown} is no store of Reveille's (no SQLite database): give another path in `store.url`, or move that \
             file away"
        )),
        _ => classify(&error),
    };
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // The first statement that reads the file: no change before we know that it is ours.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).map_err(failed)?;
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(failed)? {
        return Err(StoreError::Unusable(format!("{shown} is write-protected: the store must be writable")));
    }
    migrate(connection, shown)?;

    if on_disk {
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(failed)?;
        if mode != "wal" {
            return Err(StoreError::Unusable(format!(
                "{shown} cannot use a write-ahead log (mode {mode}): the store must lie on a local file system"
            )));
        }
    }
    connection.pragma_update(None, "synchronous", options.synchronous.as_str()).map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    connection.pragma_update(None, "temp_store", "memory").map_err(failed)?;
    connection
        .pragma_update(None, "cache_size", -i64::from(options.cache_kib.min(WRITER_CACHE_KIB_MAX)))
        .map_err(failed)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT).map_err(failed)?;
    if let Some(bytes) = options.size_bytes_max {
        let page: u64 = connection
            .pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))
            .map_err(failed)?
            .cast_unsigned();
        let pages = (bytes / page.max(1)).clamp(1, u64::from(u32::MAX - 1));
        connection.pragma_update_and_check(None, "max_page_count", pages.cast_signed(), |_| Ok(())).map_err(failed)?;
    }
    if options.check {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if verdict != "ok" {
            return Err(StoreError::Unusable(format!(
                "{shown} is damaged ({verdict}): restore a backup, or recover the readable rows with `sqlite3 {shown} \
                 .recover`"
            )));
        }
    }
    Ok(())
}

/// The connection that moves the log into the file. It writes as safely as the writer does, and keeps no pages.
pub(super) fn copier(path: &Path, options: &Options) -> StoreResult<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "synchronous", options.synchronous.as_str())?;
        Ok(connection)
    };
    open().map_err(|error| StoreError::Unusable(format!("{} cannot be opened for its log ({error})", path.display())))
}

/// A connection that reads beside the writer.
pub(super) fn reader(path: &Path, options: &Options) -> StoreResult<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        // Not READ_ONLY: a reader must be able to create the shared memory of the log. `query_only` keeps it from
        // writing.
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "cache_size", -i64::from(options.cache_kib / READER_SHARE))?;
        Ok(connection)
    };
    open().map_err(|error| StoreError::Unusable(format!("{} cannot be opened for reading ({error})", path.display())))
}
