"""The log of the event store: which of its events are still kept; see `lhsim.models.log`.

Where their ages matter, the times of the commits that are kept lie in a ring, whose size is a power
of two. Those that are there at the start have no place in it.
"""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.state import State
from lhsim.rules import is_past


@inlined
def has_log(s: State) -> bool:
    """Return whether there is room for the times of what one event may commit."""
    if len(s.log) == 0:
        return True
    counts, settings = s.counts[0], s.settings[0]
    of_this_run = counts.removed + counts.events - settings.first_events
    at_a_time = min(max(settings.write_batch, 1), counts.used + 1)
    return min(counts.events, of_this_run) + at_a_time <= len(s.log)


@inlined
def next_in_log(s: State) -> int:
    """Return the number of the next event to be committed."""
    return s.counts[0].removed + s.counts[0].events


@inlined
def append(s: State) -> None:
    """Commit an event."""
    if len(s.options) > 0 and len(s.log) > 0:
        s.log[next_in_log(s) & (len(s.log) - 1)] = s.queue[0].now
    s.counts[0].events += 1
    if len(s.options) > 0:
        forget(s, s.queue[0].now)


@inlined
def forget(s: State, now: float) -> None:
    """Remove the events that are not kept any more."""
    counts, settings = s.counts[0], s.settings[0]
    if settings.keep_count >= 0 and counts.events > settings.keep_count:
        _remove(s, counts.events - settings.keep_count)
    if len(s.log) == 0:
        return
    at_start = settings.first_events - counts.removed
    if at_start > 0 and is_past(0.0, settings.keep_age, now):
        _remove(s, at_start)
    while _has_too_old(s, now):
        _remove(s, 1)


@inlined
def _has_too_old(s: State, now: float) -> bool:
    """Return whether the oldest event is too old, and has come since the start."""
    counts, settings = s.counts[0], s.settings[0]
    if counts.events == 0 or counts.removed < settings.first_events:
        return False
    return is_past(s.log[counts.removed & (len(s.log) - 1)], settings.keep_age, now)


@inlined
def _remove(s: State, events: int) -> None:
    s.counts[0].removed += events
    s.counts[0].events -= events
