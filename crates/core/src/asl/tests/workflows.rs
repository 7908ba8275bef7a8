//! Rules of retriers, catchers, choices, nested workflows, the graph; and the warnings.

use crate::asl::{MachineType, Severity, diagnose, parse};

use super::{accepts, errors, refuses, state, task, told, warns};

fn retry(fields: &str) -> String {
    task(&format!("\"Retry\": [{{\"ErrorEquals\": [\"X\"], {fields}}}]"))
}

#[test]
fn retriers() {
    accepts(&[
        task("\"Retry\": []"),
        retry(
            "\"IntervalSeconds\": 1, \"MaxAttempts\": 0, \"BackoffRate\": 1, \"MaxDelaySeconds\": 2, \"JitterStrategy\": \"NONE\"",
        ),
        retry("\"MaxDelaySeconds\": 31622400"),
        task("\"Retry\": [{\"ErrorEquals\": [\"A\", \"B\"]}, {\"ErrorEquals\": [\"States.ALL\"]}]"),
    ]);
    let at = "/States/A/Retry[0]";
    let all = "SCHEMA_VALIDATION_FAILED /States/A/Retry[0]/ErrorEquals: 'States.ALL' must appear";
    refuses(&[
        (
            retry("\"IntervalSeconds\": 0"),
            &format!("SCHEMA_VALIDATION_FAILED {at}/IntervalSeconds: Minimum value is 1"),
        ),
        (retry("\"MaxAttempts\": -1"), &format!("SCHEMA_VALIDATION_FAILED {at}/MaxAttempts: Minimum value is 0")),
        (
            retry("\"MaxAttempts\": 100000000"),
            &format!("SCHEMA_VALIDATION_FAILED {at}/MaxAttempts: Maximum value is 99999999"),
        ),
        (retry("\"BackoffRate\": 0.9"), &format!("SCHEMA_VALIDATION_FAILED {at}/BackoffRate: Minimum value is 1.0")),
        (
            retry("\"MaxDelaySeconds\": 31622401"),
            &format!("SCHEMA_VALIDATION_FAILED {at}/MaxDelaySeconds: Maximum value is 31622400"),
        ),
        (
            retry("\"IntervalSeconds\": 9, \"MaxDelaySeconds\": 9"),
            &format!(
                "SCHEMA_VALIDATION_FAILED {at}/MaxDelaySeconds: MaxDelaySeconds must be greater than IntervalSeconds"
            ),
        ),
        (
            retry("\"JitterStrategy\": \"HALF\""),
            &format!(
                "SCHEMA_VALIDATION_FAILED {at}/JitterStrategy: Value should be one of the following: [FULL, NONE]"
            ),
        ),
        (retry("\"Next\": \"A\""), &format!("SCHEMA_VALIDATION_FAILED {at}: Field 'Next' is not supported")),
        (task("\"Retry\": [{}]"), &format!("SCHEMA_VALIDATION_FAILED {at}: These fields are required: [ErrorEquals]")),
        (
            task("\"Retry\": [{\"ErrorEquals\": []}]"),
            &format!("SCHEMA_VALIDATION_FAILED {at}/ErrorEquals: Value cannot be empty"),
        ),
        (
            task("\"Retry\": [{\"ErrorEquals\": [5]}]"),
            &format!("SCHEMA_VALIDATION_FAILED {at}/ErrorEquals[0]: Expected value of type [STRING]"),
        ),
        (task("\"Retry\": [{\"ErrorEquals\": [\"X\", \"States.ALL\"]}]"), &format!("{all} alone in ErrorEquals")),
        (
            task("\"Retry\": [{\"ErrorEquals\": [\"States.ALL\"]}, {\"ErrorEquals\": [\"X\"]}]"),
            &format!("{all} in the last entry"),
        ),
    ]);
}

