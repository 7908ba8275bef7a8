//! Rules of single fields: presence, type, range, query language.

use super::{accepts, errors, jsonata_state, refuses, state, task};

#[test]
fn a_missing_or_broken_text_says_where_reading_stopped() {
    refuses(&[
        (String::new(), "MISSING_DESCRIPTION -: The definition is empty"),
        (" null ".into(), "MISSING_DESCRIPTION -: The definition is null"),
        (
            "{\n \"StartAt\": }".into(),
            "INVALID_JSON_DESCRIPTION -: Unexpected character ('}' (code 125)): expected a value",
        ),
        ("[]".into(), "SCHEMA_VALIDATION_FAILED /: Expected value of type [OBJECT]"),
        ("{}".into(), "SCHEMA_VALIDATION_FAILED /: These fields are required: [StartAt, States]"),
        ("{\"StartAt\": \"A\", \"States\": {}}".into(), "SCHEMA_VALIDATION_FAILED /States: Value cannot be empty"),
    ]);
}

#[test]
fn an_error_knows_its_line_and_column_and_what_to_do() {
    let text = "{\n  \"StartAt\": \"Añ\",\n  \"States\": {\n    \"Añ\": {\"Type\": \"Pass\", \"Result\": \"é\", \"resultpath\": 1, \"End\": true}\n  }\n}";
    let found = errors(text);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].line, found[0].column), (4, 43));
    assert!(found[0].hint.as_deref().unwrap().starts_with("did you mean 'ResultPath'?"), "{:?}", found[0].hint);
    assert_eq!(
        found[0].to_string().split(" (").next().unwrap(),
        "4:43 ERROR SCHEMA_VALIDATION_FAILED /States/Añ: Field 'resultpath' is not supported"
    );
}

#[test]
fn fields_of_the_machine() {
    let machine =
        |fields: &str| format!("{{\"StartAt\": \"A\", \"States\": {{\"A\": {{\"Type\": \"Succeed\"}}}}, {fields}}}");
    accepts(&[machine(
        "\"Comment\": \"c\", \"Version\": \"1.0\", \"TimeoutSeconds\": 99999999, \"QueryLanguage\": \"JSONPath\"",
    )]);
    refuses(&[
        (machine("\"Foo\": 1"), "SCHEMA_VALIDATION_FAILED /: Field 'Foo' is not supported"),
        (machine("\"Comment\": 1"), "SCHEMA_VALIDATION_FAILED /Comment: Expected value of type [STRING]"),
        (machine("\"TimeoutSeconds\": 0"), "SCHEMA_VALIDATION_FAILED /TimeoutSeconds: Minimum value is 1"),
        (
            machine("\"TimeoutSeconds\": 1.5"),
            "SCHEMA_VALIDATION_FAILED /TimeoutSeconds: Expected value of type [INTEGER]",
        ),
        (
            machine("\"TimeoutSeconds\": 100000000"),
            "SCHEMA_VALIDATION_FAILED /TimeoutSeconds: Maximum value is 99999999",
        ),
        (
            machine("\"QueryLanguage\": \"jsonata\""),
            "SCHEMA_VALIDATION_FAILED /QueryLanguage: Value should be one of the following: [JSONPath, JSONata]",
        ),
        (machine("\"QueryLanguage\": 5"), "SCHEMA_VALIDATION_FAILED /QueryLanguage: Expected value of type [STRING]"),
        (machine("\"Comment\": \"a\", \"Comment\": \"b\""), "INVALID_JSON_DESCRIPTION /: Duplicate field 'Comment'"),
    ]);
}

