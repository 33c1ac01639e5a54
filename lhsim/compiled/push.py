"""What a message and a client of the push server do next; see `lhsim.models.push_processes`.

A client is known by the first of its agents, and its connection by the attempt that made it. When a
message was sent over one that its client has left, or has come back from, that connection is
closed.
"""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.clients import go_on_after_failure, is_of_failure
from lhsim.compiled.costs import is_open, loop_of, value
from lhsim.compiled.incidents import end_later, happen
from lhsim.compiled.ledger import (
    DELIVERED,
    REJECTED,
    acknowledge,
    after_the_limit,
    client_of,
    close,
    connect,
    disconnect,
    end,
    index_of,
    is_full,
    message_of,
    payload,
    post,
    release,
    request,
    take,
    timer,
)
from lhsim.compiled.lists import append, join, leave, take_first
from lhsim.compiled.nodes import (
    OF_ANSWER,
    choose,
    failing,
    has_nodes,
    hold,
    home,
    is_down,
    is_unreachable,
    let_go,
    own,
    place_on,
    receive,
    targets,
)
from lhsim.compiled.outlining import of_failures, outlined
from lhsim.compiled.queue import insert, make_ready, schedule
from lhsim.compiled.state import (
    ACKNOWLEDGE,
    ANSWER_DOWN,
    ANSWER_THINK,
    ANSWER_UP,
    BEAT,
    BEATING,
    BEATS,
    BLOCK,
    BY_REPLY,
    COLLECTED,
    COMMITTED,
    CONNECT,
    CONNECTED,
    CONNECTION_SLOT,
    CREATED,
    DISCONNECT,
    DONE,
    DROP_NEW,
    DROPPED_IN_QUEUE,
    EVICTED,
    EXPIRES,
    EXPIRY,
    FALLBACK,
    FALLBACK_SLEEP,
    FAULT,
    FLUSHED,
    HEARTBEAT,
    KNOCKS,
    KNOWN,
    LINGER,
    LINK,
    LOCKED,
    MESSAGE_UP,
    NEVER_CONNECTED,
    NOBODY,
    NOWHERE,
    OF_OPTIONS,
    PARSE_ANSWER,
    PARSE_MESSAGE,
    PARSE_REQUEST,
    POLL_UP,
    POSTER,
    PUSH_DOWN,
    QUERY,
    QUERY_CPU,
    QUEUE_SLOT,
    REACHED,
    RECONNECT,
    REFUSED,
    REJECT,
    RELAY,
    REQUEST_UP,
    RESPOND,
    SEND,
    SENT,
    SESSION,
    START,
    STAYING,
    STORED,
    TURNED_AWAY,
    UNPARKED,
    VALIDATE,
    VALIDATE_ANSWER,
    WAIT,
    WRITE,
    WRITE_CPU,
    State,
)
from lhsim.compiled.stations import begin
from lhsim.compiled.store import expire, go_on_with_batch, is_of_batch, write
from lhsim.compiled.webhooks import go_on_with_posts, hand_to_posters
from lhsim.metrics.account import Outcome
from lhsim.rules import (
    ACCEPT,
    FIRST_TIMEOUT,
    NO_ANSWER,
    answer,
    attempt_index,
    grown,
    is_hit,
    next_timeout,
)
from lhsim.streams import Purpose, uniform

DROPPED = int(Outcome.DROPPED)
LOST = int(Outcome.LOST)
EXPIRED = int(Outcome.EXPIRED)
ANSWER = int(Purpose.ANSWER)


