"""The kinds of bad messages of the hostile campaign (hostile.py), each a function of a marker and of dice.

A marker is found again in the message that the engine parks, wherever it stood: KINDS says how many copies must be there in the end.
"""
import base64
import gzip
import json
import struct

from rawamqp import array, long, properties, short, table, text

REPLIES, START, DEAD, ACTIVITY, PARKED = "reveille.replies.", "reveille.start", "reveille.dead-letters", "reveille.activity.soak", "reveille.parked"
MIB = 1 << 20


class Kind:
    """`make(marker, world)` gives raw properties and a body. `copies`: how many the parking queue must get of one (or which numbers are right).
    `rare`: one in so many of the others, for what is large. `broker`: the broker itself may refuse it."""

    def __init__(self, queue, name, make, copies=1, rare=1, broker=False, client="raw"):
        self.queue, self.name, self.make = queue, name, make
        self.copies, self.rare, self.broker, self.client = copies, rare, broker, client

    @property
    def title(self):
        return f"{self.queue.removeprefix('reveille.').rstrip('.')}: {self.name}"


def with_headers(*pairs, body=None, **more):
    """Properties with these headers, and the marker in body, message_id and a header of its own."""
    def make(marker, world):
        fields = [(n, f(world) if callable(f) else f) for n, f in pairs]
        given = {k: (v(world) if callable(v) else v) for k, v in more.items()}
        raw = properties(headers=table([("x-hostile", text(marker)), *fields]), message_id=given.pop("message_id", marker), delivery_mode=2, **given)
        return raw, (marker + b' {"a":') if body is None else body(marker, world)
    return make


def body(make):
    """A body of this form, and nothing else that is odd. Without a token where the kind of queue wants none."""
    return with_headers(body=make)


def aimed(make):
    """A reply to a task that is open, with this body: the task must stay open."""
    return with_headers(("task-token", lambda world: text(world.open_token())), body=make)


def nested(opener, levels):
    """A field of so many containers in each other, made from the inside out without recursion."""
    lead = {"A": b"", "F": b"\x01a"}
    field = b"V"
    overhead = 0
    parts = []
    for level in range(levels):
        kind = opener[level % len(opener)]
        inner = overhead + 1
        head = kind.encode() + struct.pack(">I", len(lead[kind]) + inner) + lead[kind]
        parts.append(head)
        overhead += len(head)
    return b"".join(reversed(parts)) + field


def flipped(token, dice):
    at = dice.randrange(len(token) - 8)
    return token[:at] + (b"A" if token[at:at + 1] != b"A" else b"B") + token[at + 1:]


def sized(n):
    return lambda marker, _: marker + b" " + b"x" * n


def start_body(**fields):
    return lambda marker, _: json.dumps({"stateMachineArn": "hostile-none", "marker": marker.decode(), **fields}).encode()


# Bytes that no UTF-8 text has.
LATIN = b"caf\xe9 \xff\xfe"


def odd_properties(queue):
    """What the broker takes and a client library may stumble over: the same for each queue that the engine reads. What is nested by the thousand
    is rare because the broker itself works long at it."""
    yield Kind(queue, "correlation_id is not UTF-8", with_headers(correlation_id=LATIN))
    yield Kind(queue, "content_type is not UTF-8", with_headers(content_type=LATIN))
    yield Kind(queue, "a header's name is not UTF-8", with_headers((LATIN, text("v"))))
    yield Kind(queue, "headers nested 400 deep", with_headers(("n", nested("F", 400))))
    yield Kind(queue, "headers nested 3,000 deep, arrays", with_headers(("n", nested("A", 3_000))), rare=10)
    yield Kind(queue, "headers nested 3,000 deep, tables and arrays", with_headers(("n", nested("FA", 3_000))), rare=10)
    yield Kind(queue, "a body of 5 MiB", body(sized(5 * MIB)), rare=60)


