//! Tests that only a store on a disk has to pass.

mod faults;
mod kill;
mod log;

use std::path::Path;

use rusqlite::Connection;

use crate::store::contract::given::{self, append, at, batch, create, header, id, machine, running, succeeded};
use crate::store::{
    Append, Catalog, Epoch, ExecutionFilter, ExecutionRow, ExecutionStatus, Journal, StoreError, Summary,
};

use super::{Options, Sqlite, Synchronous, exposed};

fn options() -> Options {
    Options { synchronous: Synchronous::Normal, check: true, ..Options::default() }
}

fn refused(path: &Path) -> String {
    match Sqlite::open(path, options()) {
        Err(StoreError::Unusable(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    for n in 1..=3_u32 {
        let store = Sqlite::open(&path, options()).unwrap();
        if n == 1 {
            store.put_machine(machine("m", 1)).await.unwrap();
        }
        create(&store, header(n), running()).await;
        store.append(append(1, u64::from(n) + 1, 1, running())).await.unwrap();
        assert_eq!(store.load(id(1)).await.unwrap().len(), n as usize + 1);
    }
    assert!(!path.with_extension("db-wal").exists(), "closing moved the log into the file");
}

#[tokio::test]
async fn dropping_the_store_writes_what_is_queued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path, options()).unwrap();
    given::with_machine(&store).await;
    create(&store, header(1), running()).await;
    // Sent at its first poll; then caller and store go away before they could hear the answer.
    let mut appending = store.append(append(1, 2, 1, running()));
    let _ = futures_util::poll!(&mut appending);
    drop(appending);
    drop(store);
    let store = Sqlite::open(&path, options()).unwrap();
    assert_eq!(store.load(id(1)).await.unwrap().len(), 2);
}

#[test]
fn a_second_process_is_refused_and_a_dead_one_leaves_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let first = Sqlite::open(&path, options()).unwrap();
    let text = refused(&path);
    assert!(text.contains("open in another process") && text.contains(&std::process::id().to_string()), "{text}");
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(refused(&link).contains("open in another process"), "another name for the same file");
    drop(first);
    assert!(folder.path().join("store.db.lock").exists());
    Sqlite::open(&path, options()).unwrap();
}

#[test]
#[cfg(unix)]
fn files_of_a_store_are_its_owners_alone_and_wider_ones_are_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path, options()).unwrap();
    super::copy(&path, &folder.path().join("copy.db")).unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o7777;
    for name in ["store.db", "store.db-wal", "store.db-shm", "store.db.lock", "copy.db"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert!(exposed(&path).is_empty());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(exposed(&path), [(path.clone(), 0o640)]);
    drop(store);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let again = Sqlite::open(&path, options()).unwrap();
    assert!(exposed(&path).is_empty());
    drop(again);
}

#[test]
fn what_is_no_store_of_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text_file = folder.path().join("notes.txt");
    std::fs::write(
        &text_file,
        "these are my notes, they are longer than the header of a database would have to be. ".repeat(20),
    )
    .unwrap();
    assert!(refused(&text_file).contains("no store of Reveille's"));
    assert!(std::fs::read_to_string(&text_file).unwrap().starts_with("these are my notes"));

    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE users (name)").unwrap();
    assert!(refused(&foreign).contains("no store of Reveille's"));
    let tables: i64 =
        Connection::open(&foreign).unwrap().query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).unwrap();
    assert_eq!(tables, 1);

    assert!(refused(folder.path()).contains("is a directory"));
    assert!(refused(&folder.path().join("none").join("store.db")).contains("create it"));
}

#[test]
fn a_store_made_by_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(Sqlite::open(&path, options()).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let text = refused(&path);
    assert!(text.contains("newer version") && text.contains("999"), "{text}");
}

#[tokio::test]
async fn a_damaged_file_is_refused_when_it_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path, options()).unwrap();
    given::with_machine(&store).await;
    for n in 1..=200 {
        create(&store, header(n), running()).await;
    }
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    for page in pages / 2..pages {
        bytes[page * 4096..page * 4096 + 64].fill(0xa5);
    }
    std::fs::write(&path, bytes).unwrap();
    assert!(refused(&path).contains("damaged"));
}

#[tokio::test]
async fn a_backup_made_under_load_is_a_whole_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path().join("store.db"), options()).unwrap();
    given::with_machine(&store).await;
    create(&store, header(1), running()).await;
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            for after in 2..300 {
                store.append(append(1, after, 1, running())).await.unwrap();
            }
        })
    };
    store.append(append(1, 1, 1, running())).await.unwrap_err();
    let copy = folder.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    let again = store.backup(&copy).await.unwrap_err();
    assert!(matches!(again, StoreError::AlreadyExists { .. }), "{again}");
    writing.await.unwrap();

    let copied = Sqlite::open(&copy, options()).unwrap();
    let version = copied.execution(id(1)).await.unwrap().unwrap().version;
    let events: u64 = copied.load(id(1)).await.unwrap().iter().map(|batch| u64::from(batch.events)).sum();
    assert_eq!(version.0, events);
    copied.append(append(1, version.0, 1, running())).await.unwrap();
    assert!(!folder.path().join("copy.db.part").exists());
}

