"""Python's websockets as a server that behaves as the path says, and tells what it saw: a line of JSON
with its ports, then one for each connection when it has ended. Ends when its input does.

    websockets_server.py CERTIFICATE KEY

The paths are those of `kinds.mjs`.
"""

import asyncio
import base64
import contextlib
import json
import ssl
import sys
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

HEADERS = ["authorization", "cookie", "origin", "x-test"]


def to_json(message):
    if isinstance(message, str):
        return {"text": message}
    return {"base64": base64.b64encode(message).decode()}


class Watched(ServerConnection):
    """A connection that keeps the pings that come."""

    def process_event(self, event):
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.saw_pings.append(bytes(event.data).decode())
        super().process_event(event)

    def connection_made(self, transport):
        self.saw_pings = []
        super().connection_made(transport)


async def behave(ws, messages):
    at = urlsplit(ws.request.path)
    if at.path == "/ping":
        await asyncio.wait_for(await ws.ping("are you there?"), 5)
        await ws.send("the ping was answered")
    async for message in ws:
        messages.append(to_json(message))
        if at.path == "/echo":
            # Messages that came before a Close frame may be read after it, and are not answered.
            with contextlib.suppress(ConnectionClosed):
                await ws.send(message)
        elif at.path == "/close":
            query = parse_qs(at.query)
            await ws.close(int(query["code"][0]), query.get("reason", [""])[0])
        elif at.path == "/vanish":
            ws.transport.close()


async def handle(ws):
    messages = []
    with contextlib.suppress(ConnectionClosed):
        await behave(ws, messages)
    await ws.wait_closed()
    close = ws.protocol.close_rcvd
    saw = {
        "path": ws.request.path,
        "headers": {name: ws.request.headers[name] for name in HEADERS if name in ws.request.headers},
        "protocol": ws.subprotocol,
        "compressed": any(extension.name == "permessage-deflate" for extension in ws.protocol.extensions),
        "messages": messages,
        "pings": ws.saw_pings,
        "close": close and {"code": int(close.code), "reason": close.reason},
    }
    print(json.dumps(saw), flush=True)


def refuse(ws, request):
    if request.path == "/refuse":
        return ws.respond(HTTPStatus.FORBIDDEN, "not for you\n")
    return None


async def main(certificate, key):
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    options = {
        "create_connection": Watched,
        "process_request": refuse,
        "select_subprotocol": lambda ws, offered: "echo-protocol" if "echo-protocol" in offered else None,
        "ping_interval": None,
    }
    async with (
        serve(handle, "127.0.0.1", 0, **options) as plain,
        serve(handle, "127.0.0.1", 0, ssl=tls, **options) as secure,
    ):
        ports = [listener.sockets[0].getsockname()[1] for listener in (plain, secure)]
        print(json.dumps({"plain": ports[0], "tls": ports[1]}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
