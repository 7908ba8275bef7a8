"""The walk over AWS's own model, when everything else has been called: each operation answered, each error provoked, each listing continued.

An error that no test provokes must be named here with its reason; one that is named and was provoked nevertheless is taken out.
"""

import pytest
from support import POLLERS, STRANGE_TOKEN

NO_KMS = "nothing here encrypts with a key of a key management service (docs/API.md)"
NO_QUOTA = "there is no such quota here: the store's disk is the bound"
ONE_AT_A_TIME = "only of two requests at the same moment, which the catalog does one after the other here"

NEVER = {
    "KmsAccessDeniedException": NO_KMS,
    "KmsThrottlingException": NO_KMS,
    "KmsInvalidStateException": NO_KMS,
    "ActivityLimitExceeded": NO_QUOTA,
    "StateMachineLimitExceeded": NO_QUOTA,
    "ExecutionLimitExceeded": NO_QUOTA,
    "InvalidTracingConfiguration": "`enabled` is true or false, or the body cannot be read: SerializationException",
    ("CreateStateMachine", "ConflictException"): ONE_AT_A_TIME,
    ("CreateStateMachine", "StateMachineTypeNotSupported"): "there are two types; another is none of the model: ValidationException",
    ("CreateStateMachineAlias", "InvalidName"): "the model has a pattern for the name: ValidationException (recorded on AWS)",
    ("UpdateStateMachine", "ConflictException"): ONE_AT_A_TIME,
    ("UpdateStateMachineAlias", "ConflictException"): ONE_AT_A_TIME,
    ("DeleteStateMachineAlias", "ConflictException"): ONE_AT_A_TIME,
    ("DeleteStateMachineAlias", "ResourceNotFound"): "recorded on AWS: deleting an alias that is not there succeeds",
    ("StartSyncExecution", "StateMachineDeleting"): "a deleted express machine is gone at once: StateMachineDoesNotExist",
    ("PublishStateMachineVersion", "ServiceQuotaExceededException"): "1,000 versions: src/api/catalog_tests.rs makes them",
    ("UpdateStateMachine", "ServiceQuotaExceededException"): "1,000 versions: src/api/catalog_tests.rs makes them",
}
CONDITIONAL = {
    "TaskDoesNotExist": bool(STRANGE_TOKEN),
    "ActivityWorkerLimitExceeded": 0 < POLLERS < 20,
}


@pytest.fixture(autouse=True)
def everything_was_called(request):
    chosen = request.config.option.keyword or request.config.option.markexpr
    if chosen or any("::" in word for word in request.config.args):
        pytest.skip("only some of the tests ran")


def reason(operation, code):
    if not CONDITIONAL.get(code, True):
        return "the server was not set up for it"
    return NEVER.get((operation, code)) or NEVER.get(code)


def operations(sfn):
    model = sfn.meta.service_model
    return [model.operation_model(name) for name in model.operation_names]


def test_every_operation_was_answered(sfn, record):
    assert len(operations(sfn)) == 37
    assert [operation.name for operation in operations(sfn) if not record.answered[operation.name]] == []


def test_every_modelled_error_was_provoked_or_has_its_reason(sfn, record):
    pairs = [(operation.name, error.name) for operation in operations(sfn) for error in operation.error_shapes]
    assert [pair for pair in pairs if not record.refused[pair] and not reason(*pair)] == [], "never provoked, and no reason given"
    assert [pair for pair in pairs if record.refused[pair] and reason(*pair)] == [], "provoked: its reason is none"
    named = [key for key in NEVER if not any(key in (pair, pair[1]) for pair in pairs)]
    assert named == [], "no error of the model"
    print(f"{sum(bool(record.refused[pair]) for pair in pairs)} of {len(pairs)} modelled errors provoked, the others have a reason")


def test_no_error_was_answered_that_the_model_does_not_have(sfn, record):
    """Beside the errors of each operation: those that all operations of AWS share."""
    common = {"ValidationException", "SerializationException", "ThrottlingException"}
    strange = []
    for operation in operations(sfn):
        known = {error.name for error in operation.error_shapes} | common
        strange += [(name, code) for name, code in record.refused if name == operation.name and code not in known]
    assert strange == []


def test_every_listing_was_continued(sfn, record):
    listings = [operation.name for operation in operations(sfn) if "nextToken" in operation.input_shape.members]
    assert len(listings) == 7
    assert [name for name in listings if not record.continued[name]] == []
