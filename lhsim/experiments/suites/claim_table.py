"""The original proposal's claims, cell by cell, and when one of them holds.

The original proposal states most of its cells as a bare number. What such a number claims depends
on what it is for:

- A latency or a throughput of *polling* is a description, and holds *about*: within a factor of 2.
- What *push* promises is a limit: a latency of at most, a throughput or a number of agents of at
  least so much.
- A *factor* is an improvement of at least so much, and the overall one lies between two.
"""

from __future__ import annotations

import math

from attrs import frozen

ABOUT = 2.0  # factor either way
SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"


@frozen
class Figure:
    """What was found for a claim, in the claim's unit."""

    value: float
    low: float
    high: float  # infinite where the value is only a lower bound
    flags: tuple[str, ...] = ()  # why it cannot be trusted: `lhsim.analysis.flags`


@frozen
class Claim:
    """A cell of the table of claims."""

    id: str
    claimed: str  # as people read it
    unit: str  # of the bounds and of the figure
    low: float = -math.inf  # least figure with which it holds
    high: float = math.inf  # greatest figure with which it holds
    number: float = math.nan  # that is claimed

    def verdict(self, figure: Figure) -> str:
        """Return what an interval says: whether it is all inside, all outside, or neither."""
        if math.isnan(figure.low) or math.isnan(figure.high):
            return UNDECIDED
        if self.low <= figure.low and figure.high <= self.high:
            return SUPPORTED
        outside = figure.high < self.low or figure.low > self.high
        return REFUTED if outside else UNDECIDED


def about(name: str, claimed: str, unit: str, number: float) -> Claim:
    """Return the claim that a figure is about a number."""
    return Claim(name, claimed, unit, number / ABOUT, number * ABOUT, number)


def at_most(name: str, claimed: str, unit: str, number: float) -> Claim:
    """Return the claim that a figure is at most a number."""
    return Claim(name, claimed, unit, high=number, number=number)


def at_least(name: str, claimed: str, unit: str, number: float) -> Claim:
    """Return the claim that a figure is at least a number."""
    return Claim(name, claimed, unit, low=number, number=number)


def _latencies() -> list[Claim]:
    cells = {
        "min": (1000, 10, 100),
        "avg": (30_000, 50, 600),
        "max": (60_000, 200, 300),
        "p99": (59_000, 150, 393),
    }
    found = []
    for name, (polling, push, factor) in cells.items():
        found += [
            about(f"latency.{name}.polling", f"{polling} ms", "ms", polling),
            at_most(f"latency.{name}.push", f"{push} ms", "ms", push),
            at_least(f"latency.{name}.factor", f"{factor}x", "x", factor),
        ]
    return found


def _levels() -> list[Claim]:
    latency, throughput = "latency_at", "throughput"
    return [
        about(f"{latency}.10.polling", "~10 s", "s", 10),
        at_most(f"{latency}.10.push", "< 100 ms", "ms", 100),
        about(f"{latency}.100.polling", "~30 s", "s", 30),
        at_most(f"{latency}.100.push", "< 200 ms", "ms", 200),
        at_least(f"{latency}.1000.polling", "> 60 s", "s", 60),
        at_most(f"{latency}.1000.push", "< 500 ms", "ms", 500),
        about(f"{throughput}.10.polling", "0.33 msg/s", "1/s", 0.33),
        at_least(f"{throughput}.10.push", "200 msg/s", "1/s", 200),
        at_least(f"{throughput}.10.factor", "606x", "x", 606),
        about(f"{throughput}.100.polling", "0.05 msg/s", "1/s", 0.05),
        at_least(f"{throughput}.100.push", "500 msg/s", "1/s", 500),
        at_least(f"{throughput}.100.factor", "10000x", "x", 10_000),
        # "N/A (timeout)": half of the messages take longer than a request waits.
        at_least(f"{throughput}.1000.polling", "none: > 60 s", "s", 60),
        at_least(f"{throughput}.1000.push", "1000 msg/s", "1/s", 1000),
        # It enables what polling does not do at all: the time that a message takes with polling.
        at_least(f"{throughput}.1000.factor", "enabling", "s", 60),
    ]


CLAIMS = (
    *_latencies(),
    *_levels(),
    about("agents.polling", "~50", "agents", 50),
    at_least("agents.push", "1000+", "agents", 1000),
    Claim("scalability.polling", "< 100", "agents", high=100, number=100),
    at_least("scalability.push", ">= 1000", "agents", 1000),
    Claim("overall.factor", "30x to 300x", "x", 30, 300, 30),
    # The growth from 100 to 1000 agents over that of a straight line, and from 10 to 1000 agents.
    Claim("memory.polling", "linear", "x", 0.9, 1.1, 1.0),
    Claim("memory.push", "constant", "x", 0.9, 1.1, 1.0),
    Claim("database.polling", "1 query/cycle", "queries", 0.99, 1.01, 1.0),
    Claim("database.push", "no queries", "queries", high=0.0, number=0.0),
    # Its part of the mean latency at 100 agents.
    Claim("validation.push", "low impact", "%", high=10.0, number=10.0),
)
BY_ID = {claim.id: claim for claim in CLAIMS}


_OF = {"polling": "with polling", "push": "with push", "factor": "with push over that with polling"}
_WAITING = "Median time of a message with polling, as 1,000 agents wait for one another"
# What the claims are about whose names end in a design.
_ABOUT = {
    "latency.min": "Shortest latency of a pair of agents",
    "latency.avg": "Mean latency of a pair of agents",
    "latency.max": "Longest latency of a pair of agents",
    "latency.p99": "99th percentile of the latency of a pair of agents",
    "latency_at.10": "Mean latency of 10 agents",
    "latency_at.100": "Mean latency of 100 agents",
    "latency_at.1000": "Mean latency of 1,000 agents",
    "throughput.10": "Messages per second of 10 agents",
    "throughput.100": "Messages per second of 100 agents",
    "throughput.1000": "Messages per second of 1,000 agents",
    "agents": "Agents that one server holds",
    "scalability": "Agents to which one server scales",
}
_ALONE = {
    "throughput.1000.polling": _WAITING,
    "throughput.1000.factor": _WAITING,
    "overall.factor": "Mean latency with polling, as a multiple of that with push",
    "memory.polling": "Memory of each of 1,000 agents over that of each of 100, with polling",
    "memory.push": "Memory with 1,000 agents over that with 10, with push",
    "database.polling": "Database queries of a cycle, with polling",
    "database.push": "Database queries of a run, with push",
    "validation.push": "Part of the latency that validating a message takes, with push",
}


def meaning(name: str) -> str:
    """Return what a claim is about, for a reader who never saw the original proposal.

    >>> meaning("latency.avg.push"), meaning("throughput.10.factor")
    ('Mean latency of a pair of agents with push',
     'Messages per second of 10 agents with push over that with polling')
    """
    topic, _, of = name.rpartition(".")
    return _ALONE.get(name) or f"{_ABOUT[topic]} {_OF[of]}"


def seed_keys(figures: dict[str, Figure]) -> dict[str, bool]:
    """Return what the original proposal's ``validate_performance_claims`` says of the figures."""
    factor = figures["latency.avg.factor"].value
    most = {name: figures[f"agents.{name}"].value for name in ("polling", "push")}
    return {
        "30x_improvement_minimum": factor >= 30,
        "300x_improvement_maximum": factor <= 300,
        "avg_improvement_within_range": 30 <= factor <= 300,
        "scalability_improvement": most["polling"] < 100 and most["push"] >= 1000,
    }
