//! Inputs made from the model and a random number: some fit, some nearly fit, some do not.

use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use serde_json::{Map, Value, json};

use crate::api::model::{Kind, Model, Shape};

use super::world::World;

/// Levels of a value that is nested deeply; the reader's own bound is a little more.
const DEEP: usize = 120;
/// The longest text: longer than a payload may be.
const LONGEST: usize = 300_000;

/// An input of this operation.
pub fn input(rng: &mut StdRng, world: &World, operation: &str) -> Value {
    let model = Model::get();
    let Some(shape) = model.operations.get(operation).and_then(|operation| model.shape(&operation.input)) else {
        // Ours: not in the model.
        return json!({"executionArn": text(rng, world, "executionArn"), "maxResults": number(rng, Some(0.0), Some(1_000.0))});
    };
    match rng.random_range(0..60) {
        0 => strange(rng),
        _ => structure(rng, world, model, shape),
    }
}

fn structure(rng: &mut StdRng, world: &World, model: &Model, shape: &Shape) -> Value {
    let mut members = Map::new();
    for (name, shape_name) in shape.members() {
        let required = shape.required.iter().any(|known| known == name);
        if rng.random_ratio(if required { 39 } else { 14 }, 40) {
            let value = model.shape(shape_name).map_or(Value::Null, |target| value(rng, world, model, target, name));
            members.insert(name.to_owned(), value);
        }
    }
    if rng.random_ratio(1, 20) {
        members.insert(word(rng), strange(rng));
    }
    Value::Object(members)
}

fn value(rng: &mut StdRng, world: &World, model: &Model, shape: &Shape, name: &str) -> Value {
    if rng.random_ratio(1, 40) {
        return strange(rng);
    }
    let inner = |shape: Option<&str>| shape.and_then(|name| model.shape(name));
    match shape.kind {
        Kind::Structure => structure(rng, world, model, shape),
        Kind::List => {
            let length = [0, 1, 1, 2, 3, 51][rng.random_range(0..6)];
            let Some(target) = inner(shape.member.as_deref()) else { return json!([]) };
            Value::Array((0..length).map(|_| value(rng, world, model, target, name)).collect())
        }
        Kind::Map => {
            let Some(target) = inner(shape.value.as_deref()) else { return json!({}) };
            Value::Object(
                (0..rng.random_range(0..3)).map(|_| (word(rng), value(rng, world, model, target, name))).collect(),
            )
        }
        Kind::Boolean => rng.random::<bool>().into(),
        Kind::Integer | Kind::Long | Kind::Float | Kind::Timestamp => number(rng, shape.min, shape.max),
        Kind::String if !shape.values.is_empty() && rng.random_ratio(29, 30) => {
            shape.values[rng.random_range(0..shape.values.len())].clone().into()
        }
        Kind::String if rng.random_ratio(1, 20) => bounded(rng, shape).into(),
        Kind::String => text(rng, world, name).into(),
    }
}

/// A text that goes with the member's name.
fn text(rng: &mut StdRng, world: &World, name: &str) -> String {
    let any = |rng: &mut StdRng, of: &[String]| of[rng.random_range(0..of.len())].clone();
    let one = |rng: &mut StdRng, of: &[&str]| of[rng.random_range(0..of.len())].to_owned();
    match name {
        "roleArn" => one(rng, &["arn:aws:iam::000000000000:role/r", "arn:aws:iam::000000000000:role/r", "me", ""]),
        _ if name.ends_with("Arn") || name == "source" => match rng.random_range(0..12) {
            0 => {
                let mut arn = any(rng, &world.arns);
                let at = rng.random_range(0..=arn.len());
                arn.insert_str(at, &one(rng, &[":", "/", "::", "\u{e9}", " ", "*", "\0", "99999999999999999999"]));
                arn
            }
            1 => one(rng, &["", "x", "arn:", ":::::", "arn:aws:states:::", "arn:aws:sqs:us-east-1:000000000000:q"]),
            2 => any(rng, &world.arns),
            _ => any(rng, &of_its_kind(world, name)),
        },
        "taskToken" | "nextToken" | "clientToken" | "revisionId" => any(rng, &world.tokens),
        "definition" => one(rng, &DEFINITIONS),
        "input" | "output" | "context" | "variables" | "result" | "errorOutput" | "mapItemReaderData" => {
            match rng.random_range(0..12) {
                0 => format!("{}{}", "[".repeat(DEEP * 2), "]".repeat(DEEP * 2)),
                1 => format!("\"{}\"", "x".repeat(LONGEST)),
                2 => format!("\"{}\"", "\u{e9}".repeat(LONGEST / 2)),
                _ => one(rng, &TEXTS),
            }
        }
        "name" | "workerName" | "stateName" => {
            one(rng, &["a", "m", "new", "S", "e", "live", "", " ", "a b", "123", "\u{1f600}", "\u{0}", "a/b"])
        }
        _ => word(rng),
    }
}

/// The ARNs that a member of this name is about.
fn of_its_kind(world: &World, name: &str) -> Vec<String> {
    let kind = match name {
        "activityArn" => ":activity:",
        "executionArn" => ":execution:",
        "mapRunArn" => ":mapRun:",
        _ => ":stateMachine:",
    };
    let qualified = name.contains("Version") || name.contains("Alias");
    let fits = |arn: &&String| arn.contains(kind) && (!qualified || arn.split(':').count() > 7);
    world.arns.iter().filter(fits).cloned().collect()
}

