"""Errors in the stations that are shared in slices of time."""

import numpy as np
from planting import around, instead_of

from lhsim.models import sharing
from lhsim.models.loop import EqualCores, SharedCores
from lhsim.models.sharing import Job, ProcessorSharing, TimeShared
from lhsim.models.station import Station

# Slices of a quantum


@instead_of(TimeShared, "_complete", system="a store in slices that is polled")
def the_next_slice_begins_before_the_effect(self, job):
    if self.waiting:
        self._next()
    if job.effect is not None:
        job.effect()
    job.finish()


@instead_of(TimeShared, "_complete", system="slices that end together")
def the_owner_of_a_job_goes_on_before_the_next_slice(self, job):
    if job.effect is not None:
        job.effect()
    job.finish()
    if self.waiting and self.busy < self.servers:
        self._next()


@around(TimeShared, "_end", system="slices")
def a_job_that_is_put_off_goes_to_the_head_of_the_line(original, self, number, one, event):
    unfinished = one.event is event and one.work < one.job.left
    original(self, number, one, event)
    if unfinished and self.waiting and self.waiting[-1] is one.job:
        self.waiting.rotate()


@instead_of(TimeShared, "_end", system="slices")
def a_slice_goes_on_for_a_quantum_although_others_wait(self, number, one, event):
    if one.event is not event:
        return
    self._slices[number] = None
    self.busy -= 1
    self.freed()
    if one.work >= one.job.left:
        self._complete(one.job)
        return
    one.job.left -= one.work
    self._run(one.job)


@around(TimeShared, "__init__", system="slices")
def a_switch_costs_nothing(original, self, *arguments, **options):
    original(self, *arguments, **options | ({"switch": 0.0} if "switch" in options else {}))


@around(TimeShared, "_begin", system="slices")
def a_switch_is_paid_by_a_job_that_begins(original, self, job):
    original(self, job)
    for number, one in enumerate(self._slices):
        if one is not None and one.job is job and self._switch:
            job.left += self._switch
            self._end_after(number, one, min(job.left, one.work + self._switch))


@around(TimeShared, "__init__", system="slices")
def connections_pay_for_a_switch_as_cores_do(original, self, *arguments, **options):
    original(self, *arguments, **options)
    if isinstance(self, TimeShared) and type(self) is TimeShared:
        self._switch = self._quantum / 10


@instead_of(TimeShared, "_end_slices_early", system="slices")
def a_slice_that_runs_alone_is_never_ended_early(self):
    pass


@instead_of(sharing, "slices_end", system="slices")
def the_end_of_a_slice_is_a_quantum_from_now(work, quantum):
    return work + quantum


@instead_of(sharing, "slices_end", system="slices that end together")
def a_slice_ends_at_the_multiple_that_it_has_reached(work, quantum):
    return max(1.0, np.ceil(work / quantum)) * quantum


@instead_of(TimeShared, "_end_slices_early", system="slices of cores that end together")
def slices_are_ended_early_from_the_last_processor_on(self):
    stalls, now = self._stalls, self.env.now
    for number, one in reversed(list(enumerate(self._slices))):
        done = sharing.worked(one.began, now, stalls.starts, stalls.ends, one.first_stall)
        work = one.switch + sharing.slices_end(max(0.0, done - one.switch), self._quantum)
        if work < one.work:
            low, high = self._measured_from, self._measured_to
            self.busy_time -= sharing.part_inside(now, one.until, low, high)
            self._end_after(number, one, work)


@around(TimeShared, "_run", system="slices of cores that end together")
def a_job_gets_the_last_processor_that_is_free(original, self, job, *switch):
    taken = [number for number, one in enumerate(self._slices) if one is None][:-1]
    for number in taken:
        self._slices[number] = Ellipsis
    original(self, job, *switch)
    for number in taken:
        self._slices[number] = None


@around(TimeShared, "_run", system="slices of cores")
def a_new_slice_is_always_a_quantum_at_most(original, self, job, *switch):
    self.waiting.append(None)
    original(self, job, *switch)
    self.waiting.pop()


@around(TimeShared, "_end_after", system="slices, with a state")
def a_stall_does_not_stop_a_slice(original, self, number, one, work):
    self._stalls, stalls = sharing.NO_STALLS, self._stalls
    original(self, number, one, work)
    self._stalls = stalls


@instead_of(sharing, "worked", system="slices, with a state")
def a_slice_works_during_a_stall(since, now, starts, ends, first):
    return now - since


@instead_of(SharedCores, "freed", system="slices, with a state")
def a_shared_processor_is_never_idle(self):
    pass


@around(TimeShared, "_run", system="slices, with a state")
def a_job_draws_its_collection_in_each_slice(original, self, job, *switch):
    if not callable(job.demand) and job.left < job.demand:
        self.cost(0.0)
    original(self, job, *switch)


@around(TimeShared, "_run", system="slices")
def a_switch_is_a_part_of_the_slice(original, self, job, switch=0.0):
    job.left += switch
    original(self, job)


@around(TimeShared, "_end_slices_early", system="slices")
def a_switch_counts_as_the_work_of_its_slice(original, self):
    for one in self._slices:
        one.switch = 0.0
    original(self)


# Processor sharing


@instead_of(sharing, "pace", system="equal shares")
def each_job_runs_alone(jobs, processors):
    return 1.0


@instead_of(sharing, "pace", system="equal shares of cores")
def several_cores_share_as_one(jobs, processors):
    return 1.0 / jobs


@instead_of(ProcessorSharing, "_done", system="equal shares")
def the_owner_goes_on_before_the_shares_are_reckoned(self, event):
    if self._next_done is not event:
        return
    share, _, job = sharing.heappop(self._jobs)
    self._share = share
    self.freed()
    if job.effect is not None:
        job.effect()
    self._since = self.env.now
    job.finish()
    self._reckon()


@around(ProcessorSharing, "serve", system="equal shares, all the same")
def of_two_jobs_done_at_once_the_last_comes_first(original, self, *arguments, **options):
    self._count -= 2
    return original(self, *arguments, **options)


@around(ProcessorSharing, "_done", system="equal shares")
def an_event_that_was_moved_still_ends_a_job(original, self, event):
    original(self, self._next_done if self._jobs else event)


@instead_of(EqualCores, "freed", system="equal shares, with a state")
def cores_that_share_equally_are_never_idle(self):
    pass


@around(Job, "start", system="slices, with a state")
def a_job_costs_what_it_would_have_when_it_came(original, self, cost):
    original(self, self.demand() if callable(self.demand) else self.demand)


@around(Station, "_occupy", system="slices")
def the_time_of_a_slice_that_is_ended_early_counts_twice(original, self, now, duration):
    before = self.busy_time
    original(self, now, duration)
    if isinstance(self, TimeShared) and any(one and one.began < now for one in self._slices):
        self.busy_time += self.busy_time - before
