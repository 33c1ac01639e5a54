"""The examples of docs/reference/bridge.md, run."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bridges import metrics

from lhsim.live.client import BridgeClient

DOCS = Path(__file__).parents[2] / "docs/reference"
PAGE = (DOCS / "bridge.md").read_text(encoding="utf-8")
EXCHANGE = re.compile(
    r"> (?P<method>\w+) (?P<path>\S+)(?: as (?P<agent>\w+))?\n"
    r"(?P<body>\{.*\}\n)?< (?P<status>\d+) (?P<answer>\{.*\})\n"
)


def blocks(kind: str, page: str = PAGE) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def matches(expected: object, found: object) -> bool:
    """Return whether they are the same but for what is given as "..."."""
    if expected == "...":
        return True
    if isinstance(expected, dict) and isinstance(found, dict):
        same_keys = list(expected) == list(found)
        return same_keys and all(matches(expected[key], found[key]) for key in expected)
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(matches, expected, found))
    return expected == found


def test_the_exchanges_are_as_the_page_has_them(bridge, within):
    url = bridge.start("--queue", "--webhook-allow", "http://127.0.0.1:9000")
    exchanges = [match for block in blocks("exchange") for match in EXCHANGE.finditer(block)]
    assert len(exchanges) == "".join(blocks("exchange")).count("> ") >= 10  # each is understood
    known: dict[str, str] = {}

    async def scenario():
        for one in exchanges:
            agent = one["agent"]
            client = await BridgeClient.connect(url, agent) if agent else BridgeClient(url, "")
            async with client:
                body = (one["body"] or "").strip()
                for name, value in known.items():
                    body = body.replace(f"${name}", value)
                response = await client.raw(client._head(one["method"], one["path"]), body.encode())
            found = json.loads(response.body)
            assert response.status == int(one["status"]), found
            assert matches(json.loads(one["answer"]), found), found
            if found.get("receipt"):
                known["receipt"] = found["receipt"]
            for question in found.get("elicitations", []):
                known.update({key: question[key] for key in ("elicitation_id", "nonce")})

    within(scenario())


def test_the_program_prints_what_the_page_says(bridge, capsys):
    (program,) = blocks("python")
    exec(compile(program, "docs/reference/bridge.md", "exec"), {"URL": bridge.start()})
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["alice {'text': 'hello'}", "alice {'text': 'again'}"]
    assert all(f"`{line}`" in PAGE for line in printed)


def test_the_program_with_mcp_prints_what_its_page_says(bridge, capsys):
    page = (DOCS / "mcp.md").read_text(encoding="utf-8")
    (program,) = blocks("python", page)
    exec(compile(program, "docs/reference/mcp.md", "exec"), {"URL": bridge.start("--mcp")})
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["alice How many?", "{'n': 3}"]
    assert all(f"`{line}`" in page for line in printed)


def test_the_metrics_are_those_that_the_page_names(bridge, within):
    url = bridge.start()

    async def scenario():
        async with await BridgeClient.connect(url, "alice") as alice:
            await alice.store("alice", 1)
            await alice.wait(0)
            await alice.elicit("alice", "?", {"type": "object", "properties": {}})
            await alice.respond((await alice.pending())[0], "accept", {})
            return await metrics(alice)

    names = {key.partition("{")[0] for key in within(scenario())}
    names = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in names}
    (paragraph,) = re.findall(r"`/metrics` is for Prometheus.*?\n\n", PAGE, re.DOTALL)
    # No failure has happened yet, and so there is no series of it.
    named = set(
        re.findall(r"`(\w+_(?:ms|total|mb|percent|connections|rate|seconds|limit))`", paragraph)
    )
    counters = {name for name in names if f"{name}_total" in named}
    assert names - counters == named - {"comm_failures_total"}
