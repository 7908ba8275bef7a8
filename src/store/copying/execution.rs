//! One execution: its row, its journal piece by piece, its waiting tasks.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::ids::ExecutionId;
use crate::store::{
    Append, Batch, ExecutionRow, Opened, Place, StoreError, StoreResult, Summary, WaitChange, WaitFilter, WaitRow,
};

use super::{Home, Portable};

/// Bytes of a journal in memory at once, of each execution.
const PIECE: u64 = 1024 * 1024;

/// Counts of executions that were copied or read, and a sum over their contents, in no order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub executions: u64,
    pub open: u64,
    pub batches: u64,
    pub digest: [u64; 4],
}

impl Sums {
    pub fn add(&mut self, other: &Self) {
        self.executions += other.executions;
        self.open += other.open;
        self.batches += other.batches;
        self.digest.iter_mut().zip(other.digest).for_each(|(sum, more)| *sum = sum.wrapping_add(more));
    }
}

/// An execution that is being read.
struct Reading {
    row: ExecutionRow,
    waits: Vec<WaitRow>,
    pieces: VecDeque<Piece>,
    digest: Sha256,
    batches: u64,
}

enum Piece {
    Read(Vec<Batch>),
    Places(Vec<Place>),
}

impl Reading {
    async fn begin(store: &dyn Portable, id: ExecutionId, home: &Home<'_>) -> StoreResult<Self> {
        let found = store.execution(id).await?;
        let mut row = found.ok_or_else(|| StoreError::NotFound { what: "execution", key: id.to_string() })?;
        row.header.partition = home.partition_of(id).0;
        let waits = if row.summary.closed.is_none() {
            let filter = WaitFilter { execution: Some(id), limit: u32::MAX, ..WaitFilter::default() };
            store.waits(filter).await?
        } else {
            Vec::new()
        };
        let pieces = match store.open(id, PIECE).await? {
            Opened::Whole(batches) => VecDeque::from([Piece::Read(batches)]),
            Opened::Large(places) => in_pieces(places),
        };
        let mut digest = Sha256::new();
        digest.update(format!("{row:?} {waits:?}"));
        Ok(Self { row, waits, pieces, digest, batches: 0 })
    }

    async fn next(&mut self, store: &dyn Portable) -> StoreResult<Option<Vec<Batch>>> {
        let batches = match self.pieces.pop_front() {
            None => return Ok(None),
            Some(Piece::Read(batches)) => batches,
            Some(Piece::Places(places)) => store.read(self.row.header.id, places).await?,
        };
        for Batch { after, events, bytes } in &batches {
            self.digest.update(after.0.to_be_bytes());
            self.digest.update(events.to_be_bytes());
            self.digest.update((bytes.len() as u64).to_be_bytes());
            self.digest.update(bytes);
        }
        self.batches += batches.len() as u64;
        Ok(Some(batches))
    }

    fn sums(self) -> Sums {
        let digest: [u8; 32] = self.digest.finalize().into();
        let mut quarters = [0; 4];
        for (quarter, bytes) in quarters.iter_mut().zip(digest.chunks_exact(8)) {
            *quarter = bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        }
        let open = u64::from(self.row.summary.closed.is_none());
        Sums { executions: 1, open, batches: self.batches, digest: quarters }
    }
}

/// At least one place each, and no more bytes than a piece may have.
fn in_pieces(places: Vec<Place>) -> VecDeque<Piece> {
    let (mut pieces, mut piece, mut bytes) = (VecDeque::new(), Vec::new(), 0);
    for place in places {
        if !piece.is_empty() && bytes + place.bytes > PIECE {
            pieces.push_back(Piece::Places(std::mem::take(&mut piece)));
            bytes = 0;
        }
        bytes += place.bytes;
        piece.push(place);
    }
    pieces.push_back(Piece::Places(piece));
    pieces
}

/// Reads an execution.
pub(super) async fn look(store: &dyn Portable, id: ExecutionId, home: &Home<'_>) -> StoreResult<Sums> {
    let mut reading = Reading::begin(store, id, home).await?;
    while reading.next(store).await?.is_some() {}
    Ok(reading.sums())
}

/// Copies an execution. The last append says how it stands; until then it is open.
pub(super) async fn carry(
    from: &dyn Portable,
    to: &dyn Portable,
    id: ExecutionId,
    home: &Home<'_>,
) -> StoreResult<Sums> {
    let mut reading = Reading::begin(from, id, home).await?;
    let (partition, epoch) = home.partition_of(id);
    let mut is_there = false;
    while let Some(batches) = reading.next(from).await? {
        let mut batches = batches.into_iter().peekable();
        while let Some(batch) = batches.next() {
            let last = batches.peek().is_none() && reading.pieces.is_empty();
            let (summary, waits) = if last {
                let puts = reading.waits.iter().map(|row| WaitChange::Put(row.wait.clone())).collect();
                (reading.row.summary.clone(), puts)
            } else {
                (Summary::default(), Vec::new())
            };
            let append = Append { execution: id, partition, epoch, batch, replaces: 0, summary, waits, hurries: false };
            if is_there {
                to.append(append).await?;
            } else {
                // Names pass to younger executions, as they did in the source.
                let always = Timestamp::from_millis(i64::MAX);
                to.create(reading.row.header.clone(), append, always).await?;
                is_there = true;
            }
        }
    }
    Ok(reading.sums())
}
