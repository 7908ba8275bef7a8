//! `tags` and `settings`: words by key.

use rusqlite::{Connection, params};

use crate::ids::Arn;

use super::error::Outcome;

const SET: &str = "INSERT INTO tags (resource, key, value) VALUES (?1, ?2, ?3) ON CONFLICT (resource, key) DO UPDATE \
    SET value = excluded.value";
const REMOVE: &str = "DELETE FROM tags WHERE resource = ?1 AND key = ?2";
const ALL: &str = "SELECT key, value FROM tags WHERE resource = ?1 ORDER BY key";
const DROP_ALL: &str = "DELETE FROM tags WHERE resource = ?1";

const FIX: &str = "INSERT OR IGNORE INTO settings (key, value) VALUES (?1, ?2)";
const FIXED: &str = "SELECT value FROM settings WHERE key = ?1";
const PUT_SETTING: &str = "INSERT OR REPLACE INTO settings (key, value) VALUES (?1, ?2)";

pub(super) fn change(
    connection: &Connection,
    resource: &Arn,
    set: &[(String, String)],
    remove: &[String],
) -> Outcome<()> {
    for key in remove {
        connection.prepare_cached(REMOVE)?.execute([resource.as_str(), key])?;
    }
    for (key, value) in set {
        connection.prepare_cached(SET)?.execute([resource.as_str(), key, value])?;
    }
    Ok(())
}

pub(super) fn all(connection: &Connection, resource: &Arn) -> Outcome<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(ALL)?;
    let found = statement.query_map([resource.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// With the resource go its tags.
pub(super) fn drop_all(connection: &Connection, resource: &Arn) -> Outcome<()> {
    connection.prepare_cached(DROP_ALL)?.execute([resource.as_str()])?;
    Ok(())
}

pub(super) fn fix_setting(connection: &Connection, key: &str, value: &str) -> Outcome<String> {
    connection.prepare_cached(FIX)?.execute(params![key, value])?;
    Ok(connection.prepare_cached(FIXED)?.query_row([key], |row| row.get(0))?)
}

pub(super) fn put_setting(connection: &Connection, key: &str, value: &str) -> Outcome<()> {
    connection.prepare_cached(PUT_SETTING)?.execute(params![key, value])?;
    Ok(())
}
