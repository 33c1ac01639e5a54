"""Closed forms, exact recursions and bounds that a simulated system has to agree with.

Open queues (`MMc`, `MG1`, `MD1`, `MHyper1`, `MGc`, `PeriodicSenders`) describe a station with an
unlimited FIFO queue. Finite sources (`engset`, `MachineRepair`) and closed networks
(`ClosedNetwork`, `mean_value_analysis`) describe a fixed population whose members think, ask and
wait. The rest is about the two architectures themselves: `polling_delay` and
`FixedIntervalPolling`, `batching_lag`, `token_bucket`, and the laws of Little and of utilisation.

Times are in seconds, rates per second, loads in erlangs. `scv` is the squared coefficient of
variation, variance / mean^2, of the service time. Every function and class raises `InputError`
with the name of the argument for a value out of its range, and an open queue for a utilisation
that is not below 1.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import attrs
import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.checks import (
    Validator,
    as_tuple,
    at_least,
    instance,
    is_several,
    shares,
    whole,
    whole_number,
    within,
)
from lhsim.errors import InputError, shown

Vector = NDArray[np.float64]

_probability = within(0.0, 1.0)
# Whose third power, or ratio to one another, is a float.
positive, non_negative = within(1e-200, 1e100), within(0.0, 1e100)

# From 50 service times on, one exponential is all of M/D/1's tail that double precision can see:
# every other root of its characteristic equation has a real part above 2.08, at any load, and so
# contributes less than e^-104.
_MD1_EXACT_STEPS = 50

# Servers, sources or customers, over which the recursions and sums go.
_MOST = 10_000_000

# Halvings that exhaust double precision from any bracket.
_BISECTIONS = 200


def _require(check: Validator, **arguments: object) -> None:
    """Apply an attrs validator to plain arguments, so that functions and classes refuse alike."""
    for name, value in arguments.items():
        check(None, SimpleNamespace(name=name), value)


def _poisson_tail(mean: float, count: int) -> Vector:
    """Return P(A > j) for j = 0 ... count-1, A Poisson; small tails keep their relative accuracy.

    The probabilities are summed from the far end, because 1 - P(A <= j) would lose all digits.
    """
    if mean == 0:
        return np.zeros(count)
    last = max(count, math.ceil(mean + 12 * math.sqrt(mean))) + 40
    j = np.arange(last + 1)
    log_factorial = np.array([math.lgamma(k + 1.0) for k in j])
    mass = np.exp(j * math.log(mean) - mean - log_factorial)
    tail: Vector = np.cumsum(mass[::-1])[::-1][1 : count + 1]
    return tail


def _quantile(cdf: Callable[[float], float], probability: float, first: float) -> float:
    """Return the smallest t >= 0 with cdf(t) >= probability; `first` is a scale to search from."""
    if cdf(0.0) >= probability:
        return 0.0
    low, high = 0.0, first
    while cdf(high) < probability:
        low, high = high, 2 * high
    return _bisected(lambda t: cdf(t) >= probability, low, high)


def _bisected(reached: Callable[[float], bool], low: float, high: float) -> float:
    """Return where a condition begins to hold, which does not at `low` and does at `high`."""
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _unbounded_quantile_level(probability: float) -> None:
    """Refuse 1 as well: a waiting time without an upper limit has no quantile there."""
    _require(_probability, probability=probability)
    if probability == 1:
        allowed = "a number from 0 to below 1"
        raise InputError("1 is out of range", key="probability", allowed=allowed)


# Open queues


def erlang_b(servers: int, offered_load: float) -> float:
    """Return the probability that a call finds all servers busy and is lost, M/G/c/c.

    Insensitive to the shape of the holding time. Erlang (1917); the recursion over the number of
    servers, which cannot overflow, is in Gross et al. (2008), Fundamentals of Queueing Theory,
    section 2.6.

    Parameters
    ----------
    servers
        Number of servers c, at least 1.
    offered_load
        Arrival rate times mean holding time, a [erlang]; may exceed `servers`.
    """
    servers = whole_number(servers, "servers", 1, _MOST)
    _require(non_negative, offered_load=offered_load)
    blocking = 1.0
    for busy in range(1, servers + 1):
        blocking = offered_load * blocking / (busy + offered_load * blocking)
    return blocking


def erlang_c(servers: int, offered_load: float) -> float:
    """Return the probability that an arrival has to wait in M/M/c.

    Erlang (1917); Kleinrock (1975), Queueing Systems 1, section 3.5, here from Erlang B:
    C = B / (1 - rho (1 - B)).

    Parameters
    ----------
    servers
        Number of servers c, at least 1.
    offered_load
        Arrival rate times mean service time, a [erlang], below `servers`.
    """
    blocking = erlang_b(servers, offered_load)
    if offered_load >= servers:
        problem = f"{offered_load!r} overloads {servers} servers"
        raise InputError(problem, key="offered_load", allowed="a number below servers")
    return blocking / (1 - offered_load / servers * (1 - blocking))


def _overloaded(utilisation: float, key: str, allowed: str) -> InputError:
    problem = f"utilisation {utilisation:.6g} is not below 1"
    return InputError(problem, key=key, allowed=allowed)


@frozen
class _OpenQueue:
    """What all open FIFO stations share: utilisation and Little's law."""

    arrival_rate: float = field(validator=positive)  # lambda [1/s]
    service_time: float = field(validator=positive)  # mean, E[S] [s]

    def __attrs_post_init__(self) -> None:
        if self.utilisation >= 1:
            allowed = f"a rate below {self.servers / self.service_time:.6g} /s"
            raise _overloaded(self.utilisation, "arrival_rate", allowed)

    @property
    def servers(self) -> int:
        """Number of servers; 1 unless the queue has a field for it."""
        return 1

    @property
    def mean_waiting_time(self) -> float:
        """Mean time from arrival to the start of service [s]."""
        raise NotImplementedError

    @property
    def offered_load(self) -> float:
        """Mean number of busy servers [erlang]."""
        return self.arrival_rate * self.service_time

    @property
    def utilisation(self) -> float:
        """Fraction of time that a server is busy, rho."""
        return self.offered_load / self.servers

    @property
    def mean_response_time(self) -> float:
        """Mean time from arrival to the end of service [s]."""
        return self.mean_waiting_time + self.service_time

    @property
    def mean_number_waiting(self) -> float:
        """Time average of the queue's length, without those in service."""
        return self.arrival_rate * self.mean_waiting_time

    @property
    def mean_number_in_system(self) -> float:
        """Time average of the number waiting or in service."""
        return self.arrival_rate * self.mean_response_time