@inlined
def carry(s: State, entity: int, phase: int) -> int:
    """Return the phase of a message's request, or payload, that comes after one that is over."""
    if len(s.options) > 2:
        if phase == FAULT:
            _cut(s, happen(s, entity))
            end_later(s, entity)
            return DONE
        if s.messages[message_of(s, entity)].original <= POSTER:
            return go_on_with_posts(s, entity, phase)
        if is_of_failure(phase):
            return go_on_after_failure(s, entity, phase)
    if phase == VALIDATE:
        return WRITE_CPU
    if len(s.options) > 0:
        if is_of_batch(s, phase):
            return go_on_with_batch(s, entity, phase)
        if len(s.options) > 2 and s.settings[0].posts > 0 and phase in (WRITE, COMMITTED):
            hand_to_posters(s, message_of(s, entity))
            return ACKNOWLEDGE
        phase = _with_options(s, entity, phase)
    if phase == CREATED:
        return MESSAGE_UP
    if phase == MESSAGE_UP:
        return PARSE_MESSAGE
    if phase == PARSE_MESSAGE:
        return VALIDATE
    if phase == WRITE_CPU or (len(s.options) > 0 and phase in (LOCKED, COLLECTED)):
        return write(s, entity, phase)
    place = message_of(s, entity)
    if len(s.options) > 1 and has_nodes(s) and phase == WRITE and _is_far(s, place):
        return LINK
    if len(s.options) > 0 and _is_of_option(s, phase):
        return _go_on_with_option(s, entity, place, phase)
    if len(s.options) > 0 and phase == WRITE and s.settings[0].elicits == BY_REPLY:
        return ACKNOWLEDGE
    if (phase == WRITE or (len(s.options) > 1 and has_nodes(s) and phase == LINK)) and _crosses(
        s, place
    ):
        return RELAY
    if phase in (WRITE, RELAY, UNPARKED) or (len(s.options) > 1 and has_nodes(s) and phase == LINK):
        return _push(s, entity, place)
    if phase == SEND:
        return _sent(s, entity, place)
    if phase == SENT:
        return PUSH_DOWN
    return _finish(s, place, phase)


@inlined
def _finish(s: State, place: int, phase: int) -> int:
    if phase == PUSH_DOWN:
        end(s, place, DELIVERED)
    else:  # ACKNOWLEDGE
        acknowledge(s, place)
        release(s, place)
    return DONE


@inlined
def attend(s: State, agent: int, phase: int) -> int:
    """Return the phase of an agent's connection that comes after one that is over."""
    receiver, settings = s.receivers[agent], s.settings[0]
    if phase == START:
        return REQUEST_UP if _connects(s) else DONE
    if phase == REQUEST_UP:
        return _come(s, agent)
    if phase == CONNECTION_SLOT:
        let_go(s, home(s, agent))
        return _accept(s, home(s, agent))
    if len(s.options) > 1 and phase == KNOCKS:
        return _knock(s, agent)
    if phase == CONNECT:
        if len(s.options) > 1:
            s.nodes[home(s, agent)].accepting -= 1
        if len(s.options) > 2 and is_down(s, home(s, agent)):
            disconnect(s, home(s, agent))
            return _turn_away(s, agent)
        _open(s, agent)
        if s.stages[SESSION].where == NOWHERE:
            return DONE
        if len(s.options) > 0 and settings.evicts:
            _stay(s, agent)
            return DONE
        return SESSION
    if phase == SESSION:
        _leave(s, agent)
        return RECONNECT if settings.reconnects else DONE
    if len(s.options) > 0 and phase != RECONNECT:
        return _attend_with_option(s, agent, phase)
    receiver.attempt += 1  # RECONNECT
    return REQUEST_UP


@inlined
def _connects(s: State) -> bool:
    """Return whether agents keep connections."""
    if len(s.options) > 2 and s.settings[0].posts > 0:
        return False
    return not (len(s.options) > 0 and s.settings[0].elicits == BY_REPLY)


@inlined
def _with_options(s: State, entity: int, phase: int) -> int:
    """Do what options add to the end of a phase; return the phase that is over then."""
    if phase in (WRITE, COMMITTED) and s.settings[0].elicits != BY_REPLY:
        _hand_over_copies(s, message_of(s, entity))
    return WRITE if phase in (STORED, COMMITTED) else after_the_limit(s, entity, phase)


@inlined
def _hand_over_copies(s: State, place: int) -> None:
    """Let the other messages of a broadcast go on by themselves, now that they are stored.

    Their requests have nobody to answer: they wait for the answers of their targets at once.
    """
    copy = s.messages[place].connection
    while copy >= 0:
        place_on(s, copy, own(s, place))
        make_ready(s, payload(s, copy), STORED)
        if s.settings[0].elicits:
            s.messages[copy].alive = 2
            make_ready(s, request(s, copy), ACKNOWLEDGE)
        copy = s.messages[copy].connection


@inlined
def _crosses(s: State, place: int) -> bool:
    message = s.messages[place]
    to = loop_of(s, message.target, targets(s, place))
    return loop_of(s, message.sender, own(s, place)) != to


