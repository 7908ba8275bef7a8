"""An AMQP 0-9-1 client that sends any bytes as a message's properties: what a client library would refuse to write.

    with RawClient(port) as client:
        client.publish("queue", properties(headers=table([("a", text("b"))]), message_id=b"\\xff"), b"body")
        client.settle()          # all confirmed

Confirms are on. The broker may close the connection over what it cannot read; publish() then raises Refused.
"""
import collections
import socket
import struct

FRAME_MAX = 131_072
METHOD, HEADER, BODY, HEARTBEAT, END = 1, 2, 3, 8, b"\xce"
# Published and not confirmed at once; more waits.
WINDOW = 200
# Properties in the order of their flags, from bit 15 on.
PROPERTIES = ["content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to", "expiration",
              "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id"]


class Refused(Exception):
    """The broker does not take it: it closed the connection, or never had it."""


def short(value):
    return bytes([len(value)]) + value


def long(value):
    return struct.pack(">I", len(value)) + value


def text(value):
    """A field of type long string."""
    return b"S" + long(value if isinstance(value, bytes) else value.encode())


def array(*fields):
    return b"A" + long(b"".join(fields))


def table(pairs):
    """A field table without its type: what `headers` wants. F + it is a field."""
    return long(b"".join(short(name if isinstance(name, bytes) else name.encode()) + field for name, field in pairs))


def properties(**given):
    """The property flags and list of a content header. Values are bytes as they go over the wire, without lengths of short strings."""
    flags, listed = 0, b""
    for bit, name in zip(range(15, 1, -1), PROPERTIES):
        value = given.pop(name, None)
        if value is None:
            continue
        flags |= 1 << bit
        if name == "headers":
            listed += value
        elif name in ("delivery_mode", "priority"):
            listed += bytes([value])
        elif name == "timestamp":
            listed += struct.pack(">Q", value)
        else:
            listed += short(value if isinstance(value, bytes) else value.encode())
    assert not given, given
    return struct.pack(">H", flags) + listed


class RawClient:
    def __init__(self, port, vhost="/", user="guest", password="guest"):
        self.buffer, self.number = b"", 0
        self.unconfirmed = collections.OrderedDict()
        self.nacked = []
        self.deliveries = collections.deque()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.expect(10, 10)
        self.method(0, 10, 11, table([]) + short(b"PLAIN") + long(b"\0" + user.encode() + b"\0" + password.encode()) + short(b"en_US"))
        self.expect(10, 30)
        self.method(0, 10, 31, struct.pack(">HIH", 10, FRAME_MAX, 0))
        self.method(0, 10, 40, short(vhost.encode()) + short(b"") + b"\0")
        self.expect(10, 41)
        self.method(1, 20, 10, short(b""))
        self.expect(20, 11)
        self.method(1, 85, 10, b"\0")
        self.expect(85, 11)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def frame(self, kind, channel, payload):
        return struct.pack(">BHI", kind, channel, len(payload)) + payload + END

    def method(self, channel, of, number, arguments):
        self.socket.sendall(self.frame(METHOD, channel, struct.pack(">HH", of, number) + arguments))

    def publish(self, queue, raw_properties, body, exchange=b"", about=None):
        """`about` is given back where the message is nacked or its connection closed."""
        header = struct.pack(">HHQ", 60, 0, len(body)) + raw_properties
        if len(header) > FRAME_MAX - 8:
            raise Refused("the properties do not fit into a frame")
        out = self.frame(METHOD, 1, struct.pack(">HHH", 60, 40, 0) + short(exchange) + short(queue.encode()) + b"\0")
        out += self.frame(HEADER, 1, header)
        for at in range(0, len(body), FRAME_MAX - 8):
            out += self.frame(BODY, 1, body[at:at + FRAME_MAX - 8])
        self.number += 1
        self.unconfirmed[self.number] = about
        self.send(out)
        while len(self.unconfirmed) > WINDOW:
            self.handle(*self.read())

    def settle(self):
        while self.unconfirmed:
            self.handle(*self.read())

    def consume(self, queue, prefetch=1000):
        self.method(1, 60, 10, struct.pack(">IHB", 0, prefetch, 0))
        self.expect(60, 11)
        self.method(1, 60, 20, struct.pack(">H", 0) + short(queue.encode()) + short(b"") + b"\0" + table([]))
        self.expect(60, 21)

    def delivery(self, timeout):
        """The next delivery as (tag, header bytes, body), or None after a while without one."""
        self.socket.settimeout(timeout)
        try:
            while not self.deliveries:
                self.handle(*self.read())
        except TimeoutError:
            return None
        finally:
            self.socket.settimeout(60)
        return self.deliveries.popleft()

    def ack(self, tag, multiple=False):
        self.method(1, 60, 80, struct.pack(">QB", tag, multiple))

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as e:
            raise Refused(f"the connection is closed: {e}") from e

    def read(self):
        while True:
            if len(self.buffer) >= 7:
                kind, channel, size = struct.unpack(">BHI", self.buffer[:7])
                if len(self.buffer) >= size + 8:
                    payload, self.buffer = self.buffer[7:7 + size], self.buffer[8 + size:]
                    return kind, channel, payload
            try:
                more = self.socket.recv(1 << 20)
            except TimeoutError:
                raise
            except OSError as e:
                raise Refused(f"the connection is closed: {e}") from e
            if not more:
                raise Refused("the connection is closed")
            self.buffer += more

    def handle(self, kind, _channel, payload):
        if kind == HEARTBEAT:
            return None
        of, number = struct.unpack(">HH", payload[:4])
        if kind == METHOD and (of, number) in ((60, 80), (60, 120)):
            tag, multiple = struct.unpack(">QB", payload[4:13])
            for settled in [n for n in self.unconfirmed if n == tag or (multiple & 1 and n < tag)]:
                about = self.unconfirmed.pop(settled)
                if number == 120:
                    self.nacked.append(about)
        elif kind == METHOD and (of, number) == (60, 60):
            at = 5 + payload[4]
            tag = struct.unpack(">Q", payload[at:at + 8])[0]
            _, _, header = self.read()
            size, body = struct.unpack(">Q", header[4:12])[0], b""
            while len(body) < size:
                body += self.read()[2]
            self.deliveries.append((tag, header, body))
        elif kind == METHOD and (of, number) in ((10, 50), (20, 40)):
            code, size = struct.unpack(">HB", payload[4:7])
            raise Refused(f"{code} {payload[7:7 + size].decode(errors='replace')}")
        return of, number

    def expect(self, of, number):
        while True:
            kind, channel, payload = self.read()
            if kind == METHOD and struct.unpack(">HH", payload[:4]) == (of, number):
                return payload
            self.handle(kind, channel, payload)
