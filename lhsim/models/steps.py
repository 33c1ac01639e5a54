"""The steps of each protocol: where a step passes, and what it costs.

Both engines take them from here: the SimPy processes say in which order they come
(`lhsim.models.polling_processes`, `lhsim.models.push_processes`), the compiled engine numbers its
phases by their purposes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lhsim.models.step import Place, Step
from lhsim.models.workload import Requests
from lhsim.streams import Purpose

if TYPE_CHECKING:
    from lhsim.models.polling import PollingServer
    from lhsim.models.push import PushServer
    from lhsim.models.system import System


Steps = dict[Purpose, Step]


def steps_of(system: System) -> Steps:
    """Return the steps of a system, by the purpose of the draws of their costs."""
    cpu, store, network = system.cpu, system.store, system.network
    per_byte, writer = cpu.per_byte, Place.WRITER if store.single_writer else Place.POOL
    steps = {
        Purpose.MESSAGE_UP: Step(Place.NETWORK, network.up, network.per_byte),
        Purpose.REQUEST_UP: Step(Place.NETWORK, network.up, network.per_byte),
        Purpose.ANSWER_DOWN: Step(Place.NETWORK, network.down, network.per_byte),
        Purpose.REPLY_DOWN: Step(Place.NETWORK, network.down),
        Purpose.PARSE_MESSAGE: Step(Place.OWN_LOOP, cpu.parse_message, per_byte.parse_message),
        Purpose.WRITE_CPU: Step(Place.OWN_LOOP, cpu.write, per_byte.write),
        Purpose.WRITE: Step(writer, store.write, store.write_per_byte),
        Purpose.ACKNOWLEDGE: Step(Place.OWN_LOOP, cpu.acknowledge),
    }
    if cpu.collection is not None:
        steps[Purpose.COLLECTION] = Step(Place.OWN_LOOP, cpu.collection.cost)
    if system.polling is not None:
        steps |= _polling(system, system.polling)
    if system.push is not None:
        steps |= _push(system, system.push)
    if system.requests is not None:
        steps |= _requests(system)
    return steps


def _polling(system: System, server: PollingServer) -> Steps:
    steps = {**_poll(system), Purpose.THINK: Step(Place.AGENT, system.workload.think)}
    if system.workload.topology == "queue":
        writer = Place.WRITER if system.store.single_writer else Place.POOL
        steps[Purpose.DELETE_CPU] = Step(Place.OWN_LOOP, system.cpu.write)
        steps[Purpose.DELETE] = Step(writer, system.store.write)
    if server.cache is not None:
        steps[Purpose.LOOK_UP] = Step(Place.OWN_LOOP, server.cache.look_up)
    return steps


def _requests(system: System) -> Steps:
    """Return the steps of a request and its answer, and of the client's thought before it."""
    traffic = system.workload.traffic
    if isinstance(traffic, Requests):
        return {**_poll(system), Purpose.THINK: Step(Place.AGENT, traffic.think)}
    return _poll(system)


def _poll(system: System) -> Steps:
    """Return the steps of a request for messages, or for anything else."""
    cpu, per_byte = system.cpu, system.cpu.per_byte
    return {
        Purpose.PARSE_REQUEST: Step(Place.OWN_LOOP, cpu.parse_request, per_byte.parse_request),
        Purpose.QUERY_CPU: Step(Place.OWN_LOOP, cpu.query, per_byte.query),
        Purpose.QUERY: Step(Place.POOL, system.store.query, system.store.query_per_byte),
        Purpose.RESPOND: Step(Place.OWN_LOOP, cpu.respond, per_byte.respond),
    }


def _push(system: System, server: PushServer) -> Steps:
    cpu, network, elicitation = system.cpu, system.network, server.elicitation
    steps = {
        Purpose.VALIDATE: Step(Place.OWN_LOOP, cpu.validate, cpu.per_byte.validate),
        Purpose.RELAY: Step(Place.TARGETS_LOOP, cpu.relay, cpu.per_byte.relay),
        Purpose.SEND: Step(Place.TARGETS_LOOP, cpu.send, cpu.per_byte.send),
        Purpose.PUSH_DOWN: Step(Place.NETWORK, network.down, network.per_byte),
        Purpose.CONNECT: Step(Place.OWN_LOOP, cpu.connect),
        Purpose.SESSION: Step(Place.TIMER, server.session),
        Purpose.RECONNECT: Step(Place.TIMER, server.reconnect),
    }
    if system.nodes is not None and system.nodes.count > 1:
        steps[Purpose.LINK] = Step(Place.TIMER, system.nodes.link)
    if server.webhook is not None:
        steps[Purpose.ANSWER_THINK] = Step(Place.AGENT, server.webhook.think)
        steps[Purpose.ANSWER_UP] = Step(Place.NETWORK, network.up)
    if server.heartbeat is not None:
        steps[Purpose.HEARTBEAT] = Step(Place.OWN_LOOP, cpu.heartbeat)
    if elicitation is not None:
        loop = Place.OWN_LOOP if server.asks_by_reply else Place.TARGETS_LOOP
        steps |= {
            Purpose.ANSWER_THINK: Step(Place.AGENT, elicitation.think),
            Purpose.ANSWER_UP: Step(Place.NETWORK, network.up),
            Purpose.PARSE_ANSWER: Step(loop, cpu.parse_message),
            Purpose.VALIDATE_ANSWER: Step(loop, cpu.validate),
        }
    return steps | _poll(system) if server.overflow == "fallback" else steps