@inlined
def _is_far(s: State, place: int) -> bool:
    """Return whether the target of a stored message is connected to another node than its own.

    That of a target without a connection is that of the message.
    """
    if s.settings[0].elicits == BY_REPLY:
        return False
    client, site = _client(s, place), s.sites[place]
    site.targets = site.own
    if s.receivers[client].status == CONNECTED:
        site.targets = s.homes[client].node
    return site.targets != site.own


@outlined
def _push(s: State, entity: int, place: int) -> int:
    """Send a stored message over its target's connection, or do as the overflow policy says."""
    message, settings = s.messages[place], s.settings[0]
    target = s.receivers[_client(s, place)]
    if target.status != CONNECTED:
        _miss(s, place)
        return _after_push(s, entity, place)
    message.connection = target.attempt
    if len(s.options) > 1 and has_nodes(s):
        s.sites[place].targets = s.homes[_client(s, place)].node
    if target.queued == settings.outbound:
        if len(s.options) > 0 and settings.outbound_policy != DROP_NEW:
            return _overflow(s, entity, place)
        end(s, place, DROPPED)
        return _after_push(s, entity, place)
    target.queued += 1
    return _queue(s, entity, place)


@inlined
def _client(s: State, place: int) -> int:
    """Return the client that a message is for."""
    return client_of(s, s.messages[place].target)


@inlined
def _miss(s: State, place: int) -> None:
    target = s.receivers[_client(s, place)]
    if s.settings[0].overflow != REJECT or target.status == NEVER_CONNECTED:
        post(s, target, place)
    else:
        end(s, place, REJECTED)


@inlined
def _queue(s: State, entity: int, place: int) -> int:
    """Let a message that has its place in an outbound queue be sent."""
    if len(s.options) > 0 and len(s.links) > 0:
        s.links[place] = NOBODY
        if s.settings[0].batch > 0:
            _collect(s, place)
            return _after_push(s, entity, place)
        if s.stages[SEND].where != NOWHERE:
            _line_up_to_be_sent(s, place)
    return SEND


@outlined
def _sent(s: State, entity: int, place: int) -> int:
    message = s.messages[place]
    if len(s.options) > 0 and len(s.links) > 0:
        if s.settings[0].batch > 0:
            _batch_sent(s, place)
            return DONE
        if s.links[place] == DROPPED_IN_QUEUE:
            release(s, place)
            return _after_push(s, entity, place)
    if is_open(s, message):
        _free_slot(s, _client(s, place))
        s.counts[0].sent += 1
        make_ready(s, payload(s, place), SENT)
    elif s.settings[0].overflow != REJECT:
        return _push(s, entity, place)
    else:
        end(s, place, LOST)
    return _after_push(s, entity, place)


@inlined
def _after_push(s: State, entity: int, place: int) -> int:
    """Return what comes next: its sender is answered, where it was not by another entity."""
    return ACKNOWLEDGE if entity == request(s, place) else DONE


@outlined
def _come(s: State, agent: int) -> int:
    """Let an agent come to a node, which lets it in, refuses it, or lets it wait for a place."""
    s.counts[0].attempts += 1
    if not is_unreachable(s):
        receive(s, agent, s.receivers[agent].attempt)
    if len(s.options) > 1 and s.settings[0].backlog >= 0:
        s.clients[agent].timeout = FIRST_TIMEOUT
    return _knock(s, agent)


@outlined
def _knock(s: State, agent: int) -> int:
    """Let an agent in, refuse it, let it wait for a place, or, with a full backlog, come again."""
    counts, settings = s.counts[0], s.settings[0]
    is_reachable = not is_unreachable(s)
    node = home(s, agent)
    if len(s.options) > 1 and is_reachable and _drops(s, node):
        _knock_later(s, agent)
        return DONE
    if is_reachable and not is_full(s, node):
        connect(s, node)
        return _accept(s, node)
    if not is_reachable or settings.overflow != WAIT:
        return _turn_away(s, agent)
    entity = 2 * agent
    s.events[entity].phase = CONNECTION_SLOT
    if len(s.options) > 1:
        append(s, s.nodes[node].line, entity)
        hold(s, node)
    else:
        append(s, counts.line, entity)
    return DONE