@frozen
class MMc(_OpenQueue):
    """M/M/c: Poisson arrivals, exponential service, c servers, FIFO; M/M/1 by default.

    Kleinrock (1975), Queueing Systems 1, section 3.5; the distributions of waiting and response
    time are in Gross et al. (2008), Fundamentals of Queueing Theory, section 2.3.
    """

    servers: int = field(default=1, validator=whole(1, _MOST))

    @cached_property
    def probability_of_waiting(self) -> float:
        """Erlang C; equal to the utilisation when there is one server."""
        return erlang_c(self.servers, self.offered_load)

    @property
    def _drain_rate(self) -> float:
        """Spare capacity, c mu - lambda [1/s]: the rate of the exponential that a waiter waits."""
        return (self.servers - self.offered_load) / self.service_time

    @property
    def mean_waiting_time(self) -> float:
        """Mean time from arrival to the start of service [s]."""
        return self.probability_of_waiting / self._drain_rate

    def waiting_time_cdf(self, t: float) -> float:
        """Return P(W <= t); P(W = 0) is an atom of 1 - Erlang C."""
        _require(non_negative, t=t)
        return 1 - self.probability_of_waiting * math.exp(-self._drain_rate * t)

    def waiting_time_quantile(self, probability: float) -> float:
        """Return the time [s] that this share of the arrivals waits at most; 0 inside the atom."""
        _unbounded_quantile_level(probability)
        if 1 - probability >= self.probability_of_waiting:
            return 0.0
        return math.log(self.probability_of_waiting / (1 - probability)) / self._drain_rate

    def response_time_cdf(self, t: float) -> float:
        """Return P(W + S <= t)."""
        _require(non_negative, t=t)
        # A waiter spends the sum of two exponentials; symmetric in their rates, so that neither
        # the equality of both nor a far larger one is a special case.
        drain, mu = self._drain_rate, 1 / self.service_time
        apart = abs(drain - mu) * t
        overlap = t * math.exp(-min(drain, mu) * t) * (-math.expm1(-apart) / apart if apart else 1)
        return 1 - math.exp(-mu * t) - self.probability_of_waiting * mu * overlap

    def response_time_quantile(self, probability: float) -> float:
        """Return the time [s] after which this share of the arrivals has been served."""
        _unbounded_quantile_level(probability)
        return _quantile(self.response_time_cdf, probability, self.service_time)


