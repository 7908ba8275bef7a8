// The greeter: answers tasks on the queue "greetings".    go get github.com/rabbitmq/amqp091-go
package main

import "encoding/json"
import "log"
import "os"
import amqp "github.com/rabbitmq/amqp091-go"

func greet(order map[string]string) (map[string]string, string) {
	if order["name"] == "" { // Retry and Catch see the error
		return map[string]string{"error": "Greeter.NoName", "cause": "the input has no name"}, "failure"
	}
	return map[string]string{"text": "Hello, " + order["name"]}, "success"
}
func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	channel := must(must(amqp.Dial(os.Getenv("AMQP_URL"))).Channel())
	must(0, channel.Confirm(false))
	must(0, channel.Qos(10, 0, false))
	must(channel.QueueDeclare("greetings", true, false, false, false, nil))
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 1))
	tasks := must(channel.Consume("greetings", "", false, false, false, false, nil))
	for task := range tasks {
		var order map[string]string
		_ = json.Unmarshal(task.Body, &order) // a body that is not JSON has no name
		answer, status := greet(order)
		must(0, channel.Publish("", task.ReplyTo, false, false, amqp.Publishing{
			CorrelationId: task.CorrelationId, Headers: amqp.Table{"task-status": status},
			ContentType: "application/json", DeliveryMode: amqp.Persistent, Body: must(json.Marshal(answer))}))
		if (<-confirms).Ack { // the broker has the answer
			must(0, task.Ack(false))
		}
	}
}
