"""TLS in front of the handshake: what is no TLS, handshakes that do not end, and connections that end
without TLS's own word for it. The certificate is one that nobody has signed."""

import asyncio
import ssl
import time

from cases import add, case
from peer import PATIENCE
from slow import SLACK, gone
from wire import STANDARD, TEXT, Fault, FrameReader, accept_value, close, frame, request, text

OWN = dict(limit=60)
FLAGS = ("--tls-self-signed", "--handshake-timeout", "2s")


class Tls:
    """A connection over TLS, by the operating system's library."""

    def __init__(self, reader, writer):
        self.reader, self.writer, self.frames = reader, writer, FrameReader()

    @classmethod
    async def open(cls, server):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        async with asyncio.timeout(PATIENCE):
            connection = cls(*await asyncio.open_connection(*server.address, ssl=context))
            await connection.send(request())
            head = await connection.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 ") or accept_value(STANDARD["Sec-WebSocket-Key"]).encode() not in head:
            raise Fault(f"the handshake over TLS was answered with {head[:80]!r}")
        return connection

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def frame(self):
        async with asyncio.timeout(PATIENCE):
            while not (found := self.frames.next()):
                data = await self.reader.read(1 << 16)
                if not data:
                    return None
                self.frames.feed(data)
        return found

    async def echoes(self, payload):
        await self.send(text(payload))
        received = b""
        while True:
            found = await self.frame()
            if found is None:
                raise Fault("the echo over TLS did not come back")
            received += found.payload
            if found.fin:
                break
        if received != payload:
            raise Fault(f"{received[:80]!r} came back over TLS")


async def serves_others(server):
    """Whoever speaks TLS is served."""
    connection = await Tls.open(server)
    await connection.echoes(b"over TLS")
    await connection.send(close(1000))
    found = await connection.frame()
    if found is None or found.code != 1000:
        raise Fault(f"expected the answer to a close over TLS, and {found or 'the end'} came")
    connection.writer.close()


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 32
ENDS = "RFC 8446 §6.2 and RFC 9112 §9.5: what is no TLS handshake, or does not end, is ended"
for name, start, drip in [
    ("plain-http", request(), b""),
    ("nothing", b"", b""),
    ("half-a-record", HELLO[:20], b""),
    ("a-record-that-trickles", HELLO[:20], b"\x5a"),
    ("noise", bytes(range(256)) * 8, b""),
    ("a-record-of-the-largest-size", b"\x16\x03\x01\xff\xff" + b"\x01" * 65535, b""),
    ("an-alert-first", b"\x15\x03\x01\x00\x02\x02\x28", b""),
    ("application-data-first", b"\x17\x03\x03\x00\x05hello", b""),
    ("records-without-content", b"\x16\x03\x01\x00\x00" * 2000, b""),
]:

    async def no_tls(trial, start=start, drip=drip):
        server = trial.server_with(*FLAGS)
        peer = await trial.connect(server)
        await peer.send(start)
        await gone(peer, 2.0, drip)
        await serves_others(server)

    add(f"tls/{name}", ENDS, no_tls, **OWN)


@case("tls/a-handshake-and-then-no-request", ENDS, **OWN)
async def no_request(trial):
    server = trial.server_with(*FLAGS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(*server.address, ssl=context)
    began = time.monotonic()
    async with asyncio.timeout(2 + SLACK):
        await reader.read()
    writer.close()
    if time.monotonic() - began > 2 + SLACK:
        raise Fault("the connection is still there")


@case("tls/messages-of-every-size", "RFC 8446 §5.1: a message is over as many records as it takes", **OWN)
async def messages_of_every_size(trial):
    server = trial.server_with(*FLAGS)
    connection = await Tls.open(server)
    for size in (0, 1, 125, 126, 16383, 16384, 16385, 65536, 300_000):
        await connection.echoes(b"t" * size)
    connection.writer.close()


@case("tls/an-end-without-close-notify", "RFC 8446 §6.1: an end without it is that connection's end only", **OWN)
async def no_close_notify(trial):
    server = trial.server_with(*FLAGS)
    before = server.descriptors()
    for _ in range(20):
        connection = await Tls.open(server)
        await connection.send(frame(TEXT, b"hel", fin=False))
        connection.writer.transport.abort()
    for _ in range(50):
        if server.descriptors() <= before:
            break
        await asyncio.sleep(0.1)
    else:
        raise Fault(f"{server.descriptors() - before} connections are still there 5 s after they were cut")
    await serves_others(server)
