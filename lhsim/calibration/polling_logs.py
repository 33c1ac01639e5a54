"""From message logs of a server that is polled to the costs of its requests, as far as they show.

Nearly all of a delay is the wait for the next poll, which says nothing of the server. Its work
shows where polls are late: then the delays stretch beyond the interval, and at last messages pile
up. Logs below that do not show the costs, and those of the template stand. How the costs of
messages and of requests compare is taken from it as well, as far as the logs do not tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import numpy as np
from attrs import evolve, field, frozen

from lhsim.calibration.fit import PRIOR, Fit, OnStep, Target, generator_of_samples
from lhsim.calibration.levels import BUSY, CHANCE, Level
from lhsim.calibration.logs import Log
from lhsim.calibration.points import START, Point, network, system_at
from lhsim.models import Poisson, System, Workload
from lhsim.models.paths import changed
from lhsim.recording import Manifest
from lhsim.replay import replay

# Errors of what is compared, at least: runs of other messages differ by their number as well.
LATENCIES = {"latency_p50": 1.5, "latency_p95": 0.35, "latency_p99": 0.3}  # over sqrt(messages)
LEAST = 0.01
# Where messages pile up, their delays say how fast: the simulated run is as long.
AT_SATURATION = {"throughput": 0.02, "latency_p50": 0.25}
STEP = 0.2  # of the logarithms, for derivatives: what shows is noisy and changes abruptly
STRETCH, STRETCHED = 0.04, 0.95  # by how much which quantile of the delays has to grow
TRIES = 9  # of a bisection for the capacity
MOST_AGENTS = 32  # times those of the largest log
WINDOW = 8.0  # of the runs that show it [s]


@frozen(eq=False)
class FittedPolls:
    """A polling system and how well it is known."""

    system: System
    point: Point | None  # None: the logs do not show the costs, which are the template's
    covariance: np.ndarray
    targets: tuple[Target, ...]
    simulated: tuple[float, ...]
    draws: np.ndarray = field(factory=lambda: np.zeros((0, len(PRIOR))))  # as of `Fit.draws`


def fit_polls(
    logs: Sequence[Log],
    template: System,
    interval: float,
    executor: Executor | None = None,
    on_step: OnStep | None = None,
) -> FittedPolls:
    """Return the polling system that is nearest to logs.

    Parameters
    ----------
    logs
        Of one server, at two loads or more.
    template
        A polling system.
    interval
        Between two polls [s].
    executor, on_step
        As in `lhsim.calibration.calibrate`.
    """
    plain = evolve(template, calibration=None)  # of another server
    template = changed(plain, "polling.interval", interval)
    start = _start(template, logs)
    template = evolve(template, network=network(start.delay, None))
    levels = [Level((log.recording("polling", seed),)) for seed, log in enumerate(logs, start=1)]
    targets = [target for number in range(len(logs)) for target in _targets(logs, levels, number)]
    fit = Fit(template, levels, targets, executor, on_step, STEP, start)
    if not shows_work(logs):
        covariance = np.diag(np.square(PRIOR))
        simulated = tuple(fit.simulated(template))
        return FittedPolls(template, None, covariance, tuple(targets), simulated)
    solution = fit.solve()
    system = system_at(template, solution.point)
    simulated = tuple(fit.simulated(system))
    draws = fit.draws(solution, generator_of_samples())
    point, covariance = solution.point, solution.covariance
    return FittedPolls(system, point, covariance, tuple(targets), simulated, draws)


def _start(template: System, logs: Sequence[Log]) -> Point:
    """Return what is expected of a server beforehand.

    Its network takes what the shortest delay lasts, and its costs make the largest log the most
    that it has time for, or half of that.
    """
    kept = [log for log in logs if not log.saturated]
    shortest = min(float(np.nanmin((log.delivered - log.sent)[log.counts])) for log in kept)
    largest = max(logs, key=lambda log: log.agents)
    agents = min(most_agents(template, largest), MOST_AGENTS * largest.agents)
    factor = agents / largest.agents / (1 if largest.saturated else 2)
    return evolve(START, messages=factor, requests=factor, delay=max(shortest, START.delay))


def shows_work(logs: Sequence[Log]) -> bool:
    """Return whether the server's work delays polls somewhere, or makes messages pile up."""
    if any(log.saturated for log in logs):
        return True
    longest, chance = [], []
    for log in sorted(logs, key=lambda one: one.rate):
        delays = (log.delivered - log.sent)[log.counts]
        known = delays[np.isfinite(delays)]
        longest.append(float(np.quantile(known, STRETCHED)))
        chance.append(CHANCE * math.sqrt(STRETCHED * (1 - STRETCHED) / len(known)))
    limits = [(1 + STRETCH + math.hypot(own, chance[0])) * longest[0] for own in chance]
    return any(one > limit for one, limit in zip(longest[1:], limits[1:], strict=True))


def _targets(logs: Sequence[Log], levels: Sequence[Level], number: int) -> list[Target]:
    level, log = levels[number], logs[number]
    errors = AT_SATURATION
    if not log.saturated:
        messages = int(log.counts.sum())
        errors = {name: max(LEAST, one / math.sqrt(messages)) for name, one in LATENCIES.items()}
    return [Target(number, name, level.mean(name), error) for name, error in errors.items()]


def most_agents(system: System, log: Log, on_step: Callable[[], None] | None = None) -> float:
    """Return the number of agents, each as active as those of a log, that take all the processor.

    Infinite where even `MOST_AGENTS` times those of the log do not.
    """
    workload = Workload(traffic=Poisson(log.rate / log.agents))

    def is_busy(agents: int) -> bool:
        manifest = Manifest("polling", agents, workload, 1, 2.0, WINDOW, 1.0)
        if on_step is not None:
            on_step()
        return replay(evolve(system, calibration=None), manifest).measures()["cpu"] >= BUSY

    low, high = 1, log.agents
    while not is_busy(high):
        if high >= MOST_AGENTS * log.agents:
            return math.inf
        low, high = high, 2 * high
    for _ in range(TRIES):
        middle = round(math.sqrt(low * high))
        if middle in {low, high}:
            break
        low, high = (low, middle) if is_busy(middle) else (middle, high)
    return math.sqrt(low * high)
