"""What the checks share: where the project is, its source files, and cargo's description of it."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Built, downloaded or written by a run: never source.
GENERATED = {".git", ".cache", "node_modules", "output", "target"}


def files(root=ROOT):
    """Every file of the project, as sorted paths."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in GENERATED]
        found += [Path(folder) / name for name in names]
    return sorted(found)


@functools.cache
def metadata():
    """`cargo metadata` with every feature on."""
    command = ["cargo", "metadata", "--format-version", "1", "--all-features", "--locked"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit("`cargo metadata --locked` failed: is Cargo.lock there and up to date?")
    return json.loads(done.stdout)


def members(data):
    """The workspace's own packages, in the order of their names."""
    own = set(data["workspace_members"])
    return sorted((p for p in data["packages"] if p["id"] in own), key=lambda p: p["name"])


def report(problems, passed):
    """Ends the check: the problems and exit code 1, or the line that says it passed."""
    if problems:
        sys.exit("\n".join(problems))
    print(passed)
