"""The client's way through tinyproxy and microsocks: python3 run.py NEWSWIRE ROUTED_CLIENT.

Exits with 1 when something is not as it should be. Every program that it starts is ended.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile

from programs import PATIENCE, free_port, program, until_listening

FAILED = []


@contextlib.contextmanager
def tinyproxy(folder, *lines):
    port = free_port()
    path = os.path.join(folder, f"tinyproxy-{port}.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join([f"Port {port}", "Listen 127.0.0.1", "Timeout 60", *lines, ""]))
    with program("tinyproxy", "-d", "-c", path) as process:
        until_listening(port, process)
        yield port


@contextlib.contextmanager
def microsocks(*options):
    port = free_port()
    with program("microsocks", "-i", "127.0.0.1", "-p", str(port), *options) as process:
        until_listening(port, process)
        yield port


def client(binary, url, variables):
    """Exit code, standard output and standard error of the client."""
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    environment.update(variables)
    done = subprocess.run(
        [binary, url, "one", "two"], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    return done.returncode, done.stdout, done.stderr


def expect(label, result, code, pattern=""):
    """The client's exit code, and what it prints: the echoes, or an error of one line."""
    found, output, error = result
    text = output if code == 0 else error
    if code == 0:
        pattern = r"\Aone\ntwo\n\Z"
    good = found == code and re.search(pattern, text) and (code == 0 or error.count("\n") == 1)
    print(f"{'  ok' if good else 'FAIL'}  {label}")
    if not good:
        FAILED.append(label)
        print(f"      exit code {found}, output {output!r}, error {error!r}, expected {code} {pattern!r}")


def run(newswire, binary, folder):
    port = free_port()
    url = f"ws://127.0.0.1:{port}/echo"
    known = "name:pass%20word@"
    wrong = "name:wrong@"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(program(newswire, "serve", "--host", "127.0.0.1", "--port", str(port)))
        until_listening(port, server)
        http = stack.enter_context(tinyproxy(folder))
        closed = stack.enter_context(tinyproxy(folder, "BasicAuth name password"))
        narrow = stack.enter_context(tinyproxy(folder, "ConnectPort 443"))
        socks = stack.enter_context(microsocks())
        guarded = stack.enter_context(microsocks("-u", "name", "-P", "pass word"))

        def through(proxy, to=url):
            return client(binary, to, {"NEWSWIRE_PROXY": proxy})

        def named(variable, proxy, to, **others):
            return client(binary, to, {variable: proxy, **others})

        at = "127.0.0.1"
        expect("tinyproxy", through(f"http://{at}:{http}"), 0)
        expect("tinyproxy, password", through(f"http://name:password@{at}:{closed}"), 0)
        expect("tinyproxy, no password", through(f"http://{at}:{closed}"), 1, r"\AProxy: .*\b(401|407)\b")
        expect("tinyproxy, wrong password", through(f"http://{wrong}{at}:{closed}"), 1, r"\AProxy: .*\b(401|407)\b")
        expect("tinyproxy, port not allowed", through(f"http://{at}:{narrow}"), 1, r"\AProxy: .*\b403\b")
        dead = f"ws://127.0.0.1:{free_port()}/"
        expect("tinyproxy, nobody behind it", through(f"http://{at}:{http}", dead), 1, r"\AProxy: .*\b50\d\b")
        expect("microsocks", through(f"socks5h://{at}:{socks}"), 0)
        expect("microsocks, address looked up here", through(f"socks5://{at}:{socks}"), 0)
        expect("microsocks, name looked up there", through(f"socks5h://{at}:{socks}", url.replace(at, "localhost")), 0)
        expect("microsocks, password", through(f"socks5h://{known}{at}:{guarded}"), 0)
        expect("microsocks, no password", through(f"socks5h://{at}:{guarded}"), 1, r"\AProxy: ")
        expect("microsocks, wrong password", through(f"socks5h://{wrong}{at}:{guarded}"), 1, r"\AProxy: ")
        expect("microsocks, nobody behind it", through(f"socks5h://{at}:{socks}", dead), 1, r"\AProxy: .*refused")
        expect("each for the other", through(f"http://{at}:{socks}"), 1, r"\AProxy: ")
        expect("each for the other", through(f"socks5h://{at}:{http}"), 1, r"\AProxy: ")
        expect("no proxy there", through(f"http://{at}:{free_port()}"), 1, r"\AProxy: .*refused")

        # Loopback is never asked of the environment's proxy, so here the proxy has to say that it
        # does not know the name.
        nowhere = "ws://only-there.invalid/"
        asked = r"\AProxy: .*http://127\.0\.0\.1:%d\b.*\b50\d\b" % http
        proxy = f"http://{at}:{http}"
        expect("HTTP_PROXY", named("HTTP_PROXY", proxy, nowhere), 1, asked)
        expect("http_proxy", named("http_proxy", proxy, nowhere), 1, asked)
        expect("ALL_PROXY", named("ALL_PROXY", proxy, nowhere), 1, asked)
        expect("ALL_PROXY, SOCKS", named("ALL_PROXY", f"socks5h://{at}:{socks}", nowhere), 1, r"\AProxy: .*SOCKS")
        expect("NO_PROXY", named("ALL_PROXY", proxy, nowhere, NO_PROXY=".invalid"), 1, r"\ADns: ")
        expect("HTTPS_PROXY is not for ws:", named("HTTPS_PROXY", proxy, nowhere), 1, r"\ADns: ")
        expect("loopback is reached without", named("ALL_PROXY", f"http://{at}:1", url), 0)
        expect("a proxy that cannot be used", named("ALL_PROXY", "ftp://x", nowhere), 1, r"\ASetup: ALL_PROXY")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: run.py NEWSWIRE ROUTED_CLIENT")
    with tempfile.TemporaryDirectory(prefix="newswire-routes-") as folder:
        run(*sys.argv[1:], folder)
    print(f"{len(FAILED)} failed" if FAILED else "all as they should be")
    sys.exit(bool(FAILED))


if __name__ == "__main__":
    main()
