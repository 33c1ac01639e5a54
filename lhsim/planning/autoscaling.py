"""What a horizontal autoscaler runs while the load changes: a rule, and no simulation.

The rule is that of the Horizontal Pod Autoscaler of Kubernetes (its documentation, "Algorithm
details", and ``pkg/controller/podautoscaler/replica_calculator.go``). Once in a period it measures
the utilization u of the nodes that are ready, and wants ::

    desired = ceil(ready u / target)        unless u / target is within the tolerance of 1

Nodes that are still starting count as idle where that would add more of them. It scales in to the
most that it wanted within the stabilization window. Not modelled are its limits on how many nodes
come or go at a time, which by default let a fleet double within 15 s, and late or missing metrics.

The load on the nodes is a fluid: what arrives beyond their throughput waits, and all that are ready
serve it when there is room. A balancer that does not look at queues leaves it to the nodes that
have it, and it takes longer. A saturated node is 100 % utilized, however much waits, so that a rule
of ratios sees no more of an overload than 1 / target.

>>> from lhsim.planning.autoscaling import Autoscaler, autoscale, proportional
>>> rule = Autoscaler(target=0.5, start_delay=30.0, period=15.0, stabilization=0.0)
>>> autoscale([10.0, 40.0, 40.0, 40.0, 40.0], proportional(20.0, 8), rule, start=1).nodes
array([1, 1, 2, 2, 2])
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from lhsim import checks
from lhsim.checks import non_negative, positive, whole, within
from lhsim.errors import InputError
from lhsim.units import Seconds

MOST_NODES = 1000
ROUNDING = 1e-9  # of a node: what floats add to a quotient that is whole


@frozen
class FleetSize:
    """What a number of nodes serves."""

    nodes: int
    capacity: float  # load up to which the objectives are kept [1/s]
    # Loads [1/s], ascending from 0; the last is the throughput: all that the nodes serve.
    loads: tuple[float, ...]
    utilization: tuple[float, ...]  # mean over the nodes at these loads, as a share of each
    # What the runs and the parameters leave open of the capacity [1/s].
    interval: tuple[float, float] = (0.0, math.inf)

    @property
    def throughput(self) -> float:
        """All that the nodes serve [1/s]."""
        return self.loads[-1]

    def busy(self, load: float) -> float:
        """Return the utilization at a load [1/s]; beyond the throughput it is that of there."""
        return float(np.interp(load, self.loads, self.utilization))


@frozen
class Autoscaler:
    """The settings of a horizontal autoscaler."""

    target: float = field(default=0.7, validator=within(0, 1))  # utilization of a node
    # From the order of a node until it is ready [s].
    start_delay: Seconds = field(default=60.0, validator=non_negative)
    # Time whose highest recommendation bounds scaling in [s].
    stabilization: Seconds = field(default=300.0, validator=non_negative)
    period: Seconds = field(default=15.0, validator=positive)  # between two evaluations [s]
    # Part of the target by which the utilization may miss it.
    tolerance: float = field(default=0.1, validator=within(0, 1))
    least: int = field(default=1, validator=whole(1, MOST_NODES))  # nodes
    most: int = field(default=MOST_NODES, validator=whole(1, MOST_NODES))  # nodes

    def __attrs_post_init__(self) -> None:
        if not self.target:
            raise InputError("0 is out of range", key="target", allowed="a share > 0 and <= 1")
        if self.most < self.least:
            problem = f"{self.most} is out of range"
            raise InputError(problem, key="most", allowed=f"at least the least, {self.least}")

    def desired(self, ready: int, starting: int, utilization: float) -> int:
        """Return how many nodes it wants, before the stabilization window and its limits.

        Parameters
        ----------
        ready, starting
            Nodes that serve, at least one, and those that do not yet.
        utilization
            Mean of the nodes that are ready, in [0, 1].
        """
        ratio, nodes = utilization / self.target, ready + starting
        if ratio <= 1 or not starting:
            return nodes if self._tolerates(ratio) else _ceil(ready * ratio)
        spread = ratio * ready / nodes  # with those that start as idle
        if self._tolerates(spread) or spread < 1:
            return nodes
        return _ceil(nodes * spread)

    def _tolerates(self, ratio: float) -> bool:
        return abs(ratio - 1) <= self.tolerance


@frozen(eq=False)
class Scaling:
    """What an autoscaler has run, period by period; all arrays have the shape (periods,)."""

    period: float  # [s]
    nodes: NDArray[np.int64]  # that run, those that start included: all of them cost
    ready: NDArray[np.int64]  # of these, those that serve
    utilization: NDArray[np.float64]  # mean of the nodes that are ready
    wait: NDArray[np.float64]  # behind what has piled up by the end of a period [s]
    short: NDArray[np.bool_]  # whether capacity is missing: for the load, or for what has piled up


def autoscale(
    load: ArrayLike,
    sizes: Sequence[FleetSize],
    rule: Autoscaler,
    *,
    start: int | None = None,
) -> Scaling:
    """Return what an autoscaler runs under a load.

    Parameters
    ----------
    load
        Messages that arrive in each period of the rule [1/s], shape (periods,).
    sizes
        What 1, 2, 3, ... nodes serve. A fleet has at most as many.
    rule
        The settings.
    start
        Nodes that are ready at first. None: the least.

    Raises
    ------
    InputError
        When the load is no column of finite numbers >= 0, or the sizes are too few or in no order.
    """
    loads = checks.column(load, "load")
    if not np.isfinite(loads).all() or (loads < 0).any():
        raise InputError("is out of range", key="load", allowed="finite numbers >= 0")
    if [size.nodes for size in sizes] != list(range(1, len(sizes) + 1)):
        raise InputError("are in no order", key="sizes", allowed="those of 1, 2, 3, ... nodes")
    if len(sizes) < rule.least:
        allowed = f"those of {rule.least} nodes, the least of the rule, or more"
        raise InputError("are too few", key="sizes", allowed=allowed)
    most = min(rule.most, len(sizes))
    first = rule.least if start is None else checks.whole_number(start, "start", 1, most)
    fleet = _Fleet(rule, sizes, most, first)
    rows = [fleet.serve(float(one)) for one in loads]
    nodes, ready, utilization, wait, short = zip(*rows, strict=True) if rows else ((),) * 5
    return Scaling(
        rule.period,
        np.array(nodes, np.int64),
        np.array(ready, np.int64),
        np.array(utilization, float),
        np.array(wait, float),
        np.array(short, bool),
    )


def proportional(throughput: float, most: int, capacity: float | None = None) -> list[FleetSize]:
    """Return the sizes of a fleet whose nodes share nothing and idle without load.

    Parameters
    ----------
    throughput
        What a node serves [1/s].
    most
        Nodes.
    capacity
        Load of a node up to which the objectives are kept [1/s]. None: the throughput.
    """
    kept = throughput if capacity is None else capacity
    return [
        FleetSize(number, number * kept, (0.0, number * throughput), (0.0, 1.0))
        for number in range(1, most + 1)
    ]


Row = tuple[int, int, float, float, bool]


class _Fleet:
    """The nodes between two evaluations, and what waits for them."""

    def __init__(self, rule: Autoscaler, sizes: Sequence[FleetSize], most: int, start: int) -> None:
        self._rule, self._sizes, self._most = rule, sizes, most
        self._ready = start
        self._starting: deque[int] = deque()  # periods until each is ready, the next one first
        self._backlog = 0.0  # messages
        periods = math.ceil(rule.stabilization / rule.period - ROUNDING)
        self._wanted = deque([start], maxlen=periods + 1)  # in the stabilization window

    def serve(self, load: float) -> Row:
        """Serve a load for a period, scale at its end, and return what it was like."""
        self._start_up()
        size, period = self._sizes[self._ready - 1], self._rule.period
        demand = load + self._backlog / period
        had_backlog = self._backlog > 0
        utilization = size.busy(demand)
        self._backlog = max(0.0, demand - size.throughput) * period
        wait = self._backlog / size.throughput if self._backlog else 0.0
        short = load > size.capacity or had_backlog or self._backlog > 0
        row = (self._count, self._ready, utilization, wait, short)
        self._scale(utilization)
        return row

    @property
    def _count(self) -> int:
        return self._ready + len(self._starting)

    def _start_up(self) -> None:
        self._starting = deque(left - 1 for left in self._starting)
        while self._starting and self._starting[0] <= 0:
            self._starting.popleft()
            self._ready += 1

    def _scale(self, utilization: float) -> None:
        wanted = self._rule.desired(self._ready, len(self._starting), utilization)
        self._wanted.append(wanted)
        if wanted < self._count:
            wanted = min(max(self._wanted), self._count)
        self._resize(min(max(wanted, self._rule.least), self._most))

    def _resize(self, nodes: int) -> None:
        """Order nodes, or stop some: those that still start first, the latest of them before."""
        # One that is ordered now begins with the next period, in which its delay counts from 0.
        delay = 1 + math.ceil(self._rule.start_delay / self._rule.period - ROUNDING)
        while self._count < nodes:
            self._starting.append(delay)
        while self._count > nodes and self._starting:
            self._starting.pop()
        self._ready = min(self._ready, nodes)


def _ceil(number: float) -> int:
    return math.ceil(number - ROUNDING)
