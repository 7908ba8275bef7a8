//! The document: a channel for each queue, an operation and a message for each state, and the replies.
//!
//! It describes the state machine as the application: it sends tasks, and hears replies at the address that each task
//! names.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value, json};

use super::recorded::{Example, Examples};
use super::schema;
use crate::asl::resource::{Pattern, ResourceKind};
use crate::asl::{self, WrittenTask};
use crate::bus::{Names, TaskHeaders};
use crate::integrations::{CompletesOn, PayloadWritten, ReplyForm, ServiceTable, payload_written, queue_named};

/// The machine, and the settings that say where its tasks go.
pub(super) struct Of<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub table: &'a ServiceTable,
    pub names: &'a Names,
    /// The fields of the messages (`bus.headers`).
    pub headers: TaskHeaders,
}

const REPLIES: &str = "replies";
/// Errors by which a matcher means many.
const WILDCARD: &str = "States.";
/// Bytes of a payload or a result.
const BYTES_MAX: usize = crate::limits::PAYLOAD_BYTES_MAX;

pub(super) fn of(definition: &str, of: &Of<'_>, examples: &Examples) -> Value {
    let machine: Value = serde_json::from_str(definition).unwrap_or_default();
    let mut document = Document::default();
    let mut elsewhere = Vec::new();
    for task in asl::tasks(definition) {
        // People answer, or the server itself: a queue then only hears of it.
        let is_worker = !task.resource.is_ask();
        match queue_named(&task.resource, &task.parameters, of.table, of.names).filter(|_| is_worker) {
            Some(queue) => document.task(&task, &queue, of.table, examples.of(&task.state)),
            None => elsewhere.push(json!({"state": task.state, "resource": task.resource.arn})),
        }
    }
    document.channels.insert(REPLIES.to_owned(), document.replies());
    let about = machine["Comment"].as_str().map_or_else(String::new, |comment| format!("{comment}\n\n"));
    let mut contract = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": of.name,
            "version": of.version,
            "description": format!(
                "{about}Tasks of the state machine {}, and the replies of their workers. A worker answers to the \
                 address in the AMQP property reply_to, through the default exchange, with the token of the task in \
                 the header task-token or in the property correlation_id. It acknowledges the task after its reply is \
                 confirmed. The token is a secret.",
                of.name
            ),
        },
        "defaultContentType": "application/json",
        "channels": document.channels,
        "operations": document.operations,
        "components": {"messages": document.messages, "schemas": {"taskHeaders": task_headers(of.headers)}},
    });
    if !elsewhere.is_empty() {
        // Exchanges, computed queues, executions, people.
        contract["x-tasks-without-a-written-queue"] = Value::Array(elsewhere);
    }
    contract
}

#[derive(Default)]
struct Document {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
    /// Keys of the replies, in order.
    replies: Vec<String>,
    keys: HashSet<String>,
}

impl Document {
    fn task(&mut self, task: &WrittenTask, queue: &str, table: &ServiceTable, example: Option<&Example>) {
        let key = self.key(&task.state);
        let channel = self.channel(queue);
        let at = format!("#/components/messages/{key}");
        self.channels[&channel]["messages"][&key] = json!({"$ref": at});
        let wants_answer = wants_answer(task, table);
        self.messages.insert(key.clone(), message(task, table, example, wants_answer));
        let mut operation = json!({
            "action": "send",
            "channel": {"$ref": format!("#/channels/{channel}")},
            "title": task.state,
            "summary": format!("A task of the state {}", task.state),
            "messages": [{"$ref": format!("#/channels/{channel}/messages/{key}")}],
            "x-resource": task.resource.arn,
        });
        if let Some(comment) = task.written["Comment"].as_str() {
            operation["description"] = json!(comment);
        }
        for (field, name) in [("TimeoutSeconds", "x-timeout-seconds"), ("HeartbeatSeconds", "x-heartbeat-seconds")] {
            if let Some(value) = task.written.get(field) {
                operation[name] = value.clone();
            }
        }
        if let Some(form) = reply_form(task, table) {
            operation["x-reply-form"] = json!(format!("{form:?}").to_lowercase());
        } else if wants_answer {
            let heartbeat = ["HeartbeatSeconds", "HeartbeatSecondsPath"].iter().any(|f| task.written.get(*f).is_some());
            let answers = self.answers(task, &key, heartbeat, example);
            operation["reply"] = json!({
                "address": {
                    "location": "$message.header#/reply_to",
                    "description": "The AMQP property reply_to; publish to it through the default exchange",
                },
                "channel": {"$ref": format!("#/channels/{REPLIES}")},
                "messages": answers,
            });
        }
        self.operations.insert(key, operation);
    }

