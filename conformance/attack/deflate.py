"""permessage-deflate (RFC 7692): offers that must be declined, answers that fit the offer, compressed
messages that are right, wrong, and far larger than they look."""

import zlib

from cases import MIB, add, case
from expect import closes, echoes, returns
from frames import fragments
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Fault, close, frame, request, text

BROWSER = "permessage-deflate; client_max_window_bits"
TAIL = b"\x00\x00\xff\xff"


def parameters(element):
    """{name: value or None} of one element of Sec-WebSocket-Extensions."""
    _, *written = (part.strip() for part in element.split(";"))
    return {name.strip(): value.strip().strip('"') if sign else None for name, sign, value in (part.partition("=") for part in written)}


class Compressor:
    """A client's: what RFC 7692 §7.2.1 makes of a message, within what was agreed on."""

    def __init__(self, bits=15, takeover=True):
        self.bits, self.takeover, self.stream = max(bits, 9), takeover, None

    def __call__(self, payload):
        if self.stream is None or not self.takeover:
            self.stream = zlib.compressobj(9, zlib.DEFLATED, -self.bits)
        data = self.stream.compress(payload) + self.stream.flush(zlib.Z_SYNC_FLUSH)
        return data.removesuffix(TAIL)


async def agree(trial, offer=BROWSER):
    """A connection that has agreed on compression, with `peer.compress`."""
    peer = await trial.open(head=request(Sec_WebSocket_Extensions=offer))
    answers = peer.answer.all("sec-websocket-extensions")
    if not answers:
        raise Fault(f"the offer {offer!r} was declined, which this case cannot do without")
    settle(peer, answers)
    return peer


def settle(peer, answers):
    """Sets the peer to what the answer says, which must be one element."""
    if len(answers) != 1 or "," in answers[0]:
        raise Fault(f"the answer accepts more than one offer: {answers} (RFC 7692 §5.1)")
    agreed = parameters(answers[0])
    peer.reader.compression = True
    # A server that keeps to a smaller window is inflated with that window and no larger one, so
    # that one which does not is found out.
    bits = int(agreed.get("server_max_window_bits", 15))
    peer.inflater = Inflater(max(bits, 8), "server_no_context_takeover" in agreed)
    client_bits = int(agreed.get("client_max_window_bits") or 15)
    peer.compress = Compressor(client_bits, "client_no_context_takeover" not in agreed)
    return agreed


class Inflater:
    """A client's, with no more memory than was agreed on."""

    def __init__(self, bits, anew):
        self.bits, self.anew = bits, anew
        self.stream = zlib.decompressobj(-bits)

    def decompress(self, data):
        if self.anew:
            self.stream = zlib.decompressobj(-self.bits)
        return self.stream.decompress(data)


def compressed(peer, payload, opcode=TEXT):
    return frame(opcode, peer.compress(payload), rsv=4)


# --- negotiation -------------------------------------------------------------------------------

NAMES = {"server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits"}


def judge_answer(offers, agreed):
    """RFC 7692 §7.1: whether this answers one of these offers."""
    faults = []
    for offer in offers:
        fault = None
        bits = agreed.get("server_max_window_bits")
        asked = offer.get("server_max_window_bits")
        if set(agreed) - NAMES:
            fault = "it has a parameter that is not defined"
        elif "server_no_context_takeover" in offer and "server_no_context_takeover" not in agreed:
            fault = "it does not confirm server_no_context_takeover (§7.1.1.1)"
        elif asked and (not bits or int(bits) > int(asked)):
            fault = f"it does not keep to server_max_window_bits={asked} (§7.1.2.1)"
        elif "client_max_window_bits" in agreed and "client_max_window_bits" not in offer:
            fault = "it has client_max_window_bits, which was not offered (§7.1.2.2)"
        elif "client_max_window_bits" in agreed and agreed["client_max_window_bits"] is None:
            fault = "its client_max_window_bits has no value (§7.1.2.2)"
        elif offer.get("client_max_window_bits") and int(agreed.get("client_max_window_bits") or 0) > int(offer["client_max_window_bits"]):
            fault = "its client_max_window_bits is larger than the offer's (§7.1.2.2)"
        if fault is None:
            return
        faults.append(fault)
    raise Fault(f"the answer {agreed} fits no offer: {'; '.join(faults)}")


