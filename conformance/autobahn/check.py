#!/usr/bin/env python3
"""Judges an Autobahn report: `check.py {server|client} REPORT_DIR`, exit code 0 or 1.

Reads the index.json that the suite wrote, and nothing else decides: not what ran, not how.
Strict: NON-STRICT is a failure, and so is a case too few or too many.
"""

import html
import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Cases on which the suite passes no judgement, whoever is tested: in 7.1.6 what still arrives
# depends on timing, and 7.13.1 and 7.13.2 close with codes (5000, 65535) that RFC 6455 leaves open.
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}


def expected_cases():
    """The stored list, `6.2.1-4` written out."""
    cases = []
    for line in (HERE / "cases.txt").read_text().splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        match = re.fullmatch(r"((?:\d+\.)+)(\d+)(?:-(\d+))?", line)
        if not match:
            raise ValueError(f"cases.txt: not a case nor a range of cases: {line!r}")
        section, first, last = match.groups()
        cases += [f"{section}{n}" for n in range(int(first), int(last or first) + 1)]
    return cases


def in_order(cases):
    return sorted(cases, key=lambda case: [int(part) for part in case.split(".")])


def verdict(case, result):
    """`OK`, `INFORMATIONAL`, or None when the case failed."""
    marks = {result["behavior"], result["behaviorClose"]}
    if marks == {"OK"}:
        return "OK"
    if case in INFORMATIONAL and marks <= {"OK", "INFORMATIONAL"}:
        return "INFORMATIONAL"
    return None


def plain(text):
    """What the suite says about a case, without its HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def explain(case, result, directory):
    report = directory / result["reportfile"]
    lines = [f"  {case}: behaviour {result['behavior']}, close {result['behaviorClose']}"]
    try:
        details = json.loads(report.read_text())
        lines.append(f"    expected: {plain(details['expectation'])}")
        lines.append(f"    seen:     {plain(details['result'])}")
        lines.append(f"    close:    {plain(details['resultClose'])}")
    except (OSError, ValueError, KeyError) as error:
        lines.append(f"    its own report cannot be read: {error}")
    return lines + [f"    report:   {report.with_suffix('.html')}"]


def check(direction, directory):
    """Returns (passed, lines to print) for the report in `directory`."""
    index = Path(directory) / "index.json"
    try:
        agents = json.loads(index.read_text())
    except (OSError, ValueError) as error:
        return False, [f"{direction}: no report: {error}"]
    if len(agents) != 1:
        return False, [f"{direction}: {index}: results of one agent, not of {sorted(agents) or 'none'}"]

    (results,) = agents.values()
    expected = expected_cases()
    verdicts = {case: verdict(case, result) for case, result in results.items()}
    failed = in_order(case for case, mark in verdicts.items() if mark is None)
    missing = in_order(set(expected) - set(results))
    unknown = in_order(set(results) - set(expected))

    marks = list(verdicts.values())
    counts = f"{marks.count('OK')} OK, {marks.count('INFORMATIONAL')} informational"
    for name, cases in (("failed", failed), ("missing", missing), ("unknown", unknown)):
        counts += f", {len(cases)} {name}" if cases else ""

    lines = [f"{direction}: {len(expected)} cases: {counts}"]
    for case in failed:
        lines += explain(case, results[case], Path(directory))
    lines += [f"  {case}: missing: it did not run, or did not come to an end" for case in missing]
    lines += [f"  {case}: ran, but cases.txt does not name it" for case in unknown]
    return not (failed or missing or unknown), lines


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("server", "client"):
        sys.exit(__doc__.splitlines()[0])
    passed, lines = check(sys.argv[1], sys.argv[2])
    print("\n".join(lines))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
