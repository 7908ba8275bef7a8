//! CSV as AWS reads it: bytes to rows of texts.
//!
//! The dialect is AWS's own (developer guide, "How Step Functions parses input CSV files"): a quote is kept by
//! repeating it, also in a field without quotes; a backslash escapes a backslash, a quote and the delimiter, and is
//! dropped before anything else. No CSV library reads this dialect, so the bytes are read here.

use crate::limits::{CSV_HEADER_BYTES_MAX, ITEM_BYTES_MAX};

/// Fields of a row that are kept: one more than the names of headers within their bound, which have a delimiter between
/// them.
const FIELDS_MAX: usize = CSV_HEADER_BYTES_MAX + 2;

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

    /// The byte between fields.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Pipe => b'|',
            Self::Semicolon => b';',
            Self::Space => b' ',
            Self::Tab => b'\t',
        }
    }
}

/// The position of the next byte in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the first byte of a field.
    Start,
    Plain,
    Quoted,
    /// Behind a quote within quotes: the end of the field, or the first half of a quote that is kept.
    QuoteInQuoted,
    /// Behind a quote in a field without quotes. It is kept; a second quote directly after it counts as the same quote.
    QuoteInPlain,
}

/// Reasons why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error("the row has more than {ITEM_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the headers have more than {CSV_HEADER_BYTES_MAX} bytes")]
    HeadersTooLarge,
    #[error("{0}")]
    NotUtf8(std::str::Utf8Error),
}

/// Checks the size of a header row.
///
/// # Errors
/// `HeadersTooLarge`.
pub fn check_headers(names: &[String]) -> Result<(), RowError> {
    let bytes = names.iter().map(String::len).sum::<usize>() + names.len().saturating_sub(1);
    if bytes > CSV_HEADER_BYTES_MAX { Err(RowError::HeadersTooLarge) } else { Ok(()) }
}

/// Takes bytes and gives complete rows.
#[derive(Debug)]
pub struct Rows {
    delimiter: u8,
    row: Vec<String>,
    field: Vec<u8>,
    place: Place,
    /// Behind a backslash.
    escaped: bool,
    /// The row has at least one byte, also a dropped one, so it is no blank line.
    begun: bool,
    row_bytes: usize,
}

impl Rows {
    #[must_use]
    pub fn new(delimiter: Delimiter) -> Self {
        Self {
            delimiter: delimiter.byte(),
            row: Vec::new(),
            field: Vec::new(),
            place: Place::Start,
            escaped: false,
            begun: false,
            row_bytes: 0,
        }
    }

    /// The next byte; gives the row that it ends, if any.
    ///
    /// # Errors
    /// Where the row cannot be read.
    pub fn byte(&mut self, byte: u8) -> Result<Option<Vec<String>>, RowError> {
        self.row_bytes += 1;
        if self.row_bytes > ITEM_BYTES_MAX {
            return Err(RowError::TooLarge);
        }
        if std::mem::take(&mut self.escaped) && (matches!(byte, b'\\' | b'"') || byte == self.delimiter) {
            self.keep(byte);
            return Ok(None);
        }
        match (self.place, byte) {
            (Place::QuoteInQuoted, b'"') => {
                self.field.push(byte);
                self.place = Place::Quoted;
                return Ok(None);
            }
            (Place::QuoteInPlain, b'"') => {
                self.keep(byte);
                return Ok(None);
            }
            (Place::QuoteInQuoted, _) => self.place = Place::Plain,
            (Place::QuoteInPlain, _) => self.keep(b'"'),
            _ => {}
        }
        match (self.place, byte) {
            (_, b'\\') => {
                self.escaped = true;
                self.begun = true;
            }
            (Place::Start, b'"') => {
                self.place = Place::Quoted;
                self.begun = true;
            }
            (Place::Quoted, b'"') => self.place = Place::QuoteInQuoted,
            (Place::Plain, b'"') => self.place = Place::QuoteInPlain,
            (Place::Quoted, _) => self.field.push(byte),
            (_, b'\n' | b'\r') => return self.end_row(),
            _ if byte == self.delimiter => self.end_field()?,
            _ => self.keep(byte),
        }
        Ok(None)
    }

    /// Ends the text. The last row needs no line break, and open quotes end here.
    ///
    /// # Errors
    /// Where the row cannot be read.
    pub fn end(&mut self) -> Result<Option<Vec<String>>, RowError> {
        if self.place == Place::QuoteInPlain {
            self.keep(b'"');
        }
        self.end_row()
    }

