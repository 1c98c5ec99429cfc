"""Requests that two readers understand differently, and heads without end: what RFC 9112 says of
framing, lines and sizes, applied to the opening handshake and to plain requests beside it."""

from cases import MIB, add, case
from expect import CLIENT_ERROR, ERROR, HUNG_UP, answer
from handshake import BAD_REQUEST, OPENS
from wire import STANDARD, Fault, read_response, request, shown, text

KEY_LINE = f"Sec-WebSocket-Key: {STANDARD['Sec-WebSocket-Key']}"
# Behind what is refused there is always this: a second request, and a frame. Neither may be answered.
BEHIND = request() + text("smuggled")


def judged(name, rule, allowed, head):
    """A case that sends a request and judges the answer, sent whole and byte by byte."""

    async def run(trial):
        peer = await trial.connect()
        await peer.send(head, b"" if 101 in allowed else BEHIND)
        await answer(peer, head, allowed)
        peer.close()
        if len(head) < 2000:
            peer = await trial.connect()
            await peer.send(head, step=1)
            await answer(peer, head, allowed)

    add(f"smuggling/{name}", rule, run)


def line(text):
    """The handshake with this line at its end."""
    return request(add=[text])


LENGTH = "RFC 9112 §6.3: a message with an invalid Content-Length is answered with 400"
BOTH = "RFC 9112 §6.3: Content-Length beside Transfer-Encoding ought to be handled as an error"
CODING = "RFC 9112 §6.3: Transfer-Encoding without chunked as its last is answered with 400"
BODY = "RFC 6455 §4.1: the handshake is a GET without content; what follows it are frames"

for name, rule, allowed, head in [
    ("two-lengths", LENGTH, BAD_REQUEST, request(Content_Length=["5", "6"])),
    ("two-lengths-in-a-list", LENGTH, BAD_REQUEST, request(Content_Length="5, 6")),
    ("length-with-a-minus", LENGTH, BAD_REQUEST, request(Content_Length="-5")),
    ("length-with-a-plus", LENGTH, BAD_REQUEST, request(Content_Length="+5")),
    ("length-in-hexadecimal", LENGTH, BAD_REQUEST, request(Content_Length="0x5")),
    ("length-with-a-blank-inside", LENGTH, BAD_REQUEST, request(Content_Length="5 5")),
    ("length-with-a-point", LENGTH, BAD_REQUEST, request(Content_Length="5.0")),
    ("length-of-40-digits", LENGTH, BAD_REQUEST, request(Content_Length="9" * 40)),
    ("empty-length", LENGTH, BAD_REQUEST, request(Content_Length="")),
    ("length-0-and-5", LENGTH, BAD_REQUEST, request(Content_Length=["0", "5"])),
    ("length-and-chunked", BOTH, CLIENT_ERROR, request(Content_Length="5", Transfer_Encoding="chunked")),
    ("chunked-and-length-0", BOTH, CLIENT_ERROR, request(Transfer_Encoding="chunked", Content_Length="0")),
    ("a-body-with-length", BODY, CLIENT_ERROR, request(Content_Length="5")),
    ("a-chunked-body", BODY, CLIENT_ERROR, request(Transfer_Encoding="chunked")),
    ("coding-identity", CODING, ERROR, request(Transfer_Encoding="identity")),
    ("coding-unknown", CODING, ERROR, request(Transfer_Encoding="xchunked")),
    ("coding-chunked-not-last", CODING, ERROR, request(Transfer_Encoding="chunked, identity")),
    ("coding-chunked-twice", CODING, ERROR, request(Transfer_Encoding=["chunked", "chunked"])),
    ("coding-behind-a-vertical-tab", CODING, ERROR, request(Transfer_Encoding=b"\x0bchunked")),
    ("coding-in-http-1.0", "RFC 9112 §6.1: in HTTP/1.0 it MUST be treated as faulty framing", ERROR, request("GET /echo HTTP/1.0", Transfer_Encoding="chunked")),
]:
    judged(name, rule, allowed, head)

HOST = "RFC 9112 §3.2: no Host, two, or an invalid one MUST be answered with 400"

for name, head in [
    ("no-host", request(Host=None)),
    ("two-hosts", request(Host=["localhost", "other.example"])),
    ("the-same-host-twice", request(Host=["localhost", "localhost"])),
    ("host-with-a-blank", request(Host="local host")),
    ("host-with-a-path", request(Host="localhost/a")),
    ("host-with-a-user", request(Host="user@localhost")),
    ("host-with-a-scheme", request(Host="http://localhost")),
    ("host-with-letters-for-a-port", request(Host="localhost:http")),
    ("host-with-two-ports", request(Host="localhost:80:80")),
    ("host-with-an-open-bracket", request(Host="[::1")),
    ("host-with-a-query", request(Host="localhost?a")),
    ("host-with-bytes", request(Host=b"local\xffhost")),
]:
    judged(name, HOST, BAD_REQUEST, head)
