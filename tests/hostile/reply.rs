//! Rules for a message in a reply queue, from any sender: it is a reply within its bounds or a defect, it can be
//! parked, and the parked message has the reason and comes back unchanged.

use crate::bus::envelope::{Reply, ReplyOutcome, Verdict, verdict};
use crate::bus::parked::{Cut, Parked, Refusal, digest_of, park, replay, stub};
use crate::bus::{Address, HeaderValue, Message, Names};
use crate::{clock, limits};

const QUEUE: &str = "reveille.replies.3";
const BROKERS: [&str; 2] = ["x-death", "x-delivery-count"];

/// The messages for a reply: the verdict, and the copies for the parking queue, each tried where the one before
/// is refused.
pub struct Sent {
    pub verdict: Option<(Address, Message)>,
    pub copies: Vec<Message>,
}

/// Judges a message: its outcome where it is a reply, and the messages that would be sent.
pub fn judge(message: &Message) -> (Option<ReplyOutcome>, Sent) {
    let _ = format!("{message:?}");
    let (outcome, why, detail) = match Reply::decode(message) {
        Ok(reply) => {
            let _ = format!("{reply:?}");
            assert!(
                !reply.token.trim().is_empty() && reply.token.len() <= limits::TOKEN_CHARS_MAX,
                "a token out of bounds"
            );
            within_bounds(&reply.outcome);
            (Some(reply.outcome), Verdict::Late, "the task has ended".to_owned())
        }
        Err(defect) => {
            let _ = format!("{defect:?} {defect}");
            assert!(defect.token.is_none_or(|token| token.len() <= limits::TOKEN_CHARS_MAX), "a token out of bounds");
            (None, defect.kind.into(), defect.detail)
        }
    };
    let p = &message.properties;
    let told = verdict(Names::shipped(), p.reply_to.as_deref(), p.correlation_id.as_deref(), why, &detail);
    if let Some((to, _)) = &told {
        assert!(!Names::shipped().is_reply_queue(&to.routing_key), "a verdict that comes in as a reply");
    }
    let refusal = Refusal {
        id: "0123456789ab",
        verdict: why.as_str(),
        reason: &detail,
        at: clock::Timestamp::from_millis(1_700_000_000_000),
        from: QUEUE,
    };
    let (mut copies, mut cut) = (vec![park(message, &refusal)], None);
    comes_back(message, &copies[0]);
    while let Some(next) = Cut::after(cut) {
        copies.push(stub(message, &refusal, next, "the broker's word", &digest_of(&message.body)));
        cut = Some(next);
    }
    for copy in &copies {
        let said = Parked::of(copy);
        assert_eq!((said.id.as_str(), said.verdict.as_str(), said.from.as_str()), (refusal.id, refusal.verdict, QUEUE));
        assert!(!copy.properties.headers.contains_key("CC") && !copy.properties.headers.contains_key("BCC"));
        assert!(
            copy.properties.persistent && copy.properties.user_id.is_none() && copy.properties.expiration.is_none()
        );
    }
    (outcome, Sent { verdict: told, copies })
}

fn within_bounds(outcome: &ReplyOutcome) {
    match outcome {
        ReplyOutcome::Success { output } => drop(output.clone()),
        ReplyOutcome::Failure { error, cause } => {
            assert!(error.chars().count() <= limits::ERROR_CHARS_MAX, "an error out of bounds");
            assert!(cause.chars().count() <= limits::CAUSE_CHARS_MAX, "a cause out of bounds");
        }
        ReplyOutcome::Heartbeat => {}
    }
}

/// A replay sends the message as it was, to the queue that it was refused in.
fn comes_back(message: &Message, parked: &Message) {
    let (to, again) = replay(parked);
    let dead = |m: &Message| m.properties.headers.get("x-first-death-queue").and_then(HeaderValue::as_text).is_some();
    assert!(dead(message) || to.is_some_and(|to| to.routing_key == QUEUE && to.exchange.is_empty()));
    assert_eq!(again.body, message.body);
    assert_eq!(again.properties.reply_to, message.properties.reply_to);
    assert_eq!(again.properties.correlation_id, message.properties.correlation_id);
    for (name, value) in &message.properties.headers {
        let ours = name.starts_with("x-parked-") || ["x-verdict", "x-reason", "CC", "BCC"].contains(&&**name);
        let brokers =
            BROKERS.contains(&&**name) || name.starts_with("x-first-death-") || name.starts_with("x-last-death-");
        let number = |v: &HeaderValue| matches!(v, HeaderValue::Double(d) if d.is_nan());
        assert!(
            ours || brokers || number(value) || again.properties.headers.get(name) == Some(value),
            "the header {name} does not come back"
        );
    }
}
