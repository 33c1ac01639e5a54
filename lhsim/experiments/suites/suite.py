"""What all suites have in common: cases in; rows, a table, a plot and an answer out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pandas as pd
from attrs import asdict, field, fields, frozen

from lhsim.analysis.flags import LOWER_BOUND
from lhsim.analysis.intervals import estimate, known
from lhsim.analysis.levels import level_rows, without_latencies
from lhsim.analysis.measures import is_latency
from lhsim.errors import InputError
from lhsim.execution import Cell, Failure, Runner
from lhsim.execution.progress import progress
from lhsim.experiments import levels as levels_of
from lhsim.experiments.ending import say_done, say_problems
from lhsim.experiments.finding import Column, Finding, Picture, Table
from lhsim.experiments.levels import FailedRun, Skipped
from lhsim.experiments.options import DONE, FAILED, INTERRUPTED, Options
from lhsim.experiments.output import RUNS, formatted, plots, show, write_result
from lhsim.experiments.provenance import finding_of, warning_lines
from lhsim.experiments.setup import (
    WIDTH,
    Setup,
    manifest,
    own_settings,
    prepare,
    running,
    settings_column,
    settings_lines,
)
from lhsim.experiments.specification import MaxEvents, load
from lhsim.metrics import AgentCommunicationMetrics
from lhsim.report.marks import MARKS, legend, marked, naming, row_mark
from lhsim.report.text import UNKNOWN, duration, percent, table, three_digits
from lhsim.report.text import Column as TextColumn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lhsim.models import System
    from lhsim.simulation import Result

A = TypeVar("A")
Row = dict[str, Any]
FEW = 3  # cases that are named
METRICS = tuple(one.name for one in fields(AgentCommunicationMetrics))


@frozen
class Case:
    """A system in one situation: what one row of a suite is about."""

    name: str
    system: System
    agents: int
    duration: float  # simulated, warm-up and drain included [s]
    seeds: tuple[int, ...]
    warmup: float | None = None  # [s]; None: as `lhsim.simulate` has it
    drain: float | None = None  # [s]; likewise
    keep_messages: bool = False
    samples: int | None = None
    searched: bool = False  # a step of a search

    def cells(self, engine: str) -> list[Cell]:
        """Return its runs."""
        return [
            Cell(self.system, self.agents, self.duration, seed, engine, self.warmup, self.drain,
                 keep_messages=self.keep_messages, samples=self.samples)
            for seed in self.seeds
        ]  # fmt: skip


@frozen(eq=False)
class CaseRuns:
    """A case with its runs."""

    case: Case
    results: tuple[Result, ...]

    def row(self, unsettled: Sequence[str] = (), /, **more: Any) -> Row:
        """Return its row: who it is, then `more`, then the means of all metrics of its runs.

        At its end are the marks of its figures. Where it is overloaded it has no latencies, and
        none of the figures `unsettled` that follow from them.
        """
        system, metrics = self.case.system, [one.metrics for one in self.results]
        means = {name: spread([getattr(one, name) for one in metrics])[0] for name in METRICS}
        head: Row = {"system": system.name, "architecture": system.architecture}
        head |= {"case": self.case.name, "agents": self.case.agents}
        row = {**head, "replications": len(self.results), **more, **means, **self._marks(more)}
        if not row["overloaded"]:
            return row
        unknown = [f"{name}{end}" for name in unsettled for end in ("", "_low", "_high")]
        return {**without_latencies(row), **dict.fromkeys(unknown)}

    def _marks(self, more: Row) -> Row:
        """Return what has to be known about the figures; all latencies have the mean's flags.

        A suite that knows its `lower_bounds` names them itself.
        """
        (known,) = level_rows({"servers": 1, **one.row()} for one in self.results)
        own = more.get("lower_bounds")
        of_mean = known["flags"].get("mean_latency_ms", [])
        if own is not None:
            of_mean = [flag for flag in of_mean if flag != LOWER_BOUND]
        ours = {key: of_mean for key in more if of_mean and is_latency(key)}
        bounds = [*known["lower_bounds"], *(own or ())]
        return {
            **{key: known[key] for key in MARKS},
            "lower_bounds": bounds,
            "flags": {**known["flags"], **ours},
        }


@frozen
class SuiteColumn:
    """A column of a suite's table."""

    key: str  # in the rows
    title: str
    unit: str = ""
    text: Callable[[Row], str] | None = None  # how people see it; None: as others of its unit
    left: bool = False
    page_only: bool = False  # in the report, and not on a terminal
    says_why: bool = False  # its text says why there is no value

    def of(self, row: Row) -> str:
        """Return what stands in a row of it, with its marks."""
        return marked(row, self.key, lambda: self._plain(row), self._unknown(row))

    def _plain(self, row: Row) -> str:
        if self.text is not None:
            return self.text(row)
        value = row[self.key]
        return SHOWN[self.unit](value) if self.unit in SHOWN else _number(value)

    def _unknown(self, row: Row) -> str:
        """Return what stands for a value that is not there: what the column says of it."""
        return self.text(row) if self.text is not None and self.says_why else UNKNOWN


