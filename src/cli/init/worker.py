"""The greeter: answers tasks on the queue NAME. It needs pika: pip install pika"""
import json
import os

import pika


def greet(order):
    if not order.get("name"):
        raise ValueError("the input has no name")
    return {"text": f"Hello, {order['name']}"}


def on_task(channel, method, task, body):
    try:
        answer, status = greet(json.loads(body)), "success"
    except Exception as error:  # Retry and Catch see the name of its class
        answer, status = {"error": type(error).__name__, "cause": str(error)}, "failure"
    channel.basic_publish("", task.reply_to, json.dumps(answer), pika.BasicProperties(
        correlation_id=task.correlation_id, headers={"task-status": status},
        content_type="application/json", delivery_mode=2))
    channel.basic_ack(method.delivery_tag)  # after the broker has the answer


with pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost"))) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("NAME", durable=True)
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume("NAME", on_task)
    print("waiting for tasks on queue NAME", flush=True)
    channel.start_consuming()
