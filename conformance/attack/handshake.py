"""The opening handshake: which requests become a WebSocket, and which never do (RFC 6455 §4.2). What
makes two readers of one request disagree stands in smuggling.py."""

from cases import add, case
from expect import CLIENT_ERROR, ERROR, HUNG_UP, answer, echoes, returns
from wire import STANDARD, Fault, header, masked, new_key, request, text

KEY = STANDARD["Sec-WebSocket-Key"]
OPENS = frozenset({101})
BAD_REQUEST = frozenset({400})


def judged(name, rule, allowed, head, **options):
    """A case that sends a request and judges the answer, sent whole and byte by byte."""

    async def run(trial):
        for step in (None, 1) if len(head) < 1000 else (None,):
            peer = await trial.connect()
            await peer.send(head, step=step)
            await answer(peer, head, allowed)
            peer.close()

    add(f"handshake/{name}", rule, run, **options)


def reversed_head():
    first, *lines = request().removesuffix(b"\r\n\r\n").split(b"\r\n")
    return b"\r\n".join([first, *reversed(lines)]) + b"\r\n\r\n"


UPPER = "RFC 9110 §5.1: field names are case-insensitive"
LIST = "RFC 9110 §5.6.1: a list may stand on several lines, and its empty elements are ignored"
TOKEN = "RFC 6455 §4.2.1: compared as an ASCII case-insensitive value"

for name, rule, head in [
    ("the-rfcs-own", "RFC 6455 §4.2.2: a right handshake is answered with 101", request()),
    ("lower-case-names", UPPER, request().lower().replace(KEY.lower().encode(), KEY.encode()).replace(b"get", b"GET").replace(b"http", b"HTTP")),
    ("upper-case-names", UPPER, request(add=["ORIGIN: http://localhost"]).replace(b"Sec-WebSocket-", b"SEC-WEBSOCKET-")),
    ("upgrade-in-capitals", f"{TOKEN}: websocket", request(Upgrade="WEBSOCKET")),
    ("upgrade-in-mixed-case", f"{TOKEN}: websocket", request(Upgrade="WebSocket")),
    ("upgrade-in-a-list", "RFC 9110 §7.8: Upgrade is a list of protocols", request(Upgrade="h2c, websocket")),
    ("upgrade-on-two-lines", LIST, request(Upgrade=["h2c", "websocket"])),
    ("connection-in-lower-case", f"{TOKEN}: Upgrade", request(Connection="upgrade")),
    ("connection-in-capitals", f"{TOKEN}: Upgrade", request(Connection="UPGRADE")),
    ("connection-of-firefox", "RFC 6455 §4.2.1, 4: Connection includes the token Upgrade", request(Connection="keep-alive, Upgrade")),
    ("connection-with-upgrade-first", "RFC 6455 §4.2.1, 4: Connection includes the token Upgrade", request(Connection="Upgrade, keep-alive")),
    ("connection-on-two-lines", LIST, request(Connection=["keep-alive", "Upgrade"])),
    ("connection-with-empty-elements", LIST, request(Connection=",, Upgrade ,")),
    ("connection-without-blanks", LIST, request(Connection="keep-alive,Upgrade,foo")),
    ("no-blank-behind-colons", "RFC 9112 §5.1: whitespace around a value is optional", request().replace(b": ", b":")),
    ("blanks-around-values", "RFC 9112 §5.1: whitespace around a value is not part of it", request(Upgrade=" \t websocket \t", Sec_WebSocket_Key=f"\t{KEY}  ", Sec_WebSocket_Version=" 13 ")),
    ("headers-in-reverse", "RFC 6455 §4.2.1: the order of header fields is not significant", reversed_head()),
    ("a-query", "RFC 6455 §3: the resource name has a query", request("GET /echo?a=b&c=/d? HTTP/1.1")),
    ("absolute-form", "RFC 9112 §3.2.2: a server MUST accept the absolute form", request("GET http://localhost/echo HTTP/1.1")),
    ("absolute-form-beside-another-host", "RFC 9112 §3.2.2: a server MUST ignore Host where the target has one", request("GET http://localhost/echo HTTP/1.1", Host="other.example")),
    ("host-with-port", "RFC 6455 §4.2.1, 2: Host with the server's authority", request(Host="localhost:9998")),
    ("host-of-ipv6", "RFC 9110 §7.2: Host is a host and a port", request(Host="[::1]:80")),
    ("unknown-headers", "RFC 6455 §4.2.1: all other header fields are ignored when unknown", request(add=["X-One: 1", "Cookie: a=b; c=d", "User-Agent: ?", "X-Empty:", "Sec-WebSocket-Nonsense: 1"])),
    ("fifty-headers", "RFC 6455 §4.2.1: all other header fields are ignored when unknown", request(add=[f"X-{n}: {n}" for n in range(50)])),
    ("unknown-extension", "RFC 6455 §4.2.2, 4: an extension that is unknown is not in the answer", request(Sec_WebSocket_Extensions="x-mux; n=1, x-other")),
    ("extension-parameter-in-quotes", "RFC 6455 §9.1: a value may be a quoted string", request(Sec_WebSocket_Extensions='x-mux; n="1"')),
    ("unknown-subprotocol", "RFC 6455 §4.2.2, 4: without a subprotocol agreed on there is none in the answer", request(Sec_WebSocket_Protocol="v9.nobody-speaks")),
    ("subprotocols-on-two-lines", LIST, request(Sec_WebSocket_Protocol=["v9.nobody-speaks", "echo-protocol"])),
    ("an-empty-line-first", "RFC 9112 §2.2: a server SHOULD ignore an empty line before the request", b"\r\n" + request()),
    ("target-of-8000-bytes", "RFC 9112 §3: request lines of 8000 bytes are to be supported", request(f"GET /echo?{'x' * 7980} HTTP/1.1")),
]:
    judged(name, rule, OPENS, head)

