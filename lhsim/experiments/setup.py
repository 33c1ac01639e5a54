"""An experiment before it runs, and how its runs are done: systems, settings, and a runner."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import Any

from attrs import asdict, frozen

from lhsim import _resources, execution, parameters, simulation
from lhsim.errors import InputError
from lhsim.execution import Runner
from lhsim.experiments.options import Options
from lhsim.experiments.output import Source, check_folder, source, versions
from lhsim.experiments.points import check_names, server_of
from lhsim.library import configured, load_system
from lhsim.models import System, Workload
from lhsim.models.workload import Closed, Periodic, Piecewise, Poisson, Recorded, Requests
from lhsim.units import format_duration

WIDTH = 80  # of the text, in columns


@frozen
class Setup:
    """An experiment before it runs: everything is checked."""

    name: str
    options: Options
    systems: tuple[System, ...]
    sources: tuple[Source, ...]  # of the systems
    specification: Source | None  # None: what is asked is said on the command line alone
    started: float  # [s], on the monotonic clock
    settings: tuple[str, ...] = ()  # what the experiment's file says
    command: tuple[str, ...] = ()  # the words that ask for it, but for the options of all

    @property
    def system(self) -> System:
        """The system of an experiment that has only one."""
        return self.systems[0]


def prepare(
    name: str,
    options: Options,
    systems: Sequence[str] = (),
    settings: Sequence[str] = (),
    *,
    command: Sequence[str] = (),
    has_file: bool = True,
) -> Setup:
    """Load the systems that were asked for, else those of the experiment, and check the output.

    `systems` and `settings` are those of the experiment's file, of which `has_file` says whether
    there is one. `command` are the words that ask for it, but for the options of all experiments;
    none: its name.
    """
    started = time.monotonic()
    chosen = options.systems or tuple(systems)
    parameters.each_once(settings, source=f"{name}: settings")
    for setting in parameters.each_once(options.settings, source="--set"):
        _check_target(setting, chosen)
    loaded, sources = [], []
    for given in chosen:
        system, its_settings = _load(name, given, settings, options.settings)
        loaded.append(system)
        sources.append(source(given, find_system(given), its_settings))
    check_names(loaded)
    check_folder(options.output_dir)
    specification = source(name, _resources.find("experiments", name)) if has_file else None
    return Setup(
        name,
        options,
        tuple(loaded),
        tuple(sources),
        specification,
        started,
        tuple(settings),
        tuple(command) or (name,),
    )


def own_settings(setup: Setup) -> tuple[str, ...]:
    """Return what the experiment's own file sets in the systems, beyond their files."""
    kinds = {None, *(system.architecture for system in setup.systems)}
    return tuple(one for one in setup.settings if server_of(one) in kinds)


def varied(setup: Setup, number: int, settings: Sequence[str]) -> System:
    """Return a system of an experiment with more settings, below those of the command line."""
    system, given = setup.systems[number], setup.sources[number].given
    own = [one for one in settings if server_of(one) in {None, system.architecture}]
    settings = (*setup.settings, *own)
    return _load(setup.name, given, settings, setup.options.settings)[0]


@contextmanager
def running(setup: Setup, systems: Sequence[System] = ()) -> Iterator[Runner]:
    """Yield what runs cells as the options say, and keeps them in the output folder.

    What will run, where it is more than the systems of the experiment, are `systems`.
    """
    options = setup.options
    with execution.running(
        systems or setup.systems,
        options.engine,
        options.jobs,
        options.executor,
        options.output_dir,
        scheduler=options.scheduler,
        fresh=options.fresh,
        fail_fast=options.fail_fast,
    ) as runner:
        for notice in runner.notices:  # of its store
            print(f"lhsim: {notice}", file=sys.stderr)
        yield runner


