"""An inspection: what a request log shows, what can be learnt from it and what cannot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.readers.inspection import arrivals, loops, saturation
from lhsim.readers.inspection.arrivals import Dispersion, dispersion_of
from lhsim.readers.inspection.loops import Loop, Think, loop_of
from lhsim.readers.inspection.saturation import Saturation, saturation_of
from lhsim.readers.request_log import RequestLog
from lhsim.units import format_duration

QUANTILES = (0.5, 0.95, 0.99)
LONG_GAP = 5.0  # times the longest gap that a Poisson process would have
COARSE = 0.1  # part of the median response that a step of the clock is no longer than
SOON = 0.1  # part of the median response within which hardly any ends
SUSPICIOUS = 0.01  # part of the responses
ALL_LONG = 0.8  # part of the median response that even the shortest takes
SLEEP = 5e-3  # a response that may hold a sleep [s]
FEW = 200  # requests that tell no p99
TIES = 0.01  # part of the starts that coincide


@frozen
class Gap:
    """The longest time in which no request started."""

    at: float  # since the first start [s]
    length: float  # [s]
    expected: float  # the longest one of a Poisson process of this rate [s]


@frozen(eq=False)
class Inspection:
    """What a request log shows; times in seconds."""

    source: str
    format: str
    requests: int
    failed: int  # by their status
    clients: int | None  # None: nothing names them
    span: float  # from the first start to the last end [s]
    rate: float  # requests that started [1/s]
    response_mean: float  # [s]
    response_min: float  # [s]
    response_max: float  # [s]
    response_quantiles: dict[float, float]  # [s] by level
    loop: Loop
    dispersion: Dispersion
    saturation: Saturation
    clock_resolution: float  # [s]
    ties: float  # part of the starts that coincide with another
    gap: Gap | None  # if it is longer than chance explains
    notes: tuple[str, ...]  # what was left out, and what looks wrong
    learns: tuple[str, ...]  # what can be learnt from the log
    lacks: tuple[str, ...]  # what cannot
    log: RequestLog = field(repr=False)

    @property
    def think(self) -> Think | None:
        """The think time of a closed loop."""
        return self.loop.think if self.loop.kind == loops.CLOSED else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; None for what is not known."""
        dispersion, state, think = self.dispersion, self.saturation, self.think
        names = {level: f"p{100 * level:g}" for level in self.response_quantiles}
        return {
            "source": self.source,
            "format": self.format,
            "requests": self.requests,
            "failed": self.failed,
            "clients": self.clients,
            "span_s": self.span,
            "rate_per_second": self.rate,
            "response_s": {
                "mean": self.response_mean,
                "min": self.response_min,
                **{names[level]: value for level, value in self.response_quantiles.items()},
                "max": self.response_max,
            },
            "loop": {
                "kind": self.loop.kind,
                "reason": self.loop.reason,
                "in_flight": self.loop.in_flight,
                "slope": self.loop.slope,
                "slope_half_width": self.loop.slope_half_width,
            },
            "think": None if think is None else {
                "kind": think.kind, "mean_s": think.mean, "cv": think.cv,
                "median_s": think.median, "count": think.count,
            },
            "arrivals": {
                "kind": dispersion.kind,
                "index_of_dispersion": _known(dispersion.index),
                "window_s": _known(dispersion.window),
                "half_width": _known(dispersion.half_width),
                "cluster": _known(dispersion.cluster),
                "beside": dispersion.beside,
                "beside_by_chance": dispersion.beside_by_chance,
            },
            "saturation": {
                "kind": state.kind,
                "reason": state.reason,
                "throughput_per_second": state.throughput,
                "in_flight": state.in_flight,
                "alone_s": state.alone,
                "work": state.work,
                "stretch": state.stretch,
                "plateau_per_second": state.plateau,
                "elasticity": state.elasticity,
            },
            "clock_resolution_s": self.clock_resolution,
            "ties": self.ties,
            "gap": None if self.gap is None else {
                "at_s": self.gap.at, "length_s": self.gap.length, "expected_s": self.gap.expected
            },
            "notes": list(self.notes),
            "learns": list(self.learns),
            "lacks": list(self.lacks),
        }  # fmt: skip