@frozen
class MG1(_OpenQueue):
    """M/G/1: Poisson arrivals, any service time, one server, FIFO (Pollaczek-Khinchine).

    Pollaczek (1930), Khinchine (1932); Kleinrock (1975), Queueing Systems 1, sections 5.6-5.7.
    The second moment follows Takacs' recursion (1962), given there in section 5.7.
    """

    scv: float = field(validator=non_negative)  # of the service time
    # Of the service time, E[S^3] [s^3]
    third_moment: float | None = field(default=None, validator=positive)

    @third_moment.validator
    def _possible(self, attribute: attrs.Attribute[float | None], value: float | None) -> None:
        # E[S^2]^2 <= E[S] E[S^3] by Cauchy-Schwarz; rounding may cost a deterministic S an ulp.
        least = self._second_moment**2 / self.service_time
        if value is not None and value < least * (1 - 1e-12):
            problem = f"{value!r} is impossible for this mean and scv"
            raise InputError(problem, key=attribute.name, allowed=f"a number >= {least:.6g}")

    @property
    def _second_moment(self) -> float:
        return (1 + self.scv) * self.service_time**2

    @property
    def mean_waiting_time(self) -> float:
        """Mean time from arrival to the start of service [s]."""
        return self.arrival_rate * self._second_moment / (2 * (1 - self.utilisation))

    @property
    def waiting_time_second_moment(self) -> float:
        """E[W^2] [s^2]; needs the third moment of the service time."""
        if self.third_moment is None:
            raise InputError("is needed for the second moment of waiting", key="third_moment")
        residual = self.arrival_rate * self.third_moment / (3 * (1 - self.utilisation))
        return 2 * self.mean_waiting_time**2 + residual

    @property
    def waiting_time_variance(self) -> float:
        """Var(W) [s^2]; needs the third moment of the service time."""
        return self.waiting_time_second_moment - self.mean_waiting_time**2


@frozen
class MD1(_OpenQueue):
    """M/D/1: Poisson arrivals, constant service time, one server, FIFO.

    Erlang's (1909) alternating series for the waiting time cancels catastrophically in the tail.
    Franx (2001), A simple solution for the M/D/c waiting time distribution, Operations Research
    Letters 29, 221-229, rewrites it as a sum of positive terms over the queue's length. Beyond 50
    service times the distribution is its Cramer-Lundberg exponential to machine precision. The
    absolute error is about 1e-16 / (1 - rho).
    """

    @property
    def mean_waiting_time(self) -> float:
        """Mean time from arrival to the start of service [s]."""
        return self.utilisation * self.service_time / (2 * (1 - self.utilisation))

    @cached_property
    def _queue_cdf(self) -> Vector:
        """P(number waiting <= n), n = 0, 1, ...

        The state probabilities come from level crossing, p_j P(A = 0) = p_0 P(A >= j) +
        sum_{0<k<j} p_k P(A > j - k) with A arrivals per service: all terms are positive.
        """
        steps = _MD1_EXACT_STEPS
        more_than = _poisson_tail(self.utilisation, steps + 1)
        p = np.zeros(steps + 2)
        p[0] = 1 - self.utilisation
        none = math.exp(-self.utilisation)
        for j in range(1, steps + 2):
            p[j] = (p[0] * more_than[j - 1] + p[1:j] @ more_than[j - 1 : 0 : -1]) / none
        cumulative: Vector = np.cumsum(p)[1:]
        return cumulative

    @cached_property
    def _decay(self) -> float:
        """The positive root of rho (e^theta - 1) = theta; the tail decays like e^(-theta t / S)."""

        def excess(theta: float) -> float:
            return self.utilisation * math.expm1(theta) - theta

        low = high = -math.log(self.utilisation)  # the minimum of excess, left of the root
        while excess(high) <= 0:
            high += 1  # a doubling could overflow e^theta
        return _bisected(lambda theta: excess(theta) > 0, low, high)

    def waiting_time_cdf(self, t: float) -> float:
        """Return P(W <= t); P(W = 0) is an atom of 1 - rho."""
        _require(non_negative, t=t)
        services = t / self.service_time
        if services >= _MD1_EXACT_STEPS:
            idle = 1 - self.utilisation
            return 1 - idle / (self._decay - idle) * math.exp(-self._decay * services)
        whole_services = math.floor(services)
        # Arrivals in the rest of the last, begun service must find room in the queue before it.
        mean = self.utilisation * (whole_services + 1 - services)
        mass = np.array([_poisson_mass(mean, j) for j in range(whole_services + 1)])
        return min(1.0, float(mass @ self._queue_cdf[whole_services::-1]))

    def waiting_time_quantile(self, probability: float) -> float:
        """Return the time [s] that this share of the arrivals waits at most; 0 inside the atom."""
        _unbounded_quantile_level(probability)
        return _quantile(self.waiting_time_cdf, probability, self.service_time)


def _poisson_mass(mean: float, count: int) -> float:
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1.0))


def _positive_numbers(attribute: Any, value: tuple[float, ...]) -> None:
    allowed = "a list of at least one number > 0"
    if not is_several(value):
        raise InputError(f"{shown(value)} is no list", key=attribute.name, allowed=allowed)
    if not value:
        raise InputError("is empty", key=attribute.name, allowed=allowed)
    for number in value:
        positive(None, attribute, number)


