"""The hostile campaign: a real server and a real broker; bad messages of every kind to every queue that the engine owns, bad machines, bad HTTP;
honest callbacks meanwhile.

    python tests/soak/hostile.py --binary target/release/reveille [--messages N] [--seed N] [--assert-latency]

First a quiet phase: honest callbacks alone. Then the same while
  - raw AMQP frames and ordinary clients send bad messages (hostile_kinds.py), to reply queues, starts, dead letters, an activity, the parking queue
  - machines run that want memory, journal, work, their partition's thread, or more of themselves
  - HTTP is slow and crowded: bodies that never end, connections that say nothing, hosts that are not ours, requests of rubbish
At the end:
  - every honest execution that was accepted has ended with its own output, and `/readyz` said so throughout
  - the server is the process that was started, lost no connection to the broker, and never held more than 1 GiB
  - every bad message was parked once; those in the reply queues are counted once in the metrics
How late honest callbacks are is printed, beside the quiet phase; with --assert-latency it fails where more than 250 ms are added at p99.

Exit status 0 when all of it holds. The seed decides which messages are sent in which order; what that meets is up to the machine.
"""
import argparse
import collections
import http.client
import json
import multiprocessing
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

import pika

from crash import ROLE, ROOT, Server, broker
from hostile_kinds import KINDS, PARKED, REPLIES
from rawamqp import RawClient, Refused

GIB = 1 << 30
MARKER = re.compile(rb"~([0-9a-f]{8})~")
PARTITIONS = 4
HONEST, TOKENS = "honest.work", "hostile.tokens"
# So long the engine may be busy with what came, after the last bad message.
PATIENCE = 600
# A busy machine: so long may /readyz be without an answer, or not ready, in a run that does not assert latency.
UNREADY_MAX = 20

CALLBACK = "arn:aws:states:::amqp:publish.waitForTaskToken"


def ask(queue_name, **more):
    return {"Type": "Task", "Resource": CALLBACK, "Parameters": {"Queue": queue_name, "Body": {"n.$": "$.n"}}, "TimeoutSeconds": 3600, **more}


def machine(server, name, definition, **more):
    answer = server.insist("CreateStateMachine", name=name, definition=json.dumps(definition), roleArn=ROLE, **more)
    if "stateMachineArn" not in answer:
        raise RuntimeError(f"{name} is refused: {answer}")
    return answer["stateMachineArn"]


