"""State machines, their versions and aliases."""

import datetime
import json

from support import FAIL, PASS, ROLE, WAIT, ended, list_all, name, other, pages, refused


def test_a_machine_lives(sfn, machine):
    arn = machine(PASS, tags=[{"key": "k", "value": "v"}])
    described = sfn.describe_state_machine(stateMachineArn=arn)
    assert json.loads(described["definition"]) == PASS
    assert (described["status"], described["type"], described["roleArn"]) == ("ACTIVE", "STANDARD", ROLE)
    assert described["loggingConfiguration"] == {"level": "OFF", "includeExecutionData": False}
    assert described["tracingConfiguration"] == {"enabled": False}
    assert described["encryptionConfiguration"] == {"type": "AWS_OWNED_KEY"}
    assert "revisionId" not in described
    assert isinstance(described["creationDate"], datetime.datetime)
    updated = sfn.update_state_machine(stateMachineArn=arn, definition=json.dumps(WAIT))
    assert sfn.describe_state_machine(stateMachineArn=arn)["revisionId"] == updated["revisionId"]
    metadata = sfn.describe_state_machine(stateMachineArn=arn, includedData="METADATA_ONLY")
    assert metadata["definition"] == ""


def test_creating_a_machine_is_idempotent(sfn, machine):
    given = {"name": name(), "definition": json.dumps(PASS)}
    arn = machine(**{**given, "definition": PASS})
    assert sfn.create_state_machine(roleArn=ROLE, **given)["stateMachineArn"] == arn
    assert sfn.create_state_machine(roleArn=ROLE + "2", **given)["stateMachineArn"] == arn
    changed = {**given, "definition": json.dumps(PASS, indent=1)}
    refused(sfn.create_state_machine, "StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'", roleArn=ROLE, **changed)


def test_a_machine_that_cannot_be_is_refused(sfn):
    good = {"name": name(), "definition": json.dumps(PASS), "roleArn": ROLE}
    table = [
        ({"name": "a b"}, "InvalidName", "Invalid Name: 'a b'"),
        ({"definition": '{"StartAt": "A"}'}, "InvalidDefinition", "SCHEMA_VALIDATION_FAILED"),
        ({"definition": "{"}, "InvalidDefinition", "Invalid State Machine Definition"),
        ({"roleArn": "me"}, "InvalidArn", "Invalid Role Arn"),
        ({"versionDescription": "x"}, "ValidationException", "Version description can only be set when publish is true"),
        ({"loggingConfiguration": {"level": "ALL"}}, "InvalidLoggingConfiguration", "exactly one Log Destination"),
        ({"encryptionConfiguration": {"type": "CUSTOMER_MANAGED_KMS_KEY"}}, "InvalidEncryptionConfiguration", ""),
        ({"tags": [{"key": str(n), "value": ""} for n in range(51)]}, "TooManyTags", ""),
        ({"type": "standard"}, "ValidationException", "Member must satisfy enum value set"),
    ]
    for change, code, text in table:
        refused(sfn.create_state_machine, code, text, **{**good, **change})


def test_what_names_no_machine_is_refused(sfn, machine):
    arn = machine()
    nothing = other(arn)
    refused(sfn.describe_state_machine, "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: x'", stateMachineArn="x")
    refused(sfn.describe_state_machine, "StateMachineDoesNotExist", nothing, stateMachineArn=nothing)
    refused(sfn.update_state_machine, "StateMachineDoesNotExist", nothing, stateMachineArn=nothing, roleArn=ROLE)
    refused(sfn.update_state_machine, "MissingRequiredParameter", "must be specified", stateMachineArn=arn)
    refused(sfn.list_executions, "StateMachineDoesNotExist", nothing, stateMachineArn=nothing)
    refused(sfn.start_execution, "StateMachineDoesNotExist", nothing, stateMachineArn=nothing)
    refused(sfn.describe_state_machine, "InvalidArn", "Resource type not valid", stateMachineArn=arn.replace(":stateMachine:", ":activity:"))
    sfn.delete_state_machine(stateMachineArn=nothing)


def test_machines_page(sfn, machine):
    arns = {machine() for _ in range(5)}
    assert arns <= {m["stateMachineArn"] for m in pages(sfn, "list_state_machines", "stateMachines", 2)}
    refused(sfn.list_state_machines, "InvalidToken", "Invalid Token: 'Invalid token'", nextToken="x")


