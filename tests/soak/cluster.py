"""The cluster campaign: several real servers over PostgreSQL with a synchronous standby and a RabbitMQ of three nodes; clients and workers on
random servers; faults by a seed.

    python tests/soak/cluster.py [--binary target/release/reveille] [--faults 30] [--seconds 150] [--seed N] [--brokers 1] [--databases 1]
    python tests/soak/cluster.py --plant fence|priority|ack          # a debug build; exit status 0 where the fault is found

Faults (`KINDS`): a server is killed, stopped, frozen for longer than the lapse, cut off from PostgreSQL or from RabbitMQ; the primary is
killed and started again, or its standby promoted; the standby is killed; one of the brokers is killed. Faults of servers and faults of the
database and the brokers come side by side, each kind from dice of its own, and a cut lasts while others are made. Before a server is harmed a
burst of answers is on its way to executions that it owns, so that it has commits in flight. While a server is frozen, answers to executions
that it owned must take effect elsewhere; for the time of that look no fault of database or brokers is made. At the end everything is healed,
all executions must end, and `histories.py` judges the record.

Planted faults: `fence` (the store's function `hold` lets every commit through), `priority` (consumers without x-priority), `ack` (a reply is
acknowledged before its effect is durable). The last two are `REVEILLE_PLANT` of a debug build; a release build has none of them.
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
import sys
import tempfile
import threading
import time

import pika

import histories
from cluster_load import ASKS, GONE, HOLDS, WAITS, Answers, Client, Cluster, Holder, Worker, family, one
from cluster_parts import Brokers, Databases, Node, script
from crash import ROLE, ROOT

# The database's own witness: owners in the order of their changes, and entries whose epoch is not that of their partition at that moment,
# or whose owner was declared dead.
WATCH = """
CREATE TABLE partitions_log (n bigserial, partition int, epoch bigint, owner uuid);
CREATE FUNCTION log_owner() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.owner IS NOT NULL THEN INSERT INTO partitions_log (partition, epoch, owner) VALUES (NEW.partition, NEW.epoch, NEW.owner); END IF;
  RETURN NEW; END $$;
CREATE TRIGGER log_owner AFTER INSERT OR UPDATE OF epoch, owner ON partitions FOR EACH ROW EXECUTE FUNCTION log_owner();
INSERT INTO partitions_log (partition, epoch, owner) SELECT partition, epoch, owner FROM partitions WHERE owner IS NOT NULL;
CREATE TABLE strays (execution uuid, epoch bigint, newest bigint, lives boolean);
CREATE FUNCTION log_strays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO strays SELECT a.execution, a.epoch, p.epoch, n.node IS NOT NULL
    FROM added a JOIN executions e ON e.id = a.execution JOIN partitions p ON p.partition = e.partition LEFT JOIN nodes n ON n.node = p.owner
    WHERE p.epoch <> a.epoch OR n.node IS NULL;
  RETURN NULL; END $$;
