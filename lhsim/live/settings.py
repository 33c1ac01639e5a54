"""What a bridge is told before it starts, as data: options of the command line, or a TOML file."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from attrs import field, frozen

from lhsim._files import expanded
from lhsim.checks import one_of, whole, within
from lhsim.errors import InputError
from lhsim.live.origins import ALLOWED, Origin
from lhsim.units import PerSecond, Seconds

OutboundPolicy = Literal["drop_new", "disconnect"]
LONGEST_WAIT = 300.0  # of a request for messages, as in the original [s]
LONGEST_MESSAGE = 10_000  # characters of a question
SHORTEST_SECRET = 16  # [B]
LONGEST_SECRET = 1_000_000  # of the file of one [B]
LONGEST_NUMBER = 20  # characters of the number of an event, and what stands between two
SPARE = 200  # of the body of a request, for all but those [B]
VISIBILITY = 30.0  # of what is taken from the queue, unless the settings say another [s]
SQLITE, POSTGRESQL = "sqlite", "postgresql"


@frozen
class RateLimit:
    """A token bucket for each agent: what it sends takes a token, and is refused without one.

    By the time t a bucket has given floor(burst + rate t) tokens at most.
    """

    rate: PerSecond = field(validator=within(1e-6, 1e6))  # tokens that a bucket gets [1/s]
    # Tokens that it holds at most, and at first
    burst: int = field(default=1, validator=whole(1, 10**6))


def _origins(_instance: object, _attribute: object, values: tuple[str, ...]) -> None:
    if not values:
        raise InputError("allows nothing", key="allow", allowed=ALLOWED)
    for text in values:
        Origin.of(text)


@frozen
class WebhookSettings:
    """Posts of messages to endpoints of their targets.

    As `push.webhook` of the models, but for what targets do.
    """

    # Origins to which the bridge may post: http://HOST:PORT, or http://HOST:* for all its ports
    allow: tuple[str, ...] = field(validator=_origins)
    # Posts of a message, the first included
    attempts: int = field(default=5, validator=whole(1, 1000))
    # From a post to its answer [s]
    timeout: Seconds = field(default=10.0, validator=within(1e-3, LONGEST_WAIT))
    # After the first failure [s]
    backoff: Seconds = field(default=1.0, validator=within(0, 3600))
    factor: float = field(default=2.0, validator=within(1, 100))  # of one to that before it
    longest: Seconds = field(default=60.0, validator=within(0, 3600))  # back-off [s]
    in_flight: int = field(default=100, validator=whole(1, 10_000))  # posts at a time
    # Messages that are not done with; more for such targets are refused, 503
    waiting: int = field(default=100_000, validator=whole(1, 10**6))


def _store(_instance: object, _attribute: object, value: str) -> None:
    store_of(value)


@frozen
class BridgeSettings:
    """A bridge. The secrets are not here, so that nothing that shows settings shows them.

    The limits of numbers are those within which a bridge works; what is beyond is a slip.
    """

    host: str = "127.0.0.1"
    port: int = field(default=8765, validator=within(0, 65535))  # 0: one that is free
    allow_remote: bool = False  # whether the host may be other than loopback
    store: str = field(default="lhsim.db", validator=_store)  # a path or a URL
    # Sleep between two queries [s]
    interval: Seconds = field(default=1.0, validator=within(1e-4, 3600))
    # Without messages an empty answer goes out after this time, unless the request has its own [s]
    timeout: Seconds = field(default=60.0, validator=within(0, LONGEST_WAIT))
    # Whether a request that finds nothing is answered at once, and not held; the client sleeps for
    # `interval` before it asks again
    short_poll: bool = False
    limit: int = field(default=10, validator=whole(1, 1000))  # messages in an answer
    # Whether there is a queue, whose messages whoever asks first takes
    queue: bool = False
    # After which a message of the queue that was taken, and is not deleted, is there again [s];
    # None: VISIBILITY
    visibility: Seconds | None = field(default=None, validator=within(1e-3, 43_200))
    # Requests for messages held at a time; and as many push connections, of both kinds together
    connections: int = field(default=2000, validator=whole(1, 10**6))
    # Messages queued for a push connection
    outbound: int = field(default=100, validator=whole(1, 10**5))
    outbound_policy: OutboundPolicy = field(
        default="drop_new", validator=one_of(("drop_new", "disconnect"))
    )
    rate_limit: RateLimit | None = None  # of the messages that an agent sends
    max_body: int = field(default=1_000_000, validator=whole(1024, 16_000_000))  # of a request [B]
    # For which a token is good [s]
    session: Seconds = field(default=3600.0, validator=within(1, 366 * 86400))
    # Of an answer to a question [s]
    elicitation_timeout: Seconds = field(default=30.0, validator=within(1e-3, LONGEST_WAIT))
    elicitations: int = field(default=10_000, validator=whole(1, 10**6))  # open at a time
    webhook: WebhookSettings | None = None  # None: there are no webhooks
    mcp: bool = False  # whether agents can also ask one another by MCP, at /mcp
    # Connections that query; PostgreSQL alone
    store_connections: int = field(default=1, validator=whole(1, 100))
    # Messages written in one transaction
    batch_size: int = field(default=1, validator=whole(1, 10_000))
    linger: Seconds = field(default=0.0, validator=within(0, 1))  # a batch waits for more [s]
    # Within which a request has to arrive, and what is sent has to be taken [s]
    patience: Seconds = field(default=10.0, validator=within(0.01, LONGEST_WAIT))
    # Within which the store has to answer; what waits for it is refused then, 503 [s]
    store_timeout: Seconds = field(default=3.0, validator=within(0.1, 60))
    stage_times: str | None = None  # a .parquet or .csv file for what each stage took

    def __attrs_post_init__(self) -> None:
        """Refuse what does not go together."""
        if not self.allow_remote and not is_loopback(self.host):
            allowed = "127.0.0.1, ::1, localhost; any other with allow_remote (--allow-remote)"
            raise InputError(f"{self.host!r} is not loopback", key="host", allowed=allowed)
        if self.batch_size > 1 and not self.linger:
            allowed = "a time > 0 where batch_size is more than 1"
            raise InputError("is 0", key="linger", allowed=allowed)
        if self.linger and self.batch_size == 1:
            raise InputError("is 1", key="batch_size", allowed="more than 1 with a linger")
        if self.store_connections > 1 and store_of(self.store)[0] == SQLITE:
            allowed = "1 with SQLite, which has one thread"
            raise InputError("is out of range", key="store_connections", allowed=allowed)
        if self.visibility is not None and not self.queue:
            allowed = "nothing, or queue = true (--queue)"
            raise InputError("is that of a queue", key="visibility", allowed=allowed)
        # A receipt names all messages of an answer, and comes back in the body of a request.
        if self.queue and self.limit * LONGEST_NUMBER > self.max_body - SPARE:
            allowed = f"at most {(self.max_body - SPARE) // LONGEST_NUMBER} with a queue"
            raise InputError("is too much for max_body", key="limit", allowed=allowed)
        if self.stage_times and Path(self.stage_times).suffix not in {".parquet", ".csv"}:
            problem = f"{self.stage_times!r} is of no known kind"
            raise InputError(problem, key="stage_times", allowed="a file .parquet or .csv")

    @property
    def visibility_timeout(self) -> float:
        """After which a message that was taken, and is not deleted, is there again [s]."""
        return VISIBILITY if self.visibility is None else self.visibility


def store_of(text: str) -> tuple[str, str]:
    """Return the kind of a store and where it is, a file or a URL.

    Raise `InputError` when `text` is neither a path nor a URL ``sqlite:///PATH`` or
    ``postgresql://...``.
    """
    allowed = "a path, sqlite:///PATH or postgresql://..."
    if "://" not in text:
        kind, place = SQLITE, text
    elif text.startswith("sqlite:///"):
        kind, place = SQLITE, text.removeprefix("sqlite:///")
    elif text.startswith(("postgresql://", "postgres://")):
        kind, place = POSTGRESQL, text
    else:
        raise InputError(f"unknown kind of store {text[:60]!r}", key="store", allowed=allowed)
    if kind == SQLITE:
        place = _path(place)
    elif not _is_url(place):
        raise InputError("is no URL", key="store", allowed=allowed)
    if not place or place.startswith(":memory:"):
        raise InputError(f"{text!r} names no file", key="store", allowed=allowed)
    return kind, place


def _path(text: str) -> str:
    try:
        return str(expanded(text)) if text else text
    except InputError as error:
        problem = f"{text[:60]!r} {error.problem}"
        raise InputError(problem, key="store", allowed=error.allowed) from None


def _is_url(text: str) -> bool:
    try:
        return urlsplit(text).port != 0
    except ValueError:  # a port or an address that is none
        return False


def shown(store: str) -> str:
    """Return a store as it may be shown: without the user and the password of a URL."""
    kind, place = store_of(store)
    if kind == SQLITE:
        return place
    parts = urlsplit(place)
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
