"""E10, capacity: the inverse question, on the command line."""

from __future__ import annotations

import json
import sys
import time
from textwrap import wrap
from typing import Any

from lhsim.errors import InputError
from lhsim.experiments.commands import describe, show
from lhsim.experiments.options import DONE, NOT_KEPT
from lhsim.experiments.progress import progress
from lhsim.library import load_system
from lhsim.models import System
from lhsim.planning.levels import AGENTS
from lhsim.planning.search import Capacity, capacity
from lhsim.report.capacity import capacity_sentences, capacity_table
from lhsim.report.text import duration

WIDTH = 80  # of the text, in columns


def run_capacity(given: dict[str, Any]) -> int:
    """Search, show the answer, and return the exit code."""
    started = time.monotonic()
    system = loaded(given)
    with progress("capacity", (), shown=not (given["no_progress"] or given["quiet"])) as on_done:
        found = capacity(
            system,
            given["slo"],
            vary=given["vary"],
            agents=given["agents"],
            check=given["check"],
            most=given["most"],
            seed=given["seed"],
            confidence=given["confidence"],
            jobs=given["jobs"],
            engine=given["engine"],
            on_done=on_done,
        )
    show(_formatted(found, system, given["format"]))
    if not given["quiet"]:
        runs = sum(one.replications for one in found.evaluations)
        took = duration(time.monotonic() - started)
        print(f"{runs} runs in {took} with --jobs {given['jobs']}", file=sys.stderr)
    return DONE if found.check is None or found.check.verdict == "kept" else NOT_KEPT


def loaded(given: dict[str, Any]) -> System:
    """Return the system that was asked for, with its settings."""
    name, settings = given["system"], given["set"]
    try:
        load_system(name)  # alone first: a mistake in the file is not one of the settings
    except InputError as error:
        source = error.source or "--system"
        raise InputError(
            error.problem, source=source, key=error.key, allowed=error.allowed
        ) from None
    try:
        return load_system(name, settings)
    except InputError as error:
        raise InputError(
            error.problem, source="--set", key=error.key, allowed=error.allowed
        ) from None


def _formatted(found: Capacity, system: System, how: str) -> str:
    if how == "json":
        return json.dumps(found.to_dict(), indent=2, allow_nan=False)
    what = found.vary if found.agents is None else f"{found.vary}, {found.agents:,} agents"
    title = f"{system.name}, {describe(system.workload)}; varied: {what}"
    data = {**found.to_dict(), "confidence": found.confidence, "agents": found.agents}
    data |= {"is_agents": found.vary == AGENTS, "check": found.check and found.check.value}
    data |= {"verdict": found.check and found.check.verdict, "objectives": found.objectives}
    lines = [part for line in capacity_sentences(data) for part in wrap(line, WIDTH)]
    return "\n".join([*lines, "", *wrap(title, WIDTH), "", capacity_table(data)])
