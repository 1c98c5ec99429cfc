"""Runs cases against servers and gives each its verdict: what the case itself found, and what happened
to the process, to its memory and to somebody else's connections meanwhile."""

import asyncio
import time
from dataclasses import dataclass, field

import expect
from bystander import Bystanders
from cases import MIB, Case
from peer import Peer
from process import Server
from wire import Fault, request

# Each lane is a server of its own. Its cases run one after the other; those of `slow`, which mostly
# wait, all at once. Lanes of one row follow each other, rows run side by side.
LANES = {
    "main": [],
    "small": ["--max-message-size", "1MiB"],
    "heavy": [],
    "large": [],
    "slow": [],
}
ROWS = [["main", "small", "heavy", "large"], ["slow"]]
TOGETHER = {"slow"}
WORKERS = 2
# The most that a server may have grown once all attacks on it are over. Of messages near the limit the
# C library's allocator keeps up to 64 MiB a thread for the next one.
LEFT_OVER = {"main": 96 * MIB, "small": 24 * MIB, "heavy": 24 * MIB, "large": 224 * MIB, "slow": 24 * MIB}


@dataclass
class Verdict:
    name: str
    rule: str
    seconds: float
    grown: int = 0
    latency: float = 0.0
    faults: list = field(default_factory=list)
    transcript: list = field(default_factory=list)

    @property
    def passed(self):
        return not self.faults


class Trial:
    """What a case works with: the server, and connections that are closed when it is over."""

    def __init__(self, server, start):
        self.server = server
        self._start = start
        self._servers = []
        self.peers = []

    async def connect(self, server=None, **options):
        peer = await Peer.connect((server or self.server).address, **options)
        self.peers.append(peer)
        return peer

    async def open(self, server=None, head=None, **options):
        """A connection whose handshake is done."""
        peer = await self.connect(server, **options)
        head = head or request()
        await peer.send(head)
        response = await peer.response()
        if response is None or response.status != 101:
            raise Fault(f"the handshake was answered with {response and response.status}")
        expect.judge_upgrade(response, head)
        peer.answer = response
        return peer

    async def many(self, count, make):
        """`count` connections made by `make()`, some at a time, so that no queue of the system's is full."""
        made = []
        for start in range(0, count, 64):
            some = [make() for _ in range(min(64, count - start))]
            made += await asyncio.gather(*some)
        return made

    def forget(self, peer):
        """Closes a connection that is not to be in the report."""
        peer.close()
        self.peers.remove(peer)

    def server_with(self, *flags):
        """Another server, for this case alone."""
        server = self._start(flags)
        self._servers.append(server)
        return server

    def end(self):
        for peer in self.peers:
            peer.close()
        for server in self._servers:
            server.kill()

    def transcript(self):
        lines = []
        for peer in self.peers[-3:]:
            lines += [*peer.lines(), ""]
        return lines[:-1]


async def attempt(case, trial):
    """Runs a case; returns the fault that it found, None if there was none."""
    try:
        async with asyncio.timeout(case.limit):
            await case.run(trial)
    except Fault as fault:
        return str(fault)
    except TimeoutError:
        return f"it was not over after {case.limit:g} s"
    return None


