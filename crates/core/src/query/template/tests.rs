//! Payload templates: their values, and the templates that are refused.

use serde_json::json;

use super::*;
use crate::clock::Timestamp;
use crate::query::test_roots::TestRoots;

fn entropy() -> Entropy {
    Entropy::new(Timestamp::from_millis(0), 7)
}

fn evaluated(template: &Value, input: Value) -> Result<Value, TemplateFailure> {
    Template::compile(template).unwrap().evaluate(&TestRoots::of(input), &mut entropy())
}

#[test]
fn fields_with_a_dollar_are_replaced_and_others_stand() {
    for (template, expected) in [
        (json!({"a.$": "$.n"}), json!({"a": 5})),
        (json!({"a.$": "$"}), json!({"a": {"n": 5, "list": [1, 2]}})),
        (json!({"a.$": "$$.Execution.Name", "b.$": "$answer", "c": "$.n"}), json!({"a": "run", "b": 42, "c": "$.n"})),
        (json!({"deep": {"er": [{"x.$": "$.n"}, "$.n", 1]}}), json!({"deep": {"er": [{"x": 5}, "$.n", 1]}})),
        (json!({"a.$": "$.list[*]", "b.$": "$.list[?(@ > 9)]"}), json!({"a": [1, 2], "b": []})),
        (json!({"a.$": "States.Format('{}!', $.n)"}), json!({"a": "5!"})),
        // observed on AWS
        (json!({"a.$": "$.list[5]"}), json!({"a": null})),
        (json!({}), json!({})),
        (json!([1, {"a.$": "$.n"}]), json!([1, {"a": 5}])),
        (json!("$.n"), json!("$.n")),
        (json!({".$": "$.n"}), json!({"": 5})),
    ] {
        assert_eq!(evaluated(&template, json!({"n": 5, "list": [1, 2]})), Ok(expected), "{template}");
    }
}

/// Roots whose input's text is known.
struct Texts(TestRoots, String);

impl Roots for Texts {
    fn input(&self) -> &Value {
        self.0.input()
    }

    fn text_of_input(&self) -> Option<&str> {
        Some(&self.1)
    }

    fn context(&self) -> &Value {
        self.0.context()
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.0.variable(name)
    }
}

#[test]
fn spliced_texts_are_the_texts_of_what_is_evaluated() {
    let input = json!({"n": 5, "list": [1, "\"é"]});
    let roots = Texts(TestRoots::of(input.clone()), input.to_string());
    for (template, splices) in [
        (json!({"Queue": "q", "Body.$": "$"}), true),
        (
            json!({"a\"b.$": "$", "deep": {"er": [[{"x.$": "$", "y.$": "$.n"}], "$.n", null]}, "s.$": "States.Format('{}!', $.n)"}),
            true,
        ),
        (json!([1, {"a.$": "$"}]), true),
        (json!({"a.$": "$", "b.$": "$.list[7]", "c.$": "$answer"}), true),
        (json!({"a.$": "$", "gone.$": "$.nope"}), true),
        (json!({"a.$": "$.n", "b.$": "$$"}), false),
        (json!({"a": "$"}), false),
    ] {
        let compiled = Template::compile(&template).unwrap();
        let spliced = compiled.splice(&roots, &mut entropy());
        assert_eq!(spliced.is_some(), splices, "{template}");
        let evaluated = compiled.evaluate(&roots, &mut entropy()).map(|value| value.to_string());
        assert!(spliced.is_none_or(|spliced| spliced == evaluated), "{template}");
        assert_eq!(compiled.splice(&roots.0, &mut entropy()), None, "its text is not known");
    }
}

#[test]
fn of_a_name_that_is_given_twice_the_last_value_counts() {
    let roots = Texts(TestRoots::of(json!(5)), "5".to_owned());
    let compiled = Template::compile(&json!({"a": 1, "b": 2, "a.$": "$"})).unwrap();
    let spliced = compiled.splice(&roots, &mut entropy()).unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&spliced).unwrap(), compiled.evaluate(&roots, &mut entropy()).unwrap());
}

#[test]
fn the_order_of_fields_is_kept() {
    let value = evaluated(&json!({"z.$": "$.n", "a": 1, "m.$": "$.n"}), json!({"n": 5})).unwrap();
    assert_eq!(value.to_string(), r#"{"z":5,"a":1,"m":5}"#);
}

#[test]
fn parts_without_expressions_are_constants() {
    let template = Template::compile(&json!({"fixed": {"deep": [{"er": 1}]}, "x.$": "$"})).unwrap();
    let Node::Object(fields) = &template.node else { panic!("{template:?}") };
    assert!(matches!(fields[0].value, FieldValue::Node(Node::Constant(_))));
    let constant = Template::compile(&json!({"a": [1, {"b": 2}]})).unwrap();
    assert!(matches!(constant.node, Node::Constant(_)));
}

#[test]
fn a_missing_value_names_field_and_path() {
    let input = json!({"n": 5});
    for (template, cause) in [
        // recorded on AWS
        (
            json!({"value.$": "$.no_such_jsonpath"}),
            "The JSONPath '$.no_such_jsonpath' specified for the field 'value.$' could not be found in the input '{\"n\":5}'",
        ),
        (
            json!({"deep": [{"value.$": "$$.Execution.Input.no_such_jsonpath"}]}),
            "The JSONPath '$$.Execution.Input.no_such_jsonpath' specified for the field 'value.$' could not be found in the input '{\"n\":5}'",
        ),
        (
            json!({"v.$": "States.Format('{}', $.nope)"}),
            "The function 'States.Format('{}', $.nope)' had the following error: The JsonPath argument for the field '$.nope' could not \
             be found in the input '{\"n\":5}'",
        ),
    ] {
        assert_eq!(evaluated(&template, input.clone()).unwrap_err().cause(&input), cause);
    }
}

#[test]
fn what_is_no_template_is_refused_with_its_place() {
    for (template, pointer) in [
        (json!({"a.$": 1}), "/a.$"),
        (json!({"a.$": {"b": 1}}), "/a.$"),
        (json!({"a.$": "text"}), "/a.$"),
        (json!({"a": [0, {"b/c.$": "$.x["}]}), "/a/1/b~1c.$"),
        (json!({"a.$": "States.Nope()"}), "/a.$"),
        (json!({"a.$": "states.Array()"}), "/a.$"),
    ] {
        let error = Template::compile(&template).unwrap_err();
        assert_eq!(error.pointer, pointer, "{template}");
        assert!(error.message.starts_with("The value for the field '"), "{error}");
        assert!(error.message.ends_with(".$' must be a valid JSONPath or a valid intrinsic function call"), "{error}");
    }
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    assert!(Template::compile(&deep).unwrap_err().message.contains("nests too deep"));
}

#[test]
fn paths_and_calls_are_listed() {
    let template = Template::compile(&json!({
        "a.$": "$.x", "b": {"c": [{"d.$": "States.Format('{}{}', $foo.y, States.ArrayLength($$.z))"}]}
    }))
    .unwrap();
    let paths: Vec<&str> = template.paths().into_iter().map(Path::text).collect();
    assert_eq!(paths, ["$.x", "$foo.y", "$$.z"]);
    assert_eq!(template.intrinsics().len(), 1);
}
