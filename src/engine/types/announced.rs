//! The machines whose executions are announced to other systems.

/// Machines whose executions are announced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announced(Vec<String>);

impl Announced {
    /// Names of machines; `*` stands for any text at the end of a name.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::engine) fn has(&self, machine: &str) -> bool {
        self.0.iter().any(|name| match name.strip_suffix('*') {
            Some(begin) => machine.starts_with(begin),
            None => name == machine,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_named_whole_or_by_their_beginning() {
        let has = |names: &[&str], machine: &str| {
            Announced::new(names.iter().map(|name| (*name).to_owned()).collect()).has(machine)
        };
        assert!(has(&["*"], "orders") && has(&["orders"], "orders") && has(&["x", "ord*"], "orders"));
        assert!(!has(&[], "orders") && !has(&["order"], "orders") && !has(&["orders-*"], "orders"));
    }
}
