"""Capacity (E10): the most agents that keep all objectives, or the size that holds so many.

`lhsim.planning.bracketing` says which levels are looked at, `lhsim.planning.levels` how one is
decided. Between any two steps what is known is an answer (`answers`): its interval reaches from the
nearest level that is known to keep the objectives to the nearest that is known not to, and narrows
as the search goes on.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pandas as pd
from attrs import frozen

from lhsim import analysis, checks
from lhsim.errors import InputError
from lhsim.execution import running
from lhsim.execution.progress import told
from lhsim.library import as_system
from lhsim.models import System, paths
from lhsim.models.workload import check_count
from lhsim.planning.bracketing import Bounds, Bracketing, least
from lhsim.planning.budget import BudgetedRunner, BudgetSpentError
from lhsim.planning.levels import (
    AGENTS,
    MOST_AGENTS,
    Evaluation,
    Question,
    Runs,
    evaluate,
    sketch,
)
from lhsim.planning.objectives import parse_objectives
from lhsim.planning.uncertainty import (
    NO_SAMPLES,
    NOT_YET,
    Spread,
    closed_form_spread,
    combined,
    spread_of,
)
from lhsim.report.capacity import capacity_sentences, level_text
from lhsim.report.notebook import card
from lhsim.report.text import between
from lhsim.simulation.engines import choose
from lhsim.streams import MAX_SEED
from lhsim.units import typed_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lhsim.execution import Runner
    from lhsim.planning.levels import Figure as FigureOfLevel
    from lhsim.planning.levels import OnDone

PRECISION, BUDGET, INTERRUPTED = "precision", "budget", "interrupted"  # why a search stops

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
    parameters_by: str = NO_SAMPLES  # "runs", "closed form", "not yet" or "no samples"


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
    stop_reason: str | None = PRECISION  # or "budget", "interrupted"; None: it still goes on

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
    budget: float | str | None = None,
    progress: bool = True,
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
    budget
        Time that the search may take: a number [s], or a text such as ``"2 s"``. It starts no runs
        that would not be done by then, so that the answer depends on the speed of the machine; its
        interval is the wider, and `Capacity.stop_reason` says so. None: until it has its precision.
    progress
        Say on stderr how far it is, once that takes more than some seconds; not with `on_done`.

    Returns
    -------
    Capacity
        After Ctrl-C what is known until then.

    Raises
    ------
    InputError
        Before anything runs, when an argument cannot be used.
    LhsimError
        When a run failed.
    KeyboardInterrupt
        After Ctrl-C, when nothing is known yet; what was finished is in the folder.
    """
    shown = checks.truth(progress, "progress")
    with told("capacity", on_done, shown=shown) as tell:
        (found,) = deque(
            capacities(
                system, slo, vary=vary, agents=agents, check=check, most=most, seed=seed,
                confidence=confidence, jobs=jobs, executor=executor, folder=folder, engine=engine,
                on_done=tell, budget=budget,
            ),
            maxlen=1,
        )  # fmt: skip
    return found


def capacities(
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
    budget: float | str | None = None,
) -> Iterator[Capacity]:
    """Return an iterator over ever better answers to what `capacity` asks; the last is its answer.

    It searches on while it is asked for more: who breaks out of the loop keeps what is known.

    >>> for found in lhsim.capacities("polling", "p99<1500ms"):  # doctest: +SKIP
    ...     print(found.interval)

    Takes and raises what `capacity` does.
    """
    started = time.monotonic()
    question = ask(system, slo, vary, agents, check, most, seed, confidence, engine)
    checks.function(on_done, "on_done")
    until = None if budget is None else started + checks.duration(budget, "budget")
    return _capacities(question, jobs, executor, folder, on_done, until)


def _capacities(
    question: Question,
    jobs: int,
    executor: Executor | None,
    folder: str | Path | None,
    on_done: OnDone | None,
    until: float | None,
) -> Iterator[Capacity]:
    with running([question.system], question.engine, jobs, executor, folder) as runner:
        yield from answers(question, runner, on_done, until)


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


def answers(
    question: Question,
    runner: Runner,
    on_done: OnDone | None = None,
    until: float | None = None,
) -> Iterator[Capacity]:
    """Yield ever better answers to a question; raises as `capacity` does while it runs.

    The last one is there when the search has its precision, on Ctrl-C, or where the next runs would
    end after `until`, on the monotonic clock [s].
    """
    search = Bracketing(question)
    runs: Runs = runner if until is None else BudgetedRunner(runner, until)
    spread = closed_form_spread(question)
    reason = PRECISION
    try:
        for asked in search.steps():
            how = evaluate if asked.full else sketch
            for level in how(question, asked.values, runs, on_done):
                search.learn(level)
            yield _answer(search, spread, None)
        spread = _spread_of_last(search, runs, on_done)
    except BudgetSpentError:
        reason = BUDGET
    except KeyboardInterrupt:
        if not search.known:
            raise
        reason = INTERRUPTED
    yield _answer(search, spread, reason)


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
    fewest, check = least(question), question.check
    if question.vary == AGENTS and question.most < fewest:
        allowed = f">= {fewest}"
        raise InputError(f"{question.most} is out of range", source="--most", allowed=allowed)
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


def _spread_of_last(search: Bracketing, runs: Runs, on_done: OnDone | None) -> Spread | None:
    """Return how the last crossing depends on the calibration, where its samples are there."""
    pairs = search.pairs()
    calibration = search.question.system.calibration
    if not pairs or calibration is None or not calibration.samples:
        return None
    value = search.estimate(*pairs[-1])[0]
    kept = "below" if search.known[pairs[-1][0]].verdict == "kept" else "above"
    return spread_of(search.question, value, kept, runs, on_done)


def _answer(search: Bracketing, spread: Spread | None, reason: str | None) -> Capacity:
    question = search.question
    evaluations = tuple(search.known[value] for value in sorted(search.known))
    crossings = tuple(_crossing(search, *pair, spread) for pair in search.pairs())
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
        check=search.checked,
        warnings=question.system.caveats,
        seed=question.seed,
        unit="" if question.vary == AGENTS else paths.symbol(question.system, question.vary),
        stop_reason=reason,
    )


def _crossing(search: Bracketing, low: float, high: float, spread: Spread | None) -> Crossing:
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
        _source_of(search.question.system, spread),
    )


def _source_of(system: System, spread: Spread | None) -> str:
    """Return what the parameters' part of an interval comes from."""
    if spread is not None:
        return spread.by
    has_samples = system.calibration is not None and bool(system.calibration.samples)
    return NOT_YET if has_samples else NO_SAMPLES


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
