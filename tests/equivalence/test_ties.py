"""Many events at one instant: only the order in which they were scheduled decides.

Every cost is 0, or one and the same tick for all purposes, or different ticks; agents start
together; sums of ticks are exact. A duration of 100 ticks puts every sample on a tick, too.
"""

import itertools

import attrs
import pytest
from comparison import Case, check
from generators import SAMPLED, TICK

from lhsim.distributions import Deterministic
from lhsim.models import (
    Cache,
    Closed,
    Collection,
    Cpu,
    Disconnect,
    Elicitation,
    EventStore,
    Growth,
    Network,
    NodeFailure,
    Nodes,
    Outage,
    Periodic,
    PollingServer,
    PushServer,
    RateLimit,
    Requests,
    RequestServer,
    Retention,
    Retry,
    Slowdowns,
    Stalls,
    System,
    Warmth,
    Webhook,
    Workload,
)
from lhsim.models.nodes import RULES

NONE, ONE, TWO, FOUR = (Deterministic(ticks * TICK) for ticks in (0, 1, 2, 4))

# (network, processor, store, pause) in a system
COSTS = {
    "none": (NONE, NONE, NONE, NONE),
    "none, but a pause": (NONE, NONE, NONE, ONE),
    "network": (ONE, NONE, NONE, NONE),
    "processor": (NONE, ONE, NONE, NONE),
    "store": (NONE, NONE, ONE, NONE),
    "all the same": (ONE, ONE, ONE, ONE),
    "multiples": (FOUR, ONE, TWO, FOUR),
}
SERVERS = {
    "polling": PollingServer(interval=TICK, timeout=4 * TICK),
    "polling, an interval of several ticks": PollingServer(interval=4 * TICK, timeout=3 * TICK),
    "polling, limits": PollingServer(
        interval=2 * TICK, timeout=2 * TICK, limit=1, connections=2, backoff=TICK
    ),
    "polling, woken": PollingServer(interval=4 * TICK, timeout=16 * TICK, wake_on_write=True),
    "polling, woken, grown": PollingServer(
        interval=TICK, growth=Growth(2.0, 8 * TICK), wake_on_write=True, limit=1
    ),
    "polling, cache": PollingServer(
        interval=TICK, timeout=8 * TICK, cache=Cache(2 * TICK, look_up=ONE), wake_on_write=True
    ),
    "polling, stale cache, priorities": PollingServer(
        interval=TICK,
        limit=1,
        cache=Cache(4 * TICK, invalidate=False),
        wake_on_write=True,
        priorities=(0.5, 0.5),
    ),
    "polling, all woken": PollingServer(interval=4 * TICK, wake_on_write=True, wake="all"),
    "polling, short": PollingServer(interval=TICK, growth=Growth(2.0, 8 * TICK), hold=False),
    "push": PushServer(),
    "push, reject": PushServer(
        connections=2, overflow="reject", outbound=1, session=FOUR, reconnect=TWO
    ),
    "push, wait": PushServer(
        connections=2, overflow="wait", outbound=2, session=ONE, reconnect=ONE
    ),
}
SERVERS |= {
    f"push, {policy}, {overflow}": PushServer(
        connections=2,
        overflow=overflow,
        outbound=1,
        outbound_policy=policy,
        session=FOUR,
        reconnect=TWO,
        backoff=2.0,
        backoff_cap=2.0,
        heartbeat=2 * TICK,
        fallback_interval=TICK,
        **({"batch_size": 2, "linger": TICK} if overflow == "wait" else {}),
        elicitation=Elicitation(4 * TICK, TWO, 0.5, 0.25) if overflow == "fallback" else None,
    )
    for policy, overflow in (
        ("drop_oldest", "reject"), ("block", "fallback"), ("disconnect", "wait")
    )
}  # fmt: skip
SERVERS |= {
    f"{server}, shared connections": attrs.evolve(
        SERVERS[server], agents_per_connection=several, connections=connections
    )
    for server, several, connections in (
        ("push", 2, None),
        ("push, drop_oldest, reject", 3, 2),
        ("push, block, fallback", 2, 1),
        ("push, disconnect, wait", 3, 1),
    )
}
AGENTS = (2, 3, 8)