VALID = "RFC 7692 §7.1: an answer confirms what the offer asks for, and both ends keep to it"
PD = "permessage-deflate"
for name, offer in {
    "plain": PD,
    "of-a-browser": BROWSER,
    "of-two": f"{PD}; client_max_window_bits=10, {PD}",
    "server-no-takeover": f"{PD}; server_no_context_takeover",
    "client-no-takeover": f"{PD}; client_no_context_takeover",
    "no-takeover-at-all": f"{PD}; server_no_context_takeover; client_no_context_takeover",
    "server-bits-15": f"{PD}; server_max_window_bits=15",
    "server-bits-12": f"{PD}; server_max_window_bits=12",
    "server-bits-10": f"{PD}; server_max_window_bits=10",
    "server-bits-9": f"{PD}; server_max_window_bits=9",
    "server-bits-8": f"{PD}; server_max_window_bits=8",
    "client-bits-15": f"{PD}; client_max_window_bits=15",
    "client-bits-9": f"{PD}; client_max_window_bits=9",
    "client-bits-8": f"{PD}; client_max_window_bits=8",
    "bits-in-quotes": f'{PD}; server_max_window_bits="10"; client_max_window_bits="11"',
    "all-parameters": f"{PD}; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=12",
    "behind-an-unknown-one": f"x-unknown; a=1, {BROWSER}",
    "behind-a-bad-one": f"{PD}; server_max_window_bits=20, {PD}; server_max_window_bits=10",
}.items():

    async def negotiate(trial, offer=offer):
        peer = await trial.open(head=request(Sec_WebSocket_Extensions=offer))
        answers = peer.answer.all("sec-websocket-extensions")
        if not answers:  # RFC 7692 §5.1: any offer may be declined
            await echoes(peer, "without compression")
            return
        agreed = settle(peer, answers)
        offers = [parameters(one) for one in offer.split(",") if one.strip().startswith(PD)]
        judge_answer([one for one in offers if "20" not in one.values()], agreed)
        # Far apart enough that a window which is too large is made use of, and noticed.
        noise = zlib.compress(offer.encode() * 40) * 12
        for payload in (b"hello", noise, b"hello", b"x" * 70_000, noise, b""):
            await peer.send(compressed(peer, payload, BINARY))
            await returns(peer, payload, BINARY)

    add(f"deflate/offer-{name}", VALID, negotiate)

DECLINE = "RFC 7692 §7: an offer with a parameter that is unknown, invalid or repeated MUST be declined"
for name, offer in {
    "an-unknown-parameter": f"{PD}; x_unknown",
    "server-bits-without-a-value": f"{PD}; server_max_window_bits",
    "server-bits-7": f"{PD}; server_max_window_bits=7",
    "server-bits-16": f"{PD}; server_max_window_bits=16",
    "server-bits-08": f"{PD}; server_max_window_bits=08",
    "server-bits-0": f"{PD}; server_max_window_bits=0",
    "server-bits-256": f"{PD}; server_max_window_bits=266",
    "server-bits-minus": f"{PD}; server_max_window_bits=-10",
    "server-bits-letters": f"{PD}; server_max_window_bits=ten",
    "client-bits-7": f"{PD}; client_max_window_bits=7",
    "client-bits-16": f"{PD}; client_max_window_bits=16",
    "client-bits-08": f"{PD}; client_max_window_bits=08",
    "client-bits-with-a-plus": f"{PD}; client_max_window_bits=+9",
    "server-no-takeover-with-a-value": f"{PD}; server_no_context_takeover=1",
    "client-no-takeover-with-a-value": f"{PD}; client_no_context_takeover=true",
    "a-parameter-twice": f"{PD}; client_no_context_takeover; client_no_context_takeover",
    "two-values-of-one": f"{PD}; server_max_window_bits=10; server_max_window_bits=11",
    "another-extension": "x-webkit-deflate-frame",
}.items():

    async def decline(trial, offer=offer):
        peer = await trial.open(head=request(Sec_WebSocket_Extensions=offer))
        if answers := peer.answer.all("sec-websocket-extensions"):
            raise Fault(f"{offer!r} must be declined, and was answered with {answers}")
        await echoes(peer, "without compression")
        await peer.send(text("hello", rsv=4))
        await closes(peer, (1002,))

    add(f"deflate/declined-{name}", DECLINE, decline)


