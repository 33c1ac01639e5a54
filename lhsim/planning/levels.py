"""One level of a search: replications until it is known whether it keeps the objectives.

Replications come in looks, of `LOOKS` runs in all. At each look every objective's figure is
averaged over the runs, with Student's interval at a confidence whose error is a part of 1 - c: by
Bonferroni's inequality the c that was asked for holds however early a level is decided. A look at
`SHORT_RUNS` short runs comes before the others; it gets a small part of the error, so that it
decides only what is clear, far from a limit, and costs little. A level is *kept* when all intervals
lie on the good side of their limits, *violated* when one lies on the bad side, and *undecided* when
the runs are used up before that.

Replication r has the same seed at all levels (common random numbers): two levels differ by what
was changed, and a figure that the seeds make high is high at both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import attrs
import numpy as np
from attrs import frozen

from lhsim.analysis import flags
from lhsim.analysis.intervals import estimate, known
from lhsim.errors import LhsimError
from lhsim.execution import Cell, Failure
from lhsim.models import paths
from lhsim.planning.horizons import Horizon, cells, seeds

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.planning.objectives import Objective
    from lhsim.simulation import Result

    OnDone = Callable[[Cell, Result | Failure], None]

HORIZON = Horizon(messages=10_000, shortest=20.0)  # of each run
LOOKS = (4, 8, 16)  # replications in all at each look
SHORT = Horizon(messages=2_500, shortest=5.0)  # of each short run
SHORT_RUNS = 4  # of a level
SATURATED = 0.99  # utilisation of a station that is busy all the time
SHORT_SHARE = 0.1  # of the error, which short runs may use up
AGENTS = "agents"
MOST_AGENTS = 1_000_000


class Runs(Protocol):
    """What runs cells: a `Runner`, or one until a time (`lhsim.planning.budget`)."""

    def run(
        self, cells: Sequence[Cell], *, on_done: OnDone | None = None
    ) -> tuple[dict[int, Result | Failure], bool]:
        """Return the results by index, and whether Ctrl-C ended it."""


@frozen
class Question:
    """What is asked of a system, and how its levels are run."""

    system: System
    objectives: tuple[Objective, ...]
    vary: str = AGENTS  # or the path of a parameter
    agents: int | None = None  # where another parameter is varied
    check: float | None = None  # a level that is evaluated in any case
    most: int = MOST_AGENTS  # up to which is searched
    seed: int = 1
    confidence: float = 0.95
    horizon: Horizon = HORIZON
    looks: tuple[int, ...] = LOOKS
    engine: str = "auto"

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers make sense."""
        return self.vary == AGENTS or paths.is_whole(self.system, self.vary)

    @property
    def unit(self) -> int:
        """What whole numbers are multiples of: agents in pairs come by two."""
        pairs = self.vary == AGENTS and self.system.workload.topology == "pair"
        return 2 if pairs else 1

    def nearest(self, value: float) -> float:
        """Return the level nearest to a value that can be run."""
        if not self.is_whole:
            return value
        least = self.system.workload.fewest if self.vary == AGENTS else self.unit
        return float(max(least, self.unit * round(value / self.unit)))

    def cells(self, value: float, replications: range) -> list[Cell]:
        """Return runs of a level.

        They end as late as it takes for each message that is still on its way to be older than
        the longest limit. Then it is known on which side of the limit its latency is.
        """
        system, agents = self.system, self.agents
        if self.vary == AGENTS:
            agents = int(value)
        else:
            number = int(value) if self.is_whole else value
            system = paths.changed(system, self.vary, number)
        assert agents is not None
        wanted = seeds(self.seed, replications.stop)[replications.start :]
        made = cells(system, agents, self.horizon, wanted, self.engine)
        return [_drained(cell, self.longest_limit) for cell in made]

    @property
    def longest_limit(self) -> float:
        """The longest of the limits on latencies [s]."""
        limits = [one.limit for one in self.objectives if one.of_latency]
        return max(limits, default=0.0)


