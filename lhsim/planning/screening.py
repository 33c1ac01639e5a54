"""Sensitivity (E11): which parameters move a figure, and the knee.

Two looks at the same ranges. *Morris screening* walks through the space of all parameters, one at a
time, from random starts: mu* is the mean of the absolute elementary effects, sigma their standard
deviation, large where a parameter interacts or bends (Morris, 1991, *Factorial Sampling Plans for
Preliminary Computational Experiments*; Campolongo, Cariboni and Saltelli, 2007). An effect is the
change of the figure over the whole range of the parameter. The *tornado* takes the system as it is
and puts one parameter after the other at the low and at the high end of its range.

All runs have the same seeds: what changes is the parameter. Each distribution is one parameter, a
factor of the whole of it, whose shape stays.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pandas as pd
from attrs import frozen

from lhsim import analysis, checks
from lhsim.analysis.flags import FEW_REPLICATIONS
from lhsim.distributions import Distribution
from lhsim.errors import InputError, LhsimError, unknown_name
from lhsim.execution import Runner, running
from lhsim.execution.progress import told
from lhsim.library import as_system
from lhsim.models import Cpu, System, paths
from lhsim.models.workload import check_count
from lhsim.planning.crossings import Task, crossings
from lhsim.planning.levels import Question, judge, run_all
from lhsim.planning.objectives import METRICS, Objective, parse_objectives
from lhsim.report.notebook import card
from lhsim.report.sensitivity import sensitivity_notes
from lhsim.report.text import metric_text
from lhsim.simulation.engines import choose
from lhsim.streams import MAX_SEED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lhsim.planning.levels import OnDone

KNEE = "knee"
SHARE = 0.25  # of a parameter, either way, where nothing is known of its range
LEVELS = 4  # of each parameter in the screening
RESAMPLES = 200  # of the trajectories, for intervals
REPLICATIONS = 2
_ANY_LIMIT = {"delivery": ">50%", "utilization": "<95%", "cpu": "<95%", "throughput": ">1/s",
              "memory": "<1GB"}  # fmt: skip
_RANGES = "KEY=LOW..HIGH, the lower end first, such as polling.interval=100ms..1s"
MOST_TRAJECTORIES = 10_000
_PARTS = ("network", "cpu", "store", "polling", "push", "requests", "nodes", "memory")


@frozen
class Factor:
    """A parameter and its range."""

    path: str
    low: float
    base: float  # in the system as it is
    high: float
    whole: bool
    source: str  # "samples", "assumed" or "given"
    unit: str = ""  # base unit of the parameter; none for a factor


@frozen
class Effect:
    """What a parameter does to a metric, over its range."""

    path: str
    metric: str
    low: float  # end of the range of the parameter
    high: float
    source: str  # of the range
    mu_star: float  # mean absolute elementary effect, in the unit of the metric
    mu_star_interval: tuple[float, float]
    sigma: float  # standard deviation of the elementary effects
    sigma_interval: tuple[float, float]
    at_low: float  # the metric with this parameter alone at an end of its range
    at_high: float
    unit: str = ""  # base unit of the parameter; none for a factor
    metric_unit: str = ""  # base unit of the metric


@frozen(repr=False)
class Sensitivity:
    """The answer of `sensitivity`."""

    system: str
    agents: int
    trajectories: int
    base: dict[str, float]  # the metrics of the system as it is
    effects: tuple[Effect, ...]  # by metric, the largest mu* first
    warnings: tuple[str, ...] = ()  # what the calibration of the system says against it
    seed: int | None = None  # from which the trajectories and all runs follow
    points: int = 0  # at which each metric was taken
    flags: dict[str, dict[str, int]] = attrs.field(factory=dict)  # by metric: at how many points
    extrapolated: bool = False  # the model is not calibrated for so many agents

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain data; quantities are in base units, which are named."""
        return attrs.asdict(self)

    def sentences(self) -> list[str]:
        """Return what has to be known about the figures."""
        return sensitivity_notes(self.to_dict())

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per metric and parameter, the one that moves it most first."""
        rows = [attrs.asdict(one) for one in self.effects]
        for row in rows:
            for name in ("mu_star", "sigma"):
                row[f"{name}_low"], row[f"{name}_high"] = row.pop(f"{name}_interval")
        return pd.DataFrame(rows)

    def plot(self, ax: Axes | None = None, *, metric: str | None = None) -> Figure:
        """Draw what each parameter alone does to a metric, and return the figure.

        Parameters
        ----------
        ax
            Where to draw; a figure of its own when None.
        metric
            One of `base`; None: all of them side by side, or with `ax` the first.

        Raises
        ------
        InputError
            When there is no such metric.
        """
        if metric is not None:
            checks.choice(metric, "metric", self.base, "metric")
        return analysis.tornado_plot(self.to_dict(), ax, metric)

    def __repr__(self) -> str:
        """Return what was asked in a line; `to_frame` has the effects."""
        count = len({effect.path for effect in self.effects})
        what = ", ".join(self.base)
        return f"<Sensitivity of {self.system}, {self.agents:,} agents: {what}; {count} parameters>"

    def _repr_html_(self) -> str:
        base = [f"{name}: {metric_text(name, value)}" for name, value in self.base.items()]
        sentences = [*base, *self.sentences()]
        return card(f"{self.system}, {self.agents:,} agents", sentences, self.to_frame())


@frozen
class Screening:
    """What is asked: arguments that were checked, and the plan that follows from them."""

    system: System
    agents: int
    metrics: tuple[str, ...]
    factors: tuple[Factor, ...]
    trajectories: int
    seed: int
    engine: str

    def question(self, system: System, metric: str) -> Question:
        """Return what is asked of a system at one of the points."""
        objective = _objective("utilization" if metric == KNEE else metric)
        return Question(
            attrs.evolve(system, calibration=None),
            (objective,),
            seed=self.seed,
            looks=(REPLICATIONS,),
            engine=self.engine,
        )


def sensitivity(
    system: System | str | PathLike[str],
    agents: int,
    *,
    metrics: str | Iterable[str] = ("p99", KNEE),
    ranges: str | Iterable[str] = (),
    trajectories: int = 10,
    seed: int = 1,
    jobs: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    engine: str = "auto",
    on_done: OnDone | None = None,
    progress: bool = True,
) -> Sensitivity:
    """Return which parameters of a system move its metrics.

    Parameters
    ----------
    system
        A system, or the name or file of one.
    agents
        How many agents there are; the knee does not depend on it.
    metrics
        Those of `lhsim.planning.objectives`, and ``"knee"``: the most agents with which no station
        is busy for 95 % of the time.
    ranges
        ``"KEY=LOW..HIGH"``; with a star at the end of the key, of a factor. Parameters that are not
        named range over the samples of the calibration, else over 25 % either way.
    trajectories
        Of the screening: each takes a run more than there are parameters.
    seed
        The trajectories and all runs follow from it.
    jobs, executor
        Runs at a time, or what runs them; the answer does not depend on them.
    folder
        Each run is kept in its file ``cells.store`` as soon as it is finished, and runs that are
        there are not run again. None: nothing is kept.
    engine
        As in `lhsim.simulate`.
    on_done
        Is called with each finished run and its result.
    progress
        Say on stderr how far it is, once that takes more than some seconds; not with `on_done`.

    Raises
    ------
    InputError
        When SALib is missing, or an argument cannot be used.
    LhsimError
        When a run failed.
    KeyboardInterrupt
        After Ctrl-C; what was finished is in the folder.
    """
    asked = ask(system, agents, metrics, ranges, trajectories, seed, engine)
    checks.function(on_done, "on_done")
    shown = checks.truth(progress, "progress")
    with (
        running([asked.system], engine, jobs, executor, folder) as runner,
        told("sensitivity", on_done, shown=shown) as tell,
    ):
        return answer(asked, runner, tell)


def ask(
    system: System | str | PathLike[str],
    agents: int,
    metrics: str | Iterable[str],
    ranges: str | Iterable[str],
    trajectories: int,
    seed: int,
    engine: str,
) -> Screening:
    """Return what the arguments of `sensitivity` ask for, or refuse one of them."""
    _salib()
    system = as_system(system)
    agents = check_count(system.workload, checks.whole_number(agents, "agents", 1))
    seed = checks.whole_number(seed, "seed", 0, MAX_SEED)
    trajectories = checks.whole_number(trajectories, "trajectories", 2, MOST_TRAJECTORIES)
    choose(engine, system)
    names = _metrics(metrics)
    chosen = factors(system, ranges)
    return Screening(system, agents, names, chosen, trajectories, seed, engine)


def _metrics(given: object) -> tuple[str, ...]:
    """Return the metrics that are asked for, each of which has to be one."""
    allowed = f"{', '.join(METRICS)}, {KNEE}"
    names = checks.texts(given, "metrics", allowed)
    if not names:
        raise InputError("is empty", key="metrics", allowed=allowed)
    for name in checks.each_once(names, "metrics", "each metric once"):
        if name != KNEE:
            _objective(name)
    return names


def answer(asked: Screening, runner: Runner, on_done: OnDone | None = None) -> Sensitivity:
    """Return the answer to what is asked; raises as `sensitivity` does while it runs."""
    plan = _plan(asked.factors, asked.trajectories, asked.seed)
    systems = _systems(asked, plan)
    effects, base, marks = [], {}, {}
    for metric in asked.metrics:
        against: Counter[str] = Counter()
        figures = _knees if metric == KNEE else partial(_figures, metric=metric, against=against)
        base[metric], *rest = figures(asked, systems, runner, on_done)
        marks[metric] = dict(against)
        values = np.array(rest)
        effects += _effects(metric, asked.factors, plan, values, asked.trajectories, asked.seed)
    return Sensitivity(
        asked.system.name,
        asked.agents,
        asked.trajectories,
        base,
        tuple(effects),
        asked.system.caveats,
        asked.seed,
        len(systems),
        marks,
        _extrapolated(asked),
    )


def _extrapolated(asked: Screening) -> bool:
    known, load = asked.system.calibration, asked.system.offered_load(asked.agents)
    return known is not None and bool(known.beyond(asked.agents, load))


def factors(system: System, ranges: str | Iterable[str] = ()) -> tuple[Factor, ...]:
    """Return the numeric parameters of a system that are not 0, with their ranges.

    Raises `InputError` for a range that has not the form, is empty or is none of a parameter.
    """
    texts = checks.texts(ranges, "ranges", _RANGES)
    pairs = [_range(system, text) for text in texts]
    checks.each_once([path for path, _ in pairs], "ranges", "one range for a parameter")
    given = dict(pairs)
    columns = system.calibration.samples if system.calibration else {}
    samples = {path: numbers for path, numbers in columns.items()
               if not paths.is_switch(system, path)}  # fmt: skip
    found = {}
    for path in dict.fromkeys([*_numbers(system), *samples, *given]):
        if path in given:
            low, high = given[path]
            source = "given"
        elif path in samples:
            low, high = np.quantile(samples[path], [0.025, 0.975]).tolist()
            source = "samples"
        else:
            middle = paths.value(system, path) or 0.0
            low, high, source = middle * (1 - SHARE), middle * (1 + SHARE), "assumed"
        whole = paths.is_whole(system, path)
        if whole:
            low, high = max(1.0, math.floor(low)), float(math.ceil(high))
        base = paths.value(system, path)
        unit = paths.symbol(system, path)
        found[path] = Factor(path, low, low if base is None else base, high, whole, source, unit)
    for factor in found.values():
        _check_range(system, factor)
    return tuple(found.values())


def _check_range(system: System, factor: Factor) -> None:
    try:
        for end in (factor.low, factor.high):
            paths.changed(system, factor.path, int(end) if factor.whole else end)
    except InputError as error:
        raise InputError(
            error.problem, source="--range", key=factor.path, allowed=error.allowed
        ) from None


def _range(system: System, text: str) -> tuple[str, tuple[float, float]]:
    path, _, ends = text.partition("=")
    low, dots, high = ends.partition("..")
    try:
        paths.value(system, path.strip())
        numbers = tuple(paths.parsed(system, path.strip(), end.strip()) for end in (low, high))
    except InputError as error:
        if not dots:
            raise _no_range(text) from None
        raise InputError(
            error.problem, source="--range", key=path.strip(), allowed=error.allowed
        ) from None
    if not numbers[0] < numbers[1]:
        raise _no_range(text)
    return path.strip(), (numbers[0], numbers[1])


def _no_range(text: str) -> InputError:
    return InputError(f"{text[:60]!r} is no range", source="--range", allowed=_RANGES)


def _numbers(system: System) -> Iterator[str]:
    """Yield the paths of what is there and not 0: numbers, and distributions as factors."""
    for part in _PARTS:
        owner = getattr(system, part)
        for field in attrs.fields(type(owner)) if owner is not None else ():
            value = getattr(owner, field.name)
            path = f"{part}.{field.name}"
            if isinstance(value, Distribution):
                if value.mean > 0:
                    yield f"{path}{paths.FACTOR}"
            elif isinstance(value, bool) or not isinstance(value, int | float):
                continue
            elif value and _may_vary(system.cpu, path):
                yield path


def _may_vary(cpu: Cpu, path: str) -> bool:
    """Return whether a number may change alone: a processor has several loops, or several cores."""
    shared = cpu.cores > 1 or cpu.quantum is not None
    if path == "cpu.workers":
        return not shared
    return path != "cpu.cores" or (shared and cpu.warmth is None)


def _salib() -> tuple[Any, Any]:
    try:
        from SALib.analyze import morris as analysis  # noqa: PLC0415 - optional
        from SALib.sample import morris as sampling  # noqa: PLC0415
    except ImportError:
        allowed = "pip install 'lhsim[sensitivity]'"
        raise InputError("SALib, which the screening needs, is missing", allowed=allowed) from None
    return sampling, analysis


def _plan(chosen: Sequence[Factor], trajectories: int, seed: int) -> np.ndarray:
    """Return the points of the screening, shape (trajectories * (parameters + 1), parameters)."""
    sampling, _ = _salib()
    problem = _problem(chosen)
    return np.asarray(sampling.sample(problem, trajectories, num_levels=LEVELS, seed=seed % 2**32))


def _problem(chosen: Sequence[Factor]) -> dict[str, Any]:
    return {
        "num_vars": len(chosen),
        "names": [factor.path for factor in chosen],
        "bounds": [[0.0, 1.0] for _ in chosen],
    }


def _systems(asked: Screening, plan: np.ndarray) -> list[System]:
    """Return the system, those of the screening, then those at both ends of each parameter."""
    systems = [asked.system]
    for row in plan:
        system = asked.system
        for factor, part in zip(asked.factors, row.tolist(), strict=True):
            system = _with(system, factor, factor.low + part * (factor.high - factor.low))
        systems.append(system)
    for factor in asked.factors:
        systems += [_with(asked.system, factor, end) for end in (factor.low, factor.high)]
    return systems


def _figures(
    asked: Screening,
    systems: Sequence[System],
    runner: Runner,
    on_done: OnDone | None,
    *,
    metric: str,
    against: Counter[str],
) -> list[float]:
    """Return the metric of each system, a mean over the replications.

    What speaks against one of the figures is counted in `against`. All points have few
    replications, which is no mark of one: the effects have intervals of their own.
    """
    questions = [asked.question(system, metric) for system in systems]
    cells = [one.cells(float(asked.agents), range(REPLICATIONS)) for one in questions]
    results = iter(run_all([cell for some in cells for cell in some], runner, on_done))
    found = []
    for question, some in zip(questions, cells, strict=True):
        judged = judge(
            question.objectives, asked.agents, [next(results) for _ in some], question.confidence
        )
        value = judged.figures[0].value
        against.update(set(judged.figures[0].flags) - {FEW_REPLICATIONS})
        if value is None:
            raise LhsimError(f"{metric} has no value: no message was delivered")
        found.append(value)
    return found


def _knees(
    asked: Screening, systems: Sequence[System], runner: Runner, on_done: OnDone | None
) -> list[float]:
    """Return the knee of each system, looked for around that of the first."""
    questions = [asked.question(system, KNEE) for system in systems]
    rough = crossings({"the system": Task(questions[0], float(asked.agents))}, runner, on_done)
    near = rough["the system"].value
    # The first once more: its bracket was as wide as `agents` was far away.
    tasks = {f"point {n} of the screening": Task(q, near) for n, q in enumerate(questions)}
    return [place.value for place in crossings(tasks, runner, on_done).values()]


def _with(system: System, factor: Factor, value: float) -> System:
    return paths.changed(system, factor.path, round(value) if factor.whole else value)


def _objective(metric: str) -> Objective:
    """Return an objective that reads the metric; its limit does not matter."""
    try:
        return parse_objectives([str(metric) + _ANY_LIMIT.get(metric, "<1s")])[0]
    except InputError:
        raise unknown_name("metric", str(metric), [*METRICS, KNEE], source="--metric") from None


def _effects(
    metric: str,
    chosen: Sequence[Factor],
    plan: np.ndarray,
    values: np.ndarray,
    trajectories: int,
    seed: int,
) -> list[Effect]:
    """Return the effects of all parameters, the largest first; intervals are of 95 %."""
    screened, ends = values[: len(plan)], values[len(plan) :].reshape(-1, 2)
    size = len(chosen) + 1
    generator = np.random.Generator(np.random.Philox(seed))
    mu_star, sigma = _analysed(chosen, plan, screened)
    again = []
    for _ in range(RESAMPLES):
        picked = generator.integers(trajectories, size=trajectories)
        rows = (picked[:, None] * size + np.arange(size)).ravel()
        again.append(_analysed(chosen, plan[rows], screened[rows]))
    low, high = np.quantile(np.array(again), [0.025, 0.975], axis=0)
    found = [
        Effect(
            factor.path, metric, factor.low, factor.high, factor.source,
            float(mu_star[i]), (float(low[0, i]), float(high[0, i])),
            float(sigma[i]), (float(low[1, i]), float(high[1, i])),
            float(ends[i, 0]), float(ends[i, 1]),
            factor.unit, "" if metric == KNEE else _objective(metric).unit,
        )
        for i, factor in enumerate(chosen)
    ]  # fmt: skip
    return sorted(found, key=lambda effect: -effect.mu_star)


def _analysed(
    chosen: Sequence[Factor], plan: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mu* and sigma of each parameter."""
    _, analysis = _salib()
    found = analysis.analyze(
        _problem(chosen), plan, values, num_levels=LEVELS, num_resamples=2, seed=1
    )
    return np.asarray(found["mu_star"]), np.asarray(found["sigma"])
