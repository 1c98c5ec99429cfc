"""A connection that comes back to a server that is killed: python3 killed.py NEWSWIRE EXAMPLES.

A hundred times a server (`newswire serve` and the example `recording_echo` in turns) is ended with
SIGKILL and started again on the same port, while the example `reconnecting_client` sends ten thousand
numbered messages. What the client tells must be what the library promises: a message that waits is not
lost, none comes twice, the order is kept; and neither its memory nor its files nor its tasks grow.
Exits with 1 when something is not as it should be.
"""

import base64
import contextlib
import os
import queue
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

from programs import PATIENCE, free_port, program

KILLS = 100
ROUND = 100  # messages for each server that is killed
LARGE = 128 * 1024  # bytes: some of them are more than all buffers on the way hold
GROWTH = 512  # KiB that the memory may differ by: 6 KiB for each kill
# What is freed goes back to the system at once. Without it the holes between what is in use grow for as long as one
# looks, whatever the program does.
MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "8192", "MALLOC_TRIM_THRESHOLD_": "8192"}


class Wrong(Exception):
    """What is not as it was promised."""


class Story:
    """What the client has told so far, line by line, held against what may happen."""

    def __init__(self):
        self.queued = 0  # how many messages the client was given
        self.expected = 0  # the number that the next echo must have
        self.echoes = 0
        self.opened = 0
        self.missing = 0  # handed to the network, and not echoed before the connection was lost
        self.repeated = set()  # told to be sent again, since they were cut off in the middle
        self.attempts = 0  # that have failed
        self.tasks = []  # at each opening
        self.finished = False

    def add(self, line):
        kind, *words = line.split()
        if kind == "open":
            before, tasks = map(int, words)
            self.want(before == self.opened, line)
            self.opened += 1
            self.tasks.append(tasks)
        elif kind == "message":
            # The first echo on a connection is that of the first message that no connection before has had in
            # full, and each other one that of the next message.
            self.want(int(words[0]) == self.expected < self.queued, line)
            self.expected += 1
            self.echoes += 1
        elif kind == "lost":
            sent = int(words[0])
            self.want(self.expected <= sent <= self.queued, line)
            if words[1] == "true":
                self.repeated.add(sent)
            self.missing += sent - self.expected
            self.expected = sent
        elif kind == "waiting":
            self.attempts += 1
        elif kind == "sent":
            self.want(int(words[0]) == self.queued, line)
            self.finished = True
        else:
            raise Wrong(line)

    def want(self, condition, line):
        if not condition:
            raise Wrong(f"{line!r} on connection {self.opened}, when {self.expected} of {self.queued} was expected")


