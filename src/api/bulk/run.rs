//! The keeper of bulk actions: goes on with those that no server has under a lease.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::engine::EngineHandle;
use crate::engine::parked_messages::Filter;
use crate::ids::Arn;
use crate::interpreter::event::Failure;
use crate::limits::{BULK_AT_ONCE, BULK_LEASE_SECONDS, BULK_PARKED_MAX, BULK_REFUSALS_MAX, BULK_STEP};
use crate::telemetry::fields;

use super::super::context::Context;
use super::super::error::ApiError;
use super::super::matches::{Search, parse_place, place, place_text};
use super::super::operations::redrive_execution::redrive;
use super::super::search::Query;
use super::{Act, Bulk, Count, Refused, Status, Wanted, notes, walks, wanted};

/// Rows of the store that are read at once.
pub const ROWS: u32 = 500;
/// So often the keeper looks for actions of servers that are gone.
const LOOKS: Duration = Duration::from_secs(10);
/// A step that the store or the broker could not do is done again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// An execution that cannot be acted on now is tried so often.
const TRIES: usize = 20;
/// Parked messages that are looked at first; more where none of them is meant.
const PARKED: u32 = 500;

/// Why an action stands still.
enum Stopped {
    /// Another server has it, or it is gone.
    Lost,
    Failed(ApiError),
}

impl<E: Into<ApiError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Goes on with bulk actions until it is dropped.
pub async fn keep(ctx: Context) {
    let me = Uuid::new_v4().to_string();
    let mut here: HashSet<String> = HashSet::new();
    let mut under_way: FuturesUnordered<LocalBoxFuture<'_, String>> = FuturesUnordered::new();
    loop {
        // A store that is away now is asked again.
        for bulk in notes::open(&*ctx.catalog).await.unwrap_or_default() {
            let is_mine = here.contains(&bulk.id);
            if !is_mine && notes::lease(&*ctx.catalog, &bulk.id, &me, ctx.now()).await.unwrap_or(false) {
                here.insert(bulk.id.clone());
                under_way.push(Box::pin(run(&ctx, bulk.id, &me)));
            }
        }
        tokio::select! {
            Some(ended) = under_way.next() => { here.remove(&ended); }
            () = ctx.bulk.notified() => {}
            () = tokio::time::sleep(LOOKS) => {}
        }
    }
}

