"""Replications in rounds, until a level is known as well as was asked for.

A round is the runs that all levels need next, and ends when all of them are done: which runs there
are does not depend on how many run at once. Replication r of any level has the seed
`lhsim.streams.replication_seed(seed, r)`. The rule is in `lhsim.analysis.stopping`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from lhsim.analysis.levels import level_estimates
from lhsim.analysis.measures import column
from lhsim.analysis.stopping import DEFAULT_MOST, Precision, Verdict, judge
from lhsim.checks import whole_number
from lhsim.errors import InputError, is_real, shown
from lhsim.execution import Cell, Failure, engine_of
from lhsim.experiments.levels import pooled_latencies, work
from lhsim.streams import replication_seed

if TYPE_CHECKING:
    from lhsim.experiments.specification import MaxEvents
    from lhsim.simulation import Result

LEAST, MOST = 1e-4, 1.0  # of a target
Level = list[Cell]  # its runs, which differ in their seeds
Outcomes = dict[tuple[int, int], "Result | Failure"]  # by number of the level and seed
Round = tuple[dict[int, "Result | Failure"], bool]  # outcomes by index; whether it was interrupted


@frozen
class Rounds:
    """How a plan is carried on from its first round."""

    precision: Precision
    seed: int
    max_events: MaxEvents  # of all runs of a level together, beyond the first round


@frozen
class Done:
    """What was run, by level."""

    runs: tuple[tuple[tuple[Cell, Result | Failure | None], ...], ...]
    verdicts: tuple[Verdict | None, ...]  # None: it was interrupted before
    interrupted: bool


def precision_of(
    targets: Mapping[str, float], most: int | None, replications: int | None, *, cli: bool = False
) -> Precision | None:
    """Return what was asked for; None where no measure is named.

    `targets` are relative half-widths by the names of measures (`lhsim.analysis.measures`), `most`
    the replications of a level at most (None: 50), and `replications` those that were asked for,
    None where they were not. With `cli` what is refused names options instead of arguments. Raises
    `InputError` for a measure without an interval, a target out of range, or budgets that
    contradict.
    """
    place = {"source": "--max-replications"} if cli else {"key": "max_replications"}
    where = {"source": "--precision"} if cli else {"key": "precision"}
    if not isinstance(targets, Mapping):
        problem, allowed = f"{shown(targets)} is no table", 'a table such as {"p99": 0.05}'
        raise InputError(problem, **where, allowed=allowed)
    if not targets:
        if most is not None:
            allowed = "together with --precision" if cli else "together with precision"
            raise InputError("nothing says how precise", **place, allowed=allowed)
        return None
    widths = {}
    for name, target in targets.items():
        column(name, **where)
        widths[name] = _width(name, target, where)
    least = max(2, replications or 0)
    allowed = f"a whole number >= {least}" + (", the replications" if least > 2 else "")
    try:
        limit = whole_number(DEFAULT_MOST if most is None else most, "", least)
    except InputError as error:
        raise InputError(error.problem, **place, allowed=allowed) from None
    return Precision(widths, limit)


def _width(name: str, target: object, where: Mapping[str, str]) -> float:
    allowed = "a half-width from 0.01 % to below 100 % of the value, such as p99=5%"
    if not is_real(target) or not LEAST <= float(target) < MOST:
        problem = f"{name}: {shown(target)} is out of range"
        raise InputError(problem, **where, allowed=allowed)
    return float(target)


def carry_out(
    first: Sequence[Sequence[Cell]],
    rounds: Rounds | None,
    run_round: Callable[[str, Sequence[Cell]], Round],
    *,
    fail_fast: bool = False,
) -> Done:
    """Run what it takes to know some levels, whose runs of the first round are `first`.

    `rounds` says how it goes on; None: the first round is all. `run_round` runs the cells of a
    round, under a title, and returns their outcomes by index, and whether it was interrupted. With
    `fail_fast` no other round is run after a run has failed.
    """
    levels: list[Level] = [list(cells) for cells in first]
    outcomes: Outcomes = {}
    verdicts: dict[int, Verdict] = {}
    due = [(number, cell) for number, cells in enumerate(levels) for cell in cells]
    round_number, ended = 1, False
    while due and not ended:
        done, ended = run_round(
            "" if rounds is None else f"round {round_number}", [cell for _, cell in due]
        )
        outcomes |= {(due[i][0], due[i][1].seed): outcome for i, outcome in done.items()}
        if (
            rounds is None
            or ended
            or (fail_fast and any(isinstance(one, Failure) for one in done.values()))
        ):
            break
        asking = dict.fromkeys(number for number, _ in due)
        verdicts |= {number: _judge(number, levels[number], outcomes, rounds) for number in asking}
        due = [
            (number, new)
            for number in asking
            for new in _more(levels[number], verdicts[number], rounds)
        ]
        round_number += 1
    return Done(
        tuple(
            tuple((cell, outcomes.get((number, cell.seed))) for cell in cells)
            for number, cells in enumerate(levels)
        ),
        tuple(verdicts.get(number) for number in range(len(levels))),
        ended,
    )


def _judge(number: int, cells: Level, outcomes: Outcomes, rounds: Rounds) -> Verdict:
    """Return the verdict over one level."""
    ended = [outcomes[number, cell.seed] for cell in cells]
    results = [one for one in ended if not isinstance(one, Failure)]
    most = rounds.max_events.of(engine_of(cells[0]))
    affordable = max(most // max(1, work(cells[0])), 1)
    if not results:
        return Verdict("failed", len(cells), dict.fromkeys(rounds.precision.targets))
    pooled = pooled_latencies([result.latency for result in results])
    columns = {name: column(name) for name in rounds.precision.targets}
    records = [result.row() for result in results]
    by_column = level_estimates(records, pooled, columns.values())
    estimates = {name: by_column[one] for name, one in columns.items()}
    return judge(estimates, len(cells), rounds.precision, affordable)


def _more(cells: Level, verdict: Verdict, rounds: Rounds) -> list[Cell]:
    """Return the runs that a level needs next, and add them to its runs."""
    if verdict.reason:
        return []
    new = [
        evolve(cells[0], seed=replication_seed(rounds.seed, number))
        for number in range(len(cells), verdict.replications)
    ]
    cells += new
    return new
