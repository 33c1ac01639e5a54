"""Counterfactuals: the same messages on a system in which one thing is better.

Each remedy changes one thing, as far as the system has it. All runs have the seeds of the system as
it is, and so the same messages and the same draws: what differs is the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import evolve, fields, frozen

from lhsim.analysis.comparison import Comparison, compare
from lhsim.distributions import Distribution
from lhsim.models import Cpu, paths

if TYPE_CHECKING:
    from lhsim.models import System
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


def remedies(system: System) -> tuple[Remedy, ...]:
    """Return all remedies that a system has room for, each once."""
    plain = evolve(system, calibration=None)
    found: dict[System, str] = {}
    for name, better in (*_host(plain), *_costs(plain), *_protocol(plain)):
        if better != plain:
            found.setdefault(better, name)
    return tuple(Remedy(name, better) for better, name in found.items())


def _host(system: System) -> Iterator[tuple[str, System]]:
    """Yield what is better about the machine."""
    cpu = system.cpu
    yield "no pauses of the host", evolve(system, cpu=evolve(cpu, stalls=None))
    yield "no slow spells of the host", evolve(system, cpu=evolve(cpu, slowdowns=None))
    yield "no garbage collection", evolve(system, cpu=evolve(cpu, collection=None))
    yield "loops that never cool", evolve(system, cpu=evolve(cpu, warmth=None))
    if _costs_anything(cpu):
        shared = cpu.cores > 1 or cpu.quantum is not None
        count = "cores" if shared else "workers"
        name = "twice the cores" if shared else "twice the event loops"
        yield name, evolve(system, cpu=evolve(cpu, **{count: 2 * getattr(cpu, count)}))
        yield "a processor twice as fast", evolve(system, cpu=cpu.slower(HALF))


def _costs(system: System) -> Iterator[tuple[str, System]]:
    """Yield what is better about the database and the network."""
    store, network = system.store, system.network
    if _takes_time(store.query) or store.scan:
        quicker = paths.changed(paths.changed(system, "store.query*", HALF), "store.scan*", HALF)
        yield "queries twice as fast", quicker
    if _takes_time(store.write):
        yield "writes twice as fast", paths.changed(system, "store.write*", HALF)
    if _takes_time(store.query) or _takes_time(store.write):
        twice = evolve(store, connections=2 * store.connections)
        yield "twice the database connections", evolve(system, store=twice)
    if _takes_time(network.up) or _takes_time(network.down):
        nearer = paths.changed(paths.changed(system, "network.up*", HALF), "network.down*", HALF)
        yield "half the network delay", nearer
    yield "no packet loss", evolve(system, network=evolve(network, loss=0.0))


def _protocol(system: System) -> Iterator[tuple[str, System]]:
    """Yield what is better about how messages are delivered."""
    if (polling := system.polling) is not None:
        woken = evolve(polling, wake_on_write=True)
        yield "a write wakes the poller", evolve(system, polling=woken)
        if polling.growth is None:
            often = evolve(polling, interval=HALF * polling.interval)
            yield "half the polling interval", evolve(system, polling=often)
    if (push := system.push) is not None and push.connections is not None:
        more = evolve(push, connections=2 * push.connections)
        yield "twice the push connections", evolve(system, push=more)
    if (requests := system.requests) is not None and requests.workers is not None:
        more_workers = evolve(requests, workers=2 * requests.workers)
        yield "twice the workers", evolve(system, requests=more_workers)


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
