//! Pages that are looked at by several people: one of them is made when something on it has changed, and all get it.
//!
//! A page may be given again as long as a page follows its topics and none of them has changed, for a second at most
//! (figures of the broker and times change by themselves).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as Turn;

use super::gzip::Body;
use super::live::Hub;
use super::pages::layout::Who;

/// A page is not given again after so long.
const FRESH: Duration = Duration::from_secs(1);
/// Pages that are kept; beyond it all are forgotten.
const KEPT: usize = 64;

/// A page that was made.
pub struct Made {
    pub html: Body,
    topics: String,
    /// The hub's number before it was made.
    number: u64,
    at: Instant,
}

impl Made {
    pub fn new(html: Body, topics: String, number: u64) -> Self {
        Self { html, topics, number, at: Instant::now() }
    }

    pub fn is_good(&self, hub: &Hub) -> bool {
        self.at.elapsed() < FRESH && !self.topics.is_empty() && hub.is_as_of(&self.topics, self.number)
    }
}

/// Pages by their address and by the person that looks.
#[derive(Default)]
pub struct Shown(Mutex<HashMap<String, Arc<Turn<Option<Made>>>>>);

impl Shown {
    /// The place of a page. Who holds it makes the page; others wait for that.
    pub fn place(&self, address: &str, who: &Who) -> Arc<Turn<Option<Made>>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{address}\n{who:?}");
        if kept.len() >= KEPT && !kept.contains_key(&key) {
            kept.clear();
        }
        Arc::clone(kept.entry(key).or_default())
    }
    /// All pages are made again.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
