"""Where the bridge may post to: URLs are read strictly, and held against the operator's list.

An agent names the URL of its webhook, and the bridge, which may reach what the agent may not, makes
the request. So the operator says to which origins it may go, and nothing else is posted to. Hosts
are compared as texts, and the host that was compared is the one that is connected to: no other form
of an address passes, and no second parser reads the URL.
"""

from __future__ import annotations

import re

from attrs import frozen

from lhsim.errors import InputError

ALLOWED = "http://HOST:PORT, or http://HOST:* for all ports of a host; https as well"
LONGEST_URL = 1000  # characters
_HOST = r"(https?)://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
_ORIGIN = re.compile(_HOST + r"(?::([0-9]{1,5}|\*))?/?")
_URL = re.compile(_HOST + r"(?::([0-9]{1,5}))?(/[!-~]*)?")
_USUAL = {"http": 80, "https": 443}


@frozen
class Origin:
    """A part of the network to which the bridge may post."""

    scheme: str
    host: str
    port: int | None  # None: any

    @classmethod
    def of(cls, text: str) -> Origin:
        """Return the origin that a text means; raise `InputError` where it means none."""
        match = _ORIGIN.fullmatch(text)
        if match is None:
            raise InputError(f"{text[:60]!r} is no origin", key="allow", allowed=ALLOWED)
        scheme, host, port = match.groups()
        if port == "*":
            return cls(scheme, host.lower(), None)
        number = int(port) if port else _USUAL[scheme]
        if not 0 < number < 65536:
            raise InputError(f"{text[:60]!r} has no such port", key="allow", allowed=ALLOWED)
        return cls(scheme, host.lower(), number)

    def holds(self, url: Url) -> bool:
        """Return whether a URL is of this origin."""
        same = (url.scheme, url.host) == (self.scheme, self.host)
        return same and self.port in (None, url.port)


@frozen
class Url:
    """An address of a webhook."""

    scheme: str
    host: str  # as it is in the URL, in small letters: an IPv6 address in brackets
    port: int
    path: str  # with its query

    @classmethod
    def of(cls, text: object) -> Url | None:
        """Return the URL that a text is; None where it is none, or has more than it may."""
        if not isinstance(text, str) or len(text) > LONGEST_URL or "#" in text:
            return None
        match = _URL.fullmatch(text)
        if match is None:
            return None
        scheme, host, port, path = match.groups()
        number = int(port) if port else _USUAL[scheme]
        return cls(scheme, host.lower(), number, path or "/") if 0 < number < 65536 else None

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port to connect to."""
        return self.host.strip("[]"), self.port

    @property
    def place(self) -> tuple[str, str, int]:
        """What the URLs on one server have in common."""
        return self.scheme, self.host, self.port
