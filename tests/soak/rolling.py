"""Rolling restarts of a cluster under a closed loop of all operations: no answer but 200 and AWS's own 4xx, and no execution that stands still.

    python tests/soak/rolling.py --binary target/release/reveille [--restarts 20]

Clients go through a load balancer: a server is asked while its /readyz says so, and the next one where a connection is refused. Each client does
everything that the API has, again and again. Beside them executions are answered over AMQP, 0.2 s after each question: the time to their next
question is said. One server after the other gets SIGTERM and is started again. Exit status 0 when no request had another answer.
"""
import argparse
import collections
import http.client
import itertools
import json
import pathlib
import signal
import sys
import threading
import time
import urllib.error
import urllib.request

from cluster_load import Loop
from crash import ROLE, ROOT
from stage import on_stage, quantile

PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
MAP = {"StartAt": "M", "States": {"M": {
    "Type": "Map", "ItemsPath": "$.items", "End": True,
    "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                      "StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}}}}}


class Balancer(threading.Thread):
    """Which servers are asked."""

    def __init__(self, nodes):
        super().__init__(daemon=True)
        self.nodes, self.good, self.turn = nodes, list(nodes), itertools.count()
        self.lock, self.said, self.bad, self.times = threading.Lock(), collections.Counter(), [], []
        self.lapses = collections.Counter()

    def run(self):
        while True:
            self.good = [node for node in self.nodes if node.process.poll() is None and self.look(node)] or list(self.nodes)
            time.sleep(0.3)

    def look(self, node):
        """It is ready. A server that runs and is not says why: after its start it waits for its first partition, later it has a reason."""
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{node.port}/readyz", timeout=2).close()
            return True
        except urllib.error.HTTPError as error:
            self.lapses[", ".join(json.loads(error.read())["missing"])[:120]] += 1
        except OSError:
            pass
        return False

    def ask(self, operation, **body):
        """The answer; raises where it is not one of 200."""
        began = time.monotonic()
        while True:
            good = self.good
            node = good[next(self.turn) % len(good)]
            connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=70)
            try:
                connection.connect()
            except OSError:
                time.sleep(0.02)
                continue
            try:
                connection.request("POST", "/", json.dumps(body), {
                    "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AWSStepFunctions.{operation}"})
                response = connection.getresponse()
                status, answer = response.status, json.loads(response.read() or b"{}")
            except (OSError, ValueError, http.client.HTTPException) as error:
                status, answer = None, {"__type": type(error).__name__}
            finally:
                connection.close()
            kind = answer.get("__type", "").split("#")[-1] if status != 200 else ""
            with self.lock:
                self.said[f"{status} {kind}".strip()] += 1
                self.times.append((time.monotonic() - began, operation))
            if status == 400 and "Throttling" in kind:
                time.sleep(0.1)
                continue
            if status != 200:
                # Everything that is asked for is there: each other answer is one too many.
                with self.lock:
                    self.bad.append(f"{operation}: {status} {kind} {answer.get('message', '')[:150]}")
            return answer


class Everything(Loop):
    """All operations, in a circle."""

    def __init__(self, cluster, balancer, number):
        super().__init__(cluster)
        self.ask, self.number, self.circles = balancer.ask, number, 0

    def loop(self):
        while not self.cluster.stopping:
            self.circles += 1
            self.circle(f"o{self.number}-{self.circles}")

    def circle(self, name):
        ask = self.ask
        activity = ask("CreateActivity", name=name)["activityArn"]
        ask("DescribeActivity", activityArn=activity)
        ask("ListActivities", maxResults=10)
        works = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": activity, "TimeoutSeconds": 600, "End": True}}}
        machine = ask("CreateStateMachine", name=name, definition=json.dumps(works), roleArn=ROLE)["stateMachineArn"]
        ask("TagResource", resourceArn=machine, tags=[{"key": "k", "value": "v"}])
        ask("ListTagsForResource", resourceArn=machine)
        ask("UntagResource", resourceArn=machine, tagKeys=["k"])
        ask("DescribeStateMachine", stateMachineArn=machine)
        ask("ListStateMachines", maxResults=10)
        ask("UpdateStateMachine", stateMachineArn=machine, definition=json.dumps({**works, "Comment": "again"}))
        version = ask("PublishStateMachineVersion", stateMachineArn=machine)["stateMachineVersionArn"]
        ask("ListStateMachineVersions", stateMachineArn=machine)
        routes = [{"stateMachineVersionArn": version, "weight": 100}]
        alias = ask("CreateStateMachineAlias", name="live", routingConfiguration=routes)["stateMachineAliasArn"]
        ask("DescribeStateMachineAlias", stateMachineAliasArn=alias)
        ask("UpdateStateMachineAlias", stateMachineAliasArn=alias, description="d")
        ask("ListStateMachineAliases", stateMachineArn=machine)
        execution = ask("StartExecution", stateMachineArn=alias, name=f"{name}-1", input="{}")["executionArn"]
        ask("DescribeExecution", executionArn=execution)
        ask("DescribeStateMachineForExecution", executionArn=execution)
        ask("ListExecutions", stateMachineArn=machine)
        token = ask("GetActivityTask", activityArn=activity)["taskToken"]
        ask("SendTaskHeartbeat", taskToken=token)
        ask("SendTaskSuccess", taskToken=token, output="1")
        ask("GetExecutionHistory", executionArn=execution)
        stopped = ask("StartExecution", stateMachineArn=machine, name=f"{name}-2", input="{}")["executionArn"]
        ask("StopExecution", executionArn=stopped)
        ask("RedriveExecution", executionArn=stopped)
        for _ in range(3):  # the task of the stopped attempt may be handed out too, and its token is refused
            token = ask("GetActivityTask", activityArn=activity).get("taskToken")
            if not token or ask("SendTaskFailure", taskToken=token, error="E").get("__type") is None:
                break
        ask("StartSyncExecution", stateMachineArn=self.machines["express"], input="{}")
        ask("StartExecution", stateMachineArn=self.machines["express"], input="{}")
        run = ask("StartExecution", stateMachineArn=self.machines["map"], name=name, input=json.dumps({"items": [1, 2, 3]}))["executionArn"]
        until = time.monotonic() + 30
        while not (runs := ask("ListMapRuns", executionArn=run)["mapRuns"]) and time.monotonic() < until:
            time.sleep(0.1)
        ask("DescribeMapRun", mapRunArn=runs[0]["mapRunArn"])
        ask("UpdateMapRun", mapRunArn=runs[0]["mapRunArn"], maxConcurrency=2)
        ask("TestState", definition=json.dumps({"Type": "Pass", "Next": "N"}), roleArn=ROLE, input="{}")
        ask("ValidateStateMachineDefinition", definition=json.dumps(PASS))
        ask("DeleteStateMachineAlias", stateMachineAliasArn=alias)
        ask("DeleteStateMachineVersion", stateMachineVersionArn=version)
        ask("DeleteStateMachine", stateMachineArn=machine)
        ask("DeleteActivity", activityArn=activity)


