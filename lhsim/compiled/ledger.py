"""Messages: how they come, how they are stored, and how they end; see `lhsim.models.ledger`."""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.queue import fetch, schedule, soon
from lhsim.compiled.state import CREATED, NOBODY, PLACES, TO_ANYONE, Record, State
from lhsim.distributions.table import look_up
from lhsim.metrics.account import BATCHES, Outcome
from lhsim.metrics.histogram import record
from lhsim.rules import batch, other_agent
from lhsim.streams import Purpose, uniform

TARGET = int(Purpose.TARGET)
DELIVERED = int(Outcome.DELIVERED)
SPARE = 4  # places of messages that an event may take, with options: a message, and timers


@inlined
def message_of(s: State, entity: int) -> int:
    """Return the number of the message of which an entity is the courier or the content."""
    return (entity - 3 * s.settings[0].agents) // PLACES


@inlined
def courier(s: State, message: int) -> int:
    """Return the entity that brings a message to the server."""
    return 3 * s.settings[0].agents + PLACES * message


@inlined
def content(s: State, message: int) -> int:
    """Return the entity that a message is on its own."""
    return courier(s, message) + 1


@inlined
def has_room(s: State) -> bool:
    """Return whether one more message can be created, and one connection have its timers."""
    counts = s.counts[0]
    fits = counts.free >= 0 or counts.used < len(s.messages)
    if len(s.options) > 0:
        fits = counts.used + SPARE <= len(s.messages)
    return fits and (s.settings[0].keep == 0 or counts.created < len(s.records))


@inlined
def create(s: State, sender: int, number: int) -> int:
    """Create a message, whose courier sets out as soon as its sender has gone on; return it."""
    counts, settings, now = s.counts[0], s.settings[0], s.queue[0].now
    place = take_place(s)
    message = s.messages[place]
    message.sender = sender
    message.number = number
    message.target = _target(s, sender, number)
    fetch(s, 2 * message.target)
    message.created = now
    message.alive = 2
    message.pending = 1
    _draw_costs(s, message)
    if settings.keep:
        message.row = counts.created
        _keep(s, message)
    counts.created += 1
    if settings.start <= now < settings.cohort_end:
        counts.cohort_created += 1
    soon(s, courier(s, place), CREATED)
    return place


@inlined
def take_place(s: State) -> int:
    """Return a place for a message that is not in use."""
    counts = s.counts[0]
    place = counts.free
    if place >= 0:
        counts.free = s.events[courier(s, place)].next
    else:
        place = counts.used
        counts.used += 1
    return place


@inlined
def timer(s: State, agent: int) -> int:
    """Return the courier of no message, which can wait for something of a connection's own.

    An agent has one event, but what it waits for may be overtaken and still be due. Such a timer
    takes the place of a message until it is released.
    """
    place = take_place(s)
    message = s.messages[place]
    message.sender = agent
    message.number = 0
    message.target = agent
    message.connection = s.receivers[agent].attempt
    message.alive = 1
    message.pending = 0
    return courier(s, place)


@inlined
def commit(s: State, place: int) -> None:
    """Make a message visible in the store: it is in its target's mailbox, or ready to be sent."""
    message, counts = s.messages[place], s.counts[0]
    message.stored = s.queue[0].now
    if s.settings[0].keep:
        s.records[message.row].stored = s.queue[0].now
    counts.log += 1
    if s.settings[0].polls:
        post(s, s.receivers[message.target], place)
    else:
        counts.stored += 1
    counts.events += 1
    counts.peak_memory = max(counts.peak_memory, memory_in_use(s))


@inlined
def end(s: State, place: int, outcome: int) -> None:
    """Record how a message ended on its own, and wake the sender that waits for it."""
    close(s, place, outcome)
    release(s, place)


