#!/usr/bin/env python3
"""Instructions of two builds for one callback, by thread: a cost that does not depend on how busy the machine is.

    scripts/instructions.py OLD NEW          two release binaries (`reveille`); needs valgrind and RabbitMQ

Both run `reveille bench --only rates` under callgrind, on a virtual host each of one private broker, with few and with many callbacks. The
difference is what the callbacks cost, without the start and the first growth of buffers. Few are in flight: a task that waits for a second is
written down as submitted. Threads of the bench itself are left out.
"""
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FEW, MANY = 1000, 4000
# The engine's threads by a function of theirs; the AMQP client's loops that started before the store's writer are the bench's.
ROLES = [("bench", "bench::echo|reveille::main"), ("store: writer", "writer::serve"), ("actors", "ExecutionActor"), ("bus", "publisher::Lane"),
         ("AMQP client", "lapin::io_loop"), ("store: copy of the log", "checkpoint::serve")]


def profile(binary, url, count, folder):
    """Instructions by role."""
    out = folder / "profile"
    for old in folder.glob("profile*"):
        old.unlink()
    subprocess.run(["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={out}", binary, "bench", "--amqp", url,
                    "--only", "rates", "--queues", "quorum", "--rounds", "1", "--count", str(count), "--in-flight", "50", "--folder", folder],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found, writer_seen = collections.Counter(), False
    for thread in sorted(folder.glob("profile-*")):
        text = subprocess.run(["callgrind_annotate", "--inclusive=yes", thread], check=True, capture_output=True, text=True).stdout
        total = int(re.search(r"([\d,]+) \(100", text)[1].replace(",", ""))
        role = next((role for role, pattern in ROLES if re.search(pattern, text)), "others")
        writer_seen |= role == "store: writer"
        if role != "bench" and (role != "AMQP client" or writer_seen):
            found[role] += total
    return found


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        broker = [ROOT / "scripts/broker.sh"]
        url = subprocess.run([*broker, "start", folder / "broker"], check=True, capture_output=True, text=True).stdout.strip().rsplit("/", 1)[0]
        try:
            costs = []
            for host, binary in zip(("old", "new"), sys.argv[1:3], strict=True):
                for ctl in (["add_vhost", host], ["set_permissions", "-p", host, "guest", ".*", ".*", ".*"]):
                    subprocess.run([*broker, "ctl", folder / "broker", *ctl], check=True, stdout=subprocess.DEVNULL)
                few, many = (profile(binary, f"{url}/{host}", count, folder) for count in (FEW, MANY))
                costs.append({role: (many[role] - few[role]) / (MANY - FEW) for role in many})
        finally:
            subprocess.run([*broker, "discard", folder / "broker"], check=False)
    old, new = costs
    for role in sorted(old | new):
        print(f"{role:24} {old.get(role, 0):9,.0f} {new.get(role, 0):9,.0f}")
    print(f"{'all':24} {sum(old.values()):9,.0f} {sum(new.values()):9,.0f}   {sum(new.values()) / sum(old.values()):.3f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main()
