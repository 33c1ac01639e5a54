"""The event-push server: a message is stored and at once sent over its target's connection.

An agent connects (WebSocket, SSE or a streamable HTTP response) and keeps its connection, or comes
back after it has ended. Several agents may share one connection, which the first of them then keeps
for all.
"""

from __future__ import annotations

from typing import Literal

from attrs import field, fields, frozen

from lhsim.checks import at_least, lasting, non_negative, one_of, positive, whole, within
from lhsim.distributions import Distribution
from lhsim.distributions.base import ZERO
from lhsim.errors import InputError
from lhsim.models.limits import RateLimit
from lhsim.units import Seconds

Overflow = Literal["reject", "wait", "fallback"]
OVERFLOWS = ("reject", "wait", "fallback")
OutboundPolicy = Literal["drop_new", "drop_oldest", "block", "disconnect"]
OUTBOUND_POLICIES = ("drop_new", "drop_oldest", "block", "disconnect")
Asking = Literal["push", "reply"]
ASKINGS = ("push", "reply")
MOST_POSTS = 1000  # of a message
OF_CONNECTIONS = (
    "connections", "backlog", "overflow", "fallback_interval", "outbound", "outbound_policy",
    "batch_size", "linger", "session", "reconnect", "backoff", "heartbeat", "agents_per_connection",
)  # fmt: skip


@frozen
class Elicitation:
    """Each message asks its target for an answer: an MCP elicitation.

    The target accepts, declines, cancels, or does not answer at all: that is what the shares leave
    of 1. The server parses an answer, and validates it where the target accepts. A message is
    delivered once its answer is there; `timeout` after it was stored it has expired.

    With `asks_by` ``push`` the request goes over the target's connection (MCP up to the
    specification of 2025-11-25). With ``reply`` (from that of 2026-07-28 on) there are none: the
    reply to the call of the sender carries the request, and its own client answers by a new call.
    """

    timeout: Seconds = field(default=30.0, validator=positive)  # from the store on [s]
    think: Distribution = ZERO  # of the target, before it answers [s]
    accept: float = field(default=1.0, validator=within(0, 1))  # share of the messages
    decline: float = field(default=0.0, validator=within(0, 1))  # share
    cancel: float = field(default=0.0, validator=within(0, 1))  # share
    asks_by: Asking = field(default="push", validator=one_of(ASKINGS))

    def __attrs_post_init__(self) -> None:
        if self.accept + self.decline + self.cancel > 1 + 1e-9:
            allowed = "at most 1 together with decline and cancel"
            raise InputError(f"{self.accept:g} is too much", key="accept", allowed=allowed)


@frozen
class Webhook:
    """The server posts each message to its target over HTTP, and awaits an answer.

    A target refuses a post with the probability `failure`; else it has the message, works and
    answers. A post that is refused, or not answered within `timeout`, has failed. After the k-th
    failure the server waits for `backoff` factor^(k-1), at most `longest`, and posts again, up to
    so many `attempts`. Where none of them has arrived the message is a dead letter, and lost.
    """

    attempts: int = field(default=5, validator=whole(1, MOST_POSTS))  # posts, the first included
    timeout: Seconds = field(default=10.0, validator=positive)  # from the post on [s]
    backoff: Seconds = field(default=1.0, validator=non_negative)  # after the first failure [s]
    factor: float = field(default=2.0, validator=at_least(1))  # of a back-off to the one before it
    longest: Seconds = field(default=60.0, validator=non_negative)  # back-off [s]
    failure: float = field(default=0.0, validator=within(0, 1))  # probability of each post
    think: Distribution = ZERO  # of the target, before it answers [s]
    # Posts of the server that await an answer at a time; others queue. None: no limit.
    in_flight: int | None = field(default=None, validator=whole(1))