def _one_mean_for_each_share(_instance: object, attribute: Any, value: tuple[float, ...]) -> None:
    _positive_numbers(attribute, value)
    if len(value) < 2 or len(set(value)) != len(value):
        allowed = "two or more different times > 0"
        raise InputError(f"{value!r} is out of range", key=attribute.name, allowed=allowed)


@frozen
class MHyper1:
    """M/H/1: Poisson arrivals, hyperexponential service, one server, FIFO.

    The service time is exponential with one of several means. Its transform is rational, and with
    it the Pollaczek-Khinchine transform of the response time ::

        R*(s) = (1 - rho) s B*(s) / (s - lambda + lambda B*(s))

    whose poles are real, negative and different, one for each phase: partial fractions give a sum
    of exponentials. Kleinrock (1975), Queueing Systems 1, sections 4.5 and 5.7.
    """

    arrival_rate: float = field(validator=positive)  # lambda [1/s]
    # Probability of each phase, and its mean [s]
    weights: tuple[float, ...] = field(converter=as_tuple, validator=shares)
    means: tuple[float, ...] = field(converter=as_tuple, validator=_one_mean_for_each_share)

    def __attrs_post_init__(self) -> None:
        if len(self.weights) != len(self.means):
            problem = f"{len(self.weights)} weights for {len(self.means)} means"
            raise InputError(problem, key="weights", allowed="one for each mean")
        if self.arrival_rate * self.service_time >= 1:
            allowed = f"a rate below {1 / self.service_time:.6g} /s"
            raise InputError("overloads the server", key="arrival_rate", allowed=allowed)

    @property
    def service_time(self) -> float:
        """Mean service time, E[S] [s]."""
        return math.fsum(p * mean for p, mean in zip(self.weights, self.means, strict=True))

    @property
    def scv(self) -> float:
        """Squared coefficient of variation of the service time."""
        second = math.fsum(2 * p * m * m for p, m in zip(self.weights, self.means, strict=True))
        return second / self.service_time**2 - 1

    @cached_property
    def _exponentials(self) -> tuple[Vector, Vector]:
        """Weights and rates [1/s] of P(R > t) = sum of weight * exp(-rate t).

        With N / D the service time's transform, R* = (1 - rho) N / E, E = ((s - lambda) D +
        lambda N) / s. The residue at a root -r of E is (1 - rho) N(-r) / E'(-r).
        """
        rates = 1 / np.array(self.means)
        denominator = np.poly1d(-rates, r=True)
        numerator = np.poly1d([0.0])
        for i, p in enumerate(self.weights):
            numerator += np.poly1d(-np.delete(rates, i), r=True) * (p * rates[i])
        whole = np.poly1d([1.0, -self.arrival_rate]) * denominator + self.arrival_rate * numerator
        rest = np.poly1d(whole.coeffs[:-1])  # s = 0 is a root, as the weights add up to 1
        poles = np.real(rest.roots)
        idle = 1 - self.arrival_rate * self.service_time
        residues = idle * numerator(poles) / rest.deriv()(poles)
        return residues / -poles, -poles

    @property
    def mean_response_time(self) -> float:
        """Mean time from arrival to the end of service [s]."""
        weights, rates = self._exponentials
        return float((weights / rates).sum())

    def response_time_cdf(self, t: float) -> float:
        """Return P(W + S <= t)."""
        _require(non_negative, t=t)
        weights, rates = self._exponentials
        return 1 - float(weights @ np.exp(-rates * float(t)))

    def response_time_quantile(self, probability: float) -> float:
        """Return the time [s] after which this share of the arrivals has been served."""
        _unbounded_quantile_level(probability)
        return _quantile(self.response_time_cdf, probability, self.service_time)


@frozen
class MGc(_OpenQueue):
    """M/G/c: Kimura's two-moment approximation with Cosmetatos' M/D/c; exact for c = 1 or scv = 1.

    Kimura (1986), A two-moment approximation for the mean waiting time in the GI/G/s queue,
    Management Science 32, 751-763, interpolates harmonically between M/D/c and M/M/c::

        W = (1 + scv) / ((1 - scv) / W(M/D/c) + 2 scv / W(M/M/c))

    Cosmetatos (1975), INFOR 13, 328-331, gives W(M/D/c) as a multiple of W(M/M/c), which is here
    held at or below its light-load limit c / (c + 1): without that it grows without bound.

    Against exact solutions (M/D/c with 2-32 servers; M/E2/c and M/H2/c with balanced means, 2-16)
    the error for scv <= 2 is below 4 % from a load of 0.5 on, and below 14 % at any load. Two
    moments say too little about more variable service: with scv = 4 the result is up to 5 % too
    low from a load of 0.5 on and up to 23 % below; with scv = 10 up to 26 % and 52 %.

    Not the Allen-Cunneen formula, (1 + scv) / 2 W(M/M/c): that lets the servers act as one fast
    server, while at light load the wait ends with the first of c services. In the same comparison
    it goes from -45 % (constant service) to +135 % (scv = 4), so nothing can be tested against it.
    """

    scv: float = field(validator=non_negative)  # of the service time
    servers: int = field(default=1, validator=whole(1, _MOST))

    @property
    def mean_waiting_time(self) -> float:
        """Mean time from arrival to the start of service [s], approximate."""
        exponential = MMc(self.arrival_rate, self.service_time, self.servers).mean_waiting_time
        constant = _cosmetatos_ratio(self.servers, self.utilisation)
        return exponential * (1 + self.scv) / ((1 - self.scv) / constant + 2 * self.scv)


