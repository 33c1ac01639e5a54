"""Capacity (E10): the most agents that keep all objectives, or the size that holds so many.

The search scans levels in geometric progression until the objectives are no longer kept, and looks
once beyond. Wherever a level that is known to keep them stands next to one that is known not to,
there is a *crossing*: bisection on a logarithmic scale brackets the place where the means cross
the limit, and levels farther and farther from it are run until one on either side is decided
(`lhsim.planning.levels`). Their ends are the interval. Then a few levels around the last crossing
are probed; what they contradict is searched as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pandas as pd
from attrs import frozen

from lhsim import analysis, checks
from lhsim.errors import InputError
from lhsim.execution import Runner, running
from lhsim.library import as_system
from lhsim.models import System, paths
from lhsim.models.workload import check_count
from lhsim.planning.levels import AGENTS, MOST_AGENTS, Evaluation, Question, evaluate
from lhsim.planning.objectives import parse_objectives
from lhsim.planning.uncertainty import Spread, combined, spread_of
from lhsim.report.capacity import capacity_sentences, level_text
from lhsim.report.notebook import card
from lhsim.report.text import between
from lhsim.simulation.engines import choose
from lhsim.streams import MAX_SEED
from lhsim.units import typed_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lhsim.planning.levels import Figure as FigureOfLevel
    from lhsim.planning.levels import OnDone

TOLERANCE = 0.01  # width of a bracket at which bisection ends, as a part of it
OCTAVES = 6  # by which another parameter is changed, up and down
PROBES = (0.5, 0.8, 1.25, 2.0)  # of the value, looked at in the end
MOST_LEVELS = 100  # of one search

Bounds = tuple[float, float]
Range = tuple[float | None, float | None]


@frozen
class Crossing:
    """Where the objectives begin or cease to be kept, as the parameter grows."""

    value: float
    interval: Bounds  # both parts together
    simulation: Bounds  # the part of the runs
    parameters: Bounds | None  # the part of the calibration; None without samples of it
    binding_objective: str
    kept: str  # "below" or "above": on which side the objectives are kept


@frozen(repr=False)
class Capacity:
    """The answer of `capacity`."""

    system: str
    vary: str
    agents: int | None  # where another parameter is varied
    objectives: tuple[str, ...]
    confidence: float
    value: float | None  # ends the last range that keeps all objectives; None where none ends
    interval: Range  # an end is None where nothing was found
    binding_objective: str | None
    crossings: tuple[Crossing, ...]  # as the parameter grows
    evaluations: tuple[Evaluation, ...]  # likewise
    extrapolated: bool
    check: Evaluation | None = None  # of the level that was to be checked
    warnings: tuple[str, ...] = ()  # what the calibration of the system says against it
    seed: int | None = None  # from which all runs follow
    unit: str = ""  # base unit of what is varied

    @property
    def crossing(self) -> Crossing | None:
        """The crossing at `value`."""
        return next((one for one in self.crossings if one.value == self.value), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain data; quantities are in base units, which are named.

        A latency of an overloaded level is None: it does not settle.
        """
        return _fields(self) | {"evaluations": [_plain(one) for one in self.evaluations]}

    def sentences(self) -> list[str]:
        """Return the answer in words."""
        data = self.to_dict()
        data |= {"is_agents": self.vary == AGENTS, "check": self.check and self.check.value}
        return capacity_sentences(data | {"verdict": self.check and self.check.verdict})

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per level and objective; figures are in base units."""
        return pd.DataFrame(
            {
                self.vary: level["value"],
                "objective": figure["objective"],
                "figure": figure["value"],
                "ci_low": figure["interval"][0],
                "ci_high": figure["interval"][1],
                "unit": figure["unit"],
                "lower_bound": figure["lower_bound"],
                "flags": ", ".join(figure["flags"]),
                **{key: level[key] for key in ("replications", "overloaded", "extrapolated")},
                "verdict": level["verdict"],
            }
            for level in self.to_dict()["evaluations"]
            for figure in level["figures"]
        )

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the figures of all levels as parts of their limits, and return the figure."""
        limits = {one.text: one.limit for one in parse_objectives(self.objectives)}
        points = [
            _point(level, figure, limits[figure.objective])
            for level in self.evaluations
            for figure in level.figures
        ]
        answer, found = None, self.crossing
        if found is not None:
            ends_and_value = (found.value, *found.interval)
            value, *ends = (level_text(one, self.unit) for one in ends_and_value)
            name = f"{self.vary}: {value} ({between(*ends)})"
            answer = analysis.Interval(name, found.value, *found.interval)
        what = f"{self.vary} [{self.unit}]" if self.unit else self.vary
        return analysis.search_plot(points, answer, what, ax)

    def __repr__(self) -> str:
        """Return the answer in a line; `sentences` says what has to be known about it."""
        return f"<Capacity of {self.system}: {self.sentences()[0]}>"

    def _repr_html_(self) -> str:
        headline, *sentences = self.sentences()
        return card(f"{self.system}: {headline}", sentences, self.to_frame())


