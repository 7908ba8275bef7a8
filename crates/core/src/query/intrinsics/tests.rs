use serde_json::{Value, json};

use super::{Function, Intrinsic};
use crate::clock::Timestamp;
use crate::query::test_roots::TestRoots;
use crate::query::{Entropy, QueryError};

fn roots() -> TestRoots {
    TestRoots::of(json!({
        "arr": [10, 20, 30],
        "empty": [],
        "dup": [1, 1.0, "1", null, null, [1], [1], {"a": 1, "b": 2}, {"b": 2, "a": 1}, true],
        "n": 5,
        "half": 2.6,
        "s": "a,b",
        "nul": null,
        "obj": {"k": 1, "l": [true, null]},
        "json": "{\"a\": 1}",
        "tpl": "<{}> \\{x\\}",
        "long": "x".repeat(10_001),
        "name": "Ada"
    }))
}

fn evaluated(text: &str) -> Result<Value, String> {
    let call = Intrinsic::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    call.evaluate(&roots(), &mut Entropy::new(Timestamp::from_millis(0), 1)).map_err(|e| e.to_string())
}

#[test]
fn functions_give_what_aws_gives() {
    for (text, expected) in [
        // Format
        ("States.Format('no holes')", json!("no holes")),
        ("States.Format('Hello {}, {}', $.name, $.n)", json!("Hello Ada, 5")),
        ("States.Format('{}|{}|{}', $.nul, true, 1.5)", json!("null|true|1.5")),
        ("States.Format('{}', $$.StateMachine)", json!("{Id=arn:sm, Name=machine}")), // recorded
        ("States.Format('{}', $.obj)", json!("{k=1, l=[true, null]}")),
        (r"States.Format('It\'s \{{}\} \\', 'x')", json!(r"It's {x} \")),
        ("States.Format($.tpl, 1)", json!("<1> {x}")),
        ("States.Format('{}-{}', 'a,b', ')')", json!("a,b-)")),
        ("States.Format('{}', $answer)", json!("42")),
        // JSON texts
        ("States.StringToJson($.json)", json!({"a": 1})),
        ("States.StringToJson('')", Value::Null),  // recorded
        ("States.StringToJson(' ')", Value::Null), // recorded
        ("States.StringToJson('-0')", json!(0)),   // recorded
        ("States.StringToJson('{\"constant_in_literal\": \"false\"}')", json!({"constant_in_literal": "false"})), // recorded
        ("States.JsonToString($.obj)", json!(r#"{"k":1,"l":[true,null]}"#)),
        ("States.JsonToString($.nul)", json!("null")),
        (
            "States.JsonMerge($.obj, States.StringToJson('{\"k\":2,\"m\":3}'), false)",
            json!({"k": 2, "l": [true, null], "m": 3}),
        ),
        // arrays
        ("States.Array()", json!([])),
        ("States.Array('Foo', 2020, $.obj, null)", json!(["Foo", 2020, {"k": 1, "l": [true, null]}, null])),
        ("States.ArrayPartition($.arr, 2)", json!([[10, 20], [30]])),
        ("States.ArrayPartition($.arr, $.half)", json!([[10, 20], [30]])), // AWS cuts the fraction
        ("States.ArrayPartition($.empty, 3)", json!([])),
        ("States.ArrayContains($.arr, 20)", json!(true)),
        ("States.ArrayContains($.dup, States.Array(1))", json!(true)),
        ("States.ArrayContains($.empty, null)", json!(false)),
        ("States.ArrayRange(1, 9, 2)", json!([1, 3, 5, 7, 9])),
        ("States.ArrayRange(5, 1, -2)", json!([5, 3, 1])),
        ("States.ArrayRange(5, 1, 1)", json!([])),
        ("States.ArrayRange(3, 3, -1)", json!([3])),
        ("States.ArrayRange(1.6, 1.4, 1)", json!([1])), // AWS cuts the fraction
        ("States.ArrayRange(5.4, -0.6, -2.4)", json!([5, 3, 1])),
        ("States.ArrayLength(States.ArrayRange(1, 1000, 1))", json!(1000)),
        ("States.ArrayGetItem($.arr, 2)", json!(30)),
        ("States.ArrayGetItem($.arr, 1.2)", json!(20)),
        ("States.ArrayGetItem($.empty, 9)", Value::Null), // observed
        ("States.ArrayLength($.arr)", json!(3)),
        ("States.ArrayUnique($.dup)", json!([1, 1.0, "1", null, [1], {"a": 1, "b": 2}, true])),
        // Base64
        ("States.Base64Encode('Data to encode')", json!("RGF0YSB0byBlbmNvZGU=")), // recorded
        ("States.Base64Decode('RGF0YSB0byBlbmNvZGU=')", json!("Data to encode")), // recorded
        ("States.Base64Encode('')", json!("")),
        ("States.Base64Decode('')", json!("")),
        ("States.Base64Decode(' YWJj!ZA ')", json!("abcd")), // AWS is lenient
        ("States.Base64Decode('44GT44KT')", json!("こん")),
        // Hash
        ("States.Hash('hello', 'MD5')", json!("5d41402abc4b2a76b9719d911017c592")),
        ("States.Hash('hello', 'SHA-1')", json!("aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")),
        ("States.Hash('hello', 'SHA-256')", json!("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")),
        (
            "States.Hash('hello', 'SHA-384')",
            json!("59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f"),
        ),
        (
            "States.Hash('hello', 'SHA-512')",
            json!(
                "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"
            ),
        ),
        (
            "States.Hash(States.Format('{}:{}', 'x', 'y'), 'SHA-256')",
            json!("1274e286686b54fe765ec40735665b4bf789cee2a5b22124c5e0491a88e15271"),
        ),
        // Math
        ("States.MathAdd(111, -1)", json!(110)),
        ("States.MathAdd(1.6, 2.7)", json!(5)), // MathAdd rounds each
        ("States.MathAdd(0.1, 0.2)", json!(0)),
        ("States.MathAdd(2147483646, 1)", json!(2_147_483_647)),
        ("States.MathRandom(3, 4)", json!(3)),
        // StringSplit
        ("States.StringSplit($.s, ',')", json!(["a", "b"])),
        ("States.StringSplit('1+2,3.4', '.+,')", json!(["1", "2", "3", "4"])),
        ("States.StringSplit(',a,,b,', ',')", json!(["a", "b"])), // recorded: empty parts are dropped
        ("States.StringSplit('', ',')", json!([])),
        ("States.StringSplit('abc', '')", json!(["abc"])),
        ("States.StringSplit('Hello\nWorld', '\n')", json!(["Hello", "World"])), // recorded
        // nesting and white space
        ("States.ArrayGetItem(States.StringSplit($$.StateMachine.Name, 'h'), 0)", json!("mac")),
        ("States.MathAdd( States.MathAdd( $.n ,1 ) , $list[0] )  ", json!(7)),
        ("States.ArrayLength($.arr[?(@ > 15 && @ != 99)])", json!(2)),
        ("States.Array($['n'], $.arr.length(), $.arr[0,1])", json!([5, 3, [10, 20]])),
    ] {
        assert_eq!(evaluated(text), Ok(expected), "{text}");
    }
}

#[test]
fn arguments_that_do_not_do_fail_as_on_aws() {
    for (text, function, why) in [
        ("States.StringToJson($.n)", "StringToJson", "argument 1 must be a string"),
        ("States.StringToJson('{bad')", "StringToJson", "the string is no JSON"),
        ("States.StringToJson()", "StringToJson", "wrong number of arguments"),
        ("States.ArrayPartition($.arr, 0)", "ArrayPartition", "the chunk size must be a positive integer"),
        ("States.ArrayPartition($.arr, 0.6)", "ArrayPartition", "the chunk size must be a positive integer"),
        ("States.ArrayPartition('x', 2)", "ArrayPartition", "argument 1 must be an array"),
        ("States.ArrayPartition($.arr, '2')", "ArrayPartition", "argument 2 must be a number"),
        ("States.ArrayContains($.n, 1)", "ArrayContains", "argument 1 must be an array"),
        ("States.ArrayRange(1, 10, 0.49)", "ArrayRange", "the step must not be 0"),
        ("States.ArrayRange(1, 1001, 1)", "ArrayRange", "the range has more than 1000 items"),
        ("States.ArrayRange(9007199254740992, 9223372036854775807, 9223372036854775807)", "ArrayRange", ""),
        ("States.ArrayGetItem($.arr, 3)", "ArrayGetItem", "the index is outside of the array, which has 3 items"),
        ("States.ArrayGetItem($.arr, -1)", "ArrayGetItem", "the index is outside of the array"),
        ("States.ArrayGetItem($.empty, -1)", "ArrayGetItem", "the index is outside of the array"),
        ("States.ArrayLength($.obj)", "ArrayLength", "argument 1 must be an array"),
        ("States.ArrayUnique($.nul)", "ArrayUnique", "argument 1 must be an array"),
        ("States.Base64Encode($.long)", "Base64Encode", "the string has more than 10000 characters"),
        ("States.Base64Decode($.long)", "Base64Decode", "the string has more than 10000 characters"),
        ("States.Base64Decode(123)", "Base64Decode", "argument 1 must be a string"),
        ("States.Hash($.long, 'MD5')", "Hash", "the string has more than 10000 characters"),
        ("States.Hash('data', 'sha-256')", "Hash", "the algorithm 'sha-256' is none of"),
        ("States.JsonMerge($.obj, $.obj, true)", "JsonMerge", "the deep mode is not supported"),
        ("States.JsonMerge($.obj, $.arr, false)", "JsonMerge", "argument 2 must be an object"),
        ("States.MathRandom(1, 1)", "MathRandom", "the start must be less than the end"),
        ("States.MathRandom(1.4, 1.6)", "MathRandom", "the start must be less than the end"),
        ("States.MathRandom(1, 10, null)", "MathRandom", "argument 3 must be a number"),
        ("States.MathAdd(2147483647, 1)", "MathAdd", "the sum is outside of"),
        ("States.MathAdd(3000000000, 1)", "MathAdd", "an argument is outside of"),
        ("States.MathAdd($.name, 1)", "MathAdd", "argument 1 must be a number"),
        ("States.StringSplit($.n, ',')", "StringSplit", "argument 1 must be a string"),
        ("States.Format($.n, 1)", "Format", "argument 1 must be a string"),
        ("States.Format('{} {}', 1)", "Format", "number of arguments do not match the occurrences of {}."),
        ("States.UUID(1)", "UUID", "wrong number of arguments"),
    ] {
        if why.is_empty() {
            assert!(evaluated(text).is_ok(), "{text}");
            continue;
        }
        let message = evaluated(text).expect_err(text);
        let start = format!(
            "There was an error while evaluating the intrinsic function: {text}. Invalid arguments in States.{function}: {why}"
        );
        assert!(message.starts_with(&start), "{text}: {message}");
    }
}

#[test]
fn templates_that_cannot_be_read_fail_as_on_aws() {
    for (text, message) in [
        ("States.Format('Hello {', $.n)", "Invalid template in States.Format: matching '}' not found for '{'."),
        ("States.Format('Hello {{}}', $.n)", "Invalid template in States.Format: matching '}' not found for '{'."),
        ("States.Format('}')", "Invalid template in States.Format: matching '{' not found for '}'."),
    ] {
        assert_eq!(
            evaluated(text),
            Err(format!("There was an error while evaluating the intrinsic function: {text}. {message}"))
        );
    }
}

#[test]
fn a_missing_argument_is_worded_with_the_whole_expression() {
    let input = roots().input.to_string();
    for (text, path) in [
        ("States.Format('{}', $.nope)", "$.nope"),
        ("States.Format('{}',States.Format('{}', $.nope))", "$.nope"),
        ("States.Format('{}', $.arr[5])", "$.arr[5]"),
        ("States.Array($$.no.such)", "$$.no.such"),
        ("States.Array($nobody)", "$nobody"),
    ] {
        let expected = format!(
            "The function '{text}' had the following error: The JsonPath argument for the field '{path}' could not be found in the input '{input}'"
        );
        assert_eq!(evaluated(text), Err(expected));
    }
    // AWS lets Jayway's own words through here.
    assert_eq!(
        evaluated("States.Format('{}', $.n[0])").unwrap_err(),
        "The function 'States.Format('{}', $.n[0])' had the following error: Filter: [0] can only be applied to arrays. Current context is: 5"
    );
}

#[test]
fn chance_comes_from_the_entropy_or_the_seed() {
    let evaluate = |text: &str, seed: u64| {
        Intrinsic::parse(text).unwrap().evaluate(&roots(), &mut Entropy::new(Timestamp::from_millis(0), seed)).unwrap()
    };
    assert_eq!(evaluate("States.UUID()", 1), evaluate("States.UUID()", 1));
    assert_ne!(evaluate("States.UUID()", 1), evaluate("States.UUID()", 2));
    for seed in 0..200 {
        let picked = evaluate("States.MathRandom(-3.9, 4.2)", seed).as_i64().unwrap();
        assert!((-3..4).contains(&picked));
    }
    // Pinned: a seed gives the same number for ever.
    assert_eq!(evaluate("States.MathRandom(1, 1000, 42)", 1), evaluate("States.MathRandom(1, 1000, 42)", 2));
    let pinned: Vec<Value> =
        [0, 42, -10].iter().map(|seed| evaluate(&format!("States.MathRandom(0, 1000000, {seed})"), 1)).collect();
    assert_eq!(pinned, [json!(730_967), json!(727_563), json!(269_748)]);
}

#[test]
fn what_is_no_call_is_refused_with_its_place() {
    for (text, offset) in [
        ("", 0),
        ("$.a", 0),
        ("States.Nope()", 0),
        ("States.format('x')", 0),
        ("States.UUID", 11),
        ("States.UUID(", 12),
        ("States.UUID() x", 14),
        ("States.UUID()[0]", 13),
        ("States.Array(1 2)", 15),
        ("States.Array(1, )", 16),
        ("States.Array(,)", 13),
        ("States.Array('a)", 13),
        (r"States.Array('a\n')", 15),
        ("States.Array(1e999)", 13),
        ("States.Array(--1)", 13),
        ("States.Array(foo)", 13),
        ("States.Array(\"x\")", 13),
        ("States.Array($.a[)", 16),
        ("States.Array({})", 13),
    ] {
        let error = Intrinsic::parse(text).expect_err(text);
        assert_eq!(error.offset, offset, "{text}: {error}");
    }
    let nested = |levels: usize| format!("{}1{}", "States.Array(".repeat(levels), ")".repeat(levels));
    assert!(Intrinsic::parse(&nested(10)).is_ok());
    assert!(Intrinsic::parse(&nested(11)).is_err());
}

#[test]
fn what_must_fail_is_known_before_it_runs() {
    for (text, problems) in [
        ("States.Array()", &[][..]),
        ("States.Format('{} {}', $.a, States.UUID())", &[]),
        ("States.MathAdd(1)", &["States.MathAdd takes 2 arguments and is given 1"]),
        ("States.MathRandom(1)", &["States.MathRandom takes 2 to 3 arguments and is given 1"]),
        ("States.Format()", &["States.Format takes at least 1 arguments and is given 0"]),
        ("States.Array(States.ArrayLength('x'))", &["Argument 1 of States.ArrayLength must be an array"]),
        (
            "States.Format('{}')",
            &["Invalid arguments in States.Format: number of arguments do not match the occurrences of {}."],
        ),
        ("States.Format('}', 1)", &["Invalid template in States.Format: matching '{' not found for '}'."]),
    ] {
        let found: Vec<String> = Intrinsic::parse(text).unwrap().problems().into_iter().map(|p| p.message).collect();
        assert_eq!(found, problems, "{text}");
    }
}

#[test]
fn paths_are_listed_in_order() {
    let call = Intrinsic::parse("States.Format('{}{}{}', $.a, States.Array($$.b), $c)").unwrap();
    assert_eq!(
        call.paths().into_iter().map(crate::query::jsonpath::Path::text).collect::<Vec<_>>(),
        ["$.a", "$$.b", "$c"]
    );
}

#[test]
fn every_function_has_its_name_and_arity() {
    for function in Function::ALL {
        assert_eq!(Function::named(function.name()), Some(function));
        let (least, most) = function.arity();
        assert!(least <= most);
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_panics_or_hangs(text in "\\PC{0,60}") {
            drop(Intrinsic::parse(&text));
        }

        #[test]
        fn no_call_like_text_panics_or_hangs(
            function in proptest::sample::select(Function::ALL.to_vec()),
            arguments in r"(\$\.n|\$\.arr|\$\.empty|\$\.s|\$\$|'|\\|\{\}|'x'|-?[0-9]{1,20}|1\.5e3|true|null|,|\(|\)| |States\.Array\(|é){0,12}"
        ) {
            if let Ok(call) = Intrinsic::parse(&format!("{}({arguments})", function.name())) {
                drop(call.problems());
                match call.evaluate(&roots(), &mut Entropy::new(Timestamp::from_millis(0), 1)) {
                    Ok(_) | Err(QueryError::Intrinsic { .. } | QueryError::FunctionArgument { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}