def inspect_requests(log: RequestLog) -> Inspection:
    """Return what a request log shows, and what can be learnt from it and what not."""
    loop = loop_of(log)
    dispersion = dispersion_of(log, loops.cycle_of(log, loop))
    state = saturation_of(log, loop)
    gap = _longest_gap(log)
    response = log.response
    return Inspection(
        source=log.source,
        format=log.format,
        requests=len(log),
        failed=int(log.failed.sum()),
        clients=log.clients,
        span=log.span,
        rate=_rate(log),
        response_mean=float(response.mean()),
        response_min=float(response.min()),
        response_max=float(response.max()),
        response_quantiles={level: float(np.quantile(response, level)) for level in QUANTILES},
        loop=loop,
        dispersion=dispersion,
        saturation=state,
        clock_resolution=log.clock_resolution,
        ties=_ties(log.start),
        gap=gap,
        notes=(*log.facts.get("notes", ()), *_doubts(log, loop, gap)),
        learns=tuple(_learns(log, loop, dispersion, state)),
        lacks=(*_lacks(log, loop, state), *log.facts.get("unknown", ())),
        log=log,
    )


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rate(log: RequestLog) -> float:
    last = float(log.start[-1])
    return (len(log) - 1) / last if last > 0 else 0.0


def _ties(starts: NDArray[np.float64]) -> float:
    same = np.diff(starts) <= 0
    tied = np.concatenate([same, [False]]) | np.concatenate([[False], same])
    return float(tied.mean())


def _longest_gap(log: RequestLog) -> Gap | None:
    gaps = np.diff(log.start)
    longest = int(np.argmax(gaps))
    expected = float(gaps.mean() * (math.log(len(gaps)) + 0.5772)) if len(gaps) > 1 else math.inf
    if not gaps[longest] > LONG_GAP * expected:
        return None
    return Gap(float(log.start[longest]), float(gaps[longest]), expected)


def _doubts(log: RequestLog, loop: Loop, gap: Gap | None) -> Iterator[str]:
    """Yield what looks wrong with a log."""
    response = log.response
    median = float(np.median(response))
    if failed := int(log.failed.sum()):
        yield f"{failed:,} requests failed by their status: their response times count, too"
    if log.clock_resolution > COARSE * median:
        step = format_duration(log.clock_resolution)
        yield f"time stamps are in steps of {step}, next to a median response of " \
              f"{format_duration(median)}"  # fmt: skip
    brief = float(np.mean(response < SOON * median))
    if brief > SUSPICIOUS and log.clock_resolution <= COARSE * median:
        yield f"{100 * brief:.2g} % of the responses take less than a tenth of the median: they " \
              "may be errors, caches, or a clock that was read too early"  # fmt: skip
    think = loop.think
    if think is not None and think.kind == loops.NONE and median > SLEEP:
        shortest = float(np.quantile(response, 0.001))
        if shortest > ALL_LONG * median:
            yield f"every response takes {format_duration(shortest)} or more and clients never " \
                  "think: a sleep of the client may be part of the response"  # fmt: skip
    if gap is not None:
        length, at = format_duration(gap.length), format_duration(gap.at)
        expected = format_duration(gap.expected)
        yield f"no request started for {length} from {at} on: by chance the longest is {expected}"


def _learns(
    log: RequestLog, loop: Loop, dispersion: Dispersion, state: Saturation
) -> Iterator[str]:
    if loop.kind == loops.CLOSED and loop.think is not None and log.has_clients:
        yield "the clients and their think time"
    if state.alone is not None:
        yield "the service time, by requests that found no other under way"
    if state.kind == saturation.SATURATED:
        yield f"the capacity at this load: {state.throughput:.4g} requests/s"
    elif state.plateau is not None:
        yield f"the rate at which requests end while others are under way: {state.plateau:.4g}/s"
    if state.stretch is not None and state.stretch > 1.1:
        yield "how responses grow with the load"
    if dispersion.kind != arrivals.UNKNOWN:
        yield "how requests arrive"


def _lacks(log: RequestLog, loop: Loop, state: Saturation) -> Iterator[str]:
    if loop.kind == loops.UNKNOWN:
        yield "whether clients wait for their answers: say it, or take a log that names clients"
    if state.kind != saturation.SATURATED:
        yield "the capacity: take a load beyond what the server sustains, or processor seconds"
    if state.alone is None:
        yield "the service time: take a lower load"
    if log.clients == 1:
        yield "how responses grow with the load: there is one client"
    if len(log) < FEW:
        yield f"high quantiles: there are {len(log)} requests"