# --- messages ----------------------------------------------------------------------------------

FAIL = (1007, 1002)
GARBAGE = "RFC 7692 §7.2.2: what cannot be inflated is no message: the connection fails"


def broken(name, rule, make, codes=FAIL, offer=BROWSER, lane="main", **options):
    """A case that agrees on compression, sends what `make` gives, and has the connection fail."""

    async def run(trial):
        peer = await agree(trial, offer)
        await peer.send(compressed(peer, b"hello"))
        await returns(peer, b"hello")
        await peer.send(make(peer), text("sent behind"))
        await closes(peer, codes, patience=10)

    add(f"deflate/{name}", rule, run, lane=lane, **options)


RSV1 = "RFC 7692 §6.1: RSV1 is for the first frame of a message and no other"
broken("rsv1-on-a-continuation", RSV1, lambda p: frame(TEXT, p.compress(b"hello"), fin=False, rsv=4) + frame(CONTINUATION, b"", rsv=4), (1002,))
broken("rsv1-on-a-continuation-of-plain-text", RSV1, lambda p: text("hel", fin=False) + frame(CONTINUATION, b"lo", rsv=4), (1002,))
broken("rsv1-on-a-ping", RSV1, lambda p: frame(PING, b"hello", rsv=4), (1002,))
broken("rsv1-on-a-pong", RSV1, lambda p: frame(PONG, b"hello", rsv=4), (1002,))
broken("rsv1-on-a-close", RSV1, lambda p: close(1000, rsv=4), (1002,))
broken("rsv1-and-rsv2", RSV1, lambda p: frame(TEXT, p.compress(b"hello"), rsv=6), (1002,))
broken("rsv2-alone", RSV1, lambda p: text("hello", rsv=2), (1002,))

for name, payload in {
    "reserved-block-type": b"\x07",
    "letters": b"this is not deflate",
    "ff": b"\xff" * 64,
    "stored-length-that-does-not-fit": b"\x00\x05\x00\x00\x00hello",
    "stored-block-that-is-cut": b"\x00\xff\xff\x00\x00hello",
    "distance-into-nothing": b"\x4b\x04\x7e\xff\x00",
    "bad-code-lengths": b"\x04\xfe\xff\xff\xff\xff\xff\xff\xff",
    "cut-inside-a-block": b"\x05\xe0\x81\x08\x00",
}.items():
    broken(f"garbage-{name}", GARBAGE, lambda p, payload=payload: frame(BINARY, payload, rsv=4))
broken("garbage-in-a-second-fragment", GARBAGE, lambda p: fragments(BINARY, p.compress(b"hello" * 100), b"\xff" * 30).replace(b"\x02", b"\x42", 1))
broken("zlib-instead-of-deflate", GARBAGE, lambda p: frame(BINARY, zlib.compress(b"hello" * 10), rsv=4))
broken("gzip-instead-of-deflate", GARBAGE, lambda p: frame(BINARY, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + zlib.compress(b"hello"), rsv=4))
broken("text-that-inflates-to-no-text", "RFC 6455 §8.1 and RFC 7692 §6.2: text is UTF-8 once inflated", lambda p: compressed(p, b"\xff\xfe" * 20), (1007,))
broken("text-that-inflates-to-a-surrogate", "RFC 6455 §8.1 and RFC 7692 §6.2: text is UTF-8 once inflated", lambda p: compressed(p, b"\xed\xa0\x80"), (1007,))
broken("text-that-inflates-to-a-cut-character", "RFC 6455 §8.1 and RFC 7692 §6.2: text is UTF-8 once inflated", lambda p: compressed(p, b"x" * 500 + b"\xf0\x9f\x98"), (1007,))


