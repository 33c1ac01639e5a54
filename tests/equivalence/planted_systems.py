"""The fixed list of systems on which a planted error is looked for."""

import itertools

import attrs
from comparison import Case
from generators import LONG_RANDOM, SHORT_RANDOM, TICK

from lhsim.distributions import Deterministic, Exponential
from lhsim.distributions.base import ZERO
from lhsim.models import (
    AgentClass,
    Cache,
    Closed,
    Collection,
    Cpu,
    Disconnect,
    Elicitation,
    EventStore,
    Growth,
    Memory,
    Network,
    NodeFailure,
    Nodes,
    Outage,
    PerByte,
    Periodic,
    Piece,
    Piecewise,
    Poisson,
    PollingServer,
    PushServer,
    RateLimit,
    Recorded,
    Requests,
    RequestServer,
    Retention,
    Retry,
    Slow,
    Slowdown,
    Slowdowns,
    Stall,
    Stalls,
    System,
    Warmth,
    Webhook,
    Workload,
)

HALF, ONE, TWO = (Deterministic(ticks * TICK) for ticks in (0.5, 1, 2))
NAMES = (
    "parse_message", "parse_request", "validate", "write", "query", "respond", "acknowledge",
    "connect", "send", "relay",
)  # fmt: skip


def polling(name, **parts):
    return System(name=name, **{"polling": PollingServer()} | parts)


def push(name, **parts):
    return System(name=name, **{"push": PushServer()} | parts)


def requests(name, **parts):
    return System(name=name, **{"requests": RequestServer()} | parts)


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
TURNS = {"cpu": attrs.evolve(RANDOM["cpu"], workers=1, turn=TICK)}
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
RECORDED = Recorded((0.0, TICK, 0.4, 0.55, 0.9), 1.0, clients=(0, 1, 0, 1, 0))

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
            "first sleeps",
            workload=Workload(traffic=Poisson(4.0)),
            network=Network(HALF, ONE),
            polling=PollingServer(
                interval=TICK, timeout=0.5, first_sleep=3 * TICK, growth=Growth(2.0, 8 * TICK)
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
    Case(push("in turns", **RANDOM | TURNS), 6, duration=4.0),
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
    Case(push("recorded", workload=Workload("pair", RECORDED)), 8, duration=4.0),
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
            "backlog",
            workload=Workload(traffic=Closed(None, TWO), start="together"),
            cpu=Cpu(connect=Exponential(4 * TICK)),
            push=PushServer(backlog=1, **SHORT_SESSIONS),
        ),
        6,
        duration=16.0,
    )
)
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

CLIENTS = Requests(think=LONG_RANDOM[0], in_flight=2)
SLICES = {"quantum": TICK / 8, "switch": TICK / 64}
ONE_LOOP = attrs.evolve(RANDOM["cpu"], workers=1, **SLICES)
FIRST = attrs.evolve(ONE_LOOP, warmth=None, collection=None, stalls=None)
EQUAL = {"quantum": 0.0, "switch": 0.0}
STORE = attrs.evolve(RANDOM["store"], scan=0.0)
OF_CLIENTS = {
    "workload": Workload(traffic=CLIENTS, slow=Slow(0.5, 3.0)),
    "network": RANDOM["network"],
    "cpu": FIRST,
    "store": attrs.evolve(STORE, quantum=TICK / 8),
}
GRID = {
    "workload": Workload(traffic=Requests(think=ONE, in_flight=2), start="together"),
    "network": Network(ONE, ONE),
    "cpu": Cpu(**dict.fromkeys(NAMES, ONE)),
    "store": EventStore(ONE, ONE, connections=2),
}


def of_clients(**changes):
    """Return the traffic of clients that differ from the others in this."""
    return {"workload": Workload(traffic=attrs.evolve(CLIENTS, **changes))}


