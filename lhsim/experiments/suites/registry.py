"""The suites by name: a new one is registered here."""

from __future__ import annotations

from typing import Any

from lhsim.experiments.options import Options
from lhsim.experiments.suites import (
    burst,
    contention,
    failure,
    memory,
    optimisations,
    recovery,
)
from lhsim.experiments.suites.suite import Suite, run

SUITES: dict[str, Suite[Any]] = {
    one.SUITE.name: one.SUITE
    for one in (memory, recovery, burst, contention, optimisations, failure)
}


def run_suite(name: str, options: Options) -> int:
    """Run the suite of a name, write and show what it found, and return the exit code."""
    return run(SUITES[name], options)
