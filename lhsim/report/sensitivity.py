"""Tables of a screening, from `lhsim.planning.screening.Sensitivity.to_dict`."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from lhsim.report.text import Column, duration, table, three_digits

WIDTH = 80  # of the text, in columns

Row = Mapping[str, Any]
_COLUMNS = (
    Column("parameter", left=True),
    Column("range"),
    Column("mu*"),
    Column("95 %"),
    Column("sigma"),
)
_NOTE = (
    "mu*: mean absolute change of the figure over the range of a parameter\n"
    "sigma: standard deviation of these changes, large where parameters interact\n"
    "a star: factor of a whole distribution; s: range from the calibration's samples"
)


def sensitivity_tables(found: Row) -> str:
    """Return a table per metric, the parameter that moves it most first."""
    lines = [f"{found['system']}, {found['agents']:,} agents"]
    for metric, base in found["base"].items():
        effects = [one for one in found["effects"] if one["metric"] == metric]
        moving = [one for one in effects if one["mu_star"] > 0]
        most = f"moved most by {moving[0]['path']}" if moving else "moved by nothing"
        lines += ["", f"{metric}: {_value(metric, base)}; {most}"]
        lines.append(table(_COLUMNS, [_line(metric, one) for one in moving]))
        still = ", ".join(one["path"] for one in effects if one["mu_star"] == 0)
        lines += wrap(f"no effect: {still}", WIDTH) if still else []
    for text in found.get("warnings", ()):
        lines += ["", *wrap(f"warning: {text}", WIDTH)]
    return "\n".join([*lines, "", _NOTE])


def _line(metric: str, one: Row) -> list[str]:
    mark = " s" if one["source"] == "samples" else ""
    return [
        one["path"],
        f"{one['low']:.3g}..{one['high']:.3g}{mark}",
        _value(metric, one["mu_star"]),
        "-".join(_value(metric, end).replace(" ", "") for end in one["mu_star_interval"]),
        _value(metric, one["sigma"]),
    ]


def _value(metric: str, value: float) -> str:
    if metric in {"delivery", "utilization", "cpu"}:
        return f"{value * 100:.1f} %"
    if metric == "memory":
        return f"{three_digits(value / 1e6)} MB"
    if metric in {"throughput", "knee"}:
        return three_digits(value)
    return duration(value)
