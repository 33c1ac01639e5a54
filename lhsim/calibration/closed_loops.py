"""What a request log shows of its clients and, at once, of the server: one run's closed loop.

The think time is the gap between an answer and the client's next request. A request that no other
one overlaps has met no queue: its response time is what the server takes for one alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.calibration.run_sheet import MOST_CORES, Run
from lhsim.distributions import Deterministic, Distribution, Exponential, Quantiles
from lhsim.errors import InputError
from lhsim.models import Requests, Workload
from lhsim.readers.request_log import by_client
from lhsim.units import format_duration

Floats = NDArray[np.float64]

FEWEST = 3  # requests in the window of a run
FAILED = 0.02  # part of the requests that may have failed
ENOUGH = 20  # times from which on a distribution is looked for
SETTLING = 0.1  # part of a log that is left out at its start, if it is not said otherwise
MOST_SETTLING = 0.25
SAID = 0.1  # part by which a think time may differ from what is said of it
OVERHEAD = 0.02  # that a client's timer may add to a think time [s]
STEADY = 1e-3  # coefficient of variation below which a time is constant
LIKE_EXPONENTIAL = 0.06  # Kolmogorov-Smirnov distance up to which a think time is exponential
TOGETHER = 0.02  # of a cycle: standard deviation of starts that are one
EVEN = 0.3  # coefficient of variation of the gaps between starts up to which they are a ramp
LEVELS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93,
          0.95, 0.97, 0.98, 0.99, 0.995, 1.0)  # fmt: skip


@frozen(eq=False)
class Loop:
    """A run of clients that wait for their answers; times count from the first start."""

    run: Run = field(repr=False)
    clients: int
    in_flight: int  # requests of a client under way at a time
    window: tuple[float, float]  # that counts [s]
    counts: NDArray[np.bool_] = field(repr=False)  # requests that start in it, shape n
    alone: NDArray[np.bool_] = field(repr=False)  # those of them that no other overlaps, shape n
    thinks: Floats = field(repr=False)  # in the window [s]
    first_starts: Floats = field(repr=False)  # of each client [s]

    @property
    def name(self) -> str:
        """The load in a few words."""
        return f"{self.run.name}: {self.clients} client" + ("s" if self.clients > 1 else "")

    @property
    def seconds(self) -> float:
        """Length of the window [s]."""
        return self.window[1] - self.window[0]

    @property
    def responses(self) -> Floats:
        """Response times of the requests that count [s]."""
        return self.run.log.response[self.counts]

    @property
    def throughput(self) -> float:
        """Answers per second of the window [1/s]."""
        return self._answers(*self.window) / self.seconds

    @property
    def demand(self) -> float | None:
        """Processor time of a request by the utilisation law, U / X [s]; None: it is not known."""
        if self.run.cpu_seconds is None:
            return None
        log = self.run.log
        if self.run.window is None:
            return self.run.cpu_seconds / len(log)
        low, high = (end - log.origin for end in self.run.window)
        return self.run.cpu_seconds / max(self._answers(low, high), 1)

    def quantile(self, level: float) -> float:
        """Return a quantile of the response times [s]."""
        return float(np.quantile(self.responses, level))

    def _answers(self, low: float, high: float) -> int:
        end = self.run.log.end
        return int(np.count_nonzero((end >= low) & (end < high)))


def closed_loop(run: Run) -> Loop:
    """Return what a run shows.

    Raises
    ------
    InputError
        When its clients are not known or do not wait for answers, it is too short, or what is said
        of it is not what it shows.
    """
    log = run.log
    if not log.has_clients:
        raise InputError("names no clients", source=log.source, key="client",
                         allowed="a log that says which client sent each request")  # fmt: skip
    failed = int(log.failed.sum())
    if failed > FAILED * len(log):
        problem = f"has {failed} failed requests of {len(log)}"
        raise InputError(problem, source=log.source, key="status",
                         allowed=f"at most {FAILED:.0%}: errors are no answers")  # fmt: skip
    clients = log.clients
    assert clients is not None
    in_flight = _in_flight(run)
    ends, thinks, firsts = _thinks(run, in_flight)
    window = _window(run, thinks)
    counts = (log.start >= window[0]) & (log.start < window[1])
    if np.count_nonzero(counts) < FEWEST and run.window is None:  # of a few all have to count
        window, counts = (0.0, log.span), np.ones(len(log), bool)
    if np.count_nonzero(counts) < FEWEST:
        problem = f"holds {np.count_nonzero(counts)} requests in its window"
        raise InputError(problem, source=log.source, allowed=f"{FEWEST} or more")
    inside = (ends >= 0.0) & (ends < window[1])
    found = Loop(run, clients, in_flight, window, counts, counts & _alone(log.start, log.end),
                 thinks[inside] if inside.any() else thinks, firsts)  # fmt: skip
    _check_think(found)
    _check_processor(found)
    return found


def _in_flight(run: Run) -> int:
    most = int(run.log.most_in_flight.max())
    if run.in_flight is not None and most > run.in_flight:
        problem = f"is {run.in_flight}, and the log has {most} requests of a client at a time"
        raise InputError(problem, source=run.log.source, key="in_flight", allowed=f"{most}")
    return run.in_flight or most


def _thinks(run: Run, in_flight: int) -> tuple[Floats, Floats, Floats]:
    """Return the answers after which clients think, for how long they do, and first starts [s].

    Of a client with several requests under way the one that was answered first goes on first.
    """
    log = run.log
    ends, thinks, firsts = [], [], []
    for _, rows in by_client(log):
        start, end = log.start[rows], np.sort(log.end[rows])
        firsts.append(start[0])
        ends.append(end[:-in_flight])
        thinks.append(start[in_flight:] - end[:-in_flight])
    gaps = np.concatenate(thinks)
    if not len(gaps):
        raise InputError("has one request of each client", source=run.log.source,
                         allowed="clients that send again and again")  # fmt: skip
    return np.concatenate(ends), np.maximum(gaps, 0.0), np.array(firsts)


def _window(run: Run, thinks: Floats) -> tuple[float, float]:
    """Return the part of a run that counts: what is said, or all but its start and its end.

    The first requests of all clients are left out, and at the end what may lack answers: a log has
    none of a request that was under way when it ended.
    """
    log, span = run.log, run.log.span
    if run.window is not None:
        low, high = (end - log.origin for end in run.window)
        if low > log.span or high < 0 or low < -1.0 or high > log.span + max(0.1 * span, 2.0):
            allowed = f"a part of {log.origin:.6g} to {log.origin + log.span:.6g}"
            raise InputError("lies beyond the log", source=log.source, key="window_s",
                             allowed=allowed)  # fmt: skip
        return max(low, 0.0), min(high, span)
    cycle = float(np.median(thinks)) + float(np.median(log.response))
    low = min(max(SETTLING * span, 2 * cycle), MOST_SETTLING * span)
    return low, max(span - float(np.quantile(log.response, 0.999)), low)


def _alone(start: Floats, end: Floats) -> NDArray[np.bool_]:
    """Return which requests no other one overlaps."""
    before = np.concatenate([[-math.inf], np.maximum.accumulate(end)[:-1]])
    after = np.concatenate([start[1:], [math.inf]])
    return (before <= start) & (after >= end)


def _check_think(loop: Loop) -> None:
    """Refuse a think time that the log contradicts."""
    said = loop.run.think
    if said is None:
        return
    shown = (float(np.median(loop.thinks)), float(loop.thinks.mean()))
    allowed = SAID * said + OVERHEAD
    if all(abs(one - said) > allowed for one in shown):
        problem = f"is {format_duration(said)}, and the log shows {format_duration(shown[0])}"
        raise InputError(
            problem,
            source=loop.run.log.source,
            key="think",
            allowed="what clients sleep from an answer to the next request",
        )


def _check_processor(loop: Loop) -> None:
    """Refuse processor seconds that the run cannot have had."""
    run, used = loop.run, loop.run.cpu_seconds
    if used is None:
        return
    low, high = run.window or (0.0, run.log.span + 1.0)
    cores = run.cores or MOST_CORES
    if used > 1.02 * cores * (high - low):
        problem = f"is more than {cores} cores have in {format_duration(high - low)}"
        raise InputError(problem, source=run.log.source, key="cpu_seconds",
                         allowed="the processor time of the window")  # fmt: skip
    assert loop.demand is not None
    if run.cores is not None and loop.demand > 2 * run.cores * loop.quantile(0.95):
        each, response = map(format_duration, (loop.demand, loop.quantile(0.95)))
        problem = f"is {each} a request, and 95 % of them take less than {response}"
        raise InputError(problem, source=run.log.source, key="cpu_seconds",
                         allowed="the processor time of the window")  # fmt: skip


def think_time(loops: Sequence[Loop]) -> Distribution:
    """Return the think time of runs that have the same.

    Raises
    ------
    InputError
        When they have not.
    """
    means = [float(loop.thinks.mean()) for loop in loops]
    widest = max(means) - min(means)
    error = math.hypot(*(3 * float(loop.thinks.std()) / math.sqrt(len(loop.thinks))
                         for loop in loops))  # fmt: skip
    if widest > SAID * max(means) + OVERHEAD + error:
        low, high = map(format_duration, (min(means), max(means)))
        problem = f"think for {low} in one run and for {high} in another"
        raise InputError(problem, source=loops[int(np.argmax(means))].run.log.source,
                         key="clients", allowed="runs of one think time")  # fmt: skip
    return time_of(np.concatenate([loop.thinks for loop in loops]), loops)


def time_of(thinks: Floats, loops: Sequence[Loop]) -> Distribution:
    """Return the distribution of observed think times: constant, exponential, or as it is."""
    mean = float(thinks.mean())
    if mean <= 0 or float(thinks.std()) <= STEADY * mean:
        return Deterministic(max(float(np.median(thinks)), 0.0))
    levels = np.sort(-np.expm1(-thinks / mean))
    ranks = np.arange(len(levels) + 1) / len(levels)
    distance = max(
        float(np.abs(levels - ranks[1:]).max()), float(np.abs(levels - ranks[:-1]).max())
    )
    if distance < LIKE_EXPONENTIAL and len(thinks) >= ENOUGH:
        return Exponential(_whole_thinks(loops, mean))
    return empirical(thinks)


def _whole_thinks(loops: Sequence[Loop], mean: float) -> float:
    """Return the mean of exponential think times, those included that the ends of logs cut off.

    It is all time in which clients think over the number of thoughts that end (the maximum of the
    likelihood under censoring).
    """
    total, ended = 0.0, 0
    for loop in loops:
        log = loop.run.log
        for _, rows in by_client(log):
            last = float(log.end[rows].max())
            gaps = log.start[rows][loop.in_flight :] - np.sort(log.end[rows])[: -loop.in_flight]
            total += float(np.maximum(gaps, 0).sum()) + min(log.span - last, 4 * mean)
            ended += len(gaps)
    return total / ended if ended else mean


def empirical(times: Floats) -> Distribution:
    """Return a distribution with the quantiles and the mean of observed times [s]."""
    mean, values = float(times.mean()), np.quantile(times, LEVELS)
    if mean <= 0 or float(times.std()) <= STEADY * mean:
        return Deterministic(max(mean, 0.0))
    levels = np.array(LEVELS)
    of_table = float((np.diff(levels) * (values[1:] + values[:-1]) / 2).sum())
    scaled = values * (mean / of_table if of_table > 0 else 1.0)
    return Quantiles(LEVELS, tuple(float(f"{value:.6g}") for value in scaled))


def workload(loop: Loop, think: Distribution) -> Workload:
    """Return the clients of a run as a workload, that start as those of the run did.

    A client of the model thinks before its first request: what its thinking explains of the spread
    of first requests is no spread of starts.
    """
    starts = np.sort(loop.first_starts)
    cycle = float(loop.thinks.mean()) + float(np.median(loop.responses))
    of_thinks = float(loop.thinks.var())
    rest = max(float(starts.var()) - of_thinks, 0.0)
    traffic = Requests(think=think, in_flight=loop.in_flight)
    if math.sqrt(rest) <= TOGETHER * cycle or rest <= of_thinks:
        return Workload(traffic=traffic, start="together")
    gaps = np.diff(starts)
    even = len(gaps) >= 5 and float(gaps.std()) <= EVEN * float(gaps.mean())
    over = float(f"{min(math.sqrt(12 * rest), loop.run.log.span / 2):.4g}")
    return Workload(traffic=traffic, start="ramp" if even else "random", start_over=over)


def lead_of(loop: Loop) -> float:
    """Return when the first request of a model of the clients is sent, which is 0 in a log [s].

    It thinks first. Where think times are constant clients may send in bursts, and how many of them
    a window holds depends on where it begins.
    """
    return float(np.quantile(loop.thinks, 1 / (loop.clients + 1)))
