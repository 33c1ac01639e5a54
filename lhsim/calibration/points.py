"""The unknowns of a calibration, and the system that they make of another one.

The cost of an operation is its base cost, of a busy server, times 1 + x after an idle gap
(`lhsim.models.cpu.Warmth`), with f(gap) = a ln(1 + gap / g). How long work warms the server is an
unknown as well: it decides how the costs go on falling where there are hardly any gaps. A template,
a system of the same architecture, says how the costs are shaped and how they compare within a
message or a request.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from attrs import evolve, frozen

from lhsim.distributions import Deterministic, Exponential, Quantiles
from lhsim.distributions.compounds import scaled
from lhsim.models import Network, Stalls, System, Warmth

UNTOLD = 0.5  # deviation of a logarithm from which on an unknown is hardly known
LONGEST_GAP = 0.1  # beyond it f is flat [s]
OF_MESSAGES = ("parse_message", "validate", "write", "acknowledge", "send")
OF_REQUESTS = ("parse_request", "query", "respond")
LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)


@frozen
class Point:
    """What is fitted."""

    messages: float  # factor of the costs of a message
    requests: float  # factor of the costs of a request for messages
    excess: float  # a of f
    gap: float  # g of f [s]
    delay: float  # that a message takes besides, on both ways together [s]
    memory: float  # work that halves x [s]

    @property
    def logs(self) -> list[float]:
        """The logarithms, in which the fit is made."""
        return [math.log(value) for value in self.values]

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers in their order."""
        return attrs.astuple(self)

    @classmethod
    def of(cls, logs: Sequence[float] | np.ndarray) -> Point:
        """Return the point with these logarithms."""
        return cls(*(math.exp(log) for log in logs))


START = Point(1.0, 1.0, 1.0, 3e-3, 4e-4, 1.5e-2)


def system_at(template: System, point: Point, left_over: Sequence[float] | None = None) -> System:
    """Return the system at a point.

    Parameters
    ----------
    template
        Gives shapes, ratios and all that is not fitted.
    point
        The unknowns.
    left_over
        Quantiles of the delay at `LEVELS` [s]; None: it is constant.
    """
    cpu = template.cpu
    costs: dict[str, Any] = {
        name: scaled(getattr(cpu, name), factor)
        for names, factor in ((OF_MESSAGES, point.messages), (OF_REQUESTS, point.requests))
        for name in names
    }
    warmth = Warmth(*curve(point.excess, point.gap), point.memory)
    ways = network(point.delay, left_over)
    return evolve(template, cpu=evolve(cpu, **costs, warmth=warmth), network=ways)


def network(delay: float, left_over: Sequence[float] | None) -> Network:
    """Return the ways: what is always there is halved, the rest is on the way down."""
    if left_over is None:
        half = Deterministic(delay / 2)
        return Network(up=half, down=half)
    least = left_over[0] / 2
    down = Quantiles(LEVELS, tuple(value - least for value in left_over))
    return Network(up=Deterministic(least), down=down)


def curve(excess: float, gap: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return f as a table: gaps [s], in geometric progression, and its values there."""
    gaps = (0.0, *np.geomspace(20e-6, LONGEST_GAP, 14).tolist())
    return gaps, tuple(excess * math.log1p(one / gap) for one in gaps)


def stalls_of(rates: Sequence[float], lengths: Sequence[float]) -> Stalls | None:
    """Return the stalls that probes saw: at a mean rate [1/s], of these lengths [s]."""
    rate = float(np.mean(rates)) if len(rates) else 0.0
    if rate <= 0 or len(lengths) < 3:
        return None
    values = np.quantile(lengths, LEVELS)
    return Stalls(Exponential(1 / rate), Quantiles(LEVELS, tuple(values.tolist())))
