//! The wire form of a message that was refused: as it came, with why, when and where. Pure functions over [`Message`].
//!
//! The token is left in it, so that a reply can be replayed. A right to read the parking queue is a right to end those
//! tasks.

mod stub;

use sha2::{Digest, Sha256};

use super::envelope::TASK_TOKEN;
use super::{Address, HeaderValue, Headers, Message};
use crate::clock::Timestamp;

pub use stub::{Cut, digest_of, stub};

/// Deliveries before RabbitMQ drops a message of a quorum queue (4.x: after 20 unless told otherwise). Each look at the
/// parking queue is one.
pub const PARKING_DELIVERY_LIMIT: u32 = 1_000_000;

const ID: &str = "x-parked-id";
const VERDICT: &str = "x-verdict";
const REASON: &str = "x-reason";
const AT: &str = "x-parked-at";
const FROM: &str = "x-parked-from";
/// Headers that say how a message came here; a replay goes without them.
const OURS: [&str; 5] = [ID, VERDICT, REASON, AT, FROM];
/// Sender-selected distribution: RabbitMQ sends a copy to each queue that `CC` and `BCC` name, so a parked message that
/// kept them would come in again where it was refused. The names that they are kept under mean nothing to it.
const ROUTES: [(&str, &str); 2] = [("CC", "x-parked-cc"), ("BCC", "x-parked-bcc")];
/// Headers that the broker adds on the way.
const BROKERS: [&str; 8] = [
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
    "x-delivery-count",
];

/// Why, when and where a message was refused.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'a> {
    pub id: &'a str,
    /// A reply's verdict; the error's name for a start; `dead-letter`.
    pub verdict: &'a str,
    pub reason: &'a str,
    pub at: Timestamp,
    pub from: &'a str,
}

/// The message as it is parked.
#[must_use]
pub fn park(refused: &Message, refusal: &Refusal<'_>) -> Message {
    let mut message = refused.clone();
    message.properties.persistent = true;
    message.properties.expiration = None;
    // The broker would refuse a user id that is not ours.
    message.properties.user_id = None;
    part_with_routes(&mut message.properties.headers);
    mark(&mut message.properties.headers, refusal);
    message
}

fn part_with_routes(headers: &mut Headers) {
    for (name, kept) in ROUTES {
        if let Some(routes) = headers.remove(name) {
            headers.insert(kept.into(), routes);
        }
    }
}

fn mark(headers: &mut Headers, refusal: &Refusal<'_>) {
    let at = refusal.at.iso();
    let said = [
        (ID, refusal.id),
        (VERDICT, refusal.verdict),
        (REASON, refusal.reason),
        (AT, at.as_str()),
        (FROM, refusal.from),
    ];
    for (name, text) in said {
        headers.insert(name.into(), HeaderValue::Text(text.to_owned()));
    }
}

/// The description of a parked message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    pub id: String,
    pub verdict: String,
    pub reason: String,
    pub at: Option<Timestamp>,
    /// The queue that it was refused in.
    pub from: String,
    /// Only a part of it is parked: why, and how many bytes its body had.
    pub cut: Option<(String, i64)>,
}

impl Parked {
    #[must_use]
    pub fn of(message: &Message) -> Self {
        // over its delivery limit a message comes here from a queue of ours without our words
        let given_up = header(message, "x-first-death-reason");
        let bytes = message.properties.headers.get(stub::BYTES).and_then(|bytes| match bytes {
            HeaderValue::Integer(bytes) => Some(*bytes),
            _ => None,
        });
        Self {
            id: header(message, ID).map_or_else(|| digest(message), str::to_owned),
            verdict: header(message, VERDICT).or(given_up.map(|_| "dead-letter")).unwrap_or_default().to_owned(),
            reason: header(message, REASON).map_or_else(
                || given_up.map(|why| format!("the broker gave it up: {why}")).unwrap_or_default(),
                str::to_owned,
            ),
            at: header(message, AT).and_then(|at| Timestamp::parse_iso(at).ok()),
            from: header(message, FROM).or(header(message, "x-first-death-queue")).unwrap_or_default().to_owned(),
            cut: header(message, stub::CUT).map(|why| (why.to_owned(), bytes.unwrap_or_default())),
        }
    }
}

