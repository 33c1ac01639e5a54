"""Elicitations: an agent asks another for an answer of a given form, and gets it, or none in time.

As in MCP (specification 2025-06-18, "Elicitation"): the form is a flat JSON Schema of texts,
numbers, truth values and choices (`lhsim.live.forms`); the other accepts, with content that the
schema admits, declines or cancels. Question and answer are events in the store like any message.
What is open is kept in memory: after a restart an answer is refused, and who asked sees the time
run out.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from itertools import islice
from typing import Any, Literal

from attrs import define, field

from lhsim.live.forms import check_form
from lhsim.live.refusals import Refusal

Action = Literal["accept", "decline", "cancel"]
ACTIONS = ("accept", "decline", "cancel")
REMEMBERED = 300.0  # how long one that has ended is known, to say that it has [s]
SHOWN = 100  # that wait for an answer of one agent, in one answer


@define
class Elicitation:
    """A question of one agent to another."""

    id: str
    asker: str
    target: str
    message: str
    schema: dict[str, Any]
    nonce: str  # which the target gets, and has to send with its answer
    expires_at: float  # time of day [s]
    state: str = "open"
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def question(self) -> dict[str, Any]:
        """Return what the target is told."""
        return {
            "elicitation_id": self.id,
            "from": self.asker,
            "message": self.message,
            "schema": self.schema,
            "nonce": self.nonce,
            "expires_at": self.expires_at,
        }


@define(eq=False)
class Elicitations:
    """All that are open, and those that have ended lately."""

    _most: int  # that are open at a time; as many are remembered when they have ended
    _expired: Callable[[Elicitation], None]  # called on the loop with one whose time has run out
    _known: dict[str, Elicitation] = field(factory=dict, init=False)
    _remembered: dict[str, Elicitation] = field(factory=dict, init=False)  # the oldest first
    open: int = field(default=0, init=False)
    ended: int = field(default=0, init=False)
    answered: int = field(default=0, init=False)

    def create(
        self, asker: str, target: str, message: str, schema: object, timeout: float
    ) -> Elicitation:
        """Return a new question, whose time runs from now on.

        Raise a `Refusal`: 400 for a schema that is no flat form, 503 when too many are
        open.
        """
        if self.open >= self._most:
            raise Refusal(503, "too many elicitations", retry_after=1.0)
        form = check_form(schema)
        identity, nonce = secrets.token_hex(16), secrets.token_urlsafe(16)
        expires_at = time.time() + timeout
        asked = Elicitation(identity, asker, target, message, form, nonce, expires_at)
        self._known[asked.id] = asked
        self.open += 1
        loop = asyncio.get_running_loop()
        asked.timer = loop.call_later(timeout, self._expire, asked)
        return asked

    def withdraw(self, asked: Elicitation) -> None:
        """Forget a question that could not be asked."""
        if asked.state == "open":
            self._end(asked, "withdrawn")
            self._forget(asked)

    def pending(self, target: str) -> list[Elicitation]:
        """Return those that wait for an answer of an agent, the oldest first, and not too many."""
        known = self._known.values()
        waiting = (one for one in known if one.target == target and one.state == "open")
        return list(islice(waiting, SHOWN))

    def find(self, answerer: str, identity: str, nonce: str) -> Elicitation:
        """Return the open question that an agent may answer.

        Raise a `Refusal`: 404 for one that is not known, or not for this agent; 403 for a
        wrong nonce; 409 for one that has been answered; 410 for one that has expired.
        """
        asked = self._known.get(identity)
        if asked is None or asked.target != answerer:  # whether it is there is not for others
            raise Refusal(404, "no such elicitation")
        if not hmac.compare_digest(asked.nonce.encode(), nonce.encode("utf-8", "replace")):
            raise Refusal(403, "wrong nonce")
        if asked.state == "expired":
            raise Refusal(410, "the elicitation has expired")
        if asked.state != "open":
            raise Refusal(409, "the elicitation has been answered")
        return asked

    def answer(self, asked: Elicitation, action: Action) -> None:
        """End a question with an answer."""
        self._end(asked, action)
        self.ended += 1
        self.answered += 1

    def reopen(self, asked: Elicitation) -> None:
        """Take back an answer that could not be stored; its time runs on."""
        if asked.timer is not None:
            asked.timer.cancel()
        self.ended -= 1
        self.answered -= 1
        self.open += 1
        asked.state = "open"
        self._remembered.pop(asked.id, None)
        left = max(0.0, asked.expires_at - time.time())
        asked.timer = asyncio.get_running_loop().call_later(left, self._expire, asked)

    def _expire(self, asked: Elicitation) -> None:
        self._end(asked, "expired")
        self.ended += 1
        self._expired(asked)

    def _end(self, asked: Elicitation, state: str) -> None:
        if asked.timer is not None:
            asked.timer.cancel()
        asked.state = state
        self.open -= 1
        loop = asyncio.get_running_loop()
        asked.timer = loop.call_later(REMEMBERED, self._forget, asked)
        self._remembered[asked.id] = asked
        if len(self._remembered) > self._most:  # else who asks and declines would fill the memory
            self._forget(next(iter(self._remembered.values())))

    def _forget(self, asked: Elicitation) -> None:
        if asked.timer is not None:
            asked.timer.cancel()
        self._known.pop(asked.id, None)
        self._remembered.pop(asked.id, None)
