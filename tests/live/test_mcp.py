"""Elicitation by MCP over streamable HTTP, with the official SDK, in both eras of the protocol."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from bridges import Bridge, metrics
from mcp_types import ElicitResult

from lhsim.live.client import BridgeClient, BridgeError
from lhsim.live.mcp.client import Answer, McpAgent
from lhsim.live.mcp.measure import COLUMNS, Load, measure_elicitations, round_trips

FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 10},
        "count": {"type": "integer", "minimum": 1},
    },
    "required": ["name"],
}
GOOD = {"name": "x", "count": 2}
ERAS = ("legacy", "modern")


@pytest.fixture(scope="module")
def mcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bridge with MCP that the tests of the module share: each has its own agents."""
    folder = tmp_path_factory.mktemp("mcp")
    bridge = Bridge(folder, str(folder / "events.db"))
    yield bridge.start("--mcp", "--max-body", "8192", "--timeout", "20s")
    assert bridge.end() == 0
    assert "Traceback" not in bridge.log


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    return request.param


@asynccontextmanager
async def pair(url: str, era: str, name: str, respond: Callable | None):
    """Alice, who asks, and Bob, who answers."""
    async with (
        await McpAgent.connect(url, f"alice{name}", era=era) as alice,
        await McpAgent.connect(url, f"bob{name}", era=era, respond=respond) as bob,
    ):
        yield alice, bob


def answers(*given: Answer) -> Callable:
    """Return what gives these answers in turn, and the last of them again and again."""
    left = list(given)

    def respond(asked) -> Answer:
        respond.asked.append(asked)
        return left.pop(0) if len(left) > 1 else left[0]

    respond.asked = []
    return respond


@pytest.mark.parametrize(
    "answer", [Answer("accept", GOOD), Answer("decline"), Answer("cancel")], ids=lambda a: a.action
)
def test_question_and_answer(mcp, within, name, era, answer):
    respond = answers(answer)

    async def scenario():
        async with pair(mcp, era, name, respond) as (alice, bob):
            assert await alice.ask(bob.agent_id, "Which: a or b?", FORM) == answer
            (asked,) = respond.asked
            assert (asked.asker, asked.message) == (alice.agent_id, "Which: a or b?")
            assert asked.schema == FORM

    within(scenario())


def test_more_questions_than_one_call_takes(mcp, within, name, era):
    async def scenario():
        async with pair(
            mcp, era, name, lambda asked: Answer("accept", {"name": asked.message})
        ) as (
            alice,
            bob,
        ):
            for n in range(25):  # one after the other, and in order
                answer = await alice.ask(bob.agent_id, str(n), FORM)
                assert answer == Answer("accept", {"name": str(n)})

    within(scenario())


def test_who_declines_gives_nothing_away(mcp, within, name, era):
    async def scenario():
        respond = answers(Answer("decline", {"name": "secret"}))
        async with pair(mcp, era, name, respond) as (alice, bob):
            assert await alice.ask(bob.agent_id, "Which?", FORM) == Answer("decline", None)

    within(scenario())


def test_without_an_answer_it_expires_in_time(mcp, within, name, era):
    async def never(_asked) -> Answer:
        await asyncio.sleep(60)
        raise AssertionError

    async def scenario():
        async with pair(mcp, era, name, never) as (alice, bob):
            begun = time.monotonic()
            assert await alice.ask(bob.agent_id, "Now?", FORM, 0.3) == Answer("expired")
            assert 0.3 <= time.monotonic() - begun < 5
            assert await alice.ask("nobody", "Now?", FORM, 0.1) == Answer("expired")

    within(scenario())


def test_a_late_answer_is_none(mcp, within, name, era):
    waits = [0.5, 0.0]

    async def late(_asked) -> Answer:
        await asyncio.sleep(waits.pop(0))
        return Answer("accept", GOOD)

    async def scenario():
        async with pair(mcp, era, name, late) as (alice, bob):
            assert await alice.ask(bob.agent_id, "Now?", FORM, 0.1) == Answer("expired")
            # What was said too late is not taken for an answer to the next question.
            assert await alice.ask(bob.agent_id, "And now?", FORM, 5) == Answer("accept", GOOD)
            assert waits == []

    within(scenario())


def test_an_answer_that_breaks_the_form_is_asked_for_again(mcp, within, name, era):
    bad = [Answer("accept", {"count": 1}), Answer("accept", {"name": "x" * 11})]
    respond = answers(*bad, Answer("accept", GOOD))

    async def scenario():
        async with pair(mcp, era, name, respond) as (alice, bob):
            assert await alice.ask(bob.agent_id, "Which?", FORM, 10) == Answer("accept", GOOD)
            assert len(respond.asked) == 3

    within(scenario())


