"""Python's websockets as a client that does as it is told: a line of JSON for each command on
standard input, and one for each answer on standard output. Ends with the input.

    websockets_client.py [FILE OF CERTIFICATES TO TRUST]
"""

import asyncio
import base64
import json
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

sockets = []
trust = ssl.create_default_context(cafile=sys.argv[1]) if len(sys.argv) > 1 else None


def from_json(part):
    return part["text"] if "text" in part else base64.b64decode(part["base64"])


def to_json(message):
    if isinstance(message, str):
        return {"text": message}
    return {"base64": base64.b64encode(message).decode()}


async def open_socket(url, protocols, origin=None):
    tls = {"ssl": trust} if url.startswith("wss:") else {}
    socket = await connect(url, origin=origin, subprotocols=protocols or None, max_size=None, proxy=None, **tls)
    sockets.append(socket)
    return {"socket": len(sockets) - 1, "protocol": socket.subprotocol}


async def send(socket, parts):
    parts = [from_json(part) for part in parts]
    await sockets[socket].send(parts[0] if len(parts) == 1 else parts)


async def receive(socket):
    return to_json(await sockets[socket].recv())


async def ping(socket):
    await (await sockets[socket].ping("are you there?"))
    return True


async def close(socket, code, reason=""):
    await sockets[socket].close(code, reason)


async def closed(socket):
    await sockets[socket].wait_closed()
    return {"code": sockets[socket].close_code, "reason": sockets[socket].close_reason}


COMMANDS = {"connect": open_socket, "send": send, "receive": receive, "ping": ping, "close": close, "closed": closed}


async def answer(id, command, **arguments):
    try:
        result = {"value": await COMMANDS[command](**arguments)}
    except InvalidStatus as refusal:
        result = {"error": str(refusal), "status": refusal.response.status_code}
    except (ConnectionClosed, OSError) as failure:
        result = {"error": repr(failure)}
    print(json.dumps({"id": id, **result}), flush=True)


async def main():
    tasks = set()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = asyncio.create_task(answer(**json.loads(line)))
        tasks.add(task)
        task.add_done_callback(lambda done: (tasks.discard(done), done.result()))
    for socket in sockets:
        await socket.close()


if __name__ == "__main__":
    asyncio.run(main())
