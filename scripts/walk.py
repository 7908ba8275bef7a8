#!/usr/bin/env python3
"""Walks documents as a new user does: a fresh copy of the checkout for each, its commands in their order. The gallery is
walked behind the tutorial, in the same copy and with its server. Its pictures are compared with their definitions.

    walk.py [--binary FILE] [--keep] [DOCUMENT…]      default: target/debug/reveille; all documents that are walked

The commands are those of the fenced blocks, so that a document cannot differ from the walk:

    ```sh              one command after the other, in one shell
    ```sh terminal     each command in a terminal of its own, until the document's end; `reveille serve` starts last, and
                       takes the place of the server that runs, which is killed (SIGKILL)
    ```sh fails        as the first, and each command must fail
    ```sh stopped      as the first, after the servers were killed
    ```sh elsewhere    not run here; a comment before the block says what runs it

TOKEN is that of the one task that waits; --execution-arn ARN and --state-machine-arn ARN take what was printed last. After the last command every execution
must have ended, and ended well unless the document has a block `fails`.

The ports 8083 and 9099 become free ones. `cargo build` and `cargo demo` take the binary that is given; the walk has the
.venv, Airflow and the node_modules of this checkout. All documents have one broker: the one of
REVEILLE_TEST_BROKER_DIR, or the walk's own.
"""
import argparse
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TUTORIAL = "docs/TUTORIAL.md"
GALLERY = ["saga", "fan-out", "nightly-batch", "rate-limited-api", "heartbeats", "escalation", "approval", "celery"]
DOCUMENTS = ["README.md", TUTORIAL, "docs/OPERATING.md", "examples/art-event/README.md"]
PORT = re.compile(r"\b(8083|9099)\b")
SOON = 90  # seconds; only a fault takes so long
BLOCK = re.compile(r"^```(\S*) ?(.*)\n((?:.*\n)*?)```$", re.M)
TOKEN = re.compile(r'"taskToken": ?"([^"]+)"')
ARN = re.compile(r"arn:aws:states:[\w-]+:\d+:(\w+):[\w:.-]+")
WANTED_ARN = re.compile(r"--(execution|state-machine)-arn ARN\b")
SHIM = """#!/bin/bash
# In place of cargo: the walk takes a binary that is built already.
case "$1 $2" in
  "build --release") mkdir -p target/release && ln -sf "$WALK_BINARY" target/release/reveille ;;
  "demo ") exec "$WALK_BINARY" demo ;;
  *) echo "the walk cannot do: cargo $*" >&2; exit 1 ;;
esac
"""


def commands(text):
    """The commands of a block: lines, joined where they go on (a backslash, a here-document), without comments."""
    found, waiting, end = [], "", None
    for line in text.splitlines():
        waiting += line + "\n"
        if end:
            end = None if line == end else end
        else:
            here = re.search(r"<<-?\s*'?(\w+)'?", line)
            end = here and here[1]
        if end or line.endswith("\\"):
            continue
        if waiting.strip() and not waiting.lstrip().startswith("#"):
            found.append(waiting.rstrip("\n"))
        waiting = ""
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def last(log):
    """The end of a log: enough to see a fault."""
    return log.read_text()[-2000:]


class Fault(Exception):
    pass


