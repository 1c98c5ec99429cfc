"""websockets as its documentation has it: an asyncio server, `async for`, `send`; no compression, no pings, no limits."""

import asyncio

from websockets.asyncio.server import serve


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def main():
    async with serve(
        echo, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None
    ) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
