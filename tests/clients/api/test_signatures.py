"""Signature V4 with the SDK's own signer, against a server that has access keys.

REVEILLE_CLASSES says that it has them: beside REVEILLE_ACCESS_KEY, which may do everything, one key for each class of operations, whose
id and secret are the name of the class.
"""

import datetime
import json
import os
import urllib.request

import botocore.auth
import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError
from support import ACCESS_KEY, ENDPOINT, PASS, ROLE, client, name, refused

pytestmark = pytest.mark.skipif("REVEILLE_CLASSES" not in os.environ, reason="REVEILLE_CLASSES is not set: the server has no access keys")

CLASSES = {
    "read": ["Describe", "List", "GetExecutionHistory", "ValidateStateMachineDefinition"],
    "start": ["StartExecution", "StartSyncExecution", "StopExecution", "RedriveExecution", "UpdateMapRun", "TestState"],
    "complete": ["GetActivityTask", "SendTask"],
    "admin": ["Create", "UpdateStateMachine", "Delete", "Publish", "TagResource", "UntagResource"],
}
UNSIGNED_REFUSED = ("MissingAuthenticationTokenException", "Missing Authentication Token")


def class_of(operation):
    return next(kind for kind, names in CLASSES.items() if any(operation.startswith(known) for known in names))


def test_a_signed_request_is_answered(sfn):
    assert "stateMachines" in sfn.list_state_machines()


def test_an_unsigned_request_is_refused():
    refused(client(signature_version=UNSIGNED).list_state_machines, *UNSIGNED_REFUSED)


def test_what_is_beside_the_api_needs_no_signature():
    for path in ("/healthz", "/readyz", "/metrics"):
        assert urllib.request.urlopen(ENDPOINT + path, timeout=10).status == 200


def test_another_secret_is_refused():
    refused(client(secret_key="another").list_state_machines, "InvalidSignatureException", "does not match")


def test_an_unknown_key_is_refused():
    refused(client(access_key="nobody").list_state_machines, "UnrecognizedClientException", "security token")


@pytest.mark.parametrize(("minutes", "text"), [(-6, "Signature expired"), (6, "Signature not yet current")])
def test_a_clock_that_is_wrong_is_told_so(monkeypatch, minutes, text):
    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a: now(*a) + datetime.timedelta(minutes=minutes))
    refused(client().list_state_machines, "InvalidSignatureException", text)


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_clock_that_is_nearly_right_will_do(monkeypatch, minutes):
    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a: now(*a) + datetime.timedelta(minutes=minutes))
    assert "activities" in client().list_activities()


def test_a_body_that_was_changed_on_the_way_is_refused():
    """Signed for one body, sent with another."""
    signed = client()

    def after_signing(request, **_):
        request.body = b'{"maxResults": 1}'
        request.headers["Content-Length"] = str(len(request.body))

    signed.meta.events.register("before-send.sfn", after_signing)
    refused(signed.list_activities, "InvalidSignatureException", "does not match", maxResults=2)


def test_a_key_may_do_what_its_classes_allow_and_nothing_else(sfn):
    """Each operation by each class's key: AccessDeniedException, or an answer of the operation itself."""
    operations = sfn.meta.method_to_api_mapping
    for kind in CLASSES:
        theirs = client(access_key=kind, secret_key=kind)
        for method, operation in operations.items():
            parameters = {"roleArn": "me"} if operation == "TestState" else {}
            code = None
            try:
                getattr(theirs, method)(**parameters)
            except ClientError as error:
                code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if class_of(operation) == kind:
                assert code in (None, "ValidationException"), (kind, operation, code)
            else:
                assert code == "AccessDeniedException", (kind, operation, code)
                assert f"is not authorized to perform: states:{operation}" in message


def test_a_task_is_tested_for_real_only_by_who_may_make_machines(sfn):
    """Without a mock TestState does what its state does, as a machine of one's own would."""
    task = {"Type": "Task", "Resource": "arn:aws:states:::amqp:publish", "Parameters": {"RoutingKey": name(), "Body": 1}, "End": True}
    real = {"definition": json.dumps(task), "roleArn": ROLE, "input": "{}"}
    mocked = {**real, "mock": {"result": "{}"}}
    start = client("start", "start")
    refused(start.test_state, "AccessDeniedException", "without a mock", **real)
    assert start.test_state(**mocked)["status"] == "SUCCEEDED"
    assert sfn.test_state(**real)["status"] == "SUCCEEDED"


def test_another_region_is_told_which_one_is_right():
    refused(client(region="eu-west-1").list_state_machines, "InvalidSignatureException", "this server's is 'us-east-1'")


def test_classes_work_together():
    """One makes a machine, another starts it, a third looks."""
    made = client("admin", "admin").create_state_machine(name=name(), definition=json.dumps(PASS), roleArn=ROLE)
    started = client("start", "start").start_execution(stateMachineArn=made["stateMachineArn"])
    assert client("read", "read").describe_execution(executionArn=started["executionArn"])["stateMachineArn"] == made["stateMachineArn"]
    assert ACCESS_KEY not in CLASSES
