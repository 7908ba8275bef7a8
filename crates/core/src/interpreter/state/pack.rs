//! A waiting state in few bytes, for executions that sleep in memory.
//!
//! A sleeper is mostly JSON trees (its input, its task's parameters), which take ten times the room of their text, and
//! mostly the same as every other sleeper of its machine. So the state's text is compressed against a *pattern*: the
//! text of another state, best one of the same machine. Nothing packed is ever written anywhere: its form may change
//! with every build.

use serde::Deserialize;

use super::State;

/// LZ4 looks this far back.
const PATTERN_MAX: usize = 32 << 10;

/// Why a state does not come back: memory that is damaged, or another pattern than it was packed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a packed execution does not unpack: {0}")]
pub struct PackError(String);

/// A packed state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    bytes: Box<[u8]>,
    /// Of the text.
    length: u32,
}

impl Packed {
    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// True where the pattern does not fit: the states have little in common.
    #[must_use]
    pub fn wants_other_pattern(&self) -> bool {
        self.bytes.len() > 256 && self.bytes.len() * 2 > self.length as usize
    }
}

impl State {
    /// The template for packing other states of this kind, cut to the reach of LZ4.
    #[must_use]
    pub fn pattern(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.truncate(PATTERN_MAX);
        text
    }

    /// The state as few bytes; `None` where its text is beyond 4 GiB.
    #[must_use]
    pub fn pack(&self, pattern: &[u8]) -> Option<Packed> {
        let text = serde_json::to_vec(self).ok()?;
        let length = u32::try_from(text.len()).ok()?;
        Some(Packed { bytes: lz4_flex::block::compress_with_dict(&text, pattern).into_boxed_slice(), length })
    }

    /// The state that was packed against this pattern.
    ///
    /// # Errors
    /// Where it was another pattern.
    pub fn unpack(packed: &Packed, pattern: &[u8]) -> Result<Self, PackError> {
        let text = lz4_flex::block::decompress_with_dict(&packed.bytes, packed.length as usize, pattern)
            .map_err(|e| PackError(e.to_string()))?;
        let mut reader = serde_json::Deserializer::from_slice(&text);
        // The core bounds the nesting of everything that it accepts.
        reader.disable_recursion_limit();
        Self::deserialize(&mut reader).map_err(|e| PackError(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use crate::payload::Payload;

    use serde_json::json;

    use super::*;
    use crate::clock::Timestamp;
    use crate::ids::Arn;
    use crate::interpreter::event::{Entry, Event, Started};

    fn started(name: &str) -> State {
        let machine = Arn::new("arn:aws:states:us-east-1:123456789012:stateMachine:order");
        let mut state = State::default();
        let started = Started {
            input: Payload::new(
                json!({"order": name, "items": [{"sku": "a-1", "count": 2}, {"sku": "b-2", "count": 1.5}], "note": "ring twice"}),
            ),
            role_arn: "arn:aws:iam::123456789012:role/order".into(),
            arn: Arn::new(format!("arn:aws:states:us-east-1:123456789012:execution:order:{name}")),
            name: name.into(),
            machine,
            machine_name: "order".into(),
            version_arn: None,
            alias_arn: None,
            parent: None,
            attempt: 0,
            depth: 0,
            forked: None,
            trace: None,
            block: None,
            item: None,
            map_run: None,
        };
        let at = Timestamp::from_millis(1_700_000_000_000);
        state
            .evolve(&Entry {
                id: crate::ids::EventId(1),
                previous: crate::ids::EventId(0),
                at,
                frame: state.turn(),
                event: Event::ExecutionStarted(Box::new(started)),
            })
            .unwrap();
        state
    }

    #[test]
    fn a_sleeper_beside_one_of_its_machine_costs_little_more_than_what_is_its_own() {
        let (first, second) = (started("first"), started("second"));
        let pattern = first.pattern();
        let packed = second.pack(&pattern).unwrap();
        assert!(packed.bytes.len() < 100, "{} bytes of {}", packed.bytes.len(), packed.length);
        assert!(!packed.wants_other_pattern());
        assert_eq!(State::unpack(&packed, &pattern).unwrap(), second);
    }

    #[test]
    fn a_pattern_of_another_kind_is_noticed_and_one_that_is_not_the_right_one_is_refused() {
        let state = started("first");
        assert!(state.pack(b"").unwrap().wants_other_pattern());
        let packed = state.pack(&state.pattern()).unwrap();
        assert!(State::unpack(&packed, b"another").is_err());
    }
}
