//! A form as a page: labelled inputs with the rules that a browser can check, and a button for each action. Typed text
//! stays where an answer was not taken.

use maud::{Markup, html};
use serde_json::Value;

use crate::forms::{Action, End, Field, Form, Format, Kind, Shown, Wrong, path};

/// The typed fields, and their faults.
#[derive(Debug, Clone, Default)]
pub struct Entered {
    pub fields: Vec<(String, String)>,
    pub wrong: Vec<Wrong>,
}

/// Values that help to decide.
pub fn shown(show: &[Shown]) -> Markup {
    html! { dl.shown { @for Shown { label, value } in show { dt { (label) } dd { (plain(value)) } } } }
}

/// A value in words: a text as it is, a list of texts with commas, all else as JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// The form with its buttons: those whose place is in `allowed`. `hidden`: further members of the request.
pub fn form(
    form: &Form,
    action: &str,
    hidden: &[(&str, &str)],
    allowed: impl Fn(usize) -> bool,
    entered: Option<&Entered>,
) -> Markup {
    let page = Page { entered };
    let buttons: Vec<(usize, &Action)> = form.actions.iter().enumerate().filter(|(n, _)| allowed(*n)).collect();
    let asked = |field: &Field| buttons.iter().any(|(_, action)| action.ask.contains(&field.name));
    html! {
        (page.summary())
        form.answer.field method="post" action=(action) {
            @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
            @for (n, field) in form.fields.iter().enumerate().filter(|(_, field)| asked(field)) {
                (page.field(field, None, n))
            }
            div.acts {
                @for (place, (n, action)) in buttons.iter().enumerate() {
                    @let is_failure = matches!(action.end, End::Failure { .. });
                    button.first[place == 0].danger[is_failure] type="submit" name="action"
                        value=(n) formnovalidate[!asks_all_that_is_required(form, action)] { (action.label) }
                }
            }
        }
    }
}

/// The browser checks a form as a whole; a button that takes less than it must not be held up by the rest.
fn asks_all_that_is_required(form: &Form, action: &Action) -> bool {
    form.fields.iter().all(|field| action.ask.contains(&field.name))
}

struct Page<'a> {
    entered: Option<&'a Entered>,
}

