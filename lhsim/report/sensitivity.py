"""Tables of a screening, from `lhsim.planning.screening.Sensitivity.to_dict`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lhsim.report.text import Column, duration, table, three_digits

Row = Mapping[str, Any]
_COLUMNS = (
    Column("parameter", left=True),
    Column("range"),
    Column("mu*"),
    Column("sigma"),
    Column("at low"),
    Column("at high"),
)
_NOTE = (
    "mu*: mean absolute change of the figure over the range of a parameter; 95 % in brackets\n"
    "sigma: its standard deviation, large with interactions; at low, high: it alone is changed\n"
    "a star behind a parameter: a factor of the whole distribution; s: range from the samples"
)


def sensitivity_tables(found: Row) -> str:
    """Return a table per metric, the parameter that moves it most first."""
    lines = [f"{found['system']}, {found['agents']:,} agents"]
    for metric, base in found["base"].items():
        effects = [one for one in found["effects"] if one["metric"] == metric]
        top = effects[0]["path"]
        title = f"{metric}: {_value(metric, base)}; moved most by {top}"
        lines += ["", title, table(_COLUMNS, [_line(metric, one) for one in effects])]
    return "\n".join([*lines, "", _NOTE])


def _line(metric: str, one: Row) -> list[str]:
    low, high = one["mu_star_interval"]
    sure = f" ({_value(metric, low)}-{_value(metric, high)})"
    mark = " s" if one["source"] == "samples" else ""
    return [
        one["path"],
        f"{one['low']:.3g}..{one['high']:.3g}{mark}",
        (_value(metric, one["mu_star"]) + sure).replace(" ms-", "-").replace(" s-", "-"),
        _value(metric, one["sigma"]),
        _value(metric, one["at_low"]),
        _value(metric, one["at_high"]),
    ]


def _value(metric: str, value: float) -> str:
    if metric in {"delivery", "utilization", "cpu"}:
        return f"{value * 100:.1f} %"
    if metric == "memory":
        return f"{three_digits(value / 1e6)} MB"
    if metric in {"throughput", "knee"}:
        return three_digits(value)
    return duration(value)
