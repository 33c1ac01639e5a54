"""The closed forms against published values, exact limits and independent brute force.

The oracles share no code with the module: stationary distributions by linear algebra, waiting
times by Lindley's recursion, direct simulation of a poller, a batcher and a token bucket. All
random numbers are seeded, and a tolerance is a multiple of the estimate's own standard error.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lhsim import theory
from lhsim.errors import InputError
from lhsim.theory import (
    MD1,
    MG1,
    ClosedNetwork,
    FixedIntervalPolling,
    MachineRepair,
    MGc,
    MHyper1,
    MMc,
    PeriodicSenders,
    UniversalScalability,
    engset,
    erlang_b,
    erlang_c,
    mean_value_analysis,
    polling_delay,
)

loads = st.floats(0.01, 0.99)
many = settings(max_examples=60, deadline=None)
relative = pytest.approx


# Oracles


def stationary(generator):
    """Solve pi Q = 0, sum(pi) = 1."""
    equations = generator.T.copy()
    equations[-1] = 1
    right = np.zeros(len(equations))
    right[-1] = 1
    return np.linalg.solve(equations, right)


def birth_death(births, deaths):
    """Stationary distribution from the full generator; births[k] leaves k, deaths[k] leaves k+1."""
    rates = np.diag(np.asarray(births, float), 1) + np.diag(np.asarray(deaths, float), -1)
    return stationary(rates - np.diag(rates.sum(axis=1)))


def lindley(interarrivals, services):
    """Waiting times of a FIFO server that starts empty, as a random walk above its minimum."""
    walk = np.concatenate([[0.0], np.cumsum(services[:-1] - interarrivals[1:])])
    return walk - np.minimum.accumulate(walk)


def batch_means(values, batches=40):
    """Mean and its standard error from means of long batches, for correlated values."""
    means = values[: len(values) // batches * batches].reshape(batches, -1).mean(axis=1)
    return means.mean(), means.std(ddof=1) / math.sqrt(batches)


def agrees(values, expected, errors=4.0):
    """Whether the mean of `values` is within so many standard errors, and these are small."""
    mean, error = batch_means(np.asarray(values, float))
    assert error < 0.05 * abs(expected), "the simulation is too short to tell"
    return abs(mean - expected) <= errors * error


def mdc_mean_wait(servers, load):
    """Exact M/D/c with S = 1: the system's state seen every S is a Markov chain."""
    size = servers + int(35 / -math.log(load)) + 40
    log_factorial = np.array([math.lgamma(j + 1) for j in range(size)])
    offered = servers * load
    arrivals = np.exp(np.arange(size) * math.log(offered) - offered - log_factorial)
    step = np.zeros((size, size))
    for k in range(size):
        left = max(k - servers, 0)
        step[k, left:] = arrivals[: size - left]
        step[k, -1] += 1 - step[k].sum()
    p = stationary(step - np.eye(size))
    return float(np.maximum(np.arange(size) - servers, 0) @ p) / offered


def meh2c_mean_wait(servers, load, scv, most):
    """Exact M/H2/c with balanced means and E[S] = 1, truncated at `most` customers."""
    share = (1 + math.sqrt((scv - 1) / (scv + 1))) / 2
    rate = (2 * share, 2 * (1 - share))
    states = [(k, i) for k in range(most + 1) for i in range(min(k, servers) + 1)]
    index = {state: n for n, state in enumerate(states)}
    rates = np.zeros((len(states), len(states)))

    def go(here, there, speed):
        if speed > 0:
            rates[index[here], index[there]] += speed

    for k, i in states:  # k customers, i of those in service are of the first kind
        busy = min(k, servers)
        if k < servers:
            go((k, i), (k + 1, i + 1), servers * load * share)
            go((k, i), (k + 1, i), servers * load * (1 - share))
        elif k < most:
            go((k, i), (k + 1, i), servers * load)
        for speed, rest in ((i * rate[0], i - 1), ((busy - i) * rate[1], i)):
            if k > servers:
                go((k, i), (k - 1, rest + 1), speed * share)
                go((k, i), (k - 1, rest), speed * (1 - share))
            elif speed > 0:
                go((k, i), (k - 1, rest), speed)
    p = stationary(rates - np.diag(rates.sum(axis=1)))
    waiting = np.array([max(k - servers, 0) for k, _ in states])
    return float(waiting @ p) / (servers * load)


# Erlang


@pytest.mark.parametrize(
    ("servers", "load", "blocking"),
    [(10, 5, 0.018385), (1, 1, 0.5), (2, 1, 0.2), (5, 3, 0.110054), (10, 4.4612, 0.01)],
)
def test_erlang_b_matches_the_published_tables(servers, load, blocking):
    assert erlang_b(servers, load) == relative(blocking, abs=1e-6)


@pytest.mark.parametrize(
    ("servers", "load", "waits"), [(1, 0.7, 0.7), (2, 1, 1 / 3), (3, 2, 4 / 9)]
)
def test_erlang_c_matches_the_textbook(servers, load, waits):
    assert erlang_c(servers, load) == relative(waits, rel=1e-12)


