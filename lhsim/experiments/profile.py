"""`lhsim profile`: the load of a log over time, as the traffic of a model file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen

from lhsim import parameters
from lhsim.errors import InputError
from lhsim.experiments.options import DONE
from lhsim.experiments.output import check_new, show, write_files
from lhsim.library import load_system
from lhsim.models import Piece, Piecewise, Recorded
from lhsim.models.workload import MOST_RECORDED, check_count
from lhsim.planning.samples import with_traffic
from lhsim.readers.formats.hints import AUTO, Hints
from lhsim.readers.requests import read_requests
from lhsim.units import format_duration

if TYPE_CHECKING:
    from lhsim.readers.request_log import RequestLog

DIGITS = 9  # of recorded times [s]
EVERY = 900.0  # length of a piece [s]
MOST_PIECES = 10_000


@frozen
class ProfileOptions:
    """What the user asks of a profile."""

    logs: tuple[Path, ...]  # parts of one run
    format: str
    hints: Hints
    system: str
    settings: tuple[str, ...]
    agents: int  # that send all the messages of the log
    every: float | None  # length of a piece [s]; None: `EVERY`
    replay: bool  # whether each request keeps its time
    output: Path
    output_format: str
    quiet: bool


def run_profile(asked: ProfileOptions) -> int:
    """Write a model file whose traffic is the load of logs; return the exit code."""
    check_new(asked.output, (".toml",), "--output")
    system = load_system(asked.system, asked.settings)
    check_count(system.workload, asked.agents)
    log = read_requests(asked.logs, None if asked.format == AUTO else asked.format, asked.hints)
    senders = len(system.workload.senders(asked.agents))
    if not asked.replay:  # rates are of messages, of which a broadcast is several
        senders *= system.workload.copies(asked.agents)
    traffic = _traffic(asked, log, senders)
    made = with_traffic(system, traffic)
    path = asked.output
    write_files(path.parent, {path.name: lambda to: parameters.dump(made, to)})
    facts = _facts(log, traffic, senders) | {"agents": asked.agents}
    show(json.dumps(facts, indent=2) if asked.output_format == "json" else _text(facts))
    if not asked.quiet:
        print(f"written: {path}", file=sys.stderr)
    return DONE


def _traffic(asked: ProfileOptions, log: RequestLog, senders: int) -> Piecewise | Recorded:
    if not asked.replay:
        return profile(log, asked.every or EVERY, senders)
    if asked.every is not None:
        allowed = "one of them: the time of each request, or rates"
        raise InputError("goes with no --replay", source="--every", allowed=allowed)
    return as_recorded(log, senders)


def as_recorded(log: RequestLog, senders: int) -> Recorded:
    """Return traffic in which each request of a log is a message at its time.

    Where the log names at least as many clients as there are senders, a sender has all requests of
    its clients; else the senders take the requests in turn. The record repeats after the span of
    the log, and a mean gap.

    Parameters
    ----------
    log
        n requests; what is sent is sent at the time when they were.
    senders
        Among how many agents they are shared.

    Raises
    ------
    InputError
        When the log has fewer requests than there are senders, or more than a model may have.
    """
    sent = np.round(log.start, DIGITS)  # differences of long times have none beyond
    if not senders <= len(sent) <= MOST_RECORDED or sent[-1] <= 0:
        allowed = f"a time between the first and the last, and {senders:,} to {MOST_RECORDED:,}"
        raise InputError(f"has {len(sent):,} requests", source=log.source, allowed=allowed)
    own = np.arange(len(sent))
    if log.has_clients and log.clients is not None and log.clients >= senders:
        _, own = np.unique(log.client, return_inverse=True)
    length = float(sent[-1]) * len(sent) / (len(sent) - 1)
    return Recorded(tuple(sent.tolist()), length, tuple((own % senders).tolist()))


def profile(log: RequestLog, every: float, senders: int) -> Piecewise:
    """Return traffic whose rate is that of a log, in pieces of one length.

    Parameters
    ----------
    log
        n requests; what is sent is counted when it was sent.
    every
        Length of a piece [s]. What is left at the end makes the last piece longer if it is shorter
        than half of that.
    senders
        Among how many agents the rate is shared.

    Raises
    ------
    InputError
        When the log is shorter than two pieces, or has more than `MOST_PIECES`.
    """
    span = float(log.start[-1])
    pieces = round(span / every)
    if not 2 <= pieces <= MOST_PIECES:
        long = format_duration(span)
        allowed = f"a time of which {long} has 2 to {MOST_PIECES:,}"
        raise InputError(f"{every:g} s is out of range", source="--every", allowed=allowed)
    edges = np.append(np.arange(pieces) * every, np.nextafter(span, np.inf))
    counts, _ = np.histogram(log.start, edges)
    return Piecewise(
        tuple(
            Piece(float(length), float(count / length / senders))
            for count, length in zip(counts, np.diff(edges), strict=True)
        )
    )


def _facts(log: RequestLog, traffic: Piecewise | Recorded, senders: int) -> dict[str, float]:
    if isinstance(traffic, Recorded):
        return {
            "messages": len(traffic.times),
            "span_s": traffic.length,
            "mean_per_second": traffic.rate_per_agent * senders,
        }
    rates = [piece.rate * senders for piece in traffic.pieces]
    return {
        "messages": len(log.start),
        "span_s": sum(piece.duration for piece in traffic.pieces),
        "pieces": len(rates),
        "least_per_second": min(rates),
        "mean_per_second": traffic.rate_per_agent * senders,
        "most_per_second": max(rates),
    }


def _text(facts: dict[str, float]) -> str:
    if "pieces" not in facts:
        return "\n".join(
            (
                f"{facts['messages']:,} messages in {format_duration(facts['span_s'])}, "
                f"each at its time, of {facts['agents']:,} agents",
                f"{facts['mean_per_second']:.4g}/s in the mean",
            )
        )
    return "\n".join(
        (
            f"{facts['messages']:,} messages in {format_duration(facts['span_s'])}, "
            f"as {facts['pieces']:,} rates of {facts['agents']:,} agents",
            f"from {facts['least_per_second']:.4g}/s to {facts['most_per_second']:.4g}/s, "
            f"{facts['mean_per_second']:.4g}/s in the mean",
        )
    )
