//! Requests of forms, done as operations of the API with the rights of the caller.

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::api::error::ApiError;
use crate::engine::EngineError;
use crate::forms::{self, End, Form, Outcome, Wrong};
use crate::ids::{EventId, TaskKey};
use crate::store::ExecutionRow;
use crate::telemetry::fields;

use super::pages::editor::Filled as Edited;
use super::pages::fork::Filled;
use super::pages::form::Entered;
use super::pages::inbox::Typed;
use super::pages::layout::Tab;
use super::read::fork::Refused;
use super::read::{self, Asking};
use super::serve::{Fields, Page, Reply, field, sign_out};
use super::story::Attempt;
use super::{answers, link};

pub async fn post(asking: &Asking<'_>, path: &[&str], form: &Fields) -> Reply {
    let done = match path {
        ["sign-out"] => return sign_out(asking),
        ["executions", id] => change(asking, id, form).await,
        ["executions", id, "runs", run] => limits(asking, id, run, form).await,
        ["executions", id, "fork"] => fork(asking, id, form).await,
        ["bulk", "new"] => bulk(asking, form).await,
        ["bulk", id] => cancel(asking, id).await,
        ["inbox", task] => answer(asking, task, form).await,
        ["parked"] => parked(asking, form).await,
        ["machines", name] => match field(form, "kind") {
            "publish" | "alias" => version(asking, name, form).await,
            _ => start(asking, name, form).await,
        },
        ["machines", name, "edit"] => edit(asking, name, form).await,
        ["new-machine"] => create(asking, form).await,
        _ => return Reply::missing("The console has no such form."),
    };
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "a form of the console could not be handled");
        Reply::trouble(StatusCode::SERVICE_UNAVAILABLE, "Not now", &error.to_string())
    })
}

/// Calls an operation of the API as this person.
async fn call(asking: &Asking<'_>, operation: &'static str, input: Value) -> Result<Value, ApiError> {
    let by = asking.who.by();
    let input = if let Value::Object(members) = input { members } else { Map::new() };
    let answered = asking.api.call(operation, input, |class| asking.who.may(class), by.clone()).await;
    let error = answered.as_ref().err().map(|error| error.kind);
    tracing::info!(
        { fields::EVENT } = "console.action",
        { fields::TASK_BY } = %by,
        { fields::API_OPERATION } = operation,
        { fields::ERROR_NAME } = error,
        "a person acted in the console"
    );
    answered
}