#[test]
fn a_state_has_a_type_and_only_the_fields_of_that_type() {
    refuses(&[
        (state("{\"End\": true}"), "SCHEMA_VALIDATION_FAILED /States/A: These fields are required: [Type]"),
        (
            state("5"),
            "SCHEMA_VALIDATION_FAILED /States/A: Expected value of type [OBJECT]\nMISSING_END_STATE -: Workflow has no terminal state",
        ),
        (
            state("{\"Type\": \"Lambda\", \"End\": true}"),
            "SCHEMA_VALIDATION_FAILED /States/A/Type: The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map]",
        ),
        (
            state("{\"Type\": \"Pass\", \"End\": true, \"TimeoutSeconds\": 5}"),
            "SCHEMA_VALIDATION_FAILED /States/A: Field 'TimeoutSeconds' is not supported",
        ),
        (
            state("{\"Type\": \"Succeed\", \"End\": true}"),
            "SCHEMA_VALIDATION_FAILED /States/A: Field 'End' is not supported",
        ),
        (
            state("{\"Type\": \"Fail\", \"InputPath\": \"$\"}"),
            "SCHEMA_VALIDATION_FAILED /States/A: Field 'InputPath' is not supported",
        ),
        (
            state("{\"Type\": \"Pass\"}"),
            "SCHEMA_VALIDATION_FAILED /States/A: Exactly one of these fields is required: [Next, End]",
        ),
        (
            state("{\"Type\": \"Pass\", \"End\": \"true\"}"),
            "SCHEMA_VALIDATION_FAILED /States/A/End: Expected value of type [BOOLEAN]",
        ),
        (
            state("{\"Type\": \"Pass\", \"End\": true, \"Next\": \"A\"}"),
            "SCHEMA_VALIDATION_FAILED /States/A: Exactly one of these fields is required: [Next, End]",
        ),
    ]);
}

#[test]
fn fields_belong_to_their_query_language() {
    let mixed = |set: &str, field: &str, only: &str| {
        format!(
            "SCHEMA_VALIDATION_FAILED /States/A: The QueryLanguage is set to '{set}', but field '{field}' is only supported for the '{only}' QueryLanguage"
        )
    };
    refuses(&[
        (state("{\"Type\": \"Pass\", \"Output\": {}, \"End\": true}"), &mixed("JSONPath", "Output", "JSONata")),
        (
            jsonata_state("{\"Type\": \"Pass\", \"InputPath\": \"$\", \"End\": true}"),
            &mixed("JSONata", "InputPath", "JSONPath"),
        ),
        (
            jsonata_state("{\"Type\": \"Pass\", \"QueryLanguage\": \"JSONPath\", \"Result\": 1, \"End\": true}"),
            "SCHEMA_VALIDATION_FAILED /States/A: 'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
        ),
    ]);
    accepts(&[
        state(
            "{\"Type\": \"Pass\", \"QueryLanguage\": \"JSONata\", \"Output\": \"{% $states.input.a %}\", \"End\": true}",
        ),
        jsonata_state("{\"Type\": \"Fail\", \"Error\": \"{% $states.input.e %}\", \"Cause\": \"plain\"}"),
    ]);
}

#[test]
fn paths_and_templates() {
    let pass = |fields: &str| state(&format!("{{\"Type\": \"Pass\", \"End\": true, {fields}}}"));
    accepts(&[
        pass("\"InputPath\": null, \"OutputPath\": \"$$.Execution.Input\", \"ResultPath\": null"),
        pass("\"InputPath\": \"$.a[?(@.b > 1)].c\", \"ResultPath\": \"$.a.b[0]\""),
        pass(
            "\"Parameters\": {\"a.$\": \"States.Format('{}', $.x)\", \"b\": [{\"c.$\": \"$$.Task\"}], \"d.$\": \"$name.e\"}",
        ),
        pass("\"Parameters\": \"$.anything\""),
    ]);
    let bad = "must be a valid JSONPath or a valid intrinsic function call";
    refuses(&[
        (
            pass("\"OutputPath\": \"Test\""),
            "SCHEMA_VALIDATION_FAILED /States/A/OutputPath: Value must be a valid JSONPath.",
        ),
        (
            pass("\"InputPath\": \"States.UUID()\""),
            "SCHEMA_VALIDATION_FAILED /States/A/InputPath: Value must be a valid JSONPath.",
        ),
        (pass("\"InputPath\": 5"), "SCHEMA_VALIDATION_FAILED /States/A/InputPath: Expected value of type [STRING]"),
        (
            pass("\"ResultPath\": \"x\""),
            "SCHEMA_VALIDATION_FAILED /States/A/ResultPath: Value is not a Reference Path: Reference path didn't start with '$'",
        ),
        (
            pass("\"Parameters\": {\"a.$\": \"x\", \"b\": {\"c.$\": 1}, \"d\": [{\"e.$\": \"States.Nope()\"}]}"),
            &format!(
                "SCHEMA_VALIDATION_FAILED /States/A/Parameters: The value for the field 'a.$' {bad}\n\
                 SCHEMA_VALIDATION_FAILED /States/A/Parameters/b: The value for the field 'c.$' {bad}\n\
                 SCHEMA_VALIDATION_FAILED /States/A/Parameters/d[0]: The value for the field 'e.$' {bad}"
            ),
        ),
        (
            pass("\"Parameters\": {\"a\": 1, \"a.$\": \"$.x\"}"),
            "SCHEMA_VALIDATION_FAILED /States/A/Parameters: The field 'a' is defined more than once",
        ),
    ]);
}

