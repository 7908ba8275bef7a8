//! Approval links: made with the keys of the task tokens.

use tracing::info;

use crate::clock::Timestamp;
use crate::ids::TaskKey;
use crate::limits::{LINK_DAYS, LINK_DAYS_MAX};
use crate::telemetry::fields;
use crate::token::link::{Link, id};

use super::Services;

impl Services {
    /// The code of a link, and its end: that of the task, of the wish, and of every link, whichever comes first.
    #[expect(clippy::too_many_arguments, reason = "a link has so many parts")]
    pub fn link(
        &self,
        task: TaskKey,
        actions: u16,
        audience: &str,
        maker: &str,
        at: Timestamp,
        seconds: Option<u64>,
        deadline: Option<Timestamp>,
    ) -> (String, Timestamp) {
        let most = u64::from(LINK_DAYS_MAX) * 86_400;
        let wished = seconds.or_else(|| deadline.is_none().then_some(u64::from(LINK_DAYS) * 86_400));
        let seconds = wished.map_or(most, |seconds| seconds.min(most));
        let wished = at.plus(std::time::Duration::from_secs(seconds));
        let until = deadline.map_or(wished, |deadline| deadline.min(wished));
        let link =
            Link { task, actions, until: until.millis(), audience: audience.to_owned(), maker: maker.to_owned() };
        let code = self.tokens.seal_link(&link);
        info!(
            { fields::EVENT } = "link.made",
            { fields::LINK_ID } = id(&code),
            { fields::LINK_FOR } = audience,
            { fields::TASK_BY } = maker,
            "an approval link was made"
        );
        (code, until)
    }

    /// The address of a link. The code is in its fragment, which no browser sends.
    pub fn link_address(&self, code: &str) -> String {
        format!("{}/a#{code}", self.options.address)
    }
}
