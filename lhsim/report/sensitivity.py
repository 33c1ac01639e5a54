"""Tables of a screening, from `lhsim.planning.screening.Sensitivity.to_dict`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from textwrap import wrap
from typing import Any

from lhsim.analysis import flags
from lhsim.report.text import (
    KNEE,
    Column,
    between,
    metric_text,
    quantity,
    table,
    three_digits,
)

WIDTH = 80  # of the text, in columns

Row = Mapping[str, Any]
_COLUMNS = (
    Column("parameter", left=True),
    Column("range"),
    Column("from", left=True),
    Column("mu*"),
    Column("95 %"),
    Column("sigma"),
)
_NOTE = (
    "mu*: mean absolute change of the figure over the range of a parameter\n"
    "sigma: standard deviation of these changes, large where parameters interact\n"
    "a star: factor of a whole distribution; from: where its range comes from, the\n"
    "calibration's samples or an assumption of 25 % either way"
)


def sensitivity_tables(found: Row) -> str:
    """Return a table per metric, the parameter that moves it most first."""
    lines = [f"{found['system']}, {found['agents']:,} agents, seed {found['seed']}"]
    for metric, base in found["base"].items():
        effects = [one for one in found["effects"] if one["metric"] == metric]
        moving = [one for one in effects if one["mu_star"] > 0]
        most = f"moved most by {moving[0]['path']}" if moving else "moved by nothing"
        unit = "; effects in agents" if metric == KNEE else ""
        lines += ["", f"{metric}: {metric_text(metric, base)}; {most}{unit}"]
        lines.append(table(_COLUMNS, [_line(metric, one) for one in moving]))
        still = ", ".join(one["path"] for one in effects if one["mu_star"] == 0)
        lines += wrap(f"no effect: {still}", WIDTH) if still else []
    notes = [part for note in sensitivity_notes(found) for part in wrap(note, WIDTH)]
    return "\n".join([*lines, "", *notes, _NOTE])


def sensitivity_notes(found: Row) -> list[str]:
    """Return what has to be known about the figures, a sentence for each flag of a metric."""
    lines = [f"extrapolated: {found['agents']:,} agents are beyond what the model was calibrated on"
             ] if found["extrapolated"] else []  # fmt: skip
    lines += [f"warning: {text}" for text in found.get("warnings", ())]
    return lines + [
        f"? {metric}: {flag} at {count} of {found['points']} points: {flags.MEANINGS[flag]}"
        for metric, against in found["flags"].items()
        for flag, count in against.items()
    ]


def _line(metric: str, one: Row) -> list[str]:
    text = three_digits if metric == KNEE else partial(metric_text, metric)
    return [
        one["path"],
        _between(one["low"], one["high"], one["unit"]),
        one["source"],
        text(one["mu_star"]),
        between(*map(text, one["mu_star_interval"])),
        text(one["sigma"]),
    ]


def _between(low: float, high: float, unit: str) -> str:
    return f"{quantity(low, unit)}..{quantity(high, unit)}"
