"""The crash campaign: a real server, a real broker, real workers; kill -9 of each, at random moments, under load.

    python tests/soak/crash.py --binary target/release/reveille [--engine-kills N] [--broker-kills N] [--seed N]

First an undisturbed phase: each input runs once, and how it ends is kept. Then the same inputs run again and again while the engine and
the broker are killed, connections are cut and the engine is stopped in the middle of its work. At the end:

  - every accepted execution has ended, as its input did in the undisturbed phase
  - every history, of children of Distributed Maps too, has ids 1..n, and each scheduled task ended once, with an answer that a worker
    gave for it; no answer took effect twice
  - all copies of one task message carry the same token and message_id
  - neither the server's log nor its metrics hold a token

Engine and workers reach the broker through a proxy (proxy.py) that cuts connections in the middle of AMQP frames.
Exit status 0 when all of it holds. The seed decides what is killed when; what that hits is up to the machine.
"""
import argparse
import collections
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import pika

from proxy import Proxy

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLE = "arn:aws:iam::123456789012:role/soak"
QUEUES = ["soak.call", "soak.callback"]
INPUTS = 12
ENDS = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")

RETRY = [{"ErrorEquals": ["Soak.Again"], "IntervalSeconds": 1, "MaxAttempts": 4, "BackoffRate": 1}]


def call(queue, body, **more):
    return {"Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Parameters": {"Queue": queue, "Body": body}, "Retry": RETRY, **more}


def callback(body, **more):
    return {"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken",
            "Parameters": {"Queue": "soak.callback", "Body": body}, "Retry": RETRY, "TimeoutSeconds": 7200, "HeartbeatSeconds": 3600, **more}


CHILD = {"StartAt": "Pause", "States": {
    "Pause": {"Type": "Wait", "Seconds": 1, "Next": "ChildCall"},
    "ChildCall": call("soak.call", {"n.$": "$.n", "where": "child"}, ResultSelector={"value.$": "$.value"}, End=True)}}


def parent(child_arn):
    item = {"StartAt": "Item", "States": {
        "Item": callback({"n.$": "$.n", "item.$": "$.item"}, ResultSelector={"value.$": "$.value"}, End=True)}}
    return {"StartAt": "First", "States": {
        "First": call("soak.call", {"n.$": "$.n", "where": "first"}, ResultSelector={"value.$": "$.value"}, ResultPath="$.first", Next="Both"),
        "Both": {"Type": "Parallel", "ResultPath": "$.both", "Next": "Few", "Branches": [
            {"StartAt": "Each", "States": {"Each": {
                "Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2, "ItemProcessor": item,
                "ItemSelector": {"n.$": "$.n", "item.$": "$$.Map.Item.Value"}, "End": True}}},
            {"StartAt": "Sleep", "States": {
                "Sleep": {"Type": "Wait", "Seconds": 2, "Next": "Child"},
                "Child": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
                          "Parameters": {"StateMachineArn": child_arn, "Input": {"n.$": "$.n"}},
                          "ResultSelector": {"child.$": "$.Output"}, "End": True}}},
            {"StartAt": "Maybe", "States": {
                "Maybe": callback({"n.$": "$.n", "where": "maybe"}, ResultSelector={"value.$": "$.value"}, End=True,
                                  Catch=[{"ErrorEquals": ["Soak.Never"], "Next": "Caught"}]),
                "Caught": {"Type": "Pass", "Result": "caught", "End": True}}}]},
        "Few": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericLessThan": 5, "Next": "Many"}], "Default": "Last"},
        "Many": {"Type": "Map", "ItemsPath": "$.items", "ResultPath": "$.many", "Next": "Last", "Label": "Many",
                 "ItemSelector": {"n.$": "$.n", "item.$": "$$.Map.Item.Value"}, "ItemProcessor": {
                     "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "Own", "States": {
                         "Own": callback({"n.$": "$.n", "own.$": "$.item"}, ResultSelector={"value.$": "$.value"}, End=True)}}},
        "Last": callback({"n.$": "$.n", "where": "last"}, ResultSelector={"value.$": "$.value"}, ResultPath="$.last", Next="Judge"),
        "Judge": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 7, "Next": "Refused"}], "Default": "Done"},
        "Refused": {"Type": "Fail", "Error": "Soak.Seven", "Cause": "by plan"},
        "Done": {"Type": "Succeed"}}}


