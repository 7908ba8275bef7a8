"""A worker that heeds cancellation: it listens for task.cancelled and stops when its task has ended
without it.

Its own thread does the work in small steps. The consumer keeps listening meanwhile, sends
heartbeats, and acknowledges early: a task of an hour must not stay unacknowledged.
"""
import functools
import json
import os
import signal
import sys
import threading

import pika

EVENTS = "reveille.events"


def work(order, cancelled, beat):
    """Half a second a step; any real work that can be asked to stop does."""
    for step in range(int(order.get("steps", 10))):
        if cancelled.wait(0.5):
            return None
        beat()
    return {"steps": step + 1}


def main():
    with pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost"))) as connection:
        channel = connection.channel()
        channel.queue_declare("long-work", durable=True)
        channel.exchange_declare(EVENTS, "topic", durable=True)
        news = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(news, EVENTS, "task.cancelled.#")
        running = {}  # message_id of the task → the flag that breaks it off

        def answer(request, status, what):
            channel.basic_publish("", request.reply_to, json.dumps(what), pika.BasicProperties(
                correlation_id=request.correlation_id, delivery_mode=2, headers={"task-status": status}))

        def begin(_, method, request, body):
            if request.message_id in running:  # a second copy of a task that is being worked on
                return channel.basic_ack(method.delivery_tag)
            cancelled = running[request.message_id] = threading.Event()
            print("began", request.message_id, flush=True)

            def run():
                def later(status, what):
                    connection.add_callback_threadsafe(functools.partial(answer, request, status, what))

                result = work(json.loads(body), cancelled, lambda: later("heartbeat", {}))
                if result is not None:
                    later("success", result)
                print("broke off" if result is None else "done", request.message_id, flush=True)
                running.pop(request.message_id, None)

            threading.Thread(target=run, daemon=True).start()
            channel.basic_ack(method.delivery_tag)

        def heed(_, method, __, body):
            event = json.loads(body)
            if flag := running.get(event["messageId"]):
                print("cancelled", event["messageId"], "because of", event["reason"], flush=True)
                flag.set()

        channel.basic_qos(prefetch_count=10)
        channel.basic_consume("long-work", begin)
        channel.basic_consume(news, heed, auto_ack=True)
        print("waiting for tasks on queue long-work", flush=True)
        channel.start_consuming()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    main()
