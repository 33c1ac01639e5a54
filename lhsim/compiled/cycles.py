"""What a cycle of a request for messages does, whether its agent may give it up or not."""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.queue import schedule
from lhsim.compiled.state import LOOK_UP, QUERY_CPU, SLEEP, Record, State
from lhsim.rules import grown, jittered
from lhsim.streams import uniform


@inlined
def look(s: State, agent: int) -> int:
    """Return how a cycle begins: with the cache, which knows of nothing new, or with the store."""
    ttl = s.settings[0].ttl
    if ttl >= 0 and s.queue[0].now - s.pollers[agent].empty_since <= ttl:
        s.counts[0].cache_hits += 1
        return LOOK_UP
    return QUERY_CPU


@inlined
def next_sleep(s: State, sleeper: Record, agent: int, cycle: int) -> float:
    """Return for how long a request sleeps after an empty cycle, and lengthen its next sleep [s].

    `sleeper` is the record that knows its sleeps.
    """
    settings, time = s.settings[0], sleeper.sleep
    if settings.jitter > 0:
        time = jittered(time, settings.jitter, uniform(settings.seed, SLEEP, agent, cycle))
    sleeper.sleep = sleeper.following
    sleeper.following = grown(sleeper.following, settings.growth, settings.longest)
    return time


@inlined
def start_over(s: State, sleeper: Record) -> None:
    """Let the next sleep be the first one: of a request, or of a client that polls shortly."""
    sleeper.sleep, sleeper.following = s.settings[0].first_sleep, s.settings[0].second_sleep


@inlined
def sleep_as_client(s: State, agent: int) -> None:
    """Let the client of a short poll sleep, as the answer to its request is empty."""
    time = next_sleep(s, s.pollers[agent], agent, s.receivers[agent].attempt)
    s.events[2 * agent].phase = SLEEP
    schedule(s, 2 * agent, time, s.stages[SLEEP].lane)