#[test]
fn catchers() {
    accepts(&[task(
        "\"Catch\": [{\"ErrorEquals\": [\"States.ALL\"], \"ResultPath\": null, \"Next\": \"A\", \"Comment\": \"c\"}]",
    )]);
    refuses(&[
        (
            task("\"Catch\": [{\"ErrorEquals\": [\"X\"]}]"),
            "SCHEMA_VALIDATION_FAILED /States/A/Catch[0]: These fields are required: [Next]",
        ),
        (
            task("\"Catch\": [{\"ErrorEquals\": [\"X\"], \"Next\": \"B\"}]"),
            "MISSING_TRANSITION_TARGET /States/A/Catch[0]/Next: Missing 'Next' target: B",
        ),
        (task("\"Catch\": {}"), "SCHEMA_VALIDATION_FAILED /States/A/Catch: Expected value of type [ARRAY]"),
    ]);
}

#[test]
fn rules_of_a_choice() {
    let choice = |rule: &str| {
        format!(
            "{{\"StartAt\": \"C\", \"States\": {{\"C\": {{\"Type\": \"Choice\", \"Choices\": [{rule}]}}, \"A\": {{\"Type\": \"Succeed\"}}}}}}"
        )
    };
    let test = |test: &str| choice(&format!("{{\"Next\": \"A\", \"Variable\": \"$.x\", {test}}}"));
    accepts(&[
        test("\"StringEquals\": \"a\""),
        test("\"NumericLessThanEqualsPath\": \"$.y\""),
        test("\"IsPresent\": false"),
        test("\"TimestampGreaterThan\": \"2026-01-31T08:00:00Z\""),
        choice(
            "{\"Next\": \"A\", \"And\": [{\"Not\": {\"Variable\": \"$$.a\", \"IsNull\": true}}, {\"Or\": [{\"Variable\": \"$v\", \"BooleanEquals\": true, \"Comment\": \"c\"}]}]}",
        ),
    ]);
    let at = "SCHEMA_VALIDATION_FAILED /States/C/Choices[0]";
    refuses(
        &[
            (choice(""), "SCHEMA_VALIDATION_FAILED /States/C/Choices: Value cannot be empty\nMISSING_END_STATE"),
            (choice("{\"Variable\": \"$.x\", \"IsNull\": true}"), &format!("{at}: These fields are required: [Next]\nMISSING")),
            (test("\"StringEquals\": 1"), &format!("{at}/StringEquals: Expected value of type [STRING]")),
            (test("\"NumericEquals\": \"1\""), &format!("{at}/NumericEquals: Expected value of type [NUMBER]")),
            (test("\"IsNull\": \"true\""), &format!("{at}/IsNull: Expected value of type [BOOLEAN]")),
            (test("\"TimestampEquals\": \"today\""), &format!("{at}/TimestampEquals: String does not match RFC3339 timestamp")),
            (
                test("\"StringEqualsPath\": \"y\""),
                &format!("{at}/StringEqualsPath: Value is not a Reference Path: Reference path didn't start with '$'"),
            ),
            (
                test("\"IsNullPath\": \"$.y\""),
                &format!("{at}: Field 'IsNullPath' is not supported\n{at}: A comparison operator is required beside 'Variable'"),
            ),
            (test("\"IsNull\": true, \"IsPresent\": true"), &format!("{at}: Only one comparison operator is allowed in a rule")),
            (test("\"And\": []"), &format!("{at}: There should only be one of the following fields: [Variable, And, Or, Not]")),
            (
                test("\"Condition\": \"{% true %}\", \"IsNull\": true"),
                &format!(
                    "{at}: The QueryLanguage is set to 'JSONPath', but field 'Condition' is only supported for the 'JSONata' QueryLanguage"
                ),
            ),
            (
                choice("{\"Next\": \"A\", \"Not\": {\"Variable\": \"$.x\", \"IsNull\": true, \"Next\": \"A\"}}"),
                &format!("{at}/Not: Field 'Next' is not supported"),
            ),
            (
                choice("{\"Next\": \"A\", \"Variable\": \"x\", \"IsNull\": true}"),
                &format!("{at}/Variable: Value is not a Reference Path: Reference path didn't start with '$'"),
            ),
        ]
        .map(|(text, expected)| {
            // Findings about the graph follow from the refused rule; the tables of the graph are elsewhere.
            let expected = expected.split("\nMISSING").next().unwrap().to_owned();
            let found = told(&errors(&text));
            assert_eq!(found.split("\nMISSING").next().unwrap(), expected, "\n{text}");
            (state("{\"Type\": \"Succeed\"}"), "")
        }),
    );
}