class Walk:
    """Documents, one after the other in one copy of the checkout."""

    def __init__(self, binary, broker, folder):
        self.folder, self.ports = folder, {"8083": str(free_port()), "9099": str(free_port())}
        self.said, self.terminals, self.seen = "", {}, set()
        self.clone = folder / "reveille"
        (self.clone / ".cache").mkdir(parents=True)
        self.copy()
        (self.clone / ".cache/broker").symlink_to(broker)
        shims = folder / "bin"
        shims.mkdir()
        (shims / "cargo").write_text(SHIM)
        (shims / "cargo").chmod(0o755)
        for tool in ["aws", "node"]:
            there = ROOT / ".venv/bin" / tool
            there = there if there.exists() else pathlib.Path(shutil.which(tool) or there)
            if there.exists():
                (shims / tool).symlink_to(there)
        environment = {"PATH": f"{shims}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                       "HOME": str(folder), "LANG": "C.UTF-8", "WALK_BINARY": str(binary), "TMPDIR": str(folder),
                       "REVEILLE__API__LISTEN": f"127.0.0.1:{self.ports['8083']}",
                       "REVEILLE_ENDPOINT": f"http://127.0.0.1:{self.ports['8083']}",
                       "BROKER_PLUGINS": ""}  # the management page takes half a minute to start on a busy machine
        self.shell = subprocess.Popen(["bash"], cwd=self.clone, env=environment, text=True, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.shell.stdout], daemon=True).start()

    def copy(self):
        """The files of the checkout as they are now, without a thing that was built or installed."""
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True,
                                capture_output=True).stdout.split(b"\0")
        for name in filter(None, map(os.fsdecode, listed)):
            source, target = ROOT / name, self.clone / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        for name in [".venv", ".cache/airflow", "examples/workers/node/node_modules", "tests/console/node_modules"]:
            if (ROOT / name).exists():
                (self.clone / name).symlink_to((ROOT / name).resolve())

    def run(self, command):
        """Exit status and output of a command in the document's shell."""
        self.shell.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n=walked= %s\\n' $?\n")
        self.shell.stdin.flush()
        output, deadline = "", time.monotonic() + SOON
        while True:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise Fault(f"no end after {SOON} s; so far:\n{output}") from None
            if line.startswith("=walked= "):
                return int(line.split()[1]), output.removesuffix("\n")
            output += line

    def until(self, what, look):
        deadline = time.monotonic() + SOON
        while not (found := look()):
            if time.monotonic() > deadline:
                raise Fault(f"not within {SOON} s: {what}")
            for terminal, (process, log) in self.terminals.items():  # a broken worker ends nothing
                if process.poll() is not None:
                    raise Fault(f"`{terminal}` ended with {process.returncode}:\n{last(log)}")
            time.sleep(0.2)
        return found

    def fill(self, command):
        """The command with the token or ARN that its reader sees. A task is listed a moment after its start."""
        command = PORT.sub(lambda port: self.ports[port[1]], command)
        if re.search(r"\bTOKEN\b", command):
            tokens = self.until("one waiting task", lambda: len(found := self.tokens()) == 1 and found)
            command = re.sub(r"\bTOKEN\b", tokens[0], command)
        if wanted := WANTED_ARN.search(command):
            kind = {"execution": "execution", "state-machine": "stateMachine"}[wanted[1]]
            seen = [found[0] for found in ARN.finditer(self.said) if found[1] == kind]
            if not seen:
                raise Fault(f"the output so far has no ARN of a kind {kind}")
            command = command.replace(wanted[0], wanted[0].replace("ARN", seen[-1]))
        return command

    def tokens(self):
        return TOKEN.findall(self.run(f"{self.listing} -o json")[1])

    def terminal(self, command):
        if "reveille serve" in command:
            self.end("reveille serve")
        log = self.folder / f"terminal-{len(list(self.folder.glob('*.log')))}.log"
        file = log.with_suffix(".environment")
        self.run(f"export -p > {file}; printf 'cd %q\\n' \"$PWD\" >> {file}")
        with log.open("w") as out:
            script = f". {file}\n{self.fill(command)}\n"
            process = subprocess.Popen(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self.terminals[command] = (process, log)

    def end(self, word, but=None):
        """Kills what runs in terminals whose command has the word."""
        for command in [command for command in self.terminals if word in command and not (but and but in command)]:
            process, _ = self.terminals.pop(command)
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()

    def block(self, kind, text):
        if kind == "elsewhere":
            return
        if kind == "stopped":
            self.end("reveille serve")
        found = commands(text)
        if kind == "terminal":
            found.sort(key=lambda command: "reveille serve" in command)
        for command in found:
            print(f"  {'⊡' if kind == 'terminal' else '$'} {command}", flush=True)
            if kind == "terminal":
                self.terminal(command)
                if "reveille serve" in command:
                    self.until("a server that is ready", lambda: self.run("reveille health")[0] == 0)
                continue
            begun = time.monotonic()
            status, output = self.run(self.fill(command))
            if time.monotonic() - begun > 5:
                print(f"    {time.monotonic() - begun:.0f} s", flush=True)
            self.said += output
            if command.startswith("reveille tasks"):
                self.listing = command.split("#")[0]
            if (status != 0) != (kind == "fails"):
                logs = "".join(f"── {name}\n{last(log)}" for name, (_, log) in self.terminals.items())
                raise Fault(f"exit status {status}:\n{output}\n{logs}")

    def outcome(self, tolerated):
        """Every execution has ended, and ended well."""
        if not any("reveille serve" in command for command in self.terminals):
            return

        def those(status):
            code, output = self.run(f"reveille list --status {status} -o name")
            if code:
                raise Fault(output)
            return output.split()

        self.until("an end of every execution", lambda: not those("running"))
        failed = set(those("failed")) - self.seen
        self.seen |= failed
        if failed and not tolerated:
            raise Fault(f"executions failed: {failed}")

    def walk(self, document):
        """The fault of a document, or nothing."""
        self.listing = "reveille tasks"
        try:
            blocks = BLOCK.findall((ROOT / document).read_text())
            for language, kind, text in blocks:
                if language == "sh":
                    self.block(kind.strip(), text)
            self.outcome(any(kind.strip() == "fails" for _, kind, _ in blocks))
        except Fault as fault:
            return f"{document}: {fault}"
        finally:
            self.end("", but="reveille serve")
        return None

    def close(self):
        self.end("")
        os.killpg(self.shell.pid, signal.SIGKILL)


def pictures(binary):
    """Pictures that are not those of the definitions beside them."""
    for definition in sorted((ROOT / "examples").glob("*/*.asl.json")):
        picture = definition.with_name(definition.name.replace(".asl.json", ".svg"))
        drawn = subprocess.run([binary, "graph", definition], check=True, capture_output=True, text=True).stdout
        if picture.exists() and picture.read_text() != drawn:
            yield f"{picture.relative_to(ROOT)}: renew it: reveille graph {definition.relative_to(ROOT)}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/debug/reveille")
    arguments.add_argument("--keep", action="store_true", help="leave the copies and logs")
    arguments.add_argument("documents", nargs="*", default=DOCUMENTS)
    given = arguments.parse_args()
    if not given.binary.exists():
        sys.exit(f"walk: there is no {given.binary}: cargo build, or --binary FILE")
    broker = os.environ.get("REVEILLE_TEST_BROKER_DIR")
    own = pathlib.Path(broker or tempfile.mkdtemp(prefix="reveille-walk."))
    faults, binary = list(pictures(given.binary)), given.binary.resolve()
    for document in given.documents:
        start, folder = time.monotonic(), pathlib.Path(tempfile.mkdtemp(prefix="reveille-walk."))
        walk = Walk(binary, own, folder)
        for page in [document, *(f"examples/{name}/README.md" for name in GALLERY if document == TUTORIAL)]:
            print(page, flush=True)
            fault = walk.walk(page)
            print(f"  {'FAILED' if fault else 'walked'}, {time.monotonic() - start:.0f} s", flush=True)
            faults += filter(None, [fault])
        walk.close()
        if given.keep:
            print(f"  kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if not broker:
        subprocess.run([ROOT / "scripts/broker.sh", "discard", own], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(own, ignore_errors=True)
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
