use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn form(value: &Value) -> Form {
    Form::read(value).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn typed(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn of_field(field: &Value) -> Form {
    form(&json!({"Schema": {"type": "object", "properties": {"x": field}}}))
}

/// The one field's value, or the reason against it.
fn taken(field: &Value, text: &str) -> Result<Value, String> {
    match answer(&of_field(field), 0, &typed(&[("f0", text)])) {
        Ok(Outcome::Success(output)) => Ok(output["x"].clone()),
        Ok(other) => panic!("{other:?}"),
        Err(wrong) => Err(wrong[0].why.clone()),
    }
}

fn discount() -> Value {
    json!({
        "Title": "Approve the discount", "Text": "A customer asks for more.", "For": ["pricing"],
        "Show": [{"Label": "Customer", "Value": "Nordlicht"}],
        "Schema": {"type": "object", "required": ["reason"], "properties": {
            "discount": {"type": "number", "minimum": 0, "maximum": 20, "title": "Discount you grant"},
            "reason": {"type": "string", "format": "textarea"}}},
        "Actions": [
            {"Label": "Approve", "Success": {"approved": true}},
            {"Label": "Reject", "Failure": {"Error": "Rejected"}, "Ask": ["reason"]}]
    })
}

#[test]
fn an_answer_is_the_fields_with_the_button_over_them() {
    let form = form(&discount());
    let given = typed(&[("f0", "15.5"), ("f1", "a good\r\ncustomer"), ("action", "0")]);
    let expected = json!({"discount": 15.5, "reason": "a good\ncustomer", "approved": true});
    assert_eq!(answer(&form, 0, &given), Ok(Outcome::Success(expected)));
    let given = typed(&[("f0", "too much"), ("f1", "no")]);
    let refused = Outcome::Failure { error: "Rejected".into(), cause: "no".into() };
    assert_eq!(answer(&form, 1, &given), Ok(refused), "what the button does not ask for is not read");
}

#[test]
fn each_wrong_field_is_named() {
    let wrong = answer(&form(&discount()), 0, &typed(&[("f0", "21"), ("f1", "  ")])).unwrap_err();
    let named: Vec<_> = wrong.iter().map(|w| (w.field.as_str(), w.label.as_str(), w.why.as_str())).collect();
    assert_eq!(
        named,
        [("f0", "Discount you grant", "Write a number from 0 to 20."), ("f1", "reason", "This is needed.")]
    );
    assert_eq!(answer(&form(&discount()), 7, &[]).unwrap_err().len(), 1, "no such button");
}

#[test]
fn values_are_read_by_their_type() {
    for (field, text, value) in [
        (json!({"type": "integer"}), " 12 ", json!(12)),
        (json!({"type": "number"}), "1e3", json!(1000.0)),
        (json!({"type": "boolean"}), "true", json!(true)),
        (json!({"type": "boolean"}), "", json!(false)),
        (json!({"type": "string", "enum": ["a b", "c"]}), "a b", json!("a b")),
        (json!({"type": "string", "format": "date"}), "2026-12-31", json!("2026-12-31")),
        (json!({"type": "string", "format": "date-time"}), "2026-12-31T18:30", json!("2026-12-31T18:30:00Z")),
        (
            json!({"type": "string", "format": "date-time"}),
            "2026-12-31T18:30:00+02:00",
            json!("2026-12-31T18:30:00+02:00"),
        ),
        (json!({"type": "string", "format": "email"}), " o@example.com ", json!("o@example.com")),
        (json!({"type": "string", "format": "uri"}), "https://example.com/a", json!("https://example.com/a")),
        (json!({"type": "string", "pattern": "^[A-Z]{2}$"}), "DE", json!("DE")),
        (json!({"type": "string"}), "", Value::Null),
        (json!({"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}), "b", json!(["b"])),
    ] {
        assert_eq!(taken(&field, text), Ok(value), "{field} {text}");
    }
    for (field, text) in [
        (json!({"type": "integer"}), "1.5"),
        (json!({"type": "integer"}), "1e400"),
        (json!({"type": "number"}), "15,5"),
        (json!({"type": "number"}), "NaN"),
        (json!({"type": "number", "minimum": 2}), "1"),
        (json!({"type": "string", "enum": ["a"]}), "b"),
        (json!({"type": "string", "minLength": 3}), "ab"),
        (json!({"type": "string", "maxLength": 2}), "äöü"),
        (json!({"type": "string", "format": "date"}), "2026-02-30"),
        (json!({"type": "string", "format": "date-time"}), "2026-12-31"),
        (json!({"type": "string", "format": "email"}), "a@b@c"),
        (json!({"type": "string", "format": "uri"}), "no address"),
        (json!({"type": "string", "pattern": "^[A-Z]{2}$"}), "DEU"),
        (json!({"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}), "c"),
        (json!({"type": "array", "minItems": 2, "items": {"type": "string", "enum": ["a", "b"]}}), "a"),
    ] {
        assert!(taken(&field, text).is_err(), "{field} {text}");
    }
}

#[test]
fn a_group_is_an_object_and_names_may_hold_anything() {
    let form = form(&json!({"Schema": {"type": "object", "properties": {
        "a-0.b": {"type": "string"},
        "to": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}, "zip": {"type": "string"}}}}}}));
    let given = typed(&[("f0", "x"), ("f1-0", "Kiel"), ("f1-1", "")]);
    assert_eq!(answer(&form, 0, &given), Ok(Outcome::Success(json!({"a-0.b": "x", "to": {"city": "Kiel"}}))));
    let wrong = answer(&form, 0, &typed(&[("f1-0", "")])).unwrap_err();
    assert_eq!(wrong[0].field, "f1-0");
}

fn faults(value: &Value) -> Vec<String> {
    Form::faults(value).into_iter().map(|fault| format!("{:?} {}", fault.path, fault.message)).collect()
}

#[test]
fn what_a_form_cannot_check_is_a_fault() {
    for (schema, said) in [
        (
            json!({"type": "object", "properties": {"x": {"type": "string", "contentEncoding": "base64"}}}),
            "contentEncoding",
        ),
        (json!({"type": "object", "properties": {"x": {"type": "number", "multipleOf": 5}}}), "multipleOf"),
        (json!({"type": "object", "oneOf": []}), "oneOf"),
        (json!({"type": "object", "properties": {"x": {"type": "array", "items": {"type": "number"}}}}), "given words"),
        (json!({"type": "object", "properties": {"x": {"type": "null"}}}), "null"),
        (json!({"type": "object", "properties": {"x": {"type": "string", "pattern": "(?=a)"}}}), "pattern"),
        (json!({"type": "object", "properties": {"x": {"type": "string", "format": "ipv4"}}}), "ipv4"),
        (json!({"type": "object", "properties": {"x": {"type": "integer", "default": "1"}}}), "default"),
        (json!({"type": "object", "required": ["y"], "properties": {"x": {"type": "string"}}}), "'y'"),
        (json!({"type": "array"}), "object"),
        (
            json!({"type": "object", "properties": {"x": {"type": "object", "properties": {"y": {"type": "object"}}}}}),
            "object in an object",
        ),
    ] {
        let found = faults(&json!({"Schema": schema}));
        assert!(found.iter().any(|fault| fault.contains(said)), "{schema}: {found:?}");
    }
    assert_eq!(faults(&json!({"Titel": "x"})).len(), 1);
    assert_eq!(faults(&json!({"Actions": [{"Label": "x", "Success": {}, "Failure": {"Error": "e"}}]})).len(), 1);
    assert_eq!(faults(&json!({"Actions": [{"Label": "x", "Failure": {}}]})).len(), 1);
    assert_eq!(faults(&json!({"Actions": [{"Label": "x", "Success": {}, "Ask": ["gone"]}]})).len(), 1);
    assert_eq!(faults(&json!({"Show": [{"Label": "x"}]})).len(), 1);
}

#[test]
fn what_a_template_leaves_open_is_no_fault() {
    let template = json!({
        "Title.$": "States.Format('Order {}', $.order)", "Text": "{% $states.input.text %}", "For.$": "$.people",
        "Show": [{"Label": "Customer", "Value.$": "$.customer"}],
        "Schema": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "string", "enum.$": "$.sizes"}, "n": {"type": "integer", "maximum": "{% 3 %}"}}},
        "Actions": [{"Label.$": "$.label", "Success.$": "$.answer"}]
    });
    assert_eq!(faults(&template), Vec::<String>::new());
    assert!(Form::read(&template).is_err(), "a form that runs has no open part");
    assert_eq!(
        faults(&json!({"Schema.$": "$.schema", "Actions": [{"Label": "x", "Success": {}, "Ask": ["a"]}]})).len(),
        0
    );
}

#[test]
fn a_form_beside_a_definition_is_filled_with_the_input_of_the_state() {
    let template = json!({"Title.$": "States.Format('Order {}', $.order)", "Show": [{"Label": "x", "Value.$": "$.n"}]});
    let form = Form::fill(&template, &json!({"order": "o1", "n": [1]})).unwrap();
    assert_eq!((form.title.as_deref(), &form.show[0].value), (Some("Order o1"), &json!([1])));
    assert!(Form::fill(&template, &json!({})).unwrap_err()[0].message.contains("$.order"));
    assert!(Form::fill(&json!({"Title.$": "$["}), &json!({})).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec!["string", "object", "{% x %}", "date", "a.$", ""]).prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "Title",
        "Schema",
        "type",
        "properties",
        "required",
        "enum",
        "items",
        "Actions",
        "Label",
        "Success",
        "Failure",
        "Error",
        "Ask",
        "Show",
        "Value",
        "default",
        "x.$",
        "format",
        "minimum",
    ]);
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(name, v)| (name.to_owned(), v)).collect())),
        ]
    })
}

