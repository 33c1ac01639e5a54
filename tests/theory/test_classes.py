"""Classes of agents and sizes of messages, against M/G/1 and the means of their classes."""

import attrs
import numpy as np
from harness import AGENTS, check, open_queue

from lhsim.distributions import Exponential, Hyperexponential, Mixture
from lhsim.models import AgentClass, Cpu, Network, PerByte, Poisson, Workload
from lhsim.simulation import simulate
from lhsim.theory import MG1

BYTE = 1e-6  # what one costs [s]
SIZES = Hyperexponential((0.9, 0.1), (2e3, 42e3))  # [B]


def observe(system, messages):
    def observed(seed):
        rate = system.offered_load(AGENTS)
        margin = 200 / rate
        result = simulate(
            system,
            agents=AGENTS,
            seed=seed,
            warmup=margin,
            drain=margin,
            duration=messages / rate + 2 * margin,
            keep_messages=True,
        )
        means = {name: one.latency.mean for name, one in result.classes.items()}
        return {"response": result.latency.mean, "busy": result.utilization["cpu"], **means}

    return observed


def with_workload(system, **changes):
    return attrs.evolve(system, workload=attrs.evolve(system.workload, **changes))


def test_messages_of_many_sizes_are_m_g_1():
    """Work of a byte times hyperexponential sizes: hyperexponential service times."""
    rate = 0.6 / (BYTE * SIZES.mean)
    system = with_workload(open_queue(rate, cpu=Cpu(per_byte=PerByte(send=BYTE))), payload=SIZES)
    queue = MG1(rate, BYTE * SIZES.mean, SIZES.scv)
    theory = {"response": queue.mean_response_time, "busy": 0.6}
    check(observe(system, 20_000), theory, within=0.08)


def test_classes_share_the_queue_and_differ_by_their_own_bytes():
    """FIFO with Poisson arrivals: all wait W of the mixture, and each class has its own service."""
    small, large = Exponential(2e3), Exponential(20e3)
    classes = (
        AgentClass(0.75, "small", payload=small),
        AgentClass(0.25, "large", rate=2.0, payload=large),
    )
    shares = 0.75 * 4.0 / (0.75 * 4.0 + 0.25 * 2.0)
    system = with_workload(
        open_queue(1.0, cpu=Cpu(per_byte=PerByte(send=BYTE))),
        traffic=Poisson(4.0),
        classes=classes,
    )
    mixture = Mixture((shares, 1 - shares), (small, large))
    rate = system.offered_load(AGENTS)
    queue = MG1(rate, BYTE * mixture.mean, mixture.scv)
    waiting = queue.mean_waiting_time
    theory = {
        "small": waiting + BYTE * small.mean,
        "large": waiting + BYTE * large.mean,
        "busy": rate * BYTE * mixture.mean,
    }
    check(observe(system, 8_000), theory, within=0.1)


def test_a_link_delays_each_byte_and_a_class_has_its_own():
    near, far = 1e6, 1e4  # [B/s]
    classes = (
        AgentClass(0.5, "near", network=Network(bandwidth=near)),
        AgentClass(0.5, "far", network=Network(bandwidth=far)),
    )
    system = with_workload(
        open_queue(20.0), topology="random", payload=Exponential(100.0), classes=classes
    )
    # Nine of nineteen others are of the sender's own class.
    own, other = 9 / 19, 10 / 19
    theory = {
        "near": 100 / near + 100 * (own / near + other / far),
        "far": 100 / far + 100 * (own / far + other / near),
    }
    check(observe(system, 4_000), theory, within=0.05)


def test_a_workload_of_one_class_is_that_workload():
    assert np.isclose(Workload(classes=(AgentClass(1.0, "all"),)).offered_load(7), 0.7)
