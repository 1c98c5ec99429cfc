"""What a case is, and the list that all groups add theirs to. A group is a module with cases of one
name before the slash; how cases are run stands in runner.py."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MIB = 1 << 20


@dataclass
class Case:
    """One attack. `run` gets a Trial and raises a Fault where the server is wrong."""

    name: str
    rule: str  # the section, and what it demands
    run: Callable[[Any], Any]
    lane: str = "main"  # the server that it is run against: runner.LANES
    memory: int = 8 * MIB  # the most by which the server may grow meanwhile
    limit: float = 20.0  # seconds
    latency: float = 1.0  # seconds that an echo to somebody else may take meanwhile

    @property
    def group(self):
        return self.name.split("/")[0]


CASES = []


def add(name, rule, run, **options):
    assert all(name != case.name for case in CASES), f"two cases are called {name}"
    CASES.append(Case(name, rule, run, **options))


def case(name, rule, **options):
    """Makes a case of a function."""

    def decorate(run):
        add(name, rule, run, **options)
        return run

    return decorate
