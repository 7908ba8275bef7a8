//! A disk that is full, for real: SQLite's own limit on pages answers exactly as the disk does.

use crate::store::contract::given::{self, append, at, create, header, id, running, succeeded};
use crate::store::{Append, Batch, Catalog, Journal, StoreError};

use super::super::{Options, Sqlite};

fn large(n: u32, after: u64) -> Append {
    let batch = Batch { bytes: vec![7; 40_000], ..append(n, after, 1, running()).batch };
    Append { batch, ..append(n, after, 1, running()) }
}

#[tokio::test]
async fn a_full_disk_refuses_appends_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { size_bytes_max: Some(2_000_000), ..super::options() };
    let store = Sqlite::open(folder.path().join("store.db"), options).unwrap();
    given::with_machine(&store).await;
    create(&store, header(1), running()).await;
    create(&store, header(2), running()).await;

    let mut after = 2;
    let error = loop {
        match store.append(large(1, after)).await {
            Ok(()) => after += 1,
            Err(error) => break error,
        }
        assert!(after < 100, "it never got full");
    };
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("full")), "{error}");
    assert_eq!(store.execution(id(1)).await.unwrap().unwrap().version.0, after, "the append did not happen");
    assert_eq!(store.load(id(1)).await.unwrap().len() as u64, after - 1);
    // A ping reports it as long as there is no room.
    for _ in 0..2 {
        assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    }

    // Two appends in one commit: the large append finds no room and fails, the small append beside it does not.
    let (no_room, small) = tokio::join!(store.append(large(1, after)), store.append(append(2, 2, 1, running())));
    assert!(matches!(no_room, Err(StoreError::Unavailable(_))), "{no_room:?}");
    small.unwrap();

    store.append(append(1, after, 1, succeeded(5))).await.unwrap();
    assert_eq!(store.purge(at(6), 1).await.unwrap(), 1, "purging needs no room");
    // There is room again: the store finds that out by itself.
    store.ping().await.unwrap();
    store.append(large(2, 3)).await.unwrap();
    create(&store, header(3), running()).await;
    assert_eq!(store.load(id(2)).await.unwrap().len(), 3);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_deleted_or_replaced_under_the_store_is_noticed() {
    for file in ["store.db", "store.db-wal"] {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(folder.path().join("store.db"), super::options()).unwrap();
        given::with_machine(&store).await;
        create(&store, header(1), running()).await;
        store.ping().await.unwrap();
        let (path, aside) = (folder.path().join(file), folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        let deleted = store.ping().await.unwrap_err().to_string();
        assert!(deleted.contains("was deleted") && deleted.contains(file), "{deleted}");
        std::fs::copy(&aside, &path).unwrap();
        let replaced = store.ping().await.unwrap_err().to_string();
        assert!(replaced.contains("was replaced"), "{replaced}");
        std::fs::rename(&aside, &path).unwrap();
        store.ping().await.unwrap();
    }
}

/// Other handles may still be in use, also in the middle of reads and writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_closed_leaves_no_log_and_refuses_what_comes_later() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Sqlite::open(&path, super::options()).unwrap();
        given::with_machine(&store).await;
        create(&store, header(1), running()).await;
        let busy = tokio::spawn({
            let store = store.clone();
            async move {
                let mut after = 2;
                while store.append(append(1, after, 1, running())).await.is_ok() && store.load(id(1)).await.is_ok() {
                    after += 1;
                }
                after - 1
            }
        });
        for _ in 0..5 {
            store.load(id(1)).await.unwrap();
        }
        store.close().await;
        assert!(!path.with_extension("db-wal").exists(), "a log was left");
        assert!(matches!(store.load(id(1)).await, Err(StoreError::Unavailable(_))));
        assert!(matches!(store.append(append(1, 1, 1, running())).await, Err(StoreError::Unavailable(_))));
        store.close().await;
        let written = busy.await.unwrap();
        drop(store);
        let store = Sqlite::open(&path, super::options()).unwrap();
        let kept = store.load(id(1)).await.unwrap().len() as u64;
        assert!(kept >= written, "{kept} batches, {written} were answered");
    }
}
