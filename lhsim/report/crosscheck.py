"""A cross-check as text, 80 columns wide: the verdict, what speaks for it, and each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from lhsim.report.text import Column, live_figure, table

WIDTH = 80
COLUMNS = (Column("metric", left=True), Column("live"), Column("simulated"),
           Column("verdict", left=True))  # fmt: skip


def crosscheck_text(
    system: str,
    verdict: str,
    reasons: Sequence[str],
    sentences: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> str:
    """Return the text; the rows are those of ``Crosscheck.to_dicts``."""
    first = f"{headline(system, verdict)}: {'; '.join(reasons)}."
    lines = [part for line in (first, *sentences) for part in wrap(line, WIDTH)]
    for level in dict.fromkeys(row["level"] for row in rows):
        mine = [_cells(row) for row in rows if row["level"] == level]
        lines += ["", *wrap(level, WIDTH), table(COLUMNS, mine)]
    return "\n".join(lines)


def headline(system: str, verdict: str) -> str:
    """Return the verdict as the beginning of a sentence."""
    if verdict == "no evidence":
        return f"There is no evidence for {system}"
    return f"{system} is {verdict}"


def _cells(row: Mapping[str, Any]) -> list[str]:
    metric = row["metric"]
    figures = [live_figure(metric, row[side]) for side in ("live", "simulated")]
    return [metric, *figures, row["verdict"]]
