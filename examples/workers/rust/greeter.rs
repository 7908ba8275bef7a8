//! The greeter: answers tasks on the queue "greetings". It needs lapin, tokio, futures-util and serde_json.

use futures_util::StreamExt as _;
use lapin::options as on;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

fn greet(order: &Value) -> Result<Value, Value> {
    let greeting = order["name"].as_str().map(|name| json!({"text": format!("Hello, {name}")}));
    greeting.ok_or_else(|| json!({"error": "Greeter.NoName", "cause": "the input has no name"}))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://localhost".to_owned());
    let channel = Connection::connect(&url, ConnectionProperties::default()).await?.create_channel().await?;
    channel.confirm_select(on::ConfirmSelectOptions::default()).await?;
    channel.basic_qos(10, on::BasicQosOptions::default()).await?;
    channel.queue_declare("greetings".into(), on::QueueDeclareOptions::durable(), FieldTable::default()).await?;
    let (options, none) = (on::BasicConsumeOptions::default(), FieldTable::default());
    let mut tasks = channel.basic_consume("greetings".into(), "".into(), options, none).await?;
    while let Some(task) = tasks.next().await.transpose()? {
        // A body that is not JSON has no name.
        let (status, answer) = match greet(&serde_json::from_slice(&task.data).unwrap_or_default()) {
            Ok(answer) => ("success", answer),
            Err(failure) => ("failure", failure), // Retry and Catch see the error
        };
        let mut headers = FieldTable::default();
        headers.insert(ShortString::from("task-status"), AMQPValue::LongString(status.into()));
        let properties = BasicProperties::default().with_headers(headers).with_delivery_mode(2);
        let id = task.properties.correlation_id().clone().ok_or("a task without correlation_id")?;
        let to = task.properties.reply_to().clone().ok_or("a task without reply_to")?;
        let (properties, body) = (properties.with_correlation_id(id), answer.to_string().into_bytes());
        let sent = channel.basic_publish("".into(), to, on::BasicPublishOptions::default(), &body, properties);
        sent.await?.await?.is_ack().then_some(()).ok_or("the broker refused the answer; the task comes again")?;
        task.ack(on::BasicAckOptions::default()).await?; // after the broker has the answer
    }
    Ok(())
}
