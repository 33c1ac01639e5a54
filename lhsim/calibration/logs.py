"""Message logs of any server: when each message was sent and delivered, and to whom.

That is all that most users have of a server: no processor's time, no acknowledgements. A log is a
table with the columns of `COLUMNS`, whose times are numbers, timestamps or durations
(`lhsim.readers.columns`); an empty ``delivered_s`` means that a message did not arrive while the
log was written.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from scipy.optimize import brentq

from lhsim._files import Named
from lhsim.calibration.levels import falls_behind
from lhsim.errors import InputError
from lhsim.models import Poisson, Workload
from lhsim.readers.request_log import clock_resolution
from lhsim.readers.tables import read_table
from lhsim.recording import Architecture, Manifest, Recording, messages_of

COLUMNS = ("intended_s", "sent_s", "delivered_s", "agent")
FEWEST = 200  # messages of a log: fewer tell no quantiles
FINEST_TICK = 1e-4  # of a clock that is coarse [s]
FINE = 1e-3  # tick of a clock that hardly shows two messages of one agent as one [s]
ARRIVALS = "arrivals"  # option of a recording that was a log: how its messages came
POISSON, REGULAR, BURSTS = "as a Poisson process", "at a regular rate", "in bursts"
OF_POISSON = (0.6, 1.7)  # squared coefficient of variation of its gaps
COPIES = 0.1  # part of the rows that may be equal to others
BRIEFEST = 1e-6  # time from the first message to the last [s]
BACKWARDS = 0.05  # part of the delays that is negative where clocks differ
WARMUP, DRAIN = 0.1, 0.2  # parts of a log at its ends that do not count

Floats = NDArray[np.float64]


@frozen(eq=False)
class Log:
    """What one run of a server left, in the order of the intended times."""

    name: str
    intended: Floats = field(repr=False)  # when a message was to be sent [s]
    sent: Floats = field(repr=False)  # when it was [s]
    delivered: Floats = field(repr=False)  # NaN: not while the log was written [s]
    agent: NDArray[np.int64] = field(repr=False)  # who receives it, numbered from 0 on
    clocks_apart: float = 0.0  # by how much deliveries were moved, to come after sendings [s]

    @property
    def span(self) -> float:
        """From the first message to the last [s]."""
        return float(self.intended[-1] - self.intended[0])

    @property
    def rate(self) -> float:
        """Messages that were offered [1/s]."""
        return (len(self.intended) - 1) / self.span

    @cached_property
    def agents(self) -> int:
        """Agents, those included who by chance received nothing.

        Of N agents who are all alike, N (1 - exp(-n / N)) are expected among n messages.
        """
        seen, n = int(self.agent.max()) + 1, len(self.agent)
        if n > 10 * seen:
            return seen

        def missing(agents: float) -> float:
            return agents * -math.expm1(-n / agents) - seen

        return round(brentq(missing, seen, 100 * seen)) if missing(100 * seen) > 0 else seen

    @property
    def window(self) -> tuple[float, float]:
        """The time that counts [s]."""
        first, span = float(self.intended[0]), self.span
        return first + WARMUP * span, first + (1 - DRAIN) * span

    @cached_property
    def counts(self) -> NDArray[np.bool_]:
        """Whether a message was to be sent in the window."""
        low, high = self.window
        return (self.intended >= low) & (self.intended < high)

    @property
    def throughput(self) -> float:
        """Messages delivered in the window [1/s]."""
        low, high = self.window
        with np.errstate(invalid="ignore"):
            inside = (self.delivered >= low) & (self.delivered < high)
        return float(inside.sum() / (high - low))

    @property
    def delivery_rate(self) -> float:
        """Messages delivered, in the window or in all of the log, whichever is more [1/s]."""
        arrived = self.delivered[np.isfinite(self.delivered)]
        whole = len(arrived) / (float(arrived.max()) - float(self.intended[0]))
        return max(self.throughput, whole)

    @property
    def saturated(self) -> bool:
        """Whether messages piled up."""
        low, high = self.window
        offered = float(self.counts.sum()) / (high - low)
        return falls_behind([offered], [self.throughput], high - low)

    @cached_property
    def tick(self) -> float:
        """Resolution of the clock of the log [s]; 0 where it is too fine to matter."""
        return resolution(np.concatenate([self.sent, self.delivered]))

    @property
    def lost(self) -> float:
        """Part of the messages that never arrived, though one that was sent later did."""
        arrived = np.isfinite(self.delivered)
        before = self.counts & (self.sent < self.sent[arrived].max(initial=-math.inf))
        return float((before & ~arrived).sum()) / max(1, int(before.sum()))

    @cached_property
    def middle(self) -> float:
        """Median of the delays of what arrived, beyond the shortest one [s]."""
        delays = (self.delivered - self.sent)[self.counts]
        known = delays[np.isfinite(delays)]
        return float(np.median(known) - known.min()) if len(known) else math.inf

    @property
    def lag(self) -> float:
        """Median of how late messages were sent [s]."""
        return float(np.median((self.sent - self.intended)[self.counts]))

    @property
    def arrivals(self) -> str:
        """How messages come: as a `POISSON` process, in bursts, or at a regular rate."""
        gaps = np.diff(self.sent[self.counts])
        variation = float(gaps.var() / gaps.mean() ** 2) if gaps.any() else 0.0
        low, high = OF_POISSON
        return POISSON if low <= variation <= high else REGULAR if variation < low else BURSTS

    @property
    def level(self) -> str:
        """The load in a few words."""
        return f"{self.agents} agents, {self.rate:.4g} messages/s"

    def later(self, shift: float) -> Log:
        """Return the log with all deliveries so much later, as other clocks would have it [s]."""
        if not shift:
            return self
        apart = self.clocks_apart + shift
        return evolve(self, delivered=self.delivered + shift, clocks_apart=apart)

    def recording(self, architecture: Architecture, seed: int = 1) -> Recording:
        """Return the log as a recording: what is not known of it is missing there as well.

        Its workload is taken for a Poisson process with the same load. Times count from when a
        message was sent: how late its sender was says nothing of the server.
        """
        begin, span = float(self.intended[0]), self.span
        manifest = Manifest(
            architecture=architecture,
            agents=self.agents,
            workload=Workload(traffic=Poisson(self.rate / self.agents)),
            seed=seed,
            warmup=WARMUP * span,
            duration=(1 - WARMUP - DRAIN) * span,
            drain=DRAIN * span,
            options={ARRIVALS: self.arrivals},
        )
        number, sent = np.arange(len(self.agent)), self.sent - begin
        delivered = self.delivered - begin
        messages = messages_of(self.agent, number, self.agent, sent, sent, math.nan, delivered)
        return Recording(manifest, messages, pd.DataFrame({"time_s": []}))


def read_log(path: Named) -> Log:
    """Return the log in a CSV or Parquet file.

    Raises
    ------
    InputError
        When the file is no log, with its first mistake.
    """
    table = read_table(path, COLUMNS)
    intended, sent, delivered = table.times(*COLUMNS[:3])
    _, agent = table.names("agent")
    for column, times in (("intended_s", intended), ("sent_s", sent)):
        table.refuse_rows(np.isnan(times), "is empty", column, "a time for each message")
    late = "a delay >= 0"
    table.refuse_rows(np.diff(intended, prepend=-math.inf) < 0, "is earlier than the line before",
                      "intended_s", "rows in the order of intended_s")  # fmt: skip
    table.refuse_rows(sent < intended, "is before intended_s", "sent_s", late)
    apart = clocks_apart(delivered - sent)
    table.refuse_rows(delivered + apart < sent, "is before sent_s", "delivered_s", late)
    first = intended[0] if len(intended) else 0.0  # an epoch would cost digits
    since = intended - first, sent - first, delivered - first + apart
    log = Log(table.path.stem, *since, agent, apart)
    _refuse_copies(table.path, log)
    return _checked(log, str(table.path))


def clocks_apart(delays: Floats) -> float:
    """Return by how much the clock of the receivers lags at least [s]; 0 where it need not.

    It does where many messages arrive before they are sent; one that does is a mistake of the log.
    """
    known = delays[np.isfinite(delays)]
    if not len(known) or np.mean(known < 0) < BACKWARDS:
        return 0.0
    return -float(known.min())


def _refuse_copies(path: Path, log: Log) -> None:
    """Refuse a log that has its rows twice; by chance, only those of a coarse clock are equal."""
    if log.tick > FINE or not len(log.sent):
        return
    rows = np.column_stack([log.intended, log.sent, log.delivered, log.agent])
    rows = rows[np.isfinite(log.delivered)]
    copies = len(rows) - len(np.unique(rows, axis=0))
    if copies > COPIES * len(rows):
        problem = f"{copies} of {len(rows)} rows are there twice"
        raise InputError(problem, source=str(path), allowed="a row for each message")


def of_recording(run: Recording, name: str) -> Log:
    """Return what a log of a recorded run would be, without all else that is known of it.

    Raises
    ------
    InputError
        When it has too few messages.
    """
    table = run.messages[run.messages["sent_s"].notna()].sort_values("intended_s", kind="stable")
    intended = table["intended_s"].to_numpy(float)
    sent = np.maximum(table["sent_s"].to_numpy(float), intended)
    delivered = table["delivered_s"].to_numpy(float)
    agent = pd.factorize(table["target"])[0].astype(np.int64)
    return _checked(Log(name, intended, sent, delivered, agent), name)


def resolution(times: Floats) -> float:
    """Return the step of the clock that stamped times [s]; 0 where it is too fine to matter."""
    known = times[np.isfinite(times)]
    tick = clock_resolution(known) if len(known) else 0.0
    return tick if tick >= FINEST_TICK else 0.0


def _checked(log: Log, source: str) -> Log:
    if len(log.intended) < FEWEST:
        problem = f"{len(log.intended)} messages are too few"
        raise InputError(problem, source=source, allowed=f"{FEWEST} or more, over some time")
    if log.span < BRIEFEST:
        problem = f"{len(log.intended)} messages within {log.span:.3g} s"
        allowed = "messages over some time"
        raise InputError(problem, source=source, key="intended_s", allowed=allowed)
    arrived = int((log.counts & np.isfinite(log.delivered)).sum())
    if arrived < FEWEST // 2:
        problem = f"only {arrived} messages amid the log arrived"
        raise InputError(problem, source=source, key="delivered_s", allowed=f"{FEWEST // 2}")
    return log
