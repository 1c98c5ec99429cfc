"""The protocol crate depends on what ARCHITECTURE.md promises and on nothing else, and nothing
that the workspace is built from asks for a newer Rust than the workspace does."""

from workspace import members, metadata, report

# No runtime, no clock, no random source, no socket: this list is the proof.
PROTOCOL_CRATE = "newswire-proto"
ALLOWED = {"base64", "bytes", "http", "sha1_smol", "simdutf8", "zlib-rs"}


def version(text):
    """`1.89` and `1.89.0` are the same."""
    numbers = [int(part) for part in text.partition("-")[0].split(".")]
    return tuple(numbers + [0] * (3 - len(numbers)))


def protocol_dependencies(package):
    """Problems with what the protocol crate depends on; tests may use what they like."""
    problems = []
    used = {d["name"] for d in package["dependencies"] if d["kind"] is None}
    for name in sorted(used - ALLOWED):
        problems.append(f"{PROTOCOL_CRATE}: dependency `{name}` is not one of {sorted(ALLOWED)}")
    for name in sorted(ALLOWED - used):
        problems.append(f"{PROTOCOL_CRATE}: `{name}` is allowed but not used: take it off the list")
    for dependency in package["dependencies"]:
        if dependency["kind"] == "build":
            problems.append(f"{PROTOCOL_CRATE}: build dependency `{dependency['name']}`: it has no build script")
    return problems


def built_from(data):
    """The packages that a build of the workspace compiles, tests left out."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    seen, waiting = set(), list(data["workspace_members"])
    while waiting:
        package = waiting.pop()
        if package in seen:
            continue
        seen.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] in (None, "build") for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return [package for package in data["packages"] if package["id"] in seen]


def rust_versions(data):
    """Problems with the Rust that members and dependencies ask for."""
    problems = [f"{p['name']}: no rust-version" for p in members(data) if not p["rust_version"]]
    if problems:
        return problems
    ours = min((p["rust_version"] for p in members(data)), key=version)
    for package in built_from(data):
        theirs = package["rust_version"]
        if theirs and version(theirs) > version(ours):
            name = f"{package['name']} {package['version']}"
            problems.append(f"{name}: needs Rust {theirs}, the workspace promises {ours}")
    return problems


def main():
    data = metadata()
    problems = rust_versions(data)
    protocol = [package for package in members(data) if package["name"] == PROTOCOL_CRATE]
    if protocol:
        problems += protocol_dependencies(protocol[0])
    else:
        problems.append(f"{PROTOCOL_CRATE} is not a member of the workspace")
    report(problems, f"{len(built_from(data))} packages, {PROTOCOL_CRATE} uses {' '.join(sorted(ALLOWED))}")


if __name__ == "__main__":
    main()