    fn keep(&mut self, byte: u8) {
        self.field.push(byte);
        self.begun = true;
        if self.place != Place::Quoted {
            self.place = Place::Plain;
        }
    }

    fn end_field(&mut self) -> Result<(), RowError> {
        let bytes = std::mem::take(&mut self.field);
        let field = String::from_utf8(bytes).map_err(|e| RowError::NotUtf8(e.utf8_error()))?;
        // A field beyond all headers would be dropped anyway.
        if self.row.len() < FIELDS_MAX {
            self.row.push(field);
        }
        self.place = Place::Start;
        self.begun = true;
        Ok(())
    }

    /// A line without a byte is no row.
    fn end_row(&mut self) -> Result<Option<Vec<String>>, RowError> {
        self.row_bytes = 0;
        if !self.begun {
            return Ok(None);
        }
        self.end_field()?;
        self.begun = false;
        Ok(Some(std::mem::take(&mut self.row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(delimiter: Delimiter, text: &str) -> Vec<Vec<String>> {
        let mut rows = Rows::new(delimiter);
        let mut read: Vec<_> = text.bytes().filter_map(|byte| rows.byte(byte).unwrap()).collect();
        read.extend(rows.end().unwrap());
        read
    }

    #[test]
    fn a_row_has_so_many_fields_at_most() {
        let row = rows(Delimiter::Comma, &",".repeat(1_000_000)).remove(0);
        assert_eq!(row.len(), FIELDS_MAX);
        assert_eq!(check_headers(&row), Err(RowError::HeadersTooLarge));
        let names = |bytes: usize| ["x".repeat(bytes - 2), "y".to_owned()];
        assert_eq!(check_headers(&names(CSV_HEADER_BYTES_MAX)), Ok(()));
        assert_eq!(check_headers(&names(CSV_HEADER_BYTES_MAX + 1)), Err(RowError::HeadersTooLarge));
    }

    /// Developer guide, "How Step Functions parses input CSV files": its sentences, and their consequences.
    #[test]
    fn quotes_and_backslashes_are_those_of_the_guide() {
        for (delimiter, row, wanted) in [
            // A quote is kept by repeating it, with or without quotes around the field.
            (",", r#"{""k"":""v""}"#, vec![r#"{"k":"v"}"#]),
            (",", r#""{""k"":""v""}""#, vec![r#"{"k":"v"}"#]),
            (",", r#"a""b"#, vec![r#"a"b"#]),
            (",", r#"a"""b"#, vec![r#"a""b"#]),
            (",", r#"a"b"#, vec![r#"a"b"#]),
            (",", r#"a""#, vec![r#"a""#]),
            (",", r#""a"b"#, vec!["ab"]),
            (",", r#""""#, vec![""]),
            // Fields in quotes hold delimiters and line breaks.
            (",", "\"a,b\nc\",d", vec!["a,b\nc", "d"]),
            // A backslash escapes a backslash, a quote and the delimiter, in quotes too.
            (",", r"C:\\tmp\\a.txt,1", vec![r"C:\tmp\a.txt", "1"]),
            (",", r"left\,right,2", vec!["left,right", "2"]),
            (",", r#"\"a\",3"#, vec![r#""a""#, "3"]),
            (",", r#""a\"b\\",4"#, vec![r#"a"b\"#, "4"]),
            ("|", r"a\|b|c", vec!["a|b", "c"]),
            // Before anything else it is dropped: also before a delimiter of other files.
            (",", r"a\bc", vec!["abc"]),
            (",", r"a\|b", vec!["a|b"]),
            ("|", r"a\,b", vec!["a,b"]),
            (",", r"a\nb", vec!["anb"]),
            (",", "a\\\nb", vec!["a"]),
            (",", r"a\", vec!["a"]),
            (",", r"\", vec![""]),
        ] {
            let delimiter = if delimiter == "|" { Delimiter::Pipe } else { Delimiter::Comma };
            assert_eq!(rows(delimiter, row).first().map_or(&[][..], Vec::as_slice), wanted, "{row}");
        }
        // Blank lines make no rows, with any line break.
        assert_eq!(rows(Delimiter::Comma, "\r\n1\r\n\r\n\n2\r3"), [["1"], ["2"], ["3"]]);
        assert!(rows(Delimiter::Comma, "\n\n").is_empty());
    }
}
