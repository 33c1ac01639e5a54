"""What the comparison is worth: rules that are wrong by one slip, and it finds each of them.

Every slip is planted in the SimPy engine, and the wrong engine is compared with the right one on a
fixed list of systems. An engine that is wrong in the same way would be found likewise.
"""

import functools
import itertools
import math
from collections import deque

import attrs
import numpy as np
import pytest
from comparison import CANDIDATE, REFERENCE, Case, differences
from generators import LONG_RANDOM, SHORT_RANDOM, TICK
from simpy import Environment
from simpy.events import NORMAL, URGENT

from lhsim import rules
from lhsim.distributions import Deterministic, Exponential
from lhsim.errors import InvariantError
from lhsim.metrics.account import Outcome
from lhsim.models import (
    Cache,
    Closed,
    Collection,
    Cpu,
    Elicitation,
    EventStore,
    Growth,
    Memory,
    Network,
    Periodic,
    Piece,
    Piecewise,
    Poisson,
    PollingServer,
    PushServer,
    RateLimit,
    Retention,
    Slow,
    Slowdown,
    Slowdowns,
    Stall,
    Stalls,
    System,
    Warmth,
    Workload,
    agent,
    ledger,
    limits,
    loop,
    running,
    stage,
    stalls,
)
from lhsim.models import database as store_module
from lhsim.models import log as log_module
from lhsim.models import polling_processes as polling_module
from lhsim.models import push_processes as push_models
from lhsim.models.bridge import Bridge
from lhsim.models.database import Store
from lhsim.models.ledger import Ledger
from lhsim.models.log import Log
from lhsim.models.loop import Loop
from lhsim.models.memory import MemoryUse
from lhsim.models.polling_processes import Polling
from lhsim.models.push_processes import Connection, Push
from lhsim.models.stage import Route, Stage
from lhsim.models.station import Service, StallTimes, Station
from lhsim.models.workload import START_KINDS
from lhsim.rules import ACCEPT, NO_ANSWER, RAMP, grown, start_time
from lhsim.streams import Purpose, uniform

HALF, ONE, TWO = (Deterministic(ticks * TICK) for ticks in (0.5, 1, 2))
NAMES = (
    "parse_message", "parse_request", "validate", "write", "query", "respond", "acknowledge",
    "connect", "send", "relay",
)  # fmt: skip


def polling(name, **parts):
    return System(name=name, **{"polling": PollingServer()} | parts)


def push(name, **parts):
    return System(name=name, **{"push": PushServer()} | parts)


def of(costs):
    """Return a different random cost for each purpose of the processor."""
    return dict(zip(NAMES, itertools.cycle(costs), strict=False))


RANDOM = {
    "workload": Workload(traffic=Poisson(8.0), topology="random", think=LONG_RANDOM[0]),
    "network": Network(LONG_RANDOM[1], LONG_RANDOM[2]),
    "cpu": Cpu(
        workers=2,
        **of(SHORT_RANDOM[:7]),
        warmth=Warmth((0.0, TICK, 8 * TICK), (0.0, 0.5, 2.0)),
        collection=Collection(3, SHORT_RANDOM[8]),
        stalls=Stalls(LONG_RANDOM[8], SHORT_RANDOM[7]),
    ),
    "store": EventStore(SHORT_RANDOM[7], SHORT_RANDOM[8], connections=2, scan=1e-6),
    "memory": Memory(1e6, 1e3, 1e2, 10.0),
}
TIED = {
    "workload": Workload(traffic=Closed(None, ONE), topology="ring", start="together"),
    "network": Network(ONE, ONE),
    "cpu": Cpu(**dict.fromkeys(NAMES, Deterministic(TICK / 4)), stalls=Stalls(TWO, HALF)),
    "store": EventStore(HALF, ONE, connections=2, single_writer=True),
}
RANDOM_SPELLS = {
    "cpu": attrs.evolve(RANDOM["cpu"], slowdowns=Slowdowns(LONG_RANDOM[6], LONG_RANDOM[7], 1.7))
}
SPELLS = {
    "cpu": Cpu(**dict.fromkeys(NAMES, Deterministic(TICK / 4)), slowdowns=Slowdowns(TWO, TWO, 2.0))
}
ALL_THE_SAME = {
    "workload": Workload(traffic=Closed(None, ONE), start="together"),
    "network": Network(ONE, ONE),
    "cpu": Cpu(**dict.fromkeys(NAMES, ONE)),
    "store": EventStore(ONE, ONE, connections=2),
}
FAST = Workload(traffic=Poisson(32.0), think=Exponential(TICK), start="ramp")
SHORT_SESSIONS = {"session": Exponential(8 * TICK), "reconnect": Exponential(4 * TICK)}

SLOW = {
    "workload": Workload(traffic=Closed(None, ONE), think=TWO, slow=Slow(0.5, 3.0)),
    "network": Network(ONE, LONG_RANDOM[0], loss=0.3, retransmission_timeout=TICK),
}
BURSTS = Piecewise((Piece(8 * TICK, 2.0), Piece(4 * TICK, 0.0), Piece(2 * TICK, 40.0)))

CASES = [
    Case(polling("random", **RANDOM), 6, duration=4.0),
    Case(
        polling("tied", **TIED, polling=PollingServer(interval=2 * TICK, timeout=4 * TICK)),
        4,
        duration=2.0,
    ),
    Case(
        polling(
            "limits",
            workload=FAST,
            network=Network(HALF, ONE),
            cpu=Cpu(parse_request=HALF),
            store=EventStore(HALF, HALF),
            polling=PollingServer(
                interval=4 * TICK, timeout=8 * TICK, limit=2, connections=2, backoff=TICK
            ),
        ),
        6,
        duration=2.0,
    ),
    Case(polling("all the same", **ALL_THE_SAME), 5, duration=4.0, drain=1.0),
    Case(
        polling(
            "busy database",
            workload=Workload(traffic=Closed(None, ONE), start="together"),
            store=EventStore(write=LONG_RANDOM[0], single_writer=True, busy_timeout=0.05),
            polling=PollingServer(interval=2 * TICK),
        ),
        5,
        duration=2.0,
    ),
    Case(
        polling(
            "sleeps",
            workload=Workload(traffic=Poisson(4.0)),
            network=Network(HALF, ONE),
            polling=PollingServer(
                interval=TICK, timeout=0.5, jitter=0.5, growth=Growth(2.0, 8 * TICK)
            ),
        ),
        4,
        duration=4.0,
    ),
    Case(
        polling(
            "cache",
            workload=Workload(traffic=Poisson(2.0)),
            cpu=Cpu(query=HALF),
            store=EventStore(HALF, HALF),
            polling=PollingServer(
                interval=3 * TICK, cache=Cache(7 * TICK, look_up=Exponential(TICK))
            ),
        ),
        4,
        duration=2.0,
    ),
    Case(
        polling(
            "cache on a grid",
            workload=Workload(traffic=Closed(None, TWO), start="together"),
            store=EventStore(write=Deterministic(20 * TICK)),
            polling=PollingServer(interval=TICK, cache=Cache(4 * TICK, invalidate=False)),
        ),
        4,
        duration=2.0,
    ),
    Case(
        polling(
            "priorities",
            workload=Workload(traffic=Poisson(32.0), topology="random"),
            store=EventStore(HALF, HALF),
            polling=PollingServer(interval=8 * TICK, limit=2, priorities=(0.25, 0.25, 0.5)),
        ),
        4,
        duration=2.0,
    ),
    Case(
        polling(
            "wake-up calls",
            **TIED | {"workload": Workload(traffic=Closed(None, TWO), start="together")},
            polling=PollingServer(interval=32 * TICK, wake_on_write=True),
        ),
        5,
        duration=4.0,
    ),
    Case(push("random", **RANDOM, push=PushServer(**SHORT_SESSIONS)), 6, duration=4.0),
    Case(push("tied", **TIED), 4, duration=2.0),
    Case(push("slow at times", **TIED | SPELLS), 4, duration=2.0),
    Case(
        push("slow at set times", **TIED | SPELLS, faults=(Slowdown(0.5, 0.25, 3.0),)),
        4,
        duration=2.0,
    ),
    Case(push("slow at random", **RANDOM | RANDOM_SPELLS), 4),
    Case(push("all the same", **ALL_THE_SAME), 5, duration=4.0, drain=1.0),
    Case(
        push(
            "reject",
            workload=FAST,
            cpu=Cpu(send=Exponential(TICK / 2)),
            push=PushServer(connections=3, outbound=2, **SHORT_SESSIONS),
        ),
        6,
        duration=2.0,
    ),
    Case(
        push(
            "wait",
            workload=FAST,
            cpu=Cpu(send=Exponential(TICK / 4), connect=HALF),
            push=PushServer(connections=2, overflow="wait", **SHORT_SESSIONS),
        ),
        6,
        duration=2.0,
    ),
    Case(
        push(
            "pairs",
            workload=Workload(topology="pair", traffic=Periodic(8.0), start="ramp"),
            cpu=Cpu(connect=Exponential(1.0)),
        ),
        4,
        duration=2.0,
    ),
    Case(
        push("every tick", workload=Workload(traffic=Closed(None, ONE), start="together")),
        3,
        duration=2.0,
        drain=0.5,
    ),
    Case(
        push(
            "an end",
            workload=Workload(traffic=Closed(7, LONG_RANDOM[0]), start="together"),
            cpu=Cpu(send=ONE),
        ),
        3,
        duration=10.0,
    ),
    Case(
        polling(
            "stalls at set times",
            workload=FAST,
            cpu=Cpu(query=HALF),
            store=EventStore(ONE, HALF, connections=2, single_writer=True),
            polling=PollingServer(interval=2 * TICK),
            faults=(
                Stall("store", 0.5, 0.25),
                Stall("cpu", 1.0, 0.25),
                Stall("cpu", 1.125, 0.25),
                Stall("store", 1.5, 0.125),
            ),
        ),
        4,
        duration=2.0,
    ),
    Case(push("bursts", workload=Workload(traffic=BURSTS)), 4, duration=4.0),
    Case(
        polling(
            "rate limit",
            workload=Workload(traffic=Closed(None, ONE), start="together"),
            cpu=Cpu(parse_message=Exponential(TICK), acknowledge=ONE),
            polling=PollingServer(interval=TICK, rate_limit=RateLimit(8.0, 2)),
        ),
        4,
        duration=4.0,
    ),
    Case(
        push(
            "rate limit",
            workload=Workload(traffic=Periodic(32.0), start="together"),
            cpu=Cpu(validate=HALF, acknowledge=HALF),
            push=PushServer(rate_limit=RateLimit(8.0, 2)),
        ),
        3,
        duration=4.0,
    ),
    *(
        Case(server("slow", **RANDOM | SLOW, **extra), 6, duration=4.0)
        for server, extra in ((polling, {}), (push, {"push": PushServer(**SHORT_SESSIONS)}))
    ),
    Case(polling("hub", workload=Workload("hub", Poisson(8.0))), 4, duration=2.0),
    Case(
        push(
            "broadcast",
            workload=Workload("broadcast", Closed(None, ONE)),
            network=Network(LONG_RANDOM[1], LONG_RANDOM[2]),
            cpu=Cpu(workers=2, send=SHORT_RANDOM[7], relay=SHORT_RANDOM[8]),
        ),
        5,
        duration=4.0,
    ),
]

