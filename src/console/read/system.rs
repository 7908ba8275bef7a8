//! The server itself.

use serde_json::json;

use crate::engine::EngineError;

use super::super::pages::layout::Tab;
use super::super::pages::system::page;
use super::super::serve::{Page, Reply};
use super::{Asking, parked};

pub async fn show(asking: &Asking<'_>) -> Result<Reply, EngineError> {
    Ok(match parked::ask(asking, "Reveille.DescribeSystem", json!({})).await {
        Ok(system) => Reply::Page(Page::new("System", Tab::System, page(&system)).live("system", 5)),
        Err(reply) => reply,
    })
}