#[test]
fn the_graph_is_judged_as_the_service_judges_it() {
    let machine = |states: &str| format!("{{\"StartAt\": \"A\", \"States\": {{{states}}}}}");
    let pass = |name: &str, next: &str| format!("\"{name}\": {{\"Type\": \"Pass\", \"Next\": \"{next}\"}}");
    let end = |name: &str| format!("\"{name}\": {{\"Type\": \"Pass\", \"End\": true}}");
    refuses(&[
        // Recorded: a missing target and a state without a way in, in this order.
        (
            machine(&[pass("A", "C"), end("B")].join(",")),
            "MISSING_TRANSITION_TARGET /States/A/Next: Missing 'Next' target: C\nMISSING_TRANSITION_TARGET /States/B: State \"B\" is not reachable.",
        ),
        (machine(&[pass("A", "B"), pass("B", "A")].join(",")), "MISSING_END_STATE -: Workflow has no terminal state"),
        (
            machine(&[pass("A", "B"), pass("B", "A"), pass("X", "A")].join(",")),
            "MISSING_END_STATE -: Workflow has no terminal state",
        ),
        (
            machine(&[pass("A", "B"), pass("B", "A"), end("C")].join(",")),
            "MISSING_TRANSITION_TARGET /States/C: State \"C\" is not reachable.",
        ),
        (
            machine(&pass("A", "N")),
            "MISSING_TRANSITION_TARGET /States/A/Next: Missing 'Next' target: N\nMISSING_END_STATE -: Workflow has no terminal state",
        ),
        (
            machine(&[pass("One", "S"), end("S")].join(",")),
            "MISSING_TRANSITION_TARGET /StartAt: Missing 'Next' target: A\nMISSING_TRANSITION_TARGET /States/One: State \"One\" is not reachable.",
        ),
        (machine(&[end("A"), end("A")].join(",")), "DUPLICATE_STATE_NAME /States/A: Duplicate State name: A"),
    ]);
    let refused = parse(&machine(&[pass("A", "B"), pass("B", "A")].join(",")), MachineType::Standard).unwrap_err();
    assert_eq!(
        refused.invalid_definition_message(),
        "Invalid State Machine Definition: 'MISSING_END_STATE: Workflow has no terminal state at null'"
    );
    let long = "S".repeat(81);
    let found = errors(&format!("{{\"StartAt\": \"{long}\", \"States\": {{{}}}}}", end(&long)));
    assert_eq!(
        told(&found),
        format!(
            "INVALID_STATE_NAME /States/{long}: Invalid State name: State '{long}' exceeds the 80-character limit allowed by the service"
        )
    );
}

#[test]
fn branches_are_blocks_of_their_own() {
    let parallel =
        |branches: &str| state(&format!("{{\"Type\": \"Parallel\", \"End\": true, \"Branches\": {branches}}}"));
    let branch = |states: &str| format!("[{{\"StartAt\": \"B\", \"States\": {{{states}}}}}]");
    accepts(&[parallel(&branch("\"B\": {\"Type\": \"Succeed\"}"))]);
    refuses(&[
        (parallel("[]"), "SCHEMA_VALIDATION_FAILED /States/A/Branches: Value cannot be empty"),
        (
            parallel("[{}]"),
            "SCHEMA_VALIDATION_FAILED /States/A/Branches[0]: These fields are required: [StartAt, States]",
        ),
        (
            parallel(&branch("\"B\": {\"Type\": \"Pass\", \"Next\": \"A\"}")),
            "MISSING_TRANSITION_TARGET /States/A/Branches[0]/States/B/Next: Missing 'Next' target: A",
        ),
        (
            parallel(&branch("\"B\": {\"Type\": \"Succeed\"}, \"A\": {\"Type\": \"Succeed\"}")),
            "DUPLICATE_STATE_NAME /States/A/Branches[0]/States/A: Duplicate State name: A\nMISSING_TRANSITION_TARGET /States/A/Branches[0]/States/A: State \"A\" is not reachable.",
        ),
        (
            parallel(
                "[{\"QueryLanguage\": \"JSONata\", \"StartAt\": \"B\", \"States\": {\"B\": {\"Type\": \"Succeed\"}}}]",
            ),
            "SCHEMA_VALIDATION_FAILED /States/A/Branches[0]: Field 'QueryLanguage' is not supported",
        ),
    ]);
}

