//! JSONata as AWS Step Functions runs it: the language of version 2.0.6, AWS's six functions, no `$eval`, no input
//! document (everything is read through `$states` and the workflow variables).
//!
//! ```text
//! text ──compile──▶ Expression (shared in an Arc) ──evaluate(Bindings, Entropy, Limits)──▶ serde_json::Value
//!   syntax/: tokens, grammar, tree         heap.rs, value.rs: values that borrow the payload, one bounded arena
//!   rules.rs: forbidden parts, and the     eval/, builtins/: the evaluator and the functions; budget.rs: its work
//!             names that are read          out.rs: the result, within its bounds
//! ```
//!
//! `template.rs` holds the fields of a state (`Arguments`, `Output`, ...) in which such expressions stand, `cause.rs`
//! AWS's sentences for what went wrong. Evaluation is synchronous, runs on the caller's thread and ends within its
//! [`Limits`] in any case: see `docs/decisions/0025-jsonata.md`.

mod budget;
mod builtins;
mod cause;
#[cfg(test)]
mod counting;
#[cfg(test)]
mod differential;
mod error;
mod eval;
mod heap;
#[cfg(test)]
mod hostile;
mod number;
mod out;
mod rules;
#[cfg(test)]
mod starvation;
#[cfg(test)]
mod suite;
mod syntax;
pub mod template;
#[cfg(test)]
mod traps;
mod value;

use bumpalo::Bump;
use serde_json::Value;

pub use cause::cause;
pub use rules::{References, StatesMember};
pub use template::{Failure, JsonataTemplate, TemplateError, ValueType, expression_text};

use super::programs::Programs;
use super::{Entropy, QueryError, Roots};
use budget::Budget;
use error::{Bound, Stop};
use eval::Machine;
use heap::{Heap, Room, Scratch};
use syntax::tree::{Name, Program, Sym};
use value::{Frame, Val};

/// A step of an evaluation and an evaluation by itself, in units of work (`limits::DECISION_WORK_MAX`).
const STEP_WORK: u64 = 2;
const EVALUATION_WORK: u64 = 20;

/// A compiled expression. Made once when the machine is loaded, then shared.
#[derive(Debug)]
pub struct Expression {
    text: String,
    program: Box<Program>,
    references: References,
    /// Under which names `$states` and the workflow variables are bound.
    states: Option<Sym>,
    variables: Vec<Sym>,
    /// Where the expression is no more than `$states.input.a.b` or `$x.a.b`: the names to follow, without an engine.
    plain_path: Option<PlainPath>,
}

/// `$root.name.name`: most expressions of real machines.
#[derive(Debug)]
struct PlainPath {
    root: Root,
    names: Vec<Name>,
}

#[derive(Debug)]
enum Root {
    States(StatesMember),
    Variable(String),
}

/// A text that is no expression, or none that Step Functions accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    pub message: String,
    /// Byte offset in the text, where it is known.
    pub offset: Option<usize>,
}

impl SyntaxError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), offset: None }
    }
}

/// The values that an expression can read.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// `$states.input`, `$states.context` and the workflow variables.
    pub roots: &'a dyn Roots,
    /// `$states.result`: only where the state has one.
    pub result: Option<&'a Value>,
    /// `$states.errorOutput`: only in a Catcher.
    pub error_output: Option<&'a Value>,
}

impl<'a> Bindings<'a> {
    #[must_use]
    pub fn new(roots: &'a dyn Roots) -> Self {
        Self { roots, result: None, error_output: None }
    }

    #[must_use]
    pub fn with_result(self, result: &'a Value) -> Self {
        Self { result: Some(result), ..self }
    }

    #[must_use]
    pub fn with_error_output(self, error_output: &'a Value) -> Self {
        Self { error_output: Some(error_output), ..self }
    }

    fn member(&self, member: StatesMember) -> Option<&'a Value> {
        match member {
            StatesMember::Input => Some(self.roots.input()),
            StatesMember::Context => Some(self.roots.context()),
            StatesMember::Result => self.result,
            StatesMember::ErrorOutput => self.error_output,
        }
    }
}

impl std::fmt::Debug for Bindings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bindings").finish_non_exhaustive() // payloads are not for logs
    }
}

