//! The editor of a definition, and the difference of two versions.

use crate::asl::{self, MachineType, Severity};
use crate::engine::EngineError;
use crate::store::MachineRow;

use super::super::diff;
use super::super::pages::editor::{Difference, Edited, Editor, Filled, difference as difference_page, page};
use super::super::pages::layout::Tab;
use super::super::serve::{Page, Reply};
use super::super::words;
use super::{Asking, execution};

/// Versions that can be compared: the newest.
const VERSIONS: u32 = 100;
/// The name of the definition that is in force.
const CURRENT: &str = "current";

async fn row(asking: &Asking<'_>, name: &str) -> Result<Option<MachineRow>, EngineError> {
    let arn = asking.console.engine.realm().state_machine(name);
    Ok(asking.console.engine.catalog().machine(&arn).await?)
}

/// `filled`: a form that was checked, or refused with this reason.
pub async fn machine(
    asking: &Asking<'_>,
    name: &str,
    filled: Option<(Filled, Option<String>)>,
) -> Result<Reply, EngineError> {
    let Some(row) = row(asking, name).await? else { return Ok(Reply::missing("There is no such state machine.")) };
    if !asking.who.admin {
        return Ok(Reply::missing("Your key does not change state machines."));
    }
    let checked = filled.is_some();
    let (filled, why) = filled.unwrap_or_else(|| {
        let definition = words::pretty(&row.revision.definition);
        (Filled { definition, ..Filled::default() }, None)
    });
    Ok(shown(Edited::Machine(name), &filled, row.kind, checked, why.as_deref(), format!("Edit {name}")))
}

pub fn new(asking: &Asking<'_>, filled: Option<(Filled, Option<String>)>) -> Reply {
    if !asking.who.admin {
        return Reply::missing("Your key does not make state machines.");
    }
    let checked = filled.is_some();
    let account = &asking.console.engine.realm().account;
    let (filled, why) = filled.unwrap_or_else(|| {
        let definition = concat!(
            "{\n  \"StartAt\": \"Hello\",\n  \"States\": {\n    \"Hello\": {\n      \"Type\": \"Pass\",\n",
            "      \"End\": true\n    }\n  }\n}"
        );
        let role = format!("arn:aws:iam::{account}:role/reveille");
        (Filled { definition: definition.to_owned(), role, ..Filled::default() }, None)
    });
    let kind = if filled.express { MachineType::Express } else { MachineType::Standard };
    shown(Edited::New, &filled, kind, checked, why.as_deref(), "New state machine".to_owned())
}

fn shown(
    edited: Edited<'_>,
    filled: &Filled,
    kind: MachineType,
    checked: bool,
    why: Option<&str>,
    title: String,
) -> Reply {
    let diagnostics = asl::diagnose(&filled.definition, kind, Severity::Warning);
    let graph = execution::graph(&filled.definition, None, None, None);
    let content = page(&Editor { edited, filled, graph, diagnostics: &diagnostics, checked, why });
    Reply::Page(Page::new(title, Tab::Machines, content))
}

pub async fn difference(asking: &Asking<'_>, name: &str) -> Result<Reply, EngineError> {
    let Some(row) = row(asking, name).await? else { return Ok(Reply::missing("There is no such state machine.")) };
    let catalog = asking.console.engine.catalog();
    let versions = catalog.versions(&row.arn, None, VERSIONS).await?;
    let mut names = vec![CURRENT.to_owned()];
    names.extend(versions.iter().map(|version| version.number.to_string()));
    let chosen = |of: String, or: usize| {
        if names.contains(&of) { of } else { names.get(or).cloned().unwrap_or_else(|| CURRENT.to_owned()) }
    };
    let (from, to) = (chosen(asking.query("from"), 1), chosen(asking.query("to"), 0));
    let mut texts = Vec::new();
    for side in [&from, &to] {
        let revision = match versions.iter().find(|version| version.number.to_string() == **side) {
            Some(version) => catalog.revision(version.revision).await?,
            None => Some(row.revision.clone()),
        };
        texts.push(words::pretty(&revision.map(|revision| revision.definition).unwrap_or_default()));
    }
    let lines = diff::lines(&texts[0], &texts[1]);
    let content = difference_page(&Difference { machine: name, from: &from, to: &to, names: &names, lines: &lines });
    Ok(Reply::Page(Page::new(format!("Versions of {name}"), Tab::Machines, content)))
}
