//! How long a picture takes: `cargo bench -p reveille-core --bench graph`. A chain with a Choice at every fifth state,
//! a Catch at every third and a way back at every twentieth.

use divan::{Bencher, black_box};
use reveille_core::graph::{Diagram, Fold, Laid, Look, svg};
use serde_json::{Map, Value, json};

fn main() {
    divan::main();
}

fn machine(states: usize) -> Value {
    let mut all = Map::new();
    for number in 0..states {
        let to = |ahead: usize| format!("State {}", (number + ahead).min(states - 1));
        let back = format!("State {}", number.saturating_sub(15));
        let state = match number {
            _ if number + 1 == states => json!({"Type": "Succeed"}),
            _ if number % 20 == 19 => json!({"Type": "Choice", "Default": to(1), "Choices": [
                {"Variable": "$.again", "BooleanEquals": true, "Next": back}]}),
            _ if number % 5 == 4 => json!({"Type": "Choice", "Default": to(1), "Choices": [
                {"Variable": "$.risk", "NumericGreaterThan": 70, "Next": to(4)}]}),
            _ if number % 3 == 0 => json!({"Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Next": to(1),
                "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": to(7)}]}),
            _ => json!({"Type": "Pass", "Next": to(1)}),
        };
        all.insert(format!("State {number}"), state);
    }
    json!({"StartAt": "State 0", "States": all})
}

#[divan::bench(args = [30, 300, 1000])]
fn layout(bencher: Bencher, states: usize) {
    let diagram = Diagram::read(&machine(states));
    bencher.bench(|| {
        black_box(Laid::of(&diagram, Fold::Open));
    });
}

#[divan::bench(args = [30, 300, 1000])]
fn drawing(bencher: Bencher, states: usize) {
    let diagram = Diagram::read(&machine(states));
    let laid = Laid::of(&diagram, Fold::Open);
    bencher.bench(|| black_box(svg::draw(&laid, &Look::default())));
}
