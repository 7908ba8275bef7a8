//! `TestState`: one state, run alone on the core, with every value on its way shown.
//!
//! ```text
//! Subject (a state, or a machine and a name) ─► run(Request) ─► Report: status, output or error, next state,
//!                                                  │              values on the way
//!                                                  └─► Call: the task is done for real; run again with its answer
//! ```
//! Nothing is journaled. The steps are those of every execution (`steps`), and a `Probe` observes them. A Map or
//! Parallel state is never entered: its result is the mock's.
//!
//! Source: `TestState` of the Step Functions API reference; forms and texts as recorded on AWS where a comment says so.

mod map;
mod probe;
mod refusal;
mod subject;

use std::sync::Arc;

use serde_json::Value;

pub use probe::{Inspection, Probe, Stage};
pub use refusal::Refusal;
pub use subject::Subject;

use crate::asl::model::{self, Kind, QueryLanguage};
use crate::clock::Timestamp;
use crate::ids::{Arn, ExecutionId, Realm, TaskKey};
use crate::query::Entropy;

use super::bounds::Bounds;
use super::decide::{Decider, Env, TokenMint};
use super::event::{Assigned, Event, Failure, FrameId, Payload, Started};
use super::state::{Position, State, Step};
use super::{failure, steps};

/// The parts of a test.
#[derive(Debug, Clone)]
pub struct Request {
    pub input: Payload,
    /// `context`: instead of the context object that would be made.
    pub context: Option<Value>,
    pub variables: Assigned,
    pub configuration: Configuration,
    pub role_arn: Option<String>,
    pub realm: Realm,
    pub at: Timestamp,
    /// The same for every run of one test: random values stay the same.
    pub entropy: u64,
}

/// `stateConfiguration`.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// How often the retrier that applies has fired already.
    pub retrier_retry_count: u32,
    pub error_caused_by_state: Option<String>,
    pub map_iteration_failure_count: Option<u64>,
    /// The items of an `ItemReader`.
    pub map_item_reader_data: Option<String>,
}

/// How the state's work ends: mocked, or done for real.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Result(Payload),
    Error(Failure),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Tested {
    Report(Box<Report>),
    /// A task without a mock: call this, and run again with the answer.
    Call {
        resource: Arc<str>,
        parameters: Payload,
        timeout_seconds: Option<u64>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Succeeded,
    Failed,
    /// A retrier would try again.
    Retriable,
    CaughtError,
}

impl Status {
    /// AWS's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Retriable => "RETRIABLE",
            Self::CaughtError => "CAUGHT_ERROR",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub status: Status,
    pub output: Option<Payload>,
    pub failure: Option<Failure>,
    pub next_state: Option<Arc<str>>,
    pub inspection: Inspection,
}

/// Which retrier and catcher took a failure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorDetails {
    pub catch_index: Option<usize>,
    pub retry_index: Option<usize>,
    pub retry_backoff_interval_seconds: Option<u64>,
}

/// Tokens of a test end nothing: no task waits for them.
struct Mint;

impl TokenMint for Mint {
    fn token(&self, key: TaskKey) -> String {
        format!("test-state-{}", key.execution)
    }
}

/// Runs the state.
///
/// # Errors
/// Reasons why a request cannot be run.
pub fn run(subject: &Subject, request: &Request, answer: Option<&Answer>) -> Result<Tested, Refusal> {
    let mut entropy = Entropy::new(request.at, request.entropy);
    // AWS tests a state as an express execution of a machine with a made-up name (recorded in the context object).
    let (machine, name) = (entropy.uuid(), entropy.uuid());
    let execution = ExecutionId(name);
    let realm = &request.realm;
    let started = Started {
        input: Payload::clone(&request.input),
        role_arn: request.role_arn.as_deref().unwrap_or_default().into(),
        arn: Arn::new(format!("arn:aws:states:{}:{}:express:{machine}:{name}", realm.region, realm.account)),
        name: name.to_string().into(),
        machine: realm.state_machine(&machine.to_string()),
        machine_name: machine.to_string().into(),
        version_arn: None,
        alias_arn: None,
        parent: None,
        block: None,
        item: None,
        map_run: None,
        attempt: 0,
        depth: 0,
        forked: None,
        trace: None,
    };
    let env = Env { execution, realm, tokens: &Mint, bounds: Bounds::default(), holds_timeouts: false };
    let mut state = State::default();
    let probe = Probe::new(request.context.clone());
    let mut d = Decider::probing(env, subject.machine(), &mut state, request.at, entropy, probe);
    d.emit(FrameId::TOP, Event::ExecutionStarted(Box::new(started)));
    d.state.stand_before(subject.name(), &request.variables, &request.input);
    d.advance(FrameId::TOP);
    Test { d, request, answer }.run()
}

