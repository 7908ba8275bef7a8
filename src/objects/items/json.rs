//! A JSON file whose items are the elements of an array or the pairs of an object, at the top of the file or at
//! `ItemsPointer`. Only the item that is being read is held in memory. The text around the items is skipped without
//! parsing its values.

use std::collections::VecDeque;

use serde_json::Value;

use super::{Format, ItemError, without_mark};
use crate::limits::ITEM_BYTES_MAX;

/// `InputType: JSON`.
#[derive(Debug)]
pub struct JsonArray {
    pointer: String,
    /// The tokens of the pointer.
    way: Vec<String>,
    phase: Phase,
    string: Option<InString>,
    /// Containers that are open on the way to the array.
    open: Vec<Container>,
    /// The text of a key, or of the element that is being read.
    text: Vec<u8>,
    /// Containers that are open within the element.
    depth: usize,
    items: u64,
    head: Option<Vec<u8>>,
    /// The items are the pairs of an object.
    is_object: bool,
    /// The key of the pair that is being read.
    key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Seek,
    /// Between elements, or between pairs.
    Between,
    /// Between a key and its value.
    Colon,
    /// In an element that is an array, an object or a string.
    Element,
    /// In a number or a word.
    Scalar,
    Done,
}

#[derive(Debug, Clone, Copy)]
struct InString {
    escaped: bool,
    /// The string is a key on the way.
    key: bool,
}

#[derive(Debug)]
struct Container {
    /// The key, or the index, of the value that comes next.
    at: String,
    index: Option<usize>,
    wants_key: bool,
}

impl JsonArray {
    /// `pointer`: `ItemsPointer`, or empty.
    #[must_use]
    pub fn new(pointer: &str) -> Self {
        let way = pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
        Self {
            pointer: pointer.to_owned(),
            way,
            phase: Phase::Seek,
            string: None,
            open: Vec::new(),
            text: Vec::new(),
            depth: 0,
            items: 0,
            head: Some(Vec::new()),
            is_object: false,
            key: None,
        }
    }

    /// Tells whether the pointer names the next value.
    fn is_there(&self) -> bool {
        self.open.len() == self.way.len() && self.open.iter().zip(&self.way).all(|(c, token)| c.at == *token)
    }

    fn seek(&mut self, byte: u8) -> Result<(), ItemError> {
        let wants_key = self.open.last().is_some_and(|c| c.wants_key);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b':' => {}
            b',' => match self.open.last_mut() {
                Some(Container { index: Some(i), at, .. }) => {
                    *i += 1;
                    *at = i.to_string();
                }
                Some(object) => object.wants_key = true,
                None => {}
            },
            b']' | b'}' => drop(self.open.pop()),
            b'"' if wants_key => {
                self.text.clear();
                self.string = Some(InString { escaped: false, key: true });
            }
            b'[' | b'{' if self.is_there() => {
                self.phase = Phase::Between;
                self.is_object = byte == b'{';
            }
            // The pointer names a value of another kind.
            _ if self.is_there() => return Err(ItemError::NotIterable),
            b'"' => self.string = Some(InString { escaped: false, key: false }),
            b'[' => self.open.push(Container { at: "0".to_owned(), index: Some(0), wants_key: false }),
            b'{' => self.open.push(Container { at: String::new(), index: None, wants_key: true }),
            // Numbers and words.
            _ => {}
        }
        Ok(())
    }

    fn end_key(&mut self) -> Result<(), ItemError> {
        let mut quoted = vec![b'"'];
        quoted.append(&mut self.text);
        quoted.push(b'"');
        let key: String = serde_json::from_slice(&quoted).map_err(|e| self.malformed(&e.to_string()))?;
        if self.phase == Phase::Between {
            self.key = Some(key);
            self.phase = Phase::Colon;
        } else if let Some(object) = self.open.last_mut() {
            object.at = key;
            object.wants_key = false;
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        if let Some(mut string) = self.string {
            return self.in_string(&mut string, byte, items);
        }
        match self.phase {
            Phase::Seek => self.seek(byte)?,
            Phase::Between => match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
                b']' | b'}' if (byte == b'}') == self.is_object => self.phase = Phase::Done,
                b'"' if self.is_object => {
                    self.text.clear();
                    self.string = Some(InString { escaped: false, key: true });
                }
                _ if self.is_object => return Err(self.malformed("a key is missing")),
                _ => {
                    self.phase = Phase::Element;
                    self.element(byte, items)?;
                }
            },
            Phase::Colon => match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b':' => {}
                _ => {
                    self.phase = Phase::Element;
                    self.element(byte, items)?;
                }
            },
            Phase::Element => self.element(byte, items)?,
            Phase::Scalar => match byte {
                b',' | b' ' | b'\t' | b'\r' | b'\n' => self.end_element(items)?,
                b']' | b'}' => {
                    self.end_element(items)?;
                    self.phase = Phase::Done;
                }
                _ => self.text.push(byte),
            },
            Phase::Done => {}
        }
        Ok(())
    }

    fn in_string(&mut self, string: &mut InString, byte: u8, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        let ends = byte == b'"' && !string.escaped;
        if (string.key && !ends) || self.phase == Phase::Element {
            self.text.push(byte);
        }
        string.escaped = byte == b'\\' && !string.escaped;
        self.string = (!ends).then_some(*string);
        if ends && string.key {
            self.end_key()?;
        } else if ends && self.phase == Phase::Element && self.depth == 0 {
            self.end_element(items)?;
        }
        Ok(())
    }

    fn element(&mut self, byte: u8, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        self.text.push(byte);
        match byte {
            b'"' => self.string = Some(InString { escaped: false, key: false }),
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.end_element(items)?;
                }
            }
            _ if self.depth == 0 => self.phase = Phase::Scalar,
            _ => {}
        }
        Ok(())
    }

    fn end_element(&mut self, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        let value: Value = serde_json::from_slice(&self.text).map_err(|e| self.malformed(&e.to_string()))?;
        items.push_back(match self.key.take() {
            Some(key) => serde_json::json!({ "Key": key, "Value": value }),
            None => value,
        });
        self.text.clear();
        self.items += 1;
        self.phase = Phase::Between;
        Ok(())
    }

    fn malformed(&self, why: &str) -> ItemError {
        ItemError::Malformed { format: "JSON", why: why.to_owned(), item: self.items }
    }
}

