"""Every rule of a frame and of what frames make together (RFC 6455 §5), and that what is right comes
back. Close frames' codes stand in closing.py, text in text.py."""

from cases import MIB, add, case
from expect import closes, echoes, pongs, returns
from wire import BINARY, CLOSE, CONTINUATION, NO_KEY, PING, PONG, TEXT, Fault, close, frame, header, text

PROTOCOL_ERROR = (1002,)
BEHIND = text("sent behind") + frame(PING, b"sent behind")


def fails(name, rule, sent, codes=PROTOCOL_ERROR, before=(), lane="main", group="frames", **options):
    """A case in which what is sent fails the connection: a Close frame with one of `codes`, the end of the
    TCP connection, and nothing else, whatever is sent behind it. Sent whole and byte by byte. `before`
    are payloads that may be answered first."""

    async def run(trial):
        for step in (None, 1) if len(sent) < 1000 else (None,):
            peer = await trial.open()
            await peer.send(sent, BEHIND, step=step)
            await closes(peer, codes, before)

    add(f"{group}/{name}", rule, run, lane=lane, **options)


RSV = "RFC 6455 §5.2: RSV1 to RSV3 MUST be 0 unless an extension is negotiated that gives them a meaning"
for bit, mask in [("rsv1", 4), ("rsv2", 2), ("rsv3", 1)]:
    fails(f"{bit}-on-text", RSV, text("hello", rsv=mask))
    fails(f"{bit}-on-binary", RSV, frame(BINARY, b"hello", rsv=mask))
    fails(f"{bit}-on-ping", RSV, frame(PING, b"hello", rsv=mask))
    fails(f"{bit}-on-pong", RSV, frame(PONG, b"hello", rsv=mask))
    fails(f"{bit}-on-close", RSV, close(1000, rsv=mask))
    fails(f"{bit}-on-a-continuation", RSV, text("hel", fin=False) + frame(CONTINUATION, b"lo", rsv=mask))
fails("all-reserved-bits", RSV, text("hello", rsv=7))
fails("rsv1-on-an-empty-frame", RSV, text("", rsv=4))

OPCODE = "RFC 6455 §5.2: an unknown opcode MUST fail the connection"
for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF):
    fails(f"opcode-{opcode:x}", OPCODE, frame(opcode, b"hello"))
fails("opcode-3-empty", OPCODE, frame(3))
fails("opcode-3-without-fin", OPCODE, frame(3, b"hello", fin=False))
fails("opcode-7-inside-a-message", OPCODE, text("hel", fin=False) + frame(7, b"lo"))
fails("opcode-f-inside-a-message", OPCODE, text("hel", fin=False) + frame(0xF, b"lo"))
fails("opcode-b-behind-messages", OPCODE, text("one") + text("two") + frame(0xB), before=(b"one", b"two"))

MASK = "RFC 6455 §5.1: the server MUST close the connection upon a frame that is not masked"
fails("unmasked-text", MASK, text("hello", key=None))
fails("unmasked-binary", MASK, frame(BINARY, b"hello", key=None))
fails("unmasked-empty-text", MASK, text("", key=None))
fails("unmasked-ping", MASK, frame(PING, b"hello", key=None))
fails("unmasked-pong", MASK, frame(PONG, b"hello", key=None))
fails("unmasked-close", MASK, close(1000, key=None))
fails("unmasked-continuation", MASK, text("hel", fin=False) + frame(CONTINUATION, b"lo", key=None))
fails("unmasked-behind-masked", MASK, text("hello") + text("world", key=None), before=(b"hello",))
fails("unmasked-of-70000-bytes", MASK, frame(BINARY, bytes(70_000), key=None))

SHORTEST = "RFC 6455 §5.2: the minimal number of bytes MUST be used to encode the length"
for length, form in [(0, 16), (5, 16), (125, 16), (0, 64), (125, 64), (126, 64), (65535, 64)]:
    fails(f"length-{length}-in-{form}-bits", SHORTEST, frame(BINARY, bytes(length), form=form))
fails("ping-of-5-in-16-bits", SHORTEST, frame(PING, b"hello", form=16))
fails("ping-of-5-in-64-bits", SHORTEST, frame(PING, b"hello", form=64))

HIGHEST = "RFC 6455 §5.2: the most significant bit of a 64-bit length MUST be 0"
fails("length-2-to-63", HIGHEST, header(BINARY, 1 << 63), codes=(1002, 1009))
fails("length-2-to-64-less-1", HIGHEST, header(BINARY, (1 << 64) - 1), codes=(1002, 1009))
fails("continuation-of-2-to-63", HIGHEST, text("a", fin=False) + header(CONTINUATION, 1 << 63), codes=(1002, 1009))

