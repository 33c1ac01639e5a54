"""What load generators print that is no request log: sums, percentiles and histograms.

No reader can make requests of them: when each one started is lost.
"""

from __future__ import annotations

from collections.abc import Callable

from lhsim.readers.formats.described import Head, NoLog

_LOCUST = {
    "locust-stats": frozenset({"Request Count", "Median Response Time", "Requests/s"}),
    "locust-history": frozenset({"Timestamp", "User Count", "Requests/s"}),
    "locust-failures": frozenset({"Method", "Error", "Occurrences"}),
    "locust-exceptions": frozenset({"Count", "Message", "Traceback"}),
}


def _holds(*words: str) -> Callable[[Head], bool]:
    def recognises(head: Head) -> bool:
        return any(all(word in line for word in words) for line in head.lines)

    return recognises


def _columns(names: frozenset[str]) -> Callable[[Head], bool]:
    return lambda head: names <= head.fields


LOCUST = tuple(
    NoLog(
        name,
        "Locust's statistics (--csv)",
        "has Locust's statistics, in which no request has a time of its own",
        "a request log that a listener of events.request writes (docs/how-to/logs.md)",
        _columns(names),
    )
    for name, names in _LOCUST.items()
)
PERCENTILES = NoLog(
    "percentiles",
    "percentiles of an HdrHistogram, such as of wrk2 --latency",
    "has the percentiles of a histogram, in which no request has a time of its own",
    "lhsim inspect, which shows them as figures",
    _holds("Value", "Percentile", "TotalCount"),
)
PROMETHEUS = NoLog(
    "prometheus",
    "metrics of Prometheus",
    "has metrics of Prometheus, in which no request has a time of its own",
    "lhsim inspect --metric NAME, which shows a histogram as figures",
    lambda head: any(line.startswith(("# TYPE ", "# HELP ")) for line in head.lines),
)
NATIVE = NoLog(
    "prometheus-native",
    "a native histogram of Prometheus, as its HTTP API answers",
    "has a histogram of Prometheus, in which no request has a time of its own",
    "lhsim inspect, which shows it as figures",
    lambda head: any('"resultType"' in line for line in head.lines),
)
NO_LOGS = (
    NATIVE,
    *LOCUST,
    PERCENTILES,
    NoLog(
        "wrk",
        "what wrk prints",
        "is what wrk prints, in which no request has a time of its own",
        "the log of a generator that writes each request",
        _holds("Running", "test @"),
    ),
    NoLog(
        "hey-summary",
        "what hey prints",
        "is the summary of hey, in which no request has a time of its own",
        "what hey -o csv prints",
        lambda head: head.first.strip() == "Summary:",
    ),
    NoLog(
        "ab",
        "what ab prints",
        "is what ab prints, in which no request has a time of its own",
        "the log of a generator that writes each request",
        _holds("This is ApacheBench"),
    ),
    NoLog(
        "k6-summary",
        "the summary of k6 (--summary-export)",
        "is the summary of k6, in which no request has a time of its own",
        "what k6 run --out csv, or json, writes",
        lambda head: head.first.strip() == "{" and any('"metrics": {' in one for one in head.lines),
    ),
    PROMETHEUS,
)
