"""The exceptions that lhsim raises on purpose.

::

    LhsimError
    ├── InputError (ValueError)    what the user gave cannot be used: one line, exit code 2
    └── InvariantError             a run broke a law that every run must keep: a defect of lhsim

An `InputError` names where the mistake stands (a file or an option), the key, and what is
allowed there. It is always one line, so that the command line can print it as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import partial
from numbers import Real
from typing import Any, TypeGuard

LONGEST_VALUE = 60  # of a value that a message shows, in characters
LONGEST_PART = 300  # characters of a line
LONGEST_ALLOWED = 3000  # the distributions of scipy.stats are a hundred


class LhsimError(Exception):
    """Base of every exception that lhsim raises on purpose."""


class InputError(LhsimError, ValueError):
    """A value, key, name or file given by the user cannot be used.

    Parameters
    ----------
    problem
        What is wrong, as a short phrase: ``"unknown key"``, ``"is negative (-3.0)"``.
    source
        Where it stands: a file name or a command-line option.
    key
        The dotted path of the offending key, such as ``"polling.interval"``.
    allowed
        What would have been accepted.
    """

    def __init__(
        self,
        problem: str,
        *,
        source: str | None = None,
        key: str | None = None,
        allowed: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.source = source
        self.key = key
        self.allowed = allowed

    def __str__(self) -> str:
        parts = (shortened(part) for part in (self.source, self.key, self.problem) if part)
        text = ": ".join(parts)
        if self.allowed:
            text += f"; allowed: {shortened(self.allowed, LONGEST_ALLOWED)}"
        return text

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a worker process, keywords included."""
        keywords: dict[str, Any] = {"source": self.source, "key": self.key, "allowed": self.allowed}
        return partial(type(self), **keywords), (self.problem,)


def shortened(text: str, most: int = LONGEST_PART) -> str:
    """Return a text on one line, of at most so many characters, which any terminal shows as it is.

    What is not printable, such as the escape sequences that a file name may hold, is escaped.
    """
    words = " ".join(text[: 2 * most].split() if len(text) > 2 * most else text.split())
    shown = "".join(one if one.isprintable() else _escaped(one) for one in words)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class InvariantError(LhsimError):
    """A run broke a law that every run must keep, such as the conservation of messages."""


def shown(value: object) -> str:
    """Return `value` for a message: short, on one line, whatever it is."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a huge number"  # and one that Python may refuse to print
    # NumPy's numbers, whose repr names their type, read as Python's.
    write = str if is_real(value) else repr
    try:
        return shortened(write(value), LONGEST_VALUE)
    except Exception:
        return f"a value of type {shortened(type(value).__name__, LONGEST_VALUE)}"


def is_real(value: object) -> TypeGuard[Real]:
    """Return whether a value is a number: a truth value is none, nor is one of NumPy's durations.

    NumPy counts `timedelta64` among its whole numbers, whatever unit it has.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and type(value).__name__ != "timedelta64"


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, source: str | None = None, key: str | None = None
) -> InputError:
    """Return the error for a `name` that is none of the `known` ones, with the nearest of them."""
    choices = sorted(known)
    nearest = difflib.get_close_matches(name[:LONGEST_VALUE], choices, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return InputError(
        f"unknown {kind} {shown(name)}{hint}", source=source, key=key, allowed=", ".join(choices)
    )
