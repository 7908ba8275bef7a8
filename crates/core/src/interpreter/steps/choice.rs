//! Choice: the first rule that holds decides where the frame goes.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use crate::asl::model::{Choice, Condition, Operand, Operator, QueryLanguage, Rule, State};
use crate::clock::parse_rfc3339;
use crate::interpreter::dataflow::{self, EvalError, Extra};
use crate::interpreter::decide::Decider;
use crate::interpreter::event::{FrameId, Payload};
use crate::query::{Entropy, QueryError, Roots};

use super::{effective_input, exit};

pub(in crate::interpreter) fn enter(
    d: &mut Decider<'_>,
    frame: FrameId,
    state: &State,
    choice: &Choice,
) -> Result<(), EvalError> {
    let input = effective_input(d, frame, state)?;
    let (scope, entropy) = d.scope(frame, &input, None);
    let mut taken: Option<(usize, &Rule)> = None;
    for (i, rule) in choice.rules.iter().enumerate() {
        if holds(&rule.condition, i, &scope, entropy)? {
            taken = Some((i, rule));
            break;
        }
    }
    let Some(next) = taken.map(|(_, r)| &r.next).or(choice.default.as_ref()) else {
        // Measured on AWS, whose guide names `States.NoChoiceMatched`.
        return Err(EvalError::runtime(
            "Failed to transition out of the state. The state does not point to a next state.",
        ));
    };
    // A rule that fires runs its own Assign and Output; the default those of the state.
    let (assign, output, at) = match taken {
        Some((i, rule)) => (rule.assign.as_ref(), rule.output.as_ref(), format!("Choices[{i}]/")),
        None => (state.assign.as_ref(), None, String::new()),
    };
    let assigned = dataflow::assign(assign, &format!("{at}Assign"), &scope, Extra::default(), entropy)?;
    let output = match output {
        Some(t) => Some((t, format!("{at}Output"))),
        None => state.output.as_ref().map(|t| (t, "Output".to_owned())),
    };
    let output = match (state.language, output) {
        (QueryLanguage::Jsonata, Some((t, field))) => dataflow::payload(t, &field, &scope, Extra::default(), entropy)?,
        (QueryLanguage::Jsonata, None) => Payload::clone(&input),
        (QueryLanguage::JsonPath, _) => dataflow::output_path(state, &input, &scope)?,
    };
    let next = Arc::clone(next);
    exit(d, frame, state, output, assigned, Some(next))
}

