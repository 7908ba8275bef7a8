//! Bulk actions: one act on all executions that a query finds, or on all parked messages of some verdicts, done by the
//! server beside its other work.
//!
//! A bulk action is a note of the store, written again with each step. Any server of the store goes on with it where
//! another one left off, under a lease, so it survives a restart (`docs/decisions/0045-bulk-actions.md`). Acting twice
//! on one execution changes nothing: a stop finds it closed, a redrive has the action's id as its client token.

mod notes;
mod run;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::engine::EngineHandle;
use crate::limits::{BULK_COUNTED_MAX, BULK_OPEN_MAX};
use crate::store::{ExecutionRow, ExecutionStatus};
use crate::telemetry::fields;

use super::context::Context;
use super::error::ApiError;
use super::matches::{self, Search};
use super::search::Query;
use super::wire::EpochSeconds;

pub use self::notes::{cancel, find, list};
pub use self::run::keep;

/// The action for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Act {
    Stop,
    Redrive,
    /// Parked messages are sent again.
    Replay,
}

impl Act {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "STOP",
            Self::Redrive => "REDRIVE",
            Self::Replay => "REPLAY",
        }
    }

    /// A child of a Map Run is redriven with its run.
    fn is_for(self, row: &ExecutionRow) -> bool {
        self != Self::Redrive || row.header.map_run.is_none()
    }

    /// The statuses of executions that it can be done to, in the order in which they are walked.
    const fn statuses(self) -> &'static [ExecutionStatus] {
        match self {
            Self::Stop => &[ExecutionStatus::Running],
            Self::Redrive => &[ExecutionStatus::Failed, ExecutionStatus::TimedOut, ExecutionStatus::Aborted],
            Self::Replay => &[],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Running,
    /// All were acted on, or refused it.
    Completed,
    Cancelled,
}

/// An item that refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// ARN of an execution, or id of a message.
    pub id: String,
    pub why: String,
}

/// A request for a bulk action.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wish {
    pub action: Act,
    pub query: String,
    /// Of a stop.
    pub error: Option<String>,
    pub cause: Option<String>,
}

/// How many it concerns; `more`: at least so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    pub matches: u64,
    pub more: bool,
}

/// A bulk action, as its note keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bulk {
    pub id: String,
    pub action: Act,
    pub query: String,
    pub error: Option<String>,
    pub cause: Option<String>,
    /// The caller that asked for it.
    pub by: String,
    pub status: Status,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    /// As counted at the start.
    pub expected: Count,
    pub done: u64,
    pub refused: u64,
    /// The first of these.
    pub refusals: Vec<Refused>,
    /// How far it has come: a status of [`Act::statuses`], and a place there.
    walk: usize,
    place: Option<String>,
}

impl Bulk {
    /// As the API shows it.
    pub fn shown(&self) -> Value {
        let refusals: Vec<Value> = self.refusals.iter().map(|one| json!({"id": one.id, "why": one.why})).collect();
        json!({
            "bulkActionId": self.id, "action": self.action, "query": self.query, "status": self.status, "by": self.by,
            "error": self.error, "cause": self.cause, "startDate": EpochSeconds(self.started),
            "stopDate": self.ended.map(EpochSeconds), "expected": self.expected.matches,
            "expectedMore": self.expected.more, "done": self.done, "refused": self.refused, "refusals": refusals,
        })
    }
}

/// A query that can be acted on.
enum Wanted {
    Executions(Box<Query>),
    /// Parked messages of these verdicts; empty: of all.
    Parked(Vec<String>),
}

