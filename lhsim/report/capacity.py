"""The answer of a capacity search as text, from `lhsim.planning.capacity.Capacity.to_dict`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from lhsim.report import marks
from lhsim.report.text import UNKNOWN, Column, between, losses, percent, quantity, table

Row = Mapping[str, Any]

# What has to be known about an answer before the search has its precision.
STOPPED = {
    "budget": ("stopped by its budget: more time narrows the interval",),
    "interrupted": ("interrupted: more time narrows the interval",),
    None: ("still being narrowed",),
}
FEWEST_LEVELS = 3  # of a parameter, to say that it changes nothing
PARAMETERS = {
    "no samples": "; the model file has no samples of its parameters",
    "not yet": ", and no time for the uncertainty of the parameters",
}


def capacity_sentences(found: Row) -> list[str]:
    """Return the answer in words: the value first, then what has to be known about it."""
    objectives, unit = " and ".join(found["objectives"]), found["unit"]
    lines = [_answer(found, objectives)]
    lines += STOPPED.get(found["stop_reason"], ())
    if not found["is_agents"] and found["value"] is None:
        lines += _idle(found)
    last = next((one for one in found["crossings"] if one["value"] == found["value"]), None)
    if last is not None:
        lines.append(_parts(last, unit))
    if len(found["crossings"]) > 1:
        places = ", ".join(f"{level_text(one['value'], unit)}" for one in found["crossings"])
        lines.append(
            f"warning: not monotone: the objectives begin or cease to be kept at {places}; "
            "the answer ends the last range in which they are"
        )
    lines += [*_overload(found), *_lost(found)]
    if found["check"] is not None:
        does = {"kept": "keep them", "violated": "do not keep them"}.get(
            found["verdict"], "may or may not keep them: the runs do not decide it"
        )
        lines.append(f"check: {level_text(found['check'], unit)} {does}")
    if found["extrapolated"]:
        lines.append("extrapolated: beyond what the model was calibrated on")
    return [*lines, *(f"warning: {text}" for text in found["warnings"])]


def capacity_so_far(found: Row) -> str:
    """Return what is known of an answer while it is searched, in a few words."""
    low, high = (
        UNKNOWN if end is None else level_text(end, found["unit"]) for end in found["interval"]
    )
    if found["value"] is None:
        return f"{low} or more" if found["interval"][0] is not None else f"less than {high}"
    return f"{level_text(found['value'], found['unit'])} ({between(low, high)})"


def _answer(found: Row, objectives: str) -> str:
    what = "agents" if found["is_agents"] else found["vary"]
    low, high = (
        end if end is None else level_text(end, found["unit"]) for end in found["interval"]
    )
    if found["value"] is None:
        if low is not None:
            up_to = f"up to {low} {what}, and no end was found"
            return f"{objectives}: kept {up_to}"
        what = "agent" if found["is_agents"] and high == "1" else what
        if high is None:
            return f"{objectives}: no level that was tried decides it"
        return f"{objectives}: kept by no level that was tried, from {high} {what} on"
    last = next(one for one in found["crossings"] if one["value"] == found["value"])
    which = "at most" if last["kept"] == "below" else "at least"
    assert low is not None
    assert high is not None
    sure = f"{between(low, high)} with {percent(found['confidence'])} confidence"
    if found["warnings"]:
        sure += ", subject to the warnings below"
    value = f"{which} {level_text(found['value'], found['unit'])} {what}"
    return f"{objectives}: {value} ({sure}); binding: {found['binding_objective']}"


def _idle(found: Row) -> Iterator[str]:
    """Yield that what was varied changes nothing, where the intervals of all levels overlap."""
    levels = found["evaluations"]
    for objective in found["objectives"]:
        figures = [one for each in levels for one in each["figures"]
                   if one["objective"] == objective]  # fmt: skip
        ends = [end for one in figures for end in one["interval"]]
        if len(figures) < FEWEST_LEVELS or None in ends or max(ends[::2]) > min(ends[1::2]):
            return
    first, last = (level_text(each["value"], found["unit"]) for each in (levels[0], levels[-1]))
    yield (
        f"{found['vary']} changes nothing that the runs show, from {first} to {last}; "
        "lhsim explain says what does"
    )


def _overload(found: Row) -> Iterator[str]:
    """Yield that it is an overload that ends what is kept, not a figure that reaches its limit."""
    beyond = [one for one in found["evaluations"]
              if found["value"] is not None and one["value"] > found["value"]
              and one["verdict"] == "violated"]  # fmt: skip
    if beyond and beyond[0]["overloaded"]:
        at = level_text(beyond[0]["value"], found["unit"])
        yield f"it ends in overload: at {at} messages pile up, and no figure settles"


def _lost(found: Row) -> Iterator[str]:
    """Yield that messages are lost at the answer, where no objective counts that."""
    kept = [one for one in found["evaluations"] if one["verdict"] == "kept"]
    if not kept:
        return
    at = kept[-1]["value"] if found["value"] is None else found["value"]
    nearest = min(kept, key=lambda one: abs(one["value"] - at))
    said = losses(nearest["delivered"], found["objectives"])
    if said:
        yield f"warning: {level_text(nearest['value'], found['unit'])}: {said}"


def _parts(crossing: Row, unit: str) -> str:
    runs, source = f"runs {_range(crossing['simulation'], unit)}", crossing["parameters_by"]
    if crossing["parameters"] is None:
        return f"interval: simulation only, {runs}{PARAMETERS[source]}"
    parameters = _range(crossing["parameters"], unit)
    by = " by a closed form" if source == "closed form" else ""
    return f"interval: {runs}, parameters {parameters}{by}, both together above"


def _range(ends: Sequence[float], unit: str) -> str:
    low, high = (level_text(end, unit) for end in ends)
    return between(low, high)


def capacity_table(found: Row) -> str:
    """Return a line per level, the figure of each objective with its interval, and the verdict.

    Below it stands what the marks mean.
    """
    names = list(found["objectives"])
    columns = [Column(found["vary"]), Column("runs")]
    columns += [Column(name) for name in names]
    columns.append(Column("verdict", left=True))
    rows = [_marked(one) for one in found["evaluations"]]
    lines = [_line(one, row, found["unit"]) for one, row in
             zip(found["evaluations"], rows, strict=True)]  # fmt: skip
    notes = marks.legend(rows, names)
    return "\n".join([table(columns, lines), *([""] if notes else []), *notes])


def _marked(one: Row) -> dict[str, Any]:
    """Return a level as a row whose figures have marks, by their objectives."""
    figures = one["figures"]
    return {
        **{figure["objective"]: figure["value"] for figure in figures},
        **{key: one[key] for key in ("overloaded", "extrapolated")},
        "lower_bounds": [figure["objective"] for figure in figures if figure["lower_bound"]],
        "flags": {figure["objective"]: figure["flags"] for figure in figures},
    }


def _line(one: Row, row: Row, unit: str) -> list[str]:
    verdict = "overloaded" if one["overloaded"] else one["verdict"]
    figures = [
        marks.marked(row, figure["objective"], partial(_figure, figure), UNKNOWN)
        for figure in one["figures"]
    ]
    name = level_text(one["value"], unit) + marks.row_mark(row)
    runs = f"{one['replications']}{' short' if one['short'] else ''}"
    return [name, runs, *figures, verdict]


def _figure(figure: Row) -> str:
    """Return the value of a figure and its interval, whose end below 0 chance alone has made."""
    is_share = figure["unit"] == "1"
    low, high = figure["interval"]
    text = _quantity(figure["value"], figure["unit"])
    if low is None or high is None or low == high:
        return text
    shown = [max(low, 0.0), min(high, 1.0) if is_share else high]
    return f"{text} ({between(*(_quantity(end, figure['unit']) for end in shown))})"


def _quantity(value: float, unit: str) -> str:
    return f"{value * 100:.1f} %" if unit == "1" else quantity(value, unit)


def level_text(value: float, unit: str = "") -> str:
    """Return a level with its unit: whole numbers in full, others with three digits."""
    return quantity(value, unit)
