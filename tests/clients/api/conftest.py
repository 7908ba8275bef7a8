"""Fixtures; and the order: the walk over the model comes last, when everything has been called."""

import json

import pytest
from support import PASS, ROLE, Record, client, name


@pytest.fixture(scope="session")
def record():
    return Record()


@pytest.fixture(scope="session")
def sfn(record):
    return record.watch(client())


@pytest.fixture
def machine(sfn):
    """Makes machines; deletes them (and stops what they run) at the end."""
    made = []

    def make(definition=PASS, **more):
        arn = sfn.create_state_machine(**{"name": name(), "definition": json.dumps(definition), "roleArn": ROLE, **more})["stateMachineArn"]
        made.append((arn, more.get("type", "STANDARD")))
        return arn

    yield make
    for arn, kind in made:
        if kind == "STANDARD":
            try:
                running = sfn.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]
            except sfn.exceptions.StateMachineDoesNotExist:
                continue
            for execution in running:
                sfn.stop_execution(executionArn=execution["executionArn"])
        sfn.delete_state_machine(stateMachineArn=arn)


@pytest.fixture
def activity(sfn):
    arn = sfn.create_activity(name=name("a"))["activityArn"]
    yield arn
    sfn.delete_activity(activityArn=arn)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name == "test_model.py")
