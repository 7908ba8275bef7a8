//! Fuzz of the protocol layer: to any request the answer is one of the API, in time, and never a 500.
//!
//! Every request is made from a number: `REVEILLE_FUZZ_SEED=N REVEILLE_FUZZ_CASES=1` repeats the request that a failure
//! names. Inputs walk AWS's model (`inputs.rs`): for each member a value that fits, one at or beyond its bounds, or one
//! of another type; some bodies are broken as bytes afterwards, some requests carry another method, path or header. The
//! engine behind it is a real one, with machines, executions, aliases, activities, map runs and tokens to hit.

mod inputs;
mod world;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::Value;
use std::future::ready;

use super::model::{Kind, Model, Shape};
use super::operations;
use super::protocol::{CONTENT_TYPE, Incoming};
use world::{PATIENCE, World};

/// Requests of a run of the tests; a long run sets `REVEILLE_FUZZ_CASES`.
const CASES: u64 = 3_000;
/// The number of requests after which a new world is made, because the old one fills up.
const CASES_OF_A_WORLD: u64 = 2_000;
/// Errors of every operation of AWS JSON, beside those that the model names for it.
const COMMON: [&str; 3] = ["ValidationException", "SerializationException", "ThrottlingException"];

/// A request before it is sent.
struct Request {
    /// Of the operation that is meant; the request may name another.
    operation: String,
    method: String,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Vec<u8>,
    /// Is it sent as it was made, so that the operation's own rules hold for its answer?
    whole: bool,
}

#[actix_web::test]
async fn any_request_is_answered_in_the_words_of_the_api() {
    let setting =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (cases, seed) = (setting("REVEILLE_FUZZ_CASES", CASES), setting("REVEILLE_FUZZ_SEED", 1));
    let mut answered = 0;
    let mut refused = 0;
    let mut case = 0;
    while case < cases {
        let world = World::new().await;
        let end = cases.min(case + CASES_OF_A_WORLD);
        while case < end {
            let number = seed.wrapping_add(case);
            let request = request(&mut StdRng::seed_from_u64(number), &world);
            if send(&world, request, number).await == 200 {
                answered += 1;
            } else {
                refused += 1;
            }
            case += 1;
        }
        world.end().await;
    }
    println!("{cases} requests from seed {seed}: {answered} answered, {refused} refused, none with a 500");
    assert!(
        cases < CASES || (answered > cases / 20 && refused > cases / 20),
        "it reaches both: {answered} answered, {refused} refused"
    );
}

async fn send(world: &World, request: Request, number: u64) -> u16 {
    let Request { operation, method, path, headers, body, whole } = request;
    let headers: HeaderMap = headers.into_iter().collect();
    let incoming = Incoming { method: &method, path: &path, query: "", headers: &headers };
    let sent =
        || format!("REVEILLE_FUZZ_SEED={number}: {method} {path} {operation}\n{}", String::from_utf8_lossy(&body));
    let answer = tokio::time::timeout(PATIENCE, world.api.answer(incoming, ready(Ok(&body)))).await;
    let answer = answer.unwrap_or_else(|_| panic!("no answer in {PATIENCE:?}: {}", sent()));
    let told = || format!("{} {}\n{}", answer.status, String::from_utf8_lossy(&answer.body), sent());
    let body: Value =
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("the answer is not JSON: {}", told()));
    assert!(answer.status < 500, "{}", told());
    let model = Model::get();
    let shapes = model.operations.get(&operation);
    if answer.status == 200 {
        let output = shapes.filter(|_| whole).and_then(|shapes| model.shape(&shapes.output));
        if let Some(Err(why)) = output.map(|output| conforms(model, output, &body, &operation)) {
            panic!("{why}: {}", told());
        }
        return 200;
    }
    let kind = body["__type"].as_str().unwrap_or_else(|| panic!("an error without a type: {}", told()));
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "an error without a message: {}", told());
    if let Some(shapes) = shapes.filter(|_| whole) {
        assert!(
            shapes.errors.iter().any(|known| known == kind) || COMMON.contains(&kind),
            "no error of this operation's: {}",
            told()
        );
    }
    answer.status
}

