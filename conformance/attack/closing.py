"""The closing handshake (RFC 6455 §5.5.1 and §7): codes, reasons, who ends first, and the server's own
end by SIGTERM. Peers that do not answer a close stand in slow.py, since that takes its time."""

import asyncio

from cases import add, case
from expect import closes, echoes, ends, returns
from frames import fails
from wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, Fault, close, frame, header, request, text

VALID = "RFC 6455 §5.5.1 and §7.4: a Close frame is answered with one, which typically has its code"
INVALID = "RFC 6455 §7.4: the code is not one that a Close frame may have"


def answered(name, rule, sent, codes, before=()):
    """A case in which the server answers a Close frame and ends the TCP connection first."""

    async def run(trial):
        for step in (None, 1):
            peer = await trial.open()
            await peer.send(sent, step=step)
            await closes(peer, codes, before)

    add(f"closing/{name}", rule, run)


for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
    answered(f"code-{code}", VALID, close(code), (code, 1000))
    answered(f"code-{code}-with-a-reason", VALID, close(code, "geschäftlich verhindert".encode()), (code, 1000))
for code in (1012, 1013, 1014):
    answered(f"code-{code}", "RFC 6455 §7.4.2: registered with IANA since; a server may not know it", close(code), (code, 1000, 1002))
for code in (0, 1, 999, 1005, 1006, 1015):
    fails(f"code-{code}", INVALID, close(code), group="closing")
    fails(f"code-{code}-with-a-reason", INVALID, close(code, b"going"), group="closing")
for code in (1004, 1016, 1100, 1999, 2000, 2999, 5000, 65535):
    rule = "RFC 6455 §7.4: reserved, or in no range; a server may take it or not"
    answered(f"code-{code}", rule, close(code), (code, 1000, 1002))

fails("one-byte", "RFC 6455 §5.5.1: the body MUST begin with a code of two bytes", frame(CLOSE, b"\x03"), group="closing")
answered("empty", "RFC 6455 §5.5.1: a Close frame may be empty, and is answered", close(), (None, 1000))
answered("reason-of-123-bytes", VALID, close(1000, b"r" * 123), (1000,))
answered("empty-reason", VALID, close(1000, b""), (1000,))

UTF8 = "RFC 6455 §5.5.1 and §8.1: the reason is UTF-8"
for name, reason in {
    "ff": b"\xff",
    "cut": b"\xe2\x82",
    "overlong": b"\xc0\xaf",
    "a-surrogate": b"\xed\xa0\x80",
    "bad-behind-good": b"good" * 20 + b"\x80",
    "above-10ffff": b"\xf4\x90\x80\x80",
}.items():
    fails(f"reason-{name}", UTF8, close(1000, reason), codes=(1007, 1002), group="closing")

AFTER = "RFC 6455 §5.5.1: after a Close frame nothing more is sent, and what comes is not looked at"
for name, behind in {
    "text": text("late"),
    "a-ping": frame(PING, b"late"),
    "another-close": close(1001),
    "bad-frames": frame(3, b"late") + text("late", key=None),
    "half-a-frame": header(BINARY, 1000) + b"late",
    "a-megabyte": frame(BINARY, bytes(1 << 20)),
}.items():
    answered_with = close(1000) + behind
    if len(behind) < 1000:
        answered(f"{name}-behind-a-close", AFTER, answered_with, (1000,))
    else:

        async def a_lot_behind(trial, sent=answered_with):
            peer = await trial.open()
            await peer.send(sent)
            await closes(peer, (1000,))

        add(f"closing/{name}-behind-a-close", AFTER, a_lot_behind)

answered("text-before-a-close", "RFC 6455 §5.5.1: an answer MAY be delayed until the current message is sent", text("last words") + close(1000), (1000,), before=(b"last words",))
answered("a-ping-before-a-close", "RFC 6455 §5.5.2: a ping is answered unless a Close frame has come", frame(PING, b"p") + close(1000), (1000,), before=(b"p",))
answered("inside-a-message", "RFC 6455 §5.4: control frames MAY be injected in the middle of a message", text("hel", fin=False) + close(1001), (1001, 1000))
answered("inside-a-message-that-goes-on", AFTER, text("hel", fin=False) + close(1001) + frame(CONTINUATION, b"lo"), (1001, 1000))


@case("closing/the-server-ends-tcp-first", "RFC 6455 §7.1.1: the TCP connection is closed first by the server, and cleanly")
async def the_server_ends_first(trial):
    peer = await trial.open()
    await echoes(peer, "hello")
    await peer.send(close(1000))
    await closes(peer, (1000,), patience=1)
    if peer.was_reset:
        raise Fault("the connection was reset")


@case("closing/a-failed-connection-ends-without-a-reset", "RFC 6455 §7.1.1: closed cleanly, so that the peer reads why")
async def a_failed_connection(trial):
    peer = await trial.open()
    await peer.send(frame(3), frame(BINARY, bytes(100_000)))
    await asyncio.sleep(0.3)
    await closes(peer, (1002,))
    if peer.was_reset:
        raise Fault("the connection was reset")


