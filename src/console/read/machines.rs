//! State machines.

use crate::asl::{self, Severity};
use crate::engine::EngineError;
use crate::store::{ExecutionFilter, ExecutionStatus};

use super::super::live;
use super::super::pages::executions::COUNTED_MAX;
use super::super::pages::layout::{Tab, said};
use super::super::pages::machines::{Listed, Machine, list as page, one as one_page};
use super::super::serve::{Page, Reply};
use super::{Asking, execution};

const PAGE: u32 = 100;
/// Versions and aliases that a page shows, each.
const SHOWN: u32 = 50;

pub async fn list(asking: &Asking<'_>) -> Result<Reply, EngineError> {
    let engine = &asking.console.engine;
    let after = Some(asking.query("after")).filter(|name| !name.is_empty());
    let after = after.map(|name| engine.realm().state_machine(&name));
    let mut rows = engine.catalog().machines(after, PAGE + 1).await?;
    let more = rows.len() > PAGE as usize;
    rows.truncate(PAGE as usize);
    let more = rows.last().filter(|_| more).map(|row| row.name.clone());
    let mut machines = Vec::with_capacity(rows.len());
    for row in rows {
        let counted = async |status| {
            let filter = ExecutionFilter {
                state_machine: Some(row.arn.clone()),
                status: Some(status),
                limit: COUNTED_MAX,
                ..ExecutionFilter::default()
            };
            Ok::<u64, EngineError>(engine.journal().count(filter).await?.iter().map(|(_, n)| n).sum())
        };
        let (running, failed) = (counted(ExecutionStatus::Running).await?, counted(ExecutionStatus::Failed).await?);
        machines.push(Listed { row, running, failed });
    }
    let content = page(&machines, more.as_deref(), asking.who);
    Ok(Reply::Page(Page::new("State machines", Tab::Machines, content).live(live::EXECUTIONS, 0)))
}

/// `refused`: an input that was not taken, and why.
pub async fn one(asking: &Asking<'_>, name: &str, refused: Option<(String, String)>) -> Result<Reply, EngineError> {
    let catalog = asking.console.engine.catalog();
    let arn = asking.console.engine.realm().state_machine(name);
    let Some(row) = catalog.machine(&arn).await? else { return Ok(Reply::missing("There is no such state machine.")) };
    let diagnostics = asl::diagnose(&row.revision.definition, row.kind, Severity::Warning);
    let versions = catalog.versions(&arn, None, SHOWN).await?;
    let aliases = catalog.aliases(&arn, None, SHOWN).await?;
    let content = one_page(&Machine {
        row: &row,
        graph: execution::graph(&row.revision.definition, None, None, None),
        diagnostics: &diagnostics,
        versions: &versions,
        aliases: &aliases,
        who: asking.who,
        refused,
        said: said(Some(&asking.query("said"))),
    });
    Ok(Reply::Page(Page::new(row.name.clone(), Tab::Machines, content)))
}