@inlined
def _accept(s: State, node: int) -> int:
    """Let a node accept a connection that has its place; return the phase that this is."""
    if len(s.options) > 1:
        s.nodes[node].accepting += 1
    return CONNECT


@inlined
def _drops(s: State, node: int) -> bool:
    """Return whether a node has no place for one more attempt that it has to accept."""
    return 0 <= s.settings[0].backlog <= s.nodes[node].accepting


@inlined
def _knock_later(s: State, agent: int) -> None:
    """Drop an attempt, which the host of the client repeats."""
    timeout = s.clients[agent].timeout
    s.clients[agent].timeout = next_timeout(timeout)
    s.counts[0].dropped += 1
    s.events[2 * agent].phase = KNOCKS
    schedule(s, 2 * agent, timeout, NOBODY)


@outlined
def _turn_away(s: State, agent: int) -> int:
    """Refuse an agent, who comes back, or polls until then."""
    _refuse(s, agent)
    if len(s.options) > 0 and s.settings[0].overflow == FALLBACK:
        return _fall_back(s, agent)
    return RECONNECT if s.settings[0].reconnects else DONE


@inlined
def _refuse(s: State, agent: int) -> None:
    receiver = s.receivers[agent]
    s.counts[0].refused += 1
    receiver.status = KNOWN
    if len(s.options) > 0 and s.settings[0].backoff > 0:
        client, settings = s.clients[agent], s.settings[0]
        client.multiple = grown(client.multiple, settings.backoff, settings.backoff_cap)
    if s.settings[0].overflow == REJECT:
        while receiver.mailbox >= 0:
            end(s, take(s, receiver), REJECTED)


@outlined
def _open(s: State, agent: int) -> None:
    receiver = s.receivers[agent]
    receiver.status = CONNECTED
    receiver.queued = 0
    if len(s.options) > 0 and len(s.clients) > 0:
        _begin_connection(s, agent)
    if len(s.options) > 0:
        expire(s, agent)
    if len(s.options) > 2 and s.cuts.shape[1] > 0:
        join(s.counts[0].opened, s.clients.older, s.clients.younger, agent)
    while receiver.mailbox >= 0:
        make_ready(s, payload(s, take(s, receiver)), UNPARKED)


@outlined
def _leave(s: State, agent: int) -> None:
    counts = s.counts[0]
    s.receivers[agent].status = KNOWN
    if len(s.options) > 2 and s.cuts.shape[1] > 0:
        leave(counts.opened, s.clients.older, s.clients.younger, agent)
    if len(s.options) > 0 and s.settings[0].outbound_policy == BLOCK:
        while s.clients[agent].blocked >= 0:
            _wake_blocked(s, agent)
    if len(s.options) > 0 and s.settings[0].batch > 0:
        _give_back(s, agent)
    node = home(s, agent)
    if len(s.options) > 1:
        if s.nodes[node].line.first >= 0:
            schedule(s, take_first(s, s.nodes[node].line), 0.0, 0)
            return
    elif counts.line.first >= 0:
        schedule(s, take_first(s, counts.line), 0.0, 0)
        return
    disconnect(s, node)


# Options: the code below is compiled for systems with some of them alone.


@inlined
def _is_of_option(s: State, phase: int) -> bool:
    """Return whether an option says what comes after a phase."""
    if phase in (PUSH_DOWN, ACKNOWLEDGE):
        return s.settings[0].elicits > 0
    return phase >= OF_OPTIONS or HEARTBEAT <= phase <= VALIDATE_ANSWER


@outlined
def _go_on_with_option(s: State, entity: int, place: int, phase: int) -> int:
    """Return the phase of a message or a timer that comes after one of an option."""
    message = s.messages[place]
    if phase == QUEUE_SLOT:
        return _queue(s, entity, place) if is_open(s, message) else _push(s, entity, place)
    if phase == EXPIRY:
        close(s, place, EXPIRED)
    if phase in (PUSH_DOWN, REACHED):
        return _reach(s, place)
    if phase == ACKNOWLEDGE:
        acknowledge(s, place)
    if phase == ACKNOWLEDGE and s.settings[0].elicits == BY_REPLY and message.pending:
        _reply_with_request(s, place)
    if phase in (ACKNOWLEDGE, EXPIRES):
        return _expire(s, entity, place)
    if ANSWER_THINK <= phase <= VALIDATE_ANSWER:
        return _answer(s, place, phase)
    if phase == FLUSHED:
        return SEND
    if phase == LINGER:
        return _lingered(s, entity, place)
    if phase == BEATS:
        return BEATING
    if phase == BEATING:
        return _beat(s, place)
    if phase == BEAT:
        return HEARTBEAT
    if phase == STAYING and is_open(s, message):
        _leave(s, message.target)
        begin(s, 2 * message.target, RECONNECT)
    release(s, place)
    return DONE


