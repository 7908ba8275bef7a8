//! Which exchanges are there. A publish to a missing one kills its channel with everything that is out on it; so a name
//! is asked for once, with a passive declare on a channel to throw away, before the busy channels see it.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lapin::ExchangeKind;
use lapin::options::ExchangeDeclareOptions;
use lapin::types::FieldTable;
use tokio::sync::Semaphore;

use super::codec::short;
use super::publisher::verdict_of;
use super::reconnect::{Link, Trouble};
use crate::bus::Publication;

/// Names come from definitions, and may be computed: bounded. Beyond the bound they are asked for again.
const KNOWN_MAX: usize = 10_000;
/// Channels that ask at the same time.
const ASKING_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Exchanges {
    known: Mutex<HashSet<String>>,
    asking: Semaphore,
}

impl Exchanges {
    pub(super) fn new() -> Self {
        Self { known: Mutex::default(), asking: Semaphore::new(ASKING_MAX) }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        name.is_empty() || self.lock().contains(name)
    }

    pub(super) fn know(&self, name: &str) {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(name.to_owned());
    }

    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Asks the broker; waits while it is away. `Err` holds the fate of a publish to this exchange, `None` when the bus
    /// closes.
    pub(super) async fn ask(&self, link: &Link, name: &str) -> Option<Result<(), Publication>> {
        let _permit = self.asking.acquire().await.ok()?;
        loop {
            if self.is_known(name) {
                return Some(Ok(()));
            }
            let live = link.live().await?;
            let Ok(exchange) = short("the exchange name", name) else { return Some(Err(verdict_of(404, "NOT_FOUND"))) };
            let asked = async {
                let channel = live.channel().await?;
                let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
                // a passive declare looks at the name only
                live.answer(channel.exchange_declare(exchange, ExchangeKind::Direct, options, FieldTable::default()))
                    .await?;
                let _ = live.answer(channel.close(200, "OK".into())).await;
                Ok(())
            };
            match asked.await {
                Ok(()) => {
                    self.know(name);
                    return Some(Ok(()));
                }
                // not allowed to look is not the same as not allowed to publish: the publish itself will tell
                Err(Trouble::Refused(403, _)) => return Some(Ok(())),
                Err(Trouble::Refused(code, text)) => return Some(Err(verdict_of(code, &text))),
                Err(Trouble::Lost(_)) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    }
}
