//! Cuts a stream of bytes into items: each format takes pieces and gives the complete items. A format holds at most one
//! unfinished item.
//!
//! Source: developer guide, "ItemReader (Map)"; texts of errors as recorded.

mod csv;
mod json;
mod lines;

use std::collections::VecDeque;

use futures_util::StreamExt;
use serde_json::Value;

use super::{ObjectError, Pieces};
use crate::limits::{CSV_HEADER_BYTES_MAX, ITEM_BYTES_MAX};

pub use csv::{Csv, Delimiter, Headers};
pub use json::JsonArray;
pub use lines::{Lines, Uris};

/// Reasons why items cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ItemError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// Recorded on AWS for a JSON file that holds neither array nor object where items are looked for.
    #[error("Attempting to map over non-iterable node.")]
    NotIterable,
    /// Recorded on AWS.
    #[error("CSV headers cannot contain duplicates.")]
    DuplicateHeaders,
    /// Developer guide: headers of up to 10 KiB. The sentence is our own.
    #[error("CSV headers cannot have more than {CSV_HEADER_BYTES_MAX} bytes.")]
    HeadersTooLarge,
    #[error("ItemsPointer '{0}' names nothing in the file.")]
    NothingAtPointer(String),
    #[error("The file is not valid {format}: {why} (item {item})")]
    Malformed { format: &'static str, why: String, item: u64 },
    #[error("Item {item} is larger than {ITEM_BYTES_MAX} bytes, the limit for one item.")]
    TooLarge { item: u64 },
    #[error("{0}")]
    Unsupported(String),
}

/// A format of files with items.
pub trait Format: Send + std::fmt::Debug {
    fn feed(&mut self, piece: &[u8], items: &mut VecDeque<Value>) -> Result<(), ItemError>;
    /// Called after the last piece.
    fn end(&mut self, items: &mut VecDeque<Value>) -> Result<(), ItemError>;
    /// The items are the pairs of an object, as `{"Key", "Value"}`.
    fn gives_pairs(&self) -> bool {
        false
    }

    /// Tells that the rest of the file holds no items.
    fn is_done(&self) -> bool {
        false
    }
}

/// Bytes that a format gets at once. All items in them are held until they are taken: a row of two bytes may become an
/// item of some hundred KiB.
const STEP_BYTES: usize = 64;
/// Packed bytes that are inflated at once: a piece of zeros may grow a thousandfold.
const INFLATE_BYTES: usize = 4_096;

/// Bytes that are handed on in steps.
#[derive(Default)]
struct Steps {
    bytes: Vec<u8>,
    at: usize,
}

impl Steps {
    fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    fn next(&mut self, most: usize) -> Option<&[u8]> {
        let begin = self.at;
        self.at = self.bytes.len().min(begin + most);
        (begin < self.at).then(|| &self.bytes[begin..self.at])
    }
}

/// The items of one object.
pub struct Items {
    pieces: Pieces,
    format: Box<dyn Format>,
    inflate: Option<flate2::write::MultiGzDecoder<Vec<u8>>>,
    /// Bytes of the last piece that are not inflated yet.
    packed: Steps,
    /// Bytes that the format has not got yet.
    plain: Steps,
    ready: VecDeque<Value>,
    /// There are no more pieces.
    drained: bool,
    ended: bool,
}

impl std::fmt::Debug for Items {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Items").field("format", &self.format).field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

impl Items {
    #[must_use]
    pub fn new(pieces: Pieces, format: Box<dyn Format>, gzipped: bool) -> Self {
        let inflate = gzipped.then(|| flate2::write::MultiGzDecoder::new(Vec::new()));
        Self {
            pieces,
            format,
            inflate,
            packed: Steps::default(),
            plain: Steps::default(),
            ready: VecDeque::new(),
            drained: false,
            ended: false,
        }
    }

    /// Items that are read and not taken yet.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The items are the pairs of an object, as `{"Key", "Value"}`.
    #[must_use]
    pub fn gives_pairs(&self) -> bool {
        self.format.gives_pairs()
    }

