"""``lhsim compare``: what differs between two results beyond chance.

Levels are held against each other where both sides have them. Runs of one seed are pairs, since
their agents send the same messages (`lhsim.analysis.differences`); all others are independent. The
correction for the number of comparisons is over all levels and metrics together. No figure of a
level is compared where a side is overloaded: it would say how long the runs were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from attrs import evolve, field, frozen

from lhsim import analysis, checks
from lhsim.analysis import flags
from lhsim.analysis.differences import Difference, between_estimates, holm, paired, unpaired
from lhsim.analysis.intervals import Estimate, known
from lhsim.analysis.levels import Record, level_estimates
from lhsim.analysis.measures import COLUMNS, MORE_IS_BETTER, base_unit, column
from lhsim.errors import InputError, shortened, shown
from lhsim.experiments.axes import AGENTS
from lhsim.experiments.excel import write_excel
from lhsim.experiments.sides import ALLOWED, Given, Level, Side, is_result, side_of, side_of_sweep
from lhsim.experiments.sweep import OnDone, sweep
from lhsim.library import as_system
from lhsim.models import System
from lhsim.planning.objectives import SHARE
from lhsim.report.differences import comparison_paragraph, comparison_text
from lhsim.report.notebook import card
from lhsim.report.text import CAPACITY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REPLICATIONS = 5  # of the runs of two systems
FEWEST = 2  # runs that show chance at all
OVERLOADED = "overloaded"  # the metric of a level without figures
_BUSY = ("utilization", "cpu")  # of which one says what the other does
_ASKED = ("vary", "agents", "objectives", "confidence", "unit")  # what two capacities have alike


@frozen
class Contrast:
    """A metric of a level on both sides."""

    levels: tuple[Level, Level]
    metric: str
    difference: Difference  # of b from a, in the base unit of the metric
    paired: bool = False
    runs: tuple[int, int] = (1, 1)
    flags: tuple[str, ...] = ()
    p_adjusted: float = math.nan  # for the number of comparisons
    # Likewise, that b is worse by more than the tolerance; None without one.
    p_worse: float | None = None


@frozen
class Overload:
    """A level at which a side is overloaded."""

    levels: tuple[Level, Level]
    sides: tuple[bool, bool]


@frozen(eq=False, repr=False)
class Differences:
    """What differs between two results; see `compare`."""

    a: str
    b: str
    contrasts: tuple[Contrast, ...] = field(repr=False)
    overloads: tuple[Overload, ...]
    unmatched: tuple[int, int]  # levels that only one side has
    single: int  # levels that both have, one of them with a single run
    confidence: float
    tolerance: float | None
    units: Mapping[str, str] = field(factory=dict)  # of the axes of a level

    @property
    def differ(self) -> bool:
        """Whether anything differs beyond chance."""
        return any(row["differs"] for row in self._rows)

    @property
    def worse(self) -> bool:
        """Whether anything is worse in b, by more than the tolerance where there is one."""
        return any(row["worse"] for row in self._rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return a flat record per level and metric; figures are in base units."""
        return [*self._rows]

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per level and metric; figures are in base units."""
        return pd.DataFrame(self._rows)

    def to_excel(self, path: str | PathLike[str]) -> None:
        """Write the records as a sheet of a workbook; see `Sweep.to_excel`."""
        write_excel(path, {"differences": self.to_frame()})

    def paragraph(self) -> str:
        """Return what differs in a few sentences."""
        return comparison_paragraph(self.details())

    def details(self) -> dict[str, Any]:
        """Return all of it as plain data, for the text."""
        return {
            "a": self.a,
            "b": self.b,
            "rows": self._rows,
            "unmatched": self.unmatched,
            "single": self.single,
            "confidence": self.confidence,
            "tolerance": self.tolerance,
            "units": dict(self.units),
        }

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw by how much each figure changes, with its interval, and return the figure."""
        rows = [
            analysis.Interval(
                f"{row['system_a']}, {row['agents']:,}: {row['metric']}",
                row["difference"] / row["a"],
                row["difference_low"] / row["a"],
                row["difference_high"] / row["a"],
                "differs" if row["differs"] else "cannot tell",
            )
            for row in self._rows
            if row["a"] and row["difference_low"] is not None
        ]
        return analysis.difference_plot(rows, f"{self.b} less {self.a}", ax)

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        alpha = 1 - self.confidence
        rows = [_row(one, alpha) for one in self.contrasts]
        return [*rows, *map(_overload_row, self.overloads)]

    def text(self) -> str:
        """Return what ``lhsim compare`` prints: the paragraph, then the figures that differ."""
        return comparison_text(self.details())

    def __repr__(self) -> str:
        """Return how many figures differ in a line; `paragraph` says which."""
        count = sum(row["differs"] for row in self._rows)
        return f"<Differences: {count} of {len(self._rows)} figures differ>"

    def _repr_html_(self) -> str:
        return card(self.paragraph(), (), self.to_frame())