CASES += [
    Case(requests(name, **OF_CLIENTS | parts), agents, duration=4.0)
    for name, agents, parts in (
        ("slices", 6, {}),
        ("slices of cores", 9, {"cpu": attrs.evolve(FIRST, cores=3)}),
        ("slices, with a state", 6, {"cpu": ONE_LOOP}),
        ("equal shares", 6, {"cpu": attrs.evolve(FIRST, **EQUAL),
                             "store": attrs.evolve(STORE, quantum=0.0)}),
        ("equal shares of cores", 9, {"cpu": attrs.evolve(FIRST, cores=3, **EQUAL)}),
        ("equal shares, with a state", 3, {"cpu": attrs.evolve(ONE_LOOP, **EQUAL)}),
        ("requests in a hurry", 6, of_clients(patience=8 * TICK)),
        ("requests, several of a client", 3, of_clients(in_flight=3, requests=20)),
        ("requests, workers", 6, {"requests": RequestServer(workers=2)}),
        ("requests, a limit of their rate", 6,
         of_clients(patience=TICK) | {"requests": RequestServer(rate_limit=RateLimit(8.0, 2))}),
    )
]  # fmt: skip
CASES += [
    Case(requests(name, **GRID | parts), 4, duration=4.0)
    for name, parts in (
        ("slices that end together", {"cpu": attrs.evolve(GRID["cpu"], quantum=TICK / 2)}),
        ("slices of cores that end together",
         {"cpu": Cpu(cores=3, quantum=TICK / 2, **dict.fromkeys(NAMES, TWO)),
          "network": Network(HALF, ONE), "store": EventStore()}),
        ("equal shares, all the same",
         {"cpu": Cpu(parse_request=ONE, respond=ONE, quantum=0.0)}),
        ("requests, answers by turn",
         {"requests": RequestServer(by_turn=True), "cpu": Cpu(query=TWO, respond=ONE),
          "store": EventStore(HALF)}),
        ("requests, answers by turn, all the same",
         {"requests": RequestServer(by_turn=True, workers=3), "cpu": Cpu(query=ONE),
          "store": EventStore(), "network": Network()}),
        ("requests, workers, all the same",
         {"requests": RequestServer(workers=3), "cpu": Cpu(query=ONE, respond=ONE)}),
    )
]  # fmt: skip
CASES.append(
    Case(
        polling(
            "a store in slices that is polled",
            workload=Workload(traffic=Poisson(8.0)),
            store=EventStore(ONE, ONE, connections=1, quantum=TICK / 2),
            polling=PollingServer(interval=TICK),
        ),
        3,
        duration=4.0,
    )
)
CASES += [
    Case(server(f"{name} in slices", **RANDOM | {"cpu": ONE_LOOP, "store": OF_CLIENTS["store"]}), 6)
    for name, server in (("polling", polling), ("push", push))
]

RETRY = Retry(timeout=4 * TICK, backoff=2 * TICK, factor=1.5, longest=4 * TICK, jitter=0.5)
TRIES_AGAIN = RANDOM | {"workload": Workload(traffic=Poisson(8.0), retry=RETRY)}
PATIENT = Retry(timeout=16 * TICK, backoff=4 * TICK)
CUT = (Disconnect(1.0, 0.5), Disconnect(2.0, 0.5))
OUTAGE = (Outage(1.0, 0.5),)
AT_TIMES = tuple(Disconnect(1.0 + times * 17 * TICK) for times in range(8))
LATER = PushServer(overflow="wait", reconnect=ONE)
COMES_BACK = PushServer(overflow="wait", **SHORT_SESSIONS)


def all_the_same(**changes):
    """Return a closed loop of messages, all of whose steps take the same time."""
    return ALL_THE_SAME | {"workload": attrs.evolve(ALL_THE_SAME["workload"], **changes)}


def of_retries(**changes):
    """Return what senders that try again are like, who differ from the others in this."""
    return {"workload": Workload(traffic=Poisson(8.0), retry=attrs.evolve(RETRY, **changes))}


