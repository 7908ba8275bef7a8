//! The protocol over an engine that does not run: what never reaches an operation, and operations of the catalog.

use std::future::ready;
use std::sync::Arc;

use actix_web::http::header::{HeaderName, HeaderValue};
use proptest::prelude::*;
use secrecy::SecretString;
use serde_json::json;

use crate::api::operations::Class;
use crate::api::options::AccessKey;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::engine::support::idle;
use crate::store::memory::Memory;

use super::*;

fn api(keys: Vec<AccessKey>) -> Api {
    let store = Memory::new();
    let clock = ManualClock::at(Timestamp::from_millis(1_795_372_205_000));
    Api::new(Context::for_test(idle(&store, Arc::new(clock))), Keys::new(keys), Metrics::new())
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    pairs.iter().map(pair).collect()
}

fn ask(api: &Api, method: &str, pairs: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
    let headers = headers(pairs);
    let incoming = Incoming { method, path: "/", query: "", headers: &headers };
    let answer =
        futures_util::FutureExt::now_or_never(api.answer(incoming, ready(Ok(body)))).expect("nothing here waits");
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

fn call(operation: &str, body: &str) -> (u16, Value) {
    let target = format!("AWSStepFunctions.{operation}");
    ask(&api(Vec::new()), "POST", &[("content-type", CONTENT_TYPE), ("x-amz-target", &target)], body.as_bytes())
}

/// Method, headers, and the answer: its status and the beginning of its message.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str);

#[test]
fn what_is_none_of_the_protocol_is_an_unknown_operation() {
    let target = ("x-amz-target", "AWSStepFunctions.ListStateMachines");
    let kind = ("content-type", CONTENT_TYPE);
    let table: [Case<'_>; 6] = [
        ("GET", &[kind, target], 404, "Send POST /"),
        ("POST", &[target], 404, "Send the header Content-Type"),
        ("POST", &[("content-type", "application/json"), target], 404, "Send the header Content-Type"),
        ("POST", &[kind], 404, "Send the header X-Amz-Target"),
        (
            "POST",
            &[kind, ("x-amz-target", "AWSStepFunctions.Nothing")],
            400,
            "There is no operation 'AWSStepFunctions.Nothing'",
        ),
        ("POST", &[kind, ("x-amz-target", "AWSStepFunctions.Reveille.ListWaitingTasks")], 400, "There is no operation"),
    ];
    for (method, pairs, status, message) in table {
        let (answered, body) = ask(&api(Vec::new()), method, pairs, b"{}");
        assert_eq!((answered, &body["__type"]), (status, &json!("UnknownOperationException")));
        assert!(body["message"].as_str().unwrap().starts_with(message), "{body}");
    }
}

#[test]
fn arns_of_every_region_and_account_are_its_own_where_the_settings_say_so() {
    let elsewhere = br#"{"activityArn": "arn:aws:states:eu-west-1:111122223333:activity:a"}"#;
    for (any_region, expected) in [(false, (400, "ActivityDoesNotExist")), (true, (200, ""))] {
        let (store, clock) = (Memory::new(), ManualClock::at(Timestamp::from_millis(1_795_372_205_000)));
        let mut context = Context::for_test(idle(&store, Arc::new(clock)));
        context.any_region = any_region;
        let api = Api::new(context, Keys::new(Vec::new()), Metrics::new());
        let target =
            |operation: &'static str| [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", operation)];
        assert_eq!(ask(&api, "POST", &target("AWSStepFunctions.CreateActivity"), br#"{"name": "a"}"#).0, 200);
        let (status, answer) = ask(&api, "POST", &target("AWSStepFunctions.DescribeActivity"), elsewhere);
        assert_eq!((status, answer["__type"].as_str().unwrap_or_default()), expected);
        if any_region {
            assert_eq!(answer["activityArn"], "arn:aws:states:us-east-1:000000000000:activity:a");
        }
    }
}

#[test]
fn a_content_type_may_carry_a_charset() {
    let pairs = [
        ("content-type", "application/x-amz-json-1.0; charset=utf-8"),
        ("x-amz-target", "AWSStepFunctions.ListActivities"),
    ];
    assert_eq!(ask(&api(Vec::new()), "POST", &pairs, b"").0, 200);
}

#[test]
fn a_body_that_is_no_json_object_cannot_be_read() {
    for body in ["{", "[]", "null", "\"x\"", "{\"name\": }", "{\"name\": 1}"] {
        let (status, answer) = call("CreateActivity", body);
        assert_eq!((status, &answer["__type"]), (400, &json!("SerializationException")), "{body}");
    }
    let deep = format!("{}{}", "{\"a\":".repeat(500), "}".repeat(500));
    assert_eq!(call("CreateActivity", &deep).1["__type"], "SerializationException");
}

#[test]
fn an_input_is_checked_before_its_operation_sees_it() {
    let (status, answer) = call("CreateStateMachine", "{}");
    assert_eq!((status, &answer["__type"]), (400, &json!("ValidationException")));
    assert!(
        answer["message"].as_str().unwrap().starts_with("3 validation errors detected: Value null at 'name' failed"),
        "{answer}"
    );
}

/// A clock that breaks a rule.
#[derive(Debug)]
struct Panics;

impl Clock for Panics {
    fn now(&self) -> Timestamp {
        panic!("on purpose")
    }
}

#[test]
fn a_panic_is_an_error_of_its_request_alone() {
    let api = Api::new(Context::for_test(idle(&Memory::new(), Arc::new(Panics))), Keys::default(), Metrics::new());
    let call = |operation: &str, body: &str| {
        let target = format!("AWSStepFunctions.{operation}");
        ask(&api, "POST", &[("content-type", CONTENT_TYPE), ("x-amz-target", &target)], body.as_bytes())
    };
    let (status, answer) = call("CreateActivity", r#"{"name": "a"}"#);
    assert_eq!((status, &answer["__type"]), (500, &json!("InternalServerError")));
    assert_eq!(call("ValidateStateMachineDefinition", r#"{"definition": "{}"}"#).0, 200, "it needs no clock");
}

/// The first of botocore's signed requests: `ListStateMachines` with the body `{}`.
fn signed_headers() -> Vec<(String, String)> {
    let vectors: Value = serde_json::from_str(include_str!("sigv4_vectors.json")).unwrap();
    serde_json::from_value(vectors[0]["headers"].clone()).unwrap()
}

fn ask_signed(allow: Vec<Class>, id: &str, body: &[u8]) -> (u16, String) {
    let secret: SecretString = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into();
    let api = api(vec![AccessKey { id: id.into(), secret, allow }]);
    let owned = signed_headers();
    let pairs: Vec<(&str, &str)> = owned.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let (status, answer) = ask(&api, "POST", &pairs, body);
    (status, answer["__type"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn with_keys_only_signed_requests_of_allowed_operations_pass() {
    assert_eq!(ask_signed(vec![Class::Read], "AKIDEXAMPLE", b"{}"), (200, String::new()));
    assert_eq!(ask_signed(vec![Class::Start], "AKIDEXAMPLE", b"{}"), (400, "AccessDeniedException".into()));
    assert_eq!(ask_signed(vec![Class::Read], "AKIDEXAMPLE", b"{ }"), (400, "InvalidSignatureException".into()));
    assert_eq!(ask_signed(vec![Class::Read], "OTHER", b"{}"), (400, "UnrecognizedClientException".into()));
    let pairs = [("content-type", CONTENT_TYPE), ("x-amz-target", "AWSStepFunctions.ListStateMachines")];
    let key = AccessKey { id: "a".into(), secret: "s".into(), allow: vec![Class::Read] };
    assert_eq!(ask(&api(vec![key]), "POST", &pairs, b"{}").1["__type"], "MissingAuthenticationTokenException");
}

#[test]
fn a_header_of_awss_own_that_no_signature_covers_is_refused() {
    let mut owned = signed_headers();
    owned.push(("x-amz-extra".into(), "\u{e9}".into()));
    let secret: SecretString = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into();
    let api = api(vec![AccessKey::all("AKIDEXAMPLE".into(), secret)]);
    let pairs: Vec<(&str, &str)> = owned.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let (status, answer) = ask(&api, "POST", &pairs, b"{}");
    assert_eq!((status, &answer["__type"]), (400, &json!("InvalidSignatureException")));
    assert!(answer["message"].as_str().unwrap().contains("'x-amz-extra'"), "{answer}");
}

#[test]
fn a_body_is_not_asked_for_before_the_head_allows_it() {
    let api = api(vec![AccessKey::all("a".into(), "s".into())]);
    let headers = headers(&[("content-type", CONTENT_TYPE), ("x-amz-target", "AWSStepFunctions.ListActivities")]);
    let incoming = || Incoming { method: "POST", path: "/", query: "", headers: &headers };
    let answer = api.answer(incoming(), std::future::pending::<Result<&[u8], _>>()).now_or_never();
    assert!(!answer.expect("nothing is waited for").is_let_in);
}

#[test]
fn what_is_elsewhere_is_told_so() {
    for (arn, hinted) in [
        ("arn:aws:states:eu-west-1:000000000000:activity:a", true),
        ("arn:aws:states:us-east-1:123456789012:activity:a", true),
        ("arn:aws:states:us-east-1:000000000000:activity:a", false),
    ] {
        let (_, answer) = call("DescribeActivity", &json!({"activityArn": arn}).to_string());
        assert_eq!(answer["__type"], "ActivityDoesNotExist");
        let message = answer["message"].as_str().unwrap();
        assert_eq!(message.contains("this server's are 'us-east-1' and '000000000000'"), hinted, "{message}");
    }
}

#[test]
fn a_state_that_is_done_for_real_demands_more() {
    let operation = operations::find("TestState").unwrap();
    let input = |text| serde_json::from_str(text).unwrap();
    assert_eq!(operation.demands(&input("{}")), Some(Class::Admin));
    assert_eq!(operation.demands(&input(r#"{"mock": {}}"#)), None);
    assert_eq!(operations::find("StartExecution").unwrap().demands(&input("{}")), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any request gets an answer of the protocol, and never a 500.
    #[test]
    fn no_body_makes_a_server_error(
        operation in prop::sample::select(vec!["CreateActivity", "ListStateMachines", "TagResource", "CreateStateMachineAlias", "DescribeStateMachine", "ListExecutions", "UpdateMapRun"]),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            r#"\{("(name|maxResults|nextToken|tags|resourceArn|stateMachineArn|mapRunArn)":("[a-z:/]{0,20}"|[0-9]{1,30}|-?[0-9]\.[0-9]e[0-9]{1,3}|null|true|\[\{"key":""\}\]|\{\}),){0,4}"x":1\}"#.prop_map(String::into_bytes),
        ],
    ) {
        let target = format!("AWSStepFunctions.{operation}");
        let pairs = [("content-type", CONTENT_TYPE), ("x-amz-target", target.as_str())];
        let (status, answer) = ask(&api(Vec::new()), "POST", &pairs, &body);
        prop_assert!(status < 500, "{status} {answer}");
        prop_assert!(status == 200 || answer["__type"].is_string());
    }
}