struct Test<'a> {
    d: Decider<'a>,
    request: &'a Request,
    answer: Option<&'a Answer>,
}

const TOP: FrameId = FrameId::TOP;

impl Test<'_> {
    fn run(mut self) -> Result<Tested, Refusal> {
        let Some(state) = self.d.definition(TOP) else { return Err(Refusal::StateNotFound) };
        // A state takes a handful of steps; the bound is for mistakes of ours.
        for _ in 0..16 {
            let step = match self.d.state.frame(TOP).map(|f| &f.position) {
                Some(Position::In(visit)) => visit.step.clone(),
                Some(Position::At { next, input }) => {
                    let (next, output) = (next.clone(), Payload::clone(input));
                    return Ok(self.report(state, Status::Succeeded, Some(output), None, next, None));
                }
                Some(Position::Finished { output }) => {
                    let output = Payload::clone(output);
                    return Ok(self.report(state, Status::Succeeded, Some(output), None, None, None));
                }
                None => break,
            };
            match step {
                Step::Entered => self.enter(state)?,
                Step::Task(task) => {
                    let (family, scheduled) = (task.details.family.clone(), task.scheduled);
                    match self.answer {
                        None => {
                            let details = &task.details;
                            return Ok(Tested::Call {
                                resource: Arc::clone(&details.resource),
                                parameters: Payload::clone(&details.parameters),
                                timeout_seconds: details.timeout_seconds,
                            });
                        }
                        Some(Answer::Result(result)) => {
                            steps::task::take_result(&mut self.d, TOP, &task, Payload::clone(result), None, None);
                        }
                        Some(Answer::Error(failure)) => {
                            self.d.emit(
                                TOP,
                                Event::TaskFailed { family, scheduled, failure: failure.clone(), by: None, link: None },
                            );
                        }
                    }
                }
                Step::Succeeded(raw) => steps::succeeded(&mut self.d, TOP, state, &raw),
                // A test does not wait.
                Step::Waiting { .. } => {
                    self.d.emit(TOP, Event::WaitEnded);
                }
                Step::WaitOver => steps::wait::over(&mut self.d, TOP, state),
                Step::Failed(failure) => return Ok(self.failed(state, failure)),
                Step::Fork(_) | Step::MapRun(_) | Step::Backoff { .. } => break,
            }
        }
        Err(Refusal::Stuck)
    }

    fn enter(&mut self, state: &model::State) -> Result<(), Refusal> {
        let prepared = match (&state.kind, self.answer) {
            (Kind::Map(_) | Kind::Parallel(_), None) => return Err(Refusal::MockNeeded(state.kind.type_name())),
            (Kind::Parallel(parallel), Some(_)) => {
                steps::fork::parallel_input(&mut self.d, TOP, state, parallel).map(drop)
            }
            (Kind::Map(map), Some(answer)) => map::prepare(&mut self.d, state, map, self.request, answer)?,
            _ => {
                steps::enter(&mut self.d, TOP, state);
                return Ok(());
            }
        };
        match (prepared, self.answer.cloned()) {
            (Err(error), _) => failure::fail_state(&mut self.d, TOP, error),
            // A Map that failed by its own threshold has said so.
            (Ok(()), _) if !matches!(self.d.visit(TOP).map(|v| &v.step), Some(Step::Entered)) => {}
            (Ok(()), Some(Answer::Result(result))) => {
                self.d.state.take_for_result(&result);
            }
            (Ok(()), Some(Answer::Error(failure))) => {
                self.d.emit(TOP, Event::StateFailed(failure));
            }
            (Ok(()), None) => {}
        }
        Ok(())
    }

    /// Retriers first, then catchers, as every execution does it.
    fn failed(mut self, state: &model::State, failed: Failure) -> Tested {
        let (retry, catch) = failure::handlers(&state.kind);
        let mut details = ErrorDetails::default();
        if let Some((i, retrier)) = retry.iter().enumerate().find(|(_, r)| failure::matches(&r.error_equals, &failed)) {
            details.retry_index = Some(i);
            let done = self.request.configuration.retrier_retry_count;
            if u64::from(done) < retrier.max_attempts {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "delays are positive, below 10^8"
                )]
                let delay = failure::delay_seconds(retrier, done) as u64;
                details.retry_backoff_interval_seconds = Some(delay);
                return self.report(state, Status::Retriable, None, Some(failed), None, Some(details));
            }
        }
        if let Some((i, catcher)) = catch.iter().enumerate().find(|(_, c)| failure::matches(&c.error_equals, &failed)) {
            details.catch_index = Some(i);
            match failure::caught(&mut self.d, TOP, state, (i, catcher), &failed) {
                Ok(event) => {
                    let output = match &event {
                        Event::StateExited { output, .. } => Some(Payload::clone(output)),
                        _ => None,
                    };
                    self.d.emit(TOP, event);
                    let next = Some(Arc::clone(&catcher.next));
                    return self.report(state, Status::CaughtError, output, Some(failed), next, Some(details));
                }
                // The catcher itself failed; nothing catches that.
                Err(error) => {
                    failure::fail_state(&mut self.d, TOP, error);
                    let failed = match self.d.visit(TOP).map(|v| &v.step) {
                        Some(Step::Failed(f)) => f.clone(),
                        _ => failed,
                    };
                    return self.report(state, Status::Failed, None, Some(failed), None, Some(details));
                }
            }
        }
        let details = (details != ErrorDetails::default()).then_some(details);
        self.report(state, Status::Failed, None, Some(failed), None, details)
    }

    fn report(
        mut self,
        state: &model::State,
        status: Status,
        output: Option<Payload>,
        failure: Option<Failure>,
        next_state: Option<Arc<str>>,
        error_details: Option<ErrorDetails>,
    ) -> Tested {
        let mut inspection = self.d.probe.take().map(|probe| probe.seen).unwrap_or_default();
        inspection.input = Some(Payload::clone(&self.request.input));
        inspection.error_details = error_details;
        let variables = self.d.state.frame(TOP).map(|f| &f.variables).into_iter().flatten();
        inspection.variables = variables.map(|(name, value)| (name.to_string(), (**value).clone())).collect();
        shown(state, &mut inspection);
        Tested::Report(Box::new(Report { status, output, failure, next_state, inspection }))
    }
}

