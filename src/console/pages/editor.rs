//! The editor of a definition, and the difference of two versions.

use maud::{Markup, html};

use crate::asl::{Diagnostic, Severity};

use super::super::diff::Line;
use super::super::words;
use super::layout::drawing;
use super::machines::told;

/// The machine in the editor.
pub enum Edited<'a> {
    /// A machine that is there.
    Machine(&'a str),
    New,
}

/// The texts of the fields.
#[derive(Clone, Default)]
pub struct Filled {
    pub name: String,
    pub express: bool,
    pub role: String,
    pub definition: String,
    pub publish: bool,
    pub description: String,
}

pub struct Editor<'a> {
    pub edited: Edited<'a>,
    pub filled: &'a Filled,
    pub graph: String,
    pub diagnostics: &'a [Diagnostic],
    /// It was looked through and not saved.
    pub checked: bool,
    pub why: Option<&'a str>,
}

pub fn page(editor: &Editor<'_>) -> Markup {
    let filled = editor.filled;
    let errors = editor.diagnostics.iter().filter(|found| found.severity == Severity::Error).count() as u64;
    html! {
        @match editor.edited {
            Edited::Machine(name) => {
                h1 { "Edit " (name) }
                p.meta {
                    "Running executions keep the definition that they began with. "
                    a href={ "../" (words::encoded(name)) } { "Back" }
                }
            }
            Edited::New => { h1 { "New state machine" } p.meta { a href="machines" { "All state machines" } } }
        }
        @if let Some(why) = editor.why { div.say.fail role="alert" { p { (why) } } }
        @if editor.checked && editor.diagnostics.is_empty() {
            div.say.done role="status" { p { "The definition has no errors and no warnings." } }
        } @else if editor.checked && errors > 0 {
            div.say.fail role="alert" { p { "The definition has " (words::many(errors, "error")) "." } }
        }
        @for found in editor.diagnostics { (told(found)) }
        div.split.even {
            form.card method="post" {
                @if let Edited::New = editor.edited {
                    label for="name" { "Name" }
                    input #name name="name" maxlength="80" required autocomplete="off" value=(filled.name);
                    label for="kind-of" { "Type" }
                    select #kind-of name="type" {
                        option value="STANDARD" selected[!filled.express] { "standard: journaled" }
                        option value="EXPRESS" selected[filled.express] { "express: in memory, five minutes" }
                    }
                    label for="role" { "Role ARN" span.hint { " (shown again, and without a meaning here)" } }
                    input.whole #role name="role" value=(filled.role);
                }
                label for="definition" { "Definition" }
                textarea.code #definition name="definition" rows="28" spellcheck="false" wrap="off" {
                    (filled.definition)
                }
                @if let Edited::Machine(_) = editor.edited {
                    label {
                        input type="checkbox" name="publish" value="yes" checked[filled.publish];
                        " Publish as a version"
                    }
                    label for="description" { "Description of the version" }
                    input.whole #description name="description" maxlength="256" value=(filled.description);
                }
                div.acts {
                    button type="submit" name="kind" value="check" { "Check" }
                    button.first type="submit" name="kind" value="save" { "Save" }
                }
            }
            div.stage tabindex="0" role="region" aria-label="Graph of the definition" {
                (drawing(editor.graph.clone()))
            }
        }
    }
}

pub struct Difference<'a> {
    pub machine: &'a str,
    /// The names of both sides, and all that can be chosen.
    pub from: &'a str,
    pub to: &'a str,
    pub names: &'a [String],
    pub lines: &'a [Line<'a>],
}

pub fn difference(of: &Difference<'_>) -> Markup {
    let choice = |id: &str, label: &str, chosen: &str| {
        html! {
            label for=(id) { (label) }
            select id=(id) name=(id) {
                @for name in of.names { option value=(name) selected[name == chosen] { (name) } }
            }
        }
    };
    let changed = of.lines.iter().filter(|line| !matches!(line, Line::Same(_))).count() as u64;
    html! {
        h1 { "Versions of " (of.machine) }
        p.meta { a href={ "../" (words::encoded(of.machine)) } { "Back" } }
        form.bar method="get" {
            (choice("from", "From", of.from)) (choice("to", "To", of.to))
            button type="submit" { "Compare" }
        }
        p { @if changed == 0 { "They are the same." } @else { (words::many(changed, "line")) " differ." } }
        section.card aria-label="Difference" {
            pre.long.difference tabindex="0" {
                @for line in of.lines {
                    @match line {
                        Line::Same(text) => span { "  " (text) },
                        Line::Removed(text) => del { "- " (text) },
                        Line::Added(text) => ins { "+ " (text) },
                    }
                }
            }
        }
    }
}