CREATE TRIGGER log_strays AFTER INSERT ON journal REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION log_strays();
"""
NO_FENCE = """
CREATE OR REPLACE FUNCTION hold(me uuid) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE OR REPLACE FUNCTION hold(me uuid, of_partitions int[], of_epochs bigint[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
"""
# Each as often as it stands here.
KINDS = {"kill": 4, "freeze": 4, "term": 3, "cut-database": 2, "cut-broker": 2, "restart": 1, "promote": 2, "standby": 1, "broker": 3}
OF_PAIR, OF_THREE = {"promote", "standby"}, {"broker"}
# Of the database and the brokers. The other kinds are of servers.
BELOW = {"restart", "promote", "standby", "broker"}
FINDS = {"fence": "freeze", "priority": "freeze", "ack": "kill"}
# Answers to executions of a frozen server take effect within this, or it is said to hold them. The broker gives it up after three
# heartbeats: that must be later.
ELSEWHERE = 40
HEARTBEAT = 20


def plan(args, dice):
    if args.plant:
        return [FINDS[args.plant]] * args.faults
    chosen = args.only.split(",") if args.only else list(KINDS)
    kinds = [kind for kind, times in KINDS.items() for _ in range(times)
             if kind in chosen and (kind not in OF_PAIR or args.databases > 1) and (kind not in OF_THREE or args.brokers > 1)]
    drawn = []
    while len(drawn) < args.faults:
        dice.shuffle(kinds)
        drawn += kinds
    return drawn[:args.faults]


class Faults:
    """Faults one after the other. Two of these work side by side: one harms servers, the other the database and the brokers."""

    def __init__(self, args, cluster, databases, brokers, holder, answers, dice, plan=(), calm=None):
        """`calm`: the lock that two sides share, where there are two."""
        self.args, self.cluster, self.databases, self.brokers = args, cluster, databases, brokers
        self.holder, self.answers, self.left, self.dice, self.calm = holder, answers, list(plan), dice, calm or threading.Lock()
        self.others = sorted(set(plan) - {"broker"})
        self.counts, self.wrong, self.behind, self.elsewhere = collections.Counter(), [], [], 0

    def victim(self):
        """A server that is ready, while another one is."""
        while True:
            ready = [node for node in self.cluster.nodes if node.process.poll() is None and node.look()]
            if len(ready) > 1:
                return self.dice.choice(ready)
            time.sleep(0.3)

    def later(self, what, *arguments):
        """Goes on beside the next faults."""
        def attempt():
            try:
                what(*arguments)
            except Exception as error:  # noqa: BLE001 - said at the end
                self.wrong.append(f"{what.__name__}: {error}")
        thread = threading.Thread(target=attempt, daemon=True, name=what.__name__)
        thread.start()
        self.behind.append(thread)

    def owned(self, node):
        return {arn for (arn,) in self.databases.sql(
            f"SELECT h.arn FROM executions e JOIN headers h USING (id) JOIN partitions p USING (partition) WHERE e.closed IS NULL AND {node.owns()}")}

    def burst(self, node, most):
        """Answers on their way to executions of this server. It has had none, some or all of them when this returns."""
        self.answers.give(self.holder.take(self.owned(node), most))
        time.sleep(self.dice.uniform(0, 0.1))

    def kill(self):
        node = self.victim()
        if self.dice.random() < 0.7 or self.args.plant:
            self.burst(node, 60)
        node.kill()
        self.later(self.again, node, self.dice.uniform(0, 4))

    def again(self, node, down):
        node.process.wait(timeout=90)
        time.sleep(down)
        node.start()
        node.ready()

    def term(self):
        node = self.victim()
        self.burst(node, 20)
        node.signal(signal.SIGTERM)
        self.later(self.again, node, 0)

    def is_consumed_again(self, partitions):
        """The new owner of each consumes beside the frozen server. An answer that comes before waits with the frozen one."""
        try:
            with pika.BlockingConnection(pika.URLParameters(self.dice.choice(self.brokers.urls))) as connection:
                channel = connection.channel()
                queues = [channel.queue_declare(f"reveille.replies.{p}", passive=True) for p in partitions]
                return all(queue.method.consumer_count > 1 for queue in queues)
        except GONE:
            return False

    def freeze(self):
        # A server that is cut off from the broker holds what it has for longer than a frozen server may.
        for thread in self.behind:
            if thread.name == "heal":
                thread.join()
        node = self.victim()
        partitions = [p for (p,) in self.databases.sql(f"SELECT p.partition FROM partitions p WHERE {node.owns()}")]
        owned = self.owned(node)
        # Half of the tasks stay for the time when it is frozen.
        tasks = self.holder.take(owned)
        now, then = tasks[::2], tasks[1::2]
        self.answers.give(now)
        time.sleep(self.dice.uniform(0, 0.1))
        node.signal(signal.SIGSTOP)
        try:
            if self.dice.random() < 0.2 and not self.args.plant:
                self.answers.give(then)
                time.sleep(self.dice.uniform(0.5, 3))
                return
            left, until = partitions, time.monotonic() + 60
            while left and time.monotonic() < until:
                left = self.databases.sql(
                    f"SELECT 1 FROM partitions p WHERE partition IN ({','.join(partitions)}) AND {node.owns()} OR p.owner NOT IN (SELECT node FROM nodes)")
            if left:
                self.wrong.append("the partitions of a frozen server have no other owner after 60 s")
            wait_until(lambda: self.is_consumed_again(partitions), until)
            # Its commit may be on the way for as long as it sleeps.
            time.sleep(self.dice.uniform(0, 2))
            with self.calm:
                asked = self.answers.give(then)
                silent = self.holder.all_have_asked_again(asked, ELSEWHERE)
            self.elsewhere += len(asked) - len(silent)
            if silent:
                self.wrong.append(f"{len(silent)} of {len(asked)} answers to executions of a frozen server took no effect within {ELSEWHERE} s: {silent[:3]}")
        finally:
            node.signal(signal.SIGCONT)

    def cut(self, gates, node):
        self.burst(node, 20)
        for gate in gates:
            gate.cut()
        self.later(self.heal, gates, self.dice.choice([self.dice.uniform(0.5, 3), self.dice.uniform(4, 9)]))

    def heal(self, gates, after):
        time.sleep(after)
        for gate in gates:
            gate.heal()

    def do(self, what):
        if what in ("kill", "term", "freeze"):
            getattr(self, what)()
        elif what == "cut-database":
            node = self.victim()
            self.cut(node.to_database, node)
        elif what == "cut-broker":
            node = self.victim()
            self.cut(node.to_broker, node)
        else:
            with self.calm:
                self.answers.give(self.holder.take(most=20))
                time.sleep(self.dice.uniform(0, 0.1))
                self.below(what)
        self.counts[what] += 1

    def below(self, what):
        if what == "restart":
            self.databases.restart(self.dice.uniform(0, 2))
        elif what == "standby":
            self.databases.restart_standby(self.dice.uniform(0, 2))
        elif what == "promote":
            self.databases.promote(self.dice.uniform(0, 1))
            self.databases.rebuild()
        elif what == "broker":
            number = self.dice.randrange(self.brokers.count)
            self.brokers.kill(number)
            time.sleep(self.dice.uniform(0, 3))
            self.later(self.brokers.revive, number)

    def next(self):
        """Two of three brokers must run: while one comes back, another kind takes its turn."""
        what = self.left.pop(0)
        reviving = [thread for thread in self.behind if thread.name == "revive" and thread.is_alive()]
        if what != "broker" or not reviving:
            return what
        if self.others:
            return self.dice.choice(self.others)
        for thread in reviving:
            thread.join(timeout=240)
        return what

    def settle(self):
        for thread in self.behind:
            thread.join(timeout=240)
            if thread.is_alive():
                self.wrong.append("something does not come back within 240 s")
        self.behind.clear()

    def found(self):
        return bool(self.wrong or self.cluster.failed or self.databases.sql("SELECT 1 FROM strays LIMIT 1"))

    def all(self):
        until = time.monotonic() + self.args.seconds
        while self.left:
            time.sleep(self.dice.uniform(0.1, 1.5))
            if time.monotonic() > until:
                break
            began, what = time.monotonic(), self.next()
            self.do(what)
            record = self.cluster.record
            print(f"{what} ({time.monotonic() - began:.1f} s): {len(record['starts'])} starts, {len(record['answers'])} answers", flush=True)
            if self.args.plant and self.found():
                break
        self.settle()


def harm(args, cluster, databases, brokers, holder, answers, dice):
    """All faults. Both sides, when everything is healed."""
    drawn, calm, sides = plan(args, dice), threading.Lock(), []
    for number, below in enumerate([False, True]):
        own = [what for what in drawn if (what in BELOW) == below]
        sides.append(Faults(args, cluster, databases, brokers, holder, answers, random.Random(args.seed + 1000 * (number + 1)), own, calm))

    def attempt(side):
        try:
            side.all()
        except Exception as error:  # noqa: BLE001 - said at the end
            side.wrong.append(f"the faults ended: {error!r}")

    threads = [threading.Thread(target=attempt, args=[side], daemon=True) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for node in cluster.nodes:
        node.ready()
    return sides


def every(cluster, dice, operation, field, body):
    rows, token = [], None
    while True:
        told, page, _ = cluster.insist(dice, operation, {**body, **({"nextToken": token} if token else {})})
        if told != "ok":
            raise RuntimeError(f"{operation}: {told} {page}")
        rows, token = rows + page[field], page.get("nextToken")
        if not token:
            return rows


def look(cluster, dice, databases):
    """What is there, for the judge."""
    epochs = collections.defaultdict(list)
    for execution, epoch in databases.sql("SELECT execution, epoch FROM journal ORDER BY n"):
        epochs[execution].append(int(epoch))
    rows, copies, names = {}, collections.Counter(), {}
    for key, arn, partition, redrives, closed in databases.sql(
            "SELECT e.id, h.arn, e.partition, e.redrive_count, e.closed IS NOT NULL FROM executions e JOIN headers h USING (id)"):
        copies[arn] += 1
        names[key] = arn
        rows[arn] = {"copies": copies[arn], "partition": int(partition), "redrives": int(redrives), "epochs": epochs[key], "events": [],
                     "status": histories.OPEN}
        if closed == "t":
            rows[arn]["status"] = cluster.insist(dice, "DescribeExecution", {"executionArn": arn})[1]["status"]
    for arn, row in rows.items():
        for event in every(cluster, dice, "GetExecutionHistory", "events", {"executionArn": arn, "maxResults": 1000}):
            output = json.loads(event.get("taskSucceededEventDetails", {}).get("output") or "{}")
            row["events"].append({"id": event["id"], "type": event["type"], "previous": event.get("previousEventId", 0),
                                  "reply": output.get("reply") if isinstance(output, dict) else None})
    owners = [(int(p), int(e), o) for p, e, o in databases.sql("SELECT partition, epoch, owner FROM partitions_log ORDER BY n")]
    strays = [(names.get(x, x), int(e), int(n), lives == "t") for x, e, n, lives in databases.sql("SELECT * FROM strays")]
    return {"executions": rows, "owners": owners, "strays": strays}


def unplanned(executions):
    """Those that ended otherwise than their machine says."""
    ends = {"asks": ("SUCCEEDED", "FAILED"), "waits": ("ABORTED",)}
    return [f"{arn}: it ended as {row['status']}" for arn, row in executions.items()
            if row["status"] not in (*ends.get(arn.split(":")[6].split("/")[0], ("SUCCEEDED",)), histories.OPEN)]


def wait_until(condition, until):
    while not condition() and time.monotonic() < until:
        time.sleep(0.5)


def finish(args, cluster, databases, holder, answers, machines, dice):
    """All executions end: those that failed are redriven, those that ask again and again get their last answer."""
    cluster.started = False
    until = time.monotonic() + args.patience

    def still(machine="%"):
        return int(databases.sql(f"SELECT count(*) FROM executions JOIN headers h USING (id) WHERE closed IS NULL AND h.arn LIKE '{machine}'")[0][0])

    wait_until(lambda: still("%:asks:%") == 0, until)
    failed = [row["executionArn"] for row in every(cluster, dice, "ListExecutions", "executions", {
        "stateMachineArn": machines["asks"], "statusFilter": "FAILED"})]
    for arn in failed[:50]:
        cluster.add("redrives", arn=arn, told=cluster.insist(dice, "RedriveExecution", {"executionArn": arn})[0])

    def none():
        answers.give(holder.take(), last=True)
        return still() == 0

    wait_until(none, until)
    return still()


def campaign(args, dice, folder):
    brokers, databases, cluster = None, None, None
    try:
        brokers, databases = Brokers(folder / "broker", args.brokers), Databases(folder, args.databases)
        plant = args.plant if args.plant != "fence" else None
        cluster = Cluster([Node(args.binary, folder, n, databases, brokers, plant, args.heartbeat) for n in range(args.nodes)])
        for node in cluster.nodes:
            node.start()
        for node in cluster.nodes:
            node.ready()
        databases.sql(WATCH + (NO_FENCE if args.plant == "fence" else ""))
        machines = {}
        for name, definition in (("asks", ASKS), ("waits", WAITS), ("holds", HOLDS), ("child", one("Work"))):
            machines[name] = cluster.insist(dice, "CreateStateMachine", {"name": name, "definition": json.dumps(definition), "roleArn": ROLE})[1]["stateMachineArn"]
        definition = json.dumps(family(machines["child"]))
        machines["family"] = cluster.insist(dice, "CreateStateMachine", {"name": "family", "definition": definition, "roleArn": ROLE})[1]["stateMachineArn"]
        holder = Holder(cluster, brokers, args.seed + 50)
        answers = Answers(cluster, brokers, holder, args.seed + 60)
        workers = [Worker(cluster, brokers, n, args.seed + n) for n in range(3)]
        clients = [Client(cluster, machines, n, args.seed + 100 + n, args.rate / 4) for n in range(4)]
        for thread in [holder, *workers]:
            thread.start()
            thread.listens.wait(60)  # its queue is there
        for n in range(args.held):
            arn = machines["holds"].replace("stateMachine", "execution") + f":held-{n}"
            told, _, _ = cluster.insist(dice, "StartExecution", {"stateMachineArn": machines["holds"], "name": f"held-{n}", "input": json.dumps({"n": n})})
            cluster.add("starts", arn=arn, told="ok" if told == "ok" else "unknown", seen=True)
        for thread in [*answers.threads, *clients]:
            thread.start()
        began = time.monotonic()
        sides = harm(args, cluster, databases, brokers, holder, answers, dice)
        took = time.monotonic() - began
        left = finish(args, cluster, databases, holder, answers, machines, dice)
        cluster.stopping = True
        for thread in workers + clients:
            thread.join(timeout=130)
        there = look(cluster, dice, databases)
        wrong = histories.judge({**cluster.record, **there}) + unplanned(there["executions"])
        wrong += [why for side in sides for why in side.wrong] + cluster.failed
        wrong += [f"{left} executions have not ended"] if left else []
        wrong += [f"{type(thread).__name__} hangs" for thread in workers + clients if thread.is_alive()]
        say(cluster, sides, answers, wrong, took, databases)
        return wrong
    finally:
        if cluster:
            cluster.stopping = True
            for node in cluster.nodes:
                if node.process and node.process.poll() is None:
                    node.signal(signal.SIGCONT)
                    node.kill()
        if databases:
            databases.discard()
        if brokers:
            brokers.discard()


def say(cluster, sides, answers, wrong, took, databases):
    record, counts = cluster.record, sum((side.counts for side in sides), collections.Counter())
    moves = databases.sql("SELECT count(*) FROM partitions_log")[0][0]
    print(f"{sum(counts.values())} faults in {took:.0f} s {dict(counts)}; {len(record['starts'])} starts, {len(record['answers'])} answers "
          f"({answers.count} in bursts, {sum(side.elsewhere for side in sides)} while their server was frozen), {len(record['stops'])} stops, "
          f"{len(record['redrives'])} redrives; partitions changed hands {moves} times")
    for status, count in sorted(cluster.statuses.items()):
        print(f"  {count:6} {status}")
    for why in wrong[:40]:
        print("WRONG", why)
    print(f"{len(wrong)} violations")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--binary", default=ROOT / "target/debug/reveille", type=pathlib.Path)
    options.add_argument("--nodes", type=int, default=3)
    options.add_argument("--brokers", type=int, choices=[1, 3], default=3)
    options.add_argument("--databases", type=int, choices=[1, 2], default=2)
    options.add_argument("--faults", type=int, default=30)
    options.add_argument("--seconds", type=int, default=150, help="no further faults after this time")
    options.add_argument("--rate", type=float, default=4, help="executions started per second")
    options.add_argument("--held", type=int, default=90, help="executions that are answered in bursts")
    options.add_argument("--heartbeat", type=int, default=HEARTBEAT, help="bus.heartbeat_seconds; with less than 15 nothing is said of frozen servers")
    options.add_argument("--patience", type=int, help="seconds for all to end after the last fault")
    options.add_argument("--seed", type=int, default=int(os.environ.get("TEST_SEED", time.time_ns() % 1_000_000)))
    options.add_argument("--only", help="kinds of faults, separated by commas")
    options.add_argument("--plant", choices=sorted(FINDS), help="a fault that must be found")
    args = options.parse_args()
    args.patience = args.patience or (30 if args.plant else 300)
    if args.plant in ("priority", "ack") and b"REVEILLE_PLANT" not in args.binary.read_bytes():
        sys.exit(f"{args.binary} is no debug build: nothing can be planted there")
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
