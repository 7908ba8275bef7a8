//! A look at requests: which of them do not fit the store, and why.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Client;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::ids::{ExecutionId, Version};
use crate::store::{Append, StoreError, not_the_newest};

use super::error::{Fault, Outcome, already_exists, not_found};
use super::names::arn_key;
use super::ownership::HELD;
use super::values::int;
use super::writer::{Create, Write};

const VERSIONS: &str = "SELECT id, version FROM executions WHERE id = ANY($1)";
const HOLDERS: &str = "SELECT h.arn_key, h.id, e.closed FROM headers h JOIN executions e ON e.id = h.id WHERE h.named \
    AND h.arn_key = ANY($1)";
const REVISIONS: &str = "SELECT id FROM revisions WHERE id = ANY($1)";
/// The two newest batches of each execution.
const NEWEST: &str = "SELECT a.id, t.after, t.events FROM unnest($1) AS a (id) CROSS JOIN LATERAL (SELECT n, after, \
     events FROM journal WHERE execution = a.id ORDER BY n DESC LIMIT 2) t ORDER BY a.id, t.n DESC";

/// Each takes one array of ids.
#[cfg(test)]
pub(super) const READS: [&str; 3] = [VERSIONS, HOLDERS, NEWEST];

#[derive(Default)]
struct Seen {
    /// The partitions of this node, with their epochs.
    held: HashSet<(i32, i64)>,
    versions: HashMap<Uuid, i64>,
    /// By the key of the name: the holder, and when it closed.
    holders: HashMap<Uuid, (Uuid, Option<i64>)>,
    revisions: Vec<Uuid>,
    newest: HashMap<Uuid, Vec<(i64, i64)>>,
}

/// One answer for each request: none where it fits, or is not `wanted`. A creation learns whose name it takes.
pub(super) async fn look(
    client: &Client,
    me: Uuid,
    group: &mut [Write],
    wanted: impl Fn(&Write) -> bool,
) -> Outcome<Vec<Option<StoreError>>> {
    let seen = Seen::of(client, me, group).await?;
    let judge = |write: &mut Write| -> Option<StoreError> {
        if !wanted(write) {
            return None;
        }
        let fits = match write {
            Write::Append { append, .. } => seen.append(append),
            Write::Create { create, .. } => seen.create(create),
            Write::ParentTold { .. } => Ok(()),
        };
        fits.err().map(StoreError::from)
    };
    Ok(group.iter_mut().map(judge).collect())
}

impl Seen {
    async fn of(client: &Client, me: Uuid, group: &[Write]) -> Outcome<Self> {
        let creates = || group.iter().filter_map(Write::as_create);
        let appends = || group.iter().filter_map(Write::as_append);
        let ids: Vec<Uuid> =
            creates().map(|create| create.header.id.0).chain(appends().map(|append| append.execution.0)).collect();
        let keys: Vec<Uuid> = creates().map(|create| arn_key(&create.header.arn)).collect();
        let revisions: Vec<Uuid> = creates().map(|create| create.header.revision.0).collect();
        let replacing: Vec<Uuid> =
            appends().filter(|append| append.replaces > 0).map(|append| append.execution.0).collect();
        let (ids, keys) = ([(&ids as _, Type::UUID_ARRAY)], [(&keys as _, Type::UUID_ARRAY)]);
        let (revisions, replacing) = ([(&revisions as _, Type::UUID_ARRAY)], [(&replacing as _, Type::UUID_ARRAY)]);
        // Sent together.
        let own = [(&me as _, Type::UUID)];
        let (versions, holders, known, newest, held) = futures_util::try_join!(
            client.query_typed(VERSIONS, &ids),
            client.query_typed(HOLDERS, &keys),
            client.query_typed(REVISIONS, &revisions),
            client.query_typed(NEWEST, &replacing),
            client.query_typed(HELD, &own),
        )?;
        let mut seen = Self::default();
        for row in held {
            seen.held.insert((row.try_get(0)?, row.try_get(1)?));
        }
        for row in versions {
            seen.versions.insert(row.try_get(0)?, row.try_get(1)?);
        }
        for row in holders {
            seen.holders.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
        }
        for row in known {
            seen.revisions.push(row.try_get(0)?);
        }
        for row in newest {
            seen.newest.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, row.try_get(2)?));
        }
        Ok(seen)
    }

    fn is_held(&self, append: &Append) -> Outcome<()> {
        if self.held.contains(&(i32::from(append.partition.0), int(append.epoch.0))) {
            return Ok(());
        }
        Err(StoreError::Fenced { execution: append.execution, epoch: append.epoch }.into())
    }

    fn append(&self, append: &Append) -> Outcome<()> {
        self.is_held(append)?;
        let Append { execution, batch, replaces, .. } = append;
        let version = self.versions.get(&execution.0).ok_or_else(|| not_found("execution", execution))?;
        if int(append.expects().0) != *version {
            return Err(conflict(*execution, append.expects(), *version));
        }
        if *replaces > 0 {
            let batches = self.newest.get(&execution.0).map_or(&[][..], Vec::as_slice);
            let newest = batches.first() == Some(&(int(batch.after.0), i64::from(*replaces)));
            // The first batch of an execution stays.
            if !newest || batches.len() < 2 {
                return Err(not_the_newest(*execution).into());
            }
        }
        Ok(())
    }

    fn create(&self, create: &mut Create) -> Outcome<()> {
        self.is_held(&create.first)?;
        let Create { header, first, reusable_before, releases } = create;
        if first.batch.after != Version(0) {
            return Err(conflict(header.id, first.batch.after, 0));
        }
        if self.versions.contains_key(&header.id.0) {
            return Err(already_exists("execution id", &header.id));
        }
        *releases = None;
        if let Some((holder, closed)) = self.holders.get(&arn_key(&header.arn)) {
            if closed.is_none_or(|closed| closed >= reusable_before.millis()) {
                return Err(already_exists("execution", &header.arn));
            }
            *releases = Some(*holder);
        }
        if !self.revisions.contains(&header.revision.0) {
            return Err(not_found("revision", &header.revision));
        }
        Ok(())
    }
}

fn conflict(execution: ExecutionId, expected: Version, actual: i64) -> Fault {
    StoreError::VersionConflict { execution, expected, actual: Version(actual.cast_unsigned()) }.into()
}
