"""The nodes of a day as text, from `lhsim.planning.Fleet.to_dict`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from textwrap import wrap
from typing import Any

from lhsim.report.text import (
    UNKNOWN,
    Column,
    between,
    clock,
    duration,
    percent,
    table,
    three_digits,
)
from lhsim.units import format_duration

Row = Mapping[str, Any]
WIDTH = 80  # of a text, in columns
SHOWN = 3  # times that are named
EACH = 8  # nodes, up to which every number is searched
SCALED = "time with too little capacity, messages sent in it, and the longest wait for it"


def fleet_text(found: Row) -> str:
    """Return the answer in words, and a table of the windows of each day."""
    lines = [part for line in fleet_sentences(found) for part in wrap(line, WIDTH)]
    for plan in found["plans"]:
        lines += ["", f"{plan['agents']:,} agents, {plan['day']}", "", _table(plan)]
    if found["autoscaler"] is not None:
        lines += ["", *wrap(f"short, late and wait: {SCALED}", WIDTH)]
    return "\n".join(lines)


def fleet_sentences(found: Row) -> list[str]:
    """Return the answer in words: the nodes first, then what has to be known about them."""
    first, *later = found["plans"]
    objectives, confidence = " and ".join(found["objectives"]), percent(found["confidence"])
    lines = [f"{objectives}: {_plan(first, confidence)}", *_fixed(first)]
    lines += _scaled(first, found["autoscaler"])
    for plan in later:
        said = _plan(plan, confidence)
        lines.append(f"{found['growth']}: {plan['agents']:,} agents on {plan['day']}, {said}")
        lines += [*_fixed(plan), *_scaled(plan, found["autoscaler"])]
    lines += [_milestone(one, later[-1]["day"]) for one in found["milestones"]]
    if any(len(plan["sizes"]) > EACH for plan in found["plans"]):
        lines.append(f"beyond {EACH} nodes, what some numbers of them serve is interpolated")
    if found["extrapolated"]:
        lines.append("extrapolated: beyond what the model was calibrated on")
    return [*lines, *(f"warning: {text}" for text in found["warnings"])]


def _plan(plan: Row, confidence: str) -> str:
    if plan["nodes"] is None:
        lacking = [one for one in plan["windows"] if one["nodes"] is None]
        tried = len(plan["sizes"])
        return f"no number of nodes up to {tried} keeps it {_times(lacking)}"
    least = min(one["nodes"] for one in plan["windows"])
    some = _count(least) if least == plan["nodes"] else f"{least} to {_count(plan['nodes'])}"
    low, high = plan["node_hours_interval"]
    ends = (UNKNOWN if one is None else three_digits(one) for one in (low, high))
    hours = three_digits(plan["node_hours"])
    if low == high == plan["node_hours"]:
        return f"{some} over the day, {hours} node-hours a day with {confidence} confidence"
    sure = f"{between(*ends)} with {confidence} confidence"
    if high is None:
        sure = f"at least {three_digits(low)}; no number that was tried is sure to keep it"
    return f"{some} over the day, {hours} node-hours a day ({sure})"


def _times(windows: Sequence[Row]) -> str:
    """Return when windows are: from the first to the last where these are neighbours."""
    runs: list[list[Row]] = [[windows[0]]]
    for before, one in pairwise(windows):
        if before["end"] == one["start"]:
            runs[-1].append(one)
        else:
            runs.append([one])
    said = [f"{clock(run[0]['start'])}-{clock(run[-1]['end'])}" for run in runs]
    more = len(said) - SHOWN
    if more > 0:
        said[SHOWN:] = ["and once more" if more == 1 else f"and {more} times more"]
    return ", ".join(said)


def _fixed(plan: Row) -> Iterator[str]:
    """Yield what as many nodes as the busiest window takes cost all day."""
    if plan["nodes"] is not None and plan["node_hours"] < 24 * plan["nodes"]:
        hours = three_digits(24 * plan["nodes"])
        yield f"{_count(plan['nodes'])} all day: {hours} node-hours"


def _scaled(plan: Row, rule: Row | None) -> Iterator[str]:
    if rule is None:
        return
    windows, hours = plan["windows"], plan["autoscaled_node_hours"]
    least = min(one["autoscaled"][0] for one in windows)
    most = max(one["autoscaled"][1] for one in windows)
    some = _count(most) if least == most else f"{least} to {_count(most)}"
    more = ""
    if plan["node_hours"] is not None:
        share = hours / plan["node_hours"] - 1
        how = "more" if share >= 0 else "fewer"
        more = f", {abs(100 * share):.0f} % {how} than the objective needs"
    short = "never too little capacity"
    if plan["short"]:
        short = (
            f"too little capacity for {_span(plan['short'])} a day, "
            f"in which {_share(plan['late'])} of the messages are sent"
        )
    yield (
        f"autoscaler at {percent(rule['target'])}: {some}, {three_digits(hours)} node-hours a day"
        f"{more}; {short}"
    )


def _milestone(one: Row, end: str) -> str:
    what = (
        f"{_count(one['nodes'])} {'keeps' if one['nodes'] == 1 else 'keep'} "
        "the objective at the busiest time"
    )
    if one["day"] is None:
        return f"{what} beyond {end}, the end of the forecast"
    sooner, later = one["days"]  # the fewest agents that they may hold come first
    days = f"{sooner or UNKNOWN} to {later or f'after {end}'}"
    return f"{what} up to {one['agents']:,} agents, until {one['day']} ({days})"


def _table(plan: Row) -> str:
    columns = [
        Column("window", left=True), Column("msg/s"), Column("peak"), Column("nodes"),
        Column("autoscaler"), Column("short"), Column("late"), Column("wait"),
    ]  # fmt: skip
    return table(columns, [_line(one) for one in plan["windows"]])


def _line(one: Row) -> list[str]:
    scaled = ["", "", "", ""]
    if one["autoscaled"] is not None:
        least, most = one["autoscaled"]
        scaled = [
            f"{least}" if least == most else f"{least}-{most}",
            _span(one["short"]) if one["short"] else "-",
            _share(one["late"]) if one["short"] else "-",
            duration(one["wait"]) if one["wait"] else "-",
        ]
    return [
        f"{clock(one['start'])}-{clock(one['end'])}",
        three_digits(one["load"]) if one["load"] else "0",
        three_digits(one["peak"]) if one["peak"] else "0",
        _nodes(one),
        *scaled,
    ]


def _nodes(one: Row) -> str:
    """Return the fewest nodes, and what they may be where that is open."""
    low, high = one["interval"]
    if low == high:
        return UNKNOWN if low is None else f"{low}"
    best = UNKNOWN if one["nodes"] is None else f"{one['nodes']}"
    return f"{best} ({UNKNOWN if low is None else low}-{'?' if high is None else high})"


def _span(seconds: float) -> str:
    return format_duration(float(round(seconds)))


def _share(share: float) -> str:
    return "<0.1 %" if 0 < share < 1e-3 else f"{100 * share:.1f} %"


def _count(nodes: int) -> str:
    return "1 node" if nodes == 1 else f"{nodes} nodes"
