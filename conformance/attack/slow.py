"""Peers that keep the server waiting: heads and frames that do not end, closes that nobody answers,
silence. All at once on a server of their own, since each mostly waits for the server's timeouts."""

import asyncio
import time

from cases import MIB, add, case
from expect import CLIENT_ERROR, ends
from wire import BINARY, CLOSE, PING, PONG, Fault, close, frame, header, request, text

# What `newswire serve` promises; a case adds SLACK, since the machine is busy.
HANDSHAKE = 10.0
CLOSING = 5.0
IDLE = 90.0  # one and a half times the idle timeout of 60 s
SLACK = 4.0

SLOW = dict(lane="slow", limit=IDLE + 30, memory=4 * MIB)
HEAD = "RFC 9112 §9.5: a server has a timeout beyond which it keeps no connection that says nothing; 408 says so"


async def gone(peer, within, drip=b"", pause=0.5):
    """The connection is cut within that time, while `drip` is sent again and again. Returns what came."""
    began = time.monotonic()
    while not peer.ended:
        if time.monotonic() - began > within + SLACK:
            raise Fault(f"the connection is still there after {within + SLACK:.0f} s")
        try:
            await peer.more("the end", pause)
        except Fault:
            if drip and not await peer.send(drip):
                peer.ended = True
    return bytes(peer.raw)


def judge_408(came):
    if came and not any(came.startswith(f"HTTP/1.1 {status} ".encode()) for status in CLIENT_ERROR):
        raise Fault(f"expected the end, or 408 before it, and {came[:80]!r} came")


for name, start, drip in [
    ("nothing", b"", b""),
    ("half-a-request-line", b"GET /ec", b""),
    ("half-a-head", request()[:80], b""),
    ("all-but-the-last-byte", request()[:-1], b""),
    ("a-byte-of-a-head-twice-a-second", b"GET /echo?", b"x"),
    ("a-header-twice-a-second", request()[:-2], b"X: 1\r\n"),
    ("one-empty-line", b"\r\n", b""),
    ("half-a-plain-request", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: 1\r\n"),
    ("a-plain-request-without-its-body", b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", b"x"),
]:

    async def slow_head(trial, start=start, drip=drip):
        peer = await trial.connect()
        await peer.send(start)
        judge_408(await gone(peer, HANDSHAKE, drip))

    add(f"slow/{name}", HEAD, slow_head, **SLOW)


@case("slow/two-hundred-trickled-heads", HEAD, **(SLOW | {"memory": 16 * MIB}))
async def two_hundred_heads(trial):
    peers = await trial.many(200, trial.connect)
    for peer in peers:
        await peer.send(request()[:40])
    await asyncio.gather(*(gone(peer, HANDSHAKE, b"x", pause=1) for peer in peers))


@case("slow/a-refusal-that-is-never-read", "RFC 9112 §9.6: a lingering close is for a limited time", **SLOW)
async def a_refusal_never_read(trial):
    peer = await trial.connect(receive_buffer=4096)
    await peer.send(request("POST /echo HTTP/1.1"))
    began = time.monotonic()
    await peer.push(b"x" * 4096, seconds=HANDSHAKE + SLACK)
    if time.monotonic() - began >= HANDSHAKE + SLACK:
        raise Fault(f"the server still reads {HANDSHAKE + SLACK:.0f} s after it refused")


ANSWER = "RFC 6455 §7.1.1: a server that has sent its Close frame waits for the peer's a reasonable time only"


@case("slow/a-failed-connection-that-the-peer-keeps", ANSWER, **SLOW)
async def a_failed_connection_kept(trial):
    peer = await trial.open()
    await peer.send(frame(3))
    found = await peer.frame("a Close frame")
    if found is None or found.opcode != CLOSE:
        raise Fault(f"expected a Close frame, and {found or 'the end'} came")
    await ends(peer)
    began = time.monotonic()
    while await peer.send(frame(PING, b"are you still there?")):
        if time.monotonic() - began > CLOSING + SLACK:
            raise Fault(f"the server still takes bytes {CLOSING + SLACK:.0f} s after it failed the connection")
        await asyncio.sleep(0.2)


@case("slow/a-failed-connection-that-floods", ANSWER, **SLOW)
async def a_failed_connection_that_floods(trial):
    peer = await trial.open()
    await peer.send(frame(3))
    await peer.frame("a Close frame")
    began = time.monotonic()
    await peer.push(frame(BINARY, bytes(65536), key=b"\0\0\0\0"), seconds=CLOSING + SLACK)
    if time.monotonic() - began >= CLOSING + SLACK:
        raise Fault(f"the server still has the connection {CLOSING + SLACK:.0f} s after it failed it")


@case("slow/half-a-close-frame", "RFC 6455 §7.1.1: waiting is for a reasonable time", **SLOW)
async def half_a_close(trial):
    peer = await trial.open()
    await peer.send(close(1000)[:-1])
    await gone(peer, IDLE)


SILENCE = "newswire's own: a peer that is silent, or does not read, is cut by the idle timeout"


@case("slow/a-peer-that-answers-no-ping", SILENCE, **SLOW)
async def no_answer_to_pings(trial):
    peer = await trial.open()
    came = await gone(peer, IDLE)
    if not came:
        raise Fault("the server cut a silent connection without a ping before")


@case("slow/a-peer-that-answers-pings", "newswire's own: a peer that is idle and answers pings is kept", **SLOW)
async def an_idle_peer(trial):
    peer, until, pings = await trial.open(), time.monotonic() + IDLE + SLACK, 0
    while (left := until - time.monotonic()) > 0:
        try:
            found = await peer.frame("a ping", left)
        except Fault:
            break
        if found is None or found.opcode == CLOSE:
            raise Fault(f"an idle connection that answers pings got {found or 'the end'}")
        pings += found.opcode == PING
        await peer.send(frame(PONG, found.payload))
    if not pings:
        raise Fault(f"no ping came within {IDLE + SLACK:.0f} s")
    await peer.send(text("still here"))
    if await peer.message() != (1, b"still here"):
        raise Fault("the echo did not come back")


@case("slow/a-frame-that-trickles-for-ever", SILENCE, **SLOW)
async def a_frame_that_trickles(trial):
    peer = await trial.open()
    await peer.send(header(BINARY, MIB))
    await gone(peer, IDLE, b"x", pause=1)


@case("slow/a-peer-that-never-reads-its-echo", SILENCE, **SLOW)
async def never_reads(trial):
    peer = await trial.open(receive_buffer=4096)
    began = time.monotonic()
    await peer.push(frame(BINARY, bytes(65536), key=b"\0\0\0\0"), seconds=IDLE + SLACK)
    if time.monotonic() - began >= IDLE + SLACK:
        raise Fault(f"a peer that reads nothing is still there after {IDLE + SLACK:.0f} s")
