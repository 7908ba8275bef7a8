//! Brings a store to the form that this version works with. Why our own runner: docs/decisions/0002-store.md.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::{StoreError, StoreResult};

use super::error::classify;

/// "REVE": tells our files from every other SQLite database.
pub(super) const APPLICATION_ID: i32 = 0x5245_5645;

/// In order; `user_version` is how many have been applied. Released files never change.
const MIGRATIONS: &[&str] = &[include_str!("../../../migrations/0001_store.sql")];

/// Applies what is missing, all in one transaction: a crash in between leaves the old form.
pub(super) fn migrate(connection: &mut Connection, shown: &str) -> StoreResult<()> {
    apply(connection, shown, MIGRATIONS)
}

fn apply(connection: &mut Connection, shown: &str, migrations: &[&str]) -> StoreResult<()> {
    let failed = |error: rusqlite::Error| classify(&error);
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);

    let fresh = application == 0 && version == 0 && objects == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(StoreError::Unusable(format!(
            "{shown} is an SQLite database, but no store of Reveille's (its application_id is {application}): \
             give another path in `store.url`, or move that file away"
        )));
    }
    if version > known {
        return Err(StoreError::Unusable(format!(
            "{shown} was made by a newer version of Reveille (schema {version}, this one knows up to {known}): \
             start the newer version, or restore a backup made by this one"
        )));
    }
    if version == known {
        return Ok(());
    }

    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    for sql in migrations.iter().skip(usize::try_from(version).unwrap_or(0)) {
        transaction.execute_batch(sql).map_err(failed)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
    transaction.pragma_update(None, "user_version", known).map_err(failed)?;
    transaction.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> i64 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_store_is_brought_forward_step_by_step_and_only_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, "x", &["CREATE TABLE a (x); INSERT INTO a VALUES (1);"]).unwrap();
        let both = ["CREATE TABLE a (x); INSERT INTO a VALUES (1);", "ALTER TABLE a ADD COLUMN y DEFAULT 7;"];
        apply(&mut connection, "x", &both).unwrap();
        apply(&mut connection, "x", &both).unwrap();
        assert_eq!(version(&connection), 2);
        assert_eq!(connection.query_row("SELECT x + y FROM a", [], |r| r.get::<_, i64>(0)), Ok(8));
    }

    #[test]
    fn a_migration_that_fails_leaves_the_old_form() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, "x", &["CREATE TABLE a (x);"]).unwrap();
        assert!(apply(&mut connection, "x", &["CREATE TABLE a (x);", "CREATE TABLE b (x); NONSENSE;"]).is_err());
        assert_eq!(version(&connection), 1);
        assert!(connection.query_row("SELECT * FROM b", [], |_| Ok(())).unwrap_err().to_string().contains("no such table"));
    }
}
