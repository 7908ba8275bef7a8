//! Bytes of a message in a reply queue: as the broker sends them, or a table of headers made from them; through the
//! filter, the library's parser and our codec to all that is done with a reply.

use std::sync::Arc;

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::basic;
use amq_protocol::types::{AMQPValue, DecimalValue, FieldArray, FieldTable, LongString, ShortString};

use crate::bus::amqp::mend::{frames, marks};
use crate::bus::amqp::{decode, encode, refusal};
use crate::bus::{Address, Mended, Message};
use crate::judged;

/// One frame of the broker, and the largest unless it was told otherwise.
const FRAME_BYTES_MAX: usize = 131_072;
const NAMES: [&str; 12] = [
    "task-token", "task-status", "error", "cause", "CC", "BCC", "x-death", "x-first-death-queue", "x-parked-cut",
    "x-reason", "x-verdict", "other",
];
const WORDS: [&str; 6] = ["success", "failure", "heartbeat", "", " ", "reveille.replies.3"];

/// The first byte chooses: properties as bytes on the wire, or made from the bytes.
pub fn reply(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let (properties, body) = if how % 2 == 0 {
        let [flags @ .., a, b] = *data.first_chunk::<4>().unwrap_or(&[0; 4]);
        let rest = data.get(4..).unwrap_or_default();
        let (wire, body) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([a, b]))));
        ([&flags[..], wire].concat(), body.to_vec())
    } else {
        let (properties, body) = made(data);
        (wire(&properties), body)
    };
    let Some((message, mended)) = through(&properties, &body) else { return };
    let (_, sent) = judged::judge(&message);
    let to = Address { exchange: String::new(), routing_key: "reveille.parked".to_owned() };
    // Parking ends: where the whole is refused a part is taken.
    let copy = sent.copies.iter().find(|copy| refusal(&to, copy, "guest").is_none());
    let copy = copy.expect("no copy can be parked");
    comes_as_it_went(copy);
    if let Some((to, verdict)) = &sent.verdict {
        assert_eq!(refusal(to, verdict, "guest"), None, "a verdict that cannot be sent");
        comes_as_it_went(verdict);
    }
    let _ = mended.map(|mended| mended.to_string());
}

/// A message that we send is within a frame, our own filter reads it without a change, and a second trip changes
/// nothing.
fn comes_as_it_went(message: &Message) {
    let bytes = wire(&encode(&message.properties));
    assert!(bytes.len() + 20 <= FRAME_BYTES_MAX, "headers of {} bytes pass and fit no frame", bytes.len());
    let (once, mended) = through(&bytes, &message.body).expect("what we send can be read");
    assert!(mended.is_none(), "what we send is not readable to us: {mended:?}");
    let again = wire(&encode(&once.properties));
    let (twice, _) = through(&again, &once.body).expect("what we send can be read");
    assert!(once == twice, "it changes with each trip: {once:?} {twice:?}");
}

fn wire(properties: &basic::AMQPProperties) -> Vec<u8> {
    let (bytes, _) = cookie_factory::gen_simple(basic::gen_properties(properties), Vec::new())
        .map(|bytes| (bytes, 0))
        .expect("properties can be written");
    bytes
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("a frame");
    [&[kind, 0, 3], &size.to_be_bytes()[..], payload, &[0xCE]].concat()
}

/// A delivery with these bytes as flags and properties, read as the bus reads it.
fn through(properties: &[u8], body: &[u8]) -> Option<(Message, Option<Mended>)> {
    let size = (body.len() as u64).to_be_bytes();
    let bytes = [
        frame(1, &[0, 60, 0, 60, 1, b'c', 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, b'q']),
        frame(2, &[&[0, 60, 0, 0], &size[..], properties].concat()),
        frame(3, body),
    ]
    .concat();
    let marks = Arc::new(marks::Marks::new(Arc::default()));
    let whole = frames::Frames::new(Arc::clone(&marks)).run(&bytes, bytes.len()).ok()?;
    let (mut rest, mut found) = (&whole[..], None);
    while !rest.is_empty() {
        let (left, frame) = parse_frame(rest).expect("the library reads what was let through");
        if let AMQPFrame::Header(_, header) = &frame {
            found = Some(header.properties.clone());
        }
        rest = left.into();
    }
    let mended = marks.take(3, 1);
    found.map(|properties| (decode(body.to_vec(), &properties), mended))
}

