"""What the broker knows becomes the task's fate; cancellation reaches workers. On a real server and a real broker.

    python tests/soak/fates.py --binary target/debug/reveille
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pika

from crash import ROLE, ROOT, Server, broker

OWNED = "fates.work"
# Seconds for what takes one: the machine may be slow, and is not what is tested.
PATIENCE = 120
SHORT = "fates.short"
DROPPING = "fates.dropping"
IMPATIENT = "fates.impatient"


def task(queue, **more):
    return {"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
            "Parameters": {"Queue": queue, "Body": {"steps": 40}}, **more}


def run(server, name, states, start="T"):
    definition = json.dumps({"StartAt": start, "States": states})
    machine = server.insist("CreateStateMachine", name=name, definition=definition, roleArn=ROLE)["stateMachineArn"]
    return server.insist("StartExecution", stateMachineArn=machine, name="one", input="{}")["executionArn"]


def ended(server, arn, seconds=PATIENCE):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        row = server.insist("DescribeExecution", executionArn=arn)
        if row["status"] != "RUNNING":
            return row
        time.sleep(0.05)
    raise AssertionError(f"{arn} has not ended in {seconds} s")


def consume_one(channel, queue, seconds=PATIENCE):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        method, properties, body = channel.basic_get(queue)
        if method:
            return method, properties, body
        time.sleep(0.05)
    raise AssertionError(f"no message in {queue}")


def a_rejected_task_is_seen_by_retry_and_then_by_catch(server, channel):
    retry = [{"ErrorEquals": ["Amqp.Rejected"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    catch = [{"ErrorEquals": ["Amqp.Rejected"], "Next": "Caught"}]
    arn = run(server, "rejected", {"T": task(OWNED, Retry=retry, Catch=catch, End=True), "Caught": {"Type": "Pass", "End": True}})
    tokens = set()
    for _ in range(2):
        method, properties, _ = consume_one(channel, OWNED)
        tokens.add(properties.correlation_id)
        channel.basic_reject(method.delivery_tag, requeue=False)
    begun = time.monotonic()
    row = ended(server, arn)
    took = time.monotonic() - begun
    assert row["status"] == "SUCCEEDED" and json.loads(row["output"])["Error"] == "Amqp.Rejected", row
    assert len(tokens) == 2, "a retry is a new task with a token of its own"
    return f"Amqp.Rejected in the history {took * 1000:.0f} ms after the reject"


def an_expired_task_fails_before_its_timeout(server, _):
    state = task(OWNED, TimeoutSeconds=60, End=True)
    state["Parameters"]["Expiration"] = 500
    arn = run(server, "expired", {"T": state})
    row = ended(server, arn)
    assert (row["status"], row["error"]) == ("FAILED", "Amqp.Expired"), row
    return row["error"]


def a_task_over_the_length_is_nacked(server, channel):
    # A quorum queue refuses a moment after its length was reached: some more may get in, the rest is told when it was refused for 15 s.
    states = {"Each": {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": {"StartAt": "T", "States": {
        "T": task(SHORT, Catch=[{"ErrorEquals": ["Amqp.Nacked"], "Next": "Full"}], TimeoutSeconds=600, End=True),
        "Full": {"Type": "Pass", "End": True}}}, "End": True}}
    definition = json.dumps({"StartAt": "Each", "States": states})
    machine = server.insist("CreateStateMachine", name="length", definition=definition, roleArn=ROLE)["stateMachineArn"]
    nacked, begun, rounds = 0, time.monotonic(), 0
    while not nacked and time.monotonic() < begun + PATIENCE:
        rounds += 1
        arn = server.insist("StartExecution", stateMachineArn=machine, name=f"n-{rounds}", input=json.dumps({"items": [1] * 20}))["executionArn"]
        time.sleep(17)
        events = server.insist("GetExecutionHistory", executionArn=arn, maxResults=1000)["events"]
        failed = [e for e in events if e["type"] in ("TaskFailed", "TaskSubmitFailed")]
        details = [e.get("taskFailedEventDetails") or e.get("taskSubmitFailedEventDetails") for e in failed]
        nacked = sum(d["error"] == "Amqp.Nacked" for d in details)
        assert nacked == len(failed), details
    assert nacked, "a queue of three messages took all"
    return f"{nacked} of {20 * rounds} over a length of 3"


def a_task_that_newer_ones_push_out_of_its_queue_is_over_the_length(server, channel):
    # A queue of the operator's own, which drops its oldest message and sends it to the engine's dead letters.
    channel.queue_declare(DROPPING, durable=True, arguments={
        "x-queue-type": "quorum", "x-max-length": 2, "x-overflow": "drop-head",
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "reveille.dead-letters"})
    catch = [{"ErrorEquals": ["Amqp.MaxLength"], "ResultPath": "$.why", "Next": "Caught"}]
    states = {"T": task(DROPPING, Catch=catch, End=True), "Caught": {"Type": "Pass", "End": True}}
    definition = json.dumps({"StartAt": "T", "States": states})
    machine = server.insist("CreateStateMachine", name="dropping", definition=definition, roleArn=ROLE)["stateMachineArn"]
    arns = []
    for n in range(4):  # one after the other is in the queue: which are the oldest is known
        arns.append(server.insist("StartExecution", stateMachineArn=machine, name=f"n-{n}", input="{}")["executionArn"])
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            types = [e["type"] for e in server.insist("GetExecutionHistory", executionArn=arns[-1], maxResults=1000)["events"]]
            if "TaskSubmitted" in types:
                break
            time.sleep(0.1)
        assert "TaskSubmitted" in types, types
    for arn in arns[:2]:
        row = ended(server, arn)
        assert row["status"] == "SUCCEEDED" and json.loads(row["output"])["why"]["Error"] == "Amqp.MaxLength", row
    left = [server.insist("DescribeExecution", executionArn=arn)["status"] for arn in arns[2:]]
    assert left == ["RUNNING"] * 2, left
    tokens = {consume_one(channel, DROPPING)[1].message_id for _ in range(2)}
    assert len(tokens) == 2
    return "the two oldest of four in a queue for two; the others wait on"


def a_task_given_back_too_often_is_over_the_delivery_limit(server, channel):
    catch = [{"ErrorEquals": ["Amqp.DeliveryLimit"], "Next": "Caught"}]
    arn = run(server, "limit", {"T": task(IMPATIENT, Catch=catch, End=True), "Caught": {"Type": "Pass", "End": True}})
    given_back = 0
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.insist("DescribeExecution", executionArn=arn)["status"] == "RUNNING":
        method, _, _ = channel.basic_get(IMPATIENT)
        if method:
            given_back += 1
            channel.basic_nack(method.delivery_tag, requeue=True)
        else:
            time.sleep(0.05)
    row = ended(server, arn, 10)
    assert row["status"] == "SUCCEEDED" and json.loads(row["output"])["Error"] == "Amqp.DeliveryLimit", row
    assert given_back == 3, given_back
    return f"{given_back} deliveries under a limit of 2"


def a_task_without_a_queue_is_unroutable(server, _):
    # A queue that the definition named as text would be declared with the machine.
    computed = task("", End=True)
    computed["Parameters"] = {"Queue.$": "States.Format('fates.{}', 'none')", "Body": {}}
    row = ended(server, run(server, "unroutable", {"T": computed}))
    assert (row["status"], row["error"]) == ("FAILED", "Amqp.Unroutable"), row
    return row["error"]


def a_timed_out_task_is_a_timeout_and_not_a_dead_letter(server, _):
    row = ended(server, run(server, "timeout", {"T": task(OWNED, TimeoutSeconds=2, End=True)}))
    assert row["status"] == "FAILED" and row["error"] == "States.Timeout", row
    return row["error"]


def cancellation_reaches_a_worker(server, url):
    worker = subprocess.Popen([sys.executable, ROOT / "examples/workers/python/cancellable.py"], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "AMQP_URL": url})
    said = []
    watch = threading.Timer(3 * PATIENCE, worker.kill)  # its output ends then, and the test with it
    watch.start()
    try:
        def until(what):
            for line in worker.stdout:
                said.append(line.strip())
                if what in line:
                    return
            raise AssertionError(f"the worker ended; it said {said}")

        until("waiting")
        run(server, "cancel-timeout", {"T": task("long-work", TimeoutSeconds=2, End=True)})
        until("because of timeout")
        until("broke off")
        arn = run(server, "cancel-stop", {"T": task("long-work", End=True)})
        until("began")
        server.insist("StopExecution", executionArn=arn)
        until("because of stopped")
        until("broke off")
        branches = [{"StartAt": "B", "States": {"B": task("long-work", End=True)}},
                    {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "F"}, "F": {"Type": "Fail", "Error": "Sibling"}}}]
        run(server, "cancel-sibling", {"T": {"Type": "Parallel", "Branches": branches, "End": True}})
        until("because of sibling-failed")
        until("broke off")
    finally:
        watch.cancel()
        worker.send_signal(signal.SIGTERM)
        worker.wait(PATIENCE)
    return "timeout, stop, failed sibling"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--binary", default=ROOT / "target/debug/reveille", type=pathlib.Path)
    args = options.parse_args()
    work_dir = pathlib.Path(tempfile.mkdtemp(prefix="reveille-fates."))
    os.environ["REVEILLE__BUS__QUEUES"] = f"{OWNED},{SHORT};max_length=3,{IMPATIENT};delivery_limit=2"
    server, failed = None, 0
    try:
        url = broker(work_dir, "start")
        server = Server(args.binary, work_dir, url)
        server.start()
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            time.sleep(2)
            cases = [(a_rejected_task_is_seen_by_retry_and_then_by_catch, channel), (an_expired_task_fails_before_its_timeout, None),
                     (a_task_over_the_length_is_nacked, channel),
                     (a_task_that_newer_ones_push_out_of_its_queue_is_over_the_length, channel), (a_task_given_back_too_often_is_over_the_delivery_limit, channel),
                     (a_task_without_a_queue_is_unroutable, None), (a_timed_out_task_is_a_timeout_and_not_a_dead_letter, None),
                     (cancellation_reaches_a_worker, url)]
            for case, what in cases:
                name = case.__name__.replace("_", " ")
                try:
                    print(f"ok      {name}: {case(server, what)}", flush=True)
                except AssertionError as e:
                    failed += 1
                    print(f"FAILED  {name}: {e}", flush=True)
    finally:
        if server and server.process:
            server.kill()
            if failed:
                print(server.log.read_text()[-3000:])
        if (work_dir / "broker/env").exists():
            broker(work_dir, "discard")
        shutil.rmtree(work_dir, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
