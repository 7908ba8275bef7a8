//! Choice: rules, their comparisons and the types of the operands.
//!
//! Source: Amazon States Language specification, "Choice State". JSONPath rules compare a `Variable`; JSONata rules
//! have a `Condition`.

use super::check::{Checker, Site};
use super::diagnostics::code;
use super::expressions::looks_computed;
use super::fields::{self, Field, Scope};
use super::location::Location;
use super::model::{Choice, Condition, Operand, Operator, QueryLanguage, Rule};
use super::reader::Object;
use super::simple::{NOT_A_TIMESTAMP, is_timestamp};
use super::spans::{Json, Node};
use crate::query::jsonata::Expression;

/// The type of the literal that an operator compares with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Literal {
    String,
    Number,
    Boolean,
    Timestamp,
}

/// Name, operator, type of its literal, whether it has a `...Path` form.
const OPERATORS: [(&str, Operator, Literal, bool); 23] = [
    ("StringEquals", Operator::StringEquals, Literal::String, true),
    ("StringLessThan", Operator::StringLessThan, Literal::String, true),
    ("StringGreaterThan", Operator::StringGreaterThan, Literal::String, true),
    ("StringLessThanEquals", Operator::StringLessThanEquals, Literal::String, true),
    ("StringGreaterThanEquals", Operator::StringGreaterThanEquals, Literal::String, true),
    ("StringMatches", Operator::StringMatches, Literal::String, false),
    ("NumericEquals", Operator::NumericEquals, Literal::Number, true),
    ("NumericLessThan", Operator::NumericLessThan, Literal::Number, true),
    ("NumericGreaterThan", Operator::NumericGreaterThan, Literal::Number, true),
    ("NumericLessThanEquals", Operator::NumericLessThanEquals, Literal::Number, true),
    ("NumericGreaterThanEquals", Operator::NumericGreaterThanEquals, Literal::Number, true),
    ("BooleanEquals", Operator::BooleanEquals, Literal::Boolean, true),
    ("TimestampEquals", Operator::TimestampEquals, Literal::Timestamp, true),
    ("TimestampLessThan", Operator::TimestampLessThan, Literal::Timestamp, true),
    ("TimestampGreaterThan", Operator::TimestampGreaterThan, Literal::Timestamp, true),
    ("TimestampLessThanEquals", Operator::TimestampLessThanEquals, Literal::Timestamp, true),
    ("TimestampGreaterThanEquals", Operator::TimestampGreaterThanEquals, Literal::Timestamp, true),
    ("IsNull", Operator::IsNull, Literal::Boolean, false),
    ("IsPresent", Operator::IsPresent, Literal::Boolean, false),
    ("IsNumeric", Operator::IsNumeric, Literal::Boolean, false),
    ("IsString", Operator::IsString, Literal::Boolean, false),
    ("IsBoolean", Operator::IsBoolean, Literal::Boolean, false),
    ("IsTimestamp", Operator::IsTimestamp, Literal::Boolean, false),
];

/// The operator of this field name, and whether it is the `...Path` form.
fn operator(name: &str) -> Option<(Operator, Literal, bool)> {
    OPERATORS.iter().find_map(|(plain, operator, literal, has_path)| match name.strip_prefix(plain) {
        Some("") => Some((*operator, *literal, false)),
        Some("Path") if *has_path => Some((*operator, *literal, true)),
        _ => None,
    })
}

impl<'n> Checker<'n> {
    pub fn choice(&mut self, site: &Site<'_, 'n>) -> Option<Choice> {
        let Site { object, at, around, .. } = *site;
        self.read.required(&object, &["Choices"], at);
        let choices = self.read.filled_array(&object, "Choices", at);
        let choices_at = at.name("Choices");
        let rules: Option<Vec<Option<Rule>>> = choices.map(|items| {
            items.iter().enumerate().map(|(i, node)| self.rule(site, node, &choices_at.index(i))).collect()
        });
        let default =
            if object.has("Default") { self.next(&object, "Default", at, around).map(Some) } else { Some(None) };
        Some(Choice { rules: rules?.into_iter().collect::<Option<_>>()?, default: default? })
    }

    fn rule(&mut self, site: &Site<'_, 'n>, node: &'n Node, at: &Location<'_>) -> Option<Rule> {
        let object = self.read.as_object(node, at)?;
        let language = site.language;
        self.rule_fields(&object, fields::RULE, language, at);
        self.comment(&object, at);
        let required: &[&str] = if language == QueryLanguage::Jsonata { &["Condition", "Next"] } else { &["Next"] };
        self.read.required(&object, required, at);
        let next = self.next(&object, "Next", at, site.around);
        let assign = self.assign(&object, at, language, false);
        let (condition, output) = if language == QueryLanguage::Jsonata {
            (self.jsonata_condition(&object, at), self.template(&object, "Output", at, language))
        } else {
            (self.condition(&object, at), Some(None))
        };
        Some(Rule { condition: condition?, next: next?, assign: assign?, output: output? })
    }

    /// The fields of a rule: those of the table and the comparison operators.
    fn rule_fields(&mut self, object: &Object<'n>, table: &[Field], language: QueryLanguage, at: &Location<'_>) {
        let comparison = |name: &str| operator(name).map(|_| Scope::JsonPath);
        self.read.known_fields_and(object, table, comparison, Some(language), at);
    }