CASES += [
    Case(push(name, **TRIES_AGAIN | parts), 6, duration=4.0)
    for name, parts in (
        ("retries", {}),
        ("retries on a budget", of_retries(budget=0.6)),
        ("retries, losses",
         {"network": Network(ONE, ONE, loss=0.3, retransmission_timeout=TICK),
          "cpu": Cpu(parse_message=HALF), "store": EventStore(write=HALF)}),
        ("retries, a limit of their rate", {"push": PushServer(rate_limit=RateLimit(4.0, 2))}),
        ("retries of broadcasts",
         {"workload": Workload("broadcast", Poisson(4.0), retry=RETRY)}),
        ("retries, an outage", {"faults": OUTAGE, "push": COMES_BACK}),
        ("cut connections", {"faults": CUT, "push": COMES_BACK}),
        ("an outage, a line", {"faults": OUTAGE, "push": attrs.evolve(COMES_BACK, connections=2)}),
        ("an outage, overlapping another",
         {"faults": (Outage(1.0, 0.5), Outage(1.2, 0.1)), "push": COMES_BACK}),
        ("an outage, elicitations",
         {"faults": OUTAGE,
          "push": attrs.evolve(COMES_BACK, elicitation=Elicitation(1.0, LONG_RANDOM[0]))}),
        ("an outage, fallback",
         {"faults": OUTAGE,
          "push": attrs.evolve(COMES_BACK, connections=2, overflow="fallback",
                               fallback_interval=4 * TICK)}),
    )
]  # fmt: skip
GIVES_UP = PollingServer(
    interval=4 * TICK, timeout=16 * TICK, limit=2, client_timeout=6 * TICK, backoff=TICK
)
CASES += [
    Case(polling(name, **RANDOM | parts), 6, duration=4.0)
    for name, parts in (
        ("requests that are given up",
         {"polling": GIVES_UP, "network": Network(LONG_RANDOM[7], LONG_RANDOM[2])}),
        ("requests that are given up, and woken",
         {"polling": attrs.evolve(GIVES_UP, interval=32 * TICK, wake_on_write=True)}),
        ("an outage, polled", {"faults": OUTAGE, "workload": TRIES_AGAIN["workload"]}),
    )
]  # fmt: skip
CASES += [
    Case(
        push("retries, all the same", **all_the_same(retry=Retry(4 * TICK, backoff=TICK))),
        4,
        duration=4.0,
    ),
    Case(
        push(
            "retries, an outage, all the same",
            **all_the_same(retry=PATIENT) | {"push": PushServer(reconnect=ONE), "faults": AT_TIMES},
        ),
        4,
        duration=4.0,
    ),
    Case(
        push(
            "cut connections, all the same",
            **ALL_THE_SAME | {"push": LATER, "faults": AT_TIMES},
        ),
        4,
        duration=4.0,
    ),
]

LINKED = Nodes(3, "least_connections", link=SHORT_RANDOM[7])
OF_NODES = RANDOM | {"workload": Workload(traffic=Poisson(8.0)), "nodes": LINKED}
TWO_LOOPS = Cpu(workers=2, **dict.fromkeys(NAMES, SHORT_RANDOM[7]))
ASKS = PushServer(overflow="wait", elicitation=Elicitation(1.0, LONG_RANDOM[0], accept=0.7))


def chosen(rule, **changes):
    """Return nodes that are chosen by another rule."""
    return {"nodes": attrs.evolve(LINKED, rule=rule, **changes)}


CASES += [
    Case(push(f"nodes, {name}", **OF_NODES | parts), 9, duration=4.0)
    for name, parts in (
        ("pushed", {}),
        ("pushed by hash", chosen("hash") | {"cpu": TWO_LOOPS}),
        ("pushed in turns", chosen("round_robin")),
        ("pushed at random", chosen("random") | {"cpu": TWO_LOOPS}),
        ("pushed by two choices", chosen("two_choices")),
        ("pushed, kept", chosen("random", affinity=True)),
        ("broadcasts", {"workload": Workload("broadcast", Poisson(2.0))} | chosen("random")),
        ("a limit of their rate", {"push": PushServer(rate_limit=RateLimit(4.0, 2))}),
        ("few places", {"push": PushServer(connections=1, **SHORT_SESSIONS)}),
        ("a line", {"push": PushServer(connections=2, overflow="wait", **SHORT_SESSIONS)}),
        ("fallback", {"push": PushServer(connections=1, overflow="fallback",
                                         fallback_interval=2 * TICK, **SHORT_SESSIONS)}),
        ("elicitations", {"push": ASKS}),
        ("elicitations at random", {"push": ASKS} | chosen("random")),
    )
]  # fmt: skip
CASES += [
    Case(polling(f"nodes, {name}", **RANDOM | parts), 9, duration=4.0)
    for name, parts in (
        ("polled", {"nodes": Nodes(3, "least_connections")}),
        ("polled at random", {"nodes": Nodes(3, "random")}),
        ("polled, few places",
         {"nodes": Nodes(3, "round_robin"),
          "polling": PollingServer(interval=TICK, timeout=8 * TICK, connections=1, backoff=TICK)}),
    )
]  # fmt: skip
CASES += [
    Case(requests(f"nodes, {name}", **OF_CLIENTS | parts), 9, duration=4.0)
    for name, parts in (
        ("asked", {"nodes": Nodes(3, "least_connections")}),
        ("asked by two choices", {"nodes": Nodes(4, "two_choices")}),
        ("asked, workers", {"nodes": Nodes(2, "random"), "requests": RequestServer(workers=1)}),
    )
]  # fmt: skip
FAILS = {"faults": tuple(NodeFailure(0.6 + 0.4 * k, 0.3, k % 3) for k in range(8))}
SLOW_REPLIES = {"network": Network(SHORT_RANDOM[7], LONG_RANDOM[8])}
CASES += [
    Case(push(f"nodes, one fails{name}", **OF_NODES | FAILS | parts), 9, duration=4.0)
    for name, parts in (
        ("", {"push": COMES_BACK}),
        (", kept", {"push": COMES_BACK} | chosen("random", affinity=True)),
        (", retries",
         {"push": COMES_BACK, "workload": TRIES_AGAIN["workload"]} | chosen("two_choices")),
        (", retries, slow replies",
         {"push": COMES_BACK, **of_retries(timeout=1.0)} | SLOW_REPLIES | chosen("hash")),
        (", a line", {"push": attrs.evolve(COMES_BACK, connections=2)} | chosen("round_robin")),
    )
]  # fmt: skip
CASES += [
    Case(polling("nodes, one fails, polled", **RANDOM | FAILS | chosen("hash", link=ZERO)), 9),
    Case(requests("nodes, one fails, asked", **OF_CLIENTS | FAILS | chosen("hash", link=ZERO)), 9),
]