def replies():
    yield Kind(REPLIES, "not JSON, by an ordinary client", body(lambda m, _: m + b" is no JSON"), client="pika")
    yield Kind(REPLIES, "empty body", body(lambda *_: b""))
    yield Kind(REPLIES, "JSON cut off", aimed(lambda m, _: b'{"m":"' + m + b'","a":[1,2'))
    yield Kind(REPLIES, "brackets without end", aimed(lambda m, _: b'["' + m + b'",' + b"[" * 50_000), rare=4)
    yield Kind(REPLIES, "JSON nested 20,000 deep", aimed(lambda m, _: b'["' + m + b'",' + b"[" * 20_000 + b"]" * 20_001), rare=4)
    yield Kind(REPLIES, "body is not UTF-8", aimed(lambda m, _: b'{"m":"' + m + b'","a":"\xff\xc3"}'))
    yield Kind(REPLIES, "UTF-16 with a byte order mark", aimed(lambda m, _: ('{"m":"' + m.decode() + '"}').encode("utf-16")))
    yield Kind(REPLIES, "gzip", with_headers(("task-token", lambda w: text(w.open_token())), content_encoding=b"gzip",
                                             body=lambda m, _: gzip.compress(m)))
    yield Kind(REPLIES, "NaN and numbers out of range", aimed(lambda m, _: b'{"m":"' + m + b'","a":[NaN,Infinity,1e999]}'))
    yield Kind(REPLIES, "over the size of a payload", aimed(lambda m, _: b'"' + m + b"x" * 300_000 + b'"'), rare=10)
    yield Kind(REPLIES, "two documents", aimed(lambda m, _: b'{"m":"' + m + b'"}{"b":1}'))
    yield Kind(REPLIES, "a token with a changed byte", with_headers(("task-token", lambda w: text(flipped(w.open_token(), w.dice))), body=lambda m, _: b"1"))
    yield Kind(REPLIES, "a token by chance", with_headers(("task-token", lambda w: text(base64.urlsafe_b64encode(w.dice.randbytes(60)))), body=lambda m, _: b"1"))
    yield Kind(REPLIES, "a token of 60,000 bytes", with_headers(("task-token", text(b"t" * 60_000))), rare=4)
    yield Kind(REPLIES, "a token that is an array", with_headers(("task-token", array(text("a"), text("b")))))
    yield Kind(REPLIES, "a token with a NUL and a line break", with_headers(("task-token", text(b"a\0b\r\n{}"))))
    yield Kind(REPLIES, "an unknown status", with_headers(("task-token", lambda w: text(w.open_token())), ("task-status", text("perhaps")), body=lambda m, _: b"1"))
    yield Kind(REPLIES, "a status that is a table", with_headers(("task-status", b"F" + table([("a", text("b"))]))))
    yield Kind(REPLIES, "a second answer", with_headers(("task-token", lambda w: text(w.ended_token())), body=lambda m, _: b"1"), client="pika")
    yield Kind(REPLIES, "a heartbeat of a task that has ended", with_headers(("task-token", lambda w: text(w.ended_token())), ("task-status", text("heartbeat")), body=lambda m, _: b""))
    yield Kind(REPLIES, "a failure of a task that has ended", with_headers(("task-token", lambda w: text(w.ended_token())), ("task-status", text("failure")), body=lambda m, _: b'{"error":"E"}'))
    yield Kind(REPLIES, "type, app_id and message_id are not UTF-8", with_headers(type=LATIN, app_id=LATIN, message_id=LATIN))
    yield Kind(REPLIES, "reply_to is not UTF-8", with_headers(reply_to=LATIN))
    yield Kind(REPLIES, "the same header twice", with_headers(("task-token", text("a")), ("task-token", text("b")), ("x-death", text("c"))))
    yield Kind(REPLIES, "5,000 headers", with_headers(*[(f"h{n}", b"V") for n in range(5_000)]), rare=4)
    yield Kind(REPLIES, "an array of 60,000 voids", with_headers(("v", array(b"V" * 60_000))), rare=10)
    yield Kind(REPLIES, "a header of 70,000 bytes", with_headers(("h", text(b"h" * 70_000))), rare=10)
    yield Kind(REPLIES, "each type of field", with_headers(
        ("t", b"t\x01"), ("b", b"b\xff"), ("B", b"B\xff"), ("s", b"s\xff\xff"), ("u", b"u\xff\xff"), ("I", b"I\xff\xff\xff\xff"), ("i", b"i\xff\xff\xff\xff"),
        ("l", b"l" + b"\xff" * 8), ("f", b"f\x7f\x7f\xff\xff"), ("d", b"d\x7f\xef" + b"\xff" * 6), ("D", b"D\xff\x7f\xff\xff\xff"), ("T", b"T" + b"\xff" * 8),
        ("x", b"x" + long(b"\xff\xfe")), ("V", b"V")))
    yield Kind(REPLIES, "highest timestamp, priority and delivery mode", with_headers(timestamp=2**64 - 1, priority=255))
    yield Kind(REPLIES, "a death that never was", with_headers(("x-death", array(b"F" + table([("reason", b"I\0\0\0\1"), ("count", text("many")), ("queue", b"V")])))))
    yield Kind(REPLIES, "CC to the reply queue itself", with_headers(("CC", lambda w: array(text(REPLIES + str(w.partition))))), copies=1)
    yield Kind(REPLIES, "CC and BCC to the parking queue", with_headers(("CC", array(text(PARKED))), ("BCC", array(text("reveille.nowhere")))), copies=2)
    yield Kind(REPLIES, "the verdict is wanted in a reply queue", with_headers(reply_to=(REPLIES + "0").encode()))
    yield Kind(REPLIES, "the verdict is wanted in a queue that is not there", with_headers(reply_to=("no." + "é" * 100).encode()))
    yield Kind(REPLIES, "headers nested 12,000 deep", with_headers(("n", nested("A", 12_000))), rare=200)
    yield from odd_properties(REPLIES)


