//! Parked messages, by the API's operations: the caller's rights decide.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::engine::EngineError;

use super::super::pages::layout::{Tab, said};
use super::super::pages::parked::{Parked, list as page, one as one_page};
use super::super::serve::{Page, Reply};
use super::Asking;

/// Messages that a page looks at.
const LOOKED: u32 = 200;

/// An operation that reads, with the rights of the caller.
pub async fn ask(asking: &Asking<'_>, operation: &'static str, input: Value) -> Result<Value, Reply> {
    let by = asking.who.by();
    let input = if let Value::Object(members) = input { members } else { Map::new() };
    let answered = asking.api.call(operation, input, |class| asking.who.may(class), by).await;
    answered.map_err(|error| {
        let status = match (error.kind, error.status) {
            ("AccessDeniedException", _) => StatusCode::FORBIDDEN,
            (_, 503) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Reply::trouble(status, "Not shown", &error.message)
    })
}

pub async fn list(asking: &Asking<'_>) -> Result<Reply, EngineError> {
    let answer = match ask(asking, "Reveille.ListParkedMessages", json!({"maxResults": LOOKED})).await {
        Ok(answer) => answer,
        Err(reply) => return Ok(reply),
    };
    let verdict = asking.query("verdict");
    let empty = Vec::new();
    let all = answer["messages"].as_array().unwrap_or(&empty);
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
    for message in all {
        *verdicts.entry(message["verdict"].as_str().unwrap_or_default()).or_default() += 1;
    }
    let verdicts: Vec<(String, usize)> = verdicts.into_iter().map(|(verdict, n)| (verdict.to_owned(), n)).collect();
    let shown: Vec<Value> =
        all.iter().filter(|message| verdict.is_empty() || message["verdict"] == verdict.as_str()).cloned().collect();
    let content = page(&Parked {
        messages: &shown,
        queue: answer["queue"].as_str().unwrap_or_default(),
        more: answer["more"] == true,
        verdict: &verdict,
        verdicts: &verdicts,
        who: asking.who,
        said: said(Some(&asking.query("said"))),
    });
    Ok(Reply::Page(Page::new("Parked", Tab::Parked, content)))
}

/// `why`: the reason why it was not sent again.
pub async fn one(asking: &Asking<'_>, id: &str, why: Option<&str>) -> Result<Reply, EngineError> {
    let message = match ask(asking, "Reveille.DescribeParkedMessage", json!({"id": id})).await {
        Ok(message) => message,
        Err(reply) => return Ok(reply),
    };
    let status = if why.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    let content = one_page(&message, asking.who, why);
    Ok(Reply::Page(Page::new(format!("Parked {id}"), Tab::Parked, content).with_status(status)))
}
