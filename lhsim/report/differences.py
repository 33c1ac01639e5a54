"""What differs between two results as text: a paragraph for everybody, then the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from lhsim.analysis import flags
from lhsim.report.text import CAPACITY, Column, axis_text, metric_text, table

Row = Mapping[str, Any]
WIDTH = 80  # of a text, in columns
LATENCIES = ("p99", "p95", "p50", "mean")  # the first that differs is told
OVERLOADED = "overloaded"
FEW = 3  # levels that are named
COLUMNS = (
    Column("agents"),
    Column("metric", left=True),
    Column("A"),
    Column("B"),
    Column("B - A"),
    Column("95 %"),
)


def comparison_paragraph(found: Row) -> str:
    """Return what differs, for a reader who reads nothing else."""
    rows = found["rows"]
    differing = [row for row in rows if row["differs"] and row["metric"] != OVERLOADED]
    sentences = [*_overloaded(found), *_headlines(found, differing)]
    tested = sum(row["metric"] != OVERLOADED for row in rows)
    if not differing and tested:
        sentences.append(f"Nothing differs beyond chance in {_counted(tested, 'comparison')}.")
    elif len(differing) > 1:
        sentences.append(f"{len(differing)} of {tested} comparisons differ beyond chance.")
    return " ".join([*sentences, *_tolerance(found), *_unmatched(found)])


def _unmatched(found: Row) -> Iterator[str]:
    """Yield that levels of one result alone were not compared."""
    for side, count in zip("AB", found["unmatched"], strict=True):
        if count:
            yield f"{_counted(count, 'level')} only in {side} could not be compared."


def _headlines(found: Row, differing: Sequence[Row]) -> Iterator[str]:
    """Yield a sentence for each system of which something differs."""
    name = f"B ({found['b']})"
    systems = list(dict.fromkeys(row["system_a"] for row in found["rows"]))
    for system in systems:
        mine = [row for row in differing if row["system_a"] == system]
        if not mine:
            continue
        main = max(mine, key=_weight)
        where = f" with {system}" if len(systems) > 1 else ""
        rest = _rest(mine, main, differing)
        if main["metric"] == CAPACITY:
            more = "more" if main["difference"] > 0 else "fewer"
            text = _instead(main).removeprefix("capacity ")
            yield f"{name} holds {more} agents: {text}{rest}."
        elif main["metric"] in LATENCIES:
            yield f"{name} is {_speed(mine)}{where}: {_at(found, main)}{rest}."
        else:
            yield f"{name} is as fast as A{where}, but: {_at(found, main)}{rest}."


def _weight(row: Row) -> tuple[int, int]:
    """Return how much a difference says: latencies first, then the most agents."""
    order = LATENCIES.index(row["metric"]) if row["metric"] in LATENCIES else len(LATENCIES)
    return -order, row["agents"]


def _speed(rows: Sequence[Row]) -> str:
    faster = {row["difference"] < 0 for row in rows if row["metric"] in LATENCIES}
    if len(faster) > 1:
        return "faster in some figures and slower in others"
    return "faster" if faster == {True} else "slower"


def _rest(mine: Sequence[Row], main: Row, differing: Sequence[Row]) -> str:
    """Return what else differs at the level of the main figure."""
    there = [
        row for row in mine
        if row is not main and row["metric"] not in LATENCIES and _level(row) == _level(main)
    ]  # fmt: skip
    if there:
        return "; there " + ", ".join(map(_instead, there))
    return "; nothing else differs beyond chance" if len(differing) == 1 else ""


def _at(found: Row, row: Row) -> str:
    text = metric_text(row["metric"], row["b"])
    level = "in" if "case" in found["units"] else "at"
    return (
        f"{row['metric']} {level} {_level_text(row, found['units'])} {text} instead of "
        f"{metric_text(row['metric'], row['a'])}"
    )


def _instead(row: Row) -> str:
    metric = row["metric"]
    return f"{metric} {metric_text(metric, row['b'])} instead of {metric_text(metric, row['a'])}"


def _overloaded(found: Row) -> Iterator[str]:
    """Yield which side is overloaded where, in place of its figures."""
    subjects = {"A is": (True, False), "B is": (False, True), "Both are": (True, True)}
    for who, sides in subjects.items():
        where = [
            f"{_level_text(row, found['units'])} of {row['system_a']}" for row in found["rows"]
            if row["metric"] == OVERLOADED and (row["a"], row["b"]) == sides
        ]  # fmt: skip
        if where:
            more = f" and {_counted(len(where) - FEW, 'more level')}" if len(where) > FEW else ""
            named = "; ".join(where[:FEW])
            yield f"{who} overloaded with {named}{more}: no latency settles there."


def _tolerance(found: Row) -> Iterator[str]:
    if found["tolerance"] is None:
        return
    worse = [row for row in found["rows"] if row["worse"]]
    most = f"{100 * found['tolerance']:.3g} %"
    if not worse:
        yield f"Nothing is surely worse by more than {most}."
        return
    counts = Counter(row["metric"] for row in worse)
    told = [f"{metric} at {_counted(count, 'level')}" for metric, count in counts.items()]
    yield f"Surely worse by more than {most}: {', '.join(told)}."


def comparison_text(found: Row) -> str:
    """Return the paragraph, what was compared, and the figures that differ, 80 columns wide."""
    rows = found["rows"]
    lines = [*wrap(comparison_paragraph(found), WIDTH), ""]
    lines += [f"A: {found['a']}", f"B: {found['b']}", *wrap(_how(found), WIDTH)]
    differing = [row for row in rows if row["differs"] and row["metric"] != OVERLOADED]
    units = found["units"]
    tables: dict[str, list[Row]] = {}
    for row in differing:
        tables.setdefault(_title(row, units), []).append(row)
    for title, mine in tables.items():
        cells = [_cells(row, with_agents=not units) for row in mine]
        lines += ["", *wrap(title, WIDTH), table(COLUMNS, cells)]
    doubts = {one for row in differing for one in row["doubts"].split(", ") if one}
    notes = [f"? {flag}: {text}" for flag, text in flags.MEANINGS.items() if flag in doubts]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def _how(found: Row) -> str:
    """Return how it was compared, in a sentence."""
    rows = [row for row in found["rows"] if row["metric"] != OVERLOADED]
    if not rows:
        return "No level has figures on both sides."
    if rows[0]["metric"] == CAPACITY:
        return "Capacities with their intervals, as if these were independent."
    pairs = {row["paired"] for row in rows}
    how = {True: "runs paired by their seeds", False: "independent runs"}
    kinds = " and ".join(how[one] for one in sorted(pairs, reverse=True))
    runs = sorted({row[side] for row in rows for side in ("runs_a", "runs_b")})
    levels = len({tuple(_level(row)) for row in rows})
    counts = "-".join(map(str, dict.fromkeys((runs[0], runs[-1]))))
    chance = 100 * (1 - found["confidence"])
    left_out = dict(zip(("only in A", "only in B"), found["unmatched"], strict=True))
    left_out["with a single run on a side"] = found["single"]
    alone = "; ".join(
        f"{_counted(count, 'level')} {why}" for why, count in left_out.items() if count
    )
    return (
        f"{_counted(levels, 'level')}, {counts} runs of each, {kinds}; {chance:.3g} % chance to "
        f"find any difference where there is none (Holm){'; ' + alone if alone else ''}."
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _level(row: Row) -> list[Any]:
    """Return what a record has before its metric: where its level lies."""
    return [*row.values()][: [*row].index("metric")]


def _title(row: Row, units: Mapping[str, str]) -> str:
    """Return what stands above a table: the system, and where its level lies on other axes."""
    names = " -> ".join(dict.fromkeys((row["system_a"], row["system_b"])))
    return f"{names}: {_level_text(row, units)}" if units else names


def _level_text(row: Row, units: Mapping[str, str]) -> str:
    if "case" in units:  # of a suite: it says how many agents there are
        return str(row["case"])
    axes = ", ".join(
        f"{axis.rpartition('.')[2]}={axis_text(row[axis], unit)}"
        for axis, unit in units.items()
        if row[axis] is not None
    )
    return f"{row['agents']:,} agents" + (f" ({axes})" if axes else "")


def _cells(row: Row, *, with_agents: bool) -> list[str]:
    metric, doubtful = row["metric"], "?" if row["doubts"] else ""
    ends = [_signed(metric, row[f"difference_{end}"]) for end in ("low", "high")]
    same = ends[0].partition(" ")[2] == ends[1].partition(" ")[2]
    low = ends[0].partition(" ")[0] if same else ends[0]
    around = "exactly" if ends[0] == ends[1] else f"{low} to {ends[1]}"
    return [
        f"{row['agents']:,}" if with_agents and row["agents"] else "",
        metric + doubtful,
        metric_text(metric, row["a"]),
        metric_text(metric, row["b"]),
        _signed(metric, row["difference"]),
        around,
    ]


def _signed(metric: str, value: float) -> str:
    """Return a difference: of shares in percentage points."""
    text = metric_text(metric, abs(value)).replace(" %", " pt").removesuffix(" agents")
    return f"{'-' if value < 0 else '+'}{text}"
