//! A word from one node to the owner of a partition, in the partition's reply queue, and the answer to it.
//!
//! Both are signed: who may publish to the broker may not speak for a node. The signature covers the body, the
//! partition, the end of its life, and the queue of the answer. What the body says is the engine's.

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::bus::{HeaderValue, Message, Properties};
use crate::clock::Timestamp;
use crate::ids::PartitionId;

/// AMQP's `type` of a tell, and of an answer to one.
const TELL: &str = "reveille.tell";
const ANSWER: &str = "reveille.answer";
/// Milliseconds since 1970 after which a tell is not carried out.
const EXPIRES: &str = "expires";
/// Hex.
const SIGNATURE: &str = "signature";

/// Makes a signature, and checks one. The keys are not the bus's.
pub trait Signs {
    fn sign(&self, signed: &[u8]) -> [u8; 32];
    fn is_signed(&self, signed: &[u8], signature: &[u8]) -> bool;
}

/// Why a message that says it is a tell, or an answer, is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TellDefect {
    #[error("it lacks its id, its end of life or its signature")]
    Malformed,
    #[error("its signature is wrong: it was made or changed by another sender")]
    Forged,
    #[error("it came after its end of life")]
    Expired,
}

impl TellDefect {
    /// For a metric's label: a closed set.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Forged => "forged",
            Self::Expired => "expired",
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Tell {
    /// The answer names it.
    pub id: Uuid,
    pub expires: Timestamp,
    /// The queue of the answer; `None`: none is wanted.
    pub reply_to: Option<String>,
    pub body: Vec<u8>,
}

impl fmt::Debug for Tell {
    /// The body holds payloads, which no log shows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, expires, reply_to, .. } = self;
        f.debug_struct("Tell")
            .field("id", id)
            .field("expires", expires)
            .field("reply_to", reply_to)
            .finish_non_exhaustive()
    }
}

impl Tell {
    /// True where a message says that it is one.
    #[must_use]
    pub fn is(message: &Message) -> bool {
        message.properties.kind.as_deref() == Some(TELL)
    }

    /// `lives`: the time until it expires, for the broker.
    #[must_use]
    pub fn into_message(self, partition: PartitionId, lives: Duration, keys: &dyn Signs) -> Message {
        let signature = keys.sign(&self.signed(partition));
        let mut properties = properties(TELL, &signature);
        properties.headers.insert(EXPIRES.into(), HeaderValue::Integer(self.expires.millis()));
        properties.message_id = Some(self.id.to_string());
        properties.reply_to = self.reply_to;
        properties.expiration = Some(lives);
        Message { body: self.body, properties }
    }

    /// Reads a word that came in for a partition.
    ///
    /// # Errors
    /// It must not be carried out.
    pub fn read(
        message: &Message,
        partition: PartitionId,
        now: Timestamp,
        keys: &dyn Signs,
    ) -> Result<Self, TellDefect> {
        let properties = &message.properties;
        let id = properties.message_id.as_deref().and_then(|id| id.parse().ok());
        let expires = match properties.headers.get(EXPIRES) {
            Some(HeaderValue::Integer(millis)) => Some(Timestamp::from_millis(*millis)),
            _ => None,
        };
        let (Some(id), Some(expires), Some(signature)) = (id, expires, signature(properties)) else {
            return Err(TellDefect::Malformed);
        };
        let tell = Self { id, expires, reply_to: properties.reply_to.clone(), body: message.body.clone() };
        if !keys.is_signed(&tell.signed(partition), &signature) {
            return Err(TellDefect::Forged);
        }
        if now > expires { Err(TellDefect::Expired) } else { Ok(tell) }
    }

    fn signed(&self, partition: PartitionId) -> Vec<u8> {
        let reply_to = self.reply_to.as_deref().unwrap_or_default();
        let mut signed = Vec::with_capacity(64 + reply_to.len() + self.body.len());
        signed.extend(b"tell");
        signed.extend(partition.0.to_be_bytes());
        signed.extend(self.expires.millis().to_be_bytes());
        signed.extend(self.id.as_bytes());
        signed.extend((reply_to.len() as u64).to_be_bytes());
        signed.extend(reply_to.as_bytes());
        signed.extend(&self.body);
        signed
    }
}

/// The answer to a tell.
#[derive(Clone, PartialEq, Eq)]
pub struct TellAnswer {
    pub to: Uuid,
    pub body: Vec<u8>,
}

impl fmt::Debug for TellAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TellAnswer").field("to", &self.to).finish_non_exhaustive()
    }
}

impl TellAnswer {
    #[must_use]
    pub fn into_message(self, lives: Duration, keys: &dyn Signs) -> Message {
        let mut properties = properties(ANSWER, &keys.sign(&self.signed()));
        properties.correlation_id = Some(self.to.to_string());
        properties.expiration = Some(lives);
        Message { body: self.body, properties }
    }

