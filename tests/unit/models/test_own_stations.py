"""What queues in a server of one's own counts: in its utilisation, its bottleneck and its knee."""

from __future__ import annotations

import pytest
import simpy
from attrs import field, frozen

import lhsim
from lhsim.distributions import Deterministic, Distribution
from lhsim.errors import InputError
from lhsim.metrics.account import Outcome, Window
from lhsim.models import Poisson, Server, ServerProcesses, System, Workload
from lhsim.models.running import start
from lhsim.models.station import Watched
from lhsim.planning import capacity
from lhsim.streams import Purpose


@frozen
class Desk(Server):
    """Clerks who take a while for each message, by one of the ways in which they may queue."""

    way: str = "resource"
    clerks: int = 2
    service: Distribution = field(factory=lambda: Deterministic(0.1))  # [s]
    writes: bool = False  # whether messages pass the processor and the store, too

    def serve(self, bridge):
        return DeskProcesses(self, bridge)


class DeskProcesses(ServerProcesses):
    def __init__(self, server, bridge):
        super().__init__(bridge)
        self.server = server
        self.service = bridge.stage(server.service, Purpose.SEND)
        if server.way == "station":
            self._queue = bridge.station("clerks", server.clerks)
        elif server.way == "list":
            self._queues = [simpy.Resource(self.env, server.clerks)]
        elif server.way == "priority":
            self._clerks = simpy.PriorityResource(self.env, server.clerks)
        else:
            self._clerks = simpy.Resource(self.env, server.clerks)

    def carry(self, message):
        if self.server.writes:
            yield from self.bridge.receive(message)
            yield from self.bridge.write(message, lambda _: None)
        for one in message.together:
            one.stored = self.env.now
        if self.server.way == "station":
            yield self._queue.serve(self.service.draw(message.sender, message.number))
        else:
            resource = self._queues[0] if self.server.way == "list" else self._clerks
            with resource.request() as turn:
                yield turn
                yield from self.bridge.delay(self.service, message.sender, message.number)
        for one in message.together:
            self.bridge.ledger.end(one, Outcome.DELIVERED, self.env.now)


def desk(rate=0.1, **how):
    return System("desk", server=Desk(**how), workload=Workload(traffic=Poisson(rate)))


NAMES = {"station": "clerks", "resource": "clerks", "priority": "clerks", "list": "queues 0"}


@pytest.mark.parametrize("way", NAMES)
def test_what_an_own_server_makes_to_queue_at_is_a_station_by_name(way):
    """100 agents send 10 messages/s of 0.1 s to 2 clerks: a utilisation of 1/2."""
    result = lhsim.simulate(desk(way=way), agents=100, duration=200)
    assert list(result.utilization) == [NAMES[way]]
    assert result.utilization[NAMES[way]] == pytest.approx(0.5, rel=0.05)
    assert result.bottleneck == NAMES[way]
    assert f"bottleneck: {NAMES[way]}" in result.summary()


def test_all_ways_to_queue_have_the_same_busy_time():
    found = [lhsim.simulate(desk(way=way), agents=100, duration=50) for way in NAMES]
    busy = [one.utilization[one.bottleneck] for one in found]
    assert busy == pytest.approx([busy[0]] * len(busy), rel=0.01)


def test_an_own_server_that_is_full_is_the_bottleneck():
    result = lhsim.simulate(desk(), agents=400, duration=60)
    assert result.utilization["clerks"] == pytest.approx(1, abs=0.01)
    assert result.overloaded


def test_what_lhsim_lends_is_there_only_where_it_is_used():
    alone = lhsim.simulate(desk(), agents=20, duration=20)
    assert alone.metrics.cpu_utilization_percent != alone.metrics.cpu_utilization_percent  # NaN
    system = lhsim.load_system("push")
    both = System("desk", server=Desk(writes=True), cpu=system.cpu, store=system.store,
                  workload=Workload(traffic=Poisson(0.1)))  # fmt: skip
    result = lhsim.simulate(both, agents=20, duration=20)
    assert set(result.utilization) == {"cpu", "clerks"}  # a write of this store costs nothing
    assert result.bottleneck == "clerks"


def test_queued_messages_of_an_own_station_are_in_the_state():
    result = lhsim.simulate(desk(), agents=300, duration=20)
    assert result.timeseries["queued"].iloc[-1] > 50


def test_an_objective_on_utilisation_is_violated_where_the_own_station_is_full():
    """2 clerks of 0.1 s do 20 messages/s, so 200 agents: 80 % of them are 160."""
    found = capacity(desk(), ["utilization<80%"], most=400)
    assert found.value == pytest.approx(160, rel=0.1)
    with pytest.raises(InputError, match=r"does not use the processor.*clerks"):
        capacity(desk(), ["cpu<80%"], most=40)


def test_a_sweep_finds_the_knee_at_the_own_station():
    sweep = lhsim.sweep(desk(), agents=[100, 300], replications=2, duration=20)
    assert sweep.knees["desk"].bottleneck == "clerks"
    assert set(sweep.levels()["bottleneck"]) == {"clerks"}


def test_two_stations_of_one_name_are_refused():
    bridge = start(desk(), 2, 1, Window(0.0, 1.0, 1.0)).bridge
    for taken in ("clerks", "cpu", "store"):
        with pytest.raises(ValueError, match=taken):
            bridge.station(taken)


def test_a_resource_that_is_watched_counts_inside_the_window_alone():
    env = simpy.Environment()
    resource = simpy.Resource(env, 2)
    watched = Watched(resource, (5.0, 15.0))

    def user(at, until):
        yield env.timeout(at)
        with resource.request() as turn:
            yield turn
            yield env.timeout(until - at)

    env.process(user(0, 8))  # 3 s inside
    env.process(user(10, 20))  # 5 s inside
    env.run(until=30)
    assert watched.servers == 2
    assert watched.busy_time == 8.0
