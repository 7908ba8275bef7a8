//! The work that an evaluation may do. Steps decide alone, so equal evaluations end equally on every machine.

use super::error::{Bound, Stop};

#[derive(Debug)]
pub(super) struct Budget {
    steps: u64,
    depth: u16,
    depth_max: u16,
}

impl Budget {
    pub(super) fn new(steps: u64, depth_max: usize) -> Self {
        Self { steps, depth: 0, depth_max: u16::try_from(depth_max).unwrap_or(u16::MAX) }
    }

    /// Draws work: about one for each node evaluated, item looked at, comparison, and 64 bytes of text.
    #[inline]
    pub(super) fn step(&mut self, steps: usize) -> Result<(), Stop> {
        match self.steps.checked_sub(steps as u64) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(Bound::Steps.into()),
        }
    }

    pub(super) fn left(&self) -> u64 {
        self.steps
    }

    /// One level of evaluation deeper; the stack is held by this.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), Stop> {
        if self.depth >= self.depth_max {
            return Err(Bound::Depth.into());
        }
        self.depth += 1;
        Ok(())
    }

    #[inline]
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }
}
