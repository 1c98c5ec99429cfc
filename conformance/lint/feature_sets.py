"""Prints the feature sets to check each crate with, a line each: label, tab, arguments for cargo.

None, every feature alone, the defaults; of sets that come to the same, the first. Each crate by
itself, as its users build it: in a build of the whole workspace one crate may live on a feature
that another turned on. All features together are for `--workspace --all-features`.
"""

from workspace import members, metadata


def enabled(features, names):
    """What the named features of one crate turn on in that crate, themselves included."""
    seen, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name in features and name not in seen:
            seen.add(name)
            waiting += features[name]
    return frozenset(seen - {"default"})


def feature_sets(package):
    """(label, cargo arguments) for one crate."""
    features = package["features"]
    named = sorted(set(features) - {"default"})
    candidates = [("no features", [], ["--no-default-features"])]
    candidates += [(name, [name], ["--no-default-features", "--features", name]) for name in named]
    candidates += [("default features", features.get("default", []), [])]
    sets, seen = [], set()
    for label, names, arguments in candidates:
        turned_on = enabled(features, names)
        if turned_on not in seen:
            seen.add(turned_on)
            sets.append((f"{package['name']}, {label}", ["-p", package["name"], *arguments]))
    return sets


def main():
    for package in members(metadata()):
        for label, arguments in feature_sets(package):
            print(label, " ".join(arguments), sep="\t")


if __name__ == "__main__":
    main()
