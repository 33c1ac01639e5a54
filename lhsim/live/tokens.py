"""Tokens of a session: signed with HMAC-SHA256, so that the bridge keeps none of them.

A token is ``KEY.EXPIRY.AGENT.SIGNATURE``: which secret signed it, when it ends (seconds of the
epoch), for whom it is, and the HMAC of the first three (RFC 2104), the last two in base64 for URLs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from binascii import Error
from collections.abc import Callable, Iterable

from attrs import define, field

AGENT_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,128}")
ALLOWED_AGENT_ID = "1-128 letters, digits and _ . : @ -"
_LONGEST = 400


@define(eq=False, slots=False)
class Tokens:
    """Signs and checks tokens."""

    _secret: bytes = field(repr=False)  # that nobody else knows
    _lifetime: float  # for which a token is good [s]
    _clock: Callable[[], float]  # the time of day [s]

    def __attrs_post_init__(self) -> None:
        # The id names the secret and does not give it away.
        self._key_id = hmac.digest(self._secret, b"lhsim key id", hashlib.sha256).hex()[:8]

    def sign(self, agent_id: str) -> tuple[str, int]:
        """Return a token for an agent, and when it ends, in seconds of the epoch."""
        expiry = int(self._clock() + self._lifetime)
        content = f"{self._key_id}.{expiry}.{_encode(agent_id.encode())}"
        return f"{content}.{_encode(self._signature(content))}", expiry

    def check(self, token: str) -> str | None:
        """Return for which agent a token is; None when it is no token, or not good any more."""
        content, _, signature = token.rpartition(".")
        if len(token) > _LONGEST or content.count(".") != 2 or not token.isascii():
            return None
        # The signature first, in constant time: nothing is read from what nobody has signed. Text
        # is compared with text, so that a token has one form only.
        if not hmac.compare_digest(signature, _encode(self._signature(content))):
            return None
        _, expiry, agent = content.split(".")
        return _decode(agent) if self._clock() < int(expiry) else None

    def _signature(self, content: str) -> bytes:
        return hmac.digest(self._secret, content.encode(), hashlib.sha256)


class Receipts:
    """Names what an agent has taken from a queue, so that it alone can delete it.

    A receipt is ``NUMBERS.SIGNATURE``: the messages, and the HMAC of these and the agent. As with
    tokens, the bridge keeps none of them.
    """

    def __init__(self, secret: bytes) -> None:
        # A key of its own: nothing that is signed as a receipt is good as a token.
        self._key = hmac.digest(secret, b"lhsim receipts", hashlib.sha256)

    def sign(self, agent: str, sequences: Iterable[int]) -> str:
        """Return a receipt for messages that an agent has taken."""
        numbers = "-".join(map(str, sequences))
        return f"{numbers}.{self._signature(agent, numbers)}"

    def check(self, agent: str, receipt: str) -> list[int] | None:
        """Return for which messages a receipt is; None when it is none of this agent."""
        numbers, _, signature = receipt.rpartition(".")
        if not receipt.isascii() or not hmac.compare_digest(
            signature, self._signature(agent, numbers)
        ):
            return None
        return [int(one) for one in numbers.split("-")]

    def _signature(self, agent: str, numbers: str) -> str:
        content = f"{agent} {numbers}".encode()
        return _encode(hmac.digest(self._key, content, hashlib.sha256))


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (Error, UnicodeDecodeError):
        return None
