"""A live run as it is asked for: a bridge that is there is measured, and the run is kept."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lhsim import parameters
from lhsim.analysis.measures import live_unit
from lhsim.errors import InputError
from lhsim.execution.progress import steps
from lhsim.experiments.options import DONE
from lhsim.experiments.output import NotWrittenError, check_folder
from lhsim.live import driver, server
from lhsim.models.push import Webhook
from lhsim.models.workload import Poisson, Workload
from lhsim.recording import Manifest, Recording, check_free
from lhsim.report.text import live_figure, percent

OF_TARGETS = "push.webhook."
# What a time ends with; all of them begin when the message is to be sent.
MEANINGS = {
    "store": "until it is stored, and its sender knows",
    "latency": "until it reaches who it is for",
    "answer": "until its answer is back with who has asked",
}


def run_measure(
    *,
    rate: float | None,
    settings: Sequence[str],
    webhook: bool,
    enrolment_file: str | None,
    output_dir: Path,
    output_format: str,
    show_progress: bool,
    quiet: bool,
    **load: Any,
) -> int:
    """Measure a bridge, show and write the run, and return the exit code.

    The workload is one of so many messages of an agent [1/s], with `settings` of it. What else is
    asked of the load are fields of `lhsim.live.driver.Load`.
    """
    check_free(output_dir)
    planned = asked_of(rate, settings, webhook=webhook)
    asked = driver.Load(
        workload=planned.workload,
        webhook=planned.webhook,
        enrolment=server.read_secrets(None, enrolment_file).enrolment,
        **load,
    )
    check_folder(output_dir)  # else the run would be lost after it
    run = driver.measure(asked, steps("measure", "s", shown=show_progress))
    show(run, output_format)
    try:
        run.write(output_dir)
    except InputError as error:
        raise NotWrittenError(str(error)) from None
    if not quiet:
        print(f"written to {output_dir}", file=sys.stderr)
    return DONE


def asked_of(rate: float | None, settings: Sequence[str], *, webhook: bool) -> Manifest:
    """Return a manifest with the workload of a run, and what targets of webhooks do.

    The workload is Poisson, 1 message/s of each agent, with what is set.
    """
    parameters.each_once(settings, source="--set")
    webhook |= any(setting.startswith(OF_TARGETS) for setting in settings)
    hook = Webhook() if webhook else None
    plain = Manifest("push", 1, Workload(traffic=Poisson(rate or 1.0)), 1, 0.0, 1.0, webhook=hook)
    for setting in settings:
        if not setting.startswith(("workload.", OF_TARGETS)):
            allowed = "KEY=VALUE of the workload, such as workload.topology=pair, or of webhooks"
            raise InputError(f"{setting[:60]!r} is none", source="--set", allowed=allowed)
    own = [setting.removeprefix("push.") for setting in settings]
    table = parameters.apply_settings(parameters.unstructure(plain), own, source="--set")
    return parameters.structure(table, Manifest, source="--set")


def show(run: Recording, how: str) -> None:
    """Print the figures of a run, and what speaks against it."""
    found = {name: value for name, value in run.measures().items() if not math.isnan(value)}
    if how == "json":
        units = {name: live_unit(name) for name in found}
        shown = {**found, "units": units, "doubts": run.manifest.doubts}
        print(json.dumps(shown, indent=2))
    else:
        print("\n".join(_table(found)))
    for doubt in run.manifest.doubts:
        print(f"lhsim: doubtful: {doubt}", file=sys.stderr)


def _table(found: Mapping[str, float]) -> list[str]:
    """Return a row for each figure; the first of each time says when that ends."""
    rows, said = [], set[str]()
    for name, value in found.items():
        what = name.partition("_")[0]
        meaning = MEANINGS.get(what, "") if what not in said else ""
        said.add(what)
        shown = percent(value) if name == "delivery" else live_figure(name, value)
        rows.append(f"{name:<14}{shown:>12}  {meaning}".rstrip())
    return rows