A_BYTE = TICK / 8192  # costs [s]
SIZES = {
    "network": Network(ONE, ONE, loss=0.1, retransmission_timeout=TICK, bandwidth=1024 / TICK),
    "cpu": Cpu(
        **dict.fromkeys(NAMES, Deterministic(TICK / 16)),
        per_byte=PerByte(*(A_BYTE for _ in attrs.fields(PerByte))),
    ),
    "store": EventStore(
        HALF, HALF, connections=2, write_per_byte=A_BYTE, query_per_byte=2 * A_BYTE
    ),
}
IN_BATCHES = EventStore(HALF, HALF, batch_size=3, linger=TICK, write_per_byte=2 * A_BYTE)
OFTEN = PollingServer(4 * TICK, limit=3)
OF_CLASSES = Workload(
    topology="random",
    traffic=Poisson(4.0),
    think=ONE,
    payload=Exponential(100.0),
    classes=(
        AgentClass(0.4, "loud", rate=8.0, payload=Exponential(300.0), target="far"),
        AgentClass(0.2, "silent", rate=0.0),
        AgentClass(0.4, "far", think=TWO, network=Network(TWO, TWO, bandwidth=512 / TICK)),
    ),
)
SMALL = Exponential(100.0)
CASES += [
    Case(push("classes, pushed", **SIZES, workload=OF_CLASSES), 10),
    Case(
        polling(
            "classes, polled", **SIZES, workload=OF_CLASSES, polling=OFTEN
        ),
        10,
    ),
    Case(
        push(
            "sizes, broadcast in batches",
            **SIZES
            | {"store": IN_BATCHES},
            workload=Workload("broadcast", Poisson(16.0), payload=SMALL),
            push=PushServer(batch_size=3, linger=TICK),
        ),
        5,
    ),
    Case(push("sizes, slow agents", **SIZES, workload=Workload(payload=SMALL,
         traffic=Poisson(8.0), slow=Slow(0.5, 3.0))), 6),
    Case(push("sizes, retries", **SIZES, workload=Workload(payload=SMALL,
         traffic=Poisson(8.0), retry=Retry(4 * TICK, backoff=TICK))), 6),
    Case(
        requests(
            "sizes, requests",
            **SIZES,
            workload=Workload(traffic=Requests(think=ONE), payload=SMALL),
            requests=RequestServer(answer_payload=Exponential(300.0)),
        ),
        4,
    ),
    Case(
        requests(
            "sizes, requests and a limit of their rate",
            **SIZES,
            workload=Workload(traffic=Requests(think=ONE), payload=SMALL),
            requests=RequestServer(answer_payload=Exponential(300.0), rate_limit=RateLimit(4.0, 1)),
        ),
        4,
    ),
]  # fmt: skip

