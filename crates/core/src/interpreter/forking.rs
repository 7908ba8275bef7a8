//! Forking: where another execution can begin in the middle of this one, and its first event.
//!
//! The journal of the source is folded entry by entry; each time its top level enters the wanted state, the input and
//! the variables of that moment are kept. The fork runs the same definition from there on as an execution of its own.

use crate::asl::model::Machine;
use crate::asl::variables::misnamed;
use crate::ids::{Arn, EventId, StateName};
use crate::limits::VARIABLES_BYTES_MAX;

use super::event::{Assigned, Entry, Event, Forked, FrameId, Payload, Started};
use super::size;
use super::state::{Misfit, State};

/// A request for a fork. Absent fields are as they were recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ForkWish {
    /// A state of the top level.
    pub state: String,
    /// The event that entered it, where it was entered more than once; absent: the last time.
    pub event: Option<EventId>,
    /// Its input.
    pub input: Option<Payload>,
    /// All variables.
    pub variables: Option<Assigned>,
}

/// A moment at which the top level entered a state.
#[derive(Debug, Clone, PartialEq)]
pub struct ForkPoint {
    pub event: EventId,
    pub input: Payload,
    pub variables: Assigned,
}

/// Why an execution cannot be forked so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFork {
    #[error("the execution is a child of a Map Run: fork the execution of its Map state")]
    ChildOfMapRun,
    #[error("the top level of its definition has no state '{0}'")]
    NoSuchState(String),
    #[error("event {} does not enter the state '{state}' of the top level", .event.0)]
    NoSuchEvent { state: String, event: EventId },
    #[error("it never entered the state '{0}', so its input must be given")]
    NeverEntered(String),
    #[error("the input of the state is over the limit of a payload (256 KiB, 128 levels)")]
    InputTooLarge,
    #[error("the variables are over their limit (a variable 256 KiB, all of them 10 MiB)")]
    VariablesTooLarge,
    #[error("Invalid variable name: '{name}': {why}")]
    NoVariable { name: String, why: String },
}

/// The fold of a journal that is to be forked.
#[derive(Debug)]
pub struct Forking {
    wish: ForkWish,
    state: State,
    /// The last matching moment.
    point: Option<ForkPoint>,
}

impl Forking {
    #[must_use]
    pub fn new(wish: ForkWish) -> Self {
        Self { wish, state: State::default(), point: None }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// Where it cannot follow the entries before it.
    pub fn see(&mut self, entry: &Entry) -> Result<(), Misfit> {
        self.state.evolve(entry)?;
        if let Event::StateEntered { name, input, .. } = &entry.event
            && entry.frame == FrameId::TOP
            && **name == *self.wish.state
            && self.wish.event.is_none_or(|event| event == entry.id)
        {
            let input = Payload::clone(input);
            self.point = Some(ForkPoint { event: entry.id, input, variables: self.variables() });
        }
        Ok(())
    }

    /// The state so far: the fold of the entries.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The moment that was asked for, as it was recorded.
    #[must_use]
    pub fn point(&self) -> Option<&ForkPoint> {
        self.point.as_ref()
    }

    /// Variables of the top level as of now.
    fn variables(&self) -> Assigned {
        let top = self.state.frame(FrameId::TOP).map(|frame| &frame.variables);
        top.into_iter().flatten().map(|(name, value)| (name.to_string(), (**value).clone())).collect()
    }

    /// The first event of the fork; its ARN and name are those of the source, for the caller to replace.
    ///
    /// # Errors
    /// The reason why there can be none.
    pub fn finish(self, machine: &Machine) -> Result<Started, NoFork> {
        // A journal without a start is none: every store holds one.
        let Some(source) = self.state.started() else { return Err(NoFork::NeverEntered(self.wish.state)) };
        if source.block.is_some() {
            return Err(NoFork::ChildOfMapRun);
        }
        let name: StateName = self.wish.state.as_str().into();
        if !machine.blocks.first().is_some_and(|top| top.states.contains_key(&name)) {
            return Err(NoFork::NoSuchState(self.wish.state));
        }
        let (point, last) = (self.point.as_ref(), || self.variables());
        if let (None, Some(event)) = (point, self.wish.event) {
            return Err(NoFork::NoSuchEvent { state: self.wish.state, event });
        }
        let input = self.wish.input.clone().or_else(|| point.map(|point| Payload::clone(&point.input)));
        let Some(input) = input else { return Err(NoFork::NeverEntered(self.wish.state)) };
        size::of(&input).map_err(|_| NoFork::InputTooLarge)?;
        let recorded = || point.map_or_else(last, |point| point.variables.clone());
        let variables = self.wish.variables.clone().unwrap_or_else(recorded);
        check(&variables)?;
        let event = point.map_or(EventId(0), |point| point.event);
        let forked = Forked { from: Arn::clone(&source.arn), state: name, event, input, variables };
        Ok(Started { parent: None, depth: 0, attempt: 0, forked: Some(Box::new(forked)), ..Started::clone(source) })
    }
}

/// As an `Assign` would be checked.
fn check(variables: &Assigned) -> Result<(), NoFork> {
    let mut all = 0;
    for (name, value) in variables {
        if let Some(why) = misnamed(name) {
            return Err(NoFork::NoVariable { name: name.clone(), why });
        }
        all += size::payload(value).map_err(|_| NoFork::VariablesTooLarge)?;
    }
    if all > VARIABLES_BYTES_MAX { Err(NoFork::VariablesTooLarge) } else { Ok(()) }
}
