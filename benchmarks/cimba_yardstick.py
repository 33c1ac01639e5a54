"""The yardstick's system in Cimba Python: its own processes, stores and resource, compiled by it.

It needs Cimba alone, and imports nothing of lhsim: `peers.py` makes it an environment of
its own. An experiment of one trial and one worker runs for an instant first, which compiles, and
once more, which says what its set-up takes: a stack for each of its processes. The time of the run
itself is counted without it.

::

    python benchmarks/cimba_yardstick.py 10000 2.5    # agents, duration [s]
"""

import json
import sys
import time

import cimba as cb
from cimba import random

SLEEP = 1.0
QUERY = 50e-6
RATE = 0.1
LIMIT = 10
SHORT = 0.01  # of the runs that compile and set up [s]


class Server(cb.Model):
    """The database, and what all agents have done."""

    database: cb.Resource
    created: int = 0
    queries: int = 0
    sleeps: int = 0
    delivered: int = 0
    latency: float = 0.0
    events: cb.Output[int]

    @cb.on_end
    def count(self):
        self.events = self.created + self.queries + self.sleeps + self.delivered


class Agent(cb.Model):
    """An agent that polls its mailbox, and sends to the next one."""

    server: cb.Ref[Server]
    target: cb.Ref["Agent"]
    mailbox: cb.Store[float]
    waiting: int = 0

    @cb.process
    def poller(self):
        cb.hold(random.uniform(0.0, SLEEP))
        while True:
            self.server.database.acquire()
            found = min(LIMIT, self.waiting)
            self.waiting -= found
            cb.hold(random.exponential(QUERY))
            self.server.database.release()
            self.server.queries += 1
            if found > 0:
                for _ in range(found):
                    self.server.latency += cb.now() - self.mailbox.get()
                self.server.delivered += found
            else:
                self.server.sleeps += 1
                cb.hold(SLEEP)

    @cb.process
    def sender(self):
        while True:
            cb.hold(random.exponential(1 / RATE))
            self.server.created += 1
            self.target.mailbox.put(cb.now())
            self.target.waiting += 1


class System(cb.Model):
    """All of it."""

    server: Server
    agents: list[Agent]


def system(agents: int) -> System:
    whole = System()
    whole.server = Server()
    whole.agents = [Agent() for _ in range(agents)]
    for number, agent in enumerate(whole.agents):
        agent.server = whole.server
        agent.target = whole.agents[(number + 1) % agents]
    return whole


def run(model: System, duration: float) -> tuple[int, float]:
    """Return the model events of a run, and the processor time that it took [s]."""
    experiment = cb.Experiment(model, replications=1, window=cb.Window(duration=duration), seed=1)
    begin = time.process_time()
    results = experiment.run(workers=1)
    seconds = time.process_time() - begin
    return int(results[model.server].events[0, 0]), seconds


def main() -> None:
    agents, duration = int(sys.argv[1]), float(sys.argv[2])
    model = system(agents)
    run(model, SHORT)
    few, set_up = run(model, SHORT)
    events, seconds = run(model, duration)
    print(json.dumps({"events": events - few, "seconds": seconds - set_up, "set_up": set_up}))


if __name__ == "__main__":
    main()