def last_block(payload):
    """RFC 7692 §7.2.3.4: a message that ends with a block with BFINAL, and the byte behind it."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return stream.compress(payload) + stream.flush(zlib.Z_FINISH) + b"\x00"


FORMS = "RFC 7692 §7.2.3: a message may be made of any blocks"
for name, payload, data in [
    ("the-rfcs-own", b"Hello", b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
    ("the-rfcs-stored-block", b"Hello", b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
    ("the-rfcs-final-block", b"Hello", b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
    ("the-rfcs-two-blocks", b"Hello", b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
    ("empty-as-one-byte", b"", b"\x00"),
    ("empty-as-02-00", b"", b"\x02\x00"),
    ("many-empty-blocks", b"Hello", b"\x00\x00\x00\xff\xff" * 500 + b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
    ("a-final-block", b"hello hello", last_block(b"hello hello")),
]:

    async def form(trial, payload=payload, data=data):
        for step in (None, 1):
            peer = await agree(trial)
            await peer.send(frame(TEXT, data, rsv=4), step=step)
            await returns(peer, payload)
            await peer.send(frame(TEXT, data[:1], rsv=4, fin=False), frame(CONTINUATION, data[1:]), step=step)
            await returns(peer, payload)

    add(f"deflate/form-{name}", FORMS, form)


@case("deflate/no-bytes-at-all", "RFC 7692 §7.2.2: an empty payload and the tail inflate to nothing; or it fails")
async def no_bytes_at_all(trial):
    peer = await agree(trial)
    await peer.send(frame(TEXT, b"", rsv=4))
    found = await peer.frame("an answer")
    if found is None or found.opcode == CLOSE and found.code not in FAIL or found.opcode != CLOSE and peer_payload(peer, found):
        raise Fault(f"expected an empty message or a Close frame with 1007, and {found or 'the end'} came")


def peer_payload(peer, found):
    return peer.inflated(found.payload) if found.rsv1 else found.payload


@case("deflate/the-tail-left-on", "RFC 7692 §7.2.1: the last four bytes MUST be removed; who leaves them fails or is understood")
async def the_tail_left_on(trial):
    peer = await agree(trial)
    payload = b"hello hello"
    await peer.send(frame(BINARY, peer.compress(payload) + TAIL, rsv=4))
    await fails_or_returns(peer, payload)


@case("deflate/two-messages-of-a-browser", "RFC 7692 §7.1.1.2: a client that was not told otherwise keeps its window over messages")
async def two_messages_of_a_browser(trial):
    peer = await agree(trial)
    for n in range(20):
        payload = b"the same words in every message, " * 5 + str(n).encode()
        await peer.send(compressed(peer, payload))
        await returns(peer, payload)


@case("deflate/plain-and-compressed-in-turn", "RFC 7692 §6: each message is compressed or not")
async def plain_and_compressed(trial):
    peer = await agree(trial)
    for n in range(10):
        payload = f"number {n}, number {n}".encode()
        await echoes(peer, payload)
        await peer.send(compressed(peer, payload))
        await returns(peer, payload)


@case("deflate/fragments-with-pings-between", "RFC 7692 §6.1: a compressed message may be in fragments of any size")
async def compressed_fragments(trial):
    peer, payload = await agree(trial), b"fragments of a compressed message " * 30
    data = peer.compress(payload)
    parts = [frame(TEXT if n == 0 else CONTINUATION, data[n : n + 1], fin=False, rsv=4 if n == 0 else 0) + frame(PING, b"p") for n in range(len(data))]
    await peer.send(*parts, frame(CONTINUATION))
    await returns(peer, payload)


@case("deflate/a-window-that-was-given-up", "RFC 7692 §7.1.1.2: who promised no takeover and refers back fails or is understood")
async def a_window_that_was_given_up(trial):
    peer = await agree(trial, f"{PD}; client_no_context_takeover")
    peer.compress = Compressor(15, takeover=True)
    payload = bytes(range(200)) * 2
    await peer.send(compressed(peer, payload, BINARY))
    await returns(peer, payload, BINARY)
    await peer.send(compressed(peer, payload, BINARY))
    await fails_or_returns(peer, payload)


@case("deflate/a-window-larger-than-agreed", "RFC 7692 §7.1.2.2: who refers farther back than agreed fails or is understood")
async def a_window_larger_than_agreed(trial):
    peer = await agree(trial, f"{PD}; client_max_window_bits=9")
    if peer.compress.bits == 15:
        return  # The server did not ask for a small one.
    payload = zlib.compress(bytes(range(256)) * 100, 0)[:12_000]
    peer.compress = Compressor(15)
    await peer.send(compressed(peer, payload, BINARY))
    await fails_or_returns(peer, payload)


async def fails_or_returns(peer, payload):
    found = await peer.frame("an answer")
    if found and found.opcode == CLOSE and found.code in FAIL:
        return
    if not found or found.opcode != BINARY or peer_payload(peer, found) != payload:
        raise Fault(f"expected the echo or a Close frame with 1007, and {found or 'the end'} came")


# --- bombs -------------------------------------------------------------------------------------

BOMB = "RFC 6455 §10.4: a limit on the message is one on what it inflates to; §7.4.1: 1009"


def bomb(megabytes):
    """So many MiB of zeros in about as many KiB."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = stream.compress(bytes(MIB)) + stream.flush(zlib.Z_FULL_FLUSH)
    return (piece * megabytes).removesuffix(TAIL)


