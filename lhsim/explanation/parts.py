"""Where the latency of each message went: its time split into the parts of its way.

A message's way is a chain of steps, from its creation to its delivery: those of its sender to the
store, then those that bring it to its target. With push these are its own; with polling they are
its target's requests, in whose sleeps, queries and answers it waits. What lies between two steps is
waiting for what comes next, and is called by that.

A step at a station is waiting for it, then work. The work of a loop is what it costs by its
distribution; what a cold loop, a collection or a turn adds is overhead; what is longer in a slow
spell of the host, and the pauses in it, are parts of their own. Where cores are shared, the slices
of others count as waiting. What others were slowed or paused by is waiting, too.

Stretches of a way touch, so that parts add up to the latency; the rounding of their sum is added to
one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import fsum
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from attrs import frozen
from numpy.typing import NDArray

from lhsim.models import stalls
from lhsim.models.trace import Passed
from lhsim.rules import attempt_index
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from lhsim.models import System
    from lhsim.models.faults import Component

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TO_STORE = (Purpose.MESSAGE_UP, Purpose.PARSE_MESSAGE, Purpose.VALIDATE, Purpose.WRITE_CPU,
            Purpose.WRITE)  # fmt: skip
FROM_STORE = (Purpose.LINK, Purpose.RELAY, Purpose.SEND, Purpose.PUSH_DOWN)
OF_REQUEST = (Purpose.REQUEST_UP, Purpose.PARSE_REQUEST, Purpose.QUERY_CPU, Purpose.QUERY,
              Purpose.LOOK_UP, Purpose.RESPOND, Purpose.ANSWER_DOWN)  # fmt: skip
OF_RECEIVER = (*OF_REQUEST, Purpose.THINK, Purpose.CONNECT, Purpose.DELETE_CPU, Purpose.DELETE)
OFF_THE_WAY = (Purpose.ACKNOWLEDGE, Purpose.REPLY_DOWN)  # of a message that goes on meanwhile
ATTEMPT = attempt_index(1, 0)  # by which the numbers of two attempts at a message differ

# What a message waits for between two steps, by the server: before it is stored, and after.
GAPS = {
    "polling": ("commit", "sleep"),
    "push": ("commit", "connection"),
    "webhook": ("commit", "slot or further post"),
    "requests": ("worker or turn", "worker or turn"),
    "own": ("elsewhere", "elsewhere"),
}
PAUSES, SLOW, OVERHEAD = "pauses", "slow spells", "overhead"
AT_A_TIME = 200  # messages, so that memory does not grow with what they wait for
LED = 1000  # messages that have a timeline
MOST_STRETCHES = 1_000_000  # of timelines
ROUNDING = 1e-9  # [s]; what is shorter is the rounding of times
QUIET = ("network", "link", "agent", "delay")  # places for which nothing queues


@frozen(eq=False)
class Split:
    """Where the time of messages went."""

    # A row for each message, a column for each part that one has [s]; rows add up to the latency.
    parts: pd.DataFrame
    # The stretches of the first messages' ways, at most `LED`, in their order: the position of the
    # `message` in its table, what it is by `name`, and its `start` and `end` [s].
    timeline: pd.DataFrame


@frozen(eq=False)
class Segments:
    """Intervals of messages' ways, in their order: of message i, from `start` to `end`."""

    message: Ints
    step: Ints  # row of the trace; -1: between two steps
    start: Floats  # [s]
    end: Floats  # [s]


def split(
    system: System,
    seed: int,
    agents: int,
    horizon: float,
    steps: Sequence[Passed],
    records: pd.DataFrame,
) -> Split:
    """Return where the latency of each message went.

    Parameters
    ----------
    system, seed, agents
        What ran.
    horizon
        Until when [s].
    steps
        All that was traced.
    records
        The messages, all of them delivered, as of `lhsim.Result.messages`, n rows.
    """
    run, parts, timelines = _steps_of(system, seed, agents, horizon, steps), [], []
    # A server of your own may store nothing.
    records = records.assign(stored=records["stored"].fillna(records["delivered"]))
    shown = 0
    for first in range(0, len(records), AT_A_TIME):
        some = records.iloc[first : first + AT_A_TIME]
        one = _split(run, some.reset_index(drop=True))
        parts.append(one.parts.set_index(some.index))
        if first < LED and shown < MOST_STRETCHES:
            timelines.append(one.timeline.assign(message=one.timeline["message"] + first))
            shown += len(one.timeline)
    timeline = pd.concat(timelines, ignore_index=True)
    return Split(pd.concat(parts).fillna(0.0), timeline[timeline["message"] < LED])


