"""A server known by message logs alone: whether it is polled, and what it can do.

`lhsim.calibration.pattern` tells polling from pushing, `push_logs` and `polling_logs` find the
costs. What logs cannot show is taken from a template.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from itertools import combinations
from os import PathLike
from typing import Any, Literal

import numpy as np
from attrs import evolve, field, frozen

from lhsim import checks
from lhsim.calibration.acceptance import Row, compared, in_words
from lhsim.calibration.acceptance import check as check_misses
from lhsim.calibration.fit import PRIOR, OnStep
from lhsim.calibration.logs import POISSON, Log
from lhsim.calibration.pattern import Pattern, pattern
from lhsim.calibration.points import UNTOLD
from lhsim.calibration.polling_logs import MOST_AGENTS, fit_polls, is_late, most_agents
from lhsim.calibration.push_logs import PARTS as OF_QUEUE
from lhsim.calibration.push_logs import Fitted, Queue, fit_queue, system_of
from lhsim.calibration.residuals import Residual, misses_of, residual
from lhsim.calibration.runs import PARTS as OF_POLLS
from lhsim.calibration.runs import collinear, rounded, samples_at
from lhsim.calibration.stations import FIFO, with_quantum
from lhsim.errors import InputError
from lhsim.library import as_system, load_system
from lhsim.models import Calibration, CalibrationWarning, Poisson, Provenance, System, Workload
from lhsim.planning.samples import samples_of
from lhsim.recording import Modelled
from lhsim.replay import replay
from lhsim.report.calibration import MEANINGS
from lhsim.units import format_duration

APART = 1.2  # ratio of two loads that are two levels
SAMPLED = 10  # systems of which the capacity is looked for, under polling
TAILS = (0.05, 0.95)  # of the capacity
BY_CHANCE = 0.97  # of a throughput, which it is at least but for chance
SOME = 0.05  # of the samples: below that something is ruled out
DELAYS = ("latency_p50", "latency_p95", "latency_p99")  # that are compared of logs and system
SAME = 0.9  # ratio of what agents send from which on they are as active
WIDE = 3.0  # ratio of the ends of a capacity's interval from which on it is not told
WIDENED = 0.1  # part of a figure that may be missed, which widens predictions
NO_DELAY = 1e-6  # of a network that takes no time [s]
RUNS = 5  # simulated of each log, for what the system misses
USUAL_MOVES = 0.03  # standard deviation of the logarithm of all costs from run to run
LOST = 0.05  # part of the messages that may be lost for good
GROWN = 2.0  # ratio of delays from which on a queue is to be seen


@frozen
class Capacity:
    """The load that takes all of the server."""

    value: float
    low: float  # 90 % interval
    high: float
    unit: Literal["messages/s", "agents"]
    seen: bool  # whether a log shows it; else it is inferred from delays below it


@frozen(eq=False)
class BlackBox:
    """What logs came to."""

    system: System
    pattern: Pattern
    capacity: Capacity
    logs: tuple[Log, ...] = field(repr=False)
    targets: tuple[Row, ...] = field(repr=False)  # level, metric, live, simulated, ...
    unknowns: tuple[dict[str, Any], ...]  # name, value, deviation of the logarithm
    collinear: tuple[tuple[str, str, float], ...]  # unknowns that the logs cannot tell apart

    @property
    def architecture(self) -> Modelled:
        """Of the system."""
        return "polling" if self.system.polling is not None else "push"

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnostics as plain data, as those of `lhsim.calibration.Calibrated`."""
        calibration = self.system.calibration
        assert calibration is not None
        capacity = self.capacity
        return {
            "system": self.system.name,
            "architecture": self.architecture,
            "because": self.pattern.sentence,
            "interval": self.pattern.interval,
            "capacity": _known(capacity.value),
            "capacity_interval": [_known(capacity.low), _known(capacity.high)],
            "capacity_unit": capacity.unit,
            "capacity_seen": capacity.seen,
            "runs": len(self.logs),
            "agents": calibration.agents,
            "messages_per_second": calibration.messages_per_second,
            "levels": [
                {"level": log.level, "runs": 1, "saturated": log.saturated, "lag": log.lag}
                for log in self.logs
            ],
            "targets": [dict(one) for one in self.targets],
            "unknowns": list(self.unknowns),
            "warnings": list(self.system.caveats),
            "collinear": [
                {"first": one, "second": other, "correlation": correlation}
                for one, other, correlation in self.collinear
            ],
        }


