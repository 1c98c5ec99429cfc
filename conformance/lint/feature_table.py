"""The head of crates/newswire/src/lib.rs has a table of the crate's features: are they all there, and
does it say which are on by default?
"""

import re

from workspace import ROOT, members, metadata, report

PAGE = ROOT / "crates" / "newswire" / "src" / "lib.rs"
ROW = re.compile(r"^//! \| `([\w-]+)` \| (yes|no) \| [^|\s]", re.MULTILINE)


def problems_in(page, features):
    """`features` as cargo has them: {name: what it turns on}."""
    said = dict(ROW.findall(page))
    default = set(features.get("default", []))
    is_so = {name: "yes" if name in default else "no" for name in features if name != "default"}
    problems = [f"no row for the feature `{name}`" for name in sorted(is_so.keys() - said.keys())]
    problems += [f"there is no feature `{name}`" for name in sorted(said.keys() - is_so.keys())]
    wrong = [name for name in sorted(said.keys() & is_so.keys()) if said[name] != is_so[name]]
    return problems + [f"`{name}` on by default: {is_so[name]}, not {said[name]}" for name in wrong]


def main():
    [package] = [package for package in members(metadata()) if package["name"] == "newswire"]
    problems = problems_in(PAGE.read_text(), package["features"])
    where = PAGE.relative_to(ROOT)
    report([f"{where}: {problem}" for problem in problems], f"{where} has every feature")


if __name__ == "__main__":
    main()
