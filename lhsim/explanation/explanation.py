"""Where the latency of a system at a level comes from, and what would shorten it: `explain`.

One run is traced, on the SimPy engine, which defines what a step is; its messages are those of the
compiled engine, to the bit. What a remedy changes is found by pairs of runs on either engine, the
first of which is the one that was traced.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from concurrent.futures import Executor
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from attrs import asdict, evolve, frozen

from lhsim import analysis, checks
from lhsim.analysis.intervals import estimate, known
from lhsim.errors import InputError
from lhsim.execution import Runner, running
from lhsim.execution.cells import times_of
from lhsim.execution.progress import told
from lhsim.explanation.chrome import events_of
from lhsim.explanation.following import follow
from lhsim.explanation.parts import LED
from lhsim.explanation.remedies import Effect, Remedy, effect, remedies
from lhsim.library import as_system
from lhsim.metrics.account import BATCHES
from lhsim.models.workload import check_count
from lhsim.planning.horizons import Horizon, cells, seeds
from lhsim.planning.levels import run_all
from lhsim.report.explanation import explanation_sentences
from lhsim.report.notebook import card
from lhsim.report.text import duration as time
from lhsim.simulation import memory
from lhsim.simulation.engines import choose
from lhsim.streams import MAX_SEED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lhsim.execution import Cell
    from lhsim.models import System
    from lhsim.planning.levels import OnDone

HORIZON = Horizon(messages=5_000, shortest=20.0)  # of each run
RUNS = 5  # of the system, and of each remedy
TAIL = (0.985, 0.995)  # between which quantiles the messages around p99 lie
FEWEST = 20  # messages, to say something of


@frozen
class Part:
    """A part of the latency."""

    name: str
    mean: float  # of all messages [s]
    interval: tuple[float | None, float | None]  # 95 %, from batches of the run [s]
    share: float  # of the mean latency
    tail: float  # mean of the messages around p99 [s]
    tail_share: float  # of their latency


@frozen(repr=False)
class Explanation:
    """The answer of `explain`."""

    system: str
    agents: int
    seed: int
    confidence: float
    count: int  # messages that were followed
    mean: float  # latency of these [s]
    p99: float  # [s]
    tail: float  # mean latency of the messages around p99 [s]
    overloaded: bool  # latencies grow with the run
    beyond: tuple[str, ...]  # why the level lies beyond what the system was calibrated on
    utilization: dict[str, float]  # of each station
    parts: tuple[Part, ...]  # the largest first
    effects: tuple[Effect, ...]  # of the remedies, the best for p99 first
    warnings: tuple[str, ...]  # what the calibration of the system says against it
    messages: pd.DataFrame  # a row for each, with its parts as columns [s]
    timeline: pd.DataFrame  # the stretches of their ways; see `lhsim.explanation.parts.Split`

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain data; times in seconds."""
        plain = asdict(self, filter=lambda one, _: one.name not in ("messages", "timeline"))
        plain["effects"] = [_plain(one) for one in self.effects]
        return plain

    def sentences(self) -> list[str]:
        """Return where the time goes, what helps, and what has to be known about it."""
        return explanation_sentences(self.to_dict())

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per part; times in seconds."""
        rows = [asdict(one) for one in self.parts]
        for row in rows:
            row["low"], row["high"] = row.pop("interval")
        return pd.DataFrame(rows)

    def trace_json(self, most: int = LED) -> str:
        """Return the first messages, up to 1,000, as a trace for Perfetto or Chrome (JSON)."""
        most = checks.whole_number(most, "most", 1, LED)
        events = events_of(self.messages.head(most), self.timeline)
        return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the parts of the mean and of the messages around p99, and return the figure."""
        bars = f"all messages\n{time(self.mean)}", f"around p99\n{time(self.tail)}"
        title = f"Where the latency of {self.system} with {self.agents:,} agents comes from"
        return analysis.parts_plot([asdict(one) for one in self.parts], bars, title, ax)

    def __repr__(self) -> str:
        """Return what was asked in a line; `sentences` says the rest."""
        largest = f": {self.parts[0].share:.0%} {self.parts[0].name}" if self.parts else ""
        return f"<Explanation of {self.system}, {self.agents:,} agents{largest}>"

    def _repr_html_(self) -> str:
        headline, *sentences = self.sentences()
        return card(headline, sentences, self.to_frame())


def _plain(one: Effect) -> dict[str, Any]:
    """Return an effect as plain data: means over the runs, and changes with their intervals [s]."""
    data: dict[str, Any] = {"remedy": one.remedy, "helps": one.helps}
    for name, found in (("mean", one.mean), ("p99", one.p99)):
        data[name] = None if found is None else {
            "before": found.b.value,
            "after": found.a.value,
            "change": found.difference.value,
            "interval": list(map(known, found.difference.interval)),
        }  # fmt: skip
    return data


@frozen
class Asked:
    """What is asked: arguments that were checked."""

    system: System
    agents: int
    seed: int
    confidence: float
    cells: tuple[Cell, ...]  # of the system as it is
    remedies: tuple[Remedy, ...]

    def others(self) -> Iterator[Cell]:
        """Yield the runs of each remedy in turn, with the seeds and times of the system's."""
        for remedy in self.remedies:
            yield from (evolve(one, system=remedy.system) for one in self.cells)


