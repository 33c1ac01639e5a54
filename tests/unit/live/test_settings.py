"""What a bridge is told: read strictly, and nothing of a password is shown."""

from __future__ import annotations

import pytest
from attrs import fields

from lhsim import parameters
from lhsim.errors import InputError
from lhsim.live.settings import BridgeSettings, RateLimit, shown, store_of


def read(**table):
    return parameters.structure(table, BridgeSettings, source="bridge.toml")


def test_a_file_says_all_with_units():
    settings = read(interval="100 ms", rate_limit={"rate": "10/min", "burst": 13}, max_body=2048)
    assert settings.interval == 0.1
    assert settings.rate_limit == RateLimit(10 / 60, 13)
    assert parameters.structure(parameters.unstructure(settings), BridgeSettings, source="") == (
        settings
    )


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"interva": 1}, "interva: unknown key (did you mean 'interval'?)"),
        ({"interval": 0}, "interval: 0.0 is out of range"),
        ({"timeout": 301}, "timeout: 301.0 is out of range"),
        ({"port": 65536}, "port: 65536 is out of range"),
        ({"host": "0.0.0.0"}, "host: '0.0.0.0' is not loopback"),
        ({"host": "example.org"}, "host: 'example.org' is not loopback"),
        ({"store": "mysql://x"}, "store: unknown kind of store 'mysql://x'"),
        ({"store": "sqlite:///"}, "store: 'sqlite:///' names no file"),
        ({"store": ":memory:"}, "store: ':memory:' names no file"),
        ({"batch_size": 2}, "linger: is 0"),
        ({"linger": 1}, "batch_size: is 1"),
        ({"store_connections": 2}, "store_connections: is out of range"),
        ({"stage_times": "x.txt"}, "stage_times: 'x.txt' is of no known kind"),
        ({"outbound_policy": "block"}, "outbound_policy: unknown choice 'block'"),
        ({"rate_limit": {"rate": 0}}, "rate_limit.rate: 0.0 is out of range"),
        ({"rate_limit": {"rate": 1e-320}}, "rate_limit.rate: 1e-320 is out of range"),
        ({"rate_limit": {"rate": 1, "burst": 10**9}}, "rate_limit.burst: 1000000000 is out of"),
        (
            {"queue": True, "limit": 500, "max_body": 9000},
            "limit: is too much for max_body; allowed: at most 440 with a queue",
        ),
        ({"visibility": 0}, "visibility: 0.0 is out of range"),
        ({"visibility": 5.0}, "visibility: is that of a queue; allowed: nothing, or queue = true"),
        ({"webhook": {}}, "webhook.allow: is missing"),
        ({"webhook": {"allow": []}}, "webhook.allow: allows nothing; allowed: http://HOST:PORT"),
        ({"webhook": {"allow": ["*"]}}, "webhook.allow: '*' is no origin"),
        ({"webhook": {"allow": ["http://a:0"]}}, "webhook.allow: 'http://a:0' has no such port"),
        ({"webhook": {"allow": ["http://a"], "attempts": 0}}, "webhook.attempts: 0 is out of"),
        ({"store": "postgresql://[::1/db"}, "store: is no URL"),
        ({"store": "postgresql://h:x/db"}, "store: is no URL"),
        ({"store": "a\0b"}, "store: 'a\\x00b' does not exist: no file has a NUL"),
    ],
)
def test_mistakes_are_one_line(table, line):
    with pytest.raises(InputError) as refused:
        read(**table)
    assert str(refused.value).startswith(f"bridge.toml: {line}")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_needs_no_leave(host):
    assert read(host=host).host == host


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.db", ("sqlite", "a.db")),
        ("sqlite:///a.db", ("sqlite", "a.db")),
        ("sqlite:////tmp/a.db", ("sqlite", "/tmp/a.db")),
        ("postgresql://h/d", ("postgresql", "postgresql://h/d")),
        ("postgres://h/d", ("postgresql", "postgres://h/d")),
    ],
)
def test_a_store_is_a_path_or_a_url(text, found):
    assert store_of(text) == found


def test_a_password_is_not_shown():
    url = "postgresql://me:pass@word@host:5432/db?options=secret&password=secret"
    assert shown(url) == "postgresql://host:5432/db"


NUMBERS = [
    attribute.name
    for attribute in fields(BridgeSettings)
    if isinstance(attribute.default, int | float) and not isinstance(attribute.default, bool)
]


@pytest.mark.parametrize("key", NUMBERS)
def test_every_number_has_sane_bounds(key):
    for value in (-1, -1e-320, 1e300, 10**18, 10**400, float("inf"), float("nan")):
        with pytest.raises(InputError) as refused:
            read(**{key: value})
        assert f"bridge.toml: {key}: " in str(refused.value)
        assert "\n" not in str(refused.value)
    if key not in {"port", "timeout", "linger"}:  # for which 0 has a meaning
        for value in (0, 1e-320):
            with pytest.raises(InputError, match=key):
                read(**{key: value})


def test_a_home_folder_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/alice")
    assert store_of("~/events.db") == ("sqlite", "/home/alice/events.db")
    assert store_of("sqlite:///~/events.db") == ("sqlite", "/home/alice/events.db")
