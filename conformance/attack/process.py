"""The server under attack as a process: started and stopped, and watched from outside, by what Linux
tells in /proc. No connections to it here."""

import asyncio
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from wire import Fault

START_LIMIT = 20.0  # seconds until it says where it listens
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
LISTENS = re.compile(r"wss?://([0-9.]+):([0-9]+)/echo")


class Server:
    """`PROGRAM serve` on a free port of the loopback interface."""

    running = set()

    def __init__(self, program, flags, log):
        self.log = Path(log)
        command = [program, "serve", "--port", "0", *flags]
        with open(self.log, "w") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        Server.running.add(self)
        self.proc = Path("/proc", str(self.process.pid))
        self.address = self._address(command)

    def _address(self, command):
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            found = LISTENS.search(self.log.read_text(errors="replace"))
            if found:
                return found[1], int(found[2])
            if not self.is_alive():
                break
            time.sleep(0.02)
        self.kill()
        raise Fault(f"{' '.join(command)} did not say where it listens:\n{self.tail()}")

    def is_alive(self):
        return self.process.poll() is None

    def tail(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def complaint(self):
        """What is wrong with the process as such, None if nothing is."""
        if not self.is_alive():
            return f"the server ended with exit code {self.process.returncode}:\n{self.tail()}"
        if "panicked" in self.log.read_text(errors="replace"):
            return f"the server panicked:\n{self.tail()}"
        return None

    # --- what it uses -------------------------------------------------------------------------

    def _status(self, field):
        try:
            lines = (self.proc / "status").read_text()
        except OSError:
            raise Fault("the server's process is gone") from None
        found = re.search(rf"^{field}:\s+([0-9]+) kB", lines, re.MULTILINE)
        if not found:
            raise Fault("the server's process is gone")
        return int(found[1]) * 1024

    def memory(self):
        return self._status("VmRSS")

    def peak(self):
        """The most memory since `reset_peak`."""
        return self._status("VmHWM")

    def reset_peak(self):
        try:
            (self.proc / "clear_refs").write_text("5")
        except OSError:
            raise Fault("the server's process is gone") from None

    def descriptors(self):
        return len(os.listdir(self.proc / "fd"))

    def cpu(self):
        """Seconds of CPU that it has used."""
        fields = (self.proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    # --- its end ------------------------------------------------------------------------------

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    async def stop(self, limit=15.0):
        """Ends it as its user would; returns what was wrong with that, None if nothing was."""
        wrong = self.complaint()
        if not wrong:
            self.terminate()
            deadline = time.monotonic() + limit
            while self.is_alive() and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            if self.is_alive():
                wrong = f"the server had not ended {limit:g} s after SIGTERM:\n{self.tail()}"
            elif (code := self.process.returncode) != 0:
                wrong = f"the server ended with exit code {code} after SIGTERM:\n{self.tail()}"
        self.kill()
        return wrong

    def kill(self):
        if self.is_alive():
            self.process.kill()
        self.process.wait()
        Server.running.discard(self)


def kill_all():
    for server in list(Server.running):
        server.kill()
