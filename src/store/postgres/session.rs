//! A connection, and the statements that have names on it.
//!
//! A statement with a name is parsed once, and planned no more after its first runs. The name belongs to a session of
//! the server, and a pooler gives each transaction another session. So a connection finds out whether its session is
//! its own: its first packet sets a variable to a value of its own. A pooler refuses it, or the session does not show
//! it: then no statement has a name.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join_all;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};

use super::values::Params;

/// The variable of the session. PostgreSQL takes any name with a point.
const VARIABLE: &str = "reveille.session";

#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    /// The session is this connection's for life.
    own: bool,
    named: Mutex<HashMap<&'static str, Statement>>,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// A listing reads some hundred rows, but its estimated cost grows with the tables: with millions of rows PostgreSQL
/// would compile each statement, which takes longer than to run it.
const WITHOUT_COMPILER: &str = "-c jit=off";

/// The requests of a connection's first packet, beside the settings of its URL, which win.
pub(super) fn options(of_url: Option<&str>, mark: &str, settings: &str) -> String {
    format!("{WITHOUT_COMPILER} {} -c {VARIABLE}={mark} {settings}", of_url.unwrap_or_default())
}

impl Session {
    /// A connection that asked for `mark`.
    pub(super) async fn marked(client: Client, mark: &str) -> Result<Self, Error> {
        let shown = client.query_typed_one("SELECT current_setting($1, true)", &[(&VARIABLE, Type::TEXT)]).await?;
        let own = shown.try_get::<_, Option<&str>>(0)? == Some(mark);
        Ok(Self { client, own, named: Mutex::default() })
    }

    /// A connection whose session may change with each transaction.
    pub(super) fn pooled(client: Client) -> Self {
        Self { client, own: false, named: Mutex::default() }
    }

    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// Gives names to statements that have none yet. Call it outside a transaction.
    pub(super) async fn name<'a>(
        &self,
        statements: impl Iterator<Item = (&'static str, Params<'a>)>,
    ) -> Result<(), Error> {
        if !self.own {
            return Ok(());
        }
        let missing = statements.filter(|(sql, _)| self.named(sql).is_none());
        let types = |values: Params<'_>| values.iter().map(|(_, of)| of.clone()).collect::<Vec<_>>();
        let missing: Vec<(&'static str, Vec<Type>)> = missing.map(|(sql, values)| (sql, types(values))).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let made = try_join_all(missing.iter().map(|(sql, types)| self.client.prepare_typed(sql, types))).await?;
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.extend(missing.into_iter().map(|(sql, _)| sql).zip(made));
        Ok(())
    }

    fn named(&self, sql: &'static str) -> Option<Statement> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    /// Runs a statement, by its name where it has one. It is sent when this is polled for the first time.
    pub(super) async fn run(&self, sql: &'static str, values: Params<'_>) -> Result<Vec<Row>, Error> {
        let Some(statement) = self.named(sql) else { return self.client.query_typed(sql, values).await };
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|(value, _)| *value).collect();
        self.client.query(&statement, &values).await
    }

    /// Gives a read its name where the session is this connection's, and runs it.
    pub(super) async fn read(&self, sql: &'static str, values: Params<'_>) -> Result<Vec<Row>, Error> {
        self.name(std::iter::once((sql, values))).await?;
        self.run(sql, values).await
    }
}
