//! Tables: resource and parameters → message.

mod answers;
mod table;

use serde_json::{Value, json};

use super::*;
use crate::bus::{HeaderValue, Names};

const ID: Uuid = Uuid::from_u128(0x0189_0000_0000_7000_8000_0000_0000_0001);
const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn resource(arn: &str) -> Resource {
    Resource::parse(arn).unwrap()
}

fn service(name: &str) -> Resource {
    resource(&format!("arn:aws:states:::{name}"))
}

fn plan_with(table: &ServiceTable, resource: &Resource, parameters: &Value) -> Result<Plan, Failure> {
    let realm = Realm::new("us-east-1", "123456789012");
    let (execution, machine) = (Arn::new("arn:execution"), Arn::new("arn:machine"));
    let context = PlanContext {
        realm: &realm,
        table,
        names: Names::shipped(),
        message_id: ID,
        at: AT,
        execution: &execution,
        machine: &machine,
    };
    let read = plan(resource, &Payload::new(parameters.clone()), &context);
    // The same with parameters that are not parsed yet.
    let unread = Payload::parse(parameters.to_string()).unwrap();
    assert_eq!(plan(resource, &unread, &context), read, "{parameters}");
    read
}

fn planned(resource: &Resource, parameters: &Value) -> Result<Plan, Failure> {
    plan_with(&ServiceTable::default(), resource, parameters)
}

#[test]
fn people_are_asked_without_a_message_and_a_queue_may_hear_of_it_without_the_token() {
    let ask = service("reveille:ask.waitForTaskToken");
    let form = json!({"Title": "Approve", "Text": "please", "For": ["pricing"], "Actions": []});
    assert_eq!(publishing(planned(&ask, &json!({"Form": form})).unwrap()).messages, []);
    let notify = json!({"Queue": "mail", "Body": {"to": "olga@example.com"}});
    let messages = publishing(planned(&ask, &json!({"Form": form, "Notify": notify})).unwrap()).messages;
    let [notice] = messages.as_slice() else { panic!("{messages:?}") };
    assert!(notice.is_notice && notice.address.routing_key == "mail");
    let body: Value = serde_json::from_slice(&notice.body).unwrap();
    let expected = json!({"Title": "Approve", "Text": "please", "For": ["pricing"], "Body": {"to": "olga@example.com"},
        "ExecutionArn": "arn:execution", "StateMachineArn": "arn:machine"});
    assert_eq!(body, expected);
    for wrong in
        [json!({"Frm": {}}), json!({"Form": 1}), json!({"Notify": {}}), json!({"Notify": {"Queue": "q", "x": 1}})]
    {
        assert!(planned(&ask, &wrong).is_err(), "{wrong}");
    }
    assert!(planned(&ask, &json!({"Notify": {"Queue": "reveille.start"}})).is_err(), "the engine's own queue");
    let form = json!({"Queue": "q", "Body": 1, "Form": form});
    let asked = publishing(planned(&service("amqp:publish.waitForTaskToken"), &form).unwrap()).messages.remove(0);
    assert_eq!((asked.body.as_slice(), asked.is_notice), (&b"1"[..], false), "the form is not sent");
    assert!(planned(&service("amqp:publish"), &form).is_err());
}

fn publishing(plan: Plan) -> Publishing {
    match plan {
        Plan::Publish(publishing) => publishing,
        other => panic!("not a publish: {other:?}"),
    }
}

/// Exchange, routing key, body, what completes it.
fn sent(name: &str, parameters: &Value) -> (String, String, String, CompletesOn) {
    let mut publishing = publishing(planned(&service(name), parameters).unwrap());
    assert_eq!(publishing.messages.len(), 1);
    let message = publishing.messages.remove(0);
    let body = String::from_utf8(message.body).unwrap();
    (message.address.exchange, message.address.routing_key, body, publishing.completes_on)
}

fn refused(name: &str, parameters: &Value) -> (String, String) {
    let failure = planned(&service(name), parameters).unwrap_err();
    (failure.error.unwrap(), failure.cause.unwrap())
}

