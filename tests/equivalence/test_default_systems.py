"""The systems that come with lhsim: at ease, and loaded to saturation."""

import pytest
from comparison import CANDIDATE, Case, check

import lhsim

SEEDS = (1, 2, 2**63 - 1)


@pytest.mark.parametrize("agents", [50, 300])
@pytest.mark.parametrize("name", lhsim.systems())
def test_a_default_system(name, agents):
    for seed in SEEDS:
        check(Case(lhsim.load_system(name), agents, duration=6.0, seed=seed))


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "agents", "settings"),
    [
        ("polling", 100, ["polling.interval=10ms"]),
        ("polling", 50, ["workload.traffic.kind=poisson", "workload.traffic.rate=60/s"]),
        ("push", 50, ["workload.traffic.kind=poisson", "workload.traffic.rate=90/s"]),
        ("push", 20, ["workload.traffic.kind=closed", "cpu.relay=0.2ms", "push.outbound=3"]),
    ],
)
def test_a_default_system_in_saturation(name, agents, settings, workers):
    system = lhsim.load_system(name, [*settings, f"cpu.workers={workers}"])
    case = Case(system, agents, duration=1.5 * workers, warmup=0.5, drain=0.0)
    check(case)
    if "closed" not in system.workload.traffic.name and workers == 1:
        assert case.run(CANDIDATE).utilization["cpu"] > 0.95
