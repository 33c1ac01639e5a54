"""The run sheet: request logs, listed in a TOML file with what is known of each run besides.

::

    [[run]]
    log = "B50.csv"          # relative to the sheet
    cpu_seconds = 4.31       # processor time that the server used in the window, from its system
    window_s = [5, 25]       # that this counts for, by the clock of the log
    cores = 1                # processors that the server may use
    think = "1 s"            # what a client sleeps between an answer and its next request
    in_flight = 1            # requests of a client under way at a time
    format = "pgbench"       # of the log, where its columns do not say it

Of a server the processor time per request is the strongest figure there is: by the utilisation law
S = U / X, whatever queue stands before the processor (Denning and Buzen, ACM Computing Surveys
10(3), 1978).
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from attrs import Factory, field, frozen

from lhsim import parameters
from lhsim._files import expanded
from lhsim.checks import non_negative, positive, whole
from lhsim.errors import InputError
from lhsim.readers.request_log import RequestLog
from lhsim.readers.requests import read_requests
from lhsim.units import Seconds

MOST_CORES = 1024  # of a server, as in `lhsim.models.limits`


@frozen
class Entry:
    """A run as the sheet has it."""

    log: str
    cpu_seconds: Seconds | None = field(default=None, validator=positive)
    window_s: tuple[Seconds, ...] | None = None  # from, to, by the clock of the log [s]
    cores: int | None = field(default=None, validator=whole(1, MOST_CORES))
    think: Seconds | None = field(default=None, validator=non_negative)  # [s]
    in_flight: int | None = field(default=None, validator=whole(1))
    format: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.window_s is not None and (
            len(self.window_s) != 2 or not 0 <= self.window_s[0] < self.window_s[1]
        ):
            raise InputError("is no window", key="window_s", allowed="[from, to], ascending [s]")


@frozen
class Sheet:
    """A file of runs."""

    run: tuple[Entry, ...] = Factory(tuple)


@frozen(eq=False)
class Run:
    """A request log with what is known of its run besides; None where it is not known."""

    log: RequestLog = field(repr=False)
    cpu_seconds: float | None = None  # that the server used in the window [s]
    window: tuple[float, float] | None = None  # by the clock of the log [s]
    cores: int | None = None  # that the server may use
    think: float | None = None  # of a client [s]
    in_flight: int | None = None  # requests of a client at a time

    @property
    def name(self) -> str:
        """What messages call it."""
        return Path(self.log.source).stem


def read_sheet(path: str | PathLike[str], log_format: str | None = None) -> list[Run]:
    """Return the runs of a sheet, their logs read.

    Parameters
    ----------
    path
        Of the TOML file; the logs stand relative to it.
    log_format
        Of the logs that name none; None: their columns say it.

    Raises
    ------
    InputError
        When the sheet or a log of it cannot be read, or a log is there twice.
    """
    found = expanded(path)
    entries = parameters.load(found, Sheet, own_classes=False).run
    if not entries:
        raise InputError("is missing", source=str(path), key="run", allowed="[[run]] log = FILE")
    logs = [(found.parent / expanded(entry.log)).resolve() for entry in entries]
    for index, log in enumerate(logs):
        if log in logs[:index]:
            key = f"run[{index}].log"
            raise InputError("is there twice", source=str(path), key=key, allowed="each run once")
    return [
        Run(
            log=read_requests(log, format=entry.format or log_format),
            cpu_seconds=entry.cpu_seconds,
            window=None if entry.window_s is None else (entry.window_s[0], entry.window_s[1]),
            cores=entry.cores,
            think=entry.think,
            in_flight=entry.in_flight,
        )
        for entry, log in zip(entries, logs, strict=True)
    ]
