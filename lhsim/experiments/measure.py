"""A live run as it is asked for: a bridge that is there is measured, and the run is kept."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from lhsim import parameters
from lhsim.analysis.measures import live_unit
from lhsim.errors import InputError
from lhsim.experiments.options import DONE
from lhsim.experiments.output import NotWrittenError, check_folder
from lhsim.live import driver, server
from lhsim.live.mcp.protocol import Era
from lhsim.models.workload import Poisson, Workload
from lhsim.recording import Architecture, Manifest, Recording, check_free
from lhsim.report.text import live_figure, percent

SECONDS_BETWEEN_LINES = 5.0
# What a time ends with; all of them begin when the message is to be sent.
MEANINGS = {
    "store": "until it is stored, and its sender knows",
    "latency": "until it reaches who it is for",
    "answer": "until its answer is back with who has asked",
}


@frozen
class MeasureOptions:
    """What the user asks of a live run."""

    url: str  # of the bridge
    architecture: Architecture  # how the agents receive
    era: Era | None  # of the protocol, with MCP
    agents: int
    rate: float | None  # messages of an agent [1/s]
    settings: tuple[str, ...]  # of the workload
    duration: float  # of the window [s]
    warmup: float  # before it [s]
    drain: float  # after it [s]
    seed: int  # of the schedule
    processes: int  # of the driver
    server_core: int | None  # on which the server runs
    payload: int  # of a message [bytes]
    enrolment_file: str | None
    output_dir: Path
    output_format: str
    show_progress: bool
    quiet: bool


def run_measure(asked: MeasureOptions) -> int:
    """Measure a bridge, show and write the run, and return the exit code."""
    folder = asked.output_dir
    check_free(folder)
    load = driver.Load(
        url=asked.url,
        architecture=asked.architecture,
        agents=asked.agents,
        workload=workload_of(asked.rate, asked.settings),
        duration=asked.duration,
        warmup=asked.warmup,
        drain=asked.drain,
        seed=asked.seed,
        processes=asked.processes,
        payload=asked.payload,
        server_core=asked.server_core,
        era=asked.era,
        enrolment=server.read_secrets(None, asked.enrolment_file).enrolment,
    )
    check_folder(folder)  # else the run would be lost after it
    run = driver.measure(load, lines("measure", shown=asked.show_progress))
    show(run, asked.output_format)
    try:
        run.write(folder)
    except InputError as error:
        raise NotWrittenError(str(error)) from None
    if not asked.quiet:
        print(f"written to {folder}", file=sys.stderr)
    return DONE


def workload_of(rate: float | None, settings: Sequence[str]) -> Workload:
    """Return the workload of a run: Poisson, 1 message/s of each agent, with what is set."""
    plain = Manifest("polling", 1, Workload(traffic=Poisson(rate or 1.0)), 1, 0.0, 1.0)
    for setting in parameters.each_once(settings, source="--set"):
        if not setting.startswith("workload."):
            allowed = "KEY=VALUE of the workload, such as workload.topology=pair"
            raise InputError(f"{setting[:60]!r} is none", source="--set", allowed=allowed)
    table = parameters.apply_settings(parameters.unstructure(plain), settings, source="--set")
    return parameters.structure(table, Manifest, source="--set").workload


def lines(title: str, *, shown: bool) -> Callable[[float, float], None]:
    """Return what to call with the seconds that have passed, of how many; prints now and then."""
    last = time.monotonic()

    def report(passed: float, of: float) -> None:
        nonlocal last
        if shown and time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"{title}: {of - passed:.0f} s left", file=sys.stderr, flush=True)

    return report


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
