"""docs/reference/conformance.md maps each MUST of the RFCs to tests, websocket-interface.md each
rule of the WebSockets Standard: do those tests exist?

In the last column of its tables all that stands in backticks is a test, `path::to::name`. It
must be one that runs, in crates/, and its path must lead to it. A row without a test says why.
"""

import re

from workspace import ROOT, files, report

REFERENCE = ROOT / "docs" / "reference"
MAPS = [REFERENCE / "conformance.md", REFERENCE / "websocket-interface.md"]

# Attributes and doc comments, then the function: `#[test]`, `#[tokio::test(…)]`, `#[ignore]` …
# A test that proptest makes is one, too: it carries its own #[test].
TEST = re.compile(
    r"(?P<attributes>(?:^[ \t]*(?:#\[[^\n]*\]|//[^\n]*)[ \t]*\n)+)"
    r"[ \t]*(?:pub(?:\([a-z]+\))?[ \t]+)?(?:async[ \t]+)?fn[ \t]+(?P<name>\w+)",
    re.MULTILINE,
)
IS_TEST = re.compile(r"^[ \t]*#\[(?:\w+::)*test\b", re.MULTILINE)
IS_IGNORED = re.compile(r"^[ \t]*#\[ignore\b", re.MULTILINE)


def tests_in(source):
    """{name: is ignored} for the tests of one file."""
    found = {}
    for match in TEST.finditer(source):
        if IS_TEST.search(match["attributes"]):
            found[match["name"]] = bool(IS_IGNORED.search(match["attributes"]))
    return found


def leads_to(modules, path, source):
    """Whether `a::b::` can be a test in this file: each is a folder, the file, or a module in it."""
    places = {part.replace("-", "_") for part in path.with_suffix("").parts}
    places |= set(re.findall(r"\bmod[ \t]+(\w+)", source))
    return all(module.replace("-", "_") in places for module in modules)


def rows(text):
    """(line number, cells) for each row of each table, headings left out."""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        line = line.strip()
        is_rule = re.fullmatch(r"\|[\s:|-]+\|", line)
        below = lines[number].strip() if number < len(lines) else ""
        is_heading = re.fullmatch(r"\|[\s:|-]+\|", below)
        if line.startswith("|") and not is_rule and not is_heading:
            cells = re.split(r"(?<!\\)\|", line.removeprefix("|").removesuffix("|"))
            yield number, [cell.strip() for cell in cells]


def problems_in(text, sources):
    """Returns (problems, number of tests named); `sources` is {path: text}."""
    tests = {path: tests_in(source) for path, source in sources.items()}
    problems, named = [], 0
    for number, cells in rows(text):
        names = re.findall(r"`((?:[\w-]+::)*[a-z]\w*)`", cells[-1])
        if not cells[-1]:
            problems.append(f"line {number}: neither a test nor a reason: {cells[0]}")
        for test in names:
            named += 1
            *modules, name = test.split("::")
            places = [p for p in tests if name in tests[p] and leads_to(modules, p, sources[p])]
            if not places:
                problems.append(f"line {number}: no test `{test}` in crates/")
            elif all(tests[place][name] for place in places):
                problems.append(f"line {number}: `{test}` is ignored, it shows nothing")
    if not named:
        problems.append("it names no test at all")
    return problems, named


def main():
    crates = [path for path in files(ROOT / "crates") if path.suffix == ".rs"]
    sources = {path.relative_to(ROOT): path.read_text() for path in crates}
    problems, named = [], 0
    for page in MAPS:
        where = page.relative_to(ROOT)
        if not page.exists():
            problems.append(f"{where} is missing: it maps each rule to the test that shows it")
            continue
        found, tests = problems_in(page.read_text(), sources)
        problems += [f"{where}: {problem}" for problem in found]
        named += tests
    report(problems, f"{named} tests named, all there")


if __name__ == "__main__":
    main()