fn refused(title: &str, error: &ApiError) -> Reply {
    let status = if error.kind == "AccessDeniedException" { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
    Reply::trouble(status, title, &error.message)
}

async fn change(asking: &Asking<'_>, id: &str, form: &Fields) -> Result<Reply, EngineError> {
    let Some(row) = read::execution::row(asking, id).await? else {
        return Ok(Reply::missing("There is no such execution."));
    };
    let arn = row.header.arn.as_str();
    let (operation, input, said) = match field(form, "kind") {
        "stop" => {
            let cause = match field(form, "cause") {
                "" => "stopped in the console",
                cause => cause,
            };
            ("StopExecution", json!({"executionArn": arn, "cause": cause}), "stopped")
        }
        "redrive" => ("RedriveExecution", json!({"executionArn": arn}), "redriven"),
        _ => return Ok(Reply::missing("The console has no such form.")),
    };
    Ok(match call(asking, operation, input).await {
        Ok(_) => Reply::Moved(format!("{}?said={said}", row.header.id)),
        Err(error) => refused("Not done", &error),
    })
}

async fn fork(asking: &Asking<'_>, id: &str, form: &Fields) -> Result<Reply, EngineError> {
    let Some(row) = read::execution::row(asking, id).await? else {
        return Ok(Reply::missing("There is no such execution."));
    };
    let text = |name: &str| field(form, name).trim().to_owned();
    let filled = Filled { name: text("name"), input: text("input"), variables: text("variables") };
    let (state, event) = (field(form, "state").to_owned(), text("event").parse::<u64>().ok());
    let mut input = json!({"executionArn": row.header.arn.as_str(), "stateName": state});
    if let Some(event) = event {
        input["eventId"] = json!(event);
    }
    for (name, text) in [("name", &filled.name), ("input", &filled.input), ("variables", &filled.variables)] {
        if !text.is_empty() {
            input[name] = json!(text);
        }
    }
    match call(asking, "Reveille.ForkExecution", input).await {
        Ok(answer) => {
            let arn = answer.get("executionArn").and_then(Value::as_str).unwrap_or_default();
            let row = asking.console.engine.execution(&crate::ids::Arn::new(arn)).await?;
            Ok(Reply::Moved(format!("../{}?said=forked", row.header.id)))
        }
        Err(error) if error.kind == "AccessDeniedException" => Ok(refused("Not done", &error)),
        Err(error) => {
            let event = event.map(EventId);
            read::fork::form(asking, id, Some(Refused { state, event, filled, why: error.message })).await
        }
    }
}

/// A bulk action is started after a confirmation.
async fn bulk(asking: &Asking<'_>, form: &Fields) -> Result<Reply, EngineError> {
    let (action, query) = (read::bulk::action(field(form, "action")), field(form, "q"));
    if field(form, "sure") != "yes" {
        return read::bulk::plan(asking, action, query, Some("Nothing was done: it was not confirmed.")).await;
    }
    let mut input = json!({"action": action, "query": query});
    if !field(form, "cause").is_empty() {
        input["cause"] = json!(field(form, "cause"));
    }
    match call(asking, "Reveille.StartBulkAction", input).await {
        Ok(bulk) => Ok(Reply::Moved(bulk["bulkActionId"].as_str().unwrap_or_default().to_owned())),
        Err(error) if error.kind == "AccessDeniedException" => Ok(refused("Not done", &error)),
        Err(error) => read::bulk::plan(asking, action, query, Some(&error.message)).await,
    }
}

async fn cancel(asking: &Asking<'_>, id: &str) -> Result<Reply, EngineError> {
    Ok(match call(asking, "Reveille.CancelBulkAction", json!({"bulkActionId": id})).await {
        Ok(_) => Reply::Moved(id.to_owned()),
        Err(error) => refused("Not done", &error),
    })
}

/// Parked messages are sent again or deleted: those that the form names, and no other.
async fn parked(asking: &Asking<'_>, form: &Fields) -> Result<Reply, EngineError> {
    let ids: Vec<&str> = form.iter().filter(|(name, _)| name == "id").map(|(_, id)| id.as_str()).collect();
    let mut input = json!({"ids": ids});
    let (operation, said) = match field(form, "kind") {
        "replay" => ("Reveille.ReplayParkedMessages", "replayed"),
        "purge" if field(form, "sure") != "yes" => {
            let text = "Nothing was deleted: the box that says so was not checked.";
            return Ok(Reply::trouble(StatusCode::BAD_REQUEST, "Not done", text));
        }
        "purge" => ("Reveille.PurgeParkedMessages", "purged"),
        _ => return Ok(Reply::missing("The console has no such form.")),
    };
    match field(form, "queue").trim() {
        "" => {}
        queue => input["queue"] = json!(queue),
    }
    let answer = match call(asking, operation, input).await {
        Ok(answer) => answer,
        Err(error) => return Ok(refused("Not done", &error)),
    };
    let kept = answer["kept"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(first) = kept.first() else { return Ok(Reply::Moved(format!("parked?said={said}"))) };
    let why = first["why"].as_str().unwrap_or_default();
    let text = format!("{} of {} messages stay where they are. The first: {why}.", kept.len(), ids.len());
    Ok(Reply::trouble(StatusCode::CONFLICT, "Not all done", &text))
}

/// A form of the editor.
fn edited(form: &Fields) -> Edited {
    let text = |name: &str| field(form, name).trim().to_owned();
    Edited {
        name: text("name"),
        express: field(form, "type") == "EXPRESS",
        role: text("role"),
        definition: text("definition"),
        publish: field(form, "publish") == "yes",
        description: text("description"),
    }
}

async fn edit(asking: &Asking<'_>, name: &str, form: &Fields) -> Result<Reply, EngineError> {
    let filled = edited(form);
    if field(form, "kind") != "save" {
        return read::editor::machine(asking, name, Some((filled, None))).await;
    }
    let arn = asking.console.engine.realm().state_machine(name);
    let mut input = json!({
        "stateMachineArn": arn.as_str(), "definition": filled.definition, "publish": filled.publish,
    });
    if filled.publish && !filled.description.is_empty() {
        input["versionDescription"] = json!(filled.description);
    }
    match call(asking, "UpdateStateMachine", input).await {
        Ok(_) => Ok(Reply::Moved(format!("../{}?said=saved", super::words::encoded(name)))),
        Err(error) if error.kind == "AccessDeniedException" => Ok(refused("Not done", &error)),
        Err(error) => read::editor::machine(asking, name, Some((filled, Some(error.message)))).await,
    }
}

async fn create(asking: &Asking<'_>, form: &Fields) -> Result<Reply, EngineError> {
    let filled = edited(form);
    if field(form, "kind") != "save" {
        return Ok(read::editor::new(asking, Some((filled, None))));
    }
    let input = json!({
        "name": filled.name, "definition": filled.definition, "roleArn": filled.role, "type": field(form, "type"),
    });
    Ok(match call(asking, "CreateStateMachine", input).await {
        Ok(_) => Reply::Moved(format!("machines/{}?said=saved", super::words::encoded(&filled.name))),
        Err(error) if error.kind == "AccessDeniedException" => refused("Not done", &error),
        Err(error) => read::editor::new(asking, Some((filled, Some(error.message)))),
    })
}

/// Publishes a version, or makes or changes an alias.
async fn version(asking: &Asking<'_>, name: &str, form: &Fields) -> Result<Reply, EngineError> {
    let engine = &asking.console.engine;
    let arn = engine.realm().state_machine(name);
    let (operation, input) = if field(form, "kind") == "publish" {
        ("PublishStateMachineVersion", json!({"stateMachineArn": arn.as_str()}))
    } else {
        let weight = field(form, "weight").trim().parse::<u32>().unwrap_or(100).min(100);
        let route = |version: &str, weight: u32| {
            let version = format!("{arn}:{}", version.trim());
            json!({"stateMachineVersionArn": version, "weight": weight})
        };
        let mut routes = vec![route(field(form, "first"), weight)];
        let second = field(form, "second").trim();
        if !second.is_empty() && weight < 100 {
            routes.push(route(second, 100 - weight));
        }
        let alias = field(form, "alias").trim();
        let of_alias = crate::ids::Arn::new(format!("{arn}:{alias}"));
        if engine.catalog().alias(&of_alias).await?.is_some() {
            let input = json!({"stateMachineAliasArn": of_alias.as_str(), "routingConfiguration": routes});
            ("UpdateStateMachineAlias", input)
        } else {
            ("CreateStateMachineAlias", json!({"name": alias, "routingConfiguration": routes}))
        }
    };
    Ok(match call(asking, operation, input).await {
        Ok(_) => Reply::Moved(format!("{}?said=saved", super::words::encoded(name))),
        Err(error) => refused("Not done", &error),
    })
}

/// Changes what a Map Run may do.
async fn limits(asking: &Asking<'_>, id: &str, run: &str, form: &Fields) -> Result<Reply, EngineError> {
    let Some((_, found)) = read::map_run::find(asking, id, run).await? else {
        return Ok(Reply::missing("There is no such Map Run."));
    };
    let mut input = json!({"mapRunArn": found.arn.as_str()});
    for (name, member) in [("concurrency", "maxConcurrency"), ("failures", "toleratedFailureCount")] {
        if let Ok(n) = field(form, name).trim().parse::<u64>() {
            input[member] = json!(n);
        }
    }
    Ok(match call(asking, "UpdateMapRun", input).await {
        Ok(_) => Reply::Moved(format!("{run}?said=saved")),
        Err(error) => refused("Not done", &error),
    })
}

async fn start(asking: &Asking<'_>, name: &str, form: &Fields) -> Result<Reply, EngineError> {
    let arn = asking.console.engine.realm().state_machine(name);
    let mut input = json!({"stateMachineArn": arn.as_str()});
    let (wanted, payload) = (field(form, "name").trim(), field(form, "input"));
    if !wanted.is_empty() {
        input["name"] = json!(wanted);
    }
    if !payload.trim().is_empty() {
        input["input"] = json!(payload);
    }
    match call(asking, "StartExecution", input).await {
        Ok(answer) => {
            let arn = answer.get("executionArn").and_then(Value::as_str).unwrap_or_default();
            let arn = crate::ids::Arn::new(arn);
            if arn.is_express() {
                return Ok(Reply::Moved(format!("{}?said=started", super::words::encoded(name))));
            }
            let row = asking.console.engine.execution(&arn).await?;
            Ok(Reply::Moved(format!("../executions/{}?said=started", row.header.id)))
        }
        Err(error) if error.kind == "AccessDeniedException" => Ok(refused("Not done", &error)),
        Err(error) => read::machines::one(asking, name, Some((payload.to_owned(), error.message))).await,
    }
}

async fn answer(asking: &Asking<'_>, task: &str, form: &Fields) -> Result<Reply, EngineError> {
    let Some(key) = read::inbox::key(task) else { return Ok(Reply::missing("There is no such task.")) };
    let Some(found) = read::inbox::open(asking, key).await? else { return over(asking, key).await };
    if field(form, "kind") == "link" {
        return make_link(asking, task, &found, form).await;
    }
    if let "claim" | "release" | "take" = field(form, "kind") {
        return claim(asking, task, &found, field(form, "kind")).await;
    }
    let (operation, mut input, said) = match said_of(&found, form) {
        Ok(Some(said)) => said,
        Ok(None) => return Ok(Reply::missing("The console has no such form.")),
        Err(wrong) => {
            let entered = Entered { fields: form.clone(), wrong };
            return read::inbox::list(asking, Some((task, Some(Typed { entered, ..Typed::default() })))).await;
        }
    };
    input.insert("taskToken".to_owned(), json!(found.token));
    let typed = Typed {
        output: field(form, "output").to_owned(),
        why: String::new(),
        entered: Entered {
            fields: if field(form, "kind") == "form" { form.clone() } else { Vec::new() },
            wrong: Vec::new(),
        },
        link: None,
    };
    match call(asking, operation, Value::Object(input)).await {
        Ok(_) if said == "more-time" => Ok(Reply::Moved(format!("{task}?said={said}"))),
        Ok(_) => {
            let (by, said_of) = (asking.who.by().to_string(), in_words(&found, form));
            let state = &found.asked.wait.state;
            answers::keep(&asking.console.engine, &found.row, key, state, by, &said_of).await;
            Ok(Reply::Moved(format!("../executions/{}?said={said}", key.execution)))
        }
        Err(error) if error.kind == "AccessDeniedException" => Ok(refused("Not done", &error)),
        // Another one was first.
        Err(error) if matches!(error.kind, "TaskTimedOut" | "TaskDoesNotExist") => over(asking, key).await,
        Err(error) => read::inbox::list(asking, Some((task, Some(Typed { why: error.message, ..typed })))).await,
    }
}

/// Makes an approval link, and shows it once.
async fn make_link(
    asking: &Asking<'_>,
    task: &str,
    found: &read::inbox::Found,
    form: &Fields,
) -> Result<Reply, EngineError> {
    let mut input = json!({
        "executionArn": found.row.header.arn.as_str(),
        "scheduledEventId": found.asked.wait.scheduled.0,
        "for": field(form, "for").trim(),
    });
    if let Ok(days) = field(form, "days").parse::<u64>() {
        input["expiresSeconds"] = json!(days.saturating_mul(86_400));
    }
    let made = match call(asking, "Reveille.CreateApprovalLink", input).await {
        Ok(answer) => Ok(answer.get("url").and_then(Value::as_str).unwrap_or_default().to_owned()),
        Err(error) if error.kind == "AccessDeniedException" => return Ok(refused("Not done", &error)),
        Err(error) => Err(error.message),
    };
    read::inbox::list(asking, Some((task, Some(Typed { link: Some(made), ..Typed::default() })))).await
}

async fn claim(asking: &Asking<'_>, task: &str, found: &read::inbox::Found, kind: &str) -> Result<Reply, EngineError> {
    let operation = if kind == "release" { "Reveille.ReleaseTask" } else { "Reveille.ClaimTask" };
    let mut input = json!({
        "executionArn": found.row.header.arn.as_str(),
        "scheduledEventId": found.asked.wait.scheduled.0,
    });
    if kind == "take" {
        input["force"] = json!(true);
    }
    Ok(match call(asking, operation, input).await {
        Ok(_) => Reply::Moved(format!("{task}?said={kind}")),
        Err(error) => refused("Not done", &error),
    })
}

/// A person's answer, for the list of answers: the words on his button, or the error of his refusal.
pub(super) fn in_words(found: &read::inbox::Found, form: &Fields) -> String {
    let n = |name| field(form, name).parse::<usize>().unwrap_or(usize::MAX);
    let said = match field(form, "kind") {
        "form" => found
            .form
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .and_then(|own| own.actions.get(n("action")))
            .map(|a| a.label.as_str()),
        "choice" => found.expected.answers.get(n("n")).map(|answer| answer.label.as_str()),
        "failure" => Some(field(form, "error")),
        _ => None,
    };
    said.filter(|said| !said.is_empty()).unwrap_or("answered").to_owned()
}

type Said = (&'static str, Map<String, Value>, &'static str);

/// The operation that a form of the inbox asks for, without the token; or the wrong fields of the task's own form.
fn said_of(found: &read::inbox::Found, form: &Fields) -> Result<Option<Said>, Vec<Wrong>> {
    match (&found.form, field(form, "kind")) {
        (Ok(Some(own)), "form") => ended(own, form).map(Some),
        (_, "form") => Ok(None),
        _ => Ok(said_without_form(&found.expected, form)),
    }
}

/// The end of a task that its form asks for.
pub(super) fn ended(own: &Form, typed: &Fields) -> Result<Said, Vec<Wrong>> {
    let action = field(typed, "action").parse().unwrap_or(usize::MAX);
    let mut input = Map::new();
    match forms::answer(own, action, typed)? {
        Outcome::Success(output) => {
            input.insert("output".to_owned(), json!(output.to_string()));
            Ok(("SendTaskSuccess", input, "answered"))
        }
        Outcome::Failure { error, cause } => {
            input.insert("error".to_owned(), json!(error));
            input.insert("cause".to_owned(), json!(cause));
            Ok(("SendTaskFailure", input, "answered"))
        }
    }
}

fn said_without_form(expected: &super::infer::Expected, form: &Fields) -> Option<Said> {
    let mut input = Map::new();
    match field(form, "kind") {
        "choice" => {
            let answer = expected.answers.get(field(form, "n").parse::<usize>().ok()?)?;
            input.insert("output".to_owned(), json!(answer.output.to_string()));
        }
        "fields" => {
            let of = |name: &String| (name.clone(), json!(field(form, &format!("field.{name}"))));
            let output: Map<String, Value> = expected.fields.iter().map(of).collect();
            input.insert("output".to_owned(), json!(Value::Object(output).to_string()));
        }
        "success" => {
            input.insert("output".to_owned(), json!(field(form, "output")));
        }
        "failure" => {
            for name in ["error", "cause"] {
                let text = field(form, name);
                if !text.is_empty() {
                    input.insert(name.to_owned(), json!(text));
                }
            }
            return Some(("SendTaskFailure", input, "answered"));
        }
        "heartbeat" => return Some(("SendTaskHeartbeat", input, "more-time")),
        _ => return None,
    }
    Some(("SendTaskSuccess", input, "answered"))
}

/// The answer, in the words of the form's buttons; else the error.
pub(super) fn verdict(form: Option<&Form>, attempt: &Attempt) -> Option<String> {
    let actions = form.map(|form| form.actions.as_slice()).unwrap_or_default();
    let error = attempt.failure.as_ref().and_then(|failure| failure.error.as_deref());
    let found = actions.iter().find(|action| match (&action.end, &attempt.said) {
        (End::Success(members), Some(said)) => link::holds(said, members),
        (End::Failure { error: own, .. }, None) => error == Some(own.as_str()),
        _ => false,
    });
    found.map(|action| action.label.clone()).or_else(|| error.map(str::to_owned))
}

/// The task does not wait any more: who answered, and what became of it.
pub async fn over(asking: &Asking<'_>, key: TaskKey) -> Result<Reply, EngineError> {
    let Some(row) = read::execution::row(asking, &key.execution.to_string()).await? else {
        return Ok(Reply::missing("There is no such task."));
    };
    let content = told(asking, &row, key).await?;
    Ok(Reply::Page(Page::new("Not open", Tab::Inbox, content).with_status(StatusCode::CONFLICT)))
}

async fn told(asking: &Asking<'_>, row: &ExecutionRow, key: TaskKey) -> Result<maud::Markup, EngineError> {
    use maud::html;
    let told = read::execution::told_to(asking, row).await?;
    let visit = told.story.visit_of(key.scheduled);
    let attempt = visit.and_then(|visit| visit.attempts.iter().find(|attempt| attempt.scheduled == key.scheduled));
    let parameters = visit.and_then(|visit| visit.task.as_ref()).map(|(_, parameters)| parameters);
    let form = parameters.and_then(|parameters| Form::read(parameters.get("Form")?).ok());
    Ok(html! {
        div.card {
            h1 { "This task does not wait any more" }
            @if let (Some(visit), Some(attempt)) = (visit, attempt) {
                p {
                    (visit.name) ": "
                    @match (&attempt.by, &attempt.failure) {
                        (Some(by), _) => {
                            "answered by " b { (by) }
                            @if let Some(verdict) = verdict(form.as_ref(), attempt) { ": " b { (verdict) } }
                        }
                        (None, Some(failure)) => { "ended with " (failure.error.as_deref().unwrap_or("an error")) }
                        (None, None) => { "it was answered" }
                    }
                    @if let Some(ended) = attempt.ended { ", " (super::words::since(ended, told.now)) " ago" }
                    "."
                }
                @if let Some(said) = &attempt.said { h2 { "The answer" } (super::pages::layout::json(said.text())) }
                @if let Some(cause) = attempt.failure.as_ref().and_then(|failure| failure.cause.as_deref()) {
                    @if !cause.is_empty() { h2 { "The reason" } (super::pages::layout::json(cause)) }
                }
            }
            p { a href={ "../executions/" (row.header.id) } { "See the execution" } " · \
                " a href="../inbox" { "Inbox" } }
        }
    })
}
