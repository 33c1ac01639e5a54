"""Which discipline, how many cores and how much of a response is work: by comparison of misfits.

Each candidate forecasts every request of every run from the arrivals as they were (`trace`), with
service times drawn from those of requests that met no queue. A forecast is scored by the continuous
ranked probability score of the logarithm of the response time, which is proper: in the mean no
wrong candidate scores better than the right one (Gneiting and Raftery 2007, J. Am. Stat. Assoc.
102, 359-378). How sure the best one is follows from a bootstrap over blocks of the runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.calibration.closed_loops import Loop
from lhsim.calibration.trace import departures

Floats = NDArray[np.float64]

QUANTA = (math.inf, 0.0, 5e-4, 1e-3, 2e-3, 3e-3, 4e-3, 6e-3, 1e-2, 2e-2, 5e-2)  # tried [s]
CORES = (1, 2, 3, 4, 6, 8, 16)  # tried where nobody says how many there are
# Of a response that is work, tried; long requests are seldom alone, so that work may be longer.
SHARES = (*np.geomspace(0.05, 1.0, 13).tolist(), 1.2)
MOST = 1.5  # such share
FINER = (0.88, 0.92, 0.96, 1.0, 1.04, 1.08, 1.12)  # of the best share, tried next
PACES = (0.85, 0.92, 1.0, 1.08, 1.17)  # of a run in which no request is alone, tried
DRAWS = 6  # forecasts of a request
BLOCKS = 12  # of a run
FEWEST_ALONE = 8  # requests that show what a server takes for one
POINTS = 1000  # of the distribution of what it takes
MOST_WEIGHT = 20.0  # of a request that is alone by chance
AS_GOOD = 1e-3  # by which a score may be worse, a thousandth of a response, and mean nothing
USUAL = 4e-3  # quantum of Linux: preferred among candidates of one score [s]
BOOTSTRAPS = 200
SEED = 1
LONG = 0.95  # of the responses alone are shorter than a slice that is served to the end
SHORTEST_SLICE = 0.02  # of a response: shorter ones are equal shares
FINE = 0.02  # of a response: ticks of a clock that do not matter
ROUNDED = 1e-6  # of a tick, by which times of a log are off as they are written
LEAST = 1e-9  # service time [s]


@frozen
class Candidate:
    """A station that may be the server's."""

    cores: int
    quantum: float  # infinite: first come, first served; 0: processor sharing [s]
    share: float  # of the response of a request alone that is work of the processor
    elsewhere: bool = False  # whether responses vary for what is not the processor's
    by_turn: bool = False  # whether answers wait for the end of a turn of the one loop there is

    @property
    def discipline(self) -> str:
        """In a word."""
        if self.by_turn:
            return "by turn"
        if self.quantum == 0:
            return "shared"
        return "FIFO" if math.isinf(self.quantum) else "sliced"


@frozen(eq=False)
class Alone:
    """What the server takes for a request that meets no queue."""

    times: Floats = field(repr=False)  # of the runs, each over its pace, sorted [s]
    paces: tuple[float, ...]  # of each run, as a factor; NaN: it has too few requests alone
    demands: tuple[float | None, ...]  # processor time of a request in each run, where known [s]

    @property
    def mean(self) -> float:
        """The mean [s]."""
        return float(self.times.mean())

    @property
    def least(self) -> float:
        """What it takes at least, but for a hundredth [s]."""
        return float(np.quantile(self.times, 0.01))

    def parts(self, candidate: Candidate, drawn: Floats) -> tuple[Floats, Floats]:
        """Return service times and delays of requests that would take so long alone [s]."""
        work = candidate.share * self.mean
        if work > self.mean:
            return candidate.share * drawn, np.zeros(drawn.shape)
        if candidate.elsewhere:
            return np.full(drawn.shape, work), np.maximum(drawn - work, 0.0)
        delay = self.mean - work
        if delay <= self.least:
            return np.maximum(drawn - delay, LEAST), np.full(drawn.shape, max(delay, 0.0))
        return candidate.share * drawn, (1 - candidate.share) * drawn