FULL = {
    "workload": FAST,
    "network": Network(HALF, ONE),
    "cpu": Cpu(send=Exponential(TICK), acknowledge=Exponential(TICK / 8)),
}
CASES += [
    Case(
        push(
            f"full, {policy}",
            **FULL,
            push=PushServer(
                outbound=3, outbound_policy=policy, overflow=overflow, **SHORT_SESSIONS
            ),
        ),
        4,
        duration=2.0,
    )
    for policy, overflow in (
        ("drop_oldest", "wait"), ("block", "reject"), ("block", "wait"), ("disconnect", "reject")
    )
]  # fmt: skip
CASES.append(
    Case(
        push(
            "backoff and heartbeats",
            cpu=Cpu(heartbeat=Exponential(4 * TICK), workers=2),
            push=PushServer(
                connections=2, backoff=1.5, backoff_cap=3.0, heartbeat=2 * TICK, **SHORT_SESSIONS
            ),
        ),
        5,
        duration=4.0,
    )
)
CASES.append(
    Case(
        push(
            "fallback",
            **RANDOM,
            push=PushServer(
                connections=2, overflow="fallback", fallback_interval=4 * TICK, **SHORT_SESSIONS
            ),
        ),
        6,
        duration=4.0,
    )
)
CASES += [
    Case(
        push(
            f"batches, {policy}, {overflow}",
            **FULL,
            push=PushServer(
                outbound=5,
                outbound_policy=policy,
                overflow=overflow,
                batch_size=3,
                linger=4 * TICK,
                **SHORT_SESSIONS,
            ),
        ),
        4,
        duration=2.0,
    )
    for policy, overflow in (("drop_new", "reject"), ("drop_oldest", "wait"))
]
CASES.append(
    Case(
        push(
            "elicitation",
            **RANDOM,
            push=PushServer(
                overflow="wait",
                elicitation=Elicitation(20 * TICK, LONG_RANDOM[3], 0.5, 0.2, 0.1),
                **SHORT_SESSIONS,
            ),
        ),
        6,
        duration=4.0,
    )
)
CASES += [
    Case(
        push(
            "elicitation by broadcast, slow agents and losses",
            workload=Workload("broadcast", Poisson(4.0), slow=Slow(0.5, 3.0)),
            network=Network(LONG_RANDOM[1], LONG_RANDOM[2], loss=0.2, retransmission_timeout=TICK),
            cpu=Cpu(workers=2, send=SHORT_RANDOM[7], parse_message=SHORT_RANDOM[8]),
            push=PushServer(elicitation=Elicitation(32 * TICK, LONG_RANDOM[3], 0.5, 0.2, 0.1)),
        ),
        5,
        duration=4.0,
    ),
    Case(
        push(
            "elicitation by replies to a broadcast, slow agents",
            workload=Workload("broadcast", Poisson(4.0), slow=Slow(0.5, 3.0)),
            network=Network(LONG_RANDOM[1], LONG_RANDOM[2]),
            cpu=Cpu(workers=2, acknowledge=SHORT_RANDOM[7], parse_message=SHORT_RANDOM[8]),
            push=PushServer(
                elicitation=Elicitation(32 * TICK, LONG_RANDOM[3], 0.5, 0.2, 0.1, "reply")
            ),
        ),
        5,
        duration=4.0,
        seed=3,
    ),
    Case(
        push(
            "broadcast, batches and fallback, slow agents and losses",
            workload=Workload("broadcast", Poisson(16.0), slow=Slow(0.5, 3.0)),
            network=Network(LONG_RANDOM[1], LONG_RANDOM[2], loss=0.2, retransmission_timeout=TICK),
            cpu=Cpu(workers=2, send=SHORT_RANDOM[7], relay=SHORT_RANDOM[8]),
            push=PushServer(
                connections=3,
                overflow="fallback",
                fallback_interval=4 * TICK,
                outbound=4,
                outbound_policy="block",
                batch_size=3,
                linger=4 * TICK,
                **SHORT_SESSIONS,
            ),
        ),
        6,
        duration=4.0,
    ),
]
CASES += [
    Case(
        push(
            "shared connections",
            **RANDOM | {"workload": Workload("random", Poisson(8.0), slow=Slow(0.5, 3.0))},
            push=PushServer(agents_per_connection=2, **SHORT_SESSIONS),
        ),
        7,
        duration=4.0,
    ),
    Case(
        push(
            "shared connections, fallback and batches",
            **RANDOM | {"workload": Workload("random", Poisson(16.0), slow=Slow(0.5, 3.0))},
            push=PushServer(
                connections=2,
                overflow="fallback",
                fallback_interval=4 * TICK,
                outbound=4,
                outbound_policy="block",
                batch_size=3,
                linger=4 * TICK,
                heartbeat=4 * TICK,
                agents_per_connection=3,
                **SHORT_SESSIONS,
            ),
        ),
        8,
        duration=4.0,
    ),
    Case(
        push(
            "shared connections, closed by the server",
            **FULL,
            push=PushServer(
                outbound=2,
                outbound_policy="disconnect",
                agents_per_connection=3,
                **SHORT_SESSIONS,
            ),
        ),
        5,
        duration=2.0,
    ),
]


CASES += [
    Case(
        server(
            f"batches of writes, {costs}",
            **parts
            | {
                "store": attrs.evolve(
                    parts["store"], batch_size=3, linger=2 * TICK, write_more=TICK / 8, **lock
                )
            },
            **({"push": PushServer(overflow="wait", **SHORT_SESSIONS)} if server is push else {}),
        ),
        6,
        duration=4.0,
    )
    for server, costs, parts, lock in (
        (polling, "random", RANDOM, {"single_writer": True, "busy_timeout": 2 * TICK}),
        (push, "random", RANDOM, {}),
        (push, "tied", TIED, {}),
        (polling, "all the same", ALL_THE_SAME, {"single_writer": True}),
    )
]
CASES.append(
    Case(
        push(
            "batches of writes that give up",
            workload=Workload(traffic=Closed(None, LONG_RANDOM[0]), start="together"),
            cpu=Cpu(acknowledge=HALF),
            store=EventStore(
                write=LONG_RANDOM[0],
                single_writer=True,
                busy_timeout=TICK,
                batch_size=3,
                linger=TICK,
            ),
        ),
        8,
        duration=2.0,
    )
)
FORGETFUL = {"events": 20, "scan": 1e-4}
CASES += [
    Case(
        polling(
            f"retention, {name}",
            workload=Workload(traffic=Poisson(16.0), topology="random"),
            store=EventStore(HALF, HALF, retention=retention, **FORGETFUL),
            memory=Memory(per_event=0.7),
            polling=PollingServer(interval=16 * TICK, limit=2, **options),
        ),
        4,
        duration=4.0,
    )
    for name, retention, options in (
        ("by count", Retention(count=12), {}),
        ("by age", Retention(age=12 * TICK), {"priorities": (0.5, 0.5)}),
    )
]
CASES += [
    Case(
        polling(
            "retention, priorities in a closed loop",
            workload=Workload("hub", Closed(None, LONG_RANDOM[0]), think=TWO),
            store=EventStore(write=HALF, retention=Retention(age=8 * TICK)),
            polling=PollingServer(interval=8 * TICK, limit=1, priorities=(0.5, 0.5)),
        ),
        6,
        duration=4.0,
    ),
    Case(
        polling(
            "retention on a grid",
            workload=Workload(traffic=Closed(None, ONE), start="together"),
            store=EventStore(write=ONE, retention=Retention(age=3 * TICK)),
            polling=PollingServer(interval=4 * TICK),
        ),
        3,
        duration=4.0,
    ),
    *(
        Case(
            push(
                f"retention, {overflow}",
                **RANDOM | {"store": EventStore(HALF, HALF, retention=Retention(5, 16 * TICK))},
                push=PushServer(
                    connections=2, overflow=overflow, fallback_interval=8 * TICK, **SHORT_SESSIONS
                ),
            ),
            6,
            duration=4.0,
        )
        for overflow in ("wait", "fallback")
    ),
]


