"""What each number of nodes serves, for `lhsim.planning.fleets`.

A search (`lhsim.planning.search`) finds the load up to which so many nodes keep the objectives, to
an interval as narrow as `PRECISE`; a few runs below it show how busy they are. The uncertainty
of the parameters comes from a closed form (`lhsim.planning.uncertainty.load_spread`).

Nodes share the store, so that what they serve is not proportional to their number: up to `EACH`
nodes every number is searched, beyond them one in geometric progression, and those between lie on
straight lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from lhsim.models import Nodes, Piecewise, Poisson, System
from lhsim.planning import search
from lhsim.planning.autoscaling import Autoscaler, FleetSize
from lhsim.planning.bounds import saturation
from lhsim.planning.growth import Forecast
from lhsim.planning.horizons import Horizon, cells, seeds
from lhsim.planning.levels import Question, run_all
from lhsim.planning.samples import with_traffic
from lhsim.planning.uncertainty import Spread, combined, load_spread

if TYPE_CHECKING:
    from lhsim.execution import Runner
    from lhsim.planning.levels import OnDone
    from lhsim.planning.search import Capacity, Range

EACH = 8  # nodes, up to which every number is searched
STEP = 1.25  # ratio of the numbers of nodes that are searched beyond these
PRECISE = 0.08  # width of the interval that the runs leave of a capacity, as a part of it
SLOWER = 0.9  # of a load, at which it is looked at how the work depends on it
SHARES = (0.25, 0.5, 0.75, 1.0)  # of a capacity, at which the utilization is looked at
LOOK = Horizon(messages=5_000, shortest=10.0)  # of each of these runs
GAIN = 0.02  # by which twice as many nodes raise the capacity at least, else they are of no use
BUSY = 0.99  # utilization of a station that has nothing left
# Utilization without a message, as of polls, up to which further nodes make nothing faster.
IDLE = 0.5


@frozen
class Asked:
    """What is asked of a fleet: arguments that were checked."""

    system: System
    question: Question  # of the system, for whatever number of nodes
    ahead: Forecast
    window: float  # [s]
    most: int  # nodes
    growth: str | None
    autoscaler: Autoscaler | None

    @property
    def pieces(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The edges of the pieces [s], from 0 on, and the rate of an agent in each [1/s]."""
        traffic = self.system.workload.traffic
        assert isinstance(traffic, Piecewise)
        edges = np.cumsum([0.0, *(piece.duration for piece in traffic.pieces)])
        return edges, np.array([piece.rate for piece in traffic.pieces])

    def with_nodes(self, nodes: int, rate: float) -> System:
        """Return the system with so many nodes, whose agents send at one rate [1/s]."""
        some = attrs.evolve(self.system.nodes or Nodes(1), count=nodes)
        return attrs.evolve(with_traffic(self.system, Poisson(rate)), nodes=some)


def load_of(asked: Asked, agents: int) -> float:
    """Return the messages of all agents for each of one agent's."""
    load = asked.with_nodes(1, 1.0).offered_load(agents)
    assert load is not None, "Poisson traffic is open"
    return load


def sizes_of(
    asked: Asked,
    agents: int,
    loads: NDArray[np.float64],
    runner: Runner,
    on_done: OnDone | None,
    known: list[Capacity],
) -> list[FleetSize]:
    """Return what 1, 2, 3, ... nodes serve, up to as many as are of use."""
    found: list[FleetSize] = []
    peak = float(loads.max())
    for nodes in _counts(asked.most):
        first = _first(asked, agents, nodes, found, peak)
        size, answered = _size(asked, agents, nodes, first, runner, on_done)
        known.append(answered)
        found = [*found, *_between(found[-1], size)] if found else [size]
        if _is_enough(asked, found, peak):
            break
    return found


def _counts(most: int) -> Iterator[int]:
    """Yield the numbers of nodes that are searched, in ascending order."""
    nodes = 1
    while nodes < most:
        yield nodes
        nodes = nodes + 1 if nodes < EACH else math.ceil(nodes * STEP)
    yield most


def _first(asked: Asked, agents: int, nodes: int, found: Sequence[FleetSize], peak: float) -> float:
    """Return the load from which a capacity is searched [1/s]."""
    if found and found[-1].capacity > 0:
        return found[-1].capacity * nodes / found[-1].nodes
    system = asked.with_nodes(nodes, peak / load_of(asked, agents))
    holds = saturation(system)
    return peak if holds is None or not math.isfinite(holds) else peak * holds / agents


