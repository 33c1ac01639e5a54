"""Histograms of Prometheus: the text format, and OpenMetrics.

https://prometheus.io/docs/instrumenting/exposition_formats/ and, for a text that ends with
``# EOF``, https://prometheus.io/docs/specs/om/open_metrics_spec/. A histogram counts the
observations since the server began that were at most as large as each bound. Its unit is the one
that its name or its ``# UNIT`` ends in, by convention seconds. It cannot tell where within a bucket
an observation was, nor how far beyond the last bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lhsim.distributions import Quantiles
from lhsim.errors import InputError, unknown_name
from lhsim.readers.durations import Durations
from lhsim.units import format_duration

if TYPE_CHECKING:
    from prometheus_client import Metric

UNITS = {
    "nanoseconds": 1e9, "ns": 1e9, "microseconds": 1e6, "us": 1e6, "milliseconds": 1e3, "ms": 1e3,
    "seconds": 1.0,
}  # fmt: skip
NO_TIMES = (
    "bytes", "ratio", "percent", "celsius", "meters", "volts", "amperes", "joules", "grams",
)  # fmt: skip
BUCKET = "_bucket"
LARGEST = 1e18  # of a count, and of a bound in its unit
MOST_BEYOND = 0.5  # the part beyond the last bound with which not even a median is known

Series = tuple[tuple[str, str], ...]  # its labels but for the bound


@frozen
class Histogram:
    """A histogram, the series with different labels added up."""

    bounds: tuple[float, ...]  # the finite ones [s]
    counts: tuple[float, ...]  # of observations up to each bound
    total: float

    @property
    def beyond(self) -> float:
        """The part of the observations that are larger than the last bound."""
        return 1 - self.counts[-1] / self.total

    @property
    def distribution(self) -> Quantiles:
        """The distribution in which all values of a bucket are equally likely.

        Prometheus itself reads it so. What lies beyond the last bound is put there.
        """
        shares = [min(count / self.total, 1.0) for count in self.counts]
        last = () if shares[-1] == 1.0 else (1.0,)
        values = (0.0, *self.bounds, *(self.bounds[-1] for _ in last))
        return Quantiles((0.0, *shares, *last), values)


def read_durations(lines: Iterable[str], name: str, source: str = "stdin") -> Durations:
    """Return the durations that a histogram counted.

    Parameters
    ----------
    lines
        What a server answers at ``/metrics``, once.
    name
        Of the histogram, without ``_bucket``.
    source
        What a refusal names as the place of the lines.

    Raises
    ------
    InputError
        When the text is none of the two formats, or has no such histogram of durations.
    """
    found = histogram("\n".join(lines), name, source)
    return Durations(found.distribution, found.total, _notes(found))


def read_difference(
    before: Iterable[str], after: Iterable[str], name: str, source: str = "stdin"
) -> Durations:
    """Return the durations that a histogram counted between two scrapes of one server.

    Raises
    ------
    InputError
        As `read_durations` does, and when a count is smaller in the later scrape: the server began
        anew in between.
    """
    earlier = "\n".join(before)
    found = histogram("\n".join(after), name, source, earlier)
    return Durations(found.distribution, found.total, _notes(found))


def histogram(text: str, name: str, source: str = "stdin", before: str | None = None) -> Histogram:
    """Return a histogram of durations in a text, less what an earlier one had counted.

    It raises as `read_durations` does.
    """
    name = name.removesuffix(BUCKET)
    try:
        families = list(_families(text, source))
        per_second = _per_second(families, name)
        series = _series(families, name)
        if before is not None:
            earlier = _series(list(_families(before, source)), name)
            series = {labels: _less(one, earlier.get(labels)) for labels, one in series.items()}
        return _sum(list(series.values()), per_second)
    except InputError as error:
        raise InputError(
            error.problem, source=source, key=error.key or name, allowed=error.allowed
        ) from None


def _notes(found: Histogram) -> tuple[str, ...]:
    if not found.beyond > 0:
        return ()
    last, part = format_duration(found.bounds[-1]), f"{100 * found.beyond:.3g} %"
    return (f"{part} took longer than {last}, the last bound: they count as that",)


def _less(counts: dict[float, float], before: dict[float, float] | None) -> dict[float, float]:
    """Return what a series has counted since an earlier scrape; one that was not there had none."""
    if before is None:
        return counts
    if sorted(before) != sorted(counts):
        raise InputError("has other bounds in the earlier scrape", allowed="the same in both")
    found = {bound: count - before[bound] for bound, count in counts.items()}
    if min(found.values()) < 0:
        problem = "has counted less in the later scrape: the server began anew, or they are swapped"
        raise InputError(problem, allowed="two scrapes of one life of a server, the earlier first")
    return found


def _families(text: str, source: str) -> Iterator[Metric]:
    if find_spec("prometheus_client") is None:
        allowed = "after pip install 'lhsim[live]'"
        raise InputError("prometheus_client is not installed", allowed=allowed)
    from prometheus_client import parser  # noqa: PLC0415 - of the extra lhsim[live]
    from prometheus_client.openmetrics import parser as openmetrics  # noqa: PLC0415

    chosen: Any = openmetrics if text.rstrip().endswith("# EOF") else parser
    try:
        # A text in which nothing else is wrong ends with the end of a line.
        yield from chosen.text_string_to_metric_families(text.rstrip() + "\n")
    except Exception as error:  # of garbage the parsers raise whatever they meet
        problem = f"is not in Prometheus' text format: {str(error)[:80]}"
        allowed = "what a server answers at /metrics"
        raise InputError(problem, key="", allowed=allowed) from None


def _per_second(families: Iterable[Metric], name: str) -> float:
    """Return how many of the units of a histogram are a second."""
    said = [family.unit for family in families if family.name == name and family.unit]
    unit = said[0] if said else name.rpartition("_")[2]
    if unit in NO_TIMES:
        raise InputError(f"counts {unit}, no durations", allowed="a histogram in seconds")
    return UNITS.get(unit, 1.0)


def _series(families: Iterable[Metric], name: str) -> Mapping[Series, dict[float, float]]:
    """Return the counts of a histogram by their bounds, for each set of other labels."""
    found: dict[Series, dict[float, float]] = {}
    known = set()
    for sample in (sample for family in families for sample in family.samples):
        if not sample.name.endswith(BUCKET) or "le" not in sample.labels:
            continue
        known.add(sample.name.removesuffix(BUCKET))
        if sample.name != name + BUCKET:
            continue
        labels = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        counts = found.setdefault(labels, {})
        bound = _number(sample.labels["le"])
        if bound in counts:
            problem = f"the bound {sample.labels['le']} of {_shown(labels)} stands there twice"
            raise InputError(problem, allowed="what a server answers once")
        counts[bound] = float(sample.value)
    if not found:
        raise unknown_name("histogram", name, known, key=name)
    return found


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if math.isnan(found):
        raise InputError(f"the bound {text!r} is no number", allowed="a number or +Inf")
    return found


def _sum(series: list[dict[float, float]], per_second: float) -> Histogram:
    """Add up series, each of which counts upwards by the same bounds."""
    bounds = sorted(series[0])
    if any(sorted(one) != bounds for one in series):
        raise InputError("its series have different bounds", allowed="the same in each")
    *finite, infinite = bounds
    if infinite != math.inf or not finite or finite[0] < 0 or not 0 < finite[-1] <= LARGEST:
        raise InputError("has no bounds of durations", allowed="one or more > 0, and +Inf")
    if not all(_cumulative([one[bound] for bound in bounds]) for one in series):
        raise InputError("its counts decrease, or are no counts", allowed="cumulative counts")
    *inner, total = (math.fsum(one[bound] for one in series) for bound in bounds)
    if not total > 0:
        raise InputError("has counted nothing", allowed="a histogram with a count")
    found = Histogram(tuple(bound / per_second for bound in bounds[:-1]), tuple(inner), total)
    if found.beyond > MOST_BEYOND:
        last = format_duration(found.bounds[-1])
        share = f"{100 * found.beyond:.3g} % of its durations"
        problem = f"{share} are longer than {last}, its last bound"
        raise InputError(problem, allowed=f"at most {100 * MOST_BEYOND:g} %")
    return found


def _cumulative(counts: list[float]) -> bool:
    rising = all(one <= after for one, after in pairwise(counts))
    return rising and counts[0] >= 0 and counts[-1] <= LARGEST


def _shown(labels: Series) -> str:
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels)[:60] + "}"
