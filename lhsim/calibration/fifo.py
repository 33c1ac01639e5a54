"""One server that a message passes several times, first come, first served, with warmth.

A message is taken in, worked on and delivered, and acknowledged; each time it stands behind those
that have come in the meantime. The processes of `lhsim.models` do the same with a push server of
such costs; here the messages come at given times, and a message takes a fraction of a microsecond.
With one service it is the recursion of Lindley (1952, The theory of queues with a single server,
Proc. Cambridge Philos. Soc. 48, 277-289).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lhsim._jit import jit
from lhsim.rules import idle_cost

Floats = NDArray[np.float64]


@jit
def deliveries(
    arrivals: Floats, costs: Floats, delivering: int, curve: Floats, memory: float
) -> Floats:
    """Return when each message leaves the service that delivers it [s].

    Parameters
    ----------
    arrivals
        When messages come, ascending [s].
    costs
        Base costs of each message's services, in their order [s]; shape (services, messages).
    delivering
        Which service that is, from 0 on.
    curve, memory
        Of warmth, as `lhsim.rules.idle_cost` has them.
    """
    services, n = costs.shape
    left = np.empty(n)
    line = np.empty(services * n, np.int64)  # service s of message k is s n + k
    head, tail, coming = 0, 0, 0
    now, idle_since, cold_factor = 0.0, -np.inf, 0.0
    while head < tail or coming < n:
        if head == tail:
            now = arrivals[coming]
            line[tail] = coming
            tail += 1
            coming += 1
        service, message = divmod(line[head], n)
        head += 1
        demand = costs[service, message]
        cost, cold_factor = idle_cost(demand, now - idle_since, cold_factor, curve, memory)
        now += cost
        idle_since = now
        while coming < n and arrivals[coming] <= now:
            line[tail] = coming
            tail += 1
            coming += 1
        if service == delivering:
            left[message] = now
        if service + 1 < services:
            line[tail] = (service + 1) * n + message
            tail += 1
    return left
