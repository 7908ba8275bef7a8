//! State machines: the list, and one with its graph beside its text.

use maud::{Markup, html};

use crate::asl::{Diagnostic, Severity};
use crate::store::{AliasRow, MachineRow, MachineType, VersionRow};

use super::super::words;
use super::execution::definition;
use super::executions::COUNTED_MAX;
use super::layout::{Who, drawing};

pub struct Listed {
    pub row: MachineRow,
    pub running: u64,
    pub failed: u64,
}

pub fn list(machines: &[Listed], more: Option<&str>, who: &Who) -> Markup {
    html! {
        h1 { "State machines" }
        @if who.admin { p.bar { a.button href="new-machine" { "New…" } } }
        div.card.flush data-live="machines" {
            @if machines.is_empty() {
                div.empty { p { b { "There is no state machine yet." } } p { "Make one with " code { "aws \
                    stepfunctions create-state-machine" } " at this server's address." } }
            } @else {
                table {
                    thead { tr {
                        th scope="col" { "Name" }
                        th scope="col" { "Type" }
                        th.num scope="col" { "Running" }
                        th.num scope="col" { "Failed" }
                        th.fold scope="col" { "Changed" }
                    } }
                    tbody { @for machine in machines { (row(machine)) } }
                }
            }
        }
        @if let Some(more) = more { p.foot { a href={ "machines?after=" (words::encoded(more)) } { "More" } } }
    }
}

fn row(Listed { row, running, failed }: &Listed) -> Markup {
    let counted = |n| words::count_to(n, COUNTED_MAX.into());
    let of =
        |status: &str| format!("executions?q={}", words::encoded(&format!("machine:\"{}\" status:{status}", row.name)));
    html! {
        tr {
            td { a href={ "machines/" (words::encoded(&row.name)) } { (row.name) } @if row.deleting { " \
                " span.quiet { "is being deleted" } } }
            td { (row.kind.as_str().to_lowercase()) }
            td.num { @if *running > 0 { a href=(of("running")) { (counted(*running)) } } @else { "0" } }
            td.num { @if *failed > 0 { a.bad href=(of("failed")) { (counted(*failed)) } } @else { "0" } }
            td.fold.nowrap { (words::moment(row.revision.made)) }
        }
    }
}

pub struct Machine<'a> {
    pub row: &'a MachineRow,
    pub graph: String,
    pub diagnostics: &'a [Diagnostic],
    pub versions: &'a [VersionRow],
    pub aliases: &'a [AliasRow],
    pub who: &'a Who,
    /// An input that was refused, and why.
    pub refused: Option<(String, String)>,
    pub said: Markup,
}

pub fn one(machine: &Machine<'_>) -> Markup {
    let row = machine.row;
    let name = words::encoded(&row.name);
    let all = words::encoded(&format!("machine:\"{}\"", row.name));
    let (input, why) = machine.refused.as_ref().map_or(("{}", None), |(input, why)| (input.as_str(), Some(why)));
    html! {
        h1 { (row.name) }
        p.meta {
            (row.kind.as_str().to_lowercase()) " · changed " (words::moment(row.revision.made)) " · "
            a href={ "../executions?q=" (all) } { "its executions" }
        }
        (machine.said)
        @if let Some(why) = why { div.say.fail role="alert" { p { (why) } } }
        @if machine.who.start {
            div.bar {
                details.act open[why.is_some()] {
                    summary { "Start…" }
                    form method="post" action=(name) {
                        label for="name" { "Name" span.hint { " (empty: one is made)" } }
                        input #name name="name" maxlength="80" autocomplete="off";
                        label for="input" { "Input" span.hint { " (JSON)" } }
                        textarea #input name="input" rows="9" spellcheck="false" { (input) }
                        div.acts { button.first type="submit" { "Start" } }
                    }
                }
                @if machine.who.admin { a.button href={ (name) "/edit" } { "Edit…" } }
                @if row.kind == MachineType::Express { span.quiet { "Express: its executions leave no history." } }
            }
        }
        @for diagnostic in machine.diagnostics { (told(diagnostic)) }
        div.split {
            div.stage tabindex="0" role="region" aria-label="Graph of the state \
                machine" { (drawing(machine.graph.clone())) }
            div { (definition(&row.revision.definition)) (versions(machine)) }
        }
    }
}

pub fn told(diagnostic: &Diagnostic) -> Markup {
    let class = if diagnostic.severity == Severity::Error { "say fail" } else { "say" };
    html! {
        div class=(class) {
            p { "Line " (diagnostic.line) ": " (diagnostic.message) }
            @if let Some(hint) = &diagnostic.hint { p.small { (hint) } }
        }
    }
}

fn versions(machine: &Machine<'_>) -> Markup {
    html! {
        section.card aria-label="Versions" {
            h2 { "Versions and aliases" }
            @if machine.versions.is_empty() && machine.aliases.is_empty() { p.quiet { "None is published: each start \
                runs the newest definition." } }
            @for alias in machine.aliases {
                h3 { "Alias " (alias.name) }
                @for (arn, weight) in &alias.routes { p { "version " (arn.last()) ": " (weight) " %" } }
            }
            @if machine.who.admin { (publish(machine)) }
            @if !machine.versions.is_empty() {
                h3 { "Versions" }
                p { a href={ (words::encoded(&machine.row.name)) "/diff" } { "Compare them" } }
                @for version in machine.versions {
                    p { (version.number) " · " (words::moment(version.created))
                        @if version.revision == machine.row.revision.id { " · current" }
                        @if let Some(text) = &version.description { " · " (text) } }
                }
            }
        }
    }
}

/// Publishes a version, and points an alias at one version or two.
fn publish(machine: &Machine<'_>) -> Markup {
    let name = words::encoded(&machine.row.name);
    let versions = |id: &str, may_be_none: bool| {
        html! {
            select id=(id) name=(id) {
                @if may_be_none { option value="" { "none" } }
                @for version in machine.versions { option value=(version.number) { (version.number) } }
            }
        }
    };
    html! {
        div.bar {
            form method="post" action=(name) {
                input type="hidden" name="kind" value="publish";
                button type="submit" { "Publish a version" }
            }
            @if !machine.versions.is_empty() {
                details.act {
                    summary { "Alias…" }
                    form method="post" action=(name) {
                        input type="hidden" name="kind" value="alias";
                        label for="alias" { "Name" span.hint { " (a new one, or one that is changed)" } }
                        input #alias name="alias" required maxlength="80" list="aliases";
                        datalist #aliases { @for alias in machine.aliases { option value=(alias.name) {} } }
                        label for="first" { "Version" } (versions("first", false))
                        label for="weight" { "Its weight" span.hint { " (of 100 starts)" } }
                        input #weight name="weight" type="number" min="0" max="100" value="100" required;
                        label for="second" { "The other version" span.hint { " (gets the rest)" } }
                        (versions("second", true))
                        div.acts { button.first type="submit" { "Save" } }
                    }
                }
            }
        }
    }
}
