"""E3, memory: what the server holds under load for half an hour, and whether that grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lhsim.analysis.lines import Chart, Series, lines_plot
from lhsim.experiments import levels as levels_of
from lhsim.experiments.setup import Setup, varied
from lhsim.experiments.specification import MemoryUnderLoad
from lhsim.experiments.suites.suite import (
    Case,
    CaseRuns,
    Row,
    Suite,
    SuiteColumn,
    SuiteFinding,
    only_number,
    spread_of,
)
from lhsim.report.text import UNKNOWN, three_digits
from lhsim.simulation.horizons import Horizon, Times, times

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lhsim.simulation import Result

MB = 1e6
MOST_SAMPLES = 100_000  # of the state, in a run
HOUR = 3600.0  # [s]
STEADY = 1.0  # MB/h, below which nobody would call it growth


def cases(asked: MemoryUnderLoad, setup: Setup, replications: int) -> list[Case]:
    """Return each system in each variant."""
    options = setup.options
    agents = only_number(options.agents, asked.agents)
    duration = options.duration or asked.duration
    seeds = levels_of.seeds(options.seed, replications)
    samples = max(10, round(min(duration / asked.every, MOST_SAMPLES)))
    cases = []
    for number in range(len(setup.systems)):
        for variant in asked.variants:
            system = varied(setup, number, variant.settings)
            warmup = _to_a_sample(times(system, agents, Horizon(duration=duration)), samples)
            case = Case(variant.name, system, agents, duration, seeds, warmup, samples=samples)
            cases.append(case)
    return cases


def _to_a_sample(found: Times, samples: int) -> float:
    """Return a warm-up that ends when the state is looked at, the first time after its end [s]."""
    step = math.ceil(found.warmup * samples / found.duration)
    return found.duration * step / samples


def judge(_asked: MemoryUnderLoad, case_runs: Sequence[CaseRuns]) -> SuiteFinding:
    """Return how fast the memory of each case grows."""
    rows = [_row(ran) for ran in case_runs]
    return SuiteFinding(
        rows,
        COLUMNS,
        answer=_answer(rows),
        figure=partial(_figure, case_runs),
        caption="Memory of the server over time, in the first run of each case.",
        alt="Lines of memory against time: those with a log in memory rise, those with retention "
        "or with their events in a database are level.",
    )


def growth(result: Result) -> float:
    """Return the slope of the memory after the warm-up, by least squares [MB/h]."""
    time, memory = result.samples["time_s"], result.samples["memory_b"]
    inside = time >= result.warmup
    slope = np.polyfit(time[inside], memory[inside], 1)[0]
    return float(slope) * HOUR / MB


def _row(ran: CaseRuns) -> Row:
    ends = [float(result.samples["memory_b"][-1]) / MB for result in ran.results]
    return ran.row(
        **spread_of("growth_mb_per_hour", [growth(one) for one in ran.results], least=-math.inf),
        memory_end_mb=float(np.mean(ends)),
        duration_s=ran.case.duration,
        samples=len(ran.results[0].samples["time_s"]),
    )


def _growth_text(row: Row) -> str:
    """Return a growth as people see it: without the noise of what does not grow."""
    values = [row[f"growth_mb_per_hour{end}"] for end in ("", "_low", "_high")]
    value, *ends = [UNKNOWN if one is None else f"{round(one) + 0:,}" for one in values]
    return value if ends[0] in (value, UNKNOWN) else f"{value} ({'-'.join(ends)})"


def _answer(rows: Sequence[Row]) -> str:
    growing = [row for row in rows if row["growth_mb_per_hour"] > STEADY]
    if not growing:
        return "The memory of no system grows by more than 1 MB/h."
    names = ", ".join(
        f"{row['system']} ({row['case']}) by {three_digits(row['growth_mb_per_hour'])} MB/h"
        for row in growing
    )
    still = [row for row in rows if row not in growing]
    rest = "all others stay as they are" if still else "none stays as it is"
    return f"It grows with {names}; {rest}."


def _figure(case_runs: Sequence[CaseRuns]) -> Figure:
    systems = list(dict.fromkeys(ran.case.system.name for ran in case_runs))
    series: list[Series] = []
    for ran in case_runs:
        samples, case = ran.results[0].samples, ran.case
        series.append(
            Series(
                f"{case.system.name}, {case.name}",
                x=list(samples["time_s"] / 60),
                y=list(samples["memory_b"] / MB),
                colour=len(series),
                dashed=systems.index(case.system.name) > 0,
            )
        )
    title = "The memory of the server under load"
    return lines_plot(series, Chart("time [min]", "memory of the server [MB]", title=title))


COLUMNS = (
    SuiteColumn("system", "system", left=True),
    SuiteColumn("case", "case", left=True),
    SuiteColumn("messages_per_second", "msg/s", "1/s"),
    SuiteColumn("memory_baseline_mb", "base", "MB"),
    SuiteColumn("memory_end_mb", "end", "MB"),
    SuiteColumn("memory_peak_mb", "peak", "MB"),
    SuiteColumn("growth_mb_per_hour", "MB/h", "MB/h", _growth_text),
)

SUITE = Suite(
    name="memory",
    title="E3 memory",
    question="What does the server hold in memory after half an hour under load, and does it go "
    "on growing?",
    kind=MemoryUnderLoad,
    cases=cases,
    judge=judge,
    method="The memory is that of the model: a base, and so much for each agent, connection and "
    "event kept, sampled every 5 s. The growth is the slope of a least-squares line through the "
    "samples after the first tenth of the run; its interval is over the runs.",
    limits=(
        "What an event takes in memory is assumed (1 kB), not measured.",
        "The model has no leaks and no fragmentation: it shows what the design holds on to.",
    ),
)
