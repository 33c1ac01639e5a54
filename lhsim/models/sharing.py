"""The time-shared station: processors that an operating system divides among all that is to run.

With a quantum q > 0, round robin: a job keeps its processor for at most q; then, if another waits,
it goes to the end of the line and the head of that takes its place. Where none waits it goes on,
and the next possible end of its slice is q later. So a job alone is one event, its completion; one
that comes when all processors are busy, and is the first to wait, brings the ends of the running
slices forward to the next multiple of q since each began. An event that is moved takes its place in
the order when it is moved. With a quantum that no job exceeds it is the FIFO station, to the bit.

With q = 0, processor sharing: each of n jobs runs at the pace min(1, c / n) (Kleinrock, Queueing
Systems II, 1976, 4.4). It is kept as the work that each job present from the start would have got:
a job is done when that has grown by its demand.

Stalls and slow spells hold for jobs as for the services of a FIFO station. What a job costs is
known when it first runs. On a completion, in this order: its effect, the next slice, its owner.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import numpy as np
from simpy.events import NORMAL, Event

from lhsim.models.station import Demand, Service, StallTimes, Station
from lhsim.rules import is_done, pace, part_inside, slices_end, stretched, worked

if TYPE_CHECKING:
    from simpy import Environment

NO_STALLS = StallTimes(np.zeros((2, 0)))


class Job(Service):
    """A service in slices of time."""

    def __init__(
        self,
        station: Station,
        demand: Demand,
        begin: Callable[[], Any] | None,
        effect: Callable[[], None] | None,
    ) -> None:
        super().__init__(station, demand, begin, effect)
        self.callbacks = []  # those of its owner; the station calls them
        self.cost = math.nan  # known once it has begun [s]
        self.left = math.nan  # of its cost and of switches to it [s]

    def start(self, cost: float) -> None:
        """Begin: what it costs is known now [s]."""
        self.cost = self.left = cost
        self._ok = True
        self._value = self.begin() if self.begin is not None else None

    def finish(self) -> None:
        """Let its owner go on, before any other event."""
        callbacks, self.callbacks = self.callbacks, None  # type: ignore[assignment] # it is over
        for callback in callbacks:
            callback(self)


class Slice:
    """What a processor is doing."""

    __slots__ = ("began", "event", "first_stall", "job", "switch", "until", "work")

    def __init__(self, job: Job, switch: float, began: float, first_stall: int) -> None:
        self.job = job
        self.switch = switch  # that it begins with [s]
        self.began = began  # [s]
        self.first_stall = first_stall  # that had not ended then
        self.work = 0.0  # from then to its event [s]
        self.until = 0.0  # when that is [s]
        self.event: Event | None = None  # another one of this slice, if it comes, is out of date


class TimeShared(Station):
    """c processors that jobs share in slices of time.

    Parameters
    ----------
    env, servers, measured, stalls
        As for a `Station`.
    quantum
        The longest slice of a job while another waits [s].
    switch
        What it costs a processor to take up a job again that it has put off [s].
    """

    def __init__(
        self,
        env: Environment,
        servers: int,
        measured: tuple[float, float],
        stalls: StallTimes | None = None,
        *,
        quantum: float,
        switch: float = 0.0,
    ) -> None:
        super().__init__(env, servers, measured, stalls or NO_STALLS)
        self._quantum = quantum
        self._switch = switch
        self._slices: list[Slice | None] = [None] * servers

    def serve(
        self,
        demand: Demand,
        begin: Callable[[], Any] | None = None,
        effect: Callable[[], None] | None = None,
    ) -> Job:
        """Return the event of the completion of a job of `demand` [s] that comes now.

        `begin` is called when it first runs, `effect` when it is done.
        """
        job = Job(self, demand, begin, effect)
        if self.busy < self.servers:
            self._begin(job)
        else:
            self.waiting.append(job)
            if len(self.waiting) == 1:
                self._end_slices_early()
        return job

    def cost(self, demand: float) -> float:
        """Return what a job of `demand` costs that first runs now, stalls left out [s]."""
        return demand

    def freed(self) -> None:
        """Note that a processor may be idle from now on."""

    def _begin(self, job: Job) -> None:
        demand = job.demand
        job.start(self.cost(demand() if callable(demand) else demand))
        self._run(job)

    def _run(self, job: Job, switch: float = 0.0) -> None:
        """Let a job have the first processor that is free, after the switch to it [s]."""
        self.busy += 1
        assert self._stalls is not None
        now = self.env.now
        number = self._slices.index(None)
        one = self._slices[number] = Slice(job, switch, now, self._stalls.from_now(now))
        job.left += switch
        work = min(job.left, switch + self._quantum) if self.waiting else job.left
        self._end_after(number, one, work)

    def _end_after(self, number: int, one: Slice, work: float) -> None:
        """Let a slice end, or its job, once it has worked for so long [s]."""
        stalls, now = self._stalls, self.env.now
        assert stalls is not None
        length = stretched(one.began, work, stalls.starts, stalls.ends, one.first_stall)
        delay = length if one.began == now else max(0.0, one.began + length - now)
        one.work, one.until = work, now + delay
        self._occupy(now, delay)
        one.event = _event(self.env, delay, partial(self._end, number, one))

    def _end_slices_early(self) -> None:
        """Let the running jobs make way for the first that waits, each when its slice is over."""
        stalls, now = self._stalls, self.env.now
        assert stalls is not None
        for number, one in enumerate(self._slices):
            assert one is not None
            done = worked(one.began, now, stalls.starts, stalls.ends, one.first_stall)
            work = one.switch + slices_end(max(0.0, done - one.switch), self._quantum)
            if work < one.work:
                low, high = self._measured_from, self._measured_to
                self.busy_time -= part_inside(now, one.until, low, high)
                self._end_after(number, one, work)

    def _end(self, number: int, one: Slice, event: Event) -> None:
        """End a slice, or the job that has it."""
        if one.event is not event:
            return
        self._slices[number] = None
        self.busy -= 1
        self.freed()
        job = one.job
        if is_done(job.left, one.work, self._quantum):
            self._complete(job)
            return
        job.left -= one.work
        if self.waiting:
            self.waiting.append(job)
            self._next()
        else:
            self._run(job)

    def _complete(self, job: Job) -> None:
        if job.effect is not None:
            job.effect()
        if self.waiting:
            self._next()
        job.finish()

    def _next(self) -> None:
        """Let the head of the line have a processor."""
        job: Any = self.waiting.popleft()
        if math.isnan(job.left):
            self._begin(job)
        else:
            self._run(job, self._switch)


class ProcessorSharing(TimeShared):
    """c processors that all jobs share equally."""

    def __init__(
        self,
        env: Environment,
        servers: int,
        measured: tuple[float, float],
        stalls: StallTimes | None = None,
    ) -> None:
        super().__init__(env, servers, measured, stalls, quantum=0.0)
        self._jobs: list[tuple[float, int, Job]] = []  # by the share at which each is done
        self._count = 0
        self._share = 0.0  # the work that a job present from the start has got [s]
        self._since = 0.0  # when that was [s]
        self._first_stall = 0  # that had not ended then
        self._until = 0.0  # when the next job is done [s]
        self._next_done: Event | None = None

    def serve(
        self,
        demand: Demand,
        begin: Callable[[], Any] | None = None,
        effect: Callable[[], None] | None = None,
    ) -> Job:
        """Return the event of the completion of a job of `demand` [s] that begins now."""
        job = Job(self, demand, begin, effect)
        self._update()
        job.start(self.cost(demand() if callable(demand) else demand))
        heappush(self._jobs, (self._share + job.left, self._count, job))
        self._count += 1
        self._reckon()
        return job

    @property
    def queued(self) -> int:
        """How many jobs there are beyond the processors."""
        return len(self._jobs) - self.busy

    def _update(self) -> None:
        """Bring the share up to now."""
        stalls, now, jobs = self._stalls, self.env.now, len(self._jobs)
        assert stalls is not None
        if jobs:
            time = worked(self._since, now, stalls.starts, stalls.ends, self._first_stall)
            self._share += time * pace(jobs, self.servers)
            low, high = self._measured_from, self._measured_to
            self.busy_time -= self.busy * part_inside(now, self._until, low, high)
            self.freed()
        else:
            self._share = 0.0

    def _reckon(self) -> None:
        """Reckon anew when the next job is done."""
        stalls, now, jobs = self._stalls, self.env.now, len(self._jobs)
        assert stalls is not None
        self.busy = min(jobs, self.servers)
        self._since, self._first_stall = now, stalls.from_now(now)
        self._next_done = None
        if not jobs:
            return
        work = max(0.0, self._jobs[0][0] - self._share) / pace(jobs, self.servers)
        delay = stretched(now, work, stalls.starts, stalls.ends, self._first_stall)
        self._until = now + delay
        low, high = self._measured_from, self._measured_to
        self.busy_time += self.busy * part_inside(now, self._until, low, high)
        self._next_done = _event(self.env, delay, self._done)

    def _done(self, event: Event) -> None:
        if self._next_done is not event:
            return
        share, _, job = heappop(self._jobs)
        self._share = share
        self.freed()
        if job.effect is not None:
            job.effect()
        self._reckon()
        job.finish()


def _event(env: Environment, delay: float, callback: Callable[[Event], None]) -> Event:
    event = Event(env)
    event._ok, event._value = True, None
    assert event.callbacks is not None
    event.callbacks.append(callback)
    env.schedule(event, NORMAL, delay)
    return event


def station_of(
    env: Environment,
    servers: int,
    measured: tuple[float, float],
    stalls: StallTimes | None,
    quantum: float | None,
) -> Station:
    """Return a station that serves first come, first served, or shares itself in slices."""
    if quantum is None:
        return Station(env, servers, measured, stalls)
    if quantum == 0:
        return ProcessorSharing(env, servers, measured, stalls)
    return TimeShared(env, servers, measured, stalls, quantum=quantum)