def test_who_never_keeps_to_the_form_is_asked_three_times(mcp, within, name, era):
    respond = answers(Answer("accept", {"name": 1}))

    async def scenario():
        async with pair(mcp, era, name, respond) as (alice, bob):
            assert await alice.ask(bob.agent_id, "Which?", FORM, 2) == Answer("expired")
            assert len(respond.asked) == 3

    within(scenario())


def test_an_answer_that_no_client_would_take_is_refused(bridge, within, era):
    url = bridge.start("--mcp")
    respond = answers(Answer("accept", {"name": "x", "more": "x" * 600_000}), Answer("decline"))

    async def scenario():
        async with pair(url, era, "", respond) as (alice, bob):
            assert await alice.ask(bob.agent_id, "Which?", FORM, 10) == Answer("decline")

    within(scenario())


def test_a_client_that_does_not_keep_to_the_protocol(mcp, within, name, era):
    class Wild(McpAgent):
        async def _answer(self, context, params):
            return ElicitResult.model_construct(action="accept", content={"name": {"a": 1}})

    async def scenario():
        respond = answers(Answer("decline"))
        async with (
            await McpAgent.connect(mcp, f"alice{name}", era=era) as alice,
            await Wild.connect(mcp, f"bob{name}", era=era, respond=respond) as bob,
        ):
            assert await alice.ask(bob.agent_id, "Which?", FORM, 1.5) == Answer("expired")

    within(scenario())


def test_an_agent_may_ask_itself(mcp, within, name, era):
    async def scenario():
        respond = answers(Answer("accept", GOOD))
        async with await McpAgent.connect(mcp, f"a{name}", era=era, respond=respond) as alice:
            assert await alice.ask(alice.agent_id, "Me?", FORM, 5) == Answer("accept", GOOD)

    within(scenario())


def test_who_fails_to_answer_cancels(mcp, within, name, era, caplog):
    def fails(_asked) -> Answer:
        raise ValueError("no idea")

    async def scenario():
        async with pair(mcp, era, name, fails) as (alice, bob):
            assert await alice.ask(bob.agent_id, "Which?", FORM, 5) == Answer("cancel")

    within(scenario())
    assert "could not answer" in caplog.text


def test_who_listens_later_gets_what_was_asked_before(mcp, within, name, era):
    async def scenario():
        async with await McpAgent.connect(mcp, f"alice{name}", era=era) as alice:
            asking = asyncio.create_task(alice.ask(f"bob{name}", "Which?", FORM, 10))
            await asyncio.sleep(0.2)
            respond = answers(Answer("accept", GOOD))
            async with await McpAgent.connect(mcp, f"bob{name}", era=era, respond=respond):
                assert await asking == Answer("accept", GOOD)

    within(scenario())


def test_a_newer_client_takes_over_with_the_open_question(mcp, within, name, era):
    async def never(_asked) -> Answer:
        await asyncio.sleep(60)
        raise AssertionError

    async def scenario():
        async with pair(mcp, era, name, never) as (alice, bob):
            asking = asyncio.create_task(alice.ask(bob.agent_id, "Which?", FORM, 10))
            await asyncio.sleep(0.2)  # it has been handed to the client that says nothing
            respond = answers(Answer("accept", GOOD))
            async with await McpAgent.connect(mcp, bob.agent_id, era=era, respond=respond):
                assert await asking == Answer("accept", GOOD)
                assert len(respond.asked) == 1

    within(scenario())


def test_the_eras_understand_each_other(mcp, within, name):
    async def scenario():
        respond = answers(Answer("accept", GOOD))
        for asker, target in (("legacy", "modern"), ("modern", "legacy")):
            async with (
                await McpAgent.connect(mcp, f"a{name}", era=asker) as alice,
                await McpAgent.connect(mcp, f"b{name}{asker}", era=target, respond=respond) as bob,
            ):
                assert await alice.ask(bob.agent_id, "?", FORM, 5) == Answer("accept", GOOD)

    within(scenario())