def work(state, attempt, body):
    """What the answer to a task is: a function of the task alone."""
    digest = hashlib.sha256(json.dumps([state, attempt, body], sort_keys=True).encode()).digest()
    if state == "Maybe" and body["n"] % 4 == 1:
        return "failure", {"error": "Soak.Never", "cause": "by plan"}
    if attempt <= 2 and digest[0] < 60:
        return "failure", {"error": "Soak.Again", "cause": "by plan"}
    value = int.from_bytes(hashlib.sha256(json.dumps([state, body], sort_keys=True).encode()).digest()[:3], "big")
    return "success", {"value": value}


class Ledger:
    """What workers saw and said."""

    def __init__(self):
        self.lock = threading.Lock()
        self.tokens = {}
        self.answers = collections.defaultdict(list)
        self.copies = collections.Counter()
        self.wrong = []

    def seen(self, message_id, token, reply_token):
        with self.lock:
            self.copies[message_id] += 1
            if self.tokens.setdefault(message_id, token) != token or reply_token != token:
                self.wrong.append(f"message {message_id} came with two tokens")

    def said(self, execution, state, reply):
        with self.lock:
            self.answers[(execution, state)].append(reply)


class Worker(threading.Thread):
    def __init__(self, url, ledger, seed):
        super().__init__(daemon=True)
        self.url, self.ledger, self.dice = url, ledger, random.Random(seed)
        self.stopping = False
        self.count = 0

    def run(self):
        while not self.stopping:
            try:
                with pika.BlockingConnection(pika.URLParameters(self.url + "?heartbeat=10&socket_timeout=5")) as connection:
                    self.consume(connection)
            except Exception:  # the broker is away, or this worker "crashed": another life
                time.sleep(0.3)

    def consume(self, connection):
        channel = connection.channel()
        channel.confirm_delivery()
        for queue in QUEUES:
            channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_qos(prefetch_count=20)
        for queue in QUEUES:
            channel.basic_consume(queue, self.handle)
        while not self.stopping:
            connection.process_data_events(time_limit=0.5)

    def handle(self, channel, method, properties, body):
        headers = properties.headers
        token = headers["task-token"]
        self.ledger.seen(properties.message_id, token, properties.correlation_id)
        status, answer = work(headers["state-name"], headers["attempt"], json.loads(body))
        if self.dice.random() < 0.02:
            raise ConnectionError("this worker crashes before it answers: the task comes to another one")
        self.count += 1
        if status == "success":
            answer = {**answer, "reply": f"{self.name}-{self.count}"}
            self.ledger.said(headers["execution-arn"], headers["state-name"], answer["reply"])

        def reply(kind, what):
            channel.basic_publish("", properties.reply_to, json.dumps(what), pika.BasicProperties(
                delivery_mode=2, correlation_id=token, headers={"task-status": kind}))

        if self.dice.random() < 0.1:
            reply("heartbeat", {})
        reply(status, answer)
        if self.dice.random() < 0.05:
            reply(status, answer)  # a client library that sends again
        channel.basic_ack(method.delivery_tag)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, binary, work_dir, amqp_url):
        self.port = free_port()
        self.log = work_dir / "server.log"
        self.command = [str(binary), "serve", "--listen", f"127.0.0.1:{self.port}", "--store", f"sqlite:{work_dir / 'soak.db'}", "--bus", amqp_url]
        self.process = None
        self.lives = 0

    def start(self, wait=True):
        self.lives += 1
        env = {**os.environ, "REVEILLE__LOGS__FORMAT": "json", "REVEILLE__ENGINE__PASSIVATE_AFTER_SECONDS": "2",
               # The workers' queues are quorum queues, and they declare them.
               "REVEILLE__BUS__DECLARE": "never", "REVEILLE__BUS__CONFIRM_TIMEOUT_SECONDS": "5", "REVEILLE__BUS__HEARTBEAT_SECONDS": "5"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=env)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=300):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended by itself with {self.process.returncode}; see {self.log}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2).read()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the server is not ready after {seconds} s; see {self.log}")

    def kill(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()

    def ask(self, operation, **body):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", json.dumps(body).encode(), {
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AWSStepFunctions.{operation}"})
        try:
            return json.load(urllib.request.urlopen(request, timeout=20))
        except urllib.error.HTTPError as e:
            return {"__type": "Unknown", **json.loads(e.read() or b"{}"), "http": e.code}

    def insist(self, operation, patience=600, **body):
        """Asks until it is answered."""
        until = time.monotonic() + patience
        while True:
            try:
                answer = self.ask(operation, **body)
                # 408: the server waited too long for the rest of this request, on a machine that is too busy.
                if answer.get("http", 200) < 500 and answer.get("http") != 408 and "Throttling" not in answer.get("__type", ""):
                    return answer
            except OSError:
                answer = "no answer"
            if time.monotonic() > until:
                raise RuntimeError(f"{operation} got no answer: {answer}")
            time.sleep(0.1)


def broker(work_dir, *command):
    done = subprocess.run([ROOT / "scripts/broker.sh", command[0], work_dir / "broker", *command[1:]], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def outcome(server, arn):
    row = server.insist("DescribeExecution", executionArn=arn)
    output = json.loads(row["output"]) if row.get("output") else None
    return row["status"], output, row.get("error"), row.get("cause")


class Load(threading.Thread):
    """Starts executions, one after the other, and notes those that were accepted."""

    def __init__(self, server, machine, rate):
        super().__init__(daemon=True)
        self.server, self.machine, self.pause = server, machine, 1 / rate
        self.accepted, self.stopping, self.wrong, self.last = {}, False, [], 0

    def run(self):
        number = 0
        while not self.stopping:
            number += 1
            n = number % INPUTS
            answer = self.server.insist("StartExecution", stateMachineArn=self.machine, name=f"run-{number}", input=given(n))
            if "executionArn" in answer:
                self.accepted[answer["executionArn"]] = n
            elif answer["__type"].endswith("ExecutionAlreadyExists"):
                # An earlier attempt of ours was taken in, its answer was lost, and it has ended since.
                self.accepted[self.machine.replace("stateMachine", "execution") + f":run-{number}"] = n
            else:
                self.wrong.append(f"run-{number}: {answer}")
            self.last = time.monotonic()
            time.sleep(self.pause)


def faults(engine_kills, broker_kills, dice):
    """What goes wrong, in order: kills of the engine with other faults strewn in, those of the broker spread over them."""
    both = [dice.random() < 1 / 3 for _ in range(broker_kills)]
    plan = ["engine"] * (engine_kills - sum(both))
    plan += ["cut"] * (engine_kills // 4) + ["close"] * (engine_kills // 20) + ["freeze"] * (engine_kills // 10)
    dice.shuffle(plan)
    for n, with_engine in reversed(list(enumerate(both))):
        place = (n + dice.random()) * len(plan) / broker_kills
        plan.insert(int(place), "both" if with_engine else "broker")
    return plan


def given(n):
    return json.dumps({"n": n, "items": list(range(n % 4))})


def wait_all(server, arns, seconds):
    """Those that have not ended in time."""
    left, until = set(arns), time.monotonic() + seconds
    while left and time.monotonic() < until:
        for arn in list(left):
            if server.insist("DescribeExecution", executionArn=arn).get("status") in ENDS:
                left.discard(arn)
        time.sleep(0.3)
    return left


def judge_history(server, arn, ledger):
    events = every(server, "GetExecutionHistory", "events", executionArn=arn, maxResults=1000)
    wrong, ended, replies = [], collections.Counter(), []
    if [e["id"] for e in events] != list(range(1, len(events) + 1)):
        wrong.append("ids are not 1..n")
    by_id = {e["id"]: e for e in events}

    def scheduled_by(event):
        while event and event["type"] != "TaskScheduled":
            event = by_id.get(event["previousEventId"])
        return event["id"] if event else None

    for event in events:
        if event["type"] in ("TaskSucceeded", "TaskFailed", "TaskTimedOut"):
            ended[scheduled_by(event)] += 1
        if event["type"] == "TaskSucceeded":
            output = json.loads(event["taskSucceededEventDetails"]["output"])
            if isinstance(output, dict) and "reply" in output:
                replies.append(output["reply"])
    scheduled = [e["id"] for e in events if e["type"] == "TaskScheduled"]
    wrong += [f"the task of event {i} ended {ended[i]} times" for i in scheduled if ended[i] != 1]
    said = {r for (execution, _), answers in ledger.answers.items() if execution == arn for r in answers}
    wrong += [f"reply {r} took effect twice" for r, n in collections.Counter(replies).items() if n > 1]
    wrong += [f"reply {r} was never given" for r in replies if r not in said]
    kin = []
    if any(e["type"] == "MapRunStarted" for e in events):
        for run in every(server, "ListMapRuns", "mapRuns", executionArn=arn):
            kin += [e["executionArn"] for e in every(server, "ListExecutions", "executions", mapRunArn=run["mapRunArn"])]
    tasks = len(scheduled)
    for child in kin:
        more, theirs = judge_history(server, child, ledger)
        wrong += more
        tasks += theirs
    return wrong, tasks


def found_in(text, tokens):
    """The tokens that occur in the text. Not one search for each of ten thousands: each word that could hold one is looked at once."""
    found, lengths = set(), {len(t) for t in tokens}
    assert all(re.fullmatch(rb"[A-Za-z0-9_.~=-]+", t) for t in tokens), "a token with a character that is not looked for"
    for word in re.findall(rb"[A-Za-z0-9_.~=-]{%d,}" % min(lengths, default=1), text):
        for length in lengths:
            found.update(word[at:at + length] for at in range(len(word) - length + 1) if word[at:at + length] in tokens)
    return found


def every(server, operation, field, **body):
    """All pages of a listing."""
    token, rows = None, []
    while True:
        page = server.insist(operation, **body, **({"nextToken": token} if token else {}))
        if field not in page:
            raise RuntimeError(f"{operation} {body} was answered with {page}")
        rows += page[field]
        token = page.get("nextToken")
        if not token:
            return rows


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/debug/reveille", type=pathlib.Path)
    options.add_argument("--engine-kills", type=int, default=15)
    options.add_argument("--broker-kills", type=int, default=1)
    options.add_argument("--seconds", type=int, help="no further faults after this time; then fewer kills than asked for are no failure")
    options.add_argument("--rate", type=float, default=2, help="executions started per second, until the last fault")
    options.add_argument("--patience", type=int, default=900, help="seconds for all to end after the last fault")
    options.add_argument("--seed", type=int, default=int(os.environ.get("TEST_SEED", time.time_ns() % 1_000_000)))
    options.add_argument("--keep", action="store_true", help="leave the work folder")
    args = options.parse_args()
    dice = random.Random(args.seed)
    print(f"seed {args.seed} (TEST_SEED={args.seed} draws the same faults)", flush=True)
    work_dir = pathlib.Path(tempfile.mkdtemp(prefix="reveille-soak."))
    server, failed = None, True
    try:
        broker(work_dir, "start")
        proxy = Proxy(int((work_dir / "broker/port").read_text()), args.seed)
        url = f"amqp://guest:guest@127.0.0.1:{proxy.port}/%2f"
        print("on", broker(work_dir, "ctl", "version").splitlines()[-1], flush=True)
        server = Server(args.binary, work_dir, url)
        server.start()
        failed = campaign(args, dice, work_dir, server, url, proxy)
    finally:
        if server and server.process:
            server.kill()
        if (work_dir / "broker/env").exists():
            broker(work_dir, "discard")
        if failed or args.keep:
            print("kept:", work_dir)
        else:
            shutil.rmtree(work_dir, ignore_errors=True)
    sys.exit(1 if failed else 0)


def campaign(args, dice, work_dir, server, url, proxy):
    ledger = Ledger()
    workers = [Worker(url, ledger, args.seed + i) for i in range(3)]
    for worker in workers:
        worker.start()
    child = server.insist("CreateStateMachine", name="soak-child", definition=json.dumps(CHILD), roleArn=ROLE)["stateMachineArn"]
    machine = server.insist("CreateStateMachine", name="soak", definition=json.dumps(parent(child)), roleArn=ROLE)["stateMachineArn"]
    time.sleep(3)  # RabbitMQ 3.10 keeps a queue's name a second after it has declared it
    calm = {n: server.insist("StartExecution", stateMachineArn=machine, name=f"calm-{n}", input=given(n))["executionArn"] for n in range(INPUTS)}
    if left := wait_all(server, calm.values(), 600):
        print("the undisturbed phase does not end:", left)
        return True
    expected = {n: outcome(server, arn) for n, arn in calm.items()}
    print("undisturbed:", dict(collections.Counter(o[0] for o in expected.values())), flush=True)

    load = Load(server, machine, args.rate)
    load.start()
    counts, begun = collections.Counter(), time.monotonic()
    until = begun + (args.seconds or 3 * 3600)
    for what in faults(args.engine_kills, args.broker_kills, dice):
        time.sleep(dice.uniform(0.2, 3.0))
        if time.monotonic() > until:
            break
        if what == "cut":
            counts["cut in a frame"] += proxy.cut(dice.randint(1, 3))
        if what == "close":
            counts["connections closed"] += 1
            subprocess.run([ROOT / "scripts/broker.sh", "ctl", work_dir / "broker", "close_all_connections", "soak"], capture_output=True)
        if what == "freeze":
            counts["engine frozen"] += 1
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(dice.uniform(0.1, 3))
            server.process.send_signal(signal.SIGCONT)
        if what in ("engine", "both"):
            counts["engine killed"] += 1
            server.kill()
        if what in ("broker", "both"):
            counts["broker killed"] += 1
            broker(work_dir, "kill")
        if what == "both":
            server.start(wait=False)  # it comes up while the broker is away
        if what in ("broker", "both"):
            time.sleep(dice.uniform(0, 2))
            broker(work_dir, "start")
        if what == "engine":
            server.start(wait=dice.random() < 0.7)
        if what != "engine" or counts["engine killed"] % 20 == 0:
            print(f"{time.monotonic() - begun:6.0f} s {dict(counts)} accepted {len(load.accepted)}", flush=True)
    server.wait_ready()
    over = time.monotonic()
    load.stopping = True
    load.join(700)
    print(f"faults over after {over - begun:.0f} s: {dict(counts)}, {len(load.accepted)} executions accepted meanwhile, "
          f"the last {max(over - load.last, 0):.0f} s before", flush=True)

    wrong = list(load.wrong)
    if load.is_alive() or not load.last or over - load.last > 300:
        wrong.append("the load was over before the faults")
    if not args.seconds and (counts["engine killed"], counts["broker killed"]) != (args.engine_kills, args.broker_kills):
        wrong.append(f"the time was over before the faults: {dict(counts)}")
    left = wait_all(server, load.accepted, args.patience)
    wrong += [f"{arn} has not ended" for arn in left]
    statuses, tasks = collections.Counter(), 0
    for arn, n in load.accepted.items():
        if arn in left:
            continue
        got = outcome(server, arn)
        statuses[got[0]] += 1
        if got != expected[n]:
            wrong.append(f"{arn} ended otherwise than undisturbed:\n    {got}\n    {expected[n]}")
        more, scheduled = judge_history(server, arn, ledger)
        tasks += scheduled
        wrong += [f"{arn}: {what}" for what in more]
    for worker in workers:
        worker.stopping = True
    wrong += ledger.wrong
    log = server.log.read_bytes() + urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=60).read()
    leaked = found_in(log, {t.encode() for t in ledger.tokens.values()})
    if leaked:
        wrong.append(f"log or metrics hold {len(leaked)} tokens")
    doubled = sum(1 for n in ledger.copies.values() if n > 1)
    print(f"ended: {dict(statuses)}; {tasks} tasks; {len(ledger.copies)} task messages, {doubled} of them seen more than once, "
          f"each with one token; {len(ledger.tokens)} tokens looked for in {len(log) / 1e6:.1f} MB of log and metrics: {len(leaked)} found")
    for line in wrong[:20]:
        print("WRONG", line)
    print("FAILED" if wrong else "passed", f"({len(wrong)} violations), seed {args.seed}")
    return bool(wrong)


if __name__ == "__main__":
    main()
