"""The levels that a search for a capacity looks at, one after the other.

It begins on either side of where the busiest station saturates by its mean costs, for a first
answer, and scans levels in geometric progression until the objectives are no longer kept, and once
beyond. Wherever a level that is known to keep them stands next to one that is known not to, there
is a *crossing*. Bisection on a logarithmic scale with short runs brackets roughly where the means
cross the limit, and with runs of full length closely; levels farther and farther from it are run
until one on either side is decided (`lhsim.planning.levels`). Then a few levels around the last
crossing are probed; what they contradict is searched as well.

A search runs nothing itself: it asks for levels, and goes on when they are known. What is known
after any of its steps is an answer, whose interval is wider the earlier it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import attrs
from attrs import frozen

from lhsim.errors import InputError
from lhsim.models import paths
from lhsim.planning.bounds import saturation
from lhsim.planning.levels import AGENTS, Evaluation, Question

TOLERANCE = 0.01  # width of a bracket at which bisection ends, as a part of it
ROUGH = 0.04  # likewise, with short runs
OCTAVES = 6  # by which another parameter is changed, up and down
PROBES = (0.5, 0.8, 1.25, 2.0)  # of the value, looked at in the end
MOST_LEVELS = 100  # of one search
STEPS = 12  # outwards from a crossing, each twice as long as the one before

Bounds = tuple[float, float]


@frozen
class Asked:
    """Levels that have to be known before a search goes on."""

    values: tuple[float, ...]
    full: bool  # with runs of full length; else with short ones


Steps = Iterator[Asked]


def least(question: Question) -> int:
    """Return the fewest agents that there can be."""
    if question.vary != AGENTS:
        return 1
    return question.system.workload.fewest


@attrs.define(eq=False)
class Bracketing:
    """What is known so far, by level, and which levels come next."""

    question: Question
    known: dict[float, Evaluation] = attrs.field(factory=dict)

    @property
    def first(self) -> float:
        """The level from which the search goes on."""
        question = self.question
        if question.vary == AGENTS:
            return float(least(question))
        return float(paths.value(question.system, question.vary) or question.agents or 1)

    @property
    def checked(self) -> Evaluation | None:
        """What is known of the level that was to be checked."""
        check = self.question.check
        return None if check is None else self.known.get(self.question.nearest(check))

    def learn(self, found: Evaluation) -> None:
        """Take what is known of a level now.

        What short runs have decided stands until others decide it, or are used up.
        """
        before = self.known.get(found.value)
        early = found.verdict == "undecided" and found.replications < self.question.looks[-1]
        if before is None or before.verdict == "undecided" or not before.short or not early:
            self.known[found.value] = found

    def steps(self) -> Steps:
        """Yield the levels that have to be in `known` when the search goes on."""
        if self.question.check is not None:
            yield from self._ask([self.question.check], full=True)
        if self.question.vary == AGENTS:
            yield from self._guess()
        yield from self._scan()
        yield from self._settle()

    def _ask(self, values: Iterable[float], *, full: bool) -> Steps:
        """Ask for levels of which nothing is known, or too little."""
        rounded = dict.fromkeys(map(self.question.nearest, values))
        wanted = tuple(value for value in rounded if self._lacks(value, full=full))
        if wanted:
            yield Asked(wanted, full)

    def _lacks(self, value: float, *, full: bool) -> bool:
        found = self.known.get(value)
        return found is None or (full and found.short)

    def _look(self, *values: float) -> Steps:
        """Ask for levels with short runs, and in full where these do not decide them."""
        yield from self._ask(values, full=False)
        found = {value: self.known[self.question.nearest(value)] for value in values}
        unclear = [value for value, one in found.items() if one.verdict == "undecided"]
        yield from self._ask(unclear, full=True)

    def _guess(self) -> Steps:
        """Look on either side of where a station saturates by its mean costs, if that is known.

        Where that brackets a crossing there is a first answer after few runs.
        """
        guess, most = saturation(self.question.system), float(self._most)
        if guess is None or not 2 * least(self.question) <= guess <= 2 * most:
            return
        yield from self._look(guess / 2, min(2 * guess, most))
        for pair in self.pairs():
            yield from self._bisect(list(pair), ROUGH, full=False)

    @property
    def _most(self) -> int:
        """The most agents up to which is searched."""
        unit = self.question.unit
        return unit * (self.question.most // unit)

    def _scan(self) -> Steps:
        """Look at levels in geometric progression until the side has changed, and one beyond.

        Of that one, what short runs say is enough.
        """
        if self.question.vary == AGENTS:
            top = float(self._most)
            steps = math.ceil(math.log(top / self.first, 4))
            yield from self._walk(lambda step: min(self.first * 4**step, top), steps)
        else:
            yield from self._walk(lambda step: self.first * 2.0**step, OCTAVES)
            yield from self._walk(lambda step: self.first / 2.0**step, OCTAVES)

    def _walk(self, level: Callable[[int], float], steps: int) -> Steps:
        seen: list[Evaluation] = []
        for step in range(steps + 1):
            if not self._possible(level(step)):
                return
            beyond = bool(seen) and seen[-1].verdict == "violated"
            look = self._ask([level(step)], full=False) if beyond else self._look(level(step))
            yield from look
            seen.append(self.known[self.question.nearest(level(step))])
            if self._is_enough(seen):
                return

    def _is_enough(self, seen: Sequence[Evaluation]) -> bool:
        """Return whether nothing new is to be expected of levels farther on."""
        if seen[-1].good:
            return False
        # Agents that are added to what is overloaded do not help.
        hopeless = self.question.vary == AGENTS and seen[-1].overloaded
        any_good = any(one.good for one in seen)
        twice = len(seen) > 1 and not seen[-2].good
        return (hopeless and any_good) or (twice and (hopeless or any_good))

    def _possible(self, value: float) -> bool:
        value = self.question.nearest(value)
        if self.question.vary == AGENTS:
            return value >= least(self.question)
        number = int(value) if self.question.is_whole else value
        try:
            paths.changed(self.question.system, self.question.vary, number)
        except InputError:
            return False
        return True

    def _settle(self) -> Steps:
        """Narrow every crossing; probe around the last of them, and narrow what that shows."""
        yield from self._narrow_all()
        pairs = self.pairs()
        if not pairs:
            return
        middle, most = self.estimate(*pairs[-1])[0], max(self.known)
        probes = [middle * factor for factor in PROBES]
        yield from self._look(*(one for one in probes if self._possible(one) and one <= most))
        yield from self._narrow_all()

    def _narrow_all(self) -> Steps:
        narrowed: set[Bounds] = set()
        while len(self.known) < MOST_LEVELS:
            todo = [pair for pair in self.pairs() if pair not in narrowed]
            if not todo:
                return
            yield from self._narrow(*todo[0])
            narrowed |= {pair for pair in self.pairs() if self._within(pair, todo[0])}

    @staticmethod
    def _within(pair: Bounds, outer: Bounds) -> bool:
        return outer[0] <= pair[0] and pair[1] <= outer[1]

    def pairs(self) -> list[Bounds]:
        """Return neighbours among the decided levels of which one is kept and one is not."""
        decided = [v for v in sorted(self.known) if self.known[v].verdict != "undecided"]
        verdict = {v: self.known[v].verdict for v in decided}
        return [(a, b) for a, b in pairwise(decided) if verdict[a] != verdict[b]]

    def _narrow(self, low: float, high: float) -> Steps:
        """Bracket the crossing of the means, then find the nearest levels that are decided."""
        rough = list(self._neighbours(low, high))
        yield from self._bisect(rough, ROUGH, full=False)
        yield from self._confirm(rough, low, high)
        if self.known[rough[0]].good == self.known[rough[1]].good:
            return
        yield from self._bisect(rough, TOLERANCE, full=True)
        a, b = rough
        for step in range(1, STEPS):
            distance = TOLERANCE * 2**step
            below, above = a * (1 - distance), b * (1 + distance)
            left, right = self._decided_around(a, b)
            near = [below] * (left < below) + [above] * (right > above)
            if left > below and right < above:
                return
            yield from self._ask([one for one in near if self._possible(one)], full=True)

    def _decided_around(self, low: float, high: float) -> Bounds:
        decided = [v for v, one in self.known.items() if one.verdict != "undecided"]
        left = max((v for v in decided if v <= low), default=low)
        return left, min((v for v in decided if v >= high), default=high)

    def _bisect(self, ends: list[float], tolerance: float, *, full: bool) -> Steps:
        """Move the ends of a bracket, between which the means change sides, towards each other."""
        good = self.known[ends[0]].good
        while ends[1] - ends[0] > max(tolerance * ends[0], self._unit):
            middle = self.question.nearest(math.sqrt(ends[0] * ends[1]))
            if not ends[0] < middle < ends[1]:
                return
            yield from self._ask([middle], full=full)
            ends[self.known[middle].good != good] = middle

    def _confirm(self, ends: list[float], low: float, high: float) -> Steps:
        """Let runs of full length see the crossing that short ones have found.

        Where the means lie on one side at both ends of the bracket, it moves that way, from `low`
        to `high` at most.
        """
        good = self.known[low].good
        while True:
            yield from self._ask(ends, full=True)
            a, b = (self.known[end].good == good for end in ends)
            if a and not b:
                return
            if not a and ends[0] > low:
                ends[:] = max(low, self._beside(ends[0], 1 / (1 + ROUGH))), ends[0]
            elif a and ends[1] < high:
                ends[:] = ends[1], min(high, self._beside(ends[1], 1 + ROUGH))
            else:
                return

    def _beside(self, value: float, factor: float) -> float:
        """Return another level at about `factor` times a value."""
        found = self.question.nearest(value * factor)
        return found if found != value else value + math.copysign(self._unit, factor - 1)

    @property
    def _unit(self) -> int:
        """The least distance of two levels; 0 where there is none."""
        return self.question.unit * self.question.is_whole

    def estimate(self, low: float, high: float) -> tuple[float, str]:
        """Return where the means cross the limit between two levels, and the objective that does.

        Between the two neighbours around it each figure is taken as a straight line, and the first
        to reach its limit from the good side counts. A whole number is that of the good side.
        """
        a, b = self._neighbours(low, high)
        if not self.known[a].good:
            a, b = b, a
        part, binding = min(
            (_share(good.margin, bad.margin), bad.objective)
            for good, bad in zip(self.known[a].figures, self.known[b].figures, strict=True)
            if bad.margin <= 0
        )
        if self.question.is_whole:
            unit, value = self.question.unit, a + part * (b - a)
            steps = math.floor(value / unit) if b > a else math.ceil(value / unit)
            return float(unit * steps), binding
        return a + part * (b - a), binding

    def _neighbours(self, low: float, high: float) -> Bounds:
        """Return the first levels in a bracket between which the means change sides.

        Those of full runs, once they are as near to each other as short runs tell.
        """
        inside = [v for v in sorted(self.known) if low <= v <= high]
        full = [v for v in inside if v in {low, high} or not self.known[v].short]
        a, b = self._change(full)
        if b - a <= max(2 * ROUGH * a, self._unit):
            return a, b
        return self._change(inside)

    def _change(self, values: Sequence[float]) -> Bounds:
        """Return the first neighbours among values of which one is good and one is not."""
        return next((a, b) for a, b in pairwise(values) if self.known[a].good != self.known[b].good)


def _share(good: float, bad: float) -> float:
    """Return which part of the way from a kept to a violated level the limit lies."""
    return 0.5 if math.isinf(bad) else good / (good - bad)
