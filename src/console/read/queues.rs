//! Queues that tasks wait in.

use crate::engine::EngineError;

use super::super::live;
use super::super::pages::layout::Tab;
use super::super::pages::queues::{Looked, list as page};
use super::super::serve::{Page, Reply};
use super::Asking;

/// Destinations that the page shows.
const SHOWN: u32 = 500;

pub async fn list(asking: &Asking<'_>) -> Result<Reply, EngineError> {
    let engine = &asking.console.engine;
    let rows = engine.journal().waits_by_destination(SHOWN).await?;
    let queues = rows.iter().filter(|row| row.queue).map(|row| row.destination.clone()).collect();
    let looks = asking.console.looks.at(asking.console, queues).await;
    let looked = |name: &str, queue: bool| match looks.get(name).filter(|_| queue) {
        None => Looked::NoQueue,
        Some(Ok(Some(view))) => Looked::There(*view),
        Some(Ok(None)) => Looked::Missing,
        Some(Err(())) => Looked::Unknown,
    };
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let looked = looked(&row.destination, row.queue);
            (row, looked)
        })
        .collect();
    let content = page(&rows, engine.clock().now());
    Ok(Reply::Page(Page::new("Queues", Tab::Queues, content).live(live::WAITS, 5)))
}