/// An action on everything that a misread query finds would do harm: it is refused.
fn wanted(action: Act, text: &str) -> Result<Wanted, ApiError> {
    if text.trim().is_empty() {
        let example = if action == Act::Replay { "verdict:late, or verdict:all" } else { "machine:NAME status:failed" };
        return Err(ApiError::validation(format!("Which ones? Give a query, such as {example}")));
    }
    if action == Act::Replay {
        let verdicts = text.strip_prefix("verdict:").filter(|verdicts| !verdicts.contains(char::is_whitespace));
        let verdicts = verdicts.ok_or_else(|| {
            ApiError::validation(
                "The query of a replay is verdict: and verdicts, as verdict:late,unknown or verdict:all",
            )
        })?;
        let verdicts = verdicts.split(',').filter(|verdict| !verdict.is_empty() && *verdict != "all");
        return Ok(Wanted::Parked(verdicts.map(str::to_owned).collect()));
    }
    let query = Query::parse(text);
    match query.unknown.first() {
        Some(unknown) => Err(ApiError::validation(format!("The query is not understood: {unknown}"))),
        None => Ok(Wanted::Executions(Box::new(query))),
    }
}

/// How many this would act on.
pub async fn count(ctx: &Context, wish: &Wish) -> Result<Count, ApiError> {
    match wanted(wish.action, &wish.query)? {
        Wanted::Executions(query) => count_executions(ctx.engine(), wish.action, &query).await,
        Wanted::Parked(verdicts) => run::count_parked(ctx.engine(), verdicts, ctx.now()).await,
    }
}

/// The statuses that the walk visits.
fn walks(action: Act, query: &Query) -> impl Iterator<Item = ExecutionStatus> {
    let only = query.status();
    action.statuses().iter().copied().filter(move |status| only.is_none_or(|only| only == *status))
}

async fn count_executions(engine: &EngineHandle, action: Act, query: &Query) -> Result<Count, ApiError> {
    // The index counts children of Map Runs too, which are redriven with their run.
    if action == Act::Stop && !query.is_selective() && query.from.is_none() && query.until.is_none() {
        let counts = engine.journal().count(matches::filter(engine, query)).await?;
        let of = |status| counts.iter().find(|(counted, _)| *counted == status).map_or(0, |(_, n)| *n);
        return Ok(Count { matches: walks(action, query).map(of).sum(), more: false });
    }
    let (mut count, mut looked) = (Count::default(), 0);
    for status in walks(action, query) {
        let mut search = Search::new(engine, query, Some(status), None, run::ROWS);
        while let Some(seen) = search.next().await? {
            looked += 1;
            count.matches += u64::from(seen.matches && action.is_for(&seen.row));
            if looked >= BULK_COUNTED_MAX {
                return Ok(Count { more: true, ..count });
            }
        }
    }
    Ok(count)
}

/// Starts one: durable when it returns, and under way soon.
pub async fn start(ctx: &Context, wish: Wish) -> Result<Bulk, ApiError> {
    let expected = count(ctx, &wish).await?;
    if notes::open(&*ctx.catalog).await?.len() >= BULK_OPEN_MAX {
        let message = format!("{BULK_OPEN_MAX} bulk actions are under way; wait for one, or cancel one");
        return Err(ApiError::new("ThrottlingException", message));
    }
    let started = ctx.now();
    let by = ctx.asker.by.as_ref().map_or_else(|| "a caller without a key".to_owned(), ToString::to_string);
    let bulk = Bulk {
        id: notes::new_id(started),
        action: wish.action,
        query: wish.query,
        error: wish.error,
        cause: wish.cause,
        by,
        status: Status::Running,
        started,
        ended: None,
        expected,
        done: 0,
        refused: 0,
        refusals: Vec::new(),
        walk: 0,
        place: None,
    };
    notes::save(&*ctx.catalog, &bulk, started).await?;
    tracing::info!(
        { fields::EVENT } = "bulk.started",
        { fields::BULK_ID } = bulk.id,
        { fields::TASK_BY } = bulk.by,
        { fields::BULK_ACTION } = bulk.action.as_str(),
        { fields::COUNT } = expected.matches,
        "a bulk action was started"
    );
    ctx.bulk.notify_one();
    Ok(bulk)
}
