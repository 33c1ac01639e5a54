"""Elicitations: asked, answered once, in time and in form, or not at all."""

from __future__ import annotations

import asyncio

import pytest
from bridges import metrics, pair

from lhsim.live.client import BridgeError

FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 10},
        "count": {"type": "integer", "minimum": 1},
        "colour": {"type": "string", "enum": ["red", "blue"]},
    },
    "required": ["name"],
}
GOOD = {"name": "x", "count": 2, "colour": "red"}


@pytest.mark.parametrize(
    ("action", "content"), [("accept", GOOD), ("decline", None), ("cancel", None)]
)
def test_question_and_answer(stored_bridge, within, action, content):
    url = stored_bridge.start()

    async def scenario():
        async with pair(url) as (alice, bob):
            identity = await alice.elicit("bob", "Which?", FORM)
            (event,) = await bob.wait(1)
            question = event["payload"]
            assert event["type"] == "elicitation"
            assert (question["elicitation_id"], question["from"]) == (identity, "alice")
            assert await bob.pending() == [question]
            assert await alice.pending() == []  # she has asked, and is not asked
            await bob.respond(question, action, content)
            (answer,) = await alice.wait(1)
            expected = {"elicitation_id": identity, "action": action, "content": content}
            assert (answer["type"], answer["payload"]) == ("elicitation_response", expected)
            assert await bob.pending() == []
            with pytest.raises(BridgeError, match="409"):  # again
                await bob.respond(question, action, content)
            assert await alice.wait(0) == []
            assert (await metrics(alice))["elicitation_success_rate"] == 1

    within(scenario())


def test_an_agent_may_ask_itself(running, within, name):
    async def scenario():
        async with pair(running, name) as (alice, _):
            await alice.elicit(alice.agent_id, "Me?", FORM)
            await alice.respond((await alice.pending())[0], "decline")
            types = [event["type"] for event in await alice.wait(0)]
            assert types == ["elicitation", "elicitation_response"]

    within(scenario())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"name": 7}, "content.name breaks 'type'"),
        ({"count": 1}, "content breaks 'required'"),
        ({"name": "x" * 11}, "content.name breaks 'maxLength'"),
        ({"name": "x", "count": 0}, "content.count breaks 'minimum'"),
        ({"name": "x", "count": 1.5}, "content.count breaks 'type'"),
        ({"name": "x", "colour": "green"}, "content.colour breaks 'enum'"),
        ("text", "content breaks 'type'"),
        (None, "content breaks 'type'"),
    ],
)
def test_what_breaks_the_form_is_no_answer(running, within, name, content, problem):
    async def scenario():
        async with pair(running, name) as (alice, bob):
            await alice.elicit(bob.agent_id, "Which?", FORM)
            (question,) = await bob.pending()
            with pytest.raises(BridgeError, match="422") as refused:
                await bob.respond(question, "accept", content)
            assert refused.value.problem.startswith(problem)
            await bob.respond(question, "accept", GOOD)  # it was still open

    within(scenario())


def test_too_late_is_too_late(running, within, name):
    async def scenario():
        async with pair(running, name) as (alice, bob):
            identity = await alice.elicit(bob.agent_id, "Now?", FORM, timeout=0.05)
            (event,) = await bob.wait(1)
            (answer,) = await alice.wait(1)
            expected = {"elicitation_id": identity, "action": "expired", "content": None}
            assert answer["payload"] == expected
            with pytest.raises(BridgeError, match="410"):
                await bob.respond(event["payload"], "accept", GOOD)
            assert await bob.pending() == []
            assert await alice.wait(0) == []

    within(scenario())


def test_only_who_was_asked_answers_and_with_the_nonce(running, within, name):
    async def scenario():
        async with pair(running, name) as (alice, bob):
            await alice.elicit(bob.agent_id, "Which?", FORM)
            (question,) = await bob.pending()
            with pytest.raises(BridgeError, match="404"):
                await alice.respond(question, "accept", GOOD)
            for nonce in ("wrong", "é", question["nonce"][:-1]):
                with pytest.raises(BridgeError, match="403"):
                    await bob.respond({**question, "nonce": nonce}, "accept", GOOD)
            with pytest.raises(BridgeError, match="404"):
                await bob.respond({**question, "elicitation_id": "x"}, "accept", GOOD)
            with pytest.raises(BridgeError, match="400"):
                await bob.respond(question, "agree", GOOD)
            with pytest.raises(BridgeError, match="400"):
                await bob.respond(question, "decline", GOOD)
            await bob.respond(question, "accept", GOOD)

    within(scenario())


@pytest.mark.parametrize(
    "schema",
    [
        None,
        "text",
        {"type": "array"},
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1/x"}}},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}}},
        {"type": "object", "properties": {"a": {"type": "string", "maxLength": "x"}}},
        {"type": "object", "properties": {}, "allOf": []},
        {"type": "object", "properties": {}, "required": [1]},
        {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(51)}},
    ],
)
def test_what_is_no_flat_form_is_not_asked(running, within, name, schema):
    async def scenario():
        async with pair(running, name) as (alice, bob):
            with pytest.raises(BridgeError, match="400: schema"):
                await alice.elicit(bob.agent_id, "Which?", schema)
            assert await bob.wait(0) == []

    within(scenario())


def test_many_at_a_time_each_get_their_own_answer(running, within, name):
    async def scenario():
        async with pair(running, name) as (alice, bob):
            asked = [alice.elicit(bob.agent_id, str(n), FORM) for n in range(50)]
            identities = await asyncio.gather(*asked)
            questions = await bob.pending()
            answered = [bob.respond(one, "accept", {"name": one["message"]}) for one in questions]
            await asyncio.gather(*answered)
            names = {}
            while len(names) < 50:
                for event in await alice.wait(1):
                    answer = event["payload"]
                    names[answer["elicitation_id"]] = answer["content"]["name"]
            assert names == {identity: str(n) for n, identity in enumerate(identities)}

    within(scenario())