    /// A key that names of components may have, and that is still free.
    fn key(&mut self, name: &str) -> String {
        let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        let plain: String = name.chars().map(fits).collect();
        let mut key = plain.clone();
        let mut number = 2;
        while key == REPLIES || !self.keys.insert(key.clone()) {
            key = format!("{plain}-{number}");
            number += 1;
        }
        key
    }

    /// The key of a queue's channel.
    fn channel(&mut self, queue: &str) -> String {
        let known = self.channels.iter().find(|(_, channel)| channel["address"] == queue).map(|(key, _)| key.clone());
        if let Some(key) = known {
            return key;
        }
        let key = self.key(&format!("queue.{queue}"));
        self.channels.insert(
            key.clone(),
            json!({
                "address": queue,
                "description": format!("The queue {queue}, through the default exchange"),
                "messages": {},
                "bindings": {"amqp": {
                    "is": "queue",
                    "queue": {"name": queue, "durable": true, "exclusive": false, "autoDelete": false},
                    "bindingVersion": "0.3.0",
                }},
            }),
        );
        key
    }

    /// The replies to a state's task; references to them.
    fn answers(&mut self, task: &WrittenTask, key: &str, heartbeat: bool, example: Option<&Example>) -> Vec<Value> {
        let mut answers = vec![("success", success(task, example)), ("failure", failure(task))];
        if heartbeat {
            answers.push(("heartbeat", beat(task)));
        }
        let mut refs = Vec::new();
        for (status, mut message) in answers {
            let key = self.key(&format!("{key}.{status}"));
            message["name"] = json!(format!("task.{status}"));
            message["headers"] = reply_headers(status);
            message["correlationId"] = correlation();
            message["bindings"] = json!({"amqp": {"messageType": format!("task.{status}"), "bindingVersion": "0.3.0"}});
            refs.push(json!({"$ref": format!("#/channels/{REPLIES}/messages/{key}")}));
            self.messages.insert(key.clone(), message);
            self.replies.push(key);
        }
        refs
    }

    fn replies(&self) -> Value {
        let messages: Map<String, Value> = self
            .replies
            .iter()
            .map(|key| (key.clone(), json!({"$ref": format!("#/components/messages/{key}")})))
            .collect();
        json!({
            "address": null,
            "description": "The reply queue that a task names in reply_to",
            "messages": messages,
        })
    }
}

/// False where the broker's confirm ends the task.
fn wants_answer(task: &WrittenTask, table: &ServiceTable) -> bool {
    let ResourceKind::Service { service, action, pattern: Pattern::RequestResponse } = &task.resource.kind else {
        return true;
    };
    match table.find(service, action) {
        Some(row) => row.completes == CompletesOn::Reply,
        None => !matches!((service.as_str(), action.as_str()), ("amqp", "publish") | ("sqs", "sendMessage")),
    }
}

/// The row whose workers answer in a form of their own.
fn reply_form(task: &WrittenTask, table: &ServiceTable) -> Option<ReplyForm> {
    let ResourceKind::Service { service, action, .. } = &task.resource.kind else { return None };
    table.find(service, action).map(|row| row.reply).filter(|form| *form != ReplyForm::Plain)
}

fn message(task: &WrittenTask, table: &ServiceTable, example: Option<&Example>, wants_answer: bool) -> Value {
    let written = payload_written(&task.resource, &task.parameters, table);
    let (schema, filled) = match written {
        PayloadWritten::Template(template) => (schema::schema(template), schema::example(template)),
        PayloadWritten::Computed(expression) => (schema::computed(expression), schema::stand_in(expression)),
        PayloadWritten::Input => (json!({"description": "The input of the state"}), json!({})),
    };
    // The recorded parameters are the template, filled.
    let recorded =
        example.and_then(|example| example.parameters.as_ref()).and_then(|parameters| {
            match payload_written(&task.resource, parameters, table) {
                PayloadWritten::Template(payload) => Some(payload.clone()),
                PayloadWritten::Computed(_) | PayloadWritten::Input => None,
            }
        });
    let mut headers = json!({"$ref": "#/components/schemas/taskHeaders"});
    if let Some(own) = task.parameters.get("Headers").filter(|own| own.is_object()) {
        headers = json!({"allOf": [headers, schema::schema(own)]});
    }
    let kind = if recorded.is_some() { "recorded" } else { "form" };
    let mut message = json!({
        "name": "task",
        "title": task.state,
        "contentType": "application/json",
        "headers": headers,
        "payload": schema,
        "examples": [{"name": kind, "payload": recorded.unwrap_or(filled)}],
        "bindings": {"amqp": {"messageType": "task", "bindingVersion": "0.3.0"}},
    });
    if wants_answer {
        message["correlationId"] = correlation();
    }
    message
}

