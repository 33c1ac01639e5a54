"""One run: `simulate(system, agents, duration, seed) -> Result`.

The run has a warm-up, in which nothing counts, a window in which the cohort of messages is created,
and a drain, in which the last of them may still be delivered. How long each of them is where nobody
says: `lhsim.simulation.horizons` ::

    0 ......... warmup ................... duration - drain ........ duration
                [ cohort: messages created                )
                [ rates, counters and utilisations                          )
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