fn any_field() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_u64..4, 0_u64..9).prop_map(|(min, max)| json!({"type": "string", "minLength": min, "maxLength": max})),
        (-9_i64..9).prop_map(|min| json!({"type": "integer", "minimum": min})),
        (-9.0..9.0).prop_map(|max| json!({"type": "number", "maximum": max})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "string", "enum": ["a", "b"]})),
        Just(json!({"type": "string", "format": "date"})),
        Just(json!({"type": "array", "items": {"enum": ["a", "b"]}})),
    ]
}

/// Whether JSON Schema would take the value, said once more in another way.
fn is_valid(field: &Value, value: &Value) -> bool {
    match field["type"].as_str() {
        Some("string") if field.get("enum").is_some() => ["a", "b"].iter().any(|word| value == word),
        Some("string") if field.get("format").is_some() => {
            value.as_str().is_some_and(|text| text.len() == 10 && text.split('-').count() == 3)
        }
        Some("string") => value.as_str().is_some_and(|text| {
            let count = text.chars().count() as u64;
            count >= field["minLength"].as_u64().unwrap() && count <= field["maxLength"].as_u64().unwrap()
        }),
        Some("integer") => value.is_i64() && value.as_i64() >= field["minimum"].as_i64() || value.is_u64(),
        Some("number") => value.as_f64().unwrap() <= field["maximum"].as_f64().unwrap(),
        Some("boolean") => value.is_boolean(),
        _ => value.as_array().is_some_and(|items| items.iter().all(|item| item == "a" || item == "b")),
    }
}

