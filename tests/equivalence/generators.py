"""Random systems over the whole description, for Hypothesis.

Each class of the description has a table of what its fields may be, by their names; a field that
is added later has to be added here, which `test_systems.py` sees to. A case has a *mood*: constant
costs on a binary grid make many events happen at one instant, where only the order of scheduling
decides; random costs make none; mixed ones make some; and there are costs of all scales. Costs are
often 0, which takes no event.
"""

import math

import attrs
from comparison import Case
from hypothesis import strategies as st

from lhsim.distributions import (
    Deterministic,
    Empirical,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Mixture,
    Uniform,
)
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
from lhsim.models.faults import cuts
from lhsim.models.nodes import RULES
from lhsim.models.polling import WAKES
from lhsim.models.push import OUTBOUND_POLICIES, OVERFLOWS

TICK = 1 / 64  # [s]; sums of ticks are exact
MOODS = ("grid", "grid", "mixed", "random", "scales")
STEPS = 20_000  # of a run at most, by a rough bound: so it takes SimPy 50 ms at most
SAMPLED = 100 * TICK  # a duration of which every sample falls on a tick [s]

# Pools, not strategies of their parameters: to tabulate a distribution takes longer than a run.
SHORT_GRID = [Deterministic(TICK / n) for n in (16, 4, 1)]
LONG_GRID = [Deterministic(TICK * n) for n in (1, 2, 4, 16)]


def _random_pool(mean):
    return [
        Exponential(mean),
        Uniform(0.0, 2 * mean),
        Lognormal(mean / 2, 1.0),
        Gamma(mean, 0.5),
        Hyperexponential((0.9, 0.1), (mean / 2, 5 * mean)),
        Mixture((0.5, 0.5), (ZERO, Deterministic(2 * mean))),  # now and then a service of 0 s
        Empirical((mean / 2, mean, 3 * mean)),
    ]


SHORT_RANDOM = [*_random_pool(TICK / 16), *_random_pool(TICK / 2)]
LONG_RANDOM = [*_random_pool(2 * TICK), *_random_pool(16 * TICK)]
# Wide apart: events at distances of a microsecond and beyond the end of the run.
SCALES = [
    Exponential(1e-6), Exponential(1e-4), Lognormal(1e-4, 3.0), Exponential(TICK), Uniform(0.0, 4.0)
]  # fmt: skip
SHORT = {
    "grid": SHORT_GRID,
    "mixed": SHORT_GRID * 3 + SHORT_RANDOM,
    "random": SHORT_RANDOM,
    "scales": SCALES,
}
LONG = {
    "grid": LONG_GRID,
    "mixed": LONG_GRID * 3 + LONG_RANDOM,
    "random": LONG_RANDOM,
    "scales": SCALES,
}


def short(mood, zeros=1.0):
    """Return costs of a server: 0 `zeros` times as often as not."""
    return st.sampled_from([ZERO] * int(zeros * len(SHORT[mood])) + SHORT[mood])


def long(mood, zeros=1.0):
    """Return times in which nothing is served: delays, pauses, sessions."""
    return st.sampled_from([ZERO] * int(zeros * len(LONG[mood])) + LONG[mood])


def often(value, otherwise):
    """Return `value` in half of the cases."""
    return st.one_of(st.just(value), otherwise)


def whole(low, high):
    return st.integers(low, high)


# The fields of each class, for a mood and a number of agents


def traffic(mood, agents):
    rates = st.sampled_from([3.0, 8.0, 32.0, 64.0] if agents <= 12 else [1.0, 3.0, 8.0])
    closed = st.builds(Closed, st.one_of(st.none(), whole(1, 6)), long(mood))
    return st.one_of(
        closed,
        bursts(rates),
        recorded(mood),
        closed if mood == "grid" else st.builds(Poisson, rates),
        st.builds(Poisson, rates),
        st.builds(Periodic, rates, st.sampled_from([0.0, 0.0, 0.25, 1.0])),
    )


def bursts(rates):
    return rates.flatmap(
        lambda rate: st.sampled_from(
            (
                Piecewise((Piece(8 * TICK, rate), Piece(4 * TICK, 0.0), Piece(TICK, rate / 3))),
                Piecewise((Piece(0.3, 0.0), Piece(0.1, rate))),
                Piecewise((Piece(0.1, rate), Piece(0.7, 2.0), Piece(100.0, 0.0))),
                Piecewise((Piece(1e-3, rate),)),
            )
        )
    )


RECORDS = {
    "grid": (0.0, 0.0, TICK, 3 * TICK, 3 * TICK, 8 * TICK),
    "random": (0.01234, 0.1, 0.1001, 0.37, 0.5, 0.98),
    "scales": (0.0, 1e-9, 2e-9, 1e-3, 0.5, 2.9),
}


def recorded(mood):
    """Return records of one client, of several, and of a client that sends everything at once."""
    times = RECORDS.get(mood, RECORDS["random"])
    return st.sampled_from(
        (
            Recorded(times, 16 * TICK + 2.9),
            Recorded(times, times[-1] + TICK, (0, 1, 0, 2, 1, 2)),
            Recorded(times, times[-1] + 0.25, (1, 0, 0, 1, 1, 1)),
            Recorded((TICK,) * 6, 8 * TICK, (0, 0, 1, 0, 1, 2)),
        )
    )


def workload(mood, agents):
    return {
        "topology": st.sampled_from(("ring", "random", "pair", "hub", "broadcast")),
        "traffic": traffic(mood, agents),
        "think": long(mood),
        "start": st.sampled_from(("together", "random", "ramp")),
        "start_over": st.sampled_from((0.0, 0.5, 1.0, 0.3)),
        "slow": often(None, built(Slow, mood)),
        "retry": st.none(),  # of areas of its own, as all that makes a run longer
        "payload": often(ZERO, size(mood)),
        "classes": often((), classes(mood, has_rate=False, at_random=False)),
        "producers": st.none(),  # likewise, with a queue
    }


def size(mood):
    """Return sizes [B], of which 1024 cost a tick at most."""
    grid = [Deterministic(64.0), Deterministic(256.0), Deterministic(1024.0)]
    some = [Exponential(200.0), Uniform(0.0, 512.0), Lognormal(64.0, 1.0)]
    return st.sampled_from({"grid": grid, "mixed": grid * 2 + some}.get(mood, some))


def per_byte():
    return st.sampled_from((0.0, 0.0, TICK / 1024, TICK / 2048, 1e-6))


def agent_class(mood, _agents):
    return {
        "share": st.just(1.0),
        "name": st.just("all"),
        "rate": st.none(),
        "payload": often(None, size(mood)),
        "think": often(None, long(mood)),
        "network": often(None, built(Network, mood)),
        "target": st.none(),
    }


