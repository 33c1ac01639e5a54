"""The table of steps says where the SimPy processes let each step pass."""

import pytest

from lhsim.distributions import Exponential
from lhsim.metrics.account import Window
from lhsim.models import (
    Cache,
    Cpu,
    Elicitation,
    EventStore,
    Network,
    Poisson,
    PollingServer,
    PushServer,
    System,
    Workload,
)
from lhsim.models.bridge import Bridge
from lhsim.models.running import start
from lhsim.models.step import Place
from lhsim.models.steps import steps_of
from lhsim.rules import LOSSES
from lhsim.streams import Purpose

SHORT, LONG = Exponential(1e-3), Exponential(0.1)
PURPOSES = {losses: purpose for purpose, losses in LOSSES.items()}
NAMES = (
    "parse_message", "parse_request", "validate", "write", "query", "respond", "acknowledge",
    "connect", "send", "relay", "heartbeat",
)  # fmt: skip
PARTS = {
    "workload": Workload(traffic=Poisson(2.0), think=LONG, topology="random"),
    "network": Network(LONG, LONG),
    "cpu": Cpu(workers=2, **dict.fromkeys(NAMES, SHORT)),
    "store": EventStore(SHORT, SHORT),
}
PUSH = {"session": Exponential(2.0), "reconnect": LONG, "heartbeat": 0.5}
SYSTEMS = {
    "polling": {"polling": PollingServer(cache=Cache(look_up=SHORT))},
    "push": {"push": PushServer(**PUSH)},
    "elicitation": {"push": PushServer(**PUSH, elicitation=Elicitation(think=LONG))},
    "elicitation by reply": {
        "push": PushServer(elicitation=Elicitation(think=LONG, asks_by="reply"))
    },
    "fallback": {
        "push": PushServer(**PUSH, connections=2, overflow="fallback", fallback_interval=0.3)
    },
}
ELSEWHERE = {Place.POOL, Place.WRITER, Place.TIMER}  # the store's, and those of no step method


def passed(system, monkeypatch):
    """Return where the steps of a run passed: by purpose, the places that they may have had."""
    seen = {}

    def watched(name, purpose_of, *places):
        original = getattr(Bridge, name)

        def step(self, agent, stage, entity, index, *more):
            if stage is not None:
                seen.setdefault(purpose_of(stage), set()).update(places)
            return original(self, agent, stage, entity, index, *more)

        monkeypatch.setattr(Bridge, name, step)

    watched("compute", lambda stage: stage.purpose, Place.OWN_LOOP, Place.TARGETS_LOOP)
    watched("think", lambda stage: stage.purpose, Place.AGENT)
    watched("travel", lambda routes: PURPOSES[routes[0]._losses], Place.NETWORK)
    start(system, 6, 1, Window(0.0, 30.0, 30.0)).bridge.env.run(until=30.0)
    return seen


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_step_passes_where_the_table_says(name, monkeypatch):
    system = System(name="steps", **PARTS, **SYSTEMS[name])
    steps = steps_of(system)
    seen = passed(system, monkeypatch)
    assert all(steps[purpose].place in places for purpose, places in seen.items())
    unseen = {purpose for purpose, step in steps.items() if step.place not in ELSEWHERE} - set(seen)
    assert unseen <= {Purpose.REPLY_DOWN, *_rare(name)}


def _rare(name):
    """Return the steps of the table that a system does not take."""
    if name == "elicitation by reply":
        return {
            Purpose.REQUEST_UP,
            Purpose.ANSWER_DOWN,
            Purpose.CONNECT,
            Purpose.RELAY,
            Purpose.SEND,
        }
    return {Purpose.ANSWER_DOWN} if name in {"push", "elicitation"} else set()
