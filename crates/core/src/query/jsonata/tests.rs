//! JSONata as users of Step Functions see it: recorded answers, references, refusals, the functions of AWS.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::clock::Timestamp;

#[derive(Default)]
pub(super) struct World {
    pub(super) input: Value,
    pub(super) context: Value,
    pub(super) variables: BTreeMap<String, Value>,
}

impl Roots for World {
    fn input(&self) -> &Value {
        &self.input
    }
    fn context(&self) -> &Value {
        &self.context
    }
    fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }
}

fn world() -> World {
    World {
        input: json!({"title": "Doctor", "items": [{"n": 1, "name": "a"}, {"n": 20, "name": "b"}], "one": [[7]], "whole": 2.0,
            "big": 9_007_199_254_740_993_i64, "none": null}),
        context: json!({"Execution": {"Id": "x"}}),
        variables: [("customer".to_owned(), json!({"name": "María"})), ("ItemsVar".to_owned(), json!("string"))].into(),
    }
}

pub(super) fn entropy(seed: u64) -> Entropy {
    Entropy::new(Timestamp::from_millis(1_704_067_200_000), seed)
}

fn evaluate(text: &str) -> Result<Value, QueryError> {
    let world = world();
    Expression::compile(text).unwrap().evaluate(&Bindings::new(&world), &mut entropy(1), &Limits::default())
}

fn refusal(text: &str) -> String {
    Expression::compile(text).unwrap_err().message
}

#[test]
fn expressions_are_shared_between_threads() {
    let expression = Arc::new(Expression::compile("$states.input.title & '!'").unwrap());
    let there = Arc::clone(&expression);
    let elsewhere =
        std::thread::spawn(move || there.evaluate(&Bindings::new(&world()), &mut entropy(1), &Limits::default()));
    let here = expression.evaluate(&Bindings::new(&world()), &mut entropy(1), &Limits::default());
    assert_eq!(here, Ok(json!("Doctor!")));
    assert_eq!(elsewhere.join().unwrap(), here);
}

#[test]
fn values_come_out_as_they_went_in() {
    assert_eq!(evaluate("$states.input.title"), Ok(json!("Doctor")));
    assert_eq!(evaluate("$customer.name"), Ok(json!("María")));
    assert_eq!(evaluate("$states.input.none"), Ok(Value::Null));
    assert_eq!(evaluate("$states.input.one"), Ok(json!([[7]])));
    assert_eq!(evaluate("$states.input.items[n > 10].name"), Ok(json!("b")));
    assert_eq!(evaluate("$states.input.items.n"), Ok(json!([1, 20])));
    assert_eq!(evaluate("$states.context.Execution.Id"), Ok(json!("x")));
}

#[test]
fn whole_numbers_are_written_without_a_fraction() {
    assert_eq!(evaluate("1 + 1").unwrap().to_string(), "2");
    assert_eq!(evaluate("$states.input.whole").unwrap().to_string(), "2");
    assert_eq!(evaluate("3 / 2").unwrap().to_string(), "1.5");
    assert_eq!(evaluate("-0").unwrap().to_string(), "0");
    assert_eq!(evaluate("1e21").unwrap().to_string(), "1e+21");
    assert_eq!(evaluate("$states.input.big").unwrap().to_string(), "9007199254740993", "a plain path does not compute");
}

#[test]
fn a_plain_path_and_the_engine_agree() {
    let world = world();
    for path in [
        "$states.input",
        "$states",
        "$states.input.items",
        "$states.input.items.n",
        "$states.input.one",
        "$states.input.none",
        "$states.input.none.x",
        "$states.input.title.x",
        "$states.input.missing.x",
        "$missing.x",
        "$customer",
        "$states.result",
        "$states.other",
    ] {
        let read = |text: &str| {
            Expression::compile(text).unwrap().evaluate(&Bindings::new(&world), &mut entropy(1), &Limits::default())
        };
        let through_engine = read(&format!("({path})"));
        if path == "$states" {
            assert_eq!(through_engine.as_ref().map(|v| &v["context"]), Ok(&world.context));
            assert_eq!(read(path), through_engine);
        } else if path.ends_with("input") {
            assert_eq!(read(path).map(|v| v["items"].clone()), through_engine.map(|v| v["items"].clone()), "{path}");
        } else {
            assert_eq!(read(path), through_engine, "{path}");
        }
    }
}

#[test]
fn nothing_is_a_failure_of_its_own() {
    for text in ["$doesNotExist", "$states.input.missing", "$states.result", "$states.input.items[n > 99]"] {
        assert_eq!(evaluate(text), Err(QueryError::Undefined), "{text}");
    }
    for text in ["function($x){$x}", "$sum", "/a/", "$substring(?, 1)"] {
        assert_eq!(evaluate(text), Err(QueryError::UnsupportedType), "{text}");
    }
    assert_eq!(
        cause("$sum", "Items", &evaluate("$sum").unwrap_err()),
        "The JSONata expression '$sum' specified for the field 'Items' returned an unsupported result type."
    );
}