def alone(loops: Sequence[Loop]) -> Alone:
    """Return what requests take that meet no queue; the least contended ones where all do."""
    means = [_pace(loop) for loop in loops]
    weights = [float(np.count_nonzero(loop.alone)) for loop in loops]
    known = [not math.isnan(mean) for mean in means]
    if not any(known):
        lightest = min(loops, key=lambda loop: loop.clients)
        times = np.quantile(lightest.responses, (np.arange(POINTS) + 0.5) / POINTS)
        return Alone(times, tuple(math.nan for _ in loops), tuple(one.demand for one in loops))
    logs = [(weight, math.log(mean)) for weight, mean in zip(weights, means, strict=True)
            if not math.isnan(mean)]  # fmt: skip
    middle = math.exp(sum(w * x for w, x in logs) / sum(w for w, _ in logs))
    some = [(loop.run.log.response[loop.alone] * (middle / mean), _chances(loop))
            for loop, mean, is_known in zip(loops, means, known, strict=True)
            if is_known]  # fmt: skip
    times = _table(*(np.concatenate(parts) for parts in zip(*some, strict=True)))
    return Alone(times, tuple(mean / middle for mean in means),
                 tuple(loop.demand for loop in loops))  # fmt: skip


def _chances(loop: Loop) -> Floats:
    """Return the weights of requests alone: a long one is seldom alone, so it counts for more.

    Others come with the rate of all other clients, and must not for as long as it takes: a weight
    is one over that probability (Horvitz and Thompson 1952, J. Am. Stat. Assoc. 47, 663-685).
    """
    others = loop.throughput * (1 - 1 / loop.clients)
    return np.minimum(np.exp(others * loop.run.log.response[loop.alone]), MOST_WEIGHT)


def _table(times: Floats, weights: Floats) -> Floats:
    """Return as many quantiles of weighted times as there are points."""
    order = np.argsort(times)
    ranks = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    return np.interp((np.arange(POINTS) + 0.5) / POINTS, ranks, times[order])


def _pace(loop: Loop) -> float:
    """Return the mean response of requests alone, the longest of them cut off [s]; NaN: too few."""
    times = loop.run.log.response[loop.alone]
    if len(times) < FEWEST_ALONE:
        return math.nan
    cut = np.minimum(times, np.quantile(times, 0.98))
    return float(np.average(cut, weights=_chances(loop)))


def unusual(one: Candidate) -> tuple[float, ...]:
    """Return by what candidates of one score are ordered: few cores and usual quanta come first."""
    usual = (USUAL, math.inf, 0.0)
    rank = usual.index(one.quantum) if one.quantum in usual else len(usual)
    return one.cores, one.by_turn, rank, one.quantum, one.elsewhere, -one.share


@frozen(eq=False)
class Comparison:
    """How well candidates forecast runs."""

    candidates: tuple[Candidate, ...]
    scores: Floats = field(repr=False)  # mean of a block; shape (candidates, blocks)
    weights: Floats = field(repr=False)  # requests of a block
    requests: int

    @property
    def means(self) -> Floats:
        """The score of each candidate over all requests: the less, the better."""
        return np.asarray(self.scores @ self.weights / self.weights.sum())

    @property
    def best(self) -> Candidate:
        """The candidate with the least score; of several that are as good, the most usual one."""
        means = self.means
        good = [self.candidates[i] for i in np.flatnonzero(means <= means.min() + AS_GOOD)]
        return min(good, key=unusual)

    def drawn(self, number: int = BOOTSTRAPS) -> list[Candidate]:
        """Return the best candidate of each of so many bootstraps over the blocks.

        Of those that are as good one is drawn: what the runs cannot tell stays open.
        """
        generator = np.random.Generator(np.random.Philox(SEED))
        blocks = len(self.weights)
        found = []
        for _ in range(number):
            times = np.bincount(generator.integers(blocks, size=blocks), minlength=blocks)
            weights = times * self.weights
            found.append(self._drawn(self.scores @ weights / weights.sum(), generator))
        return found

    def _drawn(self, means: Floats, generator: np.random.Generator) -> Candidate:
        """Draw the cores first, few being likelier than many, then a discipline, then a share."""
        good = [self.candidates[i] for i in np.flatnonzero(means <= means.min() + AS_GOOD)]
        for of in ("cores", "discipline"):
            values = sorted({getattr(one, of) for one in good})
            weights = np.array([1 / one if of == "cores" else 1.0 for one in values])
            chosen = values[int(generator.choice(len(values), p=weights / weights.sum()))]
            good = [one for one in good if getattr(one, of) == chosen]
        shares = np.array([one.share for one in good])  # any share is as likely as any other
        return good[int(generator.choice(len(good), p=shares / shares.sum()))]

    def score_of(self, discipline: str) -> float:
        """Return the least score of a discipline; NaN where none was tried."""
        scores = [score for one, score in zip(self.candidates, self.means.tolist(), strict=True)
                  if one.discipline == discipline]  # fmt: skip
        return min(scores, default=math.nan)


