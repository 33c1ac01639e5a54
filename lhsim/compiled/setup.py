"""What a system is to the compiled engine: its description, as records and tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from lhsim.compiled.queue import DAYS, MOST_LANES, YEARS
from lhsim.compiled.state import (
    ACKNOWLEDGE,
    ANSWER_DOWN,
    BACKOFF,
    BEATING,
    BY_DELETE,
    CLIENT,
    COUNTS,
    DELETE_UP,
    DELETED_DOWN,
    DROP_NEW,
    DROP_OLDEST,
    EVENT,
    FALLBACK_SLEEP,
    FAULT,
    FIRST_GAP,
    GIVES_UP,
    HEARTBEAT,
    HOME,
    KIND,
    LANE,
    LOOK_UP,
    MESSAGE,
    MESSAGE_GAP,
    MESSAGE_UP,
    NO_SIZE,
    NOBODY,
    NODE,
    NOWHERE,
    OF_ANSWER,
    OF_FOUND,
    OF_MESSAGE,
    ON_THE_WAY,
    OWN_LOOP,
    PARSE_DELETE,
    PARSE_MESSAGE,
    PARSE_REQUEST,
    PATIENCE,
    PAUSE,
    PHASES,
    PLACES,
    PLAIN,
    POLL_UP,
    POLLER,
    POOL,
    POST_AGAIN,
    POST_OVERDUE,
    PUSH_DOWN,
    QUERY,
    QUERY_CPU,
    QUEUE,
    RECEIVER,
    RECORD,
    REFUSED,
    REJECT,
    RELAY,
    REQUEST_UP,
    RESPOND,
    RETRY,
    SEND,
    SETTINGS,
    SITE,
    SLEEP,
    SLICE,
    SLOT,
    STAGE,
    STATION,
    TARGETS_LOOP,
    TIMES_OUT,
    TO_ALL,
    TO_ANYONE,
    TO_HUB,
    TO_NEXT,
    TO_SENDER,
    VALIDATE,
    VISIBLE,
    WAKES_ALL,
    WAKES_FIRST,
    WAKES_TARGET,
    WITH_FAILURES,
    WITH_OPTIONS,
    WITH_WORLD,
    WRITE,
    WRITE_CPU,
    WRITE_LINGER,
    WRITER,
    State,
)
from lhsim.distributions import Deterministic
from lhsim.distributions.table import CELLS
from lhsim.errors import InputError
from lhsim.metrics.account import BATCHES, Outcome
from lhsim.metrics.histogram import BUCKETS
from lhsim.models import (
    Closed,
    Collection,
    Disconnect,
    EventStore,
    NodeFailure,
    OpenTraffic,
    Outage,
    Piecewise,
    PollingServer,
    PushServer,
    Recorded,
    Requests,
    System,
)
from lhsim.models.classes import Population
from lhsim.models.faults import downtimes, slowdowns, stalls
from lhsim.models.nodes import RULES
from lhsim.models.push import ASKINGS, OUTBOUND_POLICIES, OVERFLOWS
from lhsim.models.step import Place
from lhsim.models.steps import steps_of
from lhsim.models.workload import ONE_QUEUE, START_KINDS
from lhsim.rules import (
    LOSSES,
    OF_SLOWDOWNS,
    OF_STALLS,
    bounds,
    renewals,
    slopes,
    with_slowdowns,
    with_stalls,
)

if TYPE_CHECKING:
    from lhsim.distributions import Distribution
    from lhsim.metrics.account import Window

NO_LIMIT = -1
NOT_SHARED = -1.0
MOST = 2**31 - 1  # that an entity's number, and others like it, can be
MOST_EVENTS = 2**62
FEWEST_MESSAGES = 4096
FEWEST_EVENTS = 1024  # whose times of commit have room; a power of two
SPARE = 4  # places of messages: for the timers of a connection, and one more
AT_ONCE = 0.0  # the delay of the first lane

# Stages of a message, all drawn when it is created.
OF_MESSAGES = {MESSAGE_UP, PARSE_MESSAGE, VALIDATE, WRITE_CPU, WRITE, ACKNOWLEDGE, SEND, RELAY,
               PUSH_DOWN}  # fmt: skip
OF_REQUESTS = {REQUEST_UP, PARSE_REQUEST, QUERY_CPU, QUERY, RESPOND, ANSWER_DOWN}
# Of phases that are not called after it.
PURPOSES = {
    REFUSED: ANSWER_DOWN,
    FIRST_GAP: MESSAGE_GAP,
    POLL_UP: REQUEST_UP,
    DELETE_UP: REQUEST_UP,
    PARSE_DELETE: PARSE_REQUEST,
    DELETED_DOWN: ANSWER_DOWN,
}
OF_DELETES = [DELETE_UP, PARSE_DELETE, DELETED_DOWN]
WHERE = {
    Place.NETWORK: ON_THE_WAY,
    Place.AGENT: ON_THE_WAY,
    Place.TIMER: ON_THE_WAY,
    Place.OWN_LOOP: OWN_LOOP,
    Place.TARGETS_LOOP: TARGETS_LOOP,
    Place.POOL: POOL,
    Place.WRITER: WRITER,
}
TARGETS = {
    "ring": TO_NEXT, "pair": TO_NEXT, "random": TO_ANYONE, "hub": TO_HUB, "broadcast": TO_ALL,
    "queue": TO_SENDER,  # so that it has one
}  # fmt: skip

WAKES_AS = {"one": WAKES_TARGET, "all": WAKES_ALL}

# Where a phase passes, for how long, and what a byte adds [s].
Passage = tuple[int, "Distribution | None", float]


def state_of(
    system: System, agents: int, seed: int, window: Window, *, keep_messages: bool
) -> State:
    """Return the state of a system at time 0, before its agents have started."""
    traffic = system.workload.traffic
    settings = _settings(system, agents, seed, window, keep=keep_messages)
    queue = np.zeros(1, QUEUE)
    queue["ready"] = NOBODY
    queue["days_per_second"] = _first_days_per_second(system, agents)
    stations = _stations(system)
    stages = _tabulate(system, stations, agents)
    settings["answer_payload"] = stages.answer_payload
    several = len(stages.kinds) if len(system.workload.classes) > 1 else 0
    priorities = _priorities(system.polling)
    faults = _cuts(system)
    places = 3 * agents + PLACES * (agents + FEWEST_MESSAGES + faults.shape[1])
    if places > MOST:
        most = MOST // (3 + PLACES) - FEWEST_MESSAGES
        allowed = f"at most {most:,} with the compiled engine"
        raise InputError(f"{agents:,} are too many", key="agents", allowed=allowed)
    none = np.zeros(0), np.zeros(0, np.int64)
    times, firsts = traffic.record if isinstance(traffic, Recorded) else none
    # Memory that is all zeros takes none until it is written to.
    events = np.zeros(places, EVENT)
    state = State(
        settings=settings,
        counts=_counts(system, settings),
        queue=queue,
        events=events,
        receivers=None,
        messages=None,
        stations=stations,
        stages=stages.stages,
        slots=stages.slots,
        lanes=stages.lanes,
        cells=stages.cells,
        heap=np.zeros(len(events), np.int32),
        fine=np.full(DAYS, NOBODY, np.int32),
        coarse=np.full(YEARS, NOBODY, np.int32),
        warmth=_warmth(system),
        cpu_stalls=_cpu_stalls(system, seed, window),
        histogram=np.zeros((BATCHES, BUCKETS), np.int64),
        latency=np.zeros(BATCHES),
        records=np.zeros(FEWEST_MESSAGES if keep_messages else 0, RECORD),
        boxes=np.full(agents * len(priorities), NOBODY, np.int32),
        priorities=priorities,
        pollers=np.zeros(agents if system.polling and has_options(system) else 0, POLLER),
        recorded=times,
        recorded_firsts=firsts,
        schedule=traffic.schedule if isinstance(traffic, Piecewise) else np.zeros((3, 0)),
        buckets=np.zeros(agents if system.server.rate_limit is not None else 0),
        clients=_clients(system, agents),
        links=np.zeros(0, np.int32),
        reached=np.zeros(0),
        store_stalls=with_stalls(np.zeros(0), np.zeros(0), stalls(system.faults, "store")),
        sequence=np.zeros(0, np.int64),
        log=_log(system),
        slowdowns=_slowdowns(system, seed, window),
        slices=_slices(stations),
        sharing=np.zeros((np.count_nonzero(stations["quantum"] == 0), places), np.int32),
        credits=np.zeros(agents if settings["budget"][0] >= 0 else 0),
        kinds=stages.kinds,
        class_cohort=np.zeros((several, len(Outcome)), np.int64),
        class_histogram=np.zeros((several * BATCHES, BUCKETS), np.int64),
        class_latency=np.zeros(several * BATCHES),
        cuts=faults,
        nodes=_nodes(system),
        downtimes=downtimes(system.faults),
        homes=np.full(agents if system.node_count > 1 else 0, NOBODY, HOME),
        sites=np.zeros(0, SITE),
        address=0,
    )
    state = with_events(state, events, agents)
    state.receivers["mailbox"] = NOBODY
    state.pollers["alarm"] = state.pollers["asleep"] = NOBODY
    state.pollers["sleep"] = settings["first_sleep"]
    state.pollers["following"] = settings["second_sleep"]
    state.pollers["empty_since"] = -np.inf
    if settings["outbound_policy"][0] == DROP_OLDEST or settings["batch"][0] > 0:
        state = state._replace(links=np.zeros(len(state.messages), np.int32))
    if settings["elicits"][0]:
        state = state._replace(reached=np.zeros(len(state.messages)))
    if system.node_count > 1:
        state = state._replace(sites=np.zeros(len(state.messages), SITE))
    if system.store.retention is not None or _has_queue(system):
        state = state._replace(sequence=np.zeros(len(state.messages), np.int64))
    _schedule(state)
    return state


def _nodes(system: System) -> NDArray[np.void]:
    nodes = np.zeros(system.node_count, NODE)
    nodes["line"] = NOBODY
    nodes["up"] = True
    return nodes


def _schedule(state: State) -> None:
    """Give each fault that cuts connections a place, for the event that it is."""
    several = state.cuts.shape[1]
    places = state.messages[:several]
    places["number"] = range(several)
    places["request_phase"], places["alive"], places["original"] = FAULT, 1, NOBODY
    state.counts["used"] = several


def kind_of(system: System) -> tuple[str, int]:
    """Return which kernel a system needs: its architecture, and what it has to cover.

    That is `PLAIN`, `WITH_OPTIONS`, or all that there is: `WITH_WORLD` for requests, which do not
    fail, and `WITH_FAILURES` for messages.
    """
    if system.requests is not None:
        return system.architecture, WITH_WORLD
    if may_fail(system) or _has_more_around_it(system):
        return system.architecture, WITH_FAILURES
    return system.architecture, WITH_OPTIONS if _has_rare_options(system) else PLAIN


def has_options(system: System) -> bool:
    """Return whether a system has an option that the kernels without any do not know."""
    return kind_of(system)[1] > PLAIN


def may_fail(system: System) -> bool:
    """Return whether clients, or a server that posts, give up, or faults cut connections."""
    impatient = system.polling is not None and system.polling.client_timeout is not None
    gives_up = system.workload.retry is not None or impatient or _posts(system)
    return gives_up or bool(system.cuts)


def _posts(system: System) -> bool:
    return system.push is not None and system.push.webhook is not None


def _has_more_around_it(system: System) -> bool:
    """Return whether there is more around one server than agents that are alike."""
    alike = not system.workload.classes and not system.has_payloads
    has_backlog = system.push is not None and system.push.backlog is not None
    return system.node_count > 1 or not alike or _has_queue(system) or has_backlog


def _has_rare_options(system: System) -> bool:
    workload, store, server = system.workload, system.store, system.server
    return (
        system.cpu.quantum is not None
        or system.cpu.turn > 0
        or store.quantum is not None
        or workload.topology in {"hub", "broadcast"}
        or isinstance(workload.traffic, Piecewise | Recorded)
        or workload.slow is not None
        or system.network.loss > 0
        or store.busy_timeout is not None
        or stalls(system.faults, "store").size > 0
        or store.batch_size is not None
        or store.retention is not None
        or server.rate_limit is not None
        or (system.polling is not None and _polls_otherwise(system.polling))
        or (system.push is not None and _extended(system.push))
        or (system.push is not None and system.push.agents_per_connection > 1)
    )


def _has_queue(system: System) -> bool:
    return system.workload.topology == ONE_QUEUE


def _polls_otherwise(server: PollingServer) -> bool:
    return (
        not server.sleeps_alike
        or not server.hold
        or server.wake_on_write
        or server.cache is not None
        or len(server.priorities) > 1
    )


def _priorities(server: PollingServer | None) -> NDArray[np.float64]:
    several = server is not None and len(server.priorities) > 1
    return bounds(server.priorities if server is not None and several else ())


def _extended(server: PushServer) -> bool:
    return (
        server.outbound_policy != "drop_new"
        or server.backoff is not None
        or server.backlog is not None
        or server.heartbeat is not None
        or server.overflow == "fallback"
        or server.batch_size is not None
        or server.elicitation is not None
    )


def _clients(system: System, agents: int) -> NDArray[np.void]:
    known = system.push is not None and (_extended(system.push) or bool(system.cuts))
    clients = np.zeros(agents if known else 0, CLIENT)
    clients["multiple"] = 1.0
    clients["blocked"] = clients["oldest"] = clients["timer"] = NOBODY
    return clients


def with_events(state: State, events: NDArray[np.void], agents: int) -> State:
    """Return a state with another array of events."""
    return state._replace(
        events=events,
        receivers=events[: 2 * agents].view(RECEIVER),
        messages=events[3 * agents :].view(MESSAGE),
        address=events.ctypes.data,
    )


def stages_of(system: System) -> dict[int, Passage]:
    """Return where each phase of a system passes, and how long it takes there.

    The steps of its protocol, and the times that this engine alone makes events of.
    """
    steps = {int(purpose): step for purpose, step in steps_of(system).items()}
    stages = {phase: (WHERE[step.place], step.cost, step.per_byte) for phase, step in steps.items()}
    if system.store.linger is not None:
        stages[WRITE_LINGER] = (ON_THE_WAY, Deterministic(system.store.linger), 0.0)
    traffic, polling, push = system.workload.traffic, system.polling, system.push
    if isinstance(traffic, OpenTraffic):
        stages[FIRST_GAP] = (ON_THE_WAY, traffic.first_gap, 0.0)
        stages[MESSAGE_GAP] = (ON_THE_WAY, traffic.gap, 0.0)
    elif isinstance(traffic, Piecewise):
        stages[FIRST_GAP] = stages[MESSAGE_GAP] = (ON_THE_WAY, traffic.expected, 0.0)
    elif isinstance(traffic, Requests) and traffic.patience is not None:
        stages[PATIENCE] = (ON_THE_WAY, Deterministic(traffic.patience), 0.0)
    elif isinstance(traffic, Closed):
        stages[PAUSE] = (ON_THE_WAY, traffic.pause, 0.0)
    if polling is not None and polling.sleeps_alike:
        stages[SLEEP] = (ON_THE_WAY, Deterministic(polling.interval), 0.0)
    if polling is not None and (polling.connections is not None or _is_impatient(system)):
        stages[REFUSED] = stages[ANSWER_DOWN]
        stages[BACKOFF] = (ON_THE_WAY, Deterministic(polling.backoff), 0.0)
    if push is not None and push.heartbeat is not None:
        stages[BEATING] = (ON_THE_WAY, Deterministic(push.heartbeat), 0.0)
    if push is not None and push.overflow == "fallback":
        assert push.fallback_interval is not None
        stages[FALLBACK_SLEEP] = (ON_THE_WAY, Deterministic(push.fallback_interval), 0.0)
        stages[POLL_UP] = stages[REQUEST_UP]
        stages[REFUSED] = stages[ANSWER_DOWN]
    return stages | _of_queue(system, stages) | _of_failures(system)


def _of_queue(system: System, stages: dict[int, Passage]) -> dict[int, Passage]:
    """Return what else consumers do, who delete by a request."""
    if system.polling is None or not _has_queue(system):
        return {}
    as_requests = {phase: stages[PURPOSES[phase]] for phase in OF_DELETES}
    if system.polling.visibility is None:
        return as_requests
    return {**as_requests, VISIBLE: (ON_THE_WAY, Deterministic(system.polling.visibility), 0.0)}


def _of_failures(system: System) -> dict[int, Passage]:
    """Return the times for which clients wait that are the same each time."""
    stages: dict[int, Passage] = {}
    retry, polling = system.workload.retry, system.polling
    if retry is not None:
        stages[GIVES_UP] = (ON_THE_WAY, Deterministic(retry.timeout), 0.0)
    if retry is not None and retry.jitter == 0 and retry.factor == 1:
        stages[RETRY] = (ON_THE_WAY, Deterministic(min(retry.backoff, retry.longest)), 0.0)
    if system.push is not None and (hook := system.push.webhook) is not None:
        stages[POST_OVERDUE] = (ON_THE_WAY, Deterministic(hook.timeout), 0.0)
        if hook.factor == 1:
            again = Deterministic(min(hook.backoff, hook.longest))
            stages[POST_AGAIN] = (ON_THE_WAY, again, 0.0)
    if polling is not None and polling.client_timeout is not None:
        stages[TIMES_OUT] = (ON_THE_WAY, Deterministic(polling.client_timeout), 0.0)
    return stages


def _is_impatient(system: System) -> bool:
    """Return whether a poller may have several requests under way: one given up, or cut."""
    polling = system.polling
    return polling is not None and (polling.client_timeout is not None or bool(system.cuts))


def _settings(
    system: System, agents: int, seed: int, window: Window, *, keep: bool
) -> NDArray[np.void]:
    workload, memory, server = system.workload, system.memory, system.server
    traffic, polling, push = workload.traffic, system.polling, system.push
    elicitation = push.elicitation if push else None
    warmth, collection = system.cpu.warmth, system.cpu.collection
    slow = workload.slow
    values = {
        "seed": seed,
        "agents": agents,
        "agents_per_connection": min(push.agents_per_connection, MOST) if push else 1,
        "loops": system.loops,
        "nodes": system.node_count,
        "rule": RULES.index(system.nodes.rule) if system.nodes else 0,
        "affinity": system.nodes is not None and system.nodes.affinity,
        "topology": TARGETS[workload.topology] if system.requests is None else TO_SENDER,
        "first_sender": workload.senders(agents).start,
        "end_of_senders": workload.senders(agents).stop,
        "sender_step": workload.senders(agents).step,
        "copies": workload.copies(agents),
        "record_period": traffic.length if isinstance(traffic, Recorded) else -1.0,
        "start_kind": START_KINDS[workload.start],
        "start_over": workload.start_over,
        "polls": polling is not None,
        "closed": isinstance(traffic, Closed),
        "messages": _or_none(traffic.messages if isinstance(traffic, Closed) else None),
        "connections": _or_none(server.connections),
        "timeout": polling.timeout if polling else math.inf,
        "limit": _or_none(polling.limit if polling else None),
        "overflow": OVERFLOWS.index(push.overflow) if push else REJECT,
        "outbound": _or_none(push.outbound if push else None),
        "reconnects": push is not None and push.reconnect is not None,
        "outbound_policy": OUTBOUND_POLICIES.index(push.outbound_policy) if push else DROP_NEW,
        "elicits": (None, *ASKINGS).index(elicitation.asks_by if elicitation else None),
        "answer_timeout": elicitation.timeout if elicitation else math.inf,
        "accept": elicitation.accept if elicitation else 0.0,
        "decline": elicitation.decline if elicitation else 0.0,
        "cancel": elicitation.cancel if elicitation else 0.0,
        "batch": min(push.batch_size or 0, MOST) if push else 0,
        "linger": push.linger or 0.0 if push else 0.0,
        "backoff": push.backoff or 0.0 if push else 0.0,
        "backlog": _or_none(push.backlog if push else None),
        "backoff_cap": push.backoff_cap if push else 1.0,
        "heartbeat": push is not None
        and push.heartbeat is not None
        and not system.cpu.heartbeat.table().is_zero,
        "scan": system.store.scan,
        "busy_timeout": _or_none(system.store.busy_timeout),
        "turn": system.cpu.turn if system.cpu.turn > 0 or _answers_by_turn(system) else -1.0,
        "by_turn": _answers_by_turn(system),
        "warmth_memory": warmth.memory if warmth else 1.0,
        "collect_every": _every(collection),
        "start": window.start,
        "cohort_end": window.cohort_end,
        "end": window.end,
        "resident": memory.baseline + memory.per_agent * agents,
        "per_connection": memory.per_connection,
        "per_event": memory.per_event,
        "slow_share": slow.share if slow else 0.0,
        "slow_factor": slow.factor if slow else 1.0,
        "answer_payload": NOBODY,
        "token_interval": 1 / server.rate_limit.rate if server.rate_limit else 0.0,
        "token_burst": server.rate_limit.burst if server.rate_limit else 1,
        "keep": keep,
        **_log_keeping(system.store),
        **_writes(system, agents),
        **_sleeps(polling),
        **_clients_of(system),
        **_patience(system),
        **_consumption(system),
        **_webhook(system),
    }
    settings = np.zeros(1, SETTINGS)
    for name in SETTINGS.names or ():
        settings[name] = values[name]
    return settings


def _sleeps(server: PollingServer | None) -> dict[str, float]:
    if server is None:
        names = ("first_sleep", "second_sleep", "jitter", "growth", "longest", "wakes", "ttl")
        return dict.fromkeys((*names, "invalidates", "holds"), 0.0)
    growth, (first, second) = server.growth, server.first_sleeps
    return {
        "first_sleep": first,
        "second_sleep": second,
        "jitter": server.jitter,
        "growth": growth.factor if growth else 1.0,
        "longest": growth.longest if growth else math.inf,
        "wakes": WAKES_AS[server.wake] if server.wake_on_write else 0,
        "holds": server.hold,
        "ttl": server.cache.ttl if server.cache else -1.0,
        "invalidates": server.cache is not None and server.cache.invalidate,
    }


def _consumption(system: System) -> dict[str, float]:
    """Return how a queue is consumed, if there is one."""
    if not _has_queue(system):
        return {"consumes": 0, "first_consumer": 0, "visibility": -1.0}
    server = system.polling
    assert server is not None, "who else has a queue"
    wakes = {"wakes": WAKES_FIRST} if server.wake_on_write and server.wake == "one" else {}
    return {
        "consumes": 1,
        "first_consumer": system.workload.producers or 0,
        "visibility": -1.0 if server.visibility is None else server.visibility,
        **wakes,
    }


def _answers_by_turn(system: System) -> bool:
    return system.requests is not None and system.requests.by_turn


def _clients_of(system: System) -> dict[str, float]:
    """Return what the clients of a request/response server do."""
    traffic = system.workload.traffic
    workers = _or_none(system.requests.workers if system.requests else None)
    if not isinstance(traffic, Requests):
        return {"in_flight": 0, "workers": workers, "patience": -1.0}
    patience = -1.0 if traffic.patience is None else traffic.patience
    return {
        "in_flight": traffic.in_flight,
        "workers": workers,
        "patience": patience,
        "messages": _or_none(traffic.requests),
    }


def _patience(system: System) -> dict[str, float]:
    """Return how clients give up, and what comes after."""
    retry, polling, push = system.workload.retry, system.polling, system.push
    timeout = polling.client_timeout if polling else None
    cut = bool(system.cuts)
    return {
        "attempts": min(retry.attempts, MOST) if retry else 0,
        "retry_timeout": retry.timeout if retry else math.inf,
        "retry_backoff": retry.backoff if retry else 0.0,
        "retry_factor": retry.factor if retry else 1.0,
        "retry_longest": retry.longest if retry else 0.0,
        "retry_jitter": retry.jitter if retry else 0.0,
        "budget": -1.0 if retry is None or retry.budget is None else retry.budget,
        "impatient": _is_impatient(system),
        "client_timeout": -1.0 if timeout is None else timeout,
        "evicts": push is not None and (push.outbound_policy == "disconnect" or cut),
    }


def _webhook(system: System) -> dict[str, float]:
    """Return how messages are posted, if they are."""
    hook = system.push.webhook if system.push else None
    return {
        "posts": hook.attempts if hook else 0,
        "post_timeout": hook.timeout if hook else math.inf,
        "post_backoff": hook.backoff if hook else 0.0,
        "post_factor": hook.factor if hook else 1.0,
        "post_longest": hook.longest if hook else 0.0,
        "post_failure": hook.failure if hook else 0.0,
        "post_slots": _or_none(hook.in_flight if hook else None),
    }


def _cuts(system: System) -> NDArray[np.float64]:
    """Return when faults cut connections, how long outages last, and whom they hit: shares."""
    rows = [(one.at, *_extent(one)) for one in system.cuts]
    return np.ascontiguousarray(np.array(rows, float).reshape(-1, 3).T)


def _extent(fault: Outage | Disconnect | NodeFailure) -> tuple[float, float]:
    if isinstance(fault, Outage):
        return fault.duration, 1.0
    return -1.0, fault.share if isinstance(fault, Disconnect) else -1.0 - fault.node


def _writes(system: System, agents: int) -> dict[str, float]:
    """Return what a batch of writes is, and how many places of messages one event may take.

    They are those of the messages that are sent together, of attempts at them, of a timer at each
    target of those that are stored together, of a timer of a batch, of the posters and posts of all
    that it holds, of the timers of one connection, of those of slices of time, and of a client's
    first requests.
    """
    store, copies = system.store, system.workload.copies(agents)
    batch = min(store.batch_size or 0, MOST)
    return {
        "write_batch": batch,
        "write_linger": store.linger or 0.0,
        "write_more": store.write_more,
        "shares": _slices_at_a_time(system) > 0,
        "places": copies * (2 if system.workload.retry else 1)
        + min(agents, max(batch, 1) * copies)
        + (batch > 0)
        + 2 * max(batch, 1) * copies * _posts(system)
        + _slices_at_a_time(system)
        + (traffic.in_flight if isinstance(traffic := system.workload.traffic, Requests) else 0)
        + SPARE,
    }


def _slices_at_a_time(system: System) -> int:
    """Return how many slices one event may end early or begin."""
    cores = 0 if system.cpu.quantum is None else system.cpu.cores + SPARE
    return system.node_count * cores + (
        0 if system.store.quantum is None else system.store.connections + SPARE
    )


def _log_keeping(store: EventStore) -> dict[str, float]:
    retention = store.retention
    count = retention.count if retention else None
    age = retention.age if retention else None
    return {
        "first_events": store.events if count is None else min(store.events, count),
        "keep_count": NO_LIMIT if count is None else min(count, MOST_EVENTS),
        "keep_age": math.inf if age is None else age,
    }


def _log(system: System) -> NDArray[np.float64]:
    retention = system.store.retention
    return np.zeros(0 if retention is None or retention.age is None else FEWEST_EVENTS)


def _or_none(limit: float | None) -> float:
    # Nothing ever counts up to a limit beyond the range of a number.
    return NO_LIMIT if limit is None else min(limit, MOST)


def _every(collection: Collection | None) -> int:
    return 0 if collection is None or collection.cost.table().is_zero else collection.every


def _counts(system: System, settings: NDArray[np.void]) -> NDArray[np.void]:
    counts = np.zeros(1, COUNTS)
    counts["events"] = settings["first_events"]
    counts["peak_memory"] = settings["resident"] + settings["per_event"] * settings["first_events"]
    counts["shortest"], counts["longest"] = np.inf, -np.inf
    for name in ("free", "line", "lingers", "asking", "opened", "asleep", "shared"):
        counts[name] = NOBODY
    return counts


def _stations(system: System) -> NDArray[np.void]:
    loops, store = system.loops, system.store
    stations = np.zeros(loops + 1 + store.single_writer, STATION)
    stations["servers"] = 1
    stations["servers"][:loops] = system.cpu.cores
    stations["servers"][loops] = min(store.connections, MOST)
    stations["quantum"] = NOT_SHARED
    if system.cpu.quantum is not None:
        stations["quantum"][:loops] = system.cpu.quantum
    if store.quantum is not None:
        stations["quantum"][loops] = store.quantum
    stations["switch"][:loops] = system.cpu.switch
    stations["timer"] = NOBODY
    in_slices = np.where(stations["quantum"] > 0, stations["servers"], 0)
    equal = stations["quantum"] == 0
    stations["first_slice"] = np.cumsum(in_slices) - in_slices
    stations["first_slice"][equal] = range(equal.sum())
    stations["idle_since"] = -np.inf  # a loop begins as cold as it can be
    stations["lane"] = stations["held"] = NOBODY
    stations["turn_is_over"] = True
    return stations


def _slices(stations: NDArray[np.void]) -> NDArray[np.void]:
    in_slices = stations["servers"][stations["quantum"] > 0]
    slices = np.zeros(in_slices.sum(), SLICE)
    slices["job"] = slices["timer"] = NOBODY
    return slices


@frozen(eq=False)
class Stages:
    """The stages of a system, by phase and class of agents, and what they refer to."""

    stages: NDArray[np.void]
    slots: NDArray[np.void]  # those of a message that are random
    lanes: NDArray[np.void]
    cells: NDArray[np.float64]  # of the quantile tables, of shape (tables, CELLS, 2)
    kinds: NDArray[np.void]
    answer_payload: int  # cells; NOBODY: answers have no size


def _tabulate(system: System, stations: NDArray[np.void], agents: int) -> Stages:
    """Return the stages of a system; some stations get a lane."""
    found = _Tables([AT_ONCE] if _wakes(system) else [])
    stages = np.concatenate([_stages(kind, system, found) for kind in system.kinds])
    kinds = _kinds(system, agents, found)
    requests = system.requests
    answers = found.size(requests.answer_payload) if requests is not None else NOBODY
    if len(stations) <= MOST_LANES // 2:
        for number in np.flatnonzero(stations["servers"] == 1):
            stations["lane"][number] = found.lane(None)
    table = np.array(found.tables).reshape(len(found.tables), CELLS, 2)
    lanes = _empty(len(found.lanes))
    return Stages(stages, np.array(found.slots, SLOT), lanes, table, kinds, answers)


class _Tables:
    """What the stages of a system refer to, as it is found."""

    def __init__(self, lanes: list[float | None]) -> None:
        self.tables: list[NDArray[np.float64]] = []
        self.slots: list[tuple[int, int]] = []
        self.lanes = lanes  # their delays; None: of a single server

    def table(self, cells: NDArray[np.float64]) -> int:
        """Return the number of a new quantile table."""
        self.tables.append(cells)
        return len(self.tables) - 1

    def size(self, payload: Distribution) -> int:
        """Return the number of a table of sizes; NOBODY where there are none."""
        table = payload.table()
        return NOBODY if table.is_zero else self.table(table.cells)

    def lane(self, delay: float | None) -> int:
        """Return the lane of a delay, or a new one for a single server; NOBODY: all are used."""
        if delay is not None and delay in self.lanes:
            return self.lanes.index(delay)
        if len(self.lanes) == MOST_LANES:
            return NOBODY
        self.lanes.append(delay)
        return len(self.lanes) - 1


def _stages(system: System, whole: System, found: _Tables) -> NDArray[np.void]:
    """Return the stages, by phase, of a system as one class of the agents of the `whole` has it."""
    stages = np.zeros(PHASES, STAGE)
    stages["lane"] = NOBODY
    stages["by_query"][[QUERY, QUERY_CPU, LOOK_UP]] = system.polling is not None
    stages["by_query"][OF_DELETES] = BY_DELETE
    of_slow_agents = {
        int(purpose)
        for purpose, step in steps_of(system).items()
        if step.place in {Place.NETWORK, Place.AGENT}
    }
    drawn_at_once, sizes, network = _drawn_at_once(whole), _sizes(whole), system.network
    for phase, (where, distribution, per_byte) in stages_of(system).items():
        stage = stages[phase : phase + 1]
        purpose = PURPOSES.get(phase, phase)
        stage["purpose"], stage["slows"] = purpose, purpose in of_slow_agents
        losses = LOSSES.get(purpose, 0) if network.loss > 0 else 0
        stage["losses"], stage["loss"] = losses, network.loss
        stage["retransmission_timeout"] = network.retransmission_timeout
        if per_byte > 0:
            stage["sized"], stage["per_byte"] = sizes.get(phase, NO_SIZE), per_byte
        cells = None if distribution is None else distribution.table().cells
        if cells is None or not cells.any():
            takes_time = losses or per_byte > 0 or _adds_up(system, phase)
            stage["where"], stage["constant"] = where if takes_time else NOWHERE, True
            continue
        stage["where"] = where
        if (cells == (cells[0, 0], 0.0)).all():
            stage["constant"], stage["value"] = True, cells[0, 0]
            if where == ON_THE_WAY and not stage["sized"]:
                stage["lane"] = found.lane(float(cells[0, 0]))
            continue
        stage["cells"] = found.table(cells)
        if phase != HEARTBEAT:  # whose place holds its cost alone
            stage["slot"] = len(found.slots) if phase in drawn_at_once else NOBODY
        if phase in drawn_at_once:
            found.slots.append((phase, int(stage["cells"][0])))
    return stages


def _drawn_at_once(system: System) -> set[int]:
    """Return the stages of a message that are drawn when it is created."""
    if kind_of(system)[1] == WITH_FAILURES or _has_kinds(system):
        return set()  # all are drawn when they begin
    return OF_MESSAGES if system.requests is None else OF_REQUESTS


def _has_kinds(system: System) -> bool:
    return bool(system.workload.classes) or system.has_payloads


def _sizes(system: System) -> dict[int, int]:
    """Return whose bytes count, by phase."""
    if not system.has_payloads:
        return {}
    if system.requests is not None:
        own = dict.fromkeys((REQUEST_UP, PARSE_REQUEST, QUERY_CPU, QUERY), OF_MESSAGE)
        return own | dict.fromkeys((RESPOND, ANSWER_DOWN), OF_ANSWER)
    found = dict.fromkeys((RESPOND, ANSWER_DOWN), OF_FOUND)
    return found | dict.fromkeys(OF_MESSAGES - {ACKNOWLEDGE}, OF_MESSAGE)


def _kinds(system: System, agents: int, found: _Tables) -> NDArray[np.void]:
    """Return the classes of agents; none where all are alike, and messages have no size."""
    population = Population(system.workload.classes, agents)
    kinds = np.zeros(len(population.names) if _has_kinds(system) else 0, KIND)
    if len(kinds):
        kinds["end"] = population.ends
        kinds["first_target"], kinds["end_of_targets"] = np.array(population.targets).T
        kinds["silent"] = [number in system.workload.silent for number in range(len(kinds))]
        kinds["payload"] = [found.size(kind.workload.payload) for kind in system.kinds]
    return kinds


def _adds_up(system: System, phase: int) -> bool:
    """Return whether a phase may take time though its own cost is always 0."""
    store = system.store
    return (phase == QUERY and store.scan > 0) or (phase == WRITE and store.write_more > 0)


def _wakes(system: System) -> bool:
    """Return whether anything in a system happens at once, because something else has happened."""
    push, polling = system.push, system.polling
    waits = push is not None and (push.overflow == "wait" or push.outbound_policy == "block")
    wakes = polling is not None and polling.wake_on_write
    return waits or wakes or may_fail(system) or isinstance(system.workload.traffic, Closed)


def _empty(lanes: int) -> NDArray[np.void]:
    array = np.zeros(lanes, LANE)
    array["time"] = np.inf
    array["head"] = array["tail"] = NOBODY
    return array


def _warmth(system: System) -> NDArray[np.float64]:
    warmth = system.cpu.warmth
    if warmth is None:
        return np.zeros((3, 0))
    return slopes(np.array(warmth.gaps), np.array(warmth.excess))


def _cpu_stalls(system: System, seed: int, window: Window) -> NDArray[np.float64]:
    host, starts, ends = system.cpu.stalls, np.zeros(0), np.zeros(0)
    if host is not None:
        cells = host.gap.table().cells, host.length.table().cells
        starts, ends = renewals(*cells, OF_STALLS, seed, 0, window.end)
    return with_stalls(starts, ends, stalls(system.faults, "cpu"))


def _slowdowns(system: System, seed: int, window: Window) -> NDArray[np.float64]:
    host, starts, ends = system.cpu.slowdowns, np.zeros(0), np.zeros(0)
    if host is not None:
        cells = host.gap.table().cells, host.length.table().cells
        starts, ends = renewals(*cells, OF_SLOWDOWNS, seed, 0, window.end)
    factor = 1.0 if host is None else host.factor
    return with_slowdowns(starts, ends, factor, slowdowns(system.faults))


def _first_days_per_second(system: System, agents: int) -> float:
    """Return how many days of the calendar a second has until `_tune` knows better."""
    return 2 * agents / max(system.workload.started_by, 1e-3)
