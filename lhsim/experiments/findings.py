"""Findings of experiments: what they found, with what made it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lhsim._files import read_text
from lhsim.experiments.finding import Described, Finding
from lhsim.experiments.output import Source, own_version
from lhsim.experiments.setup import Setup, find_system, own_settings
from lhsim.models import System


def finding_of(setup: Setup, **what: Any) -> Finding:
    """Return a finding of an experiment: `what` it found, and what made it.

    What the calibrations of its systems say against them is among its limits.
    """
    what["limits"] = (*what.get("limits", ()), *warning_lines(setup.systems))
    return Finding(
        name=Path(setup.name).stem,
        systems=tuple(map(_described, setup.systems, setup.sources)),
        command=command_line(setup),
        seed=setup.options.seed,
        version=own_version(),
        hash="" if setup.specification is None else setup.specification.sha256,
        seconds=round(time.monotonic() - setup.started, 3),
        **what | {"method": _with_settings(setup, what.get("method", ""))},
    )


def _with_settings(setup: Setup, method: str) -> str:
    """Return how it was done, with what the experiment sets in the systems."""
    settings = own_settings(setup)
    said = f"The experiment sets, beyond the files of the systems: {'; '.join(settings)}."
    return f"{method} {said}".strip() if settings else method


def _described(system: System, given: Source) -> Described:
    text = read_text(find_system(given.given))
    changes = "".join(f"# set here: {one}\n" for one in given.settings)
    return Described(system.name, system.architecture, changes + text, tuple(given.settings))


def command_line(setup: Setup) -> str:
    """Return the command that does an experiment again."""
    options = setup.options
    words = ["python", "-m", "lhsim.experiments", *setup.command, "--seed", str(options.seed)]
    for name, values in (("--system", options.systems), ("--set", options.settings)):
        words += [word for value in values for word in (name, value)]
    if options.agents is not None:
        words += ["--agents", ",".join(map(str, options.agents))]
    one_each = {"--replications": options.replications, "--duration": options.duration}
    one_each |= {"--agents-per-server": options.agents_per_server}
    words += [
        word for name, one in one_each.items() if one is not None for word in (name, f"{one:g}")
    ]
    words += ["--engine", options.engine] if options.engine != "auto" else []
    return shlex.join(words)


def warning_lines(systems: Sequence[System]) -> tuple[str, ...]:
    """Return what the calibration of each system says against it."""
    return tuple(f"warning: {system.name}: {text}" for system in systems for text in system.caveats)
