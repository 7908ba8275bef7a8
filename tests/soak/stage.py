"""What the measurements of a cluster share: servers with default settings over databases and brokers of their own, and executions that ask
again and again (`holds`)."""
import json
import os
import pathlib
import random
import shutil
import signal
import tempfile

from cluster_load import HOLDS, Answers, Cluster, Holder
from cluster_parts import Brokers, Databases, Node
from crash import ROLE

HEARTBEAT = 5
SERVERS = 3


class Stage:
    """`gates`: ways to the database and the broker that can be cut, for each server. `first`: so many servers are started now."""

    def __init__(self, binary, folder, seed, brokers, databases, gates=True, partitions=48, first=SERVERS):
        self.dice, self.holder, self.answers, self.machines = random.Random(seed), None, None, {}
        self.brokers, self.databases = Brokers(folder / "broker", brokers), Databases(folder, databases)
        self.cluster = Cluster([Node(binary, folder, n, self.databases, self.brokers, None, HEARTBEAT, partitions, gates) for n in range(SERVERS)])
        for node in self.cluster.nodes[:first]:
            node.start()
        for node in self.cluster.nodes[:first]:
            node.ready()

    def ask(self, operation, **body):
        told, answer, _ = self.cluster.insist(self.dice, operation, body)
        if told != "ok":
            raise RuntimeError(f"{operation}: {told} {answer}")
        return answer

    def machine(self, name, definition, kind="STANDARD"):
        body = {"name": name, "definition": json.dumps(definition), "roleArn": ROLE, "type": kind}
        self.machines[name] = self.ask("CreateStateMachine", **body)["stateMachineArn"]

    def hold(self, count, threads=6):
        """So many executions ask and wait for answers, which as many threads send."""
        self.machine("holds", HOLDS)
        self.holder = Holder(self.cluster, self.brokers, 50)
        self.answers = Answers(self.cluster, self.brokers, self.holder, 60, threads)
        for thread in [self.holder, *self.answers.threads]:
            thread.start()
        self.holder.listens.wait(60)
        for n in range(count):
            arn = self.ask("StartExecution", stateMachineArn=self.machines["holds"], name=f"held-{n}", input=json.dumps({"n": n}))["executionArn"]
            self.cluster.add("starts", arn=arn, told="ok", seen=True)

    def shares(self):
        """How many partitions each server owns that has joined."""
        sql = "SELECT count(p.partition) FROM nodes n LEFT JOIN partitions p ON p.owner = n.node GROUP BY n.node"
        return [int(count) for (count,) in self.databases.sql(sql)]

    def discard(self):
        self.cluster.stopping = True
        for node in self.cluster.nodes:
            if node.process and node.process.poll() is None:
                node.signal(signal.SIGCONT)
                node.kill()
        self.databases.discard()
        self.brokers.discard()


def on_stage(what, play, **stage):
    """Plays on a stage of its own, which is taken away at the end."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"reveille-{what}."))
    os.chmod(folder, 0o755)  # PostgreSQL may run as another user
    built = None
    try:
        built = Stage(folder=folder, **stage)
        result = play(built)
    finally:
        if built:
            built.discard()
    shutil.rmtree(folder, ignore_errors=True)
    return result


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
