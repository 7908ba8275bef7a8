#!/usr/bin/env python3
"""Makes the pictures of docs/pictures that show a session, a trace and the dashboard, from a server that really ran.

    pictures.py [--binary FILE] [--seconds N] [session] [trace] [dashboard]      default: all three

session    the commands of docs/COMMANDS.md's picture on a terminal, with a worker
trace      spans as a collector got them (OTLP), of an execution whose worker first fails
dashboard  examples/monitoring/grafana.json: each panel's expressions, evaluated by a Prometheus (apt: prometheus) that
           scraped the server for N seconds (60) of a small load
It starts a broker and a server of its own. Each picture is SVG.
"""
import argparse
import html
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs/pictures"
SOON = 60
COLOURS = {"1": "font-weight:bold", "2": "fill:#8b949e", "31": "fill:#ff7b72", "32": "fill:#7ee787", "33": "fill:#e3b341",
           "36": "fill:#79c0ff"}
LINES = ["#79c0ff", "#7ee787", "#e3b341", "#ff7b72", "#d2a8ff", "#a5d6ff", "#ffa657"]


def svg(width, height, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'font-family="ui-monospace,Menlo,Consolas,monospace" font-size="13" fill="#e6edf3">'
            f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>\n{body}\n</svg>\n')


def text(x, y, words, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" xml:space="preserve" {more}>{html.escape(words)}</text>'


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until(what, look):
    deadline = time.monotonic() + SOON
    while True:
        try:
            if found := look():
                return found
        except OSError:
            pass
        if time.monotonic() > deadline:
            sys.exit(f"pictures: not within {SOON} s: {what}")
        time.sleep(0.1)


class Stage:
    """A broker, a server and a folder, as long as the pictures are made."""

    def __init__(self, binary):
        self.binary, self.running = str(binary), []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="reveille-pictures."))
        self.broker = self.folder / "broker"
        url = subprocess.run([ROOT / "scripts/broker.sh", "start", self.broker], check=True, text=True, capture_output=True)
        self.amqp = url.stdout.strip().splitlines()[-1]
        self.collector = Collector()
        self.listen = f"127.0.0.1:{free_port()}"
        path = f"{pathlib.Path(self.binary).parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "REVEILLE__BUS__URL": self.amqp, "AMQP_URL": self.amqp,
                            "REVEILLE_ENDPOINT": f"http://{self.listen}", "COLUMNS": "110",
                            "REVEILLE__TELEMETRY__OTLP__ENDPOINT": f"http://127.0.0.1:{self.collector.server_port}"}
        self.run("serve", "--store", f"sqlite:{self.folder}/store.db", "--listen", self.listen)
        until("the server is ready", lambda: urllib.request.urlopen(f"http://{self.listen}/readyz"))

    def run(self, *arguments, program=None):
        """In the background, until the end."""
        started = subprocess.Popen([program or self.binary, *arguments], cwd=self.folder, env=self.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.running.append(started)
        return started

    def ask(self, *arguments, fails=False):
        done = subprocess.run([self.binary, *arguments], cwd=self.folder, env=self.environment, text=True,
                              capture_output=True)
        if done.returncode and not fails:
            sys.exit(f"pictures: {arguments}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout

    def machine(self, name, states, first):
        (self.folder / "m.json").write_text(json.dumps({"StartAt": first, "States": states}))
        self.ask("machines", "create", name, "m.json")

    def close(self):
        for started in self.running:
            started.kill()
            started.wait()
        subprocess.run([ROOT / "scripts/broker.sh", "discard", self.broker], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Collector(ThreadingHTTPServer):
    """Takes OTLP as JSON, and keeps the spans."""

    def __init__(self):
        self.spans = spans = []

        class Takes(BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                for resource in request["resourceSpans"]:
                    attributes = {a["key"]: a["value"].get("stringValue") for a in resource["resource"]["attributes"]}
                    for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
                        spans.append({**span, "service": attributes.get("service.name")})
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Takes)
        threading.Thread(target=self.serve_forever, daemon=True).start()


# What a person types, and its answer. TOKEN is the token of the waiting task.
SESSION = """
reveille init greeting
cd greeting
reveille machines create greeting greeting.asl.json
reveille start greeting --input @input.json --name ada
reveille tasks --wide
reveille succeed TOKEN --result '{"approved": true}'
reveille describe greeting:ada
reveille history greeting:ada
""".strip().splitlines()


def session(stage):
    """The commands with their output, as a terminal shows it."""
    folder, lines = stage.folder / "session", []
    folder.mkdir()
    environment = {**stage.environment, "CLICOLOR_FORCE": "1"}
    for command in SESSION:
        lines.append(f"\x1b[32m$\x1b[0m {command}")
        if command.startswith("cd "):
            folder /= command[3:]
            continue
        typed = command.replace("--wide", "-o wide")
        if command == "reveille tasks --wide":
            typed = "reveille tasks -o table"
            lines[-1] = "\x1b[32m$\x1b[0m reveille tasks"
            until("a person is asked", lambda: [t["stateName"] for t in stage.ask("tasks")["tasks"]] == ["Approve"])
        if "TOKEN" in command:
            typed = command.replace("TOKEN", stage.ask("tasks")["tasks"][0]["taskToken"])
        if re.search(r"reveille (describe|history|start|machines)", typed):
            typed += " -o table"
        if command.startswith("reveille describe"):
            until("it ends", lambda: stage.ask("describe", "greeting:ada")["status"] != "RUNNING")
        done = subprocess.run(["bash", "-c", typed], cwd=folder, env=environment, text=True, capture_output=True)
        lines += (done.stdout + done.stderr).rstrip("\n").splitlines() + [""]
        if "machines create" in command:
            stage.run("worker", "greeting", "--exec", str(folder / "worker.sh"))
    return terminal(lines, 118)


def terminal(lines, columns):
    """Text with colours (SGR) as a picture; a line that is too long is cut, with a mark."""
    body, y = [], 24
    for line in lines:
        spans, style, used = [], "", 0
        for at, part in enumerate(re.split(r"\x1b\[([0-9;]*)m", line)):
            if at % 2:
                codes = [code for code in part.split(";") if code in COLOURS]
                style = ";".join(COLOURS[code] for code in codes) if part not in ("", "0") else ""
                continue
            shown = part if used + len(part) <= columns else part[: max(columns - used - 1, 0)] + ("…" if used < columns else "")
            used += len(part)
            if shown:
                spans.append(f'<tspan style="{style}">{html.escape(shown)}</tspan>')
        body.append(f'<text x="16" y="{y}" xml:space="preserve">{"".join(spans)}</text>')
        y += 18
    return svg(32 + int(columns * 7.85), y, "\n".join(body))


WORKER = """
import json, os, sys, time, pika
connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.confirm_delivery()
asked = 0


def on_task(channel, method, task, body):
    global asked
    asked += 1
    queue = method.routing_key
    busy = queue == "payment" and asked == 2
    time.sleep({"stock": 0.15, "payment": 0.3, "parcel": 0.2}[queue])
    answer = {"error": "Bank.Busy", "cause": "again in a second"} if busy else {"done": queue}
    headers = {"task-token": task.headers["task-token"], "task-status": "failure" if busy else "success"}
    channel.basic_publish("", task.reply_to, json.dumps(answer), pika.BasicProperties(headers=headers, delivery_mode=2))
    channel.basic_ack(method.delivery_tag)


for queue in ("stock", "payment", "parcel"):
    channel.queue_declare(queue, durable=True)
    channel.basic_consume(queue, on_task)
channel.start_consuming()
"""


def order(stage):
    """A machine of three tasks; its worker, whose second answer is a failure."""
    def task(queue, following, **more):
        end = {"Next": following} if following else {"End": True}
        return {"Type": "Task", "Resource": "arn:aws:states:::amqp:call", "Parameters": {"Queue": queue, "Body": {}},
                "Retry": [{"ErrorEquals": ["Bank.Busy"], "IntervalSeconds": 1}], **end, **more}

    states = {"Reserve": task("stock", "Pay"), "Pay": task("payment", "Send"), "Send": task("parcel", None)}
    stage.machine("order", states, "Reserve")
    (stage.folder / "worker.py").write_text(WORKER)
    stage.run("worker.py", program=os.environ.get("PYTHON", str(ROOT / ".venv/bin/python")))


def trace(stage):
    order(stage)
    stage.ask("start", "order", "--name", "one", "--wait", "-o", "json", fails=True)
    spans = until("the trace is whole", lambda: whole(stage.collector.spans))
    begin, end = (int(spans[0][name]) for name in ("startTimeUnixNano", "endTimeUnixNano"))
    depth, body = {}, [text(16, 26, f"Trace {spans[0]['traceId']}", 'style="fill:#8b949e"')]
    for row, span in enumerate(spans):
        depth[span["spanId"]] = level = depth.get(span.get("parentSpanId"), -1) + 1
        from_ns, to_ns = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        x, wide = 360 + 540 * (from_ns - begin) / (end - begin), max(2, 540 * (to_ns - from_ns) / (end - begin))
        failed = span.get("status", {}).get("code") == 2
        y, colour = 52 + row * 24, "#ff7b72" if failed else LINES[level % 3]
        body.append(text(16 + level * 18, y, span["name"]))
        body.append(f'<rect x="{x:.1f}" y="{y - 11}" width="{wide:.1f}" height="14" rx="2" fill="{colour}"/>')
        took = f"{(to_ns - from_ns) / 1e6:,.0f} ms" + (f"  {span['status'].get('message', '')}" if failed else "")
        body.append(text(910, y, took, 'style="fill:#8b949e"'))
    return svg(1100, 52 + len(spans) * 24 + 4, "\n".join(body))


def whole(spans):
    """The spans of the execution in the order of a tree, once its own span is there."""
    roots = [span for span in spans if span["name"] == "order"]
    if not roots:
        return None
    kin, ordered = [s for s in spans if s["traceId"] == roots[0]["traceId"]], []

    def walk(span):
        ordered.append(span)
        inner = [s for s in kin if s.get("parentSpanId") == span["spanId"]]
        for one in sorted(inner, key=lambda s: int(s["startTimeUnixNano"])):
            walk(one)

    walk(roots[0])
    return ordered


def dashboard(stage, seconds):
    program = shutil.which("prometheus") or sys.exit("pictures: there is no prometheus (apt install prometheus)")
    port = free_port()
    (stage.folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{ROOT}/examples/monitoring/alerts.yaml']\n"
        f"scrape_configs: [{{job_name: reveille, static_configs: [{{targets: ['{stage.listen}']}}]}}]\n")
    stage.run("--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path=tsdb",
              program=program)
    api = f"http://127.0.0.1:{port}/api/v1"
    until("Prometheus is ready", lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready"))
    wait = {"W": {"Type": "Task", "Resource": "arn:aws:states:::amqp:publish.waitForTaskToken", "End": True,
                  "Parameters": {"Queue": "approvals", "Body": {}}}}
    stage.machine("approval", wait, "W")
    stage.machine("broken", {"F": {"Type": "Fail", "Error": "Broken"}}, "F")
    begin = time.time()
    while time.time() < begin + seconds:
        for machine in ("order", "order", "approval", "broken"):
            stage.ask("start", machine)
        time.sleep(0.7)
    rules = answer(f"{api}/rules")["groups"][0]["rules"]
    if bad := [rule["name"] for rule in rules if rule.get("lastError")]:
        sys.exit(f"pictures: alert rules that fail: {bad}")
    panels = json.loads((ROOT / "examples/monitoring/grafana.json").read_text())["panels"]
    body = []
    for panel in panels:
        drawn = [series for target in panel["targets"] for series in evaluated(api, target, begin, time.time())]
        body.append(chart(panel, drawn))
    shown = sum("polyline" in panel for panel in body)
    print(f"pictures: {len(panels)} panels ({shown} with figures), {len(rules)} alert rules evaluated", flush=True)
    if shown < len(panels) * 2 / 3:
        sys.exit("pictures: too few panels have figures")
    return svg(1200, 12 + max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels) * 22, "\n".join(body))


def answer(url):
    with urllib.request.urlopen(url) as said:
        return json.load(said)["data"]


def evaluated(api, target, begin, end):
    expression = target["expr"].replace("$instance", ".*")
    asked = urllib.parse.urlencode({"query": expression, "start": begin, "end": end, "step": max(1, (end - begin) / 60)})
    for series in answer(f"{api}/query_range?{asked}")["result"]:
        name = re.sub(r"\{\{(\w+)\}\}", lambda m: series["metric"].get(m[1], ""), target.get("legendFormat", ""))
        points = [(at, float(value)) for at, value in series["values"] if value not in ("NaN", "+Inf")]
        if points:
            yield name, points


def quantity(value, unit):
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    if unit == "s":
        return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"
    return f"{value:.3g}" + ("/s" if unit in ("ops", "reqps") else "")


def chart(panel, drawn):
    grid = panel["gridPos"]
    x, y, wide, high = 12 + grid["x"] * 49, 12 + grid["y"] * 22, grid["w"] * 49 - 12, grid["h"] * 22 - 12
    body = [f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="4" fill="#161b22"/>',
            text(x + 10, y + 20, panel["title"])]
    times = [at for _, points in drawn for at, _ in points]
    most = max([value for _, points in drawn for _, value in points], default=0) or 1
    # Names stand in as many columns as leave room for the longest.
    shown = drawn[:6]
    columns = max([n for n in (4, 3, 2) if max((len(name) for name, _ in shown), default=0) * 6.2 < (wide - 20) / n],
                  default=1)
    for at, (name, points) in enumerate(shown):
        colour, span = LINES[at % len(LINES)], max(times) - min(times) or 1
        path = " ".join(f"{x + 54 + (wide - 66) * (t - min(times)) / span:.1f},{y + high - 40 - (high - 74) * v / most:.1f}"
                        for t, v in points)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        row = at // columns
        if row > 1:
            continue
        body.append(text(x + 10 + at % columns * (wide - 20) / columns, y + high - 20 + row * 12, name,
                         f'style="fill:{colour};font-size:10px"'))
    if not drawn:
        body.append(text(x + 10, y + 60, "nothing to show", 'style="fill:#8b949e"'))
    highest = quantity(most, panel["fieldConfig"]["defaults"].get("unit"))
    body.append(text(x + 6, y + 40, highest, 'style="fill:#8b949e;font-size:10px"'))
    return "\n".join(body)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("pictures", nargs="*", choices=["session", "trace", "dashboard", []], default=[])
    arguments.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/debug/reveille")
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--to", type=pathlib.Path, default=PICTURES)
    given = arguments.parse_args()
    wanted = given.pictures or ["session", "trace", "dashboard"]
    stage = Stage(given.binary.resolve())
    try:
        if "session" in wanted:
            (given.to / "session.svg").write_text(session(stage))
        if "trace" in wanted or "dashboard" in wanted:
            drawn = trace(stage)
            if "trace" in wanted:
                (given.to / "trace.svg").write_text(drawn)
        if "dashboard" in wanted:
            (given.to / "dashboard.svg").write_text(dashboard(stage, given.seconds))
    finally:
        stage.close()


if __name__ == "__main__":
    main()
