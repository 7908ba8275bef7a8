//! Filters: `[?(@.price < 10 && @.category in ['fiction'])]`.
//!
//! Comparison follows Jayway's `ValueNodes`: `==` sees the number in a string and the string in a number (`1 == '1'`),
//! `===` does not; a missing value equals nothing, so `!=` holds for it; `<` and its kin compare numbers with numbers
//! and strings with strings, and a number beside a string as text.

use std::borrow::Cow;
use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Number, Value};

use super::PathSyntaxError;
use super::eval::{Budget, Fault, Query};
use super::limits::{FILTER_DEPTH_MAX, REGEX_BYTES_MAX};
use super::parse::{self, Cursor, Names};
use crate::query::programs;

#[derive(Debug, Clone)]
pub(super) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Exists(Operand),
    Compare { left: Operand, operator: Operator, right: Operand },
}

#[derive(Debug, Clone)]
pub(super) enum Operand {
    /// `@…`
    Current(Query),
    /// `$…`: from the root of the path in which the filter stands.
    Document(Query),
    Literal(Value),
    Pattern(Box<Regex>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    SameType,
    NotSameType,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    In,
    NotIn,
    SubsetOf,
    AnyOf,
    NoneOf,
    All,
    Contains,
    Size,
    Empty,
}

/// Symbols before their prefixes.
const SYMBOLS: [(&str, Operator); 10] = [
    ("===", Operator::SameType),
    ("!==", Operator::NotSameType),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=~", Operator::Matches),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("=", Operator::Equal), // refused below, with a hint
];

const WORDS: [(&str, Operator); 9] = [
    ("in", Operator::In),
    ("nin", Operator::NotIn),
    ("subsetof", Operator::SubsetOf),
    ("anyof", Operator::AnyOf),
    ("noneof", Operator::NoneOf),
    ("all", Operator::All),
    ("contains", Operator::Contains),
    ("size", Operator::Size),
    ("empty", Operator::Empty),
];

/// Parses from the `(` after `[?` to its `)`.
pub(super) fn parse(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expr, PathSyntaxError> {
    if depth > FILTER_DEPTH_MAX {
        return Err(cursor.error(format!("A filter nests at most {FILTER_DEPTH_MAX} levels")));
    }
    cursor.bump();
    let expr = any_of(cursor, depth)?;
    cursor.skip_blanks();
    if cursor.eat(')') { Ok(expr) } else { Err(cursor.error("Failed to parse filter: expected an operator or ')'")) }
}

fn any_of(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expr, PathSyntaxError> {
    joined(cursor, "||", |c| joined(c, "&&", |c| term(c, depth), Expr::And), Expr::Or)
}

/// `part (symbol part)*`; a single part stands for itself.
fn joined(
    cursor: &mut Cursor<'_>,
    symbol: &str,
    mut part: impl FnMut(&mut Cursor<'_>) -> Result<Expr, PathSyntaxError>,
    whole: impl FnOnce(Vec<Expr>) -> Expr,
) -> Result<Expr, PathSyntaxError> {
    let first = part(cursor)?;
    let mut rest = Vec::new();
    loop {
        cursor.skip_blanks();
        if !cursor.rest().starts_with(symbol) {
            break;
        }
        cursor.at += symbol.len();
        rest.push(part(cursor)?);
    }
    if rest.is_empty() {
        return Ok(first);
    }
    rest.insert(0, first);
    Ok(whole(rest))
}

fn term(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expr, PathSyntaxError> {
    if depth > FILTER_DEPTH_MAX {
        return Err(cursor.error(format!("A filter nests at most {FILTER_DEPTH_MAX} levels")));
    }
    cursor.skip_blanks();
    match cursor.peek() {
        Some('!') => {
            cursor.bump();
            Ok(Expr::Not(Box::new(term(cursor, depth + 1)?)))
        }
        Some('(') => parse(cursor, depth + 1),
        _ => comparison(cursor, depth),
    }
}

fn comparison(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expr, PathSyntaxError> {
    let start = cursor.at;
    let left = operand(cursor, depth)?;
    cursor.skip_blanks();
    if cursor.at_end() || matches!(cursor.peek(), Some(')' | '&' | '|')) {
        return match left {
            Operand::Current(_) | Operand::Document(_) => Ok(Expr::Exists(left)),
            _ => Err(PathSyntaxError::new("A literal alone is no condition", start)),
        };
    }
    let operator = operator(cursor)?;
    cursor.skip_blanks();
    let right = operand(cursor, depth)?;
    Ok(Expr::Compare { left, operator, right })
}

fn operator(cursor: &mut Cursor<'_>) -> Result<Operator, PathSyntaxError> {
    let rest = cursor.rest();
    if let Some((symbol, operator)) = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
        if *symbol == "=" {
            return Err(cursor.error("Filter operator = is not supported: write =="));
        }
        cursor.at += symbol.len();
        return Ok(*operator);
    }
    let start = cursor.at;
    cursor.skip_while(|c| c.is_ascii_alphabetic());
    let word = &cursor.text[start..cursor.at];
    let found = WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, operator)| *operator);
    found.ok_or_else(|| PathSyntaxError::new(format!("Filter operator {word} is not supported"), start))
}

fn operand(cursor: &mut Cursor<'_>, depth: usize) -> Result<Operand, PathSyntaxError> {
    cursor.skip_blanks();
    match cursor.peek() {
        Some('@') => {
            cursor.bump();
            Ok(Operand::Current(parse::query(cursor, Names::InFilter { depth })?))
        }
        Some('$') => {
            cursor.bump();
            Ok(Operand::Document(parse::query(cursor, Names::InFilter { depth })?))
        }
        Some('/') => pattern(cursor),
        _ => literal(cursor, depth).map(Operand::Literal),
    }
}

/// `/…/` and its flags.
fn pattern(cursor: &mut Cursor<'_>) -> Result<Operand, PathSyntaxError> {
    let start = cursor.at;
    cursor.bump();
    let mut source = String::new();
    loop {
        match cursor.bump() {
            Some('/') => break,
            Some('\\') if cursor.peek() == Some('/') => {}
            Some('\\') => {
                source.push('\\');
                source.extend(cursor.bump());
            }
            Some(c) => source.push(c),
            None => return Err(PathSyntaxError::new("Pattern not closed. Expected /", start)),
        }
    }
    // Java's `matches`: the whole text.
    let mut builder = RegexBuilder::new(&format!("^(?:{source})$"));
    let mut ignores_case = false;
    while let Some(flag) = cursor.peek().filter(char::is_ascii_alphabetic) {
        match flag {
            'i' => {
                ignores_case = true;
                builder.case_insensitive(true)
            }
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            // Unicode case and classes are on already.
            'u' | 'U' => &mut builder,
            other => return Err(cursor.error(format!("'{other}' is no flag of a pattern"))),
        };
        cursor.bump();
    }
    let folded = programs::folded(&source, ignores_case);
    let regex = cursor
        .programs
        .compile(&mut builder, REGEX_BYTES_MAX, folded)
        .map_err(|reason| PathSyntaxError::new(format!("The pattern is no regular expression: {reason}"), start))?;
    Ok(Operand::Pattern(Box::new(regex)))
}

fn literal(cursor: &mut Cursor<'_>, depth: usize) -> Result<Value, PathSyntaxError> {
    if depth > FILTER_DEPTH_MAX {
        return Err(cursor.error(format!("A filter nests at most {FILTER_DEPTH_MAX} levels")));
    }
    cursor.skip_blanks();
    let start = cursor.at;
    match cursor.peek() {
        Some(quote @ ('\'' | '"')) => cursor.quoted(quote).map(Value::String),
        Some('[') => {
            cursor.bump();
            let mut items = Vec::new();
            list(cursor, ']', |c| {
                items.push(literal(c, depth + 1)?);
                Ok(())
            })?;
            Ok(Value::Array(items))
        }
        Some('{') => {
            cursor.bump();
            let mut fields = Map::new();
            list(cursor, '}', |c| {
                let Some(quote @ ('\'' | '"')) = c.peek() else { return Err(c.error("A key in quotes is missing")) };
                let key = c.quoted(quote)?;
                c.skip_blanks();
                if !c.eat(':') {
                    return Err(c.error("':' is missing"));
                }
                fields.insert(key, literal(c, depth + 1)?);
                Ok(())
            })?;
            Ok(Value::Object(fields))
        }
        Some('0'..='9' | '-' | '+' | '.') => {
            cursor.skip_while(|c| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
            let digits = &cursor.text[start..cursor.at];
            digits
                .parse::<Number>()
                .map(Value::Number)
                .map_err(|_| PathSyntaxError::new(format!("'{digits}' is no number"), start))
        }
        // The service takes a word without quotes as a text: inside an intrinsic function, where quotes would have to
        // be escaped, that is how a filter is written (`$.Tags[?(@.Key == Name)]`).
        Some(c) if c.is_alphabetic() || c == '_' => {
            cursor.skip_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
            Ok(match &cursor.text[start..cursor.at] {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                word => Value::String(word.to_owned()),
            })
        }
        _ => Err(PathSyntaxError::new(
            "Expected @, $, a string, a number, true, false, null, a list or a pattern",
            start,
        )),
    }
}

/// `(part (, part)*)? close`
fn list(
    cursor: &mut Cursor<'_>,
    close: char,
    mut part: impl FnMut(&mut Cursor<'_>) -> Result<(), PathSyntaxError>,
) -> Result<(), PathSyntaxError> {
    cursor.skip_blanks();
    if cursor.eat(close) {
        return Ok(());
    }
    loop {
        cursor.skip_blanks();
        part(cursor)?;
        cursor.skip_blanks();
        if cursor.eat(close) {
            return Ok(());
        }
        if !cursor.eat(',') {
            return Err(cursor.error(format!("Expected ',' or '{close}'")));
        }
    }
}

/// Whether `expr` holds for `current`. Depth is bounded by the parser.
pub(super) fn test(expr: &Expr, current: &Value, document: &Value, budget: &Budget) -> Result<bool, Fault> {
    match expr {
        Expr::And(parts) => {
            for part in parts {
                if !test(part, current, document, budget)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Expr::Or(parts) => {
            for part in parts {
                if test(part, current, document, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Expr::Not(inner) => Ok(!test(inner, current, document, budget)?),
        Expr::Exists(operand) => {
            let found = value_of(operand, current, document, budget)?;
            let indefinite = matches!(operand, Operand::Current(q) | Operand::Document(q) if !q.is_definite());
            Ok(found.is_some_and(|v| !(indefinite && v.as_array().is_some_and(Vec::is_empty))))
        }
        Expr::Compare { left, operator: Operator::Matches, right } => matches(left, right, current, document, budget),
        Expr::Compare { left, operator, right } => {
            let left = value_of(left, current, document, budget)?;
            let right = value_of(right, current, document, budget)?;
            Ok(compare(*operator, left.as_deref(), right.as_deref()))
        }
    }
}

/// `None`: there is no such value. A pattern is a value for `=~` only.
fn value_of<'v>(
    operand: &'v Operand,
    current: &'v Value,
    document: &'v Value,
    budget: &Budget,
) -> Result<Option<Cow<'v, Value>>, Fault> {
    let found = match operand {
        Operand::Current(query) => query.evaluate_at(current, document, budget),
        Operand::Document(query) => query.evaluate_at(document, document, budget),
        Operand::Literal(value) => return Ok(Some(Cow::Borrowed(value))),
        Operand::Pattern(_) => return Ok(None),
    };
    match found {
        Ok(value) => Ok(Some(value)),
        Err(Fault::Missing { .. } | Fault::Unfit { .. }) => Ok(None),
        Err(bound) => Err(bound),
    }
}

fn matches(left: &Operand, right: &Operand, current: &Value, document: &Value, budget: &Budget) -> Result<bool, Fault> {
    let (pattern, other) = match (left, right) {
        (Operand::Pattern(_), Operand::Pattern(_)) => return Ok(false),
        (Operand::Pattern(pattern), other) | (other, Operand::Pattern(pattern)) => (pattern, other),
        _ => return Ok(false),
    };
    let is_match = |value: &Value| match value {
        Value::String(s) => pattern.is_match(s),
        Value::Number(_) | Value::Bool(_) => pattern.is_match(&value.to_string()),
        // Jayway matches the empty text for all that has none.
        _ => pattern.is_match(""),
    };
    Ok(match value_of(other, current, document, budget)?.as_deref() {
        Some(Value::Array(items)) => items.iter().any(is_match),
        Some(value) => is_match(value),
        None => pattern.is_match(""),
    })
}

fn compare(operator: Operator, left: Option<&Value>, right: Option<&Value>) -> bool {
    let lists = || Some((left?.as_array()?, right?.as_array()?));
    let contains = |list: &[Value], wanted: &Value| list.iter().any(|item| equal(item, wanted));
    let is_in = || left.zip(right.and_then(Value::as_array)).is_some_and(|(wanted, list)| contains(list, wanted));
    let ordered = |holds: fn(Ordering) -> bool| left.zip(right).and_then(|(l, r)| order(l, r)).is_some_and(holds);
    match operator {
        Operator::Equal => left.zip(right).is_some_and(|(l, r)| equal(l, r)),
        Operator::NotEqual => !left.zip(right).is_some_and(|(l, r)| equal(l, r)),
        Operator::SameType => left.zip(right).is_some_and(|(l, r)| same_type(l, r) && equal(l, r)),
        Operator::NotSameType => !left.zip(right).is_some_and(|(l, r)| same_type(l, r) && equal(l, r)),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::LessOrEqual => ordered(Ordering::is_le),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(Ordering::is_ge),
        Operator::In => is_in(),
        Operator::NotIn => !is_in(),
        Operator::SubsetOf => lists().is_some_and(|(l, r)| l.iter().all(|item| contains(r, item))),
        Operator::AnyOf => lists().is_some_and(|(l, r)| l.iter().any(|item| contains(r, item))),
        Operator::NoneOf => lists().is_some_and(|(l, r)| !l.iter().any(|item| contains(r, item))),
        Operator::All => lists().is_some_and(|(l, r)| r.iter().all(|item| contains(l, item))),
        Operator::Contains => match (left, right) {
            (Some(Value::String(text)), Some(Value::String(part))) => text.contains(part.as_str()),
            (Some(Value::Array(list)), Some(wanted)) => contains(list, wanted),
            _ => false,
        },
        Operator::Size => match (left, right.and_then(Value::as_u64)) {
            // Java counts UTF-16 units.
            (Some(Value::String(text)), Some(size)) => text.encode_utf16().count() as u64 == size,
            (Some(Value::Array(list)), Some(size)) => list.len() as u64 == size,
            _ => false,
        },
        Operator::Empty => match (left, right.and_then(Value::as_bool)) {
            (Some(Value::String(text)), Some(empty)) => text.is_empty() == empty,
            (Some(Value::Array(list)), Some(empty)) => list.is_empty() == empty,
            (Some(Value::Object(fields)), Some(empty)) => fields.is_empty() == empty,
            _ => false,
        },
        Operator::Matches => false,
    }
}

fn same_type(left: &Value, right: &Value) -> bool {
    std::mem::discriminant(left) == std::mem::discriminant(right)
}

/// Jayway's `==`.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(l), Value::Number(r)) => order_numbers(l, r) == Some(Ordering::Equal),
        (Value::Number(n), Value::String(s)) => {
            s.parse::<Number>().is_ok_and(|parsed| order_numbers(n, &parsed) == Some(Ordering::Equal))
        }
        (Value::String(s), Value::Number(n)) => *s == n.to_string(),
        _ => left == right,
    }
}

/// Jayway's order; `None` where it has none.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(l), Value::Number(r)) => order_numbers(l, r),
        (Value::String(l), Value::String(r)) => Some(l.cmp(r)),
        (Value::String(l), Value::Number(r)) => Some(l.as_str().cmp(&r.to_string())),
        (Value::Number(l), Value::String(r)) => Some(l.to_string().as_str().cmp(r)),
        _ => None,
    }
}

fn order_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i64(), right.as_i64()) {
        (Some(l), Some(r)) => Some(l.cmp(&r)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
