//! The page of an approval link: what the task is about, in the words of its form, and its buttons. It shows nothing
//! else of the task, and needs no sign-in unless the form says so.

use maud::{Markup, html};

use crate::clock::Timestamp;
use crate::engine::Link;
use crate::forms::Form;

use super::super::story::Attempt;
use super::super::words;
use super::form::{self, Entered};

/// Asks for the code. A script sends that of the address's fragment at once; without scripts a person pastes it.
pub fn code(why: Option<&str>) -> Markup {
    html! {
        div.card.sign-in {
            h1 { "Your answer is asked for" }
            @if let Some(why) = why { div.say.fail role="alert" { p { (why) } } }
            p.quiet { "If nothing else appears here, paste the address of your link." }
            form.field method="post" action="a" data-code[why.is_none()] {
                label for="code" { "Link" }
                input #code name="code" autocomplete="off" required;
                div.acts { button.first type="submit" { "Show the question" } }
            }
        }
    }
}

/// An open task, for the holder of a link.
pub struct Asked<'a> {
    pub form: &'a Form,
    pub state: &'a str,
    pub code: &'a str,
    pub link: &'a Link,
    pub entered: Option<&'a Entered>,
    pub why: Option<&'a str>,
}

pub fn task(asked: &Asked<'_>) -> Markup {
    let Asked { form, state, code, link, entered, why } = asked;
    let hidden = [("code", *code), ("kind", "form")];
    html! {
        div.card.link-page {
            h1 { (form.title.as_deref().unwrap_or(state)) }
            @if let Some(text) = &form.text { p.prose { (text) } }
            @if !form.show.is_empty() { (form::shown(&form.show)) }
            h2 { "Your answer" }
            @if let Some(why) = why { div.say.fail role="alert" { p { (why) } } }
            (form::form(form, "a", &hidden, |n| n < 16 && link.actions & (1 << n) != 0, *entered))
        }
        p.foot.link-page {
            "For " b { (link.audience) } ", made by " (link.maker) ". Good until \
            " (words::moment(Timestamp::from_millis(link.until))) ", for one answer. Whoever has this link can answer: \
            do not pass it on."
        }
    }
}

/// The form is for people who are signed in. `is_known`: he is, and may not answer.
pub fn sign_in_first(is_known: bool) -> Markup {
    html! {
        div.card.link-page {
            h1 { "Only for people who are signed in" }
            @if is_known {
                p { "You are signed in, and your key may not answer tasks. Ask the person who sent you the link." }
            } @else {
                p { a href="console/sign-in" { "Sign in" } ", then open the link again." }
            }
        }
    }
}

pub fn thanks(label: &str) -> Markup {
    html! {
        div.card.link-page {
            h1 { "Thank you" }
            div.say.done role="status" { p { "Your answer was taken: " b { (label) } } }
            p.quiet { "There is nothing more to do; you can close this page." }
        }
    }
}

/// A question that has an answer already, or needs none any more.
pub fn over(title: &str, attempt: &Attempt, verdict: Option<&str>, again: bool, now: Timestamp) -> Markup {
    html! {
        div.card.link-page {
            h1 { (title) }
            p {
                @match (&attempt.by, &attempt.failure) {
                    (Some(by), _) => {
                        "Answered by " b { (by) }
                        @if let Some(verdict) = verdict { ": " b { (verdict) } }
                    }
                    (None, Some(failure)) => {
                        "Nobody answered in time, or it was given up: " (failure.error.as_deref().unwrap_or("an error"))
                    }
                    (None, None) => { "It was answered, or is not needed any more" }
                }
                @if let Some(ended) = attempt.ended { ", " (words::since(ended, now)) " ago" }
                "."
            }
            @if again { p { "It was asked again since then: look for a newer link." } }
            @else { p.quiet { "There is nothing more to do." } }
        }
    }
}

pub fn said(title: &str, text: &str) -> Markup {
    html! { div.card.link-page { h1 { (title) } p { (text) } } }
}
