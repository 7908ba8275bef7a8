//! Reading journals. They are folded piece by piece, so that memory holds a state and one piece, not a journal. They
//! are not folded at all where the state has no room.

use tokio::sync::Semaphore;

use crate::ids::ExecutionId;
use crate::interpreter::event::Entry;
use crate::interpreter::state::State;
use crate::record;
use crate::store::{Batch, GONE, Journal, Opened, Place, StoreError};

use crate::engine::journal::heartbeat_batch::ReplaceableBatch;
use crate::engine::services::Services;
use crate::engine::types::DeliverError;

/// Bytes of a journal that are read and decoded at once: a few milliseconds of the partition's thread.
pub(in crate::engine) const PIECE_BYTES: u64 = 1_048_576;
/// Batches of one piece.
const PIECE_BATCHES: usize = 1_000;
/// How often a journal is read again if its newest batch is replaced meanwhile.
const READS_MAX: usize = 8;
/// An execution that holds more than this many times its bound comes from an earlier version: its journal was written
/// when nothing bounded it.
const BEYOND: u64 = 2;

/// Large journals that are read at once: a start asks for hundreds.
static LARGE: Semaphore = Semaphore::const_new(4);

/// A journal that was folded.
#[derive(Default)]
pub(in crate::engine) struct Loaded {
    pub state: State,
    pub tail: Option<ReplaceableBatch>,
    /// Bytes of the journal.
    pub written: u64,
    /// Bytes that the state holds.
    pub held: u64,
}

/// The state of an execution, from its journal.
pub(in crate::engine) async fn state(services: &Services, execution: ExecutionId) -> Result<State, DeliverError> {
    Ok(whole(services, execution).await?.state)
}

/// The state of an execution, and the facts of its journal that its actor needs.
pub(in crate::engine) async fn whole(services: &Services, execution: ExecutionId) -> Result<Loaded, DeliverError> {
    load(&*services.journal, batch_bytes_max(services), execution).await
}

/// Bytes of the largest batch that is read, and of the largest state.
pub(in crate::engine) fn batch_bytes_max(services: &Services) -> u64 {
    BEYOND * services.options.bounds.execution_bytes_max
}

/// Folds a journal whose state, and each batch of it, takes no more than `most` bytes.
pub(in crate::engine) async fn load(
    journal: &dyn Journal,
    most: u64,
    execution: ExecutionId,
) -> Result<Loaded, DeliverError> {
    Ok(fold(journal, most, execution, || Fold::new(execution, most), Fold::fold).await?.loaded)
}

/// Folds a journal, whose batches take no more than `most` bytes each, into a value.
pub(in crate::engine) async fn fold<T>(
    journal: &dyn Journal,
    most: u64,
    execution: ExecutionId,
    new: impl Fn() -> T,
    take: impl Fn(&mut T, Vec<Batch>) -> Result<(), DeliverError>,
) -> Result<T, DeliverError> {
    let mut looks = READS_MAX;
    loop {
        let mut folded = new();
        match pieces(journal, most, execution, |batches| take(&mut folded, batches)).await {
            Err(DeliverError::Store(StoreError::NotFound { what: GONE, .. })) if looks > 0 => looks -= 1,
            other => return other.map(|()| folded),
        }
    }
}

/// Reads a journal, oldest first.
async fn pieces(
    journal: &dyn Journal,
    most: u64,
    execution: ExecutionId,
    mut take: impl FnMut(Vec<Batch>) -> Result<(), DeliverError>,
) -> Result<(), DeliverError> {
    match journal.open(execution, PIECE_BYTES).await? {
        Opened::Whole(batches) => take(batches)?,
        Opened::Large(places) => {
            // It is never closed.
            let _one_of_few = LARGE.acquire().await;
            let mut rest = &places[..];
            while !rest.is_empty() {
                let (piece, others) = rest.split_at(piece(rest));
                if let Some(place) = piece.iter().find(|place| place.bytes > most) {
                    return Err(no_room(execution, place.bytes, "a batch of its journal"));
                }
                take(journal.read(execution, piece.to_vec()).await?)?;
                rest = others;
            }
        }
    }
    Ok(())
}

/// The entries of a batch.
pub(in crate::engine) fn entries(execution: ExecutionId, batch: &Batch) -> Result<Vec<Entry>, DeliverError> {
    record::decode(&batch.bytes).map_err(|e| corrupt(execution, e.to_string()).into())
}

struct Fold {
    execution: ExecutionId,
    most: u64,
    loaded: Loaded,
}

impl Fold {
    fn new(execution: ExecutionId, most: u64) -> Self {
        Self { execution, most, loaded: Loaded::default() }
    }

    fn fold(&mut self, batches: Vec<Batch>) -> Result<(), DeliverError> {
        let Loaded { state, tail, written, held } = &mut self.loaded;
        for batch in batches {
            *written += batch.bytes.len() as u64;
            let entries = entries(self.execution, &batch)?;
            if batch.after != state.version() {
                let why = format!("a batch follows version {}, and the journal is at {}", batch.after, state.version());
                return Err(corrupt(self.execution, why).into());
            }
            for entry in &entries {
                state.evolve(entry).map_err(|misfit| corrupt(self.execution, misfit.to_string()))?;
            }
            let events = state.version().0 - batch.after.0;
            if events != u64::from(batch.events) {
                let why = format!("a batch of {} events holds {events}", batch.events);
                return Err(corrupt(self.execution, why).into());
            }
            *tail = ReplaceableBatch::of(batch.after, entries);
        }
        *held = state.bytes();
        let held = *held;
        if held > self.most { Err(no_room(self.execution, held, "what it holds")) } else { Ok(()) }
    }
}

/// It stands still, as one whose journal is damaged: reading it would take the memory of all others.
fn no_room(execution: ExecutionId, bytes: u64, what: &str) -> DeliverError {
    let why = format!("{what} takes {bytes} bytes, more than there is room for; raise engine.execution_bytes_max");
    corrupt(execution, why).into()
}

/// How many of these places make a piece: one at least.
pub(in crate::engine) fn piece(places: &[Place]) -> usize {
    let mut bytes = 0;
    let more = places.iter().skip(1).take(PIECE_BATCHES - 1).take_while(|place| {
        bytes += place.bytes;
        bytes + places.first().map_or(0, |first| first.bytes) <= PIECE_BYTES
    });
    1 + more.count()
}

pub(in crate::engine) fn corrupt(execution: ExecutionId, why: String) -> StoreError {
    StoreError::Corrupt { what: "journal of execution", key: execution.to_string(), why }
}