def classes(mood, has_rate, at_random):
    """Return classes that suit traffic, which may have a rate, and a topology."""
    rates = st.sampled_from((None, 0.0, 3.0, 16.0)) if has_rate else st.none()
    shares = st.sampled_from(((1.0,), (0.5, 0.5), (0.25, 0.75), (0.2, 0.0, 0.8), (0.3, 0.3, 0.4)))

    def of(shares):
        names = [f"class {number}" for number in range(len(shares))]
        # The last class always has agents to send to: more than 1, of 4 or more.
        targets = st.sampled_from((None, None, names[-1])) if at_random else st.none()
        each = [
            built(AgentClass, mood, name=st.just(name), share=st.just(share), target=targets,
                  rate=rates if number < len(names) - 1 else st.none())
            for number, (name, share) in enumerate(zip(names, shares, strict=True))
        ]  # fmt: skip
        return st.tuples(*each)

    return shares.flatmap(of)


def _of_classes(mood):
    """Return a workload of classes that send at rates of their own, to others of their choice."""
    rates = st.sampled_from((3.0, 16.0, 64.0))
    return {
        "topology": st.just("random"),
        "traffic": st.one_of(st.builds(Poisson, rates), st.builds(Periodic, rates)),
        "payload": size(mood),
        "classes": classes(mood, has_rate=True, at_random=True),
    }


def _of_sizes(mood):
    return {"payload": size(mood), "classes": classes(mood, has_rate=False, at_random=False)}


def retry(_mood, _agents):
    return {
        "timeout": st.sampled_from((TICK / 2, TICK, 2 * TICK, 4 * TICK, 0.1, 60.0)),
        "attempts": whole(1, 4),
        "backoff": st.sampled_from((0.0, TICK, 2 * TICK, 0.05)),
        "factor": st.sampled_from((1.0, 1.0, 2.0, 1.5)),
        "longest": st.sampled_from((3 * TICK, 60.0)),
        "jitter": st.sampled_from((0.0, 0.0, 0.5, 1.0)),
        "budget": st.sampled_from((None, None, 0.0, 0.3, 1.0, 3)),
    }


def slow(_mood, _agents):
    return {
        "share": st.sampled_from((0.5, 0.2, 1.0, 0.0)),
        "factor": st.sampled_from((2.0, 1.0, 7.3)),
    }


def network(mood, _agents):
    return {
        "up": long(mood),
        "down": long(mood),
        "loss": st.sampled_from((0.0, 0.0, 0.0, 0.05, 0.5)),
        "retransmission_timeout": st.sampled_from((TICK, 4 * TICK, 0.2, 100.0)),
        "bandwidth": st.sampled_from((None, None, 1024 / TICK, 1e5)),
    }


def cpu(mood, _agents):
    costs = {
        name: short(mood)
        for name in (
            "parse_message", "parse_request", "validate", "write", "query", "respond",
            "acknowledge", "connect", "send", "relay", "heartbeat",
        )
    }  # fmt: skip
    return {
        "workers": st.sampled_from((1, 1, 2, 3)),
        **costs,
        "cores": st.sampled_from((1, 1, 1, 2, 4)),
        "quantum": quantum(),
        "switch": st.sampled_from((0.0, TICK / 64, 1e-4, TICK)),
        "turn": st.sampled_from((0.0, 0.0, TICK / 64, 1e-4, TICK)),
        "per_byte": often(PerByte(), built(PerByte, mood)),
        "warmth": often(None, built(Warmth, mood)),
        "collection": often(None, built(Collection, mood)),
        "stalls": often(None, built(Stalls, mood)),
        "slowdowns": often(None, built(Slowdowns, mood)),
    }


def costs_per_byte(_mood, _agents):
    return {field.name: per_byte() for field in attrs.fields(PerByte)}


def quantum():
    """Return quanta: none half of the time, 0, and those that fall on ticks or between them."""
    return often(None, st.sampled_from((0.0, TICK / 16, TICK / 4, TICK, 0.003)))


def warmth(_mood, _agents):
    # The first gap may lie above 0: a loop that never rests is then as cold as the table begins.
    tables = ((0.0, TICK), (TICK / 4, TICK, 8 * TICK), (0.0, TICK / 2, TICK, 4 * TICK))
    gaps = st.shared(st.sampled_from(tables), key="gaps")
    return {
        "gaps": gaps,
        "excess": gaps.flatmap(
            lambda gaps: st.sampled_from([(0.0, 0.5, 1.0, 2.5), (0.25, 1.0, 3.0, 4.0)]).map(
                lambda excess: excess[: len(gaps)]
            )
        ),
        "memory": st.sampled_from((1.5e-3, TICK, 1e-6)),
    }


def collection(mood, _agents):
    return {"every": whole(1, 5), "cost": short(mood, zeros=0.2)}


def stalls(mood, _agents):
    return {"gap": _gaps(mood), "length": st.one_of(short(mood), long(mood))}


def _gaps(mood):
    """Return gaps of which a run has some hundred at most."""
    return long(mood, zeros=0).filter(lambda gap: gap.mean >= TICK / 4)


def slowdowns(mood, _agents):
    return {
        "gap": _gaps(mood),
        "length": st.one_of(short(mood), long(mood)),
        "factor": st.sampled_from((1.0, 1.7, 2.0)),
    }


def store(mood, _agents):
    return {
        "query": short(mood, zeros=0.5),
        "write": short(mood, zeros=0.5),
        "connections": st.sampled_from((1, 2, 3, 10)),
        "quantum": st.one_of(st.none(), quantum()),
        "single_writer": st.booleans(),
        "busy_timeout": st.sampled_from((None, None, 0.0005, TICK, 0.2)),
        "write_per_byte": per_byte(),
        "query_per_byte": per_byte(),
        "scan": st.sampled_from((0.0, 0.0, TICK / 1024, 1e-5)),
        "events": st.sampled_from((0, 0, 1, 100)),
        "batch_size": st.one_of(st.none(), st.none(), st.none(), whole(1, 4)),
        "linger": st.sampled_from((TICK / 4, TICK, 4 * TICK, 0.1)),
        "write_more": st.sampled_from((0.0, TICK / 16, TICK, 1e-4)),
        "retention": st.one_of(st.none(), st.none(), st.none(), built(Retention, mood)),
    }


def retention(_mood, _agents):
    return {
        "count": st.sampled_from((None, 1, 2, 5, 50)),
        "age": st.sampled_from((None, TICK, 2 * TICK, 8 * TICK, 0.3, 60.0)),
    }


