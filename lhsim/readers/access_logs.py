"""Access logs of web servers, by the format in which the server writes them (`log_formats`).

A log has the time from the first byte of a request to the last byte of its answer, the sending of a
large answer to a slow client included, and whatever waited in between: take it at a low load, or a
model waits twice. Its clock has steps, of 1 ms for nginx. It cannot tell work from waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

import numpy as np
from attrs import Factory, define

from lhsim.distributions import Empirical
from lhsim.errors import InputError
from lhsim.readers.durations import Durations
from lhsim.readers.log_formats import ALLOWED, DURATION, PATH, REQUEST, STATUS, LogFormat
from lhsim.units import format_duration

POINTS = 64  # of a distribution from single durations
FEWEST = 10  # durations
LONGEST = 1e6  # a request that takes longer is none, but a date [s]
COARSE = 10  # steps of a clock in a mean, below which they are said
_SHOWN = 80  # of a line that is refused: its end, where the times are


def read_durations(
    lines: Iterable[str], path: str, form: LogFormat, source: str = "log"
) -> Durations:
    """Return how long the requests of a path took that were answered well (2xx).

    A line in another format is left out, and said; but not one that may be a request of this path,
    unless it is the last, which may be cut off.

    Parameters
    ----------
    lines
        Of the log, without their ends.
    path
        Of the requests, without a query.
    form
        How the lines are written.
    source
        What a refusal names as the place of the lines.

    Raises
    ------
    InputError
        When a line of this path is in another format, or there are fewer than `FEWEST` durations.
    """
    found = _Found(path, form, source)
    for number, line in enumerate(lines, 1):
        found.take(number, line)
    return found.durations()


@define
class _Found:
    """What was found so far."""

    path: str
    form: LogFormat
    source: str
    seconds: list[float] = Factory(list)
    read: int = 0  # lines in the format
    without: int = 0  # requests of the path whose duration is "-"
    left_out: int = 0  # lines in another format
    first: tuple[int, str] | None = None  # of them
    doubtful: tuple[int, str] | None = None  # one of them that may be a request of the path

    def take(self, number: int, line: str) -> None:
        if self.doubtful:
            raise self.refusal(*self.doubtful)
        if not line.strip() or line.startswith("#"):
            return
        match = self.form.pattern.fullmatch(line)
        if match is None:
            self.left_out += 1
            self.first = self.first or (number, line)
            self.doubtful = (number, line) if self.path in line else None
            return
        self.read += 1
        fields = match.groupdict()
        if _path_of(fields) == self.path and fields[STATUS].startswith("2"):
            self.count(number, fields[DURATION])

    def count(self, number: int, duration: str) -> None:
        if duration == "-":
            self.without += 1
            return
        seconds = float(duration) / self.form.per_second
        if seconds > LONGEST:
            problem = f"line {number}: {duration} is no duration"
            allowed = f"at most {format_duration(LONGEST)}"
            raise InputError(problem, source=self.source, allowed=allowed)
        self.seconds.append(seconds)

    def refusal(self, number: int, line: str) -> InputError:
        end = line if len(line) <= _SHOWN else "..." + line[-_SHOWN:]
        problem = f"line {number}: {end!r} is not in the format {self.form.name}"
        allowed = f"--log-format with what the server writes: {ALLOWED}"
        return InputError(problem, source=self.source, allowed=allowed)

    def durations(self) -> Durations:
        if self.first and not self.read:
            raise self.refusal(*self.first)
        n = len(self.seconds)
        if n < FEWEST:
            problem = f"has {n} requests of {self.path} that were answered well (2xx)"
            allowed = f"{FEWEST} or more; --path names another"
            raise InputError(problem, source=self.source, allowed=allowed)
        if not any(self.seconds):
            problem = f"all {n} durations are 0, in steps of {format_duration(self.form.step)}"
            raise InputError(problem, source=self.source, allowed="a log with a finer clock")
        return Durations(Empirical(tuple(self.seconds)).compact(POINTS), n, tuple(self.notes()))

    def notes(self) -> Iterable[str]:
        if self.first:
            yield (f"{self.left_out:,} of {self.read + self.left_out:,} lines are in another "
                   f"format and left out, the first of them is line {self.first[0]}")  # fmt: skip
        if self.without:
            yield f"{self.without} requests have no duration and are left out"
        if np.mean(self.seconds) < COARSE * self.form.step:
            yield f"the clock of this log has steps of {format_duration(self.form.step)}"


def _path_of(fields: dict[str, str]) -> str:
    """Return the path of a request, without the query; none where it is no request."""
    if REQUEST in fields:
        words = fields[REQUEST].split(" ")
        target = words[1] if len(words) > 1 else ""
    else:
        target = fields[PATH]
    target = target.partition("?")[0]
    try:
        return urlsplit(target).path if "://" in target else target
    except ValueError:  # what somebody sent who is no client
        return ""