@frozen(eq=False)
class SuiteTable:
    """A further table of a suite, with its plot where it has one."""

    name: str  # of the plot, and of the table in the finding
    title: str
    rows: list[Row]
    columns: tuple[SuiteColumn, ...]
    figure: Callable[[], Figure] | None = None
    caption: str = ""
    alt: str = ""


@frozen(eq=False)
class SuiteFinding:
    """What a suite found in its runs."""

    rows: list[Row]
    columns: tuple[SuiteColumn, ...]
    answer: str
    figure: Callable[[], Figure]
    caption: str
    alt: str
    notes: tuple[str, ...] = ()  # below the table
    claims: tuple[Mapping[str, Any], ...] = ()
    parts: tuple[SuiteTable, ...] = ()  # after the first table


@frozen
class Suite(Generic[A]):
    """A suite: how its specification becomes cases, and what their runs say."""

    name: str  # of the command, of its file in ``experiments/`` and of its plot
    title: str
    question: str
    kind: type[A]  # of the specification
    cases: Callable[[A, Setup, int], list[Case]]  # for so many replications
    judge: Callable[[A, Sequence[CaseRuns]], SuiteFinding]
    method: str
    limits: tuple[str, ...] = ()
    # What is to be run besides, by what has run; nothing in the end. Asked after each round.
    further: Callable[[A, Setup, Sequence[CaseRuns]], list[Case]] | None = None


