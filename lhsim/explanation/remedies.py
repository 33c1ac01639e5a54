"""Counterfactuals: the same messages on a system in which one thing is better.

Each remedy changes one thing, as far as the system has it. All runs have the seeds of the system as
it is, and so the same messages and the same draws: what differs is the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import reduce
from typing import TYPE_CHECKING, Any

from attrs import evolve, fields, frozen

from lhsim.analysis.comparison import Comparison, compare
from lhsim.distributions import Distribution
from lhsim.errors import InputError
from lhsim.models import Cpu, System, paths

if TYPE_CHECKING:
    from lhsim.simulation import Result

HALF = 0.5


@frozen
class Remedy:
    """A system in which one thing is better."""

    name: str  # what is better
    system: System


@frozen
class Effect:
    """What a remedy does to the latency: with it (a) and without (b), from pairs of runs [s]."""

    remedy: str
    mean: Comparison | None  # None: one of the two does not settle
    p99: Comparison | None

    @property
    def helps(self) -> bool | None:
        """Whether latencies are shorter with it; None: no change is shown."""
        known = [one.difference for one in (self.p99, self.mean) if one is not None]
        if any(one.high < 0 for one in known):
            return True
        return False if any(one.low > 0 for one in known) else None


Better = Iterator[tuple[str, Callable[[], System]]]


def remedies(system: System) -> tuple[Remedy, ...]:
    """Return all remedies that a system has room for, each once."""
    plain = evolve(system, calibration=None)
    found: dict[System, str] = {}
    for name, make in (*_host(plain), *_costs(plain), *_protocol(plain)):
        with suppress(InputError):  # what the rest of the system does not go with is no remedy
            better = make()
            if better != plain:
                found.setdefault(better, name)
    return tuple(Remedy(name, better) for better, name in found.items())


def _with(system: System, part: str, **changes: Any) -> Callable[[], System]:
    """Return what makes the system with changes in one of its parts."""
    return lambda: evolve(system, **{part: evolve(getattr(system, part), **changes)})


def _times(system: System, *paths_of: str) -> Callable[[], System]:
    """Return what makes the system with half of what is at some paths."""
    return lambda: reduce(lambda one, path: paths.changed(one, path, HALF), paths_of, system)


def _host(system: System) -> Better:
    """Yield what is better about the machine."""
    cpu = system.cpu
    yield "no pauses of the host", _with(system, "cpu", stalls=None)
    yield "no slow spells of the host", _with(system, "cpu", slowdowns=None)
    yield "no garbage collection", _with(system, "cpu", collection=None)
    yield "loops that never cool", _with(system, "cpu", warmth=None)
    if _costs_anything(cpu):
        if cpu.cores > 1 or cpu.quantum is not None:
            yield "twice the cores", _with(system, "cpu", cores=2 * cpu.cores)
        else:
            yield "twice the event loops", _with(system, "cpu", workers=2 * cpu.workers)
        if (nodes := system.nodes) is not None:
            yield "twice the nodes", _with(system, "nodes", count=2 * nodes.count)
            yield (
                "nodes with the fewest connections first",
                _with(system, "nodes", rule="least_connections"),
            )
        yield "a processor twice as fast", lambda: evolve(system, cpu=cpu.slower(HALF))


def _costs(system: System) -> Better:
    """Yield what is better about the database and the network."""
    store, network = system.store, system.network
    reads, writes = _takes_time(store.query), _takes_time(store.write)
    if reads or store.scan:
        yield "queries twice as fast", _times(system, "store.query*", "store.scan*")
    if writes:
        yield "writes twice as fast", _times(system, "store.write*")
    if reads or writes:
        twice = 2 * store.connections
        yield "twice the database connections", _with(system, "store", connections=twice)
    if _takes_time(network.up) or _takes_time(network.down):
        yield "half the network delay", _times(system, "network.up*", "network.down*")
    if system.nodes is not None and _takes_time(system.nodes.link):
        yield "half the delay between nodes", _times(system, "nodes.link*")
    yield "no packet loss", _with(system, "network", loss=0.0)


def _protocol(system: System) -> Better:
    """Yield what is better about how messages are delivered."""
    if (polling := system.polling) is not None:
        yield "a write wakes the poller", _with(system, "polling", wake_on_write=True)
        if polling.growth is None:
            often = HALF * polling.interval
            yield "half the polling interval", _with(system, "polling", interval=often)
    if (push := system.push) is not None and push.connections is not None:
        twice = 2 * push.connections
        yield "twice the push connections", _with(system, "push", connections=twice)
    if (requests := system.requests) is not None and requests.workers is not None:
        yield "twice the workers", _with(system, "requests", workers=2 * requests.workers)


def _takes_time(cost: Distribution) -> bool:
    return not cost.table().is_zero


def _costs_anything(cpu: Cpu) -> bool:
    costs = (getattr(cpu, one.name) for one in fields(Cpu))
    return any(isinstance(one, Distribution) and _takes_time(one) for one in costs)


def effect(
    remedy: Remedy, before: Sequence[Result], after: Sequence[Result], confidence: float
) -> Effect:
    """Return what a remedy changes, from runs of the same seeds in the same order."""
    if any(one.overloaded for one in (*before, *after)):
        return Effect(remedy.name, None, None)

    def change(figure: Callable[[Result], float]) -> Comparison:
        return compare(list(map(figure, after)), list(map(figure, before)), confidence)

    return Effect(
        remedy.name,
        change(lambda run: run.latency.mean),
        change(lambda run: run.latency.quantile(0.99)),
    )