def _cosmetatos_ratio(servers: int, utilisation: float) -> float:
    """Return W(M/D/c) / W(M/M/c), from 1/2 in heavy traffic to c / (c + 1) in light traffic."""
    shape = (servers - 1) * (math.sqrt(4 + 5 * servers) - 2) / (16 * servers * utilisation)
    return min((1 + (1 - utilisation) * shape) / 2, servers / (servers + 1))


@frozen
class PeriodicSenders:
    """N*D/D/1: senders of equal period and independent uniform phases at one constant server.

    Eckberg (1979), IEEE Trans. Communications 27, 556-562; Roberts and Virtamo (1991), The
    superposition of periodic cell arrival streams in an ATM multiplexer, IEEE Trans.
    Communications 39, 298-303. An arrival meets the unfinished work of the other N - 1 senders.

    Much less waiting than M/D/1 at the same load, which is its limit for many senders. The phases
    never change, so one run repeats a single period for ever: average over runs, not over time.
    """

    senders: int = field(validator=whole(1, _MOST))
    period: float = field(validator=positive)  # between two messages of one sender [s]
    service_time: float = field(validator=positive)  # constant, of one message [s]

    def __attrs_post_init__(self) -> None:
        if self.utilisation >= 1:
            allowed = f"fewer than {self.period / self.service_time:.6g}"
            raise _overloaded(self.utilisation, "senders", allowed)

    @property
    def utilisation(self) -> float:
        """Fraction of time that the server is busy, rho."""
        return self.senders * self.service_time / self.period

    @property
    def mean_waiting_time(self) -> float:
        """Mean time from arrival to the start of service [s], over phases and messages; exact.

        Rate conservation of the squared work V^2 gives E[V_n] = rho_n (E[W_n] + S/2) for n
        senders, and W_n is distributed as V_(n-1): a recursion over the senders.
        """
        slots = self.period / self.service_time
        work = 0.0
        for others in range(1, self.senders):
            work = others / slots * (work + 0.5)
        return work * self.service_time

    def waiting_time_cdf(self, t: float) -> float:
        """Return P(W <= t), over phases and messages; P(W = 0) = 1 - (N - 1) S / period.

        Roberts and Virtamo's sum over the number n of messages that came in a busy stretch of
        n - x slots, with no work left before it; all terms are positive. Takes O(N).
        """
        _require(non_negative, t=t)
        others, slots, x = self.senders - 1, self.period / self.service_time, t / self.service_time
        if x >= others:
            return 1.0
        n = np.arange(math.floor(x) + 1, others + 1)
        share = (n - x) / slots
        log_terms = self._log_choose[n] + n * np.log(share) + (others - n) * np.log1p(-share)
        empty_before = (slots - others + x) / (slots - n + x)
        return 1 - float(np.exp(log_terms) @ empty_before)

    def waiting_time_quantile(self, probability: float) -> float:
        """Return the time [s] that this share of the messages waits at most; 0 inside the atom."""
        _require(_probability, probability=probability)
        return _quantile(self.waiting_time_cdf, probability, self.service_time)

    @cached_property
    def _log_choose(self) -> Vector:
        others = self.senders - 1
        log_factorial = np.array([math.lgamma(n + 1.0) for n in range(others + 1)])
        ways: Vector = log_factorial[-1] - log_factorial - log_factorial[::-1]
        return ways


# Finite sources and closed networks


@frozen
class FiniteSourceLoss:
    """Result of `engset`."""

    time_congestion: float  # fraction of time that all servers are busy
    call_congestion: float  # fraction of the calls that are lost
    offered_load: float  # attempts per mean holding time [erlang]
    carried_load: float  # mean number of busy servers [erlang]