def compare(loops: Sequence[Loop], base: Alone, candidates: Sequence[Candidate]) -> Comparison:
    """Return how well candidates forecast the requests of runs."""
    forecasts = [_Forecast.of(loop, base, number) for number, loop in enumerate(loops)]
    scores = [np.concatenate([one.score(candidate) for one in forecasts])
              for candidate in candidates]  # fmt: skip
    weights = np.concatenate([one.weights for one in forecasts])
    return Comparison(tuple(candidates), np.array(scores), weights, int(weights.sum()))


def candidates_of(base: Alone, cores: Sequence[int], quanta: Sequence[float],
                  busiest: float) -> Iterator[Candidate]:  # fmt: skip
    """Yield what is tried at first; `busiest` is the highest throughput of a run [1/s].

    A server whose cores would be busy for more than all of the time is none.
    """
    for each, quantum, share in product(cores, coarse(quanta), shares_of(base)):
        if share * base.mean * busiest <= 1.1 * each:
            yield from _kinds(each, quantum, share)
            if share * base.mean < base.least and share < 0.999:
                yield from _kinds(each, quantum, share, elsewhere=True)


def _kinds(
    cores: int, quantum: float, share: float, *, elsewhere: bool = False
) -> Iterator[Candidate]:
    """Yield a candidate, and beside a loop one that answers by turn."""
    yield Candidate(cores, quantum, share, elsewhere)
    if cores == 1 and math.isinf(quantum):
        yield Candidate(cores, quantum, share, elsewhere, by_turn=True)


def shares_of(base: Alone) -> tuple[float, ...]:
    """Return which share of a response alone may be work: one where processor seconds say it."""
    known = [(demand, pace_of(pace))
             for demand, pace in zip(base.demands, base.paces, strict=True)
             if demand is not None]  # fmt: skip
    if not known:
        return SHARES
    middle = float(np.median([demand / pace for demand, pace in known]))
    return (min(middle / base.mean, 1.0),)


def telling(quanta: Sequence[float], base: Alone) -> list[float]:
    """Return the quanta that are no other discipline in disguise: too short, or too long."""
    longest = float(np.quantile(base.times, LONG)) * max(map(pace_of, base.paces))
    shortest = SHORTEST_SLICE * base.mean
    return [one for one in quanta if one == 0 or math.isinf(one) or shortest <= one < longest]


def coarse(quanta: Sequence[float]) -> tuple[float, ...]:
    """Return one quantum of each discipline, for a first look."""
    slices = [one for one in quanta if one and not math.isinf(one)]
    usual = [min(slices, key=lambda one: abs(math.log(one / USUAL)))] if slices else []
    return (*(one for one in quanta if one not in slices), *usual)


def refined(found: Comparison, base: Alone, quanta: Sequence[float]) -> list[Candidate]:
    """Return all quanta, and finer shares, around the candidates that may be the best."""
    known = len(shares_of(base)) == 1
    pairs = zip(found.candidates, found.means.tolist(), strict=True)
    scores = dict(sorted(pairs, key=lambda pair: -pair[1]))  # the best of a kind comes last
    best = {_kind(one): one.share for one in scores}
    finer = []
    for kind in {_kind(one) for one in (*found.drawn(), found.best)}:
        cores, discipline, elsewhere = kind
        by_turn = discipline == "by turn"
        tried = [math.inf] if by_turn else [
            one for one in quanta
            if Candidate(cores, one, 1.0).discipline in (discipline, "sliced")]  # fmt: skip
        shares = {min(best[kind] * factor, MOST) for factor in ((1.0,) if known else FINER)}
        finer += [Candidate(cores, quantum, share, elsewhere, by_turn)
                  for quantum, share in product(tried, sorted(shares))]  # fmt: skip
    return list(dict.fromkeys((*finer, *found.candidates)))


