"""Executions: started, stopped, redriven, listed, and their histories."""

import json
import uuid

from support import FAIL, PASS, WAIT, ended, fields, other, pages, refused


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


def test_executions_are_listed_by_version_and_alias(sfn, machine):
    arn = machine(FAIL, publish=True)
    sfn.update_state_machine(stateMachineArn=arn, definition=json.dumps(PASS), publish=True)
    route = [{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
    alias = sfn.create_state_machine_alias(name="live", routingConfiguration=route)["stateMachineAliasArn"]

    def start(of):
        execution = sfn.start_execution(stateMachineArn=of)["executionArn"]
        ended(sfn, execution)
        return execution

    plain, first, second, by_alias = start(arn), start(f"{arn}:1"), start(f"{arn}:2"), start(alias)

    def listed(of, **filters):
        return [e["executionArn"] for e in pages(sfn, "list_executions", "executions", 1, stateMachineArn=of, **filters)]

    assert listed(arn) == [by_alias, second, first, plain]
    assert (listed(f"{arn}:1"), listed(f"{arn}:2"), listed(alias)) == ([by_alias, first], [second], [by_alias])
    assert (listed(arn, statusFilter="FAILED"), listed(arn, statusFilter="SUCCEEDED")) == ([by_alias, first], [second, plain])
    assert (listed(f"{arn}:1", statusFilter="SUCCEEDED"), listed(alias, statusFilter="FAILED")) == ([], [by_alias])
    sfn.redrive_execution(executionArn=by_alias)
    assert ended(sfn, by_alias)["redriveCount"] == 1
    for of, redriven, others in ((arn, [by_alias], 3), (f"{arn}:1", [by_alias], 1), (alias, [by_alias], 0), (f"{arn}:2", [], 1)):
        assert listed(of, redriveFilter="REDRIVEN") == redriven
        assert len(listed(of, redriveFilter="NOT_REDRIVEN")) == others
    item = sfn.list_executions(stateMachineArn=alias)["executions"][0]
    assert (item["stateMachineAliasArn"], item["stateMachineVersionArn"], item["stateMachineArn"]) == (alias, f"{arn}:1", arn)
    refused(sfn.list_executions, "StateMachineDoesNotExist", stateMachineArn=f"{arn}:9")
    refused(sfn.list_executions, "ResourceNotFound", stateMachineArn=f"{arn}:nobody")


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
