"""Try a worker without Reveille: sends a task message like the engine, and prints the replies
until one ends the task.

    AMQP_URL=… python ask.py QUEUE '{"the": "payload"}' [TIMEOUT_SECONDS]

Exit status: 0 success, 1 failure, 2 no final answer in time, 3 the queue does not exist.
"""
import json
import os
import sys
import time
import uuid

import pika
from pika.exceptions import UnroutableError

REPLIES = "reveille.ask." + uuid.uuid4().hex[:8]


def main(queue, payload, timeout=30.0):
    token = "not-a-real-token-" + uuid.uuid4().hex
    with pika.BlockingConnection(pika.URLParameters(os.environ.get("AMQP_URL", "amqp://localhost"))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(REPLIES, exclusive=True)
        now = int(time.time())
        try:
            channel.basic_publish("", queue, json.dumps(json.loads(payload)), pika.BasicProperties(
                app_id="reveille", type="task", content_type="application/json", delivery_mode=2,
                message_id=str(uuid.uuid4()), timestamp=now, expiration=str(int(timeout * 1000)),
                reply_to=REPLIES, correlation_id=token,
                headers={"task-token": token, "state-name": "Ask", "attempt": 1,
                         "execution-arn": "arn:aws:states:us-east-1:123456789012:execution:ask:" + queue,
                         "state-machine-arn": "arn:aws:states:us-east-1:123456789012:stateMachine:ask",
                         "deadline": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + timeout))}), mandatory=True)
        except UnroutableError:
            print("no queue named", queue)
            return 3
        for _, props, body in channel.consume(REPLIES, auto_ack=True, inactivity_timeout=timeout):
            if props is None:
                print("no answer in", timeout, "seconds")
                return 2
            headers = props.headers or {}
            status = headers.get("task-status", "success")
            if token not in (headers.get("task-token"), props.correlation_id):
                status = "refused (no token in header task-token or correlation_id)"
            print(status, body.decode())
            if status in ("success", "failure"):
                return int(status == "failure")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:4])))
