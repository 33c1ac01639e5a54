"""E11, sensitivity: what moves the latency and the knee, on the command line."""

from __future__ import annotations

import json
from typing import Any

from lhsim.experiments.options import DONE
from lhsim.experiments.output import plots, show, write_files
from lhsim.experiments.planning import carry_out, loaded
from lhsim.planning.screening import KNEE, Sensitivity, answer, ask
from lhsim.report.sensitivity import sensitivity_tables


def run_sensitivity(given: dict[str, Any]) -> int:
    """Screen, write the plot, show the tables, and return the exit code."""
    system = loaded(given)
    asked = ask(
        system,
        given["agents"],
        metrics=tuple(dict.fromkeys(given["metric"])) or ("p99", KNEE),
        ranges=given["range"],
        trajectories=given["trajectories"],
        seed=given["seed"],
        engine=given["engine"],
    )

    def finish(found: Sensitivity) -> int:
        data = found.to_dict()
        as_json = given["format"] == "json"
        show(json.dumps(data, indent=2, allow_nan=False) if as_json else sensitivity_tables(data))
        write_files(given["output_dir"], plots(found.plot(), "sensitivity"))
        return DONE

    return carry_out(
        "sensitivity", system, given, lambda runner, report: answer(asked, runner, report), finish
    )
