//! The broker's word and the worker's answer → receipt, result, failure.

use super::*;
use crate::bus::Publication;

const REQUEST: Uuid = Uuid::from_u128(7);

#[test]
fn receipts_have_awss_shapes() {
    let given = |name: &str, parameters: Value| {
        let resource = service(name);
        let plan = planned(&resource, &parameters).unwrap();
        receipt(&resource, &plan, Some((&Arn::new("arn:child"), AT)), AT, REQUEST).into_value()
    };
    assert_eq!(
        given("sqs:sendMessage", json!({"QueueUrl": "q", "MessageBody": "test_message_body"})).to_string(),
        json!({
            "MD5OfMessageBody": "3caa9a099bc4e58ae7923f68c5d7d081",
            "MessageId": ID,
            "SdkHttpMetadata": {
                "AllHttpHeaders": {
                    "connection": ["keep-alive"],
                    "Content-Type": ["application/x-amz-json-1.0"],
                    "x-amzn-RequestId": [REQUEST],
                    "Content-Length": ["106"],
                    "Date": ["Tue, 14 Nov 2023 22:13:20 GMT"],
                },
                "HttpHeaders": {
                    "connection": "keep-alive",
                    "Content-Length": "106",
                    "Content-Type": "application/x-amz-json-1.0",
                    "Date": "Tue, 14 Nov 2023 22:13:20 GMT",
                    "x-amzn-RequestId": REQUEST,
                },
                "HttpStatusCode": 200,
            },
            "SdkResponseMetadata": {"RequestId": REQUEST},
        })
        .to_string()
    );
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let topic = json!({"TopicArn": "t", "Message": "m"});
    assert_eq!(keys(&given("sns:publish", topic)), "MessageId SdkHttpMetadata SdkResponseMetadata");
    let fifo = given("sns:publish", json!({"TopicArn": "t.fifo", "Message": "m", "MessageGroupId": "g"}));
    assert_eq!(keys(&fifo), "MessageId SdkHttpMetadata SdkResponseMetadata SequenceNumber");
    assert_eq!(fifo["SequenceNumber"].as_str().unwrap().len(), 20);
    let entries = json!({"Entries": [{"Source": "s", "DetailType": "t", "Detail": {}}]});
    assert_eq!(given("events:putEvents", entries), json!({"Entries": [{"EventId": ID}], "FailedEntryCount": 0}));
    let child = given("states:startExecution.sync", json!({"StateMachineArn": "arn:m"}));
    assert_eq!(keys(&child), "ExecutionArn SdkHttpMetadata SdkResponseMetadata StartDate");
    assert_eq!((&child["ExecutionArn"], &child["StartDate"]), (&json!("arn:child"), &json!(1_700_000_000_000_i64)));
    assert_eq!(
        given("amqp:publish", json!({"Exchange": "x", "RoutingKey": "k"})),
        json!({"MessageId": ID, "Exchange": "x", "RoutingKey": "k", "Confirmed": "2023-11-14T22:13:20.000Z"})
    );
    assert_eq!(
        given("lambda:invoke", json!({"FunctionName": "f", "InvocationType": "Event"}))["StatusCode"],
        json!(202)
    );
}

#[test]
fn a_workers_answer_becomes_the_result_of_its_resource() {
    let invoked =
        (*result(&service("lambda:invoke"), &Payload::default(), json!({"foo": "foo-1"}).into(), AT, REQUEST)).clone();
    assert_eq!(
        (&invoked["Payload"], &invoked["ExecutedVersion"], &invoked["StatusCode"]),
        (&json!({"foo": "foo-1"}), &json!("$LATEST"), &json!(200))
    );
    let keys: Vec<_> = invoked.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["ExecutedVersion", "Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode"]);
    assert_eq!(invoked["SdkHttpMetadata"]["HttpHeaders"]["Content-Length"], json!("15"));
    for same in [
        service("lambda:invoke.waitForTaskToken"),
        service("amqp:call"),
        service("dynamodb:getItem"),
        service("sqs:sendMessage.waitForTaskToken"),
        resource("arn:aws:lambda:us-east-1:123456789012:function:price"),
    ] {
        assert_eq!(*result(&same, &Payload::default(), json!([1]).into(), AT, REQUEST), json!([1]), "{}", same.arn);
    }
}

