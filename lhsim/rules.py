"""What both engines must agree on to the last bit, written once.

Small compiled functions of numbers and arrays: draws, the cost of an idle processor, the stretch of
a service by stalls, the choice of a target. None uses a logarithm or a power, none keeps a state.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lhsim._jit import jit
from lhsim.distributions.table import look_up
from lhsim.streams import Purpose, uniform

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TOGETHER, RAMP, RANDOM = 0, 1, 2  # how agents start
# SQLite's busy handler: what a writer sleeps that finds the database locked once more [s].
BUSY_DELAYS = np.array([1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100]) / 1000
ROUNDING = 1e-9  # of a quantum, which a job may have left by rounding
FIRST_TIMEOUT = 1.0  # of a retransmission of an attempt to connect (RFC 6298, 2.1) [s]
LONGEST_TIMEOUT = 60.0  # of a retransmission, unless the first one is longer [s]
AT_START = int(Purpose.START)
RECORD = int(Purpose.RECORD)
SLOW = int(Purpose.SLOW)
# The draws that say how often a packet is lost, by the purpose of its delay.
LOSSES = {
    int(Purpose.MESSAGE_UP): int(Purpose.LOSS_MESSAGE_UP),
    int(Purpose.REQUEST_UP): int(Purpose.LOSS_REQUEST_UP),
    int(Purpose.ANSWER_DOWN): int(Purpose.LOSS_ANSWER_DOWN),
    int(Purpose.PUSH_DOWN): int(Purpose.LOSS_PUSH_DOWN),
    int(Purpose.ANSWER_UP): int(Purpose.LOSS_ANSWER_UP),
    int(Purpose.REPLY_DOWN): int(Purpose.LOSS_REPLY_DOWN),
}
PRIORITY = int(Purpose.PRIORITY)
DISCONNECT = int(Purpose.DISCONNECT)
HASH, ROUND_ROBIN, RANDOM_NODE, LEAST_CONNECTIONS, TWO_CHOICES = 0, 1, 2, 3, 4  # of a balancer
NO_ANSWER, ACCEPT, DECLINE_OR_CANCEL = 0, 1, 2  # to an elicitation
OF_STALLS = int(Purpose.STALL_GAP), int(Purpose.STALL_LENGTH)
OF_SLOWDOWNS = int(Purpose.SLOWDOWN_GAP), int(Purpose.SLOWDOWN_LENGTH)


@jit
def draw(cells: FloatArray, seed: int, purpose: int, entity: int, index: int) -> float:
    """Return the value at an address: its uniform draw through the quantile table `cells`."""
    return look_up(cells, uniform(seed, purpose, entity, index))


@jit
def draw_block(
    cells: FloatArray, seed: int, purpose: int, entity: int, first: int, values: FloatArray
) -> None:
    """Fill `values` with the draws of an entity from index `first` on."""
    for offset in range(len(values)):
        values[offset] = draw(cells, seed, purpose, entity, first + offset)


@jit
def start_time(how: int, over: float, agent: int, agents: int, seed: int) -> float:
    """Return when an agent starts [s]; `over` is the time in which all of them do."""
    if how == TOGETHER:
        return 0.0
    if how == RAMP:
        return over * (agent / agents)
    return over * uniform(seed, AT_START, agent, 0)


@jit
def recorded_time(
    rank: int, number: int, times: FloatArray, firsts: IntArray, period: float, seed: int
) -> float:
    """Return when a sender sends message `number` of what was recorded [s].

    The sender of a `rank` has the record of client `rank` modulo their number, whose ascending
    `times` begin at the index that `firsts` has for it, and which repeats after a `period`. Where
    a client was there before, it begins at a random time of its record.
    """
    clients = len(firsts) - 1
    begin = firsts[rank % clients]
    several = firsts[rank % clients + 1] - begin
    shift = uniform(seed, RECORD, rank, 0) * period if rank >= clients else 0.0
    low, high = 0, several  # the first that is beyond the end of the period, so that it comes first
    while low < high:
        middle = (low + high) // 2
        if times[begin + middle] + shift < period:
            low = middle + 1
        else:
            high = middle
    index = low + number
    return float(times[begin + index % several] + shift + (index // several - 1) * period)


@jit
def slowness(share: float, factor: float, agent: int, seed: int) -> float:
    """Return by what the delays of an agent are multiplied: `factor` for a `share` of them."""
    return factor if uniform(seed, SLOW, agent, 0) < share else 1.0


@jit
def next_timeout(timeout: float) -> float:
    """Return the timeout of a retransmission after one of `timeout` (RFC 6298, 5.5) [s]."""
    return min(2.0 * timeout, max(timeout, LONGEST_TIMEOUT))


@jit
def retransmission_delay(u: float, loss: float, timeout: float) -> float:
    """Return how much later a packet arrives because it was lost, for a uniform draw `u` [s].

    Each transmission is lost with probability `loss`, at most 1/2, and repeated after a timeout
    that doubles up to `LONGEST_TIMEOUT` (RFC 6298, 5.5 and 2.5).
    """
    delay, threshold = 0.0, loss
    while u < threshold:
        delay += timeout
        timeout = next_timeout(timeout)
        threshold *= loss
    return delay


@jit
def take_token(now: float, full_at: float, interval: float, burst: float) -> float:
    """Return when a token bucket is full again after a token is taken, or -1 if it has none [s].

    `full_at` is when it would be full without that; it gets a token in each `interval` [s], until
    it holds `burst` of them.
    """
    if full_at > now + (burst - 1) * interval:
        return -1.0
    return max(full_at, now) + interval


@jit
def other_agent(u: float, agent: int, agents: int) -> int:
    """Return one of the `agents`, but not `agent` itself, for a uniform draw `u`."""
    target = int(u * (agents - 1))
    return target if target < agent else target + 1


@jit
def other_of(u: float, agent: int, first: int, end: int) -> int:
    """Return one of the agents from `first` up to `end`, but not `agent` itself, for a draw `u`."""
    if first <= agent < end:
        return first + other_agent(u, agent - first, end - first)
    return first + int(u * (end - first))


def class_ends(shares: Sequence[float], agents: int) -> NDArray[np.int64]:
    """Return the first agent beyond each class, of which each has its share, rounded."""
    ends = np.floor(np.cumsum(np.array(shares, np.float64)) * agents + 0.5).astype(np.int64)
    ends[-1:] = agents  # whatever the rounding says
    return ends


@jit
def class_of(agent: int, ends: NDArray[np.int64]) -> int:
    """Return the class of an agent, by the first agents beyond each."""
    number = 0
    while agent >= ends[number]:
        number += 1
    return number


def rate_schedule(durations: FloatArray, rates: FloatArray) -> FloatArray:
    """Return the schedule of `time_to_next`, of shape (3, pieces + 1), of which the last is a sum.

    The rows are durations [s], rates [1/s], and the messages expected in each piece.
    """
    expected = durations * rates
    totals = [durations.sum(), 0.0, expected.sum()]
    return np.column_stack([np.array([durations, rates, expected]), totals])


@jit
def time_to_next(now: float, expected: float, schedule: FloatArray) -> float:
    """Return how long it takes from `now` until so many messages are `expected` [s].

    The inverse of the cumulative rate: with exponential draws of mean 1 for `expected`, they are a
    Poisson process of that rate (Cinlar, Introduction to Stochastic Processes, 1975, 4.7). The
    pieces of `rate_schedule` begin at time 0 and repeat for ever.
    """
    pieces = schedule.shape[1] - 1
    period, in_a_period = schedule[0, pieces], schedule[2, pieces]
    whole = np.floor(expected / in_a_period)
    passed = whole * period
    expected = max(0.0, expected - whole * in_a_period)
    piece, since = 0, now - np.floor(now / period) * period
    while piece < pieces - 1 and since >= schedule[0, piece]:
        since -= schedule[0, piece]
        piece += 1
    left = max(0.0, schedule[0, piece] - since)
    while expected >= schedule[1, piece] * left:
        expected -= schedule[1, piece] * left
        passed += left
        piece = piece + 1 if piece < pieces - 1 else 0
        left = schedule[0, piece]
    return float(passed + expected / schedule[1, piece])


def slopes(gaps: FloatArray, excesses: FloatArray) -> FloatArray:
    """Return the curve of `idle_excess`, of shape (3, points): gaps, excesses, and slopes [1/s]."""
    rise = np.diff(excesses) / np.diff(gaps)
    return np.array([gaps, excesses, np.append(rise, 0.0)])


@jit
def idle_excess(gap: float, curve: FloatArray) -> float:
    """Return by how much an idle gap [s] raises a cost, as a fraction of the cost.

    Piecewise linear, flat below the first point and beyond the last; `curve` is that of `slopes`.
    """
    point = 0
    while point < curve.shape[1] and curve[0, point] <= gap:
        point += 1
    if point == 0:
        return float(curve[1, 0])
    if point == curve.shape[1]:
        return float(curve[1, -1])
    return float(curve[1, point - 1] + (gap - curve[0, point - 1]) * curve[2, point - 1])


@jit
def idle_cost(
    demand: float, gap: float, cold_factor: float, curve: FloatArray, memory: float
) -> tuple[float, float]:
    """Return what an operation costs a loop that was idle for `gap`, and its cold factor then.

    `cold_factor` is x of `lhsim.models.Warmth` before the operation; all times in seconds.
    """
    cold_factor = max(cold_factor, idle_excess(gap, curve))
    cost = demand * (1.0 + cold_factor)
    return cost, cold_factor * memory / (memory + cost)


@jit
def choose_node(
    rule: int, client: int, turn: int, loads: IntArray, up: IntArray, alive: int, seed: int,
    purpose: int, entity: int, index: int,
) -> int:  # fmt: skip
    """Return the node to which a balancer sends an arrival, by its rule.

    `client` is the number of the connection, or client, that it comes from, `turn` the node after
    the one chosen last, `loads` what each node holds, and `up` whether it is up, as `alive` of
    them are, at least one; the rest addresses the draw.
    """
    if rule == HASH:
        node = client % len(loads)
        return node if up[node] else nth_up(client % alive, up, alive)
    if rule == ROUND_ROBIN:
        return next_up(turn, up)
    if rule == LEAST_CONNECTIONS:
        return least_loaded(loads, up, turn)
    u = uniform(seed, purpose, entity, index)
    if rule == RANDOM_NODE:
        return nth_up(int(u * alive), up, alive)
    return less_loaded_of_two(u, loads, up, alive)


@jit
def next_up(node: int, up: IntArray) -> int:
    """Return the first node from one on that is up, node 0 following on the last."""
    while not up[node]:
        node = (node + 1) % len(up)
    return node


@jit
def nth_up(which: int, up: IntArray, alive: int) -> int:
    """Return a node by its number, from 0 on, among the nodes that are up."""
    if alive == len(up):
        return which
    node = next_up(0, up)
    for _ in range(which):
        node = next_up(node + 1, up)
    return node


@jit
def least_loaded(loads: IntArray, up: IntArray, turn: int) -> int:
    """Return the node that holds the fewest, of several the first from node `turn` on."""
    best = next_up(turn, up)
    for step in range(len(loads)):
        node = (turn + step) % len(loads)
        if up[node] and loads[node] < loads[best]:
            best = node
    return best


@jit
def less_loaded_of_two(u: float, loads: IntArray, up: IntArray, alive: int) -> int:
    """Return which of two nodes holds less; a uniform draw `u` says which two in which order."""
    others = alive - 1
    if others == 0:
        return next_up(0, up)
    pair = int(u * (alive * others))
    first, second = pair // others, pair % others
    if second >= first:
        second += 1
    first, second = nth_up(first, up, alive), nth_up(second, up, alive)
    return second if loads[second] < loads[first] else first


@jit
def is_down(node: int, now: float, downtimes: FloatArray) -> bool:
    """Return whether a node is down: `downtimes` are starts, ends and nodes of failures.

    It is so at the very start of a failure, and not at its end.
    """
    for k in range(downtimes.shape[1]):
        if downtimes[2, k] == node and downtimes[0, k] <= now < downtimes[1, k]:
            return True
    return False


@jit
def answer(u: float, accept: float, decline: float, cancel: float) -> int:
    """Return how the target of an elicitation answers, by a uniform draw `u` and the shares."""
    if u < accept:
        return ACCEPT
    return DECLINE_OR_CANCEL if u < accept + decline + cancel else NO_ANSWER


@jit
def attempt_index(attempt: int, number: int) -> int:
    """Return the index of the draws of an attempt, from 0 on, to send message `number`.

    And of those of heartbeat `number` of the connection that an attempt has made.
    """
    return attempt << 32 | number


@jit
def post_index(post: int, index: int) -> int:
    """Return the index of the draws of a post, from 0 on, of what has an `index` without it.

    That is the number of a message, or that of an attempt to send it (`attempt_index`).
    """
    return post << 48 | index


@jit
def back_off(first: float, factor: float, longest: float, failures: int) -> float:
    """Return how long a client waits after so many failures of one request, before its jitter [s].

    `first` [s] after the first, and `factor` times as long after each further one, up to `longest`.
    """
    wait = min(first, longest)
    for _ in range(failures - 1):
        wait = grown(wait, factor, longest)
    return wait


@jit
def is_hit(seed: int, agent: int, fault: int, share: float) -> bool:
    """Return whether a fault, by its number, hits an agent, as it does a `share` of them."""
    return bool(uniform(seed, DISCONNECT, agent, fault) < share)


@jit
def first_spell(now: float, ends: FloatArray, known: int) -> int:
    """Return the index of the first stall or slowdown that ends after `now`.

    `known` is its index at an earlier time, from which the search goes on.
    """
    while known < len(ends) and ends[known] <= now:
        known += 1
    return known


@jit
def stretched(now: float, demand: float, starts: FloatArray, ends: FloatArray, first: int) -> float:
    """Return how long a service of `demand` [s] takes that begins at `now`, stalls included.

    The stalls are [starts[k], ends[k]), in order and disjoint, and `first` is the first of them
    that ends after `now`. Exactly `demand` where none falls into the service; a service that is
    due when a stall begins ends before it.
    """
    duration = demand
    for k in range(first, len(starts)):
        if starts[k] >= now + duration:
            break
        duration += ends[k] - max(starts[k], now)
    return duration


@jit
def worked(since: float, now: float, starts: FloatArray, ends: FloatArray, first: int) -> float:
    """Return for how long a service that began at `since` has run by `now`, stalls left out [s].

    `first` is the first of the stalls [starts[k], ends[k]) that ends after `since`.
    """
    time = now - since
    for k in range(first, len(starts)):
        if starts[k] >= now:
            break
        time -= min(ends[k], now) - max(starts[k], since)
    return max(0.0, time)


@jit
def slices_end(work: float, quantum: float) -> float:
    """Return the first multiple of `quantum` beyond what a service has `worked` [s]."""
    end: float = (np.floor(work / quantum) + 1.0) * quantum
    return end


@jit
def is_done(left: float, work: float, quantum: float) -> bool:
    """Return whether a job with so much `left` is done after `work` [s].

    What is left by rounding alone, when a job is a multiple of the quantum, takes no further slice.
    """
    return left - work <= ROUNDING * quantum


@jit
def pace(jobs: int, processors: int) -> float:
    """Return the pace at which each of so many jobs runs that share processors equally."""
    return 1.0 if jobs <= processors else processors / jobs


@jit
def times_as_long(now: float, starts: FloatArray, factors: FloatArray, first: int) -> float:
    """Return how many times as long an operation takes that begins at `now`.

    In a slowdown its factor; `first` is the first slowdown that ends after `now`.
    """
    return factors[first] if first < len(starts) and starts[first] <= now else 1.0


def with_slowdowns(
    starts: FloatArray, ends: FloatArray, factor: float, others: FloatArray
) -> FloatArray:
    """Return slowdowns of one factor, and others, in order and disjoint, of shape (3, slowdowns).

    `others` are starts, ends [s] and factors, of shape (3, others), in any order; where several
    overlap the slowest counts.
    """
    spells = np.array([starts, ends, np.full(len(starts), factor)])
    if others.shape[1] == 0:
        return spells
    spells = np.column_stack([spells, others])
    borders = np.unique(spells[:2])
    slowest = np.ones(len(borders) - 1)
    for start, end, times in spells.T:
        first, last = np.searchsorted(borders, [start, end])
        slowest[first:last] = np.maximum(slowest[first:last], times)
    slow = slowest > 1
    found = [borders[:-1][slow], borders[1:][slow], slowest[slow]]
    return np.ascontiguousarray(np.array(found))


def with_stalls(starts: FloatArray, ends: FloatArray, others: FloatArray) -> FloatArray:
    """Return stalls, in order and disjoint, and others as one, of shape (2, stalls) [s].

    `others` are starts and ends, of shape (2, others), in any order; they may overlap.
    """
    stalls = np.column_stack([np.array([starts, ends]), others])
    if others.shape[1] == 0:
        return stalls
    united: list[list[float]] = []
    for start, end in sorted(map(tuple, stalls.T.tolist())):
        if united and start <= united[-1][1]:
            united[-1][1] = max(united[-1][1], end)
        else:
            united.append([start, end])
    return np.ascontiguousarray(np.array(united).T)


@jit
def busy_delay(tries: int, slept: float, timeout: float) -> float:
    """Return what a writer sleeps that finds the database locked again, or -1: it gives up [s].

    As SQLite's ``sqliteDefaultBusyCallback``: `tries` times it has slept before, `slept` seconds
    in all, and it does not sleep beyond `timeout` seconds.
    """
    delay = BUSY_DELAYS[min(tries, len(BUSY_DELAYS) - 1)]
    left = timeout - slept
    if left <= 0.0:
        return -1.0
    return float(min(delay, left))


@jit
def is_past(committed: float, age: float, now: float) -> bool:
    """Return whether an event is too old to be kept, which it is from that very `age` on [s]."""
    return committed + age <= now


@jit
def part_inside(begin: float, end: float, low: float, high: float) -> float:
    """Return how much of the time from `begin` to `end` lies in [low, high] [s]."""
    return max(0.0, min(end, high) - max(begin, low))


@jit
def batch(created: float, start: float, end: float, batches: int) -> int:
    """Return the batch of a cohort, created in [start, end), to which a message belongs, or -1."""
    if not start <= created < end:
        return -1
    return int((created - start) / (end - start) * batches)


@jit
def jittered(interval: float, jitter: float, u: float) -> float:
    """Return a sleep of `interval` (1 - `jitter`) to `interval` (1 + `jitter`) for a draw `u`."""
    return interval * (1.0 + jitter * (2.0 * u - 1.0))


@jit
def grown(interval: float, factor: float, longest: float) -> float:
    """Return an interval backed off once more, up to the longest: `factor` times as long [s].

    So grow the sleep after an empty cycle, and the multiple of the time to the next try to connect.
    """
    return min(interval * factor, longest)


def bounds(shares: Sequence[float]) -> FloatArray:
    """Return the upper bounds of the draws of each priority, for `priority`."""
    upper = np.cumsum(np.array(shares, np.float64))
    upper[-1:] = 1.0  # whatever the rounding says
    return upper


@jit
def priority(seed: int, sender: int, number: int, upper: FloatArray) -> int:
    """Return the priority of a message, from 0, the highest, on."""
    u, level = uniform(seed, PRIORITY, sender, number), 0
    while u >= upper[level]:
        level += 1
    return level


@jit
def renewals(
    gap: FloatArray,
    length: FloatArray,
    purposes: tuple[int, int],
    seed: int,
    host: int,
    horizon: float,
) -> tuple[FloatArray, FloatArray]:
    """Return when what comes to a host again and again starts and ends [s], up to `horizon`.

    Alternating renewals, the last of which ends after it: `gap` and `length` are the cells of the
    quantile tables of the times between them and of their lengths, `purposes` those of the draws.
    """
    starts, ends = [0.0 for _ in range(0)], [0.0 for _ in range(0)]
    clock, index = 0.0, 0
    while clock <= horizon:
        start = clock + draw(gap, seed, purposes[0], host, index)
        clock = start + draw(length, seed, purposes[1], host, index)
        starts.append(start)
        ends.append(clock)
        index += 1
    return np.array(starts), np.array(ends)
