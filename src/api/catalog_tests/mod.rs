//! Operations that need no engine, through the protocol, over the store in memory. The cases are our own and show the
//! behaviour recorded on AWS.

mod versions;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::clock::{Clock, ManualClock, Timestamp};
use crate::engine::support::idle;
use crate::store::memory::Memory;
use crate::telemetry::Metrics;

use super::auth::Keys;
use super::context::Context;
use super::protocol::{Api, CONTENT_TYPE, Incoming};

const ROLE: &str = "arn:aws:iam::000000000000:role/r";
const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:m";

struct Given {
    api: Api,
    clock: ManualClock,
}

fn given() -> Given {
    let (store, clock) = (Memory::new(), ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let context = Context::for_test(idle(&store, Arc::new(clock.clone())));
    Given { api: Api::new(context, Keys::default(), Metrics::new()), clock }
}

impl Given {
    /// The answer of an operation. Each call comes a second after the one before.
    #[expect(clippy::needless_pass_by_value, reason = "reads better where it is called with json!")]
    fn call(&self, operation: &str, input: Value) -> Result<Value, String> {
        self.clock.advance(Duration::from_secs(1));
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static(CONTENT_TYPE));
        let target = HeaderValue::from_str(&format!("AWSStepFunctions.{operation}")).unwrap();
        headers.insert(HeaderName::from_static("x-amz-target"), target);
        let body = input.to_string();
        let incoming = Incoming { method: "POST", path: "/", query: "", headers: &headers };
        let answer =
            self.api.answer(incoming, ready(Ok(&body))).now_or_never().expect("the store in memory does not wait");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        if answer.status == 200 {
            return Ok(body);
        }
        Err(format!("{}: {}", body["__type"].as_str().unwrap(), body["message"].as_str().unwrap()))
    }

    fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input).unwrap()
    }

    fn refused(&self, operation: &str, input: Value) -> String {
        self.call(operation, input).unwrap_err()
    }

    fn machine(&self, publish: bool) {
        self.ok(
            "CreateStateMachine",
            json!({"name": "m", "definition": definition("0"), "roleArn": ROLE, "publish": publish}),
        );
    }

    fn update(&self, comment: &str, publish: bool) -> Value {
        self.ok(
            "UpdateStateMachine",
            json!({"stateMachineArn": MACHINE, "definition": definition(comment), "publish": publish}),
        )
    }
}