class Pulse(Loop):
    """Answers each question 0.2 s after it came, and notes how long the next one takes."""

    def __init__(self, cluster, holder, answers):
        super().__init__(cluster)
        self.holder, self.answers, self.sent, self.took = holder, answers, {}, []

    def loop(self):
        while not self.cluster.stopping:
            now = time.time()
            with self.holder.news:
                due = {arn for arn in self.holder.waiting if now - self.holder.when[arn] >= 0.2}
            for task in self.holder.take(due):
                arn = task[0]
                if arn in self.sent:
                    self.took.append((self.holder.when[arn] - self.sent[arn], now))
                self.sent[arn] = time.time()
                self.answers.give([task])
            time.sleep(0.02)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/release/reveille", type=pathlib.Path)
    options.add_argument("--restarts", type=int, default=20)
    options.add_argument("--clients", type=int, default=3)
    options.add_argument("--held", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    args = options.parse_args()
    sys.exit(on_stage("rolling", lambda stage: play(args, stage), binary=args.binary, seed=args.seed, brokers=1, databases=1, gates=False))


def play(args, stage):
    """Whether anything was wrong."""
    cluster, balancer = stage.cluster, Balancer(stage.cluster.nodes)
    balancer.start()
    stage.machine("express", PASS, "EXPRESS")
    stage.machine("map", MAP)
    stage.hold(args.held, threads=2)
    Everything.machines = stage.machines
    pulse, clients = Pulse(cluster, stage.holder, stage.answers), [Everything(cluster, balancer, n) for n in range(args.clients)]
    for thread in [pulse, *clients]:
        thread.start()
    time.sleep(15)
    quiet, began = len(pulse.took), time.monotonic()
    stops = []
    for number in range(args.restarts):
        node = cluster.nodes[number % len(cluster.nodes)]
        told = time.monotonic()
        node.signal(signal.SIGTERM)
        node.process.wait(timeout=90)
        stops.append(time.monotonic() - told)
        node.start()
        node.ready()
        time.sleep(stage.dice.uniform(1, 3))
    took = time.monotonic() - began
    cluster.stopping = True
    for thread in clients:
        thread.join(timeout=120)
    bad = balancer.bad + cluster.failed
    before, during = [t for t, _ in pulse.took[:quiet]], [t for t, _ in pulse.took[quiet:]]
    times = [t for t, _ in balancer.times]
    print(f"{args.restarts} restarts in {took:.0f} s; SIGTERM to end p50 {quantile(stops, .5):.2f} s, max {max(stops):.2f} s; "
          f"{len(balancer.times)} requests in {sum(c.circles for c in clients)} circles of all operations")
    print(f"  answers: {dict(balancer.said)}")
    print(f"  not ready: {dict(balancer.lapses)}")
    slow = sorted(balancer.times, reverse=True)[:5]
    print(f"  a request took p50 {quantile(times, .5):.3f} s, p99 {quantile(times, .99):.3f} s; the slowest {[(round(t, 2), o) for t, o in slow]}")
    print(f"  from an answer over AMQP to the next question: before p50 {quantile(before, .5):.3f}, max {max(before, default=0):.3f} s; "
          f"during the restarts {len(during)} times, p50 {quantile(during, .5):.3f}, p99 {quantile(during, .99):.3f}, max {max(during, default=0):.3f} s")
    for why in bad[:20]:
        print("WRONG", why)
    print(f"{len(bad)} answers other than 200 and throttling")
    return bool(bad)


if __name__ == "__main__":
    main()
