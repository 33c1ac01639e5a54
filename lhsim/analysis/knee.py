"""The knee of a scaling curve: the most agents that a system serves before a station saturates.

A level is *sustained* when its busiest station is used less than `SATURATION` and the run is not
overloaded. The knee lies between the highest sustained level below the first that is not, and
that one. `search` narrows the bracket by bisection on the logarithm of the number of agents. It
runs nothing itself: it asks for levels, and is told how they went::

    asking = search(levels)
    try:
        agents = next(asking)
        while True:
            agents = asking.send(measure(agents))
    except StopIteration as stop:
        knee = stop.value
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping
from typing import Any

from attrs import frozen

from lhsim.analysis import flags

SATURATION = 0.95  # utilisation from which on a station counts as saturated
TOLERANCE = 0.05  # width of the bracket at which the search ends, as a part of the knee
WIDEST = 0.25  # of a bracket that is called a knee; of a wider one, only the ends are known


@frozen
class Level:
    """How a system did with so many agents."""

    agents: int
    utilization: float  # of the busiest station, 0 to 1
    bottleneck: str  # the busiest station
    overloaded: bool
    short_warmup: bool = False  # its runs show their start

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Level:
        """Return what the row of a level, or the record of a run, says about the knee."""
        reasons = record.get("flags")  # of a level by measure; of a run as a text
        by_measure = reasons.values() if isinstance(reasons, dict) else ()
        doubts = {one for some in by_measure for one in some}
        short = flags.SHORT_WARMUP in doubts or bool(record.get("short_warmup"))
        overloaded = record["overloaded"]  # a backlog that grows looks like a short warm-up
        return cls(
            record["agents"],
            record["utilization"],
            record["bottleneck"],
            overloaded,
            short and not overloaded,
        )

    @property
    def sustained(self) -> bool:
        """Whether no station was saturated and nothing piled up."""
        return self.utilization < SATURATION and not self.overloaded


@frozen
class Knee:
    """Where a system's knee lies; a bound is None where the levels leave it open."""

    low: int | None  # most agents known to be sustained
    high: int | None  # fewest agents known to be too many
    bottleneck: str | None  # the busiest station where it is too much
    short_warmup: bool = False  # of the runs that decide it

    @property
    def agents(self) -> int | None:
        """The knee: the middle of its bracket on a logarithmic scale, if that is narrow.

        None where the bracket is open, or so wide that its middle says nothing: levels far apart
        tell only that the knee lies between two of them.
        """
        middle = _middle(self)
        if middle is None or self.low is None or self.high is None:
            return None
        return middle if self.high - self.low <= max(1.0, WIDEST * middle) else None

    def sentence(self) -> str:
        """Return where the knee lies, in words, and what speaks against that."""
        return self._place() + (f"; {flags.SHORT_WARMUP}" if self.short_warmup else "")

    def _place(self) -> str:
        if self.high is None:
            if self.low is None:
                return "no level ran"
            return f"no knee up to {self.low:,} agent" + ("s" if self.low != 1 else "")
        if self.low is None:
            return f"knee below {self.high:,} agents; bottleneck: {self.bottleneck}"
        if self.agents is None:
            ends = f"{self.low:,} and {self.high:,} agents"
            return f"knee between {ends}, not searched further; bottleneck: {self.bottleneck}"
        about = f"about {_three_digits(self.agents):,} agents ({self.low:,}-{self.high:,})"
        return f"knee at {about}; bottleneck: {self.bottleneck}"


def bracket(levels: Iterable[Level]) -> Knee:
    """Return what the levels alone, in any order, say about the knee."""
    ordered = sorted(levels, key=lambda level: level.agents)
    first = next((level for level in ordered if not level.sustained), None)
    below = [level for level in ordered if first is None or level.agents < first.agents]
    low = below[-1].agents if below else None
    short = any(level.short_warmup for level in (*below[-1:], first) if level is not None)
    if first is None:
        return Knee(low, None, None, short)
    return Knee(low, first.agents, first.bottleneck, short)


def search(
    levels: Iterable[Level], tolerance: float = TOLERANCE
) -> Generator[int, Level | None, Knee]:
    """Narrow the bracket of the knee to `tolerance` of it; see the module for how to drive it.

    It asks for nothing where the levels leave an end open, and ends early when an answer does not
    help: None, for a level that could not be run, or a level that it knows.
    """
    known = list(levels)
    while True:
        knee = bracket(known)
        agents = _between(knee, tolerance)
        if agents is None:
            return knee
        answer = yield agents
        if answer is None or answer.agents in {level.agents for level in known}:
            return knee
        known.append(answer)


def _between(knee: Knee, tolerance: float) -> int | None:
    """Return the level to look at next; None where the bracket is open or narrow enough."""
    middle = _middle(knee)
    if middle is None or knee.low is None or knee.high is None:
        return None
    if knee.high - knee.low <= max(1.0, tolerance * middle):
        return None
    return min(max(middle, knee.low + 1), knee.high - 1)


def _middle(knee: Knee) -> int | None:
    if knee.low is None or knee.high is None:
        return None
    return round(math.sqrt(knee.low * knee.high))


def _three_digits(number: int) -> int:
    """Return the number rounded to three significant digits."""
    return int(float(f"{number:.3g}"))