def with_a_long_window(case):
    """Return a case whose window has most of its messages: an order shows in their sum alone."""
    if case.warmup is not None or case.system.offered_load(case.agents) is None:
        return case
    tenth = case.duration / 10
    lead = min(case.system.workload.started_by, case.duration / 4)
    return attrs.evolve(case, warmup=lead + tenth, drain=min(5.0, tenth))


CASES = [with_a_long_window(case) for case in CASES]


@functools.cache
def right(case):
    """Return the result of the engine that is tested: it runs before anything is planted."""
    return CASES[case].run(CANDIDATE)


def found(wrong=None):
    """Return the differences on the first of the systems that has any."""
    for number, case in enumerate(CASES):
        good = right(number)
        with pytest.MonkeyPatch.context() as patch:
            if wrong is not None:
                wrong(patch)
            try:
                lines = differences(case.run(REFERENCE), good)
            except InvariantError as error:  # the engine itself has noticed
                lines = [str(error)]
        if lines:
            return lines
    return []


def test_without_an_error_there_is_no_difference():
    assert found() == []


# Store


def the_sleeps_of_a_locked_out_writer_begin_with_the_second(patch):
    right = store_module.busy_delay
    patch.setattr(
        store_module, "busy_delay", lambda tries, slept, most: right(tries + 1, slept, most)
    )


def a_locked_out_writer_gives_up_too_late(patch):
    right = store_module.busy_delay
    patch.setattr(
        store_module, "busy_delay", lambda tries, slept, most: right(tries, slept, 1.5 * most)
    )


def a_locked_out_writer_waits_in_line(patch):
    def wait_for_lock(self, timeout):
        yield from ()
        return True

    patch.setattr(Store, "_wait_for_lock", wait_for_lock)


def a_batch_of_writes_holds_one_event_more(patch):
    original = Store.__init__

    def init(self, *arguments):
        original(self, *arguments)
        if self._batch_size is not None:
            self._batch_size += 1

    patch.setattr(Store, "__init__", init)


def a_batch_of_writes_costs_what_its_last_event_does(patch):
    original = Store._join

    def join(self, message, commit):
        if self._collected is not None:
            self._collected.first = message
        return original(self, message, commit)

    patch.setattr(Store, "_join", join)


def the_first_event_of_a_batch_adds_to_its_write_too(patch):
    original = Store._cost

    def cost(self, batch):
        usual = original(self, batch)
        return usual if usual is None else usual + self._write_more

    patch.setattr(Store, "_cost", cost)


def a_batch_of_writes_lingers_from_its_last_event_on(patch):
    def lingered(self, batch, _timeout):
        if self._collected is batch and self.env.now >= batch.latest + self._linger:
            self._flush()

    original = Store._join

    def join(self, message, commit):
        before = self._collected
        written = original(self, message, commit)
        batch = self._collected
        if batch is not None:
            batch.latest = self.env.now
            if before is not None:
                timeout = self.env.timeout(self._linger)
                timeout.callbacks.append(functools.partial(self._lingered, batch))
        return written

    patch.setattr(Store, "_lingered", lingered)
    patch.setattr(Store, "_join", join)


def the_linger_of_a_full_batch_of_writes_ends_the_next(patch):
    def lingered(self, _batch, _timeout):
        if self._collected is not None:
            self._flush()

    patch.setattr(Store, "_lingered", lingered)


def the_last_request_of_a_batch_goes_on_first(patch):
    original = Store._write_batch

    def write_batch(self, batch):
        yield from original(self, batch)
        batch.written.callbacks.reverse()

    patch.setattr(Store, "_write_batch", write_batch)


def the_last_event_of_a_batch_is_committed_first(patch):
    original = store_module._commit_all
    patch.setattr(store_module, "_commit_all", lambda commits: original(commits[::-1]))


def the_requests_of_a_batch_go_on_after_other_events(patch):
    patch.setattr(store_module, "URGENT", NORMAL)


def a_batch_that_is_full_waits_for_other_events(patch):
    original = Store._write_batch

    def write_batch(self, batch):
        yield self.env.timeout(0)
        yield from original(self, batch)

    patch.setattr(Store, "_write_batch", write_batch)


def a_batch_that_gives_up_is_stored_all_the_same(patch):
    original = Store._transact

    def transact(self, cost, commit):
        committed = yield from original(self, cost, commit)
        if not committed and self._batch_size is not None:
            commit()
        return True

    patch.setattr(Store, "_transact", transact)


def each_event_of_a_batch_counts_as_a_write(patch):
    original = Store._flush

    def flush(self):
        self.writes += len(self._collected.commits) - 1
        original(self)

    patch.setattr(Store, "_flush", flush)


def an_event_of_the_very_age_is_still_kept(patch):
    patch.setattr(log_module, "is_past", lambda committed, age, now: committed + age < now)


def one_event_more_is_kept(patch):
    original = Log.__init__

    def init(self, *arguments):
        original(self, *arguments)
        if self._count is not None:
            self._count += 1

    patch.setattr(Log, "__init__", init)


def the_events_at_the_start_have_no_age(patch):
    original = Log.__init__

    def init(self, *arguments):
        original(self, *arguments)
        self._times = deque([np.inf] * self._at_start)
        self._at_start = 0

    patch.setattr(Log, "__init__", init)


def what_is_removed_is_still_scanned(patch):
    patch.setattr(Store, "_scanned", lambda self, cost: cost + self._scan * self.log._end)


def what_is_removed_still_takes_memory(patch):
    def current(self):
        memory = self._memory
        held = memory.baseline + memory.per_agent * self._agents
        return held + memory.per_connection * self.connections + memory.per_event * self._log._end

    patch.setattr(MemoryUse, "current", property(current))


def memory_falls_only_when_something_is_written(patch):
    def current(self):
        memory, log = self._memory, self._log
        kept = log._end - log._first
        held = memory.baseline + memory.per_agent * self._agents
        return held + memory.per_connection * self.connections + memory.per_event * kept

    patch.setattr(MemoryUse, "current", property(current))
    patch.setattr(MemoryUse, "store", lambda self: self._log.first and None)


def a_query_still_finds_what_is_removed(patch):
    patch.setattr(Polling, "_expire", lambda _self, _mailbox: None)


def an_agent_still_gets_what_is_removed(patch):
    patch.setattr(Push, "_unpark", lambda self, agent: self._parked.pop(agent, []))


def only_what_an_answer_has_room_for_expires(patch):
    def take(self, agent):
        found = []
        for box in range(self._levels * agent, self._levels * (agent + 1)):
            mailbox = self._mailboxes.get(box)
            while mailbox and len(found) < self.server.limit:
                self._expire(mailbox)
                if mailbox:
                    found.append(mailbox.popleft())
        if not found and self.server.cache is not None:
            self._empty_since[agent] = self.env.now
        return found

    patch.setattr(Polling, "_take", take)


def what_is_removed_expires_on_its_way_to_a_connection(patch):
    original = Push.push

    def push(self, message):
        if self.bridge.store.forgets and self.bridge.store.is_gone(message):
            self._end(message, Outcome.EXPIRED)
        else:
            yield from original(self, message)

    patch.setattr(Push, "push", push)


# Polling


def an_answer_holds_one_message_more(patch):
    def take(self, agent):
        mailbox = self._mailboxes.get(agent) or ()
        return [mailbox.popleft() for _ in range(min(len(mailbox), self.server.limit + 1))]

    patch.setattr(Polling, "_take", take)


def the_newest_message_is_taken_first(patch):
    def take(self, agent):
        mailbox = self._mailboxes.get(agent) or ()
        return [mailbox.pop() for _ in range(min(len(mailbox), self.server.limit))]

    patch.setattr(Polling, "_take", take)


def one_request_more_is_held(patch):
    def accept(self):
        limit = self.server.connections
        if limit is not None and self.bridge.memory.connections > limit:
            self.refused += 1
            return False
        self.bridge.memory.connect()
        return True

    patch.setattr(Polling, "_accept", accept)


