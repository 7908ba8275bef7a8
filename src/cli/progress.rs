//! The live view of one execution: branches with their current state, waiting tasks with their age, the outcome. Pure:
//! it turns entries of the journal, waiting tasks and the time into lines, which `run` and `demo` draw.
//!
//! ```text
//! art-event  running for 2 min 3 s
//! ● Prepare the event
//!   ├ ✓ Set up the venue
//!   ├ ● Arrange catering             asks queue 'catering', 3.0 s
//!   ├ ◌ Hire a photographer          waits for an answer from queue 'photographer-friend', 2 min 1 s (2 d 23 h left)
//!   └ ✓ Anybody to invite? → Print the invitations → Let the ink dry
//! ```

use std::collections::BTreeMap;

use super::output::{Tone, visible};
use super::time;
use crate::clock::Timestamp;
use crate::ids::EventId;
use crate::interpreter::event::{Entry, Event, Failure, FrameId, StateType};
use crate::store::Wait;

/// Iterations of a Map that are shown one by one; of the others only the number.
const ITERATIONS_SHOWN: usize = 5;
/// States of a branch that are shown before the current one.
const TRAIL_SHOWN: usize = 3;

/// Tells whether a word is a unit of [`time::duration`]; texts with units change as time goes by.
fn is_unit(word: &str) -> bool {
    ["ms", "s", "min", "h", "d", "y"].contains(&word.trim_matches(|c: char| !c.is_alphanumeric()))
}

/// A line to draw: parts with their tones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(pub Vec<(String, Tone)>);

impl Line {
    fn part(mut self, text: impl AsRef<str>, tone: Tone) -> Self {
        self.0.push((visible(text.as_ref()).into_owned(), tone));
        self
    }

    /// Without colours.
    #[must_use]
    pub fn plain(&self) -> String {
        self.0.iter().map(|(text, _)| text.as_str()).collect()
    }

    /// The line without the times that change every second. Notes are the parts that begin with two spaces.
    #[must_use]
    pub fn gist(&self) -> String {
        let mut gist = String::new();
        for (at, (text, _)) in self.0.iter().enumerate() {
            if at > 0 && text.starts_with("  ") {
                gist.extend(
                    text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic) && !is_unit(word)),
                );
            } else {
                gist.push_str(text);
            }
        }
        gist
    }

    /// With colours.
    #[must_use]
    pub fn painted(&self) -> String {
        self.0.iter().map(|(text, tone)| tone.paint(text)).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Active,
    Done,
    Failed,
    Stopped,
}

/// The position of one frame (the top, a branch, an iteration).
#[derive(Debug)]
struct Branch {
    parent: Option<FrameId>,
    /// Names of the states entered, in order.
    trail: Vec<String>,
    kind: StateType,
    mark: Mark,
    since: Timestamp,
    /// The open task of the current state.
    task: Option<EventId>,
    /// A retry or a Wait state goes on at this moment.
    until: Option<(Timestamp, bool)>,
    failure: Option<Failure>,
    index: Option<u64>,
}

/// The entries folded for drawing. It is separate from the engine's own state and only has to look right.
#[derive(Debug, Default)]
struct Picture {
    branches: BTreeMap<FrameId, Branch>,
    /// The frame of each visible event.
    frame_of: BTreeMap<EventId, FrameId>,
    name: String,
    started: Option<Timestamp>,
    ended: Option<(Timestamp, &'static str, Option<Failure>)>,
    /// Frames that were begun within each frame.
    children: BTreeMap<FrameId, u64>,
}

/// The view: one heading, then the tree.
#[must_use]
pub fn view(history: &[Entry], waiting: &[Wait], now: Timestamp) -> Vec<Line> {
    let mut picture = Picture::default();
    for entry in history {
        picture.add(entry);
    }
    let mut lines = vec![picture.heading(now)];
    picture.draw(FrameId::TOP, "", "", waiting, now, &mut lines);
    if let Some((_, _, Some(failure))) = &picture.ended {
        lines.push(Line::default().part(format!("  {}", failure_text(failure)), Tone::Bad));
    }
    lines
}

impl Picture {
    fn add(&mut self, entry: &Entry) {
        let frame = entry.frame;
        if entry.id.0 != 0 {
            self.frame_of.insert(entry.id, frame);
        }
        match &entry.event {
            Event::ExecutionStarted(started) => {
                self.name = started.name.to_string();
                self.started = Some(entry.at);
            }
            Event::ExecutionRedriven { .. } => self.ended = None,
            Event::ExecutionSucceeded { .. } => self.end(entry, "SUCCEEDED", None),
            Event::ExecutionFailed(failure) => self.end(entry, "FAILED", Some(failure)),
            Event::ExecutionTimedOut(failure) => self.end(entry, "TIMED_OUT", Some(failure)),
            Event::ExecutionAborted(failure) => self.end(entry, "ABORTED", Some(failure)),
            Event::StateEntered { kind, name, .. } => self.enter(entry, *kind, name),
            Event::StateExited { next, .. } => {
                let ends = next.is_none();
                self.change(frame, |branch| {
                    branch.task = None;
                    branch.until = None;
                    branch.failure = None;
                    if ends {
                        branch.mark = Mark::Done;
                    }
                });
            }
            Event::StateAborted { .. } => self.change(frame, |branch| {
                branch.mark = Mark::Stopped;
                branch.task = None;
                branch.until = None;
            }),
            Event::TaskScheduled(_) => self.change(frame, |branch| {
                branch.task = Some(entry.id);
                branch.since = entry.at;
                branch.until = None;
                branch.mark = Mark::Active;
            }),
            Event::TaskSucceeded { .. } => self.change(frame, |branch| branch.task = None),
            Event::StateFailed(failure)
            | Event::ForkFailed(failure)
            | Event::TaskFailed { failure, .. }
            | Event::TaskTimedOut { failure, .. }
            | Event::TaskStartFailed { failure, .. }
            | Event::TaskSubmitFailed { failure, .. } => self.fail(frame, failure),
            Event::RetryScheduled { due, .. } => self.change(frame, |branch| {
                branch.until = Some((*due, true));
                branch.mark = Mark::Active;
            }),
            Event::WaitScheduled { due } => self.change(frame, |branch| branch.until = Some((*due, false))),
            Event::WaitEnded => self.change(frame, |branch| branch.until = None),
            _ => {}
        }
    }

