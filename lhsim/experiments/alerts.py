"""The alerts of a run that was measured."""

from __future__ import annotations

from pathlib import Path

from lhsim.live.alerts import alert_rules
from lhsim.recording import Recording
from lhsim.report.alerts import alert_table


def alerts_text(over: Path | None) -> str:
    """Return the rules for Prometheus, or which of them would have fired in the run in a folder."""
    if over is None:
        return alert_rules()
    return alert_table([one.to_dict() for one in Recording.read(over).alerts()])