@given(servers=st.integers(1, 30), load=st.floats(0.05, 40))
@many
def test_erlang_b_is_the_last_state_of_the_truncated_birth_death_chain(servers, load):
    p = birth_death([load] * servers, np.arange(1, servers + 1))
    assert erlang_b(servers, load) == relative(p[-1], rel=1e-7, abs=1e-12)


def test_erlang_b_holds_for_a_hundred_thousand_servers():
    # Jagerman's expansion at a = c: B = sqrt(2 / (pi c)) (1 + O(1/sqrt(c))).
    servers = 100_000
    assert erlang_b(servers, servers) == relative(math.sqrt(2 / (math.pi * servers)), rel=0.005)
    assert erlang_b(servers, 2 * servers) == relative(0.5, rel=1e-4)
    assert erlang_b(servers, servers / 2) == 0.0


@given(servers=st.integers(1, 200), load=st.floats(0.01, 300), more=st.floats(1.01, 2))
@many
def test_erlang_b_grows_with_the_load_and_falls_with_servers(servers, load, more):
    assert erlang_b(servers, load) <= erlang_b(servers, load * more)
    assert erlang_b(servers, load) >= erlang_b(servers + 1, load)


# M/M/c


@given(load=loads, service=st.floats(1e-6, 1e3))
@many
def test_one_exponential_server_is_mm1(load, service):
    queue = MMc(load / service, service)
    assert queue.probability_of_waiting == relative(queue.utilisation)
    assert queue.mean_response_time == relative(service / (1 - load), rel=1e-9)
    assert queue.mean_number_in_system == relative(load / (1 - load), rel=1e-9)
    # M/M/1's response time is exponential.
    assert queue.response_time_quantile(0.99) == relative(
        queue.mean_response_time * math.log(100), rel=1e-6
    )


@pytest.mark.parametrize(("servers", "load"), [(2, 0.3), (3, 0.8), (10, 0.7), (25, 0.9)])
def test_mmc_means_solve_the_birth_death_chain(servers, load):
    most = servers + 400
    p = birth_death([servers * load] * most, np.minimum(np.arange(1, most + 1), servers))
    queue = MMc(servers * load, 1.0, servers)
    k = np.arange(most + 1)
    assert queue.probability_of_waiting == relative(p[servers:].sum(), rel=1e-9)
    assert queue.mean_number_waiting == relative(np.maximum(k - servers, 0) @ p, rel=1e-9)
    assert queue.mean_number_in_system == relative(k @ p, rel=1e-9)


def test_waiting_time_quantile_is_zero_inside_the_atom_and_inverts_the_cdf_outside():
    queue = MMc(8.0, 1.0, 10)
    atom = 1 - queue.probability_of_waiting
    assert queue.waiting_time_cdf(0.0) == relative(atom)
    assert queue.waiting_time_quantile(atom * 0.999) == 0.0
    for level in (0.7, 0.9, 0.999):
        assert queue.waiting_time_cdf(queue.waiting_time_quantile(level)) == relative(level)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.9), (3, 0.8), (4, 0.75), (50, 0.2)])
def test_distributions_of_mmc_have_the_means_of_mmc(servers, load):
    # (4, 0.75): the drain rate equals mu; (50, 0.2): it is forty times mu.
    queue = MMc(servers * load, 1.0, servers)
    t = np.linspace(0, 40 + 30 / (servers * (1 - load)) * 5, 200_001)
    late = [1 - queue.response_time_cdf(float(x)) for x in t[::10]]
    assert np.trapezoid(late, t[::10]) == relative(queue.mean_response_time, rel=1e-4)
    wait = [1 - queue.waiting_time_cdf(float(x)) for x in t[::10]]
    assert np.trapezoid(wait, t[::10]) == relative(queue.mean_waiting_time, rel=2e-3)


def test_response_time_of_mmc_agrees_with_a_simulation():
    rng = np.random.default_rng(11)
    servers, n = 3, 120_000
    arrivals = np.cumsum(rng.exponential(1 / 2.4, n))
    services = rng.exponential(1.0, n)
    free = [0.0] * servers
    response = np.empty(n)
    for i in range(n):
        first = min(range(servers), key=free.__getitem__)
        free[first] = max(free[first], arrivals[i]) + services[i]
        response[i] = free[first] - arrivals[i]
    queue = MMc(2.4, 1.0, servers)
    assert agrees(response[5000:], queue.mean_response_time)
    for level in (0.5, 0.9):
        assert agrees(response[5000:] <= queue.response_time_quantile(level), level)


# M/G/1 and M/D/1


@given(load=loads, scv=st.floats(0, 20), service=st.floats(1e-5, 1e2))
@many
def test_mg1_is_linear_between_md1_and_mm1(load, scv, service):
    constant = MD1(load / service, service).mean_waiting_time
    exponential = MMc(load / service, service).mean_waiting_time
    mixed = MG1(load / service, service, scv).mean_waiting_time
    assert mixed == relative(constant + scv * (exponential - constant), rel=1e-7)