@frozen
class PushServer:
    """How the push server keeps its connections.

    Beyond `connections`, an agent is refused (``reject``), waits in line for a place (``wait``), or
    polls until it tries again (``fallback``). A message to an agent that is not connected is
    rejected, or waits until it connects or polls; one to an agent that has never connected
    always waits, as that is no fault of the server.

    An attempt that finds `backlog` others which their node has not accepted yet, or is about to, is
    dropped. Nobody tells the client: its host sends the attempt again after 1 s, 2 s, 4 s, and so
    on, up to a minute.

    A message that finds `outbound` of them in its connection's queue is dropped (``drop_new``),
    takes the place of the oldest that is not being sent yet (``drop_oldest``), waits for a place
    (``block``), or makes the server close the connection (``disconnect``).

    Multiplexing: each `agents_per_connection` agents in a row, and what is left of them at the end,
    are one client with one connection. Whatever is said of a connection, and of an agent that is
    connected, refused or polls, is then said of the client.
    """

    # Agents that share a connection: so many in a row.
    agents_per_connection: int = field(default=1, validator=whole(1))
    connections: int | None = field(default=None, validator=whole(1))  # open at a time
    # Attempts to connect that a node has not accepted yet, at a time; None: no limit.
    backlog: int | None = field(default=None, validator=whole(1))
    overflow: Overflow = field(default="reject", validator=one_of(OVERFLOWS))
    # With fallback: from the end of a poll of an agent that was refused to its next [s].
    fallback_interval: Seconds | None = field(default=None, validator=positive)
    outbound: int | None = field(default=None, validator=whole(1))  # messages queued a connection
    outbound_policy: OutboundPolicy = field(default="drop_new", validator=one_of(OUTBOUND_POLICIES))
    # Messages for one connection that are sent in one go, once there are so many, or `linger` after
    # the first of them [s]. None: each is sent on its own.
    batch_size: int | None = field(default=None, validator=whole(1))
    # How long the first message of a batch waits for more [s].
    linger: Seconds | None = field(default=None, validator=positive)
    # How long a connection lasts [s]; None: for ever.
    session: Distribution | None = field(default=None, validator=lasting)
    # From its end or a refusal to the next try [s]; None: the agent does not come back.
    reconnect: Distribution | None = field(default=None, validator=lasting)
    # On `reconnect`, once for each refusal in a row; None: it stays the same.
    backoff: float | None = field(default=None, validator=at_least(1))
    backoff_cap: float = field(default=64.0, validator=at_least(1))  # of all these factors together
    # From one heartbeat of a connection to the next [s]; None: there are none.
    heartbeat: Seconds | None = field(default=None, validator=positive)
    elicitation: Elicitation | None = None  # None: a message is delivered when it has arrived
    # None: messages go over connections.
    webhook: Webhook | None = None
    rate_limit: RateLimit | None = None  # of the messages that an agent sends

    def __attrs_post_init__(self) -> None:
        needs = {
            "there is a session": self.session is not None,
            "there is a backoff": self.backoff is not None,
            "outbound_policy is disconnect": self.outbound_policy == "disconnect",
        }
        for why, is_so in needs.items():
            if is_so and self.reconnect is None:
                allowed = f"a distribution where {why}"
                raise InputError("is missing", key="reconnect", allowed=allowed)
        if self.overflow == "fallback" and self.fallback_interval is None:
            allowed = "a number of seconds where overflow is fallback"
            raise InputError("is missing", key="fallback_interval", allowed=allowed)
        for key, other in (("batch_size", "linger"), ("linger", "batch_size")):
            if getattr(self, key) is None and getattr(self, other) is not None:
                raise InputError("is missing", key=key, allowed=f"a number where {other} is given")
        if self.outbound_policy != "drop_new" and self.outbound is None:
            allowed = f"a whole number where outbound_policy is {self.outbound_policy}"
            raise InputError("is missing", key="outbound", allowed=allowed)

        if self.webhook is not None and self.elicitation is not None:
            problem, allowed = "does not go with webhooks", "nothing, or no webhook"
            raise InputError(problem, key="elicitation", allowed=allowed)
        if not self.connects:
            self._refuse_options_of_connections()

    def _refuse_options_of_connections(self) -> None:
        why = "elicitation.asks_by is reply" if self.webhook is None else "there is a webhook"
        for key in OF_CONNECTIONS:
            if getattr(self, key) != getattr(fields(PushServer), key).default:
                problem = "is of no use without connections"
                allowed = f"to leave it out where {why}"
                raise InputError(problem, key=key, allowed=allowed)

    @property
    def asks_by_reply(self) -> bool:
        """Whether it elicits by its replies, and so has no connections."""
        return self.elicitation is not None and self.elicitation.asks_by == "reply"

    @property
    def connects(self) -> bool:
        """Whether agents keep connections."""
        return not self.asks_by_reply and self.webhook is None

    def clients(self, agents: int) -> int:
        """Return how many clients, each with one connection, so many agents are."""
        return -(-agents // self.agents_per_connection)
