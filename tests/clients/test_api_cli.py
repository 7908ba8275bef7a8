"""The API through the AWS CLI: the happy path of every operation, an error of each kind, paging.

    REVEILLE_ENDPOINT=http://127.0.0.1:8083 pytest tests/clients/test_api_cli.py

A process of the CLI takes a second to start, so its commands run in this one, by the function that the program `aws` calls too; one
test runs the program itself. The CLI must not put `sync-` before an address: hence AWS_DISABLE_HOST_PREFIX_INJECTION.
"""

import contextlib
import io

import json
import os
import shutil
import subprocess
import sys
import time
import uuid

import pytest
from awscli.clidriver import create_clidriver

ENDPOINT = os.environ.get("REVEILLE_ENDPOINT", "http://127.0.0.1:8083")
ROLE = "arn:aws:iam::123456789012:role/test"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": os.environ.get("REVEILLE_ACCESS_KEY", "test"),
    "AWS_SECRET_ACCESS_KEY": os.environ.get("REVEILLE_SECRET_KEY", "test"),
    "AWS_DEFAULT_REGION": os.environ.get("REVEILLE_REGION", "us-east-1"),
    "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_PAGER": "",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
os.environ.update(ENVIRONMENT)
DRIVER = create_clidriver()
CALLED = set()
BESIDE_PYTHON = os.path.join(os.path.dirname(sys.executable), "aws")
AWS = BESIDE_PYTHON if os.path.exists(BESIDE_PYTHON) else shutil.which("aws")

PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}
FAIL = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}}}


def words_of(operation, *options, **parameters):
    words = ["stepfunctions", operation, "--endpoint-url", ENDPOINT, "--output", "json", "--cli-read-timeout", "70", *options]
    for key, value in parameters.items():
        words += ["--" + key.replace("_", "-"), value if isinstance(value, str) else json.dumps(value)]
    return words