def engset(servers: int, sources: int, load_per_idle_source: float) -> FiniteSourceLoss:
    """Return the loss of a finite population, M/G/c/c//N: an idle source calls, a lost one idles.

    Insensitive to the shape of holding and idle times. Engset (1918); Gross et al. (2008),
    Fundamentals of Queueing Theory, section 2.8. A caller sees the system as if it were not in
    it, so the call congestion is the time congestion of one source fewer.

    Parameters
    ----------
    servers
        Number of servers c, at least 1.
    sources
        Population N, at least 1.
    load_per_idle_source
        Call rate of an idle source times the mean holding time [erlang].
    """
    servers = whole_number(servers, "servers", 1, _MOST)
    sources = whole_number(sources, "sources", 1, _MOST)
    _require(non_negative, load_per_idle_source=load_per_idle_source)
    lost = _engset_time_congestion(servers, sources - 1, load_per_idle_source)
    accepted = load_per_idle_source * (1 - lost)
    return FiniteSourceLoss(
        time_congestion=_engset_time_congestion(servers, sources, load_per_idle_source),
        call_congestion=lost,
        offered_load=sources * load_per_idle_source / (1 + accepted),
        carried_load=sources * accepted / (1 + accepted),
    )


def _engset_time_congestion(servers: int, sources: int, load: float) -> float:
    """Recursion over the servers, like Erlang B's with the rate of the sources still idle."""
    if sources < servers:
        return 0.0
    congestion = 1.0
    for busy in range(1, servers + 1):
        pressure = (sources - busy + 1) * load * congestion
        congestion = pressure / (busy + pressure)
    return congestion


@frozen
class MachineRepair:
    """M/M/c//N: N customers think (mean Z, any shape), then ask a station of c servers.

    The machine repairman model, Scherr's (1967) model of a time-sharing system; Kleinrock (1975),
    Queueing Systems 1, section 3.8 (c = 1); Gross et al. (2008), section 2.8. Exponential service,
    FIFO. The state probabilities are built outwards from the most likely state, where every
    factor is at most 1: nothing overflows or cancels, for 10^5 customers or more.
    """

    think_time: float = field(validator=positive)  # mean, Z [s]
    service_time: float = field(validator=positive)  # mean, S [s]
    population: int = field(validator=whole(1, _MOST))  # N
    servers: int = field(default=1, validator=whole(1, _MOST))  # c

    @cached_property
    def state_probabilities(self) -> Vector:
        """P(k customers at the station) for k = 0 ... N."""
        k = np.arange(1, self.population + 1)
        arrivals = (self.population - k + 1) / self.think_time
        departures = np.minimum(k, self.servers) / self.service_time
        ratio = arrivals / departures  # p_k / p_(k-1), falls with k
        mode = int(np.count_nonzero(ratio >= 1))
        below = np.cumprod(1 / ratio[:mode][::-1])[::-1]
        weights = np.concatenate([below, [1.0], np.cumprod(ratio[mode:])])
        probabilities: Vector = weights / weights.sum()
        return probabilities

    @property
    def throughput(self) -> float:
        """Customers served per second, X."""
        return self._mean_busy / self.service_time

    @property
    def utilisation(self) -> float:
        """Fraction of time that a server is busy."""
        return self._mean_busy / self.servers

    @property
    def mean_number_in_system(self) -> float:
        """Time average of the customers at the station."""
        return float(self.state_probabilities @ np.arange(self.population + 1))

    @property
    def mean_response_time(self) -> float:
        """Mean time at the station, R = N/X - Z [s]."""
        return self.mean_number_in_system / self.throughput

    @property
    def mean_waiting_time(self) -> float:
        """Mean time from asking to the start of service [s]."""
        waiting = np.maximum(np.arange(self.population + 1) - self.servers, 0)
        return float(self.state_probabilities @ waiting) / self.throughput

    @property
    def _mean_busy(self) -> float:
        busy = np.minimum(np.arange(self.population + 1), self.servers)
        return float(self.state_probabilities @ busy)


def _positive_demands(_instance: object, attribute: Any, value: tuple[float, ...]) -> None:
    _positive_numbers(attribute, value)


@frozen
class ClosedNetwork:
    """A closed network with a think time and stations of one server each; asymptotic bounds.

    Denning and Buzen (1978), The operational analysis of queueing network models, Computing
    Surveys 10, 225-261; Lazowska, Zahorjan, Graham and Sevcik (1984), Quantitative System
    Performance, chapter 5. The bounds hold for every distribution and discipline. They are met
    when nothing varies: customers with constant times synchronise themselves.
    """

    think_time: float = field(validator=non_negative)  # mean, Z [s]
    demands: tuple[float, ...] = field(converter=as_tuple, validator=_positive_demands)
    # service a customer needs from each station per cycle, D_k = visits x service time [s]

    @property
    def saturation_population(self) -> float:
        """N* = (Z + sum D) / max D: beyond it, customers must queue at the bottleneck."""
        return (self.think_time + sum(self.demands)) / max(self.demands)

    def throughput_bound(self, population: int) -> float:
        """Return the upper bound min(N / (Z + sum D), 1 / max D) of the throughput [1/s]."""
        population = whole_number(population, "population", 1, _MOST)
        unhindered = population / (self.think_time + sum(self.demands))
        return min(unhindered, 1 / max(self.demands))

    def response_time_bound(self, population: int) -> float:
        """Return the lower bound max(sum D, N max D - Z) of the mean response time [s]."""
        population = whole_number(population, "population", 1, _MOST)
        return max(sum(self.demands), population * max(self.demands) - self.think_time)