@frozen(eq=False)
class _Steps:
    """The steps of a run, and what all of its messages are split by."""

    trace: pd.DataFrame
    own: tuple[tuple[pd.DataFrame, str, str], ...]  # of messages; since and until when
    receivers: pd.DataFrame | None  # of those who receive, by them and their ends
    copies: int  # of a message
    shared: int  # agents on a connection
    gaps: tuple[str, str]
    # By station: how long it pauses between two times, and how many times as long it takes.
    paused: Mapping[str, Callable[[Floats, Floats], Floats]]
    slowness: Mapping[str, Callable[[Floats], Floats]]


def _steps_of(
    system: System, seed: int, agents: int, horizon: float, steps: Sequence[Passed]
) -> _Steps:
    trace = _frame(steps)
    kind = "requests" if system.requests is not None else system.architecture
    own: list[tuple[tuple[Purpose, ...], str, str]]
    if kind == "requests":
        own = [(OF_REQUEST, "created", "delivered")]
    elif kind == "own":
        own = [(tuple({*Purpose} - {*OFF_THE_WAY}), "created", "delivered")]
    else:
        own = [(TO_STORE, "created", "stored"), (FROM_STORE, "stored", "delivered")]
    receivers = None
    if kind in {"polling", "push"}:
        receivers = trace[trace["purpose"].isin(OF_RECEIVER)]
        receivers = receivers.sort_values(["entity", "ended"], kind="stable")
    stations = [place for place in trace["place"].unique() if place not in QUIET]
    return _Steps(
        trace=trace,
        own=tuple((_addressed(trace, purposes), since, until) for purposes, since, until in own),
        receivers=receivers,
        copies=system.workload.copies(agents) if receivers is not None else 1,
        shared=system.push.agents_per_connection if system.push is not None else 1,
        gaps=GAPS["webhook" if system.push is not None and system.push.webhook else kind],
        paused={one: _pauses(system, seed, horizon, one) for one in stations},
        slowness={one: _slowness(system, seed, horizon, one) for one in stations},
    )


