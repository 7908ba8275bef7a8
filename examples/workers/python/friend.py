"""A friend who knows photographers: thinks for a while with heartbeats, then answers.

THINK_SECONDS (default 5), HEARTBEAT_EVERY (default 2). With --by-hand it only shows the question and
the token. A person answers later, from anywhere:
    reveille succeed TOKEN --result '{"name": "…"}'
"""
import json
import os
import signal
import sys

import pika

THINK_SECONDS = float(os.environ.get("THINK_SECONDS", "5"))
HEARTBEAT_EVERY = float(os.environ.get("HEARTBEAT_EVERY", "2"))
BY_HAND = "--by-hand" in sys.argv


def reply(channel, task, status, result=None):
    channel.basic_publish("", task.reply_to, json.dumps(result), pika.BasicProperties(
        headers={"task-token": task.headers["task-token"], "task-status": status},
        content_type="application/json", delivery_mode=2))


def on_task(channel, method, task, body):
    print(json.loads(body)["question"], flush=True)
    if BY_HAND:
        print("answer with this token:", task.headers["task-token"], flush=True)
    else:
        left = THINK_SECONDS
        while left > 0:
            connection.sleep(min(HEARTBEAT_EVERY, left))  # not time.sleep: the connection's own heartbeats go on
            left -= HEARTBEAT_EVERY
            if left > 0:
                reply(channel, task, "heartbeat")
        reply(channel, task, "success", {"name": "Vera Holm", "phone": "555-0142"})
        print("recommended Vera Holm", flush=True)
    channel.basic_ack(method.delivery_tag)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
connection = pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost")))
with connection:
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("photographer-friend", durable=True)
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume("photographer-friend", on_task)
    print("waiting for tasks on queue photographer-friend", flush=True)
    channel.start_consuming()
