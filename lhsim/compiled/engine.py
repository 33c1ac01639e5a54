"""The compiled engine: it keeps the state of a system, runs a kernel, and reads the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lhsim._machine import free_memory
from lhsim.compiled import building, kernel, setup
from lhsim.compiled.senders import MOST_MESSAGES
from lhsim.compiled.state import COUNTS, EVENT, PLACES, RECORD, State, addresses
from lhsim.errors import InvariantError, LhsimError
from lhsim.metrics.account import Account, ClassAccount, Counters, Outcome
from lhsim.metrics.account import State as SystemState
from lhsim.models.classes import Population

if TYPE_CHECKING:
    from lhsim.metrics.account import Window
    from lhsim.models import System

EVENTS_AT_A_TIME = 1_000_000  # then Ctrl-C is noticed
LONGEST_STANDSTILL = 1000  # times so many events at one instant
COUNTERS = (
    *("created", "queries", "writes", "locked", "cycles", "wasted", "timeouts", "stored", "sent"),
    *("attempts", "answered", "refused", "limited", "cache_hits", "given_up", "retries"),
    "duplicates",
    "dropped",
)
LONGER = 2.0**16  # times, where nearly all days of the calendar are empty
MISTUNED = 4  # times too many or too few events a day, before the calendar is put in anew


class CompiledEngine:
    """A system in memory, on its way through time."""

    name = "compiled"

    def __init__(
        self, system: System, agents: int, seed: int, window: Window, *, keep_messages: bool
    ) -> None:
        self._system = system
        self._agents = agents
        self._now = 0.0
        self._hold(setup.state_of(system, agents, seed, window, keep_messages=keep_messages))
        kind = setup.kind_of(system)
        self._run = kernel.RUNS[kind]
        building.wait(kind)
        kernel.load(self._run, self._addresses)
        kernel.start_agents(self._addresses)

    def _hold(self, state: State) -> None:
        """Keep a state, and where its arrays are."""
        self._state = state
        self._addresses = addresses(state)

    @property
    def events(self) -> int:
        """How many delays and services have been scheduled."""
        return int(self._state.queue["order"][0])

    def advance(self, until: float) -> None:
        """Let everything happen that is due before `until` [s]."""
        # SimPy stops at an event of its own, at `now + (until - now)`, which need not be `until`.
        border = self._now + (until - self._now)
        before = int(self._state.queue["taken"][0])
        standing_still = 0
        while True:
            now = self._state.queue["now"][0]
            why = self._run(self._addresses, border, EVENTS_AT_A_TIME)
            self._check_room()
            if why == kernel.REACHED:
                break
            if why == kernel.SHORT_DAYS:
                self._lengthen_days()
                continue
            if why == kernel.NO_ROOM:
                self._make_room()
            elif why == kernel.NO_RECORDS:
                self._make_records()
            elif why == kernel.NO_LOG:
                self._make_log()
            self._check_numbers()
            standing_still = standing_still + 1 if self._state.queue["now"][0] == now else 0
            if standing_still == LONGEST_STANDSTILL:
                raise LhsimError(f"time stands still at {now:g} s: events cause each other at once")
        self._tune(int(self._state.queue["taken"][0]) - before, border - self._now)
        self._state.queue["now"] = border
        self._now = border

    def _make_room(self) -> None:
        """Double the room for messages on their way."""
        state, more = self._state, PLACES * len(self._state.messages)
        self._check_memory(state.events.nbytes + state.heap.nbytes)
        if len(state.events) + more > setup.MOST:
            raise self._no_memory()
        events = np.concatenate([state.events, np.zeros(more, EVENT)])
        heap = np.concatenate([state.heap, np.zeros(more, np.int32)])
        links = np.concatenate([state.links, np.zeros_like(state.links)])
        reached = np.concatenate([state.reached, np.zeros_like(state.reached)])
        jobs = np.zeros((len(state.sharing), more), np.int32)
        sharing = np.concatenate([state.sharing, jobs], axis=1)
        sequence = np.concatenate([state.sequence, np.zeros_like(state.sequence)])
        sites = np.concatenate([state.sites, np.zeros_like(state.sites)])
        state = setup.with_events(state, events, self._agents)
        state = state._replace(heap=heap, sharing=sharing, sites=sites)
        self._hold(state._replace(links=links, reached=reached, sequence=sequence))

    def _make_records(self) -> None:
        """Double the room for the records of all messages."""
        records = self._state.records
        self._check_memory(records.nbytes)
        records = np.concatenate([records, np.zeros_like(records)])
        self._hold(self._state._replace(records=records))

    def _make_log(self) -> None:
        """Double the room for the times of the commits that are kept."""
        old, counts = self._state.log, self._state.counts[0]
        if 2 * old.nbytes > free_memory():
            now = self._state.queue["now"][0]
            raise LhsimError(
                f"the store keeps {counts['events']:,} events at {now:g} s, and there is no memory "
                "for more"
            )
        log = np.zeros(2 * len(old))
        first = max(counts["removed"], self._state.settings["first_events"][0])
        kept = np.arange(first, counts["removed"] + counts["events"])
        log[kept & (len(log) - 1)] = old[kept & (len(old) - 1)]
        self._hold(self._state._replace(log=log))

    def _check_room(self) -> None:
        """Stop before memory is touched that a kernel has spoilt: none checks its indices."""
        state, counts = self._state, self._state.counts[0]
        kept = counts["created"] if state.settings["keep"][0] else 0
        if counts["used"] > len(state.messages) or kept > len(state.records):
            raise InvariantError("a kernel wrote beyond the room for its messages")

    def _check_memory(self, more: int) -> None:
        if more > free_memory():
            raise self._no_memory()

    def _no_memory(self) -> LhsimError:
        return LhsimError(
            f"{self.counters().open:,} messages are on their way at "
            f"{self._state.queue['now'][0]:g} s, and there is no memory for more"
        )

    def _check_numbers(self) -> None:
        """Raise LhsimError before a number of a message, or of a query, does not fit."""
        state, counts = self._state, self._state.counts[0]
        if max(counts["created"], counts["cycles"] // 2) < MOST_MESSAGES:
            return
        senders = state.events["phase"][2 * self._agents : 3 * self._agents]
        sent = senders.max() // 4 * int(state.settings["copies"][0])
        most = max(sent, state.receivers["attempt"].max() // 2)
        if self._system.polling is not None:
            most = max(most, state.receivers["query"].max() // 2)
        if most > MOST_MESSAGES - EVENTS_AT_A_TIME:
            raise LhsimError(
                f"an agent has reached message {MOST_MESSAGES:,} or twice as many queries, the "
                "most that the compiled engine can count; the SimPy engine has no such limit"
            )

    def _tune(self, taken: int, elapsed: float) -> None:
        """Let a day of the calendar have about one event, as far as the last period shows."""
        if taken == 0 or elapsed <= 0:
            return
        now, wanted = float(self._state.queue["days_per_second"][0]), taken / elapsed
        if not now / MISTUNED <= wanted <= now * MISTUNED:
            kernel.retune_calendar(self._addresses, wanted)

    def _lengthen_days(self) -> None:
        now = float(self._state.queue["days_per_second"][0])
        kernel.retune_calendar(self._addresses, now / LONGER)

    def counters(self) -> Counters:
        """Return what has been counted so far."""
        counts = dict(zip(COUNTS.names or (), self._state.counts[0].item(), strict=True))
        outcomes = counts["outcomes"].tolist()
        return Counters(
            delivered=outcomes[Outcome.DELIVERED],
            ended=sum(outcomes),
            **{name: counts[name] for name in COUNTERS},
        )

    def state(self) -> SystemState:
        """Return the state of the system now."""
        counts, settings = self._state.counts[0], self._state.settings[0]
        connections, events = int(counts["connections"]), int(counts["events"])
        held = float(settings["resident"]) + float(settings["per_connection"]) * connections
        memory = held + float(settings["per_event"]) * events
        return SystemState(int(self._state.stations["waiting"].sum()), connections, memory)

    def account(self) -> Account:
        """Return what the run came to, after a check that no message was lost on the way."""
        state, counts, loops = self._state, self._state.counts[0], self._system.loops
        open_since = self._open_since()
        accounted = int(counts["outcomes"].sum()) + len(open_since)
        if accounted != counts["created"]:
            raise InvariantError(f"{counts['created']} messages created, {accounted} accounted for")
        servers = {f"cpu {number}": self._system.cpu.cores for number in range(loops)}
        servers["store"] = self._system.store.connections
        if self._system.store.single_writer:
            servers["writer"] = 1
        return Account(
            outcomes=tuple(counts["outcomes"].tolist()),
            cohort=tuple(counts["cohort"].tolist()),
            cohort_created=int(counts["cohort_created"]),
            histogram=state.histogram,
            latency=state.latency,
            to_store=float(counts["to_store"]),
            from_store=float(counts["from_store"]),
            shortest=float(counts["shortest"]),
            longest=float(counts["longest"]),
            open_since=open_since,
            last_end=float(counts["last_end"]),
            peak_memory=float(counts["peak_memory"]),
            peak_connections=int(counts["peak_connections"]),
            servers=servers,
            busy=dict(zip(servers, state.stations["busy_time"].tolist(), strict=True)),
            work=sum(state.stations["work_time"][:loops].tolist()),
            records=self._records(),
            classes=self._classes(),
        )

    def _classes(self) -> dict[str, ClassAccount]:
        state = self._state
        messages = state.messages[: int(state.counts["used"][0])]
        still_open = messages[messages["pending"] == 1]
        return Population(self._system.workload.classes, self._agents).accounts(
            state.class_cohort,
            state.class_histogram,
            state.class_latency,
            (still_open["sender"].astype(np.int64), still_open["created"]),
        )

    def _open_since(self) -> NDArray[np.float64]:
        messages = self._state.messages[: int(self._state.counts["used"][0])]
        return np.sort(messages["created"][messages["pending"] == 1])

    def _records(self) -> dict[str, NDArray[np.generic]] | None:
        if not self._state.settings["keep"][0]:
            return None
        rows = self._state.records[: int(self._state.counts["created"][0])]
        outcomes = np.array([outcome.name.lower() for outcome in Outcome])
        columns = {name: rows[name].copy() for name in RECORD.names or () if name != "outcome"}
        return columns | {"outcome": outcomes[rows["outcome"]]}