def _row(one: Contrast, alpha: float) -> dict[str, Any]:
    found = one.difference
    worse = one.difference.value * (-1 if one.metric in MORE_IS_BETTER else 1) > 0
    differs = one.p_adjusted < alpha
    return {
        **_where(one.levels),
        "metric": one.metric,
        "unit": "agents" if one.metric == CAPACITY else base_unit(one.metric)[1],
        "a": known(found.a),
        "b": known(found.b),
        "difference": known(found.value),
        "difference_low": known(found.low),
        "difference_high": known(found.high),
        "p_value": known(found.p_value),
        "p_adjusted": one.p_adjusted,
        "differs": differs,
        "worse": differs and worse if one.p_worse is None else one.p_worse < alpha,
        "paired": one.paired,
        "runs_a": one.runs[0],
        "runs_b": one.runs[1],
        "doubts": ", ".join(one.flags),
    }


def _overload_row(one: Overload) -> dict[str, Any]:
    a, b = one.sides
    unknown = ("difference", "difference_low", "difference_high", "p_value", "p_adjusted")
    return {
        **_where(one.levels),
        "metric": OVERLOADED,
        "unit": "",
        "a": a,
        "b": b,
        **dict.fromkeys(unknown),
        "differs": a != b,
        "worse": b and not a,
    }


def _where(levels: tuple[Level, Level]) -> dict[str, Any]:
    a, b = levels
    names = {"system_a": a.system, "system_b": b.system}
    return {**names, "agents": a.agents, "servers": a.servers, **dict(a.point)}


def compare(
    a: Given,
    b: Given,
    *,
    agents: int | Iterable[int] | None = None,
    metrics: str | Iterable[str] = (),
    tolerance: float | str | None = None,
    confidence: float = 0.95,
    replications: int | None = None,
    seed: int | None = None,
    duration: float | str | None = None,
    jobs: int = 1,
    folder: str | Path | None = None,
    engine: str = "auto",
    on_done: OnDone | None = None,
    progress: bool = True,
) -> Differences:
    """Return what differs between two results beyond chance.

    >>> lhsim.compare("results/before", "results/after").paragraph()  # doctest: +SKIP

    Parameters
    ----------
    a, b
        Folders of results, or of recordings of ``lhsim measure``; what `load` or `sweep` returns;
        or two systems, or names or model files of some, which are then run.
    agents
        The numbers of agents to compare. None: all that both results have; systems need some.
    metrics
        Such as ``"p99"``; see `lhsim.analysis.measures`. None at all: those that both have.
    tolerance
        How much worse b may be: a part of the figure of a, or a text such as ``"5%"``. None: not
        at all.
    confidence
        Of the intervals. The chance to find any difference where there is none is the rest of it.
    replications, seed, duration
        Of the runs of two systems, as in `sweep`; 5 runs from seed 1 where they are None.
    jobs, folder, engine, on_done, progress
        Likewise.

    Raises
    ------
    InputError
        When an argument cannot be used, or the two have nothing that can be compared.
    """
    confidence = checks.share(confidence, "confidence")
    most = None if tolerance is None else _tolerance(tolerance)
    given = checks.texts(metrics, "metrics", ", ".join(COLUMNS))
    chosen = tuple(dict.fromkeys(given))
    for name in chosen:
        column(name, key="metrics")
    counts = None if agents is None else checks.levels(agents, "agents")
    run = {"replications": replications, "seed": seed, "duration": duration}
    if is_result(a) and is_result(b):
        _refuse_runs(run)
        sides = side_of(a), side_of(b)
    elif is_result(a) or is_result(b):
        other = b if is_result(a) else a
        as_system(other)  # or it is nothing at all
        raise InputError("a result and a system are no pair", allowed=f"two of one kind: {ALLOWED}")
    else:
        how: dict[str, Any] = {"jobs": jobs, "folder": folder, "engine": engine, "on_done": on_done}
        how |= {"progress": progress, "replications": REPLICATIONS}
        how |= {name: value for name, value in run.items() if value is not None}
        sides = _ran(as_system(a), as_system(b), counts, how)
    return differences(*sides, counts, chosen, most, confidence)


def _ran(
    a: System, b: System, agents: Sequence[int] | None, how: Mapping[str, Any]
) -> tuple[Side, Side]:
    """Return the runs of two systems, under the same seeds."""
    if agents is None:
        allowed = "numbers of agents, at which both systems run"
        raise InputError("is missing", key="agents", allowed=allowed)
    first, second = (side_of_sweep(sweep(one, agents, **how), one.name) for one in (a, b))
    return first, second