# What an RFC leaves to the server: it may open or refuse, and must do it in a right way.
for name, rule, head in [
    ("http-1.2", "RFC 9110 §2.5: a higher minor version is processed as the highest that is known, or 505", request("GET /echo HTTP/1.2")),
    ("key-with-spare-bits", "RFC 4648 §3.5: an implementation MAY refuse padding bits that are not 0", request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZR==")),
    ("origin-null", "RFC 6455 §4.2.2, 4: an origin that is not wanted is refused with 403", request(Origin="null")),
    ("origin-of-somebody-else", "RFC 6455 §4.2.2, 4: an origin that is not wanted is refused with 403", request(Origin="https://evil.example")),
    ("percent-encoded-path", "RFC 3986 §6.2.2.2: %65 and e are the same, normalised or not", request("GET /%65cho HTTP/1.1")),
    ("a-path-with-dots", "RFC 3986 §6.2.2.3: dot segments may be resolved or not", request("GET /nothing/../../echo HTTP/1.1")),
    ("obs-text-in-a-value", "RFC 9110 §5.5: a recipient SHOULD treat other bytes as opaque", request(add=[b"X-Bytes: \x80\xfe\xff"])),
    ("content-length-0", "RFC 9112 §6.3: a body of 0 bytes is none", request(Content_Length="0")),
    ("empty-subprotocol-elements", LIST, request(Sec_WebSocket_Protocol="a,,b")),
    ("a-subprotocol-twice", "RFC 6455 §4.1, 10: the client's elements MUST all be unique", request(Sec_WebSocket_Protocol="a, a")),
    ("origin-twice", "RFC 6454 §7.3: a user agent MUST NOT send more than one Origin", request(Origin=["http://localhost", "https://evil.example"])),
]:
    judged(name, rule, OPENS | ERROR, head)

MUST_KEY = "RFC 6455 §4.2.1, 5: the key is base64 that decodes to 16 bytes"
MUST_VERSION = "RFC 6455 §4.2.1, 6: the version is 13"
MUST_UPGRADE = "RFC 6455 §4.2.1, 3: Upgrade has the value websocket"
MUST_CONNECTION = "RFC 6455 §4.2.1, 4: Connection includes the token Upgrade"

for name, rule, head in [
    ("no-upgrade", MUST_UPGRADE, request(Upgrade=None)),
    ("empty-upgrade", MUST_UPGRADE, request(Upgrade="")),
    ("another-upgrade", MUST_UPGRADE, request(Upgrade="h2c")),
    ("upgrade-to-websockets", MUST_UPGRADE, request(Upgrade="websockets")),
    ("upgrade-to-web-socket", MUST_UPGRADE, request(Upgrade="web socket")),
    ("no-connection", MUST_CONNECTION, request(Connection=None)),
    ("connection-keep-alive", MUST_CONNECTION, request(Connection="keep-alive")),
    ("connection-upgraded", MUST_CONNECTION, request(Connection="Upgraded")),
    ("connection-not-a-token", MUST_CONNECTION, request(Connection="keep-alive Upgrade")),
    ("no-key", MUST_KEY, request(Sec_WebSocket_Key=None)),
    ("empty-key", MUST_KEY, request(Sec_WebSocket_Key="")),
    ("key-of-15-bytes", MUST_KEY, request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25j")),
    ("key-of-17-bytes", MUST_KEY, request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZSE=")),
    ("key-of-18-bytes", MUST_KEY, request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZSEh")),
    ("key-without-padding", MUST_KEY, request(Sec_WebSocket_Key=KEY.rstrip("="))),
    ("key-with-too-much-padding", MUST_KEY, request(Sec_WebSocket_Key=KEY + "=")),
    ("key-that-is-no-base64", MUST_KEY, request(Sec_WebSocket_Key="*" * 22 + "==")),
    ("key-in-the-url-alphabet", MUST_KEY, request(Sec_WebSocket_Key="-_" * 11 + "==")),
    ("key-with-a-blank-inside", MUST_KEY, request(Sec_WebSocket_Key="dGhlIHNhbXBs ZSBub25jZQ==")),
    ("key-in-quotes", MUST_KEY, request(Sec_WebSocket_Key=f'"{KEY}"')),
    ("two-keys-in-a-list", MUST_KEY, request(Sec_WebSocket_Key=f"{KEY}, {KEY}")),
    ("the-same-key-twice", "RFC 6455 §11.3.1: the key MUST NOT appear more than once", request(Sec_WebSocket_Key=[KEY, KEY])),
    ("two-different-keys", "RFC 6455 §11.3.1: the key MUST NOT appear more than once", request(Sec_WebSocket_Key=[KEY, new_key()])),
    ("a-key-of-10000-bytes", MUST_KEY, request(Sec_WebSocket_Key="A" * 10_000)),
    ("no-version", MUST_VERSION, request(Sec_WebSocket_Version=None)),
    ("empty-version", MUST_VERSION, request(Sec_WebSocket_Version="")),
    ("version-twice", "RFC 6455 §11.3.5: the version MUST NOT appear more than once", request(Sec_WebSocket_Version=["13", "13"])),
    ("two-versions-on-two-lines", "RFC 6455 §11.3.5: the version MUST NOT appear more than once", request(Sec_WebSocket_Version=["13", "8"])),
    ("version-with-a-point", MUST_VERSION, request(Sec_WebSocket_Version="13.0")),
    ("version-with-a-zero", "RFC 6455 §4.3: no leading zeroes", request(Sec_WebSocket_Version="013")),
    ("version-with-a-sign", MUST_VERSION, request(Sec_WebSocket_Version="+13")),
    ("version-that-is-no-number", MUST_VERSION, request(Sec_WebSocket_Version="thirteen")),
    ("malformed-extensions", "RFC 6455 §9.1: a value that is not of the grammar fails the connection", request(Sec_WebSocket_Extensions="permessage-deflate; =")),
    ("extensions-without-a-comma", "RFC 6455 §9.1: a value that is not of the grammar fails the connection", request(Sec_WebSocket_Extensions="a b")),
    ("extension-in-an-open-quote", "RFC 6455 §9.1: a value that is not of the grammar fails the connection", request(Sec_WebSocket_Extensions='a; b="c')),
    ("subprotocol-that-is-no-token", "RFC 6455 §4.3: subprotocols are tokens", request(Sec_WebSocket_Protocol="a/b")),
    ("subprotocol-in-quotes", "RFC 6455 §4.3: subprotocols are tokens", request(Sec_WebSocket_Protocol='"chat"')),
    ("subprotocol-with-a-blank", "RFC 6455 §4.3: subprotocols are tokens", request(Sec_WebSocket_Protocol="super chat")),
    ("post", "RFC 6455 §4.2.1, 1: the request is a GET", request("POST /echo HTTP/1.1")),
    ("head", "RFC 6455 §4.2.1, 1: the request is a GET", request("HEAD /echo HTTP/1.1")),
    ("options", "RFC 6455 §4.2.1, 1: the request is a GET", request("OPTIONS /echo HTTP/1.1")),
    ("connect", "RFC 6455 §4.2.1, 1: the request is a GET", request("CONNECT localhost:80 HTTP/1.1")),
    ("get-in-lower-case", "RFC 9110 §9.1: methods are case-sensitive", request("get /echo HTTP/1.1")),
    ("an-unknown-path", "RFC 6455 §4.2.2, 4: a resource that is not there is refused, with 404", request("GET /nothing-is-here HTTP/1.1")),
    ("a-path-in-capitals", "RFC 3986 §6.2.2.1: paths are case-sensitive", request("GET /ECHO HTTP/1.1")),
    ("a-path-with-two-slashes", "RFC 3986 §3.3: an empty segment is a segment", request("GET //echo HTTP/1.1")),
]:
    # 501 is for methods that are not known.
    judged(name, rule, CLIENT_ERROR | {501}, head)

for name, value in [("0", "0"), ("8", "8"), ("7", "7"), ("14", "14"), ("255", "255"), ("in-a-list", "13, 8")]:

    async def another_version(trial, value=value):
        peer, head = await trial.connect(), request(Sec_WebSocket_Version=value)
        await peer.send(head)
        response = await answer(peer, head, CLIENT_ERROR)
        known = response.tokens("sec-websocket-version")
        if known != ["13"]:
            raise Fault(f"Sec-WebSocket-Version of the answer is {known} and must be 13")

    add(
        f"handshake/version-{name}",
        "RFC 6455 §4.2.2, 4 and §4.4: the answer is an error such as 426 and lists the versions that are known",
        another_version,
    )

for name, line, allowed in [
    ("http-1.0", "HTTP/1.0", ERROR),
    ("http-2.0", "HTTP/2.0", ERROR),
    ("http-0.9", "HTTP/0.9", ERROR),
]:
    rule = "RFC 9110 §7.8 and RFC 6455 §4.2.1, 1: only HTTP/1.1 or higher is upgraded"
    judged(name, rule, allowed | {HUNG_UP}, request(f"GET /echo {line}"))

judged(
    "http-0.9-simple-request",
    "RFC 9112 §2.3: a request line has a version",
    ERROR | {HUNG_UP},
    b"GET /echo\r\n\r\n",
)
for name, rule, head in [
    ("tls", "RFC 9112 §2.2: what is no HTTP gets 400 and the end", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 506),
    ("ssh", "RFC 9112 §2.2: what is no HTTP gets 400 and the end", b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n"),
    ("http-2-preface", "RFC 9113 §3.4: a server without HTTP/2 may answer as it likes, and not open", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ("frames-without-a-request", "RFC 6455 §4.2: a connection begins with the client's handshake", text("hello") * 3 + b"\r\n\r\n"),
    ("zeros", "RFC 9112 §2.2: what is no HTTP gets 400 and the end", bytes(512)),
]:
    judged(name, rule, ERROR | {HUNG_UP}, head)


@case("handshake/chosen-subprotocol", "RFC 6455 §4.2.2, 4: one of those offered, and the server's own")
async def chosen_subprotocol(trial):
    for offers in ("echo-protocol", "v9.nobody-speaks, echo-protocol", "echo-protocol, v9.nobody-speaks"):
        peer = await trial.open(head=request(Sec_WebSocket_Protocol=offers))
        if peer.answer.one("sec-websocket-protocol") != "echo-protocol":
            raise Fault(f"echo-protocol was not chosen of {offers!r}")


@case("handshake/subprotocols-have-case", "RFC 6455 §4.1, 10 and §4.2.2: names are compared as they are")
async def subprotocols_have_case(trial):
    peer = await trial.open(head=request(Sec_WebSocket_Protocol="Echo-Protocol, ECHO-PROTOCOL"))
    if peer.answer.one("sec-websocket-protocol") == "echo-protocol":
        raise Fault("echo-protocol was chosen, and only Echo-Protocol and ECHO-PROTOCOL are offered")


@case("handshake/keys-have-their-own-answers", "RFC 6455 §4.2.2, 5: the answer is made of the key")
async def keys_have_their_own_answers(trial):
    for _ in range(8):
        peer = await trial.open(head=request(Sec_WebSocket_Key=new_key()))
        await echoes(peer, "hello")


@case("handshake/frames-behind-the-request", "RFC 6455 §4.1: not allowed; either is refused or none is lost")
async def frames_behind_the_request(trial):
    peer, messages = await trial.connect(), [f"message {n}" for n in range(100)]
    await peer.send(request(), *(text(message) for message in messages))
    response = await peer.response()
    if response and response.status == 101:
        for message in messages:
            await returns(peer, message.encode())
    elif response is None or response.status not in CLIENT_ERROR:
        raise Fault(f"the answer was {response and response.status}")


@case("handshake/half-a-frame-behind-the-request", "RFC 6455 §5.2: a frame may arrive in any cut")
async def half_a_frame_behind_the_request(trial):
    whole = text("in two halves")
    for cut in range(len(whole)):
        peer = await trial.connect()
        await peer.send(request(), whole[:cut])
        response = await peer.response()
        if response is None or response.status != 101:
            raise Fault(f"the answer was {response and response.status}")
        await peer.send(whole[cut:])
        await returns(peer, b"in two halves")
        trial.forget(peer)


@case("handshake/a-second-request-on-the-connection", "RFC 6455 §4.2.2: after the 101 come frames: G is none")
async def a_second_request(trial):
    peer = await trial.open()
    await peer.send(request())
    found = await peer.frame("a Close frame")
    if found is None or found.code != 1002:
        raise Fault(f"expected a Close frame with 1002, and {found or 'the end'} came")


@case("handshake/a-large-message-behind-the-request", "RFC 6455 §5.2: a frame may arrive in any cut", memory=16 << 20)
async def a_large_message_behind_the_request(trial):
    peer, payload = await trial.connect(), bytes(range(256)) * 4096
    await peer.send(request(), header(2, len(payload), key=b"abcd"), masked(payload, b"abcd"))
    response = await peer.response()
    if response and response.status == 101:
        await returns(peer, payload, 2)
