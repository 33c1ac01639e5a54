"""A live run on disk: what was asked for, what was measured, and what speaks against it.

A recording is a folder ::

    manifest.toml      the workload, the window, the machine, and what makes the run doubtful
    messages.parquet   a row for each message: sender, number, target, and its times [s]
    counters.parquet   what the server counts, read about once a second: time_s, cpu_s, ...

All times count from the start of the run, as in a simulation. The driver writes recordings,
calibration and cross-check read them, and a simulated run can be made into one.
"""

from __future__ import annotations

import math
import os
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from attrs import Factory, field, frozen

from lhsim import parameters
from lhsim._files import expanded, replace
from lhsim.analysis.measures import live_unit
from lhsim.checks import MOST, non_negative, one_of, positive, whole, within
from lhsim.errors import InputError
from lhsim.metrics import Alert
from lhsim.metrics.alerts import (
    Series,
    alerts,
    average_of_minute,
    growth_per_hour,
    of_minute,
    success_percent,
)
from lhsim.models import Slowdown, Webhook, Workload
from lhsim.models.workload import ONE_QUEUE
from lhsim.readers.tables import read_parquet
from lhsim.report.notebook import card
from lhsim.units import Seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARCHITECTURES = ("polling", "push", "mcp")  # that lhsim measures
REQUESTS: Literal["requests"] = "requests"  # what a request log stands for
OWN = "own"  # what a message log stands for that is held against a server of your own
Architecture = Literal["polling", "push", "mcp", "requests", "own"]
Modelled = Literal["polling", "push"]
MODELLED: tuple[Modelled, ...] = ("polling", "push")  # of these there is a model
MANIFEST, MESSAGES, COUNTERS = "manifest.toml", "messages.parquet", "counters.parquet"
MESSAGE_COLUMNS = (
    "sender", "number", "target", "intended_s", "sent_s", "acknowledged_s", "delivered_s",
)  # fmt: skip
# The ends of the times of a message, which begin when it is to be sent. A question by MCP is not
# acknowledged by a store, but by the answer to it.
ENDS = {"store": "acknowledged_s", "latency": "delivered_s"}
ENDS_OF_QUESTIONS = {"latency": "delivered_s", "answer": "acknowledged_s"}
LONGEST = 86400.0 * 366  # that a part of a live run may last [s]
QUANTILES = (0.5, 0.95, 0.99)  # of these times
# The rates that are made of columns of counters.parquet.
RATES = {"cpu": "cpu_s", "polls": "polls", "wasted_polls": "wasted_polls"}


@frozen
class Machine:
    """Where a run was made, and what that machine did to it."""

    host: str = ""  # processors, system, versions
    # Of more than 1 ms, by a spin probe [1/s]
    stalls_per_s: float | None = field(default=None, validator=non_negative)
    stall_lengths: tuple[Seconds, ...] = ()  # that the probe saw [s]
    stolen: float | None = None  # part of the processors' time that the host took
    # Of the server's core at its best: a piece of work took so long [s]
    pace: Seconds | None = field(default=None, validator=positive)
    slowdowns: tuple[Slowdown, ...] = ()  # of that core in the run
    lag_p50: float | None = None  # of the driver: sent less intended [s]
    lag_p99: float | None = None  # [s]