class Honest:
    """Callbacks one after the other at a steady rate: how long from the worker's reply until the engine says that it is durable. The worker is a process of
    its own, so that its clock does not wait for the threads of the attack."""

    PHASES = [None, "quiet", "warming", "hostile"]

    def __init__(self, server, url, rate):
        self.server, self.url, self.rate = server, url, rate
        self.machine = machine(server, "honest", {"StartAt": "Ask", "States": {"Ask": ask(HONEST, ResultPath="$.got", End=True)}})
        self.accepted, self.wrong = {}, []
        self.latencies, self.starts = collections.defaultdict(list), collections.defaultdict(list)
        self.stopping = False
        fork = multiprocessing.get_context("fork")
        self.shared_phase, (self.told, tell) = fork.Value("i", 0), fork.Pipe(duplex=False)
        self.worker = fork.Process(target=self.work, args=(tell,), daemon=True)
        self.worker.start()
        for thread in (threading.Thread(target=self.hear, daemon=True), threading.Thread(target=self.start, daemon=True)):
            thread.start()

    @property
    def phase(self):
        return self.PHASES[self.shared_phase.value]

    @phase.setter
    def phase(self, phase):
        self.shared_phase.value = self.PHASES.index(phase)

    def hear(self):
        while True:
            try:
                phase, what = self.told.recv()
            except EOFError:
                return
            if phase:
                self.latencies[phase].append(what)
            else:
                self.wrong.append(what)

    def work(self, tell):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        replied = {}
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            channel.queue_declare(HONEST, durable=True)
            verdicts = channel.queue_declare("", exclusive=True).method.queue

            def task(_, method, properties, body):
                n = json.loads(body)["n"]
                about = pika.BasicProperties(correlation_id=properties.correlation_id, reply_to=verdicts, delivery_mode=2)
                replied[properties.correlation_id] = (self.phase, time.monotonic())
                channel.basic_publish("", properties.reply_to, json.dumps({"n": n, "done": True}), about)
                channel.basic_ack(method.delivery_tag)

            def verdict(_, __, properties, body):
                phase, at = replied.pop(properties.correlation_id, (None, 0))
                said = json.loads(body)["verdict"]
                if said == "accepted" and phase:
                    tell.send((phase, time.monotonic() - at))
                elif said != "accepted":
                    tell.send((None, f"an honest reply was judged {said}: {body[:200]}"))

            channel.basic_consume(HONEST, task)
            channel.basic_consume(verdicts, verdict, auto_ack=True)
            while True:
                connection.process_data_events(time_limit=0.2)

    def start(self):
        n, due = 0, time.monotonic()
        while not self.stopping:
            if not self.phase:
                time.sleep(0.05)
                due = time.monotonic()
                continue
            n += 1
            phase, began = self.phase, time.monotonic()
            answer = self.server.insist("StartExecution", stateMachineArn=self.machine, name=f"h-{n}", input=json.dumps({"n": n}))
            self.starts[phase].append(time.monotonic() - began)
            self.accepted[self.machine.replace("stateMachine", "execution") + f":h-{n}"] = n
            if "executionArn" not in answer and "AlreadyExists" not in answer.get("__type", ""):
                self.wrong.append(f"an honest start was refused: {answer}")
            due = max(due + 1 / self.rate, time.monotonic() - 1)
            time.sleep(max(0, due - time.monotonic()))

    def judge(self):
        """Ends all and looks at each."""
        self.phase = None
        until = time.monotonic() + PATIENCE
        left = dict(self.accepted)
        while left and time.monotonic() < until:
            for arn, n in list(left.items()):
                row = self.server.insist("DescribeExecution", executionArn=arn)
                if row["status"] == "RUNNING":
                    continue
                del left[arn]
                if row["status"] != "SUCCEEDED" or json.loads(row["output"]) != {"n": n, "got": {"n": n, "done": True}}:
                    self.wrong.append(f"an honest execution ended as {row['status']}: {row.get('error')} {row.get('output')}")
            time.sleep(0.2)
        self.wrong += [f"an honest execution is lost: {arn}" for arn in left]
        self.stopping = True
        self.worker.terminate()
        return self.wrong


class World:
    """What the kinds may use: chance, tokens of tasks of the attacker's own, the partition that is written to."""

    def __init__(self, server, dice, port):
        self.dice, self.partition = dice, 0
        attacker = machine(server, "attacker", {"StartAt": "Ask", "States": {"Ask": ask(TOKENS, End=True)}})
        with RawClient(port) as client:
            client.method(1, 50, 10, b"\0\0" + bytes([len(TOKENS)]) + TOKENS.encode() + b"\2\0\0\0\0")
            client.expect(50, 11)
            for n in range(24):
                server.insist("StartExecution", stateMachineArn=attacker, name=f"a-{n}", input=json.dumps({"n": n}))
            client.consume(TOKENS)
            tokens = []
            while len(tokens) < 24:
                tag, header, _ = client.delivery(60)
                tokens.append(re.search(rb"task-tokenS(....)", header, re.S))
                size, at = int.from_bytes(tokens[-1][1], "big"), tokens[-1].end()
                tokens[-1] = header[at:at + size]
                client.ack(tag)
        self.open, self.ended = tokens[:12], tokens[12:]
        self.executions = [attacker.replace("stateMachine", "execution") + f":a-{n}" for n in range(24)]
        for token in self.ended:
            server.insist("SendTaskSuccess", taskToken=token.decode(), output="1")

    def open_token(self):
        return self.dice.choice(self.open)

    def ended_token(self):
        return self.dice.choice(self.ended)