    /// # Errors
    /// It is not the answer of a node.
    pub fn read(message: &Message, keys: &dyn Signs) -> Result<Self, TellDefect> {
        let properties = &message.properties;
        let to = properties.correlation_id.as_deref().and_then(|id| id.parse().ok());
        let (Some(to), Some(signature)) = (to, signature(properties)) else { return Err(TellDefect::Malformed) };
        let answer = Self { to, body: message.body.clone() };
        if keys.is_signed(&answer.signed(), &signature) { Ok(answer) } else { Err(TellDefect::Forged) }
    }

    fn signed(&self) -> Vec<u8> {
        [b"answer", self.to.as_bytes().as_slice(), &self.body].concat()
    }
}

fn properties(kind: &'static str, signature: &[u8]) -> Properties {
    let mut properties = Properties {
        content_type: Some("application/json".into()),
        app_id: Some("reveille".into()),
        kind: Some(kind.into()),
        ..Properties::default()
    };
    properties.headers.insert(SIGNATURE.into(), HeaderValue::Text(hex::encode(signature)));
    properties
}

fn signature(properties: &Properties) -> Option<Vec<u8>> {
    hex::decode(properties.headers.get(SIGNATURE)?.as_text()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One key: a sum.
    struct Sum(u8);

    impl Signs for Sum {
        fn sign(&self, signed: &[u8]) -> [u8; 32] {
            let mut signature = [self.0; 32];
            for (at, byte) in signed.iter().enumerate() {
                let of = &mut signature[at % 32];
                *of = of.wrapping_mul(31).wrapping_add(*byte);
            }
            signature
        }

        fn is_signed(&self, signed: &[u8], signature: &[u8]) -> bool {
            self.sign(signed) == signature
        }
    }

    const HERE: PartitionId = PartitionId(7);
    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn tell() -> Tell {
        let body = b"{\"v\":1}".to_vec();
        Tell { id: Uuid::from_u128(5), expires: NOW, reply_to: Some("reveille.node.2".into()), body }
    }

    fn message() -> Message {
        tell().into_message(HERE, Duration::from_secs(10), &Sum(3))
    }

    #[test]
    fn a_tell_comes_in_as_it_went_out() {
        let message = message();
        assert!(Tell::is(&message) && !Tell::is(&Message::default()) && !message.properties.persistent);
        assert_eq!(message.properties.expiration, Some(Duration::from_secs(10)));
        assert_eq!(Tell::read(&message, HERE, NOW, &Sum(3)), Ok(tell()));
        let silent = Tell { reply_to: None, ..tell() };
        let message = silent.clone().into_message(HERE, Duration::from_secs(1), &Sum(3));
        assert_eq!(Tell::read(&message, HERE, NOW, &Sum(3)), Ok(silent));
    }

    #[test]
    fn what_was_changed_or_comes_late_is_refused() {
        let read = |message: &Message| Tell::read(message, HERE, NOW, &Sum(3)).unwrap_err();
        assert_eq!(Tell::read(&message(), HERE, NOW, &Sum(4)), Err(TellDefect::Forged), "another key");
        assert_eq!(Tell::read(&message(), PartitionId(8), NOW, &Sum(3)), Err(TellDefect::Forged), "another partition");
        assert_eq!(Tell::read(&message(), HERE, NOW.plus_seconds(1.0), &Sum(3)), Err(TellDefect::Expired));
        let changes: [fn(&mut Message); 5] = [
            |m| m.body.push(b' '),
            |m| m.properties.reply_to = Some("thief".into()),
            |m| m.properties.reply_to = None,
            |m| drop(m.properties.headers.insert(EXPIRES.into(), HeaderValue::Integer(9_999))),
            |m| m.properties.message_id = Some(Uuid::from_u128(6).to_string()),
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut message = message();
            change(&mut message);
            assert_eq!(read(&message), TellDefect::Forged, "{at}");
        }
        let losses: [fn(&mut Message); 4] = [
            |m| drop(m.properties.headers.remove(SIGNATURE)),
            |m| drop(m.properties.headers.insert(SIGNATURE.into(), HeaderValue::Text("no hex".into()))),
            |m| drop(m.properties.headers.remove(EXPIRES)),
            |m| m.properties.message_id = None,
        ];
        for (at, lose) in losses.iter().enumerate() {
            let mut message = message();
            lose(&mut message);
            assert_eq!(read(&message), TellDefect::Malformed, "{at}");
        }
    }

    #[test]
    fn an_answer_is_signed_too() {
        let answer = TellAnswer { to: Uuid::from_u128(5), body: b"{}".to_vec() };
        let mut message = answer.clone().into_message(Duration::from_secs(10), &Sum(3));
        assert_eq!(TellAnswer::read(&message, &Sum(3)), Ok(answer));
        assert_eq!(TellAnswer::read(&message, &Sum(4)), Err(TellDefect::Forged));
        message.properties.correlation_id = Some(Uuid::from_u128(6).to_string());
        assert_eq!(TellAnswer::read(&message, &Sum(3)), Err(TellDefect::Forged));
        message.properties.correlation_id = None;
        assert_eq!(TellAnswer::read(&message, &Sum(3)), Err(TellDefect::Malformed));
    }
}
