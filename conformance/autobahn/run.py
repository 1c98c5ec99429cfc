#!/usr/bin/env python3
"""Runs Autobahn|Testsuite against our server and our client, at the same time.

    run.py --server PATH/TO/newswire --client PATH/TO/autobahn_client

Exit code 0: every case passed; 1: something failed; 77: skipped, there is no CPython 2.7.
Only the running lives here: check.py judges, spec.json and cases.txt say what is run.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from check import HERE, check

ROOT = HERE.parent.parent
AGENT = "newswire"
PROBE_LIMIT = 20  # seconds: is this a CPython 2.7?
INSTALL_LIMIT = 600  # seconds: pip, which compiles one small extension
START_LIMIT = 20  # seconds until a server takes connections
DIRECTION_LIMIT = 2100  # seconds for all cases of one direction; about 600 on two cores
STOP_LIMIT = 10  # seconds from SIGTERM to the end of a process
SKIPPED = 77


class Failure(Exception):
    """What went wrong, in words for the person who runs this."""


# --- the suite ---------------------------------------------------------------------------------


def is_python27(python):
    """Runs it: a pyenv shim is on PATH, too, where no 2.7 stands behind it."""
    probe = "import sys, pip; sys.exit(sys.version_info[:2] != (2, 7))"
    try:
        done = subprocess.run(
            [python, "-c", probe], stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_LIMIT
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find_python27():
    """A CPython 2.7 with pip, or None."""
    named = os.environ.get("AUTOBAHN_PYTHON")
    if named:
        if not is_python27(named):
            raise Failure(f"AUTOBAHN_PYTHON={named} is not a CPython 2.7 with pip")
        return named
    candidates = [shutil.which("python2.7")]
    roots = [os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"]
    if shutil.which("pyenv"):
        asked = subprocess.run(["pyenv", "root"], capture_output=True, text=True, timeout=PROBE_LIMIT)
        roots.insert(0, asked.stdout.strip())
    for root in filter(None, roots):
        candidates += sorted(Path(root).glob("versions/2.7.*/bin/python2.7"), reverse=True)
    return next((str(c) for c in candidates if c and is_python27(c)), None)


def install(python, cache):
    """Installs the suite once for these requirements and this Python; returns how to run it.

    It goes where pip's --user goes, with PYTHONUSERBASE in our cache: apart from everything else,
    and without virtualenv, whose present releases cannot make an environment for 2.7.
    """
    requirements = HERE / "requirements.txt"
    key = hashlib.sha256(requirements.read_bytes() + python.encode()).hexdigest()[:16]
    base = cache / key
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        "PYTHONUSERBASE": str(base),
        "PYTHONWARNINGS": "ignore",
        "PYTHONUNBUFFERED": "1",
        "PIP_REQUIRE_VIRTUALENV": "false",
    }
    done = base / "installed"
    if not done.exists():
        print(f"installing Autobahn|Testsuite for {python}", flush=True)
        shutil.rmtree(cache, ignore_errors=True)
        base.mkdir(parents=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--user"]
        pip += ["--ignore-installed", "--no-deps", "--no-warn-script-location", "-r", str(requirements)]
        log = cache / "pip.log"
        process = start(pip, log, env=environment)
        if wait(process, INSTALL_LIMIT, "pip") != 0:
            raise Failure(f"pip could not install the suite:\n{tail(log)}")
        done.touch()
    return [python, str(base / "bin" / "wstest")], environment


# --- processes ---------------------------------------------------------------------------------

running = []


def start(command, log, **options):
    """A child process whose output goes to `log`; ended with us, whatever happens."""
    with open(log, "w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **options
        )
    running.append(process)
    return process


def wait(process, limit, name):
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        raise Failure(f"{name} had not come to an end after {limit} s") from None


def stop(process, name):
    """Ends a process that runs until it is told to."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failure(f"{name} did not end within {STOP_LIMIT} s of SIGTERM") from None


def stop_everything():
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


def tail(log, lines=30):
    return "\n".join("  | " + line for line in log.read_text(errors="replace").splitlines()[-lines:])


