"""Activities, task tokens, tags."""

import json
import threading

from support import ended, name, other, pages, refused, task_of


def test_activity(sfn, activity):
    described = sfn.describe_activity(activityArn=activity)
    assert described["activityArn"] == activity
    again = sfn.create_activity(name=described["name"])
    assert (again["activityArn"], again["creationDate"]) == (activity, described["creationDate"])
    second = sfn.create_activity(name=name("a"))["activityArn"]
    assert {activity, second} <= {a["activityArn"] for a in pages(sfn, "list_activities", "activities", 1)}
    sfn.delete_activity(activityArn=second)
    assert second not in [a["activityArn"] for a in pages(sfn, "list_activities", "activities", 2)]
    refused(sfn.create_activity, "InvalidName", name="a b")
    refused(sfn.describe_activity, "ActivityDoesNotExist", activityArn=other(activity))
    refused(sfn.get_activity_task, "ActivityDoesNotExist", activityArn=other(activity))
    refused(sfn.describe_activity, "InvalidArn", activityArn="x")
    refused(sfn.list_activities, "InvalidToken", nextToken="x")
    sfn.delete_activity(activityArn=other(activity))


def test_a_task_is_completed_once_by_its_token(sfn, machine, activity):
    execution = sfn.start_execution(stateMachineArn=machine(task_of(activity)), input='{"a": 1}')["executionArn"]
    task = sfn.get_activity_task(activityArn=activity, workerName="w")
    token = task["taskToken"]
    assert json.loads(task["input"]) == {"a": 1}
    sfn.send_task_heartbeat(taskToken=token)
    refused(sfn.send_task_success, "InvalidOutput", taskToken=token, output="{")
    sfn.send_task_success(taskToken=token, output='{"b": 2}')
    assert json.loads(ended(sfn, execution)["output"]) == {"b": 2}
    gone = "Task Timed Out: 'Provided task does not exist anymore'"
    refused(sfn.send_task_success, "TaskTimedOut", gone, taskToken=token, output="{}")
    refused(sfn.send_task_failure, "TaskTimedOut", gone, taskToken=token)
    refused(sfn.send_task_heartbeat, "TaskTimedOut", gone, taskToken=token)
    events = {e["type"]: e for e in sfn.get_execution_history(executionArn=execution)["events"]}
    assert events["ActivityStarted"]["activityStartedEventDetails"] == {"workerName": "w"}


def test_a_task_fails_by_its_token(sfn, machine, activity):
    execution = sfn.start_execution(stateMachineArn=machine(task_of(activity)))["executionArn"]
    sfn.send_task_failure(taskToken=sfn.get_activity_task(activityArn=activity)["taskToken"], error="E", cause="C")
    described = ended(sfn, execution)
    assert (described["status"], described["error"], described["cause"]) == ("FAILED", "E", "C")


def test_a_token_that_is_none_is_refused(sfn):
    for call, more in ((sfn.send_task_success, {"output": "{}"}), (sfn.send_task_failure, {}), (sfn.send_task_heartbeat, {})):
        refused(call, "InvalidToken", "Invalid Token: 'Invalid token'", taskToken="nonsense", **more)
        message = refused(call, "ValidationException", "less than or equal to 2048", taskToken="x" * 2049, **more)["Error"]["Message"]
        assert "xxx" not in message, "a token is never repeated"


def test_a_task_goes_to_one_poller(sfn, machine, activity):
    got = []
    pollers = [threading.Thread(target=lambda: got.append(sfn.get_activity_task(activityArn=activity))) for _ in range(2)]
    for poller in pollers:
        poller.start()
    arn = machine(task_of(activity))
    for _ in range(2):
        sfn.start_execution(stateMachineArn=arn)
    for poller in pollers:
        poller.join(65)
    tokens = [task["taskToken"] for task in got]
    assert len(set(tokens)) == 2
    for token in tokens:
        sfn.send_task_success(taskToken=token, output="{}")


def test_tags(sfn, machine, activity):
    for resource in (machine(), activity):
        sfn.tag_resource(resourceArn=resource, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": ""}])
        sfn.tag_resource(resourceArn=resource, tags=[{"key": "a", "value": "2"}])
        assert sfn.list_tags_for_resource(resourceArn=resource)["tags"] == [{"key": "a", "value": "2"}, {"key": "b", "value": ""}]
        sfn.untag_resource(resourceArn=resource, tagKeys=["a", "nothing"])
        assert sfn.list_tags_for_resource(resourceArn=resource)["tags"] == [{"key": "b", "value": ""}]
        many = [{"key": str(n), "value": ""} for n in range(50)]
        refused(sfn.tag_resource, "TooManyTags", resourceArn=resource, tags=many)
        for call, more in ((sfn.tag_resource, {"tags": []}), (sfn.untag_resource, {"tagKeys": []}), (sfn.list_tags_for_resource, {})):
            refused(call, "ResourceNotFound", resourceArn=other(resource), **more)
            refused(call, "InvalidArn", resourceArn="x", **more)
