//! A JSON value that events, frames and messages share, together with its text.
//!
//! Most data of an execution is only passed on: a worker's answer is in several events of a journal and is never read.
//! So a payload keeps its original text and is parsed at the first read. A text that was made of a value is kept too,
//! so that it is written once. This room imports no other.
//!
//! A text is kept only if serde_json would write exactly this text for its value (`is_canonical`): journal, history and
//! messages are then the same with or without the text. The only exception are numbers with more digits than a value
//! holds: they stay unchanged as long as a payload is passed on whole.

mod canonical;
pub mod jackson;
pub(crate) mod length;

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use canonical::{digits_kept, is_canonical};

/// Bytes from which it pays to avoid a tree and to look for a payload that stands at two places.
pub const LARGE: usize = 4_096;

/// Nesting of a payload that is read back: twice the bound for new ones.
const LEVELS_READ_MAX: usize = 256;

/// A JSON value with its text. Cheap to clone; reads as a [`Value`].
#[derive(Clone)]
pub struct Payload(Arc<Shared>);

/// At least one of value and text is set.
#[derive(Default)]
struct Shared {
    value: OnceLock<Value>,
    /// As serde_json writes the value, but for the digits of long numbers.
    text: OnceLock<Box<RawValue>>,
    /// It came as a text that was kept, so its nesting is within the bound of kept texts.
    is_shallow: bool,
    /// It was measured and is within the bounds of a payload.
    fits: AtomicBool,
    /// Bytes of the text plus one, where they were counted; else 0.
    counted: AtomicU32,
}