def aws(operation, *options, **parameters):
    """`aws stepfunctions OPERATION --parameter value …`: the answer, or None where there is none. `a_b=x` is `--a-b x`."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = DRIVER.main(words_of(operation, *options, **parameters))
    if code:
        raise Refused(err.getvalue().strip())
    CALLED.add(operation)
    return json.loads(out.getvalue()) if out.getvalue().strip() else None


def program(*arguments, **parameters):
    """The same by the program: exit code, standard output, standard error."""
    done = subprocess.run([AWS, *words_of(*arguments, **parameters)], capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


class Refused(Exception):
    pass


def refused(code, text, operation, *options, **parameters):
    with pytest.raises(Refused) as caught:
        aws(operation, *options, **parameters)
    message = str(caught.value)
    assert f"({code})" in message and text in message, message


def name(kind="cli"):
    return f"{kind}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def machine():
    made = []

    def make(definition=PASS, *options, **more):
        arn = aws("create-state-machine", *options, name=name(), definition=json.dumps(definition), role_arn=ROLE, **more)["stateMachineArn"]
        made.append(arn)
        return arn

    yield make
    for arn in made:
        aws("delete-state-machine", state_machine_arn=arn)


@pytest.fixture
def activity():
    arn = aws("create-activity", name=name())["activityArn"]
    yield arn
    aws("delete-activity", activity_arn=arn)


def ended(execution):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        described = aws("describe-execution", execution_arn=execution)
        if described["status"] != "RUNNING":
            return described
        time.sleep(0.05)
    raise AssertionError(f"{execution} did not end")


def test_the_program_itself(machine):
    arn = machine()
    code, out, err = program("describe-state-machine", state_machine_arn=arn)
    assert (code, json.loads(out)["stateMachineArn"]) == (0, arn), err
    code, out, err = program("describe-execution", execution_arn="x")
    assert code != 0 and out == "" and "(InvalidArn)" in err, err


def test_machines_are_made_listed_changed_and_validated(machine):
    arns = {machine() for _ in range(2)}
    arn = arns.copy().pop()
    listed = aws("list-state-machines", "--page-size", "1")["stateMachines"]
    assert arns <= {m["stateMachineArn"] for m in listed}
    page = aws("list-state-machines", "--max-items", "1")
    assert len(page["stateMachines"]) == 1 and page["NextToken"]
    assert json.loads(aws("describe-state-machine", state_machine_arn=arn)["definition"]) == PASS
    assert aws("update-state-machine", state_machine_arn=arn, definition=json.dumps(FAIL))["revisionId"]
    assert aws("validate-state-machine-definition", definition=json.dumps(PASS))["result"] == "OK"
    assert aws("validate-state-machine-definition", definition='{"StartAt": "A"}')["result"] == "FAIL"


def test_versions_and_aliases(machine):
    arn = machine(PASS, "--publish")
    assert aws("publish-state-machine-version", state_machine_arn=arn)["stateMachineVersionArn"] == f"{arn}:1"
    assert [v["stateMachineVersionArn"] for v in aws("list-state-machine-versions", state_machine_arn=arn)["stateMachineVersions"]] == [f"{arn}:1"]
    routes = [{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
    alias = aws("create-state-machine-alias", name="live", routing_configuration=routes)["stateMachineAliasArn"]
    aws("update-state-machine-alias", state_machine_alias_arn=alias, description="d")
    assert aws("describe-state-machine-alias", state_machine_alias_arn=alias)["description"] == "d"
    assert len(aws("list-state-machine-aliases", state_machine_arn=arn)["stateMachineAliases"]) == 1
    refused("ConflictException", "live", "delete-state-machine-version", state_machine_version_arn=f"{arn}:1")
    aws("delete-state-machine-alias", state_machine_alias_arn=alias)
    aws("delete-state-machine-version", state_machine_version_arn=f"{arn}:1")
    refused("ResourceNotFound", "does not exist", "describe-state-machine-alias", state_machine_alias_arn=alias)


def test_executions(machine):
    arn = machine()
    for n in range(3):
        started = aws("start-execution", state_machine_arn=arn, name=f"e{n}", input='{"a": 1}')
        assert ended(started["executionArn"])["status"] == "SUCCEEDED"
    execution = started["executionArn"]
    assert [e["name"] for e in aws("list-executions", "--page-size", "1", state_machine_arn=arn)["executions"]] == ["e2", "e1", "e0"]
    history = aws("get-execution-history", "--page-size", "1", execution_arn=execution)["events"]
    assert [e["type"] for e in history] == ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
    newest = aws("get-execution-history", "--reverse-order", "--max-items", "1", execution_arn=execution)["events"]
    assert newest[0]["type"] == "ExecutionSucceeded"
    assert aws("describe-state-machine-for-execution", execution_arn=execution)["stateMachineArn"] == arn
    assert aws("list-map-runs", execution_arn=execution)["mapRuns"] == []


def test_an_execution_is_stopped_and_a_failed_one_redriven(machine):
    running = aws("start-execution", state_machine_arn=machine(WAIT))["executionArn"]
    assert aws("stop-execution", execution_arn=running, error="E", cause="C")["stopDate"]
    assert ended(running)["status"] == "ABORTED"
    failed = aws("start-execution", state_machine_arn=machine(FAIL))["executionArn"]
    assert ended(failed)["error"] == "Broken"
    assert aws("redrive-execution", execution_arn=failed)["redriveDate"]
    assert ended(failed)["redriveCount"] == 1


def test_an_express_execution_answers_with_its_end(machine):
    answer = aws("start-sync-execution", state_machine_arn=machine(PASS, type="EXPRESS"), input='{"a": 1}')
    assert (answer["status"], json.loads(answer["output"])) == ("SUCCEEDED", {"a": 1})


def test_activities_and_tokens(machine, activity):
    assert aws("describe-activity", activity_arn=activity)["activityArn"] == activity
    assert activity in [a["activityArn"] for a in aws("list-activities", "--page-size", "1")["activities"]]
    arn = machine({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": True}}})
    first, second = (aws("start-execution", state_machine_arn=arn, input=f"{n}")["executionArn"] for n in range(2))
    task = aws("get-activity-task", activity_arn=activity, worker_name="w")
    aws("send-task-heartbeat", task_token=task["taskToken"])
    aws("send-task-success", task_token=task["taskToken"], task_output='{"b": 2}')
    assert json.loads(ended(first)["output"]) == {"b": 2}
    refused("TaskTimedOut", "Provided task does not exist anymore", "send-task-heartbeat", task_token=task["taskToken"])
    task = aws("get-activity-task", activity_arn=activity)
    aws("send-task-failure", task_token=task["taskToken"], error="E", cause="C")
    assert ended(second)["error"] == "E"


def test_tags(machine):
    arn = machine()
    aws("tag-resource", resource_arn=arn, tags=[{"key": "a", "value": "1"}])
    assert aws("list-tags-for-resource", resource_arn=arn)["tags"] == [{"key": "a", "value": "1"}]
    aws("untag-resource", "--tag-keys", "a", resource_arn=arn)
    assert aws("list-tags-for-resource", resource_arn=arn)["tags"] == []


def test_errors_of_each_kind(machine):
    arn = machine()
    nothing = arn.rsplit(":", 1)[0] + ":" + name("nothing")
    execution = arn.replace(":stateMachine:", ":execution:") + ":nothing"
    refused("StateMachineDoesNotExist", nothing, "describe-state-machine", state_machine_arn=nothing)
    refused("ExecutionDoesNotExist", execution, "describe-execution", execution_arn=execution)
    refused("InvalidArn", "Invalid ARN prefix", "describe-execution", execution_arn="x")
    refused("InvalidExecutionInput", "Unexpected end-of-input", "start-execution", state_machine_arn=arn, input="{")
    refused("InvalidName", "a b", "create-activity", name="a b")
    refused("InvalidDefinition", "SCHEMA_VALIDATION_FAILED", "create-state-machine", name=name(), definition='{"StartAt": "A"}', role_arn=ROLE)
    refused("InvalidToken", "Invalid token", "send-task-heartbeat", task_token="nonsense")
    refused("StateMachineTypeNotSupported", "not supported", "start-sync-execution", state_machine_arn=arn)
    refused("ValidationException", "1001", "list-state-machines", "--no-paginate", max_results="1001")


def test_map_runs(machine):
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "P", "States": {"P": WAIT["States"]["W"]}}
    arn = machine({"StartAt": "M", "States": {"M": {"Type": "Map", "ItemProcessor": processor, "End": True}}})
    execution = aws("start-execution", state_machine_arn=arn, input="[1, 2]")["executionArn"]
    for _ in range(1200):
        runs = aws("list-map-runs", execution_arn=execution)["mapRuns"]
        if runs:
            break
        time.sleep(0.05)
    run = runs[0]["mapRunArn"]
    aws("update-map-run", map_run_arn=run, max_concurrency="3")
    described = aws("describe-map-run", map_run_arn=run)
    assert (described["maxConcurrency"], described["itemCounts"]["total"]) == (3, 2)
    aws("stop-execution", execution_arn=execution)


def test_a_state_alone():
    answer = aws("test-state", definition='{"Type": "Pass", "Result": 1, "Next": "N"}', role_arn=ROLE)
    assert (answer["status"], answer["output"], answer["nextState"]) == ("SUCCEEDED", "1", "N")


def test_every_operation_was_answered():
    """The CLI's own list of them; comes last."""
    known = DRIVER._get_command_table()["stepfunctions"].create_help_command().command_table
    operations = {name for name, command in known.items() if hasattr(command, "_operation_model")}
    assert len(operations) == 37
    assert operations - CALLED == set()