/// A name for a message that has none: the same as long as the message is.
fn digest(message: &Message) -> String {
    let p = &message.properties;
    let mut hash = Sha256::new().chain_update(&message.body);
    for text in [
        header(message, AT),
        header(message, REASON),
        header(message, TASK_TOKEN),
        p.correlation_id.as_deref(),
        p.message_id.as_deref(),
    ] {
        hash = hash.chain_update([0]).chain_update(text.unwrap_or_default());
    }
    hash.finalize().iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A choice of parked messages. An empty field lets all through; all other fields must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub ids: Vec<String>,
    pub verdicts: Vec<String>,
    /// Parked before; a message that does not say when is none of these.
    pub before: Option<Timestamp>,
}

impl Filter {
    #[must_use]
    pub fn takes(&self, parked: &Parked) -> bool {
        (self.ids.is_empty() || self.ids.contains(&parked.id))
            && (self.verdicts.is_empty() || self.verdicts.contains(&parked.verdict))
            && self.before.is_none_or(|before| parked.at.is_some_and(|at| at < before))
    }
}

/// The message as it was before it was refused, and where it goes again: the queue that it was refused in; a dead
/// letter's own queue, since our queue of dead letters would only park it again. `None` where nothing says where.
#[must_use]
pub fn replay(message: &Message) -> (Option<Address>, Message) {
    let dead_in = header(message, VERDICT)
        .filter(|verdict| *verdict == "dead-letter")
        .and_then(|_| header(message, "x-first-death-queue"));
    let home = dead_in.or_else(|| header(message, FROM)).or_else(|| header(message, "x-first-death-queue"));
    let queue = home.filter(|queue| !queue.is_empty()).map(str::to_owned);
    let mut again = message.clone();
    again.properties.headers.retain(|name, _| !OURS.contains(&&**name) && !BROKERS.contains(&&**name));
    // Of a message that an older version parked.
    part_with_routes(&mut again.properties.headers);
    (queue.map(|routing_key| Address { exchange: String::new(), routing_key }), again)
}

