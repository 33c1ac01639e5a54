"""From message logs of a server that pushes to its service time, and so to its capacity.

The server is a station (`lhsim.calibration.stations`) fed by the very messages of the logs. Fitted
by least squares are its service time on average and its variation, the part of it that comes after
the delivery, warmth, and a delay that takes no part of the server; each for several stations, which
the logs may leave open. Compared are, where the server
keeps up, quantiles of the delay, over all messages and over those that came within so long of the
one before: who follows closely waits for the other, which tells the service time even where no log
is saturated. Where the server does not keep up it is the throughput, which is the capacity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import ndtri

from lhsim.calibration.arrivals import (
    LEAST_GAP,
    RESAMPLES,
    Arrivals,
    Targets,
    constant_part,
    longest_service,
)
from lhsim.calibration.logs import Floats, Log
from lhsim.calibration.points import LEVELS, UNTOLD, curve, network
from lhsim.calibration.stations import LOOP, STATIONS, Station
from lhsim.distributions import Distribution, Exponential, Lognormal, Quantiles
from lhsim.models import Cpu, EventStore, System, Warmth
from lhsim.rules import slopes

PARTS = ("service", "after", "variation", "excess", "gap", "delay")
DELIVERING = 1  # of the services of a message
MEMORY = 1.5e-3  # of warmth: work that halves x [s]
# Standard deviations of the logarithms of the parts, around where the fit begins.
PRIOR = (1.5, 1.0, 0.7, 0.5, 1.0, 1.5)
# What a fit begins with: whether services are exponential; after, variation, excess and gap. Those
# of a real server, and of queues of the textbook.
SHAPES = (
    (False, 0.4, 0.4, 0.6, 0.15e-3),
    (False, 0.05, 0.4, 0.02, 0.15e-3),
    (True, 0.01, 0.4, 0.02, 0.15e-3),
)
MOST = (4.0, 2.0, 10.0, 1.0, math.inf)  # of after, variation, excess, gap and delay
USES = (0.9, 0.75, 0.6, 0.45, 0.3, 0.2, 0.1, 0.05)  # of the server at the highest load
# Of one that was seen at its limit: in slices, or with steps that wait, it delivers less there than
# it has time for, as messages that come later take some of that.
SEEN_USES = (0.99, 0.85, 0.72)
FULL, USUAL, NO_TIME = 0.99, 0.4, 0.01  # likewise
TRIED = 3  # stations besides one loop where fits begin
QUARTER, MEDIAN = 1, 2  # places among the figures of a log
ENOUGH = 3.0  # misfit by which a server that takes no time has to be worse
MESSAGES = 20_000  # simulated for a log, at least, in so many repetitions as it takes
SEED = 1
AS_GOOD = 0.7  # misfit more than the least, of which the most usual station is the best one
STEP = 0.03  # of the logarithms, for derivatives
MOST_STEPS = 20  # of a fit
ROUNDS = 3  # in which the left-over delay is found
TAIL = 0.75  # level beyond which it is no constant any more


@frozen
class Queue:
    """What is fitted."""

    service: float  # of a message, of a busy server [s]
    after: float  # what of it comes after the delivery, over what delivers it
    variation: float  # of either: standard deviation of the logarithm
    excess: float  # a of f(gap) = a ln(1 + gap / g), `lhsim.calibration.points`
    gap: float  # g [s]
    delay: float  # that takes no part of the server [s]
    exponential: bool = False  # distribution of a service; else lognormal, of that variation
    station: Station = LOOP

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers in their order."""
        return attrs.astuple(self)[: len(PARTS)]

    @property
    def parts(self) -> tuple[float, float, float]:
        """Mean services that take a message in, deliver it and acknowledge it [s].

        The first and the last are equal, unless a station has a part that comes early. Then
        messages are delivered at the rate of the `capacity` also when far more come, up to terms of
        second order: each is served once less often than the one before. With a long first step
        fewer are.
        """
        if early := self.station.early:
            after = self.service * self.after / (1 + self.after)
            before = self.service - after
            return early * before, (1 - early) * before, after
        after = self.service * self.after / (1 + 2 * self.after)
        return after, self.service - 2 * after, after

    @property
    def capacity(self) -> float:
        """Messages that take all of the server [1/s]."""
        return self.station.processors / self.service

    def service_of(self, mean: float) -> Distribution:
        """Return the distribution of a service with this mean [s]."""
        if self.exponential:
            return Exponential(mean)
        return Lognormal(mean * math.exp(-(self.variation**2) / 2), self.variation)

    @property
    def table(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The curve of warmth."""
        return curve(self.excess, self.gap)


@frozen(eq=False)
class Fitted:
    """A queue and how well it is known."""

    queue: Queue
    covariance: NDArray[np.float64]  # of the logarithms
    samples: tuple[Queue, ...]
    simulated: tuple[Floats, ...]  # logarithms of the targets of each log
    targets: tuple[Targets, ...]
    left_over: tuple[float, ...]  # quantiles of the delay at `LEVELS` [s]
    told: bool  # whether the logs tell the service time
    shown: tuple[tuple[list[float], list[float]], ...]  # figures of each log, live and simulated
    shift: float = 0.0  # by which clocks that differ make deliveries too early [s]


class _Played:
    """A log simulated, each time with the same random numbers."""

    def __init__(self, arrivals: Arrivals, target: Targets, generator: np.random.Generator) -> None:
        n = len(arrivals.sent)
        times = math.ceil(MESSAGES / n)
        self.arrivals = arrivals
        self.target = target
        self.saturated = arrivals.log.saturated
        uniform = generator.random((times, 3, n))
        self._normal, self._exponential = ndtri(uniform), -np.log1p(-uniform)
        self._uniform = generator.random((times, n))
        self._places = generator.random((times, n))

    def delays(self, queue: Queue, left_over: Sequence[float] | None = None) -> Floats:
        """Return the delays of all messages [s], of shape (times, n)."""
        gaps, excess = queue.table
        warmth = slopes(np.array(gaps), np.array(excess))
        if queue.exponential:
            factors = self._exponential
        else:
            factors = np.exp(queue.variation * self._normal - queue.variation**2 / 2)
        costs = factors * np.array(queue.parts)[:, None]
        sent = self.arrivals.sent
        left = np.array([
            queue.station.left(sent, one, places, DELIVERING, warmth, MEMORY)
            for one, places in zip(costs, self._places, strict=True)
        ])  # fmt: skip
        if left_over is None:
            return self.arrivals.as_recorded(left + queue.delay)
        drawn = Quantiles(LEVELS, tuple(left_over)).quantile(self._uniform)
        return self.arrivals.as_recorded(left + drawn)


def fit_queue(logs: Sequence[Log]) -> Fitted:
    """Return the queue that is nearest to logs.

    The misfit has several minima, and regions without any slope: where the server is saturated in
    the model alone, all delays are those of an endless queue. So the fit begins at several places
    that lie within what the logs allow, and the best end counts.
    """
    misfit = _Misfit(logs)
    ends = sorted(map(misfit.solved, misfit.starts()), key=lambda end: end.cost)
    best = min((end for end in ends if end.cost <= ends[0].cost + AS_GOOD),
               key=lambda end: end.station.unusual)  # fmt: skip
    covariance = misfit.covariance(best)
    samples = misfit.samples(ends)
    # Nothing is delivered faster than a network that takes no time lets it.
    shift = max(0.0, -min(one.delay for one in (misfit.queue(best), *samples)))
    misfit.move(shift)
    queue = misfit.queue(best)
    return Fitted(
        queue=queue,
        covariance=covariance,
        samples=tuple(evolve(one, delay=one.delay + shift) for one in samples),
        simulated=tuple(misfit.simulated(best)),
        targets=misfit.targets,
        left_over=_left_over(queue, misfit.played),
        told=misfit.seen or misfit.is_told(best, covariance),
        shown=misfit.shown(best),
        shift=shift,
    )


@frozen(eq=False)
class _Point:
    """A place in a fit."""

    # Logarithms of the parts, the service's over the processors, the delay's beyond the constant
    # part of all delays.
    x: Floats
    prior: Floats  # around which its prior is
    exponential: bool
    station: Station
    cost: float = math.inf


class _Misfit:
    """By how much a queue misses logs, and what they allow of it."""

    def __init__(self, logs: Sequence[Log]) -> None:
        self._generator = np.random.Generator(np.random.Philox(SEED))
        self.constant = constant_part(logs)
        arrivals = [Arrivals(log, self.constant, self._generator) for log in logs]
        self.targets = tuple(one.targets(self._generator) for one in arrivals)
        pairs = zip(arrivals, self.targets, strict=True)
        self.played = [_Played(*pair, self._generator) for pair in pairs]
        self.seen = any(log.saturated for log in logs)
        self._longest = longest_service(logs)
        self._top = np.log([self._longest, *MOST])

    def queue(self, point: _Point) -> Queue:
        """Return the queue at a point."""
        service, after, variation, excess, gap, beyond = np.exp(point.x).tolist()
        delay, station = self.constant + beyond, point.station
        whole = service * station.processors
        return Queue(whole, after, variation, excess, gap, delay, point.exponential, station)

    def move(self, shift: float) -> None:
        """Let all deliveries be later [s]."""
        self.constant += shift
        for one in self.played:
            one.arrivals.move(shift)

    def simulated(self, point: _Point) -> list[Floats]:
        """Return the logarithms of what is compared of each log."""
        queue = self.queue(point)
        return [one.arrivals.figures(one.delays(queue)) for one in self.played]

    def missed(self, point: _Point) -> Floats:
        """Return by how much a point misses the logs and its prior, over the errors."""
        found = [
            (figures - target.live) / target.errors
            for figures, target in zip(self.simulated(point), self.targets, strict=True)
        ]
        return np.concatenate([*found, (point.x - point.prior) / PRIOR])

    def derivatives(self, point: _Point) -> Floats:
        """Return the derivatives of the misses, of shape (misses, parts)."""

        def missed(step: Floats) -> Floats:
            return self.missed(evolve(point, x=point.x + step))

        steps = STEP * np.eye(len(point.x))
        return np.array([(missed(step) - missed(-step)) / (2 * STEP) for step in steps]).T

    def covariance(self, point: _Point) -> Floats:
        """Return the covariance of the logarithms of the parts."""
        jacobian = self.derivatives(point)
        found: Floats = np.linalg.inv(jacobian.T @ jacobian).astype(np.float64)
        return found

    def solved(self, start: _Point, first: int = 0) -> _Point:
        """Return the end of a fit, in which the parts before the `first` stay as they are."""

        def whole(part: Floats) -> _Point:
            return evolve(start, x=np.concatenate([start.x[:first], part]))

        def missed(part: Floats) -> Floats:
            return self.missed(whole(part))

        def derivatives(part: Floats) -> Floats:
            return self.derivatives(whole(part))[:, first:]

        found = least_squares(
            missed, start.x[first:], derivatives, (-np.inf, self._top[first:]),
            x_scale=np.array(PRIOR)[first:], loss="soft_l1", xtol=1e-3, ftol=1e-4,
            max_nfev=MOST_STEPS,
        )  # fmt: skip
        return evolve(whole(found.x), cost=float(found.cost))

    def starts(self) -> list[_Point]:
        """Return where fits begin: at a loop of each shape, and at other stations that miss least.

        What a loop with warmth misses before its fit says little.
        """
        tried = [min(self._candidates(station, *shape), key=lambda point: point.cost)
                 for station in STATIONS
                 for shape in (SHAPES if station.is_loop else SHAPES[1:])]  # fmt: skip
        loops = [one for one in tried if one.station == LOOP]
        others = [one for one in tried if one.station != LOOP]
        return [*loops, *sorted(others, key=lambda point: point.cost)[:TRIED]]

    def _candidates(self, station: Station, exponential: bool, *shape: float) -> list[_Point]:
        usual = FULL if self.seen else USUAL
        prior = np.log([self._longest * usual, *shape, self._shortest / 5])
        uses = SEEN_USES if self.seen else USES
        return [self._candidate(_Point(prior, prior, exponential, station), use) for use in uses]

    def _candidate(self, point: _Point, use: float) -> _Point:
        """Return a start at a use of the server, with the delay that is then left."""
        x = point.x.copy()
        x[0], x[-1] = math.log(self._longest * use), math.log(LEAST_GAP)
        simulated = self.simulated(evolve(point, x=x))
        missing = [
            math.exp(one.target.live[MEDIAN]) - math.exp(figures[MEDIAN])
            for one, figures in zip(self.played, simulated, strict=True)
            if not one.saturated
        ]
        x[-1] = math.log(max(*missing, self._shortest / 20))
        found = evolve(point, x=x)
        return evolve(found, cost=_soft(self.missed(found)))

    @property
    def _shortest(self) -> float:
        """The shortest quarter of the delays, as it exceeds the constant part [s]."""
        return min(math.exp(one.target.live[QUARTER]) for one in self.played if not one.saturated)

    def is_told(self, best: _Point, covariance: Floats) -> bool:
        """Return whether the delays tell the service time.

        They do where the misfit bends with it, and where a server that takes next to no time for a
        message, so that all is delay, misses the logs by more. What is expected beforehand of
        either speaks for neither.
        """
        if math.sqrt(covariance[0, 0]) > UNTOLD:
            return False
        x, prior = best.x.copy(), best.prior.copy()
        x[0], x[-1] = math.log(self._longest * NO_TIME), math.log(self._shortest)
        prior[[0, -1]] = x[[0, -1]]
        without = self.solved(evolve(best, x=x, prior=prior), first=1).cost
        own = (best.x - best.prior)[[0, -1]] / np.array(PRIOR)[[0, -1]]
        return without - (best.cost - _soft(own)) > ENOUGH

    def shown(self, point: _Point) -> tuple[tuple[list[float], list[float]], ...]:
        """Return the figures of each log, live and simulated, as one reads them."""
        return tuple(
            (one.arrivals.shown(one.target.live), one.arrivals.shown(figures))
            for one, figures in zip(self.played, self.simulated(point), strict=True)
        )

    def samples(self, ends: Sequence[_Point]) -> tuple[Queue, ...]:
        """Return queues that the logs leave open, of several ends of the fit.

        An end has as many as its misfit lets one expect, so that a server which is explained in two
        ways is as uncertain as that. Few processors are likelier than many.
        """
        weights = np.array([math.exp(ends[0].cost - end.cost) / end.station.processors
                            for end in ends])  # fmt: skip
        shares = np.round(np.cumsum(weights) / weights.sum() * RESAMPLES).astype(int)
        found: list[Queue] = []
        for end, until in zip(ends, shares.tolist(), strict=True):
            if until > len(found):
                found += self._samples_of(end)[len(found) : until]
        return self._sustained(found)

    def _sustained(self, samples: Sequence[Queue]) -> tuple[Queue, ...]:
        """Return samples that may have time for more than they delivered where more came than that.

        A message that stands in line several times there loses to those that come in the meantime:
        at a rate L a server in k equal steps delivers L y^k, with y + ... + y^k = k C / L. One step
        delivers the capacity C; ever more and smaller ones X, with C = (L - X) / ln(L / X). Which
        it is, delays below the limit hardly tell, so that the factor is drawn between the two.
        """
        most = max((unseen(one.arrivals.log) for one in self.played if one.saturated), default=1.0)
        places = (self._generator.permutation(len(samples)) + 0.5) / len(samples)
        factors = 1 + (most - 1) * places
        return tuple(
            one if one.station.loses else evolve(one, service=one.service / factor)
            for one, factor in zip(samples, factors.tolist(), strict=True)
        )

    def _samples_of(self, end: _Point) -> list[Queue]:
        """Return the queues that a step of Gauss and Newton leads to from resampled targets.

        They deviate from the targets as resampled blocks do, by the errors that the fit allows for,
        and the prior by its own deviation: what the logs cannot tell is as uncertain as before.
        None is slower than the logs by more than chance.
        """
        jacobian = self.derivatives(end)
        deviations = []
        for target in self.targets:
            moved = target.resampled - target.live
            spread = np.maximum(target.resampled.std(axis=0, ddof=1), 1e-12)
            deviations.append(moved / spread)
        noise = self._generator.standard_normal((RESAMPLES, len(end.x)))
        moved = np.hstack([*deviations, noise])
        steps = moved @ jacobian @ np.linalg.inv(jacobian.T @ jacobian)
        top = self._top + np.eye(len(end.x))[0] * self._by_chance
        return [self.queue(evolve(end, x=np.minimum(end.x + step, top))) for step in steps]

    @property
    def _by_chance(self) -> float:
        """Error of the highest throughput of a server that was busy, as a logarithm."""
        errors = [float(one.target.errors[0]) for one in self.played if one.saturated]
        return max(errors, default=0.0)


def unseen(log: Log) -> float:
    """Return how many times the throughput of a log beyond the capacity that capacity may be."""
    lost = log.throughput / log.rate
    return max((1 - lost) / -math.log(lost) / lost, 1.0) if 0 < lost < 1 else 1.0


def _soft(missed: Floats) -> float:
    """Return the misfit as `least_squares` counts it, which forgives outliers."""
    return float((np.sqrt(1 + missed**2) - 1).sum())


def system_of(template: System, fitted: Fitted, *, constant: bool = False) -> System:
    """Return the push server with a queue's costs, of a template that gives what logs cannot."""
    queue = fitted.queue
    taken_in, delivered, acknowledged = (queue.service_of(mean) for mean in queue.parts)
    cpu = Cpu(
        parse_message=taken_in,
        write=delivered,
        acknowledge=acknowledged,
        connect=template.cpu.connect,
        warmth=None if queue.station.shares else Warmth(*queue.table, MEMORY),
        **queue.station.settings,
    )
    ways = network(queue.delay, None if constant else fitted.left_over)
    return evolve(template, cpu=cpu, store=EventStore(), network=ways, calibration=None)


def _left_over(queue: Queue, played: Sequence[_Played]) -> tuple[float, ...]:
    """Return quantiles of the delay: what the live ones have more, where the server keeps up."""
    levels = np.clip(LEVELS, 0.001, 0.999)
    some = [one for one in played if not one.saturated]
    live = []
    for one in some:
        arrivals = one.arrivals
        known = arrivals.delays[arrivals.counts & np.isfinite(arrivals.delays)]
        live.append(np.quantile(known, levels))
    delay = np.full(len(LEVELS), queue.delay)
    middle, body = LEVELS.index(0.5), np.array(LEVELS) <= TAIL
    for _ in range(ROUNDS):
        found = [
            np.quantile(one.delays(queue, delay.tolist())[:, one.arrivals.counts], levels)
            for one in some
        ]
        missing = np.array(live) - np.array(found)
        delay += np.where(body, missing[:, middle].mean(), missing.min(axis=0))
        delay = np.maximum.accumulate(np.maximum(delay, 0.0))
    return tuple(float(value) for value in delay)
