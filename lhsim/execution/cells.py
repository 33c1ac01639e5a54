"""A cell: everything that one run depends on. A run is a pure function of its cell."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve, frozen

from lhsim import compiled, simulation

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.simulation import Result

C = TypeVar("C")
R = TypeVar("R")


@frozen
class Cell:
    """One run, before it has run. It can be pickled."""

    system: System
    agents: int
    duration: float  # simulated, warm-up and drain included [s]
    seed: int
    engine: str = "auto"
    warmup: float | None = None  # [s]; None: as `lhsim.simulate` has it
    drain: float | None = None  # [s]; None: as `lhsim.simulate` has it
    stop_when_overloaded: bool = False
    keep_messages: bool = False  # with a record of each message in the result
    samples: int | None = None  # of the state; None: as `lhsim.simulate` has it


@frozen
class Failure:
    """Why a cell has no result. It can be pickled, whatever the exception was."""

    kind: str  # the exception's class
    message: str  # on one line
    traceback: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Return the failure that an exception stands for."""
        trace = "".join(traceback.format_exception(error))
        return cls(type(error).__name__, " ".join(str(error).split()), trace)


def run(cell: Cell) -> Result:
    """Run a cell."""
    return simulation.simulate(
        cell.system,
        agents=cell.agents,
        duration=cell.duration,
        seed=cell.seed,
        engine=cell.engine,
        warmup=cell.warmup,
        drain=cell.drain,
        stop_when_overloaded=cell.stop_when_overloaded,
        keep_messages=cell.keep_messages,
        samples=simulation.SAMPLES if cell.samples is None else cell.samples,
    )


def times_of(cell: Cell) -> tuple[float, float]:
    """Return the warm-up and the drain of a cell [s]."""
    horizon = simulation.horizons.Horizon(duration=cell.duration)
    found = simulation.horizons.times(cell.system, cell.agents, horizon, cell.warmup, cell.drain)
    return found.warmup, found.drain


def engine_of(cell: Cell) -> str:
    """Return the name of the engine that runs a cell."""
    return simulation.engines.choose(cell.engine, cell.system)[0]


def memory_of(cell: Cell) -> float:
    """Return the memory that a run of a cell takes [B], about."""
    engine, keep = engine_of(cell), cell.keep_messages
    return simulation.memory.estimate(cell.system, cell.agents, cell.duration, engine, keep=keep)


def compile_once(cells: Iterable[Cell]) -> None:
    """Let the engines of cells be compiled here, so that workers find them in Numba's cache."""
    # The kernel that a system needs follows from its architecture and its options.
    different = {(compiled.kind_of(cell.system), cell.engine): cell for cell in cells}
    for cell in different.values():
        fewest = cell.system.workload.fewest
        simulation.simulate(cell.system, agents=fewest, duration=1e-9, engine=cell.engine)


def in_order(cells: Sequence[Cell], indices: Sequence[int]) -> Sequence[int]:
    """Return the order in which cells run one by one: by their indices, or the shortest first.

    That is where an engine is still to be compiled: SimPy does the short ones meanwhile.
    """
    kinds = {
        compiled.kind_of(cells[index].system)
        for index in indices
        if cells[index].engine == "auto" and engine_of(cells[index]) == "compiled"
    }
    left = [compiled.seconds_left(kind) for kind in kinds]  # each begins to be compiled
    return sorted(indices, key=lambda index: work_of(cells[index])) if any(left) else indices


def work_of(cell: Cell) -> float:
    """Return how long SimPy takes for a cell on a slow processor [s], about."""
    return simulation.work.seconds_with_simpy(cell.system, cell.agents, cell.duration)


def attempt(function: Callable[[C], R], cell: C) -> R | Failure:
    """Return what `function` makes of the cell, or why it failed."""
    try:
        return function(cell)
    except Exception as error:  # whatever it was: one cell does not stop the others
        return Failure.of(error)


def as_asked(cell: Cell, result: Result) -> Result:
    """Return a result that was kept, with what `cell` says of its engine and its calibration."""
    name, reason = simulation.engines.choose(cell.engine, cell.system)
    if result.engine != name:
        reason = simulation.engines.SOONER
    return evolve(result, engine_reason=reason, warnings=cell.system.caveats)