class Client:
    """The example, its story, and two threads that keep its pipes moving."""

    def __init__(self, process):
        self.process = process
        self.story = Story()
        self.wrong = None
        self.changed = threading.Condition()
        self.lines = queue.SimpleQueue()
        for work in (self.read, self.write):
            threading.Thread(target=work, daemon=True).start()

    def read(self):
        try:
            for line in self.process.stdout:
                with self.changed:
                    self.story.add(line)
                    self.changed.notify()
        except (Wrong, ValueError) as wrong:
            self.wrong = wrong
        with self.changed:
            self.wrong = self.wrong or self.story.finished or "the client has ended"
            self.changed.notify()

    def write(self):
        with contextlib.suppress(BrokenPipeError):
            while (line := self.lines.get()) is not None:
                self.process.stdin.write(line)
                self.process.stdin.flush()
            self.process.stdin.close()

    def send(self, count, padding=""):
        with self.changed:
            for number in range(self.story.queued, self.story.queued + count):
                self.lines.put(f"{number} {padding}\n")
            self.story.queued += count

    def until(self, what, condition):
        """Waits until `condition` holds for the story."""
        with self.changed:
            self.changed.wait_for(lambda: self.wrong or condition(self.story), PATIENCE)
            if self.wrong and self.wrong is not True:
                raise Wrong(self.wrong)
            if not condition(self.story):
                raise Wrong(f"{what}: not within {PATIENCE} s; {vars(self.story)}")

    def resident(self):
        """Its memory in KiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


# --- four moments to be killed at: each sends the messages of a round, and returns when it is time ---------------


def in_the_middle(client, _server):
    """While messages and echoes are on their way."""
    client.send(ROUND)
    before = client.story.echoes
    some = random.randint(1, ROUND // 2)
    client.until("some echoes", lambda story: story.echoes >= before + some)


def stuck(client, server):
    """When it has not read for a while, so that a message is written in part."""
    few = ROUND // 2
    client.send(few)
    client.until("all echoes", lambda story: story.expected == story.queued)
    server.send_signal(signal.SIGSTOP)
    client.send(ROUND - few, base64.b64encode(random.randbytes(LARGE * 3 // 4)).decode())
    time.sleep(0.2)


def opening(client, _server):
    """Before it listens, before it has answered, or soon after."""
    client.send(ROUND)
    time.sleep(random.uniform(0, 0.06))


def quiet(client, _server):
    """When there is nothing to do. What the client keeps can be compared then."""
    client.send(ROUND)
    client.until("all echoes", lambda story: story.expected == story.queued)


MOMENTS = (in_the_middle, stuck, opening, quiet)


def run(client, commands):
    """Kills; memory and files at each quiet moment, by the number of the kill."""
    kept = []
    for kill in range(KILLS):
        moment = MOMENTS[kill % len(MOMENTS)]
        command = commands[kill // len(MOMENTS) % len(commands)]
        with program(*command) as server:
            moment(client, server)
            if moment is quiet:
                kept.append((kill, client.resident(), client.files()))
            if server.poll() is not None:
                raise Wrong(f"{command[0]} has ended by itself with {server.returncode}")
            server.kill()
        # Often it is back before anybody has noticed.
        time.sleep(random.choice((0, 0, 0.03, 0.1)))
    with program(*commands[0]):
        client.until("the last echoes", lambda story: story.expected == story.queued)
        client.lines.put(None)
        client.until("the end", lambda story: story.finished)
        code = client.process.wait(PATIENCE)
        if code != 0:
            raise Wrong(f"the client has ended with {code}")
    return kept


def check_record(path, story):
    """The servers have received every message at most once and in order, but for those told to be repeated."""
    with open(path, encoding="ascii") as file:
        received = [int(line) for line in file]
    for one, next_one in zip(received, received[1:]):
        if next_one <= one and not (next_one == one and one in story.repeated):
            raise Wrong(f"the server has received {next_one} after {one}")
    if len(received) < story.queued // 10:
        raise Wrong(f"only {len(received)} messages were recorded")
    return len(received)


def check_growth(what, kept, most=0):
    """The last tenth of what was kept, by the number of the kill, against the first."""
    first = max(value for kill, value in kept if kill < KILLS // 10)
    last = max(value for kill, value in kept if kill >= KILLS - KILLS // 10)
    print(f"{what}: {first} in the first tenth, {last} in the last", flush=True)
    if last > first + most:
        raise Wrong(f"{what} grow: {[value for _, value in kept]}")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: killed.py NEWSWIRE EXAMPLES")
    newswire, examples = sys.argv[1:]
    seed = int(os.environ.get("SEED", "0")) or random.randrange(1, 1 << 31)
    random.seed(seed)
    port = free_port()
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": None, "text": True}
    options["env"] = {**os.environ, **MALLOC}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="newswire-killed-"))
        record = os.path.join(folder, "received")
        commands = (
            (newswire, "serve", "--host", "127.0.0.1", "--port", str(port)),
            (os.path.join(examples, "recording_echo"), f"127.0.0.1:{port}", record),
        )
        command = (os.path.join(examples, "reconnecting_client"), f"ws://127.0.0.1:{port}/echo")
        client = Client(stack.enter_context(program(*command, **options)))
        story = client.story
        try:
            kept = run(client, commands)
            received = check_record(record, story)
            print(
                f"{KILLS} kills, {story.queued} messages: {story.echoes} echoed, {story.missing} lost on their way, "
                f"{len(story.repeated)} cut off and sent again; {story.opened} connections, {story.attempts} attempts "
                f"that failed; {received} messages on record"
            )
            if not story.repeated or story.echoes < story.queued // 2 or not story.attempts:
                raise Wrong("too little has happened for this to show anything")
            check_growth("KiB of memory", [(kill, memory) for kill, memory, _ in kept], GROWTH)
            check_growth("open files", [(kill, files) for kill, _, files in kept])
            tasks = [(index * KILLS // len(story.tasks), tasks) for index, tasks in enumerate(story.tasks)]
            check_growth("tasks", tasks)
        except Wrong as wrong:
            sys.exit(f"FAIL  {wrong}\nagain with SEED={seed}")


if __name__ == "__main__":
    main()
