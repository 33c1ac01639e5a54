"""Messages: how they come, how they are stored, and how they end; see `lhsim.models.ledger`."""

from __future__ import annotations

from typing import Any

import numpy as np

from lhsim._jit import inlined
from lhsim.compiled.lists import leave
from lhsim.compiled.log import forget, next_in_log
from lhsim.compiled.nodes import arrive, depart, hold, is_unreachable, let_go, set_held
from lhsim.compiled.outlining import of_failures, outlined
from lhsim.compiled.queue import fetch, make_ready, schedule
from lhsim.compiled.state import (
    ACKNOWLEDGE,
    CREATED,
    MESSAGE_UP,
    NOBODY,
    PARSE_MESSAGE,
    PLACES,
    POSTER,
    REPLIES,
    SENDS,
    SLEEP,
    TO_ALL,
    TO_ANYONE,
    TO_HUB,
    TO_SENDER,
    WAKES_ALL,
    WAKES_FIRST,
    Record,
    State,
)
from lhsim.distributions.table import look_up
from lhsim.metrics.account import BATCHES, Outcome
from lhsim.metrics.histogram import record
from lhsim.rules import (
    attempt_index,
    batch,
    class_of,
    other_agent,
    other_of,
    post_index,
    priority,
    take_token,
)
from lhsim.streams import Purpose, uniform

TARGET = int(Purpose.TARGET)
DELIVERED = int(Outcome.DELIVERED)
REJECTED = int(Outcome.REJECTED)


@inlined
def message_of(s: State, entity: int) -> int:
    """Return the number of the message of which an entity is the request or the payload."""
    return (entity - 3 * s.settings[0].agents) // PLACES


@inlined
def request(s: State, message: int) -> int:
    """Return the entity that brings a message to the server."""
    return 3 * s.settings[0].agents + PLACES * message


@inlined
def payload(s: State, message: int) -> int:
    """Return the entity that a message is on its own."""
    return request(s, message) + 1


@inlined
def patience_of(s: State, message: int) -> int:
    """Return the entity that is the end of a client's patience with an attempt or a request."""
    return request(s, message) + 4


@inlined
def reply_to(s: State, message: int) -> int:
    """Return the entity that is the reply to an attempt."""
    return request(s, message) + 5


@inlined
def index_of(s: State, message: Record) -> int:
    """Return the index of the draws of a message, or of an attempt at it."""
    index: int = message.number
    if len(s.options) > 2:
        index = attempt_index(message.attempt, message.number)
        if message.original <= POSTER:
            index = post_index(message.posts, index)
    return index


@inlined
def sending_of(s: State, message: Record) -> int:
    """Return the number of what a sender has sent together, a broadcast or one message."""
    sending: int = message.number // _copies(s)
    return sending


@inlined
def client_of(s: State, agent: int) -> int:
    """Return the client of an agent: the first of those that share its connection."""
    client: Any = agent
    if len(s.options) > 0 and s.settings[0].agents_per_connection > 1:
        several = np.uint32(s.settings[0].agents_per_connection)
        client = agent - np.int64(np.uint32(agent) % several)  # faster than 64 bits
    return client


@inlined
def has_room(s: State) -> bool:
    """Return whether an agent can send once more, and connections have their timers."""
    counts, settings, places = s.counts[0], s.settings[0], len(s.messages)
    if len(s.options) > 0:  # only what has not been used yet is sure to be enough
        more = settings.places
        if settings.shares:  # all that there are may come to a shared station, each with a timer
            more += 2 * (settings.agents + counts.used)
        if len(s.options) > 1 and settings.consumes:  # all in the queue may be taken, with receipts
            more += counts.lined_up + max(settings.write_batch, 1)
        return counts.used + more <= places
    return counts.free >= 0 or counts.used < places


@inlined
def has_records(s: State) -> bool:
    """Return whether what an agent sends next can be recorded, where it has to be."""
    most = _copies(s)
    if len(s.options) > 0:
        most = max(most, s.settings[0].in_flight)
    return s.settings[0].keep == 0 or s.counts[0].created + most <= len(s.records)


