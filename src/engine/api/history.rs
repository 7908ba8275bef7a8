//! `GetExecutionHistory`.

use crate::engine::api::EngineHandle;
use crate::engine::journal::history_page;
use crate::engine::types::{EngineError, HistoryPage, HistoryQuery};
use crate::ids::Arn;

impl EngineHandle {
    /// A page of the visible events.
    pub async fn history(&self, arn: &Arn, query: HistoryQuery) -> Result<HistoryPage, EngineError> {
        let row = self.journaled(arn).await?;
        Ok(history_page::read(&*self.inner.services.journal, row.header.id, &query).await?)
    }
}