fn correlation() -> Value {
    json!({"location": "$message.header#/task-token", "description": "The task token; correlation_id holds it too"})
}

fn success(task: &WrittenTask, example: Option<&Example>) -> Value {
    let reads = result_reads(&task.written);
    let reads = if reads.is_empty() {
        String::new()
    } else {
        format!(" The state reads {}.", reads.into_iter().collect::<Vec<_>>().join(", "))
    };
    let mut message = json!({
        "title": format!("Success of {}", task.state),
        "summary": format!("The result: any JSON of at most {BYTES_MAX} bytes; an empty body is null.{reads}"),
        "contentType": "application/json",
        "payload": {"description": "The result of the task"},
    });
    if let Some(output) = example.and_then(|example| example.output.as_ref()) {
        // `lambda:invoke` puts the worker's answer into a frame.
        let is_framed = matches!(&task.resource.kind, ResourceKind::Service { service, action, .. }
            if service == "lambda" && action == "invoke");
        let answer = output.get("Payload").filter(|_| is_framed).unwrap_or(output);
        message["examples"] = json!([{"name": "recorded", "payload": answer}]);
    }
    message
}

/// The members of the result that `ResultSelector` reads.
fn result_reads(state: &Value) -> BTreeSet<String> {
    let selected = state["ResultSelector"].as_object().into_iter().flatten();
    selected
        .filter(|(name, _)| name.ends_with(".$"))
        .filter_map(|(_, path)| path.as_str())
        .filter(|path| path.starts_with("$.") && !path.starts_with("$$"))
        .map(str::to_owned)
        .collect()
}

fn failure(task: &WrittenTask) -> Value {
    let mut named: Vec<&str> = Vec::new();
    for rule in ["Retry", "Catch"].iter().filter_map(|field| task.written[*field].as_array()).flatten() {
        for error in rule["ErrorEquals"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            // Those of the broker and of the language are no worker's.
            if !error.starts_with(WILDCARD) && !error.starts_with("Amqp.") && !named.contains(&error) {
                named.push(error);
            }
        }
    }
    let mut error =
        json!({"type": "string", "maxLength": 256, "description": "Name of the error, for Retry and Catch"});
    if !named.is_empty() {
        error["examples"] = json!(named);
    }
    json!({
        "title": format!("Failure of {}", task.state),
        "summary": if named.is_empty() {
            "The task fails with this error".to_owned()
        } else {
            format!("The task fails with this error. The state handles by name: {}", named.join(", "))
        },
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "properties": {
                "error": error,
                "cause": {"type": "string", "maxLength": 32_768, "description": "The reason, for people"},
            },
        },
        "examples": [{"name": "failure", "payload": {
            "error": named.first().copied().unwrap_or("Worker.Failed"), "cause": "the reason in a sentence",
        }}],
    })
}

fn beat(task: &WrittenTask) -> Value {
    let allowed = &task.written["HeartbeatSeconds"];
    json!({
        "title": format!("Heartbeat of {}", task.state),
        "summary": if allowed.is_number() {
            format!("A sign of life, at least each {allowed} seconds; the body is not read")
        } else {
            "A sign of life; the header heartbeat-seconds says how often; the body is not read".to_owned()
        },
        "contentType": "application/json",
        "payload": {},
    })
}

fn reply_headers(status: &str) -> Value {
    // Without the header a reply is a success.
    let required = if status == "success" { json!(["task-token"]) } else { json!(["task-token", "task-status"]) };
    json!({
        "type": "object",
        "required": required,
        "properties": {
            "task-token": {"type": "string", "maxLength": 255, "description": "The token of the task"},
            "task-status": {"const": status},
        },
    })
}