@frozen
class ClosedNetworkMeans:
    """Result of `mean_value_analysis`; the tuples have an entry per station."""

    throughput: float  # cycles per second, X
    response_time: float  # mean time per cycle at all stations together, R [s]
    residence_times: tuple[float, ...]  # mean time per cycle at the station, queueing included [s]
    queue_lengths: tuple[float, ...]  # mean number at the station, in service included
    utilisations: tuple[float, ...]  # fraction of time busy


def mean_value_analysis(network: ClosedNetwork, population: int) -> ClosedNetworkMeans:
    """Return the exact means of a closed product-form network.

    Reiser and Lavenberg (1980), Mean-value analysis of closed multichain queueing networks,
    J. ACM 27, 313-322, for one class of customers: an arriving customer sees the network as it is
    with one customer fewer. Exact for exponential service at FIFO stations and for any service
    under processor sharing; the think time may have any shape. Takes O(population x stations).
    """
    instance(network, "network", ClosedNetwork, "a ClosedNetwork")
    population = whole_number(population, "population", 1, _MOST)
    demands = np.array(network.demands, dtype=float)
    queue = np.zeros_like(demands)
    for customers in range(1, population + 1):
        residence = demands * (1 + queue)
        response = float(residence.sum())
        throughput = customers / (network.think_time + response)
        queue = throughput * residence
    return ClosedNetworkMeans(
        throughput=throughput,
        response_time=response,
        residence_times=tuple(residence.tolist()),
        queue_lengths=tuple(queue.tolist()),
        utilisations=tuple((throughput * demands).tolist()),
    )


# Polling, batching, admission, scaling


def polling_delay(
    interval: float,
    service_mean: float,
    service_variance: float = 0.0,
    interval_variance: float = 0.0,
) -> float:
    """Return the mean time [s] from storing a message to the end of the query that delivers it.

    One reader queries (S), sleeps (Z) and queries again, so queries start every C = Z + S. A query
    answers with what was stored when its service **started**: a message that arrives during a
    query waits for the next one. A message that arrives at random therefore waits for the rest of
    the cycle it falls into, and then for the whole next query: E[C^2] / (2 E[C]) + E[S].
    Cox (1962), Renewal Theory, chapter 5 (the residual lifetime); for constant times Z/2 + 3/2 S.

    It holds for Z and S that are independent of each other and of the messages, for a query that
    takes along all that is stored, and counts nothing on the way to the store or back. Where
    queries wait for each other, S is the response time of a query, and only approximately
    independent. With S = 0 it is the lag of a clock that flushes every Z.

    Parameters
    ----------
    interval
        Mean sleep between the end of a query and the start of the next, E[Z] [s].
    service_mean, service_variance
        Of the time that a query takes, S [s], [s^2].
    interval_variance
        Of the sleep [s^2]: jitter.
    """
    _require(non_negative, interval=interval, service_mean=service_mean)
    _require(non_negative, service_variance=service_variance, interval_variance=interval_variance)
    cycle = interval + service_mean
    if cycle == 0:
        allowed = "a number > 0 when service_mean is 0"
        raise InputError("no time passes between two queries", key="interval", allowed=allowed)
    residual = (cycle + (service_variance + interval_variance) / cycle) / 2
    return residual + service_mean


@frozen
class FixedIntervalPolling:
    """Distribution of `polling_delay` for constant sleep and query: uniform on (S, Z + 2S).

    The rest of the cycle is uniform on (0, Z + S), and the delivering query adds S. Cox (1962),
    Renewal Theory, chapter 5.
    """

    interval: float = field(validator=positive)  # sleep between two queries, Z [s]
    service_time: float = field(validator=non_negative)  # of a query, S [s]

    @property
    def minimum(self) -> float:
        """Delay of a message stored just before a query starts, S [s]."""
        return self.service_time

    @property
    def maximum(self) -> float:
        """Delay of a message stored just after a query started, Z + 2S [s]."""
        return self.interval + 2 * self.service_time

    @property
    def mean(self) -> float:
        """Z/2 + 3/2 S [s]."""
        return (self.minimum + self.maximum) / 2

    @property
    def variance(self) -> float:
        """(Z + S)^2 / 12 [s^2]."""
        return (self.maximum - self.minimum) ** 2 / 12

    def cdf(self, t: float) -> float:
        """Return P(delay <= t)."""
        _require(non_negative, t=t)
        return min(max((t - self.minimum) / (self.maximum - self.minimum), 0.0), 1.0)

    def quantile(self, probability: float) -> float:
        """Return the delay [s] that this share of the messages stays within."""
        _require(_probability, probability=probability)
        return self.minimum + probability * (self.maximum - self.minimum)


