//! `Reveille.ListNodes`, our own operation: the servers that share the store, as the server that is asked saw them
//! last.

use serde::{Deserialize, Serialize};

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::engine::NodeView;

#[derive(Deserialize)]
pub struct Input {}

#[derive(Serialize)]
pub struct Output {
    nodes: Vec<Item>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<u16>,
    name: String,
    version: String,
    status: &'static str,
    partitions: usize,
    /// The server that gives this answer.
    answers: bool,
}

pub async fn handle(ctx: &Context, _: Input) -> Result<Output, ApiError> {
    Ok(Output { nodes: ctx.engine().nodes().into_iter().map(item).collect() })
}

fn item(node: NodeView) -> Item {
    let NodeView { id, slot, name, version, leaving, partitions, answers } = node;
    let status = if leaving { "LEAVING" } else { "ACTIVE" };
    Item { node_id: id, slot, name, version, status, partitions, answers }
}
