"""The random systems are rich: a generator that never reaches a rule tests nothing of it."""

from collections import Counter

import attrs
import numpy as np
import pytest
from generators import AREAS, FIELDS
from hypothesis import HealthCheck, Phase, given, settings
from simpy.events import NORMAL, Timeout

from lhsim.metrics.account import Outcome, Window
from lhsim.models import Calibration, CalibrationWarning, Provenance, System, Workload
from lhsim.models.push_processes import Push
from lhsim.models.replies import Failed
from lhsim.models.running import start
from lhsim.models.sharing import ProcessorSharing, TimeShared
from lhsim.models.station import Service
from lhsim.models.webhook_processes import Webhooks
from lhsim.models.workload import START_KINDS, Traffic
from lhsim.rules import start_time
from lhsim.simulation.engines import ONLY_WITH_SIMPY

SAMPLE = 24  # cases of each area
TIES = 10  # in a run: instants with several events
LOOKS = 40  # at the state of a run

# What has to happen in so many cases at least, of all those of one architecture.
BOTH = {
    "delivered": 30,
    "events at one instant": 12,  # for different reasons: such that only their order decides
    "many deliveries at one instant": 1,
    "many creations at one instant": 3,
    "a service of 0 s": 20,
    "several loops": 10,
    "collection": 13,
    "stall in an operation": 6,
    "stall in a service of the store": 4,
    "cold loop": 13,
    "turn of several operations": 10,
    "wait for a loop": 20,
    "wait for the store": 5,
    "wait for the writer": 2,
    "database locked": 5,
    "writer that gives up": 2,
    "full batch of writes": 20,
    "batch of writes that has lingered": 20,
    "batch of writes of several that is not full": 6,
    "batch of writes that is committed at once": 5,
    "batch of writes that waits": 3,
    "batch of several writes that gives up": 1,
    "broadcast in a batch of writes": 1,
    "event removed by count": 10,
    "event removed by age": 10,
    "event of the start removed by age": 5,
    "message expired in the store": 8,
    "growing log": 10,
    "agent that sends to itself": 1,
    "closed loop to its end": 2,
    "periodic": 4,
    "bursts": 4,
    "recorded": 4,
    "more senders than recorded clients": 3,
    "slow agent among others": 13,
    "lost packet": 18,
    "rate limit": 10,
    "hub": 6,
    "broadcast": 6,
    "closed loop of broadcasts": 1,
    "nodes that are busy": 20,
    "node chosen because it holds less": 10,
    "node chosen once and for all": 10,
    "node chosen while another is down": 5,
}
SHARED = {
    "slice ended early": 20,
    "slice that goes on": 5,
    "job put off": 20,
    "switch that costs": 10,
    "stall in a slice": 5,
    "processors shared by more jobs": 10,
    "stall while jobs share": 3,
    "shared cores that were cold": 3,
    "shared cores that are slow": 3,
    "connections shared in slices": 5,
    "connections shared equally": 2,
}
# What a request/response server has nothing of: nobody writes, or sends to another.
OF_MESSAGES = {
    "wait for the writer", "database locked", "writer that gives up", "full batch of writes",
    "batch of writes that has lingered", "batch of writes of several that is not full",
    "batch of writes that is committed at once", "batch of writes that waits",
    "batch of several writes that gives up", "broadcast in a batch of writes",
    "event removed by count", "event removed by age", "event of the start removed by age",
    "message expired in the store", "growing log", "agent that sends to itself", "hub",
    "broadcast", "closed loop of broadcasts",
}  # fmt: skip
FAILURES = {
    "message that is tried again": 30,
    "attempt whose message was delivered before": 10,
    "client whose patience ends": 30,
    "client that is refused": 20,
    "client that is cut": 10,
    "budget that does not pay": 5,
    "refusal in an outage": 20,
    "message that fails with its last attempt": 5,
}
BOTH |= SHARED
OF = {
    "requests": {what: least for what, least in BOTH.items() if what not in OF_MESSAGES}
    | {
        "several loops": 5,
        "request given up": 30,
        "answer to a request that was given up": 20,
        "refusal of a request that was given up": 1,
        "answer that waits for the end of a turn": 20,
        "wait for a worker": 20,
        "worker that is handed over": 20,
        "several requests of a client": 30,
        "clients that have asked for all": 20,
        "requests at a rate": 20,
    },
    "polling": BOTH
    | {
        "timeout": 13,
        "timeout shorter than the interval": 13,
        "refused": 10,
        "full answer": 6,
        "several messages at once": 8,
        "found nothing": 30,
        "jitter": 20,
        "sleep that has grown": 8,
        "longest sleep": 4,
        "message that overtakes another": 8,
        "cache hit": 20,
        "cache entry that a write removes": 15,
        "cache entry that hides a message": 8,
        "sleep that a write ends": 15,
        "sleep that does not begin": 3,
        "alarm in vain": 8,
        "cache entry of a snapshot of expired messages": 1,
        "more requests than agents": 20,
        "short poll that finds nothing": 20,
        "message for which everybody wakes": 20,
        "message done by a consumer": 20,
        "message done by two consumers": 10,
        "message that is visible again": 10,
        "consumer that wakes first": 10,
    }
    | FAILURES,
    "push": BOTH
    | {
        "rejected": 5,
        "dropped": 5,
        "lost": 3,
        "refused": 6,
        "parked": 10,
        "agents that wait in line": 5,
        "agent that comes back": 13,
        "relay": 6,
        "several messages in an outbound queue": 10,
        "an older message dropped": 3,
        "blocked request": 3,
        "blocked request whose connection closes": 1,
        "connection closed by the server": 3,
        "session of a connection that the server has closed": 1,
        "second refusal in a row": 3,
        "attempt that a full backlog drops": 5,
        "heartbeat": 10,
        "heartbeat left out": 1,
        "answer in time": 10,
        "answer too late": 5,
        "elicitation expired": 10,
        "full batch": 5,
        "batch that has lingered": 5,
        "batch of several that is not full": 3,
        "batch whose connection closes": 1,
        "batch that loses its oldest": 1,
        "poll of an agent that was refused": 5,
        "delivery by such a poll": 5,
        "connection after such polls": 3,
        "connection of several agents": 20,
        "connection of fewer agents, the last": 8,
        "batch for several agents": 5,
        "poll for several agents": 1,
        "client that comes before its first agent": 4,
        "message that stays on the loop of its client": 6,
        "elicitation expired before it expired in the store": 1,
        "client turned away from the line": 3,
        "message that crosses nodes": 10,
        "lines of several nodes": 1,
        "post that arrives": 20,
        "post that arrives twice": 10,
        "post that is made again": 20,
        "dead letter": 5,
        "post that waits for a slot": 5,
    }
    | FAILURES,
}


