//! A schema of its own in a database, for a measurement: a store is made in it, and dropped with it.

use uuid::Uuid;

use crate::store::{StoreError, StoreResult};

use super::Options;
use super::connect::Connector;
use super::error::classify;
use super::session::Session;

/// The part of a URL that sets options of the session.
const OPTIONS: &str = "options=";

#[derive(Debug)]
pub struct Schema {
    client: Session,
    name: String,
    url: String,
    session: u32,
}

impl Schema {
    /// # Errors
    /// A database that cannot be reached, or in which the role may not make a schema; a URL that has options.
    pub async fn make(url: &str, options: &Options) -> StoreResult<Self> {
        if url.contains(OPTIONS) {
            return Err(StoreError::Unusable(format!(
                "leave \"{OPTIONS}\" out of the URL: a schema is chosen with it"
            )));
        }
        let failed = |error: tokio_postgres::Error| classify(&error);
        let client = Connector::read(url, options)?.connect("").await.map_err(failed)?;
        let name = format!("reveille_bench_{}", Uuid::new_v4().simple());
        client.batch_execute(&format!("CREATE SCHEMA {name}")).await.map_err(failed)?;
        let session: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.map_err(failed)?.get(0);
        let joint = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{joint}{OPTIONS}-csearch_path%3D{name}");
        Ok(Self { client, name, url, session: session.unsigned_abs() })
    }

    /// The URL of a store in this schema.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process of the server that serves this connection.
    #[must_use]
    pub fn session(&self) -> u32 {
        self.session
    }

    /// Bytes of the write-ahead log since the server was made.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn logged(&self) -> StoreResult<u64> {
        const LOGGED: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";
        let row = self.client.query_one(LOGGED, &[]).await.map_err(|error| classify(&error))?;
        let bytes: i64 = row.try_get(0).map_err(|error| classify(&error))?;
        Ok(bytes.unsigned_abs())
    }

    /// Drops the schema, with all that was made in it.
    ///
    /// # Errors
    /// The server cannot be reached, or a store in the schema is still open.
    pub async fn clear(self) -> StoreResult<()> {
        let drop = format!("SET client_min_messages = warning; DROP SCHEMA {} CASCADE", self.name);
        self.client.batch_execute(&drop).await.map_err(|error| classify(&error))
    }
}
