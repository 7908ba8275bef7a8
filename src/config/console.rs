//! `[console]`: the pages for people.

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct ConsoleOptions {
    /// Whether the API's server has them.
    pub enabled: bool,
    /// Live streams at once.
    pub viewers_max: usize,
    url: String,
    /// Of a proxy that signs people in; the console reads them.
    pub user_header: String,
    pub groups_header: String,
    pub trusted_proxies: String,
    pub groups: String,
}

impl ConsoleOptions {
    /// The address of this server for people, without a slash at its end; `None`: the address that it listens at.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        Some(self.url.trim().trim_end_matches('/')).filter(|url| !url.is_empty())
    }
}
