//! JSON Lines, with one item per line, and lists of URIs, with one per line (manifests of Athena).

use std::collections::VecDeque;

use serde_json::Value;

use super::{Format, ItemError, without_mark};
use crate::limits::ITEM_BYTES_MAX;

/// `InputType: JSONL`.
#[derive(Debug, Default)]
pub struct Lines {
    cutter: Cutter,
}

/// The lines themselves, as strings.
#[derive(Debug, Default)]
pub struct Uris {
    cutter: Cutter,
}

#[derive(Debug, Default)]
struct Cutter {
    line: Vec<u8>,
    items: u64,
    begun: bool,
}

/// Takes a line and its number.
type Take<'a> = dyn FnMut(&[u8], u64) -> Result<(), ItemError> + 'a;

impl Cutter {
    /// Calls `take` with each complete line that is not blank.
    fn feed(&mut self, piece: &[u8], take: &mut Take<'_>) -> Result<(), ItemError> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            self.end(take)?;
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > ITEM_BYTES_MAX { Err(ItemError::TooLarge { item: self.items }) } else { Ok(()) }
    }

    fn end(&mut self, take: &mut Take<'_>) -> Result<(), ItemError> {
        let line = std::mem::take(&mut self.line);
        let text = if self.begun { &line[..] } else { without_mark(&line) }.trim_ascii();
        self.begun = true;
        if !text.is_empty() {
            take(text, self.items)?;
            self.items += 1;
        }
        Ok(())
    }
}

fn parse(line: &[u8], item: u64) -> Result<Value, ItemError> {
    serde_json::from_slice(line).map_err(|e| ItemError::Malformed { format: "JSON Lines", why: e.to_string(), item })
}

fn uri(line: &[u8], item: u64) -> Result<Value, ItemError> {
    let text =
        std::str::from_utf8(line).map_err(|e| ItemError::Malformed { format: "text", why: e.to_string(), item })?;
    Ok(text.trim_matches('"').into())
}

impl Format for Lines {
    fn feed(&mut self, piece: &[u8], items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        self.cutter.feed(piece, &mut |line, i| parse(line, i).map(|v| items.push_back(v)))
    }

    fn end(&mut self, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        self.cutter.end(&mut |line, i| parse(line, i).map(|v| items.push_back(v)))
    }
}

impl Format for Uris {
    fn feed(&mut self, piece: &[u8], items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        self.cutter.feed(piece, &mut |line, i| uri(line, i).map(|v| items.push_back(v)))
    }

    fn end(&mut self, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        self.cutter.end(&mut |line, i| uri(line, i).map(|v| items.push_back(v)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::all;
    use super::*;
    use serde_json::json;

    #[test]
    fn each_line_is_an_item() {
        let lines = |text| all(|| Box::new(Lines::default()), text);
        assert_eq!(lines("{\"a\":1}\r\n\n[2]\n\"drei\""), Ok(vec![json!({"a": 1}), json!([2]), json!("drei")]));
        assert_eq!(lines("\u{feff}1\n"), Ok(vec![json!(1)]));
        assert_eq!(lines(""), Ok(vec![]));
        assert!(lines("1\n{\n").unwrap_err().starts_with("The file is not valid JSON Lines: EOF"));
        let uris = |text| all(|| Box::new(Uris::default()), text);
        assert_eq!(uris("s3://a/b\n\"s3://c/d\"\n"), Ok(vec![json!("s3://a/b"), json!("s3://c/d")]));
    }
}
