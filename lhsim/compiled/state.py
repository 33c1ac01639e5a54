"""What the compiled engine has in memory.

Entities have numbers. Each has an event in one array of records of 24 bytes; a message, which has
two entities, and the receiving side of an agent have more to say and take several of its places ::

    2 a          agent a's receiving side; its record takes the places 2 a and 2 a + 1; where
                 several agents share a connection, the first of them has it for all
    2 N + a      agent a's sending side
    3 N + 7 m    message m's request, which brings it to the server and waits for the answer
    3 N + 7 m + 1  its payload, on its own once it is stored; the record takes the 7 places

A message's place is used again when both have ended, so the memory follows the messages on their
way and not all that there were. A timer, which may go off when nobody waits for it any more, takes
the place of a message, too (`lhsim.compiled.ledger.timer`).

Where senders try again, a message has a place for what its sender knows of it, and one for each
attempt; where a request for messages may be given up, each has one. Their costs are drawn when they
begin, and in the room for them there are two more entities ::

    3 N + 7 m + 4  the end of a client's patience
    3 N + 7 m + 5  the reply, on its way to its sender
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lhsim.distributions.table import CELLS
from lhsim.metrics.account import BATCHES, Outcome
from lhsim.metrics.histogram import BUCKETS
from lhsim.streams import Purpose

NOBODY = -1  # the end of a list, and an empty one

# Phases: what an entity waits for. A random one has the number of its draw's purpose.
START = int(Purpose.START)
MESSAGE_GAP = int(Purpose.MESSAGE_GAP)
PAUSE = int(Purpose.PAUSE)
THINK = int(Purpose.THINK)
MESSAGE_UP = int(Purpose.MESSAGE_UP)
REQUEST_UP = int(Purpose.REQUEST_UP)
ANSWER_DOWN = int(Purpose.ANSWER_DOWN)
PUSH_DOWN = int(Purpose.PUSH_DOWN)
PARSE_MESSAGE = int(Purpose.PARSE_MESSAGE)
PARSE_REQUEST = int(Purpose.PARSE_REQUEST)
VALIDATE = int(Purpose.VALIDATE)
WRITE_CPU = int(Purpose.WRITE_CPU)
WRITE = int(Purpose.WRITE)
QUERY_CPU = int(Purpose.QUERY_CPU)
QUERY = int(Purpose.QUERY)
RESPOND = int(Purpose.RESPOND)
ACKNOWLEDGE = int(Purpose.ACKNOWLEDGE)
RETRY = int(Purpose.RETRY)  # the back-off of a sender before its next attempt
REPLY_DOWN = int(Purpose.REPLY_DOWN)
CONNECT = int(Purpose.CONNECT)
SEND = int(Purpose.SEND)
RELAY = int(Purpose.RELAY)
LINK = int(Purpose.LINK)
SESSION = int(Purpose.SESSION)
RECONNECT = int(Purpose.RECONNECT)
COLLECTION = int(Purpose.COLLECTION)
DELETE_CPU = int(Purpose.DELETE_CPU)
DELETE = int(Purpose.DELETE)
HEARTBEAT = int(Purpose.HEARTBEAT)
ANSWER_THINK = int(Purpose.ANSWER_THINK)
ANSWER_UP = int(Purpose.ANSWER_UP)
PARSE_ANSWER = int(Purpose.PARSE_ANSWER)
VALIDATE_ANSWER = int(Purpose.VALIDATE_ANSWER)
PAYLOAD = int(Purpose.PAYLOAD)  # the size of a message
ANSWER_PAYLOAD = int(Purpose.ANSWER_PAYLOAD)
SLEEP = int(Purpose.SLEEP)  # between two queries; random is its jitter
LOOK_UP = int(Purpose.LOOK_UP)
# The others come after all purposes. Those that wait for nothing go on at once.
BACKOFF = 70  # after a refusal
REFUSED = 71  # the answer that refuses a request, on its way down
CONNECTION_SLOT = 72
CREATED = 73  # nothing: the request sets out
UNPARKED = 74  # nothing: the payload is pushed, now that its target is connected
SENT = 75  # nothing: the payload travels down
FIRST_GAP = 76  # from the start of a sender to its first message
LOCKED = 77  # of a writer that has found the database locked
STORED = 78  # nothing: the payload of a broadcast's copy is handed over
ALARM = 79  # the sleep of a request that a write may end before
COLLECTED = 80  # nothing: a batch is written, by the request of its first event
COMMITTED = 81  # nothing: a request goes on, now that its batch is stored
GIVEN_UP = 82  # nothing: a request goes on, whose batch has found the database locked for too long
WRITE_LINGER = 83  # of a timer: for the batch of writes that is being collected
# Those of a queue.
VISIBLE = 84  # of a timer: from when on others may take a message that was taken
DELETE_UP = 85  # the request by which a consumer deletes what it has done
PARSE_DELETE = 86
DELETED_DOWN = 87  # its answer
# Those of webhooks, which systems with failures alone know; the others follow.
POSTS = 88  # nothing: a poster begins
POST_SLOT = 89  # of a poster, among the posts that may be under way
# Options of the push server, from the first of their phases on.
OF_OPTIONS = 90
QUEUE_SLOT = 90  # in an outbound queue that is full
EVICTED = 91  # nothing: the agent comes back after the server has closed its connection
STAYING = 92  # its session, where the server may end it earlier: it is then the wait of a timer
BEATING = 93  # the time between two heartbeats, of a timer
BEATS = 94  # nothing: a timer of heartbeats starts
BEAT = 95  # nothing: a heartbeat sets out
FALLBACK_SLEEP = 96  # of an agent that was refused, to its next poll
POLL_UP = 97  # its poll, on its way up
LINGER = 98  # of a timer: for the batch of its connection that is being collected
FLUSHED = 99  # nothing: a batch is sent, by the payload of its first message
EXPIRY = 100  # of a request, whose sender has been answered: for the answer of the target
REACHED = 101  # nothing: a message that a poll has brought is answered
EXPIRES = 102  # nothing: a request has answered nobody, and waits for the answer of the target
# The request/response server's, and those of stations that are shared.
ASKS = 103  # nothing: a client takes its next request
WORKER = 104  # nothing: a request has a worker now
PATIENCE = 105  # of a client, for the answer to its request
SLICE_OVER = 106  # of the timer of a slice of time
HELD = 107  # nothing: the turn has ended for which an answer has waited
# Those of failures: of clients that give up and try again, and of faults that cut connections.
OF_FAILURES = 108
SENDS = 108  # nothing: a sender makes its first attempt
ANSWERED = 109  # nothing: a client has its answer
FAILED = 110  # nothing: a client has none, and knows it
GIVES_UP = 111  # the end of a sender's patience with an attempt
TIMES_OUT = 112  # that of an agent with its request for messages
REPLIES = 113  # nothing: the reply to an attempt sets out
ASKED = 114  # nothing: a request for messages sets out
FAULT = 115  # of a fault, which happens
OUTAGE = 116  # of a fault, which is over
TURNED_AWAY = 117  # nothing: a client that waited in line for a place gets none
POST_AGAIN = 130  # the back-off of a poster
POST_OVERDUE = 131  # of a timer: the server's patience with a post
POSTED = 132  # nothing: a post sets out
KNOCKS = 133  # until the host of a client repeats an attempt that was dropped
PHASES = 134
DONE = -1  # the entity waits for nothing any more

# Where a phase passes.
NOWHERE = 0  # it takes no time in this system, and no event
ON_THE_WAY = 1  # a time that nothing queues for
OWN_LOOP = 2  # on the loop that serves the agent, or the message's sender
TARGETS_LOOP = 3  # on the loop that serves the message's target
POOL = 4  # the database connections
WRITER = 5  # the writer of the database

# Topologies, and policies by their index in `lhsim.models.push`.
TO_NEXT, TO_ANYONE, TO_HUB, TO_ALL, TO_SENDER = 0, 1, 2, 3, 4
REJECT, WAIT, FALLBACK = 0, 1, 2
# Whom a write wakes: below `WAKES_ALL` its target alone, and else the longest asleep, or all.
WAKES_TARGET, WAKES_ALL, WAKES_FIRST = 1, 2, 3
BY_ATTEMPT, BY_QUERY, BY_DELETE = 0, 1, 2  # which index of a receiver a draw has
DROP_NEW, DROP_OLDEST, BLOCK, DISCONNECT = 0, 1, 2, 3
BY_REPLY = 2  # how a message asks its target; 0: it does not

# Whose bytes a stage costs: nobody's, those of the message or request, of a request's answer, or of
# the messages that an answer holds.
NO_SIZE, OF_MESSAGE, OF_ANSWER, OF_FOUND = 0, 1, 2, 3

# What a client is to the push server.
NEVER_CONNECTED, KNOWN, CONNECTED = 0, 1, 2

# What a message is: pending, an attempt at one that is. And whose place it is: see `original`.
OF_ATTEMPT = 2
WAIT_REQUEST = -2
POSTER, POST = -3, -4

# A record's name is the field's comment; times in seconds, numbers of entities as int32.
ENDS = np.dtype([("first", "i4"), ("last", "i4")])  # of a list: `lhsim.compiled.lists`
EVENT = np.dtype(
    [
        ("time", "f8"),  # when it happens
        ("order", "i8"),  # in which the events were scheduled
        ("next", "i4"),  # entity in the same list
        ("phase", "i4"),  # of a sender: see `lhsim.compiled.senders`
    ]
)
# Two places of EVENT: what an event says, and what either architecture has to add.
RECEIVER = np.dtype(
    {
        "names": [*(EVENT.names or ()), "attempt", "mailbox", "since", "query", "found",
                  "queued", "status"],
        "formats": ["f8", "i8", "i4", "i4", "i4", "i4", "f8", "i4", "i4", "i4", "i4"],
        "offsets": [0, 8, 16, 20, 24, 28, 32, 40, 44, 40, 44],
        "itemsize": 48,
    }
)  # fmt: skip
# attempt: wait request or connection attempt, from 0 on
# mailbox: last message of a circular list, that is stored, or that waits for a connection
# since:   polling: when the wait request was parsed
# query:   polling: cycle, from 0 on
# found:   polling: messages in the answer
# queued:  push: messages in the outbound queue
# status:  push: whether the agent is known and connected
_MESSAGE = np.dtype(
    [
        *((f"request_{name}", EVENT[name]) for name in EVENT.names or ()),
        *((f"payload_{name}", EVENT[name]) for name in EVENT.names or ()),
        ("created", "f8"),
        ("stored", "f8"),
        ("sender", "i4"),
        ("number", "i4"),  # of its sender
        ("target", "i4"),
        # Push: its target's connection attempt; before: see `dispatch`. Of a request: whether its
        # client has given it up.
        ("connection", "i4"),
        ("alive", "i4"),  # entities that have not ended
        ("pending", "i4"),  # whether it has no outcome yet: 1, or OF_ATTEMPT
        ("row", "i8"),  # in the records of all messages
        ("costs", "f8", (9,)),  # of its random stages, by `STAGE.slot`
    ]
)
# What else a place may say where there are failures, in the room of what it then does not have.
_OF_FAILURES = {
    "older": ("i4", 144),  # place before it in the list of those that wait for a reply
    "younger": ("i4", 148),
    "attempt": ("i4", 152),  # its number, from 0 on; of an original: how many there were
    "original": ("i4", 156),  # of an attempt; WAIT_REQUEST, POSTER, POST; NOBODY of all others
    "waits": ("i4", 160),  # whether its client still waits for the reply
    "answer": ("i4", 164),  # request of its target whose answer holds it
    "posts": ("i4", 132),  # of a poster: its number of the post, from 0 on; of a post: its own
    # An original's, and a poster's:
    "open": ("i4", 120),  # attempts that have not ended
    "given_up": ("i4", 124),  # whether there are no further ones
    "last": ("i4", 128),  # outcome of the last that has ended
    # Of a request for messages:
    "sleep": ("f8", 24),  # that comes next, before its jitter
    "following": ("f8", 32),  # sleep after that
    "since": ("f8", 48),  # when it was parsed
    "alarm": ("i4", 40),  # timer that ends its sleep; none where it is awake
    "seen": ("i4", 44),  # messages that were stored for its agent when its cycle began
    "cycle": ("i4", 120),
    "found": ("i4", 124),  # messages in its answer
    "before": ("i4", 128),  # place of the request of its agent that went to sleep before
    "after": ("i4", 132),
    "size": ("f8", 56),  # of the messages in its answer [B]
}
_OF_ALL: Any = _MESSAGE.fields
_PARTS = {**_OF_ALL, **_OF_FAILURES}
_LAYOUT: Any = {
    "names": list(_PARTS),
    "formats": [part[0] for part in _PARTS.values()],
    "offsets": [part[1] for part in _PARTS.values()],
    "itemsize": _MESSAGE.itemsize,
}
MESSAGE = np.dtype(_LAYOUT)
PLACE_SIZE = EVENT.itemsize  # [B]
PLACES = MESSAGE.itemsize // PLACE_SIZE  # that a message takes
# What a request of an agent has to remember beyond its RECEIVER, where the polling server has
# options that need it.
POLLER = np.dtype(
    [
        ("sleep", "f8"),  # that comes next, before its jitter
        ("following", "f8"),  # sleep after that
        ("alarm", "i4"),  # the timer that ends its sleep; none where it is awake
        ("empty_since", "f8"),  # snapshot that held no message; -inf: the cache knows of none
        # Whether a message for the agent was stored since its cycle began; where its requests may
        # be given up, how many were stored; where a message wakes everybody, the `news` when the
        # cycle began.
        ("written", "i4"),
        ("asleep", ENDS),  # places of its requests that sleep
        # Agents whose requests went to sleep before and after, where a message wakes all.
        ("before", "i4"),
        ("after", "i4"),
    ],
    align=True,
)
STATION = np.dtype(
    [
        ("servers", "i4"),
        ("busy", "i4"),
        ("head", "i4"),  # of the waiting line
        ("tail", "i4"),
        ("waiting", "i4"),
        ("lane", "i4"),  # of its completions; -1: the calendar
        ("busy_time", "f8"),  # server-seconds inside the measured window
        ("work_time", "f8"),  # a loop's: less the stalls
        ("cold_factor", "f8"),  # a loop's, x of `Warmth`
        ("idle_since", "f8"),  # a loop's
        ("operations", "i8"),  # a loop's
        ("in_turn", "i8"),  # operations that are left of a loop's turn
        ("turn_is_over", "i4"),  # with the last operation that was done
        ("held", ENDS),  # answers that wait for the end of the turn
        # Where it is shared; see `lhsim.models.sharing`.
        ("quantum", "f8"),  # -1: it is not
        ("switch", "f8"),
        # Of its processors, among the slices; where all share it equally, its heap in `sharing`.
        ("first_slice", "i8"),
        ("share", "f8"),
        ("since", "f8"),  # when the share was that
        ("until", "f8"),  # when the next job is done
        ("first_stall", "i8"),  # that had not ended then
        ("jobs", "i8"),  # that share it equally
        ("came", "i8"),  # jobs that have
        ("timer", "i8"),  # of the next job that is done
    ],
    align=True,
)
SLICE = np.dtype(
    [
        ("job", "i4"),  # entity; none where its processor is free
        ("timer", "i4"),  # of its end
        ("began", "f8"),
        ("switch", "f8"),  # that it begins with
        ("work", "f8"),  # from then to its end
        ("until", "f8"),  # when that is
        ("first_stall", "i8"),  # that had not ended when it began
    ],
    align=True,
)
STAGE = np.dtype(
    [
        ("where", "i4"),
        ("purpose", "i4"),
        ("by_query", "i4"),  # which index of a receiver the draw has
        ("slot", "i4"),  # of a message's stage, among its costs
        ("cells", "i4"),  # of the quantile table
        ("lane", "i4"),  # of a constant delay
        ("constant", "i4"),  # whether it is one
        ("slows", "i4"),  # whether it is longer for a slow agent
        ("losses", "i4"),  # purpose of the draws of lost packets; 0: there are none
        ("loss", "f8"),
        ("retransmission_timeout", "f8"),
        ("sized", "i4"),  # whose bytes count
        ("per_byte", "f8"),  # what each of them adds [s]
        ("value", "f8"),  # of a constant
    ],
    align=True,
)
KIND = np.dtype(
    [
        ("end", "i8"),  # the first agent beyond the class
        ("first_target", "i8"),  # of the agents that its messages may go to
        ("end_of_targets", "i8"),
        ("silent", "i4"),  # whether its agents send nothing
        ("payload", "i4"),  # cells of the sizes of its messages; -1: they have none
    ],
    align=True,
)
SLOT = np.dtype([("purpose", "i4"), ("cells", "i4")])
LANE = np.dtype(
    [
        ("time", "f8"),  # of its head
        ("order", "i8"),
        ("head", "i4"),
        ("tail", "i4"),
        ("ahead", "i4"),  # the entity up to which events have been fetched from memory
        ("lead", "i4"),  # of that one over the head
    ],
    align=True,
)
QUEUE = np.dtype(
    [
        ("now", "f8"),
        ("order", "i8"),  # of the next event to be scheduled
        ("ready", "i4"),  # entities that go on at once: the first
        ("ready_tail", "i4"),
        ("in_heap", "i8"),
        ("in_fine", "i8"),
        ("in_coarse", "i8"),
        ("day", "i8"),  # of the calendar: all events up to it are in the heap
        ("days_per_second", "f8"),
        ("taken", "i8"),  # events that came out of the calendar
        ("empty", "i8"),  # days that have passed, less those that its events have earned
    ],
    align=True,
)
SETTINGS = np.dtype(
    [
        ("seed", "i8"),
        ("agents", "i8"),
        ("agents_per_connection", "i8"),
        ("loops", "i8"),
        ("topology", "i8"),
        ("first_sender", "i8"),  # the agents that send: a range
        ("end_of_senders", "i8"),
        ("sender_step", "i8"),
        ("copies", "i8"),  # messages that an agent creates at a time
        ("record_period", "f8"),  # [s]
        ("start_kind", "i8"),
        ("start_over", "f8"),
        ("polls", "i8"),  # whether the server is a polling server
        ("closed", "i8"),
        ("messages", "i8"),  # of a sender in a closed loop; -1: no end
        ("connections", "i8"),  # at most; -1: no limit
        ("timeout", "f8"),
        ("limit", "i8"),
        ("overflow", "i8"),
        ("outbound", "i8"),  # -1: no limit
        ("reconnects", "i8"),  # whether agents come back
        ("outbound_policy", "i8"),
        ("elicits", "i8"),  # whether a message is answered, and how the request gets there
        ("answer_timeout", "f8"),
        ("accept", "f8"),
        ("decline", "f8"),
        ("cancel", "f8"),
        ("batch", "i8"),  # messages in a batch; 0: there are none
        ("linger", "f8"),
        ("backoff", "f8"),  # 0: none
        ("backlog", "i8"),  # -1: no limit
        ("backoff_cap", "f8"),
        ("heartbeat", "i8"),  # whether there are heartbeats that cost something
        ("scan", "f8"),
        ("busy_timeout", "f8"),  # -1: none
        ("turn", "f8"),  # -1: loops have none
        ("warmth_memory", "f8"),
        ("collect_every", "i8"),  # 0: never
        ("start", "f8"),  # of the measured window
        ("cohort_end", "f8"),
        ("end", "f8"),
        ("resident", "f8"),  # memory that does not change [B]
        ("per_connection", "f8"),
        ("per_event", "f8"),
        ("slow_share", "f8"),  # of the agents
        ("slow_factor", "f8"),
        ("token_interval", "f8"),
        ("token_burst", "f8"),
        ("keep", "i8"),  # whether each message gets a record
        ("places", "i8"),  # of messages that one event may take, with options
        ("write_batch", "i8"),  # events in a batch of writes; 0: there are none
        ("write_linger", "f8"),
        ("write_more", "f8"),
        ("first_events", "i8"),  # in the store at the start
        ("keep_count", "i8"),  # newest events in the store; -1: all
        ("keep_age", "f8"),
        ("first_sleep", "f8"),  # of a request for messages
        ("second_sleep", "f8"),
        ("jitter", "f8"),
        ("growth", "f8"),  # of the sleeps of a request from the second on; 1: none
        ("longest", "f8"),
        ("wakes", "i8"),  # whose sleep a write ends; 0: nobody's
        ("posts", "i8"),  # of a message at most; 0: there are no webhooks
        ("post_timeout", "f8"),
        ("post_backoff", "f8"),
        ("post_factor", "f8"),
        ("post_longest", "f8"),
        ("post_failure", "f8"),
        ("post_slots", "i8"),  # -1: no limit
        ("consumes", "i8"),  # whether there is a queue
        ("first_consumer", "i8"),
        ("visibility", "f8"),  # -1: no end
        ("holds", "i8"),  # whether the server holds a request that finds nothing
        ("ttl", "f8"),  # of the cache; -1: there is none
        ("invalidates", "i8"),
        ("shares", "i8"),  # whether a station is shared
        ("in_flight", "i8"),  # requests of a client; 0: there are no clients
        ("workers", "i8"),  # requests that are served at a time; -1: no limit
        ("patience", "f8"),  # -1: no end
        ("by_turn", "i8"),  # whether answers wait for the ends of turns
        ("attempts", "i8"),  # at a message; 0: its sender waits for no reply
        ("retry_timeout", "f8"),
        ("retry_backoff", "f8"),
        ("retry_factor", "f8"),
        ("retry_longest", "f8"),
        ("retry_jitter", "f8"),
        ("budget", "f8"),
        ("impatient", "i8"),  # whether a request for messages may be given up
        ("client_timeout", "f8"),  # -1: none
        ("nodes", "i8"),
        ("rule", "i8"),  # of the balancer
        ("affinity", "i8"),
        ("evicts", "i8"),  # whether a connection may end before its session does
        ("answer_payload", "i8"),  # cells of the sizes of answers; -1: they have none
    ],
    align=True,
)
COUNTS = np.dtype(
    [
        *((name, "i8") for name in (
            "created", "queries", "writes", "locked", "cycles", "wasted", "timeouts", "stored",
            "sent", "attempts", "answered", "refused", "dropped", "limited", "cache_hits",
            "cohort_created", "connections", "peak_connections", "given_up", "retries",
            "duplicates", "outages",
        )),
        ("events", "i8"),  # in the store, those at the start included
        ("removed", "i8"),  # events that were in the store before
        ("peak_memory", "f8"),
        ("to_store", "f8"),
        ("from_store", "f8"),
        ("shortest", "f8"),
        ("longest", "f8"),
        ("last_end", "f8"),
        ("outcomes", "i8", (len(Outcome),)),
        ("cohort", "i8", (len(Outcome),)),
        ("first_cpu_stall", "i8"),  # that has not ended
        ("first_slowdown", "i8"),  # that has not ended
        ("first_store_stall", "i8"),  # that has not ended
        ("free", "i4"),  # message places used before, as a list
        ("used", "i4"),  # message places that have been used at all
        ("line", ENDS),  # push of one node: clients that wait for a place
        ("awaited", "i8"),  # closed loop, broadcast: messages whose end the sender waits for
        ("collected", "i8"),  # events in the batch of writes that is being collected
        ("batch", "i4"),  # its first request
        ("batch_tail", "i4"),  # its last
        ("lingers", "i4"),  # its timer
        ("asking", ENDS),  # places of clients that wait for a reply
        ("turn", "i8"),  # of the balancer: the node after the one chosen last
        ("opened", ENDS),  # clients whose connections are open, where some may be cut
        # Where a message wakes others than its target:
        ("news", "i4"),  # messages for which everybody woke; it may wrap around
        ("asleep", ENDS),  # agents whose requests sleep, or places of these
        ("shared", "i4"),  # last message of the queue that all agents share
        ("lined_up", "i8"),  # messages in it
    ],
    align=True,
)  # fmt: skip
RECORD = np.dtype(
    [
        ("sender", "i8"),
        ("number", "i8"),
        ("target", "i8"),
        ("created", "f8"),
        ("stored", "f8"),
        ("acknowledged", "f8"),
        ("delivered", "f8"),
        ("outcome", "i8"),
    ]
)
# What options of the push server add to a client, and so to its connection.
CLIENT = np.dtype(
    [
        ("timeout", "f8"),  # of the next retransmission of its attempt to connect
        ("multiple", "f8"),  # of its time to the next try
        ("until", "f8"),  # when it next tries to connect, if it was refused and polls
        ("blocked", "i4"),  # last entity of a circular list that waits for room in its queue
        ("oldest", "i4"),  # message in its outbound queue, or batch, that is not being sent yet
        ("newest", "i4"),
        ("collected", "i4"),  # messages in the batch that is being collected; 0: there is none
        ("timer", "i4"),  # entity whose event comes when the batch has lingered, or earlier
        ("due", "f8"),  # when that is
        ("due_order", "i8"),  # of the event, had it a timer of its own
        ("found", "i4"),  # last message that its poll brings it, up to which the mailbox is its
        ("older", "i4"),  # client whose connection was opened before, where some may be cut
        ("younger", "i4"),
    ],
    align=True,
)
NODE = np.dtype(
    [
        ("connections", "i8"),
        ("load", "i8"),  # these, and all else that it holds
        ("occupied", "i8"),  # workers
        ("accepting", "i8"),  # attempts to connect
        ("up", "i8"),  # whether it was, when the balancer last looked
        ("line", ENDS),  # push: clients that wait for a place; requests: those for a worker
    ],
    align=True,
)
# On which node what is, where there are several: a receiving side, and a message.
HOME = np.dtype([("node", "i4"), ("kept", "i4")])  # kept: by its client, with affinity
SITE = np.dtype([("own", "i4"), ("targets", "i4"), ("held", "i4")])  # held: whether it is there
DROPPED_IN_QUEUE = -2  # of a link: the message was dropped while it was queued

Record: TypeAlias = Any  # one of the records above
Records: TypeAlias = Any  # an array of them


class State(NamedTuple):
    """All of it: arrays of numpy, or in compiled code views of the same."""

    settings: Records  # one
    counts: Records  # one
    queue: Records  # one
    events: Records  # of all entities
    receivers: Records  # the same memory, by agent
    messages: Records  # the same memory, by message
    stations: Records  # the loops, the pool and, where there is one, the writer
    stages: Records  # by phase; where agents differ, PHASES of them for each class
    slots: Records  # the random stages of a message
    lanes: Records
    cells: Any  # of the quantile tables, of shape (tables, CELLS, 2)
    heap: Any  # entities
    fine: Any  # heads of lists, by day
    coarse: Any  # heads of lists, by year
    warmth: Any  # the curve of `lhsim.rules.slopes`, of shape (3, points)
    cpu_stalls: Any  # starts and ends, of shape (2, stalls)
    histogram: Any  # of shape (BATCHES, BUCKETS)
    latency: Any  # sums, of shape (BATCHES,)
    records: Records
    boxes: Any  # by agent and priority: last messages of mailboxes; none where there is one alone
    priorities: Any  # `lhsim.rules.bounds`, of shape (priorities,); none where there is one alone
    pollers: Records  # by agent; none where no option needs them
    # Recorded times by client, and the index of the first of each and of none; empty without.
    recorded: Any
    recorded_firsts: Any
    schedule: Any  # of `lhsim.rules.rate_schedule`, of shape (3, pieces + 1)
    buckets: Any  # when the token bucket of each agent is full again; empty without a rate limit
    clients: Records  # by their first agents; empty without options of the push server
    links: Any  # by message: the next in an outbound queue or batch; empty where nobody asks for it
    reached: Any  # by message: when it reached its target; empty unless that answers
    store_stalls: Any  # starts and ends, of shape (2, stalls)
    sequence: Any  # by message: number of its event in the store; empty where all events are kept
    log: Any  # a ring of the times of commits; empty where no age matters
    slowdowns: Any  # starts, ends and factors, of shape (3, slowdowns)
    slices: Records  # by processor of the stations that are shared in slices
    sharing: Any  # entities, as heaps: of each loop and of the pool; empty where none needs it
    credits: Any  # by agent: further attempts that its messages have paid for; empty without budget
    kinds: Records  # classes of agents; empty where all are alike, and messages have no size
    class_cohort: Any  # ended messages of the cohort, of shape (classes, len(Outcome)), if several
    class_histogram: Any  # of shape (classes BATCHES, BUCKETS)
    class_latency: Any  # sums, of shape (classes BATCHES,)
    # Times, durations and shares of faults, of shape (3, faults). A duration of -1: it has none; a
    # share below 0: it is that of a node, -1 - its number.
    cuts: Any
    nodes: Records  # at least one
    downtimes: Any  # of nodes that fail: starts, ends, numbers, of shape (3, failures)
    homes: Records  # by agent; empty where there is one node
    sites: Records  # by message; likewise
    address: Any  # of `events`
    options: Any = ()  # empty, unless the system has a rare option; see `lhsim.compiled.kernel`


# What each array holds, and its shape: -1 is what its size leaves.
LAYOUT: dict[str, tuple[Any, tuple[int, ...]]] = {
    "settings": (SETTINGS, (1,)),
    "counts": (COUNTS, (1,)),
    "queue": (QUEUE, (1,)),
    "events": (EVENT, (-1,)),
    "receivers": (RECEIVER, (-1,)),
    "messages": (MESSAGE, (-1,)),
    "stations": (STATION, (-1,)),
    "stages": (STAGE, (-1,)),
    "slots": (SLOT, (-1,)),
    "lanes": (LANE, (-1,)),
    "cells": (np.float64, (-1, CELLS, 2)),
    "heap": (np.int32, (-1,)),
    "fine": (np.int32, (-1,)),
    "coarse": (np.int32, (-1,)),
    "warmth": (np.float64, (3, -1)),
    "cpu_stalls": (np.float64, (2, -1)),
    "histogram": (np.int64, (BATCHES, BUCKETS)),
    "latency": (np.float64, (BATCHES,)),
    "records": (RECORD, (-1,)),
    "boxes": (np.int32, (-1,)),
    "priorities": (np.float64, (-1,)),
    "pollers": (POLLER, (-1,)),
    "recorded": (np.float64, (-1,)),
    "recorded_firsts": (np.int64, (-1,)),
    "schedule": (np.float64, (3, -1)),
    "buckets": (np.float64, (-1,)),
    "clients": (CLIENT, (-1,)),
    "links": (np.int32, (-1,)),
    "reached": (np.float64, (-1,)),
    "store_stalls": (np.float64, (2, -1)),
    "sequence": (np.int64, (-1,)),
    "log": (np.float64, (-1,)),
    "slowdowns": (np.float64, (3, -1)),
    "slices": (SLICE, (-1,)),
    "sharing": (np.int32, (-1,)),
    "credits": (np.float64, (-1,)),
    "kinds": (KIND, (-1,)),
    "class_cohort": (np.int64, (-1, len(Outcome))),
    "class_histogram": (np.int64, (-1, BUCKETS)),
    "class_latency": (np.float64, (-1,)),
    "cuts": (np.float64, (3, -1)),
    "nodes": (NODE, (-1,)),
    "downtimes": (np.float64, (3, -1)),
    "homes": (HOME, (-1,)),
    "sites": (SITE, (-1,)),
}
ARRAYS = len(LAYOUT)

# Whether a system has options that few have; whether there is more around one server than agents
# that are alike (nodes, classes, sizes, a queue); and whether clients give up or are cut. Each has
# what those before it have. It is a part of the type of `State`, so that the code for an option is
# not even there in the kernels that need none of it.
NONE, SOME, WORLD, FAILURES = (), (True,), (True, True), (True, True, True)
PLAIN, WITH_OPTIONS, WITH_WORLD, WITH_FAILURES = map(len, (NONE, SOME, WORLD, FAILURES))


def addresses(state: State) -> NDArray[np.int64]:
    """Return the address and the size of each array of a state, in the order of its fields."""
    return np.array([(array.ctypes.data, array.size) for array in state[:ARRAYS]])
