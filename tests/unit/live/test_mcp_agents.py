"""Agents of a live run by MCP, whose clients only say what they are told to."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from lhsim.live.agents import Share
from lhsim.live.client import BridgeError
from lhsim.live.mcp import agents
from lhsim.live.mcp.client import Asked
from lhsim.live.mcp.exchange import Answer


class Told:
    """A client that has been told what comes of each question."""

    def __init__(self, name, respond, outcomes):
        self.agent_id = name
        self.respond = respond
        self.outcomes = outcomes
        self.asked = []

    async def ask(self, target, message, _form):
        if message == agents.READY:
            return self.respond(Asked(self.agent_id, message, {}))
        self.asked.append((target, message))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome or self.respond(Asked(self.agent_id, message, {}))

    async def close(self):
        self.outcomes = None


def share(messages):
    numbers = np.arange(messages)
    return Share(
        url="http://nowhere",
        run="run",
        enrolment=None,
        architecture="mcp",
        era="modern",
        agents=np.array([7]),
        starts=np.array([0.0]),
        rows=numbers,
        sender=np.full(messages, 7),
        number=numbers,
        target=np.full(messages, 8),
        time=0.01 * numbers,
        payload=3,
        end=0.1,
    )


@pytest.fixture
def seen(monkeypatch):
    """Run agents whose questions come to something; return what they saw, and the client."""

    def play(*outcomes):
        clients = []

        async def connect(_url, name, *, respond, **_more):
            clients.append(Told(name, respond, list(outcomes)))
            return clients[-1]

        async def scenario():
            some = agents.McpAgents(share(len(outcomes)))
            await some.connect()
            found = await some.run(time.monotonic())
            await some.close()
            return found

        monkeypatch.setattr(agents.McpAgent, "connect", connect)
        return asyncio.run(scenario()), clients[0]

    return play


def test_what_is_answered_is_delivered_and_acknowledged(seen):
    found, client = seen(None, None)
    assert client.asked == [("run.8", "7 0 xxx"), ("run.8", "7 1 xxx")]
    assert (found.sender.tolist(), found.number.tolist()) == ([7, 7], [0, 1])
    assert (found.sent <= found.delivered).all()
    assert (found.delivered <= found.acknowledged).all()
    assert (found.refused, found.problem) == (0, "")


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (Answer("expired"), "a question was not answered: expired"),
        (Answer("cancel"), "a question was not answered: cancel"),
        (Answer("accept", {"number": 7}), "the answer is that to another question"),
        (BridgeError(429, "too many"), "429: too many"),
        (ConnectionError("the call 'ask' failed"), "the call 'ask' failed"),
    ],
)
def test_what_is_not_answered_is_refused(seen, outcome, problem):
    found, _ = seen(None, outcome, None)
    assert (found.refused, found.problem) == (1, problem)
    assert np.isnan(found.acknowledged).tolist() == [False, True, False]
    assert found.number.tolist() == [0, 2]


def test_who_gets_no_answer_of_its_own_is_not_connected(monkeypatch):
    async def connect(_url, name, **_more):
        return Told(name, lambda _asked: Answer("expired"), [])

    monkeypatch.setattr(agents.McpAgent, "connect", connect)
    with pytest.raises(ConnectionError, match="asks itself gets no answer: expired"):
        asyncio.run(agents.McpAgents(share(1)).connect())