#[test]
fn jsonata_expressions_are_compiled_when_the_machine_is() {
    let pass = |output: &str| jsonata_state(&format!("{{\"Type\": \"Pass\", \"Output\": {output}, \"End\": true}}"));
    accepts(&[pass("\"{% $states.input.a & 'x' %}\""), pass("{\"a\": [1, \"{% 1 + 1 %}\", \"plain\", null]}")]);
    let places = |text: &str| {
        errors(text)
            .iter()
            .map(|d| format!("{} {}", d.code, d.location.as_deref().unwrap()))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (output, expected) in [
        ("\"{% 10 %\"", "SCHEMA_VALIDATION_FAILED /States/A/Output"),
        ("\" {% 10 %}\"", "SCHEMA_VALIDATION_FAILED /States/A/Output"),
        (
            "{\"a\": [\"{% 10 + * 2 ) %}\"], \"b\": \"{% ( %}\"}",
            "INVALID_JSONATA_EXPRESSION /States/A/Output/a[0]\nINVALID_JSONATA_EXPRESSION /States/A/Output/b",
        ),
        ("\"{% phone %}\"", "UNSUPPORTED_JSONATA_EXPRESSION /States/A/Output"),
        ("\"{% $$.a %}\"", "UNSUPPORTED_JSONATA_EXPRESSION /States/A/Output"),
        ("\"{% $eval('1') %}\"", "UNSUPPORTED_JSONATA_EXPRESSION /States/A/Output"),
        ("\"{% $states.errorOutput %}\"", "UNSUPPORTED_JSONATA_EXPRESSION /States/A/Output"),
    ] {
        assert_eq!(places(&pass(output)), expected, "{output}");
    }
}

#[test]
fn variables_have_names_that_are_identifiers() {
    let assign = |fields: &str| state(&format!("{{\"Type\": \"Pass\", \"End\": true, \"Assign\": {fields}}}"));
    accepts(&[assign("{\"a\": 1, \"b_2.$\": \"$.x\", \"größe\": null}")]);
    let long = "x".repeat(81);
    refuses(&[
        (assign("5"), "SCHEMA_VALIDATION_FAILED /States/A/Assign: Expected value of type [OBJECT]"),
        (assign("{\"1a\": 1}"), "SCHEMA_VALIDATION_FAILED /States/A/Assign: Invalid variable name: '1a'"),
        (assign("{\"a-b.$\": \"$\"}"), "SCHEMA_VALIDATION_FAILED /States/A/Assign: Invalid variable name: 'a-b'"),
        (assign("{\"states\": 1}"), "SCHEMA_VALIDATION_FAILED /States/A/Assign: Invalid variable name: 'states'"),
        (
            assign(&format!("{{\"{long}\": 1}}")),
            &format!("SCHEMA_VALIDATION_FAILED /States/A/Assign: Invalid variable name: '{long}'"),
        ),
    ]);
}

#[test]
fn a_wait_says_in_one_way_how_long() {
    let wait = |fields: &str| state(&format!("{{\"Type\": \"Wait\", \"End\": true, {fields}}}"));
    accepts(&[
        wait("\"Seconds\": 0"),
        wait("\"Seconds\": 99999999"),
        wait("\"SecondsPath\": \"$.s\""),
        wait("\"Timestamp\": \"2016-03-05T21:29:29.243167252Z\""),
        wait("\"Timestamp\": \"2016-03-05T21:29:29+02:00\""),
        wait("\"TimestampPath\": \"$at\""),
    ]);
    let one = "Exactly one of these fields is required: [Seconds, SecondsPath, Timestamp, TimestampPath]";
    refuses(&[
        (wait("\"Comment\": \"\""), &format!("SCHEMA_VALIDATION_FAILED /States/A: {one}")),
        (
            wait("\"Seconds\": 1, \"Timestamp\": \"2016-03-05T21:29:29Z\""),
            "SCHEMA_VALIDATION_FAILED /States/A: There should only be one of the following fields: [Seconds, SecondsPath, Timestamp, TimestampPath]",
        ),
        (
            wait("\"Seconds\": 10000000000000000"),
            "SCHEMA_VALIDATION_FAILED /States/A/Seconds: Maximum value is 99999999",
        ),
        (wait("\"Seconds\": -1"), "SCHEMA_VALIDATION_FAILED /States/A/Seconds: Minimum value is 0"),
        (wait("\"Seconds\": \"$.s\""), "SCHEMA_VALIDATION_FAILED /States/A/Seconds: Expected value of type [INTEGER]"),
        (
            wait("\"Timestamp\": \"2016-03-05 21:29:29Z\""),
            "SCHEMA_VALIDATION_FAILED /States/A/Timestamp: String does not match RFC3339 timestamp",
        ),
        (
            wait("\"Timestamp\": \"2016-03-05T21:29:29\""),
            "SCHEMA_VALIDATION_FAILED /States/A/Timestamp: String does not match RFC3339 timestamp",
        ),
    ]);
}

#[test]
fn a_task_names_a_resource_and_its_timeouts() {
    accepts(&[
        task("\"TimeoutSeconds\": 10, \"HeartbeatSeconds\": 9"),
        task("\"TimeoutSecondsPath\": \"$.t\", \"HeartbeatSecondsPath\": \"$.h\""),
        task("\"Credentials\": {\"RoleArn.$\": \"$.role\"}"),
        state("{\"Type\": \"Task\", \"End\": true, \"Resource\": \"arn:aws:states:::aws-sdk:sfn:startSyncExecution\"}"),
    ]);
    refuses(&[
        (
            state("{\"Type\": \"Task\", \"End\": true}"),
            "SCHEMA_VALIDATION_FAILED /States/A: These fields are required: [Resource]",
        ),
        (
            state("{\"Type\": \"Task\", \"End\": true, \"Resource\": \"foo\"}"),
            "SCHEMA_VALIDATION_FAILED /States/A/Resource: Value is not a valid resource ARN",
        ),
        (
            state("{\"Type\": \"Task\", \"End\": true, \"Resource\": \"arn:aws:states:::aws-sdk:sfn:paintExecution\"}"),
            "SCHEMA_VALIDATION_FAILED /States/A/Resource: The resource provided arn:aws:states:::aws-sdk:sfn:paintExecution is not recognized. The value is not a valid resource ARN, or the resource is not available in this region.",
        ),
        (
            state(
                "{\"Type\": \"Task\", \"End\": true, \"Resource\": \"arn:aws:states:::aws-sdk:sfn:startExecution.sync\"}",
            ),
            "SCHEMA_VALIDATION_FAILED /States/A/Resource: The resource provided arn:aws:states:::aws-sdk:sfn:startExecution.sync is not recognized. The value is not a valid resource ARN, or the resource is not available in this region.",
        ),
        (task("\"TimeoutSeconds\": 0"), "SCHEMA_VALIDATION_FAILED /States/A/TimeoutSeconds: Minimum value is 1"),
        (
            task("\"TimeoutSeconds\": 5, \"HeartbeatSeconds\": 5"),
            "SCHEMA_VALIDATION_FAILED /States/A/HeartbeatSeconds: HeartbeatSeconds must be smaller than TimeoutSeconds",
        ),
        (
            task("\"TimeoutSeconds\": 5, \"TimeoutSecondsPath\": \"$.t\""),
            "SCHEMA_VALIDATION_FAILED /States/A: There should only be one of the following fields: [TimeoutSeconds, TimeoutSecondsPath]",
        ),
        (task("\"Credentials\": 5"), "SCHEMA_VALIDATION_FAILED /States/A/Credentials: Expected value of type [OBJECT]"),
    ]);
}

#[test]
fn a_fail_state_has_constants_or_paths() {
    accepts(&[
        state("{\"Type\": \"Fail\", \"ErrorPath\": \"$.e\", \"CausePath\": \"States.Format('{}', $.c)\"}"),
        state("{\"Type\": \"Fail\"}"),
    ]);
    refuses(&[
        (
            state("{\"Type\": \"Fail\", \"Error\": \"e\", \"ErrorPath\": \"$.e\"}"),
            "SCHEMA_VALIDATION_FAILED /States/A: There should only be one of the following fields: [Error, ErrorPath]",
        ),
        (
            state("{\"Type\": \"Fail\", \"Cause\": 5}"),
            "SCHEMA_VALIDATION_FAILED /States/A/Cause: Expected value of type [STRING]",
        ),
        (
            state("{\"Type\": \"Fail\", \"CausePath\": \"c\"}"),
            "SCHEMA_VALIDATION_FAILED /States/A/CausePath: Value must be a valid JSONPath or a valid intrinsic function call",
        ),
    ]);
}

#[test]
fn a_form_is_checked_with_its_task() {
    let ask = |resource: &str, parameters: &str| {
        state(&format!(
            "{{\"Type\": \"Task\", \"Resource\": \"arn:aws:states:::{resource}\", \"TimeoutSeconds\": 9, \"Parameters\": {parameters}, \"End\": true}}"
        ))
    };
    let waiting = "reveille:ask.waitForTaskToken";
    accepts(&[
        ask(
            waiting,
            r#"{"Form": {"Title.$": "$.t", "Schema": {"type": "object", "properties": {"n": {"type": "number"}}}}}"#,
        ),
        ask(waiting, r#"{"Form.$": "$.form", "Notify": {"Queue": "mail"}}"#),
        ask("amqp:publish.waitForTaskToken", r#"{"Queue": "q", "Form": {"Title": "t"}}"#),
        ask("sqs:sendMessage", r#"{"QueueUrl": "q", "Form": {"Titel": "t"}}"#),
    ]);
    let at = "SCHEMA_VALIDATION_FAILED /States/A/Parameters";
    refuses(&[
        (
            ask(
                waiting,
                r#"{"Form": {"Schema": {"type": "object", "properties": {"n": {"type": "number", "multipleOf": 5}}}}}"#,
            ),
            &format!(
                "{at}/Form/Schema/properties/n/multipleOf: Forms do not know the keyword 'multipleOf' for a number"
            ),
        ),
        (
            ask("amqp:publish.waitForTaskToken", r#"{"Queue": "q", "Form": {"Actions": [{"Label": "x"}]}}"#),
            &format!("{at}/Form/Actions[0]: An action has either Success or Failure"),
        ),
        (
            task("").replace("amqp:call", waiting).replace(", }", "}"),
            "SCHEMA_VALIDATION_FAILED /States/A: These fields are required: [Parameters]",
        ),
        (ask(waiting, r#"{"Body": 1}"#), &format!("{at}/Body: Field 'Body' is not supported")),
        (
            ask("reveille:ask", "{}"),
            "SCHEMA_VALIDATION_FAILED /States/A/Resource: A task that asks people waits for a token",
        ),
    ]);
    let text = ask(waiting, "{\n  \"Form\": {\n    \"Titel\": \"x\"}}");
    let found = errors(&text);
    assert_eq!((found[0].line, found[0].column), (6, 5), "{found:?}");
}
