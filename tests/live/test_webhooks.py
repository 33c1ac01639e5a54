"""Webhooks: each message is posted until it is accepted, and to no address that is not allowed."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager, suppress

import attrs
import pytest
from bridges import metrics, pair

from lhsim.distributions import Deterministic
from lhsim.errors import InputError
from lhsim.live.client import BridgeError
from lhsim.live.driver import Load, measure
from lhsim.live.monitor import Monitor
from lhsim.live.refusals import Refusal
from lhsim.live.settings import BridgeSettings, WebhookSettings
from lhsim.live.store import Event
from lhsim.live.targets import Endpoint
from lhsim.live.webhooks import Webhooks
from lhsim.models import Poisson, Webhook, Workload
from lhsim.recording import Recording

SETTINGS = {"allow": ["http://127.0.0.1:*"], "attempts": 3, "timeout": "300 ms",
            "backoff": "100 ms", "factor": 3, "longest": "200 ms"}  # fmt: skip


def started(bridge, **settings) -> str:
    lines = [f"{key} = {value!r}" for key, value in {**SETTINGS, **settings}.items()]
    (bridge.folder / "bridge.toml").write_text("\n".join(["[webhook]", *lines, ""]))
    return bridge.start("--config", "bridge.toml")


class Target:
    """An endpoint of bob's, which answers as it is told."""

    def __init__(self, *answers: float | None) -> None:
        self.answers = list(answers)
        self.posts: list[tuple[object, int, float]] = []
        self.endpoint = Endpoint(self._take, 10_000)

    def _take(self, _agent, event, post):
        self.posts.append((event["payload"], post, time.monotonic()))
        return self.answers.pop(0) if self.answers else 0.0

    async def until(self, count):
        while len(self.posts) < count:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def posted_to(url, *answers):
    """Alice, and a target of bob's."""
    target = Target(*answers)
    await target.endpoint.open()
    async with pair(url) as (alice, bob):
        key = await bob.register_webhook(target.endpoint.url(1))
        target.endpoint.keys[1] = key.encode()
        try:
            yield alice, bob, target
        finally:
            target.endpoint.close()


async def counted(client, name, value):
    """Wait until a counter is so high; return all."""
    while (found := await metrics(client)).get(name, 0) < value:
        await asyncio.sleep(0.02)
    return found


def test_each_message_is_posted_once(bridge, within):
    url = started(bridge)

    async def scenario():
        async with posted_to(url) as (alice, bob, target):
            for n in range(20):
                await alice.store("bob", n)
            await target.until(20)
            assert sorted(payload for payload, _, _ in target.posts) == list(range(20))
            assert {post for _, post, _ in target.posts} == {0}
            found = await counted(bob, 'message_deliveries_total{architecture="push"}', 20)
            assert found["webhook_posts_total"] == 20
            assert found["dead_letters_total"] == found["webhook_retries_total"] == 0

    within(scenario())
    assert bridge.end() == 0
    assert bridge.log.count("\n") == 1


def test_a_failing_endpoint_leads_to_posts_after_back_offs_and_then_to_a_dead_letter(
    bridge, within
):
    url = started(bridge)

    async def scenario():
        async with posted_to(url, None, None, None, None, 0.0) as (alice, bob, target):
            await alice.store("bob", "dead")
            found = await counted(bob, "dead_letters_total", 1)
            assert [(payload, post) for payload, post, _ in target.posts] == [
                ("dead", 0), ("dead", 1), ("dead", 2)
            ]  # fmt: skip
            first, second, third = (at for _, _, at in target.posts)
            assert second - first >= 0.1
            assert third - second >= 0.2  # three times as long, but for the longest
            assert found["webhook_retries_total"] == 2
            assert 'message_deliveries_total{architecture="push"}' not in found
            await alice.store("bob", "late")
            found = await counted(bob, 'message_deliveries_total{architecture="push"}', 1)
            assert [(payload, post) for payload, post, _ in target.posts[3:]] == [
                ("late", 0), ("late", 1)
            ]  # fmt: skip
            # Nothing is lost for good: both are in the store.
            assert [event["payload"] for event in await bob.wait(0)] == ["dead", "late"]

    within(scenario())


