"""The errors of the model that many operations share, each provoked from each operation that may answer it."""

import json
import threading
import time
import uuid

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from support import PASS, POLLERS, ROLE, STRANGE_TOKEN, WAIT, client, name, nothing_like, refused, task_of, until

DEFINITION = json.dumps(PASS)
# What else a call needs beside the member that is wrong.
ARN_MEMBERS = {
    "CreateStateMachine": ({"name": "n", "definition": DEFINITION}, "roleArn"),
    "CreateStateMachineAlias": ({"name": "n"}, "routingConfiguration"),
    "DeleteActivity": ({}, "activityArn"),
    "DeleteStateMachine": ({}, "stateMachineArn"),
    "DeleteStateMachineAlias": ({}, "stateMachineAliasArn"),
    "DeleteStateMachineVersion": ({}, "stateMachineVersionArn"),
    "DescribeActivity": ({}, "activityArn"),
    "DescribeExecution": ({}, "executionArn"),
    "DescribeMapRun": ({}, "mapRunArn"),
    "DescribeStateMachine": ({}, "stateMachineArn"),
    "DescribeStateMachineAlias": ({}, "stateMachineAliasArn"),
    "DescribeStateMachineForExecution": ({}, "executionArn"),
    "GetActivityTask": ({}, "activityArn"),
    "GetExecutionHistory": ({}, "executionArn"),
    "ListExecutions": ({}, "stateMachineArn"),
    "ListMapRuns": ({}, "executionArn"),
    "ListStateMachineAliases": ({}, "stateMachineArn"),
    "ListStateMachineVersions": ({}, "stateMachineArn"),
    "ListTagsForResource": ({}, "resourceArn"),
    "PublishStateMachineVersion": ({}, "stateMachineArn"),
    "RedriveExecution": ({}, "executionArn"),
    "StartExecution": ({}, "stateMachineArn"),
    "StartSyncExecution": ({}, "stateMachineArn"),
    "StopExecution": ({}, "executionArn"),
    "TagResource": ({"tags": []}, "resourceArn"),
    "TestState": ({"definition": '{"Type": "Succeed"}'}, "roleArn"),
    "UntagResource": ({"tagKeys": []}, "resourceArn"),
    "UpdateMapRun": ({"maxConcurrency": 1}, "mapRunArn"),
    "UpdateStateMachine": ({"roleArn": ROLE}, "stateMachineArn"),
    "UpdateStateMachineAlias": ({"description": "d"}, "stateMachineAliasArn"),
}


def method(sfn, operation):
    return getattr(sfn, next(name for name, known in sfn.meta.method_to_api_mapping.items() if known == operation))


def may_answer(sfn, code):
    """The operations of the model that may answer this error."""
    model = sfn.meta.service_model
    return [known for known in model.operation_names if code in [e.name for e in model.operation_model(known).error_shapes]]


def test_an_arn_that_is_none(sfn):
    for operation in may_answer(sfn, "InvalidArn"):
        more, member = ARN_MEMBERS[operation]
        wrong = [{"stateMachineVersionArn": "x", "weight": 100}] if member == "routingConfiguration" else "x"
        text = "Invalid Role Arn" if member == "roleArn" else "Invalid ARN prefix: x"
        refused(method(sfn, operation), "InvalidArn", text, **more, **{member: wrong})


def test_an_input_that_lacks_what_is_required(sfn):
    for operation in may_answer(sfn, "ValidationException"):
        refused(method(sfn, operation), "ValidationException")


def test_a_page_token_that_is_none(sfn, machine):
    arn = machine()
    execution = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    for operation in may_answer(sfn, "InvalidToken"):
        members = sfn.meta.service_model.operation_model(operation).input_shape.members
        if "nextToken" in members:
            of = {"executionArn": execution} if "executionArn" in members else {"stateMachineArn": arn} if "stateMachineArn" in members else {}
            refused(method(sfn, operation), "InvalidToken", "Invalid Token: 'Invalid token'", nextToken="x", **of)