def waiting(passed, *, from_the_parsing=False):
    """Return the loop of a request that ends when `passed` says so of its age and timeout."""

    def wait_for_messages(self, agent, request, queries):
        env, bridge, server = self.env, self.bridge, self.server
        before = env.now
        yield from bridge.compute(agent, self._parse_request, agent, request)
        start = before if from_the_parsing else env.now
        while not passed(env.now - start, server.timeout):
            self.cycles += 1
            query = next(queries)
            yield from bridge.compute(agent, self._query_cpu, agent, query)
            take = functools.partial(self._take, agent)
            messages = yield from bridge.store.query(agent, query, take)
            if messages:
                return messages
            self.wasted_cycles += 1
            yield env.timeout(server.interval)
        self.timeouts += 1
        return []

    return wait_for_messages


def the_timeout_itself_is_still_in_time(patch):
    patch.setattr(Polling, "wait_for_messages", waiting(lambda age, timeout: age > timeout))


def the_timeout_counts_from_before_the_parsing(patch):
    passed = waiting(lambda age, timeout: age >= timeout, from_the_parsing=True)
    patch.setattr(Polling, "wait_for_messages", passed)


def the_queries_of_each_request_are_numbered_anew(patch):
    original = Polling.wait_for_messages

    def wait_for_messages(self, agent, request, _queries):
        return (yield from original(self, agent, request, itertools.count()))

    patch.setattr(Polling, "wait_for_messages", wait_for_messages)


def a_connection_is_held_until_the_answer_is_there(patch):
    def attend(self, agent, start):
        bridge = self.bridge
        yield self.env.timeout(start)
        queries = itertools.count()
        for request in itertools.count():
            yield from bridge.travel(agent, bridge.request_up, agent, request)
            if not self._accept():
                yield from bridge.travel(agent, bridge.answer_down, agent, request)
                yield self.env.timeout(self.server.backoff)
                continue
            messages = yield from self.wait_for_messages(agent, request, queries)
            yield from bridge.compute(agent, self._respond, agent, request)
            yield from bridge.travel(agent, bridge.answer_down, agent, request)
            bridge.memory.disconnect()
            if messages:
                for message in messages:
                    bridge.ledger.end(message, Outcome.DELIVERED, self.env.now)
                yield from bridge.think(agent, self._think, agent, request)

    patch.setattr(Polling, "attend", attend)


# The store


def an_answer_holds_what_is_stored_when_its_query_ends(patch):
    def query(self, agent, index, read):
        self.queries += 1
        if self._query is None and not self._scan:
            return read()
        cost = 0.0 if self._query is None else self._query.draw(agent, index)
        yield self.pool.serve(functools.partial(self._scanned, cost) if self._scan else cost)
        return read()

    patch.setattr(Store, "query", query)


def a_message_is_visible_from_the_start_of_its_write(patch):
    def write(self, message, visible):
        self.writes += 1
        commit = functools.partial(self._commit, message, visible)
        if self._write is None:
            commit()
        else:
            demand = self._write.draw(message.sender, message.number)
            yield self.writer.serve(demand, begin=commit)

    patch.setattr(Store, "write", write)


def the_log_is_as_long_as_at_the_start(patch):
    patch.setattr(Store, "_scanned", lambda self, cost: cost + self._scan)


def the_log_is_measured_when_a_query_arrives(patch):
    original = Station.serve

    def serve(self, demand, begin=None, effect=None):
        return original(self, demand() if callable(demand) else demand, begin, effect)

    patch.setattr(Station, "serve", serve)


# The station


def the_owner_goes_on_before_the_next_starts(patch):
    """The docstring of `lhsim.models.station` warns of it."""
    original_init, original_start = Service.__init__, Station._start

    def init(self, *arguments):
        original_init(self, *arguments)
        self.callbacks = []

    def start(self, service):
        service.callbacks.append(self.complete)
        original_start(self, service)

    patch.setattr(Service, "__init__", init)
    patch.setattr(Station, "_start", start)


def the_next_starts_before_the_effect(patch):
    def complete(self, service):
        self.busy -= 1
        if self.waiting:
            self._start(self.waiting.popleft())
        if service.effect is not None:
            service.effect()

    patch.setattr(Station, "complete", complete)


def the_last_come_is_first_served(patch):
    def complete(self, service):
        self.busy -= 1
        if service.effect is not None:
            service.effect()
        if self.waiting:
            self._start(self.waiting.pop())

    patch.setattr(Station, "complete", complete)


def a_station_has_one_server_more(patch):
    original = Station.__init__

    def init(self, env, servers, *others):
        original(self, env, servers + 1, *others)

    patch.setattr(Station, "__init__", init)


# The processor


def a_collection_is_one_operation_early(patch):
    original = Loop.__init__

    def init(self, *arguments):
        original(self, *arguments)
        self._operations = 1

    patch.setattr(Loop, "__init__", init)


def a_stall_stretches_a_service_that_is_due_when_it_begins(patch):
    def stretch(self, now, demand):
        duration = demand
        for start, end in zip(self.starts, self.ends, strict=True):
            if end > now and start <= now + duration:
                duration += end - max(start, now)
        return float(duration)

    patch.setattr(StallTimes, "stretch", stretch)


def a_stall_that_has_begun_counts_in_full(patch):
    def stretch(self, now, demand):
        duration = demand
        for start, end in zip(self.starts, self.ends, strict=True):
            if end > now and start < now + duration:
                duration += end - start
        return float(duration)

    patch.setattr(StallTimes, "stretch", stretch)


def stalls_that_overlap_count_twice(patch):
    def with_stalls(starts, ends, stalls):
        return np.column_stack([np.array([starts, ends]), stalls])

    patch.setattr(stalls, "with_stalls", with_stalls)


def a_stall_of_the_store_does_not_stop_its_writer(patch):
    original = Store.__init__

    def init(self, env, store, seed, measured, stalls=None):
        original(self, env, store, seed, measured, stalls)
        if store.single_writer:
            self.writer = Station(env, 1, measured)

    patch.setattr(Store, "__init__", init)


def a_loop_begins_warm(patch):
    original = Loop.__init__

    def init(self, *arguments):
        original(self, *arguments)
        self._idle_since = 0.0

    patch.setattr(Loop, "__init__", init)


def a_loop_is_idle_since_the_start_of_its_last_operation(patch):
    original = Loop.duration

    def duration(self, demand):
        taken = original(self, demand)
        self._idle_since = self.env.now
        return taken

    patch.setattr(Loop, "duration", duration)
    patch.setattr(Loop, "complete", Station.complete)


def a_loop_warms_up_twice_as_fast(patch):
    original = Loop.__init__

    def init(self, env, number, cpu, *others):
        if cpu.warmth:
            half = attrs.evolve(cpu.warmth, memory=cpu.warmth.memory / 2)
            cpu = attrs.evolve(cpu, warmth=half)
        original(self, env, number, cpu, *others)

    patch.setattr(Loop, "__init__", init)


def stalls_count_as_work(patch):
    original = Loop.duration

    def duration(self, demand):
        before = self.work_time
        taken = original(self, demand)
        self.work_time = before + (taken if self.work_time > before else 0.0)
        return taken

    patch.setattr(Loop, "duration", duration)


def a_slowdown_begins_after_its_first_instant(patch):
    def times_as_long(now, starts, factors, first):
        return factors[first] if first < len(starts) and starts[first] < now else 1.0

    patch.setattr(loop, "times_as_long", times_as_long)


def the_fastest_of_the_slowdowns_that_overlap_counts(patch):
    def with_slowdowns(starts, ends, factor, others):
        return rules.with_slowdowns(starts, ends, factor, np.minimum(others, 2.0))

    patch.setattr(stalls, "with_slowdowns", with_slowdowns)


def a_slowdown_is_no_work(patch):
    original = Loop._cost

    def duration(self, demand):
        slow, self._slow = self._slow, None
        cost = original(self, demand)
        self._slow = slow
        if self._measured_from <= self.env.now < self._measured_to:
            self.work_time += cost
        if slow is not None:
            cost *= slow.times_as_long(self.env.now)
        return Station.duration(self, cost)

    patch.setattr(Loop, "duration", duration)


def a_slow_loop_warms_up_more(patch):
    original = Loop._cost

    def cost(self, demand):
        factor = 1.0 if self._slow is None else self._slow.times_as_long(self.env.now)
        slow, self._slow = self._slow, None
        found = original(self, factor * demand)
        self._slow = slow
        return found

    patch.setattr(Loop, "_cost", cost)


def an_agent_is_on_the_next_loop(patch):
    patch.setattr(Bridge, "loop", lambda self, agent: self.loops[(agent + 1) % len(self.loops)])


# Push


def pushing(full, *, newest=False):
    def push(self, message):
        bridge, agent = self.bridge, message.target
        connection = self._connections.get(agent)
        if connection is None:
            self._miss(message)
        elif full(connection.queued, self.server.outbound):
            bridge.ledger.end(message, Outcome.DROPPED, self.env.now)
        else:
            connection.queued += 1
            yield from bridge.compute(agent, self._send, message.sender, message.number)
            if newest:
                connection = self._connections.get(agent, connection)
            connection.queued -= 1
            yield from self._sent(message, connection)

    return push


def one_message_more_fits_an_outbound_queue(patch):
    patch.setattr(Push, "push", pushing(lambda queued, most: most is not None and queued > most))


