from __future__ import annotations

import pytest

from lhsim import parameters
from lhsim.errors import InputError
from lhsim.models import System
from lhsim.planning import ScaleOut, scaled_out


def system(architecture, **more):
    data = {
        "name": "mine",
        architecture: {"connections": 30},
        "cpu": {"workers": 2, "relay": {"family": "deterministic", "value": "1 ms"}},
        "store": {"connections": 5},
        "memory": {"baseline": "40 MB", "per_agent": "1 kB"},
    }
    return parameters.structure(data | more, System, source="test")


@pytest.mark.parametrize(
    ("agents", "servers"), [(1, 1), (2000, 1), (2001, 2), (10_000, 5), (1_000_000, 500)]
)
def test_begun_servers_count(agents, servers):
    assert ScaleOut(2000).servers(agents) == servers


@pytest.mark.parametrize("architecture", ["polling", "push"])
def test_all_that_a_server_has_is_there_so_many_times(architecture):
    many = scaled_out(system(architecture), 7)
    assert many.name == "mine, scaled out"
    assert (many.cpu.workers, many.store.connections, many.server.connections) == (14, 35, 210)
    assert many.memory.baseline == 7 * 40e6
    assert many.memory.per_agent == 1000
    assert many.cpu.relay == system(architecture).cpu.relay


def test_what_is_without_limit_stays_so():
    assert scaled_out(system("push", push={}), 7).server.connections is None


def test_a_single_writer_stays_one():
    one = system("polling", store={"single_writer": True})
    assert scaled_out(one, 7).store.single_writer


def test_one_server_is_the_system_itself():
    one = system("push")
    assert scaled_out(one, 1) is one


@pytest.mark.parametrize("servers", [0, -1, 1.5, True])
def test_other_numbers_of_servers_are_refused(servers):
    with pytest.raises(InputError, match=r"servers: .* allowed: a whole number >= 1"):
        scaled_out(system("push"), servers)
