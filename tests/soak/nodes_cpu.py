"""Processor time of all servers for a callback, with three servers against one: figures for docs/CLUSTER.md.

    python tests/soak/nodes_cpu.py --binary target/release/reveille [--rounds 1] [--seconds 6] [--at-once 60,200,1000,2000] [--per-second 600]

One PostgreSQL and one broker. Executions ask over AMQP, a worker (fast_echo.py) answers each at once, so a callback is a task message and its
reply. In each round one server works alone, then three share the partitions; each with so many executions that ask at once, and with so many
answers in a second, evenly. Said: user and system time of the servers and of PostgreSQL from /proc, and commits, for a callback; and the time of
the servers while nothing happens. The medians of the rounds are compared.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

from cluster_load import HELD, HOLDS
from crash import ROOT
from stage import SERVERS, on_stage

TICK = os.sysconf("SC_CLK_TCK")
# Before it is measured: all are awake.
WARM = 3
# In play where answers come evenly.
FEW = 60


def times(pid):
    """Ticks of a process, and of its children that have ended."""
    return [int(n) for n in pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:15]]


class Play:
    def __init__(self, args, stage):
        self.args, self.stage = args, stage
        stage.machine("holds", HOLDS)
        here = pathlib.Path(__file__).parent
        self.echo = subprocess.Popen([sys.executable, here / "fast_echo.py", str(stage.brokers.ports[0]), HELD], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.database = int((stage.databases.primary / "data/postmaster.pid").read_text().split()[0])
        body = {"stateMachineArn": stage.machines["holds"]}

        def start(n):
            told, answer = stage.cluster.nodes[0].ask("StartExecution", {**body, "name": f"open-{n}", "input": json.dumps({"n": n})})
            if told != 200:
                raise RuntimeError(f"StartExecution: {told} {answer}")

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(start, range(max([FEW, *args.at_once]))))

    def tell(self, line):
        self.echo.stdin.write(line + "\n")
        self.echo.stdin.flush()

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

    def look(self):
        """Callbacks, commits, and processor time of servers and of PostgreSQL so far."""
        nodes = [node for node in self.stage.cluster.nodes if node.process and node.process.poll() is None]
        self.tell("count")
        count = self.echo.stdout.readline()
        if not count:
            raise RuntimeError("the worker ended")
        commits = 0
        for node in nodes:
            for line in urllib.request.urlopen(f"http://127.0.0.1:{node.port}/metrics", timeout=10).read().decode().splitlines():
                if line.startswith("reveille_store_commit_events_count"):
                    commits += float(line.split()[-1])
        spent = sum(sum(times(node.process.pid)[:2]) for node in nodes) / TICK
        database = sum(times(self.database)) / TICK
        for child in pathlib.Path(f"/proc/{self.database}/task/{self.database}/children").read_text().split():
            database += sum(times(child)[:2]) / TICK
        return int(count), commits, spent, database, time.monotonic()

    def measure(self, servers, line):
        self.tell(line)
        time.sleep(WARM)
        before = self.look()
        time.sleep(self.args.seconds)
        callbacks, commits, spent, database, took = (new - old for new, old in zip(self.look(), before))
        self.tell("stop")
        time.sleep(1)
        each = spent / callbacks * 1e6
        print(f"{servers} server{'s' * (servers > 1)}, {line}: {each:.0f} us for a callback, PostgreSQL {database / callbacks * 1e6:.0f} us, "
              f"{commits / callbacks:.3f} commits; {callbacks / took:.0f}/s", flush=True)
        return each

    def idle(self, servers):
        before = self.look()
        time.sleep(self.args.seconds)
        _, _, spent, _, took = (new - old for new, old in zip(self.look(), before))
        print(f"{servers} server{'s' * (servers > 1)}, idle: {spent / took * 1000:.1f} ms/s", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/release/reveille", type=pathlib.Path)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--seconds", type=float, default=6)
    options.add_argument("--at-once", type=lambda text: [int(n) for n in text.split(",")], default=[60, 200, 1000, 2000],
                         help="executions that ask at once")
    options.add_argument("--per-second", type=int, default=600, help="answers that come evenly")
    args = options.parse_args()
    lines = [f"pace {FEW} {args.per_second}", *(f"play {n}" for n in args.at_once)]

    def play(stage):
        played, seen = Play(args, stage), {}
        for _ in range(args.rounds):
            for servers in (1, SERVERS):
                played.run_on(servers)
                played.idle(servers)
                for line in lines:
                    seen.setdefault((servers, line), []).append(played.measure(servers, line))
        played.echo.kill()
        for line in lines:
            one, several = (statistics.median(seen[servers, line]) for servers in (1, SERVERS))
            print(f"{line}: {one:.0f} and {several:.0f} us: {several / one:.2f}")

    on_stage("cpu", play, binary=args.binary, seed=1, brokers=1, databases=1, gates=False, first=1)


if __name__ == "__main__":
    main()
