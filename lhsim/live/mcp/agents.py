"""Agents of a live run that ask one another by MCP: a message is a question, and has an answer.

It reaches who is asked when its client calls `respond`, and is acknowledged when the answer is back
with who has asked. Both say the number of the message, so that nothing is taken for anything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from lhsim.live.agents import Agents, Share
from lhsim.live.mcp.client import Asked, McpAgent
from lhsim.live.mcp.exchange import Answer

FORM: Mapping[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "integer", "minimum": 0}},
    "required": ["number"],
}
READY = "ready"  # what an agent asks itself before the start


class McpAgents(Agents):
    """Agents with a client of the official SDK each."""

    def __init__(self, share: Share) -> None:
        super().__init__(share)
        self._agents: dict[int, McpAgent] = {}

    async def _connect(self, agent: int) -> None:
        share = self._share
        key, respond = share.enrolment, self._respond
        connected = await McpAgent.connect(
            share.url, self._name(agent), era=share.era, respond=respond, enrolment=key
        )
        self._agents[agent] = connected
        # Nothing else tells whether the call that listens has come to the server by now.
        answer = await connected.ask(connected.agent_id, READY, FORM)
        if answer.action != "accept":
            raise ConnectionError(f"an agent that asks itself gets no answer: {answer.action}")

    def _begin(self) -> None:
        """All listen since they are connected."""

    async def _send(self, sender: int, target: int, number: int) -> None:
        question = f"{sender} {number} {self._text}"
        answer = await self._agents[sender].ask(self._name(target), question, FORM)
        if answer.action != "accept":
            raise ConnectionError(f"a question was not answered: {answer.action}")
        if answer != _answer(number):
            raise ConnectionError("the answer is that to another question")

    def _respond(self, asked: Asked) -> Answer:
        if asked.message == READY:
            return _answer(0)
        sender, number, _ = asked.message.split(" ", 2)
        self._deliver(int(sender), int(number))
        return _answer(int(number))

    async def _hang_up(self) -> None:
        await asyncio.gather(*(agent.close() for agent in self._agents.values()))


def _answer(number: int) -> Answer:
    return Answer("accept", {"number": number})
