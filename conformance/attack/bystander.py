"""Somebody else's connections: a process of its own echoes small messages over them all the time.

As a program, `bystander.py HOST PORT COUNT` prints a line for each echo, the time at which it was sent
and how long it took, and ends with a line that begins with ! when one is lost. `Bystanders` is that
process as the suite sees it. A process of its own, so that the suite's work is not in its latencies.
"""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time

from wire import TEXT, Fault, FrameReader, frame, request

PAUSE = 0.01  # seconds between two echoes of a connection
LOST = 15.0  # seconds without an answer, after which a bystander gives up


class Bystanders:
    """`count` of them: a server that hands connections out in turn has one on each of its threads."""

    def __init__(self, address, count):
        self.address, self.count = address, count
        self.echoes = []  # (sent at, seconds it took, which connection)
        self.fault = None

    async def start(self):
        host, port = self.address
        command = [sys.executable, __file__, host, str(port), str(self.count)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.reading = threading.Thread(target=self._read, daemon=True)
        self.reading.start()
        await self.settled()

    def _read(self):
        for line in self.process.stdout:
            if line.startswith("!"):
                self.fault = self.fault or line[2:].rstrip()
            else:
                sent, took, which = line.split()
                self.echoes.append((float(sent), float(took), int(which)))
        self.fault = self.fault or "the bystanders' process ended"

    async def settled(self):
        """Waits until each connection has had an echo that was sent after now."""
        now, start = time.monotonic(), len(self.echoes)
        while len({which for sent, _, which in self.echoes[start:] if sent >= now}) < self.count:
            if self.fault:
                raise Fault(f"somebody else's connection broke: {self.fault}")
            if time.monotonic() - now > LOST + 1:
                raise Fault(f"somebody else's echo did not come back within {LOST:g} s")
            await asyncio.sleep(0.005)

    def worst(self, since):
        """The longest that an echo took that was on its way at that time or later."""
        return max((took for sent, took, _ in self.echoes if sent + took >= since), default=0.0)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reading.join()
        self.process.stdout.close()


# --- the process -------------------------------------------------------------------------------


def keep_echoing(address, which):
    with socket.create_connection(address, timeout=LOST) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(request())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1) or give_up("the handshake was not answered")
        reader, number = FrameReader(), 0
        while True:
            number += 1
            payload = f"bystander {which}, {number}".encode()
            began = time.monotonic()
            sock.sendall(frame(TEXT, payload))
            while not (found := reader.next()):
                reader.feed(sock.recv(4096) or give_up("the connection ended"))
            if (found.opcode, found.payload) != (TEXT, payload):
                give_up(f"{found} came for {payload!r}")
            say(f"{began:.6f} {time.monotonic() - began:.6f} {which}")
            time.sleep(PAUSE)


def say(line):
    """A line in one write, so that threads do not mix theirs."""
    os.write(1, f"{line}\n".encode())


def give_up(why):
    raise Fault(why)


def main():
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    failed = threading.Event()

    def run(which):
        try:
            keep_echoing((host, port), which)
        except TimeoutError:
            say(f"! no answer for {LOST:g} s")
        except (OSError, Fault) as error:
            say(f"! {error}")
        failed.set()

    for which in range(count):
        threading.Thread(target=run, args=[which], daemon=True).start()
    failed.wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
