"""Airflow's hook, operators, sensor and deferrable trigger, unchanged, outside of a task runner.

    scripts/setup.sh airflow
    .cache/airflow/bin/python -m pytest tests/clients/foreign/test_airflow.py

`make test` does both.
"""

import asyncio
import json
import types
import uuid

import pytest

pytest.importorskip("airflow.providers.amazon", reason="Airflow is not installed (300 MB)")

from airflow.providers.amazon.aws.hooks.step_function import StepFunctionHook  # noqa: E402
from airflow.providers.amazon.aws.operators import step_function as operators  # noqa: E402
from airflow.providers.amazon.aws.sensors.step_function import StepFunctionExecutionSensor  # noqa: E402
from airflow.providers.amazon.aws.triggers.step_function import StepFunctionsExecutionCompleteTrigger  # noqa: E402

ROLE = "arn:aws:iam::123456789012:role/any"
AWS = {"aws_conn_id": None, "region_name": "us-east-1"}
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "P"},
                                   "P": {"Type": "Pass", "Result": {"done": True}, "End": True}}}
FAIL = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}}}


@pytest.fixture(autouse=True)
def environment(monkeypatch, endpoint):
    for key, value in {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}.items():
        monkeypatch.setenv(key, value)
    for link in ["StateMachineDetailsLink", "StateMachineExecutionsDetailsLink"]:  # they write to Airflow's own database
        monkeypatch.setattr(f"{operators.__name__}.{link}.persist", lambda *_, **__: None)


@pytest.fixture
def machine(client):
    def make(definition):
        made = client().create_state_machine(name=uuid.uuid4().hex, definition=json.dumps(definition), roleArn=ROLE)
        return made["stateMachineArn"]

    return make


def start(arn, **more):
    operator = operators.StepFunctionStartExecutionOperator(task_id="start", state_machine_arn=arn, **AWS, **more)
    return operator.execute({})


def end(arn):
    """The event of the deferrable trigger."""

    async def first():
        async for event in StepFunctionsExecutionCompleteTrigger(
            execution_arn=arn, waiter_delay=1, waiter_max_attempts=60, **AWS
        ).run():
            return event

    return asyncio.run(first())


def test_an_execution_from_start_to_output(machine):
    arn = start(machine(WAIT), state_machine_input={"a": 1}, name="one")
    assert json.loads(StepFunctionHook(**AWS).describe_execution(arn)["input"]) == {"a": 1}
    assert end(arn).payload["status"] == "success"
    sensor = StepFunctionExecutionSensor(task_id="sense", execution_arn=arn, **AWS)
    pushed = {}
    assert sensor.poke({"ti": types.SimpleNamespace(xcom_push=lambda **given: pushed.update(given))})
    assert pushed["key"] == "output"
    output = operators.StepFunctionGetExecutionOutputOperator(task_id="output", execution_arn=arn, **AWS)
    assert output.execute({}) == {"done": True}


def test_a_sensor_waits(machine):
    arn = start(machine({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}))
    assert not StepFunctionExecutionSensor(task_id="sense", execution_arn=arn, **AWS).poke({})


def test_a_failure_fails_sensor_and_trigger(machine):
    arn = start(machine(FAIL))
    with pytest.raises(Exception, match="sensor failed|FAILED"):
        StepFunctionExecutionSensor(task_id="sense", execution_arn=arn, **AWS).poke({})
    assert end(arn).payload["status"] != "success"


def test_a_deferrable_start_defers(machine):
    from airflow.sdk.exceptions import TaskDeferred

    with pytest.raises(TaskDeferred) as deferred:
        start(machine(WAIT), deferrable=True)
    assert isinstance(deferred.value.trigger, StepFunctionsExecutionCompleteTrigger)


def test_a_redrive(machine):
    failing = machine(FAIL)
    arn = start(failing, name="again")
    assert end(arn).payload["status"] != "success"
    assert start(failing, name="again", is_redrive_execution=True) == arn
    assert StepFunctionHook(**AWS).describe_execution(arn)["redriveCount"] == 1
