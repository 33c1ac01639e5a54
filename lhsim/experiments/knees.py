"""The search for the knees of several systems at once, with short runs between their levels."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lhsim.analysis.knee import Knee, Level, bracket, search
from lhsim.execution import Cell, Failure, Runner
from lhsim.experiments import levels as levels_of
from lhsim.experiments.levels import Horizon
from lhsim.experiments.specification import KneeSearch, MaxEvents
from lhsim.experiments.sweep import OnDone, Sweep

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.simulation import Result

Search = Generator[int, Level | None, Knee]


def find_knees(
    done: Sweep,
    how: KneeSearch,
    *,
    seed: int,
    duration: float | None,
    engine: str,
    max_events: MaxEvents,
    runner: Runner,
    on_done: OnDone | None = None,
    keep: Callable[[str, Result], None] = lambda _system, _result: None,
) -> tuple[dict[str, Knee], bool]:
    """Return the knee of each system, and whether Ctrl-C ended the search.

    All searches go on side by side, one run each at a time. A system whose search was ended, by
    Ctrl-C or by a run that could not be done, keeps the bracket that it had. `keep` gets the runs,
    with the name of their system.
    """
    rows = done.level_rows()
    known = {system.name: _levels(rows, system) for system in done.systems}
    searches = {name: search(levels, how.tolerance) for name, levels in known.items()}
    systems = {system.name: system for system in done.systems}
    horizon = Horizon(how.messages, duration=duration)
    asked, knees = _first(searches)
    interrupted = False
    while asked and not interrupted:
        cells = {
            name: _cell(systems[name], agents, horizon, seed, engine)
            for name, agents in asked.items()
        }
        doable = {n: c for n, c in cells.items() if levels_of.why_not(c, max_events) is None}
        outcomes, interrupted = runner.run(list(doable.values()), on_done=on_done)
        answers = dict(zip(doable, (outcomes.get(i) for i in range(len(doable))), strict=True))
        for name in list(asked):
            answer = _level(answers.get(name))
            _keep(keep, name, answers.get(name))
            known[name] += [answer] if answer is not None else []
            _advance(name, searches[name], answer, asked, knees)
    open_ends = {name: bracket(known[name]) for name in asked}
    return {name: (knees | open_ends)[name] for name in searches}, interrupted


def _keep(keep: Callable[[str, Result], None], name: str, outcome: Result | Failure | None) -> None:
    if outcome is not None and not isinstance(outcome, Failure):
        keep(name, outcome)


def _levels(rows: Sequence[Mapping[str, Any]], system: System) -> list[Level]:
    return [Level.of(row) for row in rows if row["system"] == system.name]


def _first(searches: Mapping[str, Search]) -> tuple[dict[str, int], dict[str, Knee]]:
    asked: dict[str, int] = {}
    knees: dict[str, Knee] = {}
    for name, one in searches.items():
        _advance(name, one, None, asked, knees)
    return asked, knees


def _advance(
    name: str, one: Search, answer: Level | None, asked: dict[str, int], knees: dict[str, Knee]
) -> None:
    """Tell a search its answer, and note what it asks next or what it has found."""
    try:
        asked[name] = one.send(answer)
    except StopIteration as stop:
        asked.pop(name, None)
        knees[name] = stop.value


def _cell(system: System, agents: int, horizon: Horizon, seed: int, engine: str) -> Cell:
    agents = max(agents, system.workload.fewest)
    if system.workload.topology == "pair":
        agents += agents % 2
    return levels_of.cells(system, agents, horizon, levels_of.seeds(seed, 1), engine)[0]


def _level(outcome: Result | Failure | None) -> Level | None:
    if outcome is None or isinstance(outcome, Failure):
        return None
    return Level.of(outcome.row())
