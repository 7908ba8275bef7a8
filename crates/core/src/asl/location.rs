//! Where in a definition: a path of names and numbers that grows on the stack while the definition is walked.

use std::fmt::Write as _;

/// A place in the definition. Cheap to extend: each step points at the one before it.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    parent: Option<&'a Location<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Top,
    Name(&'a str),
    Index(usize),
}

impl<'a> Location<'a> {
    /// The definition itself.
    pub const TOP: Location<'static> = Location { parent: None, step: Step::Top };

    #[must_use]
    pub const fn name(&'a self, name: &'a str) -> Location<'a> {
        Location { parent: Some(self), step: Step::Name(name) }
    }

    #[must_use]
    pub const fn index(&'a self, index: usize) -> Location<'a> {
        Location { parent: Some(self), step: Step::Index(index) }
    }

    /// As AWS writes it: `/States/Fork/Branches[0]/States/A`, names unescaped; `/` for the definition itself.
    #[must_use]
    pub fn to_aws(self) -> String {
        let mut text = String::new();
        self.walk(&mut |step| {
            match step {
                Step::Top => Ok(()),
                Step::Name(name) => write!(text, "/{name}"),
                Step::Index(index) => write!(text, "[{index}]"),
            }
            .unwrap_or_default();
        });
        if text.is_empty() { "/".to_owned() } else { text }
    }

    /// As RFC 6901 writes it: `/States/Fork/Branches/0/States/A`; empty for the definition itself.
    #[must_use]
    pub fn to_pointer(self) -> String {
        let mut text = String::new();
        self.walk(&mut |step| {
            match step {
                Step::Top => Ok(()),
                Step::Name(name) => write!(text, "/{}", name.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => write!(text, "/{index}"),
            }
            .unwrap_or_default();
        });
        text
    }

    fn walk(self, visit: &mut dyn FnMut(Step<'a>)) {
        if let Some(parent) = self.parent {
            parent.walk(visit);
        }
        visit(self.step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_written_as_aws_writes_it_and_as_a_json_pointer() {
        let top = Location::TOP;
        let (states, fork, branches) = (top.name("States"), "a/b", "Branches");
        let (fork, start) = (states.name(fork), "StartAt");
        let branches = fork.name(branches);
        let branch = branches.index(1);
        let start = branch.name(start);
        assert_eq!(start.to_aws(), "/States/a/b/Branches[1]/StartAt");
        assert_eq!(start.to_pointer(), "/States/a~1b/Branches/1/StartAt");
        assert_eq!((top.to_aws().as_str(), top.to_pointer().as_str()), ("/", ""));
    }
}
