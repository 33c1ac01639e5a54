"""The decision (D1): which design to run, until when, how surely, and at what cost.

Each design is one server. What it holds is a crossing with its odds (`lhsim.planning.odds`); the
forecast says when it is reached, how many servers there have to be by then, and what they cost. A
server counts for as many agents as it holds with the confidence that was asked for. The first
design is the one that runs today.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from datetime import date
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pandas as pd
from attrs import frozen

from lhsim import analysis, checks
from lhsim.errors import InputError, shown
from lhsim.execution import Runner, running
from lhsim.execution.progress import told
from lhsim.library import as_system
from lhsim.planning.advice import Advice, Change, Measurement, advise, changes, measure_next
from lhsim.planning.design import Design, design_of
from lhsim.planning.growth import MONTH, MOST_MONTHS, Forecast, forecast, parse_day
from lhsim.planning.levels import Question, run_all
from lhsim.planning.objectives import parse_objectives
from lhsim.planning.odds import HORIZON, RUNS, find_odds
from lhsim.report.decision import decision_paragraph, decision_sentences
from lhsim.report.notebook import card
from lhsim.simulation.engines import choose
from lhsim.streams import MAX_SEED
from lhsim.units import format_duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lhsim.models import System
    from lhsim.planning.levels import OnDone
    from lhsim.simulation import Result

MONTHS = 24  # of the horizon
DATES = 5  # at which probabilities are given
LONGEST_CURRENCY = 8  # characters
POINTS = 200  # of a line of the plot
UNSHOWN = ("ahead", "odds")  # what plain data leave out
# What `Decision.to_dict` says of a design.
PROMISED = ("name", "capacity", "interval", "binding_objective", "p_keeps_now", "crossing_date",
            "crossing_interval", "servers", "cost", "extrapolated")  # fmt: skip


@frozen(repr=False)
class Decision:
    """The answer of `decide`."""

    objectives: tuple[str, ...]
    confidence: float
    dates: tuple[date, ...]  # from the first day to the last
    agents: tuple[int, ...]  # on these dates
    months: float  # from the first to the last
    growth: str
    server_cost: float | None  # of a server for a month
    currency: str
    designs: tuple[Design, ...]  # that of today first
    advice: Advice
    would_change_if: tuple[Change, ...]
    measure_next: Measurement | None
    seed: int
    ahead: Forecast  # the agents of each day

    @property
    def until(self) -> date | None:
        """The last day on which today's design keeps the objectives that surely, on one server."""
        return self.designs[0].lasts_until

    @property
    def recommendation(self) -> str:
        """What to do, until when, and how surely, as a paragraph."""
        return decision_paragraph(self.details())

    def details(self) -> dict[str, Any]:
        """Return all of it as plain data, in base units; dates are texts."""
        plain = attrs.asdict(
            self, filter=lambda one, _: one.name not in UNSHOWN, value_serializer=_plain
        )
        return plain | {"frontier": self.frontier()}

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as plain data; quantities are in base units, dates as ISO 8601."""
        data = self.details()
        chosen = next((one for one in data["designs"] if one["name"] == self.advice.design), None)
        return {
            "recommendation": {
                **{key: data["advice"][key] for key in ("design", "action")},
                "text": self.recommendation,
                "capacity": chosen and chosen["capacity"],
                "interval": chosen and chosen["interval"],
                "confidence": self.confidence,
                "p_keeps": {
                    one["name"]: dict(zip(data["dates"], one["p_keeps"], strict=True))
                    for one in data["designs"]
                },
            },
            "until": data["designs"][0]["lasts_until"],
            "designs": [
                {key: one[key] for key in PROMISED if key != "p_keeps_now"}
                | {"p_keeps_now": one["p_keeps"][0]}
                for one in data["designs"]
            ],
            "frontier": self.frontier(),
            "would_change_if": data["would_change_if"],
            "measure_next": data["measure_next"],
        }

    def frontier(self) -> list[dict[str, Any]]:
        """Return p99 now [s] and cost of each design, the cheapest first.

        ``efficient`` says whether no other design is as cheap and faster, or as fast and cheaper.
        Without a cost of a server, the server months are compared.
        """
        priced = [
            (one, one.server_months if one.cost is None else one.cost) for one in self.designs
        ]
        able = [(one, price) for one, price in priced if price is not None and one.p99 is not None]
        rows = [
            {
                "name": one.name,
                "p99": one.p99,
                "cost": one.cost,
                "server_months": one.server_months,
                "efficient": not any(_beats(other, (price, one.p99)) for other in
                                     ((cost, two.p99) for two, cost in able)),
            }
            for one, price in able
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (row["server_months"], row["p99"]))

    def sentences(self) -> list[str]:
        """Return the paragraph, and what has to be known about it."""
        return [self.recommendation, *decision_sentences(self.details())]

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per design; quantities are in base units."""
        rows = []
        for one in self.details()["designs"]:
            low, high = one.pop("interval")
            first, last = one.pop("crossing_interval")
            chances = one.pop("p_keeps")
            plain = {key: value for key, value in one.items() if not isinstance(value, list)}
            rows.append({
                **plain, "capacity_low": low, "capacity_high": high, "crossing_first": first,
                "crossing_last": last,
                **dict(zip((f"p_keeps_{day}" for day in self.dates), chances, strict=True)),
            })  # fmt: skip
        return pd.DataFrame(rows)

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the probability of keeping the objectives over time, and return the figure."""
        days = self.ahead.dates(POINTS)
        months = [(day - days[0]).days / MONTH for day in days]
        agents = [max(self.ahead.on(day), 1) for day in days]
        series = [
            analysis.Series(one.name, months, [100 * one.odds.keeping(count) for count in agents],
                            colour=number)
            for number, one in enumerate(self.designs)
        ]  # fmt: skip
        chart = analysis.Chart(
            f"months from {self.dates[0]}",
            "probability of keeping the objectives [%]",
            title=f"How surely one server keeps {' and '.join(self.objectives)}",
        )
        return analysis.lines_plot(series, chart, ax)

    def __repr__(self) -> str:
        """Return the advice in a line; `sentences` says the rest."""
        return f"<Decision: {decision_paragraph(self.details()).partition('. ')[0]}>"

    def _repr_html_(self) -> str:
        headline, *sentences = self.sentences()
        return card(headline, sentences, self.to_frame())


def _plain(_owner: object, _field: object, value: object) -> object:
    if isinstance(value, tuple):
        return [one.isoformat() if isinstance(one, date) else one for one in value]
    return value.isoformat() if isinstance(value, date) else value


def _beats(one: tuple[float, float | None], other: tuple[float, float | None]) -> bool:
    """Return whether a cost and a p99 are both no more than another's, and not the same."""
    assert one[1] is not None
    assert other[1] is not None
    return one[0] <= other[0] and one[1] <= other[1] and one != other