def batching_lag(arrival_rate: float, linger: float, batch_size: int) -> float:
    """Return the mean time [s] that a message waits for its batch to be sent, Poisson arrivals.

    The first message of a batch starts a timer of `linger`; the batch leaves when the timer ends
    or the batch is full. By renewal reward (Ross 1996, Stochastic Processes, section 3.6), with A
    the arrivals in `linger`, the lag is sum_j (j+1) P(A > j) / (rate (1 + sum_j P(A > j))),
    j = 0 ... size-2. At light load that is nearly the whole `linger`, as messages travel alone;
    without a limit of size it falls to linger / 2. A clock that flushes every `linger` whatever
    arrived is `polling_delay(linger, 0)`, linger / 2 at every load.

    Parameters
    ----------
    arrival_rate
        Messages per second.
    linger
        Longest time that a batch is held open [s].
    batch_size
        Messages that fill a batch, at least 1.
    """
    _require(positive, arrival_rate=arrival_rate)
    _require(non_negative, linger=linger)
    batch_size = whole_number(batch_size, "batch_size", 1, _MOST)
    if arrival_rate * linger > _MOST:
        allowed = f"a time in which at most {_MOST:,} messages come"
        raise InputError(f"{linger!r} is out of range", key="linger", allowed=allowed)
    more_than = _poisson_tail(arrival_rate * linger, batch_size - 1)
    total = float(more_than @ np.arange(1, batch_size)) / arrival_rate
    return total / (1 + float(more_than.sum()))


def token_bucket(burst: float, rate: float, t: float) -> int:
    """Return how many requests a token bucket accepts up to t, floor(b + r t).

    The upper bound of Cruz (1991), A calculus for network delay, part I, IEEE Trans. Information
    Theory 37, 114-131, for a bucket that starts full; reached by a sender that always has a
    request ready. A sum that misses a whole number by rounding alone counts as that number.

    Parameters
    ----------
    burst
        Tokens in the full bucket.
    rate
        Tokens per second.
    t
        Time since the start [s].
    """
    _require(non_negative, burst=burst, rate=rate, t=t)
    return math.floor((burst + rate * t) * (1 + 4 * sys.float_info.epsilon))


def littles_law(arrival_rate: float, mean_time: float) -> float:
    """Return the mean number present, L = lambda W (Little 1961, Operations Research 9, 383-387).

    Parameters
    ----------
    arrival_rate
        Arrivals that enter, per second.
    mean_time
        Mean time from entering to leaving [s].
    """
    _require(non_negative, arrival_rate=arrival_rate, mean_time=mean_time)
    return arrival_rate * mean_time


def utilisation_law(throughput: float, service_time: float, servers: int = 1) -> float:
    """Return the fraction of time that a server is busy, U = X S / c (Denning and Buzen 1978).

    Parameters
    ----------
    throughput
        Completions per second.
    service_time
        Mean service per completion [s].
    servers
        Number of servers that share the work.
    """
    _require(non_negative, throughput=throughput, service_time=service_time)
    servers = whole_number(servers, "servers", 1, _MOST)
    return throughput * service_time / servers


@frozen
class UniversalScalability:
    """Throughput that first grows and then falls with the population, a model to be fitted.

    X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)); Gunther (2007), Guerrilla Capacity
    Planning. With kappa = 0 it is Amdahl's law.
    """

    rate: float = field(validator=positive)  # throughput of one, lambda [1/s]
    contention: float = field(validator=within(0.0, 1.0))  # serial share of the work, sigma
    coherence: float = field(validator=non_negative)  # cost per pair of agreeing, kappa

    def throughput(self, population: float) -> float:
        """Return X(N) [1/s]."""
        _require(at_least(1), population=population)
        others = population - 1
        slowdown = 1 + self.contention * others + self.coherence * population * others
        return self.rate * population / slowdown

    @property
    def peak_population(self) -> float:
        """Population of the highest throughput, sqrt((1 - sigma) / kappa); infinite for kappa = 0.

        The real-valued optimum, which is below 1 when adding a second one already harms.
        """
        if self.coherence == 0:
            return math.inf
        return math.sqrt((1 - self.contention) / self.coherence)
