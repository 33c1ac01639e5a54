"""Every metric of `AgentCommunicationMetrics`, worked out by hand for two agents.

Agent 0 sends two messages to agent 1, the second 1 s after the first has ended. Both start at 0,
and every cost is constant: network up 10 ms, down 20 ms; a query 2 ms of the loop and 5 ms of the
store; a write 7 ms; a validation 4 ms; a send 3 ms. All times below are in ms.

Polling sleeps for 1000 and answers with nothing after 1500::

    message 0   created 0, stored 17 (10 up, 7 write)
    agent 0     asks at 0: loop 10-12, store 12-17, nothing; sleeps until 1017; loop 1017-1019,
                store 1019-1024, nothing; sleeps until 2024, when more than 1500 have passed since
                10: an empty answer; asks again at 2044: loop 2054-2056, store 2056-2061, nothing
    agent 1     asks at 0: loop 12-14, store 14-19: reads at 14, before 17, so nothing; sleeps
                until 1019; loop 1019-1021, store 1021-1026: message 0; delivered at 1046
                asks at 1046: loop 1056-1058, store 1058-1063, nothing; sleeps until 2063; loop
                2063-2065, store 2065-2070: message 1; delivered at 2090, where the run ends
    message 1   created 2046, stored 2063

Push is an elicitation::

    message 0   created 0, 10 up, validated 14, stored 21, sent 24, at its target 44;
                the answer: 10 up, validated 58
    message 1   created 1058, at its target 1102; its answer is in at 1116, where the run ends
"""

from __future__ import annotations

from typing import Any

import pytest
from attrs import asdict, evolve, fields

import lhsim
from lhsim.distributions import Deterministic
from lhsim.metrics import AgentCommunicationMetrics
from lhsim.models import (
    Closed,
    Cpu,
    Elicitation,
    EventStore,
    Memory,
    Network,
    PollingServer,
    PushServer,
    System,
    Workload,
)


def ms(time: float) -> Deterministic:
    return Deterministic(time / 1e3)


WORLD: dict[str, Any] = {
    "workload": Workload("pair", Closed(2, pause=ms(1000)), start="together"),
    "network": Network(up=ms(10), down=ms(20)),
    "cpu": Cpu(query=ms(2), validate=ms(4), send=ms(3)),
    "store": EventStore(query=ms(5), write=ms(7)),
    "memory": Memory(baseline=1e6, per_agent=1e5, per_connection=2e5, per_event=1e4),
}
POLLING = System("polling", **WORLD, polling=PollingServer(interval=1.0, timeout=1.5))
PUSH = System("push", **WORLD, push=PushServer(elicitation=Elicitation(timeout=5.0)))
OF_POLLING = {
    "message_send_latency_ms": 17.0,
    "message_receive_latency_ms": (1029 + 27) / 2,
    "end_to_end_latency_ms": (1046 + 44) / 2,
    "p50_latency_ms": 44.0,
    "p95_latency_ms": 1046.0,
    "p99_latency_ms": 1046.0,
    "max_latency_ms": 1046.0,
    "messages_per_second": 2 / 2.090,
    "successful_deliveries": 2,
    "failed_deliveries": 0,
    "delivery_success_rate": 1.0,
    "memory_baseline_mb": 1.0,
    "memory_peak_mb": 1 + 2 * 0.1 + 2 * 0.2 + 2 * 0.01,  # both ask when message 1 is stored
    "memory_per_agent_mb": (2 * 0.1 + 2 * 0.2 + 2 * 0.01) / 2,
    "cpu_utilization_percent": 100 * 7 * 0.002 / 2.090,
    "connection_count": 2,
    "polling_cycles_total": 7,
    "database_queries_total": 7,
    "timeout_events": 1,
    "wasted_poll_cycles": 5,
    "elicitation_requests_created": 0,
    "elicitation_responses_received": 0,
    "schema_validation_time_ms": 0.0,
    "websocket_events_sent": 0,
}
OF_PUSH = {
    "message_send_latency_ms": 21.0,
    "message_receive_latency_ms": 23.0,
    "end_to_end_latency_ms": 44.0,
    "p50_latency_ms": 44.0,
    "p95_latency_ms": 44.0,
    "p99_latency_ms": 44.0,
    "max_latency_ms": 44.0,
    "messages_per_second": 2 / 1.116,
    "successful_deliveries": 2,
    "failed_deliveries": 0,
    "delivery_success_rate": 1.0,
    "memory_baseline_mb": 1.0,
    "memory_peak_mb": 1 + 2 * 0.1 + 2 * 0.2 + 2 * 0.01,
    "memory_per_agent_mb": (2 * 0.1 + 2 * 0.2 + 2 * 0.01) / 2,
    "cpu_utilization_percent": 100 * 2 * (0.004 + 0.003 + 0.004) / 1.116,
    "connection_count": 2,
    "polling_cycles_total": 0,
    "database_queries_total": 0,
    "timeout_events": 0,
    "wasted_poll_cycles": 0,
    "elicitation_requests_created": 2,
    "elicitation_responses_received": 2,
    "schema_validation_time_ms": 4.0,
    "websocket_events_sent": 2,
}
ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])


@ENGINES
@pytest.mark.parametrize(("system", "expected"), [(POLLING, OF_POLLING), (PUSH, OF_PUSH)])
def test_each_metric_is_as_worked_out_by_hand(
    system: System, expected: dict[str, float], engine: str
) -> None:
    # The state is looked at every 209.5 ms: at 2095, when all is delivered, and before agent 1 asks
    # for more, it is seen that the run is over.
    result = lhsim.simulate(system, agents=2, duration=20.95, engine=engine)
    found = asdict(result.metrics)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # A quantile is read from a bucket that is 1/64 wide; the rest is exact but for rounding.
        near = 1 / 64 if name.startswith("p") and "latency" in name else 1e-9
        assert found[name] == pytest.approx(value, rel=near), name


@ENGINES
def test_what_is_rejected_has_failed(engine: str) -> None:
    """There is a place for agent 0 alone, so that both messages to agent 1 are rejected."""
    full = evolve(PUSH, push=PushServer(connections=1))
    metrics = lhsim.simulate(full, agents=2, duration=30, engine=engine).metrics
    assert (metrics.successful_deliveries, metrics.failed_deliveries) == (0, 2)
    assert metrics.delivery_success_rate == 0
    assert metrics.connection_count == 1


def test_the_hand_has_worked_out_every_metric() -> None:
    names = {one.name for one in fields(AgentCommunicationMetrics)}
    assert OF_POLLING.keys() == OF_PUSH.keys() == names
    # Each is something else than 0 in one of the two, or fails above.
    assert {name for name in names if OF_POLLING[name] == OF_PUSH[name] == 0} == {
        "failed_deliveries"
    }
