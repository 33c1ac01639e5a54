"""Planned faults: the triggers of an experiment on failure.

Random stalls of the host are a part of `lhsim.models.Cpu`, and lost packets of
`lhsim.models.Network`: they belong to the system. A fault is what is done to it. Descriptions only;
the processes are in `lhsim.models.stalls` and `lhsim.models.incidents`.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import ClassVar, Literal

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.checks import at_least, non_negative, one_of, positive, whole, within
from lhsim.units import Seconds

Component = Literal["cpu", "store"]
COMPONENTS = ("cpu", "store")


class Fault(abc.ABC):
    """Something that goes wrong at a set time."""

    tag: ClassVar[str] = "kind"
    name: ClassVar[str]


@frozen(slots=False)
class Stall(Fault):
    """A component stands still, and then goes on with what it was doing."""

    name: ClassVar[str] = "stall"

    component: Component = field(validator=one_of(COMPONENTS))  # all its stations
    at: Seconds = field(validator=non_negative)  # [s]
    duration: Seconds = field(validator=positive)  # [s]


@frozen(slots=False)
class Slowdown(Fault):
    """The processor is slow: an operation that begins in this time takes `factor` times as long."""

    name: ClassVar[str] = "slowdown"

    at: Seconds = field(validator=non_negative)  # [s]
    duration: Seconds = field(validator=positive)  # [s]
    factor: float = field(validator=at_least(1))  # times as long


@frozen(slots=False)
class Outage(Fault):
    """The server is unreachable for a time: connections are cut, and requests are refused."""

    name: ClassVar[str] = "outage"

    at: Seconds = field(validator=non_negative)  # [s]
    duration: Seconds = field(validator=positive)  # [s]


@frozen(slots=False)
class Disconnect(Fault):
    """Many connections are cut at once."""

    name: ClassVar[str] = "disconnect"

    at: Seconds = field(validator=non_negative)  # [s]
    share: float = field(default=1.0, validator=within(0, 1))  # each with this probability


@frozen(slots=False)
class NodeFailure(Fault):
    """A node is unreachable for a time: its connections are cut, and others get what comes."""

    name: ClassVar[str] = "node"

    at: Seconds = field(validator=non_negative)  # [s]
    duration: Seconds = field(validator=positive)  # [s]
    node: int = field(validator=whole(0))  # its number, from 0 on


def stalls(faults: Iterable[Fault], component: Component) -> NDArray[np.float64]:
    """Return when a component stands still: starts and ends [s], of shape (2, stalls)."""
    found = [fault for fault in faults if isinstance(fault, Stall) and fault.component == component]
    return np.array([[one.at, one.at + one.duration] for one in found]).reshape(-1, 2).T


def slowdowns(faults: Iterable[Fault]) -> NDArray[np.float64]:
    """Return when the processor is slow: starts, ends [s] and factors, of shape (3, slowdowns)."""
    found = [fault for fault in faults if isinstance(fault, Slowdown)]
    rows = [[one.at, one.at + one.duration, one.factor] for one in found]
    return np.array(rows).reshape(-1, 3).T


def downtimes(faults: Iterable[Fault]) -> NDArray[np.float64]:
    """Return when nodes are down: starts, ends [s] and numbers, of shape (3, failures)."""
    found = [fault for fault in faults if isinstance(fault, NodeFailure)]
    rows = [[one.at, one.at + one.duration, one.node] for one in found]
    return np.ascontiguousarray(np.array(rows, float).reshape(-1, 3).T)


def cuts(faults: Iterable[Fault]) -> tuple[Outage | Disconnect | NodeFailure, ...]:
    """Return the faults that cut connections, in the order of their times."""
    found = [fault for fault in faults if isinstance(fault, Outage | Disconnect | NodeFailure)]
    return tuple(sorted(found, key=lambda fault: fault.at))