/// Bounds of one evaluation. Going over one is [`QueryError::Bound`], which names it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Units of work: about one for each node evaluated, item looked at, and 64 bytes of text. They alone end an
    /// evaluation that goes on and on, so that a slow machine gives the same answer as a fast one.
    pub steps: u64,
    /// Bytes of all that an evaluation makes and holds.
    pub heap_bytes: usize,
    /// Bytes of any one string.
    pub string_bytes: usize,
    /// Nesting of evaluation; about a third of it is left to a recursive function.
    pub depth: usize,
    /// Bytes of the result as JSON text. Above AWS's payload limit, so that the interpreter can say that one was met.
    pub result_bytes: usize,
    /// Nesting of the result. A journal read by serde_json holds 128 levels, and a result stands inside of an event.
    pub result_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 10_000_000,
            heap_bytes: 64 << 20,
            string_bytes: 8 << 20,
            depth: 320,
            result_bytes: 1 << 20,
            result_depth: 100,
        }
    }
}

impl Expression {
    /// Compiles the text between `{%` and `%}`, as Step Functions does when a machine is created.
    ///
    /// # Errors
    /// A part that is not allowed there: a syntax error with JSONata's code, or a feature that Step Functions does not
    /// offer (`$eval`; `$`, `$$` or a bare field name at the top level; operators newer than 2.0.6).
    pub fn compile(text: &str) -> Result<Self, SyntaxError> {
        Self::compile_within(text, &Programs::default())
    }

    /// The same for an expression of a definition, whose patterns share `programs`.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_within(text: &str, programs: &Programs) -> Result<Self, SyntaxError> {
        let text = text.trim();
        let refused = |(message, offset)| SyntaxError { message, offset: Some(offset) };
        let program =
            Box::new(syntax::parse(text, programs).map_err(|refusal| refused((refusal.message, refusal.at)))?);
        let references = rules::apply(&program).map_err(refused)?;
        let plain_path = rules::plain_path(&program).and_then(|(root, names)| PlainPath::new(root, &names));
        let states = program.symbols.find(rules::STATES).filter(|_| references.reads_states());
        let variables = references.variables().filter_map(|name| program.symbols.find(name)).collect();
        Ok(Self { text: text.to_owned(), program, references, states, variables, plain_path })
    }

    /// The text as written, trimmed: AWS quotes it in causes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names that the expression reads: workflow variables and members of `$states`.
    #[must_use]
    pub fn references(&self) -> &References {
        &self.references
    }

    /// Evaluates. Equal bindings, `entropy` and `limits` give equal results.
    ///
    /// # Errors
    /// [`QueryError::Undefined`] where the expression gives nothing, [`QueryError::Evaluation`] with JSONata's code and
    /// text where it fails, [`QueryError::Bound`] where it goes over a limit.
    pub fn evaluate(
        &self,
        bindings: &Bindings<'_>,
        entropy: &mut Entropy,
        limits: &Limits,
    ) -> Result<Value, QueryError> {
        if let Some(path) = &self.plain_path
            && let Some(outcome) = path.follow(bindings)
        {
            bindings.roots.spend(outcome.as_ref().map_or(1, super::work_of));
            return outcome;
        }
        let mut room = Room::take();
        let scratch = std::mem::take(&mut room.scratch).emptied();
        let (outcome, work, scratch) =
            evaluate(&room.bump, scratch, &self.program, entropy, limits, |heap, globals| {
                if let Some(name) = self.states {
                    let states = self.states(bindings, heap)?;
                    heap.bind(globals, name, states)?;
                }
                for name in &self.variables {
                    if let Some(value) = bindings.roots.variable(self.program.symbols.name(*name)) {
                        heap.bind(globals, *name, Val::of(value))?;
                    }
                }
                Ok(Val::Undefined)
            });
        room.scratch = scratch.emptied();
        room.leave();
        bindings.roots.spend(EVALUATION_WORK + work);
        outcome
    }

    /// `$states`, with the members that the expression reads.
    fn states<'e>(&self, bindings: &Bindings<'e>, heap: &Heap<'e>) -> Result<Val<'e>, Stop> {
        let mut fields = [("", Val::Undefined); StatesMember::ALL.len()];
        let mut count = 0;
        for member in StatesMember::ALL.into_iter().filter(|member| self.references.reads(*member)) {
            if let Some(value) = bindings.member(member) {
                fields[count] = (member.name(), Val::of(value));
                count += 1;
            }
        }
        heap.object(&fields[..count]).map(Val::Object)
    }
}