@inlined
def new_place(s: State) -> int:
    """Return a place among the messages, which its entities have to `release`."""
    counts = s.counts[0]
    place = counts.free
    if place >= 0:
        counts.free = s.events[request(s, place)].next
    else:
        place = counts.used
        counts.used += 1
    if len(s.options) > 2:
        s.messages[place].original = NOBODY
    set_held(s, place, 0)
    return place


@outlined
def dispatch(s: State, sender: int, number: int) -> None:
    """Create what an agent sends at a time; its request sets out when the sender has gone on.

    The first of the messages of a broadcast has the request. Each names the next one as its
    `connection`, until it is handed over to a real one.
    """
    copies, first, last = _copies(s), NOBODY, NOBODY
    for copy in range(copies):
        place = _create(s, sender, number * copies + copy)
        if copy == 0:
            first = place
        if len(s.options) > 0:
            _link(s, last, place)
        last = place
    s.counts[0].awaited = copies
    if _tries_again(s):
        s.messages[first].alive = 1  # its sender
        make_ready(s, request(s, first), SENDS)
    else:
        make_ready(s, request(s, first), CREATED)


@inlined
def _tries_again(s: State) -> bool:
    """Return whether senders wait for a reply."""
    return len(s.options) > 2 and s.settings[0].attempts > 0


@inlined
def _link(s: State, last: int, place: int) -> None:
    """Let a message come after the `last` one of its broadcast; the first one has none before."""
    s.messages[place].connection = NOBODY
    if last >= 0:
        s.messages[place].alive = 1
        s.messages[last].connection = place


@inlined
def _copies(s: State) -> int:
    return s.settings[0].copies if len(s.options) > 0 else 1


@inlined
def _create(s: State, sender: int, number: int) -> int:
    place = new_place(s)
    create_at(s, place, sender, number)
    return place


@inlined
def create_at(s: State, place: int, sender: int, number: int) -> None:
    """Create a message at a place that is there."""
    counts, settings, now, message = s.counts[0], s.settings[0], s.queue[0].now, s.messages[place]
    message.sender = sender
    message.number = number
    message.target = _target(s, sender, number)
    fetch(s, 2 * client_of(s, message.target))
    message.created = now
    message.alive = 2
    message.pending = 1
    if len(s.options) > 2:
        message.attempt = message.waits = message.open = message.given_up = 0
        message.answer = NOBODY
    _draw_costs(s, message)
    if settings.keep:
        message.row = counts.created
        _keep(s, message)
    counts.created += 1
    if settings.start <= now < settings.cohort_end:
        counts.cohort_created += 1


@inlined
def after_the_limit(s: State, entity: int, phase: int) -> int:
    """Return the phase that is over: for a message that is not let in, the last one."""
    if len(s.options) > 2 and phase == MESSAGE_UP and is_unreachable(s):
        reject(s, message_of(s, entity))
        return ACKNOWLEDGE
    if phase == MESSAGE_UP:
        message = s.messages[message_of(s, entity)]
        arrive(s, message_of(s, entity), message.sender, index_of(s, message))
    if phase != PARSE_MESSAGE or len(s.buckets) == 0:
        return phase
    place, settings, now = message_of(s, entity), s.settings[0], s.queue[0].now
    sender = s.messages[place].sender
    interval, burst = settings.token_interval, settings.token_burst
    full_at = take_token(now, s.buckets[sender], interval, burst)
    if full_at >= 0:
        s.buckets[sender] = full_at
        return phase
    s.counts[0].limited += reject(s, place)
    return ACKNOWLEDGE


@outlined
def reject(s: State, place: int) -> int:
    """Reject what a request brings, one or all messages of a broadcast; return how many."""
    rejected = 0
    while place >= 0:
        after = s.messages[place].connection
        end(s, place, REJECTED)
        place = after
        rejected += 1
    return rejected


@outlined
def timer(s: State, agent: int) -> int:
    """Return the request of no message, which can wait for something beside an agent's own event.

    An agent has one event, but what it waits for may be overtaken and still be due. Such a timer
    takes the place of a message until it is released.
    """
    place = new_place(s)
    message = s.messages[place]
    message.sender = agent
    message.number = 0
    message.target = agent
    message.connection = s.receivers[agent].attempt
    message.alive = 1
    message.pending = 0
    return request(s, place)


