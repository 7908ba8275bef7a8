"""`loggingConfiguration`, acted on: what a server writes into its log of executions whose machines ask for it.

The table is AWS's ("Log levels", Step Functions developer guide): which types of history events each level logs. What an event says is
compared with GetExecutionHistory, with and without data.
"""

import json
import os

import pytest
from support import PASS, ended, fields, until

LOG = os.environ.get("REVEILLE_LOG")
pytestmark = pytest.mark.skipif(not LOG, reason="REVEILLE_LOG names no log of the server")

GROUP = [{"cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:/states/x:*"}}]
FATAL = {"ExecutionAborted", "ExecutionFailed", "ExecutionTimedOut"}
ERROR = FATAL | {
    "FailStateEntered",
    "LambdaFunctionFailed",
    "LambdaFunctionScheduleFailed",
    "LambdaFunctionStartFailed",
    "LambdaFunctionTimedOut",
    "MapIterationAborted",
    "MapIterationFailed",
    "MapStateAborted",
    "MapStateFailed",
    "ParallelStateAborted",
    "ParallelStateFailed",
    "TaskFailed",
    "TaskStartFailed",
    "TaskStateAborted",
    "TaskSubmitFailed",
    "TaskTimedOut",
    "WaitStateAborted",
}
# Logged at ALL alone.
OTHERS = {
    "ChoiceStateEntered",
    "ChoiceStateExited",
    "ExecutionStarted",
    "ExecutionSucceeded",
    "LambdaFunctionScheduled",
    "LambdaFunctionStarted",
    "LambdaFunctionSucceeded",
    "MapIterationStarted",
    "MapIterationSucceeded",
    "MapStateEntered",
    "MapStateExited",
    "MapStateStarted",
    "MapStateSucceeded",
    "ParallelStateEntered",
    "ParallelStateExited",
    "ParallelStateStarted",
    "ParallelStateSucceeded",
    "PassStateEntered",
    "PassStateExited",
    "SucceedStateEntered",
    "SucceedStateExited",
    "TaskScheduled",
    "TaskStarted",
    "TaskStateEntered",
    "TaskStateExited",
    "TaskSubmitted",
    "TaskSucceeded",
    "WaitStateEntered",
    "WaitStateExited",
}
LOGGED = {"ALL": ERROR | OTHERS, "ERROR": ERROR, "FATAL": FATAL, "OFF": set()}

FAILS = {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}
LONG = {"Type": "Wait", "Seconds": 600, "End": True}
QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/nobody"


def caught(state, after):
    return {**state, "ResultPath": None, "Next": after, "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": after}]}


def flow(first, **states):
    return {"StartAt": first, "States": states}


# A failing branch aborts a waiting one, a failing iteration another; nobody answers the message, no function is there.
SCENES = flow(
    "Both",
    Both=caught({"Type": "Parallel", "Branches": [flow("No", No=FAILS), flow("Long", Long=LONG)]}, "Each"),
    Each=caught(
        {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": flow(
            "Which",
            Which={"Type": "Choice", "Choices": [{"Variable": "$", "NumericEquals": 1, "Next": "Not this"}], "Default": "Longer"},
            **{"Not this": FAILS, "Longer": LONG},
        )},
        "Ask",
    ),
    Ask=caught(
        {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "TimeoutSeconds": 1,
            "Parameters": {"QueueUrl": QUEUE, "MessageBody": {"token.$": "$$.Task.Token", "secret.$": "$.secret"}},
        },
        "Call",
    ),
    Call=caught({"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:nobody", "TimeoutSeconds": 1}, "Publish"),
    Publish=caught(
        {"Type": "Task", "Resource": "arn:aws:states:::events:putEvents", "Parameters": {"Entries": [{"Detail": {"a": 1}, "DetailType": "d"}]}},
        "Rest",
    ),
    Rest={"Type": "Wait", "Seconds": 0, "Next": "Count"},
    Count={
        "Type": "Map", "ItemsPath": "$.items", "ResultPath": "$.counted", "Next": "Two",
        "ItemProcessor": flow("One", One={"Type": "Pass", "End": True}),
    },
    Two={"Type": "Parallel", "Branches": [flow("Done", Done={"Type": "Succeed"})], "ResultPath": "$.two", "Next": "End"},
    End={"Type": "Choice", "Choices": [{"Variable": "$.end", "StringEquals": "fail", "Next": "Fail"}], "Default": "Succeed"},
    Fail=FAILS,
    Succeed={"Type": "Succeed"},
)  # fmt: skip
TIMES_OUT = {"TimeoutSeconds": 1, **flow("Long", Long=LONG)}
STOPPED = flow("Long", Long=LONG)


def lines(execution=None):
    """The log's history events, of one execution or all; a line that is still being written is not there yet."""
    with open(LOG, encoding="utf-8") as log:
        whole = [line for line in log if line.endswith("\n") and '"history.event"' in line]
    found = [line for line in map(json.loads, whole) if line.get("event") == "history.event"]
    return [line for line in found if execution in (None, line["execution.arn"])]


