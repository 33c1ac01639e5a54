"""One run: an engine led through time, sampled on its way, and brought to account.

The run pauses at fixed times to take a sample of the state. It is *overloaded* when its backlog,
the messages created and not ended, grows all through the window: then no average means anything,
and the result says at which rate it grows instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lhsim.metrics import AgentCommunicationMetrics, Latency, histogram
from lhsim.metrics.account import Account, ClassAccount, Counters, Outcome, State, Window
from lhsim.metrics.alerts import slope
from lhsim.models import ArrivalProcess
from lhsim.simulation.result import MS, ClassResult, Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lhsim.models import System

SAMPLES = 100  # of the state, equally spaced over a run
SLOWING = 0.75  # growth in the second half of the window over that in the first: slower settles
EARLIEST_STOP = 0.4  # part of a run after which an overload may end it

LENT = {"cpu", "store", "writer"}  # stations that a server of your own may leave alone
MB = 1e6
PERCENT = 1e2


class Engine(Protocol):
    """What a run asks of an engine."""

    name: str

    @property
    def events(self) -> int | None:
        """How many delays and services have been scheduled; None where nobody counts them."""

    def advance(self, until: float) -> None:
        """Let everything happen that is due before `until` [s]."""

    def counters(self) -> Counters:
        """Return what has been counted so far."""

    def state(self) -> State:
        """Return the state of the system now."""

    def account(self) -> Account:
        """Return what the run came to, after a check that no message was lost on the way."""


class Run:
    """A system with so many agents, led through its window by an engine."""

    def __init__(
        self,
        engine: Engine,
        system: System,
        agents: int,
        window: Window,
        *,
        stop_when_overloaded: bool,
        samples: int = SAMPLES,
    ) -> None:
        self._engine = engine
        self._system = system
        self._agents = agents
        self._window = window
        self._samples: list[tuple[float, ...]] = []
        self._count = samples
        self._at_start = engine.counters()
        self._now = self._at_start
        self._go(stop_when_overloaded=stop_when_overloaded)
        self._account = engine.account()

    def _go(self, *, stop_when_overloaded: bool) -> None:
        window = self._window
        count = self._count
        times = {window.end * step / count for step in range(1, count + 1)}
        for time in sorted(times | ({window.start} - {0.0})):
            self._engine.advance(time)
            self._now = self._engine.counters()
            if time == window.start:
                self._at_start = self._now
            self._sample(time)
            if self._all_sent():
                self._stop(self._engine.account().last_end)
                break
            late = time >= window.start + EARLIEST_STOP * (window.end - window.start)
            if stop_when_overloaded and late and self._overloaded():
                self._stop(time)
                break

    def _all_sent(self) -> bool:
        workload = self._system.workload
        at_a_time = len(workload.senders(self._agents)) * workload.copies(self._agents)
        all_there_are = at_a_time * workload.traffic.messages_of_a_sender
        return self._now.created == all_there_are and self._now.open == 0

    def _stop(self, at: float) -> None:
        start, cohort_end = min(at, self._window.start), min(at, self._window.cohort_end)
        self._window = Window(start, cohort_end, at)

    def _sample(self, time: float) -> None:
        counters, state = self._now, self._engine.state()
        self._samples.append((time, counters.created, counters.delivered, counters.open,
                              state.queued, state.connections, state.memory))  # fmt: skip

    def _series(self) -> dict[str, np.ndarray]:
        names = ("time_s", "created", "delivered", "backlog", "queued", "connections", "memory_b")
        columns = zip(*self._samples, strict=True)
        return dict(zip(names, (np.array(column) for column in columns), strict=True))

    def _backlog(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the times of the samples in the window [s], and the backlog at each of them."""
        inside = [one for one in self._samples if one[0] >= self._window.start]
        return np.array([one[0] for one in inside]), np.array([one[3] for one in inside])

    def _growth(self) -> float:
        """Return the slope of the backlog over the measured window [messages/s]."""
        time, backlog = self._backlog()
        return slope(time, backlog) if len(time) > 1 else 0.0

    def _overloaded(self) -> bool:
        """Return whether the backlog grows all through the window, and as fast as ever.

        It has grown by most of its own mean and by over 1 % of the messages created; a backlog that
        only fluctuates does not. And it grows in the second half of the window nearly as fast as
        in the first; a closed population of pollers on its way to a long cycle does not. Clients
        never overload a server for good: no more requests wait than they have under way.
        """
        if self._system.requests is not None and self._system.workload.traffic.closed:
            return False
        time, backlog = self._backlog()
        if len(time) < 6:
            return False
        grown = slope(time, backlog) * (time[-1] - time[0])
        created = self._now.created * (1 - time[0] / time[-1])
        if not (grown > 0.8 * backlog.mean() and grown > max(0.01 * created, 10)):
            return False
        middle = len(time) // 2
        first = slope(time[:middle], backlog[:middle])
        second = slope(time[middle:], backlog[middle:])
        return bool(second > 0 and second >= SLOWING * first)

    def result(self, seed: int, duration: float, engine_reason: str, settled_by: float) -> Result:
        """Return what the run showed."""
        system, agents, window, account = self._system, self._agents, self._window, self._account
        latency = self._latency()
        rate = system.offered_load(agents)
        calibration = system.calibration
        return Result(
            system=system.name,
            architecture=system.architecture,
            agents=agents,
            duration=duration,
            horizon=window.end,
            warmup=window.start,
            drain=window.end - window.cohort_end,
            seed=seed,
            engine=self._engine.name,
            engine_reason=engine_reason,
            metrics=self._metrics(latency),
            latency=latency,
            utilization=self._utilization(),
            backlog_growth=self._growth(),
            overloaded=self._overloaded(),
            extrapolated_because=calibration.beyond(agents, rate) if calibration else (),
            outcomes=self._outcomes(),
            counters=self._now,
            engine_events=self._engine.events,
            samples=self._series(),
            records=account.records,
            steady=_steady(system),
            warnings=system.caveats,
            settled_by=settled_by,
            classes={name: self._of_class(one) for name, one in account.classes.items()},
        )

    def _latency(self) -> Latency:
        account = self._account
        some = account.cohort[Outcome.DELIVERED] > 0
        return Latency(
            counts=account.histogram,
            sums=account.latency,
            min=account.shortest if some else math.nan,
            max=account.longest if some else math.nan,
            ages=self._ages(account.open_since),
        )

    def _of_class(self, account: ClassAccount) -> ClassResult:
        filled = np.flatnonzero(account.histogram.sum(axis=0))
        latency = Latency(
            counts=account.histogram,
            sums=account.latency,
            min=float(histogram.edges(filled[0])[0]) if len(filled) else math.nan,
            max=float(histogram.edges(filled[-1])[1]) if len(filled) else math.nan,
            ages=self._ages(account.open_since),
        )
        created = sum(account.cohort) + latency.pending
        return ClassResult(account.agents, created, account.cohort[Outcome.DELIVERED], latency)

    def _ages(self, open_since: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the ages of the messages of the cohort that are still open [s]."""
        window = self._window
        of_cohort = (window.start <= open_since) & (open_since < window.cohort_end)
        return window.end - open_since[of_cohort]

    def _utilization(self) -> dict[str, float]:
        """Return the mean part of each station's servers that is busy, of the loops the busiest.

        Of what lhsim lends to a server of your own, only what it uses is there.
        """
        length = self._window.end - self._window.start
        busy, servers = self._account.busy, self._account.servers
        # After an early stop the services under way count to their ends, which lie beyond it; a
        # closed loop that costs nothing has sent all its messages before any time has passed.
        shares = {
            name: min(1.0, busy[name] / (servers[name] * length)) if length > 0 else 0.0
            for name in busy
        }
        loops = [shares.pop(name) for name in busy if name.startswith("cpu ")]
        shares |= _by_node(loops, self._system.node_count)
        limit = self._system.server.connections
        if limit is not None:
            series = self._series()
            inside = series["time_s"] >= self._window.start
            shares["connections"] = float(series["connections"][inside].mean()) / limit
            shares["connections"] /= self._system.node_count
        found = {"cpu": max(loops), **shares}
        if self._system.architecture != "own":
            return found
        used = {name: share for name, share in found.items() if share > 0 or name not in LENT}
        return used or found

    def _outcomes(self) -> dict[str, int]:
        counts = dict(zip(Outcome, self._account.outcomes, strict=True))
        counts[Outcome.PENDING] = self._now.open
        return {outcome.name.lower(): count for outcome, count in counts.items()}

    def _metrics(self, latency: Latency) -> AgentCommunicationMetrics:
        system, account, begin, now = self._system, self._account, self._at_start, self._now
        delivered = account.cohort[Outcome.DELIVERED]
        length = self._window.end - self._window.start
        validation = system.cpu.validate.mean if system.push is not None else 0.0
        baseline = system.memory.baseline
        cpu = _ratio(account.work, length * system.processors) * PERCENT
        return AgentCommunicationMetrics(
            message_send_latency_ms=_ratio(account.to_store, delivered) * MS,
            message_receive_latency_ms=_ratio(account.from_store, delivered) * MS,
            end_to_end_latency_ms=latency.mean * MS,
            p50_latency_ms=latency.quantile(0.5) * MS,
            p95_latency_ms=latency.quantile(0.95) * MS,
            p99_latency_ms=latency.quantile(0.99) * MS,
            max_latency_ms=latency.max * MS,
            messages_per_second=_ratio(now.delivered - begin.delivered, length),
            successful_deliveries=delivered,
            failed_deliveries=sum(account.cohort) - delivered,
            delivery_success_rate=_ratio(delivered, account.cohort_created),
            memory_baseline_mb=baseline / MB,
            memory_peak_mb=account.peak_memory / MB,
            memory_per_agent_mb=(account.peak_memory - baseline) / MB / self._agents,
            cpu_utilization_percent=cpu if "cpu" in self._utilization() else math.nan,
            connection_count=account.peak_connections,
            polling_cycles_total=now.cycles - begin.cycles,
            database_queries_total=now.queries - begin.queries,
            timeout_events=_timeouts(now) - _timeouts(begin),
            wasted_poll_cycles=now.wasted - begin.wasted,
            elicitation_requests_created=now.stored - begin.stored,
            elicitation_responses_received=now.answered - begin.answered,
            schema_validation_time_ms=validation * MS,
            websocket_events_sent=now.sent - begin.sent,
        )


def _by_node(loops: Sequence[float], nodes: int) -> dict[str, float]:
    """Return the utilisation of each node, where there are several: the mean of its loops."""
    each = len(loops) // nodes
    if nodes == 1:
        return {}
    return {
        f"node {node}": sum(loops[node * each : (node + 1) * each]) / each for node in range(nodes)
    }


def _timeouts(counters: Counters) -> int:
    """Return the requests that ended by a timeout, whether the server's or the client's."""
    return counters.timeouts + counters.given_up


def _steady(system: System) -> bool:
    """Return whether a load goes on as it is: where it ends, or changes, there is no such state."""
    traffic = system.workload.traffic
    if math.isfinite(traffic.messages_of_a_sender):
        return False
    if isinstance(traffic, ArrivalProcess) and not traffic.steady:
        return False
    return math.isinf(traffic.period) and not system.faults


def _ratio(part: float, whole: float) -> float:
    return float(part) / whole if whole else math.nan
