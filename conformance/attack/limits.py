"""What is switched on with flags: limits on connections and on what they send, origins, the PROXY
protocol, a directory that is served. Each case starts a server of its own with its flags."""

import asyncio
import os
import tempfile
import time

from cases import MIB, add, case
from expect import CLIENT_ERROR, HUNG_UP, answer, closes, ends
from wire import BINARY, CLOSE, PING, Fault, frame, header, request, shown, text

OWN = dict(limit=60)
BUSY = frozenset({429, 503})
LIMIT = "RFC 9110 §15.6.4 and RFC 6585 §4: a server that takes no more says 503 or 429, and for how long"


async def refused(trial, server, head=None):
    """The handshake is refused for a while, and the answer says for how long."""
    peer, head = await trial.connect(server), head or request()
    await peer.send(head)
    response = await answer(peer, head, BUSY | {HUNG_UP})
    if response is not None and not (response.one("retry-after") or "").isdigit():
        raise Fault(f"a {response.status} has no Retry-After in seconds")


@case("limits/connections-in-all", LIMIT, **OWN)
async def connections_in_all(trial):
    server = trial.server_with("--max-connections", "10")
    peers = [await trial.open(server) for _ in range(10)]
    for _ in range(5):
        await refused(trial, server)
    trial.forget(peers.pop())
    await eventually(lambda: trial.open(server), "a place that was given back is taken again")


@case("limits/connections-of-an-address", LIMIT, **OWN)
async def connections_of_an_address(trial):
    server = trial.server_with("--max-connections-per-address", "10")
    peers = [await trial.open(server) for _ in range(10)]
    for n in range(5):
        # Nobody was told to believe this.
        forged = request(add=[f"X-Forwarded-For: 192.0.2.{n}", f"Forwarded: for=192.0.2.{n}"])
        await refused(trial, server, forged)
    for _ in range(3):
        trial.forget(peers.pop())
    await eventually(lambda: trial.open(server), "a place that was given back is taken again")


@case("limits/places-of-those-who-say-nothing-are-given-back", LIMIT, **OWN)
async def places_of_the_silent(trial):
    server = trial.server_with("--max-connections-per-address", "10", "--handshake-timeout", "1s")
    await trial.many(10, lambda: trial.connect(server))
    await eventually(lambda: trial.open(server), "a place whose handshake timed out is taken again", 6)


@case("limits/rate-of-an-address", LIMIT, **OWN)
async def rate_of_an_address(trial):
    server = trial.server_with("--max-connection-rate-per-address", "5")
    let_in = 0
    began = time.monotonic()
    for _ in range(100):
        peer = await trial.connect(server)
        await peer.send(request())
        response = await peer.response()
        let_in += response is not None and response.status == 101
        trial.forget(peer)
    most = 20 + 5 * (time.monotonic() - began)
    if not 1 <= let_in <= most:
        raise Fault(f"{let_in} of 100 connections were let in, and {most:.0f} are the most at 5 a second")
    await asyncio.sleep(1.5)
    await eventually(lambda: trial.open(server), "who waits is let in again")


async def eventually(make, what, seconds=5):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await make()
        except Fault as fault:
            if time.monotonic() > deadline:
                raise Fault(f"expected that {what}: {fault}") from None
        await asyncio.sleep(0.1)


POLICY = "RFC 6455 §7.4.1: 1008 is for a peer that violates the server's policy"


async def flood_until_closed(peer, data, codes):
    """Sends until the server has closed the connection, and reads why."""
    pushing = asyncio.create_task(peer.push(data, seconds=8))
    while True:
        found = await peer.frame("a Close frame", 10)
        if found is None:
            raise Fault("expected a Close frame with 1008, and the end came")
        if found.opcode == CLOSE:
            break
    if found.code not in codes:
        raise Fault(f"expected a Close frame with {codes}, and {found} came")
    await ends(peer)
    pushing.cancel()


for name, flags, data in [
    ("messages-a-second", ["--max-message-rate", "100:200"], text("again") * 100),
    ("pings-a-second", ["--max-message-rate", "100:200"], frame(PING, b"again") * 100),
    ("bytes-a-second", ["--max-receive-rate", "64KiB:256KiB"], frame(BINARY, bytes(4096), key=b"\0\0\0\0") * 16),
]:

    async def too_many(trial, flags=flags, data=data):
        server = trial.server_with(*flags)
        await flood_until_closed(await trial.open(server), data, (1008,))

    add(f"limits/{name}", POLICY, too_many, **OWN)


