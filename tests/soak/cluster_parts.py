"""What a cluster is made of: servers, brokers, databases, and the network between them, which can be cut."""
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

from crash import ROOT, free_port

KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
# What a request waits for its answer, before another server is asked.
PATIENCE = 6


def script(name, *arguments):
    done = subprocess.run([ROOT / "scripts" / name, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout.strip()


class Gate:
    """A way through to a port. Cut: connections stay, no byte gets through, as in a network that is gone."""

    def __init__(self, port):
        self.to, self.way, self.pairs, self.lock = port, threading.Event(), set(), threading.Lock()
        self.way.set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def cut(self):
        self.way.clear()

    def heal(self):
        self.way.set()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.join, args=(client,), daemon=True).start()

    def join(self, client):
        self.way.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.to), timeout=10)
        except OSError:  # it is away
            client.close()
            return
        server.settimeout(None)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self.pump, args=(server, client), daemon=True).start()
        self.pump(client, server)

    def pump(self, source, sink):
        try:
            while chunk := source.recv(65_536):
                self.way.wait()
                sink.sendall(chunk)
        except OSError:
            pass
        # The end of a connection does not get through a cut either.
        self.way.wait()
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()


class Brokers:
    """One RabbitMQ, or three in a cluster."""

    def __init__(self, folder, count):
        self.folder, self.count = folder, count
        urls = script("broker-cluster.sh" if count > 1 else "broker.sh", "start", folder)
        self.urls = urls.split(",")
        self.ports = [int(url.split(":")[3].split("/")[0]) for url in self.urls]

    def kill(self, number):
        self.do("kill", number)

    def revive(self, number):
        self.do("revive", number)

    def do(self, command, number):
        if self.count > 1:
            script("broker-cluster.sh", command, self.folder, number + 1)
        else:
            script("broker.sh", {"revive": "start"}.get(command, command), self.folder)

    def discard(self):
        script("broker-cluster.sh" if self.count > 1 else "broker.sh", "discard", self.folder)


class Databases:
    """A PostgreSQL, or one with a synchronous standby."""

    def __init__(self, folder, count):
        self.folders = [folder / f"postgres-{n}" for n in range(count)]
        script("postgres.sh", "start", self.primary)
        for standby in self.folders[1:]:
            script("postgres.sh", "standby", standby, self.primary)
        self.ports = [int((f / "port").read_text()) for f in self.folders]

    @property
    def primary(self):
        return self.folders[0]

    def sql(self, text):
        """Rows; asked again while the database is away."""
        until = time.monotonic() + 60
        while True:
            try:
                return [line.split("|") for line in script("postgres.sh", "sql", self.primary, "-qAt", "-c", text).splitlines()]
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def restart(self, down):
        script("postgres.sh", "kill", self.primary)
        time.sleep(down)
        script("postgres.sh", "start", self.primary)

    def restart_standby(self, down):
        script("postgres.sh", "kill", self.folders[1])
        time.sleep(down)
        script("postgres.sh", "start", self.folders[1])

    def promote(self, down):
        """The primary is gone, and the standby takes its place. When the new one takes writes."""
        script("postgres.sh", "kill", self.primary)
        time.sleep(down)
        script("postgres.sh", "promote", self.folders[1])
        self.folders.reverse()
        self.sql("CREATE TEMP TABLE answers ()")
        return time.time()

    def rebuild(self):
        """The former primary becomes the standby."""
        script("postgres.sh", "standby", self.folders[1], self.primary)

    def discard(self):
        for folder in self.folders:
            if folder.exists():
                script("postgres.sh", "discard", folder)


class Node:
    """A place for a server: one process after the other, with ways of its own to the databases and the brokers."""

    def __init__(self, binary, folder, number, databases, brokers, plant=None, heartbeat=20, partitions=12, gates=True):
        self.port, self.log = free_port(), folder / f"node-{number}.log"
        self.to_database = [Gate(port) for port in databases.ports] if gates else []
        ports = [gate.port for gate in self.to_database] or databases.ports
        # Each begins with another one.
        place = number % len(brokers.ports)
        turned = brokers.ports[place:] + brokers.ports[:place]
        self.to_broker = [Gate(port) for port in turned] if gates else []
        store = "postgres://reveille@" + ",".join(f"127.0.0.1:{port}" for port in ports) + "/postgres"
        bus = ",".join(f"amqp://guest:guest@127.0.0.1:{port}/%2f" for port in ([g.port for g in self.to_broker] or turned))
        self.command = [str(binary), "serve", "--listen", f"127.0.0.1:{self.port}", "--store", store, "--bus", bus]
        self.environment = {**os.environ, "REVEILLE__LOGS__FORMAT": "json", "REVEILLE__ENGINE__TOKEN_KEY": KEY, "REVEILLE__BUS__DECLARE": "never",
                            "REVEILLE__ENGINE__PASSIVATE_AFTER_SECONDS": "2", "REVEILLE__ENGINE__PARTITIONS": str(partitions),
                            "REVEILLE__BUS__HEARTBEAT_SECONDS": str(heartbeat), "REVEILLE__BUS__CONFIRM_TIMEOUT_SECONDS": "5"}
        if plant:
            self.environment["REVEILLE_PLANT"] = plant
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.environment)

    def look(self):
        """It is ready."""
        if self.process.poll() is not None:
            raise RuntimeError(f"a server ended by itself with {self.process.returncode}; see {self.log}")
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2).status == 200
        except OSError:
            return False

    def ready(self, seconds=180):
        until = time.monotonic() + seconds
        while not self.look():
            if time.monotonic() > until:
                raise RuntimeError(f"a server is not ready after {seconds} s; see {self.log}")
            time.sleep(0.1)

    def signal(self, what):
        self.process.send_signal(what)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def owns(self):
        """SQL: whether the partition row `p` is this process's."""
        return f"p.owner = (SELECT node FROM nodes WHERE name LIKE '%process {self.process.pid}')"

    def ask(self, operation, body, patience=PATIENCE):
        """The answer and its status; None where there is none."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", json.dumps(body).encode(), {
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AWSStepFunctions.{operation}"})
        try:
            return 200, json.load(urllib.request.urlopen(request, timeout=patience))
        except urllib.error.HTTPError as error:
            return error.code, {"__type": "?", **json.loads(error.read() or b"{}")}
        except (OSError, ValueError):
            return None, {}