/// `docs/WORKERS.md` has the same table.
fn task_headers(carried: TaskHeaders) -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let mut headers = json!({
        "type": "object",
        "properties": {
            "task-token": {"type": "string", "maxLength": 255, "description": "The task token, a secret"},
            "task-kind": {
                "enum": ["request", "callback"],
                "description": "request: the first reply ends it; callback: a reply with the token, later",
            },
            "heartbeat-seconds": {"type": "integer", "description": "The time in which a heartbeat is wanted"},
            "deadline": text("When the task times out"),
            "traceparent": text("W3C trace context"),
            "tracestate": text("W3C trace context"),
        },
    });
    if carried == TaskHeaders::Full {
        headers["required"] = json!(["resource", "execution-arn", "state-machine-arn", "state-name", "attempt"]);
        for (name, about) in [
            ("resource", "The Resource of the state"),
            ("execution-arn", "The execution"),
            ("state-machine-arn", "The state machine"),
            ("state-name", "The state"),
        ] {
            headers["properties"][name] = text(about);
        }
        headers["properties"]["attempt"] =
            json!({"type": "integer", "minimum": 1, "description": "The number of the attempt"});
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(definition: &Value, examples: &Examples) -> Value {
        let (table, names) = (ServiceTable::default(), Names::shipped());
        of(
            &definition.to_string(),
            &Of { name: "m", version: "1", table: &table, names, headers: TaskHeaders::Full },
            examples,
        )
    }

    fn task(resource: &str, more: &Value) -> Value {
        let mut state = json!({"Type": "Task", "Resource": resource, "End": true});
        for (name, value) in more.as_object().into_iter().flatten() {
            state[name] = value.clone();
        }
        state
    }

    #[test]
    fn each_state_has_a_message_and_each_queue_one_channel() {
        let call = "arn:aws:states:::amqp:call";
        let definition = json!({"StartAt": "A b", "States": {
            "A b": task(call, &json!({"Parameters": {"Queue": "q", "Body": {"a.$": "$.a"}}, "HeartbeatSeconds": 30,
                "Retry": [{"ErrorEquals": ["Kitchen.Busy", "Amqp.Nacked", "States.Timeout"]}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "A-b"}]})),
            "A-b": task(call, &json!({"Parameters": {"Queue": "q", "Body": 1}})),
            "C": task("arn:aws:states:::sns:publish", &json!({"Parameters": {"TopicArn": "t"}})),
            "D": task("arn:aws:states:::amqp:publish", &json!({"Parameters": {"Queue": "told", "Body": 1}})),
        }});
        let contract = contract(&definition, &Examples::default());
        let keys = |name: &str| contract[name].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys("channels"), ["queue.q", "queue.told", "replies"]);
        assert_eq!(keys("operations"), ["A-b", "A-b-2", "D"]);
        let messages = contract["components"]["messages"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            messages,
            ["A-b", "A-b.success", "A-b.failure", "A-b.heartbeat", "A-b-2", "A-b-2.success", "A-b-2.failure", "D"]
        );
        let failure = &contract["components"]["messages"]["A-b.failure"];
        assert_eq!(failure["payload"]["properties"]["error"]["examples"], json!(["Kitchen.Busy"]));
        assert_eq!(failure["examples"][0]["payload"]["error"], "Kitchen.Busy");
        assert_eq!(contract["operations"]["D"].get("reply"), None, "the confirm ends it");
        assert_eq!(contract["x-tasks-without-a-written-queue"][0]["state"], "C");
        assert_eq!(contract["channels"]["queue.q"]["messages"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn lean_tasks_promise_few_headers() {
        let names = |carried| task_headers(carried)["properties"].as_object().unwrap().len();
        assert_eq!((names(TaskHeaders::Full), names(TaskHeaders::Lean)), (11, 6));
        assert_eq!(task_headers(TaskHeaders::Lean).get("required"), None);
    }

    #[test]
    fn recorded_payloads_and_results_are_the_examples() {
        let definition = json!({"StartAt": "A", "States": {"A": task("arn:aws:states:::lambda:invoke",
            &json!({"Parameters": {"FunctionName": "f", "Payload": {"a.$": "$.a"}},
                "ResultSelector": {"menu.$": "$.Payload.menu"}}))}});
        let events = [
            json!({"id": 2, "previousEventId": 0, "stateEnteredEventDetails": {"name": "A"}}),
            json!({"id": 3, "previousEventId": 2, "type": "TaskScheduled", "taskScheduledEventDetails":
                {"parameters": "{\"FunctionName\":\"f\",\"Payload\":{\"a\":5}}"}}),
            json!({"id": 4, "previousEventId": 3, "type": "TaskSucceeded", "taskSucceededEventDetails":
                {"output": "{\"ExecutedVersion\":\"$LATEST\",\"Payload\":{\"menu\":[]}}"}}),
        ];
        let contract = contract(&definition, &Examples::read(&events));
        let messages = &contract["components"]["messages"];
        assert_eq!(messages["A"]["examples"], json!([{"name": "recorded", "payload": {"a": 5}}]));
        assert_eq!(messages["A.success"]["examples"], json!([{"name": "recorded", "payload": {"menu": []}}]));
        assert!(messages["A.success"]["summary"].as_str().unwrap().contains("$.Payload.menu"));
    }
}
