//! Operations that need no engine, through the protocol, over the store in memory: what was recorded on AWS, told in
//! our own cases.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::clock::{Clock, ManualClock, Timestamp};
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
    let context = Context::without_engine(Arc::new(store.clone()), Arc::new(store), Arc::new(clock.clone()));
    Given { api: Api::new(context, Keys::default(), Metrics::new()), clock }
}

impl Given {
    /// The answer of an operation, each a second after the other.
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
        "MissingRequiredParameter: Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified"
    );
    let nobody = format!("{MACHINE}x");
    let refused = given.refused("UpdateStateMachine", json!({"stateMachineArn": nobody, "roleArn": ROLE}));
    assert_eq!(refused, format!("StateMachineDoesNotExist: State Machine Does Not Exist: '{nobody}'"));
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
fn versions_are_numbered_and_their_numbers_never_come_again() {
    let given = given();
    given.machine(false);
    let version = |n: u32| format!("{MACHINE}:{n}");
    assert_eq!(given.update("1", true)["stateMachineVersionArn"], version(1));
    assert_eq!(
        given.ok("PublishStateMachineVersion", json!({"stateMachineArn": MACHINE}))["stateMachineVersionArn"],
        version(1)
    );
    let old = given.update("2", false)["revisionId"].clone();
    let published = given.ok("PublishStateMachineVersion", json!({"stateMachineArn": MACHINE, "description": "two"}));
    assert_eq!(published["stateMachineVersionArn"], version(2));

    let current = given.update("3", false)["revisionId"].clone();
    let refused = given.refused("PublishStateMachineVersion", json!({"stateMachineArn": MACHINE, "revisionId": old}));
    let (old, current) = (old.as_str().unwrap(), current.as_str().unwrap());
    assert_eq!(
        refused,
        format!(
            "ConflictException: Failed to publish the State Machine version for revision {old}. The current State Machine revision is {current}."
        )
    );

    let described = given.ok("DescribeStateMachine", json!({"stateMachineArn": version(2)}));
    assert_eq!(
        (&described["description"], &described["definition"], &described["stateMachineArn"]),
        (&json!("two"), &json!(definition("2")), &json!(version(2)))
    );
    given.ok("DeleteStateMachineVersion", json!({"stateMachineVersionArn": version(2)}));
    given.ok("DeleteStateMachineVersion", json!({"stateMachineVersionArn": version(2)}));
    assert_eq!(
        given.ok("PublishStateMachineVersion", json!({"stateMachineArn": MACHINE}))["stateMachineVersionArn"],
        version(3)
    );
    let refused = given.refused("UpdateStateMachine", json!({"stateMachineArn": version(1), "roleArn": ROLE}));
    assert_eq!(refused, format!("StateMachineDoesNotExist: State Machine Does Not Exist: '{}'", version(1)));
}

#[test]
fn a_machine_has_1000_versions_at_most() {
    let given = given();
    given.machine(true);
    for n in 1..1_000 {
        given.update(&n.to_string(), true);
    }
    let full =
        "ServiceQuotaExceededException: A state machine can have at most 1000 versions: '".to_owned() + MACHINE + "'";
    let update = json!({"stateMachineArn": MACHINE, "definition": definition("1000"), "publish": true});
    assert_eq!(given.refused("UpdateStateMachine", update), full);
    let unchanged = given.ok("PublishStateMachineVersion", json!({ "stateMachineArn": MACHINE }));
    assert_eq!(unchanged["stateMachineVersionArn"], format!("{MACHINE}:1000"), "what was refused has changed nothing");
    given.update("1000", false);
    assert_eq!(given.refused("PublishStateMachineVersion", json!({ "stateMachineArn": MACHINE })), full);
    given.ok("DeleteStateMachineVersion", json!({ "stateMachineVersionArn": format!("{MACHINE}:7") }));
    let published = given.ok("PublishStateMachineVersion", json!({ "stateMachineArn": MACHINE }));
    assert_eq!(published["stateMachineVersionArn"], format!("{MACHINE}:1001"));
    let again = given.ok("PublishStateMachineVersion", json!({ "stateMachineArn": MACHINE }));
    assert_eq!(again["stateMachineVersionArn"], published["stateMachineVersionArn"], "full, and this one is there");
}

