"""``lhsim serve`` and ``lhsim alerts``: bad input is one line, and nothing is left behind."""

from __future__ import annotations

import socket

import pytest
import yaml

from lhsim import cli
from lhsim.experiments import extras, serve


@pytest.fixture
def refused(folder, capsys):
    def check(*arguments):
        before = sorted(folder.rglob("*"))
        assert cli.run(["serve", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert sorted(folder.rglob("*")) == before
        return captured.err.removeprefix("lhsim: error: ").rstrip("\n")

    return check


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--port", "x"], "--port: 'x' is not a whole number"),
        (["--workers", "2"], "--workers: 2 is out of range"),
        (["--interval", "0"], "--interval: '0' is out of range"),
        (["--timeout", "301"], "--timeout: 301.0 is out of range"),
        (["--rate-limit", "fast"], "--rate-limit: 'fast' is not a number with a unit"),
        (["--rate-limit", "10/min,0"], "--rate-limit: '10/min,0' is out of range"),
        (["--rate-limit", "1e-320/s,1"], "--rate-limit: '1e-320/s,1' is out of range"),
        (["--rate-limit", "1e300/s"], "--rate-limit: '1e300/s' is out of range"),
        (["--rate-limit", "²,1"], "--rate-limit: '²' is not a number with a unit"),
        (["--rate-limit", "1/s," + "9" * 5000], "--rate-limit: '1/s,999"),
        (["--rate-limit", "1/s,٣"], "--rate-limit: '1/s,٣' is out of range"),
        (["--limit", "1001"], "--limit: 1001 is out of range"),
        (["--max-body", "1e9"], "--max-body: '1e9' is not a whole number"),
        (["--connections", "10000000"], "--connections: 10000000 is out of range"),
        (["--interval", "1e-320s"], "--interval: '1e-320s' is out of range"),
        (["--host", "x" * 300, "--allow-remote"], "--allow-remote: there is no enrolment key"),
        (["--secret-file", "/dev/zero"], "--secret-file: '/dev/zero' is not a regular file"),
        (["--host", "0.0.0.0"], "--host: '0.0.0.0' is not loopback"),
        (["--host", "0.0.0.0", "--allow-remote"], "--allow-remote: there is no enrolment key"),
        (["--store", "mysql://x"], "--store: unknown kind of store"),
        (["--store", "none/events.db"], "none/events.db: store: cannot be used: No such file"),
        (["--mcp", "--host", "0.0.0.0"], "--host: '0.0.0.0' is not loopback"),
        (["--mcp=yes"], "Option '--mcp' does not take a value"),
        (["--config", "mcp.toml"], "mcp.toml: mcp: 'yes' is not a truth value"),
        (["--batch-size", "4"], "--linger: is 0"),
        (["--outbound-policy", "drop"], "--outbound-policy: unknown choice 'drop'"),
        (["--secret-file", "none"], "--secret-file: 'none' does not exist"),
        (["--secret-file", "short"], "--secret-file: is too short"),
        (["--stage-times", "x.txt"], "--stage-times: 'x.txt' is of no known kind"),
        (["--stage-times", "none/x.csv"], "--stage-times: 'none' cannot be written"),
        (["--config", "none.toml"], "none.toml: does not exist"),
        (["--config", "bad.toml"], "bad.toml: interva: unknown key"),
        (["--config", "bad.toml", "--interval", "2"], "bad.toml: interva: unknown key"),
    ],
)
def test_bad_input(refused, folder, arguments, line):
    (folder / "short").write_text("secret")
    (folder / "bad.toml").write_text("interva = 1\n")
    (folder / "mcp.toml").write_text('mcp = "yes"\n')
    assert refused(*arguments, *([] if "--store" in arguments else ["--store", "e.db"])).startswith(
        line
    )


def test_a_port_that_is_taken(refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused("--port", port, "--store", "e.db")
        assert line == f"127.0.0.1:{port}: cannot be listened on: Address already in use"


def test_without_the_extra_it_says_what_to_install(refused, monkeypatch):
    needed = ("starlette", "no_such_library")
    monkeypatch.setattr(extras.check_extra, "__defaults__", (needed,))
    assert refused() == (
        "lhsim serve: no_such_library is not installed; allowed: after pip install 'lhsim[live]'"
    )


@pytest.mark.parametrize("how", [["--mcp"], ["--config", "mcp.toml"]])
def test_without_the_extra_of_mcp_it_says_what_to_install(refused, folder, monkeypatch, how):
    (folder / "mcp.toml").write_text("mcp = true\n")
    monkeypatch.setattr(serve, "NEEDED_BY_MCP", ("no_such_library",))
    assert refused(*how, "--store", "e.db") == (
        "lhsim serve: no_such_library is not installed; allowed: after pip install 'lhsim[mcp]'"
    )


def test_options_come_on_top_of_the_file(folder):
    (folder / "b.toml").write_text('port = 9\ninterval = "2 s"\nallow_remote = true\n')
    given = {"port": 0, "interval": None, "allow_remote": False, "limit": 3}
    settings = serve.read_settings("b.toml", given)
    assert (settings.port, settings.interval, settings.limit) == (0, 2.0, 3)
    assert settings.allow_remote


def test_addresses_of_webhooks_come_on_top_of_the_files_settings(folder):
    (folder / "b.toml").write_text('[webhook]\nallow = ["http://a"]\nattempts = 2\n')
    given = {"webhook": {"allow": ["http://127.0.0.1:*"]}}
    found = serve.read_settings("b.toml", given).webhook
    assert (found.allow, found.attempts) == (("http://127.0.0.1:*",), 2)


def test_alerts_are_yaml(capsys):
    assert cli.run(["alerts"]) == 0
    assert len(yaml.safe_load(capsys.readouterr().out)["groups"][0]["rules"]) == 9
