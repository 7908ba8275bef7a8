//! Our own operations on parked messages (refused replies and starts, dead letters): list, show, send again, delete.
//! `Reveille.ListParkedMessages` shows no body; a body may hold task tokens, so the others need more rights.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::clock::Timestamp;
use crate::engine::parked_messages::{Filter, ParkedMessages, Stays, Taken, line, whole};

/// Messages that one request takes out of the queue: each is a delivery of the broker's.
const LOOKED_MAX: u32 = 1_000;
/// The same, where messages are sent again or deleted.
const CHANGED_MAX: u32 = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chosen {
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    verdicts: Vec<String>,
    parked_before_seconds: Option<u32>,
    /// All that are parked; without it an id or a filter is needed.
    #[serde(default)]
    all: bool,
    max_results: Option<u32>,
    /// Of a replay: this queue in place of the one in which each was refused.
    queue: Option<String>,
}

#[derive(Deserialize)]
pub struct One {
    id: String,
}

impl Chosen {
    fn filter(&self, now: Timestamp) -> Filter {
        let before = self.parked_before_seconds.map(|seconds| now.plus_seconds(-f64::from(seconds)));
        Filter { ids: self.ids.clone(), verdicts: self.verdicts.clone(), before }
    }

    /// A request without ids, filter and `all` acts on nothing.
    fn checked(&self) -> Result<(), ApiError> {
        let named =
            self.all || !self.ids.is_empty() || !self.verdicts.is_empty() || self.parked_before_seconds.is_some();
        if named { Ok(()) } else { Err(ApiError::validation("Which messages? Give ids, a filter, or all")) }
    }

    async fn take(&self, ctx: &Context, most: u32) -> Result<(ParkedMessages, Taken), ApiError> {
        let parked = ctx.engine().parked_messages();
        let limit = self.max_results.filter(|n| *n > 0).unwrap_or(most).min(most);
        let taken = parked.take(&self.filter(ctx.now()), limit).await.map_err(broker)?;
        Ok((parked, taken))
    }
}

fn broker(error: impl std::fmt::Display) -> ApiError {
    ApiError::unavailable(format!("The parking queue cannot be read: {error}"))
}

fn kept(stay: &[Stays]) -> Vec<Value> {
    stay.iter().map(|Stays { id, why }| json!({"id": id, "why": why})).collect()
}

pub async fn list(ctx: &Context, input: Chosen) -> Result<Value, ApiError> {
    let (parked, taken) = input.take(ctx, LOOKED_MAX).await?;
    let messages: Vec<Value> = taken.chosen().map(|held| line(&held.parked, &held.delivery.message)).collect();
    Ok(json!({"queue": parked.queue(), "messages": messages, "more": taken.more}))
}

pub async fn describe(ctx: &Context, input: One) -> Result<Value, ApiError> {
    let filter = Filter { ids: vec![input.id], ..Filter::default() };
    let taken = ctx.engine().parked_messages().take(&filter, CHANGED_MAX).await.map_err(broker)?;
    let Some(held) = taken.chosen().next() else {
        return Err(ApiError::validation("There is no parked message with this id"));
    };
    let mut shown = whole(&held.parked, &held.delivery.message, false, "");
    if let Some(members) = shown.as_object_mut().filter(|_| !ctx.payloads) {
        members.retain(|name, _| !matches!(name.as_str(), "body" | "bodyBase64" | "headers"));
    }
    Ok(shown)
}

pub async fn replay(ctx: &Context, input: Chosen) -> Result<Value, ApiError> {
    input.checked()?;
    let (parked, taken) = input.take(ctx, CHANGED_MAX).await?;
    if let Some(why) = parked.blocked() {
        return Err(ApiError::unavailable(format!("The broker takes no messages now: {why}")));
    }
    let (mut stay, more) = (taken.missing(&input.ids), taken.more);
    let done = parked.replay(taken, input.queue.as_deref()).await;
    stay.extend(done.kept);
    let replayed: Vec<Value> = done.sent.into_iter().map(|(id, queue)| json!({"id": id, "queue": queue})).collect();
    Ok(json!({"replayed": replayed, "kept": kept(&stay), "more": more}))
}

pub async fn purge(ctx: &Context, input: Chosen) -> Result<Value, ApiError> {
    input.checked()?;
    let (_, taken) = input.take(ctx, CHANGED_MAX).await?;
    let (stay, more) = (taken.missing(&input.ids), taken.more);
    let purged: Vec<Value> = taken.purge().into_iter().map(|id| json!({"id": id})).collect();
    Ok(json!({"purged": purged, "kept": kept(&stay), "more": more}))
}
