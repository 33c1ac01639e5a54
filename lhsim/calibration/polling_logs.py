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
from lhsim.calibration.logs import Floats, Log
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
# Where polls are late they queue, and the discipline of a server with several cores is another.
OF_LATE_POLLS = {"latency_p50": 0.05, "latency_p95": 0.1, "latency_p99": 0.2}
STEP = 0.2  # of the logarithms, for derivatives: what shows is noisy and changes abruptly
STRETCH, STRETCHED = 0.04, 0.95  # by how much which quantile of the delays has to grow
# By how much, as a standard deviation of a logarithm, all costs may be off: how those of messages
# and polls compare is the template's, and so are one loop and the way in which work warms it.
MODEL_ERROR = 0.1
COSTS = 2  # of the unknowns are factors of costs, the first ones
SLOWER = 16.0  # costs of a template with which its capacity is looked for
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
    generator = generator_of_samples()
    draws = fit.draws(solution, generator)
    draws[:, :COSTS] += MODEL_ERROR * generator.standard_normal(len(draws))[:, None]
    point, covariance = solution.point, solution.covariance
    return FittedPolls(system, point, covariance, tuple(targets), simulated, draws)


def _start(template: System, logs: Sequence[Log]) -> Point:
    """Return what is expected of a server beforehand.

    Its network takes what the shortest delay lasts. It has time for twice the agents of the largest
    log, or where polls are late for as many as that served in an interval.
    """
    kept = [log for log in logs if not log.saturated]
    shortest = min(float(_delays(log).min()) for log in kept)
    largest = max(logs, key=lambda log: log.agents)
    slow = evolve(template, cpu=template.cpu.slower(SLOWER))
    agents = SLOWER * min(most_agents(slow, largest), MOST_AGENTS * largest.agents)
    late = is_late(largest, logs)
    expected = largest.agents / stretch(largest, logs) if late else 2 * largest.agents
    factor = agents / expected
    return evolve(START, messages=factor, requests=factor, delay=max(shortest, START.delay))


def shows_work(logs: Sequence[Log]) -> bool:
    """Return whether the server's work delays polls somewhere, or makes messages pile up."""
    return any(is_late(log, logs) for log in logs)


def is_late(log: Log, logs: Sequence[Log]) -> bool:
    """Return whether polls are late in a log, or messages pile up, beside the lightest of logs."""
    if log.saturated:
        return True
    lightest = _lightest(logs)
    chance = math.hypot(_chance(log), _chance(lightest))
    return log is not lightest and stretch(log, logs) > 1 + STRETCH + chance


def stretch(log: Log, logs: Sequence[Log]) -> float:
    """Return how many times as long messages wait in a log as in the lightest of logs.

    Waits count from the shortest delay of that, which is distance, and what clocks are apart.
    """
    lightest = _lightest(logs)
    usual = _delays(lightest)
    shortest, longest = float(usual.min()), float(np.quantile(usual, STRETCHED))
    own = float(np.quantile(_delays(log), STRETCHED))
    return max((own - shortest) / (longest - shortest), 1.0) if longest > shortest else 1.0


def _lightest(logs: Sequence[Log]) -> Log:
    return min(logs, key=lambda log: (log.saturated, log.rate))


def _delays(log: Log) -> Floats:
    delays = (log.delivered - log.sent)[log.counts]
    return delays[np.isfinite(delays)]


def _chance(log: Log) -> float:
    return CHANCE * math.sqrt(STRETCHED * (1 - STRETCHED) / len(_delays(log)))


def _targets(logs: Sequence[Log], levels: Sequence[Level], number: int) -> list[Target]:
    level, log = levels[number], logs[number]
    errors = AT_SATURATION
    if not log.saturated:
        messages = int(log.counts.sum())
        least = OF_LATE_POLLS if is_late(log, logs) else dict.fromkeys(LATENCIES, LEAST)
        errors = {name: max(least[name], one / math.sqrt(messages))
                  for name, one in LATENCIES.items()}  # fmt: skip
    return [Target(number, name, level.mean(name), error) for name, error in errors.items()]


def most_agents(system: System, log: Log, on_step: Callable[[], None] | None = None) -> float:
    """Return the number of agents, each as active as those of a log, that take all the processors.

    Infinite where even `MOST_AGENTS` times those of the log do not.
    """
    workload = Workload(traffic=Poisson(log.rate / log.agents))

    def is_busy(agents: int) -> bool:
        manifest = Manifest("polling", agents, workload, 1, 2.0, WINDOW, 1.0)
        if on_step is not None:
            on_step()
        cpu = replay(evolve(system, calibration=None), manifest).measures()["cpu"]
        return cpu / system.cpu.processors >= BUSY

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
