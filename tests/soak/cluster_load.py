"""The clients of a cluster, each on random servers, and the record of what they were told."""
import collections
import json
import queue
import random
import threading
import time

import pika

WORK, HELD = "soak.work", "soak.held"
GONE = (pika.exceptions.AMQPError, ConnectionError)


# A queue without a majority of its nodes refuses messages for longer than the engine sends them again.
RETRY = [{"ErrorEquals": ["Amqp.Nacked"], "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 1000}]


def callback(to, **more):
    return {"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken", "TimeoutSeconds": 3600, "Retry": RETRY,
            "Parameters": {"Queue": to, "Body": {"n.$": "$.n"}}, "ResultPath": None, **more}


def one(state):
    return {"StartAt": state, "States": {state: callback(WORK, End=True)}}


ASKS = {"StartAt": "First", "States": {
    "First": callback(WORK, Next="Pause"),
    "Pause": {"Type": "Wait", "Seconds": 1, "Next": "Both"},
    "Both": {"Type": "Parallel", "Branches": [one("Left"), one("Right")], "ResultPath": None, "Next": "Judge"},
    # One in five fails, and is redriven: a Parallel that is asked again would be another history.
    "Judge": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 4, "Next": "Refused"}], "Default": "Last"},
    "Refused": {"Type": "Fail", "Error": "Soak.Four"},
    "Last": callback(WORK, End=True)}}
WAITS = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}
# Asks again and again, until an answer is the last one.
HOLDS = {"StartAt": "Held", "States": {
    "Held": callback(HELD, ResultPath="$.said", Next="Again"),
    "Again": {"Type": "Choice", "Choices": [{"Variable": "$.said.last", "BooleanEquals": True, "Next": "Done"}], "Default": "Held"},
    "Done": {"Type": "Succeed"}}}


