#!/usr/bin/env python3
"""Runs the greeters of examples/workers against a broker: each answers a task, and fails a bad one. Then
`reveille worker check` tries them, where the program was built (REVEILLE_BINARY, or target/debug/reveille).

    workers.py [LANGUAGE…]        default: all whose language and AMQP library this machine has

The broker is REVEILLE_TEST_AMQP_URL (scripts/test.sh sets it). Ruby, PHP, Perl and Elixir are installed
by scripts/setup.sh; Go and Java are taken where they are, Rust where its example was built. A language that is missing is
named as skipped. tests/e2e runs the workers in Python and Node and `reveille worker`.
"""
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKERS = ROOT / "examples/workers"
PYTHON = os.environ.get("PYTHON", str(ROOT / ".venv/bin/python"))
REVEILLE = pathlib.Path(os.environ.get("REVEILLE_BINARY", ROOT / "target/debug/reveille"))
URL = os.environ.get("REVEILLE_TEST_AMQP_URL") or sys.exit("workers: REVEILLE_TEST_AMQP_URL names no broker")
SOON = 300  # seconds; only a fault takes so long
JARS = "/usr/share/java/amqp-client.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-nop.jar"
PLUGINS = next(iter(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/plugins")), "/usr/lib/rabbitmq")
GO = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": os.environ.get("GOCACHE", "/tmp/go-cache")}
# Language: what it needs, how it is built (or nothing), how it is run, and its environment. OUT is a folder of the run.
LANGUAGES = {
    "ruby": (["ruby -e require('bunny')"], None, "ruby ruby/greeter.rb", {}),
    "php": (["php -r include('PhpAmqpLib/autoload.php')||exit(1);"], None, "php php/greeter.php", {}),
    "perl": (["perl -MAnyEvent::RabbitMQ -e1"], None, "perl perl/greeter.pl", {}),
    "go": (["go version", "ls /usr/share/gocode/src/github.com/rabbitmq/amqp091-go"],
           "go build -o OUT/greeter go/greeter.go", "OUT/greeter", GO),
    "java": (["javac -version", "ls " + JARS.replace(":", " ")],
             f"javac -d OUT -cp {JARS} java/Greeter.java", f"java -cp OUT:{JARS} Greeter", {}),
    "elixir": (["elixir --version", f"ls {PLUGINS}"], None, "elixir elixir/greeter.exs", {"ERL_LIBS": PLUGINS}),
    "rust": ([f"ls {ROOT}/target/debug/examples/greeter"], None, f"{ROOT}/target/debug/examples/greeter", {}),
}


def command(line):
    """The words of a line; behind -e or -r all the rest is one program."""
    for flag in [" -e ", " -r "]:
        if flag in line:
            before, program = line.split(flag, 1)
            return [*before.split(), flag.strip(), program]
    return line.split()


def has(line):
    words = command(line)
    return shutil.which(words[0]) and subprocess.run(words, capture_output=True).returncode == 0


def ask(payload):
    """Exit status and output of one task without Reveille; waits until the worker has its queue."""
    deadline = time.monotonic() + SOON
    while True:
        asked = subprocess.run([PYTHON, WORKERS / "ask.py", "greetings", payload, str(SOON)], text=True,
                               capture_output=True, env={**os.environ, "AMQP_URL": URL})
        if asked.returncode != 3 or time.monotonic() > deadline:
            return asked.returncode, asked.stdout + asked.stderr
        time.sleep(0.3)


def check(language):
    """The fault of a worker, or nothing."""
    _, build, run, more = LANGUAGES[language]
    with tempfile.TemporaryDirectory(prefix="reveille-worker.") as out:
        environment = {**os.environ, **more, "AMQP_URL": URL, "LANG": "C.UTF-8"}
        if build:
            built = subprocess.run(build.replace("OUT", out).split(), cwd=WORKERS, env=environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if built.returncode:
                return built.stdout
        log = pathlib.Path(out) / "log"
        with log.open("w") as said:
            worker = subprocess.Popen(run.replace("OUT", out).split(), cwd=WORKERS, env=environment, stdout=said,
                                      stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            for payload, status, words in [('{"name": "Ada"}', 0, "Hello, Ada"), ("{}", 1, "Greeter.NoName")]:
                found = ask(payload)
                if found[0] != status or words not in found[1]:
                    return f"{payload}: {found}\n{log.read_text()[-2000:]}"
        finally:
            try:
                os.killpg(worker.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            worker.wait()
        if REVEILLE.exists():
            return rules(run.replace("OUT", out).split(), environment)
    return None


def rules(command, environment):
    """The rules of a good worker that this one breaks, or nothing."""
    asked = [REVEILLE, "worker", "check", "greetings", "--payload", '{"name": "Ada"}', "--bad", "{}", "--within", "120"]
    checked = subprocess.run([*asked, "-o", "jsonl", "--", *command], cwd=WORKERS, text=True, capture_output=True,
                             env={**environment, "REVEILLE__BUS__URL": URL})
    kept = [line for line in checked.stdout.splitlines() if '"verdict":"ok"' in line]
    broken = [line for line in checked.stdout.splitlines() if '"verdict":"broken"' in line]
    return None if checked.returncode == 0 and kept else "\n".join(broken) + checked.stderr


def main():
    passed = failed = skipped = 0
    for language in sys.argv[1:] or LANGUAGES:
        if missing := [need for need in LANGUAGES[language][0] if not has(need)]:
            print(f"{language}: skipped, this machine lacks: {missing[0]}", flush=True)
            skipped += 1
            continue
        start = time.monotonic()
        fault = check(language)
        print(f"{language}: {'FAILED' if fault else 'ok'}, {time.monotonic() - start:.1f} s", flush=True)
        if fault:
            print(fault, flush=True)
        failed, passed = failed + bool(fault), passed + (not fault)
    print(f"workers: {passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
