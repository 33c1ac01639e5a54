"""Plain data in the files of a result: JSON that is read strictly, whoever has written it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lhsim._files import each_key_once, read_text
from lhsim.errors import InputError

DEEPEST = 8  # tables, rows, intervals: lists and objects in one another


def read_object(path: Path, what: str) -> dict[str, Any]:
    """Return the JSON object in a file; raise `InputError` where it is no `what` of lhsim."""
    try:
        text = read_text(path)
    except InputError as error:
        raise InputError(f"cannot be read: it {error.problem}", source=str(path)) from None
    try:
        content = json.loads(text, object_pairs_hook=each_key_once)
        _check_plain(content, DEEPEST)
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        raise _refusal(path, what, "it is nested too deeply" if deep else str(error)) from None
    if not isinstance(content, dict):
        raise _refusal(path, what, "it is no object")
    return content


def _refusal(path: Path, what: str, reason: str) -> InputError:
    allowed = "what an experiment of lhsim has written"
    return InputError(f"is no {what}: {reason}", source=str(path), allowed=allowed)


def _check_plain(value: object, levels: int) -> None:
    """Raise ValueError for a text, a number or a depth that no page can show."""
    if isinstance(value, str):
        value.encode("utf-8")  # JSON has halves of characters, UTF-8 does not
    elif isinstance(value, int) and not -sys.float_info.max <= value <= sys.float_info.max:
        raise ValueError("a number is out of range")
    elif isinstance(value, list | dict) and not levels:
        raise RecursionError
    elif isinstance(value, dict):
        for item in (*value, *value.values()):
            _check_plain(item, levels - 1)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, levels - 1)
