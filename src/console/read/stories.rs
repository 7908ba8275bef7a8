//! Stories of executions, kept between views and read on as their journals grow: a view of a long execution reads what
//! is new, not its journal.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Held, OwnedMutexGuard};

use crate::asl::{self, MachineType};
use crate::engine::EngineError;
use crate::ids::{ExecutionId, Version};
use crate::record;
use crate::store::{ExecutionRow, GONE, StoreError};

use super::super::serve::Console;
use super::super::story::{Reader, Story};

/// Bytes of journals whose stories are kept; beyond it those go that were looked at longest ago.
const KEPT_BYTES: u64 = 64 * 1_048_576;
/// A heartbeat may replace a batch between its place and its bytes.
const TRIES: usize = 5;

/// The stories that were looked at last.
#[derive(Default)]
pub struct Stories(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    stories: HashMap<ExecutionId, One>,
    /// Grows with each look.
    looks: u64,
}

struct One {
    told: Arc<Held<Told>>,
    looked: u64,
    bytes: u64,
}

/// A story, and how far its journal was read.
pub struct Told {
    reader: Reader,
    version: Version,
    bytes: u64,
    definition: String,
}

/// A story that is looked at; other views of this execution wait meanwhile.
pub enum Looked {
    Kept(OwnedMutexGuard<Told>),
    /// A copy without payloads.
    Bare(Box<(Story, String)>),
}

impl Deref for Looked {
    type Target = Story;

    fn deref(&self) -> &Story {
        match self {
            Self::Kept(told) => told.reader.story(),
            Self::Bare(bare) => &bare.0,
        }
    }
}

impl Looked {
    pub fn definition(&self) -> &str {
        match self {
            Self::Kept(told) => &told.definition,
            Self::Bare(bare) => &bare.1,
        }
    }

    /// For a person who may not see payloads.
    pub fn without_payloads(self) -> Self {
        let bare = Story::clone(&self).without_payloads();
        Self::Bare(Box::new((bare, self.definition().to_owned())))
    }
}

impl Stories {
    /// The story of an execution as of now.
    pub async fn look(&self, console: &Console, row: &ExecutionRow) -> Result<Looked, EngineError> {
        let known = self.known(row.header.id);
        let told = match known {
            Some(told) => told,
            None => Arc::new(Held::new(Told::begin(console, row).await?)),
        };
        let mut looked = Arc::clone(&told).lock_owned().await;
        looked.read_on(console, row).await?;
        self.keep(row.header.id, told, looked.bytes);
        Ok(Looked::Kept(looked))
    }

    fn known(&self, id: ExecutionId) -> Option<Arc<Held<Told>>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.stories.get(&id).map(|one| Arc::clone(&one.told))
    }

    fn keep(&self, id: ExecutionId, told: Arc<Held<Told>>, bytes: u64) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.looks += 1;
        let looked = kept.looks;
        kept.stories.insert(id, One { told, looked, bytes });
        let mut sum: u64 = kept.stories.values().map(|one| one.bytes).sum();
        while sum > KEPT_BYTES {
            let oldest = kept.stories.iter().min_by_key(|(_, one)| one.looked).map(|(id, _)| *id);
            let Some(gone) = oldest.and_then(|id| kept.stories.remove(&id)) else { return };
            sum -= gone.bytes;
        }
    }
}

impl Told {
    async fn begin(console: &Console, row: &ExecutionRow) -> Result<Self, EngineError> {
        let revision = console.engine.catalog().revision(row.header.revision).await?;
        let definition = revision.map(|revision| revision.definition).unwrap_or_default();
        // A definition that this version would not take any more still has a row and a history.
        let machine = asl::parse(&definition, MachineType::Standard).ok().map(|valid| valid.machine);
        Ok(Self { reader: Reader::new(machine), version: Version(0), bytes: 0, definition })
    }

    async fn read_on(&mut self, console: &Console, row: &ExecutionRow) -> Result<(), EngineError> {
        for left in (0..TRIES).rev() {
            if row.version <= self.version {
                break;
            }
            let batches = match console.engine.journal().since(row.header.id, self.version).await {
                Err(StoreError::NotFound { what: GONE, .. }) if left > 0 => continue,
                // Express executions have a row and no journal.
                Err(StoreError::NotFound { .. }) => break,
                batches => batches?,
            };
            for batch in batches {
                let entries = record::decode(&batch.bytes).map_err(|why| EngineError::Internal(why.to_string()))?;
                // Heartbeats that took the place of heartbeats which were read begin before this version. They change
                // nothing that was read.
                for entry in &entries {
                    self.reader.read(entry);
                }
                self.bytes += batch.bytes.len() as u64;
                self.version = Version(batch.after.0 + u64::from(batch.events));
            }
            break;
        }
        Ok(())
    }
}
