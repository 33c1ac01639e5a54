"""What no run can beat: the mean latency without any queue, and with the unavoidable one.

It takes each cost at its mean and warm, and lets nothing wait for anything but the poller:

- Polling. A message waits for the rest of its target's cycle and for the query that finds it,
  E[C^2] / (2 E[C]) + E[S] >= E[C] / 2 + E[S] (`lhsim.theory.polling_delay`). At low load a cycle
  is a sleep, C >= Z. By the utilisation law the N agents get at most 1 / D queries a second out
  of the busiest station, so that C >= N D (`lhsim.theory.ClosedNetwork`).
- Push. All services on the way of a message. From the load on at which the busiest station has
  no time left, there is no finite mean.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lhsim.theory import polling_delay

if TYPE_CHECKING:
    from lhsim.models import PollingServer, System


def lower_bound(system: System, agents: int) -> float | None:
    """Return a lower bound of the mean end-to-end latency [s]; infinite where there is no mean.

    None for a closed loop, whose messages do not come at random times.
    """
    rate = system.offered_load(agents)
    if rate is None:
        return None
    if system.polling is not None:
        return _polling(system, system.polling, agents)
    return _push(system, rate)


def _polling(system: System, server: PollingServer, agents: int) -> float:
    cpu, store, network = system.cpu, system.store, system.network
    read = store.query.mean + store.scan * store.events
    busiest = max(cpu.query.mean / cpu.workers, read / store.connections)  # D [s]
    cycle = max(server.interval, agents * busiest)
    sent = network.up.mean + cpu.parse_message.mean + cpu.write.mean + store.write.mean
    answered = cpu.respond.mean + network.down.mean
    return sent + polling_delay(cycle, 0.0) + cpu.query.mean + read + answered


def _push(system: System, rate: float) -> float:
    cpu, store, network = system.cpu, system.store, system.network
    on_loop = cpu.parse_message.mean + cpu.validate.mean + cpu.write.mean + cpu.send.mean
    writers = 1 if store.single_writer else store.connections
    busiest = max((on_loop + cpu.acknowledge.mean) / cpu.workers, store.write.mean / writers)
    if rate * busiest >= 1:
        return math.inf
    return network.up.mean + on_loop + store.write.mean + network.down.mean
