//! The forms of a task in the inbox: its answer, its claim, its approval link; and the page of a task that does not
//! wait any more.

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::engine::EngineError;
use crate::forms::{self, End, Form, Outcome, Wrong};
use crate::ids::TaskKey;
use crate::store::ExecutionRow;

use super::call::{call, refused};
use super::pages::form::Entered;
use super::pages::inbox::Typed;
use super::pages::layout::Tab;
use super::read::{self, Asking};
use super::serve::{Fields, Page, Reply, field};
use super::story::Attempt;
use super::{answers, link};

pub(super) async fn answer(asking: &Asking<'_>, task: &str, form: &Fields) -> Result<Reply, EngineError> {
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
