//! The frame of every page, and parts that pages share.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::api::Class;
use crate::interpreter::event::By;
use crate::store::ExecutionStatus;

use super::super::assets::{LIVE, STYLE, WORKER};
use super::super::words;

/// The reader of a page, and his rights.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// The key that he signed in with, or the name that a proxy gave him; `None`: there are no keys.
    pub key: Option<String>,
    pub start: bool,
    pub complete: bool,
    pub admin: bool,
    /// May see inputs and outputs.
    pub payload: bool,
    /// A proxy signed him in, and signs him out.
    pub by_proxy: bool,
}

impl Who {
    /// Whether he may call operations of this class. A person who is let in may read.
    pub fn may(&self, class: Class) -> bool {
        match class {
            Class::Read => true,
            Class::Start => self.start,
            Class::Complete => self.complete,
            Class::Admin => self.admin,
            Class::Payload => self.payload,
        }
    }

    /// As the journal names him.
    pub fn by(&self) -> By {
        self.key.as_deref().map_or(By::Console, |key| By::Person(key.into()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Executions,
    Inbox,
    Machines,
    Queues,
    Parked,
    System,
    Nowhere,
}

/// Everything around the content of a page.
pub struct Frame<'a> {
    pub title: &'a str,
    pub tab: Tab,
    /// The way to the console's root from this page: empty, or `../`.
    pub up: &'a str,
    pub who: &'a Who,
    /// How many tasks wait, up to a bound; `None`: not asked.
    pub waiting: Option<u64>,
    /// The topics of the live stream that this page shows.
    pub topics: &'a str,
    /// Seconds after which the page asks again by itself; 0: never.
    pub every: u32,
}

/// The bound of the number in the navigation.
pub const WAITING_SHOWN: u64 = 1_000;

const TABS: [(Tab, &str, &str, &str); 6] = [
    (Tab::Executions, "executions", "Executions", "e"),
    (Tab::Inbox, "inbox", "Inbox", "i"),
    (Tab::Machines, "machines", "Machines", "m"),
    (Tab::Queues, "queues", "Queues", "q"),
    (Tab::Parked, "parked", "Parked", "p"),
    (Tab::System, "system", "System", "s"),
];

pub fn page(frame: &Frame<'_>, content: &Markup) -> Markup {
    let Frame { title, tab, up, who, waiting, topics, every } = frame;
    let asset = |name: &str| format!("{up}assets/{name}");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Reveille" }
                link rel="stylesheet" href=(asset(&STYLE.name));
                link rel="icon" href="data:,";
                // It writes times as the reader's clock has them: before the first picture, so that no line moves.
                script type="module" src=(asset(&LIVE.name)) blocking="render" {}
            }
            body data-up=(up) data-topics=(topics) data-every=(every) data-worker=(asset(&WORKER.name)) {
                a.skip href="#content" { "Skip to the content" }
                header.top {
                    a.brand href={ (up) "executions" } { (bell()) "Reveille" }
                    @if *tab != Tab::Nowhere {
                        nav aria-label="Pages" data-live="nav" {
                            @let shown = TABS.into_iter().filter(|tab| tab.0 != Tab::System || who.admin);
                            @for (this, address, name, key) in shown {
                                a href={ (up) (address) } data-key=(key)
                                    aria-current=[(this == *tab).then_some("page")] {
                                    (name)
                                    @if this == Tab::Inbox { (badge(*waiting)) }
                                }
                            }
                        }
                    }
                    div.who {
                        @if !topics.is_empty() { span.pulse { "not live" } }
                        @match &who.key {
                            Some(key) => {
                                span { (key) }
                                @if !who.by_proxy {
                                    form method="post" action={ (up) "sign-out" } {
                                        button type="submit" { "Sign out" }
                                    }
                                }
                            }
                            None if *tab != Tab::Nowhere => { span { "no access keys: this machine only" } }
                            None => {}
                        }
                    }
                }
                main id="content" { (content) }
                p.hidden id="told" role="status" aria-live="polite" {}
            }
        }
    }
}

fn badge(waiting: Option<u64>) -> Markup {
    html! {
        @if let Some(n) = waiting.filter(|n| *n > 0) {
            " " span.badge {
                (words::count_to(n, WAITING_SHOWN))
                span.hidden { " waiting" }
            }
        }
    }
}

/// The mark of the house: a bell.
fn bell() -> Markup {
    html! {
        svg.icon viewBox="0 0 20 20" aria-hidden="true" {
            path d="M10 2.5a5 5 0 0 1 5 5v3.2l1.6 3.3H3.4L5 10.7V7.5a5 5 0 0 1 5-5zM8 16.5a2 2 0 0 0 4 0" {}
        }
    }
}

/// A small picture beside a word: the same shapes as in the graph.
pub fn icon(name: &str) -> Markup {
    let path = match name {
        "done" => "M3 8.5l3.5 3.5L13 4.5",
        "running" => "M5 3l8 5-8 5z",
        "waiting" => "M8 2a6 6 0 1 0 .01 0zM8 4.5V8l2.5 2",
        "retrying" => "M13 8a5 5 0 1 1-1.5-3.5M12 1.5v3H9",
        "failed" => "M4 4l8 8M12 4l-8 8",
        _ => "M4 4h8v8H4z",
    };
    html! { svg.icon viewBox="0 0 16 16" aria-hidden="true" { path d=(path) {} } }
}

/// The status of an execution; `waits`: how many of its tasks wait.
pub fn status(status: ExecutionStatus, waits: u64) -> Markup {
    let (class, picture, text) = match status {
        ExecutionStatus::Running if waits > 0 => ("wait", "waiting", "waiting".to_owned()),
        ExecutionStatus::Running => ("run", "running", "running".to_owned()),
        ExecutionStatus::Succeeded => ("done", "done", "succeeded".to_owned()),
        ExecutionStatus::Failed => ("fail", "failed", "failed".to_owned()),
        ExecutionStatus::TimedOut => ("fail", "failed", "timed out".to_owned()),
        ExecutionStatus::Aborted => ("", "stopped", "aborted".to_owned()),
        ExecutionStatus::PendingRedrive => ("wait", "retrying", "waits for its redrive".to_owned()),
    };
    html! { span class={ "status " (class) } { (icon(picture)) (text) } }
}

/// A text block of JSON, or of anything.
pub fn json(text: &str) -> Markup {
    html! { pre tabindex="0" { (words::pretty(text)) } }
}

/// A drawing of our own, already escaped by the room that drew it.
pub fn drawing(svg: String) -> PreEscaped<String> {
    PreEscaped(svg)
}

/// A sentence about the last action, from a fixed list: no text of an address is shown.
pub fn said(word: Option<&str>) -> Markup {
    let text = match word {
        Some("answered") => "Your answer was taken.",
        Some("more-time") => "The task's heartbeat was renewed.",
        Some("claim" | "take") => "You work on it now; others see that for a quarter of an hour.",
        Some("release") => "Nobody works on it now.",
        Some("stopped") => "The execution was stopped.",
        Some("redriven") => "The execution goes on from where it failed.",
        Some("started") => "The execution was started.",
        Some("saved") => "It was saved.",
        Some("replayed") => "The messages were sent again.",
        Some("purged") => "The messages were deleted.",
        Some("forked") => "The fork was started.",
        _ => return html! {},
    };
    html! { div.say.done role="status" { p { (text) } } }
}

/// A page that says why there is no other.
pub fn trouble(title: &str, text: &str) -> Markup {
    html! {
        div.card {
            h1 { (title) }
            p { (text) }
        }
    }
}
