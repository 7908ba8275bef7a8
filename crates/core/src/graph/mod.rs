//! A picture of a definition: its states and transitions, drawn as SVG.
//!
//! ```text
//! definition ──diagram::Diagram──▶ blocks of nodes and edges, with labels (rules.rs)
//!            ──layout::Laid──────▶ each block in layers: layers.rs (ranks, order), coordinates.rs, routes.rs
//!            ──svg::draw─────────▶ text, with one group per state that a page can mark and link
//! ```
//!
//! A transition never leaves its block, so nesting is recursion over flat layouts: a container is a node that has the
//! size of its laid-out blocks. The layout is deterministic: the same definition gives the same bytes.
//!
//! A definition need not be valid. Transitions to states that are missing are left out, unknown types are drawn as
//! plain states, so that an editor can show a half-written machine.
//!
//! May enter: no other room. The definition comes as a JSON value.

mod coordinates;
pub mod diagram;
mod layers;
pub mod layout;
mod routes;
mod rules;
pub mod svg;
#[cfg(test)]
mod tests;
mod text;

use serde_json::Value;

pub use self::diagram::Diagram;
pub use self::layout::{Fold, Laid};
pub use self::svg::{Items, Look, Mark};

/// The picture of a definition as a whole SVG document, with its style inside.
pub fn picture(definition: &Value) -> String {
    let diagram = Diagram::read(definition);
    let laid = Laid::of(&diagram, Fold::for_size(diagram.states()));
    svg::draw(&laid, &Look { style: true, ..Look::default() })
}