def test_what_works_longer_than_the_timeout_has_the_message_again(bridge, within):
    url = started(bridge)

    async def scenario():
        async with posted_to(url, 20.0, 0.0) as (alice, bob, target):
            await alice.store("bob", "twice")
            found = await counted(bob, 'message_deliveries_total{architecture="push"}', 1)
            assert [post for _, post, _ in target.posts] == [0, 1]
            assert found["webhook_timeouts_total"] == 1

    within(scenario())


def test_posts_in_flight_have_places(bridge, within):
    url = started(bridge, in_flight=1, timeout="5 s")

    async def scenario():
        async with posted_to(url, 0.3, 0.3) as (alice, _, target):
            await asyncio.gather(*(alice.store("bob", n) for n in range(3)))
            await target.until(3)
            times = [at for _, _, at in target.posts]
            assert times[1] - times[0] >= 0.3
            assert times[2] - times[1] >= 0.3

    within(scenario())


REFUSED = [
    ("http://127.0.0.2:80/", 403, "url is at no address to which this bridge may post"),
    ("http://localhost:80/", 403, "url is at no address"),
    ("https://127.0.0.1:80/", 403, "url is at no address"),
    ("http://169.254.169.254/latest/meta-data", 403, "url is at no address"),
    ("http://[::1]:80/", 403, "url is at no address"),
    ("http://[::ffff:127.0.0.1]:80/", 403, "url is at no address"),
    ("http://0x7f000001/", 403, "url is at no address"),
    ("http://127.1/", 403, "url is at no address"),
    ("http://127.0.0.1.:80/", 403, "url is at no address"),
    ("http://127.0.0.1@example.org/", 400, "url is no http://HOST:PORT/PATH"),
    ("http://example.org\\@127.0.0.1/", 400, "url is no"),
    ("http://127.0.0.1:80\\@example.org/", 400, "url is no"),
    ("http://127.0.0.1#@example.org/", 400, "url is no"),
    ("http://127.0.0.1:80/a\r\nhost: x", 400, "url is no"),
    ("http://127.0.0.1:80/a b", 400, "url is no"),
    ("http://127.0.0.1:0/", 400, "url is no"),
    ("http://127.0.0.1:99999/", 400, "url is no"),
    ("http://127.0.0.1:²/", 400, "url is no"),
    ("http://127。0。0。1/", 400, "url is no"),
    ("file:///etc/passwd", 400, "url is no"),
    ("gopher://127.0.0.1/", 400, "url is no"),
    ("http://127.0.0.1/" + "x" * 1000, 400, "url is no"),
    ("", 400, "url is no"),
    (7, 400, "url is no"),
    (None, 400, "url is no"),
    (["http://127.0.0.1/"], 400, "url is no"),
]


def test_addresses_that_are_not_allowed_are_refused(bridge, within):
    url = started(bridge)

    async def scenario():
        async with pair(url) as (alice, _):
            for address, status, problem in REFUSED:
                with pytest.raises(BridgeError) as failure:
                    await alice.call("POST", "/webhook/register", {"url": address})
                assert (failure.value.status, address) == (status, address)
                assert failure.value.problem.startswith(problem)
            body = {"url": "http://127.0.0.1/", "agent_id": "bob"}
            with pytest.raises(BridgeError, match="400: unknown key 'agent_id'"):
                await alice.call("POST", "/webhook/register", body)
            alice.token = "x"
            for path in ("/webhook/register", "/webhook/remove"):
                with pytest.raises(BridgeError, match="401: no valid token"):
                    await alice.call("POST", path, {})

    within(scenario())


def test_no_port_is_allowed_but_those_that_are(bridge, within):
    url = started(bridge, allow=["http://127.0.0.1:9", "http://LOCALHOST"])

    async def scenario():
        async with pair(url) as (alice, _):
            for good in ("http://127.0.0.1:9", "http://localhost/x?y=z", "http://localhost:80/"):
                await alice.register_webhook(good)
            for bad in ("http://127.0.0.1/", "http://127.0.0.1:90/", "http://localhost:9/"):
                with pytest.raises(BridgeError, match="403"):
                    await alice.register_webhook(bad)

    within(scenario())


