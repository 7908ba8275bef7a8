"""Where moto's own tests and this server met differently, and what decides: AWS's recordings, or the model of its API.

docs/API.md has the list.
"""

import json
import uuid

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/any"
PASS = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
KEY = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/1", "kmsDataKeyReusePeriodSeconds": 60}


def name(prefix="m"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def machine(sfn, **more):
    return sfn.create_state_machine(**{"name": name(), "definition": PASS, "roleArn": ROLE, "publish": True, **more})


def refused(call, **parameters):
    with pytest.raises(ClientError) as error:
        call(**parameters)
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def routes(*pairs):
    return [{"stateMachineVersionArn": version, "weight": weight} for version, weight in pairs]


def test_kms_keys_are_kept_and_shown(client):
    sfn = client()
    arn = machine(sfn, encryptionConfiguration=KEY)["stateMachineArn"]
    assert sfn.describe_state_machine(stateMachineArn=arn)["encryptionConfiguration"] == KEY
    other = {**KEY, "kmsDataKeyReusePeriodSeconds": 900}
    sfn.update_state_machine(stateMachineArn=arn, encryptionConfiguration=other)
    assert sfn.describe_state_machine(stateMachineArn=arn)["encryptionConfiguration"] == other
    execution = sfn.start_execution(stateMachineArn=arn)["executionArn"]
    assert sfn.describe_state_machine_for_execution(executionArn=execution)["encryptionConfiguration"] == other
    activity = sfn.create_activity(name=name(), encryptionConfiguration=KEY)["activityArn"]
    assert sfn.describe_activity(activityArn=activity)["encryptionConfiguration"] == KEY
    assert refused(sfn.create_activity, name=name(), encryptionConfiguration={"type": KEY["type"]})[0] in (
        "InvalidEncryptionConfiguration", "ValidationException")


@pytest.mark.parametrize("region", ["eu-west-1", "us-west-2", "cn-north-1"])
def test_every_region_finds_its_machines(client, region):
    sfn, called = client(region), name()
    machine(sfn, name=called)
    arn = f"arn:aws:states:{region}:123456789012:stateMachine:{called}"
    assert sfn.describe_state_machine(stateMachineArn=arn)["name"] == called
    execution = sfn.start_execution(stateMachineArn=arn, name="one")["executionArn"]
    assert sfn.describe_execution(executionArn=execution)["name"] == "one"
    assert called in [found["name"] for found in sfn.list_state_machines()["stateMachines"]]


def test_routes_of_an_alias(client):
    """The model: one or two routes of one machine, weights of 100 in sum. Codes are the model's."""
    sfn = client()
    one, two = machine(sfn)["stateMachineVersionArn"], machine(sfn)["stateMachineVersionArn"]
    for wrong, words in [
        (routes((one, 50), (one, 25), (one, 25)), "Member must have length less than or equal to 2"),
        (routes((one, 50)), "must equal 100"),
        (routes((one, 50), (two, 50)), "the same state machine"),
    ]:
        code, message = refused(sfn.create_state_machine_alias, name="live", routingConfiguration=wrong)
        assert code == "ValidationException" and words in message
    alias = sfn.create_state_machine_alias(name="live", routingConfiguration=routes((one, 100)))["stateMachineAliasArn"]
    assert refused(sfn.update_state_machine_alias, stateMachineAliasArn=alias)[0] == "ValidationException"


def test_an_unknown_alias_is_deleted(client):
    """Recorded on AWS: the answer is 200."""
    sfn = client()
    arn = machine(sfn)["stateMachineArn"]
    sfn.delete_state_machine_alias(stateMachineAliasArn=f"{arn}:nothing")


def test_tags_of_what_is_not_there(client):
    """The model: ListTagsForResource and TagResource have the error ResourceNotFound."""
    sfn = client()
    gone = f"{machine(sfn)['stateMachineArn']}-gone"
    assert refused(sfn.list_tags_for_resource, resourceArn=gone)[0] == "ResourceNotFound"
    assert refused(sfn.tag_resource, resourceArn=gone, tags=[{"key": "a", "value": "b"}])[0] == "ResourceNotFound"


def test_machines_are_listed_by_name(client):
    """Recorded on AWS: in the order of their names, not of their creation."""
    sfn, prefix = client(), name()
    for last in ["2", "10", "1"]:
        machine(sfn, name=f"{prefix}-{last}")
    listed = [found["name"] for found in sfn.list_state_machines()["stateMachines"]]
    assert [found for found in listed if found.startswith(prefix)] == [f"{prefix}-{last}" for last in ["1", "10", "2"]]
