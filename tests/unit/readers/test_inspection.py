"""An inspection says the truth of simulated logs whose truth is known."""

from __future__ import annotations

import heapq
import json
from pathlib import Path

import numpy as np
import pytest

from lhsim.readers.inspection import compare, inspect_requests, page
from lhsim.readers.request_log import Labels, request_log
from lhsim.readers.requests import Hints, read_requests

LOGS = Path(__file__).parents[2] / "data" / "logs"
SERVICE = 5e-3  # mean [s]


def exponential(mean):
    return lambda rng: rng.exponential(mean)


def constant(value):
    return lambda rng: value


def uniform(low, high):
    return lambda rng: rng.uniform(low, high)


def closed(clients, think, duration, *, service=None, workers=1, seed=1, jitter=0.0):
    """Return the log of clients that wait, think and ask again; requests queue for workers."""
    rng = np.random.default_rng(seed)
    service = service or exponential(SERVICE)
    free = [0.0] * workers
    events = [(rng.uniform(0, 1), client) for client in range(clients)]
    heapq.heapify(events)
    rows = []
    while events:
        start, client = heapq.heappop(events)
        if start > duration:
            continue
        end = max(start, heapq.heappop(free)) + service(rng)
        heapq.heappush(free, end)
        rows.append((client, start, end))
        heapq.heappush(events, (end + think(rng) + jitter * rng.exponential(), client))
    return log_of(rows)


def opened(starts, *, service=None, clients=0, seed=1):
    """Return the log of requests that come whatever is answered, one after the other served."""
    rng = np.random.default_rng(seed)
    service, free, rows = service or exponential(SERVICE), 0.0, []
    for number, start in enumerate(starts):
        free = max(start, free) + service(rng)
        rows.append((number % clients if clients else -1, start, free))
    return log_of(rows)


def log_of(rows, **more):
    table = np.array(rows, float)
    codes = table[:, 0].astype(np.int64)
    names = tuple(str(code) for code in range(codes.max() + 1))
    return request_log(
        client=Labels(codes, names) if codes[0] >= 0 else None,
        start=table[:, 1],
        end=table[:, 2],
        source="simulated",
        format="requests",
        resolution=1e-6,
        **more,
    )


def poisson(rate, count, seed=2):
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


# --- closed and open loops, and think times ------------------------------------------------------


@pytest.mark.parametrize(
    ("clients", "think", "duration", "more", "kind", "mean", "cv"),
    [
        (50, constant(1.0), 30, {}, "constant", 1.0, 0.0),
        (50, constant(1.0), 30, {"jitter": 1e-3}, "constant", 1.001, 0.001),
        (1, constant(1.0), 60, {}, "constant", 1.0, 0.0),
        (400, constant(1.0), 20, {}, "constant", 1.0, 0.0),
        (50, exponential(1.0), 60, {}, "exponential", 1.0, 1.0),
        (20, exponential(0.05), 10, {}, "exponential", 0.05, 1.0),
        (20, uniform(0.02, 0.1), 20, {}, "other", 0.06, 0.385),
        (8, constant(0.0), 10, {}, "none", 0.0, 0.0),
        (8, constant(0.0), 10, {"jitter": 1e-4}, "none", 1e-4, 1.0),
    ],
)
def test_clients_that_wait_are_a_closed_loop(clients, think, duration, more, kind, mean, cv):
    found = inspect_requests(closed(clients, think, duration, **more))
    assert found.loop.kind == "closed"
    assert found.clients == clients
    assert found.loop.in_flight == 1
    assert found.think.kind == kind
    assert found.think.mean == pytest.approx(mean, rel=0.06, abs=1e-6)
    assert found.think.cv == pytest.approx(cv, rel=0.1, abs=2e-3)


@pytest.mark.parametrize("seed", range(12))
def test_a_closed_loop_is_never_called_open(seed):
    for think in (constant(0.1), exponential(0.1), uniform(0.05, 0.15), constant(0.0)):
        found = inspect_requests(closed(10, think, 10, seed=seed))
        assert found.loop.kind != "open"


@pytest.mark.parametrize("seed", range(12))
def test_an_open_loop_is_never_called_closed(seed):
    for clients in (0, 5, 20, 500):
        found = inspect_requests(opened(poisson(100, 3000, seed), clients=clients, seed=seed))
        assert found.loop.kind != "closed"


def test_overlapping_requests_of_a_client_are_an_open_loop():
    found = inspect_requests(opened(poisson(180, 5000), clients=3))
    assert found.loop.kind == "open"
    assert found.loop.in_flight > 1


