"""How long executions stand still when a part of a cluster is lost: figures for docs/CLUSTER.md. Default settings, three servers, a PostgreSQL
with a synchronous standby, a RabbitMQ of three nodes.

    python tests/soak/standstill.py --binary target/release/reveille [--only kill,freeze] [--rounds 3]

Executions wait for an answer each. From the fault on one is answered every 0.2 s, over AMQP; its next task shows that it goes on. Said for each
fault, in seconds: when the first went on after the fault; how long the answers of the first five seconds took at most (a server that is
frozen or cut off may have been handed them), and the later ones. At the end all must end, and `histories.py` judges the record.
"""
import argparse
import pathlib
import signal
import sys
import time

import histories
from cluster import WATCH, Faults, look, wait_until
from cluster_load import ASKS, WAITS
from crash import ROOT
from stage import on_stage, quantile

SCENES = ["kill", "stop", "freeze", "cut-database", "cut-broker", "promote", "broker"]
# Of a server that is frozen or cut off: longer than the broker keeps what it was handed.
AWAY = 20
NEW = 5


class Play:
    def __init__(self, args, stage):
        self.args, self.stage, self.dice = args, stage, stage.dice
        self.cluster, self.databases, self.brokers = stage.cluster, stage.databases, stage.brokers
        self.databases.sql(WATCH)
        stage.machine("asks", ASKS)
        stage.machine("waits", WAITS)
        stage.hold(args.held)
        self.holder, self.answers = stage.holder, stage.answers
        self.faults = Faults(args, self.cluster, self.databases, self.brokers, self.holder, self.answers, self.dice)

    def even(self):
        """All is there again, each server owns its share, and all executions wait for an answer."""
        self.faults.settle()
        def settled():
            counts = self.stage.shares()
            return len(counts) == 3 and max(counts) - min(counts) <= 1 and len(self.holder.waiting) == self.args.held
        until = time.monotonic() + 120
        wait_until(settled, until)
        if time.monotonic() >= until:
            raise RuntimeError("the servers do not come to rest within 120 s")

    def scene(self, name, number):
        """(moment of the fault, {arn: (sent, went on)}, moment when what was lost is there again)"""
        self.even()
        node = self.cluster.nodes[number % 3]
        owned = self.faults.owned(node)
        if name in ("promote", "broker"):
            owned = None
        tasks = self.holder.take(owned, 100)
        healed, self.promoted = False, 0
        fault = time.time()
        if name == "kill":
            node.kill()
        elif name == "stop":
            node.signal(signal.SIGTERM)
        elif name == "freeze":
            node.signal(signal.SIGSTOP)
        elif name in ("cut-database", "cut-broker"):
            gates = node.to_database if name == "cut-database" else node.to_broker
            for gate in gates:
                gate.cut()
        elif name == "broker":
            self.faults.later(self.brokers.kill, number % 3)
        elif name == "promote":
            self.faults.later(self.promote)
        sent = {}
        for task in tasks:
            sent[task[0]] = time.time()
            self.answers.give([task])
            time.sleep(0.2)
            if not healed and time.time() > fault + AWAY:
                healed = self.heal(name, node, number)
        time.sleep(max(0, fault + AWAY - time.time()))
        healed = healed or self.heal(name, node, number)
        wait_until(lambda: all(self.holder.when[arn] > at for arn, at in sent.items()), time.monotonic() + 60)
        return fault, {arn: (at, self.holder.when[arn]) for arn, at in sent.items()}, self.promoted

    def promote(self):
        self.promoted = self.databases.promote(0.5)

    def heal(self, name, node, number):
        if name in ("kill", "stop"):
            self.faults.later(self.faults.again, node, 0)
        elif name == "freeze":
            node.signal(signal.SIGCONT)
        elif name in ("cut-database", "cut-broker"):
            for gate in node.to_database + node.to_broker:
                gate.heal()
        elif name == "broker":
            self.faults.later(self.brokers.revive, number % 3)
        elif name == "promote":
            self.faults.settle()
            self.databases.rebuild()
        return True

    def end(self):
        self.faults.settle()

        def none():
            self.answers.give(self.holder.take(), last=True)
            return self.databases.sql("SELECT count(*) FROM executions WHERE closed IS NULL")[0][0] == "0"

        wait_until(none, time.monotonic() + 120)
        self.cluster.stopping = True
        return histories.judge({**self.cluster.record, **look(self.cluster, self.dice, self.databases)}) + self.faults.wrong + self.cluster.failed


def say(name, fault, times, back):
    early = [went - at for at, went in times.values() if at < fault + NEW and went > at]
    late = [went - at for at, went in times.values() if at >= fault + NEW and went > at]
    stuck = sum(went <= at for at, went in times.values())
    first = min((went for at, went in times.values() if went > at), default=float("nan")) - fault
    text = (f"{name}: {len(times)} answers; first after {first:.2f}; those of the first {NEW} s took p50 {quantile(early, .5):.2f}, "
            f"max {max(early, default=float('nan')):.2f}; later ones p50 {quantile(late, .5):.2f}, max {max(late, default=float('nan')):.2f}")
    if back:
        after = [went - max(at, back) for at, went in times.values() if went > back]
        text += f"; the new primary took writes after {back - fault:.2f}, and all went on {max(after, default=0):.2f} later at most"
    print(text + (f"; {stuck} DID NOT GO ON" if stuck else ""), flush=True)
    return stuck


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/release/reveille", type=pathlib.Path)
    options.add_argument("--only", default=",".join(SCENES), help="faults, separated by commas")
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--held", type=int, default=240)
    options.add_argument("--partitions", type=int, default=48)
    options.add_argument("--seed", type=int, default=1)
    args = options.parse_args()

    def play(stage):
        played = Play(args, stage)
        stuck = sum(say(name, *played.scene(name, number)) for number in range(args.rounds) for name in args.only.split(","))
        wrong = played.end()
        for why in wrong[:20]:
            print("WRONG", why)
        print(f"{len(wrong)} violations")
        return bool(wrong or stuck)

    sys.exit(on_stage("standstill", play, binary=args.binary, seed=args.seed, brokers=3, databases=2, partitions=args.partitions))


if __name__ == "__main__":
    main()