fn map(fields: &str) -> String {
    let processor = "\"ItemProcessor\": {\"ProcessorConfig\": {\"Mode\": \"DISTRIBUTED\", \"ExecutionType\": \"EXPRESS\"}, \"StartAt\": \"B\", \"States\": {\"B\": {\"Type\": \"Succeed\"}}}";
    state(&format!("{{\"Type\": \"Map\", \"End\": true, {processor}, {fields}}}"))
}

#[test]
fn fields_of_a_map() {
    accepts(&[
        map(
            "\"MaxConcurrency\": 0, \"ToleratedFailurePercentage\": 12.5, \"ToleratedFailureCount\": 3, \"Label\": \"l-1\"",
        ),
        map("\"ItemBatcher\": {\"MaxItemsPerBatch\": 3, \"BatchInput\": {\"a.$\": \"$.b\"}}"),
        map(
            "\"ItemReader\": {\"Resource\": \"arn:aws:states:::s3:getObject\", \"ReaderConfig\": {\"InputType\": \"CSV\", \"CSVHeaderLocation\": \"FIRST_ROW\", \"MaxItemsPath\": \"$.n\"}}",
        ),
        map("\"ResultWriter\": {\"WriterConfig\": {\"Transformation\": \"FLATTEN\", \"OutputType\": \"JSONL\"}}"),
    ]);
    let at = "SCHEMA_VALIDATION_FAILED /States/A";
    refuses(&[
        (state("{\"Type\": \"Map\", \"End\": true}"), &format!("{at}: These fields are required: [ItemProcessor]")),
        (
            map("\"Iterator\": {}"),
            &format!("{at}: There should only be one of the following fields: [ItemProcessor, Iterator]"),
        ),
        (
            map("\"ItemSelector\": {}, \"Parameters\": {}"),
            &format!("{at}: There should only be one of the following fields: [ItemSelector, Parameters]"),
        ),
        (map("\"MaxConcurrency\": -1"), &format!("{at}/MaxConcurrency: Minimum value is 0")),
        (
            map("\"ToleratedFailurePercentage\": 100.5"),
            &format!("{at}/ToleratedFailurePercentage: Maximum value is 100.0"),
        ),
        (
            map("\"ToleratedFailureCount\": 1, \"ToleratedFailureCountPath\": \"$.n\""),
            &format!(
                "{at}: There should only be one of the following fields: [ToleratedFailureCount, ToleratedFailureCountPath]"
            ),
        ),
        (map("\"ItemsPath\": null"), &format!("{at}/ItemsPath: Expected value of type [STRING]")),
        (map("\"Label\": \"\""), "INVALID_LABEL_NAME /States/A/Label: Label cannot be empty"),
        (map("\"Label\": \"a b\""), "INVALID_LABEL_NAME /States/A/Label: Label contains invalid character: ' '"),
        (
            map("\"ItemBatcher\": {}"),
            &format!(
                "{at}/ItemBatcher: At least one of these fields is required: [MaxItemsPerBatch, MaxItemsPerBatchPath, MaxInputBytesPerBatch, MaxInputBytesPerBatchPath]"
            ),
        ),
        (
            map("\"ItemBatcher\": {\"MaxInputBytesPerBatch\": 262145}"),
            &format!("{at}/ItemBatcher/MaxInputBytesPerBatch: Maximum value is 262144"),
        ),
        (
            map(
                "\"ItemReader\": {\"Resource\": \"arn:aws:states:::s3:getObject\", \"ReaderConfig\": {\"InputType\": \"XML\", \"MaxItems\": 100000001}}",
            ),
            &format!(
                "{at}/ItemReader/ReaderConfig/InputType: Value should be one of the following: [CSV, JSON, JSONL, PARQUET, MANIFEST]\n{at}/ItemReader/ReaderConfig/MaxItems: Maximum value is 100000000"
            ),
        ),
        (map("\"ResultWriter\": {}"), &format!("{at}/ResultWriter: These fields are required: [Resource, Parameters]")),
    ]);
}

