"""docs/reference/cli.md is made from the program's own help, and configuration.md from the settings
that it prints: are they what it says now?

`cli_reference.py` compares, and `cli_reference.py --write` makes the files anew. The program is
built first.
"""

import difflib
import os
import re
import subprocess
import sys

from workspace import ROOT, report

REFERENCE = ROOT / "docs" / "reference"

HEAD = """\
# The command line

<!-- Made by `python3 conformance/lint/cli_reference.py --write` from the program's own help. -->

Results go to standard output. What went wrong goes to standard error in one line, and the exit code
says which kind of failure it was.
"""


CONFIGURATION = """\
# Configuration

<!-- Made by `python3 conformance/lint/cli_reference.py --write` from `newswire serve --print-config`. -->

`newswire serve` takes each setting from four places. A flag wins over a variable of the environment,
that over the file, and that over the default.

| place | `max_message_size` is written |
|---|---|
| flag | `--max-message-size 1MiB` |
| variable | `NEWSWIRE_MAX_MESSAGE_SIZE=1MiB` |
| file, named by `--config FILE` or `NEWSWIRE_CONFIG` | `max_message_size = "1MiB"` |

- The file is [TOML](https://toml.io), without tables. A key that is no setting is refused.
- Sizes are written `64KiB`, `1MiB`, or as a number of bytes; times `500ms`, `60s`, `5m`; what can be
  switched off takes `off`.
- A list is an array in the file, a flag that is repeated, and a variable with commas. A place that
  wins wins with its whole list.
- A switch is `true` or `false` in the file and in a variable. A flag needs no value, and
  `--verbose=false` switches off what another place has switched on.
- A path in the file is meant from where the file is.
- A variable that is empty is as good as none.

`newswire serve --check` says whether all of it is right, the files that it names among it;
`--print-config` prints every setting with its value and where that comes from, also when they do not go
together. Both end with exit code 2 when something is wrong, in whichever place, after a line for each
thing:

```text
newswire: newswire.toml:3: max_mesage_size is no setting: max_message_size is, if that is meant
newswire: NEWSWIRE_PORT=http: invalid digit found in string
```

In Kubernetes, a service of the name `newswire` sets `NEWSWIRE_PORT` to a URL in every container that
starts after it. `enableServiceLinks: false` in the pod's specification prevents that.

## Every setting

The file that says what is so anyway:

```toml
{settings}
```
"""


def run_newswire(*arguments):
    """What the program prints, as wide as without a terminal, whatever this environment sets."""
    cargo = ["cargo", "run", "--quiet", "--locked", "--package", "newswire-cli", "--bin", "newswire", "--"]
    done = subprocess.run(
        [*cargo, *arguments],
        cwd=ROOT,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("NEWSWIRE_")}, "COLUMNS": "100"},
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


def differences(name, found, expected):
    """What would have to change in the file of this name, as a diff; empty when nothing would."""
    lines = difflib.unified_diff(found.splitlines(), expected.splitlines(), name, "the program", lineterm="")
    return list(lines)


def main():
    documents = {
        "cli.md": document(lambda command: run_newswire(*command, "--help")),
        "configuration.md": CONFIGURATION.format(settings=run_newswire("serve", "--print-config")),
    }
    problems = []
    for name, expected in documents.items():
        path = REFERENCE / name
        if sys.argv[1:] == ["--write"]:
            path.write_text(expected)
        found = path.read_text() if path.exists() else ""
        changes = differences(name, found, expected)[:40]
        if changes:
            where = path.relative_to(ROOT)
            changes.append(f"{where} is not what it says: python3 conformance/lint/cli_reference.py --write")
        problems += changes
    report(problems, f"{' and '.join(documents)} are what the program says")


if __name__ == "__main__":
    main()