HALF = "RFC 6455 §7.1.5: an end without a Close frame is the connection's end, whatever it cuts"
for name, sent in {
    "nothing": b"",
    "half-a-header": text("hello")[:1],
    "half-a-mask": text("hello")[:4],
    "half-a-payload": text("hello")[:-2],
    "half-a-large-payload": header(BINARY, 1 << 20) + bytes(500_000),
    "half-a-message": text("hel", fin=False),
    "half-a-ping": frame(PING, b"hello")[:-1],
    "half-a-close": close(1000)[:-1],
}.items():

    async def end_behind(trial, sent=sent):
        peer = await trial.open()
        await peer.send(sent)
        peer.half_close()
        while found := await peer.frame("the connection's end", 2):
            if found.opcode != CLOSE:
                raise Fault(f"expected the connection's end, and {found} came")

    add(f"closing/the-end-behind-{name}", HALF, end_behind)


@case("closing/the-end-behind-a-whole-message", "RFC 6455 §7.1.1: what was received may still be answered, then the connection ends")
async def the_end_behind_a_message(trial):
    peer = await trial.open()
    await peer.send(text("hello"))
    peer.half_close()
    while found := await peer.frame("the connection's end", 2):
        if found.opcode != CLOSE and (found.opcode, found.payload) != (TEXT, b"hello"):
            raise Fault(f"expected the echo and the end, and {found} came")


@case("closing/resets-at-every-point", "RFC 6455 §7.1.5: a connection that breaks is that connection's end only")
async def resets_at_every_point(trial):
    before = trial.server.descriptors()
    for sent in (b"", text("hello")[:3], text("hel", fin=False), text("hello"), close(1000), frame(BINARY, bytes(300_000))):
        for opened in (False, True):
            peer = await (trial.open() if opened else trial.connect())
            await peer.send(sent if opened else request()[: len(sent) * 10])
            peer.reset()
            trial.peers.remove(peer)
    for _ in range(50):
        if trial.server.descriptors() <= before:
            return
        await asyncio.sleep(0.1)
    raise Fault(f"{trial.server.descriptors() - before} connections are still there 5 s after they were reset")


# --- the server's own end ----------------------------------------------------------------------

GOING = "RFC 6455 §7.4.1: 1001 says that the server goes down"


async def gone(server, within):
    """The process ends by itself in that time, with exit code 0."""
    for _ in range(int(within * 20)):
        if not server.is_alive():
            break
        await asyncio.sleep(0.05)
    else:
        raise Fault(f"the server had not ended {within:g} s after SIGTERM")
    if server.process.returncode != 0:
        raise Fault(f"the server ended with exit code {server.process.returncode}")


@case("closing/sigterm-closes-all-with-1001", GOING, limit=40)
async def sigterm_closes_all(trial):
    server = trial.server_with()
    peers = await trial.many(200, lambda: trial.open(server))
    await asyncio.gather(*(echoes(peer, "hello") for peer in peers))
    server.terminate()

    async def leave(peer):
        found = await peer.frame("a Close frame", 5)
        if found is None or found.opcode != CLOSE or found.code != 1001:
            raise Fault(f"expected a Close frame with 1001, and {found or 'the end'} came")
        await peer.send(close(1001))
        await ends(peer)

    await asyncio.gather(*(leave(peer) for peer in peers))
    await gone(server, within=4)


@case("closing/sigterm-does-not-wait-for-peers-that-do-not-answer", "RFC 6455 §7.1.1: waiting is for a reasonable time", limit=40)
async def sigterm_does_not_wait(trial):
    server = trial.server_with()
    await trial.many(20, lambda: trial.open(server))
    await trial.many(5, lambda: trial.connect(server))
    unread = await trial.open(server, receive_buffer=4096)
    await unread.push(frame(BINARY, bytes(65536), key=b"\0\0\0\0"), seconds=1)
    server.terminate()
    await gone(server, within=20)


@case("closing/sigterm-takes-no-new-connections", GOING, limit=40)
async def sigterm_takes_no_new_ones(trial):
    server = trial.server_with()
    peer = await trial.open(server)
    server.terminate()
    await peer.frame("a Close frame")
    try:
        late = await trial.connect(server)
        await late.send(request())
        response = await late.response()
    except Fault:
        response = None
    if response is not None and response.status == 101:
        raise Fault("a handshake was accepted after SIGTERM")
    await peer.send(close(1001))
    await gone(server, within=10)


@case("closing/sigterm-cuts-no-message", "RFC 6455 §5.5.1: a Close frame comes behind the message that is being sent", limit=40)
async def sigterm_cuts_no_message(trial):
    server = trial.server_with()
    peer, payload = await trial.open(server, receive_buffer=16384), bytes(range(256)) * 2048
    await peer.send(frame(BINARY, payload))
    await peer.more("the echo's beginning")
    server.terminate()
    await asyncio.sleep(0.2)
    await returns(peer, payload, BINARY)
    found = await peer.frame("a Close frame")
    if found is None or found.code != 1001:
        raise Fault(f"expected a Close frame with 1001 behind the message, and {found or 'the end'} came")
    await peer.send(close(1001))
    await gone(server, within=10)