def _point(level: Evaluation, figure: FigureOfLevel, limit: float) -> dict[str, Any]:
    """Return the figure of a level as `search_plot` wants it."""
    value, *ends = figure.shown
    low, high = (end / limit if end is not None and limit else None for end in ends)
    part = value / limit if value is not None and limit else math.nan
    verdict = {True: "kept", False: "violated", None: "undecided"}[figure.kept]
    return {
        "objective": figure.objective,
        "value": level.value,
        "part": part,
        "low": low,
        "high": high,
        "lower_bound": figure.lower_bound,
        "verdict": verdict,
    }


def capacity(
    system: System | str | PathLike[str],
    slo: str | Iterable[str],
    *,
    vary: str = AGENTS,
    agents: int | None = None,
    check: float | str | None = None,
    most: int = MOST_AGENTS,
    seed: int = 1,
    confidence: float = 0.95,
    jobs: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    engine: str = "auto",
    on_done: OnDone | None = None,
) -> Capacity:
    """Return the most agents that keep all objectives, or the value of a parameter that does.

    Parameters
    ----------
    system
        A system, or the name or file of one.
    slo
        An objective, such as ``"p99<1s"``, or several; see `lhsim.planning.objectives`.
    vary
        ``"agents"``, or the dotted path of a number of the system, such as
        ``"store.connections"``. A star at its end makes it a factor: ``"cpu.query*"``.
    agents
        How many agents there are, where another parameter is varied.
    check
        A level that is evaluated in any case; see `Capacity.check`. A number is in the base unit
        of what is varied, a text says its unit.
    most
        Agents up to which is searched.
    seed
        All runs follow from it.
    confidence
        Of the interval, in (0, 1).
    jobs
        Runs at a time; the answer does not depend on them.
    executor
        Any executor of `concurrent.futures`, instead of workers of its own.
    folder
        Each run is kept in its file ``cells.store`` as soon as it is finished, and runs that are
        there are not run again. None: nothing is kept.
    engine
        As in `lhsim.simulate`.
    on_done
        Is called with each finished run and its result.

    Raises
    ------
    InputError
        Before anything runs, when an argument cannot be used.
    LhsimError
        When a run failed.
    KeyboardInterrupt
        After Ctrl-C; what was finished is in the folder.
    """
    question = ask(system, slo, vary, agents, check, most, seed, confidence, engine)
    checks.function(on_done, "on_done")
    with running([question.system], engine, jobs, executor, folder) as runner:
        return answer(question, runner, on_done)


def ask(
    system: System | str | PathLike[str],
    slo: str | Iterable[str],
    vary: str,
    agents: int | None,
    check: float | str | None,
    most: int,
    seed: int,
    confidence: float,
    engine: str,
) -> Question:
    """Return the question that the arguments of `capacity` put, or refuse one of them."""
    system = as_system(system)
    objectives = parse_objectives(slo)
    seed = checks.whole_number(seed, "seed", 0, MAX_SEED)
    choose(engine, system)
    vary = checks.text(vary, "vary")
    if vary == AGENTS:
        if agents is not None:
            problem = "agents are what is varied"
            raise InputError(problem, source="--agents", allowed="only with another --vary")
    else:
        agents = _check_varied(system, vary, agents)
    question = Question(
        system,
        objectives,
        vary,
        agents,
        _level(system, vary, check),
        checks.whole_number(most, "most"),
        seed,
        checks.share(confidence, "confidence"),
        engine=engine,
    )
    _check_level(question)
    return question


def _level(system: System, vary: str, check: float | str | None) -> float | None:
    """Return a level to check as a number, in the base unit of what is varied."""
    if check is None:
        return None
    try:
        if vary != AGENTS:
            return paths.parsed(system, vary, check)
        given = typed_text(check) if isinstance(check, str) else check
        return checks.number(given, "", "a whole number")
    except InputError as error:
        raise InputError(error.problem, source="--check", allowed=error.allowed) from None


def answer(question: Question, runner: Runner, on_done: OnDone | None = None) -> Capacity:
    """Return the answer to a question; raises as `capacity` does while it runs."""
    search = _Search(question, runner, on_done)
    checked = None if question.check is None else search.look(question.check)
    search.scan()
    search.settle()
    return _answer(search, _spread_of_last(search), checked)


def _check_varied(system: System, vary: str, agents: int | None) -> int:
    """Return the number of agents, when there can be so many and what is varied can be."""
    try:
        if paths.value(system, vary) == 0:
            raise InputError("is 0, and no factor changes that", key=vary, allowed="a number > 0")
    except InputError as error:
        raise InputError(
            error.problem, source="--vary", key=error.key, allowed=error.allowed
        ) from None
    if agents is None:
        raise InputError("is missing", source="--agents", allowed=f"a number, with --vary {vary}")
    return check_count(system.workload, checks.whole_number(agents, "agents", 1))


