//! The pure core: the cost of a transition, and a check that cost does not grow with the square of anything. `cargo
//! bench --bench core`.
//!
//! `items_count` is transitions (states left), iterations or events: divan prints their rate. Cases of the same kind in
//! two sizes stand side by side: where the rate of the larger one falls, something is quadratic.

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use reveille_core::asl::model::Machine;
use reveille_core::asl::{MachineType, parse};
use reveille_core::clock::Timestamp;
use reveille_core::ids::{Arn, ExecutionId, Realm, TaskKey};
use reveille_core::interpreter::command::Command;
use reveille_core::interpreter::event::{Entry, Event, Started};
use reveille_core::interpreter::state::State;
use reveille_core::interpreter::stimulus::{Stimulus, StimulusKind};
use reveille_core::interpreter::{Bounds, Env, TokenMint, decide};
use reveille_core::payload::Payload;
use serde_json::{Value, json};

fn main() {
    divan::main();
}

struct Tokens;

impl TokenMint for Tokens {
    fn token(&self, key: TaskKey) -> String {
        format!("{key:?}")
    }
}

struct Execution {
    machine: Arc<Machine>,
    input: Payload,
    realm: Realm,
}

impl Execution {
    fn of(definition: &Value, input: Value) -> Self {
        let machine = parse(&definition.to_string(), MachineType::Standard).expect("a valid machine").machine;
        Self { machine, input: Payload::new(input), realm: Realm::new("us-east-1", "123456789012") }
    }

