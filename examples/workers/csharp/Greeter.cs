// The greeter: answers tasks on the queue "greetings".    dotnet add package RabbitMQ.Client --version 6.8.1
// Not run by make test: Debian has no .NET.
using System.Collections.Generic;
using System.Text.Json;
using System.Threading;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

var url = System.Environment.GetEnvironmentVariable("AMQP_URL") ?? "amqp://localhost";
using var connection = new ConnectionFactory { Uri = new System.Uri(url) }.CreateConnection();
using var channel = connection.CreateModel();
channel.ConfirmSelect();
channel.BasicQos(0, 10, false);
channel.QueueDeclare("greetings", durable: true, exclusive: false, autoDelete: false);
var consumer = new EventingBasicConsumer(channel);
consumer.Received += (_, task) =>
{
    var (status, answer) = Greet(task.Body.ToArray());
    var properties = channel.CreateBasicProperties();
    properties.CorrelationId = task.BasicProperties.CorrelationId;
    properties.Headers = new Dictionary<string, object> { ["task-status"] = status };
    properties.ContentType = "application/json";
    properties.Persistent = true;
    channel.BasicPublish("", task.BasicProperties.ReplyTo, properties, JsonSerializer.SerializeToUtf8Bytes(answer));
    channel.WaitForConfirmsOrDie();
    channel.BasicAck(task.DeliveryTag, false); // after the broker has the answer
};
channel.BasicConsume("greetings", false, consumer);
System.Console.WriteLine("waiting for tasks on queue greetings");
Thread.Sleep(Timeout.Infinite);

static (string, object) Greet(byte[] body) // Retry and Catch see the error
{
    try
    {
        var name = JsonDocument.Parse(body).RootElement.GetProperty("name").GetString();
        return ("success", new { text = $"Hello, {name}" });
    }
    catch (System.Exception) { return ("failure", new { error = "Greeter.NoName", cause = "the input has no name" }); }
}
