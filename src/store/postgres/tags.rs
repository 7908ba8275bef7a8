//! `tags` and `settings`: words by key.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::ids::Arn;

use super::error::Outcome;
use super::values::words;

const SET: &str = "INSERT INTO tags (resource, key, value) VALUES ($1, $2, $3) ON CONFLICT (resource, key) DO UPDATE \
    SET value = excluded.value";
const REMOVE: &str = "DELETE FROM tags WHERE resource = $1 AND key = $2";
const ALL: &str = "SELECT key, value FROM tags WHERE resource = $1 ORDER BY key";
const DROP_ALL: &str = "DELETE FROM tags WHERE resource = $1";

const FIX: &str = "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
const FIXED: &str = "SELECT value FROM settings WHERE key = $1";

pub(super) async fn change(
    client: &Client,
    resource: &Arn,
    set: &[(String, String)],
    remove: &[String],
) -> Outcome<()> {
    for key in remove {
        client.execute_typed(REMOVE, &[(&resource.as_str(), Type::TEXT), (&key.as_bytes(), Type::BYTEA)]).await?;
    }
    for (key, value) in set {
        let values: super::values::Params =
            &[(&resource.as_str(), Type::TEXT), (&key.as_bytes(), Type::BYTEA), (&value.as_bytes(), Type::BYTEA)];
        client.execute_typed(SET, values).await?;
    }
    Ok(())
}

pub(super) async fn all(client: &Client, resource: &Arn) -> Outcome<Vec<(String, String)>> {
    let rows = client.query_typed(ALL, &[(&resource.as_str(), Type::TEXT)]).await?;
    let pair = |row| Ok((words(row, 0)?.unwrap_or_default(), words(row, 1)?.unwrap_or_default()));
    rows.iter().map(pair).collect()
}

/// With the resource go its tags.
pub(super) async fn drop_all(client: &Client, resource: &Arn) -> Outcome<()> {
    client.execute_typed(DROP_ALL, &[(&resource.as_str(), Type::TEXT)]).await?;
    Ok(())
}

pub(super) async fn fix_setting(client: &Client, key: &str, value: &str) -> Outcome<String> {
    client.execute_typed(FIX, &[(&key, Type::TEXT), (&value, Type::TEXT)]).await?;
    Ok(client.query_typed_one(FIXED, &[(&key, Type::TEXT)]).await?.try_get(0)?)
}

pub(super) async fn put_setting(client: &Client, key: &str, value: &str) -> Outcome<()> {
    const PUT: &str =
        "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    client.execute_typed(PUT, &[(&key, Type::TEXT), (&value, Type::TEXT)]).await?;
    Ok(())
}

/// A write of 64 KiB that leaves nothing behind: as much room as a payload needs.
pub(super) async fn probe(client: &Client) -> Outcome<()> {
    const PUT: &str = "INSERT INTO settings (key, value) VALUES ('probe', repeat(md5(random()::text), 2048)) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    client.execute_typed(PUT, &[]).await?;
    client.execute_typed("DELETE FROM settings WHERE key = 'probe'", &[]).await?;
    Ok(())
}