fn holds(condition: &Condition, rule: usize, roots: &dyn Roots, entropy: &mut Entropy) -> Result<bool, EvalError> {
    match condition {
        Condition::And(all) => {
            for c in all {
                if !holds(c, rule, roots, entropy)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Condition::Or(any) => {
            for c in any {
                if holds(c, rule, roots, entropy)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Condition::Not(c) => Ok(!holds(c, rule, roots, entropy)?),
        Condition::Jsonata(e) => dataflow::condition(e, &format!("Choices[{rule}]/Condition"), roots, entropy),
        Condition::Test { variable, operator, operand } => {
            let found = variable.find(roots);
            if *operator == Operator::IsPresent && found != Err(QueryError::NullInput) {
                return Ok(found.is_ok() == (*operand_value(operand, roots)? == Value::Bool(true)));
            }
            let value = found.map_err(|e| unread(&e, variable.text()))?;
            let operand = operand_value(operand, roots)?;
            Ok(test(*operator, &value, &operand))
        }
    }
}

fn operand_value<'a>(operand: &'a Operand, roots: &'a dyn Roots) -> Result<std::borrow::Cow<'a, Value>, EvalError> {
    match operand {
        Operand::Literal(v) => Ok(std::borrow::Cow::Borrowed(v)),
        Operand::Path(p) => p.find(roots).map_err(|e| unread(&e, p.text())),
    }
}

fn unread(error: &QueryError, path: &str) -> EvalError {
    if *error == QueryError::NullInput {
        return EvalError::runtime(error.to_string());
    }
    EvalError::runtime(format!("Invalid path '{path}': The choice state's condition path references an invalid value."))
}

/// A comparison of values of other types than the operator's is false.
fn test(operator: Operator, value: &Value, operand: &Value) -> bool {
    use Operator as O;
    let wanted = *operand == Value::Bool(true);
    match operator {
        O::StringEquals => strings(value, operand) == Some(Ordering::Equal),
        O::StringLessThan => strings(value, operand) == Some(Ordering::Less),
        O::StringGreaterThan => strings(value, operand) == Some(Ordering::Greater),
        O::StringLessThanEquals => strings(value, operand).is_some_and(Ordering::is_le),
        O::StringGreaterThanEquals => strings(value, operand).is_some_and(Ordering::is_ge),
        O::StringMatches => match (value, operand) {
            (Value::String(text), Value::String(pattern)) => matches_pattern(text, pattern),
            _ => false,
        },
        O::NumericEquals => numbers(value, operand) == Some(Ordering::Equal),
        O::NumericLessThan => numbers(value, operand) == Some(Ordering::Less),
        O::NumericGreaterThan => numbers(value, operand) == Some(Ordering::Greater),
        O::NumericLessThanEquals => numbers(value, operand).is_some_and(Ordering::is_le),
        O::NumericGreaterThanEquals => numbers(value, operand).is_some_and(Ordering::is_ge),
        O::BooleanEquals => matches!((value, operand), (Value::Bool(a), Value::Bool(b)) if a == b),
        O::TimestampEquals => moments(value, operand) == Some(Ordering::Equal),
        O::TimestampLessThan => moments(value, operand) == Some(Ordering::Less),
        O::TimestampGreaterThan => moments(value, operand) == Some(Ordering::Greater),
        O::TimestampLessThanEquals => moments(value, operand).is_some_and(Ordering::is_le),
        O::TimestampGreaterThanEquals => moments(value, operand).is_some_and(Ordering::is_ge),
        O::IsNull => value.is_null() == wanted,
        O::IsPresent => wanted,
        O::IsNumeric => value.is_number() == wanted,
        O::IsString => value.is_string() == wanted,
        O::IsBoolean => value.is_boolean() == wanted,
        O::IsTimestamp => moment(value).is_some() == wanted,
    }
}

/// By UTF-16 code units, as Java compares.
fn strings(a: &Value, b: &Value) -> Option<Ordering> {
    Some(a.as_str()?.encode_utf16().cmp(b.as_str()?.encode_utf16()))
}

fn numbers(a: &Value, b: &Value) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
        return Some(a.cmp(&b));
    }
    a.as_f64()?.partial_cmp(&b.as_f64()?)
}

fn moment(value: &Value) -> Option<jiff::Timestamp> {
    parse_rfc3339(value.as_str()?).ok()
}

fn moments(a: &Value, b: &Value) -> Option<Ordering> {
    Some(moment(a)?.cmp(&moment(b)?))
}

/// `*` stands for any run of characters; `\*` for a star, `\\` for a backslash.
fn matches_pattern(text: &str, pattern: &str) -> bool {
    #[derive(PartialEq)]
    enum Part {
        Any,
        Char(char),
    }
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '*' => Part::Any,
            '\\' => Part::Char(chars.next().unwrap_or('\\')),
            c => Part::Char(c),
        });
    }
    // Greedy with one point of return: linear in practice, at worst text × pattern.
    let text: Vec<char> = text.chars().collect();
    let (mut t, mut p) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match parts.get(p) {
            Some(Part::Any) => {
                back = Some((p, t));
                p += 1;
            }
            Some(Part::Char(c)) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    p = star + 1;
                    t = from + 1;
                    back = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    parts[p..].iter().all(|part| *part == Part::Any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_match_as_the_language_says() {
        for (text, pattern, yes) in [
            ("log-2020.txt", "log-*.txt", true),
            ("log.txt", "log-*.txt", false),
            ("a*b", r"a\*b", true),
            ("axb", r"a\*b", false),
            (r"a\b", r"a\\b", true),
            ("", "*", true),
            ("abcabc", "*abc", true),
            ("foo23.log", "foo*.log", true),
        ] {
            assert_eq!(matches_pattern(text, pattern), yes, "{text} ~ {pattern}");
        }
    }

    #[test]
    fn other_types_never_compare() {
        assert!(!test(Operator::NumericEquals, &json!("1"), &json!(1)));
        assert!(test(Operator::NumericEquals, &json!(1.0), &json!(1)));
        assert!(!test(Operator::StringEquals, &json!(1), &json!("1")));
        assert!(test(Operator::TimestampEquals, &json!("2016-03-14T01:59:00Z"), &json!("2016-03-14T02:59:00+01:00")));
        assert!(test(Operator::IsTimestamp, &json!("tomorrow"), &json!(false)));
    }
}