def test_a_client_that_starts_at_fixed_times_does_not_wait():
    rng = np.random.default_rng(3)
    rows = [
        (client, phase + number, phase + number + rng.exponential(0.05))
        for client, phase in enumerate(rng.uniform(0, 1, 20))
        for number in range(40)
    ]
    found = inspect_requests(log_of(rows))
    assert found.loop.kind == "open"
    assert "every 1 s" in found.loop.reason


def test_a_constant_rate_is_an_open_loop_without_clients():
    assert inspect_requests(opened(np.arange(3000) * 0.01)).loop.kind == "open"


def test_a_fixed_number_under_way_is_a_closed_loop_without_clients():
    rows = closed(8, constant(0.0), 20)
    found = inspect_requests(request_log(client=None, start=rows.start, end=rows.end,
                                         source="x", format="requests"))  # fmt: skip
    assert found.loop.kind == "closed"
    assert "8 requests are under way" in found.loop.reason


def test_without_clients_a_closed_loop_cannot_be_told():
    rows = closed(50, exponential(1.0), 60)
    found = inspect_requests(request_log(client=None, start=rows.start, end=rows.end,
                                         source="x", format="requests"))  # fmt: skip
    assert found.loop.kind == "unknown"
    assert any("whether clients wait" in text for text in found.lacks)
    assert found.clients is None
    assert found.think is None


def test_a_schedule_is_an_open_loop():
    found = inspect_requests(read_requests(LOGS / "pgbench_rate.11566"))
    assert found.loop.kind == "open"
    assert "scheduled" in found.loop.reason


def test_a_coarse_clock_tells_no_loop():
    rows = closed(10, exponential(0.1), 10)
    coarse = request_log(
        client=Labels(rows.client, rows.client_names),
        start=np.floor(rows.start),
        end=np.floor(rows.start) + rows.response,
        source="x",
        format="requests",
        resolution=1.0,
    )
    found = inspect_requests(coarse)
    assert found.loop.kind == "unknown"
    assert any("time stamps are in steps of 1 s" in note for note in found.notes)


# --- arrivals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_poisson_process_is_called_one(seed):
    found = inspect_requests(opened(poisson(100, 4000, seed), seed=seed))
    assert found.dispersion.kind == "Poisson"
    assert found.dispersion.beside == pytest.approx(found.dispersion.beside_by_chance, rel=0.15)


def test_a_rate_that_rises_is_no_cluster():
    rng = np.random.default_rng(4)
    starts = np.cumsum(rng.exponential(1, 6000) / np.linspace(20, 150, 6000))
    assert inspect_requests(opened(starts)).dispersion.kind == "Poisson"


@pytest.mark.parametrize("size", [3, 10, 25])
def test_clusters_are_found_with_their_size(size):
    starts = np.repeat(poisson(100 / size, 6000 // size), size)
    found = inspect_requests(opened(starts + 1e-5 * np.arange(len(starts))))
    assert found.dispersion.kind == "bunched"
    assert found.dispersion.cluster == pytest.approx(size, rel=0.25)
    assert found.dispersion.beside - found.dispersion.beside_by_chance > 0.5 * (size - 1)


def test_a_constant_rate_is_regular():
    assert inspect_requests(opened(np.arange(3000) * 0.01)).dispersion.kind == "regular"


def test_clients_in_step_are_clusters():
    rows = [(c, n + 1e-4 * c, n + 1e-4 * c + 0.003) for n in range(60) for c in range(20)]
    found = inspect_requests(log_of(rows))
    assert found.dispersion.kind == "bunched"
    assert found.dispersion.cluster > 10
    assert found.loop.kind != "open" or "every 1 s" in found.loop.reason


# --- saturation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        (lambda: closed(50, constant(1.0), 30), "sustained"),
        (lambda: closed(400, constant(1.0), 30), "saturated"),
        (lambda: closed(200, constant(1.0), 40, workers=4, service=exponential(0.03)), "saturated"),
        (lambda: closed(60, constant(1.0), 40, workers=4, service=exponential(0.03)), "sustained"),
        (lambda: opened(poisson(100, 5000)), "sustained"),
        (lambda: opened(poisson(250, 5000)), "saturated"),
        (lambda: closed(50, exponential(0.2), 30, workers=1000, service=uniform(0.05, 0.06)),
         "sustained"),
        (lambda: closed(1, constant(0.0), 10), "sustained"),
    ],
)  # fmt: skip
def test_a_server_at_its_limit_is_told(log, kind):
    assert inspect_requests(log()).saturation.kind == kind


def test_the_work_of_a_second_is_the_load_of_the_server():
    for rate in (20.0, 100.0, 160.0):
        state = inspect_requests(opened(poisson(rate, 8000))).saturation
        assert state.work == pytest.approx(rate * SERVICE, rel=0.08)
        assert state.throughput == pytest.approx(rate, rel=0.05)