def a_message_finds_the_next_connection_open(patch):
    """It is sent over the connection that there is at the end of its sending."""
    patch.setattr(Push, "push", pushing(lambda queued, most: queued == most, newest=True))


def one_connection_more(patch):
    def full(self):
        limit = self.server.connections
        return limit is not None and self.bridge.memory.connections > limit

    patch.setattr(Push, "_full", property(full))


def the_last_in_line_enters_first(patch):
    def leave(self, agent):
        self._connections.pop(agent).open = False
        if self._line:
            self._line.pop().succeed(True)
        else:
            self.bridge.memory.disconnect()

    patch.setattr(Push, "_leave", leave)


def parked_messages_go_out_newest_first(patch):
    def miss(self, message):
        if self.server.overflow == "wait" or message.target not in self._known:
            self._parked.setdefault(message.target, []).insert(0, message)
        else:
            self.bridge.ledger.end(message, Outcome.REJECTED, self.env.now)

    patch.setattr(Push, "_miss", miss)


def an_agent_that_has_not_come_yet_misses_its_messages(patch):
    def miss(self, message):
        if self.server.overflow == "wait":
            self._parked.setdefault(message.target, []).append(message)
        else:
            self.bridge.ledger.end(message, Outcome.REJECTED, self.env.now)

    patch.setattr(Push, "_miss", miss)


def a_closed_connection_still_delivers(patch):
    def sent(self, message, _connection):
        self.sent += 1
        self.env.process(self._travel(message))
        return iter(())

    patch.setattr(Push, "_sent", sent)


def an_agent_is_connected_before_its_accept(patch):
    original = Push._enter

    def enter(self, agent, attempt):
        if not self._full:
            self._connections[agent] = Connection()
        return (yield from original(self, agent, attempt))

    patch.setattr(Push, "_enter", enter)


def carrying(order):
    def carry(self, message):
        bridge, sender, number = self.bridge, message.sender, message.number
        yield from bridge.receive(message)
        yield from bridge.compute(sender, self._validate, sender, number)
        yield from bridge.compute(sender, bridge.write_cpu, sender, number)
        yield from bridge.store.write(message, self._stored)
        if bridge.loop(sender) is not bridge.loop(message.target):
            on = sender if order == "relay by the sender" else message.target
            yield from bridge.compute(on, self._relay, sender, number)
        if order == "acknowledge first":
            yield from bridge.acknowledge(message, stored=True)
            yield from self.push(message)
        else:
            yield from self.push(message)
            yield from bridge.acknowledge(message, stored=True)

    return carry


def the_loop_of_the_sender_pays_the_relay(patch):
    patch.setattr(Push, "carry", carrying("relay by the sender"))


def a_message_is_acknowledged_before_it_is_pushed(patch):
    patch.setattr(Push, "carry", carrying("acknowledge first"))


# Connections that agents share


def a_client_comes_when_its_first_agent_starts(patch):
    coming(patch, lambda starts: starts[0])


def a_client_comes_when_its_last_agent_starts(patch):
    coming(patch, max)


def coming(patch, earliest):
    """Let a client come at a time out of those at which its agents start."""
    original = Push.attend

    def attend(self, client, _start):
        bridge, workload = self.bridge, self.bridge.workload
        how, end = START_KINDS[workload.start], client + bridge.agents_per_connection
        starts = [
            start_time(how, workload.start_over, who, bridge.agents, bridge.seed)
            for who in range(client, min(end, bridge.agents))
        ]
        yield from original(self, client, earliest(starts))

    patch.setattr(Push, "attend", attend)


def the_agents_of_a_client_are_on_different_loops(patch):
    patch.setattr(Bridge, "loop", lambda self, agent: self.loops[agent % len(self.loops)])


def a_client_is_on_the_loop_of_its_first_agent(patch):
    def loop(self, agent):
        return self.loops[self.client(agent) % len(self.loops)]

    patch.setattr(Bridge, "loop", loop)


