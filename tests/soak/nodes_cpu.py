"""Processor time of all servers for a callback, with three servers against one: figures for docs/CLUSTER.md.

    python tests/soak/nodes_cpu.py --binary target/release/reveille [--rounds 5] [--callbacks 20000] [--open 200]

One PostgreSQL and one broker. Executions ask over AMQP, a worker answers each at once, so a callback is a task message and its reply. In each
round one server works alone, then three share the partitions, then the other way round; each carries the same number of callbacks. Said: user and
system time of the servers from /proc, for a callback, and what they need while nothing happens. The medians of the rounds are compared.
"""
import argparse
import json
import os
import pathlib
import signal
import statistics
import sys
import threading
import time

import pika

from cluster_load import HELD, HOLDS
from crash import ROOT
from stage import SERVERS, on_stage

TICK = os.sysconf("SC_CLK_TCK")
IDLE = 10


class Echo(threading.Thread):
    """Answers every task at once, as long as it may."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.count, self.may, self.failed = url, 0, threading.Event(), None

    def run(self):
        try:
            with pika.BlockingConnection(pika.URLParameters(self.url + "?heartbeat=0")) as connection:
                channel = connection.channel()
                channel.basic_qos(prefetch_count=200)
                channel.queue_declare(HELD, durable=True, arguments={"x-queue-type": "quorum"})
                for method, properties, _ in channel.consume(HELD, inactivity_timeout=1):
                    if method is None:
                        continue
                    self.may.wait()
                    self.count += 1
                    answer = pika.BasicProperties(delivery_mode=2, correlation_id=properties.headers["task-token"])
                    channel.basic_publish("", properties.reply_to, json.dumps({"reply": "e", "last": False}), answer)
                    channel.basic_ack(method.delivery_tag)
        except Exception as error:  # noqa: BLE001 - the measurement ends with it
            self.failed = error


class Play:
    def __init__(self, args, stage):
        self.args, self.stage = args, stage
        stage.machine("holds", HOLDS)
        self.echo = Echo(stage.brokers.urls[0])
        self.echo.start()
        for n in range(args.open):
            stage.ask("StartExecution", stateMachineArn=stage.machines["holds"], name=f"open-{n}", input=json.dumps({"n": n}))

    def run_on(self, count):
        """So many servers run, and own equal shares."""
        for node in self.stage.cluster.nodes[count:]:
            if node.process and node.process.poll() is None:
                node.signal(signal.SIGTERM)
                node.process.wait(timeout=90)
        for node in self.stage.cluster.nodes[:count]:
            if node.process is None or node.process.poll() is not None:
                node.start()
        until = time.monotonic() + 180
        while len(shares := self.stage.shares()) != count or max(shares) - min(shares) > 1:
            if time.monotonic() > until:
                raise RuntimeError(f"{count} servers own {shares} partitions after 180 s")
            time.sleep(0.5)
        for node in self.stage.cluster.nodes[:count]:
            node.ready()

    def spent(self):
        total = 0
        for node in self.stage.cluster.nodes:
            if node.process and node.process.poll() is None:
                fields = pathlib.Path(f"/proc/{node.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
        return total / TICK

    def carry(self, callbacks):
        """Seconds of the servers for these callbacks, and how long they took."""
        began, spent, until = time.monotonic(), self.spent(), self.echo.count + callbacks
        while self.echo.count < until:
            if self.echo.failed:
                raise RuntimeError(f"the worker ended: {self.echo.failed!r}")
            time.sleep(0.02)
        return self.spent() - spent, time.monotonic() - began

    def measure(self, servers):
        self.run_on(servers)
        time.sleep(3)
        idle = self.spent()
        time.sleep(IDLE)
        idle = (self.spent() - idle) / IDLE
        self.echo.may.set()
        self.carry(self.args.callbacks // 5)  # everybody is awake
        first = self.echo.count
        spent, took = self.carry(self.args.callbacks)
        callbacks = self.echo.count - first
        self.echo.may.clear()
        each = spent / callbacks * 1e6
        print(f"{servers} server{'s' * (servers > 1)}: {each:.0f} us for a callback, {callbacks / took:.0f}/s; idle {idle * 1000:.1f} ms/s", flush=True)
        return each, idle


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/release/reveille", type=pathlib.Path)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--callbacks", type=int, default=20_000)
    options.add_argument("--open", type=int, default=200, help="executions that ask at once")
    args = options.parse_args()

    def play(stage):
        played, seen = Play(args, stage), {1: [], SERVERS: []}
        for number in range(args.rounds):
            for servers in ([1, SERVERS] if number % 2 == 0 else [SERVERS, 1]):
                seen[servers].append(played.measure(servers))
        one, several = (statistics.median(each for each, _ in seen[n]) for n in (1, SERVERS))
        idle = [statistics.median(idle for _, idle in seen[n]) * 1000 for n in (1, SERVERS)]
        print(f"median of {args.rounds} rounds: 1 server {one:.0f} us, {SERVERS} servers {several:.0f} us for a callback: {several / one:.2f}; "
              f"idle {idle[0]:.1f} and {idle[1]:.1f} ms/s")

    on_stage("cpu", play, binary=args.binary, seed=1, brokers=1, databases=1, gates=False, first=1)
    sys.exit(0)


if __name__ == "__main__":
    main()