def test_who_gives_up_asking_takes_the_question_back(mcp, within, name, era):
    async def scenario():
        async with await McpAgent.connect(mcp, f"alice{name}", era=era) as alice:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(alice.ask(f"bob{name}", "old", FORM, 20), 0.3)
            await asyncio.sleep(0.2)
            respond = answers(Answer("accept", GOOD))
            async with await McpAgent.connect(mcp, f"bob{name}", era=era, respond=respond):
                assert await alice.ask(f"bob{name}", "new", FORM, 5) == Answer("accept", GOOD)
            assert [asked.message for asked in respond.asked] == ["new"]

    within(scenario())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"target": "no body"}, "400: target is no id of an agent"),
        ({"message": ""}, "400: message is no text"),
        ({"message": 7}, "400: message is no text"),
        ({"schema": {"type": "array"}}, "400: schema is no form"),
        ({"schema": None}, "400: schema is no form"),
        ({"timeout_seconds": 301}, "400: timeout_seconds is no number from 0.001 to 300"),
        ({"timeout": 1}, "400: unknown key 'timeout'"),
        (
            {"schema": {**FORM, "additionalProperties": {"pattern": "^(a+)+$"}}},
            "400: schema.additionalProperties is out of range",
        ),
        (
            {"schema": {**FORM, "additionalProperties": {"$ref": "#/nope"}}},
            "400: schema.additionalProperties is out of range",
        ),
        ({"schema": {**FORM, "$ref": "http://127.0.0.1:9/"}}, "400: schema has the keyword '$ref'"),
        (
            {"schema": {**FORM, "properties": {"a": {"type": "string", "format": "regex"}}}},
            "400: schema.properties.a.format is out of range; allowed: email, uri, date, date-time",
        ),
    ],
)
def test_what_is_no_question_is_refused(mcp, within, name, era, arguments, problem):
    good = {"target": "bob", "message": "?", "schema": FORM}

    async def scenario():
        async with await McpAgent.connect(mcp, f"alice{name}", era=era) as alice:
            with pytest.raises(BridgeError) as refused:
                await alice._call("ask", good | arguments)
            assert str(refused.value).startswith(problem)
            with pytest.raises(BridgeError, match="404: no such tool"):
                await alice._call("tell", {})

    within(scenario())


def test_who_cannot_be_asked_cannot_listen(mcp, within, name, era):
    async def scenario():
        async with await McpAgent.connect(mcp, f"alice{name}", era=era) as alice:
            with pytest.raises(BridgeError, match="400: the client has not declared"):
                await alice._call("listen", {})

    within(scenario())


