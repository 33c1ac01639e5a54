"""How many nodes a load over time takes (W2), and what an autoscaler would have run (W4).

Each piece of the load is taken as a load of its own that goes on for ever: it is long against the
time in which the queues of a server settle, so that what a piece shows is what the load would show
in the long run. The fewest nodes of a window are those whose capacity its busiest piece does not
exceed (`lhsim.planning.fleet_sizes`).

Growth is one of the agents, whose load over the day stays what it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from datetime import date
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pandas as pd
from attrs import frozen
from numpy.typing import NDArray

from lhsim import analysis, checks
from lhsim.errors import InputError
from lhsim.execution import running
from lhsim.execution.progress import told
from lhsim.library import as_system
from lhsim.models import Piecewise, System
from lhsim.models.workload import check_count
from lhsim.planning.autoscaling import Autoscaler, FleetSize, autoscale
from lhsim.planning.fleet_sizes import Asked, load_of, narrowed, sizes_of
from lhsim.planning.growth import MOST_MONTHS, Forecast, forecast, parse_day
from lhsim.planning.levels import AGENTS, Question
from lhsim.planning.objectives import parse_objectives
from lhsim.planning.uncertainty import closed_form_spread
from lhsim.report.fleet import fleet_sentences
from lhsim.report.notebook import card
from lhsim.report.text import duration
from lhsim.simulation.engines import choose
from lhsim.streams import MAX_SEED
from lhsim.units import format_duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lhsim.execution import Runner
    from lhsim.planning.levels import OnDone
    from lhsim.planning.search import Capacity

HOUR = 3600.0  # [s]
DAY = 24 * HOUR  # [s]
MONTHS = 12  # of the horizon
RATE = "workload.traffic.rate"
MOST_NODES = 100  # that are tried
MOST_WINDOWS = 1000
PERIODS = 4  # of an autoscaler in a window at least
MOST_PERIODS = 2_500_000  # of an autoscaler in the load: a year of 15 s each
ROUNDING = 1e-9  # part of a window
SETTLED = 10.0  # relaxation times that a piece lasts at least
BUSIEST = 0.99  # utilization beyond which nobody waits until queues settle


@frozen
class Window:
    """A part of the day."""

    start: float  # from the beginning of the load [s]
    end: float  # [s]
    load: float  # messages in the mean [1/s]
    peak: float  # of its busiest piece [1/s]
    nodes: int | None  # fewest that keep the objectives; None: no number that was tried does
    interval: tuple[int | None, int | None]  # fewest that may keep them, and that surely do
    autoscaled: tuple[int, int] | None = None  # fewest and most that an autoscaler ran
    node_seconds: float | None = None  # that it ran
    short: float | None = None  # time with too little capacity [s]
    late: float | None = None  # share of the messages that were sent in that time
    wait: float | None = None  # longest wait for the missing capacity [s]


@frozen
class Plan:
    """The nodes of a day, from one number of agents."""

    day: date
    agents: int
    sizes: tuple[FleetSize, ...]  # of 1, 2, 3, ... nodes
    windows: tuple[Window, ...]

    @property
    def span(self) -> float:
        """Length of the load [s]."""
        return self.windows[-1].end

    @property
    def nodes(self) -> int | None:
        """Fewest nodes that keep the objectives all day."""
        return _most(window.nodes for window in self.windows)

    @property
    def interval(self) -> tuple[int | None, int | None]:
        """Fewest nodes that may keep the objectives all day, and that surely do."""
        low, high = zip(*(window.interval for window in self.windows), strict=True)
        return _most(low), _most(high)

    @property
    def node_hours(self) -> float | None:
        """Node-hours of 24 hours with the fewest nodes in each window; None where none suffice."""
        return self._hours(window.nodes for window in self.windows)

    @property
    def node_hours_interval(self) -> tuple[float | None, float | None]:
        """The same with those that may keep the objectives, and with those that surely do."""
        low, high = zip(*(window.interval for window in self.windows), strict=True)
        return self._hours(low), self._hours(high)

    @property
    def autoscaled_node_hours(self) -> float | None:
        """Node-hours of 24 hours that an autoscaler would have run."""
        ran = [window.node_seconds for window in self.windows if window.node_seconds is not None]
        return sum(ran) / self.span * DAY / HOUR if ran else None

    @property
    def short(self) -> float | None:
        """Time of 24 hours in which an autoscaler's nodes had too little capacity [s]."""
        times = [window.short for window in self.windows if window.short is not None]
        return sum(times) / self.span * DAY if times else None

    @property
    def late(self) -> float | None:
        """Share of the messages that were sent in that time."""
        rows = [
            (window.late, window.load * (window.end - window.start))
            for window in self.windows
            if window.late is not None
        ]
        sent = sum(messages for _, messages in rows)
        return sum(late * messages for late, messages in rows) / sent if sent else None

    def _hours(self, nodes: Iterable[int | None]) -> float | None:
        each = list(nodes)
        if None in each:
            return None
        hours = zip(each, self.windows, strict=True)
        total = sum(some * (window.end - window.start) for some, window in hours if some)
        return total / self.span * DAY / HOUR