def from_logs(
    logs: Iterable[Log],
    *,
    template: System | str | PathLike[str] | None = None,
    name: str = "black box",
    executor: Executor | None = None,
    on_step: OnStep | None = None,
) -> BlackBox:
    """Return the system that is nearest to message logs of a server.

    Parameters
    ----------
    logs
        At two loads or more, at one of which at least the server keeps up; best with one at which
        it does not.
    template
        Gives what logs cannot show, and whether the server is polled; None: the delays show it, and
        the template is the default system of that architecture.
    name
        Of the new system.
    executor, on_step
        As in `lhsim.calibration.calibrate`.

    Raises
    ------
    InputError
        When the logs are too few, or the template is polled and they are not.
    """
    allowed = "logs at two loads or more"
    if checks.is_several(logs) and not (logs := list(logs)):
        raise InputError("are missing", key="logs", allowed=allowed)
    logs = checks.instances(logs, "logs", Log, allowed)
    logs = sorted(logs, key=lambda log: (log.rate, log.agents))
    _check(logs)
    apart = max(log.clocks_apart for log in logs)  # of one server, as its logs together show it
    logs = [log.later(apart - log.clocks_apart) for log in logs]
    template = None if template is None else as_system(template)
    name = checks.text(name, "name")
    checks.executor(executor, "executor")
    checks.function(on_step, "on_step")
    found = pattern(logs)
    if found.several is not None:
        low, high = (format_duration(float(f"{end:.3g}")) for end in found.several)
        problem = f"agents poll at intervals of their own, from {low} to {high}"
        raise InputError(problem, source=logs[0].name, allowed="logs of agents of one interval")
    polled = found.interval is not None
    if template is not None:
        if template.architecture == "polling" and not polled:
            problem = f"is polled, and the server of the logs is not: {found.sentence}"
            raise InputError(problem, source=template.name, allowed="a push system")
        polled = template.architecture == "polling"
    chosen = template or load_system("polling" if polled else "push")
    if polled:
        return _polled(logs, chosen, found, name, executor, on_step)
    return _pushed(logs, chosen, found, name)


def _check(logs: Sequence[Log]) -> None:
    for one, other in combinations(logs, 2):
        if _are_the_same(one, other):
            problem = f"holds the messages of {other.name}"
            raise InputError(problem, source=one.name, allowed="each run once")
    allowed = "logs at two loads or more"
    for what in ("rate", "agents"):
        values = [getattr(log, what) for log in logs]
        if max(values) >= APART * min(values):
            break
    else:
        raise InputError(f"{len(logs)} of one load", key="logs", allowed=allowed)
    if all(log.saturated for log in logs):
        raise InputError("are all saturated", key="logs", allowed="a load that the server keeps")
    for log in logs:
        _check_losses(log, min(log.middle for log in logs if not log.saturated))


def _are_the_same(one: Log, other: Log) -> bool:
    return np.array_equal(one.intended, other.intended) and np.array_equal(
        one.delivered, other.delivered, equal_nan=True
    )


def _check_losses(log: Log, usual: float) -> None:
    """Refuse a log in which messages are missing though those that arrive hardly wait.

    They were lost: a server that is behind has delays that grow with its queue.
    """
    if log.lost > LOST and log.middle < GROWN * usual + log.tick:
        problem = f"{log.lost:.0%} of the messages never arrive, and the others are not late"
        allowed = "a log without losses; those look like a server that is behind"
        raise InputError(problem, source=log.name, key="delivered_s", allowed=allowed)


def _pushed(logs: Sequence[Log], template: System, found: Pattern, name: str) -> BlackBox:
    fitted = fit_queue(logs)
    logs = [log.later(fitted.shift) for log in logs]
    deviations = np.sqrt(np.diag(fitted.covariance)).tolist()
    targets = tuple(
        {"level": log.level, "metric": metric, "live": live, "error": error,
         "simulated": simulated, "miss": simulated / live - 1, "off": off}
        for log, target, figures, shown in zip(
            logs, fitted.targets, fitted.simulated, fitted.shown, strict=True)
        for metric, live, error, simulated, off in zip(
            target.names, shown[0], target.errors.tolist(), shown[1],
            (figures - target.live).tolist(), strict=True)
    )  # fmt: skip
    check_misses(targets, name, WIDENED)
    capacity, queue = _of_queue(fitted, logs), fitted.queue
    parameters = {
        "cpu": Provenance("delays and throughput of the logs", _messages(logs), in_words(targets)),
        "cpu.warmth": Provenance("delays at several loads", _messages(logs)),
        "network": Provenance("what is left of the delays", _messages(logs)),
    }
    samples = _samples_of_queue(fitted)
    plain = with_quantum(system_of(template, fitted), samples)
    unknowns = _unknowns(OF_QUEUE, queue.values, deviations)
    if queue.exponential:  # whose services have no variation of their own
        unknowns = tuple(one for one in unknowns if one["name"] != "variation")
    server = "cores" if queue.station.shares else "workers"
    unknowns += ({"name": server, "value": float(queue.station.processors), "deviation": 0.0},)
    system = _described(
        plain, name, logs, parameters, samples, capacity, unknowns, _open_stations(fitted.samples)
    )
    pairs = tuple(collinear(OF_QUEUE, fitted.covariance))
    return BlackBox(system, found, capacity, tuple(logs), targets, unknowns, pairs)


