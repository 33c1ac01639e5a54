"""The yardstick: a polling model as an expert would first write it in plain SimPy.

One process for each poller and each sender, a `Resource` for the database, exponential times from
the `random` module. `lhsim.models` are held against it on its own system: N agents that sleep a
second between two queries of one database connection, and send each other messages in a ring.

::

    python benchmarks/yardstick.py 10000 2.5    # agents, duration [s]
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, field

import simpy

SLEEP = 1.0
QUERY = 50e-6
RATE = 0.1
LIMIT = 10


@dataclass
class Counts:
    created: int = 0
    queries: int = 0
    sleeps: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def model_events(self) -> int:
        """Messages created and delivered, queries and sleeps: what both models must do."""
        return self.created + self.queries + self.sleeps + len(self.latencies)


def poller(env, database, mailbox, counts, rng):
    yield env.timeout(rng.random() * SLEEP)
    while True:
        with database.request() as request:
            yield request
            found = [mailbox.popleft() for _ in range(min(LIMIT, len(mailbox)))]
            yield env.timeout(rng.expovariate(1 / QUERY))
        counts.queries += 1
        if found:
            counts.latencies += [env.now - created for created in found]
        else:
            counts.sleeps += 1
            yield env.timeout(SLEEP)


def sender(env, mailbox, counts, rng):
    while True:
        yield env.timeout(rng.expovariate(RATE))
        counts.created += 1
        mailbox.append(env.now)


def run(agents: int, duration: float, seed: int = 1) -> Counts:
    env = simpy.Environment()
    database = simpy.Resource(env, capacity=1)
    rng = random.Random(seed)
    counts = Counts()
    mailboxes = [deque() for _ in range(agents)]
    for agent in range(agents):
        env.process(poller(env, database, mailboxes[agent], counts, rng))
        env.process(sender(env, mailboxes[(agent + 1) % agents], counts, rng))
    env.run(until=duration)
    return counts


def main() -> None:
    agents, duration = sys.argv[1:]
    begin = time.process_time()
    counts = run(int(agents), float(duration))
    seconds = time.process_time() - begin
    print(json.dumps({"events": counts.model_events, "seconds": seconds}))


if __name__ == "__main__":
    main()
