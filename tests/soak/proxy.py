"""A TCP proxy before a broker that cuts connections in the middle of AMQP 0-9-1 frames, as a failing network does."""
import random
import socket
import struct
import threading


class Frames:
    """Where in its frames a stream of AMQP bytes is. A frame: 7 bytes of header, which end with the payload's size, payload, an end byte."""

    def __init__(self, greets):
        self.size = 8 if greets else None  # a client's stream begins with "AMQP" and four bytes more
        self.place, self.head = 0, b""

    def take(self, chunk):
        """The places in the chunk before which a part of a frame has gone, and a part has not."""
        inside = []
        for at in range(len(chunk)):
            if self.place:
                inside.append(at)
            self.place += 1
            if self.size is None:
                self.head += chunk[at:at + 1]
                if len(self.head) == 7:
                    self.size = 7 + struct.unpack(">I", self.head[3:])[0] + 1
            elif self.place == self.size:
                self.place, self.size, self.head = 0, None, b""
        return inside


class Proxy:
    def __init__(self, port, seed):
        self.to, self.dice = port, random.Random(seed)
        self.lock, self.pairs = threading.Lock(), []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def cut(self, many):
        """Cuts so many connections, each at its next chance in the middle of a frame; how many there were."""
        with self.lock:
            open_pairs = [p for p in self.pairs if not p.doomed]
            chosen = self.dice.sample(open_pairs, min(many, len(open_pairs)))
            for pair in chosen:
                pair.doomed = self.dice.choice(["in", "out"])
        return len(chosen)

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.to), timeout=10)
                server.settimeout(None)
            except OSError:  # the broker is away
                client.close()
                continue
            Pair(self, client, server)


class Pair:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server, self.doomed = proxy, client, server, None
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with proxy.lock:
            proxy.pairs.append(self)
        for name, source, sink, greets in (("out", client, server, True), ("in", server, client, False)):
            threading.Thread(target=self.pump, args=(name, source, sink, Frames(greets)), daemon=True).start()

    def pump(self, name, source, sink, frames):
        try:
            while chunk := source.recv(65_536):
                inside = frames.take(chunk)
                if self.doomed == name and inside:
                    sink.sendall(chunk[:self.proxy.dice.choice(inside)])
                    break
                sink.sendall(chunk)
        except OSError:
            pass
        self.end()

    def end(self):
        with self.proxy.lock:
            if self in self.proxy.pairs:
                self.proxy.pairs.remove(self)
        for each in (self.client, self.server):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()
