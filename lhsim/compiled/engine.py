"""The compiled engine: it sets up the state of a system, runs a kernel, and reads the results."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lhsim.compiled import kernel
from lhsim.compiled.queue import DAYS, MOST_LANES, YEARS
from lhsim.compiled.senders import MOST_MESSAGES
from lhsim.compiled.state import (
    ACKNOWLEDGE,
    ANSWER_DOWN,
    BACKOFF,
    COLLECTION,
    CONNECT,
    COUNTS,
    EVENT,
    FIRST_GAP,
    LANE,
    MESSAGE,
    MESSAGE_GAP,
    MESSAGE_UP,
    NOBODY,
    NOWHERE,
    ON_THE_WAY,
    OWN_LOOP,
    PARSE_MESSAGE,
    PARSE_REQUEST,
    PAUSE,
    PHASES,
    PLACES,
    POOL,
    PUSH_DOWN,
    QUERY,
    QUERY_CPU,
    QUEUE,
    RECEIVER,
    RECONNECT,
    RECORD,
    REFUSED,
    REJECT,
    RELAY,
    REQUEST_UP,
    RESPOND,
    SEND,
    SESSION,
    SETTINGS,
    SLEEP,
    STAGE,
    STATION,
    TARGETS_LOOP,
    THINK,
    TO_ANYONE,
    TO_NEXT,
    VALIDATE,
    WAIT,
    WRITE,
    WRITE_CPU,
    WRITER,
)
from lhsim.distributions import Deterministic
from lhsim.distributions.table import CELLS
from lhsim.errors import InvariantError, LhsimError
from lhsim.metrics.account import BATCHES, Account, Counters, Outcome, State, Window
from lhsim.metrics.histogram import BUCKETS
from lhsim.models import Closed, System
from lhsim.models.workload import START_KINDS, OpenTraffic
from lhsim.rules import pauses

if TYPE_CHECKING:
    from lhsim.distributions import Distribution

EVENTS_AT_A_TIME = 1_000_000  # then Ctrl-C is noticed
FEWEST_MESSAGES = 4096
NO_LIMIT = -1


def stages_of(system: System) -> dict[int, tuple[int, Distribution | None]]:
    """Return where each phase of a system passes, and how long it takes there."""
    cpu, store, network = system.cpu, system.store, system.network
    traffic = system.workload.traffic
    writer = WRITER if store.single_writer else POOL
    stages: dict[int, tuple[int, Distribution | None]] = {
        MESSAGE_UP: (ON_THE_WAY, network.up),
        REQUEST_UP: (ON_THE_WAY, network.up),
        ANSWER_DOWN: (ON_THE_WAY, network.down),
        REFUSED: (ON_THE_WAY, network.down),
        PUSH_DOWN: (ON_THE_WAY, network.down),
        PARSE_MESSAGE: (OWN_LOOP, cpu.parse_message),
        PARSE_REQUEST: (OWN_LOOP, cpu.parse_request),
        VALIDATE: (OWN_LOOP, cpu.validate),
        WRITE_CPU: (OWN_LOOP, cpu.write),
        WRITE: (writer, store.write),
        QUERY_CPU: (OWN_LOOP, cpu.query),
        QUERY: (POOL, store.query),
        RESPOND: (OWN_LOOP, cpu.respond),
        ACKNOWLEDGE: (OWN_LOOP, cpu.acknowledge),
        CONNECT: (OWN_LOOP, cpu.connect),
        SEND: (TARGETS_LOOP, cpu.send),
        RELAY: (TARGETS_LOOP, cpu.relay),
        THINK: (ON_THE_WAY, system.workload.think),
    }
    if cpu.collection is not None:
        stages[COLLECTION] = (ON_THE_WAY, cpu.collection.cost)
    if isinstance(traffic, OpenTraffic):
        stages[FIRST_GAP] = (ON_THE_WAY, traffic.first_gap)
        stages[MESSAGE_GAP] = (ON_THE_WAY, traffic.gap)
    elif isinstance(traffic, Closed):
        stages[PAUSE] = (ON_THE_WAY, traffic.pause)
    if system.polling is not None:
        stages[SLEEP] = (ON_THE_WAY, Deterministic(system.polling.interval))
        stages[BACKOFF] = (ON_THE_WAY, Deterministic(system.polling.backoff))
    if system.push is not None:
        stages[SESSION] = (ON_THE_WAY, system.push.session)
        stages[RECONNECT] = (ON_THE_WAY, system.push.reconnect)
    return stages


PURPOSES = {REFUSED: ANSWER_DOWN, FIRST_GAP: MESSAGE_GAP}  # of phases that are not called after it


class CompiledEngine:
    """A system in memory, on its way through time."""

    name = "compiled"

    def __init__(
        self, system: System, agents: int, seed: int, window: Window, *, keep_messages: bool
    ) -> None:
        self._system = system
        self._agents = agents
        self._now = 0.0
        self._settings = _settings(system, agents, seed, window, keep=keep_messages)
        self._counts = _counts(system, self._settings)
        self._queue = np.zeros(1, QUEUE)
        self._events = np.zeros(3 * agents + PLACES * (agents + FEWEST_MESSAGES), EVENT)
        self._heap = np.zeros(len(self._events), np.int32)
        self._fine = np.full(DAYS, NOBODY, np.int32)
        self._coarse = np.full(YEARS, NOBODY, np.int32)
        self._histogram = np.zeros((BATCHES, BUCKETS), np.int64)
        self._latency = np.zeros(BATCHES)
        self._records = np.zeros(FEWEST_MESSAGES if keep_messages else 0, RECORD)
        self._stations = _stations(system)
        self._stages, self._lanes, self._cells = _stages(system, self._stations)
        self._warmth = _warmth(system)
        self._pauses = _pauses(system, seed, window)
        self._receivers["mailbox"] = NOBODY
        self._queue["soon"] = NOBODY
        self._queue["days_per_second"] = _first_days_per_second(system, agents)
        self._kernel = kernel.run_polling if system.polling else kernel.run_push
        kernel.start_agents(self._memory())

    @property
    def _receivers(self) -> NDArray[np.void]:
        return self._events[: 2 * self._agents].view(RECEIVER)

    @property
    def _messages(self) -> NDArray[np.void]:
        return self._events[3 * self._agents :].view(MESSAGE)

    def _memory(self) -> NDArray[np.int64]:
        """Return the addresses and lengths of all arrays; see `lhsim.compiled.state.attach`."""
        arrays: list[NDArray[Any]] = [
            self._settings, self._counts, self._queue, self._events, self._stations, self._stages,
            self._lanes, self._cells, self._heap, self._fine, self._coarse, self._warmth,
            self._pauses, self._histogram, self._latency, self._records,
        ]  # fmt: skip
        two = (self._warmth, self._pauses)
        lengths = [a.shape[1] if any(a is one for one in two) else len(a) for a in arrays]
        return np.array([(a.ctypes.data, n) for a, n in zip(arrays, lengths, strict=True)])

    def advance(self, until: float) -> None:
        """Let everything happen that is due before `until` [s]."""
        # SimPy stops at an event of its own, at `now + (until - now)`, which need not be `until`.
        border = self._now + (until - self._now)
        before = int(self._queue["taken"][0])
        while (why := self._kernel(self._memory(), border, EVENTS_AT_A_TIME)) != kernel.REACHED:
            if why == kernel.NO_ROOM:
                self._make_room()
            self._check_numbers()
        self._queue["now"] = border
        self._tune(int(self._queue["taken"][0]) - before, border - self._now)
        self._now = border

    def _make_room(self) -> None:
        """Double the room for messages on their way, or for records, whichever is full."""
        if self._counts["used"][0] == len(self._messages) and self._counts["free"][0] < 0:
            more = np.zeros(len(self._messages) * PLACES, EVENT)
            self._events = np.concatenate([self._events, more])
            self._heap = np.concatenate([self._heap, np.zeros(len(more), np.int32)])
        if self._settings["keep"][0] and self._counts["created"][0] == len(self._records):
            self._records = np.concatenate([self._records, np.zeros_like(self._records)])

    def _check_numbers(self) -> None:
        """Raise LhsimError before a number of a message, or of a query, does not fit."""
        counts = self._counts
        if max(counts["created"][0], counts["queries"][0] >> 1) < MOST_MESSAGES:
            return
        senders = self._events["phase"][2 * self._agents : 3 * self._agents]
        most = max(senders.max() >> 2, self._receivers["attempt"].max() >> 1)
        if self._system.polling is not None:
            most = max(most, self._receivers["query"].max() >> 1)
        if most > MOST_MESSAGES - EVENTS_AT_A_TIME:
            raise LhsimError(
                f"an agent has reached message {MOST_MESSAGES:,} or twice as many queries, the "
                "most that the compiled engine can count; --engine simpy has no such limit"
            )

    def _tune(self, taken: int, elapsed: float) -> None:
        """Let a day of the calendar have about one event, as far as the last period shows."""
        if taken == 0 or elapsed <= 0:
            return
        now, wanted = float(self._queue["days_per_second"][0]), taken / elapsed
        if not now / 2 <= wanted <= now * 2:
            kernel.retune_calendar(self._memory(), wanted)

    def counters(self) -> Counters:
        """Return what has been counted so far."""
        counts = self._counts[0]
        names = ("created", "queries", "writes", "cycles", "wasted", "timeouts", "stored", "sent",
                 "attempts", "refused")  # fmt: skip
        return Counters(
            delivered=int(counts["outcomes"][Outcome.DELIVERED]),
            ended=int(counts["outcomes"].sum()),
            **{name: int(counts[name]) for name in names},
        )

    def state(self) -> State:
        """Return the state of the system now."""
        counts, settings = self._counts[0], self._settings[0]
        connections, events = int(counts["connections"]), int(counts["events"])
        held = float(settings["resident"]) + float(settings["per_connection"]) * connections
        memory = held + float(settings["per_event"]) * events
        return State(int(self._stations["waiting"].sum()), connections, memory)

    def account(self) -> Account:
        """Return what the run came to, after a check that no message was lost on the way."""
        counts = self._counts[0]
        created = self._open_since()
        if len(created) + counts["outcomes"].sum() != counts["created"]:
            raise InvariantError(f"{counts['created']} messages created, others accounted for")
        names = [f"cpu {number}" for number in range(self._system.cpu.workers)]
        names += ["store", "writer"][: len(self._stations) - len(names)]
        work = self._stations["work_time"][: self._system.cpu.workers]
        return Account(
            outcomes=tuple(counts["outcomes"].tolist()),
            cohort=tuple(counts["cohort"].tolist()),
            cohort_created=int(counts["cohort_created"]),
            histogram=self._histogram,
            latency=self._latency,
            to_store=float(counts["to_store"]),
            from_store=float(counts["from_store"]),
            shortest=float(counts["shortest"]),
            longest=float(counts["longest"]),
            open_since=created,
            last_end=float(counts["last_end"]),
            peak_memory=float(counts["peak_memory"]),
            peak_connections=int(counts["peak_connections"]),
            servers=dict(zip(names, self._stations["servers"].tolist(), strict=True)),
            busy=dict(zip(names, self._stations["busy_time"].tolist(), strict=True)),
            work=sum(work.tolist()),
            records=self._kept(),
        )

    def _open_since(self) -> NDArray[np.float64]:
        messages = self._messages[: int(self._counts["used"][0])]
        return np.sort(messages["created"][messages["pending"] == 1])

    def _kept(self) -> dict[str, NDArray[np.generic]] | None:
        if not self._settings["keep"][0]:
            return None
        rows = self._records[: int(self._counts["created"][0])]
        names = np.array([outcome.name.lower() for outcome in Outcome])
        return {name: rows[name].copy() for name in RECORD.names or () if name != "outcome"} | {
            "outcome": names[rows["outcome"]]
        }


def _settings(
    system: System, agents: int, seed: int, window: Window, *, keep: bool
) -> NDArray[np.void]:
    workload, memory, server = system.workload, system.memory, system.server
    traffic, polling, push = workload.traffic, system.polling, system.push
    warmth, collection = system.cpu.warmth, system.cpu.collection
    values = {
        "seed": seed,
        "agents": agents,
        "loops": system.cpu.workers,
        "topology": TO_ANYONE if workload.topology == "random" else TO_NEXT,
        "pairs": workload.topology == "pair",
        "start_kind": START_KINDS[workload.start],
        "start_over": workload.start_over,
        "polls": polling is not None,
        "closed": isinstance(traffic, Closed),
        "messages": _or_none(traffic.messages if isinstance(traffic, Closed) else None),
        "connections": _or_none(server.connections),
        "timeout": polling.timeout if polling else math.inf,
        "limit": polling.limit if polling else 0,
        "overflow": WAIT if push and push.overflow == "wait" else REJECT,
        "outbound": _or_none(push.outbound if push else None),
        "reconnects": push is not None and push.reconnect is not None,
        "scan": system.store.scan,
        "warmth_memory": warmth.memory if warmth else 1.0,
        "collect_every": _every(collection),
        "start": window.start,
        "cohort_end": window.cohort_end,
        "end": window.end,
        "resident": memory.baseline + memory.per_agent * agents,
        "per_connection": memory.per_connection,
        "per_event": memory.per_event,
        "keep": keep,
    }
    settings = np.zeros(1, SETTINGS)
    for name in SETTINGS.names or ():
        settings[name] = values[name]
    return settings


def _or_none(limit: int | None) -> int:
    return NO_LIMIT if limit is None else limit


def _every(collection: Any) -> int:
    return 0 if collection is None or collection.cost.table().is_zero else collection.every


def _counts(system: System, settings: NDArray[np.void]) -> NDArray[np.void]:
    counts = np.zeros(1, COUNTS)
    counts["events"] = counts["log"] = system.store.events
    counts["peak_memory"] = settings["resident"] + settings["per_event"] * system.store.events
    counts["shortest"], counts["longest"] = np.inf, -np.inf
    counts["free"] = counts["line"] = NOBODY
    return counts


def _stations(system: System) -> NDArray[np.void]:
    loops, store = system.cpu.workers, system.store
    stations = np.zeros(loops + 1 + store.single_writer, STATION)
    stations["servers"] = 1
    stations["servers"][loops] = store.connections
    stations["idle_since"] = -np.inf  # a loop begins as cold as it can be
    stations["lane"] = NOBODY
    return stations


def _stages(
    system: System, stations: NDArray[np.void]
) -> tuple[NDArray[np.void], NDArray[np.void], NDArray[np.float64]]:
    """Return the stages, the lanes that some of them and some stations have, and all tables."""
    stages = np.zeros(PHASES, STAGE)
    stages["lane"] = NOBODY
    stages["by_query"][[QUERY, QUERY_CPU]] = 1
    tables: list[NDArray[np.float64]] = []
    lanes: list[float | None] = [
        0.0
    ]  # the delay of each: the first is that of what happens at once
    for phase, (where, distribution) in stages_of(system).items():
        stage = stages[phase : phase + 1]
        stage["purpose"] = PURPOSES.get(phase, phase)
        cells = None if distribution is None else distribution.table().cells
        if cells is None or not cells.any():
            scans = phase == QUERY and system.store.scan > 0
            stage["where"], stage["constant"] = where if scans else NOWHERE, True
            continue
        stage["where"] = where
        if (cells == (cells[0, 0], 0.0)).all():
            stage["constant"], stage["value"] = True, cells[0, 0]
            if where == ON_THE_WAY:
                stage["lane"] = _lane(lanes, float(cells[0, 0]))
        else:
            stage["cells"] = len(tables)
            tables.append(cells)
    for number in np.flatnonzero(stations["servers"] == 1):
        if len(stations) <= MOST_LANES // 2:
            stations["lane"][number] = _lane(lanes, None)
    return stages, _empty(len(lanes)), np.array(tables).reshape(len(tables), CELLS, 2)


def _lane(lanes: list[float | None], delay: float | None) -> int:
    """Return the lane of a constant delay, or a new one for a single server; -1 if all are used."""
    if delay is not None and delay in lanes:
        return lanes.index(delay)
    if len(lanes) == MOST_LANES:
        return NOBODY
    lanes.append(delay)
    return len(lanes) - 1


def _empty(lanes: int) -> NDArray[np.void]:
    array = np.zeros(lanes, LANE)
    array["time"] = np.inf
    array["head"] = array["tail"] = NOBODY
    return array


def _warmth(system: System) -> NDArray[np.float64]:
    warmth = system.cpu.warmth
    return np.array([warmth.gaps, warmth.excess]) if warmth else np.zeros((2, 0))


def _pauses(system: System, seed: int, window: Window) -> NDArray[np.float64]:
    stalls = system.cpu.stalls
    if stalls is None:
        return np.zeros((2, 0))
    cells = stalls.gap.table().cells, stalls.length.table().cells
    return np.array(pauses(*cells, seed, 0, window.end))


def _first_days_per_second(system: System, agents: int) -> float:
    """Return how many days of the calendar a second has until `_tune` knows better."""
    return 2 * agents / max(system.workload.started_by, 1e-3)
