//! `[console]`: the pages for people.

use serde::Deserialize;

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct ConsoleOptions {
    /// Whether the API's server has them.
    pub enabled: bool,
}
