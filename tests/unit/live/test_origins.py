"""Where a bridge may post to: a list of what is allowed, and URLs that are read one way only."""

from __future__ import annotations

import pytest

from lhsim.errors import InputError
from lhsim.live.origins import Origin, Url


@pytest.mark.parametrize(
    ("origin", "url", "holds"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/a?b=c", True),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9001/", False),
        ("http://127.0.0.1:9000", "http://127.0.0.1/", False),
        ("http://127.0.0.1", "http://127.0.0.1:80", True),
        ("https://hooks.example.org", "https://HOOKS.example.org:443/x", True),
        ("https://hooks.example.org", "http://hooks.example.org:443/x", False),
        ("https://hooks.example.org", "https://hooks.example.org.evil.example/x", False),
        ("http://127.0.0.1:*", "http://127.0.0.1:1/", True),
        ("http://127.0.0.1:*", "http://127.0.0.2:1/", False),
        ("http://[::1]:*", "http://[::1]:8/", True),
        ("http://[::1]:*", "http://[0:0::1]:8/", False),
    ],
)
def test_an_origin_holds_its_own_urls(origin, url, holds):
    found = Url.of(url)
    assert found is not None
    assert Origin.of(origin).holds(found) == holds


@pytest.mark.parametrize(
    "text",
    ["", "*", "http://*", "http://*:80", "127.0.0.1", "ftp://a", "http://a/path", "http://a:0",
     "http://a:65536", "http://a b", "http://a@b", "http://a:**", "http://ä", "//a"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(InputError, match=r"origin|no such port"):
        Origin.of(text)


def test_who_is_connected_to_is_who_was_compared():
    url = Url.of("http://[::1]:80/a@b:9/../x?//c")
    assert url is not None
    assert (url.address, url.path) == (("::1", 80), "/a@b:9/../x?//c")
    assert url.place == ("http", "[::1]", 80)
