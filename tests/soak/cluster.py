"""The cluster campaign: several real servers over one PostgreSQL and one RabbitMQ; clients and workers on random servers; faults by a seed.

    python tests/soak/cluster.py [--binary target/release/reveille] [--nodes 3] [--faults 30] [--seconds 150] [--seed N] [--plant fence]

Faults: kill -9 and a new start; frozen (SIGSTOP) for up to eight seconds, then woken; SIGTERM and a new start; PostgreSQL killed and started
again. At the end everything is healed, all executions must end, and `histories.py` judges the record. `--plant fence` takes the fence out of
the store (its function `hold` then lets everything through): the campaign must then find something, and exits with 0 where it does.
Exit status 0 when all of it holds. The seed decides what happens when; what that hits is up to the machine.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import pika

import histories
from crash import ROLE, ROOT, free_port

KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
QUEUE = "soak.work"
TASK = {"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken", "TimeoutSeconds": 3600,
        "Parameters": {"Queue": QUEUE, "Body": {"n.$": "$.n"}}, "ResultPath": None}


def one(state):
    return {"StartAt": state, "States": {state: {**TASK, "End": True}}}


ASKS = {"StartAt": "First", "States": {
    "First": {**TASK, "Next": "Pause"},
    "Pause": {"Type": "Wait", "Seconds": 1, "Next": "Both"},
    "Both": {"Type": "Parallel", "Branches": [one("Left"), one("Right")], "ResultPath": None, "Next": "Judge"},
    # One in five fails, and is redriven: a Parallel that is asked again would be another history.
    "Judge": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 4, "Next": "Refused"}], "Default": "Last"},
    "Refused": {"Type": "Fail", "Error": "Soak.Four"},
    "Last": {**TASK, "End": True}}}
WAITS = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}
WATCH = """
CREATE TABLE partitions_log (n bigserial, partition int, epoch bigint, owner uuid);
CREATE FUNCTION log_owner() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.owner IS NOT NULL THEN INSERT INTO partitions_log (partition, epoch, owner) VALUES (NEW.partition, NEW.epoch, NEW.owner); END IF;
  RETURN NEW; END $$;
