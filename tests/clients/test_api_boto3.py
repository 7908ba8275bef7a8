"""Every operation through boto3: happy path, every modelled error that can be provoked, paging.

Run against a server of your own (it makes and deletes its own machines, but lists whatever is there):

    REVEILLE_ENDPOINT=http://127.0.0.1:8083 pytest tests/clients/test_api_boto3.py

StartSyncExecution and TestState have a host prefix (`sync-`), which clients must not put before an address: hence inject_host_prefix.
"""

import datetime
import json
import os
import threading
import time
import urllib.error
import urllib.request
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ.get("REVEILLE_ENDPOINT", "http://127.0.0.1:8083")
REGION = os.environ.get("REVEILLE_REGION", "us-east-1")
ACCESS_KEY = os.environ.get("REVEILLE_ACCESS_KEY", "test")
SECRET_KEY = os.environ.get("REVEILLE_SECRET_KEY", "test")
ROLE = "arn:aws:iam::123456789012:role/test"

PASS = {"Comment": "pass", "StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}
FAIL = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}}}


@pytest.fixture(scope="session")
def sfn():
    config = Config(
        inject_host_prefix=False, retries={"max_attempts": 0}, read_timeout=70, max_pool_connections=32, parameter_validation=False
    )
    return boto3.client(
        "stepfunctions",
        endpoint_url=ENDPOINT,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=config,
    )


def name(kind="m"):
    return f"{kind}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def machine(sfn):
    """Makes machines; deletes them (and stops what they run) at the end."""
    made = []

    def make(definition=PASS, **more):
        arn = sfn.create_state_machine(**{"name": name(), "definition": json.dumps(definition), "roleArn": ROLE, **more})["stateMachineArn"]
        made.append(arn)
        return arn

    yield make
    for arn in made:
        if sfn.describe_state_machine(stateMachineArn=arn)["type"] == "STANDARD":
            for execution in sfn.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]:
                sfn.stop_execution(executionArn=execution["executionArn"])
        sfn.delete_state_machine(stateMachineArn=arn)


@pytest.fixture
def activity(sfn):
    arn = sfn.create_activity(name=name("a"))["activityArn"]
    yield arn
    sfn.delete_activity(activityArn=arn)