@inlined
def next_request(s: State, client: int) -> int:
    """Return an entity for a client's next request, which is created when it has been thought."""
    place = new_place(s)
    message = s.messages[place]
    message.sender = client
    message.alive = 1
    message.pending = 0
    return request(s, place)


@inlined
def show(s: State, place: int) -> None:
    """Let a stored message be in its target's mailbox, or ready to be sent."""
    message = s.messages[place]
    message.stored = s.queue[0].now
    if len(s.options) > 0 and len(s.sequence) > 0:
        s.sequence[place] = next_in_log(s)
    if s.settings[0].keep and not (len(s.options) > 2 and message.original >= 0):
        s.records[message.row].stored = s.queue[0].now
    if len(s.options) > 1 and s.settings[0].consumes:
        line_up_by_age(s, place)
    elif s.settings[0].polls:
        if len(s.options) > 0 and len(s.priorities) > 0:
            _file(s, place)
        else:
            post(s, s.receivers[message.target], place)
        if len(s.options) > 0 and s.settings[0].wakes:
            _wake(s, message.target)
        if len(s.options) > 0 and s.settings[0].invalidates:
            s.pollers[message.target].empty_since = -np.inf
    else:
        s.counts[0].stored += 1


@inlined
def end(s: State, place: int, outcome: int) -> None:
    """Record how a message ended on its own, and wake the sender that waits for it."""
    close(s, place, outcome)
    release(s, place)


@outlined
def close(s: State, place: int, outcome: int) -> None:
    """Record how a message ended whose payload is still on its way."""
    message, counts, settings, now = s.messages[place], s.counts[0], s.settings[0], s.queue[0].now
    if len(s.options) > 0 and message.pending == 0:
        return  # it expired before
    delivered = now
    if len(s.options) > 0 and settings.elicits:
        delivered = s.reached[place]
    message.pending = 0
    if len(s.options) > 2 and message.original >= 0:
        place = _end_attempt(s, place, outcome)
        if place < 0:
            return
        message = s.messages[place]
        message.pending = 0
    counts.outcomes[outcome] += 1
    counts.last_end = now
    among = batch(message.created, settings.start, settings.cohort_end, BATCHES)
    if among >= 0:
        _count(s, message, outcome)
        if outcome == DELIVERED:
            _measure(s, message, among, delivered)
    if settings.keep:
        s.records[message.row].outcome = outcome
        if outcome == DELIVERED:
            s.records[message.row].delivered = delivered
    if settings.closed and _was_last(s):
        schedule(s, 2 * settings.agents + message.sender, 0.0, 0)


@inlined
def _count(s: State, message: Record, outcome: int) -> None:
    """Count a message of the cohort that has ended."""
    s.counts[0].cohort[outcome] += 1
    if len(s.options) > 1 and len(s.class_cohort) > 0:
        s.class_cohort[class_of(message.sender, s.kinds.end), outcome] += 1


@of_failures
def _end_attempt(s: State, place: int, outcome: int) -> int:
    """Return the place of the message that ends by the end of an attempt, or NOBODY."""
    attempt = s.messages[place]
    original = s.messages[attempt.original]
    original.open -= 1
    original.last = outcome
    if original.pending == 0:
        if outcome == DELIVERED:
            s.counts[0].duplicates += 1
        return NOBODY
    original.stored = attempt.stored
    if s.settings[0].keep:
        s.records[original.row].stored = attempt.stored
    has_failed = original.given_up and original.open == 0
    found: int = attempt.original if outcome == DELIVERED or has_failed else NOBODY
    return found


@inlined
def _was_last(s: State) -> bool:
    """Return whether the sender in a closed loop waits for no other end; in a broadcast it may."""
    if len(s.options) > 0 and s.settings[0].copies > 1:
        s.counts[0].awaited -= 1
        return s.counts[0].awaited == 0
    return True


@inlined
def release(s: State, place: int) -> None:
    """Let one entity of a message end; when both have, its place is free."""
    message = s.messages[place]
    message.alive -= 1
    if message.alive == 0:
        _free(s, place)
        if len(s.options) > 2 and message.original >= 0:
            _release_original(s, message.original)


@inlined
def _free(s: State, place: int) -> None:
    s.events[request(s, place)].next = s.counts[0].free
    s.counts[0].free = place


