"""Webhooks: what posts messages, and the posts; see `lhsim.models.webhook_processes`.

A stored message gets a place for its *poster*, whose request posts it, again and again; a post has
a place, too, whose request travels to the target and back, and whose payload is the end of the
server's patience. Both know their kind by their `original`. A post names its poster, and a poster
its message, as their `connection`; each keeps what it names.
"""

from __future__ import annotations

from lhsim._jit import inlined
from lhsim.compiled.costs import loop_of
from lhsim.compiled.ledger import (
    DELIVERED,
    close,
    index_of,
    message_of,
    new_place,
    payload,
    release,
    request,
)
from lhsim.compiled.lists import append, take_first
from lhsim.compiled.outlining import of_failures
from lhsim.compiled.queue import make_ready, schedule
from lhsim.compiled.state import (
    ANSWER_THINK,
    ANSWER_UP,
    ANSWERED,
    DONE,
    FAILED,
    POST,
    POST_AGAIN,
    POST_OVERDUE,
    POST_SLOT,
    POSTED,
    POSTER,
    POSTS,
    PUSH_DOWN,
    RELAY,
    SEND,
    Record,
    State,
)
from lhsim.metrics.account import Outcome
from lhsim.rules import back_off
from lhsim.streams import Purpose, uniform

LOST = int(Outcome.LOST)
POST_FAILURE = int(Purpose.POST_FAILURE)


@of_failures
def hand_to_posters(s: State, place: int) -> None:
    """Let all messages be posted that were stored together."""
    while place >= 0:
        after = s.messages[place].connection
        poster = _place_of(s, place, place, POSTER)
        s.messages[poster].open = s.messages[poster].given_up = s.messages[poster].posts = 0
        make_ready(s, request(s, poster), POSTS)
        place = after


@inlined
def _place_of(s: State, place: int, named: int, kind: int) -> int:
    """Return a place for what has the draws of that at another one, and names what it keeps."""
    new = new_place(s)
    made, model = s.messages[new], s.messages[place]
    made.sender = model.sender
    made.number = model.number
    made.target = model.target
    made.attempt = model.attempt
    made.connection = named
    made.pending = 0
    made.waits = 0
    made.alive = 1
    made.original = kind
    return new


@of_failures
def go_on_with_posts(s: State, entity: int, phase: int) -> int:
    """Return the phase of a poster, or a post, that comes after one that is over."""
    place = message_of(s, entity)
    if s.messages[place].original == POST:
        return _go_on_with_post(s, place, phase)
    if phase == POSTS and _crosses(s, s.messages[place]):
        return RELAY
    if phase in (POSTS, RELAY):
        return _take_slot(s, entity)
    if phase == POST_SLOT:
        return SEND
    if phase == SEND:
        _post(s, place)
    elif phase == POST_AGAIN:
        s.counts[0].retries += 1
        return _take_slot(s, entity)
    elif phase == ANSWERED:
        _leave_slot(s)
        _let_go(s, place)
    else:  # FAILED
        _leave_slot(s)
        _wait_or_give_up(s, entity, place)
    return DONE


@inlined
def _crosses(s: State, message: Record) -> bool:
    return loop_of(s, message.sender, 0) != loop_of(s, message.target, 0)


@of_failures
def _take_slot(s: State, entity: int) -> int:
    """Return the phase of a poster that wants to post: there may be too many posts under way."""
    node, slots = s.nodes[0], s.settings[0].post_slots
    if slots < 0:
        return SEND
    if node.occupied < slots:
        node.occupied += 1
        return SEND
    s.events[entity].phase = POST_SLOT
    append(s, node.line, entity)
    return DONE


@inlined
def _leave_slot(s: State) -> None:
    """Hand a slot over to the poster that has waited longest for one."""
    node = s.nodes[0]
    if s.settings[0].post_slots < 0:
        return
    if node.line.first >= 0:
        schedule(s, take_first(s, node.line), 0.0, 0)
    else:
        node.occupied -= 1


@inlined
def _post(s: State, poster: int) -> None:
    """Let a post set out, and wait for its answer."""
    s.counts[0].sent += 1
    s.messages[poster].open += 1
    s.messages[poster].alive += 1
    post = _place_of(s, poster, poster, POST)
    s.messages[post].posts = s.messages[poster].posts
    s.messages[post].waits = 1
    s.messages[post].alive = 2
    timer = payload(s, post)
    s.events[timer].phase = POST_OVERDUE
    schedule(s, timer, s.settings[0].post_timeout, s.stages[POST_OVERDUE].lane)
    make_ready(s, request(s, post), POSTED)


@inlined
def _wait_or_give_up(s: State, entity: int, place: int) -> None:
    settings, poster = s.settings[0], s.messages[place]
    poster.posts += 1
    if poster.posts == settings.posts:
        poster.given_up = 1
        _end_if_lost(s, place)
        _let_go(s, place)
        return
    first, factor, longest = settings.post_backoff, settings.post_factor, settings.post_longest
    s.events[entity].phase = POST_AGAIN
    delay = back_off(first, factor, longest, poster.posts)
    schedule(s, entity, delay, s.stages[POST_AGAIN].lane)


@inlined
def _go_on_with_post(s: State, place: int, phase: int) -> int:
    if phase == POSTED:
        return PUSH_DOWN
    if phase == PUSH_DOWN:
        return _reach(s, place)
    if phase == ANSWER_THINK:
        return ANSWER_UP
    if phase == ANSWER_UP:
        if s.counts[0].outages == 0:
            _answer(s, place, ANSWERED if _is_accepted(s, place) else FAILED)
        _let_go(s, s.messages[place].connection)
    elif s.messages[place].waits:  # POST_OVERDUE
        s.counts[0].given_up += 1
        _answer(s, place, FAILED)
    release(s, place)
    return DONE


@inlined
def _is_accepted(s: State, place: int) -> bool:
    post, settings = s.messages[place], s.settings[0]
    u = uniform(settings.seed, POST_FAILURE, post.sender, index_of(s, post))
    return u >= settings.post_failure


@inlined
def _reach(s: State, place: int) -> int:
    """Let a post arrive: the target works on it, or refuses it."""
    poster = s.messages[place].connection
    message = s.messages[poster].connection
    s.messages[poster].open -= 1
    if not _is_accepted(s, place):
        _end_if_lost(s, poster)
        return ANSWER_UP
    if s.messages[message].pending:
        close(s, message, DELIVERED)
    else:
        s.counts[0].duplicates += 1
    return ANSWER_THINK


@inlined
def _answer(s: State, place: int, phase: int) -> None:
    """Let the poster go on, unless it has done so before."""
    post = s.messages[place]
    if post.waits:
        post.waits = 0
        poster = request(s, post.connection)
        s.events[poster].phase = phase
        schedule(s, poster, 0.0, 0)


@of_failures
def _end_if_lost(s: State, poster: int) -> None:
    """End a message of which no post has arrived, nor will."""
    message = s.messages[poster].connection
    lost = s.messages[poster].given_up and s.messages[poster].open == 0
    if lost and s.messages[message].pending:
        close(s, message, LOST)


@of_failures
def _let_go(s: State, poster: int) -> None:
    """Let the poster, or a post of it, end; the last of them lets the message go."""
    is_last = s.messages[poster].alive == 1
    message = s.messages[poster].connection
    release(s, poster)
    if is_last:
        release(s, message)