def until(probe, process, log, name):
    """The first true answer of `probe`, while `process` lives and within START_LIMIT."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f"{name} ended with exit code {process.returncode}:\n{tail(log)}")
        answer = probe()
        if answer:
            return answer
        time.sleep(0.05)
    raise Failure(f"{name} took no connections within {START_LIMIT} s:\n{tail(log)}")


def assert_no_panic(log, name):
    if "panicked at" in log.read_text(errors="replace"):
        raise Failure(f"{name} panicked:\n{tail(log)}")


# --- the two directions ------------------------------------------------------------------------


class Direction:
    """One of us against one of them: where its report, its logs and its specification are."""

    def __init__(self, name, program, wstest, output):
        self.name, self.program = name, program
        self.command, self.environment = wstest
        self.reports = output / name
        self.our_log = output / f"{name}.log"
        self.suite_log = output / f"{name}.wstest.log"
        self.spec = output / f"{name}.json"
        shutil.rmtree(self.reports, ignore_errors=True)
        self.reports.mkdir(parents=True)

    def start_suite(self, mode, **where):
        spec = json.loads((HERE / "spec.json").read_text())
        spec.update(outdir=str(self.reports), **where)
        self.spec.write_text(json.dumps(spec, indent=2) + "\n")
        command = [*self.command, "--mode", mode, "--spec", str(self.spec), "--webport", "0"]
        return start(command, self.suite_log, env=self.environment, cwd=self.reports)

    def server(self):
        """The suite's fuzzing client against our server."""
        command = [self.program, "serve", "--port", "0", "--max-message-size", "64MiB"]
        ours = start(command, self.our_log)
        pattern = re.compile(r"http://(127\.0\.0\.1:[0-9]+)/")
        address = until(lambda: pattern.search(self.our_log.read_text()), ours, self.our_log, "newswire")
        url = f"ws://{address.group(1)}/echo"
        suite = self.start_suite("fuzzingclient", servers=[{"agent": AGENT, "url": url}])
        code = wait(suite, DIRECTION_LIMIT, "the fuzzing client")
        if code != 0:
            raise Failure(f"the fuzzing client ended with exit code {code}:\n{tail(self.suite_log)}")
        if ours.poll() is not None:
            raise Failure(f"newswire ended by itself, exit code {ours.returncode}:\n{tail(self.our_log)}")
        stop(ours, "newswire")
        assert_no_panic(self.our_log, "newswire")

    def client(self):
        """Our client against the suite's fuzzing server."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = free.getsockname()
        url = f"ws://127.0.0.1:{address[1]}"
        suite = self.start_suite("fuzzingserver", url=url)
        until(lambda: accepts(address), suite, self.suite_log, "the fuzzing server")
        ours = start([self.program, url], self.our_log)
        code = wait(ours, DIRECTION_LIMIT, "our client")
        if code != 0:
            raise Failure(f"our client ended with exit code {code}:\n{tail(self.our_log)}")
        stop(suite, "the fuzzing server")
        assert_no_panic(self.our_log, "our client")

    def run(self, verdicts):
        """Runs and judges; a report is judged even where the run itself failed."""
        failure = None
        try:
            getattr(self, self.name)()
        except Failure as reason:
            failure = reason
        passed, lines = check(self.name, self.reports)
        if failure:
            passed, lines = False, [*lines, f"  {failure}"]
        if not passed:
            lines.append(f"  logs: {self.our_log} {self.suite_log}")
        verdicts[self.name] = (passed, lines)


def accepts(address):
    try:
        socket.create_connection(address, timeout=1).close()
        return True
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", metavar="PATH", help="the newswire binary")
    parser.add_argument("--client", metavar="PATH", help="the example autobahn_client, built")
    parser.add_argument("--cache", metavar="DIR", type=Path, default=ROOT / ".cache" / "autobahn")
    parser.add_argument("--output", metavar="DIR", type=Path, default=ROOT / "output" / "autobahn")
    arguments = parser.parse_args()
    programs = {name: os.path.abspath(path) for name in ("server", "client") if (path := getattr(arguments, name))}
    if not programs:
        parser.error("nothing to test: give --server, --client or both")

    python = find_python27()
    if not python:
        print("no CPython 2.7 with pip, which Autobahn|Testsuite needs: put python2.7 on PATH,")
        print("or run `pyenv install 2.7.18`, or name one in AUTOBAHN_PYTHON")
        sys.exit(SKIPPED)
    wstest = install(python, arguments.cache.resolve())

    verdicts, output = {}, arguments.output.resolve()
    directions = [Direction(name, path, wstest, output) for name, path in programs.items()]
    threads = [threading.Thread(target=d.run, args=[verdicts], daemon=True) for d in directions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for direction in directions:
        print("\n".join(verdicts[direction.name][1]))
    sys.exit(0 if all(passed for passed, _ in verdicts.values()) else 1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        main()
    except Failure as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        stop_everything()
