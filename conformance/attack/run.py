#!/usr/bin/env python3
"""Attacks `newswire serve` on raw sockets, and judges it by RFC 6455, 7692 and 9112.

    run.py --server PATH/TO/newswire [--only PATTERN] [--list] [--json]

Exit code 0: it stood; 1: it failed a case; 2: wrong arguments; 77: skipped, this is not Linux. Only
the command line and the report live here; the groups are modules of their own.
"""

import argparse
import asyncio
import fnmatch
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import closing
import deflate
import endurance
import frames
import handshake
import limits
import process
import runner
import slow
import smuggling
import text
import tls
from cases import CASES, MIB
from wire import Fault

ROOT = Path(__file__).resolve().parent.parent.parent
GROUPS = [handshake, smuggling, frames, text, closing, deflate, limits, tls, endurance, slow]
SKIPPED = 77
DESCRIPTORS = 8192  # as many connections as a case opens at once, and more


def chosen(pattern):
    """The cases to run, group by group."""
    order = [group.__name__ for group in GROUPS]
    cases = sorted(CASES, key=lambda case: order.index(case.group))
    if not pattern:
        return cases
    wanted = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return [case for case in cases if fnmatch.fnmatchcase(case.name, wanted)]


def describe(verdict):
    """A failure, so that it can be understood without running it again."""
    lines = [f"FAIL {verdict.name}, {verdict.seconds:.1f} s", f"     {verdict.rule}"]
    for fault in verdict.faults:
        lines += [f"  !! {line}" if index == 0 else f"     {line}" for index, line in enumerate(fault.split("\n"))]
    lines += [f"     {line}" for line in verdict.transcript]
    return "\n".join(lines)


def summary(name, verdicts):
    failed = sum(not verdict.passed for verdict in verdicts)
    grown = max(verdict.grown for verdict in verdicts) / MIB
    latency = max(verdict.latency for verdict in verdicts) * 1000
    mark = "FAIL" if failed else "  ok"
    result = f"{failed} of {len(verdicts)} failed" if failed else f"{len(verdicts)} cases"
    return f"{mark} {name}: {result}; memory +{grown:.1f} MiB, somebody else's echo {latency:.0f} ms at most"


def as_json(verdicts, echoes, seconds):
    return json.dumps(
        {
            "passed": all(verdict.passed for verdict in verdicts),
            "seconds": round(seconds, 1),
            "bystanders": {
                "echoes": len(echoes),
                **{f"p{share:g}_ms": round(runner.percentile(echoes, share / 100) * 1000, 3) for share in (50, 99, 100)},
            },
            "cases": [
                {
                    "name": verdict.name,
                    "rule": verdict.rule,
                    "passed": verdict.passed,
                    "seconds": round(verdict.seconds, 3),
                    "memory_bytes": verdict.grown,
                    "latency_ms": round(verdict.latency * 1000, 1),
                    "faults": verdict.faults,
                    "transcript": verdict.transcript,
                }
                for verdict in verdicts
            ],
        },
        indent=1,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", metavar="PATH", help="the newswire binary, or what takes its arguments")
    parser.add_argument("--only", metavar="PATTERN", help="cases whose name has this in it, or matches it with * and ?")
    parser.add_argument("--list", action="store_true", help="name the cases and what they demand, and end")
    parser.add_argument("--json", action="store_true", help="write one JSON document instead of lines")
    parser.add_argument("--logs", metavar="DIR", type=Path, default=ROOT / "output" / "attack")
    arguments = parser.parse_args()
    cases = chosen(arguments.only)
    if not cases:
        parser.error(f"no case is called {arguments.only}; --list names them")
    if arguments.list:
        for case in cases:
            print(f"{case.name}\n    {case.rule}")
        print(f"{len(cases)} cases")
        return 0
    if not arguments.server:
        parser.error("nothing to attack: give --server")
    if not Path("/proc/self/clear_refs").exists():
        print("this is not Linux, by whose /proc the server's memory is watched")
        return SKIPPED
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = DESCRIPTORS if most == resource.RLIM_INFINITY else min(DESCRIPTORS, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))

    arguments.logs.mkdir(parents=True, exist_ok=True)

    def report(verdict):
        if not verdict.passed and not arguments.json:
            print(describe(verdict), flush=True)

    began = time.monotonic()
    program = os.path.abspath(arguments.server)
    try:
        verdicts, echoes = asyncio.run(runner.run(cases, program, arguments.logs.resolve(), report))
    except* Fault as faults:
        sys.exit("\n".join(str(fault) for fault in faults.exceptions))
    seconds = time.monotonic() - began
    failed = sum(not verdict.passed for verdict in verdicts)
    if arguments.json:
        print(as_json(verdicts, echoes, seconds))
    else:
        for name, found in runner.groups(verdicts).items():
            print(summary(name, found))
        half, most = (runner.percentile(echoes, share) * 1000 for share in (0.5, 1))
        print(f"{len(echoes)} echoes to somebody else: {half:.1f} ms median, {most:.0f} ms at most")
        result = f"{failed} failed" if failed else "all passed"
        print(f"{len(verdicts)} cases, {result}, {seconds:.0f} s; the servers' logs are in {arguments.logs}")
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        process.kill_all()
