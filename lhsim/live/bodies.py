"""What clients send, read with care: no more than allowed, no deeper, and nothing unknown.

What passes here, every store can keep and every client can read again: text that is Unicode,
without the character 0 (PostgreSQL has no place for it), and numbers of 64 bits. All that leaves
the bridge goes through `dump`, which writes no number that is not JSON.

All checks take a time that grows with the length of a body, and no faster: they run on the loop.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from starlette.datastructures import QueryParams

from lhsim.live.refusals import Refusal
from lhsim.live.settings import LONGEST_MESSAGE, LONGEST_WAIT
from lhsim.live.tokens import AGENT_ID, ALLOWED_AGENT_ID

DEEPEST = 32  # objects and lists in one another
LONGEST_ID = 200  # characters
LONGEST_KEY = 1000  # characters
SHORTEST_WAIT = 0.001  # for an answer [s]
_LONGEST_NUMBER = 1000  # characters; the exact decimals of a double have 767
_LEAST, _MOST = -(2**63), 2**63 - 1  # whole numbers
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ALIKE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DECIMAL = re.compile(r"[0-9]{1,30}(\.[0-9]{0,30})?([eE][-+]?[0-9]{1,3})?")


class _NotAllowedError(ValueError):
    """JSON that is refused, and why."""


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raise a `Refusal`: 400, when it is none, is nested too deeply, or has text or numbers that
    not every store and client can hold.
    """
    try:
        content = body.decode()  # `json.loads` would also guess UTF-16, and let surrogates pass
        value = _DECODER.decode(content)
    except _NotAllowedError as problem:
        raise Refusal(400, f"the body is refused: {problem}") from None
    except (ValueError, RecursionError):  # the first also for bytes that are not UTF-8
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal(400, "the body is not a JSON object")
    if _too_deep(body):
        raise Refusal(400, f"the body is nested more than {DEEPEST} deep")
    if b"\\u" in body and not _is_unicode(body, value):  # UTF-8 itself has no surrogates
        raise Refusal(400, "the body has text that is none: a lone surrogate, or the character 0")
    return value


def dump(content: object) -> str:
    """Return JSON without spaces, in ASCII; raise `ValueError` for numbers that are not JSON."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def once(query: QueryParams, key: str) -> str | None:
    """Return the one value of a query, None without; refuse (400) a second one."""
    values = query.getlist(key)
    if len(values) > 1:
        raise Refusal(400, f"{key} comes {len(values)} times; allowed: once")
    return values[0] if values else None


def fields(body: Mapping[str, Any], *known: str) -> None:
    """Refuse (400) a body with keys that are not `known`."""
    for key in body:
        if key not in known:
            raise Refusal(400, f"unknown key {key[:40]!r}; allowed: {', '.join(known) or 'none'}")


def agent_id(value: object, key: str) -> str:
    """Return the id of an agent; refuse (400) what is none."""
    if not isinstance(value, str) or AGENT_ID.fullmatch(value) is None:
        raise Refusal(400, f"{key} is no id of an agent; allowed: {ALLOWED_AGENT_ID}")
    return value


def text(
    body: Mapping[str, Any], key: str, default: str | None = None, *, most: int = LONGEST_ID
) -> str:
    """Return a text of a body with 1 to `most` characters; refuse (400) anything else."""
    value = body.get(key, default)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise Refusal(400, f"{key} is no text of 1-{most} characters")
    return value


def number(
    value: object, key: str, least: float, most: float, *, default: float | None = None
) -> float:
    """Return a number, or the number that a text of a query is; refuse (400) anything else."""
    if value is None and default is not None:
        return default
    # `float` would also take other digits than ASCII, spaces, underscores and "nan".
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if numeric or (isinstance(value, str) and _DECIMAL.fullmatch(value) is not None):
        found = float(value)  # type: ignore[arg-type]
        if least <= found <= most:
            return found
    raise Refusal(400, f"{key} is no number from {least:g} to {most:g}")


def timeout(body: Mapping[str, Any], default: float, least: float = 0.0) -> float:
    """Return how long a client wants to wait [s]; refuse (400) what is out of range."""
    given = body.get("timeout_seconds")
    return number(given, "timeout_seconds", least, LONGEST_WAIT, default=default)


def question(body: Mapping[str, Any], default: float) -> tuple[str, str, float]:
    """Return who is asked, what, and how long an answer is waited for [s]; refuse (400) the rest.

    Its schema is looked at by `lhsim.live.forms.check_form`.
    """
    fields(body, "target", "message", "schema", "timeout_seconds")
    target = agent_id(body.get("target"), "target")
    message = text(body, "message", most=LONGEST_MESSAGE)
    return target, message, timeout(body, default, SHORTEST_WAIT)


def own(query: QueryParams, agent: str) -> None:
    """Refuse (403) a query of the messages of another agent."""
    if (once(query, "agent_id") or agent) != agent:
        raise Refusal(403, "an agent reads only its own messages")


def whole(value: object, key: str, *, default: int = 0) -> int:
    """Return a whole number >= 0 from a number or a text; refuse (400) anything else."""
    if value is None:
        return default
    digits = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise Refusal(400, f"{key} is no whole number >= 0")
    return int(digits)


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and infinities are no JSON")


def _float(text: str) -> float:
    if len(text) > _LONGEST_NUMBER:
        raise _NotAllowedError(f"a number has more than {_LONGEST_NUMBER} characters")
    number = float(text)
    if not math.isfinite(number):
        raise _NotAllowedError("a number is beyond 64 bits")
    return number


def _int(text: str) -> int:
    # Its length first: to read very many digits takes long, and Python refuses to.
    number = int(text) if len(text) <= 20 else _MOST + 1
    if not _LEAST <= number <= _MOST:
        raise _NotAllowedError("a whole number is beyond 64 bits")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NotAllowedError("a key comes twice in an object")
    if found and len(max(found, key=len)) > LONGEST_KEY:
        raise _NotAllowedError(f"a key has more than {LONGEST_KEY} characters")
    return found


_DECODER = json.JSONDecoder(
    parse_constant=_no_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_object
)


def _is_unicode(body: bytes, value: object) -> bool:
    """Return whether all texts can be stored as UTF-8, and have no character 0."""
    if _NUL.search(body) is not None:
        return False
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep(body: bytes) -> bool:
    """Return whether objects and lists are nested too deeply in JSON."""
    # Without so many brackets they cannot be. Texts may have some, so these are taken out first.
    if body.count(b"{") + body.count(b"[") <= DEEPEST:
        return False
    brackets = _TEXT.sub(b"", body).translate(_ALIKE, _NO_BRACKETS)
    for _ in range(DEEPEST + 1):  # the body itself is one
        brackets = brackets.replace(b"[]", b"")  # those with nothing inside
    return bool(brackets)
