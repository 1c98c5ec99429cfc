"""Peers that send or hold more than is their due: floods, peers that do not read, declared sizes, crowds.
The server must bound what each can take, and somebody else's echo must not wait for it."""

import asyncio
import random

from cases import MIB, add, case
from deflate import agree, bomb, compressed
from expect import closes, echoes, returns
from frames import fragments
from wire import BINARY, CLOSE, CONTINUATION, NO_KEY, PING, PONG, TEXT, Fault, frame, header, request, text

OWN = dict(lane="heavy", limit=60)
LARGE = dict(lane="large", limit=60)
LIMITS = "RFC 6455 §10.4: an endpoint MUST protect itself against what is too large for it"
OTHERS = "RFC 6455 §5.5.2 and §10.4: what one peer does is that peer's matter"


# --- peers that do not read --------------------------------------------------------------------


@case("endurance/ping-flood-from-a-peer-that-never-reads", "RFC 6455 §5.5.3: of unanswered pings only the newest has to be answered, so they need not be kept", memory=6 * MIB, **OWN)
async def ping_flood(trial):
    peer = await trial.open(receive_buffer=4096)
    flood = b"".join(frame(PING, str(n).encode().rjust(100, b"p")) for n in range(2000))
    sent = await peer.push(flood, seconds=6)
    if sent < MIB:
        raise Fault(f"the server took only {sent} bytes of pings")


@case("endurance/two-million-small-pings", "RFC 6455 §5.5.3: of unanswered pings only the newest has to be answered, so they need not be kept", memory=6 * MIB, **OWN)
async def two_million_pings(trial):
    peer = await trial.open(receive_buffer=4096)
    piece, sent = frame(PING) * 10_000, 0
    until = asyncio.get_running_loop().time() + 8
    while sent < 2_000_000 * 6 and asyncio.get_running_loop().time() < until:
        sent += await peer.push(piece, seconds=0.2)


@case("endurance/ping-flood-from-twenty-peers", OTHERS, memory=16 * MIB, **OWN)
async def ping_flood_from_twenty(trial):
    peers = await trial.many(20, lambda: trial.open(receive_buffer=4096))
    flood = b"".join(frame(PING, b"p" * 125) for _ in range(500))
    await asyncio.gather(*(peer.push(flood, seconds=4) for peer in peers))