def ended(sfn, execution, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        described = sfn.describe_execution(executionArn=execution)
        if described["status"] != "RUNNING":
            return described
        assert time.monotonic() < deadline, f"{execution} did not end in {seconds} s"
        time.sleep(0.02)


def refused(call, code, *texts, **parameters):
    """The call fails with this error code and a message that holds these texts; gives the whole error."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    assert response["Error"]["Code"] == code, response
    assert response["ResponseMetadata"]["RequestId"], "every answer carries a request id"
    for text in texts:
        assert text in response["Error"]["Message"], response
    return response


def other(arn):
    """An ARN of the same kind that names nothing."""
    return arn.rsplit(":", 1)[0] + ":" + name("nothing")


def pages(sfn, operation, key, size, **parameters):
    return [item for page in sfn.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **parameters) for item in page[key]]


def fields(arn):
    return arn.split(":")


# Protocol


def raw(body=b"{}", method="POST", path="/", **headers):
    """A request without a client: status, decoded body, headers. Only useful where the server asks for no signature."""
    request = urllib.request.Request(ENDPOINT + path, data=body if method == "POST" else None, method=method)
    for key, value in headers.items():
        request.add_header(key.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), error.headers


AWS_JSON = {"Content_Type": "application/x-amz-json-1.0"}


def test_an_answer_is_aws_json():
    status, body, headers = raw(X_Amz_Target="AWSStepFunctions.ListStateMachines", **AWS_JSON)
    assert status == 200 and "stateMachines" in body
    assert headers["Content-Type"] == "application/x-amz-json-1.0"
    uuid.UUID(headers["x-amzn-RequestId"])


@pytest.mark.parametrize(
    ("request_", "status", "kind"),
    [
        ({"X_Amz_Target": "AWSStepFunctions.Nothing", **AWS_JSON}, 400, "UnknownOperationException"),
        ({"X_Amz_Target": "AWSStepFunctions.ListStateMachines", "Content_Type": "text/plain"}, 404, "UnknownOperationException"),
        (AWS_JSON, 404, "UnknownOperationException"),
        ({"method": "PUT", "X_Amz_Target": "AWSStepFunctions.ListStateMachines", **AWS_JSON}, 404, "UnknownOperationException"),
        ({"body": b"{", "X_Amz_Target": "AWSStepFunctions.ListStateMachines", **AWS_JSON}, 400, "SerializationException"),
        ({"body": b"[]", "X_Amz_Target": "AWSStepFunctions.ListStateMachines", **AWS_JSON}, 400, "SerializationException"),
        ({"body": b'{"name": 1}', "X_Amz_Target": "AWSStepFunctions.CreateActivity", **AWS_JSON}, 400, "SerializationException"),
        (
            {"body": b" " * (3 * 1024 * 1024), "X_Amz_Target": "AWSStepFunctions.ListStateMachines", **AWS_JSON},
            413,
            "RequestEntityTooLargeException",
        ),
    ],
)
def test_what_is_not_the_protocol_is_told_so(request_, status, kind):
    answered, body, headers = raw(**request_)
    assert (answered, body["__type"]) == (status, kind)
    assert body["message"] and headers["x-amzn-RequestId"]


def test_health_readiness_and_metrics_are_beside_the_api():
    for path in ("/healthz", "/readyz"):
        assert urllib.request.urlopen(ENDPOINT + path, timeout=10).status == 200
    text = urllib.request.urlopen(ENDPOINT + "/metrics", timeout=10).read().decode()
    assert "reveille_api_requests" in text


def test_validation_texts_are_those_of_aws(sfn):
    refused(
        sfn.list_state_machines,
        "ValidationException",
        "1 validation error detected: Value '1001' at 'maxResults' failed to satisfy constraint: "
        "Member must have value less than or equal to 1000",
        maxResults=1001,
    )
    refused(sfn.create_state_machine, "ValidationException", "3 validation errors detected: Value null at 'name'")


# State machines


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


# Versions and aliases


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


def list_all(call, key, size, **parameters):
    """Pages of operations that boto3 has no paginator for."""
    items, token = [], {}
    while True:
        page = call(maxResults=size, **token, **parameters)
        assert len(page[key]) <= size
        items += page[key]
        if "nextToken" not in page:
            return items
        token = {"nextToken": page["nextToken"]}


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


# Executions


def test_an_execution_runs(sfn, machine):
    arn = machine(publish=True)
    started = sfn.start_execution(stateMachineArn=f"{arn}:1", name="one", input='{"a": 1}', traceHeader="Root=1")
    described = ended(sfn, started["executionArn"])
    assert described["status"] == "SUCCEEDED"
    assert (json.loads(described["input"]), json.loads(described["output"])) == ({"a": 1}, {"a": 1})
    assert (described["inputDetails"], described["outputDetails"]) == ({"included": True}, {"included": True})
    assert (described["redriveCount"], described["redriveStatus"]) == (0, "NOT_REDRIVABLE")
    assert described["redriveStatusReason"] == "Execution is SUCCEEDED and cannot be redriven"
    assert (described["traceHeader"], described["stateMachineVersionArn"]) == ("Root=1", f"{arn}:1")
    metadata = sfn.describe_execution(executionArn=started["executionArn"], includedData="METADATA_ONLY")
    assert "input" not in metadata and metadata["inputDetails"] == {"included": False}
    ran = sfn.describe_state_machine_for_execution(executionArn=started["executionArn"])
    assert (ran["stateMachineArn"], json.loads(ran["definition"])) == (arn, PASS)


def test_starting_is_idempotent_while_it_runs(sfn, machine):
    arn = machine(WAIT)
    start = {"stateMachineArn": arn, "name": "one", "input": '{"a": 1}'}
    first = sfn.start_execution(**start)
    again = sfn.start_execution(**start)
    assert (first["executionArn"], first["startDate"]) == (again["executionArn"], again["startDate"])
    taken = f"Execution Already Exists: '{first['executionArn']}'"
    refused(sfn.start_execution, "ExecutionAlreadyExists", taken, **{**start, "input": "{}"})
    sfn.stop_execution(executionArn=first["executionArn"])
    refused(sfn.start_execution, "ExecutionAlreadyExists", taken, **start)


def test_an_execution_that_cannot_be_is_refused(sfn, machine):
    arn = machine()
    refused(sfn.start_execution, "InvalidName", "Invalid Name: 'a b'", stateMachineArn=arn, name="a b")
    refused(sfn.start_execution, "InvalidExecutionInput", "Invalid State Machine Execution Input: '", stateMachineArn=arn, input="{")
    refused(sfn.start_execution, "InvalidExecutionInput", "262144", stateMachineArn=arn, input=json.dumps("é" * 200_000, ensure_ascii=False))
    refused(sfn.start_execution, "ValidationException", "262144", stateMachineArn=arn, input=json.dumps("x" * 262_144))
    refused(sfn.start_execution, "InvalidArn", "prefix", stateMachineArn="x")
    nothing = arn.replace(":stateMachine:", ":execution:") + ":nothing"
    for call in (
        sfn.describe_execution,
        sfn.stop_execution,
        sfn.get_execution_history,
        sfn.redrive_execution,
        sfn.describe_state_machine_for_execution,
        sfn.list_map_runs,
    ):
        refused(call, "ExecutionDoesNotExist", f"Execution Does Not Exist: '{nothing}'", executionArn=nothing)
        refused(call, "InvalidArn", "Invalid ARN prefix: x", executionArn="x")


def test_stop_keeps_error_and_cause(sfn, machine):
    execution = sfn.start_execution(stateMachineArn=machine(WAIT))["executionArn"]
    stopped = sfn.stop_execution(executionArn=execution, error="E", cause="C")
    described = ended(sfn, execution)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "E", "C")
    assert described["redriveStatus"] == "REDRIVABLE"
    assert sfn.stop_execution(executionArn=execution)["stopDate"] == stopped["stopDate"]


def test_executions_are_filtered_and_page(sfn, machine):
    arn = machine()
    for n in range(5):
        ended(sfn, sfn.start_execution(stateMachineArn=arn, name=f"e{n}")["executionArn"])
    names = [e["name"] for e in pages(sfn, "list_executions", "executions", 2, stateMachineArn=arn)]
    assert names == ["e4", "e3", "e2", "e1", "e0"]
    assert sfn.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"] == []
    assert len(sfn.list_executions(stateMachineArn=arn, statusFilter="SUCCEEDED")["executions"]) == 5
    assert sfn.list_executions(stateMachineArn=arn, redriveFilter="REDRIVEN")["executions"] == []
    token = sfn.list_executions(stateMachineArn=arn, maxResults=1)["nextToken"]
    refused(sfn.list_executions, "InvalidToken", stateMachineArn=arn, statusFilter="FAILED", nextToken=token)
    refused(sfn.list_executions, "ValidationException")


def test_history_in_both_orders_with_and_without_data(sfn, machine):
    execution = sfn.start_execution(stateMachineArn=machine(), input='{"a": 1}')["executionArn"]
    ended(sfn, execution)
    events = pages(sfn, "get_execution_history", "events", 2, executionArn=execution)
    assert [e["type"] for e in events] == ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
    assert [(e["id"], e["previousEventId"]) for e in events] == [(1, 0), (2, 0), (3, 2), (4, 3)]
    details = events[1]["stateEnteredEventDetails"]
    assert (details["name"], json.loads(details["input"]), details["inputDetails"]) == ("A", {"a": 1}, {"truncated": False})
    assert pages(sfn, "get_execution_history", "events", 3, executionArn=execution, reverseOrder=True) == events[::-1]
    bare = sfn.get_execution_history(executionArn=execution, includeExecutionData=False)["events"]
    assert "input" not in bare[1]["stateEnteredEventDetails"]
    refused(sfn.get_execution_history, "InvalidToken", executionArn=execution, nextToken="x")


def test_redrive(sfn, machine):
    arn = machine(FAIL)
    execution = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    assert ended(sfn, execution)["redriveStatus"] == "REDRIVABLE"
    token = uuid.uuid4().hex
    first = sfn.redrive_execution(executionArn=execution, clientToken=token)
    assert sfn.redrive_execution(executionArn=execution, clientToken=token)["redriveDate"] == first["redriveDate"]
    assert ended(sfn, execution)["redriveCount"] == 1
    types = [e["type"] for e in sfn.get_execution_history(executionArn=execution)["events"]]
    assert "ExecutionRedriven" in types
    assert [e["redriveCount"] for e in sfn.list_executions(stateMachineArn=arn, redriveFilter="REDRIVEN")["executions"]] == [1]
    done = sfn.start_execution(stateMachineArn=machine())["executionArn"]
    ended(sfn, done)
    refused(sfn.redrive_execution, "ExecutionNotRedrivable", executionArn=done)


def test_express(sfn, machine):
    arn = machine(PASS, type="EXPRESS")
    answer = sfn.start_sync_execution(stateMachineArn=arn, input='{"a": 1}', name="one")
    assert (answer["status"], json.loads(answer["output"]), answer["name"]) == ("SUCCEEDED", {"a": 1}, "one")
    assert fields(answer["executionArn"])[5] == "express"
    assert answer["billingDetails"]["billedMemoryUsedInMB"] == 64
    failed = sfn.start_sync_execution(stateMachineArn=machine(FAIL, type="EXPRESS"))
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "Broken", "on purpose")
    not_supported = "This operation is not supported by this type of state machine"
    refused(sfn.start_sync_execution, "StateMachineTypeNotSupported", not_supported, stateMachineArn=machine())
    refused(sfn.list_executions, "StateMachineTypeNotSupported", not_supported, stateMachineArn=arn)
    refused(sfn.describe_execution, "InvalidArn", "express", executionArn=answer["executionArn"])
    refused(sfn.start_sync_execution, "StateMachineDoesNotExist", stateMachineArn=other(arn))
    refused(sfn.start_sync_execution, "InvalidExecutionInput", stateMachineArn=arn, input="{")


# Activities and tokens


def test_activity(sfn, activity):
    described = sfn.describe_activity(activityArn=activity)
    assert described["activityArn"] == activity
    again = sfn.create_activity(name=described["name"])
    assert (again["activityArn"], again["creationDate"]) == (activity, described["creationDate"])
    assert activity in [a["activityArn"] for a in pages(sfn, "list_activities", "activities", 2)]
    refused(sfn.create_activity, "InvalidName", name="a b")
    refused(sfn.describe_activity, "ActivityDoesNotExist", activityArn=other(activity))
    refused(sfn.get_activity_task, "ActivityDoesNotExist", activityArn=other(activity))
    refused(sfn.describe_activity, "InvalidArn", activityArn="x")
    refused(sfn.list_activities, "InvalidToken", nextToken="x")
    sfn.delete_activity(activityArn=other(activity))


def task_of(activity, **more):
    return {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": True, **more}}}


def test_a_task_is_completed_once_by_its_token(sfn, machine, activity):
    execution = sfn.start_execution(stateMachineArn=machine(task_of(activity)), input='{"a": 1}')["executionArn"]
    task = sfn.get_activity_task(activityArn=activity, workerName="w")
    token = task["taskToken"]
    assert json.loads(task["input"]) == {"a": 1}
    sfn.send_task_heartbeat(taskToken=token)
    refused(sfn.send_task_success, "InvalidOutput", taskToken=token, output="{")
    sfn.send_task_success(taskToken=token, output='{"b": 2}')
    assert json.loads(ended(sfn, execution)["output"]) == {"b": 2}
    gone = "Task Timed Out: 'Provided task does not exist anymore'"
    refused(sfn.send_task_success, "TaskTimedOut", gone, taskToken=token, output="{}")
    refused(sfn.send_task_failure, "TaskTimedOut", gone, taskToken=token)
    refused(sfn.send_task_heartbeat, "TaskTimedOut", gone, taskToken=token)
    events = {e["type"]: e for e in sfn.get_execution_history(executionArn=execution)["events"]}
    assert events["ActivityStarted"]["activityStartedEventDetails"] == {"workerName": "w"}


def test_a_task_fails_by_its_token(sfn, machine, activity):
    execution = sfn.start_execution(stateMachineArn=machine(task_of(activity)))["executionArn"]
    sfn.send_task_failure(taskToken=sfn.get_activity_task(activityArn=activity)["taskToken"], error="E", cause="C")
    described = ended(sfn, execution)
    assert (described["status"], described["error"], described["cause"]) == ("FAILED", "E", "C")


def test_a_token_that_is_none_is_refused(sfn):
    for call, more in ((sfn.send_task_success, {"output": "{}"}), (sfn.send_task_failure, {}), (sfn.send_task_heartbeat, {})):
        refused(call, "InvalidToken", "Invalid Token: 'Invalid token'", taskToken="nonsense", **more)
        message = refused(call, "ValidationException", "less than or equal to 2048", taskToken="x" * 2049, **more)["Error"]["Message"]
        assert "xxx" not in message, "a token is never repeated"


def test_a_task_goes_to_one_poller(sfn, machine, activity):
    got = []
    pollers = [threading.Thread(target=lambda: got.append(sfn.get_activity_task(activityArn=activity))) for _ in range(2)]
    for poller in pollers:
        poller.start()
    arn = machine(task_of(activity))
    for _ in range(2):
        sfn.start_execution(stateMachineArn=arn)
    for poller in pollers:
        poller.join(65)
    tokens = [task["taskToken"] for task in got]
    assert len(set(tokens)) == 2
    for token in tokens:
        sfn.send_task_success(taskToken=token, output="{}")


# Tags, map runs, the rest


def test_tags(sfn, machine, activity):
    for resource in (machine(), activity):
        sfn.tag_resource(resourceArn=resource, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": ""}])
        sfn.tag_resource(resourceArn=resource, tags=[{"key": "a", "value": "2"}])
        assert sfn.list_tags_for_resource(resourceArn=resource)["tags"] == [{"key": "a", "value": "2"}, {"key": "b", "value": ""}]
        sfn.untag_resource(resourceArn=resource, tagKeys=["a", "nothing"])
        assert sfn.list_tags_for_resource(resourceArn=resource)["tags"] == [{"key": "b", "value": ""}]
        many = [{"key": str(n), "value": ""} for n in range(50)]
        refused(sfn.tag_resource, "TooManyTags", resourceArn=resource, tags=many)
        for call, more in ((sfn.tag_resource, {"tags": []}), (sfn.untag_resource, {"tagKeys": []}), (sfn.list_tags_for_resource, {})):
            refused(call, "ResourceNotFound", resourceArn=other(resource), **more)
            refused(call, "InvalidArn", resourceArn="x", **more)


def test_map_runs_that_are_not_there(sfn, machine):
    execution = sfn.start_execution(stateMachineArn=machine())["executionArn"]
    ended(sfn, execution)
    assert sfn.list_map_runs(executionArn=execution)["mapRuns"] == []
    parts = fields(execution)
    run = ":".join([*parts[:5], "mapRun", f"{parts[6]}/label", str(uuid.uuid4())])
    refused(sfn.describe_map_run, "ResourceNotFound", mapRunArn=run)
    refused(sfn.update_map_run, "ResourceNotFound", mapRunArn=run, maxConcurrency=1)
    refused(sfn.update_map_run, "ValidationException", mapRunArn=run)
    refused(sfn.describe_map_run, "InvalidArn", mapRunArn="x")


def test_every_operation_of_the_model_is_known(sfn):
    """No operation answers that it is unknown: an empty input is refused for what it lacks, or answered."""
    for operation in sfn.meta.service_model.operation_names:
        status, body, _ = raw(X_Amz_Target=f"AWSStepFunctions.{operation}", **AWS_JSON)
        assert status in (200, 400) and body.get("__type") not in ("UnknownOperationException", "InternalServerError"), (operation, body)