/// True of a header that the broker adds on the way: it differs between copies of one message.
pub fn is_the_brokers(name: &str) -> bool {
    BROKERS.contains(&name)
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.properties.headers.get(name).and_then(HeaderValue::as_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Message {
        let mut message = Message { body: b"{".to_vec(), ..Message::default() };
        message.properties.correlation_id = Some("token".to_owned());
        message.properties.headers.insert("tenant".into(), HeaderValue::Text("a".to_owned()));
        message
    }

    fn refusal<'a>() -> Refusal<'a> {
        Refusal {
            id: "i1",
            verdict: "late",
            reason: "too late",
            at: Timestamp::from_millis(5_000),
            from: "reveille.replies.3",
        }
    }

    #[test]
    fn what_was_parked_says_why_and_comes_back_as_it_was() {
        let parked = park(&refused(), &refusal());
        let said = Parked::of(&parked);
        assert_eq!((said.id.as_str(), said.verdict.as_str(), said.reason.as_str()), ("i1", "late", "too late"));
        assert_eq!((said.at, said.from.as_str()), (Some(Timestamp::from_millis(5_000)), "reveille.replies.3"));
        let (to, again) = replay(&parked);
        assert_eq!(to.expect("an address").routing_key, "reveille.replies.3");
        assert_eq!((again.body, again.properties.headers), (refused().body, refused().properties.headers));
    }

    #[test]
    fn no_copy_is_routed_on() {
        for name in ["CC", "BCC"] {
            let mut message = refused();
            let routes = HeaderValue::Json(serde_json::json!(["reveille.replies.3"]));
            message.properties.headers.insert(name.into(), routes.clone());
            let of_old = message.clone();
            let whole = park(&message, &refusal());
            let cut = stub(&message, &refusal(), Cut::Stub, "too large", "digest");
            for copy in [&whole, &cut, &replay(&whole).1, &replay(&of_old).1] {
                assert!(!copy.properties.headers.contains_key(name), "{copy:?}");
            }
            let kept = format!("x-parked-{}", name.to_lowercase());
            assert_eq!(whole.properties.headers.get(kept.as_str()), Some(&routes));
        }
    }

    #[test]
    fn a_stub_fits_and_says_what_was_there() {
        let mut message = refused();
        message.body = vec![b'x'; 5 << 20];
        let long = "h".repeat(300);
        for n in 0..2_000 {
            message.properties.headers.insert(format!("h{n}").into(), HeaderValue::Text("v".repeat(40)));
        }
        message.properties.headers.insert(long.clone().into(), HeaderValue::Boolean(true));
        message.properties.headers.insert("large".into(), HeaderValue::Text("v".repeat(70_000)));
        message.properties.headers.insert(TASK_TOKEN.into(), HeaderValue::Text("a token".to_owned()));
        message.properties.message_id = Some(long.clone());
        let reason = "é".repeat(5_000);
        let refusal = Refusal { reason: &reason, ..refusal() };
        for (cut, body) in [(Cut::Stub, 65_536), (Cut::Bare, 0)] {
            let stub = stub(&message, &refusal, cut, "the body has 5242880 bytes", &digest_of(&message.body));
            assert_eq!((stub.body.len(), stub.properties.persistent), (body, true), "{cut:?}");
            let headers = &stub.properties.headers;
            let bytes: usize = headers.iter().map(|(name, v)| name.len() + v.as_text().map_or(8, str::len) + 6).sum();
            assert!(bytes <= 6_000, "{cut:?}: {bytes}");
            assert_eq!(headers[TASK_TOKEN].as_text(), Some("a token"));
            assert_eq!(headers["x-parked-sha256"].as_text().map(str::len), Some(64));
            assert!(headers.contains_key("h0") == (cut == Cut::Stub) && !headers.contains_key(long.as_str()));
            assert!(headers.contains_key("x-parked-headers-left-out"));
            assert_eq!(
                (&stub.properties.correlation_id, &stub.properties.message_id),
                (&Some("token".to_owned()), &None)
            );
            let said = Parked::of(&stub);
            assert_eq!(said.cut, Some(("the body has 5242880 bytes".to_owned(), 5 << 20)));
            assert!(said.reason.starts_with("éé") && reason.starts_with(&said.reason), "whole characters");
            assert_eq!(Parked::of(&park(&message, &refusal)).cut, None);
        }
        assert_eq!(Cut::after(None).and_then(|cut| Cut::after(Some(cut))).and_then(|cut| Cut::after(Some(cut))), None);
    }

    #[test]
    fn a_dead_letter_goes_back_to_the_queue_that_it_died_in() {
        let mut letter = refused();
        letter.properties.headers.insert("x-first-death-queue".into(), HeaderValue::Text("work".to_owned()));
        let parked = park(&letter, &Refusal { verdict: "dead-letter", from: "reveille.dead-letters", ..refusal() });
        let (to, again) = replay(&parked);
        assert_eq!(to.expect("an address").routing_key, "work");
        assert_eq!(again.properties.headers.len(), 1, "only the sender's own: {again:?}");
        assert_eq!(replay(&refused()).0, None, "a message that says nothing goes nowhere");
    }

    #[test]
    fn what_the_broker_put_here_over_its_delivery_limit_says_why_and_goes_home() {
        let mut letter = refused();
        for (name, text) in [("x-first-death-reason", "delivery_limit"), ("x-first-death-queue", "reveille.replies.3")]
        {
            letter.properties.headers.insert(name.into(), HeaderValue::Text(text.to_owned()));
        }
        let said = Parked::of(&letter);
        assert_eq!((said.verdict.as_str(), said.from.as_str()), ("dead-letter", "reveille.replies.3"));
        assert_eq!(said.reason, "the broker gave it up: delivery_limit");
        let (to, again) = replay(&letter);
        assert_eq!(to.expect("an address").routing_key, "reveille.replies.3");
        assert_eq!(again.properties.headers.len(), 1, "only the sender's own: {again:?}");
    }

    #[test]
    fn a_message_without_an_id_is_named_by_its_content() {
        let (a, mut b) = (Parked::of(&refused()), refused());
        assert_eq!((a.id.len(), &a.id), (12, &Parked::of(&refused()).id));
        b.body = b"[".to_vec();
        assert_ne!(a.id, Parked::of(&b).id);
    }

    #[test]
    fn a_filter_takes_what_fits_all_of_it() {
        let parked = Parked::of(&park(&refused(), &refusal()));
        let texts = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let at = |ms| Some(Timestamp::from_millis(ms));
        for (ids, verdicts, before, taken) in [
            (&[][..], &[][..], None, true),
            (&["i1"], &[], None, true),
            (&["i2"], &[], None, false),
            (&[], &["forged", "late"], None, true),
            (&["i1"], &["forged"], None, false),
            (&[], &[], at(5_001), true),
            (&[], &[], at(5_000), false),
        ] {
            let filter = Filter { ids: texts(ids), verdicts: texts(verdicts), before };
            assert_eq!(filter.takes(&parked), taken, "{filter:?}");
        }
        let undated = Parked { at: None, ..parked };
        assert!(!Filter { before: at(i64::MAX), ..Filter::default() }.takes(&undated));
    }
}
