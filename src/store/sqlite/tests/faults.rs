//! A disk that is full, for real: SQLite's own limit on pages answers exactly as the disk does.

use crate::store::contract::given::{self, append, at, create, header, id, running, succeeded};
use crate::store::{Append, Batch, Journal, StoreError};

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

    // Together in one commit: the one that finds no room fails, the small one beside it does not.
    let (no_room, small) = tokio::join!(store.append(large(1, after)), store.append(append(2, 2, 1, running())));
    assert!(matches!(no_room, Err(StoreError::Unavailable(_))), "{no_room:?}");
    small.unwrap();

    store.append(append(1, after, 1, succeeded(5))).await.unwrap();
    assert_eq!(store.purge(at(6), 1).await.unwrap(), 1, "purging needs no room");
    store.append(large(2, 3)).await.unwrap();
    create(&store, header(3), running()).await;
    assert_eq!(store.load(id(2)).await.unwrap().len(), 3);
}
