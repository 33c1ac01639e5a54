"""One run: `simulate(system, agents, duration, seed) -> Result`.

The run has a warm-up, in which nothing counts, a window in which the cohort of messages is created,
and a drain, in which the last of them may still be delivered ::

    0 ......... warmup ................... duration - drain ........ duration
                [ cohort: messages created                )
                [ rates, counters and utilisations                          )

It pauses at fixed times to take a sample of the state. A run is *overloaded* when its backlog, the
messages created and not ended, grows all through the window: then no average means anything, and
the result says at which rate it grows instead.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen

from lhsim.errors import InputError, unknown_name
from lhsim.metrics import AgentCommunicationMetrics, Latency
from lhsim.models.agent import check_count
from lhsim.models.bridge import Bridge
from lhsim.models.ledger import Outcome, Window
from lhsim.models.polling import Polling
from lhsim.models.push import Push
from lhsim.models.system import System
from lhsim.models.workload import Closed
from lhsim.streams import check_seed

if TYPE_CHECKING:
    import pandas as pd

ENGINES = ("auto", "simpy")
SAMPLES = 100  # of the state, equally spaced over a run
SLOWING = 0.75  # growth in the second half of the window over that in the first: slower settles
EARLIEST_STOP = 0.4  # part of a run after which an overload may end it

MS = 1e3
MB = 1e6
PERCENT = 1e2


@frozen(eq=False)
class Result:
    """What one run showed."""

    system: str
    architecture: str  # "polling" or "push"
    agents: int
    duration: float  # asked for [s]
    horizon: float  # simulated [s]
    warmup: float  # [s]
    drain: float  # [s]
    seed: int
    engine: str
    engine_reason: str  # why this engine ran
    metrics: AgentCommunicationMetrics
    latency: Latency
    utilization: dict[str, float]  # of each station, as a part of its servers
    backlog_growth: float  # messages per second, in the measured window
    overloaded: bool
    extrapolated_because: tuple[str, ...]
    outcomes: dict[str, int]  # of all messages created in the run, warm-up included
    model_events: int  # messages created and delivered, queries and sleeps; all run
    samples: dict[str, np.ndarray] = field(repr=False)  # of the state, by name; see `timeseries`
    records: dict[str, np.ndarray] | None = field(repr=False, default=None)  # see `messages`

    @property
    def bottleneck(self) -> str:
        """The station with the highest utilisation."""
        return max(self.utilization, key=lambda name: self.utilization[name])

    @property
    def stopped_early(self) -> bool:
        """Whether the run ended before its duration: overloaded, or with nothing left to do."""
        return self.horizon < self.duration

    @property
    def extrapolated(self) -> bool:
        """Whether the level lies beyond what the system was calibrated on."""
        return bool(self.extrapolated_because)

    @property
    def timeseries(self) -> pd.DataFrame:
        """The state at equally spaced times."""
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        return pd.DataFrame(self.samples)

    @property
    def messages(self) -> pd.DataFrame | None:
        """Each message with its times [s] and outcome, where ``keep_messages`` asked for it."""
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        return None if self.records is None else pd.DataFrame(self.records)

    def row(self) -> dict[str, Any]:
        """Return the run as one flat record, with the unit in each name."""
        from attrs import asdict  # noqa: PLC0415

        return {
            "system": self.system,
            "architecture": self.architecture,
            "agents": self.agents,
            "seed": self.seed,
            "engine": self.engine,
            "duration_s": self.duration,
            "horizon_s": self.horizon,
            "warmup_s": self.warmup,
            "drain_s": self.drain,
            **asdict(self.metrics),
            "mean_latency_ms": self.latency.mean * MS,
            "min_latency_ms": self.latency.min * MS,
            "pending": self.latency.pending,
            "p99_is_lower_bound": self.latency.is_lower_bound(0.99),
            "utilization": self.utilization[self.bottleneck],
            **{f"utilization_{name}": value for name, value in self.utilization.items()},
            "bottleneck": self.bottleneck,
            "overloaded": self.overloaded,
            "backlog_growth_per_s": self.backlog_growth,
            "extrapolated": self.extrapolated,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the run as a table of one tidy row."""
        import pandas as pd  # noqa: PLC0415 - a late import keeps the command line quick

        return pd.DataFrame([self.row()])

    def summary(self) -> str:
        """Return the run in a few lines for people."""
        return "\n".join(_summary(self))

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{line}</li>" for line in _summary(self)[1:])
        return f"<b>{_summary(self)[0]}</b><ul>{lines}</ul>"


