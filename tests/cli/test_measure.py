"""``lhsim measure``: bad input is one line, before anything is asked of a server."""

from __future__ import annotations

import pytest

from lhsim import cli
from lhsim.cli import live

LOAD = ["measure", "--url", "http://127.0.0.1:9", "--agents", "2", "-o", "run"]


@pytest.fixture
def refused(folder, capsys):
    def check(*arguments):
        assert cli.run([*LOAD, *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert not (folder / "run").exists()
        return captured.err.removeprefix("lhsim: error: ").rstrip("\n")

    return check


@pytest.mark.parametrize("architecture", ["polling", "push"])
def test_an_era_is_of_mcp_alone(refused, architecture):
    assert refused("--architecture", architecture, "--era", "legacy") == (
        f"--era: {architecture} has none; allowed: with the architecture mcp alone"
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--era", "ancient"], "--era: unknown choice 'ancient'; allowed: legacy, modern"),
        (["--payload", "10000"], "--payload: 10,000 is too long; allowed: at most 9,980"),
    ],
)
def test_what_cannot_be_asked_is_refused(refused, arguments, line):
    assert refused("--architecture", "mcp", *arguments).startswith(line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["polling", "--webhook"],
            "--webhook: polling has none; allowed: with the",
        ),
        (["push", "--set", "push.webhook.attempts=2"], "push.webhook.attempts: is the server's"),
        (["push", "--set", "push.webhook.failure=2"], "--set: webhook.failure: 2.0 is out of"),
        (["push", "--set", "push.outbound=2"], "--set: 'push.outbound=2' is none"),
        (["push", "--set", "workload.topology=queue"], "workload.topology: push has no queue"),
    ],
)
def test_ways_that_do_not_go_together_are_refused(refused, arguments, line):
    assert refused("--architecture", *arguments).startswith(line)


def test_without_the_extra_it_says_what_to_install(refused, monkeypatch):
    monkeypatch.setattr(live, "NEEDED_BY_MCP", ("no_such_library",))
    assert refused("--architecture", "mcp") == (
        "lhsim measure: no_such_library is not installed; allowed: after pip install 'lhsim[mcp]'"
    )
