"""Python's websockets as a client and as a server; both send and expect the same messages.

    websockets_peer.py client MESSAGES {takeover|no-takeover} AHEAD URL
    websockets_peer.py server MESSAGES {takeover|no-takeover} COUNT

Exit code 0: exactly these messages came, in this order, and the close was 1000. The client sends
AHEAD messages before they have come back. The server prints where it listens and ends after COUNT
connections. What was on the wire is judged elsewhere.
"""

import asyncio
import sys
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)


def read(path):
    """[fragments]: each a str for text, bytes for binary."""
    messages = []
    for line in Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n"):
        kind, fragments = line[0], line[1:].split("\t")
        messages.append(fragments if kind == "t" else [fragment.encode() for fragment in fragments])
    return messages


def compression(takeover, factory):
    """What `connect` and `serve` do unless told otherwise, or no context takeover."""
    if takeover:
        return {}
    forget = factory(server_no_context_takeover=True, client_no_context_takeover=True)
    return {"compression": None, "extensions": [forget]}


async def send(ws, fragments):
    await ws.send(fragments[0] if len(fragments) == 1 else fragments)


async def receive(ws, number, fragments):
    received, expected = await ws.recv(), type(fragments[0])().join(fragments)
    if received != expected:
        sys.exit(f"message {number}, {type(received).__name__} of {len(received)}, is another one")


async def client(messages, takeover, ahead, url):
    async with connect(url, **compression(takeover, ClientPerMessageDeflateFactory)) as ws:
        for fragments in messages[:ahead]:
            await send(ws, fragments)
        for number, fragments in enumerate(messages):
            await receive(ws, number, fragments)
            if number + ahead < len(messages):
                await send(ws, messages[number + ahead])
    if ws.close_code != 1000:
        sys.exit(f"closed with {ws.close_code}")


async def server(messages, takeover, count):
    ended = asyncio.Queue()

    async def handle(ws):
        how = "the conversation did not come to an end"
        try:
            for number, fragments in enumerate(messages):
                await receive(ws, number, fragments)
                await send(ws, fragments)
            await ws.wait_closed()
            how = f"closed with {ws.close_code}"
        except (ConnectionClosed, SystemExit) as reason:
            how = str(reason)
        finally:
            ended.put_nowait(how)

    options = compression(takeover, ServerPerMessageDeflateFactory)
    async with serve(handle, "127.0.0.1", 0, **options) as listener:
        print("port", listener.sockets[0].getsockname()[1], flush=True)
        for _ in range(count):
            how = await ended.get()
            if how != "closed with 1000":
                sys.exit(how)


def main():
    role, path, takeover, number, *url = sys.argv[1:]
    run = {"client": client, "server": server}[role]
    asyncio.run(run(read(path), {"takeover": True, "no-takeover": False}[takeover], int(number), *url))


if __name__ == "__main__":
    main()
