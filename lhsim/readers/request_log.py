"""The request log: when each request of a run started and ended, and which client sent it.

What every reader of a load generator's or a server's log returns (`lhsim.readers.requests`). A
closed client waits for an answer before it sends again; the log does not say whether clients are
closed, `lhsim.readers.inspection` finds out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from lhsim.errors import InputError

UNKNOWN = -1  # code of a client that the format does not name
FEWEST = 2  # requests of a log
TICKS = (60.0, 10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)  # of clocks, coarse ones first [s]
FINEST = 1e-9  # what a log can write of a time [s]
_NEARLY, _ROUNDED = 0.01, 1e-6  # of a tick, and what a time may be rounded by [s]
_SUCCESSES = frozenset({"", "ok", "true", "success", "unset"})

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@frozen(eq=False)
class Labels:
    """A text for each request, of which there are few different ones."""

    codes: Codes = field(repr=False)  # indices of `names`, shape n
    names: tuple[str, ...]

    @property
    def texts(self) -> list[str]:
        """The text of each request."""
        return [self.names[code] for code in self.codes]

    def chosen(self, rows: NDArray[Any]) -> Labels:
        """Return the labels of some rows, or of all in another order."""
        return Labels(self.codes[rows], self.names)

    @classmethod
    def of(cls, texts: Sequence[str]) -> Labels:
        """Return the labels that these texts are; names by their first rows."""
        codes = {text: code for code, text in enumerate(dict.fromkeys(texts))}
        return cls(np.array([codes[text] for text in texts], np.int64), tuple(codes))

    @classmethod
    def of_numbers(cls, numbers: Codes, prefix: str = "") -> Labels:
        """Return the labels that whole numbers are, after a prefix; names in their order."""
        different, codes = np.unique(numbers, return_inverse=True)
        return cls(codes.astype(np.int64), tuple(f"{prefix}{one}" for one in different.tolist()))


@frozen(eq=False)
class RequestLog:
    """The requests of one run, by their start and then their end; n of them.

    Times count from the first start: ``start[0]`` is 0.
    """

    client: Codes = field(repr=False)  # from 0 on, shape n; all `UNKNOWN` where nothing names them
    start: Floats = field(repr=False)  # when a request was sent, shape n [s]
    end: Floats = field(repr=False)  # when its answer had arrived, shape n, >= start [s]
    source: str  # the file, or the files
    format: str  # by its name in `lhsim.readers.formats`
    clock_resolution: float  # step of the clock that stamped the requests [s]
    client_names: tuple[str, ...] = ()  # in the file, by code
    status: Labels | None = field(default=None, repr=False)
    operation: Labels | None = field(default=None, repr=False)
    scheduled: Floats | None = field(default=None, repr=False)  # intended starts; NaN: none [s]
    origin: float = 0.0  # the first start by the clock of the log, such as seconds since 1970 [s]
    facts: Mapping[str, Any] = field(factory=dict, repr=False)
    """``stamps``: "start", "end" or "both"; ``unknown``: what the format cannot tell, a tuple of
    texts; ``notes``: what of the file was left out, a tuple of texts; and counts, such as
    ``skipped``."""

    def __len__(self) -> int:
        return len(self.start)

    @property
    def has_clients(self) -> bool:
        """Whether the log names clients."""
        return bool(len(self.client)) and int(self.client[0]) != UNKNOWN

    @property
    def clients(self) -> int | None:
        """How many clients sent requests; None where nothing names them."""
        return len(np.unique(self.client)) if self.has_clients else None

    @cached_property
    def response(self) -> Floats:
        """Response times, shape n [s]."""
        return self.end - self.start

    @property
    def span(self) -> float:
        """From the first start to the last end [s]."""
        return float(self.end.max())

    @cached_property
    def failed(self) -> NDArray[np.bool_]:
        """Which requests failed by their status, shape n.

        A success is a code from 100 to 399 (HTTP), "ok", "true", "success" or nothing.
        """
        if self.status is None:
            return np.zeros(len(self), bool)
        names = np.array([not _is_success(name) for name in self.status.names], bool)
        return names[self.status.codes]

    @cached_property
    def most_in_flight(self) -> Codes:
        """The most requests that each client had under way at a time, by code; 1: it waits.

        A request that starts when another ends does not overlap it. Empty without clients.
        """
        if not self.has_clients:
            return np.zeros(0, np.int64)
        most = np.zeros(int(self.client.max()) + 1, np.int64)
        for code, rows in by_client(self):
            most[code] = _most_at_a_time(self.start[rows], self.end[rows])
        return most


def by_client(log: RequestLog) -> list[tuple[int, NDArray[np.int64]]]:
    """Return each client's code and rows, these in the order of the log."""
    order = np.argsort(log.client, kind="stable")
    codes, first = np.unique(log.client[order], return_index=True)
    return list(zip(codes.tolist(), np.split(order, first[1:]), strict=True))


def request_log(
    *,
    client: Labels | None,
    start: Floats,
    end: Floats,
    source: str,
    format: str,  # noqa: A002 - the field's name
    origin: float = 0.0,
    resolution: float = 0.0,
    status: Labels | None = None,
    operation: Labels | None = None,
    scheduled: Floats | None = None,
    facts: Mapping[str, Any] | None = None,
) -> RequestLog:
    """Return a log of checked times in any order.

    Parameters
    ----------
    origin
        What the times count from, by the clock of the log [s].
    resolution
        Step of the clock [s]; 0: it is found from the times.

    Raises
    ------
    InputError
        When there are fewer than `FEWEST` requests.
    """
    if len(start) < FEWEST:
        some = "one request" if len(start) else "no request"
        raise InputError(f"has {some}", source=source, allowed=f"{FEWEST} or more")
    order = np.lexsort((end, start))
    first = float(start[order[0]])
    codes = np.full(len(start), UNKNOWN, np.int64) if client is None else client.codes
    return RequestLog(
        client=codes[order],
        start=start[order] - first,
        end=end[order] - first,
        source=source,
        format=format,
        clock_resolution=resolution or clock_resolution(np.concatenate([start, end])),
        client_names=() if client is None else client.names,
        status=None if status is None else status.chosen(order),
        operation=None if operation is None else operation.chosen(order),
        scheduled=None if scheduled is None else scheduled[order] - first,
        origin=origin + first,
        facts=dict(facts or {}),
    )


def clock_resolution(times: Floats) -> float:
    """Return the coarsest step of `TICKS` of which all times are multiples, or `FINEST` [s]."""
    return next((tick for tick in TICKS if _on_grid(times, tick)), FINEST)


def _on_grid(times: Floats, tick: float) -> bool:
    """Return whether times differ by multiples of a tick, as nearly as they can be written."""
    steps = (times - times[0]) / tick
    return bool(np.all(np.abs(steps - np.round(steps)) < min(_NEARLY, _ROUNDED / tick)))


def _is_success(status: str) -> bool:
    if status.isascii() and status.isdigit():
        return 100 <= int(status[:9]) < 400
    return status.lower() in _SUCCESSES


def _most_at_a_time(start: Floats, end: Floats) -> int:
    """Return the largest number of intervals that overlap; one that begins at an end does not."""
    times = np.concatenate([end, start])
    steps = np.repeat([-1, 1], len(start))
    # Of equal times ends come first; but an interval without a length begins before it ends.
    empty = np.tile(start == end, 2)
    order = np.lexsort((np.where(empty, -steps, steps), times))
    return max(int(np.cumsum(steps[order]).max()), 1)
