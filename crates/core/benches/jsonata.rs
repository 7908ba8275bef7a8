//! JSONata as a state evaluates it: convert in, evaluate, convert out.

use reveille_core::clock::Timestamp;
use reveille_core::query::jsonata::{Bindings, Expression, JsonataTemplate, Limits};
use reveille_core::query::{Entropy, Roots};
use serde_json::{Value, json};

fn main() {
    divan::main();
}

struct Order(Value);

impl Roots for Order {
    fn input(&self) -> &Value {
        &self.0
    }
    fn context(&self) -> &Value {
        &Value::Null
    }
    fn variable(&self, _: &str) -> Option<&Value> {
        None
    }
}

fn order() -> Order {
    let items: Vec<_> = (0..20).map(|n| json!({"name": format!("item {n}"), "price": n, "quantity": 2})).collect();
    Order(json!({"order": {"id": "o-1", "customer": {"name": "María"}, "items": items}}))
}

const EXPRESSIONS: [&str; 5] = [
    "$states.input.order.customer.name",
    "$states.input.order.items[price > 10].name",
    "$sum($states.input.order.items.(price * quantity))",
    "$map($states.input.order.items, function($i){ $i.name & '!' })",
    "$string($states.input)",
];

#[divan::bench(args = EXPRESSIONS)]
fn compile(bencher: divan::Bencher, text: &str) {
    bencher.bench(|| Expression::compile(divan::black_box(text)));
}

#[divan::bench(args = EXPRESSIONS)]
fn evaluate(bencher: divan::Bencher, text: &str) {
    let order = order();
    let expression = Expression::compile(text);
    let mut entropy = Entropy::new(Timestamp::from_millis(0), 1);
    bencher.bench_local(|| {
        expression.as_ref().map(|e| e.evaluate(&Bindings::new(&order), &mut entropy, &Limits::default()))
    });
}

#[divan::bench]
fn template_of_arguments(bencher: divan::Bencher) {
    let order = order();
    let arguments = json!({"QueueUrl": "q", "MessageBody": {"id": "{% $states.input.order.id %}", "to": "{% $states.input.order.customer %}"}});
    let template = JsonataTemplate::compile(&arguments);
    let mut entropy = Entropy::new(Timestamp::from_millis(0), 1);
    bencher.bench_local(|| {
        template
            .as_ref()
            .map(|t| t.evaluate("Arguments", &Bindings::new(&order), &mut entropy, &Limits::default()).is_ok())
    });
}