def test_a_redirect_leads_nowhere_and_what_is_no_answer_is_a_failure(bridge, within):
    """Answers of hostile targets: each is a failure, of that message alone."""
    answers = [
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:%d/\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxx",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n" + b"x" * 100_000,
    ]
    good = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" * 3  # two of them unasked for
    url = started(bridge, attempts=1)
    asked, writers = [], []

    async def hostile(reader, writer):
        writers.append(writer)
        with suppress(OSError, EOFError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
                await reader.readexactly(length)
                writer.write(answers[len(asked)] if len(asked) < len(answers) else good)
                asked.append(head)
                await writer.drain()
        writer.close()

    async def scenario():
        server = await asyncio.start_server(hostile, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        answers[0] = answers[0] % port
        async with server, pair(url) as (alice, bob):
            await bob.register_webhook(f"http://127.0.0.1:{port}/hook")
            for n in range(len(answers)):
                await alice.store("bob", n)
                await counted(bob, "dead_letters_total", n + 1)
            assert len(asked) == len(answers)  # nobody went where the redirect leads
            await alice.store("bob", "good")
            await counted(bob, 'message_deliveries_total{architecture="push"}', 1)
            await alice.store("bob", "again")
            await counted(bob, 'message_deliveries_total{architecture="push"}', 2)
            for writer in writers:
                writer.close()
            await asyncio.sleep(0.05)
        assert all(head.startswith(b"POST /hook HTTP/1.1\r\n") for head in asked)
        assert all(b"authorization: Bearer " in head for head in asked)

    within(scenario())
    assert bridge.end_in_time() == 0
    assert "Traceback" not in bridge.log


def test_a_target_that_never_answers_does_not_hold_up_the_end(bridge, within):
    url = started(bridge, timeout="60 s", waiting=2)

    async def scenario():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            async with pair(url) as (alice, bob):
                await bob.register_webhook(f"http://127.0.0.1:{port}/")
                for n in range(2):
                    await alice.store("bob", n)
                with pytest.raises(BridgeError, match="503: too many messages wait") as refused:
                    await alice.store("bob", 2)
                assert refused.value.retry_after == 2
                assert await alice.store("carol", 2) > 0  # who has none is not concerned
                assert len(await bob.wait(0)) == 2
            assert bridge.end_in_time() == 0

    within(scenario())
    assert "Traceback" not in bridge.log


def test_messages_that_wait_to_be_posted_take_so_much_memory_and_no_more(monkeypatch, within):
    """A target that never answers, and messages as large as they may be: 100,000 of 1 MB."""
    monkeypatch.setattr("lhsim.live.webhooks.MOST_WAITING", 2500)

    async def nothing(*_):
        return []

    async def scenario():
        settings = WebhookSettings(allow=("http://127.0.0.1:*",))
        hooks = Webhooks(settings, 10, b"secret", nothing, Monitor(BridgeSettings()))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            hooks.register("bob", f"http://127.0.0.1:{silent.getsockname()[1]}/")
            for number in range(3):
                hooks.admit("bob")
                hooks.stored(Event(number, "bob", 0.0, "{" + "x" * 998 + "}"))
                await asyncio.sleep(0)
            hooks.admit("carol")
            with pytest.raises(Refusal, match="too many messages wait"):
                hooks.admit("bob")
            hooks.stop()
            while hooks._deliveries:
                await asyncio.sleep(0.01)
            hooks.admit("bob")

    within(scenario())


def test_a_hook_that_is_removed_gets_no_more(bridge, within):
    url = started(bridge)

    async def scenario():
        async with posted_to(url) as (alice, bob, target):
            await alice.store("bob", 1)
            await target.until(1)
            await bob.remove_webhook()
            await alice.store("bob", 2)
            await alice.store("alice", 3)
            assert [event["payload"] for event in await bob.wait(0)] == [1, 2]
            assert len(target.posts) == 1

    within(scenario())


def test_without_an_allowed_address_there_are_none(running, within, name):
    async def scenario():
        async with pair(running, name) as (alice, _):
            with pytest.raises(BridgeError, match="404"):
                await alice.register_webhook("http://127.0.0.1:9/")

    within(scenario())


# --- the driver ----------------------------------------------------------------------------------


def load(url, **changes) -> Load:
    plain = Load(
        url=url,
        architecture="push",
        agents=6,
        workload=Workload(traffic=Poisson(2.0)),
        webhook=Webhook(failure=0.3, think=Deterministic(0.02)),
        duration=2.0,
        warmup=1.0,
        drain=1.5,
        seed=3,
        spin=0.1,
    )
    return attrs.evolve(plain, **changes)


def test_a_run_by_webhooks_is_what_a_simulation_makes_of_it(bridge, tmp_path):
    import lhsim
    from lhsim.replay import replay

    url = started(bridge, attempts=2)
    found = measure(load(url))
    assert found.manifest.way == "webhook"
    assert found.manifest.webhook == Webhook(
        attempts=2, timeout=0.3, backoff=0.1, factor=3.0, longest=0.2, failure=0.3,
        think=Deterministic(0.02), in_flight=100,
    )  # fmt: skip
    assert not any("more than once" in doubt for doubt in found.manifest.doubts)
    assert found.manifest.duplicates == 0
    found.write(tmp_path / "run")
    assert Recording.read(tmp_path / "run").manifest == found.manifest
    # Targets refuse the very posts that they refuse in a simulation under the same seed.
    replayed = replay(lhsim.load_system("push"), found.manifest)
    both = found.messages.merge(replayed.messages, on=["sender", "number"])
    inside = both["intended_s_x"] < found.manifest.warmup + found.manifest.duration
    lost_live, lost = (both.loc[inside, f"delivered_s_{side}"].isna() for side in "xy")
    assert lost.any()
    assert not lost.all()
    assert (lost_live == lost).all()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"architecture": "polling"}, "webhook: polling has none"),
        ({"url": "http://192.0.2.1:9"}, "url: cannot be reached by webhooks"),
        ({"webhook": Webhook(attempts=2)}, r"push\.webhook\.attempts: is the server's"),
    ],
)
def test_what_cannot_be_driven_is_refused(changes, problem):
    with pytest.raises(InputError, match=problem):
        attrs.evolve(load("http://127.0.0.1:9"), **changes)


