//! The transitions of one block, judged when all fields have been read: targets exist, every state has a way in, the
//! workflow ends.
//!
//! As the service judges: a state that no transition names is refused, a state that only unreachable states lead to is
//! not (a warning of ours); only the top level must have a terminal state, and where it has none, nothing is said about
//! ways in.

use std::collections::HashMap;

use super::diagnostics::code;
use super::location::Location;
use super::reader::{Reader, nearest};

#[derive(Debug, Default)]
pub(super) struct Graph<'n> {
    /// Where the `States` object stands: `/States/Fork/Branches[0]/States`.
    pub states_at: String,
    start: Option<Target<'n>>,
    states: Vec<Vertex<'n>>,
    transitions: Vec<(usize, Target<'n>)>,
    ends: bool,
}

#[derive(Debug)]
struct Target<'n> {
    name: &'n str,
    location: String,
    offset: u32,
}

#[derive(Debug)]
struct Vertex<'n> {
    name: &'n str,
    offset: u32,
}

impl<'n> Graph<'n> {
    pub fn start(&mut self, name: &'n str, at: &Location<'_>, offset: u32) {
        self.start = Some(Target { name, location: at.to_aws(), offset });
    }

    /// The next state; transitions that follow are its own.
    pub fn state(&mut self, name: &'n str, offset: u32) {
        self.states.push(Vertex { name, offset });
    }

    pub fn transition(&mut self, name: &'n str, at: &Location<'_>, offset: u32) {
        let from = self.states.len().saturating_sub(1);
        self.transitions.push((from, Target { name, location: at.to_aws(), offset }));
    }

    /// The state ends the block.
    pub fn terminal(&mut self) {
        self.ends = true;
    }

    /// The state was refused: whether it ends the block cannot be known, so a missing end is not held against the
    /// machine.
    pub fn assume_terminal(&mut self) {
        self.ends = true;
    }

    pub fn judge(&self, top: bool, read: &mut Reader) {
        if self.states.is_empty() {
            return; // the missing States are reported; every transition would be missing too
        }
        let mut numbers: HashMap<&str, usize> = HashMap::with_capacity(self.states.len());
        for (i, state) in self.states.iter().enumerate() {
            numbers.entry(state.name).or_insert(i);
        }
        let mut has_way_in = vec![false; self.states.len()];
        let mut onward: Vec<Vec<usize>> = vec![Vec::new(); self.states.len()];
        for (from, target) in
            self.start.iter().map(|s| (None, s)).chain(self.transitions.iter().map(|(from, t)| (Some(*from), t)))
        {
            let Some(&to) = numbers.get(target.name) else {
                self.missing(target, read);
                continue;
            };
            has_way_in[to] = true;
            if let Some(from) = from.filter(|from| *from < onward.len()) {
                onward[from].push(to);
            }
        }
        if !self.ends {
            self.endless(top, read);
            if top {
                return;
            }
        }
        let Some(start) = &self.start else { return };
        for (state, has_way_in) in self.states.iter().zip(&has_way_in) {
            if !has_way_in && numbers.get(state.name).is_some_and(|i| std::ptr::eq(&raw const self.states[*i], state)) {
                let location = format!("{}/{}", self.states_at, state.name);
                let message = format!("State \"{}\" is not reachable.", state.name);
                let hint =
                    "no StartAt, Next, Default or Catch of this block names it: add a transition to it or remove it";
                read.findings.error(
                    code::MISSING_TRANSITION_TARGET,
                    message,
                    Some(location),
                    state.offset as usize,
                    Some(hint.into()),
                );
            }
        }
        if let Some(start) = numbers.get(start.name) {
            self.warn_of_islands(*start, &onward, &has_way_in, read);
        }
    }

    fn missing(&self, target: &Target<'n>, read: &mut Reader) {
        let hint = if read.findings.is_full() {
            None
        } else {
            let names: Vec<&str> = self.states.iter().map(|s| s.name).take(500).collect();
            Some(nearest(target.name, &names).map_or_else(
                || {
                    "a transition names a state of the same block; branches and processors are blocks of their own"
                        .to_owned()
                },
                |name| format!("did you mean '{name}'?"),
            ))
        };
        // The service says 'Next' for each kind of transition, StartAt and Default too.
        let message = format!("Missing 'Next' target: {}", target.name);
        read.findings.error(
            code::MISSING_TRANSITION_TARGET,
            message,
            Some(target.location.clone()),
            target.offset as usize,
            hint,
        );
    }

    fn endless(&self, top: bool, read: &mut Reader) {
        let hint = Some("give one state \"End\": true, or add a Succeed or Fail state".to_owned());
        let message = "Workflow has no terminal state".to_owned();
        if top {
            // The service names no place.
            read.findings.error(code::MISSING_END_STATE, message, None, 0, hint);
        } else {
            let offset = self.states.first().map_or(0, |s| s.offset as usize);
            read.findings.warning(code::MISSING_END_STATE, message, Some(self.states_at.clone()), offset, hint);
        }
    }

    /// States that have a way in, but none from the start.
    fn warn_of_islands(&self, start: usize, onward: &[Vec<usize>], has_way_in: &[bool], read: &mut Reader) {
        let mut reached = vec![false; self.states.len()];
        let mut open = vec![start];
        while let Some(state) = open.pop() {
            if !std::mem::replace(&mut reached[state], true) {
                open.extend(&onward[state]);
            }
        }
        for (i, state) in self.states.iter().enumerate() {
            if !reached[i] && has_way_in[i] {
                let location = format!("{}/{}", self.states_at, state.name);
                let message = format!("State \"{}\" can never run: no way from StartAt leads to it", state.name);
                let hint = "the states that lead to it are not reachable themselves";
                read.findings.warning(
                    code::UNREACHABLE_STATE,
                    message,
                    Some(location),
                    state.offset as usize,
                    Some(hint.into()),
                );
            }
        }
    }
}