@frozen
class Manifest:
    """What was asked of a run, and where it was made."""

    architecture: Architecture = field(validator=one_of((*ARCHITECTURES, REQUESTS, OWN)))
    agents: int = field(validator=whole(1))
    workload: Workload
    seed: int
    warmup: Seconds = field(validator=within(0, LONGEST))  # nothing counts before [s]
    # Of the window after it [s]
    duration: Seconds = field(validator=[positive, within(0, LONGEST)])
    drain: Seconds = field(default=5.0, validator=within(0, LONGEST))  # messages still arrive [s]
    started: str = ""  # date and time
    server: dict[str, float] = Factory(dict)  # what the server says of its settings
    options: dict[str, str] = Factory(dict)  # of the driver
    # How the server posted, and what targets did with it; None: messages went over connections
    webhook: Webhook | None = None
    # Deliveries of what had been delivered before, by webhooks or from a queue
    duplicates: int = field(default=0, validator=whole(0))
    machine: Machine = Factory(Machine)
    doubts: tuple[str, ...] = ()  # why the run may be spoiled

    @property
    def end(self) -> float:
        """The end of the run, drain included [s]."""
        return self.warmup + self.duration + self.drain

    @property
    def mean_pace(self) -> float | None:
        """The speed of the server's core in the mean over the run [s]; None where it is unknown."""
        if self.machine.pace is None:
            return None
        longer = math.fsum(one.duration * (one.factor - 1) for one in self.machine.slowdowns)
        return self.machine.pace * (1 + longer / self.end)

    @property
    def short_poll(self) -> bool:
        """Whether polls were answered at once, and the agents slept between them."""
        return self.server.get("polling.hold") == 0

    @property
    def at_least_once(self) -> bool:
        """Whether a message may be delivered again."""
        return self.webhook is not None or self.has_queue

    @property
    def has_queue(self) -> bool:
        """Whether consumers took the messages from a queue."""
        return self.workload.topology == ONE_QUEUE

    @property
    def way(self) -> str:
        """How messages were delivered, where that is another way than the usual one."""
        ways = {
            "webhook": self.webhook is not None,
            "queue": self.has_queue,
            "short poll": self.short_poll,
        }
        return ", ".join(name for name, is_so in ways.items() if is_so)

    @property
    def closed(self) -> bool:
        """Whether its agents wait for answers, which then set their rate."""
        return self.workload.traffic.closed

    @property
    def offered_load(self) -> float:
        """Messages that the agents offer [1/s]; not that of a closed loop."""
        load = self.workload.offered_load(self.agents)
        assert load is not None, "only open traffic is driven"
        return load


