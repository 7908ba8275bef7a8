"""Map runs: described, listed, changed, and their children."""

import json
import uuid

from support import ended, fields, list_all, pages, refused, until

PASS = {"Type": "Pass", "End": True}
WAIT = {"Type": "Wait", "Seconds": 600, "End": True}


def maps(state, *names):
    """Distributed Maps one after the other, each with a label of its own, and one state for each item."""
    made = {}
    for at, label in enumerate(names):
        mode = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
        processor = {"ProcessorConfig": mode, "StartAt": f"in {label}", "States": {f"in {label}": state}}
        after = {"Next": names[at + 1]} if at + 1 < len(names) else {"End": True}
        made[label] = {"Type": "Map", "Label": label, "ItemsPath": "$.items", "ResultPath": None, "ItemProcessor": processor, **after}
    return {"StartAt": names[0], "States": made}


def test_map_runs_are_listed_and_described(sfn, machine):
    arn = machine(maps(PASS, "one", "two", "three"))
    execution = sfn.start_execution(stateMachineArn=arn, input='{"items": [1, 2]}')["executionArn"]
    assert ended(sfn, execution)["status"] == "SUCCEEDED"
    runs = pages(sfn, "list_map_runs", "mapRuns", 2, executionArn=execution)
    assert sorted(run["stateMachineArn"] for run in runs) == [f"{arn}/one", f"{arn}/three", f"{arn}/two"]
    run = next(run["mapRunArn"] for run in runs if run["stateMachineArn"] == f"{arn}/one")
    described = sfn.describe_map_run(mapRunArn=run)
    assert (described["status"], described["executionArn"], described["maxConcurrency"]) == ("SUCCEEDED", execution, 0)
    assert (described["itemCounts"]["succeeded"], described["executionCounts"]["total"]) == (2, 2)
    assert described["stopDate"] >= described["startDate"]
    children = pages(sfn, "list_executions", "executions", 1, mapRunArn=run)
    assert len(children) == 2 and {child["mapRunArn"] for child in children} == {run}
    assert sfn.list_executions(mapRunArn=run, statusFilter="FAILED")["executions"] == []
    child = sfn.describe_execution(executionArn=children[0]["executionArn"])
    assert (child["mapRunArn"], child["status"]) == (run, "SUCCEEDED")
    of_child = sfn.describe_state_machine_for_execution(executionArn=children[0]["executionArn"])
    assert (of_child["mapRunArn"], of_child["label"]) == (run, "one")
    both = {"stateMachineArn": arn, "mapRunArn": run}
    refused(sfn.list_executions, "ValidationException", "exactly one", **both)
    refused(sfn.update_map_run, "ValidationException", mapRunArn=run, maxConcurrency=2)


def test_a_map_run_is_changed_while_it_runs(sfn, machine):
    arn = machine(maps(WAIT, "slow"))
    execution = sfn.start_execution(stateMachineArn=arn, input='{"items": [1, 2, 3]}')["executionArn"]
    run = until("the map run", lambda: sfn.list_map_runs(executionArn=execution)["mapRuns"])[0]["mapRunArn"]
    sfn.update_map_run(mapRunArn=run, maxConcurrency=7, toleratedFailureCount=1, toleratedFailurePercentage=12.5)
    described = sfn.describe_map_run(mapRunArn=run)
    assert described["status"] == "RUNNING"
    assert (described["maxConcurrency"], described["toleratedFailureCount"], described["toleratedFailurePercentage"]) == (7, 1, 12.5)
    refused(sfn.update_map_run, "ValidationException", "must be specified", mapRunArn=run)
    sfn.stop_execution(executionArn=execution)
    until("the map run ends with its execution", lambda: sfn.describe_map_run(mapRunArn=run)["status"] == "ABORTED")
    assert {child["status"] for child in pages(sfn, "list_executions", "executions", 10, mapRunArn=run)} == {"ABORTED"}


