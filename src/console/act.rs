//! Requests of forms, done as operations of the API with the rights of the caller.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use crate::engine::EngineError;
use crate::ids::EventId;

use super::call::{call, refused};
use super::pages::editor::Filled as Edited;
use super::pages::fork::Filled;
use super::read::fork::Refused;
use super::read::{self, Asking};
use super::serve::{Fields, Reply, field, sign_out};
use super::task_forms;

pub async fn post(asking: &Asking<'_>, path: &[&str], form: &Fields) -> Reply {
    let done = match path {
        ["sign-out"] => return sign_out(asking),
        ["executions", id] => change(asking, id, form).await,
        ["executions", id, "runs", run] => limits(asking, id, run, form).await,
        ["executions", id, "fork"] => fork(asking, id, form).await,
        ["bulk", "new"] => bulk(asking, form).await,
        ["bulk", id] => cancel(asking, id).await,
        ["inbox", task] => task_forms::answer(asking, task, form).await,
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