def _most(numbers: Iterable[int | None]) -> int | None:
    known = list(numbers)
    return None if None in known else max(number for number in known if number is not None)


@frozen
class Milestone:
    """Until when a number of nodes carries the busiest piece of the day."""

    nodes: int
    agents: int | None  # that they hold at its rate; None: more than were tried
    interval: tuple[float | None, float | None]
    day: date | None  # first with more agents; None: not up to the horizon
    days: tuple[date | None, date | None]  # the same for the ends of the interval


@frozen(repr=False)
class Fleet:
    """The answer of `fleet`."""

    system: str
    objectives: tuple[str, ...]
    confidence: float
    seed: int
    growth: str | None
    autoscaler: Autoscaler | None
    plans: tuple[Plan, ...]  # of the first day, and of the last where the agents grow
    milestones: tuple[Milestone, ...]  # from the nodes of the first day to those of the last
    extrapolated: bool
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain data; quantities are in base units, days as ISO 8601."""
        plain = attrs.asdict(
            self,
            filter=lambda one, _: one.name != "plans",
            value_serializer=_plain,
        )
        return plain | {"plans": [_plan_data(one) for one in self.plans]}

    def sentences(self) -> list[str]:
        """Return the answer in words."""
        return fleet_sentences(self.to_dict())

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per day and window; quantities are in base units."""
        return pd.DataFrame(fleet_rows(self.to_dict()))

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the nodes over the day, and return the figure."""
        series = [
            one for number, plan in enumerate(self.plans) for one in _series(plan, number, self)
        ]
        chart = analysis.Chart(
            "hours from the beginning of the load",
            "nodes",
            ticks=_ticks(self.plans[0].windows[-1].end / HOUR),
            title=f"Fewest nodes that keep {' and '.join(self.objectives)}",
        )
        return analysis.lines_plot(series, chart, ax)

    def __repr__(self) -> str:
        """Return the answer in a line; `sentences` says what has to be known about it."""
        return f"<Fleet of {self.system}: {self.sentences()[0]}>"

    def _repr_html_(self) -> str:
        headline, *sentences = self.sentences()
        return card(f"{self.system}: {headline}", sentences, self.to_frame())


def _plain(_owner: object, _field: object, value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(None, None, one) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plan_data(plan: Plan) -> dict[str, Any]:
    names = ("nodes", "interval", "node_hours", "node_hours_interval", "autoscaled_node_hours",
             "short", "late", "span")  # fmt: skip
    said = {name: _plain(None, None, getattr(plan, name)) for name in names}
    return attrs.asdict(plan, value_serializer=_plain) | said


def fleet_rows(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a flat row for each day and window of `Fleet.to_dict`."""
    rows = []
    for plan in data["plans"]:
        for window in plan["windows"]:
            low, high = window["interval"]
            least, most = window["autoscaled"] or (None, None)
            rows.append({
                "day": plan["day"],
                "agents": plan["agents"],
                "start_s": window["start"],
                "end_s": window["end"],
                "messages_per_second": window["load"],
                "peak_per_second": window["peak"],
                "nodes": window["nodes"],
                "nodes_low": low,
                "nodes_high": high,
                "autoscaled_least": least,
                "autoscaled_most": most,
                "autoscaled_node_seconds": window["node_seconds"],
                "short_s": window["short"],
                "late_share": window["late"],
                "wait_s": window["wait"],
            })  # fmt: skip
    return rows