def _check_level(question: Question) -> None:
    """Refuse a level to check, or an end of the search, that the system cannot have."""
    least, check = _least(question), question.check
    if question.vary == AGENTS and question.most < least:
        raise InputError(f"{question.most} is out of range", source="--most", allowed=f">= {least}")
    if check is None:
        return
    if question.is_whole and check != int(check):
        raise InputError(f"{check:g} is no whole number", source="--check", allowed="a whole one")
    try:
        if question.vary == AGENTS:
            check_count(question.system.workload, int(check))
        else:
            number = int(check) if question.is_whole else check
            paths.changed(question.system, question.vary, number)
    except InputError as error:
        raise InputError(error.problem, source="--check", allowed=error.allowed) from None


def _least(question: Question) -> int:
    return 2 if question.vary == AGENTS and question.system.workload.topology != "ring" else 1


@attrs.define(eq=False, slots=False)
class _Search:
    """What is known so far, by level."""

    question: Question
    runner: Runner
    on_done: OnDone | None
    known: dict[float, Evaluation] = attrs.field(factory=dict)

    @property
    def first(self) -> float:
        """The level from which the search goes on."""
        question = self.question
        if question.vary == AGENTS:
            return float(_least(question))
        return float(paths.value(question.system, question.vary) or question.agents or 1)

    def look(self, value: float) -> Evaluation:
        """Return what is known of a level; it is run when that is nothing."""
        value = self._rounded(value)
        if value not in self.known:
            found = evaluate(self.question, value, self.runner, self.on_done)
            self.known[value] = found
        return self.known[value]

    def scan(self) -> None:
        """Look at levels in geometric progression until the side has changed, and one beyond."""
        if self.question.vary == AGENTS:
            unit = self.question.unit
            top = float(unit * (self.question.most // unit))
            steps = math.ceil(math.log(top / self.first, 4))
            self._walk(lambda step: min(self.first * 4**step, top), steps)
        else:
            self._walk(lambda step: self.first * 2.0**step, OCTAVES)
            self._walk(lambda step: self.first / 2.0**step, OCTAVES)

    def _walk(self, level: Callable[[int], float], steps: int) -> None:
        seen: list[Evaluation] = []
        for step in range(steps + 1):
            if not self._possible(level(step)):
                return
            seen.append(self.look(level(step)))
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
        value = self._rounded(value)
        if self.question.vary == AGENTS:
            return value >= _least(self.question)
        number = int(value) if self.question.is_whole else value
        try:
            paths.changed(self.question.system, self.question.vary, number)
        except InputError:
            return False
        return True

    def settle(self) -> None:
        """Narrow every crossing; probe around the last of them, and narrow what that shows."""
        self._narrow_all()
        pairs = self.pairs()
        if not pairs:
            return
        middle = self.estimate(*pairs[-1])[0]
        for factor in PROBES:
            if self._possible(middle * factor) and middle * factor <= max(self.known):
                self.look(middle * factor)
        self._narrow_all()

    def _narrow_all(self) -> None:
        narrowed: set[tuple[float, float]] = set()
        while len(self.known) < MOST_LEVELS:
            todo = [pair for pair in self.pairs() if pair not in narrowed]
            if not todo:
                return
            self._narrow(*todo[0])
            narrowed |= {pair for pair in self.pairs() if self._within(pair, todo[0])}

    @staticmethod
    def _within(pair: tuple[float, float], outer: tuple[float, float]) -> bool:
        return outer[0] <= pair[0] and pair[1] <= outer[1]

    def pairs(self) -> list[tuple[float, float]]:
        """Return neighbours among the decided levels of which one is kept and one is not."""
        decided = [v for v in sorted(self.known) if self.known[v].verdict != "undecided"]
        verdict = {v: self.known[v].verdict for v in decided}
        return [(a, b) for a, b in pairwise(decided) if verdict[a] != verdict[b]]

    def _narrow(self, low: float, high: float) -> None:
        """Bracket the crossing of the means, then find the nearest levels that are decided."""
        inner = self._bisect(low, high)
        for step in range(1, 12):
            distance = TOLERANCE * 2**step
            below, above = inner[0] * (1 - distance), inner[1] * (1 + distance)
            left, right = self._decided_around(*inner)
            if left <= below and right >= above:
                self._try(below if left < below else None, above if right > above else None)
            elif left <= below:
                self._try(below if left < below else None, None)
            elif right >= above:
                self._try(None, above if right > above else None)
            else:
                return

    def _try(self, *levels: float | None) -> None:
        for level in levels:
            if level is not None and self._possible(level):
                self.look(level)

    def _decided_around(self, low: float, high: float) -> tuple[float, float]:
        decided = [v for v, one in self.known.items() if one.verdict != "undecided"]
        left = max((v for v in decided if v <= low), default=low)
        return left, min((v for v in decided if v >= high), default=high)

    def _bisect(self, low: float, high: float) -> tuple[float, float]:
        good = self.known[low].good
        while high - low > max(TOLERANCE * low, self.question.unit * self.question.is_whole):
            middle = self._rounded(math.sqrt(low * high))
            if not low < middle < high:
                break
            if self.look(middle).good == good:
                low = middle
            else:
                high = middle
        return low, high

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

    def _neighbours(self, low: float, high: float) -> tuple[float, float]:
        """Return the first levels in a bracket between which the means change sides."""
        inside = [v for v in sorted(self.known) if low <= v <= high]
        return next((a, b) for a, b in pairwise(inside) if self.known[a].good != self.known[b].good)

    def _rounded(self, value: float) -> float:
        if not self.question.is_whole:
            return value
        unit = self.question.unit
        return float(max(unit, unit * round(value / unit)))


def _share(good: float, bad: float) -> float:
    """Return which part of the way from a kept to a violated level the limit lies."""
    return 0.5 if math.isinf(bad) else good / (good - bad)


def _spread_of_last(search: _Search) -> Spread | None:
    """Return how the last crossing depends on the calibration, where its samples are there."""
    pairs = search.pairs()
    calibration = search.question.system.calibration
    if not pairs or calibration is None or not calibration.samples:
        return None
    value = search.estimate(*pairs[-1])[0]
    kept = "below" if search.known[pairs[-1][0]].verdict == "kept" else "above"
    return spread_of(search.question, value, kept, search.runner, search.on_done)


def _answer(search: _Search, spread: Spread | None, checked: Evaluation | None) -> Capacity:
    question = search.question
    crossings = tuple(_crossing(search, *pair, spread) for pair in search.pairs())
    evaluations = tuple(search.known[value] for value in sorted(search.known))
    last = crossings[-1] if crossings else None
    if last is not None and question.vary == AGENTS and last.kept == "above":
        last = None
    kept = [one.value for one in evaluations if one.verdict == "kept"]
    violated = [one.value for one in evaluations if one.verdict == "violated"]
    nearest = min(evaluations, key=lambda one: abs(one.value - last.value)) if last else None
    return Capacity(
        system=question.system.name,
        vary=question.vary,
        agents=question.agents,
        objectives=tuple(one.text for one in question.objectives),
        confidence=question.confidence,
        value=last.value if last else None,
        interval=last.interval if last else _open(kept, violated, whole=question.is_whole),
        binding_objective=last.binding_objective if last else None,
        crossings=crossings,
        evaluations=evaluations,
        extrapolated=nearest.extrapolated if nearest else evaluations[-1].extrapolated,
        check=checked,
        warnings=question.system.caveats,
        seed=question.seed,
        unit="" if question.vary == AGENTS else paths.symbol(question.system, question.vary),
    )


def _crossing(search: _Search, low: float, high: float, spread: Spread | None) -> Crossing:
    value, binding = search.estimate(low, high)
    whole = search.question.is_whole
    simulation = (low, high)
    parameters = None if spread is None else spread.interval_at(value)
    joint = simulation if parameters is None else combined(value, (low, high), parameters)
    kept = "below" if search.known[low].verdict == "kept" else "above"
    return Crossing(
        int(value) if whole else value,
        _ends(joint, whole=whole),
        _ends(simulation, whole=whole),
        None if parameters is None else _ends(parameters, whole=whole),
        binding,
        kept,
    )


def _open(kept: Sequence[float], violated: Sequence[float], *, whole: bool) -> Range:
    """Return what is known where no range ends: up to where it is kept, or from where it is not."""
    number = int if whole else float
    if kept:
        return number(max(kept)), None
    return None, number(min(violated)) if violated else None


def _ends(ends: Bounds, *, whole: bool) -> Bounds:
    low, high = ends
    return (math.floor(low), math.ceil(high)) if whole else (low, high)


def _plain(one: Evaluation) -> dict[str, Any]:
    plain = _fields(one)
    for figure, shown in zip(one.figures, plain["figures"], strict=True):
        shown["value"], *shown["interval"] = figure.shown
    value = int(one.value) if one.value == int(one.value) else one.value
    return plain | {"value": value, "verdict": one.verdict}


def _fields(one: Capacity | Evaluation) -> dict[str, Any]:
    """Return the fields of an answer that are plain data, with lists for tuples."""
    return attrs.asdict(
        one,
        filter=lambda field, _: field.name not in {"check", "margin"},
        value_serializer=lambda _, __, value: list(value) if isinstance(value, tuple) else value,
    )