def family(child):
    """A child execution and a map run: words between the servers that own them."""
    return {"StartAt": "Child", "States": {
        "Child": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "ResultPath": None, "Next": "Each",
                  "Parameters": {"StateMachineArn": child, "Input": {"n.$": "$.n"}}},
        "Each": {"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2, "ItemSelector": {"n.$": "$.n"}, "ResultPath": None, "End": True,
                 "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **one("Item")}}}}


class Cluster:
    """The servers, and the record of what clients were told."""

    def __init__(self, nodes):
        self.nodes, self.lock, self.stopping, self.started = nodes, threading.Lock(), False, True
        self.record = {"starts": [], "answers": [], "stops": [], "redrives": []}
        self.statuses = collections.Counter()
        self.failed = []

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


class Loop(threading.Thread):
    """A thread whose end by an error is one of the campaign's."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster = cluster

    def run(self):
        try:
            self.loop()
        except Exception as error:  # noqa: BLE001 - whatever it is, the campaign must say so
            self.cluster.failed.append(f"{type(self).__name__} ended: {error!r}")


class Client(Loop):
    """Starts, looks, stops."""

    def __init__(self, cluster, machines, number, seed, rate):
        super().__init__(cluster)
        self.machines, self.number, self.dice, self.pause = machines, number, random.Random(seed), 1 / rate

    def loop(self):
        count = 0
        while self.cluster.started and not self.cluster.stopping:
            count += 1
            self.one(f"c{self.number}-{count}", count % 5)
            time.sleep(self.pause)

    def one(self, name, n):
        cluster, dice = self.cluster, self.dice
        kind = dice.choices(["asks", "waits", "family"], [12, 4, 3])[0]
        machine = self.machines[kind]
        arn = machine.replace("stateMachine", "execution") + f":{name}"
        given = json.dumps({"n": n, "items": list(range(n))})
        told, answer, _ = cluster.insist(dice, "StartExecution", {"stateMachineArn": machine, "name": name, "input": given})
        if told == "refused" and "ExecutionAlreadyExists" in answer["__type"]:
            told = "unknown"  # an attempt whose answer was lost
        if told == "refused":
            raise RuntimeError(f"a start was refused: {answer}")
        seen = told != "ok" or cluster.insist(dice, "DescribeExecution", {"executionArn": arn})[0] != "refused"
        cluster.add("starts", arn=arn, told=told, seen=seen)
        if kind == "waits" and told == "ok":
            stopped, _, _ = cluster.insist(dice, "StopExecution", {"executionArn": arn, "error": "Soak.Stop"})
            cluster.add("stops", arn=arn, told=stopped)


class Connected(Loop):
    """On one of the brokers; on another one where it is lost."""

    def __init__(self, cluster, brokers, seed):
        super().__init__(cluster)
        self.urls, self.dice, self.listens = brokers.urls, random.Random(seed), threading.Event()

    def loop(self):
        while not self.cluster.stopping:
            try:
                with pika.BlockingConnection(pika.URLParameters(self.dice.choice(self.urls) + "?heartbeat=0")) as connection:
                    channel = connection.channel()
                    channel.confirm_delivery()
                    self.serve(connection, channel)
            except GONE:
                time.sleep(0.3)

    def consume(self, connection, channel, name, window):
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_qos(prefetch_count=window)
        channel.basic_consume(name, self.handle)
        self.listens.set()
        while not self.cluster.stopping:
            connection.process_data_events(time_limit=0.5)


class Worker(Connected):
    """Answers tasks over AMQP or HTTP, at times twice, at times not before it dies."""

    def __init__(self, cluster, brokers, number, seed):
        super().__init__(cluster, brokers, seed)
        self.number, self.count = number, 0

    def serve(self, connection, channel):
        self.consume(connection, channel, WORK, 5)

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


class Holder(Connected):
    """Keeps the tasks of the executions that ask again and again: answered in bursts, when a fault needs work in flight."""

    def __init__(self, cluster, brokers, seed):
        super().__init__(cluster, brokers, seed)
        self.news, self.seen, self.waiting, self.asked, self.when = threading.Condition(), set(), {}, collections.Counter(), {}

    def serve(self, connection, channel):
        self.consume(connection, channel, HELD, 200)

    def handle(self, channel, method, properties, _):
        token, arn = properties.headers["task-token"], properties.headers["execution-arn"]
        with self.news:
            if token not in self.seen:  # a second copy
                self.seen.add(token)
                self.waiting[arn] = (token, properties.reply_to)
                self.asked[arn] += 1
                self.when[arn] = time.time()
                self.news.notify_all()
        channel.basic_ack(method.delivery_tag)

    def take(self, arns=None, most=None):
        """Takes tasks that wait: [(arn, token, reply_to)]."""
        with self.news:
            chosen = [arn for arn in self.waiting if arns is None or arn in arns][:most]
            return [(arn, *self.waiting.pop(arn)) for arn in chosen]

    def all_have_asked_again(self, counts, seconds):
        """Waits until each of these has asked more often than so; which have not."""
        until = time.monotonic() + seconds

        def left():
            return [arn for arn, count in counts.items() if self.asked[arn] <= count]

        with self.news:
            while left() and time.monotonic() < until:
                self.news.wait(timeout=1)
            return left()


class Answerer(Connected):
    """Sends the answers of a burst, each until a broker has it."""

    def __init__(self, cluster, brokers, errands, seed):
        super().__init__(cluster, brokers, seed)
        self.errands, self.at_hand = errands, None

    def serve(self, connection, channel):
        while not self.cluster.stopping:
            if self.at_hand is None:
                try:
                    self.at_hand = self.errands.get(timeout=0.5)
                except queue.Empty:
                    connection.process_data_events(time_limit=0)
                    continue
            to, token, output = self.at_hand
            channel.basic_publish("", to, output, pika.BasicProperties(delivery_mode=2, correlation_id=token))
            self.at_hand = None


class Answers:
    """Answers to what the holder has, many at once."""

    def __init__(self, cluster, brokers, holder, seed, threads=6):
        self.cluster, self.holder, self.errands, self.count = cluster, holder, queue.Queue(), 0
        self.threads = [Answerer(cluster, brokers, self.errands, seed + n) for n in range(threads)]

    def give(self, tasks, last=False):
        """What each execution had asked for before."""
        before = {}
        for arn, token, to in tasks:
            self.count += 1
            reply = f"h-{self.count}"
            before[arn] = self.holder.asked[arn]
            self.cluster.add("answers", arn=arn, reply=reply, told="unknown")
            self.errands.put((to, token, json.dumps({"reply": reply, "last": last})))
        return before
