"""No source file over 800 lines; a note for each over 500. Tests may be longer."""

from workspace import ROOT, files, report

NOTE, CEILING = 500, 800
SUFFIXES = {".rs", ".js", ".mjs", ".css", ".py", ".sh"}


def is_counted(path):
    """Source that is not a test; `path` is relative to the project."""
    if path.parts == ("test",):
        return True
    is_test = "tests" in path.parts or path.stem == "tests" or path.stem.endswith("_test")
    return path.suffix in SUFFIXES and not is_test


def judge(lengths):
    """Returns (notes, problems) for a list of (path, number of lines)."""
    notes = [f"note: {path}: {n} lines, over {NOTE}" for path, n in lengths if NOTE < n <= CEILING]
    problems = [f"{path}: {n} lines, over {CEILING}: split it" for path, n in lengths if n > CEILING]
    return notes, problems


def main():
    counted = [path for path in files() if is_counted(path.relative_to(ROOT))]
    lengths = [(path.relative_to(ROOT), len(path.read_bytes().splitlines())) for path in counted]
    notes, problems = judge(lengths)
    for note in notes:
        print(note)
    report(problems, f"{len(lengths)} files, none over {CEILING} lines")


if __name__ == "__main__":
    main()