def starts():
    yield Kind(START, "not JSON, by an ordinary client", body(lambda m, _: m + b" {"), client="pika")
    yield Kind(START, "brackets without end", body(lambda m, _: b'["' + m + b'",' + b"[" * 50_000), rare=4)
    yield Kind(START, "a machine that is not there", body(start_body()), client="pika")
    yield Kind(START, "a name of control characters", body(start_body(name="a\n\0\u202e" * 20)))
    yield Kind(START, "an input over its size", body(start_body(input={"x": "y" * 300_000})), rare=10)
    yield Kind(START, "message_id is not UTF-8", with_headers(message_id=LATIN))
    yield Kind(START, "the answer is wanted in the start queue", with_headers(reply_to=START.encode()), copies=(1, 2))
    yield from odd_properties(START)


def dead_letters():
    yield Kind(DEAD, "no token, by an ordinary client", body(lambda m, _: m), client="pika")
    yield Kind(DEAD, "a forged token", with_headers(("task-token", lambda w: text(flipped(w.open_token(), w.dice)))))
    yield Kind(DEAD, "a death of nonsense", with_headers(("x-death", array(b"V", text("a"), b"F" + table([])))))
    yield from odd_properties(DEAD)


def activities():
    yield Kind(ACTIVITY, "no token, by an ordinary client", body(lambda m, _: m), client="pika")
    yield Kind(ACTIVITY, "a body that is not UTF-8", body(lambda m, _: m + b"\xff\xfe"))
    yield from odd_properties(ACTIVITY)


def parked():
    yield Kind(PARKED, "put there by anybody", body(lambda m, _: m))
    yield from odd_properties(PARKED)


KINDS = [*replies(), *starts(), *dead_letters(), *activities(), *parked()]
assert len({kind.title for kind in KINDS}) == len(KINDS)
assert short and len(KINDS) >= 40