#[test]
fn causes_are_those_recorded_on_aws() {
    let of = |text: &str, field: &str| cause(text, field, &evaluate(text).unwrap_err());
    assert_eq!(
        of("$doesNotExist", "Output/result"),
        "The JSONata expression '$doesNotExist' specified for the field 'Output/result' returned nothing (undefined)."
    );
    assert_eq!(
        of("$randomSeeded($states.input.title)", "Output/FunctionResult"),
        "The JSONata expression '$randomSeeded($states.input.title)' specified for the field 'Output/FunctionResult' threw an error \
         during evaluation. T1006: Attempted to invoke a non-function"
    );
    assert!(of("'a' + 1", "Output").ends_with("T2001: The left side of the \"+\" operator must evaluate to a number"));
    assert!(of("$number('x')", "Output").ends_with("D3030: Unable to cast value to a number: \"x\""));
}

#[test]
fn a_field_of_one_type_refuses_others_in_the_words_of_aws() {
    let items = JsonataTemplate::compile(&json!("{% $ItemsVar %}")).unwrap();
    let world = world();
    let failure = items
        .evaluate_as(ValueType::Array, "Items", &Bindings::new(&world), &mut entropy(1), &Limits::default())
        .unwrap_err();
    assert_eq!(failure.location, "Items");
    assert_eq!(
        failure.cause(),
        "The JSONata expression '$ItemsVar' specified for the field 'Items' returned an unexpected result type. Expected 'array', \
         but was 'string' for value: \"string\""
    );
    let seconds = Expression::compile("1+2").unwrap();
    let three =
        seconds.evaluate_as(ValueType::Number, "Seconds", &Bindings::new(&world), &mut entropy(1), &Limits::default());
    assert_eq!(three, Ok(json!(3)));
}

#[test]
fn what_step_functions_lacks_is_refused_when_a_machine_is_made() {
    assert!(refusal("$eval('1')").contains("$parse"));
    assert!(refusal("($e := $eval; $e('1'))").contains("$parse"));
    assert_eq!(refusal("$"), "Reference to '$' at the top level is not supported.");
    assert_eq!(refusal("$.a"), refusal("$"));
    assert_eq!(refusal("$sum($$.a)"), "Reference to '$$' is not supported.");
    assert!(refusal("title").contains("'title'"));
    assert!(refusal("$sum(items.n)").contains("'items'"));
    assert!(refusal("($states := 1)").contains("reserved"));
    assert!(refusal("10 + * 2").starts_with("S0201"));
    assert!(refusal("$sum($states.input.items.numbers").starts_with("S0203"));
    assert!(refusal("$.store.book[?(@.price < 10)].title").starts_with("S0211"));
    assert!(refusal(&"(".repeat(100_000)).contains("U1002"));
    assert!(refusal(&" 1 +".repeat(100_000)).contains("longer than"));
}

#[test]
fn inside_of_a_step_the_context_is_there() {
    for text in [
        "$count($states.input.items[$.n = 1])",
        "$states.input.items[n=1]",
        "$states.input.items.(n + $.n)",
        "$states.input.items{name: n}",
        "$states.input.items^(n)",
        "$states.input ~> |items|{'x': n}|",
        "$states.input.items@$i.{'n': n, 'i': $i.n}",
    ] {
        let compiled = Expression::compile(text);
        assert!(compiled.is_ok(), "{text}: {compiled:?}");
    }
}

#[test]
fn references_say_what_is_read() {
    let of = |text: &str| {
        let expression = Expression::compile(text).unwrap();
        let references = expression.references().clone();
        let members =
            StatesMember::ALL.into_iter().filter(|member| references.reads(*member)).map(StatesMember::name).collect();
        (references.variables().map(str::to_owned).collect::<Vec<_>>(), members)
    };
    let known = |variables: &[&str], members: &[&'static str]| {
        (variables.iter().map(ToString::to_string).collect::<Vec<_>>(), members.to_vec())
    };
    assert_eq!(of("1"), known(&[], &[]));
    assert_eq!(of("$states.input.a + $x.b + $sum($y)"), known(&["x", "y"], &["input"]));
    assert_eq!(of("$states.context.Task.Token"), known(&[], &["context"]));
    assert_eq!(of("$states"), known(&[], &["context", "input", "result", "errorOutput"]));
    assert_eq!(of("$keys($states)"), known(&[], &["context", "input", "result", "errorOutput"]));
    assert_eq!(of("($x := $x + 1; $x + $z)"), known(&["x", "z"], &[]), "the first $x is the workflow's");
    assert_eq!(of("($x := 1; $x)"), known(&[], &[]));
    assert_eq!(of("(($x := 1); $x)"), known(&["x"], &[]), "a block ends its bindings");
    assert_eq!(of("$map($v, function($v, $i){ $v + $i + $w })"), known(&["v", "w"], &[]));
    assert_eq!(of("($f := function($n){ $n < 1 ? 0 : $f($n - 1) }; $f(3))"), known(&[], &[]));
}

