//! The time line: a bar per stay in a state.

use maud::{Markup, html};

use crate::clock::Timestamp;

use super::super::story::{Standing, Visit};
use super::super::words;
use super::execution::View;

/// Stays that are drawn: the newest ones.
const VISITS_MAX: usize = 120;
const WIDTH: f64 = 1_000.0;
const NAMES: f64 = 250.0;
const ROW: f64 = 24.0;
const LAST: f64 = 70.0;
const NAME_CHARS: usize = 34;

pub fn timeline(view: &View<'_>) -> Markup {
    let visits = &view.story.visits;
    let skipped = visits.len().saturating_sub(VISITS_MAX);
    let shown = &visits[skipped..];
    let Some(first) = shown.first() else { return html! { p.quiet { "Nothing has happened yet." } } };
    let end = view.row.summary.closed.as_ref().map_or(view.now, |closing| closing.at);
    let scale = Scale { from: first.entered, whole: (end.since(first.entered).as_secs_f64()).max(0.001) };
    let height = ROW * count(shown.len()) + 4.0;
    html! {
        @if skipped > 0 { p.quiet { "The newest " (VISITS_MAX) " of " (visits.len()) " stays." } }
        svg.time-line viewBox={ "0 0 " (WIDTH) " " (height) } role="group" aria-label="Stays in states, in order" {
            line.axis x1=(NAMES) y1="0" x2=(NAMES) y2=(height) {}
            @for (n, visit) in shown.iter().enumerate() { (bar(view, visit, count(n) * ROW, &scale, end)) }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "rows of a picture")]
fn count(n: usize) -> f64 {
    n as f64
}

struct Scale {
    from: Timestamp,
    whole: f64,
}

impl Scale {
    fn x(&self, at: Timestamp) -> f64 {
        NAMES + 6.0 + (WIDTH - NAMES - LAST - 6.0) * (at.since(self.from).as_secs_f64() / self.whole).min(1.0)
    }
}

fn bar(view: &View<'_>, visit: &Visit, top: f64, scale: &Scale, end: Timestamp) -> Markup {
    let left = visit.left.unwrap_or(end);
    let (x, until) = (scale.x(visit.entered), scale.x(left));
    let width = (until - x).max(3.0);
    let indent = 14.0 * count(visit.depth.min(6));
    let index = visit.index.filter(|_| visit.depth > 0).map(|n| format!(" [{n}]")).unwrap_or_default();
    let whole = format!("{}{index}", visit.name);
    let room = NAME_CHARS.saturating_sub(2 * visit.depth.min(6));
    let name: String = if whole.chars().count() > room {
        whole.chars().take(room - 1).chain(['…']).collect()
    } else {
        whole.clone()
    };
    let took = words::since(visit.entered, left);
    let says = format!("{whole}, {}, {took}", visit.standing.words());
    let class = visit.standing.class();
    let base = top + 16.0;
    html! {
        a href={ (view.row.header.id) "?view=graph&state=" (words::encoded(&visit.pointer)) } {
            title { (says) }
            text x=(indent) y=(base) { (name) }
            @for (at, to, class) in parts(visit, end, class) {
                rect class=(class) x=(format!("{:.1}", scale.x(at))) y=(top + 6.0) height="12" rx="3"
                    width=(format!("{:.1}", (scale.x(to) - scale.x(at)).max(3.0))) {}
            }
            text.soft x=(format!("{:.1}", x + width + 6.0)) y=(base) { (took) }
        }
    }
}

/// The attempts of a stay as parts of its bar; without any the whole.
fn parts(visit: &Visit, end: Timestamp, class: &'static str) -> Vec<(Timestamp, Timestamp, &'static str)> {
    if visit.attempts.len() < 2 {
        return vec![(visit.entered, visit.left.unwrap_or(end), class)];
    }
    let of = |attempt: &super::super::story::Attempt| {
        let class = if attempt.failure.is_some() { Standing::Failed.class() } else { class };
        (attempt.at, attempt.ended.unwrap_or(end), class)
    };
    visit.attempts.iter().map(of).collect()
}
