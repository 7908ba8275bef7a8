//! CSV: each row becomes an object whose fields are named by the headers. A short row is filled with empty texts, a
//! long row is cut. `crate::csv` reads the rows.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::{Format, ItemError, without_mark};
use crate::csv::{RowError, Rows, check_headers};

pub use crate::csv::Delimiter;

/// `CSVHeaderLocation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Headers {
    FirstRow,
    Given(Vec<String>),
}

/// `InputType: CSV`.
pub struct Csv {
    reader: Rows,
    headers: Option<Vec<String>>,
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
            Headers::Given(names) => Some(checked(names)?),
        };
        Ok(Self { reader: Rows::new(delimiter), headers, head: Some(Vec::new()), rows: 0 })
    }

    fn scan(&mut self, piece: &[u8], items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        for byte in piece {
            if let Some(row) = self.reader.byte(*byte).map_err(|e| self.unread(&e))? {
                self.take(row, items)?;
            }
        }
        Ok(())
    }

    fn unread(&self, error: &RowError) -> ItemError {
        match error {
            RowError::TooLarge => ItemError::TooLarge { item: self.rows },
            RowError::HeadersTooLarge => ItemError::HeadersTooLarge,
            RowError::NotUtf8(_) => ItemError::Malformed { format: "CSV", why: error.to_string(), item: self.rows },
        }
    }

    fn take(&mut self, row: Vec<String>, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        let Some(headers) = &self.headers else {
            self.headers = Some(checked(row)?);
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

/// Checks the names of the fields.
fn checked(names: Vec<String>) -> Result<Vec<String>, ItemError> {
    check_headers(&names).map_err(|_| ItemError::HeadersTooLarge)?;
    let mut seen = std::collections::HashSet::new();
    if names.iter().all(|name| seen.insert(name)) { Ok(names) } else { Err(ItemError::DuplicateHeaders) }
}

impl Format for Csv {
    fn feed(&mut self, piece: &[u8], items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        let Some(mut head) = self.head.take() else { return self.scan(piece, items) };
        head.extend_from_slice(piece);
        if head.len() < 3 {
            self.head = Some(head);
            return Ok(());
        }
        self.scan(without_mark(&head), items)
    }

    fn end(&mut self, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        if let Some(head) = self.head.take() {
            self.scan(&head, items)?;
        }
        match self.reader.end().map_err(|e| self.unread(&e))? {
            Some(row) => self.take(row, items),
            None => Ok(()),
        }
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
        let wide = (0..3_000).map(|n| n.to_string()).collect::<Vec<_>>();
        for headers in [Headers::FirstRow, Headers::Given(wide.clone())] {
            let mut items = VecDeque::new();
            let refused = Csv::new(headers, comma)
                .and_then(|mut csv| csv.feed(wide.join(",").as_bytes(), &mut items).and_then(|()| csv.end(&mut items)));
            assert_eq!(refused.unwrap_err().to_string(), "CSV headers cannot have more than 10240 bytes.");
        }
    }

    /// The guide's own example.
    #[test]
    fn a_field_without_quotes_keeps_its_quotes_when_they_are_repeated() {
        let text = "id,doc\n1,{\"\"k\"\":\"\"v\"\"}\n2,left\\,right\n";
        let wanted = json!([{"id": "1", "doc": "{\"k\":\"v\"}"}, {"id": "2", "doc": "left,right"}]);
        assert_eq!(csv(&Headers::FirstRow, Delimiter::Comma, text).map(Value::from), Ok(wanted));
    }
}