@frozen
class Outcome:
    """What became of the cases of a suite."""

    case_runs: tuple[CaseRuns, ...]
    failed: tuple[FailedRun, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    interrupted: bool = False
    traceback: str | None = field(default=None, repr=False)  # of the first failure

    def and_then(self, other: Outcome) -> Outcome:
        """Return what became of these cases and of further ones."""
        return Outcome(
            (*self.case_runs, *other.case_runs),
            (*self.failed, *other.failed),
            (*self.skipped, *other.skipped),
            self.interrupted or other.interrupted,
            self.traceback or other.traceback,
        )

    @property
    def complete(self) -> bool:
        """Whether each case has at least one run, so that they can be compared."""
        return bool(self.case_runs) and all(ran.results for ran in self.case_runs)

    @property
    def status(self) -> str:
        """What a finding says of it."""
        if self.interrupted:
            return "interrupted"
        return "failed" if self.failed or not self.complete else "done"


def run(suite: Suite[Any], options: Options) -> int:
    """Run a suite, write and show what it found, and return the exit code."""
    asked = load(suite.name, suite.kind)
    setup = prepare(suite.name, options, asked.systems, asked.settings)
    cases = suite.cases(asked, setup, options.replications or asked.replications)
    for case in cases:
        levels_of.check_agents(case.system, case.agents)
    with running(setup, [case.system for case in cases]) as runner:
        limit = asked.max_events.unless(options.max_events)
        outcome = carry_out(cases, limit, setup, runner)
        while outcome.status == "done" and suite.further is not None:
            cases = suite.further(asked, setup, outcome.case_runs)
            if not cases:
                break
            outcome = outcome.and_then(carry_out(cases, limit, setup, runner))
    found = suite.judge(asked, outcome.case_runs) if outcome.complete else None
    rows = (
        found.rows if found is not None else [ran.row() for ran in outcome.case_runs if ran.results]
    )
    rows = [row | settings_column(setup) for row in rows]
    show(formatted(rows, options.output_format, partial(_report, suite, setup, outcome, found)))
    files = _write(suite, setup, outcome, found)  # a disk that is full must not hide the table
    say_problems(setup, outcome.failed, outcome.skipped)
    say_done(setup, runner.tally, files, interrupted=outcome.interrupted)
    if outcome.interrupted:
        return INTERRUPTED
    return FAILED if outcome.failed else DONE


def carry_out(
    cases: Sequence[Case], limit: MaxEvents, setup: Setup, runner: Runner, title: str = "runs"
) -> Outcome:
    """Run cases; leave out what is more than a run may do."""
    options = setup.options
    of_case = [case.cells(options.engine) for case in cases]
    skipped = tuple(
        Skipped(case.system.name, case.system.architecture, case.agents, reason)
        for case, cells in zip(cases, of_case, strict=True)
        if (reason := levels_of.why_not(cells[0], limit)) is not None
    )
    if skipped:
        return Outcome((), skipped=skipped)
    every = [cell for cells in of_case for cell in cells]
    with progress(title, runner.left(every), shown=options.show_progress) as on_done:
        outcomes, interrupted = runner.run(every, on_done=on_done)
    return _outcome(cases, every, outcomes, interrupted=interrupted)


def _outcome(
    cases: Sequence[Case],
    cells: Sequence[Cell],
    outcomes: Mapping[int, Result | Failure],
    *,
    interrupted: bool,
) -> Outcome:
    case_runs, begin = [], 0
    for case in cases:
        end = begin + len(case.seeds)
        runs = [outcomes[index] for index in range(begin, end) if index in outcomes]
        case_runs.append(CaseRuns(case, tuple(one for one in runs if not isinstance(one, Failure))))
        begin = end
    failures = {index: one for index, one in sorted(outcomes.items()) if isinstance(one, Failure)}
    failed = tuple(FailedRun.of(cells[index], one) for index, one in failures.items())
    first = next(iter(failures.values()), None)
    trace = None if first is None else first.traceback
    return Outcome(tuple(case_runs), failed, interrupted=interrupted, traceback=trace)


def only_number(given: tuple[int, ...] | None, otherwise: int) -> int:
    """Return the one number of agents that was asked for, or the other."""
    if given is None:
        return otherwise
    if len(given) != 1:
        problem = f"{len(given)} numbers are too many"
        raise InputError(problem, source="--agents", allowed="one number for this experiment")
    return given[0]


def spread(
    values: Sequence[float | None], least: float = 0.0, most: float = math.inf
) -> tuple[float | None, float | None, float | None]:
    """Return the mean of the runs' values and its 95 % interval; None for what is not known.

    The interval ends where the quantity does: from `least` to `most`.
    """
    found = estimate(values).within(least, most)
    return known(found.value), known(found.low), known(found.high)


def spread_of(
    name: str, values: Sequence[float | None], least: float = 0.0, most: float = math.inf
) -> Row:
    """Return the mean of the runs' values and its 95 % interval as three columns; see `spread`."""
    mean, low, high = spread(values, least, most)
    return {name: mean, f"{name}_low": low, f"{name}_high": high}


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return "0" if value == 0 else three_digits(value)


# How people see a value with a unit; others are shown as numbers.
SHOWN: Mapping[str, Callable[[float], str]] = {
    "ms": lambda value: duration(value / 1e3),
    "MB": lambda value: f"{_number(value)} MB",
    "%": lambda value: f"{value:.0f} %",
    "share": percent,
}


def _report(suite: Suite[Any], setup: Setup, outcome: Outcome, found: SuiteFinding | None) -> str:
    """Return the results as a text of at most 80 columns, where names are not too long."""
    lines = [*wrap(suite.question, WIDTH), *wrap(_runs(setup, outcome), WIDTH)]
    lines += [*settings_lines(own_settings(setup)), ""]
    if found is None:
        lines += [*map(str, outcome.skipped)] or [
            "not all cases have a run, so there is nothing to compare"
        ]
        return "\n".join(part for line in lines for part in (wrap(line, WIDTH) or [""]))
    lines += [_text(found.columns, found.rows), ""]
    for part in found.parts:
        lines += [*wrap(part.title, WIDTH), "", _text(part.columns, part.rows), ""]
    meanings = [*_legend(found), *warning_lines(setup.systems)]
    for line in (*meanings, *([""] if meanings else []), *found.notes, found.answer):
        lines += wrap(line, WIDTH)
    return "\n".join(lines)


def _text(columns: Sequence[SuiteColumn], rows: Sequence[Row]) -> str:
    shown = [one for one in columns if not one.page_only]
    named = naming([one.key for one in shown])
    body = [
        [one.of(row) + (row_mark(row) if one.key == named else "") for one in shown] for row in rows
    ]
    return table([TextColumn(one.title, left=one.left) for one in shown], body)


def _legend(found: SuiteFinding) -> list[str]:
    """Return what the marks in all tables mean."""
    tables = [(found.rows, found.columns), *((part.rows, part.columns) for part in found.parts)]
    lines = [
        line
        for rows, columns in tables
        for line in legend(rows, [one.key for one in columns if not one.page_only])
    ]
    return list(dict.fromkeys(lines))


def _runs(setup: Setup, outcome: Outcome) -> str:
    counts = {len(ran.case.seeds) for ran in outcome.case_runs}
    runs = "-".join(map(str, sorted(counts))) or "no"
    return f"{runs} run{'' if runs == '1' else 's'} a case, seed {setup.options.seed}"


def _write(
    suite: Suite[Any], setup: Setup, outcome: Outcome, found: SuiteFinding | None
) -> list[str]:
    """Write runs, plot, manifest and finding; return the names of the files."""
    files: dict[str, Callable[[Path], object]] = {}
    records = [
        {"case": ran.case.name, **result.row()}
        for ran in outcome.case_runs
        for result in ran.results
    ]
    if records:
        files[RUNS] = lambda path: pd.DataFrame(records).to_parquet(path, index=False)
    if found is not None:
        files |= plots(found.figure(), suite.name)
        for part in found.parts:
            files |= {} if part.figure is None else plots(part.figure(), part.name)
    facts = {
        "runs": len(records),
        "axes": {"case": ""},
        "interrupted": outcome.interrupted,
        "engines": sorted({record["engine"] for record in records}),
        "skipped": [asdict(one) for one in outcome.skipped],
        "failures": [asdict(one) for one in outcome.failed],
    }
    files |= _finding(suite, setup, outcome, found).files()
    return write_result(setup.options.output_dir, files, {**manifest(setup), **facts})


def _finding(
    suite: Suite[Any], setup: Setup, outcome: Outcome, found: SuiteFinding | None
) -> Finding:
    failure = outcome.failed[0].failure if outcome.failed else None
    error = "; ".join(map(str, outcome.skipped)) or None if failure is None else str(failure)
    shown = {}
    if found is not None:
        drawn = [part for part in found.parts if part.figure is not None]
        shown = {
            "answer": found.answer,
            "tables": (
                _table("cases", suite.title, found.columns, found.rows),
                *(_table(one.name, one.title, one.columns, one.rows) for one in found.parts),
            ),
            "figures": (
                Picture(f"{suite.name}.svg", found.caption, found.alt),
                *(Picture(f"{one.name}.svg", one.caption, one.alt) for one in drawn),
            ),
            "claims": found.claims,
        }
    return finding_of(
        setup,
        title=suite.title,
        question=suite.question,
        status=outcome.status,
        error=error,
        traceback=outcome.traceback,
        alerts=_alerts(outcome.case_runs),
        method=suite.method,
        limits=suite.limits,
        **{"answer": "", **shown},
    )


def _alerts(case_runs: Sequence[CaseRuns]) -> tuple[Row, ...]:
    """Return the alerts that would have fired in the first runs of cases: in which, and when first.

    A case of a search is none to be told of by itself.
    """
    fired: dict[tuple[str, str], list[tuple[str, Row]]] = {}
    for ran in case_runs:
        for alert in ran.results[0].alerts() if ran.results and not ran.case.searched else ():
            if alert.fired_at is not None:
                key = ran.case.system.name, alert.threshold.name
                fired.setdefault(key, []).append((ran.case.name, alert.to_dict()))
    return tuple(
        {
            "system": system,
            "cases": "; ".join(name for name, _ in some)
            if len(some) <= FEW
            else f"{len(some)} cases",
            **{key: some[0][1][key] for key in ("alert", "severity", "threshold")},
            "fired_at_s": min(row["fired_at_s"] for _, row in some),
        }
        for (system, _), some in fired.items()
    )


def _table(name: str, title: str, columns: Sequence[SuiteColumn], rows: Sequence[Row]) -> Table:
    shown = tuple(Column(one.key, one.title, one.unit) for one in columns)
    return Table(name, title, shown, tuple(rows))


def refuse_traffic(setup: Setup, problem: str) -> None:
    """Refuse a setting of the traffic, where the experiment has its own."""
    for setting in setup.options.settings:
        key = setting.partition("=")[0].strip()
        if f"{key}.".startswith("workload.traffic."):
            raise InputError(problem, source="--set", key=key, allowed="any other parameter")