@frozen
class Asked:
    """What is asked: arguments that were checked."""

    systems: tuple[System, ...]
    ahead: Forecast
    server_cost: float | None
    currency: str
    questions: tuple[Question, ...]  # one for each system
    growth: str


def decide(
    slo: str | Iterable[str],
    *,
    agents: int | None = None,
    growth: str | PathLike[str] | None = None,
    systems: Iterable[System | str | PathLike[str]] = (),
    server_cost: float | None = None,
    currency: str | None = None,
    horizon: int = MONTHS,
    start: date | str | None = None,
    confidence: float = 0.95,
    seed: int = 1,
    jobs: int = 1,
    executor: Executor | None = None,
    folder: str | Path | None = None,
    engine: str = "auto",
    on_done: OnDone | None = None,
    progress: bool = True,
) -> Decision:
    """Return which design to run, until when, how surely, and at what cost.

    Parameters
    ----------
    slo
        An objective, such as ``"p99<1s"``, or several; see `lhsim.planning.objectives`.
    agents
        How many agents there are on the first day; a forecast file says it itself.
    growth
        ``"8%/month"``, ``"500/month"``, or a CSV file with the columns ``date`` and ``agents``.
        None: they stay as many.
    systems
        The designs, today's first: systems, or names or files of some. None at all: polling,
        polling with wake-on-write, polling twice as often, and push.
    server_cost
        Of a server for a month, in any currency.
    currency
        The name of that, such as ``"EUR"``, which is only printed.
    horizon
        Months ahead, 1 to 600.
    start
        The first day; None: today.
    confidence
        Of intervals, and how surely a design has to keep the objectives.
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
    asked = ask(slo, agents, growth, systems, server_cost, currency, horizon, start, confidence,
                seed, engine)  # fmt: skip
    checks.function(on_done, "on_done")
    shown = checks.truth(progress, "progress")
    with (
        running(asked.systems, engine, jobs, executor, folder) as runner,
        told("decide", on_done, shown=shown) as tell,
    ):
        return answer(asked, runner, tell)


def ask(
    slo: str | Iterable[str],
    agents: int | None,
    growth: str | PathLike[str] | None,
    systems: Iterable[System | str | PathLike[str]],
    server_cost: float | None,
    currency: str | None,
    horizon: int,
    start: date | str | None,
    confidence: float,
    seed: int,
    engine: str,
) -> Asked:
    """Return what the arguments of `decide` ask, or refuse one of them."""
    objectives = parse_objectives(slo)
    for one in objectives:
        if one.metric == "throughput":
            allowed = "another metric: more agents only add to the throughput"
            problem = "says nothing of growth"
            raise InputError(problem, source="--slo", key=one.text, allowed=allowed)
    months = checks.whole_number(horizon, "horizon", 1, MOST_MONTHS)
    ahead = forecast(agents, growth, parse_day(start), months)
    if server_cost is not None:
        server_cost = checks.positive_number(server_cost, "server_cost")
    elif currency is not None:
        allowed = "only with a cost of a server"
        raise InputError("changes nothing", key="currency", allowed=allowed)
    currency = _currency(currency)
    seed = checks.whole_number(seed, "seed", 0, MAX_SEED)
    confidence = checks.share(confidence, "confidence")
    designs = _designs(systems)
    for design in designs:
        choose(engine, design)
    questions = tuple(Question(one, objectives, seed=seed, confidence=confidence, engine=engine)
                      for one in designs)  # fmt: skip
    said = ahead.rate.text if ahead.rate is not None else Path(str(growth)).name
    return Asked(designs, ahead, server_cost, currency, questions, said)


def _currency(given: object) -> str:
    name = "" if given is None else checks.text(given, "currency")
    if len(name) > LONGEST_CURRENCY or not name.isprintable():
        allowed = f"up to {LONGEST_CURRENCY} characters, such as EUR"
        raise InputError(f"{shown(name)} is no currency", key="currency", allowed=allowed)
    return name


def _designs(given: object) -> tuple[System, ...]:
    some = list(given) if checks.is_several(given) else [given]
    if not some:
        return default_designs(as_system("polling"), as_system("push"))
    designs = tuple(as_system(one) for one in some)
    checks.each_once([one.name for one in designs], "systems", "designs of different names")
    return designs


def default_designs(polling: System, push: System) -> tuple[System, ...]:
    """Return the designs that are compared where none are named."""
    server = polling.polling
    assert server is not None, "the first is a system that polls"
    woken = attrs.evolve(
        polling,
        name=f"{polling.name} with wake-on-write",
        polling=attrs.evolve(server, hold=True, wake_on_write=True),
    )
    interval = server.interval / 2
    quicker = attrs.evolve(
        polling,
        name=f"{polling.name} every {format_duration(interval)}",
        polling=attrs.evolve(server, interval=interval),
    )
    return polling, *(() if server.wake_on_write else (woken,)), quicker, push


def answer(asked: Asked, runner: Runner, on_done: OnDone | None = None) -> Decision:
    """Return the answer to what is asked; raises as `decide` does while it runs."""
    dates = asked.ahead.dates(DATES)
    today = _today(asked, runner, on_done)
    found = [find_odds(one, runner, on_done) for one in asked.questions]
    designs = tuple(
        design_of(question, one, runs, asked.ahead, dates, asked.server_cost)
        for question, one, runs in zip(asked.questions, found, today, strict=True)
    )
    advice = advise(designs, asked.ahead)
    return Decision(
        objectives=tuple(one.text for one in asked.questions[0].objectives),
        confidence=asked.questions[0].confidence,
        dates=dates,
        agents=tuple(asked.ahead.on(day) for day in dates),
        months=asked.ahead.months,
        growth=asked.growth,
        server_cost=asked.server_cost,
        currency=asked.currency,
        designs=designs,
        advice=advice,
        would_change_if=changes(designs, advice, asked.ahead),
        measure_next=measure_next(asked.systems, found),
        seed=asked.questions[0].seed,
        ahead=asked.ahead,
    )


def _today(asked: Asked, runner: Runner, on_done: OnDone | None) -> list[list[Result]]:
    """Return the runs of each design with the agents of the first day."""
    agents = asked.ahead.on(asked.ahead.start)
    least = 2 if agents < 2 else agents
    each = [
        attrs.evolve(one, horizon=HORIZON).cells(
            max(least - least % one.unit, one.system.workload.fewest), range(RUNS)
        )
        for one in asked.questions
    ]
    results = run_all([cell for some in each for cell in some], runner, on_done)
    return [results[i * RUNS : (i + 1) * RUNS] for i in range(len(each))]
