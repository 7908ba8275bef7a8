//! The log is moved into the file while the store writes, and restarts.

use std::path::Path;

use rusqlite::Connection;

use crate::store::Journal;
use crate::store::contract::given::{self, append, create, header, id, running};

use super::super::{Options, Sqlite, Synchronous};

const PAGES: u32 = 64;
/// A page with its header in the log.
const FRAME: u64 = 4_096 + 24;
const WRITERS: u32 = 6;

async fn opened(path: &Path) -> Sqlite {
    let options = Options { synchronous: Synchronous::Normal, checkpoint_pages: PAGES, ..Options::default() };
    let store = Sqlite::open(path, options).unwrap();
    given::with_machine(&store).await;
    for n in 1..=WRITERS {
        create(&store, header(n), running()).await;
    }
    store
}

fn frames(path: &Path) -> u64 {
    std::fs::metadata(path.with_extension("db-wal")).map_or(0, |log| log.len() / FRAME)
}

/// Appends without a pause. Returns the greatest length of the log, in pages.
async fn written(store: &Sqlite, path: &Path, from: u64, appends: u64) -> u64 {
    let writers = (1..=WRITERS).map(|n| async move {
        let mut longest = 0;
        for version in from..from + appends {
            store.append(append(n, version, 1, running())).await.unwrap();
            longest = frames(path).max(longest);
        }
        longest
    });
    futures_util::future::join_all(writers).await.into_iter().max().unwrap_or(0)
}

#[tokio::test]
async fn a_log_that_is_written_to_without_a_pause_stays_short() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = opened(&path).await;
    let longest = written(&store, &path, 2, 400).await;
    assert!(longest >= u64::from(PAGES), "it was never long enough to be copied: {longest} pages");
    // Four times as long at most, and a commit: the writer waits for the copier there.
    assert!(longest < 5 * u64::from(PAGES), "{longest} pages");
    assert!(store.figures().checkpoints >= 3, "{:?}", store.figures());
    for n in 1..=WRITERS {
        assert_eq!(store.load(id(n)).await.unwrap().len(), 401);
    }
}

#[tokio::test]
async fn a_long_read_holds_the_log_and_no_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = opened(&path).await;
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM journal").unwrap();
    let held = written(&store, &path, 2, 400).await;
    assert!(held > 5 * u64::from(PAGES), "the reader needs the old pages: {held} pages");
    reader.execute_batch("COMMIT").unwrap();
    // The log restarts as soon as it is copied; else it would be three times as long.
    let after = written(&store, &path, 402, 800).await;
    assert!(after < 2 * held, "{held} pages, then {after}");
    assert_eq!(store.load(id(1)).await.unwrap().len(), 1_201);
}