def simulate(
    system: System | str,
    *,
    agents: int,
    duration: float = 60.0,
    seed: int = 1,
    engine: str = "auto",
    warmup: float | None = None,
    drain: float | None = None,
    stop_when_overloaded: bool = False,
    keep_messages: bool = False,
) -> Result:
    """Simulate a system with so many agents, and return what it showed.

    Parameters
    ----------
    system
        A system, or the name or file of one; see `lhsim.systems`.
    agents
        How many agents there are.
    duration
        Simulated time, warm-up and drain included [s]. A closed loop that has sent all its messages
        ends sooner.
    seed
        From 0 to 2**63 - 1. One seed gives one result, to the bit.
    engine
        ``"simpy"``, or ``"auto"`` for the fastest that covers the system.
    warmup
        Time at the start that does not count [s]. None: a tenth of the duration, from the start of
        the last agent on; nothing for a closed loop with an end.
    drain
        Time at the end in which no message joins the cohort [s]. None: a tenth of the duration, at
        most 5 s; nothing for a closed loop with an end.
    stop_when_overloaded
        End the run once it is known to be overloaded.
    keep_messages
        Keep a record of each message, for `Result.messages`.

    Raises
    ------
    InputError
        When an argument is out of range, or the name or file is no system.
    """
    system = _system(system)
    check_count(system.workload, agents)
    check_seed(seed)
    if engine not in ENGINES:
        raise unknown_name("engine", str(engine), ENGINES, key="engine")
    window = _window(system, duration, warmup, drain)
    with _rare_garbage_collection():
        bridge = Bridge(system, agents, seed, window, keep_messages=keep_messages)
        run = _Run(bridge, window, stop_when_overloaded=stop_when_overloaded)
    return run.result(duration)


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Let the collector look less often at the many objects of a run, nearly all of them alive.

    Events and processes are freed by their reference counts; at the default threshold the search
    for cycles among them takes a third of the time of a run with 10,000 agents.
    """
    threshold = gc.get_threshold()
    gc.set_threshold(1_000_000, *threshold[1:])
    try:
        yield
    finally:
        gc.set_threshold(*threshold)


def _system(system: System | str) -> System:
    if isinstance(system, System):
        return system
    from lhsim.library import load_system  # noqa: PLC0415

    return load_system(system)


def _window(system: System, duration: float, warmup: float | None, drain: float | None) -> Window:
    _check_time("duration", duration, positive=True)
    traffic = system.workload.traffic
    ends = isinstance(traffic, Closed) and traffic.messages is not None
    if warmup is None:
        warmup = 0.0 if ends else min(system.workload.started_by, duration / 4) + duration / 10
    if drain is None:
        drain = 0.0 if ends else min(5.0, duration / 10)
    _check_time("warmup", warmup)
    _check_time("drain", drain)
    if warmup + drain >= duration:
        problem = f"warmup ({warmup:g} s) and drain ({drain:g} s) leave nothing of {duration:g} s"
        raise InputError(problem, key="duration", allowed="more than both together")
    return Window(warmup, duration - drain, duration)


def _check_time(key: str, value: object, *, positive: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and math.isfinite(value) and (value > 0 or (value == 0 and not positive)):  # type: ignore[arg-type, operator]
        return
    bound = "> 0" if positive else ">= 0"
    raise InputError(f"{value!r} is out of range", key=key, allowed=f"a number of seconds {bound}")


class _Run:
    """One bridge run to its end, and what was seen of it on the way."""

    def __init__(self, bridge: Bridge, window: Window, *, stop_when_overloaded: bool) -> None:
        self._bridge = bridge
        self._window = window
        self._samples: list[tuple[float, ...]] = []
        self._at_start = self._counters()
        self._finished_at: float | None = None
        self._go(stop_when_overloaded=stop_when_overloaded)

    def _go(self, *, stop_when_overloaded: bool) -> None:
        window, env = self._window, self._bridge.env
        times = {window.end * step / SAMPLES for step in range(1, SAMPLES + 1)}
        for time in sorted(times | ({window.start} - {0.0})):
            env.run(until=time)
            if time == window.start:
                self._at_start = self._counters()
            self._samples.append(self._state(time))
            if self._all_sent():
                self._stop(self._bridge.ledger.last_end)
                break
            late = time >= window.start + EARLIEST_STOP * (window.end - window.start)
            if stop_when_overloaded and late and self._overloaded():
                self._stop(time)
                break
        self._bridge.ledger.check_conservation()

    def _all_sent(self) -> bool:
        traffic = self._bridge.system.workload.traffic
        if not isinstance(traffic, Closed) or traffic.messages is None:
            return False
        senders = len(self._bridge.system.workload.senders(self._bridge.agents))
        ledger = self._bridge.ledger
        return ledger.created == senders * traffic.messages and not ledger.open

    def _stop(self, at: float) -> None:
        self._window = evolve(self._window, end=at, cohort_end=min(at, self._window.cohort_end))
        for station in self._bridge.stations().values():
            station.end_measurement(at)

    def _state(self, time: float) -> tuple[float, ...]:
        bridge = self._bridge
        queued = sum(len(station.waiting) for station in bridge.stations().values())
        memory = bridge.memory
        ledger = bridge.ledger
        delivered = ledger.outcomes[Outcome.DELIVERED]
        return (time, ledger.created, delivered, ledger.backlog, queued,
                memory.connections, memory.current)  # fmt: skip

    def _series(self) -> dict[str, np.ndarray]:
        names = ("time_s", "created", "delivered", "backlog", "queued", "connections", "memory_b")
        columns = zip(*self._samples, strict=True)
        return dict(zip(names, (np.array(column) for column in columns), strict=True))

    def _counters(self) -> dict[str, int]:
        bridge = self._bridge
        polling = bridge.server if isinstance(bridge.server, Polling) else None
        push = bridge.server if isinstance(bridge.server, Push) else None
        return {
            "delivered": bridge.ledger.outcomes[Outcome.DELIVERED],
            "queries": bridge.store.queries,
            "cycles": polling.cycles if polling else 0,
            "wasted": polling.wasted_cycles if polling else 0,
            "timeouts": polling.timeouts if polling else 0,
            "requests": push.created if push else 0,
            "sent": push.sent if push else 0,
        }

    def _backlog(self) -> tuple[np.ndarray, np.ndarray]:
        time, backlog = (self._series()[name] for name in ("time_s", "backlog"))
        inside = time >= self._window.start
        return time[inside], backlog[inside]

    def _growth(self) -> float:
        """Return the slope of the backlog over the measured window [messages/s]."""
        time, backlog = self._backlog()
        return _slope(time, backlog) if len(time) > 1 else 0.0

    def _overloaded(self) -> bool:
        """Return whether the backlog grows all through the window, and as fast as ever.

        It has grown by most of its own mean and by over 1 % of the messages created; a backlog that
        only fluctuates does not. And it grows in the second half of the window nearly as fast as
        in the first; a closed population of pollers on its way to a long cycle does not.
        """
        time, backlog = self._backlog()
        if len(time) < 6:
            return False
        grown = self._growth() * (time[-1] - time[0])
        created = self._bridge.ledger.created * (1 - time[0] / time[-1])
        middle = len(time) // 2
        first = _slope(time[:middle], backlog[:middle])
        second = _slope(time[middle:], backlog[middle:])
        steady = second > 0 and second >= SLOWING * first
        return bool(steady and grown > 0.8 * backlog.mean() and grown > max(0.01 * created, 10))

    def result(self, duration: float) -> Result:
        """Return what the run showed."""
        bridge, window = self._bridge, self._window
        latency = self._latency()
        rate = bridge.system.offered_load(bridge.agents)
        calibration = bridge.system.calibration
        return Result(
            system=bridge.system.name,
            architecture=bridge.system.architecture,
            agents=bridge.agents,
            duration=duration,
            horizon=window.end,
            warmup=window.start,
            drain=window.end - window.cohort_end,
            seed=bridge.seed,
            engine="simpy",
            engine_reason="SimPy is the only engine of this version",
            metrics=self._metrics(latency),
            latency=latency,
            utilization=self._utilization(),
            backlog_growth=self._growth(),
            overloaded=self._overloaded(),
            extrapolated_because=calibration.beyond(bridge.agents, rate) if calibration else (),
            outcomes=self._outcomes(),
            model_events=self._model_events(),
            samples=self._series(),
            records=self._records(),
        )

    def _latency(self) -> Latency:
        ledger = self._bridge.ledger
        ages = [
            self._window.end - message.created
            for message in ledger.open
            if self._window.batch(message.created) >= 0
        ]
        some = ledger.cohort[Outcome.DELIVERED] > 0
        return Latency(
            counts=ledger.histogram,
            sums=ledger.totals.latency,
            min=ledger.shortest if some else math.nan,
            max=ledger.longest if some else math.nan,
            ages=np.array(ages),
        )

    def _utilization(self) -> dict[str, float]:
        bridge = self._bridge
        shares = {name: station.utilization() for name, station in bridge.stations().items()}
        loops = [shares.pop(f"cpu {number}") for number in range(len(bridge.loops))]
        limit = bridge.system.server.connections
        if limit is not None:
            series = self._series()
            inside = series["time_s"] >= self._window.start
            shares["connections"] = float(series["connections"][inside].mean()) / limit
        return {"cpu": max(loops), **shares}

    def _outcomes(self) -> dict[str, int]:
        ledger = self._bridge.ledger
        counts = dict(zip(Outcome, ledger.outcomes, strict=True))
        counts[Outcome.PENDING] = len(ledger.open)
        return {outcome.name.lower(): count for outcome, count in counts.items()}

    def _model_events(self) -> int:
        bridge, counters = self._bridge, self._counters()
        return bridge.ledger.created + sum(
            counters[name] for name in ("delivered", "queries", "wasted")
        )

    def _records(self) -> dict[str, np.ndarray] | None:
        kept = self._bridge.ledger.kept
        if kept is None:
            return None
        names = ("sender", "number", "target", "created", "stored", "delivered")
        columns = {name: np.array([getattr(message, name) for message in kept]) for name in names}
        return columns | {"outcome": np.array([m.outcome.name.lower() for m in kept])}

    def _metrics(self, latency: Latency) -> AgentCommunicationMetrics:
        bridge, ledger, window = self._bridge, self._bridge.ledger, self._window
        counted = {name: count - self._at_start[name] for name, count in self._counters().items()}
        delivered = ledger.cohort[Outcome.DELIVERED]
        length = window.end - window.start
        loops = bridge.loops
        cpu_time = length * len(loops)
        validation = bridge.system.cpu.validate.mean if isinstance(bridge.server, Push) else 0.0
        memory = bridge.memory
        baseline = bridge.system.memory.baseline
        return AgentCommunicationMetrics(
            message_send_latency_ms=_ratio(ledger.totals.to_store[0], delivered) * MS,
            message_receive_latency_ms=_ratio(ledger.totals.from_store[0], delivered) * MS,
            end_to_end_latency_ms=latency.mean * MS,
            p50_latency_ms=latency.quantile(0.5) * MS,
            p95_latency_ms=latency.quantile(0.95) * MS,
            p99_latency_ms=latency.quantile(0.99) * MS,
            max_latency_ms=latency.max * MS,
            messages_per_second=_ratio(counted["delivered"], length),
            successful_deliveries=delivered,
            failed_deliveries=sum(ledger.cohort) - delivered,
            delivery_success_rate=_ratio(delivered, ledger.cohort_created),
            memory_baseline_mb=baseline / MB,
            memory_peak_mb=memory.peak / MB,
            memory_per_agent_mb=(memory.peak - baseline) / MB / bridge.agents,
            cpu_utilization_percent=_ratio(sum(loop.work_time for loop in loops), cpu_time)
            * PERCENT,
            connection_count=memory.peak_connections,
            polling_cycles_total=counted["cycles"],
            database_queries_total=counted["queries"],
            timeout_events=counted["timeouts"],
            wasted_poll_cycles=counted["wasted"],
            elicitation_requests_created=counted["requests"],
            elicitation_responses_received=0,
            schema_validation_time_ms=validation * MS,
            websocket_events_sent=counted["sent"],
        )


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    centred = x - x.mean()
    return float((centred @ y) / (centred @ centred))


def _ratio(part: float, whole: float) -> float:
    return float(part) / whole if whole else math.nan


def _summary(result: Result) -> list[str]:
    metrics, latency = result.metrics, result.latency
    bound = " or more" if latency.is_lower_bound(0.99) else ""
    stations = ", ".join(f"{name} {share:.1%}" for name, share in result.utilization.items())
    lines = [
        f"{result.system} ({result.architecture}): {result.agents:,} agents, "
        f"{result.horizon:g} s, seed {result.seed}, {result.engine}",
        f"latency    mean {latency.mean * MS:.4g} ms, p50 {metrics.p50_latency_ms:.4g}, "
        f"p95 {metrics.p95_latency_ms:.4g}, p99 {metrics.p99_latency_ms:.4g}{bound}, "
        f"max {metrics.max_latency_ms:.4g}",
        f"delivered  {metrics.messages_per_second:.4g} messages/s, "
        f"{metrics.delivery_success_rate:.2%} of {sum(result.outcomes.values()):,}",
        f"busy       {stations}; bottleneck: {result.bottleneck}",
        f"database   {metrics.database_queries_total:,} queries, "
        f"{metrics.wasted_poll_cycles:,} wasted poll cycles",
        f"memory     {metrics.memory_peak_mb:.4g} MB, {metrics.connection_count:,} connections",
    ]
    if result.overloaded:
        lines.append(f"overloaded: the backlog grows by {result.backlog_growth:.4g} messages/s")
    lines += [f"extrapolated: {reason}" for reason in result.extrapolated_because]
    return lines