async def unread(peers, opcode, payload, seconds):
    """Peers that send and do not read; then they read, and all that was taken whole comes back."""
    one = frame(opcode, payload, key=NO_KEY)

    taken = await asyncio.gather(*(peer.push(one, seconds) for peer in peers))
    for peer, bytes_taken in zip(peers, taken):
        peer.patience = 20
        left = peer.unsent

        async def finish(peer=peer, left=left):
            if left:
                await peer.send(left)

        rest = asyncio.create_task(finish())
        for _ in range(bytes_taken // len(one) + (1 if left else 0)):
            await returns(peer, payload, opcode, patience=20)
        await rest


UNREAD = "RFC 6455 §10.4: what a peer does not read must not pile up; nothing of it is lost when it reads again"
for name, count, opcode, size, memory in [
    ("small-messages", 1, TEXT, 20, 8),
    ("messages-of-16-kib", 1, BINARY, 16 << 10, 8),
    ("messages-of-1-mib", 1, BINARY, 1 << 20, 12),
    ("messages-of-16-kib-from-twenty-peers", 20, BINARY, 16 << 10, 64),
]:

    async def unread_echo(trial, count=count, opcode=opcode, size=size):
        peers = [await trial.open(receive_buffer=8192) for _ in range(count)]
        await unread(peers, opcode, b"u" * size, seconds=3)

    add(f"endurance/unread-echo-of-{name}", UNREAD, unread_echo, memory=memory * MIB, **OWN)


@case("endurance/a-peer-that-reads-slowly", OTHERS, memory=8 * MIB, **OWN)
async def a_slow_reader(trial):
    peer, payload = await trial.open(receive_buffer=4096), bytes(1 << 20)
    sending = asyncio.create_task(peer.send(frame(BINARY, payload, key=NO_KEY)))
    for _ in range(150):
        await asyncio.sleep(0.02)
        if peer.sock.fileno() >= 0:
            try:
                peer.raw += peer.sock.recv(512)
            except BlockingIOError:
                pass
    await sending
    await returns(peer, payload, BINARY, patience=20)


# --- declared and not sent ---------------------------------------------------------------------

DECLARED = "RFC 6455 §10.4: a length that is declared is no reason to take the memory for it"
for name, count, length, sent in [
    ("sixty-times-60-mib", 60, 60 * MIB, 1000),
    ("two-hundred-times-16-mib-in-14-bytes", 200, 16 * MIB, 0),
    ("sixty-times-60-mib-in-fragments", 60, 60 * MIB, -1000),
]:

    async def declared(trial, count=count, length=length, sent=sent):
        peers = await trial.many(count, trial.open)
        if sent < 0:
            start = frame(BINARY, b"f" * -sent, fin=False) + header(CONTINUATION, length, fin=False)
        else:
            start = header(BINARY, length, key=NO_KEY)
        for peer in peers:
            await peer.send(start, b"d" * abs(sent))
        await asyncio.sleep(2)
        for peer in peers[:3]:
            if not peer.ended and await quiet(peer):
                continue
            raise Fault("the server ended the connection, though the message is not too big")

    add(f"endurance/declared-{name}", DECLARED, declared, memory=16 * MIB, **OWN)


async def quiet(peer):
    """Whether the connection is open, with nothing said."""
    try:
        await peer.more("anything", 0.05)
    except Fault:
        return True
    return False


@case("endurance/eight-fragments-of-60-mib", "RFC 6455 §10.4: the limit is on the message, all its fragments together", memory=80 * MIB, **LARGE)
async def eight_large_fragments(trial):
    peer, payload = await trial.open(), bytes(60 * MIB)
    peer.patience = 30
    for n in range(8):
        sent = await peer.send(header(CONTINUATION if n else BINARY, len(payload), fin=n == 7, key=NO_KEY), payload)
        if not sent:
            break
    await closes(peer, (1009,), patience=10)


@case("endurance/a-message-of-60-mib-comes-back", "RFC 6455 §5.2: a payload has any length that is within the server's limit", memory=140 * MIB, **LARGE)
async def a_large_message(trial):
    peer, payload = await trial.open(), random.Random(6455).randbytes(60 * MIB)
    peer.patience = 30
    sending = asyncio.create_task(peer.send(header(BINARY, len(payload), key=NO_KEY), payload))
    await returns(peer, payload, BINARY, patience=30)
    await sending


# --- many small things -------------------------------------------------------------------------


@case("endurance/a-hundred-thousand-empty-fragments", "RFC 6455 §5.4: fragments may be empty; they must cost nothing to keep", memory=4 * MIB, **OWN)
async def empty_fragments(trial):
    peer = await trial.open()
    await peer.send(text("", fin=False))
    for _ in range(100):
        await peer.send(frame(CONTINUATION, fin=False) * 1000)
    await peer.send(frame(CONTINUATION, b"done"))
    opened = await peer.frame("the echo, or a Close frame")
    allowed = opened and (opened.payload == b"done" or opened.opcode == CLOSE and opened.code in (1002, 1008, 1009))
    if not allowed:
        raise Fault(f"expected the echo, or a Close frame that says why not, and {opened or 'the end'} came")


@case("endurance/a-message-in-a-hundred-thousand-fragments", "RFC 6455 §5.4: a message in any number of fragments", memory=8 * MIB, **OWN)
async def fragments_of_one_byte(trial):
    peer, count = await trial.open(), 100_000
    piece = frame(CONTINUATION, b"f", fin=False) * 1000
    await peer.send(frame(BINARY, b"f", fin=False))
    for _ in range(count // 1000):
        await peer.send(piece)
    await peer.send(frame(CONTINUATION))
    await returns(peer, b"f" * (count + 1), BINARY, patience=10)


@case("endurance/empty-messages-without-end", OTHERS, memory=8 * MIB, **OWN)
async def empty_messages(trial):
    peer = await trial.open()
    sending = asyncio.create_task(peer.send(text("") * 200_000))
    for _ in range(200_000):
        await returns(peer, b"")
    await sending


@case("endurance/pongs-without-end", OTHERS, memory=4 * MIB, **OWN)
async def pongs_without_end(trial):
    peer = await trial.open()
    await peer.push(frame(PONG, b"p" * 125) * 500, seconds=3)
    await peer.send(peer.unsent)
    await echoes(peer, "still here")


@case("endurance/twenty-floods-that-are-read", OTHERS, memory=32 * MIB, **OWN)
async def twenty_floods(trial):
    peers = await trial.many(20, trial.open)
    piece = text("flood") * 500

    async def flood(peer):
        sending = asyncio.create_task(peer.push(piece, seconds=4))
        while not sending.done():
            try:
                peer.raw.clear()
                await peer.more("echoes", 1)
            except Fault:
                pass

    await asyncio.gather(*(flood(peer) for peer in peers))


@case("endurance/a-frame-of-one-byte-at-a-time-from-fifty", "RFC 6455 §5.2: a frame may arrive in any cut", memory=8 * MIB, **OWN)
async def trickled_frames(trial):
    peers = await trial.many(50, trial.open)
    sent = fragments(TEXT, b"trickled ", b"", "κόσμε".encode()) + frame(PING, b"p")
    for n in range(len(sent)):
        for peer in peers:
            await peer.send(sent[n : n + 1])
        await asyncio.sleep(0.05)
    for peer in peers:
        await returns(peer, "trickled κόσμε".encode())


@case("endurance/twenty-bombs-within-the-limit", "RFC 6455 §10.4: what one peer has inflated is not waited for by another", memory=700 * MIB, latency=3.0, **LARGE)
async def bombs_within_the_limit(trial):
    data = frame(BINARY, bomb(16), rsv=4)
    peers = [await agree(trial) for _ in range(20)]
    for peer in peers:
        await peer.send(data * 2)
    await asyncio.sleep(5)
    for peer in peers:
        trial.forget(peer)


@case("endurance/small-compressed-messages-without-end", OTHERS, memory=16 * MIB, **OWN)
async def small_compressed_messages(trial):
    peer = await agree(trial)
    sent = b"".join(compressed(peer, f"{n} and the same words".encode()) for n in range(20_000))
    sending = asyncio.create_task(peer.send(sent))
    for n in range(20_000):
        await returns(peer, f"{n} and the same words".encode())
    await sending


# --- crowds ------------------------------------------------------------------------------------

CROWD = "a connection that is gone leaves nothing behind"


async def given_back(trial, before, seconds=10):
    """All descriptors of connections that were closed are free again."""
    for _ in range(seconds * 10):
        left = trial.server.descriptors() - before
        if left <= 0:
            return
        await asyncio.sleep(0.1)
    raise Fault(f"{left} connections are still there {seconds} s after their peers went away")


async def come_and_go(trial, count, make):
    before = trial.server.descriptors()

    async def one():
        peer = await make()
        trial.peers.remove(peer)
        return peer

    for start in range(0, count, 50):
        for number, peer in enumerate(await asyncio.gather(*(one() for _ in range(50)))):
            peer.reset() if (start + number) % 2 else peer.close()
    await given_back(trial, before)


for name, count, opened in [("opened-and-dropped", 5000, False), ("shaken-hands-with-and-dropped", 3000, True)]:

    async def crowd(trial, count=count, opened=opened):
        await come_and_go(trial, count, trial.open if opened else trial.connect)

    add(f"endurance/{count}-connections-{name}", CROWD, crowd, memory=16 * MIB, **OWN)


@case("endurance/1000-connections-dropped-inside-a-message", CROWD, memory=24 * MIB, **OWN)
async def dropped_inside_a_message(trial):
    async def begin():
        peer = await trial.open()
        await peer.send(header(BINARY, 1 << 20), b"x" * 5000)
        return peer

    await come_and_go(trial, 1000, begin)


@case("endurance/1000-heads-dropped-half-way", CROWD, memory=24 * MIB, **OWN)
async def dropped_inside_a_head(trial):
    async def begin():
        peer = await trial.connect()
        await peer.send(request()[:60], b"X: ", b"x" * 4000)
        return peer

    await come_and_go(trial, 1000, begin)


@case("endurance/2000-connections-at-once", "RFC 6455 §10.4: those who are idle cost little, and all are served", memory=32 * MIB, **OWN)
async def two_thousand_at_once(trial):
    peers = await trial.many(2000, trial.open)
    for start in range(0, 2000, 100):
        await asyncio.gather(*(echoes(peer, f"peer {start}") for peer in peers[start : start + 100]))


@case("endurance/1000-refused-handshakes", CROWD, memory=16 * MIB, **OWN)
async def refused_handshakes(trial):
    async def refused():
        peer = await trial.connect()
        await peer.send(request(Sec_WebSocket_Key="no key"))
        await peer.response()
        return peer

    await come_and_go(trial, 1000, refused)


# --- noise -------------------------------------------------------------------------------------


@case("endurance/noise-instead-of-requests", OTHERS, memory=8 * MIB, **OWN)
async def noise_instead_of_requests(trial):
    noise = random.Random(9112)
    for _ in range(200):
        peer = await trial.connect()
        await peer.send(noise.randbytes(noise.randrange(1, 2000)))
        peer.half_close()
        await peer.rest()
        trial.forget(peer)


@case("endurance/noise-instead-of-frames", OTHERS, memory=16 * MIB, **OWN)
async def noise_instead_of_frames(trial):
    noise = random.Random(6455)
    for _ in range(200):
        peer = await trial.open()
        await peer.send(noise.randbytes(noise.randrange(1, 2000)))
        peer.half_close()
        while found := await peer.frame("the connection's end"):
            if found.opcode == CLOSE and found.code not in (None, 1000, 1002, 1007, 1009):
                raise Fault(f"noise was answered with {found}")
        trial.forget(peer)


@case("endurance/noise-in-masked-frames", OTHERS, memory=16 * MIB, **OWN)
async def noise_in_masked_frames(trial):
    noise = random.Random(7692)
    for _ in range(200):
        peer = await agree(trial)
        for _ in range(10):
            opcode, rsv = noise.choice((0, 1, 2, 8, 9, 10)), noise.choice((0, 0, 4))
            await peer.send(frame(opcode, noise.randbytes(noise.randrange(0, 126)), fin=noise.random() < 0.7, rsv=rsv))
        peer.half_close()
        while await peer.frame("the connection's end"):
            pass  # That each frame is right, and none is behind a Close frame, its reader judges.
        trial.forget(peer)