def _addressed(trace: pd.DataFrame, purposes: Sequence[int]) -> pd.DataFrame:
    """Return the steps of some purposes by the numbers of messages and of attempts at them."""
    rows = trace[trace["purpose"].isin(purposes)]
    draws = rows["draw"]
    return rows.assign(row=rows.index, number=draws % ATTEMPT, attempt=draws // ATTEMPT)


def _split(run: _Steps, records: pd.DataFrame) -> Split:
    """Return it for some of the messages: what they wait for may be many steps of others."""
    way = _ways(run, records)
    gaps = _between(way, records)
    before, after = run.gaps
    stored = records["stored"].to_numpy()[gaps.message]
    names = np.where(gaps.end <= stored, before, after)
    amounts = _amounts(run, way)
    amounts.append((gaps.message, names, gaps.end - gaps.start))
    return Split(_table(amounts, records), _timeline(run.trace, way, gaps, names))


def _frame(steps: Sequence[Passed]) -> pd.DataFrame:
    kinds = {"place": str, **dict.fromkeys(("purpose", "entity", "draw", "agent"), np.int64)}
    columns = {name: kinds.get(name, float) for name in Passed._fields}
    return pd.DataFrame(steps, columns=list(columns)).astype(columns)


def _ways(run: _Steps, records: pd.DataFrame) -> Segments:
    """Return the steps of each message's way, cut to when it was under way there."""
    number = records["number"]
    first = number - number % run.copies  # which brings all of them to the store
    found = [
        _own(rows, records, first if until == "stored" else number, since, until)
        for rows, since, until in run.own
    ]
    if run.receivers is not None:
        found.append(_of_receivers(run.receivers, records, run.shared))
    return _in_order(found)


def _own(
    rows: pd.DataFrame, records: pd.DataFrame, number: pd.Series, since: str, until: str
) -> Segments:
    """Return the steps that a message's own address has; of several attempts, of the one that came.

    That is the last which had a step at its end by `until`.
    """
    wanted = pd.DataFrame({
        "message": np.arange(len(records)), "entity": records["sender"], "number": number,
        "since": records[since], "until": records[until],
    })  # fmt: skip
    both = wanted.merge(rows, on=["entity", "number"])
    both = both[(both["arrived"] < both["until"]) & (both["ended"] > both["since"])]
    if (both["attempt"] > 0).any():
        done = both["attempt"].where(both["ended"] <= both["until"], -1)
        both = both[both["attempt"] == done.groupby(both["message"]).transform("max")]
    return _cut(both)


def _of_receivers(rows: pd.DataFrame, records: pd.DataFrame, shared: int) -> Segments:
    """Return the steps of each message's target between its storage and its delivery."""
    clients = (records["target"] - records["target"] % shared).to_numpy()
    first = np.searchsorted(rows["entity"], clients, side="left")
    last = np.searchsorted(rows["entity"], clients, side="right")
    ended, since = rows["ended"].to_numpy(), records["stored"].to_numpy()
    until = records["delivered"].to_numpy()
    begins = [low + np.searchsorted(ended[low:high], at, side="right")
              for low, high, at in zip(first, last, since, strict=True)]  # fmt: skip
    # One step that has not ended by `until` may be under way: the next in order.
    ends = [min(high, low + 1 + np.searchsorted(ended[low:high], at, side="right"))
            for low, high, at in zip(first, last, until, strict=True)]  # fmt: skip
    counts = np.maximum(np.array(ends, int) - np.array(begins, int), 0)
    message = np.repeat(np.arange(len(records)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = rows.iloc[np.repeat(np.array(begins, int), counts) + place]
    return _cut(pd.DataFrame({
        "message": message, "row": chosen.index, "since": since[message],
        "until": until[message], "arrived": chosen["arrived"].to_numpy(),
        "ended": chosen["ended"].to_numpy(),
    }))  # fmt: skip


def _cut(rows: pd.DataFrame) -> Segments:
    start = np.maximum(rows["arrived"].to_numpy(), rows["since"].to_numpy())
    end = np.minimum(rows["ended"].to_numpy(), rows["until"].to_numpy())
    some = end > start
    return Segments(rows["message"].to_numpy()[some], rows["row"].to_numpy()[some],
                    start[some], end[some])  # fmt: skip


def _in_order(found: Sequence[Segments]) -> Segments:
    """Return all segments in the order of their messages' ways; of two at a time the first."""
    message = np.concatenate([one.message for one in found])
    step = np.concatenate([one.step for one in found])
    start = np.concatenate([one.start for one in found])
    end = np.concatenate([one.end for one in found])
    order = np.lexsort((end, start, message))
    message, step, start, end = message[order], step[order], start[order], end[order]
    latest = pd.Series(end).groupby(message).cummax().groupby(message).shift()
    start = np.maximum(start, latest.fillna(-np.inf).to_numpy())
    some = end > start
    return Segments(message[some], step[some], start[some], end[some])


def _between(way: Segments, records: pd.DataFrame) -> Segments:
    """Return what lies between the steps of each message, before the first and after the last."""
    every = np.arange(len(records))
    created, stored = (records[name].to_numpy() for name in ("created", "stored"))
    delivered = records["delivered"].to_numpy()
    # Gaps before and after a message is stored have different names: they end there.
    edges = np.clip(stored, created, delivered)
    message = np.concatenate([way.message, every, every, every])
    start = np.concatenate([way.start, created, edges, delivered])
    end = np.concatenate([way.end, created, edges, delivered])
    order = np.lexsort((end, start, message))
    message, start, end = message[order], start[order], end[order]
    same = message[1:] == message[:-1]
    latest = pd.Series(end).groupby(message).cummax().to_numpy()
    some = same & (start[1:] > latest[:-1])
    return Segments(message[1:][some], np.full(some.sum(), -1), latest[:-1][some], start[1:][some])


Amounts = list[tuple[Ints, NDArray[np.str_], Floats]]


def _amounts(run: _Steps, way: Segments) -> Amounts:
    """Return of which part each segment is, as far as it is: messages, names, times [s]."""
    rows = run.trace.iloc[way.step].reset_index(drop=True)
    place = rows["place"].to_numpy(str)
    total = way.end - way.start
    quiet = np.isin(place, QUIET)
    names = np.where(place == "agent", "agents think", place)
    found: Amounts = [(way.message[quiet], names[quiet], total[quiet])]
    for component in np.unique(place[~quiet]):
        of = place == component
        works = _of_station(run, str(component), rows[of], way.start[of], way.end[of])
        for name, times in works.items():
            found.append((way.message[of], np.full(of.sum(), name), times))
    return found


def _of_station(
    run: _Steps, place: str, rows: pd.DataFrame, start: Floats, end: Floats
) -> Mapping[str, Floats]:
    """Return the parts of steps at one station that lie between `start` and `end`, by name [s]."""
    began, ended, drawn, cost = (rows[name].to_numpy() for name in ("began", "ended", "drawn",
                                                                   "cost"))  # fmt: skip
    paused = run.paused[place]
    all_work = np.maximum(ended - began - paused(began, ended), 0.0)
    cost = np.where(np.isnan(cost), all_work, np.minimum(cost, all_work))
    drawn = np.where(np.isnan(drawn) | (place != "cpu"), np.inf, drawn)
    usual = cost / run.slowness[place](began)
    service = np.minimum(drawn, usual)
    inside = np.maximum(end - np.maximum(start, began), 0.0)  # of what is here, since it began
    pauses = np.minimum(paused(np.maximum(start, began), np.maximum(end, began)), inside)
    share = np.divide(inside - pauses, all_work, out=np.zeros_like(inside), where=all_work > 0)
    work = share * cost
    return {
        f"{place} service": share * service,
        f"{place} {OVERHEAD}": share * (usual - service),
        SLOW: share * (cost - usual),
        PAUSES: pauses,
        f"{place} waiting": np.maximum(end - start - pauses - work, 0.0),
    }


def _pauses(
    system: System, seed: int, horizon: float, place: str
) -> Callable[[Floats, Floats], Floats]:
    """Return how long a component pauses between two times, as a function of these."""
    host = system.cpu.stalls if place == "cpu" else None
    component: Component = "cpu" if place == "cpu" else "store"
    found = stalls.of_component(component, host, system.faults, seed, horizon)
    if found is None:
        return lambda start, _end: np.zeros_like(start)
    lengths = found.ends - found.starts
    times = np.column_stack([found.starts, found.ends]).ravel()
    so_far = np.column_stack([np.cumsum(lengths) - lengths, np.cumsum(lengths)]).ravel()
    return lambda start, end: np.interp(end, times, so_far) - np.interp(start, times, so_far)


def _slowness(system: System, seed: int, horizon: float, place: str) -> Callable[[Floats], Floats]:
    """Return how many times as long a component takes for what begins at a time."""
    found = None
    if place == "cpu":
        found = stalls.slow_spells(system.cpu.slowdowns, system.faults, seed, horizon)
    if found is None:
        return np.ones_like
    return found.factors


def _table(amounts: Amounts, records: pd.DataFrame) -> pd.DataFrame:
    """Return the sums of each message's parts, which add up to its latency."""
    long = pd.DataFrame({
        "message": np.concatenate([one[0] for one in amounts]),
        "part": np.concatenate([one[1] for one in amounts]),
        "time": np.concatenate([one[2] for one in amounts]),
    })  # fmt: skip
    wide = long.pivot_table(index="message", columns="part", values="time", aggfunc="sum",
                            fill_value=0.0)  # fmt: skip
    wide = wide.reindex(np.arange(len(records)), fill_value=0.0)
    wide = wide.where(wide > ROUNDING, 0.0)
    latency = (records["delivered"] - records["created"]).to_numpy()
    values = _exact(wide.to_numpy(float, copy=True), latency)
    found = pd.DataFrame(values, index=records.index, columns=list(wide.columns))
    return found.loc[:, (found != 0).any()]


def _exact(parts: Floats, total: Floats) -> Floats:
    """Return parts of shape (n, k) whose exact sums round to `total`.

    What is missing goes to the smallest part that is larger: there it is rounded least.
    """
    for row, wanted in zip(parts, total, strict=True):
        missing = fsum([wanted, *-row])
        able = np.flatnonzero(row > abs(missing))
        if missing and able.size:
            row[able[row[able].argmin()]] += missing
    return parts


def _timeline(
    trace: pd.DataFrame, way: Segments, gaps: Segments, names: NDArray[np.str_]
) -> pd.DataFrame:
    """Return all stretches by name: waiting for a station, its work, and what is between steps."""
    rows = trace.iloc[way.step]
    began = np.clip(rows["began"].to_numpy(), way.start, way.end)
    works = [Purpose(one).name.lower().replace("_", " ") for one in rows["purpose"]]
    waits = [f"{place} waiting" for place in rows["place"]]
    every = pd.DataFrame({
        "message": np.concatenate([way.message, way.message, gaps.message]),
        "name": [*waits, *works, *names],
        "start": np.concatenate([way.start, began, gaps.start]),
        "end": np.concatenate([began, way.end, gaps.end]),
    })  # fmt: skip
    some = every[every["end"] > every["start"]]
    return some.sort_values(["message", "start"], kind="stable", ignore_index=True)