@inlined
def _reply_with_request(s: State, first: int) -> None:
    """Let the reply to a sender carry the request, which its client answers by a new call."""
    place = first
    while place >= 0:
        make_ready(s, payload(s, place), SENT)
        place = s.messages[place].connection
    copy = s.messages[first].connection
    while copy >= 0:
        s.messages[copy].alive = 2
        make_ready(s, request(s, copy), EXPIRES)
        copy = s.messages[copy].connection


@inlined
def _reach(s: State, place: int) -> int:
    """Let the target of a message answer, whether that has expired by now or not."""
    s.reached[place] = s.queue[0].now
    if _how(s, place) == NO_ANSWER:
        release(s, place)
        return DONE
    return ANSWER_THINK


@inlined
def _answer(s: State, place: int, phase: int) -> int:
    """Return the phase of an answer that comes after one that is over."""
    if phase == ANSWER_THINK:
        return ANSWER_UP
    if phase == ANSWER_UP:
        if is_unreachable(s):
            release(s, place)
            return DONE
        if len(s.options) > 1 and has_nodes(s):
            _bring_answer(s, place)
        return PARSE_ANSWER
    if phase == PARSE_ANSWER and _how(s, place) == ACCEPT:
        return VALIDATE_ANSWER
    let_go(s, own(s, place) if s.settings[0].elicits == BY_REPLY else targets(s, place))
    s.counts[0].answered += 1 if s.messages[place].pending else 0
    end(s, place, DELIVERED)
    return DONE


@inlined
def _bring_answer(s: State, place: int) -> None:
    """Let the balancer send an answer to a node."""
    message, site = s.messages[place], s.sites[place]
    by_reply = s.settings[0].elicits == BY_REPLY
    agent = message.sender if by_reply else message.target
    node = choose(s, agent, OF_ANSWER, message.sender, index_of(s, message))
    if by_reply:
        site.own = node
    else:
        site.targets = node
    hold(s, node)


@inlined
def _how(s: State, place: int) -> int:
    """Return how the target of a message answers; a draw by address is the same each time."""
    message, settings = s.messages[place], s.settings[0]
    u = uniform(settings.seed, ANSWER, message.sender, index_of(s, message))
    return answer(u, settings.accept, settings.decline, settings.cancel)


@inlined
def _expire(s: State, entity: int, place: int) -> int:
    """Let a message end at its deadline, unless it has ended before."""
    message, now = s.messages[place], s.queue[0].now
    deadline = message.stored + s.settings[0].answer_timeout
    if message.pending and now < deadline:
        s.events[entity].phase = EXPIRY
        schedule(s, entity, deadline - now, NOBODY)
        return DONE
    close(s, place, EXPIRED)
    release(s, place)
    return DONE


@outlined
def _attend_with_option(s: State, agent: int, phase: int) -> int:
    """Return the phase of an agent that polls, or comes back, that comes after one of an option."""
    receiver, counts = s.receivers[agent], s.counts[0]
    if phase == EVICTED:
        return RECONNECT
    if len(s.options) > 2 and phase == TURNED_AWAY:
        let_go(s, home(s, agent))
        _refuse(s, agent)
        return RECONNECT if s.settings[0].reconnects else DONE
    if len(s.options) > 2 and phase == REFUSED:
        return FALLBACK_SLEEP
    if phase == FALLBACK_SLEEP:
        receiver.attempt += 1
        return REQUEST_UP if s.queue[0].now >= s.clients[agent].until else POLL_UP
    if phase == POLL_UP:
        if is_unreachable(s):
            return REFUSED
        receive(s, agent, receiver.attempt)
        hold(s, home(s, agent))
        return PARSE_REQUEST
    if phase == PARSE_REQUEST:
        counts.cycles += 1
        return QUERY_CPU
    if phase == QUERY_CPU:
        counts.queries += 1
        return QUERY
    if phase == QUERY:
        if s.clients[agent].found < 0:
            counts.wasted += 1
        return RESPOND
    if phase == RESPOND:
        let_go(s, home(s, agent))
        return ANSWER_DOWN
    _receive(s, agent)
    return FALLBACK_SLEEP