def _ticks(hours: float) -> list[float]:
    """Return hours at which the axis of a load is marked, in steps that divide a day."""
    step = next(
        (step for step in (1, 2, 3, 6, 12) if hours <= 8 * step), 24 * math.ceil(hours / 192)
    )
    return [float(hour) for hour in range(0, math.ceil(hours) + 1, step)]


def _series(plan: Plan, number: int, found: Fleet) -> Iterator[analysis.Series]:
    name = f"fewest, {plan.agents:,} agents (band: {100 * found.confidence:.3g} %)"
    hours = [time / HOUR for one in plan.windows for time in (one.start, one.end)]

    def twice(values: Iterable[float | None]) -> list[float]:
        return [math.nan if one is None else float(one) for one in values for _ in range(2)]

    low, high = (twice(one.interval[end] for one in plan.windows) for end in (0, 1))
    yield analysis.Series(
        name, hours, twice(one.nodes for one in plan.windows), low, high, colour=2 * number
    )
    if found.autoscaler is not None:
        most = twice(one.autoscaled and one.autoscaled[1] for one in plan.windows)
        name = f"autoscaler at most, {plan.agents:,} agents"
        yield analysis.Series(name, hours, most, colour=2 * number + 1, dashed=True)


def fleet(
    system: System | str | PathLike[str],
    slo: str | Iterable[str],
    *,
    agents: int | None = None,
    growth: str | PathLike[str] | None = None,
    horizon: int | None = None,
    start: date | str | None = None,
    window: float | str = HOUR,
    most: int = MOST_NODES,
    autoscaler: Autoscaler | None = None,
    confidence: float = 0.95,
    seed: int = 1,
    jobs: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    engine: str = "auto",
    on_done: OnDone | None = None,
    progress: bool = True,
) -> Fleet:
    """Return the fewest nodes that keep all objectives, for each window of a load over time.

    Parameters
    ----------
    system
        A system with piecewise traffic, or the name or file of one, such as `lhsim profile` writes
        it. What it says of nodes holds, but for their number.
    slo
        An objective, such as ``"p99<1s"``, or several; see `lhsim.planning.objectives`.
    agents
        How many agents make the load on the first day; a forecast file says it itself.
    growth
        Of the agents: ``"3%/month"``, ``"500/month"``, or a CSV file with the columns ``date`` and
        ``agents``. None: they stay as many.
    horizon
        Months ahead, 1 to 600. None: 12.
    start
        The first day; None: today.
    window
        Length of a window: a number [s], or a text such as ``"30 min"``. A window takes as many
        nodes as its busiest piece.
    most
        Nodes up to which is searched.
    autoscaler
        Its settings; None: what one would have run is not said.
    confidence
        Of the intervals, in (0, 1).
    seed, jobs, executor, folder, engine, on_done, progress
        As in `lhsim.capacity`.

    Raises
    ------
    InputError
        Before anything runs, when an argument cannot be used.
    LhsimError
        When a run failed.
    KeyboardInterrupt
        After Ctrl-C; what was finished is in the folder.
    """
    asked = ask(system, slo, agents, growth, horizon, start, window, most, autoscaler, confidence,
                seed, engine)  # fmt: skip
    checks.function(on_done, "on_done")
    shown = checks.truth(progress, "progress")
    with (
        running([asked.with_nodes(2, 1.0)], engine, jobs, executor, folder) as runner,
        told("fleet", on_done, shown=shown) as tell,
    ):
        return answer(asked, runner, tell)


