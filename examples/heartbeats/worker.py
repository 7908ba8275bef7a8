"""A renderer: takes a job, acknowledges it at once, works for long, and beats. AMQP_URL names the broker.

The first job dies without a word, so that its missing heartbeat is seen.
"""
import json
import os

import pika

died = False


def reply(channel, task, status, result=None):
    channel.basic_publish("", task.reply_to, json.dumps(result), pika.BasicProperties(
        headers={"task-token": task.headers["task-token"], "task-status": status}, delivery_mode=2))


def render(channel, method, task, body):
    global died
    channel.basic_ack(method.delivery_tag)  # early: the engine watches over the job now, not the broker
    film = json.loads(body)["film"]
    if not died:
        died = True
        print(film, "the renderer crashes", flush=True)
        return
    for second in range(4):  # hours, in a real one
        connection.sleep(1)  # not time.sleep: the connection lives on
        reply(channel, task, "heartbeat")
        print(film, "frame", 24 * (second + 1), flush=True)
    reply(channel, task, "success", {"film": film, "frames": 96})


connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost")))
channel = connection.channel()
channel.confirm_delivery()
channel.queue_declare("films", durable=True)
channel.basic_qos(prefetch_count=1)
channel.basic_consume("films", render)
channel.start_consuming()
