//! The state of an execution in its actor's memory: as it is, or packed while nothing happens.

use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::LazyLock;

use crate::ids::Arn;
use crate::interpreter::state::{PackError, Packed, State};

/// Frames of an execution that is worth packing: one with many branches is worked on, and there are few of its kind.
const FRAMES_MAX: usize = 8;
/// Machines whose pattern is kept. Beyond it all are dropped; those that were packed against one keep it.
const PATTERNS_MAX: usize = 1_000;

/// Shown in place of a packed state. No handler reads it, because each unpacks the state first.
static NOTHING: LazyLock<State> = LazyLock::new(State::default);

/// The templates that a partition's sleepers are packed against, by machine.
#[derive(Debug, Default)]
pub(in crate::engine) struct PackTemplates(HashMap<Arn, Rc<[u8]>>);

impl PackTemplates {
    fn pack(&mut self, state: &State) -> Option<(Packed, Rc<[u8]>)> {
        let machine = &state.started()?.machine;
        let pattern = self.0.get(machine).map_or_else(|| state.pattern().into(), Rc::clone);
        let packed = state.pack(&pattern)?;
        // The newest is the best guess at those that follow.
        let next = if packed.wants_other_pattern() { state.pattern().into() } else { Rc::clone(&pattern) };
        if self.0.len() >= PATTERNS_MAX {
            self.0.clear();
        }
        self.0.insert(machine.clone(), next);
        Some((packed, pattern))
    }
}

/// One of both.
#[derive(Debug)]
pub(in crate::engine) enum StateCell {
    Awake(Box<State>),
    Asleep(Packed, Rc<[u8]>),
}

impl StateCell {
    pub fn new(state: State) -> Self {
        Self::Awake(Box::new(state))
    }

    pub fn is_asleep(&self) -> bool {
        matches!(self, Self::Asleep(..))
    }

    /// Packs it, where that is worth it; then it holds so many bytes.
    pub fn pack(&mut self, templates: &mut PackTemplates) -> Option<u64> {
        let Self::Awake(state) = self else { return None };
        if state.frames().nth(FRAMES_MAX).is_some() {
            return None;
        }
        let (packed, pattern) = templates.pack(state)?;
        let bytes = packed.bytes();
        *self = Self::Asleep(packed, pattern);
        Some(bytes)
    }

    /// # Errors
    /// Where it does not unpack: the journal has it.
    pub fn unpack(&mut self) -> Result<(), PackError> {
        if let Self::Asleep(packed, pattern) = self {
            *self = Self::new(State::unpack(packed, pattern)?);
        }
        Ok(())
    }

    /// The state of an execution that is awake.
    pub fn get_mut(&mut self) -> &mut State {
        if self.is_asleep() {
            *self = Self::new(State::default());
        }
        match self {
            Self::Awake(state) => state,
            Self::Asleep(..) => unreachable!("it was made awake above"),
        }
    }
}

impl Deref for StateCell {
    type Target = State;

    fn deref(&self) -> &State {
        match self {
            Self::Awake(state) => state,
            Self::Asleep(..) => &NOTHING,
        }
    }
}
