"""What the page shows of a state: first from short runs, then closely.

An answer comes in parts, each of which replaces the one before it of its kind: the latency with so
many agents, which is that of `lhsim.simulate`; the curve, from short runs and then from runs of
usual length; the capacity, whenever the search of `lhsim.capacity` knows more; and the decision of
`lhsim.decide`. What has been found is kept, so that a state that comes back is there at once.

A search goes on for `LONGEST` at most, and no run is larger than `lhsim.explore.guard` says:
nothing that a page asks takes hours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import attrs

from lhsim import compiled
from lhsim.analysis import flags
from lhsim.execution import Runner, work_of
from lhsim.explore.guard import (
    MOST_WORK,
    USUAL,
    Guarded,
    Outdated,
    TooLargeError,
    cell_of,
    decision_asked,
    questions,
)
from lhsim.explore.state import Candidate, State
from lhsim.planning import decision, search
from lhsim.planning.bounds import saturation
from lhsim.planning.levels import SHORT, Question, not_lost, run_all
from lhsim.planning.search import PRECISION, Capacity
from lhsim.simulation import simulate

if TYPE_CHECKING:
    from lhsim.simulation import Result

MOST_SHORT_WORK = 15.0  # of a run for the first curve, as SimPy's time for it [s]
LONGEST = 120.0  # that the searches for the capacities may take in all [s]
STEPS = 4  # of each search that leaves the answer open, before longer runs
MOST_KEPT = 2000  # parts of answers
# Levels of the curve: powers of ten, or half ones, and around where the busiest station saturates.
AROUND, CLOSER = (0.5, 0.7, 0.85, 1.0, 2.0), (0.93, 1.1, 1.4)
OPEN = 10_000.0  # agents up to which the curve goes where nobody knows where a system saturates

Part = dict[str, Any]


def levels(question: Question, more: Sequence[int] = (), *, closely: bool) -> list[int]:
    """Return the numbers of agents at which the curve is known: even ones, which all can have.

    Where the system saturates is between them, and there are `more` up to twice that.
    """
    middle = saturation(question.system)
    knows = middle is not None and math.isfinite(middle)
    top = min(middle if knows and middle is not None else OPEN, question.most)
    powers = [10.0 ** (1 + power / 2) for power in range(0, 20, 1 if closely else 2)]
    near = [top * part for part in (*AROUND, *(CLOSER if closely else ()))] if knows else [top]
    wanted = [one for one in powers if one < top / (2 if knows else 1)] + near
    wanted += [one for one in more if one <= max(near)]
    rounded = {2 * round(float(f"{one:.2g}") / 2) for one in wanted}
    fewest = max(2, question.system.workload.fewest)
    return sorted(one for one in rounded if fewest <= one <= question.most)


def point(result: Result, quantile: float | None) -> Part:
    """Return the latency of a run as a point of the curve [s]; None where there is no value."""
    found = result.mean_estimate() if quantile is None else result.estimate(quantile)
    shown = [None if result.overloaded or not math.isfinite(one) else one for one in
             (found.value, max(found.low, 0.0), found.high)]  # fmt: skip
    doubts = [one for one in found.flags if one not in {flags.LOWER_BOUND, flags.OVERLOADED}]
    return {
        "agents": result.agents,
        **dict(zip(("value", "low", "high"), shown, strict=True)),
        "delivered": not_lost(result),  # share of the messages
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

    def warm(self) -> None:
        """Load the engine of each system, or begin to compile it, before anybody asks."""
        for one in self.known.values():
            simulate(one.system, agents=one.system.workload.fewest, duration=1e-9)

    def of(self, state: State, is_outdated: Outdated = lambda: False) -> Iterator[Part]:
        """Yield the parts of an answer, ever sharper ones, the last with ``done``.

        Raises `InputError` before anything runs, for what cannot be asked; `OutdatedError` once
        nobody waits any more; and `LhsimError` when a run failed.
        """
        asked = questions(state, self.known)
        with closing(Guarded(is_outdated)) as runner:
            yield from self._parts(state, asked, runner)

    def _parts(self, state: State, asked: Mapping[str, Question], runner: Runner) -> Iterator[Part]:
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
            made = [cell_of(question, agents, horizon) for agents in counts]
            some = [attrs.evolve(cell, stop_when_overloaded=not closely) for cell in made
                    if work_of(cell) <= most]  # fmt: skip
            return [point(result, state.quantile) for result in run_all(some, runner)]

        found: list[Part] = self.once((*self.settings(state, name), state.quantile, closely), run)
        return found

    def _point(self, state: State, name: str, question: Question, runner: Runner) -> Part:
        """Return the latency with the chosen number of agents."""

        def run() -> Part:
            (result,) = run_all([cell_of(question, state.agents, USUAL)], runner)
            return point(result, state.quantile)

        found: Part = self.once((*self.settings(state, name), state.quantile, state.agents), run)
        return found

    def _curves(
        self, state: State, asked: Mapping[str, Question], runner: Runner, *, closely: bool
    ) -> Iterator[Part]:
        """Yield the point and the curve of each system; of short runs only where none is better."""
        for name, question in asked.items():
            better = (*self.settings(state, name), state.quantile, True) in self._kept
            found = self._point(state, name, question, runner)
            curve = self.curve(state, name, question, runner, closely=closely or better)
            yield {"system": name, "point": found, "curve": curve}

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
            key = self._key(state, name)
            if key not in self._kept:
                self._keep(key, next(searches[name]))
            yield {"system": name, "capacity": self._keep(key, self._kept[key])}

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
                found = decision.answer(decision_asked(state, asked), runner)
            except TooLargeError as error:
                return {"text": f"The decision {error}: lhsim decide makes them.", "python": ""}
            return {"text": found.recommendation, "python": state.python_of_decision(self.known)}

        found: Part = self.once((state, "decision"), decide)
        return found

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