BIG = "RFC 6455 §7.4.1 and §10.4: a message that is too big is ended with 1009"
fails("length-2-to-63-less-1", BIG, header(BINARY, (1 << 63) - 1), codes=(1009,))
fails("length-2-to-32-and-5", BIG, header(BINARY, (1 << 32) + 5), codes=(1009,))
fails("length-64-mib-and-1", BIG, header(BINARY, 64 * MIB + 1), codes=(1009,))
fails("text-of-64-mib-and-1", BIG, header(TEXT, 64 * MIB + 1), codes=(1009,))
fails("fragments-that-add-up-to-2-to-63", BIG, frame(BINARY, b"x", fin=False) + header(CONTINUATION, (1 << 63) - 1), codes=(1009,))
fails("just-over-1-mib", BIG, header(BINARY, MIB + 1), codes=(1009,), lane="small")
fails("just-over-1-mib-in-fragments", BIG, frame(BINARY, bytes(MIB), fin=False) + frame(CONTINUATION, b"x"), codes=(1009,), lane="small")
fails("just-over-1-mib-in-a-third-fragment", BIG, frame(BINARY, bytes(MIB // 2), fin=False) + frame(CONTINUATION, bytes(MIB // 2), fin=False) + frame(CONTINUATION, b"x", fin=False), codes=(1009,), lane="small")

CONTROL = "RFC 6455 §5.5: control frames MUST have 125 bytes or less, and MUST NOT be fragmented"
for name, opcode in [("ping", PING), ("pong", PONG), ("close", CLOSE)]:
    payload = b"\x03\xe8" + b"x" * 124
    fails(f"{name}-of-126-bytes", CONTROL, frame(opcode, payload))
    fails(f"{name}-of-65536-bytes", CONTROL, frame(opcode, payload[:2] + b"x" * 65534))
    fails(f"{name}-that-declares-126-bytes", CONTROL, header(opcode, 126))
    fails(f"{name}-that-declares-2-to-32", CONTROL, header(opcode, 1 << 32))
    fails(f"{name}-in-fragments", CONTROL, frame(opcode, payload[:5], fin=False) + frame(CONTINUATION, b"x"))
    fails(f"{name}-without-fin-inside-a-message", CONTROL, text("hel", fin=False) + frame(opcode, payload[:5], fin=False))

NOTHING = "RFC 6455 §5.4: a continuation continues a message that has begun"
fails("continuation-first", NOTHING, frame(CONTINUATION, b"hello"))
fails("continuation-first-without-fin", NOTHING, frame(CONTINUATION, b"hello", fin=False))
fails("continuation-first-empty", NOTHING, frame(CONTINUATION))
fails("continuation-behind-a-whole-message", NOTHING, text("hello") + frame(CONTINUATION, b"x"), before=(b"hello",))
fails("continuation-behind-a-fragmented-message", NOTHING, text("hel", fin=False) + frame(CONTINUATION, b"lo") + frame(CONTINUATION, b"x"), before=(b"hello",))
fails("continuation-behind-a-ping", NOTHING, frame(PING, b"p") + frame(CONTINUATION, b"x"), before=(b"p",))

MIXED = "RFC 6455 §5.4: the fragments of one message MUST NOT be interleaved with those of another"
fails("text-inside-a-text", MIXED, text("hel", fin=False) + text("lo"))
fails("binary-inside-a-text", MIXED, text("hel", fin=False) + frame(BINARY, b"lo"))
fails("text-inside-a-binary", MIXED, frame(BINARY, b"hel", fin=False) + text("lo"))
fails("text-without-fin-inside-a-text", MIXED, text("hel", fin=False) + text("lo", fin=False))
fails("text-inside-a-text-behind-a-ping", MIXED, text("hel", fin=False) + frame(PING) + text("lo"), before=(b"",))
fails("empty-text-inside-an-empty-text", MIXED, text("", fin=False) + text(""))


# --- what is right comes back ------------------------------------------------------------------

LENGTHS = "RFC 6455 §5.2: a payload has any length, in the form that is the shortest for it"
for length in (0, 1, 2, 124, 125, 126, 127, 128, 1000, 65535, 65536, 65537, MIB):
    for name, opcode, unit in [("text", TEXT, b"x"), ("binary", BINARY, bytes(range(251)))]:

        async def comes_back(trial, opcode=opcode, payload=(unit * (length // len(unit) + 1))[:length]):
            peer = await trial.open()
            await echoes(peer, payload, opcode)
            await echoes(peer, payload, opcode, key=b"\xff\x00\x80\x7f")

        add(f"frames/{name}-of-{length}", LENGTHS, comes_back)

FRAGMENTS = "RFC 6455 §5.4: fragments make one message, of the first one's type, with control frames between them"


def fragments(opcode, *payloads, between=b""):
    """A message in fragments, with `between` behind each but the last."""
    last = len(payloads) - 1
    frames = []
    for index, payload in enumerate(payloads):
        sent = frame(opcode if index == 0 else CONTINUATION, payload, fin=index == last, key=bytes([index % 256] * 4))
        frames.append(sent + (between if index < last else b""))
    return b"".join(frames)


for name, opcode, parts in [
    ("two", TEXT, [b"hel", b"lo"]),
    ("three", TEXT, [b"he", b"ll", b"o"]),
    ("two-of-binary", BINARY, [b"\xff\xfe", b"\x00"]),
    ("an-empty-first", TEXT, [b"", b"hello"]),
    ("an-empty-last", TEXT, [b"hello", b""]),
    ("empty-ones-between", TEXT, [b"he", b"", b"", b"llo"]),
    ("only-empty-ones", TEXT, [b"", b"", b""]),
    ("one-byte-each", BINARY, [bytes([n]) for n in range(256)]),
    ("large-and-small", BINARY, [bytes(100_000), b"x", bytes(70_000), b""]),
]:

    async def in_fragments(trial, opcode=opcode, parts=parts):
        peer = await trial.open()
        sent = fragments(opcode, *parts)
        for step in (None, 1) if len(sent) < 3000 else (None, 1000):
            await peer.send(sent, step=step)
            await returns(peer, b"".join(parts), opcode)

    add(f"frames/fragments-{name}", FRAGMENTS, in_fragments)


@case("frames/ping-inside-a-message", "RFC 6455 §5.4 and §5.5.2: answered as soon as is practical, before the message ends")
async def ping_inside_a_message(trial):
    peer = await trial.open()
    await peer.send(text("hel", fin=False), frame(PING, b"now"))
    await pongs(peer, b"now")
    await peer.send(frame(CONTINUATION, b"lo"))
    await returns(peer, b"hello")


@case("frames/pings-between-all-fragments", FRAGMENTS)
async def pings_between_all_fragments(trial):
    peer, parts = await trial.open(), [bytes([n]) * 10 for n in range(50)]
    await peer.send(fragments(BINARY, *parts, between=frame(PING, b"between")))
    await returns(peer, b"".join(parts), BINARY)
    if not peer.pongs or set(peer.pongs) != {b"between"}:
        raise Fault(f"the pongs were {set(peer.pongs)}")


@case("frames/ping-inside-a-large-frame-is-data", "RFC 6455 §5.4: control frames are between frames, not in them")
async def ping_inside_a_large_frame(trial):
    peer = await trial.open()
    await echoes(peer, frame(PING, b"x", key=None) * 1000, BINARY, key=NO_KEY)


for name, payload in [("empty", b""), ("of-125-bytes", b"p" * 125), ("of-bytes-that-are-no-text", b"\xff\x00\xfe"), ("that-looks-like-a-close", close(1000))]:

    async def ping(trial, payload=payload):
        for step in (None, 1):
            peer = await trial.open()
            await peer.send(frame(PING, payload), step=step)
            await pongs(peer, payload)
            await echoes(peer, "still here")

    add(f"frames/ping-{name}", "RFC 6455 §5.5.2 and §5.5.3: a ping is answered with its own payload", ping)


@case("frames/many-pings-at-once", "RFC 6455 §5.5.3: of several pings at least the newest is answered")
async def many_pings(trial):
    peer = await trial.open()
    await peer.send(b"".join(frame(PING, str(n).encode()) for n in range(1000)), text("and a text"))
    await returns(peer, b"and a text")
    numbers = [int(payload) for payload in peer.pongs]
    if numbers != sorted(set(numbers)):
        raise Fault("pongs came twice or out of order")
    while not numbers or numbers[-1] != 999:
        found = await peer.frame("the pong to the newest ping")
        if found is None or found.opcode != PONG:
            raise Fault(f"expected the pong to the newest ping, and {found or 'the end'} came")
        numbers.append(int(found.payload))


@case("frames/pong-that-nobody-asked-for", "RFC 6455 §5.5.3: a response to it is not expected")
async def pong_that_nobody_asked_for(trial):
    peer = await trial.open()
    await peer.send(frame(PONG, b"heartbeat"), frame(PONG), frame(PONG, b"x" * 125))
    await echoes(peer, "still here")
    if peer.pongs:
        raise Fault("pongs were answered with pongs")


@case("frames/a-frame-cut-at-every-byte", "RFC 6455 §5.2: a frame may arrive in any cut")
async def a_frame_cut_at_every_byte(trial):
    peer = await trial.open()
    for sent in (text("x" * 20), frame(BINARY, b"y" * 130)):
        for cut in range(1, len(sent)):
            await peer.send(sent[:cut])
            await peer.send(sent[cut:])
            opcode, payload = await peer.message()
            if payload != (b"x" * 20 if opcode == TEXT else b"y" * 130):
                raise Fault(f"cut at {cut}, {payload!r} came back")


@case("frames/ten-thousand-messages-at-once", "RFC 6455 §5.4: messages come in the order in which they were sent", memory=32 * MIB)
async def ten_thousand_messages(trial):
    peer, count = await trial.open(), 10_000
    await peer.send(b"".join(text(str(n)) for n in range(count)))
    for n in range(count):
        await returns(peer, str(n).encode())


@case("frames/text-and-binary-in-turn", "RFC 6455 §5.6: text comes back as text, binary as binary")
async def text_and_binary_in_turn(trial):
    peer = await trial.open()
    await peer.send(b"".join(text("t") + frame(BINARY, b"b") for _ in range(500)))
    for _ in range(500):
        await returns(peer, b"t", TEXT)
        await returns(peer, b"b", BINARY)
