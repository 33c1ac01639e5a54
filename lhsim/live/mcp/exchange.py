"""Who has asked whom, and who can be asked now: the same in both eras of the protocol.

A server cannot call an agent, so an agent that is to be asked holds a call open, and listens. One
call of an agent listens at a time: a new one ends the one before, which may be a dead client's. It
is handed the oldest open question, until that has ended; so no question is lost with a connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field, frozen

from lhsim.live.elicitations import Action, Elicitation, Elicitations
from lhsim.live.forms import validate
from lhsim.live.refusals import Refusal

TRIES = 3  # answers that break the form; then nobody is asked any more


@frozen
class Answer:
    """What came of a question."""

    action: str  # accept, decline, cancel or expired
    content: dict[str, Any] | None = None  # on accept, and as the form wants it


@define(eq=False)
class Question:
    """An open question, as it is handed to who listens."""

    asked: Elicitation
    answer: asyncio.Future[Answer]  # done when the question has ended, in whatever way
    begun: float = field(factory=time.monotonic)  # [s]
    told: bool = False  # whether it has been handed over
    broken: int = 0  # answers that broke the form


@define(eq=False)
class Listener:
    """The one call through which an agent can be asked."""

    news: asyncio.Event = field(factory=asyncio.Event)
    ended: asyncio.Future[str] = field(factory=lambda: asyncio.get_running_loop().create_future())

    def end(self, why: str) -> None:
        """Let the call return."""
        if not self.ended.done():
            self.ended.set_result(why)
        self.news.set()


@define(eq=False, slots=False)
class Exchange:
    """All open questions, by who is to answer."""

    _most: int  # that are open at a time
    # Called when a question is handed over for the first time, with how long it has waited [s]
    _handed: Callable[[float], None]

    def __attrs_post_init__(self) -> None:
        self.elicitations = Elicitations(self._most, self._expired)
        self._open: dict[str, Question] = {}
        self._waiting: dict[str, dict[str, Question]] = {}  # by target, the oldest first
        self._listeners: dict[str, Listener] = {}
        self._stopping = False

    async def ask(
        self, asker: str, target: str, message: str, schema: object, timeout: float
    ) -> Answer:
        """Ask, and return the answer, or that there was none in time.

        Raise a `Refusal`: 400 for a schema that is no flat form, 503 when too many are open
        or the server stops.
        """
        if self._stopping:
            raise _stopping()
        asked = self.elicitations.create(asker, target, message, schema, timeout)
        question = Question(asked, asyncio.get_running_loop().create_future())
        self._open[asked.id] = question
        self._waiting.setdefault(target, {})[asked.id] = question
        if target in self._listeners:
            self._listeners[target].news.set()
        try:
            return await question.answer
        finally:
            question.answer.cancel()  # where the asker has gone, nobody need answer any more
            self.elicitations.withdraw(asked)
            self._drop(question)
            self._open.pop(asked.id)

    @contextmanager
    def listening(self, agent: str) -> Iterator[Listener]:
        """Be the call through which an agent is asked, in place of the one before."""
        listener = Listener()
        if agent in self._listeners:
            self._listeners[agent].end("replaced")
        self._listeners[agent] = listener
        if self._stopping:
            listener.end("stopping")
        try:
            yield listener
        finally:
            if self._listeners.get(agent) is listener:
                del self._listeners[agent]

    async def next(self, agent: str, listener: Listener, timeout: float) -> Question | None:
        """Return the oldest open question to an agent; None after `timeout` [s], or at the end."""
        try:
            async with asyncio.timeout(timeout):
                while not listener.ended.done():
                    question = self._oldest(agent)
                    if question is not None:
                        return question
                    listener.news.clear()
                    await listener.news.wait()
        except TimeoutError:
            pass
        return None

    def answer(
        self, agent: str, identity: str, nonce: str, action: Action, content: object
    ) -> None:
        """Give an answer to who has asked.

        Raise a `Refusal`: 404, 403, 409 or 410 as `Elicitations.find` has it; 422 for
        content that breaks the form or is too long: then the question stays open.
        """
        asked = self.elicitations.find(agent, identity, nonce)
        question = self._open[identity]
        if action == "accept":
            problem = validate(asked.schema, content)
            if problem is not None:
                self.spoil(question)
                raise Refusal(422, problem)
        self.elicitations.answer(asked, action)
        kept = content if action == "accept" and isinstance(content, dict) else None
        self._settle(question, Answer(action, kept))

    def spoil(self, question: Question) -> None:
        """Count an answer that was none; after so many the question is left to its time."""
        question.broken += 1
        if question.broken >= TRIES:
            self._drop(question)

    def close(self) -> None:
        """Let all who ask and all who listen go."""
        self._stopping = True
        for question in list(self._open.values()):
            self._drop(question)
            if not question.answer.done():
                question.answer.set_exception(_stopping())
        for listener in self._listeners.values():
            listener.end("stopping")

    def _oldest(self, agent: str) -> Question | None:
        question = next(iter(self._waiting.get(agent, {}).values()), None)
        if question is not None and not question.told:
            question.told = True
            self._handed(time.monotonic() - question.begun)
        return question

    def _expired(self, asked: Elicitation) -> None:
        self._settle(self._open[asked.id], Answer("expired"))

    def _settle(self, question: Question, answer: Answer) -> None:
        self._drop(question)
        if not question.answer.done():
            question.answer.set_result(answer)

    def _drop(self, question: Question) -> None:
        """Hand a question over no more."""
        target = question.asked.target
        waiting = self._waiting.get(target, {})
        waiting.pop(question.asked.id, None)
        if not waiting:
            self._waiting.pop(target, None)


def _stopping() -> Refusal:
    return Refusal(503, "the server is stopping", retry_after=1.0)