impl Page<'_> {
    fn wrong(&self, name: &str) -> Option<&str> {
        self.entered?.wrong.iter().find(|wrong| wrong.field == name).map(|wrong| wrong.why.as_str())
    }

    /// The texts of an input: as typed, else the default's.
    fn texts(&self, name: &str, field: &Field) -> Vec<String> {
        if let Some(entered) = self.entered {
            return entered.fields.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect();
        }
        match &field.default {
            Some(Value::Array(items)) => items.iter().map(plain).collect(),
            Some(value) => vec![plain(value)],
            None => Vec::new(),
        }
    }

    fn summary(&self) -> Markup {
        let wrong = self.entered.map(|entered| entered.wrong.as_slice()).unwrap_or_default();
        html! {
            @if !wrong.is_empty() {
                div.say.fail role="alert" {
                    p { b { "Your answer was not taken yet." } }
                    ul {
                        @for Wrong { field, label, why } in wrong {
                            li { a href={ "#" (field) } { (label) } ": " (why) }
                        }
                    }
                }
            }
        }
    }

    fn field(&self, field: &Field, group: Option<usize>, n: usize) -> Markup {
        let name = path(group, n);
        let wrong = self.wrong(&name);
        html! {
            @match &field.kind {
                Kind::Group(inner) => {
                    fieldset {
                        legend { (field.label()) }
                        @if let Some(text) = &field.description { p.hint { (text) } }
                        @for (at, inner) in inner.iter().enumerate() { (self.field(inner, Some(n), at)) }
                    }
                }
                Kind::Flag => {
                    div.check.wrong[wrong.is_some()] {
                        input type="checkbox" id=(name) name=(name) value="true"
                            checked[self.texts(&name, field).iter().any(|text| text == "true")]
                            aria-describedby=[described(field, wrong).then(|| format!("{name}-hint"))];
                        label for=(name) { (field.label()) }
                        (hint(field, &name, wrong))
                    }
                }
                Kind::Many { words, .. } => {
                    fieldset.wrong[wrong.is_some()] id=(name) tabindex="-1" {
                        legend { (field.label()) (needed(field)) }
                        (hint(field, &name, wrong))
                        @let chosen = self.texts(&name, field);
                        @for (at, word) in words.iter().enumerate() {
                            div.check {
                                input type="checkbox" id={ (name) "_" (at) } name=(name) value=(word)
                                    checked[chosen.contains(word)];
                                label for={ (name) "_" (at) } { (word) }
                            }
                        }
                    }
                }
                Kind::Text { .. } | Kind::Choice(_) | Kind::Number { .. } => {
                    div.wrong[wrong.is_some()] {
                        label for=(name) { (field.label()) (needed(field)) }
                        (hint(field, &name, wrong))
                        (self.input(field, &name, wrong))
                    }
                }
            }
        }
    }

    fn input(&self, field: &Field, name: &str, wrong: Option<&str>) -> Markup {
        let text = self.texts(name, field).into_iter().next().unwrap_or_default();
        let invalid = wrong.map(|_| "true");
        let by = described(field, wrong).then(|| format!("{name}-hint"));
        let required = field.required;
        html! {
            @match &field.kind {
                Kind::Choice(words) => {
                    select id=(name) name=(name) required[required] aria-invalid=[invalid] aria-describedby=[by] {
                        option value="" selected[!words.contains(&text)] {
                            @if required { "Choose…" } @else { "(none)" }
                        }
                        @for word in words { option value=(word) selected[*word == text] { (word) } }
                    }
                }
                Kind::Number { whole, min, max } => {
                    // A text that is no number is kept, which an input of type number would not show.
                    @let kind = if wrong.is_some() { "text" } else { "number" };
                    input type=(kind) id=(name) name=(name) value=(text) inputmode="decimal" min=[min.as_ref()]
                        max=[max.as_ref()] step=(if *whole { "1" } else { "any" }) required[required]
                        aria-invalid=[invalid] aria-describedby=[by] autocomplete="off";
                }
                Kind::Text { format: Format::Textarea, min, max, .. } => {
                    textarea.prose id=(name) name=(name) rows="4" minlength=[min.as_ref()] maxlength=[max.as_ref()]
                        required[required] aria-invalid=[invalid] aria-describedby=[by] { "\n" (text) }
                }
                Kind::Text { format, min, max, .. } => {
                    @let kind = if wrong.is_some() { "text" } else { input_type(*format) };
                    @let lengths = !matches!(format, Format::Date | Format::DateTime);
                    input type=(kind) id=(name) name=(name) value=(text) minlength=[min.as_ref().filter(|_| lengths)]
                        maxlength=[max.as_ref().filter(|_| lengths)] required[required] aria-invalid=[invalid]
                        aria-describedby=[by] autocomplete="off";
                }
                Kind::Flag | Kind::Many { .. } | Kind::Group(_) => {}
            }
        }
    }
}

const fn input_type(format: Format) -> &'static str {
    match format {
        Format::Plain | Format::Textarea => "text",
        Format::Date => "date",
        Format::DateTime => "datetime-local",
        Format::Email => "email",
        Format::Uri => "url",
    }
}

fn needed(field: &Field) -> Markup {
    html! { @if field.required { span.hint { " required" } } }
}

fn described(field: &Field, wrong: Option<&str>) -> bool {
    wrong.is_some() || field.description.is_some() || rule(&field.kind).is_some()
}

fn hint(field: &Field, name: &str, wrong: Option<&str>) -> Markup {
    let rule = rule(&field.kind);
    html! {
        @if described(field, wrong) {
            p.hint id={ (name) "-hint" } {
                @if let Some(text) = &field.description { (text) " " }
                @if let Some(rule) = rule { (rule) " " }
                @if let Some(why) = wrong { b.bad { (why) } }
            }
        }
    }
}

/// The facts that a person needs before he types.
fn rule(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Number { min: Some(min), max: Some(max), .. } => Some(format!("{min} to {max}")),
        Kind::Number { min: Some(min), .. } => Some(format!("{min} or more")),
        Kind::Number { max: Some(max), .. } => Some(format!("{max} or less")),
        Kind::Text { format: Format::DateTime, .. } => Some("in UTC".to_owned()),
        Kind::Text { min: Some(min), max: Some(max), .. } => Some(format!("{min} to {max} characters")),
        Kind::Text { min: Some(min), .. } if *min > 1 => Some(format!("{min} characters or more")),
        Kind::Text { max: Some(max), .. } => Some(format!("{max} characters at most")),
        Kind::Many { min: Some(min), max: Some(max), .. } => Some(format!("choose {min} to {max}")),
        Kind::Many { max: Some(max), .. } => Some(format!("choose {max} at most")),
        Kind::Many { min: Some(min), .. } => Some(format!("choose {min} or more")),
        _ => None,
    }
}
