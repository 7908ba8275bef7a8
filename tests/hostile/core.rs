//! The pure core's targets: bytes of others in, no panic, no hang, no broken law. Called by `main.rs` with mutations
//! from seeds, and by `fuzz/` guided by coverage; it needs nothing but the core, so that a fuzzer is built in a minute.

use std::sync::Arc;

use reveille_core::asl::model::Machine;
use reveille_core::asl::{MachineType, Severity, diagnose, parse, parse_state};
use reveille_core::clock::Timestamp;
use reveille_core::ids::{Arn, EventId, ExecutionId, Realm, TaskKey};
use reveille_core::interpreter::event::{Entry, Failure, Started};
use reveille_core::interpreter::state::{Phase, State};
use reveille_core::interpreter::stimulus::{Stimulus, StimulusKind};
use reveille_core::interpreter::{Bounds, Env, TokenMint, decide, due, owed};
use reveille_core::payload::Payload;
use reveille_core::query::intrinsics::Intrinsic;
use reveille_core::query::jsonata::{Bindings, Expression, JsonataTemplate, Limits};
use reveille_core::query::jsonpath::Path;
use reveille_core::query::reference_path::ReferencePath;
use reveille_core::query::template::Template;
use reveille_core::query::{Entropy, QueryError, Roots};
use reveille_core::record;
use serde_json::{Value, json};

/// A caller's action for each state of a run.
pub type Also = fn(&State, Timestamp);

/// Stimuli that one machine gets.
const STIMULI: u32 = 60;
/// Events after which it has none any more: a loop goes through the same states again.
const EVENTS: u64 = 3_000;

/// Chance that follows from the input, so that a failing input fails again.
pub struct Dice(u64);

impl Dice {
    pub fn of(data: &[u8]) -> Self {
        Self(
            data.iter()
                .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)),
        )
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n.max(1)
    }
}

/// The text before the first byte 0, and the JSON after it (a document of ours where there is none).
fn text_and_document(data: &[u8]) -> (String, Value) {
    let (text, rest) = match data.iter().position(|b| *b == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let document = serde_json::from_slice(rest).unwrap_or_else(
        |_| json!({"a": {"b": [1, 2.5, {"c": "d"}], "e": null}, "items": [3, 1, 2], "text": "x,y;z", "n": -7, "t": true, "deep": [[[["é😀"]]]]}),
    );
    (String::from_utf8_lossy(text).into_owned(), document)
}

struct Document {
    input: Value,
    context: Value,
}

impl Document {
    fn new(input: Value) -> Self {
        Self {
            input,
            context: json!({"Execution": {"Name": "n", "Input": {"x": 1}}, "Map": {"Item": {"Index": 0, "Value": [1]}}}),
        }
    }
}

impl Roots for Document {
    fn input(&self) -> &Value {
        &self.input
    }

    fn context(&self) -> &Value {
        &self.context
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        if name == "v" { Some(&self.input) } else { None }
    }
}

fn entropy() -> Entropy {
    Entropy::new(Timestamp::from_millis(1_700_000_000_000), 7)
}

struct Tokens;

impl TokenMint for Tokens {
    fn token(&self, key: TaskKey) -> String {
        format!("token-{}", key.scheduled)
    }
}

/// A definition, byte 0, an input: read, with its faults reported. A definition without a fault is run with an outside
/// by chance.
pub fn definition(data: &[u8], also: Also) {
    let (text, input) = text_and_document(data);
    for severity in [Severity::Warning, Severity::Error] {
        let _ = diagnose(&text, MachineType::Express, severity);
    }
    let _ = parse_state(&text);
    if let Err(wrong) = parse(&text, MachineType::Express) {
        let _ = wrong.to_string();
    }
    if let Ok(valid) = parse(&text, MachineType::Standard) {
        let mut dice = Dice::of(data);
        Run::new(&valid.machine, also).play(input, &mut dice);
    }
}

struct Run<'a> {
    machine: &'a Arc<Machine>,
    realm: Realm,
    state: State,
    /// Folded from the persisted form only.
    persisted: State,
    now: Timestamp,
    also: Also,
}

impl<'a> Run<'a> {
    fn new(machine: &'a Arc<Machine>, also: Also) -> Self {
        let realm = Realm::new("us-east-1", "123456789012");
        let now = Timestamp::from_millis(1_700_000_000_000);
        Self { machine, realm, state: State::default(), persisted: State::default(), now, also }
    }

