"""The answer of a capacity search as text, from `lhsim.planning.capacity.Capacity.to_dict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lhsim.report.text import UNKNOWN, Column, duration, percent, table, three_digits

Row = Mapping[str, Any]


def capacity_sentences(found: Row) -> list[str]:
    """Return the answer in words: the value first, then what has to be known about it."""
    objectives = " and ".join(found["objectives"])
    lines = [_answer(found, objectives)]
    last = next((one for one in found["crossings"] if one["value"] == found["value"]), None)
    if last is not None:
        lines.append(_parts(last))
    if len(found["crossings"]) > 1:
        places = ", ".join(f"{level_text(one['value'])}" for one in found["crossings"])
        lines.append(
            f"warning: not monotone: the objectives begin or cease to be kept at {places}; "
            "the answer ends the last range in which they are"
        )
    if found["check"] is not None:
        does = {"kept": "keep them", "violated": "do not keep them"}.get(
            found["verdict"], "may or may not keep them: the runs do not decide it"
        )
        lines.append(f"check: {level_text(found['check'])} {does}")
    if found["extrapolated"]:
        lines.append("extrapolated: beyond what the model was calibrated on")
    return [*lines, *(f"warning: {text}" for text in found["warnings"])]


def _answer(found: Row, objectives: str) -> str:
    what = "agents" if found["is_agents"] else found["vary"]
    low, high = found["interval"]
    if found["value"] is None:
        if low is not None:
            up_to = f"up to {level_text(low)} {what}, and no end was found"
            return f"{objectives}: kept {up_to}"
        what = "agent" if found["is_agents"] and high == 1 else what
        return f"{objectives}: kept by no level that was tried, from {level_text(high)} {what} on"
    last = next(one for one in found["crossings"] if one["value"] == found["value"])
    which = "at most" if last["kept"] == "below" else "at least"
    sure = f"{level_text(low)}-{level_text(high)} with {percent(found['confidence'])} confidence"
    if found["warnings"]:
        sure += ", subject to the warnings below"
    value = f"{which} {level_text(found['value'])} {what}"
    return f"{objectives}: {value} ({sure}); binding: {found['binding_objective']}"


def _parts(crossing: Row) -> str:
    runs = f"runs {_range(crossing['simulation'])}"
    if crossing["parameters"] is None:
        return f"interval: simulation only, {runs}; the model file has no samples of its parameters"
    return f"interval: {runs}, parameters {_range(crossing['parameters'])}, both together above"


def _range(ends: Sequence[float]) -> str:
    return "-".join(level_text(end) for end in ends)


def capacity_table(found: Row) -> str:
    """Return a line per level: the figure of each objective, its interval, and the verdict."""
    names = list(found["objectives"])
    columns = [Column(found["vary"]), Column("runs")]
    columns += [Column(name) for name in names]
    columns.append(Column("verdict", left=True))
    return table(columns, [_line(one) for one in found["evaluations"]])


def _line(one: Row) -> list[str]:
    verdict = "overloaded" if one["overloaded"] else one["verdict"]
    star = "*" if one["extrapolated"] else ""
    figures = [_figure(figure) for figure in one["figures"]]
    return [level_text(one["value"]) + star, f"{one['replications']}", *figures, verdict]


def _figure(figure: Row) -> str:
    metric, value = figure["objective"], figure["value"]
    if value is None:
        return UNKNOWN
    text = ("> " if figure["lower_bound"] else "") + _quantity(metric, value)
    low, high = figure["interval"]
    if low is None or high is None:
        return text
    return f"{text} +-{percent((high - low) / 2 / value)}" if value else text


def _quantity(objective: str, value: float) -> str:
    metric = objective.replace(">", "<").partition("<")[0].strip()
    if metric in {"delivery", "utilization", "cpu"}:
        return f"{value * 100:.1f} %"
    if metric == "throughput":
        return f"{three_digits(value)}/s"
    return f"{three_digits(value / 1e6)} MB" if metric == "memory" else duration(value)


def level_text(value: float) -> str:
    """Return a level: whole numbers in full, others with three digits."""
    return f"{value:,.0f}" if value == int(value) else three_digits(value)