def test_a_child_that_is_not_redriven_yet_is_pending(sfn, machine):
    """Two children fail and are redriven one after the other: the first waits in its state, the second for its redrive."""
    check = "{% $states.context.Execution.RedriveCount > 0 ? 1 : $error('not yet') %}"
    states = {"Check": {"Type": "Pass", "QueryLanguage": "JSONata", "Output": check, "Next": "Wait"}, "Wait": WAIT}
    mode = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    processor = {"ProcessorConfig": mode, "StartAt": "Check", "States": states}
    limits = {"MaxConcurrency": 1, "ToleratedFailureCount": 1}
    map_state = {"Type": "Map", "Label": "l", "ItemsPath": "$.items", "ItemProcessor": processor, "End": True, **limits}
    arn = machine({"StartAt": "M", "States": {"M": map_state}}, publish=True)
    execution = sfn.start_execution(stateMachineArn=f"{arn}:1", input='{"items": [1, 2]}')["executionArn"]
    assert ended(sfn, execution)["status"] == "FAILED"
    run = sfn.list_map_runs(executionArn=execution)["mapRuns"][0]["mapRunArn"]
    until("the run's end is written", lambda: sfn.describe_map_run(mapRunArn=run)["status"] == "FAILED")

    def children(**filters):
        return [child["executionArn"] for child in pages(sfn, "list_executions", "executions", 1, mapRunArn=run, **filters)]

    both = children(statusFilter="FAILED")
    assert len(both) == 2 and children(statusFilter="PENDING_REDRIVE") == [] and children(redriveFilter="REDRIVEN") == []
    assert {sfn.describe_execution(executionArn=child)["redriveStatus"] for child in both} == {"REDRIVABLE_BY_MAP_RUN"}

    sfn.redrive_execution(executionArn=execution)
    first = until("the first child runs again", lambda: children(statusFilter="RUNNING"))
    (second,) = set(both) - set(first)
    assert children(statusFilter="PENDING_REDRIVE") == [second] and children(statusFilter="FAILED") == []
    assert (children(redriveFilter="REDRIVEN"), children(redriveFilter="NOT_REDRIVEN")) == (first, [second])
    listed = sfn.list_executions(mapRunArn=run)["executions"]
    assert {child["executionArn"]: child["status"] for child in listed} == {first[0]: "RUNNING", second: "PENDING_REDRIVE"}
    described = sfn.describe_execution(executionArn=second)
    assert (described["status"], described["redriveStatus"], described["redriveCount"]) == ("PENDING_REDRIVE", "REDRIVABLE_BY_MAP_RUN", 0)
    assert sfn.describe_execution(executionArn=first[0])["redriveCount"] == 1
    until("it is counted", lambda: sfn.describe_map_run(mapRunArn=run)["executionCounts"]["pendingRedrive"] == 1)
    described = sfn.describe_map_run(mapRunArn=run)
    assert (described["status"], described["redriveCount"], described["itemCounts"]["pendingRedrive"]) == ("RUNNING", 1, 1)
    assert described["executionCounts"]["running"] == 1 and described["executionCounts"]["failed"] == 0

    # Only a map run has such children: the executions of a machine have no such status, and do not list the children.
    refused(sfn.list_executions, "ValidationException", "mapRunArn", stateMachineArn=arn, statusFilter="PENDING_REDRIVE")
    for machine_or_version in (arn, f"{arn}:1"):
        assert [e["executionArn"] for e in sfn.list_executions(stateMachineArn=machine_or_version)["executions"]] == [execution]
    sfn.stop_execution(executionArn=execution)
    until("the run ends", lambda: sfn.describe_map_run(mapRunArn=run)["status"] == "ABORTED")
    assert (children(statusFilter="ABORTED"), children(statusFilter="FAILED")) == (first, [second])


def test_map_runs_that_are_not_there(sfn, machine):
    execution = sfn.start_execution(stateMachineArn=machine(), input=json.dumps({}))["executionArn"]
    ended(sfn, execution)
    assert sfn.list_map_runs(executionArn=execution)["mapRuns"] == []
    parts = fields(execution)
    run = ":".join([*parts[:5], "mapRun", f"{parts[6]}/label", str(uuid.uuid4())])
    refused(sfn.describe_map_run, "ResourceNotFound", mapRunArn=run)
    refused(sfn.list_executions, "ResourceNotFound", mapRunArn=run)
    refused(sfn.update_map_run, "ResourceNotFound", mapRunArn=run, maxConcurrency=1)
    refused(sfn.update_map_run, "ValidationException", mapRunArn=run)
    refused(sfn.describe_map_run, "InvalidArn", mapRunArn="x")
    refused(sfn.update_map_run, "InvalidArn", mapRunArn="x", maxConcurrency=1)
    refused(sfn.list_map_runs, "InvalidToken", executionArn=execution, nextToken="x")
    assert list_all(sfn.list_map_runs, "mapRuns", 1, executionArn=execution) == []
