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
from numbers import Real

_LONGEST_SHOWN = 60  # of a value in a message
_LONGEST_PART = 300  # of a message: what was given may be of any length


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
        parts = (self.source, self.key, self.problem)
        text = ": ".join(_shortened(part) for part in parts if part)
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        return " ".join(text.split())

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a worker process, keywords included."""
        return _input_error, (type(self), self.problem, self.source, self.key, self.allowed)


def _shortened(part: str) -> str:
    return part if len(part) <= _LONGEST_PART else part[: _LONGEST_PART - 3] + "..."


def _input_error(
    kind: type[InputError], problem: str, source: str | None, key: str | None, allowed: str | None
) -> InputError:
    return kind(problem, source=source, key=key, allowed=allowed)


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
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    text = " ".join((str if is_number else repr)(value).split())
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, source: str | None = None, key: str | None = None
) -> InputError:
    """Return the error for a `name` that is none of the `known` ones, with the nearest of them."""
    choices = sorted(known)
    nearest = difflib.get_close_matches(name[:_LONGEST_SHOWN], choices, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    return InputError(
        f"unknown {kind} {shown(name)}{hint}", source=source, key=key, allowed=", ".join(choices)
    )
