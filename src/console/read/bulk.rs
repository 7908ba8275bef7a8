//! Bulk actions, by the API's operations: the caller's rights decide.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use crate::engine::EngineError;

use super::super::pages::bulk::{Plan, list as list_page, one as one_page, plan as plan_page};
use super::super::pages::layout::Tab;
use super::super::serve::{Page, Reply};
use super::{Asking, parked};

/// Bulk actions of the page.
const SHOWN: u32 = 100;
/// Seconds after which a page of an action in progress asks again.
const AGAIN: u32 = 1;

pub async fn list(asking: &Asking<'_>) -> Result<Reply, EngineError> {
    let answer = match parked::ask(asking, "Reveille.ListBulkActions", json!({"maxResults": SHOWN})).await {
        Ok(answer) => answer,
        Err(reply) => return Ok(reply),
    };
    let all = answer["bulkActions"].as_array().cloned().unwrap_or_default();
    let is_busy = all.iter().any(|bulk| bulk["status"] == "RUNNING");
    let page = Page::new("Bulk actions", Tab::Executions, list_page(&all, asking.who));
    Ok(Reply::Page(page.live("bulk", if is_busy { AGAIN } else { 0 })))
}

pub async fn one(asking: &Asking<'_>, id: &str) -> Result<Reply, EngineError> {
    let described = parked::ask(asking, "Reveille.DescribeBulkAction", json!({"bulkActionId": id})).await;
    let Ok(bulk) = described else { return Ok(Reply::missing("There is no such bulk action.")) };
    let every = if bulk["status"] == "RUNNING" { AGAIN } else { 0 };
    let page = Page::new("Bulk action", Tab::Executions, one_page(&bulk, asking.who));
    Ok(Reply::Page(page.live("bulk", every)))
}

/// The plan of an action. `why`: it was not started.
pub async fn plan(asking: &Asking<'_>, action: &str, query: &str, why: Option<&str>) -> Result<Reply, EngineError> {
    let wish = json!({"action": action, "query": query, "dryRun": true});
    let by = asking.who.by();
    let input = if let Value::Object(members) = wish { members } else { serde_json::Map::new() };
    let counted = asking.api.call("Reveille.StartBulkAction", input, |class| asking.who.may(class), by).await;
    let expected = match &counted {
        Ok(answer) => Ok((answer["expected"].as_u64().unwrap_or_default(), answer["expectedMore"] == true)),
        Err(error) if error.kind == "AccessDeniedException" => {
            return Ok(Reply::trouble(StatusCode::FORBIDDEN, "Not for you", &error.message));
        }
        Err(error) => Err(error.message.as_str()),
    };
    let status = if why.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let plan = Plan { query, action, expected, why };
    let tab = if action == "REPLAY" { Tab::Parked } else { Tab::Executions };
    Ok(Reply::Page(Page::new("Act on many", tab, plan_page(&plan)).with_status(status)))
}

/// The action of an address or a form.
pub fn action(text: &str) -> &'static str {
    match text {
        "REDRIVE" => "REDRIVE",
        "REPLAY" => "REPLAY",
        _ => "STOP",
    }
}
