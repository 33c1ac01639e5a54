"""The alerts of a run that was measured."""

from __future__ import annotations

from pathlib import Path

from lhsim.live.alerts import alert_rules
from lhsim.metrics import Alert
from lhsim.recording import Recording
from lhsim.report.text import Column, table
from lhsim.units import format_duration

COLUMNS = tuple(Column(title, left=True) for title in ("alert", "severity", "when", "fired"))


def alerts_text(over: Path | None) -> str:
    """Return the rules for Prometheus, or which of them would have fired in the run in a folder."""
    if over is None:
        return alert_rules()
    return table(COLUMNS, [_line(one) for one in Recording.read(over).alerts()])


def _line(alert: Alert) -> list[str]:
    row = alert.to_dict()
    fired = "no" if row["measured"] else "unknown"
    if row["fired_at_s"] is not None:
        fired = f"at {format_duration(row['fired_at_s'])}"
    return [row["alert"], row["severity"], row["threshold"], fired]