@inlined
def close(s: State, place: int, outcome: int) -> None:
    """Record how a message ended, while its content is still somewhere, to no avail."""
    message, counts, settings, now = s.messages[place], s.counts[0], s.settings[0], s.queue[0].now
    if len(s.options) > 0 and message.pending == 0:
        return  # it has expired, and was carried on in vain
    delivered = now
    if len(s.options) > 0 and settings.elicits:
        delivered = s.reached[place]
    message.pending = 0
    counts.outcomes[outcome] += 1
    counts.last_end = now
    among = batch(message.created, settings.start, settings.cohort_end, BATCHES)
    if among >= 0:
        counts.cohort[outcome] += 1
        if outcome == DELIVERED:
            _measure(s, message, among, delivered)
    if settings.keep:
        s.records[message.row].outcome = outcome
        if outcome == DELIVERED:
            s.records[message.row].delivered = delivered
    if settings.closed:
        schedule(s, 2 * settings.agents + message.sender, 0.0, 0)


@inlined
def release(s: State, place: int) -> None:
    """Let one entity of a message end; when both have, its place is free."""
    message = s.messages[place]
    message.alive -= 1
    if message.alive == 0:
        s.events[courier(s, place)].next = s.counts[0].free
        s.counts[0].free = place


@inlined
def post(s: State, receiver: Record, place: int) -> None:
    """Put a message at the end of an agent's mailbox, a circular list known by its last."""
    last = receiver.mailbox
    if last < 0:
        s.events[content(s, place)].next = place
    else:
        s.events[content(s, place)].next = s.events[content(s, last)].next
        s.events[content(s, last)].next = place
    receiver.mailbox = place


@inlined
def take(s: State, receiver: Record) -> int:
    """Return the first message of an agent's mailbox, which is not empty, and remove it."""
    last = receiver.mailbox
    first = s.events[content(s, last)].next
    if first == last:
        receiver.mailbox = NOBODY
    else:
        s.events[content(s, last)].next = s.events[content(s, first)].next
    return first


@inlined
def memory_in_use(s: State) -> float:
    """Return the memory that the server uses now [B]."""
    settings, counts = s.settings[0], s.counts[0]
    held = settings.resident + settings.per_connection * counts.connections
    return held + settings.per_event * counts.events


@inlined
def connect(s: State) -> None:
    """Count one more connection."""
    counts = s.counts[0]
    counts.connections += 1
    counts.peak_connections = max(counts.peak_connections, counts.connections)
    counts.peak_memory = max(counts.peak_memory, memory_in_use(s))


@inlined
def is_full(s: State) -> bool:
    """Return whether the server has as many connections as it may have."""
    limit = s.settings[0].connections
    return limit >= 0 and s.counts[0].connections >= limit


@inlined
def _target(s: State, sender: int, number: int) -> int:
    agents = s.settings[0].agents
    if s.settings[0].topology == TO_ANYONE:
        return other_agent(uniform(s.settings[0].seed, TARGET, sender, number), sender, agents)
    return (sender + 1) % agents


@inlined
def _draw_costs(s: State, message: Record) -> None:
    """Draw all that a message costs at once: that is much faster than one after the other."""
    for slot in range(len(s.slots)):
        purpose = s.slots[slot].purpose
        message.costs[slot] = uniform(s.settings[0].seed, purpose, message.sender, message.number)
    for slot in range(len(s.slots)):
        message.costs[slot] = look_up(s.cells[s.slots[slot].cells], message.costs[slot])


@inlined
def _measure(s: State, message: Record, among: int, delivered: float) -> None:
    counts = s.counts[0]
    latency = delivered - message.created
    record(s.histogram, among, latency)
    s.latency[among] += latency
    counts.to_store += message.stored - message.created
    counts.from_store += delivered - message.stored
    counts.shortest = min(counts.shortest, latency)
    counts.longest = max(counts.longest, latency)


@inlined
def _keep(s: State, message: Record) -> None:
    row = s.records[message.row]
    row.sender = message.sender
    row.number = message.number
    row.target = message.target
    row.created = message.created
    row.stored = float("nan")
    row.delivered = float("nan")
    row.outcome = 0
