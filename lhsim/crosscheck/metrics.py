"""What is compared, how narrow an interval has to be to mean something, and what is of no account.

All figures are positive and compared by ratio, so that both bounds are relative. `narrow` bounds
the half-width of an interval that may say "agrees". It is the accuracy that a prediction is asked
for: 2 % of counts, 10 % of the processor's time, 25 % of a median. A tail has fewer messages, and
live repetitions themselves differ by up to 40 % in it. `negligible` is what two live servers of one
kind may differ by for reasons that no model has: counters that are read once a second, clocks, the
ends of the window. A difference that is surely smaller is no difference.
"""

from __future__ import annotations

from attrs import frozen

RATES = ("throughput", "polls", "wasted_polls", "cpu")
TIMES = ("store", "latency")  # whole distributions, under these names
QUANTILES = tuple(f"{name}_{q}" for name in TIMES for q in ("p50", "p95", "p99"))
AT_SATURATION = ("throughput", "cpu")  # no latency settles there, and polls follow from it
KNEE = "knee"  # the highest throughput that was reached [messages/s]

_COUNT, _CPU, _P50, _P95, _P99 = (0.02, 0.005), (0.10, 0.03), (0.25, 0.03), (0.35, 0.03), (0.5, 0.1)
_BOUNDS = {
    "throughput": _COUNT,
    "polls": _COUNT,
    "wasted_polls": _COUNT,
    "cpu": _CPU,
    KNEE: (0.10, 0.02),
    "p50": _P50,
    "p95": _P95,
    "p99": _P99,
    # Of the Kolmogorov-Smirnov distance, in absolute terms.
    "store": (0.15, 0.02),
    "latency": (0.15, 0.02),
}


@frozen
class Bounds:
    """When an interval means something, and when a difference does."""

    narrow: float  # half-width at most, relative
    negligible: float  # difference, relative


def bounds(metric: str) -> Bounds:
    """Return the bounds of a metric; of a quantile by its level."""
    return Bounds(*_BOUNDS[metric if metric in _BOUNDS else metric.rpartition("_")[2]])


def uninformative(architecture: str, metric: str) -> bool:
    """Return whether a metric hardly depends on the server: polling's latency is mostly sleep."""
    return architecture == "polling" and metric.startswith("latency")


def follows_pace(architecture: str, metric: str) -> bool:
    """Return whether a metric grows with the time that the processor takes for the same work."""
    return metric == "cpu" or (metric in QUANTILES and not uninformative(architecture, metric))


def shows_service(architecture: str, metric: str) -> bool:
    """Return whether agreement in a metric speaks for the model of the server's work.

    Throughput below saturation is the offered load in any model.
    """
    quantile = metric.endswith("_p50") and not uninformative(architecture, metric)
    return quantile or metric == "cpu"