def _drained(cell: Cell, limit: float) -> Cell:
    if cell.drain is None or cell.drain > limit:
        return cell
    drain = 1.01 * limit
    return attrs.evolve(cell, drain=drain, duration=cell.duration + drain - cell.drain)


@frozen
class Figure:
    """What the runs of a level say about one objective."""

    objective: str
    value: float | None  # mean over the runs, in the base unit; None where there is none
    interval: tuple[float | None, float | None]
    lower_bound: bool  # in at least one run, messages still on their way leave it open
    kept: bool | None  # None: undecided
    margin: float  # of the mean, as a part of the limit; negative where it is not kept
    unit: str = ""  # base unit of the value
    flags: tuple[str, ...] = ()  # why the value cannot be trusted: `lhsim.analysis.flags`

    @property
    def shown(self) -> tuple[float | None, float | None, float | None]:
        """The value and its interval; None where messages pile up and it does not settle."""
        hidden = flags.OVERLOADED in self.flags
        return (None, None, None) if hidden else (self.value, *self.interval)


@frozen
class Evaluation:
    """What the runs of a level said."""

    value: float  # the level
    replications: int
    overloaded: bool  # at least half of the runs
    extrapolated: bool
    figures: tuple[Figure, ...]
    short: bool = False  # whether its runs are short ones
    delivered: float | None = None  # share of the messages that are not lost on the way

    @property
    def verdict(self) -> str:
        """``"kept"``, ``"violated"`` or ``"undecided"``."""
        if any(figure.kept is False for figure in self.figures):
            return "violated"
        return "kept" if all(figure.kept for figure in self.figures) else "undecided"

    @property
    def good(self) -> bool:
        """Whether the means keep all objectives, decided or not."""
        return all(figure.margin > 0 for figure in self.figures)


def sketch(
    question: Question, values: Sequence[float], runner: Runs, on_done: OnDone | None = None
) -> Iterator[Evaluation]:
    """Run levels briefly: each is decided where that is clear; raises as `run_all` does.

    A backlog that grows in a short run may cease to: it decides nothing. A server that is busy all
    the time may be overloaded for all that a short run shows: nothing is kept there. Levels whose
    runs cannot be shorter are evaluated.
    """
    brief = attrs.evolve(question, horizon=SHORT)
    shorter = [value for value in values if _duration(brief, value) < _duration(question, value)]
    error = SHORT_SHARE * (1 - question.confidence)
    ran = _run(brief, dict.fromkeys(shorter, range(SHORT_RUNS)), runner, on_done)
    for value, results in ran.items():
        found = attrs.evolve(judge(question.objectives, value, results, 1 - error), short=True)
        if found.overloaded or _saturated(results):
            figures = tuple(
                attrs.evolve(one, kept=None) if found.overloaded or one.kept else one
                for one in found.figures
            )
            found = attrs.evolve(found, figures=figures)
        yield found
    others = [value for value in values if value not in ran]
    if others:
        yield from evaluate(question, others, runner, on_done)


def _saturated(results: Sequence[Result]) -> bool:
    """Return whether a station is busy all the time in one of the runs."""
    return any(max(one.utilization.values(), default=0.0) >= SATURATED for one in results)


def _duration(question: Question, value: float) -> float:
    return question.cells(value, range(1))[0].duration


def evaluate(
    question: Question, values: Sequence[float], runner: Runs, on_done: OnDone | None = None
) -> Iterator[Evaluation]:
    """Run levels side by side until each is decided or its runs are used up.

    Yields what is known of each level after each of its looks; raises as `run_all` does.
    """
    share = (1 - SHORT_SHARE) * (1 - question.confidence) / len(question.looks)
    results: dict[float, list[Result]] = {value: [] for value in values}
    for look in question.looks:
        wanted = {value: range(len(known), look) for value, known in results.items()}
        for value, new in _run(question, wanted, runner, on_done).items():
            results[value] += new
            judged = judge(question.objectives, value, results[value], 1 - share)
            if judged.verdict != "undecided":
                del results[value]
            yield judged
        if not results:
            return


