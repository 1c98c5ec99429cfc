"""What a right server does, as judgements that the groups share. Each reads what came from a peer
and raises a Fault that says what was expected. The socket is peer.py's, the bytes are wire.py's."""

import re

from wire import CLOSE, PONG, STANDARD, TEXT, Fault, accept_value, frame, shown

CLIENT_ERROR = frozenset(range(400, 500))
ERROR = frozenset(range(400, 600))
HUNG_UP = None  # an end without an answer

END = 2.0  # seconds until a server that is done with a connection has ended it


async def answer(peer, head, allowed):
    """Judges the answer to a head that was sent: its status is one of `allowed`, and all that belongs
    to such an answer is there. After 101 the connection works. Returns the answer."""
    response = await peer.response()
    status = response and response.status
    if status not in allowed:
        said = "the end without an answer" if response is None else status
        body = "" if response is None or status == 101 else f": {shown(await peer.rest())}"
        raise Fault(f"expected {among(allowed)}, and {said} came{body}")
    if status == 101:
        judge_upgrade(response, head)
        await echoes(peer, "is anybody there?")
    elif response is not None:
        await judge_refusal(peer, response, head)
    return response


def among(allowed):
    """A set of statuses in words."""
    if CLIENT_ERROR <= allowed:
        rest = allowed - CLIENT_ERROR
        words = ["a status from 400 to 499"] if not ERROR <= allowed else ["a status from 400 to 599"]
        words += [] if ERROR <= allowed else sorted(str(one) for one in rest if one)
    else:
        words = sorted(str(one) for one in allowed if one)
    return " or ".join(words + (["the end"] if HUNG_UP in allowed else []))


def offered(head, name):
    """What a request offers in a list: the first word of each element."""
    lines = re.findall(rb"(?im)^" + name + rb":([^\r]*)", head)
    elements = [part.split(b";")[0].strip() for line in lines for part in line.split(b",")]
    return [part.decode("latin-1") for part in elements if part]


def judge_upgrade(response, head):
    """RFC 6455 §4.2.2, and what RFC 9110 and 9112 forbid in a 101."""
    if (response.one("upgrade") or "").lower() != "websocket":
        raise Fault("the 101 has no Upgrade: websocket (RFC 6455 §4.2.2, 5)")
    if "upgrade" not in response.tokens("connection"):
        raise Fault("the 101 has no Connection: Upgrade (RFC 6455 §4.2.2, 5)")
    key = re.search(rb"(?i)\nsec-websocket-key:[ \t]*(.*?)[ \t]*\r", head)
    expected = accept_value(key[1].decode() if key else STANDARD["Sec-WebSocket-Key"])
    if (found := response.one("sec-websocket-accept")) != expected:
        raise Fault(f"Sec-WebSocket-Accept is {found} and must be {expected} (RFC 6455 §4.2.2, 5)")
    for name in ("content-length", "transfer-encoding"):
        if response.all(name):
            raise Fault(f"the 101 has {name} (RFC 9110 §8.6, RFC 9112 §6.1)")
    chosen = response.one("sec-websocket-protocol")
    if chosen is not None and chosen not in offered(head, b"sec-websocket-protocol"):
        raise Fault(f"the subprotocol {chosen!r} was not offered (RFC 6455 §4.2.2, 4)")
    asked = [name.lower() for name in offered(head, b"sec-websocket-extensions")]
    for value in response.all("sec-websocket-extensions"):
        for name in value.split(","):
            if name.split(";")[0].strip().lower() not in asked:
                raise Fault(f"the extension {name.strip()!r} was not offered (RFC 6455 §4.2.2, 4)")


async def judge_refusal(peer, response, head):
    """A refusal is whole, ends the connection, and nothing comes behind it."""
    if response.all("sec-websocket-accept"):
        raise Fault(f"a {response.status} has Sec-WebSocket-Accept (RFC 6455 §4.2.2)")
    if response.status == 405 and not response.all("allow"):
        raise Fault("a 405 has no Allow (RFC 9110 §15.5.6)")
    if response.status == 426 and not response.all("upgrade"):
        raise Fault("a 426 has no Upgrade (RFC 9110 §15.5.22)")
    body = await peer.rest()
    length = response.one("content-length")
    if head.startswith(b"HEAD "):
        if body:
            raise Fault(f"the answer to HEAD has the content {shown(body)} (RFC 9110 §9.3.2)")
    elif length is not None and len(body) != int(length):
        raise Fault(f"Content-Length is {length}, and {len(body)} bytes came: {shown(body)} (RFC 9112 §6.3)")


async def echoes(peer, payload, opcode=TEXT, **options):
    """A message comes back as it was, and as what it was."""
    data = payload.encode() if isinstance(payload, str) else payload
    await peer.send(frame(opcode, data, **options))
    await returns(peer, data, opcode)


async def returns(peer, data, opcode=TEXT, patience=None):
    """This message comes next."""
    found, payload = await peer.message(f"the echo of {shown(data)}", patience)
    if found != opcode or payload != data:
        raise Fault(f"expected the echo {opcode:#x} {shown(data)}, and {found:#x} {shown(payload)} came")


async def pongs(peer, payload):
    """The next frame is the pong to this ping (RFC 6455 §5.5.2 and §5.5.3)."""
    found = await peer.frame("a pong")
    if found is None or found.opcode != PONG or found.payload != payload:
        raise Fault(f"expected the pong {shown(payload)}, and {found or 'the end'} came")


async def closes(peer, codes, before=(), patience=None):
    """The server sends a Close frame with one of `codes`, None for one without, and ends the TCP
    connection first (RFC 6455 §7.1.1), with nothing in between. `before` are payloads of messages or
    pongs that may come first."""
    while True:
        found = await peer.frame("a Close frame", patience)
        if found is None:
            raise Fault(f"expected a Close frame with {codes_in_words(codes)}, and the end came")
        if found.opcode == CLOSE:
            break
        if found.payload not in before:
            raise Fault(f"expected a Close frame with {codes_in_words(codes)}, and {found} came")
    if found.code not in codes:
        raise Fault(f"expected a Close frame with {codes_in_words(codes)}, and {found} came")
    await ends(peer)
    return found


async def ends(peer, patience=END):
    """The server ends the connection, and no frame comes any more."""
    while found := await peer.frame("the connection's end", patience):
        raise Fault(f"expected the connection's end, and {found} came")


def codes_in_words(codes):
    return " or ".join("no code" if code is None else str(code) for code in codes)
