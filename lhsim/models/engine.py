"""The SimPy engine: it runs the processes of a system, and says what has happened in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lhsim.metrics.account import Account, Counters, Outcome, State, Window
from lhsim.models import running
from lhsim.models.polling_processes import Polling
from lhsim.models.push_processes import Push
from lhsim.models.webhook_processes import Webhooks

if TYPE_CHECKING:
    from lhsim.models.server import ServerProcesses
    from lhsim.models.system import System
    from lhsim.models.trace import Trace

NAMES = ("sender", "number", "target", "created", "stored", "acknowledged", "delivered")


def _repeated(server: ServerProcesses) -> int:
    """Return how many posts of messages were repeated."""
    return server.repeated if isinstance(server, Webhooks) else 0


class SimpyEngine:
    """A running system of SimPy processes."""

    name = "simpy"
    events = None  # SimPy's own number them all, processes included

    def __init__(
        self,
        system: System,
        agents: int,
        seed: int,
        window: Window,
        *,
        keep_messages: bool,
        trace: Trace | None = None,
    ) -> None:
        keep = keep_messages
        started = running.start(system, agents, seed, window, keep_messages=keep, trace=trace)
        self._bridge, self._server, self._senders = started.bridge, started.server, started.senders

    def advance(self, until: float) -> None:
        """Run all events before `until` [s]."""
        self._bridge.env.run(until=until)

    def counters(self) -> Counters:
        """Return what has been counted so far."""
        bridge, server, retries = self._bridge, self._server, self._senders.retries
        ledger, store = bridge.ledger, bridge.store
        polling = server if isinstance(server, Polling) else None
        push = server if isinstance(server, Push) else None
        return Counters(
            created=ledger.created,
            delivered=ledger.outcomes[Outcome.DELIVERED],
            ended=ledger.created - ledger.backlog,
            queries=store.queries,
            writes=store.writes,
            locked=store.locked,
            cycles=server.cycles,
            wasted=server.wasted_cycles,
            cache_hits=polling.cache_hits if polling else 0,
            timeouts=polling.timeouts if polling else 0,
            stored=push.created if push else 0,
            sent=push.sent if push else 0,
            attempts=push.attempts if push else 0,
            answered=push.answered if push else 0,
            refused=server.refused,
            limited=bridge.limited,
            retries=(retries.count if retries else 0) + _repeated(server),
            duplicates=ledger.duplicates,
            given_up=bridge.waiting.given_up,
            dropped=push.dropped if push else 0,
        )

    def state(self) -> State:
        """Return the state of the system now."""
        bridge = self._bridge
        queued = sum(station.queued for station in bridge.stations().values())
        return State(queued, bridge.memory.connections, float(bridge.memory.current))

    def account(self) -> Account:
        """Return the account of the run, once the conservation of messages is checked."""
        bridge, ledger, memory = self._bridge, self._bridge.ledger, self._bridge.memory
        ledger.check_conservation()
        stations = bridge.stations()
        return Account(
            outcomes=tuple(ledger.outcomes),
            cohort=tuple(ledger.cohort),
            cohort_created=ledger.cohort_created,
            histogram=ledger.histogram,
            latency=ledger.totals.latency,
            to_store=float(ledger.totals.to_store[0]),
            from_store=float(ledger.totals.from_store[0]),
            shortest=ledger.shortest,
            longest=ledger.longest,
            open_since=np.array([message.created for message in ledger.open]),
            last_end=ledger.last_end,
            peak_memory=memory.peak,
            peak_connections=memory.peak_connections,
            servers={name: station.servers for name, station in stations.items()},
            busy={name: station.busy_time for name, station in stations.items()},
            work=sum(loop.work_time for loop in bridge.loops),
            records=self._records(),
            classes=ledger.population.accounts(
                ledger.class_cohort,
                ledger.class_histogram,
                ledger.class_latency,
                (
                    np.array([message.sender for message in ledger.open], np.int64),
                    np.array([message.created for message in ledger.open], np.float64),
                ),
            ),
        )

    def _records(self) -> dict[str, NDArray[np.generic]] | None:
        kept = self._bridge.ledger.kept
        if kept is None:
            return None
        columns = {name: np.array([getattr(message, name) for message in kept]) for name in NAMES}
        return columns | {"outcome": np.array([m.outcome.name.lower() for m in kept])}