def test_a_server_without_webhooks_is_refused(bridge):
    with pytest.raises(InputError, match="says nothing of webhooks; allowed: a bridge that posts"):
        measure(load(bridge.start()))


def test_the_endpoint_of_a_driver_takes_nothing_from_strangers(within):
    received = []

    def receive(agent, event, post):
        received.append((agent, event, post))
        return 0.0

    async def ask(path, *headers, body=b"{}", method="POST"):
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint._port)
        head = [f"{method} {path} HTTP/1.1", *headers, f"content-length: {len(body)}", "", ""]
        writer.write("\r\n".join(head).encode() + body)
        answer = await reader.readline()
        writer.close()
        return answer.split(b" ")[1:2]

    endpoint = Endpoint(receive, 1000)

    async def scenario():
        await endpoint.open()
        endpoint.keys[1] = b"the key"
        path = endpoint.url(1).partition(":")[2].partition(":")[2]
        path = path[path.index("/") :]
        good = ("authorization: Bearer the key", "lhsim-attempt: 0")
        assert await ask("/", *good) == [b"404"]
        assert await ask(path + "1", *good) == [b"404"]
        assert await ask(path) == [b"401"]
        assert await ask(path, "authorization: Bearer other") == [b"401"]
        assert await ask(path, good[0]) == [b"400"]
        assert await ask(path, *good, body=b"no JSON") == [b"400"]
        assert await ask(path, *good, method="PUT") == [b"400"]
        assert await ask(path, *good, body=b"x" * 100_000) == []  # hung up
        assert received == []
        assert await ask(path, *good) == [b"200"]
        assert received == [(1, {}, 0)]
        endpoint.close()

    within(scenario())
