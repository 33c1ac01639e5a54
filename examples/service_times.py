r"""Service times from what a server has already: a Prometheus histogram, or an access log.

::

    curl -s http://127.0.0.1:9000/metrics | \
        python examples/service_times.py --prometheus http_request_duration_seconds
    python examples/service_times.py --access-log access.log --path /event/wait
    python examples/service_times.py --access-log access.log.gz --log-format apache-combined

Either prints a distribution for a model file, such as for ``cpu.parse_request``, and what it leaves
open. What a log calls a duration may hold waiting as well: take it at a low load, or the model
waits twice. A log is read by the format in which its server writes it: a format string of nginx,
Apache or Envoy, or a name; without one, nginx's combined format with $request_time at the end.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import tomli_w

from lhsim import InputError, parameters
from lhsim.distributions import Distribution, Quantiles
from lhsim.experiments.output import show
from lhsim.readers import access_logs, prometheus
from lhsim.readers.durations import Durations
from lhsim.readers.log_formats import PRESETS, log_format
from lhsim.readers.text import lines_of, read_lines


def from_prometheus(lines: Iterable[str], name: str) -> Quantiles:
    """Return the distribution of a histogram of durations; see `lhsim.readers.prometheus`."""
    return prometheus.read_durations(lines, name).distribution


def from_access_log(lines: Iterable[str], path: str, how: str = "nginx") -> Quantiles:
    """Return the distribution of a path's durations; see `lhsim.readers.access_logs`."""
    return access_logs.read_durations(lines, path, log_format(how)).distribution


def as_toml(distribution: Distribution, key: str) -> str:
    """Return the lines of a model file that set a parameter to a distribution."""
    part, _, name = key.partition(".")
    return tomli_w.dumps({part: {name: parameters.unstructure(distribution)}})


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the distribution, and return the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        found = _read(asked)
    except InputError as error:
        print(f"service_times: {error}", file=sys.stderr)
        return 2
    mean, p99 = found.distribution.mean, float(found.distribution.quantile(0.99))
    figures = f"{found.requests:,.10g} requests, mean {1e3 * mean:.4g} ms, p99 {1e3 * p99:.4g} ms"
    comments = "".join(f"# {comment}\n" for comment in (figures, *found.notes))
    show(comments + as_toml(found.distribution, asked.key).rstrip())
    return 0


def _read(asked: argparse.Namespace) -> Durations:
    if not all(asked.key.partition(".")):
        raise InputError(f"{asked.key!r} is no path", source="--key", allowed="such as cpu.respond")
    if asked.metrics and not asked.prometheus:
        raise InputError("is of no use here", source="--metrics", allowed="with --prometheus")
    if asked.prometheus:
        lines = read_lines(asked.metrics) if asked.metrics else _stdin()
        return prometheus.read_durations(lines, asked.prometheus, str(asked.metrics or "stdin"))
    form = log_format(asked.log_format)
    log: Path = asked.access_log
    return access_logs.read_durations(read_lines(log), asked.path, form, str(log))


def _stdin() -> Iterable[str]:
    """Return the lines of the standard input, which may be compressed as a file may."""
    if sys.stdin is None:  # closed by who started it
        raise InputError("is closed", source="stdin", allowed="the metrics, or --metrics FILE")
    raw = getattr(sys.stdin, "buffer", None)
    return lines_of(raw, "stdin") if isinstance(raw, io.BufferedReader) else sys.stdin


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--prometheus", metavar="NAME", help="of a histogram on stdin")
    source.add_argument("--access-log", type=Path, metavar="FILE")
    parser.add_argument("--metrics", type=Path, metavar="FILE", help="in place of stdin")
    parser.add_argument(
        "--log-format",
        default="nginx",
        metavar="FORMAT",
        help=f"as the server's configuration has it, or one of {', '.join(PRESETS)}  [nginx]",
    )
    parser.add_argument("--path", default="/event/wait", help="of the requests in the log")
    parser.add_argument("--key", default="cpu.parse_request", help="that is to be set")
    return parser


if __name__ == "__main__":
    sys.exit(main())