judged("host-empty", "RFC 6455 §4.2.1, 2: Host with the server's authority; RFC 9110 §7.2 lets it be empty", OPENS | CLIENT_ERROR, request(Host=""))

COLON = "RFC 9112 §5.1: whitespace between a name and its colon MUST be answered with 400"
NAME = "RFC 9112 §5: a header is a name that is a token, a colon, and a value"
FOLD = "RFC 9112 §5.2: folding MUST be answered with 400 or replaced by spaces"
FIRST = "RFC 9112 §2.2: whitespace before the first header MUST be refused or its lines ignored"
CR = "RFC 9112 §2.2: a CR without LF is invalid, or is replaced by a space"
LF = "RFC 9112 §2.2: a LF without CR MAY end a line"
CONTROL = "RFC 9110 §5.5: NUL, CR and LF in a value MUST be refused or replaced by spaces"
FRAMING = "RFC 9110 §5.5 and RFC 9112 §6.3: with the control character it is no number, replaced or not"

for name, rule, allowed, head in [
    ("blank-before-a-colon", COLON, BAD_REQUEST, line("X-Header : 1")),
    ("tab-before-a-colon", COLON, BAD_REQUEST, line("X-Header\t: 1")),
    ("blank-before-the-colon-of-coding", COLON, BAD_REQUEST, line("Transfer-Encoding : chunked")),
    ("blank-before-the-colon-of-host", COLON, BAD_REQUEST, request(Host=None, add=["Host : localhost"])),
    ("name-with-a-blank", NAME, BAD_REQUEST, line("X Header: 1")),
    ("key-with-a-name-of-three-words", NAME, BAD_REQUEST, request(Sec_WebSocket_Key=None, add=[KEY_LINE.replace("-", " ", 2)])),
    ("no-name", NAME, BAD_REQUEST, line(": 1")),
    ("no-colon", NAME, BAD_REQUEST, line("X-Header")),
    ("name-in-parentheses", NAME, BAD_REQUEST, line("(X-Header): 1")),
    ("name-with-bytes", NAME, BAD_REQUEST, line(b"X-H\xc3\xa9ader: 1")),
    ("name-with-a-nul", NAME, BAD_REQUEST, line(b"X-He\0ader: 1")),
    ("name-with-a-slash", NAME, BAD_REQUEST, line("X/Header: 1")),
    ("folded-unknown-header", FOLD, OPENS | BAD_REQUEST, line("X-Header: 1\r\n 2")),
    ("folded-upgrade", FOLD, OPENS | BAD_REQUEST, request(Upgrade="\r\n websocket")),
    ("folded-with-a-tab", FOLD, OPENS | BAD_REQUEST, line("X-Header: 1\r\n\t2")),
    ("folded-coding", FOLD, CLIENT_ERROR, line("Transfer-Encoding:\r\n chunked")),
    ("folded-line-of-blanks", FOLD, OPENS | BAD_REQUEST, line("X-Header: 1\r\n ")),
    ("blank-before-the-first-header", FIRST, OPENS | BAD_REQUEST, request().replace(b"\r\nHost", b"\r\n X: 1\r\nHost", 1)),
    ("nul-in-a-value", CONTROL, OPENS | BAD_REQUEST, line(b"X-Header: a\0b")),
    ("nul-in-the-key", CONTROL, BAD_REQUEST, request(Sec_WebSocket_Key=b"dGhlIHNhbXBs\0SBub25jZQ==")),
    ("nul-in-the-host", CONTROL, BAD_REQUEST, request(Host=b"local\0host")),
    ("nul-in-a-length", FRAMING, BAD_REQUEST, line(b"Content-Length: 1\x000")),
    ("escape-in-a-value", "RFC 9110 §5.5: other control characters are invalid, and MAY be kept where they are safe", OPENS | BAD_REQUEST, line(b"X-Header: \x1b[31m")),
    ("delete-in-a-value", "RFC 9110 §5.5: other control characters are invalid, and MAY be kept where they are safe", OPENS | BAD_REQUEST, line(b"X-Header: \x7f")),
    ("cr-in-a-value", CR, OPENS | BAD_REQUEST, line(b"X-Header: a\rb")),
    ("cr-that-hides-a-header", CR, OPENS | BAD_REQUEST, line(b"X-Header: a\rTransfer-Encoding: chunked")),
    ("cr-alone-ends-a-line", CR, BAD_REQUEST, request().replace(b"localhost\r\n", b"localhost\r", 1)),
    ("cr-cr-lf-ends-a-line", CR, OPENS | BAD_REQUEST, request().replace(b"localhost\r\n", b"localhost\r\r\n", 1)),
    ("cr-in-the-request-line", CR, BAD_REQUEST, request(b"GET /echo\r HTTP/1.1")),
    ("lf-ends-a-line", LF, OPENS | BAD_REQUEST, request().replace(b"localhost\r\n", b"localhost\n", 1)),
    ("lf-ends-all-lines", LF, OPENS | BAD_REQUEST, request().replace(b"\r\n", b"\n") + b"\r\n\r\n"),
    ("lf-in-a-value", LF, OPENS | BAD_REQUEST, line(b"X-Header: a\nX-Other: b")),
    ("lf-that-hides-a-coding", "RFC 9112 §2.2 and §6.3: it is a line of its own, or refused", CLIENT_ERROR, line(b"X-Header: a\nTransfer-Encoding: chunked")),
]:
    judged(name, rule, allowed, head)