#[test]
fn each_resource_goes_to_its_place_with_its_body() {
    use CompletesOn::{Confirm, Reply};
    let queue = "https://sqs.us-east-1.amazonaws.com/123456789012/orders";
    let topic = "arn:aws:sns:us-east-1:123456789012:news";
    let function = "arn:aws:lambda:us-east-1:123456789012:function:price:PROD";
    let table = [
        ("amqp:publish", json!({"Queue": "q", "Body": {"a": 1}}), ("", "q", r#"{"a":1}"#, Confirm)),
        ("amqp:publish", json!({"Exchange": "x", "RoutingKey": "a.b", "Body": "hi"}), ("x", "a.b", r#""hi""#, Confirm)),
        ("amqp:publish", json!({"Exchange": "x", "Body": "hi", "ContentType": "text/plain"}), ("x", "", "hi", Confirm)),
        ("amqp:publish", json!({"RoutingKey": "q"}), ("", "q", "{}", Confirm)),
        ("amqp:publish.waitForTaskToken", json!({"Queue": "q", "Body": [1]}), ("", "q", "[1]", Reply)),
        ("amqp:call", json!({"Queue": "rpc", "Body": null}), ("", "rpc", "{}", Reply)),
        ("sqs:sendMessage", json!({"QueueUrl": queue, "MessageBody": "text"}), ("", "orders", "text", Confirm)),
        ("sqs:sendMessage", json!({"QueueUrl": "orders", "MessageBody": 5}), ("", "orders", "5", Confirm)),
        (
            "sqs:sendMessage.waitForTaskToken",
            json!({"QueueUrl": queue, "MessageBody": {"t": "x"}}),
            ("", "orders", r#"{"t":"x"}"#, Reply),
        ),
        ("sns:publish", json!({"TopicArn": topic, "Message": {"m": 1}}), ("news", "", r#"{"m":1}"#, Confirm)),
        ("sns:publish.waitForTaskToken", json!({"TargetArn": topic, "Message": "m"}), ("news", "", "m", Reply)),
        ("lambda:invoke", json!({"FunctionName": "price", "Payload": {"x": 1}}), ("", "price", r#"{"x":1}"#, Reply)),
        ("lambda:invoke", json!({"FunctionName": function}), ("", "price", "{}", Reply)),
        ("lambda:invoke", json!({"FunctionName": "123456789012:price", "Payload": null}), ("", "price", "{}", Reply)),
        (
            "lambda:invoke",
            json!({"FunctionName": "123456789012:function:price:1", "Payload": "\"s\""}),
            ("", "price", "\"s\"", Reply),
        ),
        ("lambda:invoke", json!({"FunctionName": "price", "Payload": "plain"}), ("", "price", "\"plain\"", Reply)),
        ("lambda:invoke", json!({"FunctionName": "price", "InvocationType": "Event"}), ("", "price", "{}", Confirm)),
        ("lambda:invoke.waitForTaskToken", json!({"FunctionName": "price", "Payload": {}}), ("", "price", "{}", Reply)),
        ("dynamodb:putItem", json!({"TableName": "t"}), ("", "dynamodb.putItem", r#"{"TableName":"t"}"#, Reply)),
        ("aws-sdk:s3:getObject", json!({"Key": "k"}), ("", "aws-sdk:s3.getObject", r#"{"Key":"k"}"#, Reply)),
        ("glue:startJobRun.sync", json!({}), ("", "glue.startJobRun", "{}", Reply)),
        ("mail:send.waitForTaskToken", json!([1]), ("", "mail.send", "[1]", Reply)),
    ];
    for (name, parameters, (exchange, key, body, completes)) in table {
        assert_eq!(
            sent(name, &parameters),
            (exchange.to_owned(), key.to_owned(), body.to_owned(), completes),
            "{name}"
        );
    }
}

#[test]
fn a_function_arn_gets_its_input_whole_and_an_activity_its_queue() {
    let plan = planned(&resource("arn:aws:lambda:us-east-1:123456789012:function:price:PROD"), &json!("hi")).unwrap();
    let publishing = publishing(plan);
    assert_eq!(publishing.messages[0].address.routing_key, "price");
    assert_eq!((publishing.messages[0].body.as_slice(), publishing.completes_on), (&b"\"hi\""[..], CompletesOn::Reply));
    let arn = "arn:aws:states:us-east-1:123456789012:activity:paint";
    let plan = planned(&resource(arn), &json!({"a": 1})).unwrap();
    assert_eq!(
        plan,
        Plan::Activity {
            activity: Arn::new(arn),
            queue: "reveille.activity.paint".to_owned(),
            body: br#"{"a":1}"#.to_vec()
        }
    );
}

#[test]
fn a_dispatch_that_is_repeated_gives_the_same_messages() {
    let entry = json!({"Source": "s", "DetailType": "t", "Detail": {}});
    for (name, parameters) in [
        ("amqp:publish", json!({"Queue": "q"})),
        ("events:putEvents", json!({"Entries": [entry, entry]})),
        ("states:startExecution", json!({"StateMachineArn": "arn:m"})),
    ] {
        assert_eq!(planned(&service(name), &parameters), planned(&service(name), &parameters), "{name}");
    }
    let two = publishing(planned(&service("events:putEvents"), &json!({"Entries": [entry, entry]})).unwrap());
    assert_ne!(two.messages[0].message_id, two.messages[1].message_id);
}

#[test]
fn amqp_messages_carry_what_the_definition_says() {
    let parameters = json!({
        "Queue": "q", "Headers": {"tenant": "a", "n": 3, "f": 1.5, "b": true, "o": {"x": [1]}, "none": null},
        "Priority": 7, "Expiration": 1500, "Type": "order", "UserId": "app", "CorrelationId": "c", "ReplyTo": "r",
    });
    let message = publishing(planned(&service("amqp:publish"), &parameters).unwrap()).messages.remove(0);
    let headers: Vec<(&str, HeaderValue)> = message.headers.iter().map(|(k, v)| (&**k, v.clone())).collect();
    assert_eq!(
        headers,
        [
            ("b", HeaderValue::Boolean(true)),
            ("f", HeaderValue::Double(1.5)),
            ("n", HeaderValue::Integer(3)),
            ("o", HeaderValue::Json(json!({"x": [1]}))),
            ("tenant", HeaderValue::Text("a".to_owned())),
        ]
    );
    assert_eq!((message.priority, message.expiration), (Some(7), Some(Duration::from_millis(1_500))));
    assert_eq!((message.kind.as_deref(), message.user_id.as_deref()), (Some("order"), Some("app")));
    assert_eq!((message.correlation_id.as_deref(), message.reply_to.as_deref()), (Some("c"), Some("r")));
}

#[test]
fn message_attributes_become_headers() {
    let attributes = json!({
        "kind": {"DataType": "String", "StringValue": "new"},
        "count": {"DataType": "Number", "StringValue": "12"},
        "share": {"DataType": "Number.float", "StringValue": "0.5"},
        "raw": {"DataType": "Binary", "BinaryValue": "aGk="},
    });
    for (name, place) in [("sqs:sendMessage", "QueueUrl"), ("sns:publish", "TopicArn")] {
        let parameters = json!({place: "q", "MessageBody": "b", "Message": "b", "MessageAttributes": attributes});
        let headers = publishing(planned(&service(name), &parameters).unwrap()).messages.remove(0).headers;
        assert_eq!(headers["kind"], HeaderValue::Text("new".to_owned()));
        assert_eq!(headers["count"], HeaderValue::Integer(12));
        assert_eq!(headers["share"], HeaderValue::Double(0.5));
        assert_eq!(headers["raw"], HeaderValue::Text("aGk=".to_owned()));
    }
}

#[test]
fn parameters_that_make_no_sense_fail_the_task_in_the_services_words() {
    let tail = |service: &str, code: &str| {
        format!("(Service: {service}; Status Code: 400; Error Code: {code}; Request ID: {ID}; Proxy: null)")
    };
    let table = [
        (
            "sqs:sendMessage",
            json!({"QueueUrl": "q", "MessageBody": null}),
            "SQS.AmazonSQSException",
            format!("The request must contain the parameter MessageBody. {}", tail("AmazonSQS", "MissingParameter")),
        ),
        (
            "sqs:sendMessage",
            json!({"QueueUrl": "http://no-such-queue-1", "MessageBody": "x"}),
            "SQS.SdkClientException",
            "Unable to execute HTTP request: no-such-queue-1: Name or service not known".to_owned(),
        ),
        (
            "sns:publish",
            json!({"TopicArn": "arn:aws:sns:us-east-1:1:t.fifo", "Message": "x"}),
            "SNS.InvalidParameterException",
            format!(
                "Invalid parameter: The MessageGroupId parameter is required for FIFO topics {}",
                tail("AmazonSNS", "InvalidParameter")
            ),
        ),
        (
            "events:putEvents",
            json!({"Entries": [{"Detail": "\"jsonstring\"", "DetailType": "d", "Source": "s"}]}),
            "EventBridge.FailedEntry",
            r#"{"Entries":[{"ErrorCode":"MalformedDetail","ErrorMessage":"Detail is malformed."}],"FailedEntryCount":1}"#.to_owned(),
        ),
        (
            "lambda:invoke",
            json!({}),
            "Lambda.AWSLambdaException",
            format!(
                "1 validation error detected: Value null at 'functionName' failed to satisfy constraint: Member must not be null {}",
                tail("AWSLambda", "ValidationException")
            ),
        ),
        (
            "amqp:publish",
            json!({"Body": 1}),
            "Amqp.InvalidParameter",
            "The message has no destination: give Queue, or RoutingKey, or Exchange".to_owned(),
        ),
        (
            "amqp:publish",
            json!({"Queue": "q", "Priority": 300}),
            "Amqp.InvalidParameter",
            "The parameter Priority must be a whole number from 0 to 255, not 300".to_owned(),
        ),
        (
            "amqp:call",
            json!({"Queue": "q", "ReplyTo": "me"}),
            "Amqp.InvalidParameter",
            "CorrelationId and ReplyTo carry the task token here; they can be set with amqp:publish only".to_owned(),
        ),
        ("amqp:publish", json!("q"), "Amqp.InvalidParameter", "The parameters must be an object, not a string".to_owned()),
    ];
    for (name, parameters, error, cause) in table {
        assert_eq!(refused(name, &parameters), (error.to_owned(), cause), "{name}");
    }
    let (_, cause) = refused("amqp:publish", &json!({"Queue": "q", "RoutingKy": "x"}));
    assert!(cause.starts_with("There is no parameter RoutingKy; there are: Exchange, RoutingKey, Queue"), "{cause}");
}

#[test]
fn events_are_published_one_by_one_in_eventbridges_shape() {
    let entries = json!({"Entries": [
        {"Source": "shop", "DetailType": "Order Placed", "Detail": "{\"n\":1}", "EventBusName": "arn:aws:events:us-east-1:1:event-bus/orders"},
        {"DetailType": "t", "Detail": {}},
    ]});
    let publishing = publishing(planned(&service("events:putEvents"), &entries).unwrap());
    assert_eq!(publishing.messages.len(), 1, "good entries go out although others are refused");
    let message = &publishing.messages[0];
    assert_eq!(
        (message.address.exchange.as_str(), message.address.routing_key.as_str()),
        ("orders", "shop.Order Placed")
    );
    let event: Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!(
        event,
        json!({
            "version": "0", "id": ID, "detail-type": "Order Placed", "source": "shop", "account": "123456789012", "region": "us-east-1",
            "time": "2023-11-14T22:13:20Z", "resources": ["arn:execution", "arn:machine"], "detail": {"n": 1},
        })
    );
    let failure = publishing.failure.unwrap();
    assert_eq!(failure.error.as_deref(), Some("EventBridge.FailedEntry"));
    let missing = "Parameter Source is not valid. Reason: Source is a required argument.";
    let cause = json!({"Entries": [{"EventId": ID}, {"ErrorCode": "InvalidArgument", "ErrorMessage": missing}], "FailedEntryCount": 1});
    assert_eq!(serde_json::from_str::<Value>(&failure.cause.unwrap()).unwrap(), cause);
}