def test_littles_law():
    log = closed(50, exponential(0.2), 60)
    state = inspect_requests(log).saturation
    # The mean response is that of the whole log, the others are of its middle.
    assert state.in_flight == pytest.approx(state.throughput * log.response.mean(), rel=0.05)
    # N = X (R + Z)
    assert state.throughput * (log.response.mean() + 0.2) == pytest.approx(50, rel=0.03)


def test_several_loads_show_where_throughput_stops_growing():
    found = [inspect_requests(closed(n, constant(1.0), 30)) for n in (400, 50, 250, 600)]
    (sentence,) = compare(found)
    assert "stops growing" in sentence
    sustained = compare([inspect_requests(closed(n, constant(1.0), 30)) for n in (20, 50)])
    assert "grows up to the highest load" in sustained[0]
    assert compare(found[:1]) == ()
    limit = compare([found[1], found[0]])
    assert "simulated, which is at the server's limit" in limit[0]
    mixed = compare([found[1], inspect_requests(closed(50, exponential(0.1), 30))])
    assert any("think times differ" in text for text in mixed)


def test_a_load_with_less_throughput_is_no_limit_where_a_higher_one_has_more():
    few = inspect_requests(closed(50, constant(1.0), 30))
    fast = inspect_requests(closed(8, constant(0.1), 30))  # more throughput, less under way
    both = compare([few, fast, inspect_requests(closed(150, constant(1.0), 30))])
    assert "grows up to the highest load" in both[0]


# --- doubts --------------------------------------------------------------------------------------


def test_a_sleep_in_the_response_is_doubted():
    files = [LOGS / "pgbench_closed.11494", LOGS / "pgbench_closed.11494.1"]
    plain = inspect_requests(read_requests(files))
    assert any("a sleep of the client may be part" in note for note in plain.notes)
    told = inspect_requests(read_requests(files, hints=Hints(sleep_first=0.1)))
    assert not any("a sleep of the client" in note for note in told.notes)
    assert (told.think.kind, told.loop.kind) == ("constant", "closed")
    assert told.think.mean == pytest.approx(0.1, rel=0.01)


def test_real_logs_of_locust_and_hey():
    locust = inspect_requests(read_requests(LOGS / "locust_requests.csv"))
    assert (locust.loop.kind, locust.clients, locust.think.kind) == ("closed", 4, "constant")
    assert locust.think.mean == pytest.approx(0.2, rel=0.02)
    hey = inspect_requests(read_requests(LOGS / "hey.csv"))
    assert hey.dispersion.kind == "bunched"  # four workers, each by the same rate limiter
    assert hey.dispersion.cluster == pytest.approx(4, rel=0.2)


def test_gaps_ties_failures_and_brief_responses_are_said():
    starts = poisson(100, 3000)
    starts[1500:] += 5.0
    rows = opened(starts)
    end = np.where(np.arange(3000) % 20 == 0, rows.start + 1e-5, rows.end)
    log = request_log(client=None, start=np.round(rows.start, 2), end=end + 0.01, source="x",
                      format="requests", resolution=1e-3,
                      status=Labels.of(["500"] * 7 + ["200"] * 2993))  # fmt: skip
    found = inspect_requests(log)
    assert found.gap.length == pytest.approx(5.0, abs=0.2)
    assert found.failed == 7
    assert found.ties > 0.3
    assert any("7 requests failed" in note for note in found.notes)
    assert any("no request started for 5" in note for note in found.notes)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_a_short_log_is_inspected_and_says_that_it_is_short(count):
    rows = [(0, float(number), number + 0.5) for number in range(count)]
    found = inspect_requests(log_of(rows))
    assert found.dispersion.kind == "unknown"
    assert any(f"there are {count} requests" in text for text in found.lacks)
    json.dumps(found.to_dict(), allow_nan=False)
    assert page(found)


def test_requests_that_all_start_at_once():
    found = inspect_requests(log_of([(client, 0.0, 1.0) for client in range(50)]))
    assert found.loop.kind == "unknown"
    json.dumps(found.to_dict(), allow_nan=False)
    assert page(found)


def test_the_page_has_a_line_for_each_thing_and_fits_a_terminal():
    text = page(inspect_requests(closed(50, constant(1.0), 30)))
    for word in ("requests", "response", "closed", "constant, mean 1 s", "arrivals", "under way",
                 "clock", "learns", "lacks"):  # fmt: skip
        assert word in text
    assert max(map(len, text.splitlines())) <= 100
