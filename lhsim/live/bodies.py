"""What clients send, read with care: no more than allowed, no deeper, and nothing unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lhsim.live.refusals import Refusal
from lhsim.live.tokens import AGENT_ID, ALLOWED_AGENT_ID

DEEPEST = 32  # objects and lists in one another
LONGEST_ID = 200  # characters


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises
    ------
    Refusal
        400, when it is none, is nested too deeply, or has numbers that are not JSON.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # the first also for bytes that are not UTF-8
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal(400, "the body is not a JSON object")
    # Without so many brackets it cannot be so deep; texts may have some, so only then it is walked.
    if body.count(b"{") + body.count(b"[") > DEEPEST and _too_deep(value):
        raise Refusal(400, f"the body is nested more than {DEEPEST} deep")
    return value


def fields(body: Mapping[str, Any], *known: str) -> None:
    """Refuse (400) a body with keys that are not `known`."""
    for key in body:
        if key not in known:
            raise Refusal(400, f"unknown key {key[:40]!r}; allowed: {', '.join(known)}")


def agent_id(value: object, key: str) -> str:
    """Return the id of an agent; refuse (400) what is none."""
    if not isinstance(value, str) or AGENT_ID.fullmatch(value) is None:
        raise Refusal(400, f"{key} is no id of an agent; allowed: {ALLOWED_AGENT_ID}")
    return value


def text(body: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """Return a short text of a body; refuse (400) anything else."""
    value = body.get(key, default)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID:
        raise Refusal(400, f"{key} is no text of 1-{LONGEST_ID} characters")
    return value


def number(
    value: object, key: str, least: float, most: float, *, default: float | None = None
) -> float:
    """Return a number, or the number that a text of a query is; refuse (400) anything else."""
    if value is None and default is not None:
        return default
    try:
        found = float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        found = None
    if found is None or isinstance(value, bool) or not least <= found <= most:
        raise Refusal(400, f"{key} is no number from {least:g} to {most:g}")
    return found


def whole(value: object, key: str, *, default: int = 0) -> int:
    """Return a whole number >= 0 from a number or a text; refuse (400) anything else."""
    if value is None:
        return default
    digits = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise Refusal(400, f"{key} is no whole number >= 0")
    return int(digits)


def _no_constant(_name: str) -> None:
    raise ValueError("NaN and infinities are no JSON")


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: object) -> list[object]:
    """Return the objects and lists in `value`."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in items if isinstance(item, dict | list)]
