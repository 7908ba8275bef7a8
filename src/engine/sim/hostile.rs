//! Bad content beside the good: what strangers and broken workers send. No execution may end otherwise for what carries
//! no good token, and each such message must be parked.

use serde_json::{Value, json};

use super::rng::Rng;
use super::world::Inner;
use crate::bus::envelope::{TASK_STATUS, TASK_TOKEN};
use crate::bus::{HeaderValue, Message, Names, Properties};
use crate::limits::PAYLOAD_BYTES_MAX;

/// Header with the number of a stranger's message.
const NUMBER: &str = "x-stranger";

/// A message without a good token, and where it goes where that is not the reply queue.
fn strange(rng: &mut Rng, token: &str, number: u64) -> (Option<String>, Message) {
    let forged = match rng.below(3) {
        0 => format!("{token}A"),
        1 => token.replacen(|c: char| c.is_ascii_lowercase(), "Z", 1),
        _ => "x".repeat(40_000),
    };
    let body = if rng.chance(20) { b"1".to_vec() } else { body(rng) };
    let claims = match rng.below(5) {
        0 => Value::Null,
        1 => json!({"a": [token]}),
        _ => json!(forged),
    };
    let claims = match claims {
        Value::Null => None,
        Value::String(text) => Some(HeaderValue::Text(text)),
        nested => Some(HeaderValue::Json(nested)),
    };
    let status = ["success", "failure", "heartbeat", "perhaps", ""][usize::try_from(rng.below(5)).unwrap_or(0)];
    let mut message = Message { body, properties: Properties::default() };
    let headers = &mut message.properties.headers;
    if let Some(claims) = claims {
        headers.insert(TASK_TOKEN.into(), claims);
    }
    headers.insert(TASK_STATUS.into(), HeaderValue::Text(status.to_owned()));
    headers.insert(NUMBER.into(), HeaderValue::Integer(i64::try_from(number).unwrap_or(i64::MAX)));
    let queue = (rng.below(4) == 0).then(|| Names::shipped().dead_letters());
    (queue, message)
}

/// A body that is no good answer, or one beyond what a payload may hold.
fn body(rng: &mut Rng) -> Vec<u8> {
    match rng.below(5) {
        0 => b"\xff\xfe{}".to_vec(),
        1 => b"{no json".to_vec(),
        2 => format!("\"{}\"", "x".repeat(PAYLOAD_BYTES_MAX)).into_bytes(),
        3 => "[".repeat(20_000).into_bytes(),
        _ => format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)).into_bytes(),
    }
}

impl Inner {
    /// Strangers write to the queue of a task's answer, and to the dead letters.
    pub fn strangers_write(&mut self, queue: &str, token: &str, within: u64) {
        for _ in 0..=self.rng.below(4) {
            let number = self.next_number();
            let (elsewhere, message) = strange(&mut self.rng, token, number);
            let after = self.rng.below(within.max(1) * 2);
            self.strange += 1;
            // A call of the API with it is answered, and leaves nothing to park.
            if !self.plan(after, elsewhere.as_deref().unwrap_or(queue), message) {
                self.strangers.insert(number);
            }
        }
    }

    /// A worker that is broken answers before the good one does: with its token, and with nothing that can be used.
    pub fn a_broken_worker_answers(&mut self, queue: &str, reply: impl Fn(&str, Vec<u8>) -> Message, within: u64) {
        let body = body(&mut self.rng);
        let status = if self.rng.chance(50) { "success" } else { "perhaps" };
        let after = self.rng.below(within.max(1));
        self.plan(after, queue, reply(status, body));
    }

    /// A message was parked: a stranger's is put aside by it.
    pub fn stranger_parked(&mut self, message: &Message) {
        if let Some(HeaderValue::Integer(number)) = message.properties.headers.get(NUMBER)
            && let Ok(number) = u64::try_from(*number)
        {
            self.strangers.remove(&number);
        }
    }
}
