"""The alerts of a run as text, from `lhsim.metrics.Alert.to_dict`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lhsim.report.text import Column, table
from lhsim.units import format_duration

COLUMNS = tuple(Column(title, left=True) for title in ("alert", "severity", "when", "fired"))


def alert_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a line for each threshold, with when its alert fired."""
    return table(COLUMNS, [_line(row) for row in rows])


def _line(row: Mapping[str, Any]) -> list[str]:
    fired = "no" if row["measured"] else "unknown"
    if row["fired_at_s"] is not None:
        fired = f"at {format_duration(row['fired_at_s'])}"
    return [row["alert"], row["severity"], row["threshold"], fired]
