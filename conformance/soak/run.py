#!/usr/bin/env python3
"""Runs `newswire serve` for long: its memory must stay as it is, and its end must be a good one.

    run.py PATH/TO/newswire [--connections N] [--messages N] [--shutdown N]

Exit code 0: all held; 1: something did not; 77: skipped, this is not Linux.
Connections are opened and closed and messages echoed by `newswire bench`, in rounds; after each the server
rests, and its memory is read. The rounds of the first tenth may make it grow, to what so much load needs.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time

from shutdown import Crowd, Fault

ROUND = "5s"
REST = 1.0  # seconds until what a round has left behind is gone
ROUND_LIMIT = 60  # seconds until a round of 5 s has ended
GROWTH = 8 << 20  # bytes by which the server's memory may grow after the first tenth
SPREAD = 2  # seconds over which the connections are closed
CLOSE_TIMEOUT = 5
SLACK = 5  # seconds for a machine that has much else to do
SKIPPED = 77


def say(line):
    print(line, flush=True)


class Server:
    """`newswire serve` on a free port, ended with us."""

    def __init__(self, program, *flags):
        command = [program, "serve", "--port", "0", *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "ws://" in line:
                self.url = line.split()[-1]
                host, port = self.url.removeprefix("ws://").split("/")[0].rsplit(":", 1)
                self.address = (host, int(port))
                return
        raise Fault(f"the server ended at once with exit code {self.process.wait()}")

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status") as lines:
            line = next(line for line in lines if line.startswith(f"{field}:"))
        return int(line.split()[1])

    def memory(self):
        """Bytes that it has of its own."""
        return self.status("RssAnon") << 10

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self, limit):
        """Asks it to end; the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.ended(began, limit)

    def ended(self, began, limit):
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Fault(f"the server had not ended {limit:g} s after SIGTERM") from None
        if code != 0:
            raise Fault(f"the server ended with exit code {code}")
        return time.monotonic() - began

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def bench(program, *arguments):
    """One round; the report."""
    command = [program, "bench", *arguments, "--duration", ROUND, "--warm-up", "0s", "--json", "-"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ROUND_LIMIT)
    if done.returncode != 0:
        raise Fault(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def soak(what, wanted, server, one_round):
    """Rounds until so much was done; the memory stays what it is after a tenth of it."""
    files = server.files()
    done, level, worst = 0, None, 0
    began = time.monotonic()
    while done < wanted or level is None:
        done += one_round()
        time.sleep(REST)
        memory = server.memory()
        if done >= wanted / 10 and level is None:
            level = memory
        if level is not None:
            worst = max(worst, memory - level)
        say(f"  {done:>11,} {what}, {memory / 2**20:6.1f} MiB, {server.files()} files")
        if worst > GROWTH:
            raise Fault(f"the server has grown by {worst / 2**20:.1f} MiB, and {GROWTH >> 20} are allowed")
    if server.files() > files:
        raise Fault(f"the server has {server.files()} files open where it had {files}")
    seconds = time.monotonic() - began
    say(f"{done:,} {what} in {seconds:.0f} s: from {level / 2**20:.1f} MiB it grew by {worst / 2**20:.2f} MiB at most")


def soak_memory(program, connections, messages):
    # All connections come from one address here.
    server = Server(program, "--max-connection-rate-per-address", "off", "--max-connections-per-address", "off")
    try:

        def open_and_close():
            return bench(program, "connect", server.url, "-c", "100")["handshakes"]["opened"]

        def echo():
            report = bench(program, "echo", server.url, "-c", "50", "-d", "16", "--size", "512B")
            if report["messages"]["lost"]:
                raise Fault(f"{report['messages']['lost']} messages were lost")
            return report["messages"]["count"]

        soak("connections", connections, server, open_and_close)
        soak("messages", messages, server, echo)
        say(f"ended {server.stop(CLOSE_TIMEOUT + SLACK):.2f} s after SIGTERM")
    finally:
        server.kill()


def soak_shutdown(program, count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 100:
        raise Fault(f"{count} connections need as many open files, and the limit is {hard}: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 100), hard))
    flags = ["--max-connection-rate-per-address", "off", "--max-connections-per-address", "off"]
    flags += ["--max-connections", str(count + 10), "--shutdown-spread", f"{SPREAD}s"]
    server = Server(program, *flags, "--close-timeout", f"{CLOSE_TIMEOUT}s")
    try:
        crowd = Crowd(server.address, count)
        crowd.open()
        echoes = crowd.run(3)
        say(f"  {count:,} connections, {echoes / 3:,.0f} echoes a second, {server.memory() / 2**20:.1f} MiB")
        if echoes < count:
            raise Fault(f"{echoes} echoes in 3 s are no load for {count} connections")
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        first, last = crowd.see_the_end(SPREAD + CLOSE_TIMEOUT + SLACK)
        took = server.ended(began, SPREAD + CLOSE_TIMEOUT + SLACK - (time.monotonic() - began))
        if last < SPREAD / 2:
            raise Fault(f"all were closed within {last:.2f} s, and not spread over {SPREAD} s")
        say(
            f"{count:,} connections closed with 1001 from {first:.2f} to {last:.2f} s after SIGTERM, "
            f"{crowd.echoes():,} messages whole; exit code 0 after {took:.2f} s"
        )
    finally:
        server.kill()


def main():
    parser = argparse.ArgumentParser(description="memory and the end of `newswire serve` under load")
    parser.add_argument("program")
    parser.add_argument("--connections", type=int, default=1_000_000, help="to open and close")
    parser.add_argument("--messages", type=int, default=10_000_000, help="to echo")
    parser.add_argument("--shutdown", type=int, default=5_000, help="connections that see a shutdown")
    asked = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("memory is read from /proc, which is Linux's")
        return SKIPPED
    try:
        soak_shutdown(asked.program, asked.shutdown)
        soak_memory(asked.program, asked.connections, asked.messages)
    except (Fault, OSError, subprocess.TimeoutExpired) as fault:
        print(f"FAILED: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
