r"""Service times from what a server has already: a Prometheus histogram, or an access log.

::

    curl -s http://127.0.0.1:9000/metrics | \
        python examples/service_times.py --prometheus http_request_duration_seconds
    python examples/service_times.py --access-log access.log --path /event/wait

Either prints a distribution for a model file, such as for ``cpu.parse_request``, and what it leaves
open. What a log calls a duration may hold waiting as well: take it at a low load, or the model
waits twice.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import tomli_w

from lhsim import InputError, parameters
from lhsim.distributions import Distribution, Empirical, Quantiles

BUCKET = re.compile(r"(?P<name>\w+)_bucket\{(?P<labels>[^}]*)\}\s+(?P<count>\S+)")
EDGE = re.compile(r'le="([^"]+)"')
# A request, its status, and the time as the last number of the line [s]: nginx's $request_time.
LINE = re.compile(r'"(?:GET|POST|PUT|DELETE) (?P<path>[^ ?"]+)[^"]*" (?P<status>\d{3}) .*?'
                  r'(?P<seconds>\d+\.\d+)\s*$')  # fmt: skip
POINTS = 64  # of a distribution from single durations
FEWEST = 10  # durations


def from_prometheus(lines: Iterable[str], name: str) -> Quantiles:
    """Return the distribution of a histogram in Prometheus' text format, of durations [s].

    Within a bucket all durations are taken for equally likely, as Prometheus itself does, and what
    lies beyond the last finite edge is put there: the tail ends too soon. Series with different
    labels are added up.

    Raises
    ------
    InputError
        When there is no such histogram, or it holds nothing.
    """
    counts: dict[float, float] = {}
    for line in lines:
        match = BUCKET.match(line)
        if match and match["name"] == name and (edge := EDGE.search(match["labels"])):
            limit = float(edge[1])
            counts[limit] = counts.get(limit, 0.0) + float(match["count"])
    total = counts.pop(float("inf"), 0.0)
    if not total or not counts:
        raise InputError(f"no histogram {name} with a count", allowed=f"lines {name}_bucket{{...}}")
    edges = sorted(counts)
    shares = [min(counts[edge] / total, 1.0) for edge in edges]
    probabilities = [0.0, *shares] if shares[-1] == 1.0 else [0.0, *shares, 1.0]
    values = [0.0, *edges] if shares[-1] == 1.0 else [0.0, *edges, edges[-1]]
    return Quantiles(tuple(probabilities), tuple(values))


def from_access_log(lines: Iterable[str], path: str) -> Quantiles:
    """Return the distribution of the durations of a path's requests that were answered well.

    Raises
    ------
    InputError
        When there are fewer than `FEWEST`.
    """
    found = [float(match["seconds"]) for line in lines
             if (match := LINE.search(line)) and match["path"] == path
             and match["status"].startswith("2")]  # fmt: skip
    if len(found) < FEWEST:
        allowed = f"{FEWEST} lines or more that end with a duration in seconds"
        raise InputError(f"{len(found)} requests of {path}", allowed=allowed)
    return Empirical(tuple(found)).compact(POINTS)


def as_toml(distribution: Distribution, key: str) -> str:
    """Return the lines of a model file that set a parameter to a distribution."""
    part, _, name = key.partition(".")
    return tomli_w.dumps({part: {name: parameters.unstructure(distribution)}})


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the distribution, and return the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.prometheus:
            found = from_prometheus(sys.stdin, asked.prometheus)
        else:
            with asked.access_log.open() as file:
                found = from_access_log(file, asked.path)
    except (InputError, OSError) as error:
        print(f"service_times: {error}", file=sys.stderr)
        return 2
    print(f"# mean {1e3 * found.mean:.4g} ms, p99 {1e3 * float(found.quantile(0.99)):.4g} ms")
    print(as_toml(found, asked.key), end="")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prometheus", metavar="NAME", help="of a histogram on stdin")
    source.add_argument("--access-log", type=Path, metavar="FILE")
    parser.add_argument("--path", default="/event/wait", help="of the requests in the log")
    parser.add_argument("--key", default="cpu.parse_request", help="that is to be set")
    return parser


if __name__ == "__main__":
    sys.exit(main())
