//! The form of a fork: the states where it can begin, and the data recorded there.

use actix_web::http::StatusCode;
use serde_json::Value;

use crate::engine::EngineError;
use crate::ids::EventId;

use super::super::pages::fork::{Beginning, Entered, Filled, Form, page};
use super::super::pages::layout::Tab;
use super::super::serve::{Page, Reply};
use super::super::words;
use super::{Asking, execution};

/// Times of one state that are offered: the newest.
const TIMES: usize = 12;

/// A form that was refused: what stood in it, and why.
pub struct Refused {
    pub state: String,
    pub event: Option<EventId>,
    pub filled: Filled,
    pub why: String,
}

pub async fn form(asking: &Asking<'_>, id: &str, refused: Option<Refused>) -> Result<Reply, EngineError> {
    let Some(row) = execution::row(asking, id).await? else {
        return Ok(Reply::missing("There is no such execution here."));
    };
    if !asking.who.payload {
        let text = "The form of a fork shows what was recorded, and you may not see payloads here.";
        return Ok(Reply::trouble(StatusCode::FORBIDDEN, "Not for you", text));
    }
    let told = execution::told(asking.console, &row).await?;
    let top = || told.story.visits.iter().filter(|visit| visit.depth == 0);
    let beginnings: Vec<Beginning> = states(&told.definition)
        .into_iter()
        .map(|name| Beginning { visits: top().filter(|visit| visit.name == name).count(), name })
        .collect();
    let asked = refused.as_ref().map_or_else(|| asking.query("state"), |refused| refused.state.clone());
    let foremost = || top().next_back().map(|visit| visit.name.clone());
    let known = beginnings.iter().any(|beginning| beginning.name == asked).then_some(asked);
    let Some(state) = known.or_else(foremost) else {
        return Ok(Reply::missing("This execution has no state to begin at."));
    };
    let event = match &refused {
        Some(refused) => refused.event,
        None => asking.query("event").parse().ok().map(EventId),
    };
    let times = || top().filter(|visit| visit.name == state).rev();
    let chosen = times().find(|visit| event.is_none_or(|event| visit.event == event)).or_else(|| times().next());
    let filled = match &refused {
        Some(refused) => refused.filled.clone(),
        None => Filled {
            name: String::new(),
            input: chosen.map(|visit| words::pretty(visit.input.text())).unwrap_or_default(),
            variables: words::pretty(&Value::Object(told.story.variables(chosen)).to_string()),
        },
    };
    let entered: Vec<Entered> =
        times().take(TIMES).map(|visit| Entered { event: visit.event, at: visit.entered }).collect();
    let content = page(&Form {
        row: &row,
        beginnings: &beginnings,
        state: &state,
        event: chosen.map(|visit| visit.event),
        entered: &entered,
        filled: &filled,
        why: refused.as_ref().map(|refused| refused.why.as_str()),
    });
    Ok(Reply::Page(Page::new(format!("Fork {}", row.header.name), Tab::Executions, content)))
}

/// The states of the top level, in the order of the text.
fn states(definition: &str) -> Vec<String> {
    let read: Option<Value> = serde_json::from_str(definition).ok();
    let states = read.as_ref().and_then(|read| read.get("States")).and_then(Value::as_object);
    states.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}