@inlined
def _fall_back(s: State, agent: int) -> int:
    """Let an agent poll, until it is time to try to connect again."""
    client, stage = s.clients[agent], s.stages[RECONNECT]
    client.until = float("inf")
    if s.settings[0].reconnects:
        wait = value(s, stage, agent, s.receivers[agent].attempt) * client.multiple
        client.until = s.queue[0].now + wait
    return FALLBACK_SLEEP


@inlined
def _receive(s: State, agent: int) -> None:
    """Deliver what was in an agent's mailbox when its poll was answered."""
    last = s.clients[agent].found
    message = NOBODY
    while message != last:
        message = take(s, s.receivers[agent])
        if s.settings[0].elicits:
            make_ready(s, payload(s, message), REACHED)
        else:
            end(s, message, DELIVERED)


@inlined
def _begin_connection(s: State, agent: int) -> None:
    client = s.clients[agent]
    client.multiple = 1.0
    client.oldest = NOBODY
    if s.settings[0].heartbeat:
        beats = timer(s, agent)
        place_on(s, message_of(s, beats), home(s, agent))
        make_ready(s, beats, BEATS)


@inlined
def _stay(s: State, agent: int) -> None:
    """Let a session begin that the server may end earlier: the agent then does not wait for it."""
    entity, stage = timer(s, agent), s.stages[SESSION]
    s.events[entity].phase = STAYING
    schedule(s, entity, value(s, stage, agent, s.receivers[agent].attempt), stage.lane)


@inlined
def _beat(s: State, place: int) -> int:
    """Send a heartbeat, unless the last one is not over yet, and wait for the next."""
    message = s.messages[place]
    if not is_open(s, message):
        release(s, place)
        return DONE
    if message.alive == 1:
        message.alive = 2
        index = attempt_index(message.connection, message.number)
        message.costs[0] = value(s, s.stages[HEARTBEAT], message.sender, index)
        make_ready(s, payload(s, place), BEAT)
    message.number += 1
    return BEATING


@outlined
def _overflow(s: State, entity: int, place: int) -> int:
    """Do as the outbound policy says with a message for which there is no place."""
    policy, agent = s.settings[0].outbound_policy, _client(s, place)
    if policy == BLOCK:
        _line_up_for_slot(s, agent, entity)
        return DONE
    if policy == DISCONNECT:
        _leave(s, agent)
        make_ready(s, 2 * agent, EVICTED)
        _miss(s, place)
        return _after_push(s, entity, place)
    oldest = s.clients[agent].oldest
    if oldest < 0:
        end(s, place, DROPPED)
        return _after_push(s, entity, place)
    s.clients[agent].oldest = s.links[oldest]
    if s.settings[0].batch > 0:
        end(s, oldest, DROPPED)
        s.links[place] = NOBODY
        _line_up_to_be_sent(s, place)  # in the place of the other: the batch is as old as it was
        return _after_push(s, entity, place)
    s.links[oldest] = DROPPED_IN_QUEUE
    close(s, oldest, DROPPED)
    return _queue(s, entity, place)


@inlined
def _collect(s: State, place: int) -> None:
    """Put a message into the batch of its connection, which goes out when it is full."""
    agent = _client(s, place)
    client = s.clients[agent]
    if client.collected == 0:
        _wait_for_more(s, agent)
    _line_up_to_be_sent(s, place)
    client.collected += 1
    if client.collected == s.settings[0].batch:
        _flush(s, agent)


@inlined
def _wait_for_more(s: State, agent: int) -> None:
    """Let a batch linger.

    A batch that is full before leaves its timer behind. But a later batch never has to go out
    before an earlier one, so one timer for a client is enough: when it comes, and another batch is
    being collected by then, it is put off to the time, and the order, of that one.
    """
    client, queue = s.clients[agent], s.queue[0]
    client.due = queue.now + s.settings[0].linger
    client.due_order = queue.order
    queue.order += 1
    if client.timer < 0:
        client.timer = timer(s, agent)
        _put_off(s, agent)