def test_a_definition_is_validated(sfn):
    good = sfn.validate_state_machine_definition(definition=json.dumps(PASS))
    assert (good["result"], good["diagnostics"], good["truncated"]) == ("OK", [], False)
    bad = sfn.validate_state_machine_definition(definition='{"States": {"A": {"Type": "Pass", "End": true}}}')
    assert bad["result"] == "FAIL"
    assert bad["diagnostics"][0]["code"] == "SCHEMA_VALIDATION_FAILED"


def test_variable_references_are_shown(sfn, machine):
    states = {
        "A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "B"},
        "B": {"Type": "Pass", "Parameters": {"y.$": "$x"}, "End": True},
    }
    described = sfn.describe_state_machine(stateMachineArn=machine({"StartAt": "A", "States": states}))
    assert described["variableReferences"] == {"B": ["x"]}


def test_versions(sfn, machine):
    arn = machine(publish=True, versionDescription="one")
    assert sfn.describe_state_machine(stateMachineArn=f"{arn}:1")["description"] == "one"
    for n in range(4):
        updated = sfn.update_state_machine(stateMachineArn=arn, definition=json.dumps({**PASS, "Comment": str(n)}), publish=True)
        assert updated["stateMachineVersionArn"] == f"{arn}:{n + 2}"
    versions = [v["stateMachineVersionArn"] for v in list_all(sfn.list_state_machine_versions, "stateMachineVersions", 2, stateMachineArn=arn)]
    assert versions == [f"{arn}:{n}" for n in (5, 4, 3, 2, 1)]
    sfn.delete_state_machine_version(stateMachineVersionArn=f"{arn}:5")
    assert sfn.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"] == f"{arn}:6"
    refused(sfn.publish_state_machine_version, "ConflictException", "The current State Machine revision is", stateMachineArn=arn, revisionId="x")
    refused(sfn.publish_state_machine_version, "StateMachineDoesNotExist", stateMachineArn=other(arn))
    refused(sfn.list_state_machine_versions, "InvalidToken", stateMachineArn=arn, nextToken="x")


def test_aliases(sfn, machine):
    arn = machine(publish=True)
    sfn.update_state_machine(stateMachineArn=arn, definition=json.dumps(WAIT), publish=True)
    route = lambda *pairs: [{"stateMachineVersionArn": f"{arn}:{v}", "weight": w} for v, w in pairs]  # noqa: E731
    alias = sfn.create_state_machine_alias(name="live", routingConfiguration=route((1, 100)))["stateMachineAliasArn"]
    assert alias == f"{arn}:live"
    execution = sfn.start_execution(stateMachineArn=alias)["executionArn"]
    described = ended(sfn, execution)
    assert (described["stateMachineAliasArn"], described["stateMachineVersionArn"]) == (alias, f"{arn}:1")
    assert [e["executionArn"] for e in sfn.list_executions(stateMachineArn=alias)["executions"]] == [execution]

    refused(sfn.create_state_machine_alias, "ConflictException", name="live", routingConfiguration=route((2, 100)))
    refused(sfn.create_state_machine_alias, "ValidationException", "must equal 100", name="b", routingConfiguration=route((1, 1)))
    refused(sfn.create_state_machine_alias, "ResourceNotFound", name="b", routingConfiguration=route((9, 100)))
    refused(sfn.create_state_machine_alias, "ValidationException", "regular expression", name="123", routingConfiguration=route((1, 100)))
    sfn.update_state_machine_alias(stateMachineAliasArn=alias, routingConfiguration=route((1, 50), (2, 50)), description="both")
    described = sfn.describe_state_machine_alias(stateMachineAliasArn=alias)
    assert (described["description"], described["routingConfiguration"]) == ("both", route((1, 50), (2, 50)))
    conflict = refused(sfn.delete_state_machine_version, "ConflictException", "live", stateMachineVersionArn=f"{arn}:2")
    assert conflict["ResponseMetadata"]["HTTPStatusCode"] == 400
    sfn.create_state_machine_alias(name="other", routingConfiguration=route((1, 100)))
    aliases = list_all(sfn.list_state_machine_aliases, "stateMachineAliases", 1, stateMachineArn=arn)
    assert [a["stateMachineAliasArn"] for a in aliases] == [f"{arn}:live", f"{arn}:other"]
    sfn.delete_state_machine_alias(stateMachineAliasArn=alias)
    refused(sfn.describe_state_machine_alias, "ResourceNotFound", stateMachineAliasArn=alias)