#[test]
fn versions_page_from_the_newest_and_tokens_are_not_for_others() {
    let given = given();
    given.machine(false);
    for n in 0..13 {
        given.update(&n.to_string(), true);
    }
    let numbers = |answer: &Value| -> Vec<String> {
        let versions = answer["stateMachineVersions"].as_array().unwrap();
        versions
            .iter()
            .map(|v| v["stateMachineVersionArn"].as_str().unwrap().rsplit(':').next().unwrap().to_owned())
            .collect()
    };
    let first = given.ok("ListStateMachineVersions", json!({"stateMachineArn": MACHINE, "maxResults": 10}));
    assert_eq!(numbers(&first), ["13", "12", "11", "10", "9", "8", "7", "6", "5", "4"]);
    let token = first["nextToken"].clone();
    let second =
        given.ok("ListStateMachineVersions", json!({"stateMachineArn": MACHINE, "maxResults": 3, "nextToken": token}));
    assert_eq!(numbers(&second), ["3", "2", "1"]);
    assert_eq!(second.get("nextToken"), None);

    let invalid = "InvalidToken: Invalid Token: 'Invalid token'";
    assert_eq!(
        given.refused("ListStateMachineVersions", json!({"stateMachineArn": MACHINE, "nextToken": "x"})),
        invalid
    );
    assert_eq!(
        given
            .refused("ListStateMachineVersions", json!({"stateMachineArn": format!("{MACHINE}x"), "nextToken": token})),
        invalid
    );
    assert_eq!(given.refused("ListStateMachines", json!({"nextToken": token})), invalid);
    given.clock.advance(Duration::from_hours(24));
    assert_eq!(
        given.refused("ListStateMachineVersions", json!({"stateMachineArn": MACHINE, "nextToken": token})),
        invalid
    );
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
fn an_alias_routes_to_versions_of_one_machine() {
    let given = given();
    given.machine(true);
    given.update("1", true);
    let version = |n: u32| format!("{MACHINE}:{n}");
    let alias = format!("{MACHINE}:live");
    let routes = |weights: &[(u32, u32)]| -> Value {
        weights.iter().map(|(n, weight)| json!({"stateMachineVersionArn": version(*n), "weight": weight})).collect()
    };
    let create = |routes: Value| json!({"name": "live", "description": "d", "routingConfiguration": routes});
    let created = given.ok("CreateStateMachineAlias", create(routes(&[(1, 100)])));
    assert_eq!(created["stateMachineAliasArn"], alias);
    assert_eq!(given.ok("CreateStateMachineAlias", create(routes(&[(1, 100)]))), created, "idempotent");

    let table = [
        (
            routes(&[(2, 100)]),
            "ConflictException: Failed to create alias because an alias with the same name".to_owned(),
        ),
        (
            json!([{"stateMachineVersionArn": MACHINE, "weight": 100}]),
            format!(
                "ValidationException: Routing configuration must contain state machine version ARNs. Received: [{MACHINE}]"
            ),
        ),
        (
            routes(&[(1, 50), (2, 40)]),
            "ValidationException: Sum of routing configuration weights must equal 100. Received: [50, 40]".into(),
        ),
        (routes(&[(1, 50), (1, 50)]), "ValidationException: Routing configuration must contain distinct".into()),
        (routes(&[(9, 100)]), "ResourceNotFound: Request references a resource that does not exist.".into()),
    ];
    for (routes, expected) in table {
        let refused = given.refused("CreateStateMachineAlias", create(routes));
        assert!(refused.starts_with(&expected), "{refused}");
    }

    given.ok(
        "UpdateStateMachineAlias",
        json!({"stateMachineAliasArn": alias, "routingConfiguration": routes(&[(1, 40), (2, 60)])}),
    );
    let described = given.ok("DescribeStateMachineAlias", json!({"stateMachineAliasArn": alias}));
    assert_eq!(
        (&described["description"], &described["routingConfiguration"]),
        (&json!("d"), &routes(&[(1, 40), (2, 60)]))
    );
    assert!(
        given
            .refused("UpdateStateMachineAlias", json!({"stateMachineAliasArn": alias}))
            .starts_with("ValidationException")
    );
    let through = given.ok("DescribeStateMachine", json!({"stateMachineArn": alias}));
    assert_eq!(through["definition"], definition("1"), "what most executions of the alias run");

    let refused = given.refused("DeleteStateMachineVersion", json!({"stateMachineVersionArn": version(2)}));
    assert!(refused.ends_with("Current list of aliases referencing this version: [live]"), "{refused}");
    let listed = given.ok("ListStateMachineAliases", json!({"stateMachineArn": version(2)}));
    assert_eq!(listed["stateMachineAliases"][0]["stateMachineAliasArn"], alias);

    given.ok("DeleteStateMachineAlias", json!({"stateMachineAliasArn": alias}));
    given.ok("DeleteStateMachineAlias", json!({"stateMachineAliasArn": alias}));
    assert!(
        given
            .refused("DescribeStateMachineAlias", json!({"stateMachineAliasArn": alias}))
            .starts_with("ResourceNotFound")
    );
    assert_eq!(
        given.ok("ListStateMachineAliases", json!({"stateMachineArn": MACHINE})),
        json!({"stateMachineAliases": []})
    );
}

#[test]
fn aliases_are_listed_oldest_first_page_by_page() {
    let given = given();
    given.machine(true);
    for n in 1..=3 {
        let routes = json!([{"stateMachineVersionArn": format!("{MACHINE}:1"), "weight": 100}]);
        given.ok("CreateStateMachineAlias", json!({"name": format!("a{n}"), "routingConfiguration": routes}));
    }
    let names = |answer: &Value| -> Vec<String> {
        let aliases = answer["stateMachineAliases"].as_array().unwrap();
        aliases
            .iter()
            .map(|a| a["stateMachineAliasArn"].as_str().unwrap().rsplit(':').next().unwrap().to_owned())
            .collect()
    };
    let first = given.ok("ListStateMachineAliases", json!({"stateMachineArn": MACHINE, "maxResults": 1}));
    assert_eq!(names(&first), ["a1"]);
    let rest =
        given.ok("ListStateMachineAliases", json!({"stateMachineArn": MACHINE, "nextToken": first["nextToken"]}));
    assert_eq!((names(&rest), rest.get("nextToken")), (vec!["a2".to_owned(), "a3".to_owned()], None));
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
    let nobody = format!("{MACHINE}x");
    let refused = given.refused("ListTagsForResource", json!({"resourceArn": nobody}));
    assert_eq!(refused, format!("ResourceNotFound: Resource not found: '{nobody}'"));
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