#[test]
fn a_failure_has_lambdas_shape_where_a_function_was_called() {
    let function = resource("arn:aws:lambda:us-east-1:123456789012:function:price");
    let said = Failure::new("Exception", "Some exception was raised.");
    let shaped = Failure::new("Exception", r#"{"errorMessage":"Some exception was raised.","errorType":"Exception"}"#);
    let traced = Failure::new("E", r#"{"errorMessage":"m","errorType":"E","stackTrace":[]}"#);
    let unnamed = Failure::new("Lambda.Unknown", r#"{"errorMessage":"","errorType":"Lambda.Unknown"}"#);
    for (resource, said, expected) in [
        (function.clone(), said.clone(), shaped.clone()),
        (service("lambda:invoke"), said.clone(), shaped),
        (service("lambda:invoke"), traced.clone(), traced),
        (function, Failure::new("", ""), unnamed),
        (service("lambda:invoke.waitForTaskToken"), said.clone(), said.clone()),
        (service("amqp:call"), said.clone(), said.clone()),
        (service("sqs:sendMessage.waitForTaskToken"), Failure::new("", ""), Failure::default()),
    ] {
        assert_eq!(failure(&resource, said), expected, "{}", resource.arn);
    }
}

#[test]
fn the_brokers_refusal_becomes_a_failure_that_retry_and_catch_can_name() {
    let realm = Realm::new("us-east-1", "123456789012");
    let no_route = Publication::Unroutable { code: 312, text: "NO_ROUTE".to_owned() };
    let no_exchange = Publication::Unroutable { code: 404, text: "NOT_FOUND".to_owned() };
    let failed = |name: &str, parameters: Value, publication: &Publication| {
        let resource = service(name);
        let messages = publishing(planned(&resource, &parameters).unwrap()).messages;
        refusal(&resource, &messages[0], publication, &realm, REQUEST).map(|f| (f.error.unwrap(), f.cause.unwrap()))
    };
    let error = |name: &str, parameters: Value, publication: &Publication| {
        failed(name, parameters, publication).map(|(error, _)| error)
    };
    let function = json!({"FunctionName": "no_such_f"});
    let queue = json!({"QueueUrl": "http://h/1/q", "MessageBody": "b"});
    let topic = json!({"TopicArn": "t", "Message": "m"});
    let entries = json!({"Entries": [{"Source": "s", "DetailType": "t", "Detail": {}}]});
    assert_eq!(failed("sqs:sendMessage", queue.clone(), &Publication::Confirmed), None);
    let not_found = format!(
        "Function not found: arn:aws:lambda:us-east-1:123456789012:function:no_such_f:$LATEST (Service: AWSLambda; Status Code: 404; \
         Error Code: ResourceNotFoundException; Request ID: {REQUEST}; Proxy: null)"
    );
    let (error_name, cause) = failed("lambda:invoke", function.clone(), &no_route).unwrap();
    assert_eq!((error_name.as_str(), &cause), ("Lambda.ResourceNotFoundException", &not_found));
    let message = publishing(planned(&service("lambda:invoke"), &function).unwrap()).messages.remove(0);
    let hinted = with_remedy(Failure::new(error_name, cause), &message, &no_route);
    let remedy = "The queue 'no_such_f' does not exist: start its worker, name the queue in the setting bus.queues, or \
                  set bus.declare to auto";
    assert_eq!(hinted.cause.as_deref(), Some(format!("{not_found}. {remedy}").as_str()));
    assert_eq!(with_remedy(hinted.clone(), &message, &no_route), hinted, "once");
    assert_eq!(error("sqs:sendMessage", queue.clone(), &no_route).as_deref(), Some("SQS.QueueDoesNotExistException"));
    assert_eq!(error("sqs:sendMessage", queue, &Publication::Nacked).as_deref(), Some("Amqp.Nacked"));
    // A topic or a bus may have no listeners, but must exist. A message with a token must reach a queue.
    assert_eq!(error("sns:publish", topic.clone(), &no_route), None);
    assert_eq!(error("sns:publish", topic.clone(), &no_exchange).as_deref(), Some("SNS.NotFoundException"));
    assert_eq!(error("sns:publish.waitForTaskToken", topic, &no_route).as_deref(), Some("Amqp.Unroutable"));
    assert_eq!(error("events:putEvents", entries.clone(), &no_route), None);
    // AWS's default bus is always there.
    assert_eq!(error("events:putEvents", entries.clone(), &no_exchange), None);
    assert_eq!(error("events:putEvents.waitForTaskToken", entries, &no_exchange).as_deref(), Some("Amqp.Unroutable"));
    let named = json!({"Entries": [{"Source": "s", "DetailType": "t", "Detail": {}, "EventBusName": "orders"}]});
    assert_eq!(
        error("events:putEvents", named, &no_exchange).as_deref(),
        Some("EventBridge.ResourceNotFoundException")
    );
    assert_eq!(
        failed("amqp:call", json!({"Queue": "q"}), &no_route).unwrap(),
        (
            "Amqp.Unroutable".to_owned(),
            "No queue takes messages for queue 'q': 312 NO_ROUTE. The queue 'q' does not exist: start its worker, name \
             the queue in the setting bus.queues, or set bus.declare to auto"
                .to_owned()
        )
    );
    assert_eq!(error("glue:startJobRun", json!({}), &no_route).as_deref(), Some("Amqp.Unroutable"));
    for (reason, error) in [
        ("rejected", "Amqp.Rejected"),
        ("expired", "Amqp.Expired"),
        ("maxlen", "Amqp.MaxLength"),
        ("delivery_limit", "Amqp.DeliveryLimit"),
    ] {
        assert_eq!(dead_lettered(reason, "q").error.as_deref(), Some(error));
    }
}

#[test]
fn children_start_once_and_their_end_is_shown_as_aws_shows_it() {
    let start = |name: &str, parameters: Value| match planned(&service(name), &parameters).unwrap() {
        Plan::StartExecution(child) => child,
        other => panic!("{other:?}"),
    };
    let child = start("states:startExecution", json!({"StateMachineArn": "arn:m", "Input": null}));
    assert_eq!((child.name, child.input.as_str(), child.wait), (ID.to_string(), "{}", ChildWait::Started));
    let child =
        start("states:startExecution.sync:2", json!({"StateMachineArn": "arn:m", "Input": {"a": 1}, "Name": "n"}));
    assert_eq!(
        (child.name.as_str(), child.input.as_str(), child.wait),
        ("n", r#"{"a":1}"#, ChildWait::Ended { output_as_json: true })
    );
    let child =
        start("states:startExecution.waitForTaskToken", json!({"StateMachineArn": "arn:m", "Input": "{\"a\":1}"}));
    assert_eq!((child.input.as_str(), child.wait), ("{\"a\":1}", ChildWait::Token));

    let (arn, machine) = (Arn::new("arn:child"), Arn::new("arn:m"));
    let ended = Child {
        arn: &arn,
        machine: &machine,
        name: "n",
        status: "SUCCEEDED",
        input: "{}",
        output: Some(r#"{"Arg1":"argument1"}"#),
        error: None,
        cause: None,
        started: AT,
        stopped: AT,
        redrive_count: 0,
        redriven: None,
        version: None,
        alias: None,
    };
    let shown = child_result(&ended, false).unwrap();
    assert_eq!(
        (&shown["RedriveStatus"], &shown["RedriveStatusReason"]),
        (&json!("NOT_REDRIVABLE"), &json!("Execution is SUCCEEDED and cannot be redriven"))
    );
    assert_eq!((&shown["Input"], &shown["Output"]), (&json!("{}"), &json!(r#"{"Arg1":"argument1"}"#)));
    let shown = child_result(&ended, true).unwrap();
    assert_eq!(
        (&shown["Input"], &shown["Output"], &shown["Status"]),
        (&json!({}), &json!({"Arg1": "argument1"}), &json!("SUCCEEDED"))
    );
    let failure =
        child_result(&Child { status: "FAILED", output: None, error: Some("States.Timeout"), ..ended }, false)
            .unwrap_err();
    assert_eq!(failure.error.as_deref(), Some("States.TaskFailed"));
    let cause: Value = serde_json::from_str(&failure.cause.unwrap()).unwrap();
    assert_eq!(
        (&cause["Error"], &cause["Status"], cause.get("Output")),
        (&json!("States.Timeout"), &json!("FAILED"), None)
    );
    assert_eq!((&cause["RedriveStatus"], cause.get("RedriveStatusReason")), (&json!("REDRIVABLE"), None));
    let failure = start_failure("StateMachineDoesNotExist", "State Machine Does Not Exist: 'arn:m'", REQUEST);
    assert_eq!(failure.error.as_deref(), Some("StepFunctions.StateMachineDoesNotExistException"));
    assert_eq!(
        failure.cause.unwrap(),
        format!(
            "State Machine Does Not Exist: 'arn:m' (Service: AWSStepFunctions; Status Code: 400; Error Code: StateMachineDoesNotExist; Request ID: \
             {REQUEST}; Proxy: null)"
        )
    );
}
