//! Tests beside the contract suites. They need a server: `REVEILLE_TEST_POSTGRES_URL` (`make test` sets it).

mod faults;
mod packed;
mod plans;
mod pooler;

use std::sync::atomic::{AtomicU32, Ordering};

use super::{Options, Postgres};
use crate::store::StoreResult;

/// The URL of an empty schema of its own, where a server is there.
pub(in crate::store) fn fresh() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = std::env::var("REVEILLE_TEST_POSTGRES_URL") else {
        eprintln!("skipped: REVEILLE_TEST_POSTGRES_URL names no server");
        return None;
    };
    let schema = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    sql(&server, &format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"));
    Some(format!("{server}?options=-csearch_path%3D{schema}"))
}

/// Runs a future to its end from code that may itself be in a runtime.
pub(in crate::store) fn wait<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let own = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
        scope.spawn(own).join().unwrap()
    })
}

/// Runs statements on a connection of their own.
pub(in crate::store) fn sql(url: &str, text: &str) {
    wait(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(text).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    });
}

/// Opens a store that is this handle's alone.
async fn whole(url: &str) -> StoreResult<Postgres> {
    let store = Postgres::open(url, Options::default()).await?;
    store.hold_all(16).await?;
    Ok(store)
}

/// Two processes over a schema of their own that have not joined.
pub(in crate::store) fn two() -> Option<(Postgres, Postgres)> {
    let url = fresh()?;
    let open = || wait(Postgres::open(&url, Options::default())).unwrap();
    Some((open(), open()))
}

/// A store in a schema of its own.
pub(in crate::store) fn store() -> Option<Postgres> {
    let url = fresh()?;
    Some(wait(whole(&url)).unwrap())
}