def test_each_field_of_a_system_is_drawn():
    alone = {path.rpartition(".")[2] for path in ONLY_WITH_SIMPY}
    for cls, fields in FIELDS.items():
        assert set(fields("mixed", 2)) == {field.alias for field in attrs.fields(cls)} - alone
    parts = {cls.__name__ for cls in FIELDS}
    described = {cls.__name__ for cls in (*_parts(System), *_parts(Workload))}
    do_not_act = {one.__name__ for one in (Calibration, CalibrationWarning, Provenance)}
    assert described - parts <= do_not_act


def _parts(cls):
    """Yield the classes of the description that the fields of a class name, at any depth."""
    for field in attrs.fields(attrs.resolve_types(cls)):
        for kind in (field.type, *getattr(field.type, "__args__", ())):
            if attrs.has(kind):
                yield kind
                yield from _parts(kind)


@pytest.mark.parametrize("server", OF)
def test_a_sample_of_cases_reaches_each_rule(server):
    seen = Counter()
    for area in AREAS:
        if area.startswith(server):
            _look(AREAS[area], seen)
    missed = {what: seen[what] for what, least in OF[server].items() if seen[what] < least}
    assert missed == {}


def _look(area, seen):
    @settings(
        max_examples=SAMPLE,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(area)
    def look(case):
        seen.update(happened(case))

    look()


def happened(case):
    """Return what happens in a case, by the names of `OF`."""
    system = case.system
    warmup, drain = case.warmup or 0.0, case.drain or 0.0
    window = Window(warmup, case.duration - drain, case.duration)
    running = start(system, case.agents, case.seed, window, keep_messages=True)
    bridge, server = running.bridge, running.server
    due, seen = _watch(bridge.env), set()
    _watch_stalls(bridge.store, seen)
    _watch_writes(bridge, seen)
    _watch_expiry(bridge.store, seen)
    if system.polling is not None:
        _watch_sleeps(server, seen)
    if system.push is not None:
        _watch_push(server, seen)
    if system.requests is not None:
        _watch_requests(bridge, server, seen)
    _watch_sharing(bridge, seen)
    _watch_balancer(bridge, system, seen)
    _watch_clients(running, seen)
    for time in np.linspace(0.0, case.duration, LOOKS + 1)[1:]:
        bridge.env.run(until=float(time))
        seen |= {what for what, is_so in _now(bridge, server).items() if is_so}
    seen |= {what for what, is_so in _in_the_end(bridge, server, case).items() if is_so}
    seen |= {what for what, is_so in _of_failures(running).items() if is_so}
    times = Counter(time for time, delay in due if delay > 0)
    if sum(count > 1 for count in times.values()) > TIES:
        seen.add("events at one instant")
    if any(delay == 0 for _, delay in due):
        seen.add("a service of 0 s")
    return seen


def _watch(env):
    """Return a list that gets the time and the delay of each timeout and service from now on."""
    due, schedule = [], env.schedule

    def watched(event, priority=NORMAL, delay=0):
        if isinstance(event, Timeout | Service):
            due.append((env.now + delay, delay))
        schedule(event, priority, delay)

    env.schedule = watched
    return due


def _watch_stalls(store, seen):
    """Let `seen` get to know when a stall of the store falls into a service."""
    stalls = store.pool._stalls
    if stalls is None or isinstance(store.pool, TimeShared):
        return
    stretch = stalls.stretch

    def watched(now, demand):
        duration = stretch(now, demand)
        if duration > demand:
            seen.add("stall in a service of the store")
        return duration

    stalls.stretch = watched


def _watch_writes(bridge, seen):
    """Let `seen` get what happens to batches of writes."""
    store = bridge.store
    flush, write_batch = store._flush, store._write_batch

    def watched_flush():
        size = len(store._collected.commits)
        full = size == store._batch_size
        seen.add("full batch of writes" if full else "batch of writes that has lingered")
        if size > 1 and not full:
            seen.add("batch of writes of several that is not full")
        if size > 1 and bridge.workload.topology == "broadcast":
            seen.add("broadcast in a batch of writes")
        flush()

    def watched_write_batch(batch):
        if store._cost(batch) is None:
            seen.add("batch of writes that is committed at once")
        locked = store.locked
        yield from write_batch(batch)
        if store.locked > locked:
            seen.add("batch of writes that waits")
        if not batch.written.value and len(batch.commits) > 1:
            seen.add("batch of several writes that gives up")

    store._flush, store._write_batch = watched_flush, watched_write_batch


WHY = {
    Failed.TIMED_OUT: "client whose patience ends",
    Failed.REFUSED: "client that is refused",
    Failed.CUT: "client that is cut",
}


def _watch_clients(running, seen):
    """Let `seen` get what happens to clients that give up, or are cut."""
    bridge, retries = running.bridge, running.senders.retries
    _watch_replies(bridge.waiting, seen)
    reject = bridge.reject

    def watched_reject(message):
        if bridge.unreachable:
            seen.add("refusal in an outage")
        reject(message)

    bridge.reject = watched_reject
    if retries is not None:
        _watch_budget(retries, seen)
    if isinstance(running.server, Push):
        _watch_line(running.server, seen)


def _watch_balancer(bridge, system, seen):
    balancer, choose = bridge.balancer, bridge.balancer.choose
    looks = {"least_connections", "two_choices"}

    def watched(client, *address):
        loads = balancer._connections + balancer._working
        known = balancer._homes is not None and client in balancer._homes
        node = choose(client, *address)
        if any(map(balancer.is_down, range(balancer.count))):
            seen.add("node chosen while another is down")
        if balancer.count > 1 and known:
            seen.add("node chosen once and for all")
        elif system.nodes is not None and system.nodes.rule in looks and loads[node] < loads.max():
            seen.add("node chosen because it holds less")
        return node

    balancer.choose = watched


def _watch_replies(waiting, seen):
    ask = waiting.ask

    def watched(agent, patience):
        reply = ask(agent, patience)
        give = reply.give

        def watched_give(value):
            if isinstance(value, Failed) and not reply.event.triggered:
                seen.add(WHY[value])
            give(value)

        reply.give = watched_give
        return reply

    waiting.ask = watched


def _watch_budget(retries, seen):
    may_try_again = retries._may_try_again

    def watched(agent):
        may = may_try_again(agent)
        if not may:
            seen.add("budget that does not pay")
        return may

    retries._may_try_again = watched


def _watch_line(server, seen):
    enter = server._enter

    def watched(agent, attempt, node):
        let_in = yield from enter(agent, attempt, node)
        if not let_in:
            seen.add("client turned away from the line")
        return let_in

    server._enter = watched


def _of_failures(running):
    bridge, retries = running.bridge, running.senders.retries
    tried = [message for message in bridge.ledger.kept if message.attempts is not None]
    return {
        "message that is tried again": retries is not None and retries.count > 0,
        "attempt whose message was delivered before": bridge.ledger.duplicates > 0,
        "message that fails with its last attempt": any(
            one.outcome not in {Outcome.PENDING, Outcome.DELIVERED} for one in tried
        ),
        "more requests than agents": bridge.memory.peak_connections > bridge.agents,
    }


def _watch_sharing(bridge, seen):
    """Let `seen` get what happens to the jobs of stations that are shared."""
    for loop in bridge.loops:
        if isinstance(loop, TimeShared):
            _watch_cost(loop, seen)
        elif loop._turn:
            _watch_turns(loop, seen)
    for station in (*bridge.loops, bridge.store.pool):
        if isinstance(station, ProcessorSharing):
            _watch_equal_shares(station, seen)
        elif isinstance(station, TimeShared):
            _watch_slices(station, seen)
    kind = type(bridge.store.pool)
    if kind is not TimeShared and kind is not ProcessorSharing:
        return
    serve = bridge.store.pool.serve
    name = "in slices" if kind is TimeShared else "equally"

    def watched(*arguments, **options):
        if bridge.store.pool.busy:
            seen.add(f"connections shared {name}")
        return serve(*arguments, **options)

    bridge.store.pool.serve = watched


def _watch_cost(loop, seen):
    cost = loop.cost

    def watched(demand):
        before = loop._cold_factor
        found = cost(demand)
        if loop._warmth is not None and loop._cold_factor > before:
            seen.add("shared cores that were cold")
        if loop._slow is not None and loop._slow.times_as_long(loop.env.now) > 1:
            seen.add("shared cores that are slow")
        return found

    loop.cost = watched


def _watch_turns(loop, seen):
    cost = loop.cost

    def watched(demand):
        found = cost(demand)
        if loop._in_turn:
            seen.add("turn of several operations")
        return found

    loop.cost = watched


def _watch_slices(station, seen):
    early, end_after = station._end_slices_early, station._end_after
    end, following = station._end, station._next

    def watched_early():
        events = [one.event for one in station._slices]
        early()
        if any(one.event is not was for one, was in zip(station._slices, events, strict=True)):
            seen.add("slice ended early")

    def watched_end_after(number, one, work):
        end_after(number, one, work)
        if one.until - one.began > work * 1.01 + 1e-9:
            seen.add("stall in a slice")

    def watched_end(number, one, event):
        if one.event is event and one.work < one.job.left:
            seen.add("job put off" if station.waiting else "slice that goes on")
        end(number, one, event)

    def watched_next():
        if station._switch and station.waiting[0].left >= 0:
            seen.add("switch that costs")
        following()

    station._end_slices_early, station._end_after = watched_early, watched_end_after
    station._end, station._next = watched_end, watched_next


def _watch_equal_shares(station, seen):
    reckon = station._reckon

    def watched():
        reckon()
        jobs = len(station._jobs)
        if jobs > station.servers:
            seen.add("processors shared by more jobs")
        if jobs and len(station._stalls.starts):
            work = (station._jobs[0][0] - station._share) * max(1.0, jobs / station.servers)
            if station._until - station.env.now > work * 1.01 + 1e-9:
                seen.add("stall while jobs share")

    station._reckon = watched


def _watch_requests(bridge, server, seen):
    """Let `seen` get what happens to requests at the server."""
    end_of_turn = server._end_of_turn

    def watched_end_of_turn(client, node):
        for end in end_of_turn(client, node):
            seen.add("answer that waits for the end of a turn")
            yield end

    server._end_of_turn = watched_end_of_turn
    exceeds_limit, leave, occupy = bridge.exceeds_limit, server._leave, server._occupy

    def watched_exceeds_limit(message):
        exceeds = exceeds_limit(message)
        if exceeds and message.outcome is Outcome.EXPIRED:
            seen.add("refusal of a request that was given up")
        return exceeds

    def watched_occupy(workers, node):
        if server._occupied[node] >= workers:
            seen.add("wait for a worker")
        yield from occupy(workers, node)

    def watched_leave(node):
        if server._waiting[node]:
            seen.add("worker that is handed over")
        leave(node)

    bridge.exceeds_limit = watched_exceeds_limit
    server._leave, server._occupy = watched_leave, watched_occupy


def _watch_expiry(store, seen):
    is_gone = store.is_gone

    def watched_is_gone(message):
        gone = is_gone(message)
        if gone:
            seen.add("message expired in the store")
            if message.outcome is Outcome.EXPIRED:
                seen.add("elicitation expired before it expired in the store")
        return gone

    store.is_gone = watched_is_gone


def _watch_sleeps(server, seen):
    """Let `seen` get what a sleep is like, from now on."""
    jittered, growth, asleep = server._jittered, server.server.growth, server._asleep
    first = server.server.first_sleep
    post, wakes = server._post, server.server.wake_on_write

    def watched(agent, cycle, interval):
        time = jittered(agent, cycle, interval)
        if wakes and agent in server._written:
            seen.add("sleep that does not begin")
        seen.update(
            what
            for what, is_so in {
                "jitter": time != interval,
                "first sleep": interval == first != server.server.interval,
                "sleep that has grown": interval > server.server.interval and interval != first,
                "longest sleep": growth is not None
                and server.server.interval < interval == growth.longest,
            }.items()
            if is_so
        )
        return time

    def posted(message):
        alarm, agent = asleep.get(message.target), message.target
        known = agent in server._empty_since
        post(message)
        if known and agent not in server._empty_since:
            seen.add("cache entry that a write removes")
        elif server._is_known_to_be_empty(agent):
            seen.add("cache entry that hides a message")
        if alarm is not None:
            seen.add("sleep that a write ends")
            alarm.callbacks.append(lambda _: seen.add("alarm in vain"))

    take, ledger = server._take, server.bridge.ledger

    def taken(agent):
        open_before = ledger.backlog
        found = take(agent)
        if ledger.backlog < open_before and not found and server.server.cache is not None:
            seen.add("cache entry of a snapshot of expired messages")
        return found

    server._jittered, server._post, server._take = watched, posted, taken


def _watch_push(server, seen):
    """Let the names of what options do be added to `seen` as they happen."""
    _watch_connections(server, seen)
    _watch_refusals(server, seen)
    _watch_polls(server, seen)
    _watch_crossings(server, seen)
    _watch_batches(server, seen)
    _watch_answers(server, seen)


def _watch_connections(server, seen):
    overflow, leave, beat = server._overflow, server._leave, server._beat
    policy, beats = server.server.outbound_policy, Counter()

    def watched_overflow(message, connection):
        if policy == "drop_oldest" and connection.unsent:
            in_batch = server.server.batch_size is not None
            seen.add("batch that loses its oldest" if in_batch else "an older message dropped")
        if policy == "disconnect":
            seen.add("connection closed by the server")
            if server._session is not None:
                seen.add("session of a connection that the server has closed")
        yield from overflow(message, connection)

    def watched_leave(agent):
        if server._connections[agent].blocked:
            seen.add("blocked request whose connection closes")
        if server.server.batch_size is not None and server._connections[agent].unsent:
            seen.add("batch whose connection closes")
        leave(agent)

    def watched_beat(agent, connection, number):
        seen.add("heartbeat left out" if number > beats[connection] else "heartbeat")
        beats[connection] = number + 1
        yield from beat(agent, connection, number)

    server._overflow, server._leave, server._beat = watched_overflow, watched_leave, watched_beat


def _watch_refusals(server, seen):
    refuse, enter, in_a_row = server._refuse, server._enter, Counter()

    def watched_refuse(agent):
        in_a_row[agent] += 1
        if in_a_row[agent] == 2 and server.server.backoff is not None:
            seen.add("second refusal in a row")
        refuse(agent)

    def watched_enter(agent, attempt, node):
        in_a_row[agent] = 0
        return (yield from enter(agent, attempt, node))

    def watched_drops(node):
        dropped = drops(node)
        if dropped:
            seen.add("attempt that a full backlog drops")
        return dropped

    drops, server._drops = server._drops, watched_drops
    server._refuse, server._enter = watched_refuse, watched_enter


def _watch_polls(server, seen):
    poll, enter, polled, client = server._poll, server._enter, set(), server.bridge.client

    def watched_poll(agent, request):
        seen.add("poll of an agent that was refused")
        polled.add(agent)
        yield from poll(agent, request)
        kept, now = server.bridge.ledger.kept, server.env.now
        brought = {
            message.target
            for message in kept
            if client(message.target) == agent and message.delivered == now
        }
        if brought:
            seen.add("delivery by such a poll")
        if len(brought) > 1:
            seen.add("poll for several agents")

    def watched_enter(agent, attempt, node):
        if agent in polled:
            seen.add("connection after such polls")
        return (yield from enter(agent, attempt, node))

    server._poll, server._enter = watched_poll, watched_enter


def _watch_crossings(server, seen):
    hand_over, client = server.hand_over, server.bridge.client

    def watched(message):
        connection = server._connections.get(client(message.target))
        if connection is not None and connection.node != message.node:
            seen.add("message that crosses nodes")
        yield from hand_over(message)

    server.hand_over = watched


def _watch_batches(server, seen):
    flush = server._flush

    def watched_flush(connection):
        size = len(connection.unsent)
        full = size == server.server.batch_size
        seen.add("full batch" if full else "batch that has lingered")
        if size > 1 and not full:
            seen.add("batch of several that is not full")
        if len({message.target for message in connection.unsent}) > 1:
            seen.add("batch for several agents")
        flush(connection)

    server._flush = watched_flush


def _watch_answers(server, seen):
    reply, end = server._answer, server._end

    def watched_answer(message, elicitation):
        before = server.answered
        yield from reply(message, elicitation)
        if server.answered > before:
            seen.add("answer in time")
        elif message.outcome is Outcome.EXPIRED:
            seen.add("answer too late")

    def watched_end(message, outcome):
        end(message, outcome)
        if message.outcome is Outcome.EXPIRED:
            seen.add("elicitation expired")

    server._answer, server._end = watched_answer, watched_end


def _now(bridge, server):
    store = bridge.store
    state = {
        "wait for a loop": any(loop.waiting for loop in bridge.loops),
        "wait for the store": bool(store.pool.waiting),
        "wait for the writer": store.writer is not store.pool and bool(store.writer.waiting),
    }
    if bridge.workload.traffic.closed:
        under_way = Counter(message.sender for message in bridge.ledger.open)
        state["several requests of a client"] = max(under_way.values(), default=0) > 1
    if isinstance(server, Push):
        queues = [connection.queued for connection in server._connections.values()]
        state |= {
            "parked": any(server._parked.values()),
            "agents that wait in line": any(server._lines),
            "lines of several nodes": sum(map(bool, server._lines)) > 1,
            "several messages in an outbound queue": any(queued > 1 for queued in queues),
            "blocked request": any(c.blocked for c in server._connections.values()),
        }
    return state


def _in_the_end(bridge, server, case):
    system, messages, loops = case.system, bridge.ledger.kept, bridge.loops
    outcomes = Counter(message.outcome for message in messages)
    deliveries = Counter((m.target, m.delivered) for m in messages if m.delivered > 0)
    instants = Counter(time for _, time in deliveries)
    creations = Counter(message.created for message in messages if message.created > 0)
    crossed = any(
        bridge.loop(message.sender) is not bridge.loop(message.target)
        for message in messages
        if message.stored >= 0
    )
    every = system.cpu.collection.every if system.cpu.collection else 0
    log = bridge.store.log
    both = {
        "delivered": outcomes[Outcome.DELIVERED] > 0,
        "many deliveries at one instant": max(instants.values(), default=0) > 1,
        "many creations at one instant": max(creations.values(), default=0) > 1,
        "nodes that are busy": bridge.balancer.count > 1
        and sum(loop.busy_time > 0 for loop in loops) > 1,
        "several loops": sum(loop.busy_time > 0 for loop in loops) > 1,
        "collection": every > 0 and any(loop._operations >= every for loop in loops),
        "stall in an operation": any(loop.busy_time > loop.work_time * 1.01 for loop in loops),
        "cold loop": system.cpu.warmth is not None and any(loop._cold_factor > 0 for loop in loops),
        "database locked": bridge.store.locked > 0,
        "writer that gives up": bridge.store.locked > 0 and outcomes[Outcome.REJECTED] > 0,
        "growing log": system.store.scan > 0 and bridge.store.log.kept > system.store.events,
        "event removed by count": log._count is not None and log.kept == log._count < log._end,
        "event removed by age": log._age is not None and log.first > log._at_start,
        "event of the start removed by age": log._age is not None
        and log._count is None
        and log.first >= log._at_start > 0,
        "agent that sends to itself": any(m.sender == m.target and m.stored > 0 for m in messages),
        "closed loop to its end": len(messages) > 0 and _all_have_ended(bridge, system),
        "periodic": system.workload.traffic.name == "periodic" and len(messages) > 0,
        "slow agent among others": 0 < len(bridge.slowness) < bridge.agents,
        "lost packet": system.network.loss > 0.1 and len(messages) > 0,
        "rate limit": bridge.limited > 0 and outcomes[Outcome.DELIVERED] > 0,
        "bursts": system.workload.traffic.name == "piecewise" and len(messages) > 1,
        "recorded": system.workload.traffic.name == "recorded" and len(messages) > 1,
        "more senders than recorded clients": system.workload.traffic.name == "recorded"
        and len(system.workload.senders(bridge.agents)) >= len(system.workload.traffic.record[1]),
        "hub": system.workload.topology == "hub" and outcomes[Outcome.DELIVERED] > 1,
        "broadcast": any(len(m.copies) > 1 and m.stored > 0 for m in messages),
        "closed loop of broadcasts": _second_broadcast_in_turn(system, messages),
    }
    own = {"refused": server.refused > 0}
    if system.requests is not None:
        own |= {
            "answer to a request that was given up": any(
                message.outcome is Outcome.EXPIRED and message.stored >= 0 for message in messages
            ),
            "request given up": bridge.waiting.given_up > 0,
            "clients that have asked for all": _all_have_ended(bridge, system),
            "requests at a rate": not system.workload.traffic.closed
            and outcomes[Outcome.DELIVERED] > 0,
        }
    elif system.polling is not None:
        answers = deliveries.values()
        own |= {
            "timeout": server.timeouts > 0,
            "timeout shorter than the interval": system.polling.timeout < system.polling.interval,
            "full answer": system.polling.limit > 1 and system.polling.limit in answers,
            "several messages at once": any(answer > 1 for answer in answers),
            "cache hit": server.cache_hits > 0,
            "message that overtakes another": _overtakes(messages),
            "found nothing": server.wasted_cycles > 0,
            **_delivery(server, system, bridge.ledger),
        }
    else:
        own |= {
            "rejected": outcomes[Outcome.REJECTED] > 0,
            "dropped": outcomes[Outcome.DROPPED] > 0,
            "lost": outcomes[Outcome.LOST] > 0,
            "agent that comes back": server.attempts > len(_clients(bridge)),
            "relay": crossed and not system.cpu.relay.table().is_zero,
            **_sharing(bridge, server, messages),
            **_posting(server, outcomes, bridge.ledger),
        }
    return both | own


def _clients(bridge):
    return range(0, bridge.agents, bridge.agents_per_connection)


def _delivery(server, system, ledger):
    has_queue = system.workload.topology == "queue"
    return {
        "short poll that finds nothing": not system.polling.hold and server.wasted_cycles > 0,
        "message for which everybody wakes": system.polling.wake == "all" and server._news > 0,
        "message done by a consumer": has_queue and ledger.outcomes[Outcome.DELIVERED] > 0,
        "message done by two consumers": has_queue and ledger.duplicates > 0,
        "message that is visible again": has_queue
        and any(message.outcome is Outcome.PENDING for _, message in server._queue)
        and system.polling.visibility is not None,
        "consumer that wakes first": has_queue
        and system.polling.wake_on_write
        and system.polling.wake == "one"
        and ledger.outcomes[Outcome.DELIVERED] > 0,
    }


def _posting(server, outcomes, ledger):
    if not isinstance(server, Webhooks):
        return {}
    return {
        "post that arrives": outcomes[Outcome.DELIVERED] > 0,
        "post that arrives twice": ledger.duplicates > 0,
        "post that is made again": server.repeated > 0,
        "dead letter": outcomes[Outcome.LOST] > 0,
        "post that waits for a slot": bool(server._waiting),
    }


def _sharing(bridge, server, messages):
    several, workload, starts = bridge.agents_per_connection, bridge.workload, {}
    for agent in range(bridge.agents):
        how = START_KINDS[workload.start]
        at = start_time(how, workload.start_over, agent, bridge.agents, bridge.seed)
        starts.setdefault(bridge.client(agent), []).append(at)
    return {
        "connection of several agents": server.sent > 0 and 1 < several < bridge.agents,
        "connection of fewer agents, the last": server.sent > 0
        and 0 < bridge.agents % several < bridge.agents,
        "client that comes before its first agent": any(
            min(times) < times[0] for times in starts.values()
        ),
        "message that stays on the loop of its client": len(_clients(bridge)) > 1
        and len(bridge.loops) > 1
        and any(
            m.sender != m.target and bridge.client(m.sender) == bridge.client(m.target)
            for m in messages
            if m.stored >= 0
        ),
    }


def _second_broadcast_in_turn(system, messages):
    broadcasts = [message for message in messages if len(message.copies) > 1]
    return system.workload.traffic.name == "closed" and len(broadcasts) > 1


def _overtakes(messages):
    latest = {}
    for message in sorted((m for m in messages if m.stored >= 0), key=lambda m: m.stored):
        delivered = message.delivered if message.delivered >= 0 else np.inf
        if delivered < latest.setdefault(message.target, delivered):
            return True
        latest[message.target] = delivered
    return False


def _all_have_ended(bridge, system):
    most = system.workload.traffic.messages_of_a_sender
    senders = len(system.workload.senders(bridge.agents)) * system.workload.copies(bridge.agents)
    return bridge.ledger.created == senders * most and not bridge.ledger.open


def test_traffic_is_of_each_kind():
    kinds = {cls for cls in Traffic.__subclasses__() if attrs.has(cls)}
    kinds |= {cls for base in Traffic.__subclasses__() for cls in base.__subclasses__()}
    ours = {kind for kind in kinds if kind.__module__.startswith("lhsim.")}
    assert {kind.name for kind in ours if hasattr(kind, "name")} == {
        "poisson",
        "periodic",
        "piecewise",
        "recorded",
        "closed",
        "requests",
    }
