//! The form that forks an execution: where it begins, with what.

use maud::{Markup, html};

use crate::clock::Timestamp;
use crate::ids::EventId;
use crate::store::ExecutionRow;

use super::super::words;
use super::layout::status;

/// A top-level state at which a fork can begin.
pub struct Beginning {
    pub name: String,
    /// How often it was entered.
    pub visits: usize,
}

/// A time at which the chosen state was entered.
pub struct Entered {
    pub event: EventId,
    pub at: Timestamp,
}

/// The texts of the fields.
#[derive(Clone, Default)]
pub struct Filled {
    pub name: String,
    pub input: String,
    pub variables: String,
}

pub struct Form<'a> {
    pub row: &'a ExecutionRow,
    pub beginnings: &'a [Beginning],
    pub state: &'a str,
    pub event: Option<EventId>,
    /// The times of the chosen state, newest first, up to a few.
    pub entered: &'a [Entered],
    pub filled: &'a Filled,
    /// Why it was refused.
    pub why: Option<&'a str>,
}

pub fn page(form: &Form<'_>) -> Markup {
    let header = &form.row.header;
    let of = |state: &str, event: Option<EventId>| {
        let event = event.map(|event| format!("&event={}", event.0)).unwrap_or_default();
        format!("fork?state={}{event}", words::encoded(state))
    };
    html! {
        h1 { "Fork " (header.name) (status(form.row.summary.status, 0)) }
        p.meta {
            "A new execution of the same definition begins in the middle, at a state of this one. \
             This one stays as it is. "
            a href={ "../" (header.id) } { "Back to it" }
        }
        @if let Some(why) = form.why { div.say.fail role="alert" { p { (why) } } }
        section.card aria-label="Where it begins" {
            h2 { "Where it begins" }
            nav.bar aria-label="States" {
                @for beginning in form.beginnings {
                    a.chip href=(of(&beginning.name, None))
                        aria-current=[(beginning.name == form.state).then_some("true")] {
                        (beginning.name)
                        @if beginning.visits > 1 { " · " (beginning.visits) " times" }
                        @if beginning.visits == 0 { span.quiet { " · not entered" } }
                    }
                }
            }
            @if form.entered.len() > 1 {
                nav.bar aria-label="Times" {
                    span.quiet { "Entered" }
                    @for entered in form.entered {
                        a.chip href=(of(form.state, Some(entered.event)))
                            aria-current=[(Some(entered.event) == form.event).then_some("true")] {
                            (words::moment(entered.at)) " (event " (entered.event.0) ")"
                        }
                    }
                }
            }
        }
        form.card method="post" action="fork" {
            input type="hidden" name="state" value=(form.state);
            @if let Some(event) = form.event { input type="hidden" name="event" value=(event.0); }
            h2 { "Begin at " (form.state) }
            label for="input" {
                "Input of the state"
                span.hint {
                    @if form.event.is_some() { " (as it was recorded, to be changed)" }
                    @else { " (JSON; the state was not entered, so there is none recorded)" }
                }
            }
            textarea #input name="input" rows="10" spellcheck="false" { (form.filled.input) }
            label for="variables" { "Variables" span.hint { " (a JSON object, all of them)" } }
            textarea #variables name="variables" rows="5" spellcheck="false" { (form.filled.variables) }
            label for="name" { "Name" span.hint { " (empty: one is made)" } }
            input #name name="name" maxlength="80" autocomplete="off" value=(form.filled.name);
            div.acts { button.first type="submit" { "Start the fork" } }
        }
    }
}
