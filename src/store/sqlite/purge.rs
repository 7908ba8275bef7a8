//! Removing executions that closed long ago, with all their rows.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Timestamp;

use super::error::Outcome;
use super::{machines, map_runs, waits};

const VICTIMS: &str = "SELECT id, n, tail, machine, machine_version, machine_alias, map_run FROM executions INDEXED BY \
    executions_closed WHERE closed IS NOT NULL AND closed < ?1 AND owes_parent = 0 ORDER BY closed, id LIMIT ?2";
const PREVIOUS: &str = "DELETE FROM journal WHERE n = ?1 RETURNING previous";
const DELETE_EXECUTION: &str = "DELETE FROM executions WHERE id = ?1";
const DELETE_CLOSING: &str = "DELETE FROM closings WHERE n = ?1";
const DELETE_HEADER: &str = "DELETE FROM headers WHERE n = ?1 RETURNING revision";
const DELETE_FORK: &str = "DELETE FROM forks WHERE id = ?1";
const DROP_USE: &str = "UPDATE revision_uses SET uses = uses - 1 WHERE revision = ?1";
/// One look into each index that begins with the number.
const DELETE_RESOURCE: &str = "DELETE FROM resources WHERE n = ?1 AND NOT EXISTS (SELECT 1 FROM executions WHERE \
     machine = ?1) AND NOT EXISTS (SELECT 1 FROM executions WHERE machine_version = ?1) AND NOT EXISTS (SELECT 1 FROM \
     executions WHERE machine_alias = ?1) AND NOT EXISTS (SELECT 1 FROM executions WHERE map_run = ?1)";

struct Victim {
    id: [u8; 16],
    n: i64,
    tail: i64,
    resources: [Option<i64>; 4],
}

pub(super) fn purge(connection: &Connection, before: Timestamp, limit: u32) -> Outcome<u64> {
    let victims: Vec<Victim> = {
        let mut statement = connection.prepare_cached(VICTIMS)?;
        let found = statement.query_map(params![before.millis(), limit], |row| {
            let resources = [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?];
            Ok(Victim { id: row.get(0)?, n: row.get(1)?, tail: row.get(2)?, resources })
        })?;
        found.collect::<Result<_, _>>()?
    };
    let mut resources = BTreeSet::new();
    for victim in &victims {
        let mut batch = Some(victim.tail);
        while let Some(n) = batch {
            let mut statement = connection.prepare_cached(PREVIOUS)?;
            batch = statement.query_row([n], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten();
        }
        connection.prepare_cached(DELETE_EXECUTION)?.execute([victim.id])?;
        connection.prepare_cached(DELETE_FORK)?.execute([victim.id])?;
        connection.prepare_cached(DELETE_CLOSING)?.execute([victim.n])?;
        let revision: Option<[u8; 16]> =
            connection.prepare_cached(DELETE_HEADER)?.query_row([victim.n], |row| row.get(0)).optional()?;
        if let Some(revision) = revision {
            connection.prepare_cached(DROP_USE)?.execute([revision])?;
        }
        map_runs::drop_of(connection, victim.id)?;
        waits::drop_all(connection, victim.id)?;
        resources.extend(victim.resources.into_iter().flatten());
    }
    for resource in resources {
        connection.prepare_cached(DELETE_RESOURCE)?.execute([resource])?;
    }
    machines::drop_unused_revisions(connection)?;
    Ok(victims.len() as u64)
}
