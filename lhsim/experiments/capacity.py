"""E10, capacity: the inverse question, on the command line."""

from __future__ import annotations

import json
from textwrap import wrap
from typing import Any

from lhsim.experiments.options import DONE, NOT_KEPT
from lhsim.experiments.output import plots, show, write_files
from lhsim.experiments.planning import carry_out, loaded
from lhsim.experiments.setup import describe
from lhsim.models import System
from lhsim.planning.search import Capacity, answer, ask
from lhsim.report.capacity import capacity_table

WIDTH = 80  # of the text, in columns


def run_capacity(given: dict[str, Any]) -> int:
    """Search, show the answer, and return the exit code."""
    system = loaded(given)
    question = ask(
        system,
        given["slo"],
        vary=given["vary"],
        agents=given["agents"],
        check=given["check"],
        most=given["most"],
        seed=given["seed"],
        confidence=given["confidence"],
        engine=given["engine"],
    )

    def finish(found: Capacity) -> int:
        show(_formatted(found, system, given["format"]))
        write_files(given["output_dir"], plots(found.plot(), "capacity"))
        return DONE if found.check is None or found.check.verdict == "kept" else NOT_KEPT

    return carry_out(
        "capacity", system, given, lambda runner, report: answer(question, runner, report), finish
    )


def _formatted(found: Capacity, system: System, how: str) -> str:
    if how == "json":
        return json.dumps(found.to_dict(), indent=2, allow_nan=False)
    what = found.vary if found.agents is None else f"{found.vary}, {found.agents:,} agents"
    title = f"{system.name}, {describe(system.workload)}; varied: {what}; seed {found.seed}"
    lines = [part for line in found.sentences() for part in wrap(line, WIDTH)]
    return "\n".join([*lines, "", *wrap(title, WIDTH), "", capacity_table(found.to_dict())])