def find_system(given: str) -> Path:
    """Return the file of a system that was asked for, by name or as a path."""
    try:
        return _resources.find("models", given)
    except InputError as error:
        if error.source is None:  # an unknown name; a file stands for itself
            error = InputError(error.problem, source="--system", allowed=error.allowed)
        raise error from None


def _load(
    name: str, given: str, settings: Sequence[str], own: Sequence[str]
) -> tuple[System, tuple[str, ...]]:
    """Return a system as its file, the experiment and then the user have it, and the settings."""
    path = find_system(given)
    system = load_system(path)  # its architecture says which settings are for it
    all_settings = (
        *(one for one in settings if server_of(one) in {None, system.architecture}),
        *(one for one in own if server_of(one) in {None, system.architecture}),
    )
    # Without settings of the user's own it is the experiment that a system does not go with.
    place = "--set" if own else f"{name}: settings for {given}"
    return configured(path, all_settings, source=place), all_settings


def _check_target(setting: str, chosen: Sequence[str]) -> None:
    """Refuse a setting of a server that none of the chosen systems has."""
    server = server_of(setting)
    if server is not None and all(
        load_system(find_system(one)).architecture != server for one in chosen
    ):
        problem = f"no chosen system is one of {server}"
        raise InputError(problem, source="--set", key=setting.partition("=")[0].strip())


def manifest(setup: Setup) -> dict[str, Any]:
    """Return what made the results of an experiment."""
    options = asdict(setup.options)
    options["output_dir"] = str(options["output_dir"])
    return {
        "experiment": setup.name,
        "options": options,
        "seed": setup.options.seed,
        "versions": versions(),
        "meaning": simulation.MEANING,
        "specification": setup.specification and asdict(setup.specification),
        "systems": [
            {"name": system.name, "architecture": system.architecture, **asdict(one)}
            for system, one in zip(setup.systems, setup.sources, strict=True)
        ],
    }


def settings_lines(settings: Sequence[str], source: str = "the experiment") -> list[str]:
    """Return what `source` sets in the systems, for the head of a table; nothing for nothing."""
    if not settings:
        return []
    return wrap(f"set by {source}: {'; '.join(settings)}", WIDTH, break_on_hyphens=False)


def settings_column(setup: Setup, more: Sequence[str] = ()) -> dict[str, Any]:
    """Return what a row says of the settings of its experiment, and `more` of them."""
    return {"settings": [*own_settings(setup), *more]}


def described(system: System) -> str:
    """Return the workload of a system, and the nodes that take it, in a few words."""
    nodes = system.nodes
    some = "" if nodes is None else f", {_nodes(nodes.count)} ({nodes.rule})"
    return describe(system.workload) + some


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count:,} nodes"


def describe(workload: Workload) -> str:
    """Return a workload in a few words."""
    classes = len(workload.classes)
    return _pace(workload) + (f", {classes} classes of agents" if classes > 1 else "")


def _pace(workload: Workload) -> str:
    traffic = workload.traffic
    if isinstance(traffic, Requests):
        asks = "" if traffic.in_flight == 1 else f", {traffic.in_flight} requests at a time"
        think = format_duration(float(f"{traffic.think.mean:.4g}"))
        return f"clients that think for {think}{asks}"
    if isinstance(traffic, Poisson | Periodic):
        mean = "" if all(one.rate is None for one in workload.classes) else ", or its class's"
        pace = f"{traffic.name.capitalize()} {traffic.rate:g} msg/s an agent{mean}"
    elif isinstance(traffic, Closed):
        count = (
            "messages without end" if traffic.messages is None else f"{traffic.messages} messages"
        )
        pace = f"closed loop of {count}"
    elif isinstance(traffic, Piecewise):
        pace = f"bursts around {traffic.rate_per_agent:g} msg/s an agent"
    elif isinstance(traffic, Recorded):
        long = format_duration(traffic.length)
        pace = f"{len(traffic.times):,} messages recorded in {long}"
    else:
        pace = traffic.name
    return f"{workload.topology}, {pace}"