def the_last_client_has_as_many_agents_as_the_others(patch):
    """The agents that are too few join the client before them."""

    def client(self, agent):
        several = self.agents_per_connection
        whole = max(1, self.agents // several)
        return min(agent // several, whole - 1) * several

    patch.setattr(Bridge, "client", client)


def a_client_draws_by_its_own_number(patch):
    original = Bridge.compute

    def compute(self, agent, stage, entity, index):
        if stage is not None and stage._purpose == Purpose.CONNECT:
            entity //= self.agents_per_connection
        yield from original(self, agent, stage, entity, index)

    patch.setattr(Bridge, "compute", compute)


def a_client_is_as_slow_as_its_last_agent(patch):
    original = Bridge.travel

    def travel(self, who, route, entity, index):
        if route in (self.request_up, self.answer_down):
            who = min(who + self.agents_per_connection, self.agents) - 1
        yield from original(self, who, route, entity, index)

    patch.setattr(Bridge, "travel", travel)


def a_message_is_as_late_as_the_client_is_slow(patch):
    original = Bridge.travel

    def travel(self, who, route, entity, index):
        if route._losses == rules.LOSSES[Purpose.PUSH_DOWN]:
            who = self.client(who)
        yield from original(self, who, route, entity, index)

    patch.setattr(Bridge, "travel", travel)


def a_poll_brings_the_messages_of_the_first_agent(patch):
    original = Push._poll

    def poll(self, client, request):
        parked = self._parked.get(client, [])
        self._parked[client] = [message for message in parked if message.target == client]
        yield from original(self, client, request)
        others = [message for message in parked if message.target != client]
        self._parked.setdefault(client, []).extend(others)

    patch.setattr(Push, "_poll", poll)


def each_agent_has_a_batch_of_its_own(patch):
    """A message to another agent than the last one's lets the batch go out before."""
    original = Push._collect

    def collect(self, message, connection):
        if connection.unsent and connection.unsent[-1].target != message.target:
            self._flush(connection)
        original(self, message, connection)

    patch.setattr(Push, "_collect", collect)


def a_shared_queue_has_places_for_each_agent(patch):
    def push(self, message):
        most, several = self.server.outbound, self.bridge.agents_per_connection
        connection = self._connections.get(self.bridge.client(message.target))
        if connection is None:
            self._miss(message)
        elif most is not None and connection.queued == most * several:
            yield from self._overflow(message, connection)
        else:
            connection.queued += 1
            yield from self._send_queued(message, connection)

    patch.setattr(Push, "push", push)


def an_agent_of_a_client_that_has_come_may_be_a_stranger(patch):
    def miss(self, message):
        client = self.bridge.client(message.target)
        if self.server.overflow != "reject" or message.target not in self._known:
            self._parked.setdefault(client, []).append(message)
        else:
            self.bridge.ledger.end(message, Outcome.REJECTED, self.env.now)

    patch.setattr(Push, "_miss", miss)


def each_agent_of_a_client_is_a_connection(patch):
    original = Push._enter

    def enter(self, client, attempt):
        yield from original(self, client, attempt)
        memory, several = self.bridge.memory, self.bridge.agents_per_connection
        memory.peak_connections = max(memory.peak_connections, memory.connections * several)

    patch.setattr(Push, "_enter", enter)


# Options of the polling server


def the_jitter_of_a_sleep_is_that_of_the_next(patch):
    original = Polling._jittered
    patch.setattr(
        Polling, "_jittered", lambda self, who, cycle, time: original(self, who, cycle + 1, time)
    )


def a_sleep_grows_beyond_the_longest(patch):
    patch.setattr(polling_module, "grown", lambda interval, factor, _longest: interval * factor)


def a_request_goes_on_with_the_sleep_of_the_one_before(patch):
    original, intervals = Polling._jittered, {}

    def sleep(self, who, cycle, _interval):
        growth, interval = self.server.growth, intervals.get(who, self.server.interval)
        if growth is not None:
            intervals[who] = grown(interval, growth.factor, growth.longest)
        return original(self, who, cycle, interval)

    patch.setattr(Polling, "_jittered", sleep)


def a_write_wakes_only_who_sleeps_already(patch):
    original = Polling._wake

    def wake(self, who):
        original(self, who)
        self._written.discard(who)

    patch.setattr(Polling, "_wake", wake)


def a_woken_request_goes_on_before_other_events(patch):
    def wake(self, who):
        self._written.add(who)
        alarm = self._asleep.pop(who, None)
        if alarm is not None:
            awake = self.env.event()
            awake.callbacks, alarm.callbacks = alarm.callbacks, []
            awake._ok, awake._value = True, None
            self.env.schedule(awake, URGENT)

    patch.setattr(Polling, "_wake", wake)


def an_alarm_in_vain_ends_the_next_sleep(patch):
    def wake(self, who):
        self._written.add(who)
        alarm = self._asleep.get(who)
        if alarm is not None and alarm.callbacks:
            resume = alarm.callbacks[0]
            awake = self.env.event()
            awake.callbacks, alarm.callbacks = alarm.callbacks, []
            awake.succeed()

            def late(event):
                later = self._asleep.get(who)
                if later is not None and resume in (later.callbacks or ()):
                    later.callbacks.remove(resume)
                    resume(event)

            alarm.callbacks.append(late)

    patch.setattr(Polling, "_wake", wake)


def a_cache_entry_of_the_age_of_its_ttl_is_too_old(patch):
    def is_known(self, who):
        cache, since = self.server.cache, self._empty_since.get(who, -math.inf)
        return cache is not None and self.env.now - since < cache.ttl

    patch.setattr(Polling, "_is_known_to_be_empty", is_known)


def a_cache_entry_is_as_old_as_the_answer(patch):
    original = Store.query

    def query(self, who, index, read):
        answer = yield from original(self, who, index, read)
        since = read.func.__self__._empty_since
        if who in since:
            since[who] = self.env.now
        return answer

    patch.setattr(Store, "query", query)


def no_write_removes_a_cache_entry(patch):
    original = Polling._post

    def post(self, message):
        since = self._empty_since.get(message.target)
        original(self, message)
        if since is not None:
            self._empty_since[message.target] = since

    patch.setattr(Polling, "_post", post)


def the_lowest_priority_comes_first(patch):
    original = Polling._level
    patch.setattr(
        Polling, "_level", lambda self, message: self._levels - 1 - original(self, message)
    )


def the_priority_of_a_message_is_that_of_the_next(patch):
    original = polling_module.priority

    def level(seed, sender, number, upper):
        return original(seed, sender, number + 1, upper)

    patch.setattr(polling_module, "priority", level)


# Options of the push server


def the_newest_that_waits_is_dropped(patch):
    original = Push._overflow

    def overflow(self, message, connection):
        if connection.unsent:
            connection.unsent.rotate(1)
        return original(self, message, connection)

    patch.setattr(Push, "_overflow", overflow)


def a_dropped_message_is_sent_all_the_same(patch):
    def cost(self, message, _connection):
        return self._send.draw(message.sender, message.number)

    patch.setattr(Push, "_cost", cost)


def the_last_that_is_blocked_goes_on_first(patch):
    original = Push._overflow

    def overflow(self, message, connection):
        steps = original(self, message, connection)
        for event in steps:
            if connection.blocked:
                connection.blocked.rotate(1)
            yield event

    patch.setattr(Push, "_overflow", overflow)


def who_is_blocked_takes_no_place_over(patch):
    original = Push._send_queued

    def send_queued(self, message, connection):
        if connection.blocked:
            connection.queued -= 1
        return original(self, message, connection)

    patch.setattr(Push, "_send_queued", send_queued)


def who_is_blocked_waits_for_the_next_message_when_the_connection_closes(patch):
    def leave(self, agent):
        self._connections.pop(agent).open = False
        if self._line:
            self._line.popleft().succeed(True)
        else:
            self.bridge.memory.disconnect()

    patch.setattr(Push, "_leave", leave)


def the_message_that_closes_a_connection_is_dropped(patch):
    original = Push._overflow

    def overflow(self, message, connection):
        if self.server.outbound_policy != "disconnect":
            yield from original(self, message, connection)
            return
        self._leave(message.target)
        self.env.process(self._come_back(message.target, connection.attempt))
        self.bridge.ledger.end(message, Outcome.DROPPED, self.env.now)

    patch.setattr(Push, "_overflow", overflow)


def an_agent_whose_connection_was_closed_does_not_come_back(patch):
    patch.setattr(Push, "_come_back", lambda self, *_: self.bridge.delay(None, 0, 0))


def the_first_refusal_changes_nothing(patch):
    original = push_models.grown

    def grown(multiple, factor, cap):
        return original(multiple, factor, cap) / factor

    patch.setattr(push_models, "grown", grown)


def there_is_no_end_to_the_backoff(patch):
    patch.setattr(push_models, "grown", lambda multiple, factor, _cap: multiple * factor)


def heartbeats_go_on_when_the_connection_has_closed(patch):
    original = Push._leave

    def leave(self, agent):
        connection = self._connections[agent]
        original(self, agent)
        if self._heartbeat is not None:
            self.env.process(self._keep_alive(agent, Connection(connection.attempt)))

    patch.setattr(Push, "_leave", leave)


def no_heartbeat_is_left_out(patch):
    original = Push._beat

    def beat(self, agent, connection, number):
        connection.beating = False
        yield from original(self, agent, connection, number)

    patch.setattr(Push, "_beat", beat)


def falling_back(*, until=None, numbered_anew=False):
    def fall_back(self, agent, attempt, multiple, numbers):
        wait = until if until is not None else self._reconnect.draw(agent, attempt) * multiple
        end = self.env.now + wait
        polls = itertools.count(attempt + 1) if numbered_anew else numbers
        while True:
            yield self.env.timeout(self.server.fallback_interval)
            if self.env.now >= end:
                return
            yield from self._poll(agent, next(polls))

    return fall_back


def an_agent_that_polls_never_tries_to_connect_again(patch):
    patch.setattr(Push, "_fall_back", falling_back(until=1e9))


def polls_and_attempts_are_numbered_apart(patch):
    patch.setattr(Push, "_fall_back", falling_back(numbered_anew=True))


def what_waits_for_an_agent_that_polls_is_rejected(patch):
    def refuse(self, agent):
        self.refused += 1
        self._known.add(agent)
        for message in self._parked.pop(agent, ()):
            self.bridge.ledger.end(message, Outcome.REJECTED, self.env.now)

    patch.setattr(Push, "_refuse", refuse)


def a_poll_takes_one_connection(patch):
    original = Push._poll

    def poll(self, agent, request):
        self.bridge.memory.connect()
        yield from original(self, agent, request)
        self.bridge.memory.disconnect()

    patch.setattr(Push, "_poll", poll)


def a_batch_costs_what_its_last_message_does(patch):
    def send_batch(self, batch, connection):
        batch.rotate(1)
        last = batch[0]
        batch.rotate(-1)
        yield from self.bridge.compute(last.target, self._send, last.sender, last.number)
        for message in batch:
            self._free_slot(connection)
            yield from self._sent(message, connection)

    patch.setattr(Push, "_send_batch", send_batch)


def a_batch_lingers_from_its_last_message_on(patch):
    original = Push._collect

    def collect(self, message, connection):
        batch = connection.unsent
        if batch is not None and len(batch) < self.server.batch_size - 1:
            connection.unsent = None
            original(self, message, connection)
            connection.unsent.extendleft(reversed(batch))
        else:
            original(self, message, connection)

    patch.setattr(Push, "_collect", collect)


def the_linger_of_a_full_batch_ends_the_next(patch):
    def lingered(self, connection, _batch, _timeout):
        if connection.unsent:
            self._flush(connection)

    patch.setattr(Push, "_lingered", lingered)


def the_batch_of_a_connection_that_closes_is_sent_in_vain(patch):
    def give_back(self, connection):
        if connection.unsent is not None:
            self._flush(connection)

    patch.setattr(Push, "_give_back", give_back)


def a_batch_holds_one_message_more(patch):
    def collect(self, message, connection):
        if connection.unsent is not None and len(connection.unsent) == self.server.batch_size:
            connection.unsent.append(message)
            self._flush(connection)
        elif connection.unsent is not None:
            connection.unsent.append(message)
        else:
            batch = connection.unsent = deque([message])
            timeout = self.env.timeout(self.server.linger)
            timeout.callbacks.append(functools.partial(self._lingered, connection, batch))

    patch.setattr(Push, "_collect", collect)


def the_timeout_of_an_elicitation_counts_from_the_creation(patch):
    original = Push._expire

    def expire(self, message, deadline):
        return original(self, message, deadline - message.stored + message.created)

    patch.setattr(Push, "_expire", expire)


def only_the_first_of_a_broadcast_expires(patch):
    original = Push._expire

    def expire(self, message, deadline):
        if message.copies:
            yield from original(self, message, deadline)

    patch.setattr(Push, "_expire", expire)


def an_answer_takes_a_slow_target_no_longer(patch):
    original = Bridge.travel

    def travel(self, who, route, entity, index):
        answers = route._losses == rules.LOSSES[Purpose.ANSWER_UP]
        return original(self, entity if answers else who, route, entity, index)

    patch.setattr(Bridge, "travel", travel)


def the_answer_to_a_slow_agent_takes_as_long_as_others(patch):
    original, init = Bridge.travel, Push.__init__

    def init_push(self, server, bridge):
        init(self, server, bridge)
        bridge.is_of_push = True

    def travel(self, who, route, entity, index):
        if route is self.answer_down and hasattr(self, "is_of_push"):
            yield self.env.timeout(route.delay(entity, index, 1.0))
        else:
            yield from original(self, who, route, entity, index)

    patch.setattr(Push, "__init__", init_push)
    patch.setattr(Bridge, "travel", travel)


def a_message_is_delivered_when_its_answer_is(patch):
    original = Push._end

    def end(self, message, outcome):
        message.reached = None
        original(self, message, outcome)

    patch.setattr(Push, "_end", end)


def who_declines_does_not_answer(patch):
    original = push_models.answer

    def answer(u, accept, decline, cancel):
        how = original(u, accept, decline, cancel)
        return how if how == ACCEPT else NO_ANSWER

    patch.setattr(push_models, "answer", answer)


def an_answer_that_declines_is_validated(patch):
    def answer(u, accept, decline, cancel):
        return ACCEPT if u < accept + decline + cancel else NO_ANSWER

    patch.setattr(push_models, "answer", answer)


def what_has_expired_is_not_answered(patch):
    original = Push._answer

    def answer(self, message, elicitation):
        if message.outcome is Outcome.PENDING:
            yield from original(self, message, elicitation)

    patch.setattr(Push, "_answer", answer)


# Agents


def a_request_travels_before_its_reply_is_paid(patch):
    def reply_with_request(self, message):
        for one in message.together:
            self.env.process(self._travel(one))
        yield from self.bridge.acknowledge(message, stored=True)
        for copy in message.copies:
            self.env.process(self._expire(copy, self._deadline(copy)))
        yield from self._expire(message, self._deadline(message))

    patch.setattr(Push, "_reply_with_request", reply_with_request)


def the_target_answers_what_a_reply_has_asked(patch):
    patch.setattr(Push, "_asked", lambda self, message: message.target)


def the_copies_of_a_request_in_a_reply_never_expire(patch):
    def reply_with_request(self, message):
        yield from self.bridge.acknowledge(message, stored=True)
        for one in message.together:
            self.env.process(self._travel(one))
        yield from self._expire(message, self._deadline(message))

    patch.setattr(Push, "_reply_with_request", reply_with_request)


def in_pairs_the_odd_agents_send(patch):
    def senders(self, agents):
        return range(1, agents, 2) if self.topology == "pair" else range(agents)

    patch.setattr(Workload, "senders", senders)


def a_random_target_is_that_of_the_next_message(patch):
    original = agent.target_of

    def target(workload, who, number, agents, seed):
        return original(workload, who, number + 1, agents, seed)

    patch.setattr(agent, "target_of", target)


def a_message_goes_to_the_agent_before(patch):
    def target(_workload, who, _number, agents, _seed):
        return (who - 1) % agents

    patch.setattr(agent, "target_of", target)


def the_centre_of_a_hub_is_the_last_agent(patch):
    original = agent.target_of

    def target(workload, who, number, agents, seed):
        hub = workload.topology == "hub"
        return agents - 1 if hub else original(workload, who, number, agents, seed)

    patch.setattr(agent, "target_of", target)


def a_broadcast_goes_to_the_last_agent_first(patch):
    original = agent.target_of

    def target(workload, who, number, agents, seed):
        first = original(workload, who, number, agents, seed)
        return agents - first if workload.topology == "broadcast" else first

    patch.setattr(agent, "target_of", target)


def the_next_broadcast_waits_for_the_first_delivery(patch):
    original = ledger.Countdown.__init__
    patch.setattr(
        ledger.Countdown, "__init__", lambda self, _messages, event: original(self, 1, event)
    )


def a_broadcast_leaves_only_when_its_first_message_has_left(patch):
    def carry(self, message):
        bridge, sender, number = self.bridge, message.sender, message.number
        yield from bridge.receive(message)
        yield from bridge.compute(sender, self._validate, sender, number)
        yield from bridge.compute(sender, bridge.write_cpu, sender, number)
        yield from bridge.store.write(message, self._stored)
        yield from self.hand_over(message)
        for copy in message.copies:
            self.env.process(self.hand_over(copy))
        yield from bridge.acknowledge(message, stored=True)

    patch.setattr(Push, "carry", carry)


def bursts_begin_with_their_agent(patch):
    def send_at_a_rate(self, who, start):
        env = self._bridge.env
        yield env.timeout(start)
        for number in itertools.count():
            expected = self._expected.draw(who, number)
            yield env.timeout(agent.time_to_next(env.now - start, expected, self._schedule))
            self._send(who, number)

    patch.setattr(agent.Senders, "send_at_a_rate", send_at_a_rate)


def the_rate_stays_what_it_was_at_the_last_message(patch):
    def time_to_next(now, expected, schedule):
        ends = np.cumsum(schedule[0, :-1])
        rate = schedule[1, np.searchsorted(ends, now % ends[-1], side="right")]
        return float(expected / rate) if rate > 0 else 4 * TICK

    patch.setattr(agent, "time_to_next", time_to_next)


def a_slow_agent_pauses_like_others(patch):
    def think(self, _who, stage, entity, index):
        if stage is not None:
            yield self.env.timeout(stage.draw(entity, index))

    patch.setattr(Bridge, "think", think)


def a_push_to_a_slow_agent_takes_as_long_as_one_from_it(patch):
    original = Bridge.travel

    def travel(self, who, route, entity, index):
        return original(self, entity, route, entity, index)

    patch.setattr(Bridge, "travel", travel)


def the_first_agents_are_slow(patch):
    original = running.slow_agents

    def slow_agents(*arguments):
        return dict(enumerate(original(*arguments).values()))

    patch.setattr(running, "slow_agents", slow_agents)


def a_slow_agent_takes_longer_for_a_retransmission(patch):
    original = Route.delay

    def delay(self, entity, index, slowness):
        return original(self, entity, index, 1.0) * slowness

    patch.setattr(Route, "delay", delay)


def the_timeout_of_a_retransmission_stays_the_same(patch):
    def retransmission_delay(u, loss, timeout):
        delay = 0.0
        while u < loss:
            u, delay = u / loss, delay + timeout
        return delay

    patch.setattr(stage, "retransmission_delay", retransmission_delay)


def a_bucket_holds_one_token_more(patch):
    original = limits.take_token
    patch.setattr(
        limits, "take_token", lambda now, full, every, burst: original(now, full, every, burst + 1)
    )


def a_bucket_is_empty_at_first(patch):
    original = limits.Buckets.__init__

    def init(self, limit):
        original(self, limit)
        self._full_at = dict.fromkeys(range(100), limit.burst / limit.rate)

    patch.setattr(limits.Buckets, "__init__", init)


def a_rejected_message_takes_a_token_too(patch):
    def take(self, who, now):
        full_at = max(self._full_at.get(who, 0.0), now)
        self._full_at[who] = full_at + self._interval
        return full_at <= now + (self._burst - 1) * self._interval

    patch.setattr(limits.Buckets, "take", take)


def all_agents_share_a_bucket(patch):
    original = limits.Buckets.take
    patch.setattr(limits.Buckets, "take", lambda self, _who, now: original(self, 0, now))


def a_rejected_message_is_acknowledged(patch):
    original = Push.carry

    def carry(self, message):
        yield from original(self, message)
        if message.outcome is Outcome.REJECTED and np.isnan(message.stored):
            yield from self.bridge.acknowledge(message, stored=False)

    patch.setattr(Push, "carry", carry)


def the_last_agent_of_a_ramp_starts_at_its_end(patch):
    original = agent.start_time

    def start_time(how, over, who, agents, seed):
        return original(how, over, who, agents - 1 if how == RAMP else agents, seed)

    patch.setattr(agent, "start_time", start_time)


def the_start_of_an_agent_is_that_of_the_next(patch):
    original = agent.start_time

    def start_time(how, over, who, agents, seed):
        return original(how, over, who + 1, agents, seed)

    patch.setattr(agent, "start_time", start_time)


def the_first_gap_is_like_the_others(patch):
    patch.setattr(Periodic, "first_gap", Periodic.gap)


def an_agent_sends_before_it_receives(patch):
    original = Environment.process

    def process(self, steps):
        if steps.__name__ == "attend":
            self.held = steps
            return
        original(self, steps)
        if steps.__name__ in {"send_on_schedule", "send_in_turn"}:
            original(self, self.held)

    patch.setattr(Environment, "process", process)


# The account


def a_message_counts_for_the_batch_after_its_own(patch):
    original = ledger.batch

    def batch(created, start, end, batches):
        among = original(created, start, end, batches)
        return min(among + 1, batches - 1) if among >= 0 else among

    patch.setattr(ledger, "batch", batch)


def the_end_of_the_cohort_belongs_to_it(patch):
    def batch(created, start, end, batches):
        if not start <= created <= end:
            return -1
        return min(int((created - start) / (end - start) * batches), batches - 1)

    patch.setattr(ledger, "batch", batch)


def a_stored_message_takes_no_memory(patch):
    def current(self):
        memory = self._memory
        held = memory.baseline + memory.per_agent * self._agents
        return held + memory.per_connection * self.connections

    patch.setattr(MemoryUse, "current", property(current))


def the_last_end_of_a_message_is_that_of_the_one_before(patch):
    original = Ledger.end

    def end(self, message, outcome, now):
        before = self.created and self.previous_end
        original(self, message, outcome, now)
        self.previous_end, self.last_end = now, before

    patch.setattr(Ledger, "previous_end", 0.0, raising=False)
    patch.setattr(Ledger, "end", end)


SLIPS = [
    the_sleeps_of_a_locked_out_writer_begin_with_the_second,
    a_locked_out_writer_gives_up_too_late,
    a_locked_out_writer_waits_in_line,
    a_batch_of_writes_holds_one_event_more,
    a_batch_of_writes_costs_what_its_last_event_does,
    the_first_event_of_a_batch_adds_to_its_write_too,
    a_batch_of_writes_lingers_from_its_last_event_on,
    the_linger_of_a_full_batch_of_writes_ends_the_next,
    the_last_request_of_a_batch_goes_on_first,
    the_last_event_of_a_batch_is_committed_first,
    the_requests_of_a_batch_go_on_after_other_events,
    a_batch_that_is_full_waits_for_other_events,
    a_batch_that_gives_up_is_stored_all_the_same,
    each_event_of_a_batch_counts_as_a_write,
    an_event_of_the_very_age_is_still_kept,
    one_event_more_is_kept,
    the_events_at_the_start_have_no_age,
    what_is_removed_is_still_scanned,
    what_is_removed_still_takes_memory,
    memory_falls_only_when_something_is_written,
    a_query_still_finds_what_is_removed,
    an_agent_still_gets_what_is_removed,
    only_what_an_answer_has_room_for_expires,
    what_is_removed_expires_on_its_way_to_a_connection,
    an_answer_holds_one_message_more,
    the_newest_message_is_taken_first,
    one_request_more_is_held,
    the_timeout_itself_is_still_in_time,
    the_timeout_counts_from_before_the_parsing,
    the_queries_of_each_request_are_numbered_anew,
    the_jitter_of_a_sleep_is_that_of_the_next,
    a_sleep_grows_beyond_the_longest,
    a_request_goes_on_with_the_sleep_of_the_one_before,
    a_write_wakes_only_who_sleeps_already,
    a_woken_request_goes_on_before_other_events,
    an_alarm_in_vain_ends_the_next_sleep,
    a_cache_entry_of_the_age_of_its_ttl_is_too_old,
    a_cache_entry_is_as_old_as_the_answer,
    no_write_removes_a_cache_entry,
    the_lowest_priority_comes_first,
    the_priority_of_a_message_is_that_of_the_next,
    a_connection_is_held_until_the_answer_is_there,
    an_answer_holds_what_is_stored_when_its_query_ends,
    a_message_is_visible_from_the_start_of_its_write,
    the_log_is_as_long_as_at_the_start,
    the_log_is_measured_when_a_query_arrives,
    the_owner_goes_on_before_the_next_starts,
    the_next_starts_before_the_effect,
    the_last_come_is_first_served,
    a_station_has_one_server_more,
    a_collection_is_one_operation_early,
    a_stall_stretches_a_service_that_is_due_when_it_begins,
    a_stall_that_has_begun_counts_in_full,
    stalls_that_overlap_count_twice,
    a_stall_of_the_store_does_not_stop_its_writer,
    a_loop_begins_warm,
    a_loop_is_idle_since_the_start_of_its_last_operation,
    a_loop_warms_up_twice_as_fast,
    stalls_count_as_work,
    a_slowdown_begins_after_its_first_instant,
    the_fastest_of_the_slowdowns_that_overlap_counts,
    a_slowdown_is_no_work,
    a_slow_loop_warms_up_more,
    an_agent_is_on_the_next_loop,
    one_message_more_fits_an_outbound_queue,
    a_message_finds_the_next_connection_open,
    one_connection_more,
    the_last_in_line_enters_first,
    parked_messages_go_out_newest_first,
    an_agent_that_has_not_come_yet_misses_its_messages,
    a_closed_connection_still_delivers,
    an_agent_is_connected_before_its_accept,
    the_loop_of_the_sender_pays_the_relay,
    a_message_is_acknowledged_before_it_is_pushed,
    a_client_comes_when_its_first_agent_starts,
    a_client_comes_when_its_last_agent_starts,
    the_agents_of_a_client_are_on_different_loops,
    a_client_is_on_the_loop_of_its_first_agent,
    the_last_client_has_as_many_agents_as_the_others,
    a_client_draws_by_its_own_number,
    a_client_is_as_slow_as_its_last_agent,
    a_message_is_as_late_as_the_client_is_slow,
    a_poll_brings_the_messages_of_the_first_agent,
    each_agent_has_a_batch_of_its_own,
    a_shared_queue_has_places_for_each_agent,
    an_agent_of_a_client_that_has_come_may_be_a_stranger,
    each_agent_of_a_client_is_a_connection,
    the_newest_that_waits_is_dropped,
    a_dropped_message_is_sent_all_the_same,
    the_last_that_is_blocked_goes_on_first,
    who_is_blocked_takes_no_place_over,
    who_is_blocked_waits_for_the_next_message_when_the_connection_closes,
    the_message_that_closes_a_connection_is_dropped,
    an_agent_whose_connection_was_closed_does_not_come_back,
    the_first_refusal_changes_nothing,
    there_is_no_end_to_the_backoff,
    heartbeats_go_on_when_the_connection_has_closed,
    no_heartbeat_is_left_out,
    an_agent_that_polls_never_tries_to_connect_again,
    polls_and_attempts_are_numbered_apart,
    what_waits_for_an_agent_that_polls_is_rejected,
    a_poll_takes_one_connection,
    a_batch_costs_what_its_last_message_does,
    a_batch_lingers_from_its_last_message_on,
    the_linger_of_a_full_batch_ends_the_next,
    the_batch_of_a_connection_that_closes_is_sent_in_vain,
    a_batch_holds_one_message_more,
    the_timeout_of_an_elicitation_counts_from_the_creation,
    a_message_is_delivered_when_its_answer_is,
    who_declines_does_not_answer,
    an_answer_that_declines_is_validated,
    what_has_expired_is_not_answered,
    only_the_first_of_a_broadcast_expires,
    an_answer_takes_a_slow_target_no_longer,
    the_answer_to_a_slow_agent_takes_as_long_as_others,
    a_request_travels_before_its_reply_is_paid,
    the_target_answers_what_a_reply_has_asked,
    the_copies_of_a_request_in_a_reply_never_expire,
    in_pairs_the_odd_agents_send,
    a_random_target_is_that_of_the_next_message,
    a_message_goes_to_the_agent_before,
    the_centre_of_a_hub_is_the_last_agent,
    a_broadcast_goes_to_the_last_agent_first,
    the_next_broadcast_waits_for_the_first_delivery,
    a_broadcast_leaves_only_when_its_first_message_has_left,
    bursts_begin_with_their_agent,
    the_rate_stays_what_it_was_at_the_last_message,
    a_slow_agent_pauses_like_others,
    a_push_to_a_slow_agent_takes_as_long_as_one_from_it,
    the_first_agents_are_slow,
    a_slow_agent_takes_longer_for_a_retransmission,
    the_timeout_of_a_retransmission_stays_the_same,
    a_bucket_holds_one_token_more,
    a_bucket_is_empty_at_first,
    a_rejected_message_takes_a_token_too,
    all_agents_share_a_bucket,
    a_rejected_message_is_acknowledged,
    the_last_agent_of_a_ramp_starts_at_its_end,
    the_start_of_an_agent_is_that_of_the_next,
    the_first_gap_is_like_the_others,
    an_agent_sends_before_it_receives,
    a_message_counts_for_the_batch_after_its_own,
    the_end_of_the_cohort_belongs_to_it,
    a_stored_message_takes_no_memory,
    the_last_end_of_a_message_is_that_of_the_one_before,
]
LOSSES = [
    Purpose.LOSS_MESSAGE_UP,
    Purpose.LOSS_REQUEST_UP,
    Purpose.LOSS_ANSWER_DOWN,
    Purpose.LOSS_PUSH_DOWN,
    Purpose.LOSS_ANSWER_UP,
]
NO_STAGES = {
    Purpose.REPLICATION,
    Purpose.START,
    Purpose.TARGET,
    Purpose.ANSWER,
    Purpose.STALL_GAP,
    Purpose.STALL_LENGTH,
    Purpose.SLOWDOWN_GAP,
    Purpose.SLOWDOWN_LENGTH,
    Purpose.SLEEP,
    Purpose.SLOW,
    *LOSSES,
    Purpose.PRIORITY,
}
# Of what the compiled engine does not cover.
WITH_SIMPY_ALONE = {
    Purpose.RETRY,
    Purpose.REPLY_DOWN,
    Purpose.LOSS_REPLY_DOWN,
    Purpose.DISCONNECT,
}


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: slip.__name__)
def test_a_planted_error_is_found(slip):
    assert found(slip) != []


@pytest.mark.parametrize(
    "purpose",
    [p for p in Purpose if p not in NO_STAGES | WITH_SIMPY_ALONE],
    ids=lambda p: p.name,
)
def test_a_draw_at_the_address_of_the_next_is_found(purpose):
    original = Stage.draw

    def next_draw(self, entity, index):
        return original(self, entity, index + (self._purpose == purpose))

    assert found(lambda patch: patch.setattr(Stage, "draw", next_draw)) != []


@pytest.mark.parametrize("purpose", LOSSES, ids=lambda p: p.name)
def test_losses_at_the_address_of_the_next_are_found(purpose):
    def next_uniform(seed, losses, entity, index):
        return uniform(seed, losses, entity, index + (losses == purpose))

    assert found(lambda patch: patch.setattr(stage, "uniform", next_uniform)) != []


@pytest.mark.parametrize("purposes", ["OF_STALLS", "OF_SLOWDOWNS"])
def test_a_timeline_drawn_for_another_purpose_is_found(purposes):
    swapped = getattr(stalls, purposes)[::-1]
    assert found(lambda patch: patch.setattr(stalls, purposes, swapped)) != []


def test_stalls_drawn_from_another_host_are_found():
    other_host = functools.partial(stalls.of_host, host=1)
    assert found(lambda patch: patch.setattr(stalls, "of_host", other_host)) != []
