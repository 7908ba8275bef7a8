//! Rows, journals and figures of the broker, read for the pages.

pub mod bulk;
pub mod editor;
pub mod execution;
pub mod executions;
pub mod fork;
pub mod inbox;
pub mod machines;
pub mod map_run;
pub mod parked;
pub mod queues;
pub mod stories;
pub mod system;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, web};
use futures_util::StreamExt;
use futures_util::stream;

use crate::api::SharedApi;
use crate::bus::{BusError, QueueView};
use crate::store::WaitFilter;

use super::pages::layout::{WAITING_SHOWN, Who};
use super::serve::Console;

/// A request of a page, by a caller who may read.
pub struct Asking<'a> {
    pub request: &'a HttpRequest,
    pub api: &'a web::Data<SharedApi>,
    pub console: &'a web::Data<Console>,
    pub who: &'a Who,
}

impl Asking<'_> {
    /// A value of the address's query; empty where it is absent.
    pub fn query(&self, name: &str) -> String {
        let all = web::Query::<Vec<(String, String)>>::from_query(self.request.query_string());
        let found = all.map(|all| all.into_inner().into_iter().find(|(key, _)| key == name));
        found.ok().flatten().map(|(_, value)| value).unwrap_or_default()
    }
}

/// How many tasks wait, up to the bound that is shown.
pub async fn waiting(console: &Console) -> Option<u64> {
    let filter = WaitFilter { limit: u32::try_from(WAITING_SHOWN).unwrap_or(u32::MAX), ..WaitFilter::default() };
    console.engine.journal().count_waits(filter).await.ok()
}

/// A queue is looked at again after so long, however many ask.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// A page does not wait longer for the broker.
const LOOK_WITHIN: Duration = Duration::from_millis(800);
/// Queues that are looked at at once.
const LOOKS_AT_ONCE: usize = 8;
/// Queues whose figures are kept; beyond it all are forgotten.
const LOOKS_KEPT: usize = 10_000;

type Look = Result<Option<QueueView>, ()>;

/// Figures of queues, as of a moment ago.
#[derive(Default)]
pub struct Looks(Mutex<HashMap<String, (Instant, Look)>>);

impl Looks {
    /// The figures of these queues; `Err`: the broker did not answer in time.
    pub async fn at(&self, console: &Console, queues: Vec<String>) -> HashMap<String, Look> {
        stream::iter(queues)
            .map(|queue| async move {
                let look = self.one(console, &queue).await;
                (queue, look)
            })
            .buffer_unordered(LOOKS_AT_ONCE)
            .collect()
            .await
    }

    async fn one(&self, console: &Console, queue: &str) -> Look {
        let now = Instant::now();
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(queue).copied();
        if let Some((at, look)) = known.filter(|(at, _)| now.duration_since(*at) < LOOK_AGAIN) {
            let _ = at;
            return look;
        }
        let answered = tokio::time::timeout(LOOK_WITHIN, console.engine.look(queue)).await;
        let look = match answered {
            Ok(Ok(view)) => Ok(view),
            Ok(Err(BusError::Refused { .. })) => Ok(None),
            Ok(Err(_)) | Err(_) => Err(()),
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= LOOKS_KEPT {
            kept.clear();
        }
        kept.insert(queue.to_owned(), (now, look));
        look
    }
}