class Attack(threading.Thread):
    """Sends bad messages in an order that the seed gives: so many in all, each kind at least once."""

    def __init__(self, world, port, url, count, kinds):
        super().__init__(daemon=True)
        self.world, self.port, self.url, self.count, self.kinds = world, port, url, count, kinds
        self.sent, self.refused = {}, collections.Counter()
        self.texts = {}
        self.error, self.stopping = None, False

    def plan(self):
        weights = [1 / kind.rare for kind in self.kinds]
        drawn = self.world.dice.choices(self.kinds, weights, k=max(0, self.count - len(self.kinds)))
        first = list(self.kinds)
        self.world.dice.shuffle(first)
        return first + drawn

    def run(self):
        try:
            self.send_all()
        except Exception as e:  # told at the end of the campaign
            self.error = e

    def send_all(self):
        raw, connection, channel = None, None, None
        for number, kind in enumerate(self.plan(), 1):
            if self.stopping and number > len(self.kinds):
                break
            self.world.partition = self.world.dice.randrange(PARTITIONS)
            marker = b"~%08x~" % number
            to = kind.queue + str(self.world.partition) if kind.queue == REPLIES else kind.queue
            properties, body = kind.make(marker, self.world)
            if raw is None:
                raw = RawClient(self.port)
            try:
                if kind.client == "pika":
                    if connection is None or not connection.is_open:
                        connection = pika.BlockingConnection(pika.URLParameters(self.url))
                        channel = connection.channel()
                        channel.confirm_delivery()
                    # The same properties, as a library reads and writes them.
                    told = pika.BasicProperties()
                    told.decode(properties)
                    channel.basic_publish("", to, body, told)
                    self.sent[number] = kind
                else:
                    self.sent[number] = kind
                    raw.publish(to, properties, body, about=number)
            except Refused as why:
                # All that was not confirmed is of unknown fate: found or not, both is right. The kind may be the reason.
                self.unknown(raw)
                self.refused[kind.title] += 1
                self.texts[kind.title] = str(why)
                raw = None
        if raw:
            try:
                raw.settle()
            except Refused:
                self.unknown(raw)
        for number in (raw.nacked if raw else []):
            self.sent.pop(number, None)
        if connection:
            connection.close()

    def unknown(self, raw):
        for number in raw.unconfirmed.values():
            self.sent.pop(number, None)