@case("limits/a-large-frame-at-the-rate-limit", POLICY, **OWN)
async def a_large_frame(trial):
    server = trial.server_with("--max-receive-rate", "64KiB:256KiB")
    peer = await trial.open(server)
    await peer.send(header(BINARY, 16 * MIB, key=b"\0\0\0\0"), bytes(2 * MIB))
    await closes(peer, (1008,))


@case("limits/a-peer-that-does-not-read-within-the-write-timeout", "newswire's own: who leaves unread what is sent to it is cut", **OWN)
async def write_timeout(trial):
    server = trial.server_with("--write-timeout", "2s")
    peer = await trial.open(server, receive_buffer=4096)
    began = time.monotonic()
    await peer.push(frame(BINARY, bytes(65536), key=b"\0\0\0\0"), seconds=12)
    if time.monotonic() - began >= 12:
        raise Fault("the connection is still there after 12 s, and the write timeout is 2 s")


@case("limits/a-silent-peer-within-the-idle-timeout", "newswire's own: who is silent and answers no ping is cut", **OWN)
async def idle_timeout(trial):
    server = trial.server_with("--idle-timeout", "2s")
    peer = await trial.open(server)
    pinged = False
    while found := await peer.frame("the connection's end", 8):
        pinged |= found.opcode == PING
    if not pinged:
        raise Fault("the server cut a silent connection without a ping before")


# --- origins -----------------------------------------------------------------------------------

ORIGIN = "RFC 6455 §4.2.2, 4 and §10.2: a page that may not connect is refused with 403"
HERE = {"Host": "example.com"}

for name, flags, changes, allowed in [
    ("same-is-let-in", [], {"Origin": "http://example.com"}, {101}),
    ("same-in-capitals-is-let-in", [], {"Origin": "http://EXAMPLE.com"}, {101}),
    ("same-with-its-default-port-is-let-in", [], {"Origin": "http://example.com:80"}, {101}),
    ("none-is-let-in", [], {}, {101}),
    ("another-is-refused", [], {"Origin": "http://evil.example"}, {403}),
    ("another-port-is-refused", [], {"Origin": "http://example.com:8080"}, {403}),
    ("a-longer-host-is-refused", [], {"Origin": "http://example.com.evil.example"}, {403}),
    ("a-host-that-ends-alike-is-refused", [], {"Origin": "http://evilexample.com"}, {403}),
    ("a-user-is-refused", [], {"Origin": "http://example.com@evil.example"}, {403, 400}),
    ("null-is-refused", [], {"Origin": "null"}, {403}),
    ("an-empty-one-is-refused", [], {"Origin": ""}, {403, 400}),
    ("two-are-refused", [], {"Origin": ["http://example.com", "http://evil.example"]}, {403, 400}),
    ("two-in-one-line-are-refused", [], {"Origin": "http://example.com http://evil.example"}, {403, 400}),
    ("a-path-is-refused", [], {"Origin": "http://example.com/"}, {403, 400}),
    ("listed-is-let-in", ["--origin", "https://*.good.example"], {"Origin": "https://a.good.example"}, {101}),
    ("listed-with-another-scheme-is-refused", ["--origin", "https://*.good.example"], {"Origin": "http://a.good.example"}, {403}),
    ("what-only-ends-as-the-listed-is-refused", ["--origin", "https://*.good.example"], {"Origin": "https://evilgood.example"}, {403}),
    ("none-is-refused-where-one-is-required", ["--require-origin"], {}, {403}),
    ("null-is-let-in-where-it-is-allowed", ["--allow-null-origin"], {"Origin": "null"}, {101}),
]:

    async def origin(trial, flags=flags, changes=changes, allowed=frozenset(allowed)):
        server = trial.server_with(*flags) if flags else trial.server
        peer, head = await trial.connect(server), request(**HERE, **changes)
        await peer.send(head)
        await answer(peer, head, allowed)

    add(f"limits/origin-{name}", ORIGIN, origin, **OWN)

# --- the PROXY protocol ------------------------------------------------------------------------

