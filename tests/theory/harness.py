"""The one harness that holds the SimPy models against theory.

A quantity is observed in independent replications, seeds 1, 2, ..., R: never chosen. The model
*agrees* when theory lies inside Student's interval over them, and the interval is as narrow as the
test says it must be: an interval that holds everything shows nothing.

Each comparison has a confidence of 99.99 %. There are fewer than 100, so a model that is right
passes all of them with a probability above 99 % (Bonferroni); draws are by address, so it does so
every time or never.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import attrs
import numpy as np
from scipy.special import kolmogorov, stdtrit
from simpy.events import Event

from lhsim.distributions import Distribution, Exponential
from lhsim.models import Poisson, PushServer, System, Workload
from lhsim.models.station import Station
from lhsim.rules import draw_block
from lhsim.simulation import simulate
from lhsim.streams import Purpose

CONFIDENCE = 0.9999  # of one comparison
REPLICATIONS = 32
AGENTS = 20  # their Poisson streams are one Poisson stream
WARMUP = 200  # customers or messages that do not count

Observation = dict[str, float]
Times = tuple[np.ndarray, np.ndarray]


@attrs.frozen
class Comparison:
    """One quantity, as observed and as theory has it."""

    name: str
    mean: float
    half_width: float  # of the interval
    theory: float
    within: float  # the widest half-width allowed, as a part of the theory's value

    @property
    def verdict(self) -> str:
        if not self.half_width <= self.within * abs(self.theory):
            return "too wide"
        return "agrees" if abs(self.mean - self.theory) <= self.half_width else "differs"

    def __str__(self) -> str:
        share = self.half_width / abs(self.theory)
        return (
            f"{self.name}: {self.mean:.6g} +- {self.half_width:.2g} ({share:.2%}, "
            f"allowed {self.within:.2%}), theory {self.theory:.6g}: {self.verdict}"
        )


def compare(name: str, values: list[float], theory: float, within: float) -> Comparison:
    """Return how the replications of one quantity compare with theory."""
    n = len(values)
    quantile = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2))
    half_width = quantile * float(np.std(values, ddof=1)) / math.sqrt(n)
    # Without any noise, deterministic sums still differ by their rounding.
    rounding = 1e-9 * abs(theory)
    return Comparison(name, float(np.mean(values)), half_width + rounding, theory, within)


def comparisons(
    observe: Callable[[int], Observation],
    theory: Mapping[str, float],
    within: float,
    replications: int = REPLICATIONS,
) -> list[Comparison]:
    """Observe each replication, and compare each quantity that theory names."""
    runs = [observe(seed) for seed in range(1, replications + 1)]
    found = [compare(name, [run[name] for run in runs], theory[name], within) for name in theory]
    print(*found, sep="\n")  # pytest shows it of a failed test, or with -rP
    return found


def check(
    observe: Callable[[int], Observation],
    theory: Mapping[str, float],
    within: float,
    replications: int = REPLICATIONS,
) -> None:
    """Fail unless every quantity agrees with theory."""
    found = comparisons(observe, theory, within, replications)
    assert {one.name: one.verdict for one in found} == dict.fromkeys(theory, "agrees")


def ks_p_value(samples: np.ndarray, cdf: Callable[[np.ndarray], np.ndarray]) -> float:
    """Return the p-value of Kolmogorov's test of independent samples against a continuous cdf."""
    n = len(samples)
    at = cdf(np.sort(samples))
    distance = max(np.max(np.arange(1, n + 1) / n - at), np.max(at - np.arange(n) / n))
    return float(kolmogorov(math.sqrt(n) * distance))


# Open queues: a station by itself, and inside the push server


def customers_of(station: Station, rate: float, cost: Distribution, seed: int, count: int) -> Times:
    """Send a Poisson stream of customers through a station; return response and waiting times."""
    env = station.env
    gaps, services = np.empty(count), np.empty(count)
    draw_block(Exponential(1 / rate).table().cells, seed, int(Purpose.MESSAGE_GAP), 0, 0, gaps)
    draw_block(cost.table().cells, seed, int(Purpose.WRITE), 0, 0, services)
    responses = np.full(count, np.nan)

    def arrive() -> Iterator[Event]:
        for number, (gap, service) in enumerate(zip(gaps.tolist(), services.tolist(), strict=True)):
            yield env.timeout(gap)
            station.serve(service).callbacks.append(partial(leave, number, env.now))

    def leave(number: int, arrived: float, _event: Event) -> None:
        responses[number] = env.now - arrived

    env.process(arrive())
    env.run()
    settled = slice(WARMUP, None)
    return responses[settled], (responses - services)[settled]


def open_queue(rate: float, **parts: object) -> System:
    """Return a push system with Poisson messages, `rate` of all agents together [1/s]."""
    workload = Workload(traffic=Poisson(rate / AGENTS), start="together")
    return attrs.evolve(System(name="open", push=PushServer(), workload=workload), **parts)


def latencies(system: System, seed: int, messages: int, agents: int = AGENTS) -> np.ndarray:
    """Return the latencies of about so many messages, without those at either end of the run."""
    rate = system.offered_load(agents)
    margin, measured = WARMUP / rate, messages / rate
    result = simulate(
        system,
        agents=agents,
        seed=seed,
        warmup=margin,
        drain=margin,
        duration=measured + 2 * margin,
        keep_messages=True,
    )
    records = result.records
    inside = (records["created"] >= margin) & (records["created"] < margin + measured)
    assert (records["outcome"][inside] == "delivered").all(), "the drain is too short"
    return (records["delivered"] - records["created"])[inside]
