"""What to run at a level, whether it can be done at all, and what all its runs say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lhsim import simulation
from lhsim.analysis import flags
from lhsim.analysis.intervals import SMALLEST_TAIL, Estimate, known
from lhsim.errors import InputError
from lhsim.execution import Cell, Failure, engine_of
from lhsim.execution.progress import work
from lhsim.metrics import Latency
from lhsim.metrics.latency import mean_of_runs, merged, quantile_of_runs
from lhsim.models.workload import check_count
from lhsim.planning.horizons import Horizon, cells, seeds
from lhsim.units import format_duration

if TYPE_CHECKING:
    from lhsim.experiments.specification import MaxEvents
    from lhsim.models import System
    from lhsim.simulation import Result
    from lhsim.simulation.result import ClassResult

__all__ = [
    "FailedRun",
    "Horizon",
    "Skipped",
    "cells",
    "check_agents",
    "class_figures",
    "model_events",
    "pooled_latencies",
    "seeds",
    "why_not",
    "window_figures",
    "work",
]

QUANTILES = (50, 95, 99)  # of the quantiles in a record [%]
MS_PER_SECOND = 1e3


@frozen
class Skipped:
    """A level that was left out, and why."""

    system: str
    architecture: str
    agents: int
    reason: str

    def __str__(self) -> str:
        return f"skipped: {self.system} with {self.agents:,} agents: {self.reason}"


@frozen
class FailedRun:
    """A run that has no result."""

    system: str
    architecture: str
    agents: int
    seed: int
    failure: Failure

    def __str__(self) -> str:
        return f"{self.system}, {self.agents:,} agents, seed {self.seed}: {self.failure}"

    @classmethod
    def of(cls, cell: Cell, failure: Failure, system: str | None = None) -> FailedRun:
        """Return the run of a cell that has failed; its system may have another name."""
        own = cell.system
        return cls(system or own.name, own.architecture, cell.agents, cell.seed, failure)


def model_events(cell: Cell) -> int:
    """Return a bound on the model events of a run (`lhsim.simulation.work`)."""
    return simulation.work.model_events(cell.system, cell.agents, cell.duration)


def why_not(cell: Cell, limits: MaxEvents) -> str | None:
    """Return why a run is more than its engine may do, or None if it is not."""
    name = engine_of(cell)
    needed, most = work(cell), limits.of(name)
    if needed <= most:
        return None
    engine = "SimPy" if name == "simpy" else name
    return (
        f"{format_duration(cell.duration)} may be the work of {needed:,} model events, "
        f"and the limit for the {engine} engine is {most:,} (--max-events)"
    )


def check_agents(system: System, agents: int) -> None:
    """Raise `InputError` when the system's workload cannot have so many agents."""
    try:
        check_count(system.workload, agents)
    except InputError as error:
        raise InputError(error.problem, source="--agents", allowed=error.allowed) from None


def pooled_latencies(latencies: Sequence[Latency]) -> dict[str, Estimate]:
    """Return the mean and the quantiles of the messages of all replications, by column [ms]."""
    return {"mean_latency_ms": mean_of_runs(latencies).scaled(MS_PER_SECOND)} | {
        f"p{level}_latency_ms": quantile_of_runs(latencies, level / 100).scaled(MS_PER_SECOND)
        for level in QUANTILES
    }


def class_figures(runs: Sequence[Mapping[str, ClassResult]]) -> dict[str, dict[str, Any]]:
    """Return a row of each class: the messages of all replications, by the class of their sender.

    Its latencies, intervals, ``lower_bounds`` and ``flags`` are those of a row of a level.
    """
    return {name: _class_row([run[name] for run in runs]) for name in runs[0]}


def _class_row(runs: Sequence[ClassResult]) -> dict[str, Any]:
    found = pooled_latencies([run.latency for run in runs])
    return {
        "agents": runs[0].agents,
        "messages": sum(run.created for run in runs),
        "delivered": sum(run.delivered for run in runs),
        **{name: known(one.value) for name, one in found.items()},
        **{
            f"{name.removesuffix('_latency_ms')}_ci95_ms": [known(one.low), known(one.high)]
            for name, one in found.items()
        },
        "lower_bounds": [name for name, one in found.items() if flags.LOWER_BOUND in one.flags],
        "flags": {
            name: list(one.flags)
            for name, one in found.items()
            if one.flags and known(one.value) is not None
        },
    }


def window_figures(runs: Sequence[Result]) -> list[dict[str, Any]]:
    """Return a row of each twentieth of the measured window: the messages of all replications.

    Its latencies, ``lower_bounds`` and ``flags`` are those of a row of a level; a window is too
    short to say how much its messages are correlated, and they have no intervals. Runs that ended
    early have other windows, and are left out; with no other run there is no row.
    """
    whole = [run for run in runs if not run.stopped_early]
    return [_window_row(list(parts)) for parts in zip(*(run.parts() for run in whole), strict=True)]


def _window_row(parts: Sequence[tuple[float, float, Latency]]) -> dict[str, Any]:
    (start, end, _), together = parts[0], merged([latency for _, _, latency in parts])
    messages = together.count + together.pending
    levels = {f"p{level}_latency_ms": level / 100 for level in QUANTILES}
    return {
        "start_s": start,
        "end_s": end,
        "messages_per_second": messages / (end - start) / len(parts),
        "pending": together.pending,
        "mean_latency_ms": known(together.mean * MS_PER_SECOND),
        **{name: known(together.quantile(q) * MS_PER_SECOND) for name, q in levels.items()},
        "lower_bounds": [name for name, q in levels.items() if together.is_lower_bound(q)],
        "flags": {
            name: [flags.THIN_TAIL]
            for name, q in levels.items()
            if 0 < messages * (1 - q) < SMALLEST_TAIL
        },
    }
