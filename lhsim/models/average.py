"""A system whose agents and messages are all alike, and in the mean what those of another are.

Closed forms take each cost at its mean. What differs by class or by size is a mean of its own: of
the agents, where it is said of them, and of the messages, where it is said of those.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import evolve

from lhsim.distributions import Deterministic
from lhsim.distributions.base import ZERO
from lhsim.models.cpu import PerByte
from lhsim.models.workload import Requests

if TYPE_CHECKING:
    from lhsim.distributions import Distribution
    from lhsim.models.network import Network
    from lhsim.models.store import EventStore
    from lhsim.models.system import System

F = TypeVar("F", bound=Callable[..., Any])


def averaged(function: F) -> F:
    """Let a function of a system, and more, work on the one `in_the_mean`."""

    @functools.wraps(function)
    def of_the_mean(system: System, *more: Any) -> Any:
        return function(in_the_mean(system), *more)

    return cast(F, of_the_mean)


def in_the_mean(system: System) -> System:
    """Return a system without classes and sizes that costs as much in the mean.

    It is the system itself where it has none of either.
    """
    if not system.workload.classes and not system.has_payloads:
        return system
    kinds = system.kinds
    agents = [one.share for one in system.workload.classes] or [1.0]
    rates = [_rate(system, number) for number in range(len(kinds))]
    messages = [share * rate for share, rate in zip(agents, rates, strict=True)]
    size = _mean([kind.workload.payload.mean for kind in kinds], messages)
    requests, answer = system.requests, size
    if requests is not None:
        answer = requests.answer_payload.mean
        requests = evolve(requests, answer_payload=ZERO, by_turn=False)
    return evolve(
        system,
        workload=_workload(system, agents, sum(messages)),
        network=_network(kinds, agents, messages, answer),
        cpu=_cpu(system, size, answer),
        store=_store(system.store, size),
        requests=requests,
        calibration=None,
    )


def _network(
    kinds: Sequence[System], agents: Sequence[float], messages: Sequence[float], answer: float
) -> Network:
    """Return the network: up as for a message in the mean, down as for one at least.

    A client of a request/response server gets its own answers, whatever they cost it.
    """
    networks = [kind.network for kind in kinds]
    sizes = [kind.workload.payload.mean for kind in kinds]
    ups = [one.up.mean + one.per_byte * size for one, size in zip(networks, sizes, strict=True)]
    if kinds[0].requests is not None:
        down = _mean([one.down.mean + one.per_byte * answer for one in networks], agents)
    else:
        least = min(one.per_byte for one in networks) * min(sizes)
        down = min(one.down.mean for one in networks) + least
    up = Deterministic(_mean(ups, messages))
    return evolve(networks[0], up=up, down=Deterministic(down), bandwidth=None)


def _store(store: EventStore, size: float) -> EventStore:
    return evolve(
        store,
        query=_plus(store.query, store.query_per_byte * size),
        write=_plus(store.write, store.write_per_byte * size),
        query_per_byte=0.0,
        write_per_byte=0.0,
    )


def _rate(system: System, number: int) -> float:
    """Return how many messages an agent of a class offers, 1 in a closed loop."""
    if number in system.workload.silent:
        return 0.0
    rate = system.kinds[number].workload.traffic.rate_per_agent
    return 1.0 if rate is None else rate


def _workload(system: System, agents: Sequence[float], rate: float) -> Any:
    kinds = [kind.workload for kind in system.kinds]
    traffic: Any = system.workload.traffic
    if isinstance(traffic, Requests):
        thoughts = [kind.traffic.think for kind in kinds if isinstance(kind.traffic, Requests)]
        traffic = evolve(
            traffic, think=Deterministic(_mean([one.mean for one in thoughts], agents))
        )
    elif any(one.rate is not None for one in system.workload.classes):
        traffic = evolve(traffic, rate=rate)
    return evolve(
        system.workload,
        traffic=traffic,
        think=Deterministic(_mean([kind.think.mean for kind in kinds], agents)),
        payload=ZERO,
        classes=(),
    )


def _cpu(system: System, size: float, answer: float) -> Any:
    cpu, per_byte = system.cpu, system.cpu.per_byte
    of_messages = ("parse_message", "validate", "write", "send", "relay")
    sizes = dict.fromkeys(of_messages, size)
    sizes |= {"respond": answer}
    if system.requests is not None:
        sizes |= {"parse_request": size, "query": size}
    costs: dict[str, Any] = {
        name: _plus(getattr(cpu, name), getattr(per_byte, name) * some)
        for name, some in sizes.items()
    }
    return evolve(cpu, per_byte=PerByte(), **costs)


def _plus(cost: Distribution, more: float) -> Distribution:
    """Return a cost with another mean, or itself."""
    return Deterministic(cost.mean + more) if more else cost


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    total = sum(weights)
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / total