/// Takes bytes one after the other; 0 when there are no more.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let first = self.0.first().copied().unwrap_or_default();
        self.0 = self.0.get(1..).unwrap_or_default();
        first
    }

    fn text(&mut self) -> String {
        let how = self.byte();
        match how {
            0..32 => WORDS[usize::from(how) % WORDS.len()].to_owned(),
            32..40 => "\u{fc}".repeat(usize::from(self.byte()) * 300),
            _ => {
                let n = usize::from(how - 40).min(self.0.len());
                let (text, rest) = self.0.split_at(n);
                self.0 = rest;
                String::from_utf8_lossy(text).into_owned()
            }
        }
    }

    fn short(&mut self) -> ShortString {
        let text = self.text();
        ShortString::try_new(&text[..text.floor_char_boundary(255)]).expect("it is short")
    }

    fn value(&mut self, depth: usize) -> AMQPValue {
        let many = |source: &mut Self| usize::from(source.byte() % 6);
        match self.byte() % 14 {
            0 => AMQPValue::Void,
            1 => AMQPValue::Boolean(self.byte() % 2 == 0),
            2 => AMQPValue::LongLongInt(i64::MIN + i64::from(self.byte())),
            3 => AMQPValue::Double(f64::from_bits(u64::from(self.byte()) << 56 | u64::from(self.byte()) << 48)),
            4 => AMQPValue::Float(f32::from_bits(u32::from(self.byte()) << 24)),
            5 => AMQPValue::Timestamp(u64::MAX - u64::from(self.byte())),
            6 => AMQPValue::DecimalValue(DecimalValue { scale: self.byte(), value: u32::MAX }),
            7 => AMQPValue::ByteArray(self.text().into_bytes().into()),
            8 if depth < 70 => {
                let items = (0..many(self)).map(|_| self.value(depth + 1)).collect::<Vec<_>>();
                AMQPValue::FieldArray(FieldArray::from(items))
            }
            9 if depth < 70 => {
                let mut table = FieldTable::default();
                for _ in 0..many(self) {
                    table.insert(self.short(), self.value(depth + 1));
                }
                AMQPValue::FieldTable(table)
            }
            _ => AMQPValue::LongString(LongString::from(self.text())),
        }
    }
}

fn made(data: &[u8]) -> (basic::AMQPProperties, Vec<u8>) {
    let mut source = Source(data);
    let (flags, count) = (source.byte(), source.byte() % 10);
    let mut p = basic::AMQPProperties::default();
    let has = |bit: u8| flags & (1 << bit) != 0;
    if has(0) {
        p = p.with_correlation_id(source.short());
    }
    if has(1) {
        p = p.with_reply_to(source.short());
    }
    if has(2) {
        p = p.with_content_encoding(source.short()).with_content_type(source.short());
    }
    if has(3) {
        p = p.with_timestamp(u64::MAX / (1 + u64::from(source.byte()))).with_priority(source.byte());
    }
    if has(4) {
        p = p.with_message_id(source.short()).with_user_id(source.short());
    }
    if has(5) {
        p = p.with_type(source.short()).with_expiration(source.short());
    }
    if has(6) {
        p = p.with_app_id(source.short()).with_delivery_mode(source.byte());
    }
    let mut headers = FieldTable::default();
    for _ in 0..count {
        let name = match usize::from(source.byte()) {
            n if n < 200 => NAMES[n % NAMES.len()].into(),
            _ => source.short(),
        };
        headers.insert(name, source.value(0));
    }
    (p.with_headers(headers), source.0.to_vec())
}