impl Format for JsonArray {
    fn feed(&mut self, piece: &[u8], items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        let mut first = Vec::new();
        let mut piece = piece;
        if let Some(mut head) = self.head.take() {
            head.extend_from_slice(piece);
            if head.len() < 3 {
                self.head = Some(head);
                return Ok(());
            }
            first = head;
            piece = without_mark(&first);
        }
        for byte in piece {
            self.byte(*byte, items)?;
        }
        drop(first);
        if self.text.len() > ITEM_BYTES_MAX { Err(ItemError::TooLarge { item: self.items }) } else { Ok(()) }
    }

    fn end(&mut self, items: &mut VecDeque<Value>) -> Result<(), ItemError> {
        for byte in self.head.take().unwrap_or_default() {
            self.byte(byte, items)?;
        }
        match self.phase {
            Phase::Done => Ok(()),
            Phase::Seek if self.pointer.is_empty() => Err(self.malformed("it ends before it begins")),
            Phase::Seek => Err(ItemError::NothingAtPointer(self.pointer.clone())),
            Phase::Between | Phase::Colon | Phase::Element | Phase::Scalar => {
                let what = if self.is_object { "object" } else { "array" };
                Err(self.malformed(&format!("it ends within the {what} of items")))
            }
        }
    }

    fn gives_pairs(&self) -> bool {
        self.is_object
    }

    fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::all;
    use super::*;
    use serde_json::json;

    fn items(pointer: &str, text: &str) -> Result<Vec<Value>, String> {
        all(|| Box::new(JsonArray::new(pointer)), text)
    }

    #[test]
    fn the_elements_of_the_array_are_the_items() {
        let nested = r#"{"x": {"a": [0, "]"]}, "a\"b": 1, "a": {"b/c": [ 1,2 , {"d":[3]}], "b": 4}, "z": ["#;
        for (pointer, text, wanted) in [
            ("", "[]", json!([])),
            (
                "",
                " [1, -2.5e3,true ,null, \"a\\\"],[\", [], {\"b\":[{}]}]  ",
                json!([1, -2500.0, true, null, "a\"],[", [], {"b": [{}]}]),
            ),
            ("", "\u{feff}[\"é\"]", json!(["é"])),
            // The text after the array is not read.
            ("/a/b~1c", nested, json!([1, 2, {"d": [3]}])),
            ("/x/a", nested, json!([0, "]"])),
            ("/1/k", r#"[{"k":[1]},{"k":[2]}]"#, json!([2])),
        ] {
            assert_eq!(items(pointer, text).map(Value::from), Ok(wanted), "{pointer} {text}");
        }
    }

    /// Seen on AWS in 2026; a recording of 2023 refuses such a file.
    #[test]
    fn the_pairs_of_an_object_are_items_too() {
        let pair = |key: &str, value: Value| json!({"Key": key, "Value": value});
        for (pointer, text, wanted) in [
            ("", "{}", vec![]),
            (
                "",
                r#" {"a": {"x": [1]}, "b,\"}": 2 ,"c":"}"} "#,
                vec![pair("a", json!({"x": [1]})), pair("b,\"}", json!(2)), pair("c", json!("}"))],
            ),
            ("", r#"{"a":1,"b":[],"c":null}"#, vec![pair("a", json!(1)), pair("b", json!([])), pair("c", json!(null))]),
            ("/o", r#"{"n": [1], "o": {"k": true}, "p": 1}"#, vec![pair("k", json!(true))]),
        ] {
            assert_eq!(items(pointer, text), Ok(wanted), "{pointer} {text}");
            let mut format = JsonArray::new(pointer);
            format.feed(text.as_bytes(), &mut VecDeque::new()).unwrap();
            format.end(&mut VecDeque::new()).unwrap();
            assert!(format.gives_pairs());
        }
    }

    #[test]
    fn what_is_no_array_is_told() {
        for (pointer, text, wanted) in [
            ("", "{\"a\": 1", "The file is not valid JSON: it ends within the object of items (item 0)"),
            ("", "{1: 2}", "The file is not valid JSON: a key is missing (item 0)"),
            ("", "12", "Attempting to map over non-iterable node."),
            ("/a", r#"{"a": "b"}"#, "Attempting to map over non-iterable node."),
            ("/a/b", r#"{"a": {"c": []}}"#, "ItemsPointer '/a/b' names nothing in the file."),
            ("", "", "The file is not valid JSON: it ends before it begins (item 0)"),
            ("", "[1, 2", "The file is not valid JSON: it ends within the array of items (item 1)"),
        ] {
            assert_eq!(items(pointer, text).unwrap_err(), wanted, "{pointer} {text}");
        }
        assert!(items("", "[1, tru]").unwrap_err().starts_with("The file is not valid JSON: "));
    }
}
