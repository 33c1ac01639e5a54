"""A station fed with the arrivals of a log, and when it would have done each request.

A closed loop couples what arrives to what was served, so that a model which is only slightly wrong
soon meets other queues than the server did. Fed with the arrivals as they were, a model answers for
the service alone: each request is one forecast. The disciplines are those of `lhsim.models`: first
come, first served; round robin with a quantum; processor sharing, its limit of quantum 0; a loop
whose answers wait for the end of its turn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lhsim._jit import jit

Floats = NDArray[np.float64]


def departures(
    arrivals: Floats, demands: Floats, cores: int, quantum: float, *, by_turn: bool = False
) -> Floats:
    """Return when each request is done.

    Parameters
    ----------
    arrivals
        Of the requests at the station, ascending, shape n [s].
    demands
        Of each on a processor, shape n, > 0 [s].
    cores
        Processors that share one waiting line.
    quantum
        For which a request keeps its processor while others wait [s]; infinite: first come, first
        served; 0: processor sharing.
    by_turn
        Whether one loop answers all requests of a turn as it ends; `cores` and `quantum` are not
        asked then.
    """
    if by_turn:
        return _by_turn(arrivals, demands)
    if quantum == 0:
        return _shared(arrivals, demands, cores)
    if quantum >= demands.max():
        return _in_turn(arrivals, demands, cores)
    return np.asarray(passages(arrivals, demands[None, :], 0, cores, quantum))


@jit
def _in_turn(arrivals: Floats, demands: Floats, cores: int) -> Floats:
    free = np.zeros(cores)
    done = np.empty(len(arrivals))
    for i in range(len(arrivals)):
        first = np.argmin(free)
        done[i] = max(arrivals[i], free[first]) + demands[i]
        free[first] = done[i]
    return done


@jit
def _by_turn(arrivals: Floats, demands: Floats) -> Floats:
    n = len(arrivals)
    done = np.empty(n)
    first, now = 0, 0.0
    while first < n:
        now = max(now, arrivals[first])
        last, end = first, now
        while last < n and arrivals[last] <= now:
            end += demands[last]
            last += 1
        done[first:last] = end
        first, now = last, end
    return done


@jit
def _shared(arrivals: Floats, demands: Floats, cores: int) -> Floats:
    """Keep the work that each request present from the start would have got (`lhsim.rules`)."""
    n = len(arrivals)
    done = np.empty(n)
    present = np.empty(n, np.int64)
    ends = np.empty(n)  # of the requests present, in work
    count, work, now, i = 0, 0.0, 0.0, 0
    while i < n or count > 0:
        next_end = np.inf
        last = 0
        for k in range(count):
            if ends[k] < next_end:
                next_end, last = ends[k], k
        pace = min(1.0, cores / count) if count > 0 else 1.0
        at = now + (next_end - work) / pace if count > 0 else np.inf
        if i < n and arrivals[i] <= at:
            work += max(0.0, arrivals[i] - now) * pace
            now = max(now, arrivals[i])
            present[count], ends[count] = i, work + demands[i]
            count, i = count + 1, i + 1
        else:
            now, work = at, next_end
            done[present[last]] = now
            count -= 1
            present[last], ends[last] = present[count], ends[count]
    return done


@jit
def passages(
    arrivals: Floats, costs: Floats, delivering: int, cores: int, quantum: float
) -> Floats:
    """Return when each request leaves the service that delivers it [s].

    Round robin: a request whose slice ends while others wait goes to the end of the line, and so
    does one that goes on to its next service.

    Parameters
    ----------
    arrivals
        As of `departures`.
    costs
        Of each request's services, in their order, > 0 [s]; shape (services, n).
    delivering
        Which service that is, from 0 on.
    cores, quantum
        As of `departures`; the quantum > 0.
    """
    n = costs.shape[1]
    done, left = np.empty(n), costs[0].copy()
    passed = np.zeros(n, np.int64)
    line = np.empty(n + 1, np.int64)  # a ring
    head, waiting = 0, 0
    running = np.full(cores, -1)
    ends = np.full(cores, np.inf)  # of the slices
    i = 0
    while True:
        first = np.argmin(ends)
        if i < n and arrivals[i] <= ends[first]:
            line[(head + waiting) % (n + 1)] = i
            waiting, now, i = waiting + 1, arrivals[i], i + 1
        elif running[first] >= 0:
            now, job = ends[first], running[first]
            if left[job] > 0.0 and waiting == 0:  # it goes on
                part = min(left[job], quantum)
                left[job] -= part
                ends[first] = now + part
                continue
            if left[job] <= 0.0:
                if passed[job] == delivering:
                    done[job] = now
                left[job] = _next_service(costs, passed, job)
            if left[job] > 0.0:
                line[(head + waiting) % (n + 1)] = job
                waiting += 1
            running[first], ends[first] = -1, np.inf
        else:
            break
        for k in range(cores):
            if running[k] < 0 and waiting > 0:
                job = line[head]
                head, waiting = (head + 1) % (n + 1), waiting - 1
                part = min(left[job], quantum)
                left[job] -= part
                running[k], ends[k] = job, now + part
    return done


@jit
def _next_service(costs: Floats, passed: NDArray[np.int64], job: int) -> float:
    """Return what the service costs to which a request goes on [s]; 0 after the last one."""
    passed[job] += 1
    return costs[passed[job], job] if passed[job] < len(costs) else 0.0
