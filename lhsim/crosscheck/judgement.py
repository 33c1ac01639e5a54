"""One metric of one level: live runs against simulated ones, and what that shows.

All is done on logarithms, so that differences are ratios. With a mean `l` over R live runs and a
mean `m` over N simulated ones the difference is d = m - l, with the variance ::

    v = v_parameters + v_noise / N + v_live / R

v_noise is the variance over the simulated runs; v_parameters that of the paired ratios of runs by
samples of the parameters to those of the system itself; v_live is the variance over the live runs,
and at least v_noise, as a live server is no steadier than its model. Student's distribution has
the degrees of freedom of Welch and Satterthwaite (Satterthwaite 1946, Biometrics Bulletin 2,
110-114). A further live run lies around m with the variance ::

    v_parameters + v_miss + v_noise (1 + 1 / N)

v_miss is the square of what the model missed where it was calibrated: what it does not know of a
server (Kennedy and O'Hagan 2001, J. R. Statist. Soc. B 63, 425-464) shows there first. It makes a
prediction honest, and no model right: the difference above has no such part.

Seeds differ in how many messages are sent. That part of the noise is known, as the messages are
counted, and is taken out by a control variate (Lavenberg and Welch 1981, Management Science 27,
322-335): each figure is moved to the live runs' mean number along the slope that the simulated
figures have over it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from attrs import frozen
from scipy.special import stdtr, stdtrit

from lhsim.crosscheck.figures import Figures, Floats, Simulated
from lhsim.crosscheck.metrics import TIMES, bounds

Kind = Literal["agrees", "differs", "cannot tell", "uninformative"]
AGREES: Final = "agrees"
DIFFERS: Final = "differs"
CANNOT_TELL: Final = "cannot tell"
UNINFORMATIVE: Final = "uninformative"
FLATTEST = 1e-12  # variance of logarithms below which there is no slope over them
LARGEST = 700.0  # logarithm that has an exponential
NO_SAMPLES = "no samples of the parameters"
ONE_RUN = "one live run: its spread is that of batches"
ONE_SATURATED = "only one of the servers is saturated"
NOT_POISSON = "the messages of the log are no Poisson process"
AS_SIMULATED = "one live run: its spread is taken from the simulation"


@frozen
class Finding:
    """What a metric of a level shows."""

    level: str
    metric: str
    live: float  # mean, in the unit of the metric
    live_interval: tuple[float, float]  # of the mean
    simulated: float
    simulated_interval: tuple[float, float]  # for one further live run
    relative_error: float  # simulated less live over live
    difference: tuple[float, float]  # interval of the relative error
    kind: Kind
    p_value: float  # of a difference that is negligible; NaN where the metric is not judged
    inside: int = 0  # live runs in the simulated interval
    runs: int = 1  # live runs
    width: float = math.nan  # of the simulated interval over the live spread
    flags: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The finding in words."""
        if self.kind == UNINFORMATIVE:
            why = "the traffic" if NOT_POISSON in self.flags else "the poll interval"
            return f"uninformative: {why} dominates"
        if self.kind == AGREES:
            return AGREES
        if self.metric in TIMES:
            return self._of_distribution()
        return self._of_difference() if self.kind == DIFFERS else self._of_spread()

    def _of_difference(self) -> str:
        differs = f"differs by {100 * self.relative_error:+.1f} %"
        if ONE_SATURATED in self.flags:
            return f"{differs}: one is saturated"
        low, high = (f"{100 * end:+.1f}" for end in self.difference)
        return f"{differs} ({low} to {high})"

    def _of_spread(self) -> str:
        live = _half(self.live_interval) / self.live
        simulated = _half(self.simulated_interval) / self.simulated
        if simulated > live:
            return f"cannot tell: the prediction spreads by {100 * simulated:.1f} %"
        return f"cannot tell: the live spread is {100 * live:.1f} %"

    def _of_distribution(self) -> str:
        low, high = self.simulated_interval
        if self.kind == DIFFERS:
            return f"differs by {self.simulated:.3f} ({low:.3f} to {high:.3f} usual)"
        return f"cannot tell: runs alike are up to {high:.3f} apart"


def _exp(logarithm: float) -> float:
    """Return the exponential, of a hopelessly wide interval as of the widest that has one."""
    return math.exp(min(logarithm, LARGEST))


def _expm1(logarithm: float) -> float:
    return math.expm1(min(logarithm, LARGEST))


def _half(ends: tuple[float, float]) -> float:
    return (ends[1] - ends[0]) / 2