#[test]
fn how_a_map_runs_its_items() {
    let map = |config: &str, resource: &str| {
        state(&format!(
            "{{\"Type\": \"Map\", \"End\": true, \"ItemProcessor\": {{\"ProcessorConfig\": {config}, \"StartAt\": \"B\", \"States\": {{\"B\": {{\"Type\": \"Task\", \"Resource\": \"arn:aws:states:::amqp:publish{resource}\", \"TimeoutSeconds\": 9, \"End\": true}}}}}}}}"
        ))
    };
    let distributed = |kind: &str| format!("{{\"Mode\": \"DISTRIBUTED\", \"ExecutionType\": \"{kind}\"}}");
    accepts(&[
        map("{}", ".waitForTaskToken"),
        map(&distributed("STANDARD"), ".waitForTaskToken"),
        map(&distributed("EXPRESS"), ""),
    ]);
    let at = "/States/A/ItemProcessor/ProcessorConfig";
    refuses(&[
        (
            map("{\"Mode\": \"DISTRIBUTED\"}", ""),
            &format!("SCHEMA_VALIDATION_FAILED {at}: These fields are required: [ExecutionType]"),
        ),
        (
            map("{\"ExecutionType\": \"EXPRESS\"}", ""),
            &format!("SCHEMA_VALIDATION_FAILED {at}: Field 'ExecutionType' is not supported"),
        ),
        (
            map("{\"Mode\": \"BATCH\"}", ""),
            &format!("SCHEMA_VALIDATION_FAILED {at}/Mode: Value should be one of the following: [INLINE, DISTRIBUTED]"),
        ),
        (
            map(&distributed("EXPRESS"), ".waitForTaskToken"),
            "SCHEMA_VALIDATION_FAILED /States/A/ItemProcessor/States/B/Resource: Express state machine does not support '.waitForTaskToken' service integration ",
        ),
    ]);
    let found = diagnose(&map(&distributed("EXPRESS"), ""), MachineType::Express, Severity::Error);
    assert_eq!(
        told(&found),
        format!(
            "SCHEMA_VALIDATION_FAILED {at}/Mode: Express state machine does not support Map state in 'DISTRIBUTED' mode"
        )
    );
}

#[test]
fn an_express_machine_has_no_callbacks() {
    let refused = |resource: &str| {
        let text = state(&format!("{{\"Type\": \"Task\", \"Resource\": \"{resource}\", \"End\": true}}"));
        told(&diagnose(&text, MachineType::Express, Severity::Error))
    };
    assert_eq!(refused("arn:aws:states:::lambda:invoke"), "");
    let at = "SCHEMA_VALIDATION_FAILED /States/A/Resource: Express state machine does not support";
    assert_eq!(
        refused("arn:aws:states:::sqs:sendMessage.waitForTaskToken"),
        format!("{at} '.waitForTaskToken' service integration ")
    );
    assert_eq!(refused("arn:aws:states:::states:startExecution.sync:2"), format!("{at} '.sync' service integration"));
    assert_eq!(refused("arn:aws:states:us-east-1:123456789012:activity:a"), format!("{at} Activity ARN"));
}

#[test]
fn labels_are_unique_over_the_machine() {
    let map = |name: &str, inner: &str| {
        format!(
            "\"{name}\": {{\"Type\": \"Map\", \"Label\": \"l\", \"End\": true, \"Iterator\": {{\"StartAt\": \"{name}1\", \"States\": {{{inner}}}}}}}"
        )
    };
    let text =
        format!("{{\"StartAt\": \"A\", \"States\": {{{}}}}}", map("A", &map("A1", "\"A11\": {\"Type\": \"Succeed\"}")));
    refuses(&[(text, "DUPLICATE_LABEL_NAME /States/A/Iterator/States/A1/Label: Duplicate Label name: l")]);
}

