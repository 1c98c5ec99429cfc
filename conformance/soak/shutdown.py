"""Some thousand connections under load, and what each of them sees when their server shuts down.

Each sends a message, checks that it comes back whole and right, and sends the next. From the shutdown on
each must see, behind whole messages only, a Close frame with code 1001 and then the end of the transport.
Nothing is known here of the process of the server.
"""

import errno
import selectors
import socket
import struct
import time

PATH = "/echo"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
SIZES = (100, 1000, 100, 64 * 1024)  # of the messages of a connection, by its number
AT_ONCE = 200  # connections whose handshake is under way
OPEN_LIMIT = 60  # seconds until all are open


class Fault(Exception):
    """What a connection has seen that it must not see."""


def frame(opcode, payload):
    """A client's frame, masked with a key of zeros, which changes nothing."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    return head + bytes(4) + payload


class Connection:
    def __init__(self, number, address, selector):
        self.number, self.selector = number, selector
        self.message = (f"{number}:" * SIZES[number % len(SIZES)])[: SIZES[number % len(SIZES)]].encode()
        self.wire = frame(TEXT, self.message)
        self.input, self.output = bytearray(), bytearray()
        self.is_open = self.is_over = False
        self.echoes = 0
        self.code = None  # of the Close frame that came
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self.socket.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            raise Fault(f"connection {number}: {errno.errorcode[code]} while connecting")
        self.events = selectors.EVENT_READ
        selector.register(self.socket, self.events, self)
        self.send(
            f"GET {PATH} HTTP/1.1\r\nHost: soak\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def fault(self, what):
        raise Fault(f"connection {self.number}, after {self.echoes} echoes: {what}")

    def send(self, data):
        self.output += data
        self.write()

    def write(self):
        try:
            while self.output:
                del self.output[: self.socket.send(self.output)]
        except BlockingIOError:
            pass
        except OSError as error:
            if self.code is None:
                self.fault(f"{error} while writing, and no Close frame has come")
            self.output.clear()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.output else 0)
        if events != self.events and not self.is_over:
            self.events = events
            self.selector.modify(self.socket, events, self)

    def read(self):
        try:
            data = self.socket.recv(256 * 1024)
        except BlockingIOError:
            return
        except OSError as error:
            self.fault(f"{error} while reading")
        if not data:
            self.end()
            return
        self.input += data
        if not self.is_open:
            end = self.input.find(b"\r\n\r\n")
            if end < 0:
                return
            status = bytes(self.input[:12])
            if status != b"HTTP/1.1 101":
                self.fault(f"the handshake was answered {status!r}")
            del self.input[: end + 4]
            self.is_open = True
            self.send(self.wire)
        while self.take_frame():
            pass

    def take_frame(self):
        have = self.input
        if len(have) < 2:
            return False
        first, length = have[0], have[1]
        at = 2
        if length == 126:
            at = 4
            length = int.from_bytes(have[2:4], "big")
        elif length == 127:
            at = 10
            length = int.from_bytes(have[2:10], "big")
        if len(have) < at or len(have) < at + length:
            return False
        payload = bytes(have[at : at + length])
        del have[: at + length]
        self.handle(first, payload)
        return True

    def handle(self, first, payload):
        if self.code is not None:
            self.fault(f"a frame {first:#x} behind the Close frame")
        if first == 0x80 | TEXT:
            if payload != self.message:
                self.fault(f"{len(payload)} other bytes came back for {len(self.message)}")
            self.echoes += 1
            self.send(self.wire)
        elif first == 0x80 | CLOSE:
            self.code = int.from_bytes(payload[:2], "big")
            # Behind the message that may be half sent.
            self.send(frame(CLOSE, payload[:2]))
        elif first == 0x80 | PING:
            self.send(frame(PONG, payload))
        else:
            self.fault(f"a frame that begins with {first:#x}")

    def end(self):
        if self.input:
            self.fault(f"cut inside a frame, of which {len(self.input)} bytes had come")
        if self.code is None:
            self.fault("the transport ended without a Close frame")
        if self.code != 1001:
            self.fault(f"closed with {self.code}, not 1001")
        self.is_over = True
        self.selector.unregister(self.socket)
        self.socket.close()


class Crowd:
    def __init__(self, address, count):
        self.selector = selectors.DefaultSelector()
        self.address, self.count = address, count
        self.connections = []

    def turn(self, timeout):
        for key, events in self.selector.select(timeout):
            connection = key.data
            if events & selectors.EVENT_WRITE:
                connection.write()
            if events & selectors.EVENT_READ:
                connection.read()

    def open(self):
        limit = time.monotonic() + OPEN_LIMIT
        ready = 0
        while ready < self.count:
            under_way = len(self.connections) - ready
            for _ in range(min(AT_ONCE - under_way, self.count - len(self.connections))):
                connection = Connection(len(self.connections), self.address, self.selector)
                self.connections.append(connection)
            self.turn(0.1)
            ready = sum(connection.is_open for connection in self.connections)
            if time.monotonic() > limit:
                raise Fault(f"{ready} of {self.count} connections were open after {OPEN_LIMIT} s")

    def echoes(self):
        return sum(connection.echoes for connection in self.connections)

    def run(self, seconds):
        """Echoes for so long; how many came back."""
        before, limit = self.echoes(), time.monotonic() + seconds
        while time.monotonic() < limit:
            self.turn(0.1)
        return self.echoes() - before

    def see_the_end(self, seconds):
        """Until each connection has ended as it must; when the first and the last Close frame came."""
        began = time.monotonic()
        closes, left = [], set(self.connections)
        while left:
            self.turn(0.05)
            now = time.monotonic() - began
            closes += [now] * (sum(c.code is not None for c in self.connections) - len(closes))
            left = {connection for connection in left if not connection.is_over}
            if now > seconds:
                raise Fault(f"{len(left)} connections had not ended after {seconds:g} s")
        return closes[0], closes[-1]