@of_failures
def _release_original(s: State, place: int) -> None:
    """Let an attempt at a message end that has nothing more to say of it."""
    message = s.messages[place]
    message.alive -= 1
    if message.alive == 0:
        _free(s, place)


@inlined
def acknowledge(s: State, place: int) -> None:
    """Record that a sender has its answer; of messages sent together, the first one has it."""
    depart(s, place)
    if _tries_again(s):
        _reply(s, place)
    elif s.settings[0].keep:
        message = s.messages[place]
        row = s.records[message.row]
        if not np.isnan(row.stored) and message.number % _copies(s) == 0:
            row.acknowledged = s.queue[0].now


@of_failures
def _reply(s: State, place: int) -> None:
    """Let the reply to an attempt set out, which is a refusal where it was not stored."""
    message = s.messages[place]
    if message.number % _copies(s) != 0:
        return
    if s.settings[0].keep and not np.isnan(message.stored):
        row = s.records[s.messages[message.original].row]
        if np.isnan(row.acknowledged):
            row.acknowledged = s.queue[0].now
    message.alive += 1
    make_ready(s, reply_to(s, place), REPLIES)


@inlined
def post(s: State, receiver: Record, place: int) -> None:
    """Put a message at the end of an agent's mailbox."""
    _append(s, receiver.mailbox, place)
    receiver.mailbox = place


@inlined
def _append(s: State, last: int, place: int) -> None:
    """Put a message at the end of a mailbox, a circular list known by its last."""
    if last < 0:
        s.events[payload(s, place)].next = place
    else:
        s.events[payload(s, place)].next = s.events[payload(s, last)].next
        s.events[payload(s, last)].next = place


@outlined
def line_up_by_age(s: State, place: int) -> None:
    """Put a message into the queue, behind those that are older, and wake whoever it wakes."""
    counts = s.counts[0]
    last, age = counts.shared, s.sequence[place]
    if last < 0 or s.sequence[last] < age:
        _append(s, last, place)
        counts.shared = place
    else:
        before = last
        while s.sequence[first_of(s, before)] < age:
            before = first_of(s, before)
        _append(s, before, place)
    counts.lined_up += 1
    if s.settings[0].wakes == WAKES_FIRST:
        _wake_first(s)
    elif s.settings[0].wakes == WAKES_ALL:
        _wake_everybody(s)


@inlined
def first_of(s: State, last: int) -> int:
    """Return the first message of a mailbox that is not empty."""
    return s.events[payload(s, last)].next


@inlined
def without_first(s: State, last: int) -> int:
    """Remove the first message of a mailbox, and return its last one, or NOBODY."""
    first = first_of(s, last)
    if first == last:
        return NOBODY
    s.events[payload(s, last)].next = s.events[payload(s, first)].next
    return last


@inlined
def _file(s: State, place: int) -> None:
    """Put a message at the end of the mailbox of its target and its priority."""
    message, upper = s.messages[place], s.priorities
    level = priority(s.settings[0].seed, message.sender, message.number, upper)
    box = len(upper) * message.target + level
    _append(s, s.boxes[box], place)
    s.boxes[box] = place


@inlined
def collect(s: State, agent: int) -> None:
    """Move what an answer holds into an agent's mailbox, by priority."""
    levels, found = len(s.priorities), 0
    for box in range(levels * agent, levels * (agent + 1)):
        while s.boxes[box] >= 0 and found < s.settings[0].limit:
            first = first_of(s, s.boxes[box])
            s.boxes[box] = without_first(s, s.boxes[box])
            post(s, s.receivers[agent], first)
            found += 1


@inlined
def take(s: State, receiver: Record) -> int:
    """Return the first message of an agent's mailbox, which is not empty, and remove it."""
    first = first_of(s, receiver.mailbox)
    receiver.mailbox = without_first(s, receiver.mailbox)
    return first


@inlined
def memory_in_use(s: State) -> float:
    """Return the memory that the server uses now [B]."""
    settings, counts = s.settings[0], s.counts[0]
    held = settings.resident + settings.per_connection * counts.connections
    return held + settings.per_event * counts.events


