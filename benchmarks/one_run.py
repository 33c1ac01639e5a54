"""One run of lhsim in a process of its own: what it took, and the peak of the process's memory.

::

    python benchmarks/one_run.py yardstick simpy 10000 2.5    # system, engine, agents, duration [s]
"""

from __future__ import annotations

import json
import resource
import sys
import time

import systems

import lhsim


def main() -> None:
    name, engine, agents, duration = sys.argv[1:]
    system = systems.SYSTEMS[name](int(agents))
    lhsim.simulate(system, agents=10, duration=1.0, engine=engine)  # compile
    begin = time.process_time()
    result = lhsim.simulate(system, agents=int(agents), duration=float(duration), engine=engine)
    seconds = time.process_time() - begin
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss [bytes]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"events": result.model_events, "seconds": seconds, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
