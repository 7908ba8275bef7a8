//! Brings a database to the schema of this version. Why we have our own runner: docs/decisions/0002-store.md.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::store::{StoreError, StoreResult};

use super::error::{classify, explain};

/// In order; `schema_version` says how many have been applied. Released files never change.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/postgres/0001_store.sql"),
    include_str!("../../../migrations/postgres/0002_notes.sql"),
    include_str!("../../../migrations/postgres/0003_kin.sql"),
    include_str!("../../../migrations/postgres/0004_ownership.sql"),
    include_str!("../../../migrations/postgres/0005_deaf.sql"),
    include_str!("../../../migrations/postgres/0006_wait_counts.sql"),
    include_str!("../../../migrations/postgres/0007_packed.sql"),
];

/// Two starts of one moment take turns: released by the end of the transaction, so that a pooler keeps nothing.
const LOCK: &str = "SELECT pg_advisory_xact_lock(5928227551203673)";
const KNOWN: &str = "SELECT to_regclass('schema_version') IS NOT NULL";
const VERSION: &str = "SELECT version FROM schema_version";
const MAKE: &str = "CREATE TABLE schema_version (one boolean PRIMARY KEY DEFAULT true CHECK (one), version int NOT \
    NULL); INSERT INTO schema_version (version) VALUES (0)";
const SET_VERSION: &str = "UPDATE schema_version SET version = $1";

/// Applies the missing migrations, all in one transaction: a crash in between leaves the old schema.
pub(super) async fn migrate(client: &Client, shown: &str) -> StoreResult<()> {
    apply(client, shown, MIGRATIONS).await
}

async fn apply(client: &Client, shown: &str, migrations: &[&str]) -> StoreResult<()> {
    let done = steps(client, shown, migrations).await;
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await;
    done?;
    ended.map_err(|error| classify(&error))
}

async fn steps(client: &Client, shown: &str, migrations: &[&str]) -> StoreResult<()> {
    let failed = |error: tokio_postgres::Error| classify(&error);
    client.batch_execute("BEGIN").await.map_err(failed)?;
    client.batch_execute(LOCK).await.map_err(failed)?;
    let known: bool = client.query_typed_one(KNOWN, &[]).await.map_err(failed)?.try_get(0).map_err(failed)?;
    let version: i32 = if known {
        client.query_typed_one(VERSION, &[]).await.map_err(failed)?.try_get(0).map_err(failed)?
    } else {
        0
    };
    let latest = i32::try_from(migrations.len()).unwrap_or(i32::MAX);
    if version > latest {
        return Err(StoreError::Unusable(format!(
            "{shown} was made by a newer version of Reveille (schema {version}, this one knows up to {latest}): \
             start the newer version, or restore a dump made with this one"
        )));
    }
    if version == latest {
        return Ok(());
    }
    let refused = |error: tokio_postgres::Error| match error.code() {
        None => classify(&error),
        Some(_) => StoreError::Unusable(format!(
            "the tables cannot be made in {shown}: {}. Give Reveille a database or a schema of its own, and a user who \
             may create tables there",
            explain(&error)
        )),
    };
    if !known {
        client.batch_execute(MAKE).await.map_err(refused)?;
    }
    for sql in migrations.iter().skip(usize::try_from(version).unwrap_or(0)) {
        client.batch_execute(sql).await.map_err(refused)?;
    }
    client.execute_typed(SET_VERSION, &[(&latest, Type::INT4)]).await.map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fresh, wait};
    use super::*;

    #[test]
    fn what_waits_in_an_earlier_store_is_counted_and_rows_that_count_nothing_go() {
        let Some(url) = fresh() else { return };
        let put = |n: u8, place: u8, queue| {
            format!(
                "INSERT INTO waits VALUES (lpad('{n}', 32, '0')::uuid, 1, md5('m')::uuid, md5('{place}')::uuid, {n}, \
                 NULL, NULL, NULL, 1, {queue}, true, '{place}', '', '')"
            )
        };
        let counted = async |client: &Client| {
            let sql = "SELECT convert_from(destination, 'UTF8'), queue, sum(tasks)::bigint FROM wait_counts \
                       GROUP BY destination, queue ORDER BY destination, queue";
            let rows = client.query_typed(sql, &[]).await.unwrap();
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect::<Vec<(String, bool, i64)>>()
        };
        wait(async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            apply(&client, "x", &MIGRATIONS[..5]).await.unwrap();
            for (n, place, queue) in [(1, 1, true), (2, 2, false), (3, 1, true)] {
                client.batch_execute(&put(n, place, queue)).await.unwrap();
            }
            migrate(&client, "x").await.unwrap();
            assert_eq!(counted(&client).await, [("1".to_owned(), true, 2), ("2".to_owned(), false, 1)]);
            // By another writer.
            let gone =
                "BEGIN; SELECT set_config('reveille.writer', '7', true); DELETE FROM waits WHERE since > 1; COMMIT";
            client.batch_execute(gone).await.unwrap();
            assert_eq!(
                counted(&client).await,
                [("1".to_owned(), true, 1), ("2".to_owned(), false, 0)],
                "each writer has its own"
            );
            client.batch_execute(super::super::waits::DROP_EMPTY).await.unwrap();
            assert_eq!(counted(&client).await, [("1".to_owned(), true, 1)]);
        });
    }
}
