//! `Assign`: names of variables and their scopes.
//!
//! Source: developer guide, "Passing data between states with variables". A name is a Unicode identifier of at most 80
//! characters. A block inside a Parallel or Map reads the variables around it and must not assign them; whether an
//! outer one has a value at that moment shows only when the machine runs, and the service accepts such a machine
//! (recorded), so it is a warning. A Distributed Map sees no outer variable.

use std::collections::HashSet;

use super::check::Checker;
use super::diagnostics::code;
use super::location::Location;
use super::model::{QueryLanguage, Template};
use super::reader::Object;
use super::spans::{Json, Node};
use crate::limits::NAME_CHARS_MAX;

impl<'n> Checker<'n> {
    /// `Assign` of a state, a Choice rule or a catcher.
    pub fn assign(
        &mut self,
        object: &Object<'n>,
        at: &Location<'_>,
        language: QueryLanguage,
        in_catcher: bool,
    ) -> Option<Option<Template>> {
        let Some(node) = object.node("Assign") else { return Some(None) };
        let at = at.name("Assign");
        let fields = self.read.as_object(node, &at)?;
        let mut sound = true;
        for member in fields.members {
            sound &= self.variable(variable_name(&member.name, language), &at, member.offset);
        }
        let template = self.as_template(node, &at, language, in_catcher)?;
        sound.then_some(Some(template))
    }

    fn variable(&mut self, name: &str, at: &Location<'_>, offset: u32) -> bool {
        if let Some(reason) = misnamed(name) {
            self.read.schema_hint(format!("Invalid variable name: '{name}'"), at, offset, reason);
            return false;
        }
        let (_, outer) = self.variables.split_last().map_or((None, &[][..]), |(own, outer)| (Some(own), outer));
        if outer.iter().any(|names| names.contains(name)) {
            let hint = "an inner block cannot assign a variable that has a value outside: use another name, or return \
                the value in Output and assign it in the state around this block";
            let message = format!("Variable '{name}' is assigned in an outer scope too");
            self.read.warning(code::VARIABLE_IN_OUTER_SCOPE, message, at, offset, hint);
        }
        true
    }

    /// The names that this block assigns, so that the blocks inside of it know them.
    pub fn declare_variables(&mut self, states: &Object<'n>) {
        let machine_language = self.machine_language;
        let mut names = HashSet::new();
        for state in states.members {
            let Json::Object(members) = &state.node.json else { continue };
            let state = Object { members, offset: state.node.offset };
            let language =
                state.node("QueryLanguage").map_or(machine_language, |node| super::fields::language_of(node.as_str()));
            let inner =
                ["Choices", "Catch"].into_iter().filter_map(|list| match state.node(list).map(|node| &node.json) {
                    Some(Json::Array(items)) => Some(items),
                    _ => None,
                });
            let mut declare = |node: &'n Node| {
                let Json::Object(members) = &node.json else { return };
                let Some(Json::Object(fields)) = (Object { members, offset: 0 }).node("Assign").map(|node| &node.json)
                else {
                    return;
                };
                names.extend(fields.iter().map(|field| variable_name(&field.name, language)));
            };
            inner.flatten().for_each(&mut declare);
            if let Some(Json::Object(fields)) = state.node("Assign").map(|node| &node.json) {
                names.extend(fields.iter().map(|field| variable_name(&field.name, language)));
            }
        }
        if let Some(own) = self.variables.last_mut() {
            *own = names;
        }
    }
}

/// In JSONPath the name stands before `.$`.
fn variable_name(key: &str, language: QueryLanguage) -> &str {
    match language {
        QueryLanguage::JsonPath => key.strip_suffix(".$").unwrap_or(key),
        QueryLanguage::Jsonata => key,
    }
}

/// Why a variable cannot have this name.
pub(crate) fn misnamed(name: &str) -> Option<String> {
    if name == "states" {
        Some("'states' is reserved: $states holds the state's data".to_owned())
    } else if name.chars().count() > NAME_CHARS_MAX {
        Some(format!("the name has more than {NAME_CHARS_MAX} characters"))
    } else if !is_identifier(name) {
        Some("a name begins with a letter and goes on with letters, digits and '_'".to_owned())
    } else {
        None
    }
}

/// Unicode identifiers (UAX #31), near enough: letters first, then letters, digits, `_`.
fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.all(|c| c.is_alphanumeric() || c == '_')
}
