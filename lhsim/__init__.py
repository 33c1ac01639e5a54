"""Discrete-event simulation of agents that exchange messages by polling or by event push.

>>> import lhsim
>>> result = lhsim.simulate("polling", agents=100, duration=60, seed=1)
>>> print(result.summary())  # doctest: +SKIP
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