CREATE TRIGGER log_owner AFTER INSERT OR UPDATE OF epoch, owner ON partitions FOR EACH ROW EXECUTE FUNCTION log_owner();
INSERT INTO partitions_log (partition, epoch, owner) SELECT partition, epoch, owner FROM partitions WHERE owner IS NOT NULL;
"""
NO_FENCE = """
CREATE OR REPLACE FUNCTION hold(me uuid) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE OR REPLACE FUNCTION hold(me uuid, of_partitions int[], of_epochs bigint[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
"""


def script(name, *arguments):
    return subprocess.run([ROOT / "scripts" / name, *map(str, arguments)], check=True, capture_output=True, text=True).stdout.strip()


class Node:
    def __init__(self, binary, folder, number, store, bus):
        self.port, self.log = free_port(), folder / f"node-{number}.log"
        self.command = [str(binary), "serve", "--listen", f"127.0.0.1:{self.port}", "--store", store, "--bus", bus]
        self.environment = {**os.environ, "REVEILLE__LOGS__FORMAT": "json", "REVEILLE__ENGINE__TOKEN_KEY": KEY, "REVEILLE__BUS__DECLARE": "never",
                            "REVEILLE__ENGINE__PASSIVATE_AFTER_SECONDS": "2"}
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.environment)

    def ready(self, seconds=180):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"a server ended by itself with {self.process.returncode}; see {self.log}")
            try:
                if urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"a server is not ready after {seconds} s; see {self.log}")

    def signal(self, what):
        self.process.send_signal(what)

    def ask(self, operation, body, patience=15):
        """The answer and its status; None where there is none."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", json.dumps(body).encode(), {
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AWSStepFunctions.{operation}"})
        try:
            return 200, json.load(urllib.request.urlopen(request, timeout=patience))
        except urllib.error.HTTPError as error:
            return error.code, {"__type": "?", **json.loads(error.read() or b"{}")}
        except (OSError, ValueError):
            return None, {}


class Cluster:
    """The servers, and the record of what clients were told."""

    def __init__(self, nodes):
        self.nodes, self.lock, self.stopping = nodes, threading.Lock(), False
        self.record = {"starts": [], "answers": [], "stops": [], "redrives": []}
        self.statuses = collections.Counter()

    def add(self, kind, **what):
        with self.lock:
            self.record[kind].append(what)

    def insist(self, dice, operation, body, patience=240):
        """Asks one server after the other until one says yes or no: "ok" or "refused", with its answer; "unknown" if none does."""
        until, tried = time.monotonic() + patience, 0
        while time.monotonic() < until:
            status, answer = dice.choice(self.nodes).ask(operation, body)
            with self.lock:
                self.statuses[f"{operation} {status} {answer.get('__type', '').split('#')[-1]}".strip()] += 1
            if status == 200:
                return "ok", answer, tried
            if status == 400 and "Throttling" not in answer["__type"]:
                return "refused", answer, tried
            tried += 1
            time.sleep(0.2)
        return "unknown", {}, tried


class Client(threading.Thread):
    """Starts, looks, stops, redrives, each on a random server."""

    def __init__(self, cluster, machines, number, seed, rate):
        super().__init__(daemon=True)
        self.cluster, self.machines, self.number, self.dice, self.pause = cluster, machines, number, random.Random(seed), 1 / rate

    def run(self):
        count = 0
        while not self.cluster.stopping:
            count += 1
            self.one(f"c{self.number}-{count}", count % 5)
            time.sleep(self.pause)

    def one(self, name, n):
        cluster, dice = self.cluster, self.dice
        kind = "waits" if dice.random() < 0.2 else "asks"
        machine = self.machines[kind]
        arn = machine.replace("stateMachine", "execution") + f":{name}"
        told, answer, _ = cluster.insist(dice, "StartExecution", {"stateMachineArn": machine, "name": name, "input": json.dumps({"n": n})})
        if told == "refused" and "ExecutionAlreadyExists" in answer["__type"]:
            told = "unknown"  # an attempt whose answer was lost
        if told == "refused":
            raise RuntimeError(f"a start was refused: {answer}")
        seen = told != "ok" or cluster.insist(dice, "DescribeExecution", {"executionArn": arn})[0] != "refused"
        cluster.add("starts", arn=arn, told=told, seen=seen)
        if kind == "waits" and told == "ok":
            stopped, _, _ = cluster.insist(dice, "StopExecution", {"executionArn": arn, "error": "Soak.Stop"})
            cluster.add("stops", arn=arn, told=stopped)


class Worker(threading.Thread):
    """Answers tasks over AMQP or HTTP, at times twice, at times not before it dies."""

    def __init__(self, cluster, bus, number, seed):
        super().__init__(daemon=True)
        self.cluster, self.bus, self.number, self.dice, self.count = cluster, bus, number, random.Random(seed), 0

    def run(self):
        while not self.cluster.stopping:
            try:
                with pika.BlockingConnection(pika.URLParameters(self.bus + "?heartbeat=60")) as connection:
                    channel = connection.channel()
                    channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
                    channel.basic_qos(prefetch_count=5)
                    channel.basic_consume(QUEUE, self.handle)
                    while not self.cluster.stopping:
                        connection.process_data_events(time_limit=0.5)
            except (pika.exceptions.AMQPError, ConnectionError):
                time.sleep(0.3)

    def handle(self, channel, method, properties, _):
        headers, token = properties.headers, properties.headers["task-token"]
        if self.dice.random() < 0.02:
            raise ConnectionError("this worker dies before it answers")
        self.count += 1
        arn, reply = headers["execution-arn"], f"w{self.number}-{self.count}"
        output = json.dumps({"reply": reply})
        if self.dice.random() < 0.5:
            # Before it is sent: it may take effect at once.
            self.cluster.add("answers", arn=arn, reply=reply, told="unknown")
            for _ in range(2 if self.dice.random() < 0.1 else 1):
                channel.basic_publish("", properties.reply_to, output, pika.BasicProperties(delivery_mode=2, correlation_id=token))
        else:
            told, answer, tried = self.cluster.insist(self.dice, "SendTaskSuccess", {"taskToken": token, "output": output}, patience=120)
            if told == "refused" and tried:
                told = "unknown"  # an attempt before it may have been carried out
            if told == "refused" and "TaskTimedOut" not in answer["__type"]:
                raise RuntimeError(f"a good token was refused: {answer}")
            self.cluster.add("answers", arn=arn, reply=reply, told=told)
        channel.basic_ack(method.delivery_tag)


def plan(count, dice):
    kinds = ["kill", "freeze", "term", "freeze", "kill", "term", "freeze", "kill", "term", "database"]
    drawn = [kinds[n % len(kinds)] for n in range(count)]
    dice.shuffle(drawn)
    return drawn


def harm(what, cluster, dice, folder, database):
    node = dice.choice(cluster.nodes)
    if what == "kill":
        node.signal(signal.SIGKILL)
        node.process.wait()
        time.sleep(dice.uniform(0, 5))
        node.start()
    elif what == "freeze":
        node.signal(signal.SIGSTOP)
        time.sleep(dice.uniform(1, 8))
        node.signal(signal.SIGCONT)
        return
    elif what == "term":
        node.signal(signal.SIGTERM)
        node.process.wait(timeout=90)
        node.start()
    else:
        script("postgres.sh", "kill", database)
        time.sleep(dice.uniform(0, 2))
        script("postgres.sh", "start", database)
    node.ready()


def every(cluster, dice, operation, field, body):
    rows, token = [], None
    while True:
        told, page, _ = cluster.insist(dice, operation, {**body, **({"nextToken": token} if token else {})})
        if told != "ok":
            raise RuntimeError(f"{operation}: {told} {page}")
        rows, token = rows + page[field], page.get("nextToken")
        if not token:
            return rows


def look(cluster, dice, database):
    """What is there, for the judge."""
    def sql(text):
        return [line.split("|") for line in script("postgres.sh", "sql", database, "-At", "-c", text).splitlines()]

    epochs = collections.defaultdict(list)
    for execution, epoch in sql("SELECT execution, epoch FROM journal ORDER BY n"):
        epochs[execution].append(int(epoch))
    rows, copies = {}, collections.Counter()
    for key, arn, partition, redrives, closed in sql(
            "SELECT e.id, h.arn, e.partition, e.redrive_count, e.closed IS NOT NULL FROM executions e JOIN headers h USING (id)"):
        copies[arn] += 1
        rows[arn] = {"copies": copies[arn], "partition": int(partition), "redrives": int(redrives), "epochs": epochs[key], "events": [],
                     "status": histories.OPEN}
        if closed == "t":
            rows[arn]["status"] = cluster.insist(dice, "DescribeExecution", {"executionArn": arn})[1]["status"]
    for arn, row in rows.items():
        for event in every(cluster, dice, "GetExecutionHistory", "events", {"executionArn": arn, "maxResults": 1000}):
            output = json.loads(event.get("taskSucceededEventDetails", {}).get("output") or "{}")
            row["events"].append({"id": event["id"], "type": event["type"], "previous": event.get("previousEventId", 0),
                                  "reply": output.get("reply") if isinstance(output, dict) else None})
    owners = [(int(p), int(e), o) for p, e, o in sql("SELECT partition, epoch, owner FROM partitions_log ORDER BY n")]
    return {"executions": rows, "owners": owners}


def campaign(args, dice, folder):
    database = folder / "postgres"
    bus, store = script("broker.sh", "start", folder / "broker"), script("postgres.sh", "start", database)
    cluster = Cluster([Node(args.binary, folder, n, store, bus) for n in range(args.nodes)])
    try:
        for node in cluster.nodes:
            node.start()
        for node in cluster.nodes:
            node.ready()
        script("postgres.sh", "sql", database, "-qAt", "-c", WATCH + (NO_FENCE if args.plant == "fence" else ""))
        made = {name: cluster.insist(dice, "CreateStateMachine", {"name": name, "definition": json.dumps(definition), "roleArn": ROLE})[1]
                for name, definition in (("asks", ASKS), ("waits", WAITS))}
        machines = {name: answer["stateMachineArn"] for name, answer in made.items()}
        workers = [Worker(cluster, bus, n, args.seed + n) for n in range(3)]
        clients = [Client(cluster, machines, n, args.seed + 100 + n, args.rate / 2) for n in range(2)]
        for thread in workers + clients:
            thread.start()
        counts, until = collections.Counter(), time.monotonic() + args.seconds
        for what in plan(args.faults, dice):
            time.sleep(dice.uniform(1, 5))
            if time.monotonic() > until:
                break
            harm(what, cluster, dice, folder, database)
            counts[what] += 1
            print(f"{what}: {len(cluster.record['starts'])} starts, {len(cluster.record['answers'])} answers", flush=True)
        for client in clients:
            client.pause = 3600  # no new ones; what is under way ends
        open_now = "SELECT count(*) FROM executions WHERE closed IS NULL"
        until = time.monotonic() + args.patience
        while (left := script("postgres.sh", "sql", database, "-At", "-c", open_now)) != "0" and time.monotonic() < until:
            time.sleep(0.5)
        failed = [row["executionArn"] for row in every(cluster, dice, "ListExecutions", "executions", {
            "stateMachineArn": machines["asks"], "statusFilter": "FAILED"})]
        for arn in failed[:50]:
            cluster.add("redrives", arn=arn, told=cluster.insist(dice, "RedriveExecution", {"executionArn": arn})[0])
        while (left := script("postgres.sh", "sql", database, "-At", "-c", open_now)) != "0" and time.monotonic() < until:
            time.sleep(0.5)
        cluster.stopping = True
        for thread in workers:
            thread.join(timeout=130)
        dead = [thread.name for thread in workers if thread.is_alive()]
        wrong = histories.judge({**cluster.record, **look(cluster, dice, database)})
        wrong += [f"{left} executions have not ended"] if left != "0" else []
        wrong += [f"{name} hangs" for name in dead]
        record = cluster.record
        print(f"{sum(counts.values())} faults {dict(counts)}; {len(record['starts'])} starts, {len(record['answers'])} answers, "
              f"{len(record['stops'])} stops, {len(record['redrives'])} redrives")
        for status, count in sorted(cluster.statuses.items()):
            print(f"  {count:6} {status}")
        for why in wrong[:40]:
            print("WRONG", why)
        print(f"{len(wrong)} violations")
        return wrong
    finally:
        cluster.stopping = True
        for node in cluster.nodes:
            if node.process and node.process.poll() is None:
                node.signal(signal.SIGCONT)
                node.process.kill()
        script("broker.sh", "discard", folder / "broker")
        script("postgres.sh", "discard", database)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/debug/reveille", type=pathlib.Path)
    options.add_argument("--nodes", type=int, default=3)
    options.add_argument("--faults", type=int, default=30)
    options.add_argument("--seconds", type=int, default=150, help="no further faults after this time")
    options.add_argument("--rate", type=float, default=4, help="executions started per second")
    options.add_argument("--patience", type=int, default=300, help="seconds for all to end after the last fault")
    options.add_argument("--seed", type=int, default=int(os.environ.get("TEST_SEED", time.time_ns() % 1_000_000)))
    options.add_argument("--plant", choices=["fence"], help="a fault of the store that must be found")
    args = options.parse_args()
    print(f"seed {args.seed} (TEST_SEED={args.seed} draws the same faults)", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="reveille-cluster."))
    os.chmod(folder, 0o755)  # PostgreSQL may run as another user
    good = False
    try:
        wrong = campaign(args, random.Random(args.seed), folder)
        good = bool(wrong) == bool(args.plant)
    finally:
        if good:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print("kept:", folder)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
