"""`lhsim fleet`: the fewest nodes for each hour of a load, and what an autoscaler would run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from lhsim.errors import InputError
from lhsim.experiments.answers import option_words, settings_words, settle
from lhsim.experiments.finding import Column, Finding, Picture, Table
from lhsim.experiments.options import Options
from lhsim.experiments.profile import EVERY, profile
from lhsim.experiments.provenance import finding_of
from lhsim.experiments.setup import Setup, prepare
from lhsim.models import System
from lhsim.models.workload import check_count
from lhsim.planning import fleets
from lhsim.planning.autoscaling import Autoscaler
from lhsim.planning.fleets import Fleet, fleet_rows
from lhsim.planning.samples import with_traffic
from lhsim.readers.formats.hints import AUTO, Hints
from lhsim.readers.requests import read_requests
from lhsim.report.fleet import fleet_text


@frozen
class FleetOptions:
    """What the user asks of a fleet."""

    slo: tuple[str, ...]
    logs: tuple[Path, ...]  # whose load replaces the traffic of the system; parts of one
    format: str  # of the logs
    hints: Hints
    every: float | None  # length of a piece of their load [s]; None: `EVERY`
    agents: int | None
    growth: str | None
    horizon: int | None
    start: str
    window: float  # [s]
    most: int
    confidence: float
    autoscaler: Mapping[str, Any]  # settings of one, by name; "target" is None: there is none


def run_fleet(options: Options, asked: FleetOptions) -> int:
    """Find the nodes of a load over time, show and write them, and return the exit code."""
    setup = prepare("fleet", options, command=_command(asked), has_file=False)
    question = fleets.ask(
        _with_logs(setup.system, asked),
        asked.slo,
        asked.agents,
        asked.growth,
        asked.horizon,
        asked.start,
        asked.window,
        asked.most,
        _autoscaler(asked.autoscaler),
        asked.confidence,
        options.seed,
        options.engine,
    )
    return settle(
        setup,
        lambda runner, progress: fleets.answer(question, runner, progress.ran),
        lambda found: fleet_text(found.to_dict()),
        lambda found: _finding(setup, found),
        rows=lambda found: fleet_rows(found.to_dict()),
        systems=[question.with_nodes(2, 1.0)],
    )


def _command(asked: FleetOptions) -> list[str]:
    """Return the words of the command line that ask for it."""
    # The agents are among the `Options`.
    names = ("growth", "horizon", "start", "window", "most", "confidence")
    given = {name: getattr(asked, name) for name in names} | dict(asked.autoscaler)
    words = ["fleet", *map(str, asked.logs), *option_words("slo", asked.slo)]
    if asked.logs:
        hints = attrs.asdict(asked.hints, filter=lambda one, value: value != one.default)
        given |= {"as": asked.format, "every": asked.every or EVERY, **hints}
    return [*words, *settings_words(given)]


def _with_logs(system: System, asked: FleetOptions) -> System:
    """Return the system with the load of the logs as its traffic, if there are some."""
    if not asked.logs:
        _check_no_reading(asked)
        return system
    if asked.agents is None:
        raise InputError("is missing", source="--agents", allowed="a number, with logs")
    agents = check_count(system.workload, asked.agents)
    log = read_requests(asked.logs, None if asked.format == AUTO else asked.format, asked.hints)
    senders = len(system.workload.senders(agents)) * system.workload.copies(agents)
    return with_traffic(system, profile(log, asked.every or EVERY, senders))


def _check_no_reading(asked: FleetOptions) -> None:
    """Refuse what is said of logs where there are none."""
    given = {*asked.hints.given(), *(["every"] if asked.every is not None else [])}
    if asked.format != AUTO:
        given.add("as")
    if given:
        option = "--" + min(given).replace("_", "-")
        raise InputError("changes nothing", source=option, allowed="only with logs")


def _autoscaler(given: Mapping[str, Any]) -> Autoscaler | None:
    settings = {name: value for name, value in given.items() if value is not None}
    if "target_utilization" not in settings:
        if settings:
            option = "--" + min(settings).replace("_", "-")
            allowed = "only with --target-utilization, which asks for an autoscaler"
            raise InputError("changes nothing", source=option, allowed=allowed)
        return None
    names = {"target_utilization": "target", "min_nodes": "least", "max_nodes": "most"}
    try:
        return Autoscaler(**{names.get(name, name): value for name, value in settings.items()})
    except InputError as error:
        option = {key: name for name, key in names.items()}.get(error.key or "", error.key or "")
        source = "--" + option.replace("_", "-")
        raise InputError(error.problem, source=source, allowed=error.allowed) from None


def _finding(setup: Setup, found: Fleet) -> Finding:
    columns = (
        Column("day", "day"),
        Column("start_s", "from", "s"),
        Column("end_s", "to", "s"),
        Column("messages_per_second", "messages", "1/s"),
        Column("peak_per_second", "peak", "1/s"),
        Column("nodes", "nodes", "", "interval"),
        Column("autoscaled_most", "autoscaler"),
        Column("short_s", "too little", "s"),
        Column("late_share", "messages then", "share"),
    )
    rows = tuple(
        {**row, "interval": [row["nodes_low"], row["nodes_high"]]}
        for row in fleet_rows(found.to_dict())
    )
    first, *others = found.sentences()
    name, objectives = setup.system.name, " and ".join(found.objectives)
    return finding_of(
        setup,
        title="Fleet",
        question=f"How many nodes of {name} keep {objectives} over the day?",
        answer=f"{name}: {first}.",
        tables=(Table("windows", "Nodes of each window", columns, rows),),
        figures=(
            Picture(
                "fleet.svg",
                "The fewest nodes of each window, and the most that an autoscaler ran.",
                "A line that rises and falls with the load.",
            ),
        ),
        method="The capacity of each number of nodes by a search, against the busiest piece of "
        "each window (docs/how-to/fleet.md).",
        limits=tuple(one for one in others if not one.startswith("warning: ")),
    )
