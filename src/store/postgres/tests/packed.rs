//! Batches are packed where all nodes read that, and a reader finds them as they were.

use super::fresh;
use crate::ids::PartitionId;
use crate::store::contract::given::{append, batch, header, id, never, running, with_machine};
use crate::store::ownership::{LAPSE, PACKED_FORM};
use crate::store::postgres::{Options, Postgres};
use crate::store::{Append, Epoch, Journal, NodeCard, Opened, Ownership};

fn card(speaks: u32) -> NodeCard {
    NodeCard {
        name: "n".into(),
        version: "1".into(),
        speaks,
        key_print: String::new(),
        alone: false,
        lapse: LAPSE,
        partitions: 1,
    }
}

#[tokio::test]
async fn batches_are_packed_where_all_nodes_read_that() {
    let Some(url) = fresh() else { return };
    let open = || Postgres::open(&url, Options::default());
    let (new, old) = (open().await.unwrap(), open().await.unwrap());
    let text = |n: u64| format!("{{\"words\":\"{}{n}\"}}", "again and ".repeat(60));
    let under = |n: u64| Append { batch: batch(n, 1, &text(n)), ..append(1, n, 1, running()) };
    new.join(card(PACKED_FORM)).await.unwrap().unwrap();
    new.beat().await.unwrap();
    new.claim(vec![(PartitionId(0), Epoch(0))]).await.unwrap();
    with_machine(&new).await;
    new.create(header(1), under(0), never()).await.unwrap();
    old.join(card(PACKED_FORM - 1)).await.unwrap().unwrap();
    new.beat().await.unwrap();
    new.append(under(1)).await.unwrap();
    old.leave().await.unwrap();
    new.beat().await.unwrap();
    new.append(under(2)).await.unwrap();

    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let stored = client.query("SELECT bytes FROM journal ORDER BY n", &[]).await.unwrap();
    let stored: Vec<Vec<u8>> = stored.iter().map(|row| row.get(0)).collect();
    assert!(stored[0].len() < 100 && stored[2].len() < 100, "{} and {} bytes", stored[0].len(), stored[2].len());
    assert_eq!(stored[1], text(1).into_bytes());

    let all: Vec<_> = (0..3).map(|n| batch(n, 1, &text(n))).collect();
    let bytes: Vec<u64> = all.iter().map(|batch| batch.bytes.len() as u64).collect();
    let sum = bytes.iter().sum();
    assert_eq!(new.open(id(1), sum).await.unwrap(), Opened::Whole(all.clone()));
    let Opened::Large(places) = new.open(id(1), sum - 1).await.unwrap() else { panic!("it is longer than that") };
    assert_eq!(places.iter().map(|place| place.bytes).collect::<Vec<_>>(), bytes);
    assert_eq!(new.read(id(1), places).await.unwrap(), all);
}