def test_second_moment_of_waiting_matches_mm1_and_a_gamma_service():
    # M/M/1: W is 0 or exponential, E[W^2] = 2 rho / (mu (1 - rho))^2; E[S^3] = 6.
    queue = MG1(0.8, 1.0, 1.0, third_moment=6.0)
    assert queue.waiting_time_second_moment == relative(2 * 0.8 / 0.2**2)
    assert queue.waiting_time_variance == relative(2 * 0.8 / 0.2**2 - 4.0**2)
    rng = np.random.default_rng(3)
    shape, n = 0.5, 2_000_000  # a gamma service of mean 1 and scv 2
    third = (shape + 1) * (shape + 2) / shape**2
    waits = lindley(rng.exponential(1 / 0.5, n), rng.gamma(shape, 1 / shape, n))
    queue = MG1(0.5, 1.0, 1 / shape, third)
    assert agrees(waits, queue.mean_waiting_time)
    assert agrees(waits**2, queue.waiting_time_second_moment)


def test_md1_agrees_with_lindleys_recursion():
    rng = np.random.default_rng(5)
    n = 2_000_000
    waits = lindley(rng.exponential(0.02 / 0.8, n), np.full(n, 0.02))[n // 20 :]
    queue = MD1(0.8 / 0.02, 0.02)
    assert agrees(waits, queue.mean_waiting_time)
    assert agrees(waits == 0, 1 - queue.utilisation)
    for level in (0.3, 0.5, 0.9, 0.99):
        assert agrees(waits > queue.waiting_time_quantile(level), 1 - level)


@given(load=loads, t=st.floats(0, 3))
@many
def test_md1_cdf_is_erlangs_series_where_that_is_stable(load, t):
    terms = [
        (-load * (t - k)) ** k / math.factorial(k) * math.exp(load * (t - k))
        for k in range(math.floor(t) + 1)
    ]
    expected = (1 - load) * math.fsum(terms)
    assert MD1(load, 1.0).waiting_time_cdf(t) == relative(expected, abs=1e-12)


@pytest.mark.parametrize("load", [1e-200, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999])
def test_md1_cdf_is_continuous_where_the_exponential_takes_over(load):
    queue = MD1(load, 1.0)
    assert queue.waiting_time_cdf(math.nextafter(50, 0)) == relative(
        queue.waiting_time_cdf(50.0), abs=1e-12
    )


@pytest.mark.parametrize("load", [0.3, 0.9, 0.99])
def test_md1_distribution_has_the_mean_of_md1(load):
    queue = MD1(load, 1.0)
    t = np.arange(0, 60 / (1 - load), 0.02) + 0.01
    area = 0.02 * sum(1 - queue.waiting_time_cdf(float(x)) for x in t)
    assert area == relative(queue.mean_waiting_time, rel=1e-4)


@given(load=loads, level=st.floats(0, 1 - 1e-9), service=st.floats(1e-6, 1e3))
@many
def test_md1_quantile_inverts_the_cdf(load, level, service):
    queue = MD1(load / service, service)
    t = queue.waiting_time_quantile(level)
    assert queue.waiting_time_cdf(t) == relative(max(level, 1 - queue.utilisation), abs=1e-9)


# M/H/1

HYPER = MHyper1(40.0, (0.2, 0.8), (0.03, 0.005))


def test_mhyper1_agrees_with_lindleys_recursion():
    rng = np.random.default_rng(6)
    n = 2_000_000
    means = np.where(rng.random(n) < 0.2, 0.03, 0.005)
    services = rng.exponential(means)
    responses = (lindley(rng.exponential(1 / 40.0, n), services) + services)[n // 20 :]
    assert agrees(responses, HYPER.mean_response_time)
    for level in (0.3, 0.5, 0.9, 0.99):
        assert agrees(responses > HYPER.response_time_quantile(level), 1 - level)


@given(load=st.floats(0.01, 0.95), weight=st.floats(0.01, 0.99), ratio=st.floats(1.5, 50))
@many
def test_mhyper1_has_the_mean_of_pollaczek_and_khinchine(load, weight, ratio):
    means = (0.01, 0.01 * ratio)
    service = weight * means[0] + (1 - weight) * means[1]
    queue = MHyper1(load / service, (weight, 1 - weight), means)
    same = MG1(load / service, service, queue.scv)
    assert queue.mean_response_time == relative(same.mean_response_time, rel=1e-6)
    assert queue.response_time_cdf(0.0) == relative(0.0, abs=1e-9)


def test_mhyper1_with_nearly_equal_phases_is_m_m_1():
    queue = MHyper1(50.0, (0.5, 0.5), (0.01, 0.01 * (1 + 1e-6)))
    for level in (0.1, 0.5, 0.99):
        expected = MMc(50.0, 0.01).response_time_quantile(level)
        assert queue.response_time_quantile(level) == relative(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ((0.0, (0.5, 0.5), (1.0, 2.0)), "arrival_rate"),
        ((0.7, (0.5, 0.5), (1.0, 2.0)), "arrival_rate"),
        ((0.1, (0.5, 0.6), (1.0, 2.0)), "weights"),
        ((0.1, (0.5, 0.2, 0.3), (1.0, 2.0)), "weights"),
        ((0.1, (0.5, 0.5), (1.0, 1.0)), "means"),
        ((0.1, (0.5, 0.5), (1.0, -1.0)), "means"),
    ],
)
def test_mhyper1_refuses_what_is_no_queue(arguments, key):
    with pytest.raises(InputError) as refused:
        MHyper1(*arguments)
    assert refused.value.key == key


# M/G/c


@given(load=loads, servers=st.integers(1, 200))
@many
def test_kimura_is_exact_for_exponential_service(load, servers):
    exponential = MMc(load * servers, 1.0, servers).mean_waiting_time
    assert MGc(load * servers, 1.0, 1.0, servers).mean_waiting_time == relative(exponential)


@given(load=loads, scv=st.floats(0, 20))
@many
def test_kimura_is_pollaczek_khinchine_for_one_server(load, scv):
    expected = MG1(load, 1.0, scv).mean_waiting_time
    assert MGc(load, 1.0, scv).mean_waiting_time == relative(expected)


# Table 1 of Kimura (1991), J. Operational Research Society 42, 595-603; S = 1.
@pytest.mark.parametrize(
    ("servers", "load", "wait"),
    [(2, 0.9, 2.1445), (2, 0.7, 0.4916), (2, 0.5, 0.1757), (2, 0.3, 0.0557), (4, 0.5, 0.0494)],
)
def test_constant_service_has_cosmetatos_published_waiting_times(servers, load, wait):
    queue = MGc(servers * load, 1.0, 0.0, servers)
    assert queue.mean_waiting_time == relative(wait, abs=6e-5)


# Table 1 of Kimura (1994), Queueing Systems 17, 347-382: mean number waiting, 5 servers. The M/D/c
# behind it is another one at light load, hence the tolerance.
@pytest.mark.parametrize(
    ("scv", "load", "waiting"),
    [(4, 0.9, 16.26), (4, 0.7, 1.82), (1.5, 0.9, 8.50), (1.5, 0.7, 1.06), (0.5, 0.9, 5.19)],
)
def test_kimura_has_his_published_queue_lengths(scv, load, waiting):
    assert MGc(5 * load, 1.0, scv, 5).mean_number_waiting == relative(waiting, rel=0.01)


@pytest.mark.parametrize(
    ("load", "servers", "error"),
    [
        *((0.1, servers, 0.14) for servers in (2, 4, 8)),
        *((0.2, servers, 0.14) for servers in (2, 4, 6, 8, 16)),
        *((0.3, servers, 0.14) for servers in (2, 4, 6, 8, 12, 16, 24)),
        *((load, servers, 0.04) for load in (0.5, 0.6, 0.9) for servers in (2, 4, 8, 16, 32)),
    ],
)
def test_kimura_keeps_its_stated_accuracy_for_constant_service(load, servers, error):
    exact = mdc_mean_wait(servers, load)
    assert MGc(servers * load, 1.0, 0.0, servers).mean_waiting_time == relative(exact, rel=error)


@pytest.mark.parametrize(
    ("scv", "load", "error"),
    [(2, 0.2, 0.14), (2, 0.5, 0.04), (4, 0.2, 0.23), (4, 0.5, 0.05), (10, 0.5, 0.26)],
)
@pytest.mark.parametrize("servers", [2, 4])
def test_kimura_keeps_its_stated_accuracy_for_variable_service(servers, scv, load, error):
    most = servers + int(20 * (1 + scv) / 2 / -math.log(load))
    exact = meh2c_mean_wait(servers, load, scv, min(most, 160))
    assert MGc(servers * load, 1.0, scv, servers).mean_waiting_time == relative(exact, rel=error)


def test_oracles_of_mgc_reproduce_their_exponential_and_single_server_cases():
    assert mdc_mean_wait(1, 0.8) == relative(MD1(0.8, 1.0).mean_waiting_time, rel=1e-8)
    near = meh2c_mean_wait(3, 0.6, 1 + 1e-9, 90)
    assert near == relative(MMc(1.8, 1.0, 3).mean_waiting_time, rel=1e-4)
    alone = meh2c_mean_wait(1, 0.5, 4, 200)
    assert alone == relative(MG1(0.5, 1.0, 4).mean_waiting_time, rel=1e-6)


@given(load=st.floats(1e-3, 0.99), scv=st.floats(0, 30), servers=st.integers(1, 2000))
@many
def test_kimura_stays_between_its_limits_at_every_load(load, scv, servers):
    # More variable service waits longer, but no longer than if the servers were one fast one.
    wait = MGc(load * servers, 1.0, scv, servers).mean_waiting_time
    exponential = MMc(load * servers, 1.0, servers).mean_waiting_time
    assert 0 <= wait <= exponential * max(1.0, (1 + scv) / 2) * (1 + 1e-9)
    assert wait <= MGc(load * servers, 1.0, scv + 1, servers).mean_waiting_time * (1 + 1e-9)


def test_mgc_with_endless_idle_servers_does_not_wait():
    assert MGc(1.0, 1.0, 0.0, 5000).mean_waiting_time == 0.0


# Periodic senders


def periodic_waits(senders, slots, runs, seed):
    """Waiting times in the second period, S = 1: by then the queue repeats itself."""
    phases = np.sort(np.random.default_rng(seed).uniform(0, slots, (runs, senders)), axis=1)
    arrivals = np.concatenate([phases, phases + slots], axis=1)
    free = np.zeros(runs)
    waits = np.empty_like(arrivals)
    for i in range(2 * senders):
        waits[:, i] = np.maximum(free - arrivals[:, i], 0)
        free = np.maximum(free, arrivals[:, i]) + 1
    return waits[:, senders:]


@pytest.mark.parametrize(("senders", "slots"), [(2, 3.0), (10, 11.0), (45, 50.0), (20, 60.5)])
def test_periodic_senders_agree_with_brute_force(senders, slots):
    waits = periodic_waits(senders, slots, 60_000, seed=senders)
    queue = PeriodicSenders(senders, slots, 1.0)
    assert agrees(waits.mean(axis=1), queue.mean_waiting_time)
    assert agrees((waits == 0).mean(axis=1), 1 - (senders - 1) / slots)
    for x in (0.0, 0.5, 1.0, 1.7):
        late = 1 - queue.waiting_time_cdf(x)
        if late > 0.01:
            assert agrees((waits > x).mean(axis=1), late)


def test_two_periodic_senders_by_hand():
    # The other one is less than S ahead with probability S/T, and then U(0, S) of it is left.
    queue = PeriodicSenders(2, 10.0, 2.0)
    assert queue.mean_waiting_time == relative(0.2)
    assert queue.waiting_time_cdf(0.0) == relative(0.8)
    assert queue.waiting_time_cdf(1.0) == relative(0.9)
    assert queue.waiting_time_quantile(0.95) == relative(1.5)
    assert queue.waiting_time_cdf(2.0) == 1.0


def test_periodic_senders_wait_half_as_long_as_poisson_at_load_090():
    assert PeriodicSenders(45, 1.0, 0.02).mean_waiting_time == relative(0.044, abs=5e-4)
    assert MD1(45.0, 0.02).mean_waiting_time == relative(0.090)


@given(senders=st.integers(1, 300), load=st.floats(0.05, 0.98))
@many
def test_mean_of_periodic_senders_is_the_area_above_their_cdf(senders, load):
    queue = PeriodicSenders(senders, senders / load, 1.0)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    area = 0.0
    for start in range(min(senders, 120)):
        late = [1 - queue.waiting_time_cdf(start + (x + 1) / 2) for x in nodes]
        area += float(weights @ late) / 2
    assert area == relative(queue.mean_waiting_time, rel=1e-7, abs=1e-10)


def test_very_many_periodic_senders_are_poisson():
    queue = PeriodicSenders(100_000, 100_000 / 0.7, 1.0)
    poisson = MD1(0.7, 1.0)
    assert queue.mean_waiting_time == relative(poisson.mean_waiting_time, rel=1e-3)
    assert queue.waiting_time_quantile(0.99) == relative(
        poisson.waiting_time_quantile(0.99), rel=1e-3
    )


def test_a_single_periodic_sender_never_waits():
    queue = PeriodicSenders(1, 1.0, 0.9)
    assert (queue.mean_waiting_time, queue.waiting_time_quantile(1.0)) == (0.0, 0.0)


# Finite sources


@given(servers=st.integers(1, 12), extra=st.integers(0, 30), load=st.floats(0.01, 20))
@many
def test_engset_solves_the_birth_death_chain(servers, extra, load):
    sources = servers + extra
    k = np.arange(servers + 1)
    p = birth_death((sources - k[:-1]) * load, k[1:])
    result = engset(servers, sources, load)
    attempts = p * (sources - k)
    assert result.time_congestion == relative(p[-1], rel=1e-8, abs=1e-12)
    assert result.call_congestion == relative(attempts[-1] / attempts.sum(), rel=1e-8, abs=1e-12)
    assert result.carried_load == relative(k @ p, rel=1e-8)
    assert result.offered_load == relative(load * attempts.sum(), rel=1e-8)


def test_engset_of_a_huge_population_is_erlang_b():
    result = engset(10, 10_000_000, 5 / 10_000_000)
    assert result.time_congestion == relative(0.018385, abs=1e-6)
    assert result.call_congestion == relative(result.time_congestion, rel=1e-5)


def test_engset_loses_nothing_when_everyone_has_a_server():
    assert engset(5, 5, 2.0).call_congestion == 0.0
    assert engset(5, 5, 2.0).carried_load == relative(5 * 2 / 3)
    assert engset(6, 5, 2.0).time_congestion == 0.0


@pytest.mark.parametrize(("population", "servers"), [(1, 1), (7, 1), (30, 4), (60, 60), (5, 9)])
def test_machine_repair_solves_the_birth_death_chain(population, servers):
    system = MachineRepair(2.0, 0.3, population, servers)
    k = np.arange(population + 1)
    p = birth_death((population - k[:-1]) / 2.0, np.minimum(k[1:], servers) / 0.3)
    assert system.state_probabilities == relative(p, rel=1e-6, abs=1e-13)
    assert system.throughput == relative((population - k @ p) / 2.0, rel=1e-9)
    assert system.mean_response_time == relative(k @ p / system.throughput, rel=1e-9)
    assert system.mean_waiting_time == relative(system.mean_response_time - 0.3, abs=1e-9)
    assert system.utilisation == relative(system.throughput * 0.3 / servers)


def test_machine_repair_of_a_rare_huge_population_is_mmc():
    population = 1_000_000
    system = MachineRepair(population / 4.0, 1.0, population, 5)
    queue = MMc(4.0, 1.0, 5)
    assert system.mean_waiting_time == relative(queue.mean_waiting_time, rel=1e-3)
    assert system.mean_response_time == relative(queue.mean_response_time, rel=1e-3)


@pytest.mark.parametrize(("think", "load"), [(1000.0, "light"), (90.0, "near"), (1.0, "over")])
def test_machine_repair_is_stable_for_a_hundred_thousand_customers(think, load):
    population, servers, service = 100_000, 10, 0.01
    system = MachineRepair(think, service, population, servers)
    p = system.state_probabilities
    assert np.isfinite(p).all()
    assert p.sum() == relative(1.0)
    # Little's law over the whole cycle, which the throughput was not computed from.
    assert system.throughput * (think + system.mean_response_time) == relative(population, rel=1e-9)
    if load != "light":
        assert system.throughput == relative(servers / service, rel=1e-6)


@given(population=st.integers(1, 80), think=st.floats(0.1, 50), service=st.floats(0.01, 5))
@many
def test_mean_value_analysis_of_one_station_is_machine_repair(population, think, service):
    means = mean_value_analysis(ClosedNetwork(think, (service,)), population)
    system = MachineRepair(think, service, population)
    assert means.throughput == relative(system.throughput, rel=1e-9)
    assert means.response_time == relative(system.mean_response_time, rel=1e-9)
    assert means.queue_lengths[0] == relative(system.mean_number_in_system, rel=1e-9)
    assert means.utilisations[0] == relative(system.utilisation, rel=1e-9)


def test_mean_value_analysis_of_two_stations_solves_the_markov_chain():
    population, think, demands = 6, 2.0, (0.5, 0.8)
    states = [(i, j) for i in range(population + 1) for j in range(population + 1 - i)]
    index = {state: n for n, state in enumerate(states)}
    rates = np.zeros((len(states), len(states)))
    for i, j in states:
        thinking = population - i - j
        if thinking:
            rates[index[i, j], index[i + 1, j]] = thinking / think
        if i:
            rates[index[i, j], index[i - 1, j + 1]] = 1 / demands[0]
        if j:
            rates[index[i, j], index[i, j - 1]] = 1 / demands[1]
    p = stationary(rates - np.diag(rates.sum(axis=1)))
    means = mean_value_analysis(ClosedNetwork(think, demands), population)
    assert means.queue_lengths == relative(
        (np.array([i for i, _ in states]) @ p, np.array([j for _, j in states]) @ p), rel=1e-9
    )
    busy = sum(p[index[state]] for state in states if state[1])
    assert means.throughput == relative(busy / demands[1], rel=1e-9)
    assert sum(means.residence_times) == relative(means.response_time)


@given(
    population=st.integers(1, 150),
    think=st.floats(0, 20),
    demands=st.lists(st.floats(0.01, 3), min_size=1, max_size=4),
)
@many
def test_asymptotic_bounds_enclose_mean_value_analysis(population, think, demands):
    network = ClosedNetwork(think, demands)
    means = mean_value_analysis(network, population)
    assert means.throughput <= network.throughput_bound(population) * (1 + 1e-9)
    assert means.response_time >= network.response_time_bound(population) * (1 - 1e-9)


def test_asymptotes_cross_at_the_saturation_population_and_are_reached_far_beyond():
    network = ClosedNetwork(1.0, (0.002, 0.008))
    assert network.saturation_population == relative(126.25)
    assert network.throughput_bound(126) == relative(126 / 1.01)
    assert network.throughput_bound(127) == relative(125)
    assert network.response_time_bound(126) == relative(0.01)
    assert network.response_time_bound(1000) == relative(7.0)
    assert mean_value_analysis(network, 1000).throughput == relative(125, rel=1e-9)


def test_constant_times_meet_the_asymptotic_bound_exactly():
    think, service, population = 1.0, 0.03, 50  # N* = 34.3: the customers line themselves up
    ready = np.zeros(population)
    free, done = 0.0, 0
    while free < 300.0:
        customer = int(np.argmin(ready))
        start = max(free, ready[customer])
        assert done < population or start == free, "the server idles although saturated"
        free = start + service
        ready[customer] = free + think
        done += 1
    network = ClosedNetwork(think, (service,))
    assert done / free == relative(network.throughput_bound(population), rel=1e-9)


# Polling


def poll(rng, sleeps, queries, messages):
    """Delays of messages in a poller whose query returns what was there when it started."""
    starts = np.concatenate([[0.0], np.cumsum(queries + sleeps)])
    stored = rng.uniform(0, starts[-2], messages)
    answering = np.searchsorted(starts, stored, side="right")
    return starts[answering] + np.append(queries, 0.0)[answering] - stored


def test_polling_with_constant_times_is_uniform_from_s_to_z_plus_2s():
    rng = np.random.default_rng(17)
    n = 200_000
    delays = poll(rng, np.full(n, 1.0), np.full(n, 0.2), n)
    polling = FixedIntervalPolling(1.0, 0.2)
    assert (polling.minimum, polling.maximum, polling.mean) == relative((0.2, 1.4, 0.8))
    assert delays.min() >= 0.2 - 1e-6
    assert delays.max() <= 1.4 + 1e-6
    assert agrees(delays, polling.mean)
    assert agrees((delays - delays.mean()) ** 2, polling.variance)
    for level in (0.1, 0.5, 0.9):
        assert polling.cdf(polling.quantile(level)) == relative(level)
        assert agrees(delays <= polling.quantile(level), level)


def test_polling_delay_of_a_general_cycle_is_the_residual_plus_a_query():
    rng = np.random.default_rng(23)
    n = 600_000
    sleeps = rng.uniform(0.5, 1.5, n)
    queries = rng.gamma(0.5, 0.8, n)  # mean 0.4, variance 0.32
    expected = polling_delay(1.0, 0.4, service_variance=0.32, interval_variance=1 / 12)
    assert agrees(poll(rng, sleeps, queries, n), expected)
    # The simulation can tell: without the variances the formula is refuted.
    assert not agrees(poll(rng, sleeps, queries, n), polling_delay(1.0, 0.4))


@given(interval=st.floats(1e-3, 1e3), service=st.floats(0, 1e3))
@many
def test_constant_polling_is_a_special_case_of_the_general_cycle(interval, service):
    mean = polling_delay(interval, service)
    assert mean == relative(interval / 2 + 1.5 * service)
    assert mean == relative(FixedIntervalPolling(interval, service).mean)


def test_polling_every_second_matches_the_measured_figures():
    polling = FixedIntervalPolling(1.0, 0.0)
    assert polling.mean == 0.5
    assert polling.quantile(0.99) == relative(0.99)


# Batching, token bucket, laws


def test_batching_lag_agrees_with_a_simulated_batcher():
    rng = np.random.default_rng(29)
    rate, linger, size, n = 40.0, 0.1, 5, 300_000
    arrivals = np.cumsum(rng.exponential(1 / rate, n))
    lags = np.empty(n)
    first = 0
    while first < n - size:
        end = int(np.searchsorted(arrivals, arrivals[first] + linger, side="right"))
        last = min(end, first + size)
        full = last == first + size
        sent = arrivals[last - 1] if full else arrivals[first] + linger
        lags[first:last] = sent - arrivals[first:last]
        first = last
    assert agrees(lags[:first], theory.batching_lag(rate, linger, size))


def test_batching_lag_is_the_linger_of_lone_messages_and_half_of_it_in_a_crowd():
    assert theory.batching_lag(1e-6, 0.1, 10) == relative(0.1, rel=1e-6)
    assert theory.batching_lag(1e4, 0.1, 100_000) == relative(0.05, rel=2e-3)
    assert theory.batching_lag(1e4, 0.1, 3) == relative((2 + 1) / 3 / 1e4, rel=1e-9)
    assert theory.batching_lag(5.0, 0.1, 1) == 0.0
    assert theory.batching_lag(5.0, 0.0, 10) == 0.0


def test_token_bucket_accepts_22_requests_of_each_agent_within_a_minute():
    accepted = theory.token_bucket(13, 10 / 60, 59.99)
    assert accepted == 22
    assert 100 * accepted == 2200


def accepted_by_simulation(burst, refill_every, until):
    """A sender that tries every millisecond, counted in whole milliseconds and token shares."""
    tokens, accepted = burst * refill_every, 0
    for now in range(until + 1):
        tokens = min(tokens + (now > 0), burst * refill_every)
        if tokens >= refill_every:
            tokens -= refill_every
            accepted += 1
    return accepted


@pytest.mark.parametrize(
    ("until", "accepted"), [(59_990, 22), (60_000, 23), (6_000, 14), (100, 13)]
)
def test_token_bucket_agrees_with_a_simulated_bucket(until, accepted):
    assert accepted_by_simulation(13, 6000, until) == accepted
    assert theory.token_bucket(13, 1 / 6, until / 1000) == accepted


@given(burst=st.integers(0, 50), tokens=st.integers(0, 10_000), period=st.floats(0.1, 1e4))
@many
def test_token_bucket_is_not_one_short_through_rounding(burst, tokens, period):
    assert theory.token_bucket(burst, tokens / period, period) == burst + tokens


def test_operational_laws_hold_in_mmc():
    queue = MMc(30.0, 0.1, 5)
    assert theory.utilisation_law(30.0, 0.1, servers=5) == relative(queue.utilisation)
    assert theory.littles_law(30.0, queue.mean_response_time) == relative(
        queue.mean_number_in_system
    )


def test_universal_scalability_peaks_where_it_says():
    law = UniversalScalability(100.0, 0.05, 0.0004)
    peak = law.peak_population
    assert peak == relative(math.sqrt(0.95 / 0.0004))
    populations = np.linspace(1, 200, 19_901)
    best = populations[np.argmax([law.throughput(float(n)) for n in populations])]
    assert best == relative(peak, abs=0.02)
    assert law.throughput(1) == relative(100.0)


def test_universal_scalability_without_coherence_is_amdahls_law():
    law = UniversalScalability(1.0, 0.1, 0.0)
    assert law.peak_population == math.inf
    assert law.throughput(1e9) == relative(10.0, rel=1e-6)


# Refusals


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda: erlang_b(0, 1.0), "servers"),
        (lambda: erlang_b(2.0, 1.0), "servers"),
        (lambda: erlang_b(2, -1.0), "offered_load"),
        (lambda: erlang_c(2, 2.0), "offered_load"),
        (lambda: MMc(1.0, 1.0), "arrival_rate"),
        (lambda: MMc(10.0, 1.0, 5), "arrival_rate"),
        (lambda: MMc(-1.0, 1.0), "arrival_rate"),
        (lambda: MMc(1.0, 0.0), "service_time"),
        (lambda: MMc(1.0, 0.1, 0), "servers"),
        (lambda: MMc(1.0, math.nan), "service_time"),
        (lambda: MMc(1.0, 0.1).waiting_time_cdf(-1.0), "t"),
        (lambda: MMc(1.0, 0.1).waiting_time_quantile(1.0), "probability"),
        (lambda: MMc(1.0, 0.1).response_time_quantile(-0.1), "probability"),
        (lambda: MG1(1.0, 1.0, 0.0), "arrival_rate"),
        (lambda: MG1(0.5, 1.0, -0.1), "scv"),
        (lambda: MG1(0.5, 1.0, 1.0, third_moment=3.9), "third_moment"),
        (lambda: MG1(0.5, 1.0, 1.0).waiting_time_second_moment, "third_moment"),
        (lambda: MD1(1.0, 1.0), "arrival_rate"),
        (lambda: MD1(0.5, 1.0).waiting_time_quantile(1.0), "probability"),
        (lambda: MGc(2.0, 1.0, 1.0, 2), "arrival_rate"),
        (lambda: PeriodicSenders(10, 10.0, 1.0), "senders"),
        (lambda: PeriodicSenders(0, 10.0, 1.0), "senders"),
        (lambda: PeriodicSenders(5, 10.0, 1.0).waiting_time_quantile(1.5), "probability"),
        (lambda: engset(1, 0, 1.0), "sources"),
        (lambda: engset(1, 2, -1.0), "load_per_idle_source"),
        (lambda: MachineRepair(0.0, 1.0, 5), "think_time"),
        (lambda: MachineRepair(1.0, 1.0, 0), "population"),
        (lambda: ClosedNetwork(1.0, ()), "demands"),
        (lambda: ClosedNetwork(1.0, (0.1, 0.0)), "demands"),
        (lambda: ClosedNetwork(-1.0, (0.1,)), "think_time"),
        (lambda: ClosedNetwork(1.0, (0.1,)).throughput_bound(0), "population"),
        (lambda: ClosedNetwork(1.0, (0.1,)).response_time_bound(0), "population"),
        (lambda: mean_value_analysis(ClosedNetwork(1.0, (0.1,)), 0), "population"),
        (lambda: polling_delay(0.0, 0.0), "interval"),
        (lambda: polling_delay(1.0, -0.1), "service_mean"),
        (lambda: polling_delay(1.0, 0.1, -0.1), "service_variance"),
        (lambda: FixedIntervalPolling(0.0, 1.0), "interval"),
        (lambda: FixedIntervalPolling(1.0, 1.0).quantile(1.1), "probability"),
        (lambda: theory.batching_lag(0.0, 0.1, 2), "arrival_rate"),
        (lambda: theory.batching_lag(1.0, 0.1, 0), "batch_size"),
        (lambda: theory.token_bucket(1, -1.0, 1.0), "rate"),
        (lambda: theory.littles_law(-1.0, 1.0), "arrival_rate"),
        (lambda: theory.utilisation_law(1.0, 1.0, 0), "servers"),
        (lambda: UniversalScalability(1.0, 1.5, 0.0), "contention"),
        (lambda: UniversalScalability(1.0, 0.5, -1.0), "coherence"),
        (lambda: UniversalScalability(1.0, 0.5, 0.0).throughput(0), "population"),
    ],
)
def test_values_out_of_range_are_refused_in_one_line_with_the_key(call, key):
    with pytest.raises(InputError) as refusal:
        call()
    assert refusal.value.key == key
    assert "\n" not in str(refusal.value)
