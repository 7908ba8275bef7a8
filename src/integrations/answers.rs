//! Answers of other frameworks: their results and failures, as those of a task. The setting `reply` of a row says
//! which.
//!
//! Sources: Celery's `backends/base.py` (`_get_result_meta`, `prepare_exception`), nameko's `rpc.py` and
//! `exceptions.py`, the specification of JSON-RPC 2.0.

use serde::Deserialize;
use serde_json::Value;

use super::ServiceTable;
use crate::asl::resource::{Pattern, Resource, ResourceKind};
use crate::interpreter::event::{Failure, Payload};
use crate::limits::{CAUSE_CHARS_MAX, ERROR_CHARS_MAX};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyForm {
    /// The body is the result; the header `task-status` says the rest.
    #[default]
    Plain,
    Celery,
    Nameko,
    Jsonrpc,
}

/// The meaning of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Result(Payload),
    Failure(Failure),
    /// The worker reports that it works.
    Working,
}

/// Reads an answer in the form of its resource's row. A callback's answer is always plain.
#[must_use]
pub fn answer(resource: &Resource, table: &ServiceTable, answer: Payload) -> Answer {
    let form = match &resource.kind {
        ResourceKind::Service { service, action, pattern } if *pattern != Pattern::WaitForTaskToken => {
            table.find(service, action).map(|row| row.reply).unwrap_or_default()
        }
        _ => ReplyForm::Plain,
    };
    match form {
        ReplyForm::Plain => Answer::Result(answer),
        ReplyForm::Celery => celery(&answer),
        ReplyForm::Nameko => nameko(&answer),
        ReplyForm::Jsonrpc => jsonrpc(&answer),
    }
}

fn celery(answer: &Value) -> Answer {
    let Some(status) = answer.get("status").and_then(Value::as_str) else { return foreign("Celery") };
    let result = answer.get("result").unwrap_or(&Value::Null);
    match status {
        "SUCCESS" => Answer::Result(Payload::new(result.clone())),
        "FAILURE" | "REVOKED" => {
            let error = result.get("exc_type").and_then(Value::as_str).unwrap_or(status);
            let message = match result.get("exc_message") {
                Some(Value::Array(parts)) => parts.iter().map(shown).collect::<Vec<_>>().join(", "),
                Some(message) => shown(message),
                None => shown(result),
            };
            let traceback = answer.get("traceback").and_then(Value::as_str).filter(|text| !text.is_empty());
            let cause = traceback.map_or(message.clone(), |traceback| format!("{message}\n{traceback}"));
            failure(error, &cause)
        }
        // STARTED, RETRY, and the states that a task gives itself.
        _ => Answer::Working,
    }
}

fn nameko(answer: &Value) -> Answer {
    match (answer.get("result"), answer.get("error")) {
        (_, Some(error @ Value::Object(_))) => {
            let text = |name: &str| error.get(name).map(shown).unwrap_or_default();
            failure(&text("exc_type"), &text("value"))
        }
        (Some(result), Some(Value::Null)) => Answer::Result(Payload::new(result.clone())),
        _ => foreign("nameko"),
    }
}

fn jsonrpc(answer: &Value) -> Answer {
    match (answer.get("result"), answer.get("error")) {
        (_, Some(error @ Value::Object(_))) => {
            let message = error.get("message").map(shown).unwrap_or_default();
            let data = error.get("data").map_or_else(String::new, |data| format!("\n{}", shown(data)));
            failure(&format!("JsonRpc.{}", error.get("code").map(shown).unwrap_or_default()), &(message + &data))
        }
        (Some(result), None | Some(Value::Null)) => Answer::Result(Payload::new(result.clone())),
        _ => foreign("JSON-RPC"),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn failure(error: &str, cause: &str) -> Answer {
    let bounded = |text: &str, most| text.chars().take(most).collect::<String>();
    Answer::Failure(Failure::new(bounded(error, ERROR_CHARS_MAX), bounded(cause, CAUSE_CHARS_MAX)))
}

/// An answer that is none of the framework's.
fn foreign(framework: &str) -> Answer {
    failure("Amqp.InvalidReply", &format!("The answer is no answer of {framework} (the setting reply of its row)"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::TableEntry;
    use super::*;

    fn read(form: ReplyForm, resource: &str, said: Value) -> Answer {
        let row = TableEntry { resource: "*".to_owned(), reply: form, ..TableEntry::default() };
        let resource = Resource::parse(&format!("arn:aws:states:::{resource}")).unwrap();
        answer(&resource, &ServiceTable::new(vec![row]).unwrap(), Payload::new(said))
    }

    fn result(value: Value) -> Answer {
        Answer::Result(Payload::new(value))
    }

    #[test]
    fn each_framework_says_result_and_failure_in_its_own_form() {
        use ReplyForm::{Celery, Jsonrpc, Nameko, Plain};
        let celery = |status: &str, result: Value| {
            json!({"task_id": "t", "status": status, "result": result,
            "traceback": null, "children": []})
        };
        for (form, said, expected) in [
            (Plain, json!({"error": "E"}), result(json!({"error": "E"}))),
            (Celery, celery("SUCCESS", json!(5)), result(json!(5))),
            (Celery, celery("SUCCESS", Value::Null), result(Value::Null)),
            (
                Celery,
                celery(
                    "FAILURE",
                    json!({"exc_type": "ValueError", "exc_message": ["no", 7], "exc_module": "builtins"}),
                ),
                failure("ValueError", "no, 7"),
            ),
            (
                Celery,
                json!({"status": "FAILURE", "result": {"exc_type": "E", "exc_message": "m"}, "traceback": "Traceback"}),
                failure("E", "m\nTraceback"),
            ),
            (Celery, celery("STARTED", json!({"pid": 1})), Answer::Working),
            (Celery, celery("RETRY", json!({"exc_type": "E"})), Answer::Working),
            (Celery, json!(5), foreign("Celery")),
            (Nameko, json!({"result": {"a": 1}, "error": null}), result(json!({"a": 1}))),
            (
                Nameko,
                json!({"result": null, "error": {"exc_type": "MethodNotFound", "exc_path": "p", "exc_args": [], "value": "v"}}),
                failure("MethodNotFound", "v"),
            ),
            (Nameko, json!({"answer": 1}), foreign("nameko")),
            (Jsonrpc, json!({"jsonrpc": "2.0", "id": 1, "result": [1]}), result(json!([1]))),
            (
                Jsonrpc,
                json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found", "data": {"m": "x"}}}),
                failure("JsonRpc.-32601", "Method not found\n{\"m\":\"x\"}"),
            ),
            (Jsonrpc, json!({}), foreign("JSON-RPC")),
        ] {
            assert_eq!(read(form, "mail:send", said.clone()), expected, "{form:?} {said}");
        }
        let plain = json!({"status": "FAILURE"});
        assert_eq!(read(Celery, "mail:send.waitForTaskToken", plain.clone()), result(plain), "a callback is plain");
    }
}
