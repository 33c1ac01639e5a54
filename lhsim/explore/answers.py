"""What the page shows of a state: first from short runs, then closely.

An answer comes in parts, each of which replaces the one before it of its kind: the latency with so
many agents, which is that of `lhsim.simulate`; the curve, from short runs and then from runs of
usual length; the capacity, whenever the search of `lhsim.capacity` knows more; and the decision of
`lhsim.decide`. What has been found is kept, so that a state that comes back is there at once.

No run may be larger than `MOST_WORK`, and a search goes on for `LONGEST` at most: nothing that a
page asks takes hours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lhsim import compiled
from lhsim.analysis import flags
from lhsim.errors import InputError, LhsimError
from lhsim.execution import Cell, Failure, Runner, work_of
from lhsim.explore.state import AGENTS, Candidate, State
from lhsim.models.workload import check_count
from lhsim.planning import decision, search
from lhsim.planning.bounds import saturation
from lhsim.planning.bracketing import least
from lhsim.planning.horizons import Horizon, cells
from lhsim.planning.levels import SHORT, Question, run_all
from lhsim.planning.search import PRECISION, Capacity

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.planning.levels import OnDone
    from lhsim.simulation import Result

SEED = 1
USUAL = Horizon()  # of `lhsim.simulate`
# Of a run, in time that SimPy takes for it [s]; the compiled engine takes some 2 s for the first.
MOST_WORK, MOST_SHORT_WORK = 1000.0, 15.0
LONGEST = 120.0  # that the searches for the capacities may take in all [s]
STEPS = 4  # of each search that leaves the answer open, before longer runs
MOST_KEPT = 2000  # parts of answers
# Levels of the curve: half powers of ten, and around where the busiest station saturates.
STEP, AROUND, CLOSER = 10**0.5, (0.5, 0.7, 0.85, 1.0, 2.0), (0.93, 1.1, 1.4)
OPEN = 10_000.0  # agents up to which the curve goes where nobody knows where a system saturates

Part = dict[str, Any]
Outdated = Callable[[], bool]


class OutdatedError(Exception):
    """Nobody waits for the answer any more."""


class TooLargeError(LhsimError):
    """A run would be larger than the page may start."""


class Guarded(Runner):
    """A runner that stops when nobody waits any more, and starts no run that is too large."""

    def __init__(self, is_outdated: Outdated) -> None:
        super().__init__(fail_fast=True)
        self._is_outdated = is_outdated

    def run(
        self, cells: Sequence[Cell], *, on_done: OnDone | None = None
    ) -> tuple[dict[int, Result | Failure], bool]:
        """Run cells as a `Runner` does; raises `OutdatedError` and `TooLargeError`."""
        if any(work_of(cell) > MOST_WORK for cell in cells):
            raise TooLargeError("needs larger runs than this page starts")

        def go_on(cell: Cell, result: Result | Failure) -> None:
            if self._is_outdated():
                raise OutdatedError
            if on_done is not None:
                on_done(cell, result)

        return super().run(cells, on_done=go_on)


def questions(state: State, known: Mapping[str, Candidate]) -> dict[str, Question]:
    """Return what is asked of each system.

    Raises `InputError` for what cannot be asked, or is too much for a page.
    """
    found = {name: _question(state, state.system(known[name]), name) for name in state.systems}
    _decision(state, found)
    return found


def _question(state: State, system: System, name: str) -> Question:
    check_count(system.workload, state.agents)
    question = search.ask(system, state.slo, "agents", None, None, AGENTS[1], SEED, 0.95, "auto")
    for agents in (least(question), state.agents):
        if work_of(_cell(question, agents, USUAL)) > MOST_WORK:
            problem = f"a run of {agents:,} agents is too large for this page"
            allowed = "fewer agents, fewer messages, or fewer polls for each message"
            raise InputError(problem, source=name, allowed=allowed)
    most = AGENTS[1]
    while work_of(question.cells(most, range(1))[0]) > MOST_WORK:
        most = 2 * (most // 4)
    return attrs.evolve(question, most=most)


def _cell(question: Question, agents: int, horizon: Horizon) -> Cell:
    """Return a run of `lhsim.simulate`, or a shorter one."""
    (cell,) = cells(question.system, agents, horizon, (SEED,), question.engine)
    return attrs.evolve(cell, stop_when_overloaded=False)


def _decision(state: State, asked: Mapping[str, Question]) -> decision.Asked:
    systems = [one.system for one in asked.values()]
    return decision.ask(state.slo, state.agents, None, systems, None, None, decision.MONTHS, None,
                        0.95, SEED, "auto")  # fmt: skip


def levels(question: Question, more: Sequence[int] = (), *, closely: bool) -> list[int]:
    """Return the numbers of agents at which the curve is known: even ones, which all can have.

    Where the system saturates is between them, and there are `more` up to twice that.
    """
    middle = saturation(question.system)
    knows = middle is not None and math.isfinite(middle)
    top = min(middle if knows and middle is not None else OPEN, question.most)
    powers = [10 * STEP**power for power in range(20)]
    near = [top * part for part in (*AROUND, *(CLOSER if closely else ()))] if knows else [top]
    wanted = [one for one in powers if one < top / (2 if knows else 1)] + near
    wanted += [one for one in more if one <= max(near)]
    rounded = {2 * round(float(f"{one:.2g}") / 2) for one in wanted}
    return sorted(one for one in rounded if 2 <= one <= question.most)


def point(result: Result, quantile: float | None) -> Part:
    """Return the latency of a run as a point of the curve [s]; None where there is no value."""
    found = result.mean_estimate() if quantile is None else result.estimate(quantile)
    shown = [None if result.overloaded or not math.isfinite(one) else one for one in
             (found.value, max(found.low, 0.0), found.high)]  # fmt: skip
    doubts = [one for one in found.flags if one not in {flags.LOWER_BOUND, flags.OVERLOADED}]
    return {
        "agents": result.agents,
        **dict(zip(("value", "low", "high"), shown, strict=True)),
        "overloaded": result.overloaded,
        "at_least": flags.LOWER_BOUND in found.flags,
        "extrapolated": result.extrapolated,
        "doubts": [f"{one}: {flags.MEANINGS[one]}" for one in doubts],
    }


def capacity_part(found: Capacity) -> Part:
    """Return what is known of a capacity as the page shows it."""
    low, high = found.interval
    return {
        "value": found.value,
        "low": low,
        "high": high,
        "sentences": found.sentences(),
        "extrapolated": found.extrapolated,
        "exact": found.stop_reason == PRECISION,
    }


class Answers:
    """Answers to what the page asks of some systems; keeps what it has found.

    Parameters
    ----------
    known
        The systems that the page offers, by name.
    """

    def __init__(self, known: Mapping[str, Candidate]) -> None:
        self.known = known
        self._kept: dict[tuple[Any, ...], Any] = {}

    def of(self, state: State, is_outdated: Outdated = lambda: False) -> Iterator[Part]:
        """Yield the parts of an answer, ever sharper ones, the last with ``done``.

        Raises `InputError` before anything runs, for what cannot be asked; `OutdatedError` once
        nobody waits any more; and `LhsimError` when a run failed.
        """
        asked, runner = questions(state, self.known), Guarded(is_outdated)
        waits = [compiled.seconds_left(compiled.kind_of(one.system)) for one in asked.values()]
        if any(waits):
            yield {"status": f"Compiling the engine, once, for about {max(waits):.0f} s"}
        for name in asked:
            candidate = self.known[name]
            yield {"system": name, "python": state.python(candidate), "toml": state.toml(candidate)}
        yield from self._curves(state, asked, runner, closely=False)
        searches = self._searches(state, asked, runner)
        yield from self._first_capacities(state, searches)
        yield from self._settled(state, searches)
        yield {"status": "Longer runs for the curve"}
        yield from self._curves(state, asked, runner, closely=True)
        yield {"status": "Longer runs for the decision"}
        yield {"decision": self._decided(state, asked, runner)}
        yield {"status": "Narrowing the capacities"}
        yield from self._narrowed(state, searches)
        yield {"done": True, "status": ""}

    def curve(
        self,
        state: State,
        name: str,
        question: Question,
        runner: Runner,
        more: Sequence[int] = (),
        *,
        closely: bool,
    ) -> list[Part]:
        """Return the points of a system's curve; levels with too large runs are left out."""

        def run() -> list[Part]:
            horizon, most = (USUAL, MOST_WORK) if closely else (SHORT, MOST_SHORT_WORK)
            counts = levels(question, more, closely=closely)
            made = [_cell(question, agents, horizon) for agents in counts]
            some = [attrs.evolve(cell, stop_when_overloaded=True) for cell in made
                    if work_of(cell) <= most]  # fmt: skip
            return [point(result, state.quantile) for result in run_all(some, runner)]

        return self.once((*self.settings(state, name), state.quantile, closely), run)

    def _curves(
        self, state: State, asked: Mapping[str, Question], runner: Runner, *, closely: bool
    ) -> Iterator[Part]:
        """Yield the point and the curve of each system; of short runs only where none is better."""
        for name, question in asked.items():
            cell, key = _cell(question, state.agents, USUAL), self.settings(state, name)
            yield {
                "system": name,
                "point": self.once(
                    (*key, state.quantile, state.agents, "point"),
                    lambda cell=cell: point(run_all([cell], runner)[0], state.quantile),
                ),
                "curve": self.curve(
                    state, name, question, runner,
                    closely=closely or (*key, state.quantile, True) in self._kept,
                ),
            }  # fmt: skip

    def _searches(
        self, state: State, asked: Mapping[str, Question], runner: Runner
    ) -> dict[str, Iterator[Part]]:
        """Return searches for the capacities; there is none where the exact one is kept."""
        until = time.monotonic() + LONGEST
        return {
            name: map(capacity_part, search.answers(question, runner, until=until))
            for name, question in asked.items()
            if not self._kept.get(self._key(state, name), {}).get("exact")
        }

    def _first_capacities(
        self, state: State, searches: Mapping[str, Iterator[Part]]
    ) -> Iterator[Part]:
        """Yield what is known of each capacity, or found by the first step of its search."""
        for name in state.systems:
            yield {
                "system": name,
                "capacity": self.once(
                    self._key(state, name), lambda name=name: next(searches[name])
                ),
            }

    def _narrowed(self, state: State, searches: dict[str, Iterator[Part]]) -> Iterator[Part]:
        """Go on with all searches in turn, to their ends."""
        while searches:
            for name in list(searches):
                yield from self._step(state, name, searches)

    def _settled(self, state: State, searches: dict[str, Iterator[Part]]) -> Iterator[Part]:
        """Go on with the searches that leave open on which side the chosen agents are."""
        for _ in range(STEPS):
            for name in list(searches):
                found = self._kept[self._key(state, name)]
                if (found["low"] or 0) < state.agents <= (found["high"] or math.inf):
                    yield from self._step(state, name, searches)

    def _step(self, state: State, name: str, searches: dict[str, Iterator[Part]]) -> Iterator[Part]:
        """Let a search take a step; yield the capacity where more is known of it than before."""
        key = self._key(state, name)
        try:
            found = next(searches[name])
        except (StopIteration, TooLargeError):
            del searches[name]
            return
        if found["exact"]:
            found |= {"python": state.python_of_capacity(self.known[name])}
        if found["exact"] or _width(found) < _width(self._kept[key]):
            yield {"system": name, "capacity": self._keep(key, found)}

    def _key(self, state: State, name: str) -> tuple[Any, ...]:
        """Return under which key the capacity of a system is kept."""
        return *self.settings(state, name), state.slo, "capacity"

    def _decided(self, state: State, asked: Mapping[str, Question], runner: Runner) -> Part:
        """Return the decision, or why there is none."""

        def decide() -> Part:
            try:
                found = decision.answer(_decision(state, asked), runner)
            except TooLargeError as error:
                return {"text": f"The decision {error}: lhsim decide makes them.", "python": ""}
            return {"text": found.recommendation, "python": state.python_of_decision(self.known)}

        return self.once((state, "decision"), decide)

    def once(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """Return what is kept under a key, or make it."""
        return self._keep(key, self._kept[key] if key in self._kept else make())

    def _keep(self, key: tuple[Any, ...], found: Any) -> Any:
        """Keep what was found, and return it; what was not used for longest makes room."""
        self._kept.pop(key, None)
        if len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = found
        return found

    def settings(self, state: State, name: str) -> tuple[Any, ...]:
        """Return what a system's curve depends on, as the beginning of a key."""
        return name, *sorted(state.settings(self.known[name]).items())


def _width(capacity: Part) -> float:
    """Return how wide the interval of a capacity is [agents]; infinite where an end is open."""
    low, high = capacity["low"], capacity["high"]
    return math.inf if low is None or high is None else high - low