/// The values that AWS shows of a state of this kind (recorded).
fn shown(state: &model::State, seen: &mut Inspection) {
    match (state.language, &state.kind) {
        (QueryLanguage::Jsonata, kind) => {
            let arguments = seen.values.remove(&Stage::Parameters);
            let result = seen.values.remove(&Stage::Result);
            for stage in [Stage::InputPath, Stage::ResultSelector, Stage::ResultPath, Stage::ItemsPath] {
                seen.values.remove(&stage);
            }
            if let Kind::Task(_) = kind {
                seen.values.extend(arguments.map(|v| (Stage::Arguments, v)));
                seen.values.extend(result.map(|v| (Stage::Result, v)));
            }
        }
        // A constant result: the input is not looked at.
        (QueryLanguage::JsonPath, Kind::Pass(pass)) if pass.result.is_some() => {
            seen.values.remove(&Stage::InputPath);
        }
        // Recorded: a mock stands for branches and iterations, and their input is not shown.
        (QueryLanguage::JsonPath, Kind::Parallel(_)) => {
            for stage in [Stage::InputPath, Stage::Parameters, Stage::Result] {
                seen.values.remove(&stage);
            }
        }
        (QueryLanguage::JsonPath, Kind::Map(_)) => {
            seen.values.remove(&Stage::Result);
        }
        (QueryLanguage::JsonPath, Kind::Fail(_)) => {
            seen.values.extend(seen.input.clone().map(|v| (Stage::InputPath, v)));
        }
        _ => {}
    }
}