class Lane:
    """One server with its bystanders, and the cases against it."""

    def __init__(self, name, cases, program, logs, report):
        self.name, self.cases, self.report = name, cases, report
        self.program, self.logs, self.started = program, logs, 0
        self.verdicts, self.bystanders = [], None
        self.out_of_order = None  # why nothing can be run against this server

    def start_server(self, flags):
        self.started += 1
        log = self.logs / f"{self.name}-{self.started}.log"
        return Server(self.program, ["--workers", str(WORKERS), *flags], log)

    async def start(self):
        self.server = self.start_server(LANES[self.name])
        self.bystanders = Bystanders(self.server.address, WORKERS)
        try:
            await self.bystanders.start()
        except Fault as fault:
            self.out_of_order = f"the server does not even serve others: {fault}"
        self.memory, self.descriptors = self.server.memory(), self.server.descriptors()

    async def run(self):
        await self.start()
        try:
            if self.name in TOGETHER:
                await self.judge(self.cases)
            else:
                for case in self.cases:
                    await self.judge([case])
            if not self.out_of_order:
                await self.judge_afterwards()
        finally:
            self.bystanders.stop()
            self.server.kill()

    async def judge(self, cases):
        """Runs cases at once, and judges each, and what they did to the server together."""
        if self.out_of_order:
            for case in cases:
                self.note(Verdict(case.name, case.rule, 0.0, faults=[self.out_of_order]))
            return
        verdicts, held_up = await self.measure(cases)
        if held_up and len(cases) == 1 and all(verdict.passed for verdict in verdicts):
            # The machine may have been busy with something else.
            verdicts, held_up = await self.measure(cases)
        for verdict in verdicts:
            verdict.faults += [held_up] if held_up else []
            self.note(verdict)

    async def measure(self, cases):
        """Runs cases at once. Their verdicts, and what was wrong with somebody else's latency."""
        server, bystanders = self.server, self.bystanders
        server.reset_peak()
        before, began = server.memory(), time.monotonic()

        async def one(case):
            trial, start = Trial(server, self.start_server), time.monotonic()
            fault = await attempt(case, trial)
            verdict = Verdict(case.name, case.rule, time.monotonic() - start)
            if fault:
                verdict.faults.append(fault)
            verdict.transcript = trial.transcript()
            trial.end()
            return verdict

        verdicts = await asyncio.gather(*(one(case) for case in cases))
        faults, grown = [], 0
        try:
            await bystanders.settled()
        except Fault as fault:
            faults.append(str(fault))
        try:
            grown = max(0, server.peak() - before)
        except Fault as fault:
            faults.append(str(fault))
        allowed = sum(case.memory for case in cases)
        if grown > allowed:
            faults.append(f"the server grew by {grown / MIB:.1f} MiB, and {allowed / MIB:.0f} MiB is the most")
        worst, most = bystanders.worst(began), max(case.latency for case in cases)
        held_up = None
        if worst > most:
            held_up = f"an echo to somebody else took {worst:.2f} s meanwhile, and {most:g} s is the most"
        broken = server.complaint()
        if broken:
            faults.append(broken)
        for verdict in verdicts:
            verdict.grown, verdict.latency = grown, worst
            verdict.faults += faults
        if broken or bystanders.fault:
            bystanders.stop()
            server.kill()
            await self.start()
        return verdicts, held_up

    async def judge_afterwards(self):
        """When all is over nothing may be left: no descriptors, no memory, and a clean end."""

        async def nothing_is_left(_trial):
            for _ in range(50):
                left = self.server.descriptors() - self.descriptors
                if left <= 0:
                    break
                await asyncio.sleep(0.1)
            else:
                raise Fault(f"{left} descriptors are still open 5 s after the last connection was closed")
            grown = self.server.memory() - self.memory
            most = LEFT_OVER[self.name]
            if grown > most:
                kept = f"{grown / MIB:.1f} MiB more than before all attacks"
                raise Fault(f"the server keeps {kept}, and {most / MIB:.0f} MiB is the most")

        rule = "what connections used is given back when they end"
        await self.judge([Case(f"afterwards/{self.name}-nothing-is-left", rule, nothing_is_left)])
        name, rule = f"afterwards/{self.name}-clean-end", "SIGTERM ends the server with exit code 0"
        began = time.monotonic()
        wrong = await self.server.stop()
        self.note(Verdict(name, rule, time.monotonic() - began, faults=[wrong] if wrong else []))

    def note(self, verdict):
        self.verdicts.append(verdict)
        self.report(verdict)


async def run(cases, program, logs, report):
    """All verdicts, and all latencies of bystanders."""
    lanes = {}
    for name in LANES:
        chosen = [case for case in cases if case.lane == name]
        if chosen:
            lanes[name] = Lane(name, chosen, program, logs, report)

    async def row(names):
        for name in names:
            if name in lanes:
                await lanes[name].run()

    async with asyncio.TaskGroup() as group:
        for names in ROWS:
            group.create_task(row(names))
    verdicts = [verdict for lane in lanes.values() for verdict in lane.verdicts]
    echoes = sorted(took for lane in lanes.values() for _, took, _ in lane.bystanders.echoes)
    return verdicts, echoes


def percentile(echoes, share):
    return echoes[min(len(echoes) - 1, int(len(echoes) * share))] if echoes else 0.0


def groups(verdicts):
    """{group: its verdicts}, in the order in which they came."""
    found = {}
    for verdict in verdicts:
        found.setdefault(verdict.name.split("/")[0], []).append(verdict)
    return found