/// State machines, states for `TestState`, and other texts.
const DEFINITIONS: [&str; 15] = [
    r#"{"StartAt":"S","States":{"S":{"Type":"Pass","End":true}}}"#,
    r#"{"StartAt":"S","States":{"S":{"Type":"Wait","Seconds":0,"End":true}}}"#,
    r#"{"StartAt":"S","States":{"S":{"Type":"Fail","Error":"E"}}}"#,
    r#"{"StartAt":"S","QueryLanguage":"JSONata","States":{"S":{"Type":"Pass","Output":"{% $states.input %}","End":true}}}"#,
    r#"{"StartAt":"S","States":{"S":{"Type":"Map","ItemsPath":"$","ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Pass","End":true}}},"End":true}}}"#,
    r#"{"StartAt":"S","States":{"S":{"Type":"Task","Resource":"arn:aws:states:::amqp:publish.waitForTaskToken","Parameters":{"RoutingKey":"q","Body":{"t.$":"$$.Task.Token"}},"End":true}}}"#,
    r#"{"StartAt":"S","States":{"S":{"Type":"Choice","Choices":[{"Variable":"$.a","IsPresent":true,"Next":"S"}]}}}"#,
    r#"{"Type":"Pass","Result":1,"End":true}"#,
    r#"{"Type":"Choice","Choices":[{"Variable":"$.a","NumericEquals":1,"Next":"N"}],"Default":"D"}"#,
    r#"{"Type":"Task","Resource":"arn:aws:states:::amqp:publish","Parameters":{"RoutingKey":"nowhere","Body.$":"$"},"Next":"N"}"#,
    r#"{"QueryLanguage":"JSONata","Type":"Map","Items":"{% [1,2,3] %}","ItemProcessor":{"StartAt":"I","States":{"I":{"Type":"Pass","End":true}}},"Next":"N"}"#,
    r#"{"StartAt":"S","StartAt":"S","States":{}}"#,
    "{",
    "null",
    "",
];

const TEXTS: [&str; 14] = [
    "{}",
    "[]",
    "1",
    "\"x\"",
    "null",
    "{\"a\":1}",
    "[1,2]",
    "{",
    "",
    "{\"Payload\":{}}",
    "1e999",
    "\"\\ud800\"",
    "{\"a\":1,\"a\":2}",
    "\u{feff}{}",
];

fn word(rng: &mut StdRng) -> String {
    let words = [
        "",
        "x",
        "a:b",
        "\u{0}",
        "\u{1f600}\u{200f}",
        "'; --",
        "${jndi}",
        "%s%n",
        "\u{7f}\u{85}\u{fffe}",
        "-1",
        "true",
    ];
    words[rng.random_range(0..words.len())].to_owned()
}

/// A text as long as it may be, as short as it may be, or one beside that.
fn bounded(rng: &mut StdRng, shape: &Shape) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "lengths of the model are small and not negative"
    )]
    let length = |bound: Option<f64>, default: usize| bound.map_or(default, |bound| bound as usize).min(LONGEST);
    let (min, max) = (length(shape.min, 0), length(shape.max, 300));
    let lengths = [min, min.saturating_sub(1), max, max + 1];
    let letters = ["a", "\u{e9}", "\u{1f600}", "1", "\\", "\""];
    letters[rng.random_range(0..letters.len())].repeat(lengths[rng.random_range(0..lengths.len())])
}

fn number(rng: &mut StdRng, min: Option<f64>, max: Option<f64>) -> Value {
    let (min, max) = (min.unwrap_or(0.0), max.unwrap_or(100.0));
    match rng.random_range(0..14) {
        0 => json!(min - 1.0),
        1 => json!(max + 1.0),
        2 => json!(0.5),
        3 => json!(i64::MIN),
        4 => json!(u64::MAX),
        5 => json!(1e300),
        6 => json!(-0.0),
        7 => json!(min),
        8 => json!(max),
        _ => rng.random_range(0..10).into(),
    }
}

/// A value of any type.
fn strange(rng: &mut StdRng) -> Value {
    match rng.random_range(0..9) {
        0 => Value::Null,
        1 => rng.random::<bool>().into(),
        2 => number(rng, None, None),
        3 => word(rng).into(),
        4 => json!([]),
        5 => json!({}),
        6 => json!([[{"a": [null]}]]),
        7 => (0..DEEP).fold(json!(1), |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) }),
        _ => "x".repeat(3_000).into(),
    }
}

/// Bytes cut off, turned, put in between or doubled.
pub fn break_bytes(rng: &mut StdRng, body: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=body.len());
        match rng.random_range(0..6) {
            0 => body.truncate(at),
            1 if at < body.len() => body[at] ^= 1 << rng.random_range(0..8),
            2 => body.insert(at, rng.random()),
            3 => body.splice(at..at, b"[{\"\\u00".iter().copied()).for_each(drop),
            4 => {
                let half = body[at / 2..at].to_vec();
                body.extend(half);
            }
            _ => {
                *body = vec![0; rng.random_range(0..200)];
                rng.fill_bytes(body);
            }
        }
    }
}