/// One evaluation, the work that it took, and its scratch space. `prepare` binds the variables and gives the input
/// document.
fn evaluate<'e>(
    bump: &'e Bump,
    scratch: Scratch<'e>,
    program: &'e Program,
    entropy: &'e mut Entropy,
    limits: &Limits,
    prepare: impl FnOnce(&mut Heap<'e>, &'e Frame<'e>) -> Result<Val<'e>, Stop>,
) -> (Result<Value, QueryError>, u64, Scratch<'e>) {
    let heap = Heap::new(bump, scratch, limits.heap_bytes, limits.string_bytes);
    let budget = Budget::new(limits.steps, limits.depth);
    let mut machine = Machine::new(heap, budget, entropy, program);
    let run = |machine: &mut Machine<'e>| -> Result<(Option<Value>, u64), Stop> {
        let globals = machine.heap.alloc(Frame { parent: None, vars: None.into(), tuple: None })?;
        let input = prepare(&mut machine.heap, globals)?;
        let value = machine.run(input, globals)?;
        out::json(value, limits, machine.heap.left())
    };
    let result = run(&mut machine);
    let steps = limits.steps - machine.budget.left().min(limits.steps);
    let copied = result.as_ref().map_or(0, |(_, copied)| *copied);
    let outcome = match result {
        Ok((Some(value), _)) => Ok(value),
        Ok((None, _)) => Err(QueryError::Undefined),
        Err(Stop::Fault(fault)) => Err(QueryError::Evaluation { message: fault.sentence() }),
        Err(Stop::Bound(bound)) => Err(QueryError::Bound { message: bound_message(bound, limits) }),
        Err(Stop::Function) => Err(QueryError::UnsupportedType),
    };
    (outcome, steps * STEP_WORK + copied, machine.heap.into_scratch())
}

/// AWS's sentences for memory and stack, and our own for bounds that AWS does not have.
fn bound_message(bound: Bound, limits: &Limits) -> String {
    match bound {
        Bound::Steps => format!("The expression takes more than {} steps of work", limits.steps),
        Bound::Memory => "Expression evaluation memory limit exceeded: Check for excessive memory usage".to_owned(),
        Bound::Depth => "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as \
             tail-recursive"
            .to_owned(),
        Bound::Text => format!("The expression builds a string of more than {} bytes", limits.string_bytes),
        Bound::Nesting => format!("The expression nests values deeper than {} levels", value::LEVELS_MAX),
        Bound::ResultBytes => format!("The result of the expression is larger than {} bytes", limits.result_bytes),
        Bound::ResultDepth => {
            format!("The result of the expression is nested deeper than {} levels", limits.result_depth)
        }
        Bound::Picture => "A picture string of the expression is longer or wider than 1024 characters".to_owned(),
    }
}

impl PlainPath {
    fn new(root: &str, names: &[&str]) -> Option<Self> {
        let (root, names) = match names.split_first() {
            Some((member, names)) if root == rules::STATES => (Root::States(StatesMember::named(member)?), names),
            None if root == rules::STATES => return None,
            _ => (Root::Variable(root.to_owned()), names),
        };
        Some(Self { root, names: names.iter().map(|name| Name::new(*name)).collect() })
    }

    /// `None` where the engine has to decide: a step over an array maps, flattens and unwraps.
    fn follow(&self, bindings: &Bindings<'_>) -> Option<Result<Value, QueryError>> {
        let mut value = match &self.root {
            Root::States(member) => bindings.member(*member)?,
            Root::Variable(name) => bindings.roots.variable(name)?,
        };
        for name in &self.names {
            value = match value {
                Value::Object(fields) => name.find(fields)?,
                _ => return None,
            };
        }
        Some(Ok(out::normalized(value)))
    }
}

#[cfg(test)]
mod tests;