def _refuse_runs(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if value is not None:
            allowed = "with two systems, which are run: results have their runs"
            raise InputError("is of no use here", key=name, allowed=allowed)


def _tolerance(given: float | str) -> float:
    allowed = "a part >= 0, or a text such as '5%'"
    try:
        value = SHARE.parse(given) if isinstance(given, str) else given
    except InputError:
        raise InputError(f"{shown(given)} is none", key="tolerance", allowed=allowed) from None
    return checks.number(value, "tolerance", allowed, lambda one: one >= 0)


def differences(
    a: Side,
    b: Side,
    agents: Sequence[int] | None,
    metrics: Sequence[str],
    tolerance: float | None,
    confidence: float,
) -> Differences:
    """Return what differs between two sides; raises as `compare` does."""
    if a.meaning is not None and b.meaning is not None and a.meaning != b.meaning:
        problem = f"figures of versions {a.meaning} and {b.meaning} of the metrics are no pair"
        raise InputError(problem, allowed="results of one version: run the older one again")
    pairs = [] if CAPACITY in _kinds(a, b) else _matched(a, b, agents)
    loads = [(levels, a.levels[levels[0]], b.levels[levels[1]]) for levels in pairs]
    over = [
        Overload(levels, (_is_overloaded(one), _is_overloaded(other)))
        for levels, one, other in loads
        if _is_overloaded(one) or _is_overloaded(other)
    ]
    known_of = {one.levels for one in over}
    tested = [
        test
        for levels, one, other in loads
        if levels not in known_of
        for test in _tests(levels, one, other, metrics, tolerance, confidence)
    ]
    tested += _capacities(a, b, tolerance) if a.capacity and b.capacity else []
    if not tested and not over:
        raise InputError("no figure has two runs on both sides", allowed="two runs a level or more")
    return Differences(
        a.name,
        b.name,
        tuple(_adjusted(tested)),
        tuple(over),
        (len(a.levels) - len(pairs), len(b.levels) - len(pairs)) if agents is None else (0, 0),
        len(pairs) - len(over) - len({one.levels for one, _ in tested} & {*pairs}),
        confidence,
        tolerance,
        a.units,
    )


def _kinds(a: Side, b: Side) -> set[str]:
    """Return what two sides are, or refuse those that are of two kinds."""
    kinds = {CAPACITY if side.capacity else "runs" for side in (a, b)}
    if len(kinds) > 1:
        raise InputError("a capacity and runs are no pair", allowed="two results of one kind")
    return kinds


def _matched(a: Side, b: Side, agents: Sequence[int] | None) -> list[tuple[Level, Level]]:
    """Return the levels that both sides have; the only system of each may have any name."""
    of_b = {level: level for level in b.levels}
    if a.only_system is not None and b.only_system is not None:
        of_b = b.called(a.only_system)
    pairs = [
        (level, of_b[level])
        for level in a.levels
        if level in of_b and (agents is None or level.agents in agents)
    ]
    if not pairs:
        problem = f"no level in common: {_levels_text(a)} in A, {_levels_text(b)} in B"
        if agents is not None:
            problem = f"no level of {', '.join(map(str, agents))} agents in common"
        allowed = "results with the same systems and numbers of agents"
        raise InputError(problem, key=None if agents is None else "agents", allowed=allowed)
    for one, other in pairs:
        if a.workloads.get(one) != b.workloads.get(other) and a.workloads and b.workloads:
            problem = f"the workloads of {one.agents:,} agents differ"
            raise InputError(problem, allowed="recordings of one workload")
    return pairs


def _levels_text(side: Side) -> str:
    by_system: dict[str, list[int]] = {}
    for level in side.levels:
        by_system.setdefault(level.system, []).append(level.agents)
    return "; ".join(
        f"{name} with {', '.join(map(str, dict.fromkeys(counts)))} agents"
        for name, counts in by_system.items()
    )


def _is_overloaded(runs: Sequence[Record]) -> bool:
    return 2 * sum(bool(run.get("overloaded")) for run in runs) >= len(runs)


_Test = tuple[Contrast, Difference | None]  # not yet adjusted, and against the tolerance


def _tests(
    levels: tuple[Level, Level],
    a: Sequence[Record],
    b: Sequence[Record],
    metrics: Sequence[str],
    tolerance: float | None,
    confidence: float,
) -> Iterator[_Test]:
    """Yield the comparison of each metric of a level that two runs on either side know."""
    pairs = _pairs(a, b)
    test = unpaired if pairs is None else paired
    for metric in metrics or _known_of_both(a, b):
        first, second = _values(a, b, metric, pairs)
        if min(len(first), len(second)) < FEWEST:
            continue
        beyond = None
        if tolerance is not None:
            factor = _factor(metric, tolerance)
            beyond = test([factor * one for one in first], second, confidence)
        name = COLUMNS[metric]
        marks = [level_estimates(runs, {}, [name])[name].flags for runs in (a, b)]
        found = Contrast(
            levels,
            metric,
            test(first, second, confidence),
            paired=pairs is not None,
            runs=(len(first), len(second)),
            flags=flags.merged(*marks),
        )
        yield found, beyond


def _values(
    a: Sequence[Record], b: Sequence[Record], metric: str, pairs: list[tuple[int, int]] | None
) -> tuple[list[float], list[float]]:
    """Return the known figures of either side, of pairs those of which both are known."""
    first, second = ([_figure(run, metric) for run in runs] for runs in (a, b))
    if pairs is not None:
        both = [(first[i], second[j]) for i, j in pairs]
        both = [one for one in both if not any(map(math.isnan, one))]
        return [one for one, _ in both], [other for _, other in both]
    known_of = ([one for one in side if not math.isnan(one)] for side in (first, second))
    return next(known_of), next(known_of)


def _pairs(a: Sequence[Record], b: Sequence[Record]) -> list[tuple[int, int]] | None:
    """Return the indices of the runs of either side that share a seed; None: not all of a side."""
    first, second = ({run["seed"]: i for i, run in enumerate(runs)} for runs in (a, b))
    common = [seed for seed in first if seed in second]
    if len(common) < max(FEWEST, min(len(a), len(b))):
        return None
    return [(first[seed], second[seed]) for seed in common]


def _known_of_both(a: Sequence[Record], b: Sequence[Record]) -> list[str]:
    """Return the metrics that both sides know, the processor only where no station is."""
    known_of = [
        name for name, key in COLUMNS.items() if all(key in runs[0] for runs in (a, b))
    ]  # fmt: skip
    first = next((name for name in _BUSY if name in known_of), None)
    return [name for name in known_of if name == first or name not in _BUSY]


def _figure(run: Record, metric: str) -> float:
    """Return the figure of a run in its base unit; NaN where it is not known."""
    value = run.get(COLUMNS[metric])
    if value is None:
        return math.nan
    if metric == "queries":
        end, *others = (run.get(key, math.nan) for key in ("horizon_s", "warmup_s", "drain_s"))
        window = end - sum(others)
        return float(value) / window if window > 0 else math.nan
    return float(value) * base_unit(metric)[0]


def _factor(metric: str, tolerance: float) -> float:
    """Return with what a figure of a is multiplied to be as bad as b may be."""
    return 1 - tolerance if metric in MORE_IS_BETTER else 1 + tolerance


def _capacities(a: Side, b: Side, tolerance: float | None) -> list[_Test]:
    assert a.capacity is not None
    assert b.capacity is not None
    for key in _ASKED:
        if a.capacity.get(key) != b.capacity.get(key):
            problem = f"the two searches differ in {key}"
            raise InputError(problem, allowed="answers to the same question")
    if a.capacity.get("vary") != AGENTS:
        allowed = "capacities in agents"
        raise InputError("a search for another parameter has no better side", allowed=allowed)
    one, other = (_estimate(side.capacity or {}) for side in (a, b))
    level = checks.share(a.capacity.get("confidence"), "confidence")  # of both intervals
    found = between_estimates(one, other, level)
    beyond = None
    if tolerance is not None:
        beyond = between_estimates(one.scaled(_factor(CAPACITY, tolerance)), other, level)
    names = [shortened(str(side.get("system"))) for side in (a.capacity, b.capacity)]
    return [(Contrast((Level(names[0], 0), Level(names[1], 0)), CAPACITY, found), beyond)]


def _estimate(found: Mapping[str, Any]) -> Estimate:
    low, high = found["interval"]
    return Estimate(float(found["value"]), float(low), float(high), 1)


def _adjusted(tested: Sequence[_Test]) -> Iterator[Contrast]:
    """Yield the comparisons with p-values that are corrected for their number."""
    adjusted = holm([one.difference.p_value for one, _ in tested])
    beyond = [
        other.p_beyond(-1 if one.metric in MORE_IS_BETTER else 1)
        for one, other in tested
        if other is not None
    ]
    worse: Sequence[float | None] = holm(beyond) if beyond else [None] * len(tested)
    for (one, _), p_value, p_worse in zip(tested, adjusted, worse, strict=True):
        yield evolve(one, p_adjusted=p_value, p_worse=p_worse)