def test_a_machine_that_is_being_deleted(sfn, machine):
    """As long as an execution runs, the machine is there and does nothing new."""
    given = {"name": name(), "definition": json.dumps(WAIT)}
    arn = sfn.create_state_machine(**given, roleArn=ROLE, publish=True)["stateMachineArn"]
    route = [{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
    sfn.create_state_machine_alias(name="live", routingConfiguration=route)
    execution = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    sfn.delete_state_machine(stateMachineArn=arn)
    assert sfn.describe_state_machine(stateMachineArn=arn)["status"] == "DELETING"
    deleting = {
        "CreateStateMachine": {**given, "roleArn": ROLE},
        "CreateStateMachineAlias": {"name": "other", "routingConfiguration": route},
        "ListStateMachineAliases": {"stateMachineArn": arn},
        "PublishStateMachineVersion": {"stateMachineArn": arn},
        "StartExecution": {"stateMachineArn": arn},
        "UpdateStateMachine": {"stateMachineArn": arn, "roleArn": ROLE},
        "UpdateStateMachineAlias": {"stateMachineAliasArn": f"{arn}:live", "description": "d"},
    }
    assert set(deleting) | {"StartSyncExecution"} == set(may_answer(sfn, "StateMachineDeleting"))
    for operation, parameters in deleting.items():
        refused(method(sfn, operation), "StateMachineDeleting", arn, **parameters)
    sfn.stop_execution(executionArn=execution)


def test_what_is_not_there(sfn, machine):
    arn = machine(publish=True)
    gone = nothing_like(arn, "stateMachine")
    route = [{"stateMachineVersionArn": f"{gone}:1", "weight": 100}]
    refused(sfn.create_state_machine_alias, "ResourceNotFound", name="n", routingConfiguration=route)
    refused(sfn.update_state_machine_alias, "ResourceNotFound", stateMachineAliasArn=f"{arn}:nothing", description="d")
    refused(sfn.update_state_machine_alias, "ValidationException", "must be specified", stateMachineAliasArn=f"{arn}:nothing")
    refused(sfn.list_state_machine_aliases, "ResourceNotFound", stateMachineArn=f"{arn}:9")
    refused(sfn.list_state_machine_aliases, "StateMachineDoesNotExist", stateMachineArn=gone)
    refused(sfn.list_executions, "ResourceNotFound", stateMachineArn=f"{arn}:nothing")
    refused(sfn.start_sync_execution, "StateMachineDoesNotExist", stateMachineArn=gone)
    # Recorded on AWS: deleting what is not there succeeds.
    sfn.delete_state_machine_alias(stateMachineAliasArn=f"{arn}:nothing")
    sfn.delete_state_machine_version(stateMachineVersionArn=f"{arn}:9")


def test_an_update_that_cannot_be(sfn, machine):
    arn = machine()
    table = [
        ({"definition": "{}"}, "InvalidDefinition"),
        ({"loggingConfiguration": {"level": "ALL"}}, "InvalidLoggingConfiguration"),
        ({"encryptionConfiguration": {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"}}, "InvalidEncryptionConfiguration"),
        ({"roleArn": ROLE, "versionDescription": "d"}, "ValidationException"),
        ({}, "MissingRequiredParameter"),
    ]
    for change, code in table:
        refused(sfn.update_state_machine, code, stateMachineArn=arn, **change)


def test_names_and_inputs_that_cannot_be(sfn, machine, activity):
    express = machine(PASS, type="EXPRESS")
    refused(sfn.start_sync_execution, "InvalidName", "Invalid Name: 'a b'", stateMachineArn=express, name="a b")
    refused(sfn.create_activity, "TooManyTags", name=name(), tags=[{"key": str(n), "value": ""} for n in range(51)])
    key = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"}
    refused(sfn.create_activity, "InvalidEncryptionConfiguration", name=name(), encryptionConfiguration=key)
    there = sfn.describe_activity(activityArn=activity)["name"]
    refused(sfn.create_activity, "ActivityAlreadyExists", activity, name=there, encryptionConfiguration=key)


def test_a_machine_has_100_aliases_at_most(sfn, machine):
    arn = machine(publish=True)
    route = [{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
    for n in range(100):
        sfn.create_state_machine_alias(name=f"a{n}", routingConfiguration=route)
    refused(sfn.create_state_machine_alias, "ServiceQuotaExceededException", "100 aliases", name="b", routingConfiguration=route)
    assert sfn.create_state_machine_alias(name="a7", routingConfiguration=route)["stateMachineAliasArn"] == f"{arn}:a7"


@pytest.mark.skipif(not STRANGE_TOKEN, reason="REVEILLE_STRANGE_TOKEN is not set")
def test_a_token_of_a_task_that_never_was(sfn):
    for call, more in ((sfn.send_task_success, {"output": "{}"}), (sfn.send_task_failure, {}), (sfn.send_task_heartbeat, {})):
        refused(call, "TaskDoesNotExist", taskToken=STRANGE_TOKEN, **more)


@pytest.mark.skipif(not 0 < POLLERS < 20, reason="REVEILLE_POLLERS is not set")
def test_pollers_have_a_bound(sfn, record, machine, activity):
    """As many as may, wait for a task; one more is refused, and there is room again when they have gone."""
    done = []

    def poll():
        while True:  # the probe below may have had the place for a moment
            try:
                return done.append(sfn.get_activity_task(activityArn=activity))
            except sfn.exceptions.ActivityWorkerLimitExceeded:
                time.sleep(0.1)

    pollers = [threading.Thread(target=poll, daemon=True) for _ in range(POLLERS)]
    for poller in pollers:
        poller.start()
    probe = record.watch(client(read_timeout=2))

    def refusal():
        try:
            probe.get_activity_task(activityArn=activity)
        except ReadTimeoutError:
            return None  # it had a place: not all of them wait yet
        except ClientError as error:
            return error.response["Error"]

    error = until("the pollers wait", refusal)
    assert error["Code"] == "ActivityWorkerLimitExceeded", error
    assert error["Message"] == "The maximum number of workers concurrently polling for activity tasks has been reached."
    arn = machine(task_of(activity))
    executions = [sfn.start_execution(stateMachineArn=arn)["executionArn"] for _ in range(POLLERS)]
    for poller in pollers:
        poller.join(70)
    assert len({task["taskToken"] for task in done}) == POLLERS
    for execution in executions:
        sfn.stop_execution(executionArn=execution)


def test_a_redrive_that_cannot_be(sfn, machine):
    execution = sfn.start_execution(stateMachineArn=machine(WAIT))["executionArn"]
    refused(sfn.redrive_execution, "ExecutionNotRedrivable", "RUNNING", executionArn=execution, clientToken=uuid.uuid4().hex)
    refused(sfn.redrive_execution, "ValidationException", executionArn=execution, clientToken="a b")