async def modern(client: BridgeClient, **params) -> dict:
    """Call a tool of the modern era by hand; return the result."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    }
    call = {"name": "listen", "arguments": {"timeout_seconds": 5}, "_meta": meta} | params
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    head = (
        f"{client._head('POST', '/mcp')}content-type: application/json\r\n"
        "accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\n"
        f"mcp-method: tools/call\r\nmcp-name: {call['name']}\r\n"
    )
    response = await client.raw(head, json.dumps(body).encode())
    assert response.status == 200, response
    return json.loads(response.body)["result"]


def test_only_who_was_asked_answers_once_and_with_the_nonce(mcp, within, name):
    async def scenario():
        async with (
            await McpAgent.connect(mcp, f"alice{name}") as alice,
            await BridgeClient.connect(mcp, f"bob{name}") as bob,
            await BridgeClient.connect(mcp, f"carol{name}") as carol,
        ):
            asking = asyncio.create_task(alice.ask(f"bob{name}", "Which?", FORM, 20))
            asked = await modern(bob)
            assert asked["resultType"] == "input_required"
            ((identity, request),) = asked["inputRequests"].items()
            assert request["params"]["requestedSchema"] == FORM
            answer = {identity: {"action": "accept", "content": GOOD}}
            state = asked["requestState"]

            async def refused(client, answer, state) -> int:
                result = await modern(client, inputResponses=answer, requestState=state)
                assert result["isError"]
                return result["structuredContent"]["status"]

            assert await refused(carol, answer, state) == 404  # who was not asked
            assert await refused(bob, answer, "1.wrong") == 403
            assert await refused(bob, answer, "") == 403
            assert await refused(bob, {"x": answer[identity]}, state) == 404
            assert await refused(bob, {}, state) == 400
            assert not asking.done()
            quick = {"name": "listen", "arguments": {"timeout_seconds": 0}}
            taken = await modern(bob, **quick, inputResponses=answer, requestState=state)
            assert taken["structuredContent"]["answered"] == 1
            assert await asking == Answer("accept", GOOD)
            assert await refused(bob, answer, state) == 409  # again

    within(scenario())


def test_without_a_token_there_is_nothing(mcp, within, name, era):
    async def scenario():
        async with await BridgeClient.connect(mcp, f"alice{name}") as alice:
            for token in ("", "x", alice.token[:-1], alice.token + "x"):
                client = BridgeClient(mcp, alice.agent_id, token)
                for method in ("POST", "GET", "DELETE"):
                    response = await client.raw(client._head(method, "/mcp"))
                    assert response.status == 401
                    assert json.loads(response.body) == {"error": "no valid token"}
                client.close()
                with pytest.raises(ConnectionError, match="/mcp cannot be used"):
                    await McpAgent(mcp, alice.agent_id, era).start(token or "none")

    within(scenario())


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"


def test_a_session_is_of_use_to_its_agent_alone(mcp, within, name):
    async def scenario():
        async with (
            await BridgeClient.connect(mcp, f"alice{name}") as alice,
            await BridgeClient.connect(mcp, f"mallory{name}") as mallory,
        ):
            opened = await alice.raw(
                alice._head("POST", "/mcp") + ACCEPT, json.dumps(INITIALIZE).encode()
            )
            session = opened.headers["mcp-session-id"]
            ping = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
            for agent, status in ((mallory, 404), (alice, 200)):
                head = f"{agent._head('POST', '/mcp')}{ACCEPT}mcp-session-id: {session}\r\n"
                assert (await agent.raw(head, ping)).status == status

    within(scenario())


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28", "1"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"7", b"[" * 4000, b'{"jsonrpc":"2.0","id":1}',
     b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","arguments":7}}',
     b'{"jsonrpc":"2.0","id":1,"result":{}}'],
)  # fmt: skip
def test_garbage_gets_a_short_answer(mcp, within, name, version, body):
    async def scenario():
        async with await BridgeClient.connect(mcp, f"alice{name}") as alice:
            head = f"{alice._head('POST', '/mcp')}{ACCEPT}mcp-protocol-version: {version}\r\n"
            response = await alice.raw(head, body)
            assert 400 <= response.status < 500
            assert len(response.body) < 2000
            assert b"Traceback" not in response.body

    within(scenario())


@pytest.mark.parametrize(
    "value", ["1e999", "NaN", "9" * 20, r'"\ud800"', r'"\u0000"', "[" * 40 + "]" * 40, "[" * 3000]
)
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_what_the_bridge_does_not_take_is_no_message_of_mcp_either(
    mcp, within, name, version, value
):
    async def scenario():
        async with await BridgeClient.connect(mcp, f"alice{name}") as alice:
            head = f"{alice._head('POST', '/mcp')}{ACCEPT}mcp-protocol-version: {version}\r\n"
            body = f'{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{value}}}}}'
            response = await alice.raw(head, body.encode())
            answer = json.loads(response.body)
            assert (response.status, answer["jsonrpc"], answer["id"]) == (400, "2.0", None)
            assert answer["error"]["code"] == -32700
            assert answer["error"]["message"].startswith("the body ")

    within(scenario())


def test_a_body_that_is_too_long_is_refused(mcp, within, name):
    async def scenario():
        async with await BridgeClient.connect(mcp, f"alice{name}") as alice:
            response = await alice.raw(alice._head("POST", "/mcp") + ACCEPT, b" " * 8193)
            assert response.status == 413

    within(scenario())


def test_a_body_that_does_not_come_is_not_waited_for(bridge, within):
    (bridge.folder / "hasty.toml").write_text('patience = "300 ms"\nmcp = true\n')
    url = bridge.start("--config", "hasty.toml")

    async def scenario():
        async with await BridgeClient.connect(url, "alice") as alice:
            reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
            head = f"{alice._head('POST', '/mcp')}{ACCEPT}content-length: 100\r\n\r\n"
            writer.write(head.encode() + b"{")
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")  # and it is closed
            writer.close()
            await writer.wait_closed()

    within(scenario())


def test_a_page_of_another_host_is_kept_out(mcp, within, name):
    async def scenario():
        async with await BridgeClient.connect(mcp, f"alice{name}") as alice:
            head = alice._head("POST", "/mcp") + ACCEPT + "origin: http://example.org\r\n"
            assert (await alice.raw(head, json.dumps(INITIALIZE).encode())).status == 403

    within(scenario())


def test_no_more_questions_than_are_allowed(bridge, within, era):
    (bridge.folder / "few.toml").write_text("elicitations = 2\nmcp = true\n")
    url = bridge.start("--config", "few.toml")

    async def scenario():
        async with await McpAgent.connect(url, "alice", era=era) as alice:
            asking = [asyncio.create_task(alice.ask("bob", "?", FORM, 1)) for _ in range(2)]
            await asyncio.sleep(0.3)
            with pytest.raises(BridgeError, match="503: too many elicitations"):
                await alice.ask("bob", "?", FORM, 1)
            assert await asyncio.gather(*asking) == [Answer("expired")] * 2

    within(scenario())


def test_the_rate_limit_holds_here_too(bridge, within):
    url = bridge.start("--mcp", "--rate-limit", "1/min,1")

    async def scenario():
        async with await McpAgent.connect(url, "alice") as alice:
            assert await alice.ask("bob", "?", FORM, 0.01) == Answer("expired")
            with pytest.raises(BridgeError, match="429") as refused:
                await alice.ask("bob", "?", FORM, 0.01)
            assert 0 < refused.value.retry_after <= 60

    within(scenario())


def test_it_is_counted(bridge, within, era):
    url = bridge.start("--mcp")

    async def scenario():
        async with pair(url, era, "", answers(Answer("accept", GOOD))) as (alice, bob):
            await alice.ask(bob.agent_id, "?", FORM)
            await alice.ask("nobody", "?", FORM, 0.01)
        async with await BridgeClient.connect(url, "alice") as alice:
            return await metrics(alice)

    found = within(scenario())
    assert found['message_deliveries_total{architecture="mcp"}'] == 1
    assert found['agent_comm_latency_ms_count{architecture="mcp"}'] == 1
    assert found["elicitation_success_rate"] == 0.5


def test_a_stop_lets_all_go(bridge, within, era):
    async def never(_asked) -> Answer:
        await asyncio.sleep(60)
        raise AssertionError

    url = bridge.start("--mcp")

    async def scenario():
        async with pair(url, era, "", never) as (alice, bob):
            asking = [asyncio.create_task(alice.ask(bob.agent_id, "?", FORM)) for _ in range(3)]
            await asyncio.sleep(0.3)
            assert await asyncio.to_thread(bridge.end_in_time) == 0
            for one in asking:
                with pytest.raises((BridgeError, ConnectionError)) as told:
                    await one
                # The SDK cuts all streams at some time in the half second after the signal; what
                # has to be said is nearly always said by then.
                said = str(told.value)
                assert "the server is stopping" in said or "ended without a response" in said

    within(scenario())
    assert "Traceback" not in bridge.log
    assert "ERROR" not in bridge.log


def test_a_server_that_is_gone_is_said_to_be(bridge, within, era):
    url = bridge.start("--mcp")

    async def scenario():
        async with pair(url, era, "", answers(Answer("decline"))) as (alice, bob):
            await asyncio.to_thread(bridge.end, signal.SIGKILL)
            with pytest.raises(ConnectionError):
                await alice.ask(bob.agent_id, "?", FORM)
        with pytest.raises(OSError, match=r"."):
            await McpAgent.connect(url, "alice", era=era)

    within(scenario())


def test_without_mcp_it_is_said(running, within, name, era):
    async def scenario():
        with pytest.raises(ConnectionError, match="/mcp cannot be used"):
            await McpAgent.connect(running, f"alice{name}", era=era)

    within(scenario())


def test_an_enrolment_key_is_needed_where_there_is_one(bridge, within, era):
    key = "a key that is long enough"
    url = bridge.start("--mcp", environment={"LHSIM_ENROLMENT_KEY": key})

    async def scenario():
        with pytest.raises(BridgeError, match="401"):
            await McpAgent.connect(url, "alice", era=era)
        await (await McpAgent.connect(url, "alice", era=era, enrolment=key)).close()

    within(scenario())
    assert key not in bridge.log


def test_fifty_at_a_time_are_all_answered(mcp, era):
    # It has limits of its own, which leave a busy machine the time to connect a hundred clients.
    frame = asyncio.run(measure_elicitations(round_trips(mcp, era, pairs=50, asks=2)))
    assert list(frame.columns) == list(COLUMNS)
    assert frame["outcome"].tolist() == ["accept"] * 100
    assert frame["agent"].value_counts().tolist() == [2] * 50
    assert (frame["answered_s"] > frame["sent_s"]).all()
    first = frame[frame["intended_s"] == 0]
    assert len(first) == 50  # all at a time: the last is asked before the first is answered
    assert first["sent_s"].max() < first["answered_s"].max()


def test_questions_come_when_they_are_due(mcp, within):
    times = [[0.0, 0.2, 0.2], [0.1]]
    frame = within(measure_elicitations(Load(mcp, "modern", times, processes=1)))
    assert frame["intended_s"].tolist() == [0.0, 0.1, 0.2, 0.2]
    assert (frame["sent_s"] >= frame["intended_s"]).all()
    assert frame["outcome"].tolist() == ["accept"] * 4


def test_clients_that_cannot_connect_are_no_measurement(within):
    with pytest.raises(RuntimeError, match="a process of clients failed: ConnectionRefusedError"):
        within(measure_elicitations(round_trips("http://127.0.0.1:9", "modern", 1, 1)))