LINE = "RFC 9112 §3: an invalid request line is answered with 400 or a redirect"
TARGET = "RFC 9112 §3.2: the request target has one of four forms, each for its methods"

for name, rule, allowed, first in [
    ("two-blanks-in-the-line", LINE, OPENS | BAD_REQUEST, "GET  /echo HTTP/1.1"),
    ("tabs-in-the-line", LINE, OPENS | BAD_REQUEST, "GET\t/echo\tHTTP/1.1"),
    ("a-blank-before-the-line", LINE, OPENS | BAD_REQUEST, " GET /echo HTTP/1.1"),
    ("a-blank-behind-the-line", LINE, OPENS | BAD_REQUEST, "GET /echo HTTP/1.1 "),
    ("a-blank-in-the-target", LINE, BAD_REQUEST, "GET /echo /echo HTTP/1.1"),
    ("no-target", LINE, BAD_REQUEST, "GET HTTP/1.1"),
    ("no-version", LINE, BAD_REQUEST, "GET /echo"),
    ("version-in-lower-case", LINE, ERROR, "GET /echo http/1.1"),
    ("version-with-three-numbers", LINE, ERROR, "GET /echo HTTP/1.1.1"),
    ("version-with-one-number", LINE, ERROR, "GET /echo HTTP/1"),
    ("version-of-two-digits", LINE, ERROR, "GET /echo HTTP/1.10"),
    ("version-of-another-protocol", LINE, ERROR, "GET /echo HTTPS/1.1"),
    ("method-with-bytes", LINE, ERROR, b"G\xc9T /echo HTTP/1.1"),
    ("nul-in-the-line", LINE, BAD_REQUEST, b"GET /ec\0ho HTTP/1.1"),
    ("nothing-but-the-target", LINE, BAD_REQUEST, "/echo"),
    ("target-with-a-fragment", TARGET, CLIENT_ERROR, "GET /echo#part HTTP/1.1"),
    ("target-with-bytes", TARGET, CLIENT_ERROR, b"GET /\xc3\xa9cho HTTP/1.1"),
    ("target-that-is-an-asterisk", TARGET, CLIENT_ERROR, "GET * HTTP/1.1"),
    ("target-that-is-an-authority", TARGET, CLIENT_ERROR, "GET localhost:9998 HTTP/1.1"),
    ("target-without-a-slash", TARGET, CLIENT_ERROR, "GET echo HTTP/1.1"),
    ("target-of-another-scheme", TARGET, CLIENT_ERROR, "GET ftp://localhost/echo HTTP/1.1"),
    ("target-without-a-host", TARGET, CLIENT_ERROR, "GET http:///echo HTTP/1.1"),
    ("target-with-a-broken-percent", TARGET, CLIENT_ERROR, "GET /echo%zz HTTP/1.1"),
]:
    judged(name, rule, allowed, request(first))


# --- plain requests: the same connection code stands in front of them ---------------------------


def statuses(data):
    """The status of each answer in all that came."""
    found = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            raise Fault(f"what came ends with {shown(data)}, which is no answer")
        response = read_response(head + separator)
        found.append(response.status)
        data = rest[int(response.one("content-length") or 0) :] if response.status >= 200 else b""
    return found


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"