    fn play(&mut self, input: Value, dice: &mut Dice) {
        let started = Started {
            input: Payload::new(input),
            role_arn: "arn:aws:iam::123456789012:role/role".into(),
            arn: Arn::new("arn:aws:states:us-east-1:123456789012:execution:machine:name"),
            name: "name".into(),
            machine: self.realm.state_machine("machine"),
            machine_name: "machine".into(),
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
        self.tell(StimulusKind::Start(Box::new(started)), dice.below(u64::MAX));
        for _ in 0..STIMULI {
            if matches!(self.state.phase(), Phase::Closed(_)) && dice.below(8) > 0 || self.state.last_id().0 > EVENTS {
                break;
            }
            let kind = self.stimulus(dice);
            self.tell(kind, dice.below(u64::MAX));
        }
    }

    fn stimulus(&mut self, dice: &mut Dice) -> StimulusKind {
        let open: Vec<EventId> = self.state.tasks().map(|t| t.task.scheduled).collect();
        let runs: Vec<EventId> = self.state.map_runs().map(|r| r.run.started).collect();
        let any = |of: &[EventId], dice: &mut Dice| match of.len() {
            0 => EventId(dice.below(40)),
            n => of[usize::try_from(dice.below(n as u64)).unwrap_or_default()],
        };
        let scheduled = any(&open, dice);
        let names = ["States.Timeout", "States.TaskFailed", "Boom", "States.Runtime", ""];
        let failure = Failure::named(names[usize::try_from(dice.below(5)).unwrap_or_default()]);
        let output = Payload::new(match dice.below(4) {
            0 => json!({"a": [1, {"b": "c"}]}),
            1 => Value::Null,
            2 => json!("text"),
            _ => json!([3, 1, 2]),
        });
        match dice.below(14) {
            0 => StimulusKind::Continue,
            1 => StimulusKind::Dispatched { scheduled, receipt: output, completes: dice.below(3) == 0 },
            2 => StimulusKind::DispatchFailed { scheduled, failure },
            3..7 => StimulusKind::TaskSucceeded { scheduled, output, by: None, link: None },
            7 => StimulusKind::TaskFailed { scheduled, failure, by: None, link: None },
            8 => StimulusKind::TaskHeartbeat { scheduled },
            9 => StimulusKind::MapRunEnded {
                started: any(&runs, dice),
                result: if dice.below(2) == 0 { Ok(output) } else { Err(failure) },
            },
            10 if dice.below(6) == 0 => StimulusKind::Stop(failure),
            11 => StimulusKind::Redrive { token: None },
            _ => {
                self.now = due(self.machine, &self.state).unwrap_or(self.now).max(self.now);
                StimulusKind::Clock
            }
        }
    }

    /// The law: state and journal say the same, also through the persisted form, whatever comes in.
    fn tell(&mut self, kind: StimulusKind, entropy: u64) {
        let execution = ExecutionId(uuid::Uuid::from_u128(1));
        let env =
            Env { execution, realm: &self.realm, tokens: &Tokens, bounds: Bounds::default(), holds_timeouts: false };
        let before = self.state.version();
        let stimulus = Stimulus { at: self.now, entropy, kind };
        let Ok(decision) = decide(env, self.machine, &mut self.state, stimulus) else {
            assert_eq!(self.state.version(), before, "a rejected stimulus changed the state");
            return;
        };
        let bytes = record::encode(&decision.entries).expect("what the core makes can be written");
        let entries: Vec<Entry> =
            record::decode(&bytes).unwrap_or_else(|e| panic!("what was written can be read: {e}"));
        for entry in &entries {
            self.persisted.evolve(entry).expect("an entry of the core fits");
        }
        assert!(self.persisted == self.state, "the state is not what its journal folds to");
        let _ = owed(&self.state, false);
        (self.also)(&self.state, self.now);
    }
}

/// A path, byte 0, a document: found in it, and where it is a reference path, put into it.
pub fn jsonpath(data: &[u8]) {
    let (text, document) = text_and_document(data);
    if let Ok(path) = Path::parse(&text) {
        let _ = path.find_in(&document);
    }
    if let Ok(path) = ReferencePath::parse(&text) {
        let roots = Document::new(document.clone());
        let _ = path.get(&roots);
        if let Ok(changed) = path.set(document, json!("put")) {
            let found = path.as_path().find_in(&changed).map(std::borrow::Cow::into_owned);
            assert!(
                found == Ok(json!("put")) || path.is_whole_input(),
                "{text}: what was put there is not found there: {found:?}"
            );
        }
    }
}

/// An intrinsic function, or a payload template as JSON.
pub fn intrinsic(data: &[u8]) {
    let (text, document) = text_and_document(data);
    let roots = Document::new(document);
    if let Ok(function) = Intrinsic::parse(&text) {
        let _ = function.problems();
        let _ = function.evaluate(&roots, &mut entropy());
    }
    if let Ok(json) = serde_json::from_str::<Value>(&text)
        && let Ok(template) = Template::compile(&json)
        && let Err(failure) = template.evaluate(&roots, &mut entropy())
    {
        let _ = failure.cause(&roots.input);
    }
}

/// An expression, or a template of the query language JSONata as JSON.
pub fn jsonata(data: &[u8]) {
    let (text, document) = text_and_document(data);
    let roots = Document::new(document.clone());
    let bindings = Bindings::new(&roots).with_result(&document).with_error_output(&document);
    let limits = Limits::default();
    if let Ok(expression) = Expression::compile(&text) {
        let first = expression.evaluate(&bindings, &mut entropy(), &limits);
        if let Ok(value) = &first {
            assert!(value.to_string().len() <= limits.result_bytes + 64, "a result over its bound");
        }
        // A clock that ran out is not repeatable; all else is.
        let timed =
            |r: &Result<Value, QueryError>| matches!(r, Err(QueryError::Bound { message }) if message.contains(" ms"));
        if data.len() < 256 && !timed(&first) {
            let second = expression.evaluate(&bindings, &mut entropy(), &limits);
            assert!(timed(&second) || first == second, "{text}: {first:?}, then {second:?}");
        }
    }
    if let Ok(json) = serde_json::from_str::<Value>(&text) {
        let _ = JsonataTemplate::compile(&json);
    }
}

/// Batches in the store: a damaged batch is an error, not the end of the process.
pub fn journal(data: &[u8]) {
    if let Ok(entries) = record::decode(data) {
        let again = record::encode(&entries).expect("what was read can be written");
        assert_eq!(
            record::decode(&again).ok().as_ref(),
            Some(&entries),
            "what was read, written and read again is the same"
        );
    }
}