@inlined
def connect(s: State, node: int) -> None:
    """Count one more connection."""
    counts = s.counts[0]
    counts.connections += 1
    if len(s.options) > 1:
        s.nodes[node].connections += 1
        hold(s, node)
    counts.peak_connections = max(counts.peak_connections, counts.connections)
    if len(s.options) > 0:
        forget(s, s.queue[0].now)
    counts.peak_memory = max(counts.peak_memory, memory_in_use(s))


@inlined
def disconnect(s: State, node: int) -> None:
    """Count one connection fewer."""
    s.counts[0].connections -= 1
    if len(s.options) > 1:
        s.nodes[node].connections -= 1
        let_go(s, node)


@inlined
def is_full(s: State, node: int) -> bool:
    """Return whether a node has as many connections as it may have."""
    limit, connections = s.settings[0].connections, s.counts[0].connections
    if len(s.options) > 1:
        connections = s.nodes[node].connections
    return limit >= 0 and connections >= limit


@inlined
def _wake(s: State, agent: int) -> None:
    """End the sleep of an agent's request; one that is about to sleep does not begin to."""
    poller = s.pollers[agent]
    if s.settings[0].wakes == WAKES_ALL:
        _wake_everybody(s)
        return
    if len(s.options) > 2 and s.settings[0].impatient:
        _wake_all(s, agent)
        return
    poller.written = 1
    if poller.alarm >= 0:
        poller.alarm = NOBODY
        s.events[2 * agent].phase = SLEEP
        schedule(s, 2 * agent, 0.0, 0)


@inlined
def _wake_first(s: State) -> None:
    """End the sleep of the request that has been asleep longest."""
    counts = s.counts[0]
    agent = counts.asleep.first
    if agent >= 0:
        leave(counts.asleep, s.pollers.before, s.pollers.after, agent)
        s.pollers[agent].alarm = NOBODY
        s.events[2 * agent].phase = SLEEP
        schedule(s, 2 * agent, 0.0, 0)


@outlined
def _wake_everybody(s: State) -> None:
    """End the sleeps of all requests, in the order in which they went to sleep."""
    counts = s.counts[0]
    counts.news += 1
    if len(s.options) > 2 and s.settings[0].impatient:
        _wake_requests(s, counts.asleep)
        return
    agent = counts.asleep.first
    counts.asleep.first = counts.asleep.last = NOBODY
    while agent >= 0:
        s.pollers[agent].alarm = NOBODY
        s.events[2 * agent].phase = SLEEP
        schedule(s, 2 * agent, 0.0, 0)
        agent = s.pollers[agent].after


@of_failures
def _wake_all(s: State, agent: int) -> None:
    """End the sleeps of all requests of an agent, also of those that it has given up."""
    s.pollers[agent].written += 1
    _wake_requests(s, s.pollers[agent].asleep)


@inlined
def _wake_requests(s: State, asleep: Record) -> None:
    """End the sleeps of the requests in a list, each of which has a place."""
    place = asleep.first
    asleep.first = asleep.last = NOBODY
    while place >= 0:
        s.messages[place].alarm = NOBODY
        s.events[request(s, place)].phase = SLEEP
        schedule(s, request(s, place), 0.0, 0)
        place = s.messages[place].after


@inlined
def _target(s: State, sender: int, number: int) -> int:
    agents = s.settings[0].agents
    if len(s.options) > 0:
        if s.settings[0].topology == TO_HUB:
            return 0
        if s.settings[0].topology == TO_ALL:
            return 1 + number % s.settings[0].copies
        if s.settings[0].topology == TO_SENDER:
            return sender
    if len(s.options) > 1 and len(s.kinds) > 0 and s.settings[0].topology == TO_ANYONE:
        kind = s.kinds[class_of(sender, s.kinds.end)]
        u = uniform(s.settings[0].seed, TARGET, sender, number)
        return other_of(u, sender, kind.first_target, kind.end_of_targets)
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
    if len(s.options) > 1 and len(s.class_cohort) > 0:
        row = class_of(message.sender, s.kinds.end) * BATCHES + among
        record(s.class_histogram, row, latency)
        s.class_latency[row] += latency
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
    if len(s.options) > 1 and s.settings[0].consumes:
        row.target = NOBODY
    row.created = message.created
    row.stored = float("nan")
    row.acknowledged = float("nan")
    row.delivered = float("nan")
    row.outcome = 0