    fn jsonata_condition(&mut self, object: &Object<'n>, at: &Location<'_>) -> Option<Condition> {
        let node = object.node("Condition")?;
        let at = at.name("Condition");
        // A constant is accepted (recorded), though it needs no Choice.
        if let Json::Bool(constant) = node.json {
            return Expression::compile(if constant { "true" } else { "false" }).ok().map(Condition::Jsonata);
        }
        self.read.as_string(node, &at)?;
        let Some(expression) = self.expression(node, &at, false).ok()? else {
            let hint = "a condition is an expression, for example \"{% $states.input.count > 3 %}\"";
            self.read.schema_hint("JSONata string must start with {% and end with %}", &at, node.offset, hint);
            return None;
        };
        Some(Condition::Jsonata(expression))
    }

    /// `And`, `Or`, `Not`, or a comparison: exactly one of them.
    fn condition(&mut self, object: &Object<'n>, at: &Location<'_>) -> Option<Condition> {
        let present: Vec<&str> = ["Variable", "And", "Or", "Not"].into_iter().filter(|name| object.has(name)).collect();
        match present[..] {
            [name @ ("And" | "Or")] => {
                self.refuse_operators(object, name, at);
                let items = self.read.filled_array(object, name, at)?;
                let at = at.name(name);
                let conditions: Vec<Option<Condition>> =
                    items.iter().enumerate().map(|(i, node)| self.nested(node, &at.index(i))).collect();
                let conditions = conditions.into_iter().collect::<Option<_>>()?;
                Some(if name == "And" { Condition::And(conditions) } else { Condition::Or(conditions) })
            }
            ["Not"] => {
                self.refuse_operators(object, "Not", at);
                let node = object.node("Not")?;
                self.nested(node, &at.name("Not")).map(|condition| Condition::Not(Box::new(condition)))
            }
            ["Variable"] => self.comparison(object, at),
            _ => {
                self.read.exactly_one(object, &["Variable", "And", "Or", "Not"], at);
                None
            }
        }
    }

    fn nested(&mut self, node: &'n Node, at: &Location<'_>) -> Option<Condition> {
        let object = self.read.as_object(node, at)?;
        self.rule_fields(&object, fields::NESTED_RULE, QueryLanguage::JsonPath, at);
        self.comment(&object, at);
        self.condition(&object, at)
    }

    /// A comparison beside `And`, `Or`, `Not` has no `Variable` to look at.
    fn refuse_operators(&mut self, object: &Object<'n>, beside: &str, at: &Location<'_>) {
        for member in object.members.iter().filter(|m| operator(&m.name).is_some()) {
            let hint = format!("move the comparison into the list of '{beside}', with its Variable");
            self.read.schema_hint(
                format!("Field '{}' is not supported beside '{beside}'", member.name),
                at,
                member.offset,
                hint,
            );
        }
    }

    fn comparison(&mut self, object: &Object<'n>, at: &Location<'_>) -> Option<Condition> {
        let variable = object.node("Variable").and_then(|node| self.reference_path(node, &at.name("Variable")));
        let mut operators = object.members.iter().filter_map(|m| operator(&m.name).map(|found| (m, found)));
        let Some((member, (operator, literal, path))) = operators.next() else {
            let hint = "add a comparison, for example \"StringEquals\": \"yes\" or \"IsPresent\": true";
            self.read.schema_hint("A comparison operator is required beside 'Variable'", at, object.offset, hint);
            return None;
        };
        if let Some((second, _)) = operators.next() {
            let hint = format!("'{}' stands here already; join several comparisons with And", member.name);
            self.read.schema_hint("Only one comparison operator is allowed in a rule", at, second.offset, hint);
            return None;
        }
        let at = at.name(&member.name);
        let operand = if path {
            Operand::Path(self.reference_path(&member.node, &at)?)
        } else {
            self.literal(&member.name, &member.node, literal, &at)?;
            Operand::Literal(member.node.to_value())
        };
        Some(Condition::Test { variable: variable?, operator, operand })
    }

    fn literal(&mut self, name: &str, node: &'n Node, literal: Literal, at: &Location<'_>) -> Option<()> {
        let kind = match (literal, &node.json) {
            (Literal::String, Json::String(text)) => {
                if looks_computed(text) {
                    let message = format!("The value of the field '{name}' looks like a path or an intrinsic function");
                    self.read.warning(
                        code::NO_PATH,
                        message,
                        at,
                        node.offset,
                        format!("to compare with it, use '{name}Path'"),
                    );
                }
                return Some(());
            }
            (Literal::Number, Json::Number(_)) | (Literal::Boolean, Json::Bool(_)) => return Some(()),
            (Literal::Timestamp, Json::String(text)) if is_timestamp(text) => return Some(()),
            (Literal::Timestamp, Json::String(_)) => {
                let hint =
                    format!("for example 2026-01-31T08:00:00Z; to compare with a field of the input, use '{name}Path'");
                self.read.schema_hint(NOT_A_TIMESTAMP, at, node.offset, hint);
                return None;
            }
            (Literal::String | Literal::Timestamp, _) => "STRING",
            (Literal::Number, _) => "NUMBER",
            (Literal::Boolean, _) => "BOOLEAN",
        };
        let hint =
            format!("{name} compares with a literal; to compare with a field of the input, use a '...Path' operator");
        self.read.schema_hint(format!("Expected value of type [{kind}]"), at, node.offset, hint);
        None
    }
}
