"""E8, optimisations: what each buys, and where the factor of push stops to matter.

Four questions on the same systems, each with common random numbers: every option alone and all of
them together; the cheap fixes to polling at equal use of the server's processor; a pair with a
round trip on the network and a pause between its messages; and a server that is overloaded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from lhsim.analysis.intervals import estimate
from lhsim.analysis.knee import Knee, bracket
from lhsim.analysis.lines import Chart, Series, lines_plot, marks_plot
from lhsim.experiments.specification import Optimisations
from lhsim.experiments.suites.optimisation_cases import (
    AS_IS,
    OPTION,
    OVERLOAD,
    PAIR,
    TOGETHER,
    cases,
    cpu_of,
    further,
    levels_known,
    of_kind,
    tried_intervals,
    without_kind,
)
from lhsim.experiments.suites.suite import (
    CaseRuns,
    Row,
    Suite,
    SuiteColumn,
    SuiteFinding,
    SuiteTable,
    spread_of,
)
from lhsim.report.text import UNKNOWN, duration, three_digits
from lhsim.units import format_duration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPTIONS = (
    SuiteColumn("system", "system", left=True),
    SuiteColumn("case", "option", left=True),
    SuiteColumn("p50_latency_ms", "p50", "ms"),
    SuiteColumn("p99_latency_ms", "p99", "ms"),
    SuiteColumn("queries_per_second", "queries/s", "1/s"),
    SuiteColumn("cpu_utilization_percent", "cpu", "%"),
    SuiteColumn("memory_peak_mb", "memory", "MB"),
    SuiteColumn("knee", "knee", "agents", lambda row: _knee_text(row),  # noqa: PLW0108 - defined below
                says_why=True),
    SuiteColumn("mean_change_percent", "mean latency, change", "%", page_only=True),
    SuiteColumn("messages_per_second", "throughput", "1/s", page_only=True),
    SuiteColumn("writes_per_second", "transactions", "1/s", page_only=True),
)  # fmt: skip
EQUALS = (
    SuiteColumn("case", "fix", left=True),
    SuiteColumn("interval_ms", "interval", "ms"),
    SuiteColumn("cpu_utilization_percent", "cpu", "%",
                lambda row: f"{row['cpu_utilization_percent']:.1f} %"),
    SuiteColumn("queries_per_second", "queries/s", "1/s"),
    SuiteColumn("mean_latency_ms", "mean", "ms"),
    SuiteColumn("p50_latency_ms", "p50", "ms"),
    SuiteColumn("p99_latency_ms", "p99", "ms"),
)  # fmt: skip
OVERLOADS = (
    SuiteColumn("system", "system", left=True),
    SuiteColumn("case", "option", left=True),
    SuiteColumn("messages_per_second", "messages/s", "1/s"),
    SuiteColumn("delivered", "delivered", "share"),
    SuiteColumn("p50_latency_ms", "p50", "ms"),
    SuiteColumn("p99_latency_ms", "p99", "ms"),
)


def judge(asked: Optimisations, case_runs: Sequence[CaseRuns]) -> SuiteFinding:
    """Return what each option buys, and the other three tables."""
    options = [_option_row(case_runs, ran) for ran in of_kind(case_runs, OPTION)]
    equals = list(_equal_rows(asked, case_runs))
    factors = _factor_rows(asked, case_runs)
    overloads = [_overload_row(ran) for ran in of_kind(case_runs, OVERLOAD)]
    parts = [
        SuiteTable("equal-cpu", "Fixes to polling at the use of the processor that polling has",
                   equals, EQUALS, partial(_equal_figure, equals),
                   "Mean latency of polling with each fix, its interval set so that the server's "
                   "processor is as busy as without; and push, which is less busy.",
                   "Two marks for each fix, latency on a logarithmic axis.") if equals else None,
        SuiteTable("factor", _factor_title(asked), factors, _factor_columns(asked),
                   partial(_factor_figure, asked, factors),
                   "How many times as many messages a pair exchanges with push, against the pause "
                   "between them, for several round trips on the network.",
                   "A line for each round trip; all fall towards 1.") if factors else None,
        SuiteTable("overload",
                   f"{asked.overload.agents:,} agents send to one: more than a server can do",
                   overloads, OVERLOADS) if overloads else None,
    ]  # fmt: skip
    return SuiteFinding(
        options,
        OPTIONS,
        answer=" ".join(
            [
                *_equal_sentences(equals),
                *_factor_sentence(asked, factors),
                *_option_sentences(options),
            ]
        ),
        figure=partial(_option_figure, options),
        caption="p50 and p99 of the latency with each option, on the same messages.",
        alt="Two marks for each option, latency on a logarithmic axis.",
        notes=("knee: the most agents before a station saturates", ""),
        parts=tuple(part for part in parts if part is not None),
    )


def _option_row(case_runs: Sequence[CaseRuns], ran: CaseRuns) -> Row:
    base = next(
        one
        for one in of_kind(case_runs, OPTION)
        if one.case.system.name == ran.case.system.name and without_kind(one) == AS_IS
    )
    knee = bracket(levels_known(case_runs, ran.case.system.name, without_kind(ran)))
    return _named(ran, _change(ran, base) | _rates(ran) | _knee_columns(knee))


def _named(ran: CaseRuns, more: Row) -> Row:
    return {**ran.row(("mean_change_percent",), **more), "case": without_kind(ran)}


def _change(ran: CaseRuns, base: CaseRuns) -> Row:
    """Return how much longer a message takes than without the option, in the mean."""
    pairs = zip(ran.results, base.results, strict=True)
    changes = [100 * (one.latency.mean / other.latency.mean - 1) for one, other in pairs]
    return spread_of("mean_change_percent", changes, least=-100.0)


def _rates(ran: CaseRuns) -> Row:
    lengths = [one.horizon - one.warmup for one in ran.results]
    pairs = list(zip(ran.results, lengths, strict=True))
    return {
        **spread_of("mean_latency_ms", [1e3 * one.latency.mean for one in ran.results]),
        "queries_per_second": estimate(
            [one.metrics.database_queries_total / length for one, length in pairs]
        ).value,
        "writes_per_second": estimate(
            [one.counters.writes / one.horizon for one in ran.results]
        ).value,
    }


def _knee_columns(knee: Knee) -> Row:
    return {"knee": knee.agents, "knee_low": knee.low, "knee_high": knee.high,
            "bottleneck": knee.bottleneck}  # fmt: skip


def _knee_text(row: Row) -> str:
    if row["knee"] is not None:
        rounded = float(f"{row['knee']:.2g}")
        return f"{rounded:,.0f}"
    low, high = row["knee_low"], row["knee_high"]
    if low is None:
        return UNKNOWN
    return f"> {low:,}" if high is None else f"{low:,}-{high:,}"


def _equal_rows(asked: Optimisations, case_runs: Sequence[CaseRuns]) -> Iterator[Row]:
    for base in of_kind(case_runs, OPTION):
        if base.case.system.polling is None or without_kind(base) != AS_IS:
            continue
        yield _equal_row(base, AS_IS)
        for name in asked.equal_cpu.options:
            nearest = min(
                tried_intervals(case_runs, base, name).values(),
                key=lambda one: abs(cpu_of(one) - cpu_of(base)),
            )
            yield _equal_row(nearest, name)
    for base in of_kind(case_runs, OPTION):
        if base.case.system.push is not None and without_kind(base) == AS_IS:
            yield _equal_row(base, f"{base.case.system.name}, less busy")


def _equal_row(ran: CaseRuns, name: str) -> Row:
    polling = ran.case.system.polling
    interval = None if polling is None else 1e3 * polling.interval
    return {**ran.row(interval_ms=interval, **_rates(ran)), "case": name}


def _overload_row(ran: CaseRuns) -> Row:
    delivered = estimate([one.metrics.delivery_success_rate for one in ran.results]).value
    return _named(ran, {"delivered": delivered})


def _factor_rows(asked: Optimisations, case_runs: Sequence[CaseRuns]) -> list[Row]:
    """Return for each round trip how many times as many messages push exchanges, by pause."""
    by_kind: dict[str, dict[str, CaseRuns]] = {}
    for ran in of_kind(case_runs, PAIR):
        by_kind.setdefault(ran.case.system.architecture, {}).setdefault(without_kind(ran), ran)
    if len(by_kind) < 2:
        return []
    rows = []
    for trip in asked.factor.round_trips:
        row: Row = {"round_trip_ms": 1e3 * trip}
        for number, pause in enumerate(asked.factor.pauses):
            pair = [by_kind[kind][f"{trip:g} {pause:g}"].results for kind in ("push", "polling")]
            factors = [
                one.metrics.messages_per_second / other.metrics.messages_per_second
                for one, other in zip(*pair, strict=True)
            ]
            row |= spread_of(f"factor_{number}", factors)
        rows.append(row)
    return rows


def _factor_title(asked: Optimisations) -> str:
    return "Messages of a pair with push, over those with polling, by round trip and pause"


def _factor_columns(asked: Optimisations) -> tuple[SuiteColumn, ...]:
    pauses = [
        SuiteColumn(f"factor_{number}", f"pause {format_duration(pause)}")
        for number, pause in enumerate(asked.factor.pauses)
    ]
    trip = SuiteColumn("round_trip_ms", "round trip", "ms")
    return (trip, *pauses)


# What an option may better: a column, its name, and whether less of it is better.
GOALS = (
    ("p50_latency_ms", "p50", True),
    ("knee", "agents", False),
    ("memory_peak_mb", "memory", True),
)
CHANGED = (
    "p50_latency_ms", "p99_latency_ms", "knee", "cpu_utilization_percent", "queries_per_second",
    "memory_peak_mb", "writes_per_second",
)  # fmt: skip
NOTABLE = 1.2  # times more or less, from which on a change is told


def _option_sentences(rows: Sequence[Row]) -> Iterator[str]:
    """Yield for each system which option alone betters what most, and which change nothing."""
    for name in dict.fromkeys(row["system"] for row in rows):
        own = [row for row in rows if row["system"] == name]
        base = next(row for row in own if row["case"] == AS_IS)
        alone = [row for row in own if row["case"] not in {AS_IS, TOGETHER}]
        gains = [words for goal in GOALS if (words := _most(alone, base, *goal)) is not None]
        idle = [
            row["case"] for row in alone if not any(_notable(row, base, key) for key in CHANGED)
        ]
        found = f"{name} gains most from {', '.join(gains)}" if gains else f"{name} gains nothing"
        yield found + (f"; {', '.join(idle)} change next to nothing." if idle else ".")


def _most(rows: Sequence[Row], base: Row, key: str, title: str, less: bool) -> str | None:
    """Return which option betters a figure most, if it is worth telling."""
    known = [row for row in rows if row[key] and base[key]]
    if not known:
        return None
    best = (min if less else max)(known, key=lambda row: row[key])
    ratio = best[key] / base[key]
    better = ratio < 1 / NOTABLE if less else ratio > NOTABLE
    return f"{best['case']} ({title} x{three_digits(ratio)})" if better else None


def _notable(row: Row, base: Row, key: str) -> bool:
    one, other = row[key], base[key]
    return bool(one and other and not 1 / NOTABLE < one / other < NOTABLE)


def _equal_sentences(rows: Sequence[Row]) -> Iterator[str]:
    fixes = [row for row in rows if row["interval_ms"] is not None]
    if not fixes:
        return
    fixes = [row for row in fixes if row["mean_latency_ms"] is not None]
    if not fixes:
        return
    best = min(fixes, key=lambda row: row["mean_latency_ms"])
    latencies = ", ".join(
        f"{row['case']} {duration(row['mean_latency_ms'] / 1e3)}" for row in fixes
    )
    yield f"At equal use of the processor the mean latency of polling is: {latencies}."
    for push in (row for row in rows if row["interval_ms"] is None and row["mean_latency_ms"]):
        factor = three_digits(best["mean_latency_ms"] / push["mean_latency_ms"])
        yield f"Against {best['case']}, the factor of push is {factor}."


def _factor_sentence(asked: Optimisations, rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    most = max(value for row in rows for key, value in row.items() if _is_factor(key))
    yield (
        f"A pair that answers at once exchanges up to {three_digits(most)} times as many messages "
        f"with push; {_where(asked, rows, 2.0)}, and {_where(asked, rows, 1.1)}."
    )


def _where(asked: Optimisations, rows: Sequence[Row], factor: float) -> str:
    """Return from which pause or round trip on push has less than a factor."""
    number = len(asked.factor.pauses)
    pauses = [
        i for i in range(number) if all(rows[0][f"factor_{k}"] < factor for k in range(i, number))
    ]
    trips = [k for k in range(len(rows)) if all(row["factor_0"] < factor for row in rows[k:])]
    found = []
    if pauses:
        found.append(f"a pause of {format_duration(asked.factor.pauses[pauses[0]])} on")
    if trips:
        found.append(f"a round trip of {format_duration(asked.factor.round_trips[trips[0]])} on")
    if not found:
        return f"nowhere less than {factor:g} times"
    return f"less than {factor:g} times from {' or '.join(found)}"


def _is_factor(key: str) -> bool:
    return key.startswith("factor_") and not key.endswith(("_low", "_high"))


# --- plots ---------------------------------------------------------------------------------------


def _option_figure(rows: Sequence[Row]) -> Figure:
    names = [f"{row['system']}: {row['case']}" for row in rows]
    marks = {name: [row[f"{name}_latency_ms"] for row in rows] for name in ("p50", "p99")}
    return marks_plot(names, marks, "latency", "The latency with each optimisation")


def _equal_figure(rows: Sequence[Row]) -> Figure:
    return marks_plot(
        [row["case"] for row in rows],
        {"mean": [row["mean_latency_ms"] for row in rows],
         "p99": [row["p99_latency_ms"] for row in rows]},
        "latency", "The latency at equal use of the processor",
    )  # fmt: skip


def _factor_figure(asked: Optimisations, rows: Sequence[Row]) -> Figure:
    least = min(pause for pause in asked.factor.pauses if pause > 0)
    pauses = [1e3 * (pause or least / 10) for pause in asked.factor.pauses]
    series = []
    for number, (trip, row) in enumerate(zip(asked.factor.round_trips, rows, strict=True)):
        low, mean, high = (
            [row[f"factor_{i}{end}"] or math.nan for i in range(len(pauses))]
            for end in ("_low", "", "_high")
        )
        name = f"round trip {format_duration(trip)}"
        series.append(Series(name, pauses, mean, low, high, number, markers=True))
    chart = Chart("pause between messages [ms]; the leftmost is none", "push over polling",
                  log_x=True, log_y=True,
                  title="Messages exchanged with push, as a multiple of polling")  # fmt: skip
    return lines_plot(series, chart)


SUITE = Suite(
    name="optimisations",
    title="E8 optimisations",
    question="What does each proposed optimisation buy, and where does push stop to matter?",
    kind=Optimisations,
    cases=cases,
    judge=judge,
    further=further,
    method="Each option alone, and all together, on the same messages with the same service "
    "demands (common random numbers). The knee is searched for by bisection: the most agents "
    "before a station is used for 95 % of its time. At equal use of the processor each fix has the "
    "interval at which the server's processor is as busy as that of polling as it is, found by "
    "bisection, too. A pair exchanges one message after the other, with an exponential pause "
    "between them; the factor is that of the messages exchanged in the same time. Intervals are "
    "over the runs.",
    limits=(
        "What a look-up in a cache costs, 10 us, is assumed. So is that a batch of writes takes as "
        "long as a single one.",
        "A sleep that a write ends needs a server that knows of its writes: one process, or a "
        "store that notifies.",
        "Knees above the calibrated range are extrapolated.",
    ),
)
