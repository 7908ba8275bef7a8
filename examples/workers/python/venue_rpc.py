"""The venue: a stock AMQP RPC server.

It knows nothing of Reveille or task tokens; it echoes correlation_id, like all RPC servers.
"""
import json
import os
import signal
import sys

import pika


def on_request(channel, method, request, body):
    order = json.loads(body)
    print("preparing", order["venue"], flush=True)
    answer = {"name": order["venue"], "seats": order["guests"] + 2, "ready_on": order["date"]}
    channel.basic_publish("", request.reply_to, json.dumps(answer), pika.BasicProperties(
        correlation_id=request.correlation_id, content_type="application/json", delivery_mode=2))
    channel.basic_ack(method.delivery_tag)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost"))) as connection:
    channel = connection.channel()
    channel.confirm_delivery()  # a reply counts when the broker has it; only then the task is acknowledged
    channel.queue_declare("venue", durable=True)
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume("venue", on_request)
    print("waiting for tasks on queue venue", flush=True)
    channel.start_consuming()