def explain(
    system: System | str | PathLike[str],
    agents: int,
    *,
    duration: float | str | None = None,
    confidence: float = 0.95,
    seed: int = 1,
    jobs: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    engine: str = "auto",
    on_done: OnDone | None = None,
    progress: bool = True,
) -> Explanation:
    """Return where the latency of a system comes from, and what would shorten it.

    Parameters
    ----------
    system
        A system, or the name or file of one.
    agents
        How many agents there are.
    duration
        Simulated time of each run, warm-up and drain included: a number [s] or a text such as
        ``"2 min"``. None: as long as 5,000 messages take, and a window of 20 s at least.
    confidence
        Of the intervals of what remedies change.
    seed, jobs, executor, folder, engine, on_done, progress
        As in `lhsim.capacity`. The engine is that of the remedies' runs; the run whose messages are
        followed is one of SimPy, which is the same.

    Raises
    ------
    InputError
        Before anything runs, when an argument cannot be used.
    LhsimError
        When a run failed.
    KeyboardInterrupt
        After Ctrl-C; what was finished is in the folder.
    """
    asked = ask(system, agents, duration, confidence, seed, engine)
    checks.function(on_done, "on_done")
    shown = checks.truth(progress, "progress")
    with (
        running([asked.system], engine, jobs, executor, folder) as runner,
        told("explain", on_done, shown=shown) as tell,
    ):
        return answer(asked, runner, tell)


def ask(
    system: System | str | PathLike[str],
    agents: int,
    duration: float | str | None,
    confidence: float,
    seed: int,
    engine: str,
) -> Asked:
    """Return what the arguments of `explain` ask, or refuse one of them."""
    system = as_system(system)
    agents = check_count(system.workload, checks.whole_number(agents, "agents", 1))
    seed = checks.whole_number(seed, "seed", 0, MAX_SEED)
    choose(engine, system)
    horizon = HORIZON
    if duration is not None:
        horizon = evolve(HORIZON, duration=checks.duration(duration, "duration"))
    runs = cells(evolve(system, calibration=None), agents, horizon, seeds(seed, RUNS), engine)
    whole = tuple(evolve(one, stop_when_overloaded=False) for one in runs)
    memory.check(system, agents, whole[0].duration, "simpy", keep=True)
    warmup, drain = times_of(whole[0])
    expected = (system.offered_load(agents) or math.inf) * (whole[0].duration - warmup - drain)
    if expected < FEWEST:
        problem = f"about {expected:.0f} messages are created in the window"
        raise InputError(problem, key="duration", allowed=f"as long as {FEWEST} messages take")
    return Asked(system, agents, seed, checks.share(confidence, "confidence"), whole,
                 remedies(system))  # fmt: skip


def answer(asked: Asked, runner: Runner, on_done: OnDone | None = None) -> Explanation:
    """Return the answer to what is asked; raises as `explain` does while it runs."""
    results = run_all([*asked.cells, *asked.others()], runner, on_done)
    base, *others = (results[at : at + RUNS] for at in range(0, len(results), RUNS))
    effects = [
        effect(remedy, base, after, asked.confidence)
        for remedy, after in zip(asked.remedies, others, strict=True)
    ]
    traced, messages, found = follow(asked.cells[0], FEWEST)
    latency = (messages["delivered"] - messages["created"]).to_numpy()
    slow, known_for = _around_p99(latency), asked.system.calibration
    return Explanation(
        system=asked.system.name,
        agents=asked.agents,
        seed=asked.seed,
        confidence=asked.confidence,
        count=len(messages),
        mean=float(latency.mean()),
        p99=float(np.quantile(latency, 0.99)),
        tail=float(latency[slow].mean()),
        overloaded=traced.overloaded,
        beyond=()
        if known_for is None
        else known_for.beyond(asked.agents, asked.system.offered_load(asked.agents)),
        utilization=traced.utilization,
        parts=tuple(_parts(found.parts, latency, slow)),
        effects=tuple(sorted(effects, key=_benefit)),
        warnings=asked.system.caveats,
        messages=messages.assign(latency=latency).join(found.parts),
        timeline=found.timeline,
    )


def _around_p99(latency: np.ndarray) -> np.ndarray:
    """Return which messages are the slowest but for the very slowest: one at least."""
    first, last = (round(share * len(latency)) for share in TAIL)
    order = np.argsort(latency, kind="stable")
    found = np.zeros(len(latency), bool)
    found[order[min(first, len(latency) - 1) : max(last, first + 1)]] = True
    return found


def _parts(parts: pd.DataFrame, latency: np.ndarray, tail: np.ndarray) -> list[Part]:
    """Return each part of the mean and of the messages around p99, the largest first."""
    batches = np.array_split(np.arange(len(latency)), BATCHES)  # in the order of their creation
    found = []
    for name, values in parts.items():
        times = values.to_numpy()
        ends = estimate([float(times[batch].mean()) for batch in batches if len(batch)])
        of_tail = float(times[tail].mean())
        found.append(Part(
            str(name), float(times.mean()), (max(ends.low, 0.0), ends.high),
            float(times.mean() / latency.mean()), of_tail, of_tail / float(latency[tail].mean()),
        ))  # fmt: skip
    return sorted(found, key=lambda one: -one.mean)


def _benefit(one: Effect) -> float:
    return math.inf if one.p99 is None else one.p99.difference.value
