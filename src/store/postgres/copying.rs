//! The store as a whole, for copies.

use futures_util::future::try_join_all;
use tokio_postgres::types::{ToSql, Type};

use crate::ids::ExecutionId;
use crate::store::copying::Portable;
use crate::store::copying::tables::{Kind, Row, Table, Value};
use crate::store::{Epoch, Ownership, StoreFuture};

use super::Postgres;
use super::error::Outcome;
use super::values::words;

const IDS: &str = "SELECT e.id, h.named FROM (SELECT id FROM executions WHERE id > $1 ORDER BY id LIMIT $2) e \
    CROSS JOIN LATERAL (SELECT named FROM headers WHERE id = e.id OFFSET 0) h ORDER BY e.id";

impl Portable for Postgres {
    fn hold(&self, partitions: u16) -> StoreFuture<'_, Vec<Epoch>> {
        Box::pin(async move {
            self.hold_all(partitions).await?;
            Ok(self.beat().await?.partitions.into_iter().map(|row| row.epoch).collect())
        })
    }

    fn is_held(&self) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let view = self.beat().await?;
            Ok(self.inner.seat.node().is_some_and(|node| view.node(node.id).is_some()))
        })
    }

    fn rows(&self, table: &'static Table, after: Option<Vec<Value>>, limit: u32) -> StoreFuture<'_, Vec<Row>> {
        Box::pin(self.reading(move |client| {
            Box::pin(async move {
                let sql = table.select('$', after.is_some());
                let key = table.key.iter().map(|column| column.kind).zip(after.unwrap_or_default());
                let mut values: Vec<Parameter> = key.map(|(kind, value)| parameter(kind, value)).collect();
                values.push((Box::new(i64::from(limit)), Type::INT8));
                client.query_typed(&sql, &borrowed(&values)).await?.iter().map(|row| decode(table, row)).collect()
            })
        }))
    }

    fn put_rows(&self, table: &'static Table, rows: Vec<Row>) -> StoreFuture<'_, ()> {
        Box::pin(self.write(move |client| {
            Box::pin(async move {
                let sql = table.insert('$');
                let puts = rows.into_iter().map(|row| {
                    let kinds = table.columns.iter().map(|column| column.kind);
                    let values: Vec<Parameter> =
                        kinds.zip(row.values).map(|(kind, value)| parameter(kind, value)).collect();
                    let (client, sql) = (&client, &sql);
                    async move { client.execute_typed(sql, &borrowed(&values)).await }
                });
                // Sent together, and done in this order.
                try_join_all(puts).await?;
                Ok(())
            })
        }))
    }

    fn all_ids(&self, after: Option<ExecutionId>, limit: u32) -> StoreFuture<'_, Vec<(ExecutionId, bool)>> {
        let after = after.map_or(uuid::Uuid::nil(), |id| id.0);
        Box::pin(self.reading(move |client| {
            Box::pin(async move {
                let rows = client.read(IDS, &[(&after, Type::UUID), (&i64::from(limit), Type::INT8)]).await?;
                rows.iter().map(|row| Ok((ExecutionId(row.try_get(0)?), row.try_get(1)?))).collect()
            })
        }))
    }
}

type Parameter = (Box<dyn ToSql + Send + Sync>, Type);

fn borrowed(values: &[Parameter]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    values.iter().map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect()
}

fn parameter(kind: Kind, value: Value) -> Parameter {
    let of = match kind {
        Kind::Text => Type::TEXT,
        Kind::Words => Type::BYTEA,
        Kind::Int => Type::INT8,
        Kind::Flag => Type::BOOL,
        Kind::Id => Type::UUID,
    };
    let value: Box<dyn ToSql + Send + Sync> = match value {
        Value::Null if kind == Kind::Int => Box::new(None::<i64>),
        Value::Null if kind == Kind::Words => Box::new(None::<Vec<u8>>),
        Value::Null => Box::new(None::<String>),
        Value::Int(n) => Box::new(n),
        Value::Flag(flag) => Box::new(flag),
        Value::Text(text) if kind == Kind::Words => Box::new(text.into_bytes()),
        Value::Text(text) => Box::new(text),
        Value::Id(id) => Box::new(id),
    };
    (value, of)
}

fn decode(table: &Table, row: &tokio_postgres::Row) -> Outcome<Row> {
    let mut values = Vec::with_capacity(table.key.len() + table.columns.len());
    for (at, column) in table.key.iter().chain(table.columns).enumerate() {
        let value = match column.kind {
            Kind::Text => row.try_get::<_, Option<String>>(at)?.map(Value::Text),
            Kind::Words => words(row, at)?.map(Value::Text),
            Kind::Int => row.try_get::<_, Option<i64>>(at)?.map(Value::Int),
            Kind::Flag => row.try_get::<_, Option<bool>>(at)?.map(Value::Flag),
            Kind::Id => row.try_get::<_, Option<uuid::Uuid>>(at)?.map(Value::Id),
        };
        values.push(value.unwrap_or(Value::Null));
    }
    let columns = values.split_off(table.key.len());
    Ok(Row { key: values, values: columns })
}