#[test]
fn what_runs_but_not_as_meant_is_a_warning() {
    let callback = |resource: &str, fields: &str| {
        state(&format!(
            "{{\"Type\": \"Task\", \"End\": true, \"Resource\": \"arn:aws:states:::{resource}.waitForTaskToken\"{fields}}}"
        ))
    };
    let distributed = "\"ProcessorConfig\": {\"Mode\": \"DISTRIBUTED\", \"ExecutionType\": \"STANDARD\"}, ";
    let reader = |config: &str, fields: &str| {
        state(&format!(
            "{{\"Type\": \"Map\", \"End\": true, \"ItemProcessor\": {{{config}\"StartAt\": \"B\", \"States\": {{\"B\": {{\"Type\": \"Pass\", \"End\": true}}}}}}, \
             \"ItemReader\": {{\"Resource\": \"arn:aws:states:::s3:getObject\", {fields}}}}}"
        ))
    };
    let token = ", \"Parameters\": {\"t.$\": \"$$.Task.Token\"}";
    let timeout = ", \"TimeoutSeconds\": 60";
    warns(&[
        (callback("amqp:publish", ""), "WARNING CALLBACK_WITHOUT_TIMEOUT /States/A/Resource"),
        (callback("amqp:publish", timeout), ""),
        (callback("sqs:sendMessage", timeout), "WARNING TOKEN_NOT_PASSED /States/A/Resource"),
        (callback("sqs:sendMessage", &format!("{token}{timeout}")), ""),
        (task("\"Catch\": [{\"ErrorEquals\": [\"States.Runtime\"], \"Next\": \"A\"}]"), "WARNING CATCH_NEVER_MATCHES /States/A/Catch[0]"),
        (task("\"Retry\": [{\"ErrorEquals\": [\"X\"]}, {\"ErrorEquals\": [\"X\"]}]"), "WARNING RETRY_NEVER_MATCHES /States/A/Retry[1]"),
        (task("\"Parameters\": {\"a\": \"$.b\", \"c\": \"costs $5\"}"), "WARNING NO_DOLLAR /States/A/Parameters/a"),
        (state("{\"Type\": \"Pass\", \"Result\": {\"a.$\": \"$.b\"}, \"End\": true}"), "WARNING PASS_RESULT_IS_STATIC /States/A/Result"),
        (state("{\"Type\": \"Fail\", \"Error\": \"$.e\"}"), "WARNING NO_PATH /States/A/Error"),
        (reader("", "\"Parameters\": {\"Bucket\": \"b\", \"Key.$\": \"$.k\"}"), "WARNING DISTRIBUTED_ONLY /States/A/ItemReader"),
        (reader(distributed, "\"Parameters\": {\"Bucket\": \"b\", \"Key.$\": \"$.k\"}"), ""),
        (reader(distributed, "\"Parameters\": {\"Bucket\": \"b\"}"), "WARNING NO_OBJECT /States/A/ItemReader"),
        (reader(distributed, "\"ReaderConfig\": {\"InputType\": \"JSON\"}"), "WARNING NO_OBJECT /States/A/ItemReader"),
        (
            "{\"StartAt\": \"A\", \"States\": {\"A\": {\"Type\": \"Succeed\"}, \"B\": {\"Type\": \"Pass\", \"Next\": \"C\"}, \"C\": {\"Type\": \"Pass\", \"Next\": \"B\"}}}".into(),
            "WARNING UNREACHABLE_STATE /States/B\nWARNING UNREACHABLE_STATE /States/C",
        ),
        (
            state("{\"Type\": \"Parallel\", \"End\": true, \"Assign\": {\"v\": 1}, \"Branches\": [{\"StartAt\": \"B\", \"States\": {\"B\": {\"Type\": \"Pass\", \"Assign\": {\"v.$\": \"$\"}, \"End\": true}}}]}"),
            "WARNING VARIABLE_IN_OUTER_SCOPE /States/A/Branches[0]/States/B/Assign",
        ),
    ]);
}
