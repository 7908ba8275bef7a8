//! The tables that are alike in all stores, column by column.

use uuid::Uuid;

/// How a column's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A client's text, which may hold a NUL: PostgreSQL has it as bytes.
    Words,
    Int,
    Flag,
    Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// A table. Where the key is the order of creation it is not copied: the rows are added in its order.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    pub name: &'static str,
    pub key: &'static [Column],
    pub columns: &'static [Column],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Int(i64),
    Flag(bool),
    Text(String),
    Id(Uuid),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub key: Vec<Value>,
    pub values: Vec<Value>,
}

macro_rules! columns {
    ($($name:ident $kind:ident),*) => {
        &[$(Column { name: stringify!($name), kind: Kind::$kind }),*]
    };
}

macro_rules! table {
    ($name:ident, $key:expr, $columns:expr) => {
        Table { name: stringify!($name), key: $key, columns: $columns }
    };
}

pub static SETTINGS: Table = table!(settings, columns!(key Text), columns!(key Text, value Text));

/// All others, each behind those that it points to.
pub static TABLES: &[Table] = &[
    table!(
        revisions,
        columns!(id Id),
        columns!(id Id, machine Text, initial Flag, made Int, role_arn Words, configuration Text, definition Text)
    ),
    table!(
        machines,
        columns!(place Int),
        columns!(arn Text, name Text, kind Text, created Int, deleting Flag, revision Id, next_version Int)
    ),
    table!(
        versions,
        columns!(arn Text),
        columns!(arn Text, machine Text, number Int, revision Id, description Words, created Int)
    ),
    table!(
        aliases,
        columns!(place Int),
        columns!(arn Text, machine Text, name Text, description Words, routes Text, created Int, updated Int)
    ),
    table!(activities, columns!(place Int), columns!(arn Text, name Text, created Int, configuration Text)),
    table!(map_runs, columns!(place Int), columns!(arn Text, execution Id, started Int, stopped Int, body Text)),
    table!(tags, columns!(resource Text, key Words), columns!(resource Text, key Words, value Words)),
    table!(notes, columns!(kind Text, key Text), columns!(kind Text, key Text, body Text, until Int)),
];

/// The tables that a store keeps by itself, as it writes executions.
#[cfg(test)]
pub const KEPT: &[&str] = &[
    "executions",
    "headers",
    "closings",
    "journal",
    "waits",
    "totals",
    "wait_counts",
    // SQLite's own.
    "resources",
    "revision_uses",
    "forks",
    // Where deleted rows stood in a listing that a client may be reading: no client reads while a store is copied.
    "departed",
    // PostgreSQL's own.
    "nodes",
    "partitions",
    "generation",
    "schema_version",
];

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

/// Parameters, as a store writes them (`?1`, `$1`), from the `first` on.
fn parameters(sign: char, first: usize, count: usize) -> String {
    (first..first + count).map(|n| format!("{sign}{n}")).collect::<Vec<_>>().join(", ")
}

impl Table {
    /// A page: its key, then its columns. With `after` the parameters are a key and the limit.
    pub(in crate::store) fn select(&self, sign: char, after: bool) -> String {
        let (key, columns, table) = (names(self.key), names(self.columns), self.name);
        let n = self.key.len();
        let (behind, limit) =
            if after { (format!("WHERE ({key}) > ({}) ", parameters(sign, 1, n)), n + 1) } else { (String::new(), 1) };
        format!("SELECT {key}, {columns} FROM {table} {behind}ORDER BY {key} LIMIT {sign}{limit}")
    }

    pub(in crate::store) fn insert(&self, sign: char) -> String {
        let values = parameters(sign, 1, self.columns.len());
        format!("INSERT INTO {} ({}) VALUES ({values})", self.name, names(self.columns))
    }
}