PROXY = "The PROXY protocol, §2: a receiver that expects a header takes no connection without a right one"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 80\r\n"
V2 = SIGNATURE + b"\x21\x11\x00\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 1, 0x0F, 0xA0, 0, 80])

for name, start, opens in [
    ("version-1", V1, True),
    ("version-1-unknown", b"PROXY UNKNOWN\r\n", True),
    ("version-2", V2, True),
    ("version-2-local", SIGNATURE + b"\x20\x00\x00\x00", True),
    ("none", b"", False),
    ("bad-address", b"PROXY TCP4 192.0.2.777 192.0.2.1 4000 80\r\n", False),
    ("bad-port", b"PROXY TCP4 192.0.2.7 192.0.2.1 400000 80\r\n", False),
    ("line-without-end", b"PROXY TCP4 " + b"1" * 200, False),
    ("lf-alone", V1.replace(b"\r\n", b"\n"), False),
    ("another-family", b"PROXY TCP9 192.0.2.7 192.0.2.1 4000 80\r\n", False),
    ("version-3", SIGNATURE + b"\x31\x11\x00\x0c" + V2[16:], False),
    ("bad-command", SIGNATURE + b"\x2f\x11\x00\x0c" + V2[16:], False),
    ("too-short-for-its-addresses", SIGNATURE + b"\x21\x11\x00\x04" + V2[16:20], False),
    ("length-of-65535", SIGNATURE + b"\x21\x11\xff\xff" + bytes(65535), False),
    ("signature-cut", SIGNATURE[:8] + b"GET", False),
]:

    async def proxy(trial, start=start, opens=opens):
        server = trial.server_with("--trusted-proxy", "127.0.0.0/8", "--proxy-protocol", "--handshake-timeout", "2s")
        for step in (None, 1) if len(start) < 1000 else (None,):
            peer, head = await trial.connect(server), request()
            await peer.send(start, head, step=step)
            await answer(peer, head, frozenset({101}) if opens else CLIENT_ERROR | {HUNG_UP})

    add(f"limits/proxy-{name}", PROXY, proxy, **OWN)

# --- files -------------------------------------------------------------------------------------

FILES = "RFC 9110 §17.3: nothing outside what is served is given away, however it is asked for"
SECRET = b"this is the secret"


def files(folder):
    root = os.path.join(folder, "root")
    os.makedirs(os.path.join(root, "inside", ".hidden"))
    for path, content in {
        "secret": SECRET,
        "root/index.html": b"an index",
        "root/inside/page.txt": b"a page",
        "root/.env": SECRET,
        "root/inside/.hidden/key": SECRET,
    }.items():
        with open(os.path.join(folder, path), "wb") as file:
            file.write(content)
    os.symlink("../secret", os.path.join(root, "link"))
    os.symlink("..", os.path.join(root, "up"))
    os.symlink("/etc", os.path.join(root, "etc"))
    return root


@case("limits/files-outside-the-root", FILES, **OWN)
async def files_outside_the_root(trial):
    with tempfile.TemporaryDirectory() as folder:
        server = trial.server_with("--root", files(folder))
        await fetched(trial, server, "/inside/page.txt", b"a page")
        for path in (
            "/../secret", "/inside/../../secret", "/%2e%2e/secret", "/..%2fsecret", "/%2e%2e%2fsecret",
            "/..%5csecret", "/..\\secret", "/inside/%2e%2e/%2e%2e/secret", "//../secret", "/./../secret",
            "/link", "/up/secret", "/etc/passwd", "/inside/..%00/secret", "/%252e%252e/secret", "/..;/secret",
            "/.env", "/%2eenv", "/inside/.hidden/key", "/inside/%2ehidden/key", folder + "/secret", "/" + folder + "/secret",
        ):  # fmt: skip
            await fetched(trial, server, path, None)


async def fetched(trial, server, path, content):
    """A plain request: this content, or anything that gives no secret away."""
    peer = await trial.connect(server)
    await peer.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    response = await peer.response()
    body = await peer.rest()
    if content is None:
        if SECRET in body or b"root:" in body:
            raise Fault(f"GET {path} gave away {shown(body)}")
    elif response is None or response.status != 200 or body != content:
        raise Fault(f"GET {path} was answered with {response and response.status} {shown(body)}")
    trial.forget(peer)
