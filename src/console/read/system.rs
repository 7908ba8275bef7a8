//! The server itself.

use serde_json::json;

use crate::engine::EngineError;

use super::super::pages::layout::Tab;
use super::super::pages::system::page;
use super::super::serve::{Page, Reply};
use super::{Asking, parked};

pub async fn show(asking: &Asking<'_>) -> Result<Reply, EngineError> {
    let system = match parked::ask(asking, "Reveille.DescribeSystem", json!({})).await {
        Ok(system) => system,
        Err(reply) => return Ok(reply),
    };
    let nodes = parked::ask(asking, "Reveille.ListNodes", json!({})).await.unwrap_or_default();
    let nodes = nodes["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(Reply::Page(Page::new("System", Tab::System, page(&system, nodes)).live("system", 5)))
}
