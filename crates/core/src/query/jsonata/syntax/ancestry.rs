//! `%`: which step of a path has the item that a parent stands for. Each `%` is a slot with a level; on the way to the
//! left a name or wildcard takes one level off, a further `%` adds one.

use super::super::error::Fault;
use super::Refusal;
use super::tree::{Kind, Node, Slot, Sym};

#[derive(Debug, Default)]
pub(super) struct Slots {
    pub labels: Vec<Sym>,
    levels: Vec<i32>,
}

impl Slots {
    pub(super) fn add(&mut self, label: Sym) -> Slot {
        self.labels.push(label);
        self.levels.push(1);
        Slot::try_from(self.labels.len() - 1).unwrap_or(Slot::MAX)
    }

    fn level(&mut self, slot: Slot) -> &mut i32 {
        &mut self.levels[slot as usize]
    }

    /// Parents of a part are parents of the whole, until a step is found for them.
    pub(super) fn pass_on(from: &mut Node, to: &mut Node) {
        let mut slots = from.more.as_mut().map(|more| std::mem::take(&mut more.seeking)).unwrap_or_default();
        if let Kind::Parent(slot) = from.kind {
            slots.push(slot);
        }
        if !slots.is_empty() {
            to.more().seeking.extend(slots);
        }
    }

    /// The parents of a predicate: those one level up belong to the step itself.
    pub(super) fn of_predicate(&mut self, step: &mut Node, predicate: &mut Node) -> Result<(), Refusal> {
        let seeking = predicate.more.as_ref().map(|more| more.seeking.clone()).unwrap_or_default();
        for slot in seeking {
            if *self.level(slot) == 1 {
                self.seek(step, slot)?;
            } else {
                *self.level(slot) -= 1;
            }
        }
        Self::pass_on(predicate, step);
        Ok(())
    }

    /// Finds steps of the path for the parents of its last step; the others are sought further out.
    pub(super) fn resolve(&mut self, path: &mut Node) -> Result<(), Refusal> {
        let Kind::Path { steps, .. } = &mut path.kind else { return Ok(()) };
        let Some(last) = steps.last_mut() else { return Ok(()) };
        let mut slots = last.more.as_ref().map(|more| more.seeking.clone()).unwrap_or_default();
        if let Kind::Parent(slot) = last.kind {
            slots.push(slot);
        }
        let mut open = Vec::new();
        for slot in slots {
            let mut index = steps.len() - 1;
            while *self.level(slot) > 0 {
                if index == 0 {
                    open.push(slot);
                    break;
                }
                index -= 1;
                // Steps in a row that bind their item all stand on the same item.
                while index > 0 && steps[index].focus().is_some() && steps[index - 1].focus().is_some() {
                    index -= 1;
                }
                self.seek(&mut steps[index], slot)?;
            }
        }
        if !open.is_empty() {
            path.more().seeking.extend(open);
        }
        Ok(())
    }

    fn seek(&mut self, node: &mut Node, slot: Slot) -> Result<(), Refusal> {
        let at = node.at as usize;
        match &mut node.kind {
            Kind::Name(_) | Kind::Wildcard => {
                *self.level(slot) -= 1;
                if *self.level(slot) == 0 {
                    if let Some(known) = node.ancestor() {
                        // Two parents at one step are the same item.
                        self.labels[slot as usize] = self.labels[known as usize];
                    }
                    node.more().ancestor = Some(slot);
                    node.tuple = true;
                }
                Ok(())
            }
            Kind::Parent(_) => {
                *self.level(slot) += 1;
                Ok(())
            }
            Kind::Block(parts, _) => {
                let Some(last) = parts.last_mut() else { return Ok(()) };
                node.tuple = true;
                self.seek(last, slot)
            }
            Kind::Path { steps, .. } => {
                node.tuple = true;
                let mut index = steps.len();
                while index > 0 {
                    index -= 1;
                    self.seek(&mut steps[index], slot)?;
                    if *self.level(slot) <= 0 {
                        break;
                    }
                }
                Ok(())
            }
            _ => Err(Refusal::new(&Fault::new("S0217"), at)),
        }
    }
}