SHORT = PollingServer(
    interval=TICK, hold=False, jitter=0.25, first_sleep=TICK / 2, growth=Growth(2.0, 8 * TICK)
)
HERD = PollingServer(interval=32 * TICK, wake_on_write=True, wake="all")
CASES += [
    Case(polling(name, **parts), 6, duration=4.0)
    for name, parts in (
        ("short polls", RANDOM | {"polling": SHORT}),
        ("short polls that are given up",
         RANDOM | {"polling": attrs.evolve(SHORT, client_timeout=8 * TICK, backoff=TICK)}),
        ("everybody wakes", all_the_same(traffic=Closed(None, TWO)) | {"polling": HERD}),
        ("everybody wakes, or has given up",
         RANDOM | {"polling": attrs.evolve(HERD, client_timeout=16 * TICK, backoff=TICK)}),
    )
]  # fmt: skip

TAKEN = PollingServer(interval=4 * TICK, limit=2, visibility=8 * TICK)
WOKEN = attrs.evolve(TAKEN, interval=64 * TICK, wake_on_write=True)
TO_A_QUEUE = {
    "workload": Workload("queue", Poisson(16.0), think=LONG_RANDOM[8], producers=2),
    "cpu": attrs.evolve(RANDOM["cpu"], query=LONG_RANDOM[0]),
}
SELDOM = attrs.evolve(TO_A_QUEUE["workload"], traffic=Poisson(3.0))
CASES += [
    Case(polling(name, **RANDOM | TO_A_QUEUE | parts), 6, duration=4.0)
    for name, parts in (
        ("a queue", {"polling": TAKEN}),
        ("a queue that wakes one", {"polling": WOKEN, "workload": SELDOM}),
        ("a queue that wakes all",
         {"polling": attrs.evolve(WOKEN, wake="all"), "workload": SELDOM}),
        ("a queue of those who send, too",
         {"polling": TAKEN,
          "network": Network(LONG_RANDOM[1], LONG_RANDOM[2], loss=0.3, retransmission_timeout=TICK),
          "workload": Workload("queue", Poisson(8.0), LONG_RANDOM[0], slow=Slow(0.5, 3.0))}),
        ("a queue, retries",
         {"polling": WOKEN, "workload": attrs.evolve(TO_A_QUEUE["workload"], retry=RETRY)}),
        ("a queue that is forgotten",
         {"polling": attrs.evolve(TAKEN, visibility=None),
          "store": EventStore(HALF, HALF, retention=Retention(count=4))}),
    )
]  # fmt: skip

CASES.append(
    Case(
        polling(
            "a queue with one consumer",
            workload=Workload("queue", Poisson(4.0), think=ONE, producers=2),
            store=EventStore(query=LONG_RANDOM[0]),
            polling=WOKEN,
        ),
        3,
        duration=4.0,
    )
)

HOOK = Webhook(
    attempts=3, timeout=16 * TICK, backoff=2 * TICK, failure=0.3, think=LONG_RANDOM[8], in_flight=3
)
CASES += [
    Case(push(name, **RANDOM | {"push": PushServer(webhook=HOOK)} | parts), 6, duration=4.0)
    for name, parts in (
        ("webhooks", {}),
        ("webhooks, dead letters",
         {"push": PushServer(webhook=Webhook(2, 2 * TICK, TICK, failure=0.5))}),
        ("webhooks, slow agents and losses",
         {"workload": Workload("random", Poisson(4.0), slow=Slow(0.5, 3.0)),
          "network": Network(LONG_RANDOM[1], LONG_RANDOM[2], loss=0.3,
                             retransmission_timeout=TICK)}),
        ("webhooks, retries", {"workload": TRIES_AGAIN["workload"]}),
        ("webhooks, an outage", {"faults": OUTAGE}),
    )
]  # fmt: skip
ALL_POSTS = Webhook(2, 4 * TICK, TICK, think=ONE, in_flight=2)
CASES.append(
    Case(
        push("webhooks, all the same", **ALL_THE_SAME | {"push": PushServer(webhook=ALL_POSTS)}),
        4,
        duration=4.0,
    )
)


def with_a_long_window(case):
    """Return a case whose window has most of its messages: an order shows in their sum alone."""
    if case.warmup is not None or case.system.offered_load(case.agents) is None:
        return case
    tenth = case.duration / 10
    lead = min(case.system.workload.started_by, case.duration / 4)
    return attrs.evolve(case, warmup=lead + tenth, drain=min(5.0, tenth))


CASES = [with_a_long_window(case) for case in CASES]