@inlined
def _put_off(s: State, agent: int) -> None:
    client = s.clients[agent]
    event = s.events[client.timer]
    event.phase = LINGER
    event.time = client.due
    event.order = client.due_order
    insert(s, client.timer)


@inlined
def _lingered(s: State, entity: int, place: int) -> int:
    agent = s.messages[place].target
    client = s.clients[agent]
    if client.collected > 0 and client.due_order != s.events[entity].order:
        _put_off(s, agent)
        return DONE
    if client.collected > 0:
        _flush(s, agent)
    client.timer = NOBODY
    release(s, place)
    return DONE


@inlined
def _flush(s: State, agent: int) -> None:
    client = s.clients[agent]
    make_ready(s, payload(s, client.oldest), FLUSHED)
    client.oldest = NOBODY
    client.collected = 0


@inlined
def _batch_sent(s: State, first: int) -> None:
    """Let the messages of a batch travel, or give them up where their connection has closed."""
    still_open = is_open(s, s.messages[first])
    place = first
    while place >= 0:
        after = s.links[place]
        if still_open:
            _free_slot(s, _client(s, place))
            s.counts[0].sent += 1
            make_ready(s, payload(s, place), SENT)
        else:
            _give_up(s, place)
        place = after


@inlined
def _give_back(s: State, agent: int) -> None:
    """Let the batch go that is being collected for a connection which closes."""
    client = s.clients[agent]
    place = client.oldest
    client.oldest = NOBODY
    client.collected = 0
    while place >= 0:
        after = s.links[place]
        _give_up(s, place)
        place = after


@outlined
def _give_up(s: State, place: int) -> None:
    if s.settings[0].overflow == REJECT:
        end(s, place, LOST)
    else:
        make_ready(s, payload(s, place), UNPARKED)


@inlined
def _line_up_to_be_sent(s: State, place: int) -> None:
    client = s.clients[_client(s, place)]
    if client.oldest < 0:
        client.oldest = place
    else:
        s.links[client.newest] = place
    client.newest = place


@inlined
def _line_up_for_slot(s: State, agent: int, entity: int) -> None:
    client, event = s.clients[agent], s.events[entity]
    event.phase = QUEUE_SLOT
    if client.blocked < 0:
        event.next = entity
    else:
        event.next = s.events[client.blocked].next
        s.events[client.blocked].next = entity
    client.blocked = entity


@inlined
def _free_slot(s: State, agent: int) -> None:
    """Hand the slot of a message that was sent to the request that has waited longest."""
    if len(s.options) > 0 and len(s.clients) > 0 and s.clients[agent].blocked >= 0:
        _wake_blocked(s, agent)
    else:
        s.receivers[agent].queued -= 1


@inlined
def _wake_blocked(s: State, agent: int) -> None:
    client = s.clients[agent]
    last = client.blocked
    first = s.events[last].next
    if first == last:
        client.blocked = NOBODY
    else:
        s.events[last].next = s.events[first].next
    schedule(s, first, 0.0, 0)


# Faults that cut connections.


@of_failures
def _cut(s: State, fault: int) -> None:
    """Cut the connections of the agents that are hit, who try again later.

    While nobody reaches the server, those that wait in line for a place are refused, too.
    """
    counts, failed = s.counts[0], failing(s, fault)
    all_are_hit = failed < 0 and is_unreachable(s)
    if s.settings[0].posts > 0:
        return  # there are no connections, and those in line are posts
    for node in range(len(s.nodes)):
        while (all_are_hit or node == failed) and s.nodes[node].line.first >= 0:
            entity = take_first(s, s.nodes[node].line)
            s.events[entity].phase = TURNED_AWAY
            schedule(s, entity, 0.0, 0)
    agent, seed = counts.opened.first, s.settings[0].seed
    while agent >= 0:
        younger = s.clients[agent].younger
        is_on_it = failed >= 0 and home(s, agent) == failed
        if is_on_it or (failed < 0 and is_hit(seed, agent, fault, s.cuts[2, fault])):
            _leave(s, agent)
            make_ready(s, 2 * agent, EVICTED)
        agent = younger
