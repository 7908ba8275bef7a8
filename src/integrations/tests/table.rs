//! The `[[integrations]]` table of the settings.

use super::*;

#[test]
fn the_table_says_where_other_services_go() {
    let entry = |resource: &str| TableEntry { resource: resource.to_owned(), ..TableEntry::default() };
    let glue = TableEntry {
        exchange: "jobs".to_owned(),
        routing_key: "{service}.{action}.{parameters.Job.Name}".to_owned(),
        body: "Arguments".to_owned(),
        headers: [("tenant", "t-{parameters.Tenant}"), ("size", "{parameters.Size}")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        ..entry("glue:*")
    };
    let mail = TableEntry { routing_key: "mail".to_owned(), completes: CompletesOn::Confirm, ..entry("*:sendEmail") };
    let taken = TableEntry { routing_key: "ours".to_owned(), ..entry("sqs:sendMessage") };
    let table = ServiceTable::new(vec![glue, mail, taken]).unwrap();
    let parameters = json!({"Job": {"Name": "nightly"}, "Arguments": {"a": 1}, "Tenant": "x", "Size": 3});
    let sent = publishing(plan_with(&table, &service("glue:startJobRun.sync"), &parameters).unwrap());
    let message = &sent.messages[0];
    assert_eq!(
        (message.address.exchange.as_str(), message.address.routing_key.as_str()),
        ("jobs", "glue.startJobRun.nightly")
    );
    assert_eq!(message.body, br#"{"a":1}"#);
    assert_eq!(
        (&message.headers["tenant"], &message.headers["size"]),
        (&HeaderValue::Text("t-x".to_owned()), &HeaderValue::Integer(3))
    );
    assert_eq!(
        publishing(plan_with(&table, &service("ses:sendEmail"), &json!({})).unwrap()).completes_on,
        CompletesOn::Confirm
    );
    assert_eq!(
        publishing(plan_with(&table, &service("ses:sendEmail.waitForTaskToken"), &json!({})).unwrap()).completes_on,
        CompletesOn::Reply
    );
    assert_eq!(
        publishing(plan_with(&table, &service("sqs:sendMessage"), &json!({})).unwrap()).messages[0].address.routing_key,
        "ours"
    );
    let failure = plan_with(&table, &service("glue:startJobRun"), &json!({"Job": {}})).unwrap_err();
    assert_eq!(failure.cause.as_deref(), Some("The parameters of glue:startJobRun have no field Job.Name"));
}

#[test]
fn a_wrong_row_is_refused_with_its_place() {
    let refused = |entry: TableEntry| ServiceTable::new(vec![TableEntry::default(), entry]).unwrap_err().to_string();
    let with_key = |key: &str| TableEntry { routing_key: key.to_owned(), ..TableEntry::default() };
    assert_eq!(
        refused(TableEntry { resource: "glue".to_owned(), ..TableEntry::default() }),
        "integrations[1].resource is 'glue'; allowed: service:action, such as glue:startJobRun or glue:*"
    );
    assert_eq!(
        refused(with_key("{nope}")),
        "integrations[1].routing_key has {nope}; allowed: {service}, {action}, {message_id}, {parameters.Field}"
    );
    assert_eq!(refused(with_key("{service")), "integrations[1].routing_key is '{service': a { has no }");
    assert_eq!(
        refused(with_key("")),
        "integrations[1].routing_key is empty, and so is exchange: the message has no destination"
    );
}

#[test]
fn the_example_sends_its_tasks_to_the_queues_of_its_workers() {
    let text = include_str!("../../../examples/art-event/art-event.asl.json");
    let definition: Value = serde_json::from_str(text).unwrap();
    let mut places = Vec::new();
    for branch in definition["States"]["Prepare the event"]["Branches"].as_array().unwrap() {
        for state in branch["States"].as_object().unwrap().values().filter(|state| state["Type"] == "Task") {
            let planned =
                planned(&resource(state["Resource"].as_str().unwrap()), &evaluated(&state["Parameters"])).unwrap();
            places.push(publishing(planned).messages.remove(0).address.routing_key);
        }
    }
    assert_eq!(places, ["venue", "catering", "photographer-friend"]);
}

/// Parameters as if each path gave its own text.
fn evaluated(template: &Value) -> Value {
    match template {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.trim_end_matches(".$").to_owned(), evaluated(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}