for name, rule, allowed, bytes_sent in [
    ("plain-get", "RFC 9112 §9.3: it is answered", [[200]], HEALTH + b"\r\n"),
    ("plain-two-lengths", LENGTH, [[400]], b"POST" + HEALTH[3:] + b"Content-Length: 5\r\nContent-Length: 500\r\n\r\nhello"),
    ("plain-length-and-chunked", BOTH, [[400]], b"POST" + HEALTH[3:] + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + request()),
    ("plain-bad-chunk", "RFC 9112 §7.1: a chunk begins with its size", [[400], [405], []], b"POST" + HEALTH[3:] + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + request()),
    ("plain-body-that-is-a-handshake", "RFC 9112 §6.3: content is no request", [[405], [405, 400], [200]], b"POST" + HEALTH[3:] + f"Content-Length: {len(request())}\r\n\r\n".encode() + request()),
    ("plain-get-with-a-body-that-is-a-handshake", "RFC 9112 §6.3: content is no request", [[200]], HEALTH + f"Content-Length: {len(request())}\r\n\r\n".encode() + request()),
    ("plain-without-host", HOST, [[400]], b"GET /healthz HTTP/1.1\r\n\r\n"),
    ("plain-folded", FOLD, [[400], [200]], HEALTH + b"X: 1\r\n 2\r\n\r\n"),
]:

    async def plain(trial, bytes_sent=bytes_sent, allowed=allowed):
        peer = await trial.connect()
        await peer.send(bytes_sent)
        peer.half_close()
        found = statuses(await peer.rest())
        if found not in allowed:
            raise Fault(f"expected answers with {' or '.join(map(str, allowed))}, and {found} came")

    add(f"smuggling/{name}", rule, plain)


@case("smuggling/plain-then-handshake", "RFC 9112 §9.3.2: pipelined requests are answered in order, or not at all")
async def plain_then_handshake(trial):
    peer = await trial.connect()
    await peer.send(HEALTH, b"\r\n", request())
    peer.half_close()
    found = statuses(await peer.rest())
    if found not in ([200], [200, 101]):
        raise Fault(f"expected the answer 200, and perhaps 101 behind it, and {found} came")


# --- sizes -------------------------------------------------------------------------------------

TOO_LARGE = "RFC 6585 §5: heads that are too large are refused with 431"
TOO_LONG = "RFC 9112 §3: a target that is longer than is wanted MUST be answered with 414"


async def flood(trial, start, piece, allowed):
    """Sends `start` and then `piece` again and again: it is answered, and costs little CPU."""
    peer, before = await trial.connect(), trial.server.cpu()
    await peer.send(start)
    await peer.push(piece, seconds=0.5)
    response = await peer.response()
    status = response and response.status
    if status not in allowed:
        raise Fault(f"the answer was {status or 'the end'}")
    spent = trial.server.cpu() - before
    if spent > 1.0:
        raise Fault(f"the server spent {spent:.2f} s of CPU on one head")


for name, rule, allowed, start, piece in [
    ("one-header-without-end", TOO_LARGE, {431, 400, HUNG_UP}, request()[:-2] + b"X-Long: ", b"x" * 65536),
    ("headers-without-end", TOO_LARGE, {431, 400, HUNG_UP}, request()[:-2], b"X-Some: 1\r\n" * 4096),
    ("a-target-without-end", TOO_LONG, {414, 400, HUNG_UP}, b"GET /", b"x" * 65536),
    ("a-method-without-end", "RFC 9112 §3: a method that is too long SHOULD be answered with 501", {501, 400, 405, 414, 431, HUNG_UP}, b"", b"G" * 65536),
    ("a-name-without-end", TOO_LARGE, {431, 400, HUNG_UP}, request()[:-2] + b"X", b"x" * 65536),
    ("empty-lines-without-end", "RFC 9112 §2.2: at least one is ignored, not any number", {400, 431, HUNG_UP}, b"", b"\r\n" * 4096),
]:

    async def without_end(trial, start=start, piece=piece, allowed=allowed):
        await flood(trial, start, piece, allowed)

    add(f"smuggling/{name}", rule, without_end, memory=4 * MIB)

judged("a-header-of-20000-bytes", TOO_LARGE, CLIENT_ERROR, line("X-Long: " + "x" * 20_000))
judged("a-target-of-20000-bytes", TOO_LONG, frozenset({414}), request(f"GET /echo?{'x' * 20_000} HTTP/1.1"))
judged("a-thousand-headers", TOO_LARGE, CLIENT_ERROR, request(add=[f"X-{n}: {n}" for n in range(1000)]))
judged("a-thousand-equal-headers", TOO_LARGE, CLIENT_ERROR, request(add=["X: 1"] * 1000))


@case("smuggling/a-head-byte-by-byte-is-not-quadratic", "RFC 9112 §2.2: a head is read once, in whatever pieces it comes")
async def a_head_byte_by_byte(trial):
    head = request(add=["Cookie: " + "x" * 12_000])
    peer, before = await trial.connect(), trial.server.cpu()
    await peer.send(head, step=1)
    await answer(peer, head, OPENS | CLIENT_ERROR)
    spent = trial.server.cpu() - before
    if spent > 2.0:
        raise Fault(f"the server spent {spent:.2f} s of CPU on a head of {len(head)} bytes")
