"""Sequential stopping: replicate until intervals are as narrow as asked for, or a budget is spent.

Replications are added in *rounds*. After each, every named measure of a level has its 95 %
interval, and the level is done when the half-width of each is at most its target, as a part of its
value. Otherwise the next round brings the replications to what the widest interval needs ::

    n' = MARGIN n (half-width / target)^2,   at least n + 1, at most GROWTH n and the budget

so that they depend on results alone, not on what was finished first. Intervals that are looked at
again and again until they are narrow cover less than they say, as they tend to stop where the
variance looks small (Chow and Robbins 1965; Law 2015, Simulation Modeling and Analysis, section
9.4.1, and the experiments that it cites). So no level stops with fewer than FIRST replications, and
rounds that double leave few occasions to stop too early; ``docs/explanation/statistics.md`` has
what is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import field, frozen

from lhsim.analysis import flags
from lhsim.analysis.intervals import Estimate
from lhsim.checks import whole

FIRST = 10  # replications, before anything is known of their spread (Law 2015, section 9.4.1)
GROWTH = 2  # of the replications in a round, at most
MARGIN = 1.1  # what is estimated from few replications is asked for with some to spare
DEFAULT_MOST = 50

REACHED = "reached"
MAX_REPLICATIONS = "max replications"
MAX_EVENTS = "max events"
# No number of replications helps against these.
_HOPELESS = (flags.OVERLOADED, flags.LOWER_BOUND)
# An interval of these says nothing yet, however narrow it is.
_IMMATURE = (flags.FEW_REPLICATIONS, flags.SMALL_SAMPLE, flags.THIN_TAIL)


@frozen
class Precision:
    """How well measures have to be known, and at which cost."""

    targets: Mapping[str, float]  # half-width of the 95 % interval, as a part of the value
    most: int = field(default=DEFAULT_MOST, validator=whole(2))  # replications of a level

    @property
    def joint_confidence(self) -> float:
        """What all intervals together cover at least (Bonferroni)."""
        return max(0.0, 1 - 0.05 * len(self.targets))

    def first(self, replications: int) -> int:
        """Return the replications of the first round, where so many were asked for."""
        return min(max(replications, FIRST), self.most)


@frozen
class Verdict:
    """How far a level has come."""

    reason: str  # "" while it goes on; "reached", a budget, or the flag that keeps it from it
    replications: int  # in all, after the next round
    widths: Mapping[str, float | None]  # relative half-widths; None where there is no interval


def judge(
    estimates: Mapping[str, Estimate], replications: int, precision: Precision, affordable: int
) -> Verdict:
    """Return whether a level is done, and why; else how many replications come next.

    So many `replications` have been run, or tried, and the budget of events allows the
    `affordable`.
    """
    widths = {name: _width(estimates[name]) for name in precision.targets}
    reason = _reason(estimates, widths, replications, precision, affordable)
    if reason:
        return Verdict(reason, replications, widths)
    needed = max(_needed(widths[name], target) for name, target in precision.targets.items())
    wanted = min(math.ceil(replications * min(needed, GROWTH)), GROWTH * replications)
    after = min(max(wanted, replications + 1), precision.most, affordable)
    return Verdict("", after, widths)


def _reason(
    estimates: Mapping[str, Estimate],
    widths: Mapping[str, float | None],
    replications: int,
    precision: Precision,
    affordable: int,
) -> str:
    found = {flag for name in precision.targets for flag in estimates[name].flags}
    hopeless = next((flag for flag in _HOPELESS if flag in found), None)
    if hopeless is not None:
        return hopeless
    narrow = all(
        width is not None and width <= precision.targets[name] for name, width in widths.items()
    )
    if narrow and not found & set(_IMMATURE):
        return REACHED
    if replications >= precision.most:
        return MAX_REPLICATIONS
    return MAX_EVENTS if replications >= affordable else ""


def _needed(width: float | None, target: float) -> float:
    """Return by which factor replications have to grow; infinite where nobody knows."""
    return math.inf if width is None else MARGIN * (width / target) ** 2


def _width(found: Estimate) -> float | None:
    width = found.relative_half_width
    return width if math.isfinite(width) else None
