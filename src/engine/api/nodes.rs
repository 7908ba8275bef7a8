//! The servers that share the store.

use crate::store::ownership::name_of_process;

use super::handle::EngineHandle;

/// A server, as this one saw it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Of this life of it; `None`: a server whose store is its own has no row.
    pub id: Option<String>,
    pub slot: Option<u16>,
    /// Host and process.
    pub name: String,
    pub version: String,
    pub leaving: bool,
    /// How many partitions it owns.
    pub partitions: usize,
    /// The server that was asked.
    pub answers: bool,
}

impl EngineHandle {
    /// All servers that share the store, by their slots; this one alone where it shares it with none.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeView> {
        let services = &self.inner.services;
        let Some(keeper) = &self.inner.keeper else {
            return vec![NodeView {
                id: None,
                slot: None,
                name: name_of_process(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                leaving: false,
                partitions: services.options.partitions.into(),
                answers: true,
            }];
        };
        let (view, mine) = (keeper.seen(), services.seat.slot());
        let owned = |id| view.partitions.iter().filter(|partition| partition.owner == Some(id)).count();
        let shown = view.nodes.iter().map(|node| NodeView {
            id: Some(node.id.to_string()),
            slot: node.slot,
            name: node.name.clone(),
            version: node.version.clone(),
            leaving: node.leaving,
            partitions: owned(node.id),
            answers: node.slot.is_some() && node.slot == mine,
        });
        let mut nodes: Vec<NodeView> = shown.collect();
        nodes.sort_by_key(|node| node.slot);
        nodes
    }
}
