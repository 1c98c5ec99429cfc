"""docs/reference/cli.md is made from the program's own help: is it what the help says now?

`cli_reference.py` compares, and `cli_reference.py --write` makes the file anew. The program is
built first.
"""

import difflib
import os
import re
import subprocess
import sys

from workspace import ROOT, report

REFERENCE = ROOT / "docs" / "reference" / "cli.md"

HEAD = """\
# The command line

<!-- Made by `python3 conformance/lint/cli_reference.py --write` from the program's own help. -->

Results go to standard output. What went wrong goes to standard error in one line, and the exit code
says which kind of failure it was.
"""


def run_newswire(*arguments):
    """What the program prints, as wide as without a terminal."""
    cargo = ["cargo", "run", "--quiet", "--locked", "--package", "newswire-cli", "--bin", "newswire", "--"]
    done = subprocess.run(
        [*cargo, *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"`newswire {' '.join(arguments)}` failed:\n{done.stderr}")
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def commands(help_text):
    """The commands that a help lists, `help` itself left out."""
    listed = re.search(r"^Commands:\n((?:  .*\n?)+)", help_text, re.MULTILINE)
    names = re.findall(r"^  (\S+)", listed[1], re.MULTILINE) if listed else []
    return [name for name in names if name != "help"]


def exit_codes(help_text):
    """[(code, meaning)] from the sentence at the help's end."""
    sentence = re.search(r"^Exit codes: ([^.]*)\.", help_text, re.MULTILINE)
    codes = re.findall(r"(\d+) ([^,]+)", sentence[1].replace("\n", " ")) if sentence else []
    if not codes:
        sys.exit("`newswire --help` has no sentence `Exit codes: 0 success, 1 …`")
    return codes


def document(help_of):
    """The whole file; `help_of` gives the help of a command, of the program itself for ()."""
    parts, waiting = [HEAD], [()]
    while waiting:
        command = waiting.pop(0)
        text = help_of(command)
        parts.append(f"## {' '.join(('newswire', *command))}\n\n```text\n{text}\n```\n")
        waiting += [(*command, name) for name in commands(text)]
    rows = "".join(f"| {code} | {meaning} |\n" for code, meaning in exit_codes(help_of(())))
    parts.append(f"## Exit codes\n\n| code | meaning |\n|---|---|\n{rows}")
    return "\n".join(parts)


def differences(found, expected):
    """What would have to change, as a diff; empty when nothing would."""
    lines = difflib.unified_diff(found.splitlines(), expected.splitlines(), "cli.md", "--help", lineterm="")
    return list(lines)


def main():
    expected = document(lambda command: run_newswire(*command, "--help"))
    where = REFERENCE.relative_to(ROOT)
    if sys.argv[1:] == ["--write"]:
        REFERENCE.write_text(expected)
    found = REFERENCE.read_text() if REFERENCE.exists() else ""
    problems = differences(found, expected)[:40]
    if problems:
        problems.append(f"{where} is not what the help says: python3 conformance/lint/cli_reference.py --write")
    report(problems, f"{where} is what the help says")


if __name__ == "__main__":
    main()
