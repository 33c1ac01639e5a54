"""The server of the page: who is answered, what is refused, and one computation at a time."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

import lhsim
from lhsim.errors import LhsimError
from lhsim.explore.answers import point
from lhsim.explore.state import State

pytest.importorskip("starlette", reason="the extra live is not installed")
pytest.importorskip("uvicorn", reason="the extra live is not installed")

from starlette.testclient import TestClient

from lhsim.explore.app import Desk, application

URL = "http://127.0.0.1:8766"
ASKED = "/answers?system=small&agents=40&slo=p99%3C2s"


@pytest.fixture
def client(answers):
    with TestClient(application(answers, "<p>page</p>"), URL) as client:
        yield client


def test_the_page_is_there(client):
    response = client.get("/")
    assert response.text == "<p>page</p>"
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_answers_are_lines_of_json_with_the_figures_of_the_engine(client, known):
    response = client.get(ASKED)
    assert response.headers["content-type"] == "application/x-ndjson"
    parts = [json.loads(line) for line in response.text.splitlines()]
    small = {}
    for part in parts:
        small.update(part)
    result = lhsim.simulate(known["small"].system, agents=40)
    capacity = lhsim.capacity(known["small"].system, "p99<2s")
    assert small["point"] == point(result, 0.99)
    assert small["capacity"]["value"] == capacity.value
    assert (small["capacity"]["low"], small["capacity"]["high"]) == capacity.interval
    assert small["done"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8766", "localhost:1", "LOCALHOST"])
def test_loopback_is_answered(client, host):
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/", ASKED])
@pytest.mark.parametrize(
    "host",
    ["rebound.example:8766", "127.0.0.1.rebound.example", "localhost.rebound.example", "0.0.0.0",
     "192.168.0.7", "[::1]:8766", "", "127.0.0.1@rebound.example"],
)  # fmt: skip
def test_no_other_host_is(client, path, host):
    response = client.get(path, headers={"host": host})
    assert response.status_code == 400
    assert "page" not in response.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_start_nothing(client, site):
    response = client.get(ASKED, headers={"sec-fetch-site": site})
    assert (response.status_code, response.json()) == (
        403, {"error": "asked by a page of another site"}
    )  # fmt: skip
    assert client.get("/", headers={"sec-fetch-site": site}).status_code == 200


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("", "system: 0 systems"),
        ("system=/etc/passwd", "system: unknown system '/etc/passwd'"),
        ("system=small&agents=many", "agents: 'many' is out of range"),
        ("system=small&slo=p99", "slo: 'p99' is no objective"),
        ("system=small&run=rm", "link: unknown key 'run'"),
        ("system=push&agents=100000&rate=100/s", "push: a run of 100,000 agents is too large"),
    ],
)
def test_bad_input_is_refused_in_a_line(client, query, line):
    response = client.get(f"/answers?{query}")
    assert response.status_code == 400
    error = response.json()["error"]
    assert error.startswith(line)
    assert "\n" not in error


@pytest.mark.parametrize("path", ["/static/../../../etc/passwd", "/..%2f..%2fetc/passwd", "/x"])
def test_there_are_no_other_files(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_there_is_nothing_to_change(client, method):
    assert getattr(client, method)(ASKED).status_code == 405


class Slow:
    """Answers that go on until nobody waits."""

    def __init__(self):
        self.running, self.most, self.ended = 0, 0, []

    def of(self, state, is_outdated):
        self.running += 1
        self.most = max(self.most, self.running)
        yield {"agents": state.agents}
        while not is_outdated():
            threading.Event().wait(0.01)
        self.running -= 1
        self.ended.append(state.agents)
        yield {"late": True}


def state(agents):
    return State(("small",), agents=agents)


async def lines_of(desk, agents):
    return [json.loads(line) async for line in desk.lines(state(agents))]


def test_a_further_question_ends_the_one_before():
    slow = Slow()
    desk = Desk(slow)

    async def ask():
        first = asyncio.create_task(lines_of(desk, 1))
        await asyncio.sleep(0.1)
        second = desk.lines(state(2))
        begun = json.loads(await anext(second))
        ended = await asyncio.wait_for(first, 5)
        await second.aclose()
        return begun, ended

    begun, ended = asyncio.run(ask())
    desk.close()
    assert begun == {"agents": 2}
    assert ended == [{"agents": 1}, {"late": True}, {"outdated": True}]
    assert slow.most == 1
    assert slow.ended == [1, 2]


def test_a_reader_who_goes_ends_it():
    slow = Slow()
    desk = Desk(slow)

    async def ask():
        task = asyncio.create_task(lines_of(desk, 3))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(ask())
    desk.close()  # would wait for ever
    assert slow.ended == [3]


def test_a_run_that_fails_is_said_in_a_line():
    class Failing:
        def of(self, state, is_outdated):
            yield {"status": "x"}
            raise LhsimError("10 agents: a run failed")

    desk = Desk(Failing())
    assert asyncio.run(lines_of(desk, 1))[-1] == {"error": "10 agents: a run failed"}
    desk.close()
