//! The query room: the cost of one path, one call, one template. `cargo bench --bench query`.

use divan::{Bencher, black_box};
use reveille_core::clock::Timestamp;
use reveille_core::query::intrinsics::Intrinsic;
use reveille_core::query::jsonpath::Path;
use reveille_core::query::reference_path::ReferencePath;
use reveille_core::query::template::Template;
use reveille_core::query::{Entropy, Roots};
use serde_json::{Value, json};

struct Bench {
    input: Value,
    context: Value,
}

impl Roots for Bench {
    fn input(&self) -> &Value {
        &self.input
    }

    fn context(&self) -> &Value {
        &self.context
    }

    fn variable(&self, _: &str) -> Option<&Value> {
        None
    }
}

fn roots() -> Bench {
    let lines: Vec<Value> =
        (0..50).map(|n| json!({"sku": format!("sku-{n}"), "price": n, "tags": ["a", "b"]})).collect();
    Bench {
        input: json!({"order": {"id": "o-1", "customer": {"name": "Ada"}, "lines": lines}, "amount": 12.5}),
        context: json!({"Execution": {"Name": "run-1"}, "Task": {"Token": "token"}}),
    }
}

fn entropy() -> Entropy {
    Entropy::new(Timestamp::from_millis(0), 1)
}

fn main() {
    divan::main();
}

#[divan::bench(args = ["$", "$.order.customer.name", "$.order.lines[-1].sku", "$.order.lines[*].sku", "$.order.lines[?(@.price > 40)].sku", "$..sku"])]
fn path_find(bencher: Bencher<'_, '_>, text: &str) {
    let (path, roots) = (Path::parse(text).expect("a path"), roots());
    bencher.bench_local(|| drop(black_box(path.find(black_box(&roots)))));
}

#[divan::bench(args = ["$.order.customer.name", "$.order.lines[?(@.price > 40)].sku"])]
fn path_parse(bencher: Bencher<'_, '_>, text: &str) {
    bencher.bench_local(|| Path::parse(black_box(text)));
}

#[divan::bench(args = ["States.Format('{} of {}', $.order.id, $$.Execution.Name)", "States.ArrayLength($.order.lines)", "States.MathAdd($.amount, 1)", "States.UUID()"])]
fn intrinsic(bencher: Bencher<'_, '_>, text: &str) {
    let (call, roots, mut entropy) = (Intrinsic::parse(text).expect("a call"), roots(), entropy());
    bencher.bench_local(|| call.evaluate(black_box(&roots), &mut entropy));
}

/// A callback task's usual `Parameters`.
#[divan::bench]
fn template_small(bencher: Bencher<'_, '_>) {
    let template = json!({"QueueUrl": "https://queue", "MessageBody": {"order.$": "$.order.id", "name.$": "$.order.customer.name", "token.$": "$$.Task.Token"}});
    let (template, roots, mut entropy) = (Template::compile(&template).expect("a template"), roots(), entropy());
    bencher.bench_local(|| template.evaluate(black_box(&roots), &mut entropy));
}

#[divan::bench]
fn result_path_set(bencher: Bencher<'_, '_>) {
    let (path, roots) = (ReferencePath::parse("$.order.result").expect("a path"), roots());
    bencher.with_inputs(|| roots.input.clone()).bench_local_values(|input| path.set(input, json!({"ok": true})));
}