def bomb_in_fragments(size):
    data = bomb(size)
    first = frame(BINARY, data[:1000], rsv=4, fin=False)
    rest = [frame(CONTINUATION, data[n : n + 1000], fin=False) for n in range(1000, len(data), 1000)]
    return first + b"".join(rest) + frame(CONTINUATION)


broken("bomb-of-300-mib", BOMB, lambda p: frame(BINARY, bomb(300), rsv=4), (1009,), memory=72 * MIB)
broken("bomb-of-300-mib-in-fragments", BOMB, lambda p: bomb_in_fragments(300), (1009,), memory=72 * MIB)
broken("bomb-of-2-mib-where-1-is-the-limit", BOMB, lambda p: frame(BINARY, bomb(2), rsv=4), (1009,), lane="small")
broken("bomb-of-300-mib-where-1-is-the-limit", BOMB, lambda p: frame(BINARY, bomb(300), rsv=4), (1009,), lane="small")
broken("bomb-of-text", BOMB, lambda p: frame(TEXT, bomb(80), rsv=4), (1009,), lane="small")
broken("bomb-behind-empty-blocks", BOMB, lambda p: frame(BINARY, b"\x00\x00\x00\xff\xff" * 10_000 + bomb(80), rsv=4), (1009,), lane="small")


@case("deflate/fifty-bombs-at-once", BOMB, lane="small", memory=64 * MIB, limit=40)
async def fifty_bombs(trial):
    data = frame(BINARY, bomb(40), rsv=4)
    peers = await trial.many(50, lambda: agree(trial))
    for peer in peers:
        peer.patience = 20
        await peer.send(data)
    for peer in peers:
        await closes(peer, (1009,))


@case("deflate/a-message-at-the-limit", BOMB, lane="small", memory=16 * MIB)
async def a_message_at_the_limit(trial):
    peer, payload = await agree(trial), bytes(MIB)
    await peer.send(compressed(peer, payload, BINARY))
    await returns(peer, payload, BINARY)
    await peer.send(compressed(peer, payload + b"x", BINARY))
    await closes(peer, (1009,))