def narrowed(
    question: Question, spread: Spread | None, runner: Runner, on_done: OnDone | None
) -> tuple[Capacity, Range]:
    """Return the answer to a question, as narrow as `PRECISE`, and its interval.

    That has the part of the parameters in it, which is their `spread`; None: none. Raises
    `KeyboardInterrupt` after Ctrl-C: of a fleet there is no answer with less.
    """
    system, calibration = question.system, question.system.calibration
    if calibration is not None:  # its samples would be searched one by one
        system = attrs.evolve(system, calibration=attrs.evolve(calibration, samples={}))
    for found in search.answers(attrs.evolve(question, system=system), runner, on_done):
        if found.stop_reason == search.INTERRUPTED:
            raise KeyboardInterrupt
        last = found.crossing
        if last is not None and last.simulation[1] <= (1 + PRECISE) * last.simulation[0]:
            break
    low, high = found.interval
    if found.value and spread is not None and low is not None and high is not None:
        return found, combined(found.value, (low, high), spread.interval_at(found.value))
    return found, (low, high)


def _size(
    asked: Asked,
    agents: int,
    nodes: int,
    first: float,
    runner: Runner,
    on_done: OnDone | None,
) -> tuple[FleetSize, Capacity]:
    """Return what so many nodes serve, searched from a load on [1/s], and the answer of that."""
    factor = load_of(asked, agents)
    system = asked.with_nodes(nodes, first / factor)
    question = attrs.evolve(asked.question, system=system, agents=agents)
    slower = asked.with_nodes(nodes, first / factor * SLOWER)
    spread = load_spread(slower, system, agents, question.confidence)
    found, (low, high) = narrowed(question, spread, runner, on_done)
    ends = ((low or 0.0) * factor, math.inf if high is None else high * factor)
    kept = factor * (low or 0.0 if found.value is None else found.value)
    loads, utilization = _looked(asked, agents, nodes, kept or first, runner, on_done)
    return FleetSize(nodes, kept, loads, utilization, ends), found


def _looked(
    asked: Asked, agents: int, nodes: int, top: float, runner: Runner, on_done: OnDone | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return how busy so many nodes are at loads up to one of them [1/s], as `FleetSize` has it."""
    loads = [share * top for share in SHARES]
    wanted = seeds(asked.question.seed, 1)
    results = run_all(
        [
            cell
            for load in loads
            for cell in cells(
                asked.with_nodes(nodes, load / load_of(asked, agents)),
                agents, LOOK, wanted, asked.question.engine,
            )
        ],
        runner,
        on_done,
    )  # fmt: skip
    cpu = [result.metrics.cpu_utilization_percent / 100 for result in results]
    return _curve(loads, cpu, [max(result.utilization.values()) for result in results])


def _curve(
    loads: Sequence[float], cpu: Sequence[float], busiest: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return loads from 0 to the throughput, and the utilization of the processors at each.

    It is straight below the first load and beyond the last, up to where the busiest station has
    nothing left.
    """
    idle = max(0.0, cpu[0] - (cpu[1] - cpu[0]) / (loads[1] - loads[0]) * loads[0])
    step = loads[-1] - loads[-2]
    slope = (busiest[-1] - busiest[-2]) / step
    left = max(0.0, 1.0 - busiest[-1])
    beyond = left / slope if slope > 0 and busiest[-1] < BUSY else 0.0
    throughput = loads[-1] + beyond
    full = min(1.0, cpu[-1] + (cpu[-1] - cpu[-2]) / step * beyond)
    if not beyond:
        return (0.0, *loads), (idle, *cpu)
    return (0.0, *loads, throughput), (idle, *cpu, full)


def _between(low: FleetSize, high: FleetSize) -> Iterator[FleetSize]:
    """Yield the sizes after one up to another, on straight lines between them."""
    for nodes in range(low.nodes + 1, high.nodes):
        part = (nodes - low.nodes) / (high.nodes - low.nodes)

        def mix(a: float, b: float, part: float = part) -> float:
            return math.inf if math.inf in (a, b) else a + part * (b - a)

        throughput = mix(low.throughput, high.throughput)
        shares = np.linspace(0, 1, len(SHARES) + 2)
        busy = [mix(low.busy(one * low.throughput), high.busy(one * high.throughput))
                for one in shares]  # fmt: skip
        yield FleetSize(
            nodes,
            mix(low.capacity, high.capacity),
            tuple((shares * throughput).tolist()),
            tuple(busy),
            (mix(low.interval[0], high.interval[0]), mix(low.interval[1], high.interval[1])),
        )
    yield high


def _is_enough(asked: Asked, found: Sequence[FleetSize], peak: float) -> bool:
    """Return whether more nodes are of no use, for the day or for the autoscaler."""
    last, rule = found[-1], asked.autoscaler
    if rule is not None and last.nodes < rule.least:
        return False
    if last.interval[0] >= peak:
        return rule is None or last.nodes >= rule.most or last.busy(peak) <= rule.target
    if last.nodes <= EACH // 2:
        return False
    if not last.capacity:
        return last.busy(0.0) < IDLE
    half = found[last.nodes // 2 - 1]
    return last.capacity <= (1 + GAIN) * half.capacity  # what all nodes share has nothing left
