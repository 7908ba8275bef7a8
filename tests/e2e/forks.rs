//! Forks of executions, by the command line and the API, over a restart.

use serde_json::{Value, json};

use super::support::{Launch, Server, cli, cli_json};

/// Asks with a variable and its input, and tells both.
fn machine() -> String {
    json!({ "QueryLanguage": "JSONata", "StartAt": "Prepare", "States": {
        "Prepare": { "Type": "Pass", "Assign": { "who": "{% $states.input.who %}" },
            "Output": { "question": "how many?" }, "Next": "Ask" },
        "Ask": { "Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
            "Arguments": { "Queue": "no-worker", "Body": "{% $states.input %}" }, "Next": "Tell" },
        "Tell": { "Type": "Pass", "Output": { "who": "{% $who %}", "answer": "{% $states.input %}",
            "of": "{% $states.context.Execution.Input.who %}" }, "End": true },
    } })
    .to_string()
}

fn answered(server: &Server, execution: &str, output: &str) -> Value {
    let token = server.token(execution, "Ask");
    server.call("SendTaskSuccess", &json!({ "taskToken": token, "output": output }));
    serde_json::from_str(server.ended(execution)["output"].as_str().unwrap()).unwrap()
}

#[test]
fn an_execution_is_forked_from_a_state_and_both_survive_a_restart() {
    let mut server = Server::start(Launch::embedded());
    let source = server.execution(&server.machine("asks", &machine()), "source", &json!({ "who": "olga" }));
    assert_eq!(answered(&server, &source, "7"), json!({ "who": "olga", "answer": 7, "of": "olga" }));

    let same = cli_json(&server, &["fork", "asks:source", "--at", "Ask", "--name", "same"]);
    let same = same["executionArn"].as_str().unwrap().to_owned();
    let variables = r#"{"who": "nina"}"#;
    let other =
        cli_json(&server, &["fork", "asks:source", "--at", "Ask", "--variables", variables, "--input", "[1.5]"]);
    let other = other["executionArn"].as_str().unwrap().to_owned();
    let history = server.history(&same);
    assert_eq!(history[0]["executionStartedEventDetails"]["input"], r#"{"who":"olga"}"#);
    let entered = &history[1]["stateEnteredEventDetails"];
    assert_eq!((&entered["name"], &entered["input"]), (&json!("Ask"), &json!(r#"{"question":"how many?"}"#)));

    server.kill();
    server.start_again();
    assert_eq!(answered(&server, &same, "8"), json!({ "who": "olga", "answer": 8, "of": "olga" }));
    assert_eq!(answered(&server, &other, "9"), json!({ "who": "nina", "answer": 9, "of": "olga" }));
    assert_eq!(server.history(&other)[1]["stateEnteredEventDetails"]["input"], "[1.5]");

    // Lineage, both ways.
    let lineage = server.call("Reveille.DescribeLineage", &json!({ "executionArn": source }));
    let forks: Vec<&Value> = lineage["forks"].as_array().unwrap().iter().map(|fork| &fork["executionArn"]).collect();
    assert_eq!(forks, [&json!(same), &json!(other)]);
    assert!(lineage.get("forkedFrom").is_none() && lineage.get("parent").is_none());
    let lineage = server.call("Reveille.DescribeLineage", &json!({ "executionArn": same }));
    assert_eq!(lineage["forkedFrom"]["executionArn"], json!(source));
    assert_eq!(lineage["forkedFrom"]["stateName"], "Ask");
    let (_, shown, _) = cli(&server, &["describe", "asks:same", "-o", "table"]);
    assert!(shown.contains("forked from") && shown.contains("asks:source at Ask"), "{shown}");
    let (_, shown, _) = cli(&server, &["describe", "asks:source", "-o", "table"]);
    assert!(shown.contains("asks:same"), "{shown}");
}

#[test]
fn a_fork_that_cannot_be_is_refused_with_its_reason() {
    let server = Server::start(Launch::embedded());
    let arn = server.machine("asks", &machine());
    server.execution(&arn, "source", &json!({ "who": "olga" }));
    for (arguments, why) in [
        (&["--at", "Nowhere"][..], "the top level of its definition has no state 'Nowhere'"),
        (&["--at", "Tell"], "it never entered the state 'Tell', so its input must be given"),
        (&["--at", "Ask", "--event", "1"], "event 1 does not enter the state 'Ask'"),
        (&["--at", "Ask", "--variables", "[]"], "an object is expected"),
        (&["--at", "Ask", "--variables", r#"{"1": 1}"#], "Invalid variable name: '1'"),
        (&["--at", "Ask", "--name", "source"], "Execution Already Exists"),
    ] {
        let (code, _, said) = cli(&server, &[&["fork", "asks:source"], arguments].concat());
        assert_eq!(code, 1, "{arguments:?}: {said}");
        assert!(said.contains(why), "{said}");
    }
    let (code, _, said) = cli(&server, &["fork", "asks:source", "--at", "Ask", "--input", "{"]);
    assert_eq!(code, 2, "{said}");
    let none = server.try_call("Reveille.ForkExecution", &json!({ "executionArn": arn, "stateName": "Ask" }));
    assert_eq!(none.unwrap_err().0, 400);
}