def polling(mood, agents):
    return {
        "interval": st.sampled_from((TICK, 4 * TICK, 16 * TICK, 0.1, 1.0)),
        "timeout": st.sampled_from((TICK, 4 * TICK, 8 * TICK, 0.3, 32 * TICK, 60.0)),
        "limit": st.sampled_from((1, 2, 3, 10)),
        "connections": often(None, whole(1, max(1, agents // 2))),
        "backoff": st.sampled_from((TICK, 4 * TICK, 0.1)),
        "jitter": st.sampled_from((0.0, 0.0, 0.0, 0.25, 1.0)),
        "first_sleep": often(None, st.sampled_from((TICK, 2 * TICK, 3 * TICK, 16 * TICK, 0.15))),
        "growth": often(None, built(Growth, mood)),
        "hold": st.sampled_from((True, True, False)),
        "wake_on_write": st.booleans(),
        "wake": st.sampled_from(WAKES),
        "cache": often(None, built(Cache, mood)),
        "rate_limit": often(None, built(RateLimit, mood)),
        "priorities": st.sampled_from(((), (), (1.0,), (0.1, 0.9), (0.5, 0.0, 0.25, 0.25))),
        "client_timeout": st.none(),  # likewise
        "visibility": st.none(),  # likewise
    }


def cache(mood, _agents):
    return {
        "ttl": st.sampled_from((0.0, TICK, 4 * TICK, 8 * TICK, 0.3, 60.0)),
        "invalidate": st.booleans(),
        "look_up": short(mood),
    }


def growth(_mood, _agents):
    return {
        "factor": st.sampled_from((1.0, 1.5, 2.0, 2.0, 4.0)),
        "longest": st.sampled_from((3 * TICK, 4 * TICK, 16 * TICK, 2.0)),
    }


def rate_limit(_mood, _agents):
    return {"rate": st.sampled_from((1 / TICK, 4.0, 3.3, 0.1)), "burst": whole(1, 5)}


def push(mood, agents):
    return {
        "agents_per_connection": st.sampled_from((1, 1, 1, 2, 3, 5, 100)),
        "backlog": often(None, whole(1, 2)),
        "connections": often(None, whole(1, max(1, agents // 2))),
        "overflow": st.sampled_from(OVERFLOWS),
        "fallback_interval": st.sampled_from((TICK, 4 * TICK, 0.1)),
        "outbound": often(None, whole(1, 3)),
        "outbound_policy": st.sampled_from(OUTBOUND_POLICIES),
        "batch_size": often(None, whole(1, 4)),
        "linger": st.sampled_from((TICK / 4, TICK, 4 * TICK, 0.1)),
        "session": often(None, long(mood, zeros=0)),
        "reconnect": st.one_of(st.none(), long(mood, zeros=0), long(mood, zeros=0)),
        "rate_limit": st.one_of(st.none(), st.none(), built(RateLimit, mood)),
        "backoff": often(None, st.sampled_from((1.0, 1.5, 2.0))),
        "backoff_cap": st.sampled_from((1.0, 3.0, 64.0)),
        "heartbeat": often(None, st.sampled_from((TICK, 4 * TICK, 0.1))),
        "elicitation": often(None, built(Elicitation, mood)),
        "webhook": st.none(),  # of areas of its own
    }


def webhook(mood, _agents):
    return {
        "attempts": whole(1, 4),
        "timeout": st.sampled_from((TICK / 2, TICK, 4 * TICK, 16 * TICK, 0.1)),
        "backoff": st.sampled_from((0.0, TICK, 0.05)),
        "factor": st.sampled_from((1.0, 1.0, 2.0, 1.5)),
        "longest": st.sampled_from((3 * TICK, 60.0)),
        "failure": st.sampled_from((0.0, 0.0, 0.3, 1.0)),
        "think": long(mood),
        "in_flight": st.one_of(st.none(), whole(1, 3)),
    }


def requests(mood, _agents):
    return {
        "workers": st.sampled_from((None, None, 1, 2, 5)),
        "rate_limit": st.one_of(st.none(), st.none(), built(RateLimit, mood)),
        "by_turn": st.booleans(),
        "answer_payload": often(ZERO, size(mood)),
    }


def clients(mood, _agents):
    return {
        "think": long(mood),
        "in_flight": st.sampled_from((1, 1, 2, 3)),
        "patience": often(None, st.sampled_from((TICK / 4, TICK, 4 * TICK, 0.1))),
        "requests": often(None, whole(1, 12)),
    }


def elicitation(mood, _agents):
    shares = (0.0, 0.125, 0.25, 0.3)
    return {
        "asks_by": st.just("push"),  # the other has an area of its own: it has no connections
        "timeout": st.sampled_from((TICK, 4 * TICK, 32 * TICK, 0.3, 30.0)),
        "think": long(mood),
        "accept": st.sampled_from((*shares, 0.4)),
        "decline": st.sampled_from(shares),
        "cancel": st.sampled_from(shares),
    }


def nodes(mood, _agents):
    return {
        "count": st.sampled_from((1, 2, 2, 3, 5)),
        "rule": st.sampled_from(RULES),
        "affinity": st.booleans(),
        "link": long(mood),
    }


def memory(_mood, _agents):
    # Not binary: sums in another order would differ.
    return {
        "baseline": st.sampled_from((0.0, 4e7 + 0.1)),
        "per_agent": st.sampled_from((0.0, 1e3, 0.1)),
        "per_connection": st.sampled_from((0.0, 2.5e4, 0.3)),
        "per_event": st.sampled_from((0.0, 5e2, 0.7)),
    }


def faults_at_set_times():
    """Return a few stalls and slowdowns, which may overlap or touch."""
    times = st.sampled_from((0.0, 3 * TICK, 4 * TICK, 0.25, 0.3, 0.5))
    lengths = st.sampled_from((TICK / 4, TICK, 0.05, 0.25))
    stall = st.builds(Stall, st.sampled_from(("cpu", "store", "store")), times, lengths)
    slow = st.builds(Slowdown, times, lengths, st.sampled_from((1.0, 1.5, 2.0)))
    return often((), st.lists(st.one_of(stall, stall, slow), min_size=1, max_size=4).map(tuple))


def cuts_at_set_times():
    """Return a few faults that cut connections, and outages that may overlap or touch."""
    times = st.sampled_from((0.0, 3 * TICK, 4 * TICK, 8 * TICK, 0.3, 0.5))
    lengths = st.sampled_from((TICK / 4, TICK, 4 * TICK, 0.05, 0.25))
    outage = st.builds(Outage, times, lengths)
    disconnect = st.builds(Disconnect, times, st.sampled_from((0.0, 0.3, 0.5, 1.0)))
    return st.lists(st.one_of(outage, disconnect), min_size=1, max_size=3).map(tuple)


def failures_at_set_times(nodes):
    """Return a few failures of nodes, which may overlap or touch, or be of all nodes."""
    times = st.sampled_from((0.0, 3 * TICK, 4 * TICK, 8 * TICK, 0.3, 0.5))
    lengths = st.sampled_from((TICK / 4, TICK, 4 * TICK, 0.05, 0.25))
    failure = st.builds(NodeFailure, times, lengths, whole(0, nodes - 1))
    return st.lists(failure, min_size=1, max_size=4).map(tuple)


FIELDS = {
    Workload: workload,
    Retry: retry,
    Slow: slow,
    AgentClass: agent_class,
    PerByte: costs_per_byte,
    Network: network,
    Cpu: cpu,
    Warmth: warmth,
    Collection: collection,
    Stalls: stalls,
    Slowdowns: slowdowns,
    EventStore: store,
    Retention: retention,
    PollingServer: polling,
    Growth: growth,
    Cache: cache,
    PushServer: push,
    RateLimit: rate_limit,
    Elicitation: elicitation,
    Webhook: webhook,
    RequestServer: requests,
    Requests: clients,
    Nodes: nodes,
    Memory: memory,
}


def built(cls, mood, agents=1, **fixed):
    """Return instances of a class of the description, some fields `fixed` to other strategies."""
    checked = {
        PushServer: _push_server,
        PollingServer: _polling_server,
        EventStore: _store,
        Retention: _retention,
        Cpu: _cpu,
        Nodes: _nodes,
    }
    make = checked.get(cls, cls)
    return st.builds(make, **FIELDS[cls](mood, agents) | fixed)


def _push_server(**fields):
    """Return a server: what other fields need is added, or what lacks it is left out."""
    if fields["webhook"] is not None:
        return PushServer(webhook=fields["webhook"], rate_limit=fields["rate_limit"])
    elicitation = fields["elicitation"]
    if elicitation is not None and elicitation.asks_by == "reply":
        return PushServer(elicitation=elicitation, rate_limit=fields["rate_limit"])
    if fields["reconnect"] is None:
        fields["reconnect"] = fields["session"]
    if fields["reconnect"] is None:
        fields["backoff"] = None
    if fields["batch_size"] is None:
        fields["linger"] = None
    without_room = fields["outbound"] is None
    if without_room or (fields["reconnect"] is None and fields["outbound_policy"] == "disconnect"):
        fields["outbound_policy"] = "drop_new"
    return PushServer(**fields)


def _cpu(**fields):
    """Return a processor: loops have a core each, several cores are never cold."""
    if fields["workers"] > 1:
        fields["cores"], fields["quantum"] = 1, None
    if fields["cores"] > 1:
        fields["warmth"] = None
    if not fields["quantum"]:
        fields["switch"] = 0.0
    if fields["cores"] > 1 or fields["quantum"] is not None:
        fields["turn"] = 0.0
    return Cpu(**fields)


def _nodes(rule, affinity, **fields):
    return Nodes(rule=rule, affinity=affinity and rule != "hash", **fields)


def _balanced(nodes, workload, push=None, **_others):
    """Return nodes; what has nothing to cross between them has no link.

    A queue and webhooks have one node.
    """
    if nodes is None:
        return None
    hook = push is not None and push.webhook is not None
    if hook or workload.topology == "queue":
        nodes = attrs.evolve(nodes, count=1)
    crosses = push is not None and not push.asks_by_reply
    return nodes if crosses else attrs.evolve(nodes, link=ZERO)


def _store(**fields):
    if not fields["single_writer"]:
        fields["busy_timeout"] = None
    if fields["batch_size"] is None:
        fields["linger"], fields["write_more"] = None, 0.0
    return EventStore(**fields)


def _retention(count, age):
    return Retention(count, TICK if count is None and age is None else age)


def _polling_server(interval, growth, **others):
    if growth is not None:
        growth = attrs.evolve(growth, longest=max(growth.longest, interval))
    if not others["hold"]:
        others["timeout"], others["wake_on_write"] = 60.0, False
    if not others["wake_on_write"]:
        others["wake"] = "one"
    return PollingServer(interval=interval, growth=growth, **others)


def _has_turns(cpu, store, **_others):
    """Return whether answers can wait for the end of a turn."""
    loops = cpu.cores == 1 and cpu.quantum is None
    queries = store.query.mean > 0 or store.query_per_byte > 0
    return loops and (not queries or cpu.respond.mean > 0)


NAMES = {PollingServer: "polling", PushServer: "push", RequestServer: "requests"}


def _of_requests(focus, agents):
    """Return what a workload of requests is like, whatever `focus` says of its clients."""

    def fields(mood):
        # One name a message, whoever gets it; and clients twice as often as others who send.
        some = built(Requests, mood)
        usual = {
            "topology": st.just("ring"),
            "traffic": st.one_of(some, some, traffic(mood, agents)),
        }
        return usual | (focus(mood) if focus else {})

    return fields


@st.composite
def cases(draw, server, moods=MOODS, many=False, fewest=1, cut=False, **focus):
    """Return cases of the server class `server`, with `cut` such that faults cut connections.

    `focus` says what some fields of a part are, given a mood; see `AREAS`. With `many`, there are
    20 to 60 agents, else `fewest` to 12.
    """
    mood = draw(st.sampled_from(moods))
    agents = draw(whole(20, 60) if many else whole(fewest, 12))
    name = NAMES[server]
    if server is RequestServer:
        focus["workload"] = _of_requests(focus.get("workload"), agents)
    parts = {"workload": Workload, "network": Network, "cpu": Cpu, "store": EventStore}
    parts |= {name: server, "memory": Memory}
    built_parts = {
        part: draw(built(cls, mood, agents, **focus[part](mood) if part in focus else {}))
        for part, cls in parts.items()
    }
    if server is RequestServer and not _has_turns(**built_parts):
        built_parts[name] = attrs.evolve(built_parts[name], by_turn=False)
    faults = draw(faults_at_set_times())
    if cut:
        faults += draw(cuts_at_set_times())
    few = [] if "nodes" in focus else 4 * [st.none()]
    nodes = built(Nodes, mood, **focus["nodes"](mood) if "nodes" in focus else {})
    balancer = draw(st.one_of(*few, nodes))
    balancer = _balanced(balancer, **built_parts)
    several = balancer is not None and balancer.count > 1
    if several and (cut or (server is RequestServer and draw(st.booleans()))):
        faults += draw(failures_at_set_times(balancer.count))
    loop = built_parts["workload"].traffic
    built_parts["workload"] = attrs.evolve(built_parts["workload"], traffic=_with_end(loop))
    system = System(name=name, **built_parts, nodes=balancer, faults=faults)
    system = _without_end(system, loop, agents)
    share = draw(st.sampled_from((None, 0.0, 0.125, 0.5)))
    duration = min(draw(st.sampled_from((SAMPLED, 2.0, 3.0))), STEPS / _steps(system, agents))
    return Case(
        system,
        _suitable(system.workload.topology, agents),
        duration=duration,
        seed=draw(st.one_of(whole(0, 3), whole(0, 2**63 - 1))),
        warmup=None if share is None else share * duration,
        drain=draw(st.sampled_from((None, 0.0, 0.25 * duration))),
        stop_when_overloaded=draw(st.booleans()),
        keep_messages=draw(st.sampled_from((True, True, False))),
    )


def _suitable(topology, agents):
    if topology == "pair":
        return agents + agents % 2
    return agents if topology == "ring" else max(agents, 2)


def _with_end(loop):
    """Give a closed loop an end, if it has none."""
    if not loop.closed or math.isfinite(loop.messages_of_a_sender):
        return loop
    return attrs.evolve(loop, **{"requests" if isinstance(loop, Requests) else "messages": 20})


def _without_end(system, loop, agents):
    """Give a system its loop, unless that costs next to nothing: it has no end in an instant."""
    if loop == system.workload.traffic:
        return system
    if min(map(_shortest_cycle, system.kinds)) < TICK * agents * loop.at_a_time / 12:
        return system
    return attrs.evolve(system, workload=attrs.evolve(system.workload, traffic=loop))


def _shortest_cycle(system):
    """Return what a message of a closed loop takes at least, in the mean; one refused, too [s]."""
    limited = system.server.rate_limit is not None or bool(cuts(system.faults))
    if system.cuts:  # an outage refuses what comes at once
        return system.workload.traffic.wait + system.network.up.mean
    if system.requests is None:
        cycle = system.network.up.mean + system.cpu.parse_message.mean
        return system.workload.traffic.wait + cycle + (0 if limited else system.store.write.mean)
    if limited and isinstance(system.workload.traffic, Closed):  # it goes on where a request ends
        return system.workload.traffic.wait + system.network.up.mean
    cpu, cycle = system.cpu, system.network.up.mean + system.network.down.mean
    served = cpu.parse_request.mean + cpu.query.mean + cpu.respond.mean + system.store.query.mean
    return system.workload.traffic.wait + cycle + (0 if limited else served)


def _steps(system, agents):
    """Return roughly how many steps of processes a second of a run takes at most."""
    traffic = system.workload.traffic
    rate = traffic.rate_per_agent or traffic.at_a_time / TICK / 8
    if isinstance(traffic, Piecewise):
        rate = max(piece.rate for piece in traffic.pieces)
    retry = system.workload.retry
    attempts = retry.attempts if retry is not None else 1
    return agents * (10 * attempts * rate + _of_the_server(system)) + _slices(system)


def _of_the_server(system):
    """Return the steps of an agent beside those of its messages [1/s]."""
    server = system.server
    if system.requests is not None:
        return 0.0
    if system.polling is not None:
        at_a_time = 1.0
        if server.client_timeout is not None:
            at_a_time += min(server.timeout, 3.0) / (server.client_timeout + server.backoff)
        return 5 * at_a_time / min(server.interval, server.backoff)
    own = 0.0
    if server.reconnect is not None:
        own = 5 / (server.reconnect.mean + (server.session.mean if server.session else 0.0))
    if server.heartbeat is not None:
        own += 3 / server.heartbeat
    if server.overflow == "fallback" and server.connections is not None:
        own += 7 / server.fallback_interval
    return own


def _slices(system):
    shared = ((system.cpu.quantum, system.cpu.cores * system.node_count),
              (system.store.quantum, system.store.connections))  # fmt: skip
    return sum(processors / quantum for quantum, processors in shared if quantum)


def _together(mood):
    return {
        "traffic": st.builds(Closed, st.one_of(st.none(), whole(2, 20)), long(mood)),
        "start": st.just("together"),
    }


def _all_of_the_processor(mood):
    return {
        "turn": st.sampled_from((TICK / 64, 1e-4, TICK)),
        "warmth": built(Warmth, mood),
        "collection": built(Collection, mood),
        "stalls": built(Stalls, mood),
        "slowdowns": built(Slowdowns, mood),
    }


def _relays(mood):
    return {"workers": whole(2, 3), "relay": short(mood, zeros=0), "send": short(mood, zeros=0)}


def _several(_mood):
    return {"count": whole(2, 4)}


def _few_places(mood):
    return {
        "connections": whole(1, 2),
        "overflow": st.sampled_from(OVERFLOWS),
        "session": long(mood, zeros=0),
        "reconnect": long(mood, zeros=0),
        "elicitation": st.none(),
    }


def _asks(mood):
    asks_by = st.sampled_from(("push", "push", "reply"))
    return {"elicitation": built(Elicitation, mood, asks_by=asks_by), "overflow": st.just("wait")}


def _slow_store(mood):
    return {
        "query": short(mood, zeros=0),
        "write": short(mood, zeros=0),
        "connections": whole(1, 2),
    }


def _batches(mood):
    return {
        "write": short(mood, zeros=0.5),
        "batch_size": whole(2, 6),
        "write_more": st.sampled_from((0.0, 0.0, TICK / 16)),
        "connections": whole(1, 2),
        "single_writer": st.sampled_from((True, True, True, False)),
        "busy_timeout": st.sampled_from((0.0005, 0.0005, TICK, None)),
    }


def _short_memory(mood):
    return {
        "write": short(mood),
        "events": st.sampled_from((0, 3, 100)),
        "retention": built(
            Retention,
            mood,
            count=st.sampled_from((None, 1, 3, 10)),
            age=st.sampled_from((None, TICK, 2 * TICK, 8 * TICK, 0.3)),
        ),
    }


def _broadcasts(mood):
    closed = st.builds(Closed, st.one_of(st.none(), whole(2, 6)), long(mood))
    return {
        "topology": st.just("broadcast"),
        "traffic": st.one_of(closed, closed, st.builds(Poisson, st.just(8.0))),
        "think": short(mood),
    }


def _half_are_slow(mood):
    return {
        "topology": st.sampled_from(("hub", "ring", "random")),
        "slow": built(Slow, mood, share=st.just(0.5)),
    }


def _lossy(mood):
    rarely_long = st.sampled_from((TICK, 4 * TICK, 0.2))
    return {"loss": st.sampled_from((0.05, 0.5)), "retransmission_timeout": rarely_long}


def _busy(mood):
    """Most messages that there can be."""
    rate = st.just(64.0)
    return {"traffic": st.one_of(st.builds(Poisson, rate), bursts(rate)), "think": short(mood)}


def _in_turns(mood):
    """Return loops that are seldom idle."""
    return {
        "workers": st.sampled_from((1, 1, 2)),
        "cores": st.just(1),
        "quantum": st.none(),
        "query": short(mood, zeros=0.2),
        "respond": short(mood, zeros=0.2),
    }


def _shared(mood):
    """Return cores that are always shared, and seldom idle."""
    costs = ("parse_message", "parse_request", "query", "respond", "send", "validate")
    return {
        "workers": st.just(1),
        "cores": st.sampled_from((1, 1, 2, 3)),
        "quantum": st.sampled_from((0.0, TICK / 16, TICK / 4, TICK, 0.003)),
        "switch": st.sampled_from((0.0, TICK / 64, 1e-4, TICK)),
        **{name: short(mood, zeros=0.2) for name in costs},
    }


def _shared_with_a_state(mood):
    return _shared(mood) | _all_of_the_processor(mood) | {"cores": st.sampled_from((1, 1, 2))}


def _shared_store(mood):
    return _slow_store(mood) | {
        "quantum": st.sampled_from((0.0, TICK / 16, TICK / 4, 0.003)),
        "single_writer": st.sampled_from((False, False, True)),
    }


def _in_a_hurry(mood):
    """Return clients who have little patience, and much to ask."""
    return {
        "traffic": built(
            Requests,
            mood,
            in_flight=whole(1, 3),
            patience=st.sampled_from((TICK / 4, TICK, 2 * TICK)),
            requests=st.one_of(st.none(), whole(3, 12)),
        )
    }


def _requests_together(mood):
    traffic = built(Requests, mood, patience=often(None, st.sampled_from((TICK, 4 * TICK))))
    return {"traffic": traffic, "start": st.just("together")}


def _tries_again(mood):
    """Return senders that give up soon, and try again."""
    return {
        "traffic": st.one_of(
            st.builds(Poisson, st.sampled_from((8.0, 32.0))),
            st.builds(Closed, st.one_of(st.none(), whole(2, 6)), long(mood, zeros=0)),
        ),
        "retry": built(Retry, mood),
    }


def _all_of_it_together(mood):
    return _tries_again(mood) | {
        "start": st.just("together"),
        "slow": often(None, built(Slow, mood)),
    }


def _gives_up(mood):
    """Return pollers that give a request up while it is queried, or sleeps."""
    return {
        "interval": st.sampled_from((TICK, 4 * TICK)),
        "timeout": st.sampled_from((4 * TICK, 16 * TICK, 60.0)),
        "backoff": st.sampled_from((TICK, 4 * TICK)),
        "client_timeout": st.sampled_from((TICK / 2, TICK, 2 * TICK, 3 * TICK, 0.1)),
    }


def _everybody_wakes(_mood):
    return {
        "interval": st.sampled_from((4 * TICK, 16 * TICK)),
        "hold": st.just(True),
        "wake_on_write": st.just(True),
        "wake": st.just("all"),
    }


def _short_polls(mood):
    return {
        "interval": st.sampled_from((TICK, 4 * TICK, 0.1)),
        "hold": st.just(False),
        "jitter": st.sampled_from((0.0, 0.0, 0.25)),
        "first_sleep": often(None, st.sampled_from((TICK / 2, 2 * TICK))),
        "growth": often(None, built(Growth, mood)),
    }


def _sends_to_a_queue(mood):
    rates = st.sampled_from((8.0, 32.0))
    return {
        "topology": st.just("queue"),
        "traffic": st.one_of(
            st.builds(Poisson, rates),
            bursts(rates),
            st.builds(Closed, st.one_of(st.none(), whole(2, 12)), long(mood, zeros=0)),
        ),
        "think": long(mood, zeros=0.2),
        "producers": st.one_of(st.none(), whole(1, 2)),
    }


def _sends_together(mood):
    return _sends_to_a_queue(mood) | {"start": st.just("together")}


def _tries_a_queue_again(mood):
    return _sends_to_a_queue(mood) | {"retry": built(Retry, mood)}


def _consumes(_mood):
    """Return a queue, in which messages are visible again before, or while, they are deleted."""
    return {
        "interval": st.sampled_from((TICK, 4 * TICK, 16 * TICK)),
        "limit": whole(1, 3),
        "cache": st.none(),
        "priorities": st.just(()),
        "visibility": st.sampled_from((None, TICK / 2, TICK, 4 * TICK, 0.1, 16 * TICK)),
    }


def _wakes_consumers(mood):
    return _consumes(mood) | {
        "interval": st.sampled_from((4 * TICK, 16 * TICK)),
        "hold": st.just(True),
        "wake_on_write": st.just(True),
    }


def _is_cut(mood):
    return {"interval": st.sampled_from((TICK, 4 * TICK)), "backoff": st.sampled_from((TICK, 0.05)),
            "client_timeout": often(None, st.sampled_from((TICK, 4 * TICK)))}  # fmt: skip


def _posts(mood):
    return {"webhook": built(Webhook, mood)}


def _comes_back(mood):
    return {
        "reconnect": long(mood, zeros=0),
        "session": often(None, long(mood, zeros=0)),
        "connections": st.one_of(st.none(), whole(1, 3)),
    }


# What the tests draw from, each worth a test of its own: a failure then names its area.
AREAS = {
    "polling": cases(PollingServer),
    "polling, many agents": cases(PollingServer, many=True),
    "polling, events at one instant": cases(PollingServer, moods=("grid",), workload=_together),
    "polling, limits": cases(
        PollingServer,
        workload=_busy,
        polling=lambda _: {
            "connections": whole(1, 3), "limit": whole(1, 3), "interval": st.just(4 * TICK)
        },
    ),
    "polling, processor": cases(PollingServer, cpu=_all_of_the_processor),
    "polling, sleeps": cases(
        PollingServer,
        polling=lambda mood: {
            "interval": st.sampled_from((TICK, 2 * TICK)),
            "timeout": st.sampled_from((16 * TICK, 60.0)),
            "first_sleep": often(None, st.sampled_from((TICK, 4 * TICK))),
            "growth": built(Growth, mood),
        },
    ),
    "polling, wake-up calls": cases(
        PollingServer,
        workload=_busy,
        store=lambda mood: {"query": long(mood, zeros=0)},
        polling=lambda _: {
            "interval": st.sampled_from((4 * TICK, 16 * TICK)),
            "hold": st.just(True),
            "wake_on_write": st.just(True),
        },
    ),
    "polling, everybody wakes": cases(
        PollingServer,
        workload=_busy,
        store=lambda mood: {"query": long(mood, zeros=0)},
        polling=lambda mood: _everybody_wakes(mood) | {"first_sleep": st.none()},
    ),
    "polling, a queue": cases(
        PollingServer, fewest=3, workload=_sends_to_a_queue, polling=_consumes
    ),
    "polling, a queue that wakes consumers": cases(
        PollingServer,
        fewest=3,
        workload=_sends_to_a_queue,
        store=_slow_store,
        polling=_wakes_consumers,
    ),
    "polling, a queue at one instant": cases(
        PollingServer,
        moods=("grid",),
        fewest=3,
        workload=_sends_together,
        polling=_wakes_consumers,
    ),
    "polling, a queue and a log that forgets": cases(
        PollingServer, fewest=3, workload=_sends_to_a_queue, store=_short_memory, polling=_consumes
    ),
    "polling, a queue, shared cores": cases(
        PollingServer,
        fewest=3,
        workload=_sends_to_a_queue,
        cpu=_shared,
        store=_shared_store,
        polling=_wakes_consumers,
    ),
    "polling, a queue, retries": cases(
        PollingServer,
        fewest=3,
        workload=_tries_a_queue_again,
        polling=_wakes_consumers,
    ),
    "polling, short polls": cases(PollingServer, polling=_short_polls),
    "polling, short polls together": cases(
        PollingServer, moods=("grid",), workload=_together, polling=_short_polls
    ),
    "polling, short polls that are given up": cases(
        PollingServer, cut=True, polling=lambda mood: _gives_up(mood) | _short_polls(mood)
    ),
    "polling, everybody wakes, or has given up": cases(
        PollingServer,
        cut=True,
        workload=_busy,
        polling=lambda mood: _gives_up(mood) | _everybody_wakes(mood),
    ),
    "polling, cache": cases(
        PollingServer,
        polling=lambda mood: {
            "interval": st.sampled_from((TICK, 2 * TICK)), "cache": built(Cache, mood)
        },
    ),
    "polling, priorities": cases(
        PollingServer,
        workload=_busy,
        polling=lambda _: {
            "limit": whole(1, 3),
            "interval": st.just(8 * TICK),
            "priorities": st.sampled_from(((0.1, 0.9), (0.5, 0.0, 0.25, 0.25))),
        },
    ),
    "polling, classes": cases(PollingServer, fewest=5, workload=_of_classes),
    "polling, sizes and retries": cases(
        PollingServer, workload=lambda mood: _tries_again(mood) | _of_sizes(mood), polling=_gives_up
    ),
    "push, classes": cases(PushServer, fewest=5, workload=_of_classes),
    "push, batches of sizes": cases(
        PushServer,
        fewest=5,
        workload=lambda mood: _busy(mood) | _of_sizes(mood),
        store=_batches,
        push=lambda _: {"batch_size": whole(2, 4), "linger": st.sampled_from((TICK, 4 * TICK))},
    ),
    "push, sizes that fall back": cases(
        PushServer,
        workload=lambda mood: _busy(mood) | _of_sizes(mood),
        push=lambda mood: _comes_back(mood) | {"overflow": st.just("fallback")},
    ),
    "requests, classes": cases(RequestServer, workload=_of_sizes),
    "polling, store": cases(PollingServer, store=_slow_store),
    "polling, batches of writes": cases(PollingServer, fewest=5, workload=_busy, store=_batches),
    "polling, retention": cases(
        PollingServer,
        workload=_busy,
        store=_short_memory,
        polling=lambda _: {
            "limit": whole(1, 3), "interval": st.sampled_from((TICK, 8 * TICK, 0.1))
        },
    ),
    "polling, broadcasts": cases(
        PollingServer,
        workload=_broadcasts,
        polling=lambda _: {"interval": st.sampled_from((TICK, 4 * TICK)), "connections": st.none()},
    ),
    "polling, shared cores": cases(PollingServer, workload=_busy, cpu=_shared),
    "polling, shared cores with a state": cases(PollingServer, cpu=_shared_with_a_state),
    "polling, shared store": cases(PollingServer, workload=_busy, store=_shared_store),
    "polling, network": cases(PollingServer, workload=_half_are_slow, network=_lossy),
    "push": cases(PushServer),
    "push, many agents": cases(PushServer, many=True),
    "push, events at one instant": cases(PushServer, moods=("grid",), workload=_together),
    "push, outbound queues": cases(
        PushServer,
        workload=_busy,
        cpu=lambda mood: {"send": short(mood, zeros=0)},
        push=lambda _: {"outbound": whole(1, 3), "connections": st.none()},
    ),
    "push, full outbound queues": cases(
        PushServer,
        workload=_busy,
        network=lambda mood: {"up": long(mood), "down": st.just(ZERO)},
        cpu=lambda mood: {"send": short(mood, zeros=0)},
        push=lambda mood: {
            "outbound": whole(1, 3),
            "outbound_policy": st.sampled_from(OUTBOUND_POLICIES[1:]),
            "connections": st.none(),
            "session": st.one_of(st.none(), long(mood, zeros=0), long(mood, zeros=0)),
            "reconnect": long(mood, zeros=0),
            "rate_limit": st.none(),
        },
    ),
    "push, refusals and heartbeats": cases(
        PushServer,
        cpu=lambda mood: {"heartbeat": short(mood, zeros=0)},
        push=lambda mood: {
            "connections": whole(1, 2),
            "overflow": st.just("reject"),
            "session": long(mood, zeros=0),
            "reconnect": long(mood, zeros=0),
            "backoff": st.sampled_from((1.5, 2.0)),
            "heartbeat": st.sampled_from((TICK, 4 * TICK, 0.1)),
        },
    ),
    "push, batches": cases(
        PushServer,
        workload=_busy,
        cpu=lambda mood: {"send": short(mood, zeros=0)},
        push=lambda mood: {
            "batch_size": whole(2, 4),
            "connections": st.none(),
            "outbound": often(None, whole(2, 6)),
            "session": often(None, long(mood, zeros=0)),
            "reconnect": long(mood, zeros=0),
        },
    ),
    "push, shared connections": cases(
        PushServer,
        workload=_busy,
        cpu=lambda mood: {"workers": whole(1, 3), "send": short(mood, zeros=0)},
        push=lambda mood: {
            "agents_per_connection": st.sampled_from((2, 2, 3, 4, 8)),
            "connections": st.one_of(st.none(), whole(1, 2)),
            "batch_size": st.one_of(st.none(), whole(2, 4)),
            "session": often(None, long(mood, zeros=0)),
            "reconnect": long(mood, zeros=0),
        },
    ),
    "push, elicitation": cases(
        PushServer,
        cpu=lambda mood: {"validate": short(mood, zeros=0)},
        push=lambda mood: {
            "elicitation": built(Elicitation, mood),
            "overflow": st.sampled_from(("wait", "fallback")),
            "session": often(None, long(mood, zeros=0)),
            "reconnect": long(mood, zeros=0),
        },
    ),
    "push, elicitation by replies": cases(
        PushServer,
        workload=lambda _: {"topology": st.sampled_from(("ring", "hub", "broadcast"))},
        cpu=lambda mood: {"validate": short(mood, zeros=0), "workers": whole(1, 2)},
        push=lambda mood: {"elicitation": built(Elicitation, mood, asks_by=st.just("reply"))},
    ),
    "push, fallback": cases(
        PushServer, fewest=5,
        workload=lambda mood: _busy(mood) | {"topology": st.sampled_from(("random", "ring"))},
        store=_slow_store,
        push=lambda mood: {
            "connections": whole(1, 2),
            "overflow": st.just("fallback"),
            "fallback_interval": st.sampled_from((TICK / 2, TICK, 4 * TICK)),
            "session": long(mood, zeros=0),
            "reconnect": st.one_of(st.none(), long(mood, zeros=0), long(mood, zeros=0)),
            "agents_per_connection": st.sampled_from((3, 2, 1)),
            "rate_limit": st.none(),
            "elicitation": st.none(),
        },
    ),
    "push, sessions": cases(
        PushServer,
        workload=_busy,
        cpu=lambda mood: {"send": short(mood, zeros=0)},
        push=lambda mood: {
            "connections": st.one_of(st.none(), whole(1, 3)), "session": long(mood, zeros=0)
        },
    ),
    "push, processor": cases(PushServer, cpu=_all_of_the_processor),
    "push, relays": cases(PushServer, cpu=_relays),
    "push, nodes": cases(PushServer, cpu=_relays, nodes=_several),
    "push, nodes with few places": cases(PushServer, push=_few_places, nodes=_several),
    "push, nodes and elicitations": cases(PushServer, push=_asks, nodes=_several),
    "push, nodes, cut connections": cases(PushServer, push=_few_places, nodes=_several, cut=True),
    "push, nodes, retries": cases(
        PushServer, workload=_tries_again, push=_comes_back, nodes=_several, cut=True
    ),
    "polling, nodes": cases(PollingServer, nodes=_several),
    "polling, nodes, all that fails": cases(
        PollingServer, workload=_tries_again, polling=_gives_up, nodes=_several, cut=True
    ),
    "requests, nodes": cases(
        RequestServer, nodes=_several, requests=lambda _: {"workers": whole(1, 2)}
    ),
    "requests, nodes, together": cases(
        RequestServer, moods=("grid",), workload=_requests_together, nodes=_several
    ),
    "requests, nodes, shared cores": cases(RequestServer, cpu=_shared, nodes=_several),
    "push, shared cores": cases(PushServer, workload=_busy, cpu=_shared),
    "push, shared cores with a state": cases(PushServer, cpu=_shared_with_a_state),
    "push, shared store": cases(PushServer, workload=_busy, store=_shared_store),
    "push, network": cases(PushServer, workload=_half_are_slow, network=_lossy),
    "push, broadcasts": cases(PushServer, workload=_broadcasts),
    "push, store": cases(PushServer, store=_slow_store),
    "push, batches of writes": cases(PushServer, fewest=5, workload=_busy, store=_batches),
    "push, retention": cases(
        PushServer,
        store=_short_memory,
        push=lambda mood: {
            "connections": whole(1, 3),
            "overflow": st.sampled_from(("wait", "fallback")),
            "session": often(None, long(mood, zeros=0)),
            "reconnect": long(mood, zeros=0),
        },
    ),
    "polling, retries": cases(PollingServer, workload=_tries_again),
    "polling, retries of broadcasts": cases(
        PollingServer,
        workload=lambda mood: _broadcasts(mood) | {"retry": built(Retry, mood)},
        store=_batches,
    ),
    "polling, requests that are given up": cases(
        PollingServer, workload=_busy, polling=_gives_up, store=_slow_store
    ),
    "polling, requests that are given up, and woken": cases(
        PollingServer,
        workload=_busy,
        store=lambda mood: _slow_store(mood) | {"connections": st.just(10)},
        polling=lambda mood: _gives_up(mood) | {"wake_on_write": st.just(True)},
    ),
    "polling, requests that are given up, and a short memory": cases(
        PollingServer, workload=_busy, polling=_gives_up, store=_short_memory
    ),
    "polling, cut connections": cases(PollingServer, cut=True, polling=_is_cut),
    "polling, all failures": cases(
        PollingServer, cut=True, workload=_tries_again, polling=_is_cut, store=_slow_store
    ),
    "polling, all failures at one instant": cases(
        PollingServer, moods=("grid",), cut=True, workload=_all_of_it_together, polling=_is_cut
    ),
    "push, retries": cases(PushServer, workload=_tries_again),
    "push, retries of broadcasts": cases(
        PushServer,
        workload=lambda mood: _broadcasts(mood) | {"retry": built(Retry, mood)},
        store=_batches,
    ),
    "push, retries of elicitations": cases(
        PushServer,
        workload=_tries_again,
        push=lambda mood: {
            "elicitation": built(
                Elicitation, mood, asks_by=st.sampled_from(("push", "push", "reply"))
            ),
            "overflow": st.sampled_from(("wait", "fallback")),
            "session": often(None, long(mood, zeros=0)),
            "reconnect": long(mood, zeros=0),
        },
    ),
    "push, webhooks": cases(PushServer, push=_posts),
    "push, webhooks at one instant": cases(
        PushServer, moods=("grid",), workload=_together, push=_posts
    ),
    "push, webhooks of a busy server": cases(
        PushServer,
        workload=_busy,
        store=_batches,
        push=lambda mood: {
            "webhook": built(Webhook, mood, in_flight=whole(1, 3), think=long(mood, zeros=0))
        },
    ),
    "push, webhooks and all failures": cases(
        PushServer, cut=True, workload=_tries_again, cpu=_relays, network=_lossy, push=_posts
    ),
    "push, cut connections": cases(PushServer, cut=True, push=_comes_back),
    "push, cut connections and a line": cases(
        PushServer,
        fewest=4,
        cut=True,
        push=lambda mood: _comes_back(mood)
        | {"connections": whole(1, 2), "overflow": st.sampled_from(("wait", "wait", "fallback"))},
    ),
    "push, all failures": cases(
        PushServer, cut=True, workload=_tries_again, store=_slow_store, push=_comes_back
    ),
    "push, all failures at one instant": cases(
        PushServer, moods=("grid",), cut=True, workload=_all_of_it_together, push=_comes_back
    ),
    "requests": cases(RequestServer),
    "requests, many clients": cases(RequestServer, many=True),
    "requests at one instant": cases(
        RequestServer, moods=("grid",), workload=_requests_together, cpu=_shared
    ),
    "requests, workers": cases(
        RequestServer,
        store=_slow_store,
        requests=lambda _: {"workers": whole(1, 3), "rate_limit": st.none()},
    ),
    "requests, answers by turn": cases(
        RequestServer,
        cpu=lambda mood: _all_of_the_processor(mood) | _in_turns(mood),
        requests=lambda _: {"by_turn": st.just(True)},
    ),
    "requests, answers by turn, together": cases(
        RequestServer,
        moods=("grid",),
        workload=_requests_together,
        cpu=_in_turns,
        store=lambda _: {"query": st.just(Deterministic(0.0))},
        requests=lambda _: {"by_turn": st.just(True)},
    ),
    "requests, little patience": cases(RequestServer, workload=_in_a_hurry, store=_slow_store),
    "requests, shared cores": cases(RequestServer, cpu=_shared),
    "requests, shared cores with a state": cases(RequestServer, cpu=_shared_with_a_state),
    "requests, shared store": cases(RequestServer, store=_shared_store),
    "requests, processor": cases(RequestServer, cpu=_all_of_the_processor),
    "requests, network": cases(
        RequestServer, workload=lambda mood: {"slow": built(Slow, mood)}, network=_lossy
    ),
}  # fmt: skip
