//! The readers of other people's bytes, each as a function of bytes: it may refuse them, and it may not panic, hang, or
//! break a law. Called by `main.rs` with mutations from seeds. `core.rs` has those of the pure core.

use std::collections::BTreeMap;

use reveille::asl::resource::Resource;
use reveille::bus::envelope::ReplyOutcome;
use reveille::bus::{HeaderValue, Message, Names, Properties};
use reveille::clock::Timestamp;
use reveille::ids::{Arn, EventId, ExecutionId, PartitionId, Realm, TaskKey};
use reveille::integrations::{self, PlanContext, ServiceTable};
use reveille::interpreter::event::Failure;
use reveille::interpreter::state::State;
use reveille::token::TokenKeys;
use serde_json::json;

use super::core::{self, Dice};
use super::{object, reply as judged};

/// A target's name and itself.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    ("definition", definition),
    ("jsonpath", core::jsonpath),
    ("intrinsic", core::intrinsic),
    ("jsonata", core::jsonata),
    ("reply", reply),
    ("token", token),
    ("journal", core::journal),
    ("object", object::object),
];

/// A definition and its input; what the open tasks would put on the bus is planned too.
fn definition(data: &[u8]) {
    core::definition(data, plan);
}

fn plan(state: &State, at: Timestamp) {
    let (realm, table) = (Realm::new("us-east-1", "123456789012"), ServiceTable::default());
    let arn = Arn::new("arn:aws:states:us-east-1:123456789012:execution:machine:name");
    for view in state.tasks() {
        let Some(resource) = Resource::parse(&view.task.details.resource) else { continue };
        let context = PlanContext {
            realm: &realm,
            table: &table,
            names: Names::shipped(),
            message_id: uuid::Uuid::nil(),
            at,
            execution: &arn,
            machine: &arn,
        };
        let _ = integrations::plan(&resource, &view.task.details.parameters, &context);
    }
}

/// A reply as a hostile worker makes it: the first bytes choose its headers, the rest is its body.
pub fn reply(data: &[u8]) {
    let mut rest = data;
    let mut take = || match rest.split_first() {
        Some((first, more)) => {
            rest = more;
            *first
        }
        None => 0,
    };
    let words = |n: u8| match n % 9 {
        0 => HeaderValue::Text("success".to_owned()),
        1 => HeaderValue::Text("failure".to_owned()),
        2 => HeaderValue::Text("heartbeat".to_owned()),
        3 => HeaderValue::Text("x".repeat(usize::from(n) * 300)),
        4 => HeaderValue::Integer(i64::MIN),
        5 => HeaderValue::Double(f64::NAN),
        6 => HeaderValue::Json(json!([{"a": []}])),
        7 => HeaderValue::Boolean(true),
        _ => HeaderValue::Text(String::new()),
    };
    let mut headers = BTreeMap::new();
    for name in ["task-token", "task-status", "error", "cause", "x-death", "execution-arn"] {
        let how = take();
        if how % 3 != 0 {
            headers.insert(name.into(), words(how));
        }
    }
    let (correlates, asks) = (take(), take());
    let properties = Properties {
        correlation_id: (correlates % 2 == 0).then(|| "t".repeat(usize::from(correlates) * 20)),
        reply_to: match asks % 4 {
            0 => None,
            1 => Some(String::new()),
            2 => Some("reveille.replies.3".to_owned()),
            _ => Some("mine".to_owned()),
        },
        headers,
        ..Properties::default()
    };
    let message = Message { body: rest.to_vec(), properties };
    let (Some(outcome), _) = judged::judge(&message) else { return };
    let resources =
        ["arn:aws:states:::lambda:invoke", "arn:aws:states:::amqp:call", "arn:aws:lambda:us-east-1:1:function:f"];
    for resource in resources.into_iter().filter_map(Resource::parse) {
        match outcome.clone() {
            ReplyOutcome::Success { output } => {
                let _ = integrations::result(
                    &resource,
                    &reveille::payload::Payload::default(),
                    output,
                    Timestamp::from_millis(0),
                    uuid::Uuid::nil(),
                );
            }
            ReplyOutcome::Failure { error, cause } => {
                let _ = integrations::failure(&resource, Failure::new(error, cause));
            }
            ReplyOutcome::Heartbeat => {}
        }
    }
}

/// A text that claims to be a token: only a minted token is taken.
pub fn token(data: &[u8]) {
    let keys = |secret: &str| TokenKeys::parse(&secret.into()).expect("a good key");
    let (ours, theirs) = (keys(&"5a".repeat(32)), keys(&"a5".repeat(32)));
    let mut dice = Dice::of(data);
    let key = TaskKey {
        execution: ExecutionId(uuid::Uuid::from_u64_pair(dice.below(u64::MAX), 1)),
        scheduled: EventId(dice.below(u64::MAX)),
    };
    let good = ours.mint(&key, PartitionId(3));
    assert_eq!(ours.verify(&good), Ok((key, PartitionId(3))));
    assert!(theirs.verify(&good).is_err());
    let mut bad = good.clone().into_bytes();
    for change in data.chunks(3) {
        let at = usize::from(change[0]) % (bad.len() + 1);
        let byte = change.get(1).copied().unwrap_or_default();
        match change.get(2).copied().unwrap_or_default() % 4 {
            0 if at < bad.len() => bad[at] ^= byte,
            1 => bad.insert(at, byte),
            2 if at < bad.len() => drop(bad.remove(at)),
            _ => bad.truncate(at),
        }
    }
    for text in [String::from_utf8_lossy(&bad), String::from_utf8_lossy(data)] {
        let verdict = ours.verify(&text);
        assert!(verdict.is_err() || text == good, "{text} was taken for {good}");
    }
    let _ = TokenKeys::parse(&String::from_utf8_lossy(data).into_owned().into());
}