    /// The next item; `None` behind the last one.
    ///
    /// # Errors
    /// Where the object cannot be read on, or does not fit its format.
    pub async fn next(&mut self) -> Result<Option<Value>, ItemError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if self.ended {
                return Ok(None);
            }
            if self.step()? {
                continue;
            }
            let piece = if self.drained { None } else { self.pieces.next().await };
            match piece {
                Some(piece) if self.inflate.is_some() => self.packed = Steps::of(piece?),
                Some(piece) => self.plain = Steps::of(piece?),
                None => self.end()?,
            }
        }
    }

    /// Hands some bytes to the format. False where there are none.
    fn step(&mut self) -> Result<bool, ItemError> {
        if let Some(part) = self.plain.next(STEP_BYTES) {
            self.format.feed(part, &mut self.ready)?;
            self.ended |= self.format.is_done();
            return Ok(true);
        }
        let (Some(inflate), Some(part)) = (&mut self.inflate, self.packed.next(INFLATE_BYTES)) else {
            return Ok(false);
        };
        std::io::Write::write_all(inflate, part).map_err(|e| not_gzip(&e))?;
        self.plain = Steps::of(std::mem::take(inflate.get_mut()));
        Ok(true)
    }

    /// The pieces have ended: first come the last inflated bytes, then the format's own end.
    fn end(&mut self) -> Result<(), ItemError> {
        self.drained = true;
        if let Some(mut inflate) = self.inflate.take() {
            inflate.try_finish().map_err(|e| not_gzip(&e))?;
            self.plain = Steps::of(std::mem::take(inflate.get_mut()));
            return Ok(());
        }
        self.ended = true;
        self.format.end(&mut self.ready)
    }
}

fn not_gzip(e: &std::io::Error) -> ItemError {
    ItemError::Malformed { format: "gzip", why: e.to_string(), item: 0 }
}

/// The piece without the byte order mark with which a file may begin.
fn without_mark(piece: &[u8]) -> &[u8] {
    piece.strip_prefix(b"\xef\xbb\xbf").unwrap_or(piece)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Reads the text whole, cut in two at each place, and byte by byte. All must give the same items.
    pub(crate) fn all(format: impl Fn() -> Box<dyn Format>, text: &str) -> Result<Vec<Value>, String> {
        let whole = read(format(), &[text.as_bytes()]);
        for cut in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(cut);
            assert_eq!(read(format(), &[a, b]), whole, "cut at {cut}");
        }
        assert_eq!(read(format(), &text.as_bytes().chunks(1).collect::<Vec<_>>()), whole);
        whole
    }

    fn read(mut format: Box<dyn Format>, pieces: &[&[u8]]) -> Result<Vec<Value>, String> {
        let mut items = VecDeque::new();
        for piece in pieces {
            format.feed(piece, &mut items).map_err(|e| e.to_string())?;
        }
        format.end(&mut items).map_err(|e| e.to_string())?;
        Ok(items.into())
    }

    /// A piece of 1 MiB with rows of two bytes, each of which becomes an item of some ten KiB.
    #[tokio::test]
    async fn few_items_are_held_however_many_a_piece_has() {
        let names: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
        let text = format!("{}\n{}", names.join(","), " \n".repeat(524_288));
        for gzipped in [false, true] {
            let bytes = if gzipped {
                use std::io::Write;
                let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                zip.write_all(text.as_bytes()).unwrap();
                zip.finish().unwrap()
            } else {
                text.clone().into_bytes()
            };
            let csv = Csv::new(Headers::FirstRow, Delimiter::Comma).unwrap();
            let mut items = Items::new(futures_util::stream::iter([Ok(bytes)]).boxed(), Box::new(csv), gzipped);
            for _ in 0..200 {
                assert_eq!(items.next().await.unwrap().unwrap()["0"], " ");
                assert!(items.ready() <= STEP_BYTES, "{} items are held", items.ready());
            }
        }
    }

    #[tokio::test]
    async fn a_gzipped_file_is_read_as_it_is_unpacked() {
        use std::io::Write;
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        for i in 0..5_000 {
            writeln!(zip, "{{\"i\":{i}}}").unwrap();
        }
        let bytes = zip.finish().unwrap();
        let pieces: Vec<Result<Vec<u8>, ObjectError>> = bytes.chunks(100).map(|c| Ok(c.to_vec())).collect();
        let mut items = Items::new(futures_util::stream::iter(pieces).boxed(), Box::new(Lines::default()), true);
        let mut n = 0;
        while let Some(item) = items.next().await.unwrap() {
            assert_eq!(item["i"], n);
            n += 1;
        }
        assert_eq!(n, 5_000);
    }
}