/// The sums are in the file: a store that is opened again counts no rows.
#[tokio::test]
async fn what_is_open_is_known_when_a_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path, Options::default()).unwrap();
    given::with_machine(&store).await;
    let waits = |tasks| Summary { tasks, ..running() };
    for n in 1..=3 {
        create(&store, header(n), waits(n)).await;
    }
    store.append(append(1, 2, 1, succeeded(5))).await.unwrap();
    drop(store);
    let store = Sqlite::open(&path, Options::default()).unwrap();
    let open = || (store.figures().open_executions, store.figures().open_tasks);
    assert_eq!(open(), (2, 5));
    store.append(append(2, 2, 1, waits(0))).await.unwrap();
    assert_eq!(open(), (2, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_share_commits_and_none_loses_an_append() {
    const WRITERS: u32 = 64;
    const ROUNDS: u64 = 25;
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path().join("store.db"), Options::default()).unwrap();
    given::with_machine(&store).await;
    for n in 1..=WRITERS {
        create(&store, header(n), running()).await;
    }
    let before = store.figures();
    let writers: Vec<_> = (1..=WRITERS)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    store.append(append(n, 2 + round, 1, running())).await.unwrap();
                    // A conflict in the same commit does not affect the other appends.
                    assert!(matches!(
                        store.append(append(n, 1, 1, running())).await,
                        Err(StoreError::VersionConflict { .. })
                    ));
                    assert_eq!(
                        store.execution(id(n)).await.unwrap().unwrap().version.0,
                        3 + round,
                        "a reader sees every answered append"
                    );
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let after = store.figures();
    let (writes, commits) = (after.writes - before.writes, after.commits.count() - before.commits.count());
    assert_eq!(writes, u64::from(WRITERS) * ROUNDS);
    assert!(after.commits.events - before.commits.events >= writes, "{after:?}");
    assert!(commits * 4 < writes, "{writes} appends in {commits} commits");
    for n in 1..=WRITERS {
        let batches = store.load(id(n)).await.unwrap();
        assert!(batches.iter().skip(1).zip(2..).all(|(batch, after)| batch.after.0 == after));
        assert_eq!(batches.len() as u64, ROUNDS + 1);
    }
}

#[tokio::test]
async fn a_journal_with_a_hole_is_corrupt_and_its_neighbour_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path, options()).unwrap();
    given::with_machine(&store).await;
    for n in 1..=2 {
        create(&store, header(n), running()).await;
        let batch = batch(2, 1, "second");
        store
            .append(Append {
                execution: id(n),
                partition: crate::ids::PartitionId(0),
                epoch: Epoch::FIRST,
                batch,
                replaces: 0,
                summary: running(),
                waits: Vec::new(),
                hurries: false,
            })
            .await
            .unwrap();
    }
    Connection::open(&path).unwrap().execute("DELETE FROM journal WHERE n = 1", []).unwrap();
    let error = store.load(id(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert_eq!(store.load(id(2)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn rows_that_do_not_decode_are_left_out_of_listings_and_hide_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path, options()).unwrap();
    given::with_machine(&store).await;
    let summary = Summary { due: Some(at(5)), owes_parent: true, ..running() };
    for n in 1..=12 {
        create(&store, header(n), summary.clone()).await;
    }
    let connection = Connection::open(&path).unwrap();
    // Each another damage; those of 4 to 7 stand side by side, more than a page of them.
    for (n, damage) in [
        (4, "UPDATE headers SET revision = x'00' WHERE id = ?1"),
        (5, "UPDATE headers SET parent = x'0102', parent_event = 1 WHERE id = ?1"),
        (6, "UPDATE headers SET item_index = 1, revision = x'' WHERE id = ?1"),
        (7, "UPDATE executions SET redrive_count = -1 WHERE id = ?1"),
        (10, "UPDATE executions SET redrive_count = 5000000000 WHERE id = ?1"),
    ] {
        assert_eq!(connection.execute(damage, [id(n).0.into_bytes()]).unwrap(), 1, "{damage}");
        assert!(matches!(store.execution(id(n)).await, Err(StoreError::Corrupt { .. })), "{damage}");
    }
    let whole = [1, 2, 3, 8, 9, 11, 12].map(id);
    let ids = |rows: &[ExecutionRow]| rows.iter().map(|row| row.header.id).collect::<Vec<_>>();
    for limit in [1, 2, 3, 7, 100] {
        let (mut listed, mut after, mut owing, mut last) = (Vec::new(), None, Vec::new(), None);
        loop {
            let rows = store.list(ExecutionFilter { after, limit, ..ExecutionFilter::default() }).await.unwrap();
            let Some(row) = rows.last() else { break };
            after = Some((row.header.started, row.header.id));
            listed.extend(ids(&rows));
        }
        listed.reverse();
        assert_eq!(listed, whole, "pages of {limit}");
        loop {
            let rows = store.owing(given::header(1).partition, last, limit).await.unwrap();
            let Some(row) = rows.last() else { break };
            last = Some(row.header.id);
            owing.extend(ids(&rows));
        }
        assert_eq!(owing, whole, "pages of {limit}");
    }
    assert_eq!(ids(&store.owing_parents(given::header(1).partition, None, 100).await.unwrap()), whole);
    assert_eq!(store.due(given::header(1).partition, at(6), 100).await.unwrap().len(), 12);
    assert_eq!(store.count(ExecutionFilter::default()).await.unwrap(), [(ExecutionStatus::Running, 12)]);
}

#[tokio::test]
async fn nothing_is_left_of_what_was_purged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Sqlite::open(&path, options()).unwrap();
    given::with_machine(&store).await;
    for n in 1..=20 {
        create(&store, header(n), running()).await;
        store.append(append(n, 2, 1, given::succeeded(5))).await.unwrap();
    }
    assert_eq!(store.purge(at(6), 100).await.unwrap(), 20);
    let connection = Connection::open(&path).unwrap();
    for table in ["executions", "headers", "closings", "journal", "resources"] {
        let rows: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    create(&store, header(1), running()).await;
}
