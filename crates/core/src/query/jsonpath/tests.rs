use serde_json::{Value, json};

use super::{Path, Root};
use crate::query::QueryError;
use crate::query::test_roots::TestRoots;

fn document() -> Value {
    json!({
        "a": {"b": 1, "c": null, "s": "text"},
        "o": {"x": 1, "y": [2], "z": 3},
        "arr": [10, 20, 30, 40, 50],
        "nested": [[1], [], [2]],
        "items": [
            {"name": "pen", "price": 2, "tags": ["x", "y"], "on": true},
            {"name": "ink", "price": 8.5, "tags": [], "stock": 0},
            {"name": "desk", "price": 120, "tags": ["y", "z"], "on": false}
        ],
        "limit": 10,
        "odd key": {"it's": 1},
        "text": "hello",
        "nothing": null,
        "empty": [],
        "words": ["1", 1, "one"]
    })
}

/// The value, or Jayway's detail.
fn found(path: &str, document: &Value) -> Result<Value, String> {
    let compiled = Path::parse(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    match compiled.find_in(document) {
        Ok(value) => Ok(value.into_owned()),
        Err(QueryError::PathNotFound { detail, .. }) => Err(detail),
        Err(other) => panic!("{path}: {other}"),
    }
}

#[test]
fn paths_give_what_jayway_gives() {
    let doc = document();
    let names = |expected: &[&str]| json!(expected);
    for (path, expected) in [
        // definite: the value itself
        ("$", doc.clone()),
        ("$.a.b", json!(1)),
        ("$['a']['b']", json!(1)),
        ("$[\"a\"].b", json!(1)),
        ("$.['a'].b", json!(1)),
        ("$.a.c", Value::Null),
        ("$.arr[0]", json!(10)),
        ("$.arr.[0]", json!(10)),
        ("$.arr[-1]", json!(50)),
        ("$['odd key']['it\\'s']", json!(1)),
        (" $.limit ", json!(10)),
        // several names: merged at the end, one after the other elsewhere
        ("$.o['x','y']", json!({"x": 1, "y": [2]})),
        ("$.o['x', 'missing']", json!({"x": 1})),
        ("$['a','o'].x", json!([1])),
        (
            "$.items[*]['name','price']",
            json!([{"name": "pen", "price": 2}, {"name": "ink", "price": 8.5}, {"name": "desk", "price": 120}]),
        ),
        // indefinite: always an array
        ("$.arr[0,2]", json!([10, 30])),
        // past the end: null, as Jackson gives it
        ("$.arr[0,9]", json!([10, null])),
        ("$.nested[*][0]", json!([1, null, 2])),
        ("$.nested[*][-1]", json!([1, null, 2])),
        ("$.nested[1:][0]", json!([null, 2])),
        ("$.nested[*][1].x", json!([])),
        ("$.nested[*][0:1]", json!([1, 2])),
        ("$.arr[*]", json!([10, 20, 30, 40, 50])),
        ("$.o.*", json!([1, [2], 3])),
        ("$.items[*].missing", json!([])),
        ("$.text[*]", json!([])),
        ("$.items[*].name", names(&["pen", "ink", "desk"])),
        ("$.items[*].tags[0]", json!(["x", null, "y"])),
        // slices
        ("$.arr[1:3]", json!([20, 30])),
        ("$.arr[:2]", json!([10, 20])),
        ("$.arr[3:]", json!([40, 50])),
        ("$.arr[-2:]", json!([40, 50])),
        ("$.arr[:-3]", json!([10, 20])),
        ("$.arr[9:]", json!([])),
        ("$.arr[1:-1]", json!([])),
        ("$.arr[-2:1]", json!([40, 50, 10])),
        ("$.arr[::2]", json!([10, 30, 50])),
        ("$.arr[::-2]", json!([50, 30, 10])),
        ("$.arr[1:-1:1]", json!([20, 30, 40])),
        ("$.arr[0:2:0]", json!([])),
        // descent
        ("$..name", names(&["pen", "ink", "desk"])),
        ("$..tags[0]", json!(["x", null, "y"])),
        ("$.o..x", json!([1])),
        (
            "$..['name','price']",
            json!([{"name": "pen", "price": 2}, {"name": "ink", "price": 8.5}, {"name": "desk", "price": 120}]),
        ),
        ("$.a..*", json!([1, null, "text"])),
        ("$..nowhere", json!([])),
        // filters
        ("$.items[?(@.price < 10)].name", names(&["pen", "ink"])),
        ("$.items[?(@.price < $.limit)].name", names(&["pen", "ink"])),
        ("$.items[?(@.price<10&&@.on)].name", names(&["pen"])),
        ("$.items[?(@.price > 100 || @.stock == 0)].name", names(&["ink", "desk"])),
        ("$.items[?(!@.on)].name", names(&["ink"])),
        ("$.items[?(!(@.on || @.stock))].name", json!([])),
        ("$.items[?(@.on == true)].name", names(&["pen"])),
        ("$.items[?(@.stock != 1)].name", names(&["pen", "ink", "desk"])),
        ("$.items[?(@['name'] =~ /P.N/i)].name", names(&["pen"])),
        ("$.items[?(@.name =~ /e/)].name", json!([])),
        ("$.items[?(@.name in ['pen', \"desk\"])].name", names(&["pen", "desk"])),
        ("$.items[?(@.name nin ['pen'])].name", names(&["ink", "desk"])),
        ("$.items[?(@.tags subsetof ['x','y'])].name", names(&["pen", "ink"])),
        ("$.items[?(@.tags anyof ['z'])].name", names(&["desk"])),
        ("$.items[?(@.tags noneof ['x'])].name", names(&["ink", "desk"])),
        ("$.items[?(@.tags all ['y'])].name", names(&["pen", "desk"])),
        ("$.items[?(@.tags contains 'z')].name", names(&["desk"])),
        ("$.items[?(@.tags size 2)].name", names(&["pen", "desk"])),
        ("$.items[?(@.tags EMPTY true)].name", names(&["ink"])),
        ("$.items[?(@.tags.length() == 2)].name", names(&["pen", "desk"])),
        ("$.items[?(@.tags[?(@ == 'z')])].name", names(&["desk"])),
        ("$.items[?(@.name == pen)].name", names(&["pen"])),
        ("$.items[?(@.name != pen-holder && @.on == true)].name", names(&["pen"])),
        ("$.arr[?(@ > 20)]", json!([30, 40, 50])),
        ("$.words[?(@ == 1)]", json!(["1", 1])),
        ("$.words[?(@ === 1)]", json!([1])),
        ("$.words[?(@ === '1')]", json!(["1"])),
        ("$.a[?(@.b == 1)]", json!([{"b": 1, "c": null, "s": "text"}])),
        ("$.a[?(@.c == null)].b", json!([1])),
        ("$..[?(@.price > 100)].name", names(&["desk"])),
        // functions
        ("$.arr.length()", json!(5)),
        ("$.o.length()", json!(3)),
        ("$.text.length()", Value::Null),
        ("$.arr.sum()", json!(150.0)),
        ("$.arr.min()", json!(10.0)),
        ("$.arr.max()", json!(50.0)),
        ("$.arr.avg()", json!(30.0)),
        ("$.arr.stddev()", json!(200f64.sqrt())),
        ("$.arr.first()", json!(10)),
        ("$.arr.last()", json!(50)),
        ("$.o.keys()", names(&["x", "y", "z"])),
        ("$..price.sum()", json!(130.5)),
        ("$..tags.length()", json!(4)),
        ("$.items[*].tags.length()", json!([2, 0, 2])),
    ] {
        assert_eq!(found(path, &doc), Ok(expected), "{path}");
    }
}

#[test]
fn misses_are_worded_as_jayway_words_them() {
    let doc = document();
    let not_object = |property: &str, at: &str, class: &str| {
        format!(
            "Expected to find an object with property ['{property}'] in path {at} but found '{class}'. This is not a json object according \
             to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonNodeJsonProvider'."
        )
    };
    for (path, detail) in [
        // recorded on AWS
        ("$.NoSuchInputPath", "No results for path: $['NoSuchInputPath']".to_owned()),
        ("$.no.such.result.path", "Missing property in path $['no']".to_owned()),
        // Jayway's source
        ("$.a.b2", "No results for path: $['a']['b2']".to_owned()),
        ("$.a.no.way", "Missing property in path $['a']['no']".to_owned()),
        ("$.arr[9]", "No results for path: $['arr'][9]".to_owned()),
        ("$.arr[-9]", "No results for path: $['arr'][-9]".to_owned()),
        ("$.a.s.x", not_object("x", "$['a']['s']", "java.lang.String")),
        ("$.a.b.x", not_object("x", "$['a']['b']", "java.lang.Integer")),
        ("$.nothing.x", not_object("x", "$['nothing']", "null")),
        ("$.text[0]", "Filter: [0] can only be applied to arrays. Current context is: hello".to_owned()),
        ("$.limit[0].x", "Filter: [0]['x'] can only be applied to arrays. Current context is: 10".to_owned()),
        ("$[0]", format!("Filter: [0] can only be applied to arrays. Current context is: {doc}")),
        ("$.nothing[0]", "The path $['nothing'] is null".to_owned()),
        ("$.text[?(@.x)]", "Filter: [?] can not be applied to primitives. Current context is: hello".to_owned()),
        ("$.missing.length()", "Missing property in path $['missing']".to_owned()),
        ("$.empty.sum()", "Aggregation function attempted to calculate value using empty array".to_owned()),
    ] {
        assert_eq!(found(path, &doc), Err(detail), "{path}");
    }
}

#[test]
fn roots_are_input_context_and_variables() {
    let roots = TestRoots::of(json!({"n": 5}));
    for (path, root, expected) in [
        ("$.n", Root::Input, json!(5)),
        ("$$.Execution.Name", Root::Context, json!("run")),
        ("$answer", Root::Variable("answer".to_owned()), json!(42)),
        ("$list[1]", Root::Variable("list".to_owned()), json!(2)),
        ("$order.lines[*].sku", Root::Variable("order".to_owned()), json!(["a", "b"])),
    ] {
        let compiled = Path::parse(path).unwrap();
        assert_eq!(compiled.root(), &root, "{path}");
        assert_eq!(compiled.text(), path);
        assert_eq!(compiled.find(&roots).map(std::borrow::Cow::into_owned), Ok(expected), "{path}");
    }
    let missing = Path::parse("$nobody.x").unwrap().find(&roots).unwrap_err();
    assert_eq!(missing.to_string(), "Invalid path '$nobody.x' : Variable 'nobody' has no value");
}

#[test]
fn a_definite_path_borrows_what_it_names() {
    let doc = document();
    for path in ["$", "$.a", "$.items[0].tags", "$['a']"] {
        let path = Path::parse(path).unwrap();
        assert!(matches!(path.find_in(&doc), Ok(std::borrow::Cow::Borrowed(_))), "{path}");
    }
}

#[test]
fn definiteness_is_known_without_a_document() {
    for (path, definite) in [
        ("$", true),
        ("$.a[0]['b']", true),
        ("$.a['b','c']", true),
        ("$.a['b','c'].d", false),
        ("$.a.length()", true),
        ("$..a", false),
        ("$..a.sum()", true),
        ("$.a[*].length()", false),
        ("$.a[0,1]", false),
        ("$.a[0:1]", false),
        ("$.a[?(@.x)]", false),
    ] {
        assert_eq!(Path::parse(path).unwrap().is_definite(), definite, "{path}");
    }
}

#[test]
fn what_is_no_path_is_refused_with_its_place() {
    for (text, offset) in [
        ("", 0),
        ("a.b", 0),
        ("@.a", 0),
        ("$.", 1),
        ("$..", 1),
        ("$...a", 3),
        ("$.a.", 3),
        ("$.a b", 3),
        ("$.a[", 3),
        ("$.a[]", 3),
        ("$.a['b'", 3),
        ("$.a['b", 4),
        ("$.a['b',]", 8),
        ("$.a['b' 'c']", 8),
        ("$.a[b]", 3),
        ("$.a[1", 3),
        ("$.a[:]", 4),
        ("$.a[99999999999]", 4),
        ("$.a[(@.length-1)]", 3),
        ("$.a[?@.b]", 5),
        ("$.a[?(@.b = 1)]", 10),
        ("$.a[?(@.b == )]", 13),
        ("$.a[?(@.b ~~ 1)]", 10),
        ("$.a[?(1)]", 6),
        ("$.a[?(@.b =~ /(/)]", 13),
        ("$.a.foo()", 4),
        ("$.a.sum(1)", 8),
        ("$.a.length().b", 12),
        ("$..length()", 1),
        ("$-", 1),
    ] {
        let error = Path::parse(text).err().unwrap_or_else(|| panic!("{text} is read"));
        assert_eq!(error.offset, offset, "{text}: {error}");
    }
}

#[test]
fn depth_and_work_are_bounded() {
    assert!(Path::parse(&format!("$.a[?({}@.b{})]", "(".repeat(100), ")".repeat(100))).is_err());
    assert!(Path::parse(&format!("$.a[?({}@.b)]", "!".repeat(100))).is_err());
    assert!(Path::parse(&format!("$.a[?(@.b in {}1{})]", "[".repeat(100), "]".repeat(100))).is_err());
    assert!(Path::parse(&format!("${}", ".a".repeat(10_000))).is_err());
    assert!(Path::parse(&format!("${}", "[?(@".repeat(10_000))).is_err());

    let wide = json!(vec![vec![0; 1000]; 10]);
    let explosive = Path::parse(&format!("${}", "..*".repeat(40))).unwrap();
    let doubling = Path::parse(&format!("${}", "[0,0]".repeat(40))).unwrap();
    let nested = (0..120).fold(json!(1), |inner, _| json!([inner]));
    assert!(matches!(doubling.find_in(&nested), Err(QueryError::Bound { .. })));
    assert!(matches!(explosive.find_in(&nested), Err(QueryError::Bound { .. })));
    assert!(Path::parse("$..*").unwrap().find_in(&wide).is_ok());
    let abyss = (0..2_000).fold(json!(1), |inner, _| Value::Object([("a".to_owned(), inner)].into_iter().collect()));
    for path in ["$..a", "$..[?(@..a)]", "$[?(@..a)]"] {
        assert!(matches!(Path::parse(path).unwrap().find_in(&abyss), Err(QueryError::Bound { .. })), "{path}");
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_panics_or_hangs(text in "\\PC{0,60}") {
            drop(Path::parse(&text));
        }

        #[test]
        fn no_path_like_text_panics_or_hangs(
            text in r#"\$(\.|\.\.|\[|\]|\(|\)|a|items|'|"|\*|\?|@|,|:|-|[0-9]|==|=~|/|&&|!| |in|\\|length\(\)|\$){0,30}"#
        ) {
            if let Ok(path) = Path::parse(&text) {
                drop(path.find_in(&document()));
            }
        }
    }
}