proptest! {
    #[test]
    fn no_json_makes_the_reader_panic(value in any_json(), text in ".{0,20}") {
        let _ = Form::faults(&value);
        if let Ok(form) = Form::read(&value) {
            prop_assert!(!form.actions.is_empty());
            for n in 0..form.actions.len() {
                let _ = answer(&form, n, &[("f0".to_owned(), text.clone()), ("f0-0".to_owned(), text.clone())]);
            }
        }
    }

    /// An accepted answer fits the schema, whatever was typed.
    #[test]
    fn an_answer_that_is_taken_fits(
        fields in prop::collection::vec(any_field(), 1..5),
        texts in prop::collection::vec(prop_oneof![".{0,12}", "-?[0-9]{1,3}(\\.[0-9])?", Just("a".to_owned()), Just("2026-12-31".to_owned())], 5),
    ) {
        let properties: serde_json::Map<_, _> = fields.iter().enumerate().map(|(n, f)| (format!("p{n}"), f.clone())).collect();
        let form = form(&json!({"Schema": {"type": "object", "properties": properties}}));
        let typed: Vec<_> = texts.iter().enumerate().map(|(n, text)| (format!("f{n}"), text.clone())).collect();
        match answer(&form, 0, &typed) {
            Ok(Outcome::Success(output)) => for (n, field) in fields.iter().enumerate() {
                if let Some(value) = output.get(format!("p{n}")) {
                    prop_assert!(is_valid(field, value), "{field} took {value}");
                }
            },
            Ok(other) => prop_assert!(false, "{other:?}"),
            Err(wrong) => prop_assert!(wrong.iter().all(|wrong| wrong.field.starts_with('f') && !wrong.why.is_empty())),
        }
    }
}