def system(server, costs, workers=1, single_writer=False, **workload):
    network, processor, store, pause = COSTS[costs]
    has_end = 5 if costs == "none" else None  # the others cost at least a tick a message
    stages = (
        "parse_message", "parse_request", "validate", "write", "query", "respond", "acknowledge",
        "connect", "send", "relay", "heartbeat",
    )  # fmt: skip
    description = SERVERS[server]
    name = "polling" if isinstance(description, PollingServer) else "push"
    options = {"traffic": Closed(has_end, pause), "start": "together", "think": pause} | workload
    return System(
        name=f"{server}; {costs}",
        workload=Workload(**options),
        network=Network(network, network),
        cpu=Cpu(workers=workers, **dict.fromkeys(stages, processor)),
        store=EventStore(store, store, connections=2, single_writer=single_writer),
        **{name: description},
    )


@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("server", SERVERS)
def test_agents_that_start_together(server, costs):
    for agents, workers, topology in itertools.product(AGENTS, (1, 2, 3), ("ring", "random")):
        tied = system(server, costs, workers, topology=topology)
        check(Case(tied, agents, duration=SAMPLED / 2, warmup=0.0, drain=0.0))


@pytest.mark.parametrize("server", SERVERS)
def test_agents_that_start_one_tick_after_the_other(server):
    for costs, topology in itertools.product(COSTS, ("ring", "pair", "random")):
        ramp = system(server, costs, 2, True, topology=topology, start="ramp", start_over=8 * TICK)
        check(Case(ramp, 8, duration=SAMPLED, warmup=SAMPLED / 4, drain=SAMPLED / 8))


@pytest.mark.parametrize("server", SERVERS)
def test_periodic_traffic_without_jitter(server):
    for costs, rate in itertools.product(COSTS, (1 / TICK, 1 / (4 * TICK), 10.0)):
        periodic = system(server, costs, workers=2, traffic=Periodic(rate))
        check(Case(periodic, 4, duration=SAMPLED / 2, warmup=0.25, drain=0.125))


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("what", ["turn", "warmth", "collection", "stalls", "slowdowns", "all"])
def test_a_processor_whose_costs_depend_on_its_state(server, what):
    parts = {
        "turn": TICK,
        "warmth": Warmth((0.0, TICK, 8 * TICK), (0.0, 1.0, 3.0), memory=TICK),
        "collection": Collection(2, ONE),
        # Stalls begin and end at the very times of other events.
        "stalls": Stalls(gap=TWO, length=ONE),
        "slowdowns": Slowdowns(gap=ONE, length=TWO, factor=2.0),
    }
    chosen = parts if what == "all" else {what: parts[what]}
    for costs, workers in itertools.product(("processor", "all the same", "multiples"), (1, 2)):
        tied = system(server, costs, workers)
        tied = attrs.evolve(tied, cpu=attrs.evolve(tied.cpu, **chosen))
        check(Case(tied, 4, duration=SAMPLED, warmup=SAMPLED / 4, drain=0.0))


@pytest.mark.parametrize("server", SERVERS)
def test_a_long_log_and_a_single_writer(server):
    for costs, scan in itertools.product(("none, but a pause", "store", "multiples"), (TICK, 1e-6)):
        tied = system(server, costs, workers=2, single_writer=True)
        tied = attrs.evolve(tied, store=attrs.evolve(tied.store, scan=scan, events=1))
        check(Case(tied, 5, duration=SAMPLED, warmup=0.0, drain=0.0))


STORES = {
    "batches": {"batch_size": 2, "linger": TICK},
    "batches that wait for the lock": {
        "batch_size": 3, "linger": 2 * TICK, "write_more": TICK, "busy_timeout": 0.004
    },
    "by age": {"retention": Retention(age=2 * TICK), "events": 3, "scan": TICK},
    "batches, by count and age": {
        "batch_size": 4, "linger": TICK, "retention": Retention(2, 4 * TICK), "events": 3
    },
}  # fmt: skip


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("server", SERVERS)
def test_batches_of_writes_and_a_log_that_forgets(server, store):
    for costs, topology in itertools.product(COSTS, ("ring", "random", "broadcast")):
        tied = system(server, costs, workers=2, single_writer=True, topology=topology)
        tied = attrs.evolve(tied, store=attrs.evolve(tied.store, **STORES[store]))
        check(Case(tied, 4, duration=SAMPLED, warmup=SAMPLED / 4, drain=0.0))


def on_nodes(tied, rule, affinity=False):
    """Return a system on two nodes, between which messages take as long as to an agent."""
    link = tied.network.down if tied.push is not None else NONE
    return attrs.evolve(tied, nodes=Nodes(2, rule, affinity, link))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("server", SERVERS)
