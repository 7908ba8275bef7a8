"""A worker that answers each task at once, in a process of its own and without a client library, so that it is not the slowest part.

    python tests/soak/fast_echo.py PORT QUEUE

Lines on its standard input say what it does:

    play N      N executions are answered, each at once; the tasks of the others are kept
    pace N R    R answers in a second, evenly
    stop        all tasks are kept
    count       prints how many it has answered
"""
import collections
import os
import select
import struct
import sys
import time

from rawamqp import BODY, END, HEADER, METHOD, RawClient, properties, short, table, text

ANSWER = b'{"reply": "e", "last": false}'
NAME = b"\x0atask-token"
# Acks wait so long for others.
GATHER = 0.005


class Echo:
    def __init__(self, port, queue):
        self.client = RawClient(port)
        self.client.method(1, 50, 10, struct.pack(">H", 0) + short(queue.encode()) + b"\x02" + table([("x-queue-type", text("quorum"))]))
        self.client.expect(50, 11)
        # A channel without confirms.
        self.client.method(2, 20, 10, short(b""))
        self.client.expect(20, 11)
        self.client.consume(queue, 5000)
        self.socket = self.client.socket
        self.socket.setblocking(False)
        self.out, self.arrived, self.kept = bytearray(), bytearray(self.client.buffer), collections.deque()
        self.count, self.most, self.playing, self.pause, self.due = 0, 0, 0, 0.0, 0.0
        self.last, self.acked, self.ack_at = 0, 0, 0.0

    def frame(self, kind, channel, payload):
        return struct.pack(">BHI", kind, channel, len(payload)) + payload + END

    def answer(self, token, to):
        header = struct.pack(">HHQ", 60, 0, len(ANSWER)) + properties(delivery_mode=2, correlation_id=token)
        method = struct.pack(">HHH", 60, 40, 0) + short(b"") + short(to) + b"\0"
        self.out += self.frame(METHOD, 2, method) + self.frame(HEADER, 2, header) + self.frame(BODY, 2, ANSWER)
        self.count += 1

    def tasks(self):
        """Token and reply queue of each task that has arrived whole."""
        at, found, view = 0, [], bytes(self.arrived)
        while len(view) - at >= 7:
            kind, _, size = struct.unpack_from(">BHI", view, at)
            if len(view) - at < size + 8:
                break
            payload = view[at + 7:at + 7 + size]
            if kind == METHOD and payload[:4] == b"\0\x3c\0\x3c":
                self.last = struct.unpack_from(">Q", payload, 5 + payload[4])[0]
            elif kind == METHOD and payload[:4] in (b"\0\x0a\0\x32", b"\0\x14\0\x28"):
                raise SystemExit(f"the broker closes: {payload}")
            elif kind == HEADER:
                found.append(read(payload))
            at += size + 8
        del self.arrived[:at]
        return found

    def obey(self, line):
        what, *numbers = line.split()
        if what == "count":
            print(self.count, flush=True)
            return
        self.most, self.playing, self.pause = int(numbers[0]) if numbers else 0, 0, 1 / float(numbers[1]) if len(numbers) > 1 else 0.0
        self.due = time.monotonic()

    def take(self, tasks, now):
        if self.most and not self.pause:
            for task in tasks:
                self.answer(*task)
            while self.playing < self.most and self.kept:
                self.answer(*self.kept.popleft())
                self.playing += 1
            return
        self.kept.extend(tasks)
        while self.pause and self.kept and self.due <= now:
            # The same few again and again.
            new = self.playing < self.most
            self.playing += new
            self.answer(*(self.kept.popleft() if new else self.kept.pop()))
            self.due = max(self.due + self.pause, now - 0.2)

    def acks(self, now):
        if self.last > self.acked and (self.last - self.acked >= 50 or now - self.ack_at > GATHER):
            self.out += self.frame(METHOD, 1, struct.pack(">HHQB", 60, 80, self.last, 1))
            self.acked, self.ack_at = self.last, now

    def run(self):
        said = b""
        while True:
            wait = max(0.0, self.due - time.monotonic()) if self.pause and self.kept else 0.5
            ready, _, _ = select.select([self.socket, 0], [self.socket] if self.out else [], [], min(wait, GATHER) if self.last > self.acked else wait)
            if 0 in ready:
                more = os.read(0, 4096)
                if not more:
                    return
                *lines, said = (said + more).split(b"\n")
                for line in lines:
                    self.obey(line.decode())
            if self.socket in ready:
                try:
                    more = self.socket.recv(1 << 20)
                except BlockingIOError:
                    continue
                if not more:
                    raise SystemExit("the broker is gone")
                self.arrived += more
            now = time.monotonic()
            self.take(self.tasks(), now)
            self.acks(now)
            if self.out:
                try:
                    del self.out[:self.socket.send(self.out)]
                except BlockingIOError:
                    pass


def read(header):
    """The token and the reply queue of a content header."""
    flags, at, token = struct.unpack_from(">H", header, 12)[0], 14, None
    for bit in (0x8000, 0x4000):  # content type and encoding
        at += 1 + header[at] if flags & bit else 0
    if flags & 0x2000:
        size = struct.unpack_from(">I", header, at)[0]
        named = header.index(NAME, at, at + 4 + size) + len(NAME) + 1
        token = header[named + 4:named + 4 + struct.unpack_from(">I", header, named)[0]]
        at += 4 + size
    at += bool(flags & 0x1000) + bool(flags & 0x0800)  # delivery mode and priority
    at += 1 + header[at] if flags & 0x0400 else 0  # correlation id
    return token, header[at + 1:at + 1 + header[at]]


if __name__ == "__main__":
    Echo(int(sys.argv[1]), sys.argv[2]).run()