def details_of(event):
    return next((value for key, value in event.items() if key.endswith("EventDetails")), None)


def told(line):
    details = line.get("history.details")
    return line["history.id"], line["history.previous_id"], line["history.type"], json.loads(details) if details else None


def without_tokens(details):
    """As the history shows it, with the task token that the message for nobody would have carried taken out."""
    parameters = json.loads((details or {}).get("parameters") or "{}")
    token = parameters.get("MessageBody", {}).get("token") if isinstance(parameters.get("MessageBody"), dict) else None
    return json.loads(json.dumps(details).replace(token, "[task token]")) if token else details


def expected(sfn, execution, level, data):
    events = []
    for page in sfn.get_paginator("get_execution_history").paginate(executionArn=execution, includeExecutionData=data):
        events += page["events"]
    unknown = {event["type"] for event in events} - LOGGED["ALL"]
    assert not unknown, f"the test's table lacks {unknown}"
    wanted = [event for event in events if event["type"] in LOGGED[level]]
    told = [(e["id"], e["previousEventId"], e["type"], without_tokens(details_of(e))) for e in wanted]
    if not data:
        # A history without data keeps the parameters of its tasks, a log does not.
        for *_, details in told:
            (details or {}).pop("parameters", None)
    return told


@pytest.fixture
def logged(machine):
    """Machines with a logging configuration."""

    def make(definition, level, data, **more):
        configuration = {"level": level, "includeExecutionData": data, "destinations": GROUP}
        return machine(definition, loggingConfiguration=configuration, **more)

    return make


def test_each_level_logs_what_awss_table_says(sfn, logged):
    executions, secretive = [], set()
    for level in LOGGED:
        for data in (False, True):
            scenes = logged(SCENES, level, data)
            for end in ("fail", "succeed"):
                given = json.dumps({"items": [1, 2], "end": end, "secret": "opensesame"})
                executions.append((sfn.start_execution(stateMachineArn=scenes, input=given)["executionArn"], level, data))
                secretive.add(executions[-1][0])
            executions.append((sfn.start_execution(stateMachineArn=logged(TIMES_OUT, level, data))["executionArn"], level, data))
            stopped = sfn.start_execution(stateMachineArn=logged(STOPPED, level, data))["executionArn"]
            sfn.stop_execution(executionArn=stopped, error="Enough", cause="said so")
            executions.append((stopped, level, data))

    statuses, seen = set(), {}
    for execution, level, data in executions:
        statuses.add(ended(sfn, execution)["status"])
        wanted = expected(sfn, execution, level, data)
        # A line is written after its event is durable: it may come a little later than the answer.
        until(f"{len(wanted)} lines of {execution} at {level}", lambda execution=execution, wanted=wanted: len(lines(execution)) >= len(wanted))
        seen.setdefault(level, set()).update(event[2] for event in wanted)
    assert statuses == {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}
    # All at once, at the end: nothing came beside what was wanted.
    for execution, level, data in executions:
        assert [told(line) for line in lines(execution)] == expected(sfn, execution, level, data), f"{level}, data: {data}"
        text = json.dumps(lines(execution))
        if level == "ALL" and data and execution in secretive:
            assert "opensesame" in text and "[task token]" in text
        elif not data:
            assert "opensesame" not in text
    kinds = {"MapIterationAborted", "MapIterationFailed", "MapStateFailed", "ParallelStateFailed", "WaitStateAborted", "FailStateEntered"}
    assert seen["ERROR"] >= FATAL | kinds and seen["FATAL"] == FATAL and seen["OFF"] == set(), seen
    assert seen["ALL"] >= seen["ERROR"] | {"TaskScheduled", "LambdaFunctionScheduled", "ChoiceStateEntered", "WaitStateExited"}


def test_an_express_execution_is_told_by_the_log_alone(sfn, logged):
    for data in (False, True):
        arn = logged(PASS, "ALL", data, type="EXPRESS")
        execution = sfn.start_sync_execution(stateMachineArn=arn, input='{"a": "opensesame"}')["executionArn"]
        assert fields(execution)[5] == "express"
        types = ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
        until("its lines", lambda execution=execution: len(lines(execution)) == len(types))
        assert [line["history.type"] for line in lines(execution)] == types
        assert ["opensesame" in line["history.details"] for line in lines(execution)] == [data] * 4


def test_a_machine_without_a_configuration_logs_no_history(sfn, machine):
    arn = machine()
    execution = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    ended(sfn, execution)
    sfn.update_state_machine(
        stateMachineArn=arn, loggingConfiguration={"level": "ALL", "includeExecutionData": False, "destinations": GROUP}
    )
    after = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    ended(sfn, after)
    until("the lines of the second execution", lambda: len(lines(after)) == 4)
    assert lines(execution) == []