fn definition(comment: &str) -> String {
    json!({"Comment": comment, "StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}).to_string()
}

#[test]
fn a_machine_is_described_as_it_was_made() {
    let given = given();
    let created = given.ok(
        "CreateStateMachine",
        json!({"name": "m", "definition": definition("0"), "roleArn": ROLE, "type": "EXPRESS"}),
    );
    assert_eq!(created, json!({"stateMachineArn": MACHINE, "creationDate": 1_700_000_001.0}));
    let described = given.ok("DescribeStateMachine", json!({"stateMachineArn": MACHINE}));
    assert_eq!(
        described,
        json!({
            "stateMachineArn": MACHINE, "name": "m", "status": "ACTIVE", "definition": definition("0"), "roleArn": ROLE, "type": "EXPRESS",
            "creationDate": 1_700_000_001.0, "loggingConfiguration": {"includeExecutionData": false, "level": "OFF"},
            "tracingConfiguration": {"enabled": false}, "encryptionConfiguration": {"type": "AWS_OWNED_KEY"}, "variableReferences": {},
        })
    );
    let metadata =
        given.ok("DescribeStateMachine", json!({"stateMachineArn": MACHINE, "includedData": "METADATA_ONLY"}));
    assert_eq!(metadata["definition"], "");
}

#[test]
fn making_the_same_machine_again_changes_nothing_and_another_is_refused() {
    let given = given();
    let input = json!({"name": "m", "definition": definition("0"), "roleArn": ROLE});
    let first = given.ok("CreateStateMachine", input.clone());
    assert_eq!(given.ok("CreateStateMachine", input.clone()), first);
    let mut other_role = input.clone();
    other_role["roleArn"] = json!("arn:aws:iam::000000000000:role/other");
    assert_eq!(given.ok("CreateStateMachine", other_role), first, "a different role is ignored");
    let changes = [
        ("definition", json!(format!(" {}", definition("0")))),
        ("type", json!("EXPRESS")),
        ("tracingConfiguration", json!({"enabled": true})),
    ];
    for (member, value) in changes {
        let mut changed = input.clone();
        changed[member] = value;
        let refused = given.refused("CreateStateMachine", changed);
        assert_eq!(
            refused,
            format!("StateMachineAlreadyExists: State Machine Already Exists: '{MACHINE}'"),
            "{member}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_new_machine_is_said_in_the_words_of_aws() {
    let given = given();
    let base = json!({"name": "m", "definition": definition("0"), "roleArn": ROLE});
    let table = [
        ("name", json!("a b"), "InvalidName: Invalid Name: 'a b'"),
        ("roleArn", json!("me"), "InvalidArn: Invalid Role Arn: 'me'"),
        (
            "versionDescription",
            json!("HelloWorld!"),
            "ValidationException: Version description can only be set when publish is true",
        ),
        (
            "loggingConfiguration",
            json!({"level": "ALL", "destinations": [{}, {}]}),
            "InvalidLoggingConfiguration: Invalid Logging Configuration: Must specify exactly one Log Destination.",
        ),
    ];
    for (member, value, expected) in table {
        let mut input = base.clone();
        input[member] = value;
        assert_eq!(given.refused("CreateStateMachine", input), expected);
    }
    let mut input = base;
    input["definition"] = json!("{\"StartAt\": \"A\"}");
    assert!(
        given
            .refused("CreateStateMachine", input)
            .starts_with("InvalidDefinition: Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED")
    );
}

#[test]
fn an_update_makes_a_revision_unless_it_changes_nothing() {
    let given = given();
    given.machine(false);
    let revision = |answer: &Value| answer["revisionId"].as_str().unwrap().to_owned();
    let same_role = given.ok("UpdateStateMachine", json!({"stateMachineArn": MACHINE, "roleArn": ROLE}));
    let first = revision(&same_role);
    let again = given
        .ok("UpdateStateMachine", json!({"stateMachineArn": MACHINE, "roleArn": ROLE, "definition": definition("0")}));
    assert_eq!(revision(&again), first);
    let second = revision(&given.update("1", false));
    assert_ne!(second, first);
    let described = given.ok("DescribeStateMachine", json!({"stateMachineArn": MACHINE}));
    assert_eq!((&described["revisionId"], &described["definition"]), (&json!(second), &json!(definition("1"))));

    assert_eq!(
        given.refused("UpdateStateMachine", json!({"stateMachineArn": MACHINE})),
        "MissingRequiredParameter: Either the definition, the role ARN, the LoggingConfiguration, or the \
         TracingConfiguration must be specified"
    );
    let unknown = format!("{MACHINE}x");
    let refused = given.refused("UpdateStateMachine", json!({"stateMachineArn": unknown, "roleArn": ROLE}));
    assert_eq!(refused, format!("StateMachineDoesNotExist: State Machine Does Not Exist: '{unknown}'"));
}

#[test]
fn a_deleted_machine_is_gone_and_its_name_is_free() {
    let given = given();
    given.machine(true);
    assert_eq!(given.ok("DeleteStateMachine", json!({"stateMachineArn": MACHINE})), json!({}));
    assert_eq!(given.ok("DeleteStateMachine", json!({"stateMachineArn": MACHINE})), json!({}));
    assert!(
        given
            .refused("DescribeStateMachine", json!({"stateMachineArn": MACHINE}))
            .starts_with("StateMachineDoesNotExist")
    );
    given.machine(false);
}

#[test]
fn machines_and_activities_are_listed_page_by_page() {
    let given = given();
    for n in 0..5 {
        given
            .ok("CreateStateMachine", json!({"name": format!("m{n}"), "definition": definition("0"), "roleArn": ROLE}));
        given.ok("CreateActivity", json!({"name": format!("a{n}")}));
    }
    for (operation, list) in [("ListStateMachines", "stateMachines"), ("ListActivities", "activities")] {
        let (mut names, mut token, mut pages) = (Vec::new(), Value::Null, 0);
        loop {
            let page = given.ok(operation, json!({"maxResults": 2, "nextToken": token}));
            names.extend(page[list].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            pages += 1;
            token = page["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!((names.len(), pages), (5, 3), "{operation}");
        names.dedup();
        assert_eq!(names.len(), 5);
    }
}

#[test]
fn an_activity_is_made_once_and_deleted_for_good() {
    let given = given();
    let arn = "arn:aws:states:us-east-1:000000000000:activity:a";
    let created = given.ok("CreateActivity", json!({"name": "a", "tags": [{"key": "k", "value": "v"}]}));
    assert_eq!(given.ok("CreateActivity", json!({"name": "a"})), created);
    assert_eq!(
        given.ok("DescribeActivity", json!({"activityArn": arn})),
        json!({"activityArn": arn, "name": "a", "creationDate": created["creationDate"], "encryptionConfiguration": {"type": "AWS_OWNED_KEY"}})
    );
    given.ok("DeleteActivity", json!({"activityArn": arn}));
    given.ok("DeleteActivity", json!({"activityArn": arn}));
    for operation in ["DescribeActivity", "GetActivityTask"] {
        let refused = given.refused(operation, json!({"activityArn": arn}));
        assert_eq!(refused, format!("ActivityDoesNotExist: Activity Does Not Exist: '{arn}'"));
    }
}

#[test]
fn tags_are_set_replaced_and_removed() {
    let given = given();
    given.ok(
        "CreateStateMachine",
        json!({"name": "m", "definition": definition("0"), "roleArn": ROLE, "tags": [{"key": "key1", "value": "value1"}]}),
    );
    let tags = |given: &Given| given.ok("ListTagsForResource", json!({"resourceArn": MACHINE}))["tags"].clone();
    given.ok(
        "TagResource",
        json!({"resourceArn": MACHINE, "tags": [{"key": "key2", "value": ""}, {"key": "key1", "value": "new"}]}),
    );
    assert_eq!(tags(&given), json!([{"key": "key1", "value": "new"}, {"key": "key2", "value": ""}]));
    given.ok("TagResource", json!({"resourceArn": MACHINE, "tags": []}));
    given.ok("UntagResource", json!({"resourceArn": MACHINE, "tagKeys": ["key1", "key1", "nokey"]}));
    assert_eq!(tags(&given), json!([{"key": "key2", "value": ""}]));

    let many: Value = (0..50).map(|n| json!({"key": format!("k{n}"), "value": "v"})).collect();
    assert!(given.refused("TagResource", json!({"resourceArn": MACHINE, "tags": many})).starts_with("TooManyTags"));
    let unknown = format!("{MACHINE}x");
    let refused = given.refused("ListTagsForResource", json!({"resourceArn": unknown}));
    assert_eq!(refused, format!("ResourceNotFound: Resource not found: '{unknown}'"));
}

#[test]
fn executions_are_listed_of_a_standard_machine_that_is_there() {
    let given = given();
    given.machine(true);
    assert_eq!(
        given.ok("ListExecutions", json!({"stateMachineArn": MACHINE, "statusFilter": "SUCCEEDED"})),
        json!({"executions": []})
    );
    assert_eq!(
        given.ok("ListExecutions", json!({"stateMachineArn": format!("{MACHINE}:1")})),
        json!({"executions": []})
    );
    assert!(given.refused("ListExecutions", json!({})).starts_with("ValidationException"));
    let refused = given.refused("ListExecutions", json!({"stateMachineArn": format!("{MACHINE}x")}));
    assert_eq!(refused, format!("StateMachineDoesNotExist: State Machine Does Not Exist: '{MACHINE}x'"));
    given.ok(
        "CreateStateMachine",
        json!({"name": "e", "definition": definition("0"), "roleArn": ROLE, "type": "EXPRESS"}),
    );
    let refused = given.refused("ListExecutions", json!({"stateMachineArn": MACHINE.replace(":m", ":e")}));
    assert_eq!(refused, "StateMachineTypeNotSupported: This operation is not supported by this type of state machine");
}

#[test]
fn a_definition_is_judged_without_being_kept() {
    let given = given();
    let judged = given.ok("ValidateStateMachineDefinition", json!({"definition": definition("0")}));
    assert_eq!(judged, json!({"result": "OK", "diagnostics": [], "truncated": false}));
    let judged = given.ok(
        "ValidateStateMachineDefinition",
        json!({"definition": r#"{"States": {"A": {"Type": "Pass", "End": true}}}"#}),
    );
    assert_eq!(
        judged,
        json!({"result": "FAIL", "truncated": false, "diagnostics": [{"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED",
            "message": "These fields are required: [StartAt]", "location": "/"}]})
    );
}

#[test]
fn answers_hold_only_members_of_the_model() {
    use super::model::Model;
    let given = given();
    given.machine(true);
    let routes = json!([{"stateMachineVersionArn": format!("{MACHINE}:1"), "weight": 100}]);
    let calls = [
        ("CreateActivity", json!({"name": "a"})),
        ("ListActivities", json!({})),
        ("UpdateStateMachine", json!({"stateMachineArn": MACHINE, "roleArn": ROLE, "publish": true})),
        ("DescribeStateMachine", json!({"stateMachineArn": format!("{MACHINE}:1")})),
        ("CreateStateMachineAlias", json!({"name": "live", "routingConfiguration": routes})),
        ("DescribeStateMachineAlias", json!({"stateMachineAliasArn": format!("{MACHINE}:live")})),
        ("ListStateMachineVersions", json!({"stateMachineArn": MACHINE})),
        ("ListStateMachines", json!({})),
        ("ValidateStateMachineDefinition", json!({"definition": "{}"})),
    ];
    let model = Model::get();
    for (operation, input) in calls {
        let answer = given.ok(operation, input);
        let output = model.shape(&model.operations[operation].output).unwrap();
        for member in answer.as_object().unwrap().keys() {
            assert!(output.member_shape(member).is_some(), "{member} is no member of {operation}'s output");
        }
        for required in &output.required {
            assert!(answer.get(required).is_some(), "{operation} lacks {required}");
        }
    }
    assert!(given.clock.now() > Timestamp::default());
}
