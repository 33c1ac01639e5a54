"""An explanation as text, from `lhsim.explanation.Explanation.to_dict`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from lhsim.report.text import UNKNOWN, Column, between, duration, table

Row = Mapping[str, Any]
WIDTH = 80  # of a text, in columns
NAMED = 3  # parts and remedies in a sentence
FEW = 1000  # messages, below which p99 is that of ten or less
WORTH = 0.02  # of a latency, from which a part of it or a change is worth a sentence


def explanation_sentences(found: Row) -> list[str]:
    """Return where the time goes, what helps, and what has to be known about it."""
    lines = [_where(found), *_tail(found), what_helps(found), *_useless(found), _busiest(found)]
    if found["count"] < FEW:
        lines.append(f"few messages: p99 is that of {found['count']:,}")
    if found["beyond"]:
        lines.append(f"extrapolated: {', '.join(found['beyond'])}")
    if found["overloaded"]:
        lines.append("the system is overloaded: latencies grow as long as a run lasts, and what "
                     "helps is not known")  # fmt: skip
    return [*lines, *(f"warning: {text}" for text in found["warnings"])]


def _where(found: Row) -> str:
    who = f"{found['system']} with {found['agents']:,} agents"
    if not found["parts"]:
        return f"The latency of {who} is 0: no step takes any time."
    return f"Of the mean latency of {who}, {duration(found['mean'])}, {_shares(found, 'share')}."


def _tail(found: Row) -> Iterator[str]:
    """Yield where the time of the slowest messages goes, if that is elsewhere."""
    parts = _worth(found, "tail_share")
    if [one["name"] for one in parts] != [one["name"] for one in _worth(found, "share")]:
        said = _shares(found, "tail_share")
        yield f"Of the latency of the messages around p99, {duration(found['tail'])}, {said}."


def _shares(found: Row, key: str) -> str:
    first, *others = _worth(found, key)
    said = [f"{_percent(first[key])} is {first['name']}"]
    return _list([*said, *(f"{_percent(one[key])} {one['name']}" for one in others)])


def _worth(found: Row, key: str) -> list[Row]:
    rows = sorted(found["parts"], key=lambda one: -one[key])
    return [one for one in rows[:NAMED] if one[key] >= WORTH] or rows[:1]


def what_helps(found: Row) -> str:
    """Return what shortens latencies most."""
    good = [one for one in _known(found) if one["helps"] and _gain(one) >= WORTH]
    best = sorted(good, key=lambda one: -_gain(one))[:NAMED]
    if not best:
        return "Nothing that was tried shortens it by more than chance, or by 2 % at all."
    said = _list(
        f"{one['remedy']} (mean {_to(one['mean'])}, p99 {_to(one['p99'])})" for one in best
    )
    return f"What shortens it most: {said}."


def _useless(found: Row) -> Iterator[str]:
    """Yield what changes next to nothing."""
    idle = [one["remedy"] for one in _known(found) if abs(_gain(one)) < WORTH]
    if idle:
        yield f"What changes next to nothing: {_list(idle)}."


def _busiest(found: Row) -> str:
    used = found["utilization"]
    if not used:
        return "No station is known to be busy."
    name = max(used, key=lambda one: used[one])
    return f"The busiest station is {name}, {_percent(used[name])} of the time."


def _known(found: Row) -> list[Row]:
    return [one for one in found["effects"] if one["mean"] is not None]


def _gain(one: Row) -> float:
    """Return the larger of the parts of the mean and of p99 that a remedy takes away."""
    figures = (each for each in (one["mean"], one["p99"])
               if each["before"] > 0 and _is_shown(each["interval"]))  # fmt: skip
    return max((-each["change"] / each["before"] for each in figures), key=abs, default=0.0)


def _is_shown(interval: Sequence[float | None]) -> bool:
    low, high = interval
    return low is not None and high is not None and (low > 0 or high < 0)


def _to(figure: Row) -> str:
    return f"{duration(figure['before'])} to {duration(figure['after'])}"


def _list(names: Iterable[str]) -> str:
    some = list(names)
    return " and ".join([", ".join(some[:-1]), some[-1]]) if len(some) > 1 else some[0]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def explanation_text(found: Row) -> str:
    """Return all of it as a text of at most 80 columns."""
    lines = [part for line in explanation_sentences(found) for part in wrap(line, WIDTH)]
    return "\n\n".join(["\n".join(lines), _of_parts(found), _of_effects(found)]).rstrip()


def _of_parts(found: Row) -> str:
    columns = [Column("part of the latency", left=True), Column("mean"), Column("95 %"),
               Column("share"), Column("around p99"), Column("share")]  # fmt: skip
    rows = [
        [
            one["name"],
            duration(one["mean"]),
            between(*map(duration, one["interval"])),
            _percent(one["share"]),
            duration(one["tail"]),
            _percent(one["tail_share"]),
        ]
        for one in found["parts"]
    ]
    total = ["all", duration(found["mean"]), "", "100 %", duration(found["tail"]), "100 %"]
    return table(columns, [*rows, total])


def _of_effects(found: Row) -> str:
    """Return a row per remedy: latencies with it, and how far they are from those without."""
    columns = [Column("what if", left=True), Column("mean"), Column("change"), Column("p99"),
               Column("change")]  # fmt: skip
    rows = [[one["remedy"], *_change(one["mean"]), *_change(one["p99"])] for one in
            found["effects"]]  # fmt: skip
    rows = list(_folded(rows, len(max(table(columns, rows).splitlines(), key=len)) - WIDTH))
    level = _percent(found["confidence"])
    note = f"change: its {level} interval, from pairs of runs; the parts are of the first"
    return f"{table(columns, rows)}\n\n{note}" if rows else ""


def _folded(rows: Sequence[list[str]], excess: int) -> Iterator[list[str]]:
    """Yield rows whose first cells take so many columns less, on several lines where they must."""
    room = max((len(name) for name, *_ in rows), default=0) - max(excess, 0)
    for name, *figures in rows:
        first, *more = wrap(name, max(room, 1), subsequent_indent="  ")
        yield [first, *figures]
        yield from ([one, *("" for _ in figures)] for one in more)


def _change(figure: Row | None) -> list[str]:
    if figure is None:
        return [UNKNOWN, UNKNOWN]
    before, (low, high) = figure["before"], figure["interval"]
    if not before or low is None:
        return [duration(figure["after"]), UNKNOWN]
    change = round(100 * figure["change"] / before, 1) + 0.0  # no -0.0
    apart = f"{change:+.1f} +-{100 * (high - low) / 2 / before:.1f} %"
    return [duration(figure["after"]), apart]
