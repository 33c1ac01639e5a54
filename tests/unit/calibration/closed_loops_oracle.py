"""A closed loop of clients before a shared processor, written anew and slowly, as an oracle."""

from __future__ import annotations

import math
import random
from collections import deque

import numpy as np

from lhsim.readers.request_log import Labels, request_log

TINY = 1e-12


def run_of(clients, *, demand, think, cores=1, quantum=math.inf, delay=0.0, seconds=20.0, seed=1):
    """Return (client, start, end) of each request; `demand` and `think` are called with a Random.

    Time goes from one moment at which anything happens to the next: a request arrives, a slice or
    a request ends. `quantum` 0 shares the processors equally, infinite serves in order.
    """
    draw = random.Random(seed)
    coming = sorted((draw.random() + think(draw) + delay / 2, one) for one in range(clients))
    line, running, rows, now = deque(), [], [], 0.0  # jobs are [left, slice left, client, start]
    while coming or line or running:
        pace = min(1.0, cores / len(running)) if quantum == 0 and running else 1.0
        first_end = min((min(job[0], job[1]) / pace for job in running), default=math.inf)
        step = min(first_end, (coming[0][0] if coming else math.inf) - now)
        now += step
        for job in running:
            job[0], job[1] = job[0] - step * pace, job[1] - step * pace
        while coming and coming[0][0] <= now + TINY:
            at, client = coming.pop(0)
            line.append([demand(draw), 0.0, client, at - delay / 2])
        for job in [one for one in running if one[0] <= TINY]:
            running.remove(job)
            end = now + delay / 2
            rows.append((job[2], job[3], end))
            again = end + think(draw)
            if again < seconds:
                coming.append((again + delay / 2, job[2]))
                coming.sort()
        for job in [one for one in running if one[1] <= TINY]:
            if line:
                running.remove(job)
                line.append(job)
            else:
                job[1] = quantum
        while line and (quantum == 0 or len(running) < cores):
            job = line.popleft()
            job[1] = math.inf if quantum == 0 else quantum
            running.append(job)
    return sorted(rows, key=lambda row: row[1])


def turns_of(clients, *, demand, think, seconds=20.0, seed=1):
    """Return the requests of clients of a loop that answers all of a turn as it ends."""
    draw = random.Random(seed)
    coming = sorted((draw.random() + think(draw), one) for one in range(clients))
    rows, now = [], 0.0
    while coming:
        now = max(now, coming[0][0])
        turn = [one for one in coming if one[0] <= now]
        coming = coming[len(turn) :]
        now += sum(demand(draw) for _ in turn)
        for start, client in turn:
            rows.append((client, start, now))
            if (again := now + think(draw)) < seconds:
                coming.append((again, client))
        coming.sort()
    return sorted(rows, key=lambda row: row[1])


def log_of(rows, source="run.csv", clock=0.0):
    """Return rows as a request log, by a clock of that resolution [s]."""
    names, starts, ends = zip(*rows, strict=True)
    if clock:
        starts, ends = ([math.floor(time / clock) * clock for time in times]
                        for times in (starts, ends))  # fmt: skip
    return request_log(
        client=Labels.of([f"c{name}" for name in names]),
        start=np.array(starts),
        end=np.array(ends),
        source=source,
        format="requests",
        resolution=clock or 1e-9,
    )


def busy(rows, demand):
    """Return the processor seconds of a run whose requests all cost `demand` [s]."""
    return len(rows) * demand
