#!/usr/bin/env python3
"""A small echo server that is right as far as the tests of the suite go, and wrong on request: each
word in $TOY_FAULTS is a fault that the suite must find. Only attack_test.py runs it."""

import os
import re
import select
import signal
import socket
import threading
import time

from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, accept_value, frame, is_utf8, masked

FAULTS = set(os.environ.get("TOY_FAULTS", "").split())
LIMIT = 64 << 20
kept = []


def refusal(head):
    """The answer to a request that is refused, None if it is right."""
    lines = head.split(b"\r\n")
    fields = [line.partition(b":") for line in lines[1:] if line]
    values = {}
    for name, _, value in fields:
        values.setdefault(name.lower(), []).append(value.strip())
    if "opens-anything" in FAULTS:
        return None
    wrong = not lines[0].startswith(b"GET /echo HTTP/1.1")
    wrong |= any(not re.fullmatch(rb"[!-9;-~]+", name) for name, _, _ in fields) and "blank-before-colon" not in FAULTS
    wrong |= len(values.get(b"host", [])) != 1 or values.get(b"upgrade", [b""])[0].lower() != b"websocket"
    wrong |= not re.fullmatch(rb"[A-Za-z0-9+/]{22}==", values.get(b"sec-websocket-key", [b""])[0])
    wrong |= values.get(b"sec-websocket-version") != [b"13"]
    if not wrong:
        return None
    body = b"" if head.startswith(b"HEAD ") and "content-for-head" not in FAULTS else b"refused\n"
    return b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\nContent-Length: 8\r\n\r\n" + body


class Connection:
    def __init__(self, sock):
        self.sock, self.buffer = sock, b""
        self.opcode, self.message = None, b""

    def need(self, count):
        while len(self.buffer) < count:
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError
            self.buffer += data
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def say(self, opcode, payload=b"", **options):
        self.sock.sendall(frame(opcode, payload, key=b"abcd" if "masks" in FAULTS else None, **options))

    def fail(self, code):
        if "fails-silently" not in FAULTS:
            self.say(CLOSE, code.to_bytes(2, "big"))
        if "talks-after-close" in FAULTS:
            self.say(TEXT, b"one more thing")
        raise EOFError

    def run(self):
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if answer := refusal(head):
            self.sock.sendall(answer)
            raise EOFError
        key = re.search(rb"(?i)sec-websocket-key:\s*(\S+)", head + b"\r\n")
        accept = accept_value("another" if "wrong-accept" in FAULTS else key[1].decode() if key else "")
        self.sock.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        while True:
            self.one_frame()

    def one_frame(self):
        first, second = self.need(2)
        opcode, fin, length = first & 15, first & 128, second & 127
        if first & 0x70 and "ignores-rsv" not in FAULTS:
            self.fail(1002)
        if opcode not in (0, 1, 2, 8, 9, 10) or opcode > 7 and (not fin or length > 125):
            self.fail(1002)
        if not second & 128 and "takes-unmasked" not in FAULTS:
            self.fail(1002)
        if length > 125:
            wide = 2 if length == 126 else 8
            length = int.from_bytes(self.need(wide), "big")
            if length < (126 if wide == 2 else 1 << 16) or length > LIMIT:
                self.fail(1009 if length > LIMIT else 1002)
        if "reserves-what-is-declared" in FAULTS:
            kept.append(bytearray(os.urandom(4096)) * (length // 4096))
        key = self.need(4) if second & 128 else bytes(4)
        payload = masked(self.need(length), key)
        if opcode == PING:
            self.say(PONG, payload)
        elif opcode == CLOSE:
            if len(payload) == 1:
                self.fail(1002)
            self.say(CLOSE, payload[:2])
            if "keeps-tcp-open" in FAULTS:
                time.sleep(3)
            raise EOFError
        elif opcode != PONG:
            self.data(opcode, fin, payload)

    def data(self, opcode, fin, payload):
        if (opcode == CONTINUATION) != (self.opcode is not None):
            self.fail(1002)
        self.opcode, self.message = self.opcode or opcode, self.message + payload
        if not fin:
            return
        opcode, message, self.opcode, self.message = self.opcode, self.message, None, b""
        if "crashes" in FAULTS and message == b"\xff":
            os._exit(3)
        if opcode == TEXT and not is_utf8(message) and "takes-any-text" not in FAULTS:
            self.fail(1007)
        with everybody:  # One connection at a time is served.
            if "makes-others-wait" in FAULTS and opcode == BINARY:
                time.sleep(1.5)
            self.say(BINARY if "text-as-binary" in FAULTS else opcode, message)


everybody = threading.Lock()


def serve(sock):
    try:
        Connection(sock).run()
    except (EOFError, OSError):
        pass
    finally:
        if "leaks-connections" in FAULTS:
            kept.append(sock)
        try:
            sock.shutdown(socket.SHUT_WR)
            while "leaks-connections" not in FAULTS and select.select([sock], [], [], 1)[0] and sock.recv(1 << 16):
                pass
        except OSError:
            pass
        if "leaks-connections" not in FAULTS:
            sock.close()


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"  echo  ws://127.0.0.1:{listener.getsockname()[1]}/echo", flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=[sock], daemon=True).start()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(1 if "bad-exit" in FAULTS else 0))
    main()