    fn change(&mut self, frame: FrameId, change: impl FnOnce(&mut Branch)) {
        if let Some(branch) = self.branches.get_mut(&frame) {
            change(branch);
        }
    }

    fn fail(&mut self, frame: FrameId, failure: &Failure) {
        self.change(frame, |branch| {
            branch.task = None;
            branch.failure = Some(failure.clone());
            branch.mark = Mark::Failed;
        });
    }

    fn end(&mut self, entry: &Entry, status: &'static str, failure: Option<&Failure>) {
        self.ended = Some((entry.at, status, failure.cloned()));
        let mark = if status == "SUCCEEDED" { Mark::Done } else { Mark::Stopped };
        for branch in self.branches.values_mut().filter(|branch| branch.mark == Mark::Active) {
            branch.mark = mark;
        }
    }

    fn enter(&mut self, entry: &Entry, kind: StateType, name: &str) {
        let children = &mut self.children;
        let frame_of = &self.frame_of;
        let branch = self.branches.entry(entry.frame).or_insert_with(|| {
            // A frame belongs to the frame of the event that began it.
            let begun_in = frame_of.get(&entry.previous).copied().filter(|parent| *parent != entry.frame);
            let parent = begun_in.filter(|_| entry.frame != FrameId::TOP);
            let siblings = parent.map_or(0, |parent| {
                let count = children.entry(parent).or_default();
                *count += 1;
                *count - 1
            });
            Branch {
                parent,
                trail: Vec::new(),
                kind,
                mark: Mark::Active,
                since: entry.at,
                task: None,
                until: None,
                failure: None,
                index: (entry.frame != FrameId::TOP).then_some(siblings),
            }
        });
        branch.trail.push(name.to_owned());
        branch.kind = kind;
        branch.mark = Mark::Active;
        branch.since = entry.at;
        branch.task = None;
        branch.until = None;
        branch.failure = None;
    }

    fn heading(&self, now: Timestamp) -> Line {
        let took =
            |until: Timestamp| self.started.map(|started| time::duration(until.since(started))).unwrap_or_default();
        let name = Line::default().part(self.name.clone(), Tone::Heading);
        match &self.ended {
            None => name.part(format!("  running for {}", took(now)), Tone::Active),
            Some((at, status, _)) => {
                let tone = super::output::status_tone(status);
                name.part(format!("  {status}"), tone).part(format!(" after {}", took(*at)), Tone::Faint)
            }
        }
    }

    /// Draws one frame and the frames of its current state. `lead` comes before its first line, `rest` before the lines
    /// below.
    fn draw(&self, frame: FrameId, lead: &str, rest: &str, waiting: &[Wait], now: Timestamp, lines: &mut Vec<Line>) {
        let Some(branch) = self.branches.get(&frame) else { return };
        let children: Vec<(FrameId, &Branch)> = self
            .branches
            .iter()
            .filter(|(_, child)| child.parent == Some(frame))
            .map(|(id, child)| (*id, child))
            .collect();
        let is_fork = matches!(branch.kind, StateType::Parallel | StateType::Map);
        lines.push(self.branch_line(branch, lead, &children, waiting, now));
        if !is_fork {
            return;
        }
        // Only children of the current state are shown, none of an older fork of this frame.
        let children: Vec<_> = children
            .into_iter()
            .filter(|(_, child)| child.since >= branch.since || branch.mark != Mark::Active)
            .collect();
        let (shown, hidden): (Vec<_>, Vec<_>) = if branch.kind == StateType::Map {
            let active: Vec<_> =
                children.iter().copied().filter(|(_, child)| child.mark != Mark::Done).take(ITERATIONS_SHOWN).collect();
            let ids: Vec<FrameId> = active.iter().map(|(id, _)| *id).collect();
            (active, children.iter().copied().filter(|(id, _)| !ids.contains(id)).collect())
        } else {
            (children, Vec::new())
        };
        let last = shown.len().saturating_sub(1);
        for (at, (id, _)) in shown.iter().enumerate() {
            let ends = at == last && hidden.is_empty();
            let (lead, below) = if ends { ("└ ", "  ") } else { ("├ ", "│ ") };
            self.draw(*id, &format!("{rest}  {lead}"), &format!("{rest}  {below}"), waiting, now, lines);
        }
        if !hidden.is_empty() && branch.mark == Mark::Active {
            let done = hidden.iter().filter(|(_, child)| child.mark == Mark::Done).count();
            let others = hidden.len() - done;
            let others = if others > 0 { format!(", {others} more running") } else { String::new() };
            let text = format!("{rest}  └ {done} done{others}");
            lines.push(Line::default().part(text, Tone::Faint));
        }
    }

