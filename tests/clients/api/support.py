"""What the tests of the API stand on: a client, things to describe machines with, and a record of what was called and answered."""

import collections
import json
import os
import time
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ.get("REVEILLE_ENDPOINT", "http://127.0.0.1:8083")
REGION = os.environ.get("REVEILLE_REGION", "us-east-1")
ACCESS_KEY = os.environ.get("REVEILLE_ACCESS_KEY", "test")
SECRET_KEY = os.environ.get("REVEILLE_SECRET_KEY", "test")
# How many pollers of GetActivityTask may wait at once: engine.activity_pollers_max of the server, where it is small enough to be tried.
POLLERS = int(os.environ.get("REVEILLE_POLLERS", "0"))
# A token with a good signature and no task.
STRANGE_TOKEN = os.environ.get("REVEILLE_STRANGE_TOKEN")
ROLE = "arn:aws:iam::123456789012:role/test"
# Longer than anything takes on a machine that is busy with other tests.
SOON = 60

PASS = {"Comment": "pass", "StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}
FAIL = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}}}


class Record:
    """Which operations were answered, refused with which error, and continued with a page token."""

    def __init__(self):
        self.answered = collections.Counter()
        self.refused = collections.Counter()
        self.continued = collections.Counter()

    def watch(self, client):
        client.meta.events.register("before-parameter-build.sfn", self._asked)
        client.meta.events.register("after-call.sfn", self._told)
        return client

    @staticmethod
    def _asked(params, context, **_):
        context["reveille.continues"] = "nextToken" in params

    def _told(self, parsed, model, context, **_):
        if "Error" in parsed:
            self.refused[model.name, parsed["Error"]["Code"]] += 1
            return
        self.answered[model.name] += 1
        if context.get("reveille.continues"):
            self.continued[model.name] += 1


def client(access_key=ACCESS_KEY, secret_key=SECRET_KEY, region=REGION, **more):
    """StartSyncExecution and TestState have a host prefix (`sync-`), which clients must not put before an address."""
    config = {"inject_host_prefix": False, "retries": {"max_attempts": 0}, "read_timeout": 70, "max_pool_connections": 32}
    config = Config(**{**config, "parameter_validation": False, **more})
    return boto3.client(
        "stepfunctions",
        endpoint_url=ENDPOINT,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    )


def name(kind="m"):
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def task_of(activity, **more):
    return {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": True, **more}}}


def until(what, look, seconds=SOON):
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.02)


def ended(sfn, execution):
    def look():
        described = sfn.describe_execution(executionArn=execution)
        return described["status"] != "RUNNING" and described

    return until(f"{execution} ends", look)


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


def fields(arn):
    return arn.split(":")


def nothing_like(execution_or_machine, kind):
    """An ARN of this kind that names nothing, in the region and account of a given one."""
    return ":".join([*fields(execution_or_machine)[:5], kind, name("nothing")])