impl Payload {
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self(Arc::new(Shared { value: OnceLock::from(value), ..Shared::default() }))
    }

    /// The value of a JSON text.
    ///
    /// # Errors
    /// serde_json's error for a text that is not JSON, or that it cannot hold.
    pub fn parse(text: impl AsRef<str> + Into<String>) -> serde_json::Result<Self> {
        if !is_canonical(text.as_ref()) {
            return Self::written(text.as_ref(), serde_json::from_str(text.as_ref())?);
        }
        let text = RawValue::from_string(text.into())?;
        Ok(Self(Arc::new(Shared { text: OnceLock::from(text), is_shallow: true, ..Shared::default() })))
    }

    /// A value and its original text, which differs from the text that serde_json writes.
    fn written(text: &str, value: Value) -> serde_json::Result<Self> {
        let Some(text) = digits_kept(text, &value) else { return Ok(Self::new(value)) };
        let is_shallow = is_canonical(&text);
        let text = OnceLock::from(RawValue::from_string(text)?);
        Ok(Self(Arc::new(Shared { value: OnceLock::from(value), text, is_shallow, ..Shared::default() })))
    }

    /// The serialized form of `value`, as a text that is parsed at the first read.
    ///
    /// # Errors
    /// serde_json's error for a value without JSON (a map whose keys are no texts).
    pub fn of<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Self> {
        let text = serde_json::value::to_raw_value(value)?;
        Ok(Self(Arc::new(Shared { text: OnceLock::from(text), ..Shared::default() })))
    }

    /// The compact JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.raw().get()
    }

    fn raw(&self) -> &RawValue {
        // A `Value` always has a text.
        self.0
            .text
            .get_or_init(|| serde_json::value::to_raw_value(&**self).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// Bytes of the text, where they are known and the nesting is known to be harmless.
    #[must_use]
    pub fn measured(&self) -> Option<usize> {
        if self.0.is_shallow {
            self.0.text.get().map(|text| text.get().len())
        } else if self.0.fits.load(Ordering::Relaxed) {
            self.counted()
        } else {
            None
        }
    }

    /// Notes that it was measured: it has so many bytes, and its nesting is within the bound.
    pub fn fits(&self, bytes: usize) {
        self.count(bytes);
        self.0.fits.store(true, Ordering::Relaxed);
    }

    /// Bytes of the text. They are counted once.
    #[must_use]
    pub fn bytes(&self) -> usize {
        if let Some(text) = self.0.text.get() {
            return text.get().len();
        }
        self.counted().unwrap_or_else(|| {
            let bytes = length::json_bytes(self);
            self.count(bytes);
            bytes
        })
    }

    fn counted(&self) -> Option<usize> {
        self.0.counted.load(Ordering::Relaxed).checked_sub(1).map(|bytes| bytes as usize)
    }

    fn count(&self, bytes: usize) {
        if let Ok(bytes) = u32::try_from(bytes + 1) {
            self.0.counted.store(bytes, Ordering::Relaxed);
        }
    }

    /// Its address in memory: equal for payloads that share the same data.
    #[must_use]
    pub fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// True where it is large and both texts are known and equal.
    #[must_use]
    pub fn repeats(&self, other: &Self) -> bool {
        match (self.0.text.get(), other.0.text.get()) {
            (Some(one), Some(two)) => one.get().len() >= LARGE && one.get() == two.get(),
            _ => false,
        }
    }

    /// The same payload without its tree, where it is large and a text can replace the tree: a tree takes ten times the
    /// room.
    #[must_use]
    pub fn compact(self) -> Self {
        if self.0.value.get().is_none() || self.bytes() < LARGE || !is_canonical(self.text()) {
            return self;
        }
        let text = OnceLock::from(self.raw().to_owned());
        Self(Arc::new(Shared { text, is_shallow: true, ..Shared::default() }))
    }

    /// The original text, if it was kept and the payload has not been read yet.
    #[must_use]
    pub fn unread(&self) -> Option<&str> {
        if self.0.is_shallow && self.0.value.get().is_none() { self.0.text.get().map(|text| text.get()) } else { None }
    }

    /// The original text, where inserting it into another text is cheaper than copying the tree: the payload has not
    /// been read yet, or is large.
    #[must_use]
    pub fn to_pass_on(&self) -> Option<&str> {
        let large = || self.0.text.get().map(|text| text.get()).filter(|text| self.0.is_shallow && text.len() >= LARGE);
        self.unread().or_else(large)
    }

    /// The value on its own, copied where others share it.
    #[must_use]
    pub fn into_value(self) -> Value {
        self.parsed();
        match Arc::try_unwrap(self.0) {
            Ok(own) => own.value.into_inner().unwrap_or_default(),
            Err(shared) => shared.value.get().cloned().unwrap_or_default(),
        }
    }

    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn parsed(&self) -> &Value {
        self.0.value.get_or_init(|| {
            let mut reader = serde_json::Deserializer::from_str(self.0.text.get().map_or("null", |text| text.get()));
            // A text that was written before is read at any depth.
            reader.disable_recursion_limit();
            // A kept text is known to be readable, or was made of a value.
            Value::deserialize(&mut reader).unwrap_or_default()
        })
    }
}

/// The reason why [`Payload::parse`] refuses a text, in the words of AWS's reader, or else of serde_json.
#[must_use]
pub fn refusal(text: &str, ours: &serde_json::Error) -> String {
    jackson::complaint(text).map_or_else(|| ours.to_string(), |complaint| complaint.message)
}

impl Deref for Payload {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.parsed()
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self::new(value)
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::new(Value::Null)
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.ptr_eq(other) || **self == **other
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // A shared payload is written several times, so its text is made once and kept.
        if self.0.text.get().is_some() || Arc::strong_count(&self.0) > 1 {
            self.raw().serialize(to)
        } else {
            self.parsed().serialize(to)
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    /// Keeps the text: payloads of a journal are parsed at their first read.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(from)?;
        if is_canonical(text.get()) {
            return Ok(Self(Arc::new(Shared { text: OnceLock::from(text), is_shallow: true, ..Shared::default() })));
        }
        let mut reader = serde_json::Deserializer::from_str(text.get());
        // serde_json's own bound is just below ours.
        reader.disable_recursion_limit();
        if length::nests_deeper_than(text.get().as_bytes(), LEVELS_READ_MAX) {
            return Err(D::Error::custom("nested too deep"));
        }
        let value = Value::deserialize(&mut reader).map_err(D::Error::custom)?;
        Self::written(text.get(), value).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::canonical::{KEPT_LEVELS_MAX, KEPT_NAMES_MAX};
    use super::*;

    fn kept(text: &str) -> bool {
        Payload::parse(text).unwrap().0.value.get().is_none()
    }

    #[test]
    fn a_text_in_its_shortest_form_is_kept_and_parsed_at_the_first_read() {
        let text = r#"{"a":[1,-2,0.5,"x\n\"é",true,null,{}],"b":{"a":{"a":1}}}"#;
        let payload = Payload::parse(text).unwrap();
        assert_eq!(payload.measured(), Some(text.len()));
        assert_eq!(payload.unread(), Some(text));
        assert_eq!(payload["b"]["a"], json!({"a": 1}));
        assert_eq!((payload.text(), payload.to_string().as_str()), (text, text));
        assert_eq!(
            (payload.unread(), Payload::of(&1).unwrap().unread(), Payload::new(json!(1)).unread()),
            (None, None, None)
        );
    }

    #[test]
    fn what_we_would_write_otherwise_is_parsed_at_once() {
        for text in [
            r#"{"a": 1}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"b":{},"a":2}"#,
            "[1.50]",
            "[1e2]",
            "-0",
            r#""\u0041""#,
            r#""\/""#,
            "\n1",
        ] {
            assert!(!kept(text), "{text}");
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Payload::parse(text).unwrap().text(), value.to_string(), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_or_cannot_be_held_is_refused() {
        for text in
            ["", "{", "}", "[1,]", "tru", r#"{"a":1}}"#, "01", "1e999", r#""\ud800""#, "\"a", "[\"\u{1}\"]", "1 2"]
        {
            assert!(Payload::parse(text).is_err(), "{text}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_nests_deep_or_has_many_names_is_parsed_at_once() {
        let deep = format!("{}{}", "[".repeat(KEPT_LEVELS_MAX + 1), "]".repeat(KEPT_LEVELS_MAX + 1));
        let wide = Value::Object((0..=KEPT_NAMES_MAX).map(|n| (n.to_string(), json!(n))).collect()).to_string();
        assert!(!kept(&deep));
        assert!(!kept(&wide));
        assert_eq!(Payload::parse(&wide).unwrap().text(), wide);
    }

    #[test]
    fn it_is_written_the_same_alone_and_shared_and_as_a_part_of_others() {
        let value = json!({"z": 1, "a": [1.0, "é\u{7}"]});
        let payload = Payload::new(value.clone());
        let alone = serde_json::to_string(&payload).unwrap();
        let shared = payload.clone();
        assert_eq!(serde_json::to_string(&[&payload, &shared]).unwrap(), format!("[{alone},{alone}]"));
        assert_eq!(alone, value.to_string());
        assert_eq!(serde_json::to_value(&shared).unwrap(), value);
        assert_eq!(Payload::of(&value).unwrap(), payload);
        assert_eq!((payload.into_value(), shared.into_value()), (value.clone(), value));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e6..1e6).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-c\"\\\\\n/é\u{1}]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[a-c\"]{0,2}", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_payload_of_a_text_is_the_value_of_the_text(value in values()) {
            let text = value.to_string();
            let payload = Payload::parse(&text).unwrap();
            prop_assert_eq!(payload.text(), &text);
            prop_assert_eq!(&*payload, &value);
            prop_assert_eq!(payload.measured().is_some(), !text.contains("\\u"));
        }

        #[test]
        fn every_kept_text_is_the_text_that_would_be_written(text in "[\\[\\]{}:,\"a\\\\nu0 1.eE+-]{0,12}|\\{(\"[ab]\":[01.]{1,3},?){0,3}\\}") {
            match (Payload::parse(&text), serde_json::from_str::<Value>(&text)) {
                (Ok(payload), Ok(value)) => {
                    prop_assert_eq!(payload.text(), value.to_string());
                    prop_assert_eq!(&*payload, &value);
                }
                (payload, value) => prop_assert!(payload.is_err() && value.is_err(), "{:?} {:?}", payload, value),
            }
        }
    }
}
