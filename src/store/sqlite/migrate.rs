//! Brings a store to the schema of this version. Why we have our own runner: docs/decisions/0002-store.md.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::{StoreError, StoreResult};

use super::error::classify;

/// "REVE": tells our files from every other SQLite database.
pub(super) const APPLICATION_ID: i32 = 0x5245_5645;

/// In order; `user_version` is how many have been applied. Released files never change.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/0001_store.sql"),
    include_str!("../../../migrations/0002_names_in_order_of_time.sql"),
    include_str!("../../../migrations/0003_open_tasks.sql"),
    include_str!("../../../migrations/0004_waits.sql"),
    include_str!("../../../migrations/0005_notes.sql"),
    include_str!("../../../migrations/0006_kin.sql"),
    include_str!("../../../migrations/0007_wait_counts.sql"),
];

/// Applies the missing migrations, all in one transaction: a crash in between leaves the old schema.
pub(super) fn migrate(connection: &mut Connection, shown: &str) -> StoreResult<()> {
    apply(connection, shown, MIGRATIONS)
}

fn apply(connection: &mut Connection, shown: &str, migrations: &[&str]) -> StoreResult<()> {
    let failed = |error: rusqlite::Error| classify(&error);
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
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
    use sha2::{Digest, Sha256};

    use super::*;

    /// Names in a store of the first schema have the digest alone as their key.
    #[test]
    fn names_of_an_earlier_store_are_found_by_their_new_keys() {
        use super::super::names::arn_key;
        use crate::ids::Arn;

        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, "x", &MIGRATIONS[..1]).unwrap();
        let digest = |arn: &str| i64::from_be_bytes(Sha256::digest(arn)[..8].try_into().unwrap());
        let names = [
            "0190f3a1-27c4-7aaa-bbbb-0123456789ab",
            "0190F3A1-27C4-7AAA-BBBB-0123456789AB",
            "f190f3a1-27c4-7aaa-8bbb-0123456789ab",
            "0190f3a1-27c4-4aaa-8bbb-0123456789ab",
            "0190f3a127c47aaabbbb0123456789ab",
            "0190f3a1-27c4-7aaa-bbbb-0123456789ag",
            "x0190f3a1-27c4-7aaa-bbbb-0123456789ab",
            "order-17",
        ];
        let arns = names.map(|name| format!("arn:aws:states:us-east-1:000000000000:execution:m:{name}"));
        for (n, (name, arn)) in (0_i64..).zip(names.iter().zip(&arns)) {
            let sql = "INSERT INTO headers (n, id, arn_key, named, arn, name, revision, input) VALUES (?1, x'00', ?2, 1, ?3, ?4, x'00', '')";
            connection.execute(sql, rusqlite::params![n, digest(arn), arn, name]).unwrap();
        }
        migrate(&mut connection, "x").unwrap();
        for (n, arn) in (0_i64..).zip(&arns) {
            let key: i64 =
                connection.query_row("SELECT arn_key FROM headers WHERE n = ?1", [n], |row| row.get(0)).unwrap();
            assert_eq!(key, arn_key(&Arn::new(arn.clone())), "{arn}");
            assert_eq!(key == digest(arn), n >= 3, "{arn}");
        }
    }

    #[test]
    fn what_was_open_in_an_earlier_store_is_counted_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, "x", &MIGRATIONS[..2]).unwrap();
        connection.execute_batch("INSERT INTO resources (n, arn) VALUES (1, 'm')").unwrap();
        for (n, status) in [(1_u8, 0), (2, 1), (3, 0), (4, 4)] {
            let sql = "INSERT INTO executions (id, n, partition, version, tail, status, owes_parent, owes, redrive_count, \
                       started, machine) VALUES (?1, ?2, 0, 1, 1, ?3, 0, 0, 0, 0, 1)";
            connection.execute(sql, rusqlite::params![[n; 16], n, status]).unwrap();
        }
        migrate(&mut connection, "x").unwrap();
        let totals = connection.query_row("SELECT executions, tasks FROM totals", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        });
        assert_eq!(totals, Ok((2, 0)));
    }

    #[test]
    fn what_waits_in_an_earlier_store_is_counted() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, "x", &MIGRATIONS[..6]).unwrap();
        connection.execute_batch("INSERT INTO resources (n, arn) VALUES (1, 'm')").unwrap();
        for (n, destination, queue) in [(1_u8, "a", 1), (2, "b", 0), (3, "a", 1)] {
            let sql = "INSERT INTO waits (execution, scheduled, machine, destination, queue, state, resource, since, \
                       attempt, submitted) VALUES (?1, 1, 1, ?2, ?3, '', '', 0, 1, 1)";
            connection.execute(sql, rusqlite::params![[n; 16], destination, queue]).unwrap();
        }
        migrate(&mut connection, "x").unwrap();
        connection.execute_batch("DELETE FROM waits WHERE destination = 'b'").unwrap();
        let counted = connection.query_row("SELECT destination, queue, tasks FROM wait_counts", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
        assert_eq!(counted, Ok(("a".to_owned(), 1, 2)));
    }

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
        assert!(
            connection.query_row("SELECT * FROM b", [], |_| Ok(())).unwrap_err().to_string().contains("no such table")
        );
    }
}
