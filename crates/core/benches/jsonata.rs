//! JSONata as a state evaluates it: twelve expressions over payloads of 1 KB and of 200 KB, with their allocations.

use divan::{AllocProfiler, Bencher};
use reveille_core::clock::Timestamp;
use reveille_core::query::jsonata::{Bindings, Expression, JsonataTemplate, Limits};
use reveille_core::query::{Entropy, Roots};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

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

/// 8 items are 1 KB of JSON, 1,750 are 200 KB.
fn order(items: usize) -> Order {
    let item = |n: usize| {
        json!({"id": format!("item-{n}"), "name": format!("thing {}", n % 97), "price": n * 37 % 400, "quantity": n % 5 + 1,
            "kind": (["book", "food", "tool"][n % 3]), "weight": 0.25})
    };
    let items: Vec<_> = (0..items).map(item).collect();
    Order(json!({"order": {"id": "o-1", "date": "2026-11-29T10:00:00Z", "customer": {"name": "María", "city": "Vigo"},
        "total": 120, "items": items}}))
}

const EXPRESSIONS: [&str; 12] = [
    "$states.input.order.customer.name",
    "$states.input.order.items[price > 100 and kind = 'book'].name",
    "$states.input.order.items.{'id': id, 'cost': price * quantity}",
    "$sum($states.input.order.items.(price * quantity))",
    "$reduce($map($filter($states.input.order.items, function($i){ $i.price > 50 }), function($i){ $i.price }), function($a, $b){ $a + $b })",
    "$join($states.input.order.items.(name & ' x' & $string(quantity)), ', ')",
    "$merge([$states.input.order.customer, {'id': $states.input.order.id}])",
    "$fromMillis($toMillis($states.input.order.date) + 3600000)",
    "$states.input ~> |order.items|{'price': price * 2}, 'weight'|",
    "($o := $states.input.order; $o.total > 100 ? 'big' : 'small')",
    "$states.input.order.items^(>price, name).id",
    "$states.input.order.items{kind: $sum(price)}",
];

/// By number, since the texts are long.
const NUMBERS: [usize; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

fn measured(bencher: Bencher, number: usize, items: usize) {
    let order = order(items);
    let expression = Expression::compile(EXPRESSIONS[number - 1]).expect("an expression");
    let limits = Limits { result_bytes: 4 << 20, ..Limits::default() };
    let mut entropy = Entropy::new(Timestamp::from_millis(0), 1);
    let mut evaluate = || expression.evaluate(&Bindings::new(&order), &mut entropy, &limits).expect("a value");
    divan::black_box(evaluate());
    bencher.bench_local(evaluate);
}

#[divan::bench(args = EXPRESSIONS)]
fn compile(bencher: Bencher, text: &str) {
    bencher.bench(|| Expression::compile(divan::black_box(text)));
}

#[divan::bench(args = NUMBERS)]
fn evaluate_1_kb(bencher: Bencher, number: usize) {
    measured(bencher, number, 8);
}

#[divan::bench(args = NUMBERS)]
fn evaluate_200_kb(bencher: Bencher, number: usize) {
    measured(bencher, number, 1750);
}

#[divan::bench]
fn template_of_arguments(bencher: Bencher) {
    let order = order(8);
    let arguments = json!({"QueueUrl": "q", "MessageBody": {"id": "{% $states.input.order.id %}", "to": "{% $states.input.order.customer %}"}});
    let template = JsonataTemplate::compile(&arguments);
    let mut entropy = Entropy::new(Timestamp::from_millis(0), 1);
    bencher.bench_local(|| {
        template
            .as_ref()
            .map(|t| t.evaluate("Arguments", &Bindings::new(&order), &mut entropy, &Limits::default()).is_ok())
    });
}