def test_nodes_that_are_chosen_at_one_instant(server, rule):
    for costs, workers in itertools.product(COSTS, (1, 2)):
        tied = system(server, costs, workers, topology="random")
        check(Case(on_nodes(tied, rule), 5, duration=SAMPLED / 2, warmup=0.0, drain=0.0))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("costs", COSTS)
def test_nodes_whose_clients_start_together(costs, rule):
    for workers, in_flight in itertools.product((None, 1), (1, 3)):
        tied = of_clients(costs, RequestServer(workers=workers), in_flight=in_flight)
        check(Case(on_nodes(tied, rule), 5, duration=SAMPLED / 2, warmup=0.0, drain=0.0))


RETRIES = {
    "at once": Retry(2 * TICK, attempts=3, backoff=0.0),
    "after a tick": Retry(4 * TICK, attempts=3, backoff=TICK),
    "grown": Retry(TICK, backoff=TICK, factor=2.0, budget=0.5),
}
# At the very times of other events; an outage within another, and two that touch.
FAULTS = (
    Outage(16 * TICK, 8 * TICK), Outage(18 * TICK, TICK), Disconnect(32 * TICK, 0.5),
    Outage(40 * TICK, 2 * TICK), Outage(42 * TICK, TICK),
)  # fmt: skip
# One by one, and then both.
NODES_FAIL = (
    NodeFailure(8 * TICK, 4 * TICK, 1), NodeFailure(48 * TICK, 4 * TICK, 0),
    NodeFailure(64 * TICK, 4 * TICK, 0), NodeFailure(65 * TICK, 2 * TICK, 1),
)  # fmt: skip


def failing(tied, **options):
    """Return a system with faults that cut connections, from which all clients come back."""
    server = {}
    if tied.push is not None and tied.push.reconnect is None:
        server = {"push": attrs.evolve(tied.push, reconnect=TWO)}
    if tied.polling is not None:
        server = {"polling": attrs.evolve(tied.polling, **options)}
    return attrs.evolve(tied, faults=FAULTS, **server)


@pytest.mark.parametrize("retry", RETRIES)
@pytest.mark.parametrize("server", SERVERS)
def test_senders_that_try_again(server, retry):
    for costs, topology in itertools.product(COSTS, ("ring", "broadcast")):
        tied = system(server, costs, workers=2, topology=topology, retry=RETRIES[retry])
        check(Case(tied, 4, duration=SAMPLED, warmup=SAMPLED / 4, drain=0.0))


@pytest.mark.parametrize("server", SERVERS)
def test_connections_that_are_cut(server):
    for costs, tries in itertools.product(COSTS, (False, True)):
        retry = RETRIES["after a tick"] if tries else None
        tied = failing(system(server, costs, traffic=Closed(None, ONE), retry=retry))
        check(Case(tied, 4, duration=SAMPLED, warmup=0.0, drain=0.0))
        tied = on_nodes(tied, "least_connections")
        tied = attrs.evolve(tied, faults=(*tied.faults, *NODES_FAIL))
        check(Case(tied, 4, duration=SAMPLED, warmup=0.0, drain=0.0))


@pytest.mark.parametrize("server", [name for name in SERVERS if name.startswith("polling")])
def test_requests_that_are_given_up(server):
    for costs, timeout in itertools.product(COSTS, (TICK, 2 * TICK, 8 * TICK)):
        tied = system(server, costs, traffic=Closed(None, ONE))
        impatient = attrs.evolve(tied.polling, client_timeout=timeout, backoff=TICK)
        check(Case(attrs.evolve(tied, polling=impatient), 4, duration=SAMPLED / 2, warmup=0.0))
        tied = failing(tied, client_timeout=timeout, backoff=TICK)
        check(Case(tied, 3, duration=SAMPLED, warmup=0.0, drain=0.0))


@pytest.mark.parametrize("server", SERVERS)
def test_one_agent_that_sends_to_itself(server):
    for costs in COSTS:
        check(Case(system(server, costs), 1, duration=SAMPLED))


CORES = {
    "first come, first served": {},
    "two cores": {"cores": 2},
    "slices of half a tick": {"quantum": TICK / 2},
    "slices of a tick, two cores": {"quantum": TICK, "cores": 2},
    "slices and switches": {"quantum": TICK / 2, "switch": TICK / 4, "cores": 3},
    "equal shares": {"quantum": 0.0},
    "equal shares of two cores": {"quantum": 0.0, "cores": 2},
}