def _kind(one: Candidate) -> tuple[int, str, bool]:
    return one.cores, one.discipline, one.elsewhere


@frozen(eq=False)
class _Forecast:
    """A run that is forecast, under draws that are the same for all candidates."""

    loop: Loop
    base: Alone
    paces: tuple[float, ...]  # that the run may have
    demand: float | None
    drawn: Floats  # what requests would take alone, at pace 1; shape (draws, requests) [s]
    phases: Floats  # when requests began, as parts of a tick of the clock; shape (draws, requests)
    blocks: NDArray[np.int64]  # of each request
    weights: Floats  # requests of a block

    @classmethod
    def of(cls, loop: Loop, base: Alone, number: int) -> _Forecast:
        generator = np.random.Generator(np.random.Philox(key=[SEED, number]))
        pace, demand = base.paces[number], base.demands[number]
        counted = len(loop.run.log)
        blocks = np.minimum(np.arange(counted) * BLOCKS // counted, BLOCKS - 1)
        return cls(
            loop=loop,
            base=base,
            paces=PACES if math.isnan(pace) and demand is None else (pace,),
            demand=demand,
            drawn=generator.choice(base.times, size=(DRAWS, counted)),
            phases=generator.random((DRAWS, counted)),
            blocks=blocks,
            weights=np.bincount(blocks, minlength=BLOCKS).astype(float),
        )

    def score(self, candidate: Candidate) -> Floats:
        """Return the mean score of each block, at the pace at which the whole run fits best."""
        works, delays = self.base.parts(candidate, self.drawn)
        found = [self._scores(candidate, works, delays, pace) for pace in self.paces]
        best = min(found, key=lambda scores: float(scores.mean()))
        return np.bincount(self.blocks, best, BLOCKS) / np.maximum(self.weights, 1.0)

    def _scores(self, candidate: Candidate, works: Floats, delays: Floats, pace: float) -> Floats:
        log = self.loop.run.log
        if self.demand is not None:  # of which no more than the response is on its way
            pace = min(self.demand, pace_of(pace) * self.base.mean) / (
                candidate.share * self.base.mean
            )
        forecasts = np.array([
            self._forecast(candidate, work * pace, delay, phase)
            for work, delay, phase in zip(works, delays, self.phases, strict=True)
        ])  # fmt: skip
        tick = max(log.clock_resolution, LEAST)
        live = np.log(np.maximum(log.response, tick))
        return crps(np.log(np.maximum(forecasts, tick)), live)

    def _forecast(
        self, candidate: Candidate, works: Floats, delays: Floats, phases: Floats
    ) -> Floats:
        """Return responses as the clock of the log would show them [s]."""
        log = self.loop.run.log
        tick = log.clock_resolution
        if tick < FINE * self.base.mean:
            done = _departures(log.start, works, candidate)
            return done - log.start + delays
        starts = log.start + tick * phases  # the clock cuts off what it does not show
        order = np.argsort(starts)
        done = np.empty(len(starts))
        done[order] = _departures(starts[order], works[order], candidate)
        return np.floor((done + delays) / tick + ROUNDED) * tick - log.start


def _departures(arrivals: Floats, demands: Floats, of: Candidate) -> Floats:
    return departures(arrivals, demands, of.cores, of.quantum, by_turn=of.by_turn)


def pace_of(pace: float) -> float:
    """Return a pace, and for one that is not known that of the runs together."""
    return 1.0 if math.isnan(pace) else pace


def crps(forecasts: Floats, live: Floats) -> Floats:
    """Return the fair score of each forecast: an ensemble of shape (draws, n) against shape n.

    Ferro (2014, Q. J. R. Meteorol. Soc. 140, 1917-1923): without bias however few the draws.
    """
    draws = len(forecasts)
    ordered = np.sort(forecasts, axis=0)
    weights = 2.0 * np.arange(draws) - draws + 1.0
    apart = (weights[:, None] * ordered).sum(axis=0) / (draws * (draws - 1))
    return np.asarray(np.abs(forecasts - live).mean(axis=0) - apart)