def _of_queue(fitted: Fitted, logs: Sequence[Log]) -> Capacity:
    """Return the messages that the server has time for; as many as it delivered at least."""
    delivered = max(log.delivery_rate for log in logs)
    if not fitted.told:
        return Capacity(delivered, delivered, math.inf, "messages/s", seen=False)
    value = max(fitted.queue.capacity, delivered)
    low, high = np.quantile([one.capacity for one in fitted.samples], TAILS).tolist()
    if high > WIDE * max(low, delivered):
        return Capacity(delivered, delivered, math.inf, "messages/s", seen=False)
    seen = any(log.saturated for log in logs)
    low = min(low, value, delivered * BY_CHANCE) if seen else max(min(low, value), delivered)
    return Capacity(value, low, max(high, value), "messages/s", seen)


def _open_stations(samples: Sequence[Queue]) -> Iterator[CalibrationWarning]:
    """Yield what the logs do not tell of how a server works on several messages."""
    numbers = Counter(one.station.processors for one in samples)
    likely = sorted(one for one, times in numbers.items() if times >= SOME * len(samples))
    if len(likely) > 1:
        text = f"The logs leave open how many messages are served at a time: {likely[0]} to "
        yield CalibrationWarning("parameters", f"{text}{likely[-1]}.")


def _samples_of_queue(fitted: Fitted) -> dict[str, tuple[float, ...]]:
    """Return joint samples of the parameters, as factors of what they are.

    They are loops if the best station is, else cores: no system has both.
    """
    queue, known = fitted.queue, len(fitted.samples)
    alike = [one for one in fitted.samples if one.station.shares == queue.station.shares] or [queue]
    some = [alike[k % len(alike)] for k in range(known)]
    columns = {
        f"cpu.{name}*": [one.parts[k] / queue.parts[k] for one in some]
        for k, name in enumerate(("parse_message", "write", "acknowledge"))
    }
    if not queue.station.shares:
        columns["cpu.warmth.excess*"] = [one.excess / queue.excess for one in some]
        columns["cpu.warmth.gaps*"] = [one.gap / queue.gap for one in some]
    if queue.delay > NO_DELAY:
        delays = [max(one.delay, NO_DELAY) / queue.delay for one in some]
        columns |= {"network.up*": delays, "network.down*": delays}
    settings = {
        "cpu.workers": [float(one.station.workers) for one in some],
        "cpu.cores": [float(one.station.cores) for one in some],
        "cpu.quantum": [min(one.station.quantum, FIFO) for one in some],
    }
    columns |= {path: values for path, values in settings.items() if len(set(values)) > 1}
    return rounded({path: np.array(values) for path, values in columns.items()})


def _polled(
    logs: Sequence[Log],
    template: System,
    found: Pattern,
    name: str,
    executor: Executor | None,
    on_step: OnStep | None,
) -> BlackBox:
    assert found.interval is not None
    fitted = fit_polls(logs, template, found.interval, executor, on_step)
    targets = compared([log.level for log in logs], fitted.targets, fitted.simulated)
    check_misses(targets, name, WIDENED)
    parameters = {
        "polling.interval": Provenance("range of the delays", _messages(logs), found.sentence)
    }
    if fitted.point is None:
        parameters["cpu"] = Provenance(f"the template, {template.name}: the logs do not show it")
        samples = template.calibration.samples if template.calibration else {}
        unknowns = tuple(
            {"name": name, "value": None, "deviation": deviation}
            for name, deviation in zip(OF_POLLS, PRIOR, strict=True)
        )
    else:
        fit = in_words(targets)
        parameters["cpu"] = Provenance("delays and throughput", _messages(logs), fit)
        samples = samples_at(fitted.draws, "polling")
        deviations = np.sqrt(np.diag(fitted.covariance)).tolist()
        unknowns = _unknowns(OF_POLLS, fitted.point.values, deviations)
    plain = _described(fitted.system, name, logs, parameters, samples)
    capacity = _of_polls(plain, logs, shown=fitted.point is not None)
    system = _described(fitted.system, name, logs, parameters, samples, capacity, unknowns)
    pairs = tuple(collinear(OF_POLLS, fitted.covariance))
    return BlackBox(system, found, capacity, tuple(logs), targets, unknowns, pairs)


