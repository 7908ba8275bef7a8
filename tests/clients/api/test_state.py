"""TestState: one state alone, with mocks and inspection levels."""

import json

from support import ROLE, refused

TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "OutputPath": "$.Payload", "End": True}


def run(sfn, state, **more):
    return sfn.test_state(definition=json.dumps(state), **{"roleArn": ROLE, **more})


def test_a_pass_state(sfn):
    answer = run(sfn, {"Type": "Pass", "Result": {"b": 2}, "ResultPath": "$.r", "Next": "N"}, input='{"a": 1}')
    assert (answer["status"], answer["nextState"], json.loads(answer["output"])) == ("SUCCEEDED", "N", {"a": 1, "r": {"b": 2}})


def test_a_task_with_a_mock(sfn):
    mock = {"result": json.dumps({"Payload": {"answer": 42}}), "fieldValidationMode": "NONE"}
    answer = run(sfn, TASK, input="{}", mock=mock, inspectionLevel="DEBUG")
    assert (answer["status"], json.loads(answer["output"])) == ("SUCCEEDED", {"answer": 42})
    assert json.loads(answer["inspectionData"]["result"]) == {"Payload": {"answer": 42}}
    failed = run(sfn, TASK, mock={"errorOutput": {"error": "E", "cause": "C"}})
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "E", "C")
    caught = {**TASK, "Catch": [{"ErrorEquals": ["E"], "Next": "Mend"}]}
    answer = run(sfn, caught, mock={"errorOutput": {"error": "E", "cause": "C"}})
    assert (answer["status"], answer["nextState"]) == ("CAUGHT_ERROR", "Mend")
    retried = {**TASK, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 2}]}
    assert run(sfn, retried, mock={"errorOutput": {"error": "E", "cause": "C"}})["status"] == "RETRIABLE"


def test_a_choice_and_what_it_sees(sfn):
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThan": 1, "Next": "Big"}], "Default": "Small"}
    assert run(sfn, choice, input='{"n": 2}')["nextState"] == "Big"
    assert run(sfn, choice, input='{"n": 1}')["nextState"] == "Small"


def test_what_cannot_be_tested_is_refused(sfn):
    refused(sfn.test_state, "InvalidDefinition", "", definition='{"Type": "Nothing"}', roleArn=ROLE)
    refused(sfn.test_state, "InvalidExecutionInput", "", definition='{"Type": "Succeed"}', roleArn=ROLE, input="{")
    refused(sfn.test_state, "InvalidArn", "", definition='{"Type": "Succeed"}', roleArn="me")
    refused(sfn.test_state, "ValidationException", "", roleArn=ROLE)
