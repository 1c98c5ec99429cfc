"""docs/guide/from-javascript.md and README.md show lines of JavaScript beside lines of Rust: are they
those of the example javascript_twin, where each comment is a line of the page's script, and the code
below it is its twin? The example is compiled, so what is shown is, too.

`javascript_twin.py` compares, and `javascript_twin.py --write` makes the guide's table anew. The
README may leave rows out.
"""

import difflib
import sys

from workspace import ROOT, report

EXAMPLE = ROOT / "crates" / "newswire" / "examples" / "javascript_twin.rs"
GUIDE = ROOT / "docs" / "guide" / "from-javascript.md"
README = ROOT / "README.md"

HEAD = ["| JavaScript | Rust |", "|---|---|"]


def rows(source):
    """A row for each line of JavaScript in the example. Code goes on until a statement is whole."""
    found, script, code = [], None, []
    for line in map(str.strip, source.splitlines()):
        if line.startswith("// "):
            if script is not None:
                sys.exit(f"{EXAMPLE.name}: no Rust below `{script}`")
            script = line.removeprefix("// ")
        elif script is not None:
            code.append(line)
            if line.endswith((";", "{", "}")):
                cells = [cell.replace("|", "\\|") for cell in (script, " ".join(code))]
                found.append("| " + " | ".join(f"`{cell}`" for cell in cells) + " |")
                script, code = None, []
    if not found or script is not None:
        sys.exit(f"{EXAMPLE.name}: no Rust below `{script}`")
    return found


def split(text):
    """The lines before the table's rows, the rows, and the lines behind."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if lines[at : at + 2] == HEAD:
            end = next((n for n in range(at + 2, len(lines)) if not lines[n].startswith("|")), len(lines))
            return lines[: at + 2], lines[at + 2 : end], lines[end:]
    sys.exit(f"there is no table with the head {HEAD[0]}")


def strangers(shown, all_rows):
    """The rows that are shown and are none of the example's, or not in its order."""
    remaining = iter(all_rows)
    return [row for row in shown if not any(row == other for other in remaining)]


def main():
    expected = rows(EXAMPLE.read_text())
    if sys.argv[1:] == ["--write"]:
        before, _, behind = split(GUIDE.read_text())
        GUIDE.write_text("\n".join([*before, *expected, *behind]) + "\n")
    _, shown, _ = split(GUIDE.read_text())
    problems = list(difflib.unified_diff(shown, expected, GUIDE.name, EXAMPLE.name, lineterm=""))
    if problems:
        problems.append(f"{GUIDE.name} is not what the example says: python3 conformance/lint/{EXAMPLE.stem}.py --write")
    _, shown, _ = split(README.read_text())
    if not shown:
        problems.append(f"{README.name} shows no line of {EXAMPLE.name}")
    problems += [f"{README.name}: not in {EXAMPLE.name}, or not in this order: {row}" for row in strangers(shown, expected)]
    report(problems, f"{len(expected)} lines of JavaScript beside their twins, {len(shown)} of them in {README.name}")


if __name__ == "__main__":
    main()