def _of_polls(system: System, logs: Sequence[Log], *, shown: bool) -> Capacity:
    """Return how many agents the server has time for; where nothing shows it, as many at least.

    They are as active as those of the largest log, and never fewer than a log has whose polls are
    in time.
    """
    largest = max(logs, key=lambda log: log.agents)
    most = MOST_AGENTS * largest.agents
    active = largest.rate / largest.agents
    alike = [log for log in logs if log.rate >= SAME * active * log.agents]
    served = max((log.agents for log in alike if not is_late(log, logs)), default=0)
    value = max(most_agents(system, largest), served)
    if not shown:
        return Capacity(max(value, largest.agents), largest.agents, math.inf, "agents", seen=False)
    some = [evolve(one, calibration=None) for one in samples_of(system)[:SAMPLED]]
    sampled = [max(most_agents(one, largest), served) for one in some]
    low, high = np.quantile(sampled, TAILS, method="nearest").tolist()
    return Capacity(min(value, most), min(low, value, most), max(high, value), "agents", seen=True)


def _described(
    system: System,
    name: str,
    logs: Sequence[Log],
    parameters: dict[str, Provenance],
    samples: dict[str, tuple[float, ...]],
    capacity: Capacity | None = None,
    unknowns: Sequence[dict[str, Any]] = (),
    more: Iterable[CalibrationWarning] = (),
) -> System:
    """Return the system with where it comes from, and the load of its logs by default."""
    largest = max(logs, key=lambda log: log.rate)
    untold = [MEANINGS[one["name"]][0] for one in unknowns if one["deviation"] > UNTOLD]
    warnings = () if capacity is None else (*_warnings(capacity, logs, untold), *more)
    misses, biases = ({}, {}) if capacity is None else _missed(system, logs)
    agents, rates = [log.agents for log in logs], [log.rate for log in logs]
    return evolve(
        system,
        name=name,
        description=f"A {system.architecture} server, known by message logs alone.",
        workload=Workload(traffic=Poisson(float(f"{largest.rate / largest.agents:.4g}"))),
        calibration=Calibration(
            source=f"{len(logs)} message logs, by lhsim.calibration",
            date=datetime.now(UTC).date().isoformat(),
            agents=(min(agents), max(agents)),
            messages_per_second=(min(rates), max(log.throughput for log in logs)),
            parameters=parameters,
            window=float(f"{float(np.median([np.ptp(log.window) for log in logs])):.4g}"),
            samples=samples,
            misses=misses,
            biases=biases,
            moves={"cpu": USUAL_MOVES},
            warnings=warnings,
        ),
    )


def _missed(system: System, logs: Sequence[Log]) -> tuple[dict[str, float], dict[str, float]]:
    """Return the misses and biases of figures of the logs, as far as a Poisson process has them."""
    found: dict[str, list[Residual]] = {}
    for number, log in enumerate(logs, start=1):
        late = is_late(log, logs) if system.polling is not None else log.saturated
        if late or log.arrivals != POISSON:
            continue
        run = log.recording("push" if system.push is not None else "polling", number)
        runs = [replay(system, run.manifest, number + 100 * k).measures() for k in range(RUNS)]
        for name in DELAYS:
            live = max(run.measures()[name], log.tick, NO_DELAY)
            values = [max(one[name], log.tick, NO_DELAY) for one in runs]
            if np.isfinite([live, *values]).all():
                one = residual(values, live, int(log.counts.sum()))
                found.setdefault(name, []).append(one)
    misses, biases = misses_of(found)
    return (
        {name: float(f"{value:.3g}") for name, value in misses.items()},
        {name: float(f"{value:.3g}") for name, value in biases.items() if value},
    )


def _warnings(
    capacity: Capacity, logs: Sequence[Log], untold: Sequence[str]
) -> Iterator[CalibrationWarning]:
    """Yield what speaks against the capacity, the parameters and the delays of the system."""
    if math.isinf(capacity.high):
        least = float(f"{capacity.low:.4g}")
        text = (
            f"The capacity is at least {least:,.4g} {capacity.unit}; the logs show no queue that "
            "tells how much more. Trust no capacity of this model."
        )
        yield CalibrationWarning("capacity", text, least, capacity.unit)
    elif not capacity.seen:
        yield CalibrationWarning(
            "capacity",
            "No log is saturated: the capacity is inferred from delays, for a server that works "
            "on one message at a time.",
        )
    if untold:
        text = f"The logs hardly tell: {'; '.join(untold)}. What was assumed beforehand decides."
        yield CalibrationWarning("parameters", text)
    apart = max(log.clocks_apart for log in logs)
    if apart > 0:
        yield CalibrationWarning(
            "latency",
            "Messages of the logs arrive before they are sent, so clocks differ: deliveries count "
            f"{format_duration(float(f'{apart:.3g}'))} later, latencies from the shortest.",
        )


def _unknowns(
    names: Sequence[str], values: Sequence[float], deviations: Sequence[float]
) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"name": name, "value": value, "deviation": deviation}
        for name, value, deviation in zip(names, values, deviations, strict=True)
    )


def _messages(logs: Sequence[Log]) -> int:
    return sum(int(log.counts.sum()) for log in logs)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