def _run(
    question: Question,
    wanted: Mapping[float, range],
    runner: Runs,
    on_done: OnDone | None,
) -> dict[float, list[Result]]:
    """Return the results of replications of several levels, which run side by side."""
    cells = {value: question.cells(value, numbers) for value, numbers in wanted.items()}
    ran = iter(run_all([cell for some in cells.values() for cell in some], runner, on_done))
    return {value: list(islice(ran, len(some))) for value, some in cells.items()}


def run_all(cells: Sequence[Cell], runner: Runs, on_done: OnDone | None = None) -> list[Result]:
    """Return the results of all cells, in their order.

    Raises `LhsimError` when a run failed, and `KeyboardInterrupt` after Ctrl-C, with what was
    finished in the runner's store.
    """
    outcomes, interrupted = runner.run(cells, on_done=on_done)
    results: list[Result] = []
    for index, outcome in outcomes.items():
        if isinstance(outcome, Failure):
            raise LhsimError(f"{cells[index].agents:,} agents: a run failed: {outcome}")
        results.append(outcome)
    if interrupted:
        raise KeyboardInterrupt
    return results


def judge(
    objectives: Sequence[Objective], value: float, results: Sequence[Result], confidence: float
) -> Evaluation:
    """Return what runs say about the objectives, at the confidence of one look."""
    overloaded = 2 * sum(result.overloaded for result in results) >= len(results)
    figures = [_figure(one, results, confidence, overloaded=overloaded) for one in objectives]
    extrapolated = any(result.extrapolated for result in results)
    delivered = float(np.mean([not_lost(result) for result in results]))
    return Evaluation(
        value, len(results), overloaded, extrapolated, tuple(figures), delivered=delivered
    )


def _figure(
    objective: Objective, results: Sequence[Result], confidence: float, *, overloaded: bool
) -> Figure:
    """Return a figure with its verdict.

    Where messages pile up without end, a latency, a delivery rate and the memory have no value in
    the long run: the objective is violated. A lower bound beyond the limit violates it, and one
    before it decides nothing and counts on the bad side. Where the runs show the start of the
    agents, which nearly saturates the server, what they violate is not decided either.
    """
    figures = [objective.figure(result) for result in results]
    found = estimate((value for value, _ in figures), confidence).within(*objective.bounds)
    bounded = any(bound for _, bound in figures)
    margin = objective.margin(found.mean)
    kept: bool | None = False
    against = _against(objective, results, bounded=bounded, overloaded=overloaded)
    if not objective.settles(overloaded=overloaded) or math.isnan(found.mean):
        margin = -math.inf
    else:
        kept = _side(objective, found.low, found.high)
        if bounded and objective.upper and kept is not False and margin > 0:
            kept, margin = None, -math.inf
        if kept is False and all(result.shows_start for result in results):
            kept = None
    return Figure(objective.text, known(found.mean), (known(found.low), known(found.high)),
                  bounded, kept, margin, objective.unit,
                  flags.merged(found.flags, against))  # fmt: skip


def not_lost(result: Result) -> float:
    """Return the share of the messages that are delivered or on their way."""
    kept = result.outcomes["delivered"] + result.outcomes["pending"]
    return kept / max(sum(result.outcomes.values()), 1)


def _against(
    objective: Objective, results: Sequence[Result], *, bounded: bool, overloaded: bool
) -> list[str]:
    """Return what speaks against a figure, beside how its interval was made."""
    short = 2 * sum(result.short_warmup for result in results) >= len(results)
    said = {
        flags.LOWER_BOUND: bounded,
        flags.SHORT_WARMUP: short and not overloaded,  # a backlog that grows looks like one
        flags.OVERLOADED: not objective.settles(overloaded=overloaded),
    }
    return [flag for flag, holds in said.items() if holds]


def _side(objective: Objective, low: float, high: float) -> bool | None:
    """Return on which side of the limit an interval lies; None where it does on both."""
    if math.isnan(low):
        return None
    ends = objective.margin(low), objective.margin(high)
    if min(ends) > 0:
        return True
    return False if max(ends) <= 0 else None
