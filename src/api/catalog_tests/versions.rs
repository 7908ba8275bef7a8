//! Versions and aliases of machines.

use super::*;

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
            "ConflictException: Failed to publish the State Machine version for revision {old}. The current State \
             Machine revision is {current}."
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
    assert_eq!(unchanged["stateMachineVersionArn"], format!("{MACHINE}:1000"), "the refused requests changed nothing");
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
                "ValidationException: Routing configuration must contain state machine version ARNs. Received: \
                 [{MACHINE}]"
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