def ask(
    system: System | str | PathLike[str],
    slo: str | Iterable[str],
    agents: int | None,
    growth: str | PathLike[str] | None,
    horizon: int | None,
    start: date | str | None,
    window: float | str,
    most: int,
    autoscaler: Autoscaler | None,
    confidence: float,
    seed: int,
    engine: str,
) -> Asked:
    """Return what the arguments of `fleet` ask, or refuse one of them."""
    system = as_system(system)
    if not isinstance(system.workload.traffic, Piecewise):
        problem = "is no load over time"
        allowed = "kind = 'piecewise', such as lhsim profile writes it"
        raise InputError(problem, source=system.name, key="workload.traffic", allowed=allowed)
    if system.faults:
        problem = "happen at set times, of which a piece of the load knows nothing"
        raise InputError(problem, source=system.name, key="faults", allowed="none")
    objectives = parse_objectives(slo)
    if growth is None and horizon is not None:
        raise InputError("changes nothing", source="--horizon", allowed="none without --growth")
    months = MONTHS if horizon is None else checks.whole_number(horizon, "horizon", 1, MOST_MONTHS)
    ahead = forecast(agents, growth, parse_day(start), months)
    check_count(system.workload, ahead.on(ahead.start))
    seconds = checks.duration(window, "window")
    span = sum(piece.duration for piece in system.workload.traffic.pieces)
    if span / seconds > MOST_WINDOWS:
        allowed = f"a time of which {format_duration(span)} has at most {MOST_WINDOWS:,}"
        raise InputError(f"{seconds:g} s is out of range", source="--window", allowed=allowed)
    most = checks.whole_number(most, "most", 1)
    _check_autoscaler(autoscaler, most, min(seconds, span), span)
    asked = Asked(
        system,
        Question(
            system,
            objectives,
            RATE,
            seed=checks.whole_number(seed, "seed", 0, MAX_SEED),
            confidence=checks.share(confidence, "confidence"),
            engine=engine,
        ),
        ahead,
        min(seconds, span),
        most,
        None if growth is None else _said(ahead, growth),
        autoscaler,
    )
    choose(engine, asked.with_nodes(2, 1.0))
    return asked


def _said(ahead: Forecast, growth: str | PathLike[str]) -> str:
    return Path(growth).name if ahead.rate is None else ahead.rate.text


def _check_autoscaler(rule: object, most: int, window: float, span: float) -> None:
    if rule is None:
        return
    if not isinstance(rule, Autoscaler):
        allowed = "an Autoscaler of lhsim.planning, or None"
        raise InputError("is none", key="autoscaler", allowed=allowed)
    if rule.least > most:
        allowed = f"at least {rule.least}, the fewest nodes of the autoscaler"
        raise InputError(f"{most} is out of range", source="--most", allowed=allowed)
    if rule.period > window / PERIODS:
        problem = f"{format_duration(rule.period)} is out of range"
        allowed = f"at most {format_duration(window / PERIODS)}, a quarter of a window"
        raise InputError(problem, source="--period", allowed=allowed)
    if rule.period < span / MOST_PERIODS:
        problem = f"{format_duration(rule.period)} is out of range"
        allowed = f"a time of which {format_duration(span)} has at most {MOST_PERIODS:,}"
        raise InputError(problem, source="--period", allowed=allowed)


def answer(asked: Asked, runner: Runner, on_done: OnDone | None = None) -> Fleet:
    """Return the answer to what is asked; raises as `fleet` does while it runs."""
    ahead = asked.ahead
    days = [ahead.start] if asked.growth is None else [ahead.start, ahead.end]
    capacities: list[Capacity] = []
    plans = tuple(_plan(asked, day, runner, on_done, capacities) for day in days)
    milestones = tuple(_milestones(asked, plans, runner, on_done))
    return Fleet(
        system=asked.system.name,
        objectives=tuple(one.text for one in asked.question.objectives),
        confidence=asked.question.confidence,
        seed=asked.question.seed,
        growth=asked.growth,
        autoscaler=asked.autoscaler,
        plans=plans,
        milestones=milestones,
        extrapolated=any(one.extrapolated for one in capacities),
        warnings=(*_short_pieces(asked, plans), *asked.system.caveats),
    )


def _short_pieces(asked: Asked, plans: Sequence[Plan]) -> Iterator[str]:
    """Yield that pieces are too short to be taken as loads that go on for ever."""
    edges, _ = asked.pieces
    shortest = float(np.diff(edges).min())
    settles = max(_settling(size) for plan in plans for size in plan.sizes)
    if shortest < SETTLED * settles:
        yield (
            f"pieces of {duration(shortest)} are short against the {duration(settles)} in which "
            "queues settle at capacity: what piles up in one reaches into the next"
        )


def _settling(size: FleetSize) -> float:
    """Return the relaxation time of a node's queue at capacity [s]: S / (1 - sqrt(rho))^2.

    That is the one of M/M/1 (P. M. Morse, Stochastic properties of waiting lines, Operations
    Research 3, 1955).
    """
    if not size.capacity:
        return 0.0
    utilization = size.busy(size.capacity)
    service = utilization * size.nodes / size.capacity
    return service / (1 - math.sqrt(min(utilization, BUSIEST))) ** 2