fn request(rng: &mut StdRng, world: &World) -> Request {
    let names: Vec<&String> = world.operations.iter().collect();
    let operation = names[rng.random_range(0..names.len())].clone();
    let input = inputs::input(rng, world, &operation);
    let prefix = if operation.starts_with("Reveille.") { "" } else { "AWSStepFunctions." };
    let header =
        |name: &'static str, value: &str| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    let headers = vec![header("content-type", CONTENT_TYPE), header("x-amz-target", &format!("{prefix}{operation}"))];
    let body = input.to_string().into_bytes();
    let mut request = Request { operation, method: "POST".into(), path: "/".into(), headers, body, whole: true };
    match rng.random_range(0..20) {
        0..3 => {
            request.whole = false;
            inputs::break_bytes(rng, &mut request.body);
        }
        3 => {
            request.whole = false;
            strange_envelope(rng, &mut request);
        }
        _ => {}
    }
    request
}

/// Another method, another path, headers that are missing, doubled, or hold values that no client sends.
fn strange_envelope(rng: &mut StdRng, request: &mut Request) {
    let bytes = |rng: &mut StdRng| {
        let mut bytes = vec![0_u8; rng.random_range(0..64)];
        rng.fill_bytes(&mut bytes);
        // The characters that an HTTP parser accepts: no control characters but the tabulator.
        bytes.retain(|byte| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f));
        HeaderValue::from_bytes(&bytes).unwrap()
    };
    let any = |rng: &mut StdRng, of: &[&str]| of[rng.random_range(0..of.len())].to_owned();
    match rng.random_range(0..6) {
        0 => request.method = any(rng, &["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "post", "X"]),
        1 => {
            request.path = any(
                rng,
                &["", "//", "/x", "/%2e%2e/", "/?", "/\u{e9}", "/service/AWSStepFunctions/operation/ListActivities"],
            );
        }
        2 => request.headers.truncate(rng.random_range(0..2)),
        3 => request.headers[0].1 = bytes(rng),
        4 => request.headers[1].1 = bytes(rng),
        _ => {
            let targets = [
                "AWSStepFunctions.",
                ".",
                "Reveille.",
                "AWSStepFunctions.Reveille.ListWaitingTasks",
                "awsstepfunctions.ListActivities",
            ];
            request.headers[1].1 = HeaderValue::from_str(&any(rng, &targets)).unwrap();
        }
    }
}

/// Checks an answer against the model: its members and no others, the required ones, of the right types, texts of an
/// enum among its values.
fn conforms(model: &Model, shape: &Shape, value: &Value, at: &str) -> Result<(), String> {
    let fits = match (shape.kind, value) {
        (Kind::Structure, Value::Object(members)) => {
            for (name, found) in members {
                let Some(target) = shape.member_shape(name).and_then(|name| model.shape(name)) else {
                    return Err(format!("{at} has no member {name}"));
                };
                conforms(model, target, found, &format!("{at}.{name}"))?;
            }
            if let Some(missing) = shape.required.iter().find(|name| !members.contains_key(name.as_str())) {
                return Err(format!("{at} lacks {missing}"));
            }
            true
        }
        (Kind::List, Value::Array(items)) => {
            let target = shape
                .member
                .as_deref()
                .and_then(|name| model.shape(name))
                .ok_or_else(|| format!("{at}: a list of nothing"))?;
            items.iter().try_for_each(|item| conforms(model, target, item, at))?;
            true
        }
        (Kind::String, Value::String(text)) => shape.values.is_empty() || shape.values.contains(text),
        (Kind::Integer | Kind::Long, Value::Number(number)) => number.is_i64() || number.is_u64(),
        (Kind::Map, Value::Object(_))
        | (Kind::Float | Kind::Timestamp, Value::Number(_))
        | (Kind::Boolean, Value::Bool(_)) => true,
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("{at} does not fit the model: {value}")) }
}

#[test]
fn every_operation_is_among_those_that_are_fuzzed() {
    for name in world::operations() {
        assert!(operations::find(&name).is_some(), "{name}");
    }
    assert_eq!(world::operations().len(), 38, "AWS's 37 and one of ours");
}