#[test]
fn operators_that_aws_lacks_are_refused_by_name() {
    for (text, operator) in [("$a ?? 1", "??"), ("$a ?: 1", "?:"), ("$a = 1 ? $b ?? 2 : 3", "??")] {
        let refused = Expression::compile(text).unwrap_err();
        assert!(refused.message.contains(operator) && refused.message.contains("2.0.6"), "{refused}");
        assert_eq!(refused.offset, text.find(operator));
    }
    assert!(Expression::compile("$a ? 1 : 2").is_ok());
}

#[test]
fn functions_of_aws() {
    assert_eq!(evaluate("$partition([0, 1, 2], 2)"), Ok(json!([[0, 1], [2]])));
    assert_eq!(evaluate("$partition([0], 5)"), Ok(json!([[0]])));
    assert_eq!(evaluate("$range(0, 10, 5)"), Ok(json!([0, 5, 10])));
    assert_eq!(evaluate("$range(3, 1, -1)"), Ok(json!([3, 2, 1])));
    assert_eq!(evaluate("$hash('input data', 'SHA-1')"), Ok(json!("aaff4a450a104cd177d28d18d74485e8cae074b7")));
    assert_eq!(evaluate("$parse('{\"Arg1\": 1, \"Arg2\": []}')"), Ok(json!({"Arg1": 1, "Arg2": []})));
    assert_eq!(evaluate("$parse('-0')").unwrap().to_string(), "0");
    assert_eq!(evaluate("$uuid()").unwrap().as_str().unwrap().len(), 36);
    assert_eq!(evaluate("$random(7) = $random(7)"), Ok(json!(true)));
    assert_eq!(evaluate("$random() = $random()"), Ok(json!(false)));
    // Measured on AWS in 2026.
    assert_eq!(evaluate("$partition([1, 2, 3])"), Ok(json!([[1, 2, 3]])));
    assert_eq!(evaluate("$partition([1, 2, 3], 2.9)"), Ok(json!([[1, 2], [3]])));
    assert_eq!(evaluate("$random(0.9) = $random(0)"), Ok(json!(true)));
    assert_eq!(evaluate("$parse('9223372036854775807')").unwrap().to_string(), "9223372036854775807");
    assert_eq!(evaluate("$string($parse('[9223372036854775807]'))"), Ok(json!("[9223372036854775807]")));
    assert_eq!(evaluate("$parse('9223372036854775808')").unwrap().to_string(), "9.223372036854776e+18");
    for nothing in [
        "$partition([], 2)",
        "$partition([1], 0)",
        "$partition([1, 2], -0.5)",
        "$range(1, 2, 0)",
        "$range(1, 2)",
        "$range(5, 1, 1)",
        "$range(1, 5, -1)",
        "$hash('a')",
        "$parse()",
    ] {
        assert_eq!(evaluate(nothing), Err(QueryError::Undefined), "{nothing}");
    }
    for (wrong, message) in [
        ("$partition([1], -1)", "D3137: Second argument must be zero or greater"),
        ("$partition(null, 2)", "T0412: "),
        ("$range(1)", "T0410: Argument 2 of function \"range\""),
        ("$hash('a', 5)", "T0410: Argument 2 of function \"hash\""),
        ("$parse('')", "D3137: Invalid JSON"),
        ("$parse('[1] [2]')", "D3137: Invalid JSON"),
        ("$parse('{\"a\":1,\"a\":2}')", "D3137: Invalid JSON"),
        ("$parse('1e400')", "D3137: Invalid JSON"),
    ] {
        let Err(QueryError::Evaluation { message: told }) = evaluate(wrong) else { panic!("{wrong}") };
        assert!(told.starts_with(message), "{wrong}: {told}");
    }
    for wrong in ["$hash('a', 'CRC')", "$parse('{')", "$partition([1], 'x')", "$random('x')"] {
        assert!(matches!(evaluate(wrong), Err(QueryError::Evaluation { .. })), "{wrong}");
    }
}

#[test]
fn time_comes_from_the_stimulus() {
    assert_eq!(evaluate("$now()"), Ok(json!("2024-01-01T00:00:00.000Z")));
    assert_eq!(evaluate("$millis()"), Ok(json!(1_704_067_200_000_i64)));
    assert_eq!(evaluate("$now('[Y]/[M]')"), Ok(json!("2024/1")));
}