def _plan(
    asked: Asked, day: date, runner: Runner, on_done: OnDone | None, known: list[Capacity]
) -> Plan:
    agents = _paired(asked, asked.ahead.on(day))
    edges, rates = asked.pieces
    loads = rates * load_of(asked, agents)
    sizes = sizes_of(asked, agents, loads, runner, on_done, known)
    windows = tuple(_windows(asked, edges, loads, sizes))
    if asked.autoscaler is not None:
        windows = tuple(_autoscaled(asked.autoscaler, edges, loads, sizes, windows))
    return Plan(day, agents, tuple(sizes), windows)


def _paired(asked: Asked, agents: int) -> int:
    """Return the nearest number of agents that the topology can have."""
    least = max(agents, asked.system.workload.fewest)
    return least - least % 2 if asked.system.workload.topology == "pair" else least


def _windows(
    asked: Asked,
    edges: NDArray[np.float64],
    loads: NDArray[np.float64],
    sizes: Sequence[FleetSize],
) -> Iterator[Window]:
    span, length = float(edges[-1]), asked.window
    count = max(1, round(span / length))
    ends = [*(number * length for number in range(1, count)), span]
    for start, end in pairwise([0.0, *ends]):
        inside = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        seconds = np.maximum(inside, 0.0)
        # A piece that ends with a window does not reach into the next by a rounding error.
        peak = float(loads[seconds > ROUNDING * (end - start)].max())
        yield Window(
            start,
            end,
            float((loads * seconds).sum() / (end - start)),
            peak,
            _fewest(sizes, peak, lambda one: one.capacity),
            (
                _fewest(sizes, peak, lambda one: one.interval[1]),
                _fewest(sizes, peak, lambda one: one.interval[0]),
            ),
        )


def _fewest(sizes: Sequence[FleetSize], load: float, capacity: Any) -> int | None:
    return next((one.nodes for one in sizes if capacity(one) >= load), None)


def _autoscaled(
    rule: Autoscaler,
    edges: NDArray[np.float64],
    loads: NDArray[np.float64],
    sizes: Sequence[FleetSize],
    windows: Sequence[Window],
) -> Iterator[Window]:
    """Yield the windows with what an autoscaler ran in them, on the second of two equal days."""
    span = float(edges[-1])
    periods = max(1, round(span / rule.period))
    at = (np.arange(periods) + 0.5) * span / periods
    # The messages that arrive in a period, over its length.
    total = np.concatenate([[0.0], np.cumsum(loads * np.diff(edges))])
    ends = np.linspace(0.0, span, periods + 1)
    arriving = np.diff(np.interp(ends, edges, total)) * periods / span
    length = span / periods
    ran = autoscale(np.tile(arriving, 2), sizes, attrs.evolve(rule, period=length))
    nodes, short, wait = ran.nodes[periods:], ran.short[periods:], ran.wait[periods:]
    for window in windows:
        inside = (window.start <= at) & (at < window.end)
        sent = float(arriving[inside].sum())
        some = nodes[inside]
        yield attrs.evolve(
            window,
            autoscaled=(int(some.min()), int(some.max())),
            node_seconds=float(some.mean()) * (window.end - window.start),
            short=float(short[inside].sum()) * length,
            late=float(arriving[inside & short].sum()) / sent if sent else 0.0,
            wait=float(wait[inside].max()),
        )


def _milestones(
    asked: Asked, plans: Sequence[Plan], runner: Runner, on_done: OnDone | None
) -> Iterator[Milestone]:
    """Yield until when each number of nodes carries the busiest piece, from today's on."""
    first, last = plans[0], plans[-1]
    if asked.growth is None or first.nodes is None:
        return
    end = last.nodes if last.nodes is not None else len(last.sizes) + 1
    _, rates = asked.pieces
    for nodes in range(first.nodes, max(end, first.nodes + 1)):
        system = asked.with_nodes(nodes, float(rates.max()))
        question = attrs.evolve(asked.question, system=system, vary=AGENTS, agents=None)
        found, (low, high) = narrowed(question, closed_form_spread(question), runner, on_done)
        open_ended = found.value is None and high is None
        held = None if open_ended else int(found.value or low or 0)
        yield Milestone(
            nodes,
            held,
            (low, high),
            _beyond(asked.ahead, held),
            (_beyond(asked.ahead, low), _beyond(asked.ahead, high)),
        )


def _beyond(ahead: Forecast, agents: float | None) -> date | None:
    return None if agents is None else ahead.first_beyond(agents)