@frozen
class Difference:
    """A difference of means and how well it is known."""

    value: float
    error: float  # standard error
    dof: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the interval of the difference."""
        half = float(stdtrit(self.dof, (1 + confidence) / 2)) * self.error
        return self.value - half, self.value + half

    def p_value(self, negligible: float) -> float:
        """Return the probability of one as large, if the true one is at most negligible.

        The worst of these is the negligible one on the same side; twice its tail, as either side
        would have counted.
        """
        beyond = abs(self.value) - negligible
        return 1.0 if beyond <= 0 else min(1.0, 2 * _tail(beyond, self.error, self.dof))


@frozen(eq=False)
class Pair:
    """The logarithms of a metric, moved to the live runs' number of messages."""

    live: Floats
    nominal: Floats
    ratios: Floats  # of sampled to nominal; empty without samples
    dof: int  # of the noise of the simulated runs
    miss: float = 0.0  # of the model where it was calibrated

    @property
    def noise(self) -> float:
        """Variance of one simulated run, the parameters fixed."""
        return float(((self.nominal - self.nominal.mean()) ** 2).sum() / self.dof)

    @property
    def parameters(self) -> float:
        """Variance that the parameters' uncertainty adds."""
        return float(self.ratios.var(ddof=1)) if len(self.ratios) > 1 else 0.0


def pair_of(
    metric: str,
    live: Sequence[Figures],
    simulated: Simulated,
    *,
    paced: bool = False,
    miss: float = 0.0,
) -> Pair | None:
    """Return the logarithms of a metric; None where a run does not have it.

    One that follows the processor's pace is moved to the mean pace of the live runs. `miss` is the
    logarithm by which the model missed it where it was calibrated.
    """
    ours, nominal, sampled = (
        np.array([run.logarithm(metric) - paced * run.slower for run in some])
        for some in (live, simulated.nominal, simulated.sampled)
    )
    if np.isnan(ours).any() or np.isnan(nominal).any() or np.isnan(sampled).any():
        return None
    offered = np.log([run.offered for run in live])
    of_nominal = np.log([run.offered for run in simulated.nominal])
    slope = _slope(of_nominal, nominal)
    return Pair(
        live=ours - slope * (offered - offered.mean()),
        nominal=nominal - slope * (of_nominal - offered.mean()),
        ratios=sampled - nominal[: len(sampled)],
        dof=len(nominal) - (2 if slope else 1),
        miss=miss,
    )


def judge(
    level: str,
    metric: str,
    pair: Pair,
    confidence: float,
    *,
    batch_variance: float = math.nan,
    flags: Sequence[str] = (),
) -> Finding:
    """Return what a metric shows, with all intervals at a `confidence` in (0, 1).

    `batch_variance` is that of the figure of the only live run, from batches; NaN where it has
    none. `flags` are more to say.
    """
    variance, dof, notes = _live_variance(pair, batch_variance)
    difference = _difference(pair, variance, dof)
    low, high = difference.interval(confidence)
    kind = _kind(low, high, metric)
    mean = float(pair.live.mean())
    half = float(stdtrit(dof, (1 + confidence) / 2)) * math.sqrt(variance / len(pair.live))
    middle, half_width = _prediction(pair, confidence)
    inside = int((np.abs(pair.live - middle) <= half_width).sum())
    return Finding(
        level=level,
        metric=metric,
        live=_exp(mean),
        live_interval=(_exp(mean - half), _exp(mean + half)),
        simulated=_exp(middle),
        simulated_interval=(_exp(middle - half_width), _exp(middle + half_width)),
        relative_error=_expm1(difference.value),
        difference=(_expm1(low), _expm1(high)),
        kind=kind,
        p_value=difference.p_value(math.log1p(bounds(metric).negligible)),
        inside=inside,
        runs=len(pair.live),
        width=_width(pair, half_width, confidence),
        flags=(*flags, *notes, *(() if len(pair.ratios) else (NO_SAMPLES,))),
    )