class Drain(threading.Thread):
    """Takes what is parked and looks for markers in it, as bytes."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.found, self.parked, self.stopping, self.last = port, collections.Counter(), 0, False, time.monotonic()

    def run(self):
        while not self.stopping:
            try:
                with RawClient(self.port) as client:
                    client.consume(PARKED, 200)
                    while not self.stopping:
                        got = client.delivery(0.5)
                        if got is None:
                            continue
                        tag, header, body = got
                        self.parked, self.last = self.parked + 1, time.monotonic()
                        for number in {int(m, 16) for m in MARKER.findall(header + body[:70_000])} or markers_in_utf16(body):
                            self.found[number] += 1
                        client.ack(tag)
            except (Refused, OSError):
                time.sleep(0.2)


def markers_in_utf16(body):
    return {int(m, 16) for m in MARKER.findall(body[:1000].replace(b"\0", b""))}


def bad_machines(server, wanted):
    """Machines that want more than their share; each is started again when it has ended."""
    end = {"Type": "Succeed"}
    loop = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Choice", "Choices": [
        {"Variable": "$.never", "IsPresent": True, "Next": "End"}], "Default": "A"}, "End": end}}
    grow = {"QueryLanguage": "JSONata", "StartAt": "P", "States": {
        "P": {"Type": "Pass", "Output": "{% {'x': $pad('', 250000, 'y')} %}", "Next": "A"}, "A": {"Type": "Pass", "Next": "B"},
        "B": {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "End"}], "Default": "A"}, "End": end}}
    work = {"StartAt": "W", "States": {
        "W": {"Type": "Pass", "Parameters": {"n.$": "States.ArrayLength($.rows[?(@[0][0] > 5)])"}, "ResultPath": "$.n", "Next": "W2"},
        "W2": {"Type": "Choice", "Choices": [{"Variable": "$.never", "IsPresent": True, "Next": "End"}], "Default": "W"}, "End": end}}
    each = {"StartAt": "M", "States": {"M": {"Type": "Map", "ItemsPath": "$.i", "ItemSelector": {"all.$": "$"}, "End": True, "ItemProcessor": {
        "StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}}}}
    spawn_arn = "arn:aws:states:us-east-1:000000000000:stateMachine:hostile-spawn"
    spawn = {"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": True, "Branches": [
        {"StartAt": f"S{n}", "States": {f"S{n}": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution", "End": True,
                                                  "Parameters": {"StateMachineArn": spawn_arn, "Input": {}}}}} for n in range(2)]}}}
    small = json.dumps({"n": 1})
    rows = json.dumps({"rows": [[[n]] for n in range(20_000)]})
    items = json.dumps({"i": [0] * 20_000, "x": "y" * 150_000})
    made = {"express-loop": (loop, "EXPRESS", small), "loop": (loop, "STANDARD", small), "journal": (grow, "STANDARD", "{}"),
            "work": (work, "STANDARD", rows), "memory": (each, "STANDARD", items), "memory-express": (each, "EXPRESS", items),
            "spawn": (spawn, "STANDARD", "{}")}
    arns = {}
    for name, (definition, kind, given) in made.items():
        if name not in wanted:
            continue
        if name == "spawn":
            # The realm of this server, which the definition must name.
            probe = machine(server, "hostile-probe", {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
            definition = json.loads(json.dumps(definition).replace(spawn_arn, probe.replace("hostile-probe", "hostile-spawn")))
        arns[name] = (machine(server, f"hostile-{name}", definition, type=kind), given)
    return arns


class Runs(threading.Thread):
    """Keeps each bad machine running: one execution of each at a time."""

    def __init__(self, server, machines):
        super().__init__(daemon=True)
        self.server, self.machines, self.stopping = server, machines, False
        self.started, self.ends = collections.Counter(), collections.Counter()

    # A quarter of a GiB in the store each: a long campaign would fill the disk.
    REST = {"journal": 60}

    def run(self):
        open_now, ended = {}, {}
        while not self.stopping:
            for name, (arn, given) in self.machines.items():
                try:
                    if time.monotonic() < ended.get(name, 0) + self.REST.get(name, 0):
                        continue
                    if name in open_now and "express" not in name:
                        row = self.server.ask("DescribeExecution", executionArn=open_now[name])
                        if row.get("status") == "RUNNING" or "status" not in row:
                            continue
                        self.ends[f"{name}: {row.get('error') or row['status']}"] += 1
                        ended[name] = time.monotonic()
                        del open_now[name]
                        continue
                    elif name in open_now and time.monotonic() < open_now[name]:
                        continue
                    answer = self.server.ask("StartExecution", stateMachineArn=arn, input=given)
                    if "executionArn" in answer:
                        self.started[name] += 1
                        open_now[name] = answer["executionArn"] if "express" not in name else time.monotonic() + 20
                    else:
                        self.ends[f"{name}: start refused, {answer.get('__type', '')}"] += 1
                except OSError:
                    self.ends[f"{name}: no answer to its start"] += 1
            time.sleep(0.5)


class Crowd(threading.Thread):
    """Slow and crowded HTTP: connections that say nothing, bodies that never end, foreign hosts, rubbish."""

    def __init__(self, port, dice, size):
        super().__init__(daemon=True)
        self.port, self.dice, self.size, self.stopping = port, random.Random(dice.random()), size, False
        self.answers = collections.Counter()

    def run(self):
        held = collections.deque()
        while not self.stopping:
            try:
                held.append(self.one())
            except OSError:
                self.answers["refused or cut"] += 1
            while len(held) > self.size:
                held.popleft().close()
            for _ in range(min(len(held), 20)):
                try:
                    held[self.dice.randrange(len(held))].send(b"x")
                except OSError:
                    pass
            time.sleep(0.02)
        for one in held:
            one.close()

    def one(self):
        one = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        head = b"POST / HTTP/1.1\r\nContent-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AWSStepFunctions.ListStateMachines\r\n"
        kind = self.dice.randrange(5)
        if kind == 1:
            one.sendall(b"POST / HTT")
        elif kind == 2:
            one.sendall(head + b"Host: 127.0.0.1\r\nContent-Length: 2000000\r\n\r\n" + b" " * 1_000_000)
        elif kind == 3:
            one.sendall(head + b"Host: evil.example\r\nOrigin: http://evil.example\r\nContent-Length: 2\r\n\r\n{}")
            self.answers["foreign host: " + one.recv(12)[9:].decode()] += 1
        elif kind == 4:
            one.sendall(self.dice.randbytes(500) + b"\r\n\r\n")
        one.setblocking(False)
        return one


class Watch(threading.Thread):
    """The server's memory and readiness. It is killed where it holds three times what it may: the machine has other work to do."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.stopping, self.most, self.unready, self.why = server, False, 0, 0.0, collections.Counter()
        self.looks, self.longest = 0, 0.0

    def run(self):
        bad_since = None
        while not self.stopping:
            self.most = max(self.most, self.peak())
            if self.most > 3 * GIB:
                self.server.process.kill()
                return
            began = time.monotonic()
            ready, why = self.look()
            self.looks += 1
            if ready:
                bad_since = None
            else:
                bad_since = bad_since or began
                self.why[why] += 1
                self.longest = max(self.longest, time.monotonic() - bad_since)
            time.sleep(0.25)

    def peak(self):
        try:
            status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        except OSError:
            return 0
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0

    def look(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            said = answer.read()[:200].decode(errors="replace")
            connection.close()
            return answer.status == 200, f"{answer.status} {said}"
        except OSError as e:
            return False, f"no answer: {type(e).__name__}"


def pollers(server, stopping):
    """Somebody polls the activity, so that what is in its queue is looked at."""
    activity = server.insist("CreateActivity", name="soak")["activityArn"]

    def poll():
        while not stopping.is_set():
            try:
                server.ask("GetActivityTask", activityArn=activity, workerName="soak")
            except OSError:
                pass
    threading.Thread(target=poll, daemon=True).start()


def limit_memory(pid, limit):
    """A control group of the server's own with that limit, where this machine lets us make one."""
    for root, file in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = pathlib.Path(root) / f"reveille-hostile-{pid}"
        try:
            group.mkdir()
            (group / file).write_text(str(limit))
            (group / "cgroup.procs").write_text(str(pid))
            return group
        except OSError:
            shutil.rmtree(group, ignore_errors=True)
            try:
                group.rmdir()
            except OSError:
                pass
    return None


def metrics(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    sums = collections.Counter()
    for name, value in re.findall(r"^(reveille_\w+)(?:\{.*\})? ([0-9.e+-]+)$", text, re.M):
        sums[name] += float(value)
    return sums


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def told(values):
    return f"p50 {percentile(values, 0.5) * 1000:.0f} ms, p99 {percentile(values, 0.99) * 1000:.0f} ms, max {max(values, default=0) * 1000:.0f} ms of {len(values)}"


def campaign(args, work_dir, server, url, port):
    dice = random.Random(args.seed)
    kinds = [kind for kind in KINDS if re.search(args.kinds, kind.title)]
    time.sleep(2)  # RabbitMQ 3.10 keeps a queue's name a moment after it has declared it
    honest = Honest(server, url, args.rate)
    over = threading.Event()
    pollers(server, over)
    world = World(server, dice, port)
    watch = Watch(server)
    drain = Drain(port)
    watch.start()
    drain.start()
    time.sleep(1)
    honest.phase = "quiet"
    time.sleep(args.quiet)
    honest.phase = "warming"
    machines = Runs(server, bad_machines(server, args.machines.split(",")))
    machines.start()
    crowd = Crowd(server.port, dice, args.connections)
    if args.connections:
        crowd.start()
    # RabbitMQ 3.10 may answer the first consumer of a new quorum queue with an internal error, which ends the connection.
    lost_before = sum(1 for line in server.log.open("rb") if b'"broker.lost"' in line)
    before, began = metrics(server), time.monotonic()
    print(f"quiet: {told(honest.latencies['quiet'])}; starts {told(honest.starts['quiet'])}", flush=True)
    honest.phase = "hostile"
    attack = Attack(world, port, url, args.messages, kinds)
    attack.start()
    until = began + args.seconds
    while server.process.poll() is None and (attack.is_alive() or time.monotonic() < began + args.at_least) and time.monotonic() < until:
        time.sleep(0.5)
    attack.stopping = True
    attack.join(120)
    sent_in = time.monotonic() - began
    # All that was sent is found, or nothing more comes.
    wanted = {n: kind for n, kind in attack.sent.items()}
    patience = time.monotonic() + (PATIENCE if not attack.is_alive() else 30)
    while server.process.poll() is None and time.monotonic() < patience and time.monotonic() < drain.last + 45:
        if all(drain.found[n] >= least(kind) for n, kind in wanted.items()):
            break
        time.sleep(0.5)
    time.sleep(2)  # what comes twice comes soon
    wrong = [f"{attack.error!r} while sending"] if attack.error else []
    if attack.is_alive():
        wrong.append(f"the time was over after {len(attack.sent)} messages, before each kind was sent")
    machines.stopping = crowd.stopping = True
    alive = server.process.poll() is None
    hostile_for = time.monotonic() - began
    if not alive:
        return wrong + [f"the server ended by itself with {server.process.returncode} after {hostile_for:.0f} s", *tail(server)], attack, drain, watch, honest, machines, crowd
    wrong += honest.judge()
    after = metrics(server)
    watch.stopping = True
    over.set()
    lost, doubled = collections.Counter(), collections.Counter()
    for n, kind in wanted.items():
        right = kind.copies if isinstance(kind.copies, tuple) else (kind.copies,)
        if drain.found[n] < min(right):
            lost[kind.title] += 1
        elif drain.found[n] > max(right):
            doubled[kind.title] += 1
    wrong += [f"{count} not parked: {title}" for title, count in lost.items()]
    wrong += [f"{count} parked more often than once: {title}" for title, count in doubled.items()]
    if not attack.refused:  # else some are of unknown fate
        to_replies = sum(1 for kind in wanted.values() if kind.queue == REPLIES)
        counted = after["reveille_replies_total"] - before["reveille_replies_total"]
        own = sum(len(honest.latencies[phase]) for phase in ("hostile", "warming"))
        print(f"replies counted: {counted:.0f}, bad ones sent {to_replies}, honest ones judged {own}")
        # Honest ones that were under way when the figures were taken.
        if abs(counted - to_replies - own) > 3 * args.rate + 5:
            wrong.append(f"{counted:.0f} replies are counted, but {to_replies} bad and {own} honest ones were sent")
    for arn in world.executions[:12]:
        row = server.insist("DescribeExecution", executionArn=arn)
        if row["status"] not in ("RUNNING",):
            wrong.append(f"a bad reply ended the task of {arn}: {row}")
            break
    lost_links = sum(1 for line in server.log.open("rb") if b'"broker.lost"' in line or b'"consumer.lost"' in line) - lost_before
    if lost_links:
        wrong.append(f"{lost_links} connections or consumers of the engine were lost")
    listing = subprocess.run([args.binary, "replies", "ls", "--bus", url], capture_output=True, text=True, timeout=300)
    if listing.returncode:
        wrong.append(f"`reveille replies ls` ends with {listing.returncode}: {listing.stderr[-300:]}")
    print(f"hostile for {hostile_for:.0f} s, sent in {sent_in:.0f} s: {told(honest.latencies['hostile'])}; starts {told(honest.starts['hostile'])}")
    added = percentile(honest.latencies["hostile"], 0.99) - percentile(honest.latencies["quiet"], 0.99)
    print(f"added at p99: {added * 1000:.0f} ms")
    if args.assert_latency and not added <= 0.25:
        wrong.append(f"honest callbacks are {added * 1000:.0f} ms later at p99")
    return wrong, attack, drain, watch, honest, machines, crowd


def least(kind):
    return min(kind.copies) if isinstance(kind.copies, tuple) else kind.copies


def tail(server):
    lines = server.log.read_text(errors="replace").splitlines()
    return ["    " + line[:300] for line in lines[-4:]]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/debug/reveille", type=pathlib.Path)
    options.add_argument("--messages", type=int, default=2_000)
    options.add_argument("--kinds", default="", help="only kinds whose title matches this expression")
    options.add_argument("--machines", default="express-loop,loop,journal,work,memory,memory-express,spawn", help="bad machines that run; none: ''")
    options.add_argument("--connections", type=int, default=150, help="slow HTTP connections that are held; 0: none")
    options.add_argument("--rate", type=float, default=5, help="honest executions started per second")
    options.add_argument("--quiet", type=float, default=10, help="seconds of the quiet phase")
    options.add_argument("--at-least", type=float, default=20, help="seconds that the hostile phase takes, also where the messages are sent before")
    options.add_argument("--seconds", type=float, default=3 * 3600, help="no more is sent after this time; each kind is sent once all the same")
    options.add_argument("--seed", type=int, default=int(os.environ.get("TEST_SEED", time.time_ns() % 1_000_000)))
    options.add_argument("--assert-latency", action="store_true", help="also fail where p99 is over 250 ms more than in the quiet phase, or /readyz once not ready")
    options.add_argument("--keep", action="store_true", help="leave the work folder")
    args = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended below
    print(f"seed {args.seed} (TEST_SEED={args.seed} draws the same messages)", flush=True)
    work_dir = pathlib.Path(tempfile.mkdtemp(prefix="reveille-hostile."))
    server, group, wrong = None, None, ["it did not end"]
    try:
        url = broker(work_dir, "start")
        print("on", broker(work_dir, "ctl", "version").splitlines()[-1], flush=True)
        os.environ["REVEILLE__ENGINE__PARTITIONS"] = str(PARTITIONS)
        # As config/default.toml advises a process that may hold 1 GiB.
        os.environ["REVEILLE__ENGINE__MEMORY_BYTES_MAX"] = str(GIB // 4)
        server = Server(args.binary, work_dir, url)
        server.start()
        group = limit_memory(server.process.pid, GIB)
        port = int((work_dir / "broker/port").read_text())
        wrong, attack, drain, watch, honest, machines, crowd = campaign(args, work_dir, server, url, port)
        kinds = {kind.title for kind in attack.sent.values()}
        print(f"{len(attack.sent)} bad messages of {len(kinds)} kinds, {drain.parked} parked; the broker itself refused {dict(attack.refused)} {attack.texts}")
        print(f"bad machines started {dict(machines.started)}, ended {dict(machines.ends)}; HTTP {dict(crowd.answers)}")
        print(f"most memory held: {watch.most >> 20} MiB{' (under a limit of 1 GiB)' if group else ''}; /readyz asked {watch.looks} times, "
              f"not ready: {dict(watch.why)}, longest {watch.longest:.1f} s; log {server.log.stat().st_size >> 10} KiB")
        if watch.most > GIB:
            wrong.append(f"it held {watch.most >> 20} MiB")
        if watch.longest > UNREADY_MAX or (args.assert_latency and watch.why):
            wrong.append(f"not ready for {watch.longest:.1f} s: {dict(watch.why)}")
        if server.lives != 1:
            wrong.append("the server was started again")
    finally:
        if server and server.process:
            server.kill()
        if group:
            time.sleep(0.5)
            group.rmdir()
        if (work_dir / "broker/env").exists():
            broker(work_dir, "discard")
        if wrong or args.keep:
            print("kept:", work_dir)
        else:
            shutil.rmtree(work_dir, ignore_errors=True)
    for line in wrong[:40]:
        print("WRONG", line)
    print("FAILED" if wrong else "passed", f"({len(wrong)} violations), seed {args.seed}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
