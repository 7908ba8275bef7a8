//! One evaluation: jsonata-core under its guard.
//!
//! Values of the library are not `Send` and never leave [`evaluate`]: converted in, evaluated, converted out, dropped.

use std::time::Instant;

use jsonata_core::IndexMap;
use jsonata_core::ast::AstNode;
use jsonata_core::evaluator::{Context, Evaluator, EvaluatorError, EvaluatorOptions};
use jsonata_core::guard::{self, Bounds, Exceeded, Stopped, World};
use jsonata_core::value::JValue;
use serde_json::Value;

use super::super::{Entropy, QueryError};
use super::check::{References, STATES, StatesMember};
use super::{Bindings, Limits, cause, convert, functions};

/// A step of the library, in units of work (`limits::DECISION_WORK_MAX`).
const STEP_WORK: u64 = 5;

/// Evaluates for a state: no input document, only what the expression refers to is bound.
pub(super) fn evaluate(
    ast: &AstNode,
    references: &References,
    bindings: &Bindings<'_>,
    entropy: &mut Entropy,
    limits: &Limits,
) -> Result<Value, QueryError> {
    // Drawn only where it is used, so that an unrelated change of an expression does not move the others' chance.
    let seed = if references.draws_chance() { entropy.next_u64() } else { 0 };
    let (outcome, steps) = counted(ast, seed, entropy.now.millis(), limits, |context| {
        if references.reads_states() {
            context.bind(STATES.to_owned(), states(references, bindings));
        }
        for name in references.variables() {
            if let Some(value) = bindings.roots.variable(name) {
                context.bind(name.to_owned(), convert::into_engine(value));
            }
        }
        JValue::Undefined
    });
    bindings.roots.spend(steps * STEP_WORK);
    outcome
}

fn states(references: &References, bindings: &Bindings<'_>) -> JValue {
    let read = StatesMember::ALL.into_iter().filter(|member| references.reads(*member));
    let members =
        read.filter_map(|member| Some((member.name().to_owned(), convert::into_engine(bindings.member(member)?))));
    JValue::object(members.collect::<IndexMap<_, _>>())
}

/// Without its steps.
#[cfg(test)]
pub(super) fn run(
    ast: &AstNode,
    seed: u64,
    now_millis: i64,
    limits: &Limits,
    prepare: impl FnOnce(&mut Context) -> JValue,
) -> Result<Value, QueryError> {
    counted(ast, seed, now_millis, limits, prepare).0
}

/// The value, and the steps that it took. `prepare` binds what the expression may read and gives its input document. It
/// runs under the guard like the expression.
fn counted(
    ast: &AstNode,
    seed: u64,
    now_millis: i64,
    limits: &Limits,
    prepare: impl FnOnce(&mut Context) -> JValue,
) -> (Result<Value, QueryError>, u64) {
    // One that is stopped has taken all of them.
    let mut left = 0;
    let bounds = Bounds {
        steps: limits.steps,
        bytes: limits.built_bytes,
        string_bytes: limits.string_bytes,
        // A backstop for work that the steps do not count; not the time that expressions see.
        deadline: Instant::now().checked_add(limits.time),
    };
    let outcome = guard::bounded(bounds, World { now_millis, seed }, || {
        let mut context = Context::new();
        let input = prepare(&mut context);
        let options = EvaluatorOptions {
            max_stack_depth: Some(limits.call_depth),
            max_sequence_length: Some(limits.sequence_items),
            ..EvaluatorOptions::default()
        };
        let mut evaluator = Evaluator::with_options(context, options);
        functions::register(&mut evaluator, limits).map_err(|e| failure(&e, limits))?;
        let value = evaluator.evaluate(ast, &input).map_err(|e| failure(&e, limits));
        let value = value.and_then(|value| convert::out_of_engine(&value, limits));
        left = guard::left().min(limits.steps);
        value
    });
    let steps = limits.steps - left;
    let outcome = match outcome {
        Ok(result) => result,
        Err(Stopped::Bound(exceeded)) => Err(QueryError::Bound { message: bound_message(exceeded, limits) }),
        Err(Stopped::Panic(message)) => {
            Err(QueryError::Evaluation { message: format!("The expression could not be evaluated: {message}") })
        }
    };
    (outcome, steps)
}

/// The library's own two bounds become ours, with their figures.
fn failure(error: &EvaluatorError, limits: &Limits) -> QueryError {
    let message = match error.code() {
        Some("D1011" | "U1001") => format!("The expression nests calls deeper than {} levels", limits.call_depth),
        Some("D2015") => format!("The expression makes a sequence of more than {} items", limits.sequence_items),
        _ => return cause::failed(error.message()),
    };
    QueryError::Bound { message }
}

fn bound_message(exceeded: Exceeded, limits: &Limits) -> String {
    match exceeded {
        Exceeded::Steps => format!("The expression takes more than {} steps of work", limits.steps),
        Exceeded::Time => format!("The expression takes longer than {} ms", limits.time.as_millis()),
        Exceeded::Bytes => format!("The expression builds more than {} bytes of values", limits.built_bytes),
        Exceeded::StringBytes => format!("The expression builds a string of more than {} bytes", limits.string_bytes),
        Exceeded::Picture => "A picture string of the expression is longer or wider than 1024 characters".to_owned(),
    }
}