    fn branch_line(
        &self,
        branch: &Branch,
        lead: &str,
        children: &[(FrameId, &Branch)],
        waiting: &[Wait],
        now: Timestamp,
    ) -> Line {
        let task = branch.task.and_then(|id| waiting.iter().find(|task| task.scheduled == id));
        let callback = task
            .is_some_and(|task| task.resource.ends_with(".waitForTaskToken") || task.resource.contains(":activity:"));
        let (mark, tone) = match branch.mark {
            Mark::Done => ("✓", Tone::Good),
            Mark::Failed => ("✗", Tone::Bad),
            Mark::Stopped => ("◼", Tone::Faint),
            Mark::Active if callback || branch.until.is_some() => ("◌", Tone::Waiting),
            Mark::Active => ("●", Tone::Active),
        };
        let skipped = branch.trail.len().saturating_sub(TRAIL_SHOWN + 1);
        let (before, current) = branch.trail[skipped..].split_at(branch.trail.len().saturating_sub(skipped + 1));
        let mut line = Line::default().part(lead, Tone::Faint).part(format!("{mark} "), tone);
        if skipped > 0 {
            line = line.part("… → ", Tone::Faint);
        }
        for name in before {
            line = line.part(format!("{name} → "), Tone::Faint);
        }
        line = line.part(current.first().cloned().unwrap_or_default(), tone);
        if let Some(index) = branch.index.filter(|_| self.is_iteration(branch)) {
            line = line.part(format!(" [{index}]"), Tone::Faint);
        }
        match note(branch, task, children, now) {
            Some((text, tone)) => line.part(format!("  {text}"), tone),
            None => line,
        }
    }

    fn is_iteration(&self, branch: &Branch) -> bool {
        branch.parent.and_then(|parent| self.branches.get(&parent)).is_some_and(|parent| parent.kind == StateType::Map)
    }
}

/// The note beside the states of a branch.
fn note(
    branch: &Branch,
    task: Option<&Wait>,
    children: &[(FrameId, &Branch)],
    now: Timestamp,
) -> Option<(String, Tone)> {
    let left = |due: Timestamp| time::duration(due.since(now));
    match (branch.mark, branch.until, task) {
        (Mark::Failed, _, _) => branch.failure.as_ref().map(|failure| (failure_text(failure), Tone::Bad)),
        (Mark::Active, Some((due, true)), _) => {
            let why = branch.failure.as_ref().map(failure_text).unwrap_or_default();
            Some((format!("again in {} after {why}", left(due)), Tone::Waiting))
        }
        (Mark::Active, Some((due, false)), _) => Some((format!("goes on in {}", left(due)), Tone::Waiting)),
        (Mark::Active, None, Some(task)) => {
            let waited = time::duration(now.since(task.since));
            let limit = task.due().map(|due| format!(" ({} left)", left(due))).unwrap_or_default();
            let attempt = if task.attempt > 1 { format!(", attempt {}", task.attempt) } else { String::new() };
            let text = if !task.submitted {
                format!("on its way to {}, {waited}{attempt}", task.destination)
            } else if task.resource.ends_with(".waitForTaskToken") {
                format!("waits for an answer from {}, {waited}{limit}{attempt}", task.destination)
            } else {
                format!("asks {}, {waited}{limit}{attempt}", task.destination)
            };
            Some((text, Tone::Waiting))
        }
        (Mark::Active, None, None) if branch.kind == StateType::Map && !children.is_empty() => {
            let done = children.iter().filter(|(_, child)| child.mark == Mark::Done).count();
            Some((format!("{done} of {} done", children.len()), Tone::Faint))
        }
        _ => None,
    }
}

fn failure_text(failure: &Failure) -> String {
    let error = failure.error.as_deref().unwrap_or("an error without a name");
    match failure.cause.as_deref().filter(|cause| !cause.is_empty()) {
        Some(cause) => format!("{error}: {}", super::output::short(cause, 80)),
        None => error.to_owned(),
    }
}

#[cfg(test)]
mod tests;
