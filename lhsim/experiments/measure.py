"""The command ``lhsim measure``: a live run against a bridge that is there."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lhsim.analysis.measures import live_unit
from lhsim.errors import InputError
from lhsim.experiments.notices import Command
from lhsim.experiments.options import DONE, MAX_SEED, PATH, Parsed, choice, parse_duration, whole
from lhsim.experiments.serve import NEEDED_BY_MCP, check_extra
from lhsim.report.text import live_figure, percent

if TYPE_CHECKING:
    from lhsim.models.workload import Workload
    from lhsim.recording import Recording

SECONDS_BETWEEN_LINES = 5.0
# What a time ends with; all of them begin when the message is to be sent.
MEANINGS = {
    "store": "until it is stored, and its sender knows",
    "latency": "until it reaches who it is for",
    "answer": "until its answer is back with who has asked",
}
_TIME = Parsed("TIME", parse_duration)


def parse_rate(text: str) -> float:
    """Return messages per second from a number of them."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 1e-9 <= rate <= 1e9:
        allowed = "messages of an agent per second, 1e-9 to 1e9"
        raise InputError(f"{text[:40]!r} is no rate", allowed=allowed)
    return rate


@click.command(cls=Command)
@click.option("--url", required=True, help="Of the bridge, such as http://127.0.0.1:8765.")
@click.option("--architecture", required=True, type=choice("polling", "push", "mcp"),
              help="How the agents receive; with mcp, messages are questions.")  # fmt: skip
@click.option("--era", type=choice("legacy", "modern"),
              help="Of the protocol, with mcp.  [default: modern]")  # fmt: skip
@click.option("--agents", required=True, type=whole(1), help="How many.")
@click.option("--rate", type=Parsed("RATE", parse_rate),
              help="Messages of an agent per second, Poisson.  [default: 1]")  # fmt: skip
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE",
              help="Of the workload, such as workload.topology=pair; repeatable.")  # fmt: skip
@click.option("--duration", type=_TIME, default="20s", help="Of the window.", show_default=True)
@click.option("--warmup", type=_TIME, default="3s", help="Before it.", show_default=True)
@click.option("--drain", type=_TIME, default="2s", show_default=True,
              help="After it; load goes on.")  # fmt: skip
@click.option("--seed", type=whole(0, MAX_SEED), default=1, show_default=True,
              help="Of the schedule, the same as in a simulation.")  # fmt: skip
@click.option("--processes", type=whole(1, 64), default=2, show_default=True,
              help="Of the driver.")  # fmt: skip
@click.option("--server-core", type=whole(0), help="Of this machine, on which the server runs: its "
              "pace is recorded.  [default: not]")  # fmt: skip
@click.option("--payload", type=whole(0, 100_000), default=100, show_default=True,
              help="Bytes of a message.")  # fmt: skip
@click.option("--enrolment-file", metavar="FILE", help="Key of the bridge, if it has one; else "
              "LHSIM_ENROLMENT_KEY.")  # fmt: skip
@click.option("--output-dir", "-o", required=True, metavar="DIR", type=PATH,
              help="For the recording; nothing is overwritten.")  # fmt: skip
@click.option("--format", "how", type=choice("table", "json"), default="table", show_default=True)
@click.option("--no-progress", is_flag=True, help="Show no progress on stderr.")
@click.option("--quiet", is_flag=True, help="Print results only.")
def measure(**given: Any) -> int:
    """Measure a bridge: open loop, from processes of its own.

    Load goes to the URL given, for the time given, and ends with it. The result is a folder for
    lhsim.calibration and lhsim crosscheck, but with mcp, of which there is no model.
    """
    check_extra(("httptools", "websockets"), command="lhsim measure")
    if given["architecture"] == "mcp":
        check_extra(NEEDED_BY_MCP, extra="mcp", command="lhsim measure")
    from lhsim.experiments.output import NotWrittenError, check_folder  # noqa: PLC0415
    from lhsim.live import driver, server  # noqa: PLC0415 - needs the extra
    from lhsim.recording import check_free  # noqa: PLC0415

    folder: Path = given["output_dir"]
    check_free(folder)
    load = driver.Load(
        url=given["url"],
        architecture=given["architecture"],
        agents=given["agents"],
        workload=workload_of(given["rate"], given["settings"]),
        duration=given["duration"],
        warmup=given["warmup"],
        drain=given["drain"],
        seed=given["seed"],
        processes=given["processes"],
        payload=given["payload"],
        server_core=given["server_core"],
        era=given["era"],
        enrolment=server.read_secrets(None, given["enrolment_file"]).enrolment,
    )
    check_folder(folder)  # else the run would be lost after it
    run = driver.measure(load, lines("measure", shown=not (given["no_progress"] or given["quiet"])))
    show(run, given["how"])
    try:
        run.write(folder)
    except InputError as error:
        raise NotWrittenError(str(error)) from None
    if not given["quiet"]:
        print(f"written to {folder}", file=sys.stderr)
    return DONE


def workload_of(rate: float | None, settings: Sequence[str]) -> Workload:
    """Return the workload of a run: Poisson, 1 message/s of each agent, with what is set."""
    from lhsim import parameters  # noqa: PLC0415 - help need not wait for it
    from lhsim.models.workload import Poisson, Workload  # noqa: PLC0415
    from lhsim.recording import Manifest  # noqa: PLC0415

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
        click.echo(json.dumps(shown, indent=2))
    else:
        click.echo("\n".join(_table(found)))
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
