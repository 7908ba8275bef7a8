//! The store as a whole, for copies.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::ids::ExecutionId;
use crate::store::copying::Portable;
use crate::store::copying::tables::{Kind, Row, Table, Value};
use crate::store::{Epoch, StoreFuture};

use super::Sqlite;
use super::error::{Outcome, corrupt};
use super::values::{blob, execution_id};

const IDS: &str = "SELECT e.id, h.named FROM executions e JOIN headers h ON h.n = e.n WHERE ?1 IS NULL OR e.id > ?1 \
    ORDER BY e.id LIMIT ?2";
/// Creations count the uses of revisions in rows of their own.
const USES: &str = "INSERT INTO revision_uses (revision, uses) SELECT id, 0 FROM revisions WHERE true \
    ON CONFLICT (revision) DO NOTHING";

impl Portable for Sqlite {
    /// The file's lock is this process's since it was opened.
    fn hold(&self, partitions: u16) -> StoreFuture<'_, Vec<Epoch>> {
        Box::pin(async move { Ok(vec![Epoch::FIRST; usize::from(partitions)]) })
    }

    fn is_held(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            if let Some(identity) = &self.inner.identity {
                identity.check()?;
            }
            Ok(true)
        })
    }

    fn rows(&self, table: &'static Table, after: Option<Vec<Value>>, limit: u32) -> StoreFuture<'_, Vec<Row>> {
        Box::pin(self.reading(move |connection| {
            let mut values: Vec<Value> = after.clone().unwrap_or_default();
            values.push(Value::Int(i64::from(limit)));
            let mut statement = connection.prepare_cached(&table.select('?', after.is_some()))?;
            let mut found = statement.query(params_from_iter(values))?;
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                rows.push(decode(table, row)?);
            }
            Ok(rows)
        }))
    }

    fn put_rows(&self, table: &'static Table, rows: Vec<Row>) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |connection| {
            let mut statement = connection.prepare_cached(&table.insert('?'))?;
            for row in &rows {
                statement.execute(params_from_iter(&row.values))?;
            }
            if table.name == "revisions" {
                connection.execute(USES, [])?;
            }
            Ok(())
        }))
    }

    fn all_ids(&self, after: Option<ExecutionId>, limit: u32) -> StoreFuture<'_, Vec<(ExecutionId, bool)>> {
        Box::pin(self.reading(move |connection| ids(connection, after, limit)))
    }
}

fn ids(connection: &Connection, after: Option<ExecutionId>, limit: u32) -> Outcome<Vec<(ExecutionId, bool)>> {
    let mut statement = connection.prepare_cached(IDS)?;
    let found = statement
        .query_map(rusqlite::params![after.map(blob), limit], |row| Ok((execution_id(row.get(0)?), row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(rusqlite::types::Value::Null),
            Self::Int(n) => ToSqlOutput::Owned((*n).into()),
            Self::Flag(flag) => ToSqlOutput::Owned(i64::from(*flag).into()),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Id(id) => ToSqlOutput::Borrowed(ValueRef::Blob(id.as_bytes())),
        })
    }
}

fn decode(table: &Table, row: &rusqlite::Row<'_>) -> Outcome<Row> {
    let mut values = Vec::with_capacity(table.key.len() + table.columns.len());
    for (at, column) in table.key.iter().chain(table.columns).enumerate() {
        let is_null = row.get_ref(at)? == ValueRef::Null;
        values.push(match column.kind {
            _ if is_null => Value::Null,
            Kind::Text | Kind::Words => Value::Text(row.get(at)?),
            Kind::Int => Value::Int(row.get(at)?),
            Kind::Flag => Value::Flag(row.get(at)?),
            Kind::Id => {
                let bytes: Vec<u8> = row.get(at)?;
                let id = uuid::Uuid::from_slice(&bytes);
                Value::Id(id.map_err(|error| corrupt("row", &table.name, &error))?)
            }
        });
    }
    let columns = values.split_off(table.key.len());
    Ok(Row { key: values, values: columns })
}