def shared(tied, cores):
    """Return a system whose cores are shared, and its store, too, where they are in slices."""
    cpu, quantum = attrs.evolve(tied.cpu, **CORES[cores]), CORES[cores].get("quantum")
    return attrs.evolve(tied, cpu=cpu, store=attrs.evolve(tied.store, quantum=quantum))


@pytest.mark.parametrize("cores", CORES)
@pytest.mark.parametrize("server", ["polling", "push", "push, block, fallback"])
def test_cores_and_a_store_that_are_shared(server, cores):
    for costs, agents in itertools.product(
        ("processor", "store", "all the same", "multiples"), (3, 8)
    ):
        tied = shared(system(server, costs), cores)
        check(Case(tied, agents, duration=SAMPLED / 2, warmup=0.0, drain=0.0))


HOOKS = {
    "answered": Webhook(timeout=16 * TICK, think=ONE),
    "late": Webhook(attempts=3, timeout=2 * TICK, backoff=TICK, factor=1.0, think=ONE),
    "late, one at a time": Webhook(attempts=2, timeout=TICK, backoff=0.0, think=TWO, in_flight=1),
    "refused at times": Webhook(4, 4 * TICK, TICK, 2.0, 3 * TICK, failure=0.5, in_flight=2),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_webhooks(hook):
    server = PushServer(webhook=HOOKS[hook])
    for costs, topology, retry in itertools.product(
        COSTS, ("ring", "broadcast"), (None, RETRIES["after a tick"])
    ):
        tied = system("push", costs, workers=2, topology=topology, retry=retry)
        tied = attrs.evolve(tied, push=server)
        check(Case(tied, 4, duration=SAMPLED / 2, warmup=0.0, drain=0.0))
        if costs not in {"none", "store", "processor"}:  # what takes no time is refused for ever
            check(Case(attrs.evolve(tied, faults=FAULTS), 4, duration=SAMPLED, warmup=0.0))


QUEUES = {
    "polled": {"interval": TICK},
    "polled, visible again": {"interval": 2 * TICK, "visibility": 2 * TICK, "limit": 2},
    "polled shortly": {"interval": TICK, "hold": False, "visibility": 4 * TICK},
    "one wakes": {"wake_on_write": True, "limit": 1, "visibility": TICK},
    "one wakes, for several": {"wake_on_write": True, "limit": 3, "visibility": 4 * TICK},
    "all wake": {"wake_on_write": True, "wake": "all", "limit": 1, "visibility": 3 * TICK},
}


@pytest.mark.parametrize("queue", QUEUES)
def test_consumers_of_a_queue(queue):
    server = PollingServer(**{"interval": 4 * TICK} | QUEUES[queue])
    for costs, producers, retry in itertools.product(
        COSTS, (None, 2), (None, RETRIES["after a tick"])
    ):
        tied = system("polling", costs, workers=2, topology="queue", producers=producers)
        workload = attrs.evolve(tied.workload, retry=retry)
        tied = attrs.evolve(tied, workload=workload, polling=server)
        check(Case(tied, 6, duration=SAMPLED / 2, warmup=0.0, drain=0.0))


def of_clients(costs, server, **traffic):
    network, processor, store, think = COSTS[costs]
    has_end = 5 if costs == "none" else None
    return System(
        name=f"requests; {costs}",
        workload=Workload(traffic=Requests(think, requests=has_end, **traffic), start="together"),
        network=Network(network, network),
        cpu=Cpu(parse_request=processor, query=processor, respond=processor),
        store=EventStore(store, connections=2),
        requests=server,
    )


@pytest.mark.parametrize("cores", CORES)
@pytest.mark.parametrize("costs", COSTS)
def test_clients_that_start_together(costs, cores):
    servers = (
        RequestServer(),
        RequestServer(workers=1),
        RequestServer(workers=2, rate_limit=RateLimit(8.0, 2)),
    )
    for server, in_flight, patience in itertools.product(servers, (1, 3), (None, 2 * TICK)):
        if server.rate_limit is not None and costs not in {"network", "all the same", "multiples"}:
            continue  # a client that is refused at once asks again at once
        tied = of_clients(costs, server, in_flight=in_flight, patience=patience)
        check(Case(shared(tied, cores), 4, duration=SAMPLED / 2, warmup=0.0, drain=0.0))