#[test]
fn equal_seeds_give_equal_results() {
    let text = "{'r': $random(), 'u': $uuid(), 's': $shuffle([1..50]), 't': $now(), 'l': $map([1..3], function($i){ $random() })}";
    let expression = Expression::compile(text).unwrap();
    let world = world();
    let run = |seed| {
        let mut entropy = entropy(seed);
        let mut once = || expression.evaluate(&Bindings::new(&world), &mut entropy, &Limits::default()).unwrap();
        (once(), once())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
    let (first, second) = run(5);
    assert_ne!(first, second, "one entropy, two evaluations");
}

#[test]
fn a_template_keeps_constants_and_says_where_it_failed() {
    let world = world();
    let template = json!({"static": "Hello", "not": "$customer", "title": "{% $states.input.title %}", "deep": [1, {"name": "{%$customer.name%}"}]});
    let compiled = JsonataTemplate::compile(&template).unwrap();
    let value = compiled.evaluate("Arguments", &Bindings::new(&world), &mut entropy(1), &Limits::default());
    assert_eq!(
        value,
        Ok(json!({"static": "Hello", "not": "$customer", "title": "Doctor", "deep": [1, {"name": "María"}]}))
    );
    assert_eq!(compiled.expressions().len(), 2);
    assert!(JsonataTemplate::compile(&json!({"a": [1, "x"]})).unwrap().constant().is_some());

    let failing = JsonataTemplate::compile(&json!({"a": ["{% 1 %}", {"b": "{% $doesNotExist %}"}]})).unwrap();
    let failure = failing.evaluate("Output", &Bindings::new(&world), &mut entropy(1), &Limits::default()).unwrap_err();
    assert_eq!((failure.location.as_str(), failure.expression.as_str()), ("Output/a[1]/b", "$doesNotExist"));
}

#[test]
fn a_template_error_points_to_its_place() {
    let error = JsonataTemplate::compile(&json!({"a/b": [0, "{% 10 + * 2 %}"]})).unwrap_err();
    assert_eq!(error.pointer, "/a~1b/1");
    for text in ["{% 10 %", " {% 10 %}", "{% 10 %} ", "{%}"] {
        assert!(JsonataTemplate::compile(&json!(text)).is_err(), "{text}");
    }
    assert!(JsonataTemplate::compile(&json!("100 % sure")).unwrap().constant().is_some());
}

#[test]
fn classes_of_regular_expressions_are_ascii_as_in_javascript() {
    assert_eq!(evaluate("$contains('é', /\\w/)"), Ok(json!(false)));
    assert_eq!(evaluate("$contains('٣', /\\d/)"), Ok(json!(false)));
    assert_eq!(evaluate("$contains('a-1', /^[\\w-]{1,64}$/)"), Ok(json!(true)));
    assert_eq!(evaluate("$replace('one two', /\\bt\\w+\\b/, 'x')"), Ok(json!("one x")));
    assert_eq!(evaluate("$contains('a\\\\b', /\\\\b/)"), Ok(json!(true)));
}

#[test]
fn an_expression_that_touches_little_allocates_little() {
    let item = |n: usize| json!({"id": format!("item-{n}"), "name": "thing", "price": n, "tags": ["a", "b"]});
    let order = json!({"total": 120, "date": "2026-11-29T10:00:00Z", "customer": {"name": "María"},
        "items": (0..2_000).map(item).collect::<Vec<_>>()});
    let world = World { input: json!({"order": order}), ..World::default() };
    let allocations = |text: &str| {
        let expression = Expression::compile(text).unwrap();
        let evaluate = || expression.evaluate(&Bindings::new(&world), &mut entropy(1), &Limits::default());
        // The first evaluation of a thread makes the room that it leaves to the next.
        assert!(evaluate().is_ok(), "{text}");
        let (outcome, taken) = counting::taken(evaluate);
        assert!(outcome.is_ok(), "{text}: {outcome:?}");
        assert!(taken.most <= 16 << 10, "{text}: {taken:?}");
        taken.calls
    };
    for text in [
        "$states.input.order.customer.name",
        "($o := $states.input.order; $o.total > 100 ? 'big' : 'small')",
        "$states.input.order.items[1999].price",
        "$count($states.input.order.items)",
        "$toMillis($states.input.order.date)",
        "$fromMillis($toMillis($states.input.order.date) + 3600000)",
        // Two texts, three names, a table and its index are the result's own.
        "$merge([$states.input.order.customer, {'total': $states.input.order.total, 'date': $states.input.order.date}])",
        "'Dear ' & $states.input.order.customer.name & ', ' & $string($states.input.order.total)",
    ] {
        let calls = allocations(text);
        assert!(calls <= 8, "{calls} allocations: {text}");
    }
}
