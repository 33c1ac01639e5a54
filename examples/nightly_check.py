"""Checks that the server holds the agents that are forecast; for cron, by its exit code.

::

    python examples/nightly_check.py forecast.csv --system polling --slo 'p99<1500ms' --days 90

``forecast.csv`` has the columns ``date`` and ``agents``, and one row for a day. The most agents of
the next so many days are simulated until it is clear whether they keep all objectives. Exit codes:
0 they do, 1 they do not, or the runs do not decide it; 2 bad input. A line for cron, which mails
what is printed::

    15 3 * * *  cd /srv/planning && .venv/bin/python nightly_check.py forecast.csv --quiet
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from lhsim import InputError
from lhsim.planning import capacity
from lhsim.planning.growth import agents_by_day

FITS, DOES_NOT, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the forecast, say what was found, and return the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        day, agents = largest(asked.forecast, asked.today, asked.days)
        found = capacity(asked.system, asked.slo, check=agents, most=agents, jobs=asked.jobs)
    except InputError as error:
        print(f"nightly_check: {error}", file=sys.stderr)
        return BAD_INPUT
    assert found.check is not None
    fits = found.check.verdict == "kept"
    if not (fits and asked.quiet):
        print(f"{asked.system}: {agents:,} agents on {day}: {' and '.join(asked.slo)}: "
              f"{found.check.verdict}")  # fmt: skip
        for figure in found.check.figures:
            print(f"  {figure.objective}: {figure.value:.4g}, margin {100 * figure.margin:+.0f} %")
        if found.check.extrapolated:
            print("  beyond what the model was calibrated on")
    return FITS if fits else DOES_NOT


def largest(forecast: Path, today: date, days: int) -> tuple[date, int]:
    """Return the day with the most agents among the next so many, and how many they are.

    Raises
    ------
    InputError
        When the file cannot be read, has no such day, or has one twice.
    """
    ahead = {day: agents for day, agents in agents_by_day(forecast).items()
             if today <= day <= today + timedelta(days)}  # fmt: skip
    if not ahead:
        raise InputError(f"has no day from {today} on", source=str(forecast))
    return max(ahead.items(), key=lambda one: one[1])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("forecast", type=Path)
    parser.add_argument("--system", default="polling", help="name or file of a model")
    parser.add_argument("--slo", nargs="+", default=["p99<1500ms", "delivery>99%"])
    parser.add_argument("--days", type=int, default=90, help="how far ahead")
    parser.add_argument("--today", type=date.fromisoformat, default=date.today())
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quiet", action="store_true", help="say nothing when all is well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