/// Does one until its end; returns its id.
async fn run(ctx: &Context, id: String, me: &str) -> String {
    let mut job = Job { ctx, me, renewed: None };
    loop {
        match job.go_on(&id).await {
            Ok(()) | Err(Stopped::Lost) => return id,
            Err(Stopped::Failed(error)) => {
                tracing::warn!(%error, { fields::BULK_ID } = id, "a bulk action stands still, and is tried again");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

struct Job<'a> {
    ctx: &'a Context,
    me: &'a str,
    /// When the lease was renewed last.
    renewed: Option<Timestamp>,
}

impl Job<'_> {
    async fn go_on(&mut self, id: &str) -> Result<(), Stopped> {
        let found = notes::find(&*self.ctx.catalog, id).await?;
        let Some(mut bulk) = found.filter(|bulk| bulk.status == Status::Running) else { return Err(Stopped::Lost) };
        let status = match wanted(bulk.action, &bulk.query)? {
            Wanted::Executions(query) => self.executions(&mut bulk, &query).await?,
            Wanted::Parked(verdicts) => self.parked(&mut bulk, verdicts).await?,
        };
        (bulk.status, bulk.ended) = (status, Some(self.ctx.now()));
        notes::save(&*self.ctx.catalog, &bulk, self.ctx.now()).await?;
        tracing::info!(
            { fields::EVENT } = "bulk.ended",
            { fields::BULK_ID } = bulk.id,
            { fields::BULK_ACTION } = bulk.action.as_str(),
            { fields::COUNT } = bulk.done,
            { fields::BULK_REFUSED } = bulk.refused,
            "a bulk action has ended"
        );
        Ok(())
    }

    /// Writes the progress. `false`: it was cancelled.
    async fn step(&mut self, bulk: &Bulk) -> Result<bool, Stopped> {
        let (catalog, now) = (&*self.ctx.catalog, self.ctx.now());
        let third = f64::from(BULK_LEASE_SECONDS) / 3.0;
        if self.renewed.is_none_or(|renewed| renewed.plus_seconds(third) < now) {
            if !notes::renew(catalog, &bulk.id, self.me, now).await? {
                return Err(Stopped::Lost);
            }
            self.renewed = Some(now);
        }
        notes::save(catalog, bulk, now).await?;
        Ok(!notes::is_cancelled(catalog, &bulk.id).await?)
    }

    async fn executions(&mut self, bulk: &mut Bulk, query: &Query) -> Result<Status, Stopped> {
        let engine = self.ctx.engine();
        let walks: Vec<_> = walks(bulk.action, query).collect();
        while let Some(status) = walks.get(bulk.walk) {
            let from = bulk.place.as_deref().and_then(parse_place);
            let mut search = Search::new(engine, query, Some(*status), from, ROWS);
            let mut has_more = true;
            while has_more {
                let (mut chosen, mut looked) = (Vec::new(), 0);
                while chosen.len() < BULK_STEP && looked < ROWS {
                    let Some(seen) = search.next().await? else {
                        has_more = false;
                        break;
                    };
                    looked += 1;
                    bulk.place = Some(place_text(place(&seen.row)));
                    // It acts on items that were there at its request, and once.
                    let is_later = seen.row.header.started > bulk.started;
                    let was_redriven = seen.row.summary.redriven_at.is_some_and(|at| at >= bulk.started);
                    if seen.matches && bulk.action.is_for(&seen.row) && !is_later && !was_redriven {
                        chosen.push(seen.row.header.arn);
                    }
                }
                self.act_on(bulk, chosen).await;
                if !has_more {
                    (bulk.walk, bulk.place) = (bulk.walk + 1, None);
                }
                if !self.step(bulk).await? {
                    return Ok(Status::Cancelled);
                }
            }
        }
        Ok(Status::Completed)
    }

    async fn act_on(&self, bulk: &mut Bulk, chosen: Vec<Arn>) {
        let asked: &Bulk = bulk;
        let acted: Vec<_> = stream::iter(chosen)
            .map(|arn| async move {
                let done = self.act(asked, &arn).await;
                (arn, done)
            })
            .buffer_unordered(BULK_AT_ONCE)
            .collect()
            .await;
        for (arn, done) in acted {
            count_one(bulk, arn.to_string(), done.map_err(|error| error.message));
        }
    }

    /// One execution. Where the engine or the store cannot now, it is tried again for a while.
    async fn act(&self, bulk: &Bulk, arn: &Arn) -> Result<(), ApiError> {
        let mut tries = TRIES;
        loop {
            let done = match bulk.action {
                Act::Redrive => redrive(self.ctx, arn, Some(&bulk.id)).await.map(|_| ()),
                Act::Stop | Act::Replay => {
                    let cause = bulk.cause.clone().unwrap_or_else(|| format!("stopped in bulk by {}", bulk.by));
                    let failure = Failure { error: bulk.error.clone(), cause: Some(cause), heartbeat: false };
                    self.ctx.engine().stop_execution(arn, failure).await.map(|_| ()).map_err(ApiError::from)
                }
            };
            tries -= 1;
            match done {
                Err(error) if tries > 0 && is_passing(&error) => tokio::time::sleep(AGAIN).await,
                done => return done,
            }
        }
    }

    /// Sends parked messages again, in rounds: those that were parked before the action was asked for.
    async fn parked(&mut self, bulk: &mut Bulk, verdicts: Vec<String>) -> Result<Status, Stopped> {
        let parked = self.ctx.engine().parked_messages();
        let filter = Filter { verdicts, before: Some(bulk.started), ..Filter::default() };
        let (mut looks, mut kept) = (PARKED, HashSet::new());
        loop {
            let taken = parked.take(&filter, looks).await.map_err(|error| unavailable(&error))?;
            if let Some(why) = parked.blocked() {
                return Err(Stopped::Failed(unavailable(&why)));
            }
            let more = taken.more;
            let replayed = parked.replay(taken, None).await;
            bulk.done += replayed.sent.len() as u64;
            for one in replayed.kept {
                if kept.insert(one.id.clone()) {
                    count_one(bulk, one.id, Err(one.why));
                }
            }
            if !self.step(bulk).await? {
                return Ok(Status::Cancelled);
            }
            if !more || (replayed.sent.is_empty() && looks == BULK_PARKED_MAX) {
                return Ok(Status::Completed);
            }
            if replayed.sent.is_empty() {
                looks = (looks * 4).min(BULK_PARKED_MAX);
            }
        }
    }
}

fn count_one(bulk: &mut Bulk, id: String, done: Result<(), String>) {
    match done {
        Ok(()) => bulk.done += 1,
        Err(why) => {
            bulk.refused += 1;
            if bulk.refusals.len() < BULK_REFUSALS_MAX {
                bulk.refusals.push(Refused { id, why });
            }
        }
    }
}

fn is_passing(error: &ApiError) -> bool {
    error.status >= 500 || matches!(error.kind, "ThrottlingException" | "ConflictException")
}

fn unavailable(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::unavailable(format!("The parking queue cannot be read: {error}"))
}

/// Parked messages of these verdicts, among those that a request may look at.
pub async fn count_parked(engine: &EngineHandle, verdicts: Vec<String>, now: Timestamp) -> Result<Count, ApiError> {
    let filter = Filter { verdicts, before: Some(now), ..Filter::default() };
    let taken = engine.parked_messages().take(&filter, BULK_PARKED_MAX).await.map_err(|error| unavailable(&error))?;
    Ok(Count { matches: taken.chosen().count() as u64, more: taken.more })
}
