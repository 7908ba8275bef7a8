//! CSV: each row an object, its fields named by the headers. A row that is too short gives empty texts, one that is too
//! long loses the rest.

use std::collections::VecDeque;

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};
use serde_json::{Map, Value};

use super::{Format, ItemError, without_mark};
use crate::limits::ITEM_BYTES_MAX;

/// `CSVHeaderLocation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Headers {
    FirstRow,
    Given(Vec<String>),
}

/// `CSVDelimiter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delimiter {
    #[default]
    Comma,
    Pipe,
    Semicolon,
    Space,
    Tab,
}

impl Delimiter {
    /// AWS's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "COMMA" => Self::Comma,
            "PIPE" => Self::Pipe,
            "SEMICOLON" => Self::Semicolon,
            "SPACE" => Self::Space,
            "TAB" => Self::Tab,
            _ => return None,
        })
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Pipe => b'|',
            Self::Semicolon => b';',
            Self::Space => b' ',
            Self::Tab => b'\t',
        }
    }
}

/// `InputType: CSV`.
pub struct Csv {
    reader: Reader,
    headers: Option<Vec<String>>,
    row: Vec<String>,
    field: Vec<u8>,
    buffer: Vec<u8>,
    row_bytes: usize,
    /// The first bytes, until there are enough to see a byte order mark.
    head: Option<Vec<u8>>,
    rows: u64,
}

impl std::fmt::Debug for Csv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Csv").field("headers", &self.headers).field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Csv {
    pub fn new(headers: Headers, delimiter: Delimiter) -> Result<Self, ItemError> {
        let headers = match headers {
            Headers::FirstRow => None,
            Headers::Given(names) => Some(distinct(names)?),
        };
        Ok(Self {
            reader: ReaderBuilder::new().delimiter(delimiter.byte()).build(),
            headers,
            row: Vec::new(),
            field: Vec::new(),
            buffer: vec![0; 8_192],
            row_bytes: 0,
            head: Some(Vec::new()),
            rows: 0,
        })
    }

    fn scan(&mut self, mut piece: &[u8], items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        // An empty piece tells csv_core that the text ends.
        let ending = piece.is_empty();
        while ending || !piece.is_empty() {
            let (result, taken, given) = self.reader.read_field(piece, &mut self.buffer);
            piece = &piece[taken..];
            self.field.extend_from_slice(&self.buffer[..given]);
            self.row_bytes += given;
            if self.row_bytes > ITEM_BYTES_MAX {
                return Err(ItemError::TooLarge { item: self.rows });
            }
            match result {
                ReadFieldResult::InputEmpty if ending => {}
                ReadFieldResult::InputEmpty | ReadFieldResult::End => return Ok(()),
                ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    let bytes = std::mem::take(&mut self.field);
                    let text = String::from_utf8(bytes).map_err(|e| ItemError::Malformed {
                        format: "CSV",
                        why: e.utf8_error().to_string(),
                        item: self.rows,
                    })?;
                    self.row.push(text);
                    if record_end {
                        self.end_row(items)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn end_row(&mut self, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        self.row_bytes = 0;
        let row = std::mem::take(&mut self.row);
        let Some(headers) = &self.headers else {
            self.headers = Some(distinct(row)?);
            return Ok(());
        };
        let mut fields = row.into_iter();
        let mut item = Map::new();
        for name in headers {
            item.insert(name.clone(), fields.next().unwrap_or_default().into());
        }
        items.push_back(Value::Object(item));
        self.rows += 1;
        Ok(())
    }
}

fn distinct(names: Vec<String>) -> Result<Vec<String>, ItemError> {
    let mut seen = std::collections::HashSet::new();
    if names.iter().all(|name| seen.insert(name)) { Ok(names) } else { Err(ItemError::DuplicateHeaders) }
}

impl Format for Csv {
    fn feed(&mut self, piece: &[u8], items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        let Some(mut head) = self.head.take() else {
            return if piece.is_empty() { Ok(()) } else { self.scan(piece, items) };
        };
        head.extend_from_slice(piece);
        if head.len() < 3 {
            self.head = Some(head);
            return Ok(());
        }
        self.scan(without_mark(&head), items)
    }

    fn end(&mut self, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        if let Some(head) = self.head.take().filter(|h| !h.is_empty()) {
            self.scan(&head, items)?;
        }
        self.scan(&[], items)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::all;
    use super::*;
    use serde_json::json;

    fn csv(headers: &Headers, delimiter: Delimiter, text: &str) -> Result<Vec<Value>, String> {
        Csv::new(headers.clone(), delimiter).map_err(|e| e.to_string())?;
        all(|| Box::new(Csv::new(headers.clone(), delimiter).unwrap()), text)
    }

    fn given(names: &[&str]) -> Headers {
        Headers::Given(names.iter().map(|n| (*n).to_owned()).collect())
    }

    /// The file and the results that were recorded on AWS.
    #[test]
    fn rows_are_read_as_recorded() {
        let text = "Value1,Value2,Value3\nValue4,Value5,Value6\n,,,\ntrue,1,'HelloWorld'\nNull,None,\n   \n";
        let of = |v: &str| json!({ "H1": v });
        let wanted = vec![of("Value1"), of("Value4"), of(""), of("true"), of("Null"), of("   ")];
        assert_eq!(csv(&given(&["H1"]), Delimiter::Comma, text), Ok(wanted));
        assert_eq!(
            csv(&given(&["H1", "H1", "H3"]), Delimiter::Comma, text).unwrap_err(),
            "CSV headers cannot contain duplicates."
        );
    }

    #[test]
    fn headers_quotes_and_delimiters() {
        let comma = Delimiter::Comma;
        for (delimiter, text, wanted) in [
            (
                comma,
                "a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n2\r\n3,4,5",
                json!([{"a": "1", "b": "x, \"y\"\nz"}, {"a": "2", "b": ""}, {"a": "3", "b": "4"}]),
            ),
            (Delimiter::Pipe, "a|b\n1|2", json!([{"a": "1", "b": "2"}])),
            (Delimiter::Semicolon, "a;b\n1;2", json!([{"a": "1", "b": "2"}])),
            (Delimiter::Space, "a b\n1 2", json!([{"a": "1", "b": "2"}])),
            (Delimiter::Tab, "a\tb\n1\t2", json!([{"a": "1", "b": "2"}])),
            (comma, "\u{feff}a\n1\n", json!([{"a": "1"}])),
            (comma, "a\n", json!([])),
            (comma, "", json!([])),
        ] {
            assert_eq!(csv(&Headers::FirstRow, delimiter, text).map(Value::from), Ok(wanted), "{text:?}");
        }
        assert_eq!(csv(&Headers::FirstRow, comma, "a,a\n1,2\n").unwrap_err(), "CSV headers cannot contain duplicates.");
    }
}