@frozen(eq=False, repr=False)
class Recording:
    """A live run."""

    manifest: Manifest
    messages: pd.DataFrame  # MESSAGE_COLUMNS; NaN where it did not happen
    counters: pd.DataFrame  # "time_s" and others; may have no rows

    @property
    def ends(self) -> dict[str, str]:
        """The times of a message by their names, and the columns with the ends of them."""
        return ENDS_OF_QUESTIONS if self.manifest.architecture == "mcp" else ENDS

    @cached_property
    def cohort(self) -> pd.DataFrame:
        """The messages that were to be sent in the window."""
        manifest, intended = self.manifest, self.messages["intended_s"]
        end = manifest.warmup + manifest.duration
        return self.messages[(intended >= manifest.warmup) & (intended < end)]

    def rate(self, counter: str) -> float:
        """Return how fast a counter grew after the warm-up [1/s]; NaN where it was not read.

        Messages are still sent in the drain, so that it counts as well.
        """
        table = self.counters
        if counter not in table:
            return math.nan
        inside = table["time_s"] >= self.manifest.warmup - 0.5
        times, values = table.loc[inside, "time_s"], table.loc[inside, counter]
        if len(times) < 2:
            return math.nan
        return float((values.iloc[-1] - values.iloc[0]) / (times.iloc[-1] - times.iloc[0]))

    def times(self, what: str) -> pd.Series[float]:
        """Return a time of each message of the cohort [s], by `ends`; NaN where it has no end."""
        return self.cohort[self.ends[what]] - self.cohort["intended_s"]

    def measures(self) -> dict[str, float]:
        """Return the figures of the run by their names, NaN where one was not measured.

        ``throughput`` [messages delivered /s], ``delivery`` (part of those sent), ``cpu`` (of one
        core), ``polls`` and ``wasted_polls`` [1/s], and quantiles [s] of ``store`` (from the
        intended time to the acknowledgement) and ``latency`` (to the delivery). By MCP, where
        nothing is polled or stored, ``latency`` ends when a question reaches who is asked, and in
        place of ``store`` is ``answer``, which ends when its answer is back.
        """
        delivered = self.times("latency").notna()
        found = {
            "throughput": self._throughput(),
            "delivery": float(delivered.mean()) if len(delivered) else math.nan,
        }
        found |= {name: self.rate(counter) for name, counter in RATES.items()}
        for what in self.ends:
            times = self.times(what)  # pandas leaves out what is NaN
            found |= {f"{what}_p{round(100 * q)}": float(times.quantile(q)) for q in QUANTILES}
        return found

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy row per figure of `measures`."""
        rows = [(name, value, live_unit(name)) for name, value in self.measures().items()]
        return pd.DataFrame(rows, columns=["metric", "value", "unit"])

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw which part of the messages takes longer than a time, and return the figure."""
        from lhsim.analysis.curves import tail_of, tail_plot  # noqa: PLC0415

        curves = {what: tail_of(self.times(what).dropna()) for what in self.ends}
        return tail_plot({what: curve for what, curve in curves.items() if len(curve[0])}, ax)

    def __repr__(self) -> str:
        """Return what was recorded in a line; `measures` has the figures."""
        return f"<Recording of {self._headline()}>"

    def _repr_html_(self) -> str:
        return card(self._headline(), self.manifest.doubts, self.to_frame())

    def _headline(self) -> str:
        manifest = self.manifest
        load = "" if manifest.closed else f", {manifest.offered_load:g} messages/s"
        way = f" by {manifest.way}" if manifest.way else ""
        return (
            f"{manifest.architecture}{way}: {manifest.agents:,} agents{load} for "
            f"{manifest.duration:g} s, seed {manifest.seed}"
        )

    def _throughput(self) -> float:
        manifest, at = self.manifest, self.messages["delivered_s"]
        inside = at.between(manifest.warmup, manifest.warmup + manifest.duration, inclusive="left")
        return float(inside.sum() / manifest.duration)

    def alerts(self) -> tuple[Alert, ...]:
        """Return which alerts would have fired in the run, and when, its warm-up included.

        A message has failed that was neither acknowledged nor delivered. What the server counts
        is known where it was read.
        """
        return alerts(self._series())

    def _series(self) -> dict[str, Series]:
        messages = self.messages
        at = np.arange(1.0, self.manifest.end + 1.0)
        delivered, intended = messages["delivered_s"].to_numpy(), messages["intended_s"].to_numpy()
        some = np.isfinite(delivered)
        latency = 1e3 * average_of_minute(at, delivered[some], (delivered - intended)[some])
        lost = ~some & messages["acknowledged_s"].isna().to_numpy()
        ends = [np.sort(one) for one in (delivered[some], intended[lost])]
        success = success_percent(
            *(of_minute(at, one, np.arange(1.0, len(one) + 1)) for one in ends)
        )
        found = {"average_latency_ms": (at, latency), "delivery_success_percent": (at, success)}
        return found | self._counted()

    def _counted(self) -> dict[str, Series]:
        """Return what the server counts, over time."""
        table, found = self.counters, {}
        times = table["time_s"].to_numpy(float)
        if "memory_mb" in table:
            memory = table["memory_mb"].to_numpy(float)
            found["memory_usage_mb"] = times, memory
            found["memory_growth_mb_per_hour"] = times, growth_per_hour(times, memory)
        if "connections" in table:
            found["active_agents"] = times, table["connections"].to_numpy(float)
        if "cpu_s" in table and len(times) > 1:
            busy = 100 * np.diff(table["cpu_s"].to_numpy(float)) / np.diff(times)
            found["cpu_utilization_percent"] = times, np.concatenate([busy[:1], busy])
        return found

    def write(self, folder: str | PathLike[str]) -> None:
        """Write the run to a folder, which is made; the manifest comes last, and says it is whole.

        Raises
        ------
        InputError
            When a recording is there already, or the folder cannot be written.
        """
        folder = expanded(folder)
        check_free(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.messages.to_parquet(folder / MESSAGES, index=False)
            self.counters.to_parquet(folder / COUNTERS, index=False)
            replace(folder / MANIFEST, lambda path: parameters.dump(self.manifest, path))
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", source=str(folder)) from None

    @classmethod
    def read(cls, folder: str | PathLike[str]) -> Recording:
        """Return the run in a folder.

        Raises
        ------
        InputError
            When there is none, or a part of it is missing or damaged.
        """
        folder = expanded(folder)
        if not os.path.isfile(folder / MANIFEST):
            allowed = f"a folder of lhsim measure, with a {MANIFEST}"
            raise InputError("is no recording", source=str(folder), allowed=allowed)
        manifest = parameters.load(folder / MANIFEST, Manifest, own_classes=False)
        return cls(
            manifest,
            _table(folder / MESSAGES, MESSAGE_COLUMNS, whole=MESSAGE_COLUMNS[:3]),
            _over_time(folder / COUNTERS),
        )


def messages_of(*columns: object) -> pd.DataFrame:
    """Return the table with these `MESSAGE_COLUMNS`, each an array or one number for all rows."""
    return pd.DataFrame(dict(zip(MESSAGE_COLUMNS, columns, strict=True)))


def check_modelled(manifest: Manifest, source: str | None = None) -> None:
    """Raise `InputError` where no model can stand for a run; `source` is where it lies."""
    if manifest.architecture not in (*MODELLED, REQUESTS, OWN):
        problem = f"is a run by {manifest.architecture}, of which there is no model"
        allowed = f"a run by {' or '.join(MODELLED)}"
        raise InputError(problem, source=source, key=None if source else "run", allowed=allowed)


def check_free(folder: Path) -> None:
    """Raise `InputError` where a folder holds a recording."""
    if (folder / MANIFEST).exists():
        allowed = "a folder without a recording: nothing is overwritten"
        raise InputError("holds a recording", source=str(folder), allowed=allowed)


def _table(path: Path, columns: tuple[str, ...], whole: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return a table of numbers; the columns named `whole` hold whole ones without gaps."""
    found = read_parquet(path)
    missing = [name for name in columns if name not in found.column_names]
    if missing:
        allowed = ", ".join(columns)
        raise InputError(f"has no column {missing[0]}", source=str(path), allowed=allowed)
    for name, kind in zip(found.column_names, found.schema.types, strict=True):
        _check_column(path, name, kind, found.column_names.count(name))
    table: pd.DataFrame = found.to_pandas()
    nothing = [name for name in table if table[name].dtype == object]  # in all of their rows
    table = table.astype(dict.fromkeys(nothing, float))
    for name in whole:
        if not pd.api.types.is_integer_dtype(table[name]):
            raise InputError("holds other than whole numbers", source=str(path), key=name)
    if np.isinf(table.to_numpy(float)).any():
        raise InputError("holds infinite numbers", source=str(path), allowed="finite numbers")
    if (np.abs(table.to_numpy(float)) > MOST).any():
        raise InputError("holds numbers out of range", source=str(path),
                         allowed=f"numbers up to {MOST:g}")  # fmt: skip
    return table


def _over_time(path: Path) -> pd.DataFrame:
    """Return a table whose times go on."""
    table = _table(path, ("time_s",))
    if not (np.diff(table["time_s"], prepend=-np.inf) > 0).all():
        allowed = "times, each after the one before"
        raise InputError("goes back, or stands still", source=str(path), key="time_s",
                         allowed=allowed)  # fmt: skip
    return table


def _check_column(path: Path, name: str, kind: pa.DataType, times: int) -> None:
    if times > 1:
        raise InputError(f"stands there {times} times", source=str(path), key=name)
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    if not any(matches(kind) for matches in numeric):
        raise InputError("holds other than numbers", source=str(path), key=name, allowed="numbers")