def judge_distribution(
    level: str,
    metric: str,
    live: Sequence[Figures],
    simulated: Simulated,
    confidence: float,
    flags: Sequence[str] = (),
) -> Finding | None:
    """Return what the whole distribution of a time shows; None where there is none.

    The distance of a run is that of Kolmogorov and Smirnov to all simulated runs together. What is
    usual is known from the simulated runs, each held against all others, and from the live runs
    likewise where these are farther apart. Logarithms of distances are compared.
    """
    ours = [run.times[metric] for run in live]
    theirs = [run.times[metric] for run in (simulated.sampled or simulated.nominal)]
    if not all(len(times) for times in (*ours, *theirs)):
        return None
    found = np.log([distance(times, np.concatenate(theirs)) for times in ours])
    usual = _apart(theirs)
    among = _apart(ours) if len(ours) > 1 else np.array([])
    centre = max(float(usual.mean()), float(among.mean()) if len(among) else -math.inf)
    dof = len(usual) - 1
    error = float(usual.std(ddof=1)) * math.sqrt(1 / len(ours) + 1 / len(usual))
    allowed = math.log(_exp(centre) + bounds(metric).negligible)
    beyond = float(found.mean()) - allowed
    t = float(stdtrit(dof, (1 + confidence) / 2))
    spread = t * float(usual.std(ddof=1)) * math.sqrt(1 + 1 / len(usual))
    usual_ends = _exp(centre - spread), _exp(centre + spread)
    difference = Difference(float(found.mean()) - centre, error, dof)
    low, high = difference.interval(confidence)
    differs = beyond > t * error
    wide = usual_ends[1] > bounds(metric).narrow
    return Finding(
        level=level,
        metric=metric,
        live=_exp(float(among.mean())) if len(among) else math.nan,
        live_interval=(math.nan, math.nan),
        simulated=_exp(float(found.mean())),
        simulated_interval=usual_ends,
        relative_error=math.nan,
        difference=(_expm1(low), _expm1(high)),
        kind=DIFFERS if differs else CANNOT_TELL if wide else AGREES,
        p_value=_tail(beyond, error, dof),
        runs=len(ours),
        flags=tuple(flags),
    )


def _tail(beyond: float, error: float, dof: float) -> float:
    """Return the probability to be off as far or farther; of runs that are all alike as well."""
    if error == 0:
        return 0.0 if beyond > 0 else 1.0
    return float(stdtr(dof, -beyond / error))


def distance(one: Floats, other: Floats) -> float:
    """Return the greatest difference of the distribution functions of two samples."""
    one, other = np.sort(one), np.sort(other)
    points = np.concatenate([one, other])
    first = np.searchsorted(one, points, side="right") / len(one)
    second = np.searchsorted(other, points, side="right") / len(other)
    return max(float(np.abs(first - second).max()), 0.5 / len(one))  # never 0: it has a logarithm


def _apart(samples: Sequence[Floats]) -> Floats:
    """Return the logarithm of the distance of each sample from all others together."""
    return np.log(
        [
            distance(one, np.concatenate([*samples[:i], *samples[i + 1 :]]))
            for i, one in enumerate(samples)
        ]
    )


def _slope(x: Floats, y: Floats) -> float:
    deviations = x - x.mean()
    square = float(deviations @ deviations)
    return float(deviations @ y) / square if square > FLATTEST * len(x) else 0.0


def _live_variance(pair: Pair, batches: float) -> tuple[float, float, tuple[str, ...]]:
    """Return the variance of one live run, its degrees of freedom and what is to be said of it."""
    r, noise = len(pair.live), pair.noise
    if r > 1:
        found = float(pair.live.var(ddof=1))
        return (found, r - 1, ()) if found > noise else (noise, pair.dof, ())
    if batches > noise:
        return batches, 9, (ONE_RUN,)
    return noise, pair.dof, (AS_SIMULATED if math.isnan(batches) else ONE_RUN,)


def _difference(pair: Pair, live: float, dof: float) -> Difference:
    parts = [
        (pair.parameters, max(len(pair.ratios) - 1, 1)),
        (pair.noise / len(pair.nominal), pair.dof),
        (live / len(pair.live), dof),
    ]
    variance = math.fsum(part for part, _ in parts)
    weight = math.fsum(part**2 / of for part, of in parts)
    value = float(pair.nominal.mean() - pair.live.mean())
    return Difference(value, math.sqrt(variance), variance**2 / weight if weight else 1.0)


def _kind(low: float, high: float, metric: str) -> Kind:
    allowed = bounds(metric)
    if -allowed.negligible <= low and high <= allowed.negligible:
        return AGREES
    if low > 0 or high < 0:
        return DIFFERS
    return AGREES if (high - low) / 2 <= allowed.narrow else CANNOT_TELL


def _prediction(pair: Pair, confidence: float) -> tuple[float, float]:
    n = len(pair.nominal)
    variance = pair.parameters + pair.miss**2 + pair.noise * (1 + 1 / n)
    t = float(stdtrit(pair.dof, (1 + confidence) / 2))
    return float(pair.nominal.mean()), t * math.sqrt(variance)


def _width(pair: Pair, half_width: float, confidence: float) -> float:
    """Return the half-width of a prediction over that of the range of live runs."""
    if len(pair.live) < 2 or not pair.live.std() > 0:
        return math.nan
    normal = float(stdtrit(1e9, (1 + confidence) / 2))
    return half_width / (normal * float(pair.live.std(ddof=1)))
