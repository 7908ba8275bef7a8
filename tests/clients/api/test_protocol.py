"""The protocol beneath the clients: what is answered to requests that no client would send. Needs a server without access keys."""

import json
import os
import urllib.error
import urllib.request
import uuid

import pytest
from support import ENDPOINT, refused

pytestmark = pytest.mark.skipif("REVEILLE_CLASSES" in os.environ, reason="the server has access keys")

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


def test_every_operation_of_the_model_is_known(sfn):
    """No operation answers that it is unknown: an empty input is refused for what it lacks, or answered."""
    for operation in sfn.meta.service_model.operation_names:
        status, body, _ = raw(X_Amz_Target=f"AWSStepFunctions.{operation}", **AWS_JSON)
        assert status in (200, 400) and body.get("__type") not in ("UnknownOperationException", "InternalServerError"), (operation, body)