    /// From the start to the end; every task succeeds at once with `1`.
    fn run(&self) -> Vec<Entry> {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let started = Started {
            input: Payload::clone(&self.input),
            role_arn: "role".into(),
            arn: Arn::new("execution"),
            name: "name".into(),
            machine: Arn::new("machine"),
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
        let env = Env {
            execution: ExecutionId(uuid::Uuid::nil()),
            realm: &self.realm,
            tokens: &Tokens,
            bounds: Bounds::default(),
            holds_timeouts: false,
        };
        let (mut state, mut journal) = (State::default(), Vec::new());
        let mut next = vec![StimulusKind::Start(Box::new(started))];
        while let Some(kind) = next.pop() {
            // Answers to tasks that ended with their execution are late.
            let Ok(decision) = decide(env, &self.machine, &mut state, Stimulus { at, entropy: 7, kind }) else {
                continue;
            };
            journal.extend(decision.entries);
            next.extend(decision.commands.iter().filter_map(|c| match c {
                Command::Dispatch { scheduled } => Some(StimulusKind::TaskSucceeded {
                    scheduled: *scheduled,
                    output: Payload::new(json!(1)),
                    by: None,
                    link: None,
                }),
                Command::Continue => Some(StimulusKind::Continue),
                Command::Cancel { .. }
                | Command::StartMapRun { .. }
                | Command::StopMapRun { .. }
                | Command::StopChild { .. }
                | Command::Finish => None,
            }));
        }
        journal
    }

    fn bench(&self, bencher: Bencher, counted: impl Fn(&Event) -> bool) {
        let n = self.run().iter().filter(|e| counted(&e.event)).count();
        bencher.counter(ItemsCount::new(n)).bench_local(|| black_box(self.run().len()));
    }
}

fn left(event: &Event) -> bool {
    matches!(event, Event::StateExited { .. })
}

/// `i = 0; while i < n { i += 1 }`: two transitions a round, in variables.
fn loops(jsonata: bool, n: usize) -> Value {
    let (rule, more) = if jsonata {
        (json!({ "Condition": format!("{{% $i < {n} %}}"), "Next": "Body" }), json!({ "i": "{% $i + 1 %}" }))
    } else {
        (json!({ "Variable": "$i", "NumericLessThan": n, "Next": "Body" }), json!({ "i.$": "States.MathAdd($i, 1)" }))
    };
    let mut machine = json!({ "StartAt": "Init", "States": {
        "Init": { "Type": "Pass", "Assign": { "i": 0 }, "Next": "Test" },
        "Test": { "Type": "Choice", "Choices": [rule], "Default": "Done" },
        "Body": { "Type": "Pass", "Assign": more, "Next": "Test" },
        "Done": { "Type": "Succeed" }
    } });
    if jsonata {
        machine["QueryLanguage"] = json!("JSONata");
    }
    machine
}

/// Up to 6,000 rounds: a history of 24,000 events.
#[divan::bench(args = [600, 6_000])]
fn loop_in_jsonpath(bencher: Bencher, rounds: usize) {
    Execution::of(&loops(false, rounds), json!({})).bench(bencher, left);
}

#[divan::bench(args = [600, 6_000])]
fn loop_in_jsonata(bencher: Bencher, rounds: usize) {
    Execution::of(&loops(true, rounds), json!({})).bench(bencher, left);
}

fn map(selector: Option<Value>, processor: &Value) -> Value {
    let mut machine = json!({ "StartAt": "M", "States": { "M": {
        "Type": "Map", "End": true, "ItemProcessor": { "StartAt": "S", "States": { "S": processor } }
    } } });
    if let Some(selector) = selector {
        machine["States"]["M"]["ItemSelector"] = selector;
    }
    machine
}

fn iterations(event: &Event) -> bool {
    matches!(event, Event::MapIterationSucceeded { .. })
}

/// An iteration is four events: 6,000 of them fill a history. The items are the input, and the context object shows the
/// input.
#[divan::bench(args = [600, 6_000])]
fn map_of_items(bencher: Bencher, items: usize) {
    let input: Vec<usize> = (0..items).collect();
    Execution::of(&map(None, &json!({ "Type": "Succeed" })), json!(input)).bench(bencher, iterations);
}

#[divan::bench(args = [600, 6_000])]
fn map_with_a_selector_of_the_context(bencher: Bencher, items: usize) {
    let input: Vec<usize> = (0..items).collect();
    let selector = json!({ "v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index" });
    Execution::of(&map(Some(selector), &json!({ "Type": "Succeed" })), json!(input)).bench(bencher, iterations);
}

/// 10,000 items do not fit a history: the execution fails at its 25,000th event, in the same time per iteration.
#[divan::bench(args = [1_000, 10_000])]
fn map_of_items_with_tasks(bencher: Bencher, items: usize) {
    let input: Vec<usize> = (0..items).collect();
    let task = json!({ "Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "End": true });
    Execution::of(&map(None, &task), json!(input)).bench(bencher, iterations);
}

/// A payload of the largest size through twenty states that do not look at it, and through twenty that each put
/// something into it.
#[divan::bench(args = [26_000, 260_000])]
fn payload_passed_through(bencher: Bencher, bytes: usize) {
    payload(bencher, bytes, &json!({ "Type": "Pass" }));
}

#[divan::bench(args = [26_000, 260_000])]
fn payload_written_into(bencher: Bencher, bytes: usize) {
    payload(bencher, bytes, &json!({ "Type": "Pass", "Result": 1, "ResultPath": "$.r" }));
}

#[divan::bench(args = [26_000, 260_000])]
fn payload_rewritten_in_jsonata(bencher: Bencher, bytes: usize) {
    payload(
        bencher,
        bytes,
        &json!({ "Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $merge([$states.input, {'r': 1}]) %}" }),
    );
}

fn payload(bencher: Bencher, bytes: usize, state: &Value) {
    let mut states = json!({});
    for i in 0..20 {
        states[format!("S{i}")] = state.clone();
        states[format!("S{i}")][if i == 19 { "End" } else { "Next" }] =
            if i == 19 { json!(true) } else { json!(format!("S{}", i + 1)) };
    }
    let row = json!({ "id": 1, "name": "a name of some length", "tags": ["a", "b"] });
    let rows = vec![row.clone(); bytes / (row.to_string().len() + 1)];
    Execution::of(&json!({ "StartAt": "S0", "States": states }), json!({ "rows": rows })).bench(bencher, left);
}

/// The cost of an execution at a start: its journal folded.
#[divan::bench(args = [600, 6_000])]
fn fold_of_a_journal(bencher: Bencher, rounds: usize) {
    let journal = Execution::of(&loops(false, rounds), json!({})).run();
    bencher.counter(ItemsCount::new(journal.len())).bench_local(|| {
        let mut state = State::default();
        for entry in &journal {
            state.evolve(entry).expect("a made journal fits");
        }
        state
    });
}
